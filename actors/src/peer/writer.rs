//! The task that owns the sending side of a connection: takes what the lanes give, writes it, flushes once per batch.

use super::line::Line;
use super::outbox::{Batch, Beat, Outbox};
use super::stats::SharedStats;
use actix::{Message, Recipient};
use std::sync::Arc;
use std::time::Duration;
use timed_peer::EndReason;
use timed_peer::lanes::{CHUNK_BYTES_MAX, chunk_bytes};
use timed_primitives::{Clock, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A peer that takes not one byte for this long does not read: four deadlines of the longest ping interval between validators.
const STALLED: Duration = Duration::from_secs(60);
/// After the end was decided: for the goodbye to leave, and for the other side to close.
const LINGER: Duration = Duration::from_secs(1);
/// Shortest batch whose duration tells the rate of the link. Unit: bytes.
const MEASURED_BYTES_MIN: usize = 4 * 1024;

/// Heartbeat messages left for the kernel.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Left {
    pub(super) beats: Vec<Beat>,
    pub(super) at: Instant,
}

/// Nothing more can be sent.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct WriterEnded(pub(super) EndReason);

pub(super) struct Writer {
    pub(super) line: Line,
    pub(super) outbox: Outbox,
    pub(super) stats: SharedStats,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) left: Recipient<Left>,
    pub(super) ended: Recipient<WriterEnded>,
    pub(super) _alive: mpsc::Sender<()>,
}

/// Rate of a link, smoothed. Unit: bytes per second.
#[derive(Debug, Default)]
struct Rate(Option<u64>);

impl Rate {
    /// A batch of `bytes` took `duration`. Fast batches went into a buffer and say only that the link is not the limit.
    fn on_written(&mut self, bytes: usize, duration: Duration) {
        if bytes < MEASURED_BYTES_MIN {
            return;
        }
        let micros = duration.as_micros().max(1);
        let rate = u64::try_from(bytes as u128 * 1_000_000 / micros).unwrap_or(u64::MAX);
        self.0 = Some(self.0.map_or(rate, |old| old / 4 * 3 + rate / 4));
    }

    fn chunk_bytes(&self) -> usize {
        self.0.map_or(CHUNK_BYTES_MAX / 4, chunk_bytes)
    }
}

impl Writer {
    /// Runs until the outbox is closed and empty, or the connection fails or stalls.
    pub(super) async fn run(mut self) {
        let outbox = self.outbox.clone();
        let hurry = async {
            outbox.closed().await;
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
        let mut batch = Batch::default();
        let mut rate = Rate::default();
        while self.outbox.fill(&mut batch, rate.chunk_bytes()).await {
            let started = self.clock.now();
            self.write(&batch.bytes).await?;
            let now = self.clock.now();
            rate.on_written(batch.bytes.len(), now.since(started));
            batch.bytes.clear();
            {
                let mut stats = self.stats.lock();
                batch
                    .completed
                    .drain(..)
                    .for_each(|(kind, bytes, queued_at)| stats.on_sent(now, kind, bytes, queued_at));
            }
            if !batch.beats.is_empty() {
                self.left.do_send(Left { beats: std::mem::take(&mut batch.beats), at: now });
            }
        }
        Ok(())
    }

    /// Writes all and flushes. The limit is on progress and not on the whole, so that a slow link is not a stalled one.
    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), EndReason> {
        while !bytes.is_empty() {
            match timeout(STALLED, self.line.write(bytes)).await {
                Ok(Ok(0)) | Ok(Err(_)) => return Err(EndReason::ConnectionFailed),
                Ok(Ok(written)) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(_) => return Err(EndReason::LaneOverflow),
            }
        }
        match timeout(STALLED, self.line.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(EndReason::ConnectionFailed),
            Err(_) => Err(EndReason::LaneOverflow),
        }
    }

    /// Closes our side and takes in what the other side sends until it closes too.
    async fn finish(&mut self) {
        if self.line.shutdown().await.is_err() {
            return;
        }
        let mut unread = [0; 4096];
        while self.line.read(&mut unread).await.is_ok_and(|n| n > 0) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_grow_and_shrink_with_the_link() {
        let mut rate = Rate::default();
        assert_eq!(rate.chunk_bytes(), 16 * 1024);
        rate.on_written(100, Duration::from_secs(5));
        assert_eq!(rate.chunk_bytes(), 16 * 1024, "a ping says nothing about the rate");
        for _ in 0..30 {
            rate.on_written(16_000, Duration::from_millis(160));
        }
        assert_eq!(rate.chunk_bytes(), 4 * 1024);
        for _ in 0..30 {
            rate.on_written(16_000, Duration::from_micros(10));
        }
        assert_eq!(rate.chunk_bytes(), 64 * 1024);
    }
}
