//! A link as packets see it: a rate, a delay, and the queue ahead of it. Knows no sockets and no clock.

use std::collections::VecDeque;
use std::time::Duration;

/// How long a packet may wait before CoDel looks at how long all have waited (RFC 8289, section 4.4).
const TARGET: Duration = Duration::from_millis(5);
/// For how long they must have waited longer than that (RFC 8289, section 4.3).
const INTERVAL: Duration = Duration::from_millis(100);
/// A queue of no more than this drops nothing: one packet of Ethernet. Unit: bytes.
const PACKET_BYTES_MAX: usize = 1_514;
/// Packets that a queue under CoDel holds at most, as Linux's `fq_codel` with its defaults.
const CODEL_PACKETS_MAX: usize = 10_240;

/// What is done with packets that come faster than the link carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Queueing {
    /// Some are dropped when all have waited for too long (RFC 8289): what `fq_codel` does to a single connection.
    Codel,
    /// All wait, until no more fit: a quarter of a second, as in many routers.
    Fifo,
}

impl Queueing {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Codel => "codel",
            Self::Fifo => "fifo",
        }
    }
}

/// What a link is like, in each direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quality {
    /// Unit: bytes per second.
    pub(super) rate: u64,
    /// From the last bit's leaving to its arrival.
    pub(super) delay: Duration,
    pub(super) queueing: Queueing,
}

impl Quality {
    /// How long so many bytes take.
    pub(super) fn time_of(&self, bytes: usize) -> Duration {
        Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / self.rate.max(1))
    }
}

/// One direction of a link. Times count from any beginning.
#[derive(Debug)]
pub(super) struct LinkDirection {
    quality: Quality,
    /// Bytes of each packet that do not count.
    uncounted: usize,
    waiting: VecDeque<(Duration, Vec<u8>)>,
    waiting_bytes: usize,
    /// When the packet that leaves has left.
    free_at: Duration,
    flying: VecDeque<(Duration, Vec<u8>)>,
    codel: Codel,
    pub(super) carried: u64,
    pub(super) dropped: u64,
}

/// State of CoDel (RFC 8289, section 5).
#[derive(Debug, Default)]
struct Codel {
    /// When dropping may begin, while all have waited for longer than the target.
    first_above: Option<Duration>,
    dropping: bool,
    drop_next: Duration,
    count: u32,
    last_count: u32,
}

impl LinkDirection {
    /// Nothing waits. So many bytes of each packet do not count, since only this link's surroundings add them.
    pub(super) fn new(quality: Quality, uncounted: usize) -> Self {
        Self {
            quality,
            uncounted,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            free_at: Duration::ZERO,
            flying: VecDeque::new(),
            codel: Codel::default(),
            carried: 0,
            dropped: 0,
        }
    }

    /// A packet comes to the queue.
    pub(super) fn on_packet(&mut self, now: Duration, packet: Vec<u8>) {
        let fits = match self.quality.queueing {
            Queueing::Codel => self.waiting.len() < CODEL_PACKETS_MAX,
            Queueing::Fifo => self.quality.time_of(self.waiting_bytes) < Duration::from_millis(250),
        };
        if !fits {
            self.dropped += 1;
            return;
        }
        self.waiting_bytes += packet.len().saturating_sub(self.uncounted);
        self.waiting.push_back((now, packet));
    }

    /// The next packet that has arrived at the other end by now.
    pub(super) fn arrived(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.carry(now);
        let (_, packet) = self.flying.pop_front_if(|(at, _)| *at <= now)?;
        self.carried += 1;
        Some(packet)
    }

    /// When something happens next by itself.
    pub(super) fn next_wake(&self) -> Option<Duration> {
        let arrives = self.flying.front().map(|(at, _)| *at);
        let leaves = self.waiting.front().map(|(since, _)| self.free_at.max(*since));
        arrives.into_iter().chain(leaves).min()
    }

    /// Lets packets leave, each at its own time, however late this is called.
    fn carry(&mut self, now: Duration) {
        while let Some((since, _)) = self.waiting.front() {
            let at = self.free_at.max(*since);
            if at > now {
                return;
            }
            let next = match self.quality.queueing {
                Queueing::Fifo => self.take(),
                Queueing::Codel => self.take_by_codel(at),
            };
            let Some((_, packet)) = next else { return };
            self.free_at = at + self.quality.time_of(packet.len().saturating_sub(self.uncounted));
            self.flying.push_back((self.free_at + self.quality.delay, packet));
        }
    }

    fn take(&mut self) -> Option<(Duration, Vec<u8>)> {
        let (since, packet) = self.waiting.pop_front()?;
        self.waiting_bytes -= packet.len().saturating_sub(self.uncounted);
        Some((since, packet))
    }

    /// The head, and whether it may be dropped: all have waited too long for a whole interval.
    fn take_and_decide(&mut self, now: Duration) -> Option<((Duration, Vec<u8>), bool)> {
        let Some(head) = self.take() else {
            self.codel.first_above = None;
            return None;
        };
        if now.saturating_sub(head.0) < TARGET || self.waiting_bytes <= PACKET_BYTES_MAX {
            self.codel.first_above = None;
            return Some((head, false));
        }
        let first_above = *self.codel.first_above.get_or_insert(now + INTERVAL);
        Some((head, now >= first_above))
    }

    fn take_by_codel(&mut self, now: Duration) -> Option<(Duration, Vec<u8>)> {
        let (mut head, mut may_drop) = self.take_and_decide(now)?;
        if self.codel.dropping {
            self.codel.dropping = may_drop;
            while self.codel.dropping && now >= self.codel.drop_next {
                self.dropped += 1;
                self.codel.count += 1;
                (head, may_drop) = self.take_and_decide(now)?;
                self.codel.dropping = may_drop;
                self.codel.drop_next = control_law(self.codel.drop_next, self.codel.count);
            }
        } else if may_drop {
            self.dropped += 1;
            head = self.take_and_decide(now)?.0;
            self.codel.dropping = true;
            let lately = now.saturating_sub(self.codel.drop_next) < 16 * INTERVAL;
            let more = self.codel.count.saturating_sub(self.codel.last_count);
            self.codel.count = if lately && more > 1 { more } else { 1 };
            self.codel.last_count = self.codel.count;
            self.codel.drop_next = control_law(now, self.codel.count);
        }
        Some(head)
    }
}

/// The more were dropped in a row, the sooner the next one is.
fn control_law(after: Duration, count: u32) -> Duration {
    after + INTERVAL.div_f64(f64::from(count.max(1)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn link(queueing: Queueing) -> LinkDirection {
        // A packet of 1,000 bytes takes 10 ms.
        LinkDirection::new(Quality { rate: 100_000, delay: 5 * MS, queueing }, 0)
    }

    #[test]
    fn packets_leave_one_after_another_and_arrive_after_the_delay() {
        let mut link = link(Queueing::Fifo);
        link.on_packet(MS, vec![1; 1_000]);
        link.on_packet(MS, vec![2; 1_000]);
        assert_eq!(link.next_wake(), Some(MS));
        assert_eq!(link.arrived(10 * MS), None);
        assert_eq!(link.next_wake(), Some(11 * MS), "the second may leave");
        assert_eq!(link.arrived(15 * MS), None);
        assert_eq!(link.next_wake(), Some(16 * MS), "the first arrives");
        assert_eq!(link.arrived(16 * MS).map(|p| p[0]), Some(1));
        assert_eq!(link.arrived(25 * MS), None);
        assert_eq!(link.arrived(26 * MS).map(|p| p[0]), Some(2));
        assert_eq!((link.next_wake(), link.carried, link.dropped), (None, 2, 0));
    }

    #[test]
    fn a_full_queue_drops_what_comes() {
        let mut link = link(Queueing::Fifo);
        (0..40).for_each(|_| link.on_packet(MS, vec![0; 1_000]));
        assert_eq!(link.dropped, 15, "250 ms are 25 packets");
    }

    #[test]
    fn codel_drops_more_and_more_while_all_wait_too_long_and_nothing_otherwise() {
        let drops = |every_ms: u32| {
            let mut link = link(Queueing::Codel);
            for n in 0..1_000 {
                let now = every_ms * n * MS;
                link.on_packet(now, vec![0; 1_000]);
                while link.arrived(now).is_some() {}
            }
            link.dropped
        };
        assert_eq!(drops(10), 0);
        let (some, more) = (drops(9), drops(8));
        assert!(some > 10 && more > some, "{some} {more}");
    }
    #[test]
    fn codel_lets_a_burst_pass_and_a_queue_that_stays_short() {
        let mut burst = link(Queueing::Codel);
        (0..10).for_each(|_| burst.on_packet(MS, vec![0; 1_000]));
        while let Some(now) = burst.next_wake() {
            while burst.arrived(now).is_some() {}
        }
        assert_eq!((burst.carried, burst.dropped), (10, 0), "the last waited for 90 ms, less than an interval");
        // A packet takes 1 ms, and three wait at any time.
        let mut short = LinkDirection::new(Quality { rate: 1_000_000, delay: MS, queueing: Queueing::Codel }, 0);
        (0..3).for_each(|_| short.on_packet(Duration::ZERO, vec![0; 1_000]));
        for n in 0..500 {
            short.on_packet(n * MS, vec![0; 1_000]);
            while short.arrived(n * MS).is_some() {}
        }
        assert_eq!(short.dropped, 0);
    }
}
