//! How much of the cheap things a peer may ask of us. Exceeding a limit is never a fault: the surplus is ignored and counted.

use timed_primitives::Instant;

/// One token. Unit: millionths of a token, so that small rates lose nothing to rounding.
const TOKEN: u64 = 1_000_000;

/// A token bucket: `burst` at once, `per_second` on average. Starts full.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    per_second: u32,
    burst: u32,
    /// Unit: [`TOKEN`].
    level: u64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(now: Instant, per_second: u32, burst: u32) -> Self {
        Self { per_second, burst, level: u64::from(burst).saturating_mul(TOKEN), filled_at: now }
    }

    /// Whether it is as full as it gets.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= u64::from(self.burst).saturating_mul(TOKEN)
    }

    fn fill(&mut self, now: Instant) {
        let elapsed_us = u64::try_from(now.since(self.filled_at).as_micros()).unwrap_or(u64::MAX);
        // One token per second is one millionth of a token per microsecond.
        let gained = elapsed_us.saturating_mul(u64::from(self.per_second));
        self.level = self.level.saturating_add(gained).min(u64::from(self.burst).saturating_mul(TOKEN));
        self.filled_at = self.filled_at.max(now);
    }

    /// When `tokens` will be there, if none are taken before: `now` when they are.
    pub fn ready_at(&mut self, now: Instant, tokens: u32) -> Instant {
        self.fill(now);
        let missing = u64::from(tokens).saturating_mul(TOKEN).saturating_sub(self.level);
        let micros = missing.div_ceil(u64::from(self.per_second.max(1)));
        now + core::time::Duration::from_micros(micros)
    }

    /// Takes `tokens` if that many are there; takes none otherwise.
    pub fn take(&mut self, now: Instant, tokens: u32) -> bool {
        self.fill(now);
        match self.level.checked_sub(u64::from(tokens).saturating_mul(TOKEN)) {
            Some(left) => {
                self.level = left;
                true
            }
            None => false,
        }
    }
}

/// What was ignored because a peer exceeded a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateCounters {
    /// Frames of unknown kinds, within the limit or not.
    pub unknown_kinds: u64,
    /// Pings that got no pong.
    pub pings_ignored: u64,
    /// Requests for addresses that got no answer.
    pub get_addr_ignored: u64,
    /// Address records beyond the limit.
    pub records_ignored: u64,
}

/// What to do with something that is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum RateVerdict {
    /// Handle it.
    Handle,
    /// Ignore it; it is counted.
    Ignore,
}

/// Limits of one session's inbound side.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    unknown_kinds: TokenBucket,
    pings: TokenBucket,
    records: TokenBucket,
    was_asked_for_addresses: bool,
    counters: RateCounters,
}

impl RateLimit {
    /// Limits of a session that begins now.
    pub fn new(now: Instant) -> Self {
        Self {
            // A newer version may send kinds we do not know, at the pace of votes and announcements; each is worth one log line.
            unknown_kinds: TokenBucket::new(now, 1, 20),
            // Heartbeat at its shortest interval plus users' pings. Pongs fill the control lane, hence a limit.
            pings: TokenBucket::new(now, 10, 30),
            // One full answer at once, then what relays bring (Bitcoin Core allows 0.1 per second).
            records: TokenBucket::new(now, 1, 100),
            was_asked_for_addresses: false,
            counters: RateCounters::default(),
        }
    }

    /// A frame of an unknown kind came and is skipped; `Handle` when it deserves a log line.
    pub fn on_unknown_kind(&mut self, now: Instant) -> RateVerdict {
        count(&mut self.counters.unknown_kinds);
        if self.unknown_kinds.take(now, 1) { RateVerdict::Handle } else { RateVerdict::Ignore }
    }

    /// A ping came; `Handle` means: answer it.
    pub fn on_ping(&mut self, now: Instant) -> RateVerdict {
        if self.pings.take(now, 1) {
            return RateVerdict::Handle;
        }
        count(&mut self.counters.pings_ignored);
        RateVerdict::Ignore
    }

    /// A request for addresses came: answered once in a session.
    pub fn on_get_addr(&mut self) -> RateVerdict {
        if !std::mem::replace(&mut self.was_asked_for_addresses, true) {
            return RateVerdict::Handle;
        }
        count(&mut self.counters.get_addr_ignored);
        RateVerdict::Ignore
    }

    /// An address record came; `Handle` means: check its signature and take it in.
    pub fn on_record(&mut self, now: Instant) -> RateVerdict {
        if self.records.take(now, 1) {
            return RateVerdict::Handle;
        }
        count(&mut self.counters.records_ignored);
        RateVerdict::Ignore
    }

    /// What was ignored.
    pub const fn counters(&self) -> RateCounters {
        self.counters
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_session_gets_one_answer_with_addresses_and_no_flood_of_pongs() {
        let mut rate = RateLimit::new(Instant(0));
        assert_eq!(rate.on_get_addr(), RateVerdict::Handle);
        assert_eq!(rate.on_get_addr(), RateVerdict::Ignore);
        let answered = (0..100).filter(|_| rate.on_ping(Instant(0)) == RateVerdict::Handle).count();
        assert_eq!((answered, rate.counters().pings_ignored), (30, 70));
        assert_eq!(rate.on_ping(Instant(99_999)), RateVerdict::Ignore);
        assert_eq!(rate.on_ping(Instant(100_000)), RateVerdict::Handle);
        let logged = (0..100).filter(|_| rate.on_unknown_kind(Instant(0)) == RateVerdict::Handle).count();
        assert_eq!((logged, rate.counters().unknown_kinds), (20, 100));
        let taken = (0..250).filter(|_| rate.on_record(Instant(0)) == RateVerdict::Handle).count();
        assert_eq!((taken, rate.counters().records_ignored, rate.counters().get_addr_ignored), (100, 150, 1));
    }

    #[test]
    fn ordinary_heartbeats_are_never_limited() {
        let mut rate = RateLimit::new(Instant(0));
        for n in 0..100_000u64 {
            assert_eq!(rate.on_ping(Instant(n * 500_000)), RateVerdict::Handle);
        }
    }

    proptest! {
        #[test]
        fn never_more_than_burst_plus_rate(
            per_second in 0u32..50, burst in 0u32..50, gaps in proptest::collection::vec(0u64..2_000_000, 1..100),
        ) {
            let (mut bucket, mut now, mut taken) = (TokenBucket::new(Instant(0), per_second, burst), 0u64, 0u64);
            for gap in gaps {
                now += gap;
                taken += u64::from(bucket.take(Instant(now), 1));
                prop_assert!(taken * TOKEN <= u64::from(burst) * TOKEN + now * u64::from(per_second));
            }
        }
    }
}
