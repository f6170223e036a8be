//! How fast a link is, seen from what it carries: decides how large chunks are, and how much bulk may be under way at once.
//!
//! What the kernel takes at once says nothing: it goes into a buffer. What counts is what the other end's system has acknowledged, or, where nobody
//! says, what could be written while the buffer was full. A writer that had to wait for work knows only that the link carries at least as much.

use crate::lanes::chunk_bytes;
use std::collections::VecDeque;
use std::time::Duration;
use timed_primitives::Instant;

/// Shortest time that is measured: acknowledgements come in lumps.
const WINDOW: Duration = Duration::from_millis(40);
/// The best window of so long counts, so that a short stall is not taken for a slow link. Bounds the windows kept to 13.
const REMEMBERED: Duration = Duration::from_millis(500);
/// What a link counts as until it was seen: half of what the smallest chunks are made for, since much more would hold up the first votes on a slow
/// one. Unit: bytes per second.
const RATE_AT_FIRST: u64 = 50 * 4 * 1024;
/// Most that a rate grows from one window to the next, so that one burst into an empty buffer makes no large chunks.
const GROWTH_MAX: u64 = 2;
/// How long what is under way waits on the path at least, while bulk waits for room: enough that a link is busy between two looks, and less than the 5 ms
/// after which queues that keep themselves short drop packets (CoDel, RFC 8289), which costs a vote a round trip. The next chunk comes on top.
const QUEUE: Duration = Duration::from_millis(3);

/// Rate of one connection's sending side.
#[derive(Clone, Debug)]
pub struct LinkRate {
    /// Unit: bytes per second.
    rate: u64,
    /// Ends and rates of windows in which there was always work.
    windows: VecDeque<(Instant, u64)>,
    since: Option<Instant>,
    bytes: u64,
    waited_for_work: bool,
}

impl Default for LinkRate {
    fn default() -> Self {
        Self { rate: RATE_AT_FIRST, windows: VecDeque::new(), since: None, bytes: 0, waited_for_work: false }
    }
}

impl LinkRate {
    /// The writer had nothing to write for a while.
    pub const fn on_idle(&mut self) {
        self.waited_for_work = true;
    }

    /// The link has carried so many more bytes by now; the first of them were begun at `started`.
    pub fn on_carried(&mut self, started: Instant, now: Instant, bytes: usize) {
        let since = *self.since.get_or_insert(started);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let elapsed = now.since(since);
        if elapsed < WINDOW {
            return;
        }
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
        let seen = self.bytes.saturating_mul(1_000_000) / micros;
        let grown = seen.min(self.rate.saturating_mul(GROWTH_MAX)).max(1);
        self.windows.retain(|(end, _)| now.since(*end) < REMEMBERED);
        if self.waited_for_work {
            self.rate = self.rate.max(grown);
        } else {
            self.windows.push_back((now, grown));
            self.rate = self.windows.iter().map(|(_, rate)| *rate).max().unwrap_or(grown);
        }
        (self.since, self.bytes, self.waited_for_work) = (Some(now), 0, false);
    }

    /// What the link carries. Unit: bytes per second.
    pub const fn bytes_per_second(&self) -> u64 {
        self.rate
    }

    /// Bulk may join what is under way while that is less: what the path itself holds, and 3 ms of waiting. Always more than one chunk, since the
    /// other end may be slow to acknowledge a single one. Unit: bytes.
    pub fn in_flight_max(&self, round_trip: Duration) -> usize {
        let micros = u64::try_from(round_trip.saturating_add(QUEUE).as_micros()).unwrap_or(u64::MAX);
        let held = usize::try_from(self.rate.saturating_mul(micros) / 1_000_000).unwrap_or(usize::MAX);
        let chunk = self.chunk_bytes();
        held.max(chunk.saturating_add(chunk / 4))
    }

    /// How long until so many bytes have left.
    pub fn time_of(&self, bytes: usize) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Duration::from_micros(bytes.saturating_mul(1_000_000) / self.rate.max(1))
    }

    /// Size of chunks for this rate. Unit: bytes.
    pub fn chunk_bytes(&self) -> usize {
        chunk_bytes(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN};

    /// A writer with work without end on a link behind a buffer that takes `burst` bytes at once; chunks after so many batches.
    fn busy(rate: &mut LinkRate, link: u64, burst: u64, start: u64, batches: u32) -> Vec<usize> {
        let (mut now, mut buffered) = (start, 0);
        let mut chunks = Vec::new();
        for n in 0..batches {
            let (started, bytes) = (now, rate.chunk_bytes());
            buffered += bytes as u64;
            let wait = buffered.saturating_sub(burst) * 1_000_000 / link;
            now += wait + 10;
            buffered = buffered.saturating_sub((wait + 10) * link / 1_000_000);
            if n == 0 {
                rate.on_idle();
            }
            rate.on_carried(Instant(started), Instant(now), bytes);
            chunks.push(rate.chunk_bytes());
        }
        chunks
    }

    #[test]
    fn chunks_of_a_slow_link_stay_small_whatever_the_kernel_takes_at_once() {
        let mut rate = LinkRate::default();
        for second in 0..20 {
            let chunks = busy(&mut rate, 125_000, 30_000, second * 1_000_000, 50);
            assert!(chunks.iter().all(|chunk| *chunk <= 2 * CHUNK_BYTES_MIN), "{chunks:?}");
            assert_eq!(chunks.last(), Some(&CHUNK_BYTES_MIN));
        }
        assert!(rate.bytes_per_second().abs_diff(125_000) < 20_000, "{rate:?}");
    }

    #[test]
    fn chunks_follow_the_link() {
        let mut rate = LinkRate::default();
        assert_eq!(rate.chunk_bytes(), CHUNK_BYTES_MIN);
        let chunks = busy(&mut rate, 1_250_000, 20_000, 0, 100);
        assert!(chunks.last().is_some_and(|chunk| chunk.abs_diff(12_500) < 2_000), "{chunks:?}");
        busy(&mut rate, 1_000_000_000, 100_000, 10_000_000, 10_000);
        assert_eq!(rate.chunk_bytes(), CHUNK_BYTES_MAX);
        let chunks = busy(&mut rate, 125_000, 20_000, 60_000_000, 4);
        assert_eq!(chunks.last(), Some(&CHUNK_BYTES_MIN), "few large chunks on what has become slow");
    }

    #[test]
    fn a_short_stall_is_no_slow_link_and_a_longer_one_is() {
        let mut rate = LinkRate::default();
        busy(&mut rate, 1_250_000, 0, 0, 100);
        let end = 100 * 12_500 * 4 / 5;
        rate.on_carried(Instant(end), Instant(end + 200_000), 1_000);
        assert!(rate.bytes_per_second() > 1_000_000, "{rate:?}");
        for n in 1..=10 {
            rate.on_carried(Instant(end), Instant(end + 200_000 + n * 100_000), 1_000);
        }
        assert!(rate.bytes_per_second() < 20_000, "{rate:?}");
    }

    #[test]
    fn what_may_be_under_way_is_what_the_path_holds_and_little_more() {
        let mut rate = LinkRate::default();
        assert_eq!(rate.in_flight_max(Duration::ZERO), 5 * 1024, "more than a chunk");
        busy(&mut rate, 1_250_000, 20_000, 0, 100);
        let held = rate.in_flight_max(Duration::from_millis(20));
        assert!(held.abs_diff(28_750) < 6_000, "{held}");
        let takes = rate.time_of(held);
        assert!(takes.abs_diff(Duration::from_millis(20 + 3)) < Duration::from_micros(100), "{takes:?}");
        assert!(rate.time_of(12_500).abs_diff(Duration::from_millis(10)) < Duration::from_millis(2));
    }

    #[test]
    fn a_writer_that_waits_for_work_learns_only_what_the_link_carries_at_least() {
        let mut rate = LinkRate::default();
        busy(&mut rate, 1_000_000_000, 100_000, 0, 60_000);
        for n in 0..100 {
            let at = 60_000_000 + n * 100_000;
            rate.on_idle();
            rate.on_carried(Instant(at), Instant(at + 20), 200);
        }
        assert_eq!(rate.chunk_bytes(), CHUNK_BYTES_MAX, "few votes are no slow link");
        let mut rate = LinkRate::default();
        for n in 0..1_000 {
            rate.on_idle();
            rate.on_carried(Instant(n * 1_000), Instant(n * 1_000 + 20), 200);
        }
        assert_eq!(rate.chunk_bytes(), CHUNK_BYTES_MIN, "nor a fast one, however fast the kernel takes each");
    }
}
