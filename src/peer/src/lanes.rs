//! What waits to be sent on one connection: three lanes, served strictly, each with a bound in bytes.
//!
//! A full lane drops frames of heights that are decided already (nobody needs them), then the oldest. The control lane drops
//! nothing: its messages are few by construction, so an overflow means that the other side does not read, and ends the session.
//!
//! Large frames leave in chunks; between two chunks the caller asks [`Lanes::pop_above`] for what may overtake.

use crate::end_reason::EndReason;
use std::collections::VecDeque;
use std::time::Duration;
use timed_primitives::Instant;
use timed_wire::Lane;

pub use timed_wire::frame::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN};

/// Chunk size for a measured rate: what the link carries in 10 ms, within 4 to 64 KiB. So a vote waits at most about 10 ms behind a
/// block on links of 3 Mbit/s and more. Unit: bytes.
pub fn chunk_bytes(rate_bytes_per_second: u64) -> usize {
    usize::try_from(rate_bytes_per_second / 100).unwrap_or(CHUNK_BYTES_MAX).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX)
}

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedFrame<T> {
    /// Where it waits.
    pub lane: Lane,
    /// Its size on the wire.
    pub bytes: usize,
    /// The height it is useless after: dropped first once that height is decided. `None` for what outlives heights.
    pub height: Option<u64>,
    /// What is sent.
    pub payload: T,
}

/// Bounds of the lanes. Unit: bytes. A single frame larger than its lane's bound is never taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneLimits {
    /// Handshake, ping, pong, goodbye, addresses.
    pub control: usize,
    /// Votes, proposals, blocks under decision.
    pub consensus: usize,
    /// Transactions and decided blocks.
    pub bulk: usize,
    /// All lanes of all peers together, with what is leaving: see [`crate::queue_budget`]. What one peer may have, times a hundred peers that
    /// read nothing, would be gigabytes. A quarter of a GiB holds all lanes of ten peers, more than a node serves with blocks at once.
    pub all_peers: usize,
}

impl Default for LaneLimits {
    /// Room for one answer with addresses and hundreds of pongs; for three of the largest blocks under decision; for six decided ones.
    fn default() -> Self {
        Self { control: 128 * 1024, consensus: 8 * 1024 * 1024, bulk: 16 * 1024 * 1024, all_peers: 256 * 1024 * 1024 }
    }
}

/// The control lane is full: end the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("control lane holds {waiting} bytes, {bytes} more do not fit {limit}: the peer does not read")]
pub struct Overflow {
    /// Bytes that wait.
    pub waiting: usize,
    /// Bytes of the frame that did not fit.
    pub bytes: usize,
    /// The bound.
    pub limit: usize,
}

impl Overflow {
    /// The reason to end the session with.
    pub const fn reason(&self) -> EndReason {
        EndReason::LaneOverflow
    }
}

/// What became of the frames of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounters {
    /// Frames taken in.
    pub pushed: u64,
    /// Frames given out.
    pub popped: u64,
    /// Bytes given out.
    pub popped_bytes: u64,
    /// Frames dropped because their height was decided.
    pub dropped_decided: u64,
    /// Frames dropped because they were the oldest of a full lane.
    pub dropped_oldest: u64,
    /// Frames dropped because they alone exceed the bound.
    pub dropped_oversized: u64,
    /// Frames dropped because too much waits for all peers together.
    pub dropped_for_others: u64,
}

impl LaneCounters {
    /// Frames dropped for any cause.
    pub const fn dropped(&self) -> u64 {
        self.dropped_decided
            .saturating_add(self.dropped_oldest)
            .saturating_add(self.dropped_oversized)
            .saturating_add(self.dropped_for_others)
    }
}

#[derive(Clone, Debug)]
struct LaneQueue<T> {
    frames: VecDeque<(Instant, QueuedFrame<T>)>,
    bytes: usize,
    limit: usize,
    counters: LaneCounters,
}

impl<T> LaneQueue<T> {
    const fn new(limit: usize) -> Self {
        let counters = LaneCounters {
            pushed: 0,
            popped: 0,
            popped_bytes: 0,
            dropped_decided: 0,
            dropped_oldest: 0,
            dropped_oversized: 0,
            dropped_for_others: 0,
        };
        Self { frames: VecDeque::new(), bytes: 0, limit, counters }
    }

    const fn fits(&self, bytes: usize) -> bool {
        self.bytes.saturating_add(bytes) <= self.limit
    }

    fn push(&mut self, now: Instant, frame: QueuedFrame<T>) {
        self.bytes = self.bytes.saturating_add(frame.bytes);
        self.counters.pushed = self.counters.pushed.saturating_add(1);
        self.frames.push_back((now, frame));
    }

    fn pop(&mut self) -> Option<QueuedFrame<T>> {
        let (_, frame) = self.frames.pop_front()?;
        self.bytes = self.bytes.saturating_sub(frame.bytes);
        Some(frame)
    }

    fn drop_decided(&mut self, decided: u64) {
        let before = self.frames.len();
        self.frames.retain(|(_, f)| f.height.is_none_or(|h| h > decided));
        self.bytes = self.frames.iter().map(|(_, f)| f.bytes).sum();
        let dropped = u64::try_from(before.saturating_sub(self.frames.len())).unwrap_or(u64::MAX);
        self.counters.dropped_decided = self.counters.dropped_decided.saturating_add(dropped);
    }

    /// Makes room by the drop policy; false when the frame alone exceeds the bound.
    fn make_room(&mut self, bytes: usize, decided: u64) -> bool {
        if bytes > self.limit {
            self.counters.dropped_oversized = self.counters.dropped_oversized.saturating_add(1);
            return false;
        }
        if !self.fits(bytes) {
            self.drop_decided(decided);
        }
        while !self.fits(bytes) && self.pop().is_some() {
            self.counters.dropped_oldest = self.counters.dropped_oldest.saturating_add(1);
        }
        true
    }
}

/// The outbound side of one connection.
#[derive(Clone, Debug)]
pub struct Lanes<T> {
    control: LaneQueue<T>,
    consensus: LaneQueue<T>,
    bulk: LaneQueue<T>,
    decided: u64,
}

impl<T> Lanes<T> {
    /// Empty lanes.
    pub const fn new(limits: LaneLimits) -> Self {
        Self {
            control: LaneQueue::new(limits.control),
            consensus: LaneQueue::new(limits.consensus),
            bulk: LaneQueue::new(limits.bulk),
            decided: 0,
        }
    }

    /// Queues a frame; a full lane makes room by the drop policy.
    ///
    /// # Errors
    /// [`Overflow`] when the control lane is full: end the session.
    pub fn push(&mut self, now: Instant, frame: QueuedFrame<T>) -> Result<(), Overflow> {
        if frame.lane == Lane::Control {
            if !self.control.fits(frame.bytes) {
                let LaneQueue { bytes, limit, .. } = self.control;
                return Err(Overflow { waiting: bytes, bytes: frame.bytes, limit });
            }
            self.control.push(now, frame);
            return Ok(());
        }
        let decided = self.decided;
        let queue = self.queue_mut(frame.lane);
        if queue.make_room(frame.bytes, decided) {
            queue.push(now, frame);
        }
        Ok(())
    }

    /// Drops all that waits in a lane, because too much waits for all peers together.
    pub fn drop_for_others(&mut self, lane: Lane) {
        let queue = self.queue_mut(lane);
        let dropped = u64::try_from(queue.frames.len()).unwrap_or(u64::MAX);
        queue.counters.dropped_for_others = queue.counters.dropped_for_others.saturating_add(dropped);
        queue.frames.clear();
        queue.bytes = 0;
    }

    /// The next frame: control before consensus before bulk, each in order.
    pub fn pop(&mut self) -> Option<QueuedFrame<T>> {
        self.pop_of(&[Lane::Control, Lane::Consensus, Lane::Bulk])
    }

    /// The next frame that may overtake one of `lane` which is being sent in chunks.
    pub fn pop_above(&mut self, lane: Lane) -> Option<QueuedFrame<T>> {
        match lane {
            Lane::Control => None,
            Lane::Consensus => self.pop_of(&[Lane::Control]),
            Lane::Bulk => self.pop_of(&[Lane::Control, Lane::Consensus]),
        }
    }

    /// This height is decided: frames that serve only it or earlier ones go first when a lane is full.
    pub fn on_decided(&mut self, height: u64) {
        self.decided = self.decided.max(height);
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frames that wait.
    pub fn len(&self) -> usize {
        self.control.frames.len().saturating_add(self.consensus.frames.len()).saturating_add(self.bulk.frames.len())
    }

    /// Bytes that wait in a lane.
    pub const fn bytes(&self, lane: Lane) -> usize {
        self.queue(lane).bytes
    }

    /// How long the oldest frame of a lane has waited; zero when it is empty.
    pub fn age(&self, now: Instant, lane: Lane) -> Duration {
        self.queue(lane).frames.front().map_or(Duration::ZERO, |(since, _)| now.since(*since))
    }

    /// What became of the frames of a lane.
    pub const fn counters(&self, lane: Lane) -> LaneCounters {
        self.queue(lane).counters
    }

    fn pop_of(&mut self, lanes: &[Lane]) -> Option<QueuedFrame<T>> {
        for lane in lanes {
            let queue = self.queue_mut(*lane);
            if let Some(frame) = queue.pop() {
                queue.counters.popped = queue.counters.popped.saturating_add(1);
                let bytes = u64::try_from(frame.bytes).unwrap_or(u64::MAX);
                queue.counters.popped_bytes = queue.counters.popped_bytes.saturating_add(bytes);
                return Some(frame);
            }
        }
        None
    }

    const fn queue(&self, lane: Lane) -> &LaneQueue<T> {
        match lane {
            Lane::Control => &self.control,
            Lane::Consensus => &self.consensus,
            Lane::Bulk => &self.bulk,
        }
    }

    const fn queue_mut(&mut self, lane: Lane) -> &mut LaneQueue<T> {
        match lane {
            Lane::Control => &mut self.control,
            Lane::Consensus => &mut self.consensus,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(lane: Lane, bytes: usize, height: Option<u64>, payload: u32) -> QueuedFrame<u32> {
        QueuedFrame { lane, bytes, height, payload }
    }

    fn small() -> Lanes<u32> {
        Lanes::new(LaneLimits { control: 30, consensus: 30, bulk: 30, all_peers: 90 })
    }

    #[test]
    fn lanes_are_served_strictly_and_in_order() {
        let mut lanes = small();
        for (lane, payload) in
            [(Lane::Bulk, 1), (Lane::Consensus, 2), (Lane::Bulk, 3), (Lane::Control, 4), (Lane::Consensus, 5)]
        {
            lanes.push(Instant(u64::from(payload)), frame(lane, 10, None, payload)).unwrap();
        }
        assert_eq!(lanes.age(Instant(10), Lane::Bulk), Duration::from_micros(9));
        assert_eq!(lanes.bytes(Lane::Consensus), 20);
        let order: Vec<u32> = std::iter::from_fn(|| lanes.pop()).map(|f| f.payload).collect();
        assert_eq!(order, [4, 2, 5, 1, 3]);
        assert_eq!(lanes.counters(Lane::Bulk).popped_bytes, 20);
        assert_eq!(lanes.age(Instant(10), Lane::Bulk), Duration::ZERO);
    }

    #[test]
    fn a_ping_and_a_vote_overtake_a_block_between_its_chunks() {
        let mut lanes = small();
        lanes.push(Instant(0), frame(Lane::Bulk, 10, None, 1)).unwrap();
        lanes.push(Instant(0), frame(Lane::Consensus, 10, None, 2)).unwrap();
        lanes.push(Instant(0), frame(Lane::Control, 10, None, 3)).unwrap();
        assert_eq!(lanes.pop_above(Lane::Control), None);
        assert_eq!(lanes.pop_above(Lane::Consensus).map(|f| f.payload), Some(3));
        assert_eq!(lanes.pop_above(Lane::Consensus), None);
        assert_eq!(lanes.pop_above(Lane::Bulk).map(|f| f.payload), Some(2));
        assert_eq!(lanes.pop_above(Lane::Bulk), None);
        assert!(!lanes.is_empty());
    }

    #[test]
    fn decided_heights_go_first_then_the_oldest() {
        let mut lanes = small();
        for (height, payload) in [(Some(7), 1), (Some(5), 2), (Some(7), 3)] {
            lanes.push(Instant(0), frame(Lane::Consensus, 10, height, payload)).unwrap();
        }
        lanes.on_decided(5);
        assert_eq!(lanes.len(), 3, "nothing is dropped without need");
        lanes.push(Instant(0), frame(Lane::Consensus, 10, Some(7), 4)).unwrap();
        lanes.push(Instant(0), frame(Lane::Consensus, 10, Some(7), 5)).unwrap();
        let order: Vec<u32> = std::iter::from_fn(|| lanes.pop()).map(|f| f.payload).collect();
        assert_eq!(order, [3, 4, 5]);
        let counters = lanes.counters(Lane::Consensus);
        assert_eq!((counters.dropped_decided, counters.dropped_oldest, counters.dropped()), (1, 1, 2));
    }

    #[test]
    fn the_control_lane_drops_nothing_and_its_overflow_ends_the_session() {
        let mut lanes = small();
        for payload in 0..3 {
            lanes.push(Instant(0), frame(Lane::Control, 10, None, payload)).unwrap();
        }
        let overflow = lanes.push(Instant(0), frame(Lane::Control, 1, None, 9)).unwrap_err();
        assert_eq!(overflow, Overflow { waiting: 30, bytes: 1, limit: 30 });
        assert_eq!(overflow.reason(), EndReason::LaneOverflow);
        assert_eq!(lanes.len(), 3);
        lanes.push(Instant(0), frame(Lane::Bulk, 31, None, 9)).unwrap();
        assert_eq!(lanes.counters(Lane::Bulk).dropped_oversized, 1);
    }

    #[test]
    fn chunks_follow_the_rate() {
        for (rate, bytes) in [(0, 4096), (409_600, 4096), (1_000_000, 10_000), (6_553_600, 65_536), (u64::MAX, 65_536)]
        {
            assert_eq!(chunk_bytes(rate), bytes);
        }
    }

    proptest! {
        #[test]
        fn bounds_hold_and_nothing_is_lost_uncounted(
            steps in proptest::collection::vec((0u8..4, 0usize..40, proptest::option::of(0u64..10), 0u64..10), 1..200),
        ) {
            let mut lanes = small();
            let mut refused = 0u64;
            for (n, (what, bytes, height, decided)) in (0u32..).zip(steps) {
                let lane = match what {
                    0 => Lane::Control,
                    1 => Lane::Consensus,
                    2 => Lane::Bulk,
                    _ => {
                        lanes.on_decided(decided);
                        let _ = lanes.pop();
                        continue;
                    }
                };
                if lanes.push(Instant(u64::from(n)), frame(lane, bytes, height, n)).is_err() {
                    prop_assert_eq!(lane, Lane::Control);
                    refused += 1;
                }
                for lane in [Lane::Control, Lane::Consensus, Lane::Bulk] {
                    prop_assert!(lanes.bytes(lane) <= 30);
                }
            }
            let mut left = [0u64; 3];
            while let Some(f) = lanes.pop() {
                left[f.lane as usize] += 1;
            }
            for lane in [Lane::Control, Lane::Consensus, Lane::Bulk] {
                let c = lanes.counters(lane);
                prop_assert_eq!(c.pushed, c.popped + c.dropped_decided + c.dropped_oldest);
                prop_assert_eq!(lanes.bytes(lane), 0);
            }
            prop_assert!(refused == 0 || lanes.counters(Lane::Control).dropped() == 0);
        }
    }
}
