//! Is the peer alive? A state machine over life bytes, pings and pongs.
//!
//! The peer lives while complete frames or announced chunks arrive, whatever they are; pings exist so that a quiet peer has
//! something to say, and to measure round trips. It is given up when
//!
//! | rule | after | reason |
//! |---|---|---|
//! | no life byte | [`deadline`]: 3 × interval, at least 2 × interval + 5 s | [`EndReason::Silent`] |
//! | life, but no keep-alive ping answered | 4 × deadline since the first unanswered one left | [`EndReason::PongsMissing`] |
//!
//! Three guards against dropping a live peer: a ping counts only from the moment it left ([`Heartbeat::on_ping_sent`]); a pause of
//! our own (suspend, stall, clock jump) restarts both rules, at most three times without life between; at most one keep-alive ping waits in our queue, so nothing bursts.
//!
//! ```text
//!             on_tick, due              on_ping_sent            on_pong
//!   quiet ──────────────────► queued ────────────────► sent ───────────► answered (rtt)
//!     │ no life for the deadline                         │ unanswered for 4 × deadline
//!     └────────────────► ended ◄─────────────────────────┘
//! ```

use crate::end_reason::EndReason;
use crate::rtt::Rtt;
use std::collections::VecDeque;
use std::time::Duration;
use timed_primitives::Instant;

/// Interval a validator wishes for. Two validators ping each other this often.
pub const INTERVAL_VALIDATORS: Duration = Duration::from_secs(5);

/// Interval everybody else wishes for.
pub const INTERVAL_OTHERS: Duration = Duration::from_secs(15);

/// The interval a node wishes for.
pub const fn wished_interval(is_validator: bool) -> Duration {
    if is_validator { INTERVAL_VALIDATORS } else { INTERVAL_OTHERS }
}

/// Shortest interval a peer may wish for; less would be a flood.
pub const INTERVAL_MIN: Duration = Duration::from_millis(500);

/// Longest interval a peer may wish for; more would hide a dead link for minutes.
pub const INTERVAL_MAX: Duration = Duration::from_secs(60);

/// Outstanding keep-alive pings remembered: more than are ever sent before the pongs-missing rule ends the session. The oldest
/// is forgotten at the bound; its pong is then unknown, which is harmless.
const KEEP_ALIVE_MAX: usize = 32;

/// Pings of users waiting for an answer. At the bound the next is refused.
const USER_PINGS_MAX: usize = 16;

/// A call this much later than asked, or half an interval if that is longer, is a pause of our own.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Pauses that restart the deadline although not one life byte came between them. Without this bound a node that is always late would
/// keep dead peers for ever; a live one needs a single frame between two pauses.
const PAUSES_WITHOUT_LIFE_MAX: u32 = 3;

/// Deadlines without any answered ping.
const PONGS_MISSING_DEADLINES: u32 = 4;

/// The interval both ends use: the smaller wish between two validators, else the larger; within [`INTERVAL_MIN`] and
/// [`INTERVAL_MAX`]. Both ends know the same three facts, so both get the same value.
pub fn agree_interval(one: Duration, other: Duration, are_both_validators: bool) -> Duration {
    let agreed = if are_both_validators { one.min(other) } else { one.max(other) };
    agreed.clamp(INTERVAL_MIN, INTERVAL_MAX)
}

/// How long a peer may send nothing: 3 × interval, at least 2 × interval + 5 s, so that one lost ping is never fatal.
pub fn deadline(interval: Duration) -> Duration {
    interval.saturating_mul(3).max(interval.saturating_mul(2).saturating_add(Duration::from_secs(5)))
}

/// What the caller must do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum HeartbeatAction {
    /// Nothing; call again at [`Heartbeat::next_wake`].
    Wait,
    /// Queue a ping with this nonce, and call [`Heartbeat::on_ping_sent`] when it really left.
    Ping {
        /// To be repeated by the pong.
        nonce: u64,
    },
    /// End the session. Given at most once.
    End {
        /// [`EndReason::Silent`] or [`EndReason::PongsMissing`].
        reason: EndReason,
        /// How long nothing came, or no ping was answered.
        silent: Duration,
    },
}

/// What a pong was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pong {
    /// Answers a keep-alive ping.
    KeepAlive {
        /// Since the ping left (since it was queued, if the pong overtook the news that it left).
        rtt: Duration,
    },
    /// Answers a ping a user asked for.
    User {
        /// Since the ping left.
        rtt: Duration,
    },
    /// Answers no ping we remember: repeated, very late, or invented. Harmless.
    Unknown,
}

/// A user's ping was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserPingError {
    /// Too many are under way.
    #[error("{waiting} pings to this peer are under way: wait for their answers")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// The session is over.
    #[error("the session with this peer has ended")]
    Ended,
}

/// A ping whose pong we would recognise.
#[derive(Clone, Copy, Debug)]
struct Outstanding {
    nonce: u64,
    queued_at: Instant,
    sent_at: Option<Instant>,
    /// From when its answer is missed: when it left, or when the last pause of ours since then ended.
    missed_from: Option<Instant>,
    /// Whether its round trip measures the link, and not a pause of our own.
    is_sample: bool,
}

impl Outstanding {
    const fn queued(now: Instant, nonce: u64) -> Self {
        Self { nonce, queued_at: now, sent_at: None, missed_from: None, is_sample: true }
    }
}

/// Heartbeat of one session.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    interval: Duration,
    deadline: Duration,
    /// Latest time that was given; time that goes back counts as a pause.
    latest: Instant,
    last_life: Instant,
    longest_silence: Duration,
    next_ping: Instant,
    keep_alive: VecDeque<Outstanding>,
    user: VecDeque<Outstanding>,
    /// When the first keep-alive ping left that no later pong has made up for.
    unanswered_since: Option<Instant>,
    rtt: Rtt,
    pauses: u32,
    pauses_without_life: u32,
    has_ended: bool,
}

impl Heartbeat {
    /// A session that is up from `now`; the first ping is due at once.
    pub fn new(now: Instant, interval: Duration) -> Self {
        let interval = interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
        Self {
            interval,
            deadline: deadline(interval),
            latest: now,
            last_life: now,
            longest_silence: Duration::ZERO,
            next_ping: now,
            keep_alive: VecDeque::new(),
            user: VecDeque::new(),
            unanswered_since: None,
            rtt: Rtt::default(),
            pauses: 0,
            pauses_without_life: 0,
            has_ended: false,
        }
    }

    /// A frame or an announced chunk was completed. Call it for each, whatever its kind, before handling it.
    pub fn on_life(&mut self, now: Instant) {
        self.observe(now);
        self.longest_silence = self.longest_silence.max(now.since(self.last_life));
        self.last_life = now;
        self.pauses_without_life = 0;
    }

    /// The timer of [`Heartbeat::next_wake`] fired. `draw` is a fresh random number: the nonce, and the jitter of the next ping.
    pub fn on_tick(&mut self, now: Instant, draw: u64) -> HeartbeatAction {
        self.observe(now);
        if self.has_ended {
            return HeartbeatAction::Wait;
        }
        if now >= self.last_life + self.deadline {
            return self.end(EndReason::Silent, now.since(self.last_life));
        }
        if let Some(since) = self.unanswered_since
            && now >= since + self.deadline.saturating_mul(PONGS_MISSING_DEADLINES)
        {
            return self.end(EndReason::PongsMissing, now.since(since));
        }
        if now < self.next_ping {
            return HeartbeatAction::Wait;
        }
        self.next_ping = now + self.jittered(draw);
        if self.keep_alive.iter().any(|p| p.sent_at.is_none()) {
            // The last one still waits in our own queue: another would only make the queue longer.
            return HeartbeatAction::Wait;
        }
        let nonce = self.free_nonce(draw);
        if self.keep_alive.len() == KEEP_ALIVE_MAX {
            self.keep_alive.pop_front();
        }
        self.keep_alive.push_back(Outstanding::queued(now, nonce));
        HeartbeatAction::Ping { nonce }
    }

    /// The ping with this nonce left our queue for the kernel: its round trip begins.
    pub fn on_ping_sent(&mut self, now: Instant, nonce: u64) {
        self.observe(now);
        if let Some(ping) = self.keep_alive.iter_mut().find(|p| p.nonce == nonce && p.sent_at.is_none()) {
            (ping.sent_at, ping.missed_from) = (Some(now), Some(now));
            self.unanswered_since.get_or_insert(now);
        } else if let Some(ping) = self.user.iter_mut().find(|p| p.nonce == nonce && p.sent_at.is_none()) {
            ping.sent_at = Some(now);
        }
    }

    /// A pong came in ([`Heartbeat::on_life`] was called for its frame already).
    pub fn on_pong(&mut self, now: Instant, nonce: u64) -> Pong {
        self.observe(now);
        if let Some((at, ping)) = take(&mut self.keep_alive, nonce) {
            // What was sent before the answered ping is made up for; what was sent after it still wants its answer.
            self.unanswered_since = self.keep_alive.iter().skip(at).find_map(|p| p.missed_from);
            return Pong::KeepAlive { rtt: self.measure(now, ping) };
        }
        match take(&mut self.user, nonce) {
            Some((_, ping)) => Pong::User { rtt: self.measure(now, ping) },
            None => Pong::Unknown,
        }
    }

    /// A user asks for a round trip: gives the nonce to queue a ping with. It has a slot of its own and changes neither when the
    /// next keep-alive ping is due nor any deadline. `draw` is a fresh random number.
    ///
    /// # Errors
    /// [`UserPingError::Busy`] with 16 under way, [`UserPingError::Ended`] after the end.
    pub fn user_ping(&mut self, now: Instant, draw: u64) -> Result<u64, UserPingError> {
        self.observe(now);
        if self.has_ended {
            return Err(UserPingError::Ended);
        }
        // One that was never answered must not block its slot for ever.
        let patience = self.deadline;
        self.user.retain(|p| now.since(p.sent_at.unwrap_or(p.queued_at)) < patience);
        if self.user.len() >= USER_PINGS_MAX {
            return Err(UserPingError::Busy { waiting: self.user.len() });
        }
        let nonce = self.free_nonce(draw);
        self.user.push_back(Outstanding::queued(now, nonce));
        Ok(nonce)
    }

    /// When to call [`Heartbeat::on_tick`]; `None` after the end.
    pub fn next_wake(&self) -> Option<Instant> {
        if self.has_ended {
            return None;
        }
        let silent = self.last_life + self.deadline;
        let missing = self.unanswered_since.map(|s| s + self.deadline.saturating_mul(PONGS_MISSING_DEADLINES));
        Some(missing.map_or(silent, |m| m.min(silent)).min(self.next_ping))
    }

    /// The agreed time between pings, before jitter.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How long the peer may be silent.
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Time left until the peer is given up for silence.
    pub fn margin(&self, now: Instant) -> Duration {
        (self.last_life + self.deadline).since(now)
    }

    /// When the last life byte came (or the last pause of ours ended).
    pub const fn last_life(&self) -> Instant {
        self.last_life
    }

    /// The longest time without a life byte that the session survived, pauses of ours not counted: how near the peer came to being given up.
    pub const fn longest_silence(&self) -> Duration {
        self.longest_silence
    }

    /// When the oldest keep-alive ping left that no later pong has made up for.
    pub const fn unanswered_since(&self) -> Option<Instant> {
        self.unanswered_since
    }

    /// Whether an answer takes longer than usual: for display, it ends nothing.
    pub fn is_late(&self, now: Instant) -> bool {
        self.unanswered_since.is_some_and(|since| now.since(since) > self.rtt.late_after())
    }

    /// Round-trip times.
    pub const fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// How often our own process or machine paused during the session.
    pub const fn pauses(&self) -> u32 {
        self.pauses
    }

    /// Pings that left or wait and have no pong yet, of both sorts. Bound: 48.
    pub fn outstanding(&self) -> usize {
        self.keep_alive.len().saturating_add(self.user.len())
    }

    /// Notes the time. If we were called much later than asked, or time went back, then we were away and not the peer: what
    /// it sent may still wait to be read.
    fn observe(&mut self, now: Instant) {
        let patience = (self.interval / 2).max(PAUSE_MIN);
        let is_pause = self.next_wake().is_some_and(|asked| now > asked + patience) || now < self.latest;
        self.latest = now;
        if !is_pause {
            return;
        }
        self.pauses = self.pauses.saturating_add(1);
        self.pauses_without_life = self.pauses_without_life.saturating_add(1);
        self.next_ping = now;
        if self.pauses_without_life > PAUSES_WITHOUT_LIFE_MAX && now >= self.last_life {
            return;
        }
        self.last_life = now;
        self.unanswered_since = self.unanswered_since.map(|_| now);
        for ping in self.keep_alive.iter_mut().chain(&mut self.user) {
            ping.is_sample = false;
            ping.missed_from = ping.missed_from.map(|_| now);
        }
    }

    fn end(&mut self, reason: EndReason, silent: Duration) -> HeartbeatAction {
        self.has_ended = true;
        HeartbeatAction::End { reason, silent }
    }

    fn measure(&mut self, now: Instant, ping: Outstanding) -> Duration {
        let rtt = now.since(ping.sent_at.unwrap_or(ping.queued_at));
        if ping.is_sample && ping.sent_at.is_some() {
            self.rtt.add(rtt);
        }
        rtt
    }

    /// The interval ± 10 %, chosen by the number.
    fn jittered(&self, draw: u64) -> Duration {
        // Mixed, so that the time of the next ping says nothing useful about the nonce (multiplier of splitmix64).
        let mixed = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let interval_us = u64::try_from(self.interval.as_micros()).unwrap_or(u64::MAX);
        let span = interval_us / 5;
        Duration::from_micros(interval_us - span / 2 + mixed % span.saturating_add(1))
    }

    fn free_nonce(&self, draw: u64) -> u64 {
        let mut nonce = draw;
        while self.keep_alive.iter().chain(&self.user).any(|p| p.nonce == nonce) {
            nonce = nonce.wrapping_add(1);
        }
        nonce
    }
}

/// Takes out the ping with this nonce, with the position it had.
fn take(pings: &mut VecDeque<Outstanding>, nonce: u64) -> Option<(usize, Outstanding)> {
    let at = pings.iter().position(|p| p.nonce == nonce)?;
    pings.remove(at).map(|ping| (at, ping))
}

#[cfg(test)]
mod tests;
