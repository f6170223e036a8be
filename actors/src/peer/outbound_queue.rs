//! What waits to be sent to one peer. Filled by the manager and the peer's actor, emptied by the peer's writer.

use bytes::BytesMut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use timed_peer::lanes::LaneCounters;
use timed_peer::{LaneLimits, Lanes, OutstandingRequests, Overflow, QueuedFrame};
use timed_primitives::{Height, Instant};
use timed_wire::{BlockSyncMessage, Encoded, Kind, Lane, Message};
use tokio::sync::Notify;

/// A heartbeat message in the queue: the actor gets a message when it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeartbeatFrame {
    /// Our ping.
    Ping(u64),
    /// Our answer to theirs.
    Pong(u64),
}

/// A message to send.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) encoded: Encoded,
    pub(super) heartbeat: Option<HeartbeatFrame>,
    pub(super) queued_at: Instant,
}

/// A message of which a part has left.
#[derive(Debug)]
struct PartlyWritten {
    outgoing: Outgoing,
    /// Offset of the next chunk.
    next: usize,
    /// What its chunks have taken on the wire so far.
    wire_bytes: usize,
}

/// What the writer shall write next.
#[derive(Debug, Default)]
pub(super) struct WriteBatch {
    /// Bytes, in order.
    pub(super) bytes: BytesMut,
    /// Messages whose last byte is in it, with what each took on the wire and when it was queued.
    pub(super) completed: Vec<(Kind, usize, Instant)>,
    /// Heartbeat messages in it.
    pub(super) heartbeats: Vec<HeartbeatFrame>,
}

/// How [`OutboundQueue::fill`] came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FillOutcome {
    /// Something was queued already.
    AtOnce,
    /// It had to come first.
    Waited,
    /// Only bulk waits, and may not leave yet.
    Held,
    /// Nothing waits, and nothing will.
    Closed,
}

/// What is held for all peers together. Clones share it. Unit: bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldBytes(Arc<AtomicUsize>);

impl HeldBytes {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

struct OutboundQueueState {
    /// What of `all` is held here.
    counted: usize,
    all: HeldBytes,
    lanes: Lanes<Outgoing>,
    partial: [Option<PartlyWritten>; Lane::ALL.len()],
    outstanding: OutstandingRequests,
    /// Set once: no more messages are taken, and what this holds leaves last.
    closing: Option<Option<Outgoing>>,
}

struct OutboundQueueInner {
    state: Mutex<OutboundQueueState>,
    /// Something to send.
    filled: Notify,
    /// No more will come.
    closed: Notify,
}

/// Handle of the queue. Clones share it.
#[derive(Clone)]
pub(crate) struct OutboundQueue(Arc<OutboundQueueInner>);

impl OutboundQueue {
    /// Empty. What it holds is counted in `all` too.
    pub(super) fn new(limits: LaneLimits, all: HeldBytes) -> Self {
        let (lanes, partial, outstanding) = (Lanes::new(limits), [None, None, None], OutstandingRequests::default());
        let state = OutboundQueueState { counted: 0, all, lanes, partial, outstanding, closing: None };
        Self(Arc::new(OutboundQueueInner { state: Mutex::new(state), filled: Notify::new(), closed: Notify::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, OutboundQueueState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message that was encoded already. Full lanes drop by their policy; a closed queue drops everything.
    ///
    /// # Errors
    /// [`Overflow`] when the control lane is full: end the session.
    pub(crate) fn push(&self, now: Instant, encoded: Encoded) -> Result<(), Overflow> {
        self.push_of_height(now, encoded, None)
    }

    /// The same of a message that is worthless once this height is decided.
    pub(crate) fn push_of_height(
        &self,
        now: Instant,
        encoded: Encoded,
        height: Option<Height>,
    ) -> Result<(), Overflow> {
        self.push_outgoing(now, Outgoing { encoded, heartbeat: None, queued_at: now }, height)
    }

    pub(super) fn push_heartbeat(
        &self,
        now: Instant,
        encoded: Encoded,
        heartbeat: HeartbeatFrame,
    ) -> Result<(), Overflow> {
        self.push_outgoing(now, Outgoing { encoded, heartbeat: Some(heartbeat), queued_at: now }, None)
    }

    fn push_outgoing(&self, now: Instant, outgoing: Outgoing, height: Option<Height>) -> Result<(), Overflow> {
        let mut state = self.lock();
        if state.closing.is_some() {
            return Ok(());
        }
        let (lane, bytes) = (outgoing.encoded.lane(), outgoing.encoded.len());
        let frame = QueuedFrame { lane, bytes, height: height.map(|height| height.0), payload: outgoing };
        state.lanes.push(now, frame)?;
        state.recount();
        drop(state);
        self.0.filled.notify_one();
        Ok(())
    }

    /// Notes what a message asks for, so that its replies are taken.
    pub(crate) fn note_request(&self, message: &Message) {
        if let Message::BlockSync(BlockSyncMessage::GetBlocks { request, count, .. }) = message {
            self.lock().outstanding.on_request(*request, *count);
        }
    }

    /// Whether a message for block sync may be taken: a request, a status, or a reply that we asked for.
    pub(super) fn is_asked_for(&self, message: &BlockSyncMessage) -> bool {
        self.lock().outstanding.on_reply(message)
    }

    /// A height is decided: when a lane is full, messages of this and earlier heights go first.
    pub(crate) fn on_decided(&self, height: u64) {
        self.lock().lanes.on_decided(height);
    }

    /// Takes no more. What waits in the control lane still leaves, then the goodbye; the rest is dropped.
    pub(super) fn close(&self, now: Instant, goodbye: Option<Encoded>) {
        let mut state = self.lock();
        if state.closing.is_none() {
            state.closing = Some(goodbye.map(|encoded| Outgoing { encoded, heartbeat: None, queued_at: now }));
            drop(state);
            self.0.filled.notify_one();
            self.0.closed.notify_one();
        }
    }

    /// Waits until [`Self::close`].
    pub(super) async fn closed(&self) {
        self.0.closed.notified().await;
    }

    /// Waits until something is queued, then fills the batch; with bulk only where the connection has room for it.
    pub(super) async fn fill(&self, batch: &mut WriteBatch, chunk_bytes: usize, with_bulk: bool) -> FillOutcome {
        let mut filled = FillOutcome::AtOnce;
        loop {
            {
                let mut state = self.lock();
                state.fill(batch, chunk_bytes, with_bulk);
                state.recount();
                if !batch.bytes.is_empty() {
                    return filled;
                }
                if state.closing.is_some() {
                    return FillOutcome::Closed;
                }
                if state.lanes.bytes(Lane::Bulk) > 0 || state.slot(Lane::Bulk).is_some() {
                    return FillOutcome::Held;
                }
            }
            filled = FillOutcome::Waited;
            self.0.filled.notified().await;
        }
    }

    /// Waits until something is queued or the queue is closed.
    pub(super) async fn filled(&self) {
        self.0.filled.notified().await;
    }

    /// Bytes that wait, by lane.
    pub(crate) fn queued_bytes(&self) -> [usize; Lane::ALL.len()] {
        let state = self.lock();
        Lane::ALL.map(|lane| state.lanes.bytes(lane))
    }

    /// Bytes of messages of which a part has left.
    pub(crate) fn leaving_bytes(&self) -> usize {
        self.lock().leaving_bytes()
    }

    /// Drops what waits in these lanes, because too much waits for all peers together.
    pub(crate) fn drop_for_others(&self, lanes: &[Lane]) {
        let mut state = self.lock();
        lanes.iter().for_each(|lane| state.lanes.drop_for_others(*lane));
        state.recount();
    }

    /// How long the oldest message of each lane has waited.
    pub(crate) fn queue_age(&self, now: Instant) -> [Duration; Lane::ALL.len()] {
        let state = self.lock();
        Lane::ALL.map(|lane| state.lanes.age(now, lane))
    }

    /// Messages dropped from full lanes.
    pub(crate) fn dropped(&self) -> u64 {
        let state = self.lock();
        Lane::ALL.map(|lane| state.lanes.counters(lane)).iter().map(LaneCounters::dropped).sum()
    }
}

impl Drop for OutboundQueueState {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

impl OutboundQueueState {
    fn leaving_bytes(&self) -> usize {
        self.partial.iter().flatten().map(|partial| partial.outgoing.encoded.len()).sum()
    }

    /// Brings the count over all peers up to date with what is held here.
    fn recount(&mut self) {
        let held = Lane::ALL.iter().map(|lane| self.lanes.bytes(*lane)).sum::<usize>() + self.leaving_bytes();
        if held >= self.counted {
            self.all.0.fetch_add(held - self.counted, Ordering::Relaxed);
        } else {
            self.all.0.fetch_sub(self.counted - held, Ordering::Relaxed);
        }
        self.counted = held;
    }

    /// Appends what leaves next, up to about one chunk, so that what comes in meanwhile waits for no more than that.
    fn fill(&mut self, batch: &mut WriteBatch, chunk_bytes: usize, with_bulk: bool) {
        while batch.bytes.len() < chunk_bytes && self.fill_one(batch, chunk_bytes, with_bulk) {}
    }

    fn fill_one(&mut self, batch: &mut WriteBatch, chunk_bytes: usize, with_bulk: bool) -> bool {
        if let Some(goodbye) = &mut self.closing {
            let last = goodbye.take();
            let Some(outgoing) = self.lanes.pop_above(Lane::Consensus).map(|f| f.payload) else {
                return last.is_some_and(|last| self.start(last, batch, chunk_bytes));
            };
            self.closing = Some(last);
            return self.start(outgoing, batch, chunk_bytes);
        }
        let started = Lane::ALL.into_iter().find(|lane| self.slot(*lane).is_some());
        let overtaking = match started {
            Some(lane) => self.lanes.pop_above(lane),
            None if with_bulk => self.lanes.pop(),
            None => self.lanes.pop_above(Lane::Bulk),
        };
        match (overtaking, started) {
            (Some(frame), _) => self.start(frame.payload, batch, chunk_bytes),
            (None, Some(Lane::Bulk)) if !with_bulk => false,
            (None, Some(lane)) => match self.slot(lane).take() {
                Some(partial) => self.proceed(partial, batch, chunk_bytes),
                None => false,
            },
            (None, None) => false,
        }
    }

    fn slot(&mut self, lane: Lane) -> &mut Option<PartlyWritten> {
        let [control, consensus, bulk] = &mut self.partial;
        match lane {
            Lane::Control => control,
            Lane::Consensus => consensus,
            Lane::Bulk => bulk,
        }
    }

    fn start(&mut self, outgoing: Outgoing, batch: &mut WriteBatch, chunk_bytes: usize) -> bool {
        let Some(frame) = outgoing.encoded.whole(chunk_bytes) else {
            return self.proceed(PartlyWritten { outgoing, next: 0, wire_bytes: 0 }, batch, chunk_bytes);
        };
        batch.bytes.extend_from_slice(frame);
        let wire_bytes = frame.len();
        complete(&outgoing, wire_bytes, batch);
        true
    }

    fn proceed(&mut self, mut partial: PartlyWritten, batch: &mut WriteBatch, chunk_bytes: usize) -> bool {
        let before = batch.bytes.len();
        let next = partial.outgoing.encoded.put_chunk(partial.next, chunk_bytes, &mut batch.bytes);
        partial.wire_bytes += batch.bytes.len() - before;
        match next {
            Some(next) => {
                partial.next = next;
                let lane = partial.outgoing.encoded.lane();
                *self.slot(lane) = Some(partial);
            }
            None => complete(&partial.outgoing, partial.wire_bytes, batch),
        }
        true
    }
}

fn complete(outgoing: &Outgoing, wire_bytes: usize, batch: &mut WriteBatch) {
    batch.completed.push((outgoing.encoded.kind(), wire_bytes, outgoing.queued_at));
    batch.heartbeats.extend(outgoing.heartbeat);
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_wire::{ConsensusMessage, ControlMessage, FrameCodec, Incoming, sample};
    use tokio_util::codec::Decoder;

    const CHUNK: usize = 8 * 1024;

    fn encoded(message: impl Into<Message>) -> Encoded {
        Encoded::new(&message.into()).unwrap()
    }

    fn decided() -> Encoded {
        encoded(BlockSyncMessage::Decided {
            request: 1,
            height: 1,
            certificate: sample::opaque(10),
            block: sample::opaque(100_000),
        })
    }

    #[tokio::test]
    async fn what_is_held_for_all_peers_is_counted_as_it_comes_and_goes() {
        let all = HeldBytes::default();
        let [a, b] = [0, 1].map(|_| OutboundQueue::new(LaneLimits::default(), all.clone()));
        let (now, one) = (Instant::default(), decided().len());
        for outbound in [&a, &a, &b] {
            outbound.push(now, decided()).unwrap();
        }
        assert_eq!(all.get(), 3 * one);
        // A message of which a part has left is held until all of it has.
        assert!(next(&a).await.is_some());
        assert_eq!((all.get(), a.leaving_bytes(), a.queued_bytes()), (3 * one, one, [0, 0, one]));
        a.drop_for_others(&[Lane::Bulk]);
        assert_eq!((all.get(), a.dropped()), (2 * one, 1));
        while a.leaving_bytes() > 0 {
            assert!(next(&a).await.is_some());
        }
        assert_eq!(all.get(), one);
        drop(b);
        assert_eq!(all.get(), 0, "it ended with what it held");
    }

    async fn next(outbound: &OutboundQueue) -> Option<WriteBatch> {
        let mut batch = WriteBatch::default();
        (outbound.fill(&mut batch, CHUNK, true).await != FillOutcome::Closed).then_some(batch)
    }

    #[tokio::test]
    async fn a_ping_waits_for_one_chunk_of_a_block_and_a_block_under_decision_overtakes_a_synced_one() {
        let outbound = OutboundQueue::new(LaneLimits::default(), HeldBytes::default());
        let at = Instant(0);
        outbound.push(at, decided()).unwrap();
        let mut wire = next(&outbound).await.unwrap().bytes;
        assert!(wire.len() < 2 * CHUNK);
        outbound.push(at, encoded(ConsensusMessage::Block(sample::opaque(50_000)))).unwrap();
        outbound.push_heartbeat(at, encoded(ControlMessage::Ping { nonce: 7 }), HeartbeatFrame::Ping(7)).unwrap();
        let batch = next(&outbound).await.unwrap();
        assert_eq!(batch.heartbeats, [HeartbeatFrame::Ping(7)]);
        wire.extend_from_slice(&batch.bytes);
        while outbound.queued_bytes().iter().sum::<usize>() > 0 || outbound.lock().partial.iter().any(Option::is_some) {
            wire.extend_from_slice(&next(&outbound).await.unwrap().bytes);
        }
        let mut codec = FrameCodec::new();
        let mut order = Vec::new();
        while let Some(incoming) = codec.decode(&mut wire).unwrap() {
            if let Incoming::Message { message, .. } = incoming {
                order.push(message.kind());
            }
        }
        assert_eq!(order, [Kind::Ping, Kind::Block, Kind::Decided]);
    }

    #[tokio::test]
    async fn held_bulk_lets_votes_and_pings_pass_and_goes_on_where_it_was() {
        let outbound = OutboundQueue::new(LaneLimits::default(), HeldBytes::default());
        let (at, mut batch) = (Instant(0), WriteBatch::default());
        outbound.push(at, decided()).unwrap();
        assert_eq!(outbound.fill(&mut batch, CHUNK, false).await, FillOutcome::Held, "none of it has left");
        let mut wire = next(&outbound).await.unwrap().bytes;
        assert_eq!(outbound.fill(&mut batch, CHUNK, false).await, FillOutcome::Held, "a part of it has left");
        outbound.push(at, decided()).unwrap();
        outbound.push(at, encoded(ConsensusMessage::Vote(sample::opaque(50)))).unwrap();
        outbound.push_heartbeat(at, encoded(ControlMessage::Ping { nonce: 7 }), HeartbeatFrame::Ping(7)).unwrap();
        assert_eq!(outbound.fill(&mut batch, CHUNK, false).await, FillOutcome::AtOnce);
        let kinds: Vec<_> = batch.completed.iter().map(|(kind, ..)| *kind).collect();
        assert_eq!(kinds, [Kind::Ping, Kind::Vote]);
        wire.extend_from_slice(&batch.bytes);
        batch = WriteBatch::default();
        assert_eq!(outbound.fill(&mut batch, CHUNK, false).await, FillOutcome::Held);
        while outbound
            .fill(&mut batch, usize::MAX, outbound.queued_bytes()[2] > 0 || outbound.lock().partial[2].is_some())
            .await
            == FillOutcome::AtOnce
        {
            wire.extend_from_slice(&batch.bytes);
            batch.bytes.clear();
            if outbound.queued_bytes().iter().sum::<usize>() == 0 && outbound.lock().partial.iter().all(Option::is_none)
            {
                break;
            }
        }
        let (mut codec, mut order) = (FrameCodec::new(), Vec::new());
        while let Some(incoming) = codec.decode(&mut wire).unwrap() {
            if let Incoming::Message { message, .. } = incoming {
                order.push(message.kind());
            }
        }
        assert_eq!(order, [Kind::Ping, Kind::Vote, Kind::Decided, Kind::Decided]);
    }

    #[tokio::test]
    async fn after_closing_only_control_and_the_goodbye_leave() {
        let outbound = OutboundQueue::new(LaneLimits::default(), HeldBytes::default());
        let at = Instant(0);
        outbound.push(at, decided()).unwrap();
        let _first_chunk = next(&outbound).await.unwrap();
        outbound.push(at, encoded(ControlMessage::Pong { nonce: 1, time_ms: 0 })).unwrap();
        outbound.close(at, Some(encoded(ControlMessage::Goodbye { code: 1 })));
        outbound.push(at, decided()).unwrap();
        let batch = next(&outbound).await.unwrap();
        let kinds: Vec<_> = batch.completed.iter().map(|(kind, ..)| *kind).collect();
        assert_eq!(kinds, [Kind::Pong, Kind::Goodbye]);
        assert!(next(&outbound).await.is_none());
    }
}
