//! One pair of nodes for weeks: each connection between them with a heartbeat at both ends, and a checker that knows what really happened.

use super::counts::{EndCause, HeartbeatCounts};
use super::fault_schedule::{NodeFaults, Spans, between};
use rand::rngs::StdRng;
use rand::{Rng, RngExt as _};
use std::collections::VecDeque;
use std::time::Duration;
use timed_peer::backoff::{BACKOFF_MAX, BACKOFF_MAX_VALIDATORS};
use timed_peer::book::STABLE_AFTER;
use timed_peer::heartbeat::{INTERVAL_OTHERS, INTERVAL_VALIDATORS, agree_interval, deadline};
use timed_peer::{Backoff, EndReason, Heartbeat, HeartbeatAction, Pong};
use timed_primitives::Instant;

/// For a connection to be accepted by the other side.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// Of a thousand messages so many are lost once, and come after TCP's retransmission timer.
const LOST_PER_MILLE: u64 = 5;
/// What the timers and the checker may differ by.
const GRAIN: Duration = Duration::from_millis(1);
/// A stall that the heartbeat may take for a pause of its own.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// What a healthy way may take longer than its latency: a retransmission.
const SLOW: Duration = Duration::from_secs(2);

/// What is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Ping(u64),
    Pong(u64),
    /// The other side closed, or its machine does not know the connection.
    Close,
}

#[derive(Clone, Copy, Debug)]
struct Flying {
    at: Instant,
    connection: u64,
    what: What,
}

/// One end of a connection.
struct LinkSession {
    connection: u64,
    since: Instant,
    beat: Heartbeat,
    /// When something last reached the machine, handled or not.
    last_arrival: Instant,
}

struct LinkEnd<'a> {
    faults: &'a NodeFaults,
    session: Option<LinkSession>,
    incoming: VecDeque<Flying>,
}

/// Two nodes; the first dials.
pub(super) struct NodePair<'a> {
    ends: [LinkEnd<'a>; 2],
    cuts: &'a Spans,
    latency: Duration,
    cap: Duration,
    interval: Duration,
    rng: StdRng,
    backoff: Backoff,
    /// When to dial; none while the dialler is connected or absent.
    redial: Option<Instant>,
    connections: u64,
    counts: HeartbeatCounts,
}

/// What comes next, at which end.
#[derive(Clone, Copy, Debug)]
enum LinkEvent {
    Tick(usize),
    Arrival(usize),
    Change(usize),
    Dial,
}

impl<'a> NodePair<'a> {
    pub(super) fn new(fates: [&'a NodeFaults; 2], cuts: &'a Spans, latency: Duration, rng: StdRng) -> Self {
        let wish = |faults: &NodeFaults| if faults.votes { INTERVAL_VALIDATORS } else { INTERVAL_OTHERS };
        let both_vote = fates.iter().all(|faults| faults.votes);
        let [one, other] = fates;
        Self {
            ends: fates.map(|faults| LinkEnd { faults, session: None, incoming: VecDeque::new() }),
            cuts,
            latency,
            cap: if both_vote { BACKOFF_MAX_VALIDATORS } else { BACKOFF_MAX },
            interval: agree_interval(wish(one), wish(other), both_vote),
            rng,
            backoff: Backoff::default(),
            redial: Some(Instant::START),
            connections: 0,
            counts: HeartbeatCounts::default(),
        }
    }

    /// Plays until then.
    pub(super) fn play(mut self, until: Instant) -> HeartbeatCounts {
        let mut now = Instant::START;
        while let Some((at, event)) = self.next(now).filter(|(at, _)| *at < until) {
            now = at;
            match event {
                LinkEvent::Tick(end) => self.tick(now, end),
                LinkEvent::Arrival(end) => self.arrive(now, end),
                LinkEvent::Change(end) => self.change(now, end),
                LinkEvent::Dial => self.dial(now),
            }
        }
        for end in 0..2 {
            self.leave(until, end, EndCause::StillUp);
        }
        self.counts
    }

    /// The next event. What falls together comes in random order, as when a stalled process finds both a timer and data.
    fn next(&mut self, now: Instant) -> Option<(Instant, LinkEvent)> {
        let mut first: Option<(Instant, LinkEvent)> = None;
        let mut offer = |at: Option<Instant>, event: LinkEvent, rng: &mut StdRng| {
            let Some(at) = at else { return };
            let is_first = first.is_none_or(|(best, _)| at < best || (at == best && rng.next_u64() & 1 == 0));
            if is_first {
                first = Some((at, event));
            }
        };
        for (number, end) in self.ends.iter().enumerate() {
            let awake = |at: Instant| end.faults.awake(at.max(now));
            let tick = end.session.as_ref().and_then(|session| session.beat.next_wake());
            offer(tick.map(awake), LinkEvent::Tick(number), &mut self.rng);
            // To an absent process or machine things come as well; they find nobody.
            offer(end.incoming.front().map(|flying| awake(flying.at)), LinkEvent::Arrival(number), &mut self.rng);
            offer(end.faults.next_change(now), LinkEvent::Change(number), &mut self.rng);
        }
        let [dialler, _] = &self.ends;
        offer(self.redial.map(|at| dialler.faults.awake(at.max(now))), LinkEvent::Dial, &mut self.rng);
        first
    }

    fn tick(&mut self, now: Instant, end: usize) {
        let draw = self.rng.next_u64();
        let Some(session) = self.ends[end].session.as_mut() else { return };
        match session.beat.on_tick(now, draw) {
            HeartbeatAction::Wait => {}
            HeartbeatAction::Ping { nonce } => {
                session.beat.on_ping_sent(now, nonce);
                let connection = session.connection;
                self.counts.pings += 1;
                self.send(now, end, connection, What::Ping(nonce));
            }
            HeartbeatAction::End { reason, .. } => {
                let connection = session.connection;
                let cause = self.cause(now, end, reason);
                self.leave(now, end, cause);
                self.send(now, end, connection, What::Close);
            }
        }
    }

    /// Why an end was declared, by what really happened to the peer and to the path since its last sign of life could have been sent.
    fn cause(&self, now: Instant, end: usize, reason: EndReason) -> EndCause {
        let peer = self.ends[1 - end].faults;
        let Some(session) = &self.ends[end].session else { return EndCause::False };
        let limit = deadline(self.interval);
        // What waits to be read has arrived as well.
        let is_of_it = |flying: &&Flying| flying.connection == session.connection && flying.at <= now;
        let unread = self.ends[end].incoming.iter().filter(is_of_it).map(|flying| flying.at).max();
        if reason != EndReason::Silent || session.last_arrival.max(unread.unwrap_or_default()) + limit > now {
            return EndCause::False;
        }
        let from = Instant(now.0.saturating_sub(micros(limit + self.latency * 2 + SLOW)));
        if peer.outages.touches(from, now) || peer.restarts.touches(from, now) {
            EndCause::PeerLost
        } else if self.cuts.touches(from, now) {
            EndCause::PathCut
        } else if peer.stalls.within(from, now).any(|stall| stall.length() > limit / 2) {
            EndCause::PeerFrozen
        } else {
            EndCause::False
        }
    }

    /// Something reached this end's machine, and is handled now.
    fn arrive(&mut self, now: Instant, end: usize) {
        let Some(Flying { at, connection, what }) = self.ends[end].incoming.pop_front() else { return };
        let faults = self.ends[end].faults;
        if faults.outages.at(now).is_some() {
            return;
        }
        let Some(session) = self.ends[end].session.as_mut().filter(|session| session.connection == connection) else {
            if what != What::Close {
                // The system answers for a connection that it does not know.
                self.send(now, end, connection, What::Close);
            }
            return;
        };
        session.last_arrival = at;
        match what {
            What::Ping(nonce) => {
                session.beat.on_life(now);
                self.counts.pongs += 1;
                self.send(now, end, connection, What::Pong(nonce));
            }
            What::Pong(nonce) => {
                session.beat.on_life(now);
                match session.beat.on_pong(now, nonce) {
                    Pong::KeepAlive { .. } => self.counts.matched += 1,
                    Pong::User { .. } | Pong::Unknown => self.counts.unmatched += 1,
                }
            }
            What::Close => self.leave(now, end, EndCause::ClosedByPeer),
        }
    }

    /// This end stops, loses power, or comes back.
    fn change(&mut self, now: Instant, end: usize) {
        let faults = self.ends[end].faults;
        if faults.absence(now).is_none() {
            if end == 0 && self.ends[0].session.is_none() {
                self.backoff = Backoff::default();
                self.redial = Some(now);
            }
            return;
        }
        if let Some(session) = self.ends[end].session.take() {
            self.check_deadline(now, end, &session);
            self.counts.note(EndCause::Stopped);
            if faults.outages.at(now).is_none() {
                self.send(now, end, session.connection, What::Close);
            }
        }
        if end == 0 {
            self.redial = None;
        }
    }

    /// The first end dials. A dial that begins well is connected at once at both ends, after four ways.
    fn dial(&mut self, now: Instant) {
        self.redial = None;
        self.counts.dials += 1;
        let mut done = now + self.latency * 4;
        let [dialler, acceptor] = &self.ends;
        // Both processes have work to do.
        for _ in 0..4 {
            done = acceptor.faults.awake(dialler.faults.awake(done));
        }
        let is_there = |end: &LinkEnd<'_>| end.faults.absence(now).is_none() && end.faults.absence(done).is_none();
        let is_open = !self.cuts.touches(now, done) && done.since(now) < DIAL_TIMEOUT;
        if !is_open || !is_there(dialler) || !is_there(acceptor) {
            let failed = now + if is_open { self.latency * 2 } else { DIAL_TIMEOUT };
            self.redial = Some(failed + self.backoff.fail(self.cap, &mut self.rng));
            return;
        }
        self.counts.reconnects.extend(self.healthy_since(now).map(|since| done.since(since)));
        self.connections += 1;
        // An older session of the acceptor is replaced.
        self.leave(now, 1, EndCause::Replaced);
        for end in &mut self.ends {
            let beat = Heartbeat::new(done, self.interval);
            end.session = Some(LinkSession { connection: self.connections, since: done, beat, last_arrival: done });
        }
        self.counts.sessions += 1;
    }

    /// Since when nothing stood in the way of this connection; `None` for the first one.
    fn healthy_since(&self, now: Instant) -> Option<Instant> {
        (self.connections > 0).then_some(())?;
        let ended = self.counts.last_end;
        let [dialler, acceptor] = &self.ends;
        let spans = [
            &dialler.faults.outages,
            &dialler.faults.restarts,
            &dialler.faults.stalls,
            &acceptor.faults.outages,
            &acceptor.faults.restarts,
            &acceptor.faults.stalls,
            self.cuts,
        ];
        let last = spans.iter().filter_map(|spans| spans.last_within(ended, now)).map(|span| span.to).max();
        Some(last.unwrap_or(ended).max(ended).min(now))
    }

    /// This end's session is over.
    fn leave(&mut self, now: Instant, end: usize, cause: EndCause) {
        let Some(session) = self.ends[end].session.take() else { return };
        self.check_deadline(now, end, &session);
        self.counts.note(cause);
        if end == 0 {
            self.counts.last_end = now;
            if now.since(session.since) >= STABLE_AFTER {
                self.backoff.reset();
            }
            let is_here = self.ends[0].faults.absence(now).is_none();
            self.redial = is_here.then(|| now + self.backoff.fail(self.cap, &mut self.rng));
        }
    }

    /// Was a session with a silent peer kept longer than its deadline allows?
    fn check_deadline(&mut self, now: Instant, end: usize, session: &LinkSession) {
        self.counts.node_time += now.since(session.since);
        let faults = self.ends[end].faults;
        let limit = deadline(self.interval);
        // What reaches a process that stands still is handled after it.
        let mut base = faults.awake(session.last_arrival);
        for stall in faults.stalls.within(base, now).filter(|stall| stall.length() >= PAUSE_MIN) {
            if stall.from <= base + limit {
                base = base.max(stall.to);
            }
        }
        let latest = faults.awake(base + limit) + GRAIN;
        if now > latest {
            self.counts.kept_dead += 1;
        }
    }

    /// Sends; what a cut stops arrives after it, when TCP tries again (RFC 6298, 5.5: the timer doubles).
    fn send(&mut self, now: Instant, from: usize, connection: u64, what: What) {
        let mut at = now + between(&mut self.rng, self.latency * 9 / 10, self.latency * 11 / 10);
        if self.rng.random_range(0..1_000) < LOST_PER_MILLE {
            at += between(&mut self.rng, Duration::from_millis(200), Duration::from_millis(1_600));
        }
        if let Some(cut) = self.cuts.first_after(now).filter(|cut| cut.from <= at) {
            let longest = cut.length().min(Duration::from_secs(120));
            at = cut.to + self.latency + between(&mut self.rng, Duration::ZERO, longest);
        }
        let incoming = &mut self.ends[1 - from].incoming;
        // One stream: nothing overtakes what was sent before over the same connection.
        if let Some(before) = incoming.iter().rev().find(|flying| flying.connection == connection) {
            at = at.max(before.at);
        }
        let place = incoming.partition_point(|flying| flying.at <= at);
        incoming.insert(place, Flying { at, connection, what });
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
