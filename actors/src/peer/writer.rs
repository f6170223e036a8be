//! The task that owns the sending side of a connection: takes what the lanes give, writes it, flushes once per batch.

use super::outbound_queue::{FillOutcome, HeartbeatFrame, OutboundQueue, WriteBatch};
use super::shared_stream::SharedStream;
use super::stats::SharedStats;
use super::under_way::UnderWay;
use actix::{Message, Recipient};
use std::sync::Arc;
use std::time::Duration;
use timed_peer::EndReason;
use timed_primitives::{Clock, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A peer that takes not one byte for this long does not read: four deadlines of the longest ping interval between validators.
const STALLED: Duration = Duration::from_secs(60);
/// After the end was decided: for the goodbye to leave, and for the other side to close.
const LINGER: Duration = Duration::from_secs(1);
/// How soon the writer looks again whether bulk may leave: no sooner than timers can distinguish.
const LOOK_MIN: Duration = Duration::from_millis(1);
/// And no later, should acknowledgements come in lumps.
const LOOK_MAX: Duration = Duration::from_millis(10);

/// Heartbeat messages left for the kernel.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct BytesWritten {
    pub(super) heartbeats: Vec<HeartbeatFrame>,
    pub(super) at: Instant,
}

/// Nothing more can be sent.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct WriterEnded(pub(super) EndReason);

pub(super) struct Writer {
    pub(super) stream: SharedStream,
    pub(super) outbound: OutboundQueue,
    pub(super) stats: SharedStats,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) left: Recipient<BytesWritten>,
    pub(super) ended: Recipient<WriterEnded>,
    pub(super) _alive: mpsc::Sender<()>,
}

impl Writer {
    /// Runs until the queue is closed and empty, or the connection fails or stalls.
    pub(super) async fn run(mut self) {
        let outbound = self.outbound.clone();
        let hurry = async {
            outbound.closed().await;
            tokio::time::sleep(LINGER).await;
        };
        let ended = tokio::select! {
            biased;
            ended = self.send_all() => ended,
            () = hurry => Ok(()),
        };
        match ended {
            Ok(()) => {
                let _ = timeout(LINGER, self.finish()).await;
            }
            // When the actor has ended it no longer cares.
            Err(reason) => self.ended.do_send(WriterEnded(reason)),
        }
    }

    async fn send_all(&mut self) -> Result<(), EndReason> {
        let mut batch = WriteBatch::default();
        let mut under_way = UnderWay::default();
        loop {
            let wait = under_way.look(&self.stream, self.clock.now());
            match self.outbound.fill(&mut batch, under_way.rate.chunk_bytes(), wait.is_none()).await {
                FillOutcome::AtOnce => {}
                FillOutcome::Waited => under_way.rate.on_idle(),
                FillOutcome::Held => {
                    let look_again = wait.unwrap_or_default().clamp(LOOK_MIN, LOOK_MAX);
                    let _ = timeout(look_again, self.outbound.filled()).await;
                    continue;
                }
                FillOutcome::Closed => return Ok(()),
            }
            let started = self.clock.now();
            self.write(&batch.bytes).await?;
            let now = self.clock.now();
            under_way.on_written(started, now, batch.bytes.len());
            batch.bytes.clear();
            {
                let mut stats = self.stats.lock();
                batch
                    .completed
                    .drain(..)
                    .for_each(|(kind, bytes, queued_at)| stats.on_sent(now, kind, bytes, queued_at));
            }
            if !batch.heartbeats.is_empty() {
                self.left.do_send(BytesWritten { heartbeats: std::mem::take(&mut batch.heartbeats), at: now });
            }
        }
    }

    /// Writes all and flushes. The limit is on progress and not on the whole, so that a slow link is not a stalled one.
    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), EndReason> {
        while !bytes.is_empty() {
            match timeout(STALLED, self.stream.write(bytes)).await {
                Ok(Ok(0)) | Ok(Err(_)) => return Err(EndReason::ConnectionFailed),
                Ok(Ok(written)) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(_) => return Err(EndReason::LaneOverflow),
            }
        }
        match timeout(STALLED, self.stream.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(EndReason::ConnectionFailed),
            Err(_) => Err(EndReason::LaneOverflow),
        }
    }

    /// Closes our side and takes in what the other side sends until it closes too.
    async fn finish(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let mut unread = [0; 4096];
        while self.stream.read(&mut unread).await.is_ok_and(|n| n > 0) {}
    }
}
