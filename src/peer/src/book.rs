//! Who is connected, which of two sessions stays, whom to dial and when.
//!
//! Sessions are keyed by node key, never by address, and carry a generation, so that the news of an old session's end never touches
//! the newer one. Both ends decide alike about two sessions with the same peer:
//!
//! | the two sessions | stays | the other ends with |
//! |---|---|---|
//! | the older one is younger than 10 s, same instance, dialled from different ends | the one dialled by the smaller key | `Duplicate` |
//! | anything else, or a new instance id (the peer restarted) | the newer one | `Replaced` |
//!
//! Nobody waits for the other side to dial, so a peer that cannot be reached, or does not know its own address, still ends up with one
//! connection. Call [`PeerBook::refill`] and [`PeerBook::wants_dial`] after each event and at [`PeerBook::next_wake`].

mod dial;
mod discovery;
mod eviction;
mod feelers;
mod pace;
mod targets;

use crate::Direction;
use crate::end_reason::{EndReason, SessionEnd};
use core::net::IpAddr;
pub use dial::{Dial, STABLE_AFTER};
use feelers::Feelers;
use pace::Pace;
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
pub use targets::TargetView;
use targets::{DialBudget, Targets};
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Instant, PublicKey};
use uuid::Uuid;

/// Sessions younger than this may be two halves of one simultaneous connect.
pub const SIMULTANEOUS_CONNECT_WINDOW: Duration = Duration::from_secs(10);

/// Keys whose instance ids are remembered, to distinguish twins from restarts. At the bound one that is not connected gives way.
const INSTANCE_KEYS_MAX: usize = 4096;

/// Instance ids remembered of one key, the newest last.
const INSTANCES_PER_KEY: usize = 4;

/// Keys that may be held back from dialling at once, as many as can be banned. At the bound the one that ends first gives way.
const HELD_MAX: usize = crate::misbehaviour::KEYS_MAX;

/// What the book needs to know of this node.
#[derive(Clone, Copy, Debug)]
pub struct BookConfig {
    /// Our node key.
    pub key: PublicKey,
    /// Whether we vote: then other validators are dialled with the shorter back-off.
    pub votes: bool,
    /// Most inbound sessions. At the bound validators and configured peers take the place of others, and newcomers that of large crowds. It
    /// is passed only when a validator or configured peer whom we dialled dials us, and every place is of one who is never evicted.
    pub inbound_max: usize,
    /// Most outbound sessions with peers nobody configured. Configured ones come on top.
    pub outbound_max: usize,
    /// Most dials under way at once.
    pub dials_max: usize,
}

impl BookConfig {
    /// Limits that suit a masternode: 125 inbound, 16 outbound to discovered peers, 8 dials at once.
    pub const fn new(key: PublicKey, votes: bool) -> Self {
        Self { key, votes, inbound_max: 125, outbound_max: 16, dials_max: 8 }
    }
}

/// A session that completed its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedHandshake {
    /// The peer's node key.
    pub key: PublicKey,
    /// Who dialled.
    pub direction: Direction,
    /// The peer's instance id.
    pub instance: Uuid,
    /// Whether it proved a consensus key that decides.
    pub is_validator: bool,
    /// The [`Dial::address`] this session came from, for outbound ones.
    pub dialled: Option<String>,
    /// Where it says it can be dialled ([`crate::HandshakeInfo::address`]).
    pub address: Option<String>,
    /// Where it comes from, as seen: its subnet is its group when places are few.
    pub observed: Option<IpAddr>,
}

/// Two live nodes use the same node key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twin {
    /// The shared key.
    pub key: PublicKey,
    /// The instance that came back.
    pub returned: Uuid,
    /// The instance that had been seen since.
    pub other: Uuid,
}

/// What to do with a session that came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum SessionDecision {
    /// Keep it.
    Keep {
        /// Its generation; name it in [`PeerBook::on_down`].
        generation: u64,
        /// Two live nodes with this key, if so: report it to the operator.
        twin: Option<Twin>,
    },
    /// Keep it, and close the older session with the same peer.
    Replace {
        /// The new session's generation.
        generation: u64,
        /// The session to close.
        older: u64,
        /// What to close it with: [`EndReason::Duplicate`] or [`EndReason::Replaced`].
        reason: EndReason,
        /// Whose session to close with [`EndReason::Evicted`] besides: what was an outbound session takes an inbound place.
        victim: Option<PublicKey>,
        /// Two live nodes with this key, if so: report it to the operator.
        twin: Option<Twin>,
    },
    /// Keep it, and close another peer's session with [`EndReason::Evicted`] to make room.
    Evict {
        /// The new session's generation.
        generation: u64,
        /// Whose session to close.
        victim: PublicKey,
        /// That session's generation.
        victim_generation: u64,
        /// Two live nodes with this key, if so: report it to the operator.
        twin: Option<Twin>,
    },
    /// Close it; it has no generation and no [`PeerBook::on_down`].
    Refuse {
        /// What to close it with.
        reason: EndReason,
    },
}

/// What the end of a session meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The peer is no longer connected.
    Down {
        /// How long the session lived.
        lived: Duration,
        /// When it will be dialled again; `None` when we know no address or gave it up.
        redial_at: Option<Instant>,
    },
    /// The session had been replaced, evicted or reported before: the peer's state is unchanged.
    Stale,
}

/// A live session.
#[derive(Clone, Debug)]
pub struct Session {
    /// The peer.
    pub key: PublicKey,
    /// Unique in the life of this book.
    pub generation: u64,
    /// Who dialled.
    pub direction: Direction,
    /// The peer's instance id.
    pub instance: Uuid,
    /// Since when it is up.
    pub since: Instant,
    /// Whether the peer proved a consensus key.
    pub is_validator: bool,
    /// Where the peer says it can be dialled.
    pub address: Option<String>,
    /// Smoothed round-trip time, as reported.
    pub rtt: Option<Duration>,
    /// Where it comes from, as seen.
    pub observed: Option<IpAddr>,
    /// When it last brought a transaction or block that we did not have.
    pub useful_at: Option<Instant>,
}

/// The book of sessions and dial targets.
#[derive(Clone, Debug)]
pub struct PeerBook {
    config: BookConfig,
    sessions: BTreeMap<PublicKey, Session>,
    targets: Targets,
    pace: Pace,
    feelers: Feelers,
    instances: BTreeMap<PublicKey, VecDeque<Uuid>>,
    held: BTreeMap<PublicKey, Instant>,
    next_generation: u64,
}

impl PeerBook {
    /// An empty book.
    pub fn new(config: BookConfig) -> Self {
        Self {
            config,
            sessions: BTreeMap::new(),
            targets: Targets::default(),
            pace: Pace::default(),
            feelers: Feelers::default(),
            instances: BTreeMap::new(),
            held: BTreeMap::new(),
            next_generation: 1,
        }
    }

    /// Adds a peer that is dialled for ever. `key` and `is_validator` may be unknown: both are learned.
    pub fn add_configured(&mut self, now: Instant, address: &str, key: Option<PublicKey>, is_validator: bool) {
        self.targets.configure(now, address, key, is_validator);
    }

    /// No longer dials this configured address; its session, if any, stays. False when it was not configured.
    pub fn remove_configured(&mut self, address: &str) -> bool {
        self.targets.remove_configured(address)
    }

    /// Neither dials nor accepts this key before `until` (a ban).
    pub fn hold(&mut self, key: PublicKey, until: Instant) {
        if self.held.len() >= HELD_MAX
            && let Some(first) = self.held.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key)
        {
            self.held.remove(&first);
        }
        self.held.insert(key, until);
    }

    /// Dials and accepts this key again, at once.
    pub fn release(&mut self, now: Instant, key: &PublicKey) {
        self.held.remove(key);
        self.targets.dial_now(now, key);
    }

    /// Addresses to dial now; each counts as under way until [`PeerBook::on_up`] or [`PeerBook::on_dial_failed`] names it (after
    /// 20 s without either it counts as failed).
    pub fn wants_dial(&mut self, now: Instant, rng: &mut dyn Rng) -> Vec<Dial> {
        self.held.retain(|_, until| now < *until);
        self.targets.expire(now, self.config.votes, rng);
        self.feelers.expire(now);
        let (blocked, outbound) = (self.blocked(), self.discovered_outbound());
        let room = DialBudget {
            dials: self.config.dials_max.saturating_sub(self.feelers.dialling()),
            discovered: self.config.outbound_max.saturating_sub(outbound),
            has_enough: self.has_enough(outbound),
        };
        let mut dials = self.targets.start_due(now, &blocked, room, &mut self.pace);
        if self.targets.dialling() < self.config.dials_max {
            dials.extend(self.feelers.start_feeler(now, &mut self.pace));
        }
        dials
    }

    /// When to call [`PeerBook::wants_dial`] next, if nothing happens before.
    pub fn next_wake(&self) -> Option<Instant> {
        let has_room = self.discovered_outbound() < self.config.outbound_max;
        let dials_max = self.config.dials_max.saturating_sub(self.feelers.dialling());
        let due = self.targets.next_wake(&self.blocked(), dials_max, has_room);
        // A hold that ends may make a target due.
        [due, self.feelers.next_wake(), self.held.values().min().copied()].into_iter().flatten().min()
    }

    /// A dial ended without a session: not connected, not secured, or refused in the handshake.
    pub fn on_dial_failed(&mut self, now: Instant, address: &str, reason: EndReason, rng: &mut dyn Rng) {
        self.feelers.on_ended(address);
        self.targets.on_dial_failed(now, address, reason, self.config.votes, rng);
    }

    /// A session completed its handshake: keep it, or which one?
    pub fn on_up(&mut self, now: Instant, arrival: CompletedHandshake, rng: &mut dyn Rng) -> SessionDecision {
        let decision = self.decide(now, &arrival);
        self.learn(now, &arrival, &decision, rng);
        match decision {
            SessionDecision::Refuse { .. } => return decision,
            SessionDecision::Evict { victim, .. } | SessionDecision::Replace { victim: Some(victim), .. } => {
                self.sessions.remove(&victim);
            }
            SessionDecision::Keep { .. } | SessionDecision::Replace { victim: None, .. } => {}
        }
        let session = Session {
            key: arrival.key,
            generation: self.next_generation,
            direction: arrival.direction,
            instance: arrival.instance,
            since: now,
            is_validator: arrival.is_validator,
            address: arrival.address,
            rtt: None,
            observed: arrival.observed,
            useful_at: None,
        };
        self.next_generation = self.next_generation.saturating_add(1);
        self.sessions.insert(session.key, session);
        decision
    }

    /// A session ended. Report every session that was kept exactly once.
    pub fn on_down(
        &mut self,
        now: Instant,
        key: &PublicKey,
        generation: u64,
        end: SessionEnd,
        rng: &mut dyn Rng,
    ) -> Departure {
        let is_stale = |s: &Session| s.generation != generation && !is_planted(Bug::WrongSessionCleanup);
        if self.sessions.get(key).is_none_or(is_stale) {
            return Departure::Stale;
        }
        let Some(session) = self.sessions.remove(key) else { return Departure::Stale };
        let lived = now.since(session.since);
        let redial_at = self.targets.on_session_ended(now, key, end.reason, lived, self.config.votes, rng);
        Departure::Down { lived, redial_at }
    }

    /// A session's smoothed round-trip time, for eviction and display. Ignored for a session that is not the current one.
    pub fn on_measured(&mut self, key: &PublicKey, generation: u64, srtt: Duration) {
        if let Some(session) = self.sessions.get_mut(key).filter(|s| s.generation == generation) {
            session.rtt = Some(srtt);
        }
    }

    /// The live session with this peer.
    pub fn session(&self, key: &PublicKey) -> Option<&Session> {
        self.sessions.get(key)
    }

    /// Every live session, by key: the one count of connected peers there is.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = &Session> {
        self.sessions.values()
    }

    /// Live sessions dialled by them, or by us.
    pub fn count(&self, direction: Direction) -> usize {
        self.sessions.values().filter(|s| s.direction == direction).count()
    }

    /// Every dial target, by address, for people.
    pub fn targets(&self) -> impl Iterator<Item = TargetView<'_>> {
        self.targets.views()
    }

    /// Keys that are not to be dialled: connected, held, or our own.
    fn blocked(&self) -> BTreeSet<PublicKey> {
        self.sessions.keys().chain(self.held.keys()).copied().chain([self.config.key]).collect()
    }

    /// Outbound sessions that count towards the limit.
    fn discovered_outbound(&self) -> usize {
        let configured = self.targets.configured_keys();
        let counts = |s: &&Session| s.direction == Direction::Outbound && !configured.contains(&s.key);
        self.sessions.values().filter(counts).count()
    }

    fn decide(&mut self, now: Instant, arrival: &CompletedHandshake) -> SessionDecision {
        if arrival.key == self.config.key {
            return SessionDecision::Refuse { reason: EndReason::SelfConnection };
        }
        if self.held.get(&arrival.key).is_some_and(|until| now < *until) {
            return SessionDecision::Refuse { reason: EndReason::Banned };
        }
        let generation = self.next_generation;
        if let Some(older) = self.sessions.get(&arrival.key) {
            let is_collision = older.instance == arrival.instance
                && older.direction != arrival.direction
                && now.since(older.since) < SIMULTANEOUS_CONNECT_WINDOW;
            let kept = if self.config.key < arrival.key { Direction::Outbound } else { Direction::Inbound };
            // A session that we dialled becomes one of theirs: were that free, whoever we dial could pass the limit, place by place.
            let is_surplus = older.direction == Direction::Outbound
                && arrival.direction == Direction::Inbound
                && self.count(Direction::Inbound) >= self.config.inbound_max;
            if is_surplus && !self.matters(arrival) {
                return SessionDecision::Refuse { reason: EndReason::TooManyPeers };
            }
            // Without a victim it still stays: all others matter or are protected as well, and refusing it might end both connections.
            let victim = is_surplus.then(|| self.victim(arrival)).flatten().map(|(victim, _)| victim);
            let (older, reason) = match is_collision {
                true if arrival.direction != kept => return SessionDecision::Refuse { reason: EndReason::Duplicate },
                true => (older.generation, EndReason::Duplicate),
                false => (older.generation, EndReason::Replaced),
            };
            let twin = self.note_instance(arrival);
            return SessionDecision::Replace { generation, older, reason, victim, twin };
        }
        if arrival.direction == Direction::Inbound && self.count(Direction::Inbound) >= self.config.inbound_max {
            let Some((victim, victim_generation)) = self.victim(arrival) else {
                return SessionDecision::Refuse { reason: EndReason::TooManyPeers };
            };
            let twin = self.note_instance(arrival);
            return SessionDecision::Evict { generation, victim, victim_generation, twin };
        }
        let twin = self.note_instance(arrival);
        SessionDecision::Keep { generation, twin }
    }

    /// Remembers the peer's instance id; a twin when one comes back after another was seen: a restarted node never does.
    fn note_instance(&mut self, arrival: &CompletedHandshake) -> Option<Twin> {
        if self.instances.len() >= INSTANCE_KEYS_MAX && !self.instances.contains_key(&arrival.key) {
            let gone = self.instances.keys().find(|k| !self.sessions.contains_key(k)).copied();
            if let Some(gone) = gone {
                self.instances.remove(&gone);
            }
        }
        let seen = self.instances.entry(arrival.key).or_default();
        let newest = seen.back().copied();
        if newest == Some(arrival.instance) {
            return None;
        }
        let returned = seen.iter().position(|i| *i == arrival.instance);
        if let Some(at) = returned {
            seen.remove(at);
        } else if seen.len() >= INSTANCES_PER_KEY {
            seen.pop_front();
        }
        seen.push_back(arrival.instance);
        let other = newest.filter(|_| returned.is_some())?;
        Some(Twin { key: arrival.key, returned: arrival.instance, other })
    }

    /// What a session teaches about addresses: whose they are, and that a dial is over.
    fn learn(&mut self, now: Instant, arrival: &CompletedHandshake, decision: &SessionDecision, rng: &mut dyn Rng) {
        if let Some(dialled) = &arrival.dialled {
            let refused = match decision {
                SessionDecision::Refuse { reason } => Some(*reason),
                SessionDecision::Keep { .. } | SessionDecision::Replace { .. } | SessionDecision::Evict { .. } => None,
            };
            self.targets.on_dialled(now, dialled, arrival.key, arrival.is_validator, refused, self.config.votes, rng);
        }
        if let Some(address) = arrival.address.as_deref().filter(|_| arrival.key != self.config.key) {
            self.targets.discover(now, address, arrival.key, arrival.is_validator);
        }
    }
}

#[cfg(test)]
mod tests;
