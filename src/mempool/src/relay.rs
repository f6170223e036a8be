//! How transactions travel: announce, request from one announcer, after a time-out from the next.
//!
//! Driven by events: an announcement is answered by a request at once, an admission by an announcement: the first after a quiet time leaves at
//! once, those that follow gather for a few milliseconds.

use crate::known::KnownIds;
use crate::limits::RelayLimits;
use crate::waiting::Waiting;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use timed_chain::{PoolTransaction, Resource};
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{IdMap, IdSet, Instant, PublicKey, TxFullId};

/// What the caller must do now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum RelayAction {
    /// Send `Request` to one peer.
    Request {
        /// The peer.
        to: PublicKey,
        /// What to ask for; at most [`RelayLimits::message_ids_max`].
        ids: Vec<TxFullId>,
    },
    /// Send `Announce` to one peer.
    Announce {
        /// The peer.
        to: PublicKey,
        /// What we have; at most [`RelayLimits::message_ids_max`].
        ids: Vec<TxFullId>,
    },
    /// A transaction whose parent was missing may be admitted now: submit it again as from this peer.
    Retry {
        /// Who sent it.
        from: PublicKey,
        /// The transaction.
        transaction: Arc<PoolTransaction>,
    },
}

/// Whether a transaction that arrived was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Receipt {
    /// We wanted it from this peer: check it.
    Wanted,
    /// We did not, or no longer: drop it.
    Unwanted,
}

/// Counters and levels, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Transactions asked for and not yet here.
    pub wanted: usize,
    /// Children that wait for a parent.
    pub waiting_for_parent: usize,
    /// Ids asked for.
    pub requested: u64,
    /// Ids announced.
    pub announced: u64,
    /// Requests that a peer did not answer in time.
    pub timed_out: u64,
    /// Ids given up because no announcer delivered.
    pub given_up: u64,
    /// Transactions that arrived unasked.
    pub unwanted: u64,
    /// Announced ids ignored because a bound was reached.
    pub ignored: u64,
    /// Announced ids that are asked for when there is room.
    pub put_off: usize,
}

/// A transaction that was announced and is not here.
#[derive(Debug)]
struct WantedTransaction {
    state: WantState,
    /// To ask next, in order of announcement.
    next: VecDeque<PublicKey>,
    /// Asked before, in vain; their late answer is welcome.
    before: Vec<PublicKey>,
}

#[derive(Clone, Copy, Debug)]
enum WantState {
    /// This peer is asked, until then.
    Asked { peer: PublicKey, deadline: Instant },
    /// Nobody is asked, for want of room. Place in the order of announcement.
    PutOff { place: u64 },
}

impl WantedTransaction {
    fn asked(&self) -> Option<PublicKey> {
        match self.state {
            WantState::Asked { peer, .. } => Some(peer),
            WantState::PutOff { .. } => None,
        }
    }

    fn involves(&self, peer: &PublicKey) -> bool {
        self.asked() == Some(*peer) || self.next.contains(peer) || self.before.contains(peer)
    }
}

/// What one peer has, and what is to be announced to it.
#[derive(Debug, Default)]
struct PeerState {
    known: KnownIds,
    /// Not yet announced to it.
    queue: Vec<TxFullId>,
    /// It is asked, or remembered as one to ask, for these.
    wanted: IdSet<TxFullId>,
}

/// Who has what, who is asked for what, what is announced to whom. Knows ids and peers only; what is in the pool is reported to it.
#[derive(Debug)]
pub struct Relay {
    limits: RelayLimits,
    peers: BTreeMap<PublicKey, PeerState>,
    wants: IdMap<TxFullId, WantedTransaction>,
    deadlines: BTreeSet<(Instant, TxFullId)>,
    /// Wanted and not asked for, oldest first.
    put_off: BTreeMap<u64, TxFullId>,
    next_place: u64,
    /// Most transactions asked for at a time.
    room: usize,
    waiting: Waiting,
    /// When what is to be announced leaves.
    flush_at: Option<Instant>,
    /// When collected announcements left last.
    flushed_at: Option<Instant>,
    stats: RelayStats,
}

impl Relay {
    /// A relay without peers.
    pub fn new(limits: RelayLimits) -> Self {
        Self {
            limits,
            peers: BTreeMap::new(),
            wants: IdMap::default(),
            deadlines: BTreeSet::new(),
            put_off: BTreeMap::new(),
            next_place: 0,
            room: usize::MAX,
            waiting: Waiting::default(),
            flush_at: None,
            flushed_at: None,
            stats: RelayStats::default(),
        }
    }

    /// A peer connected: what the pool holds is announced to it, best first, as much as we can remember of it.
    pub fn on_peer_up(&mut self, peer: PublicKey, pool: impl IntoIterator<Item = TxFullId>) -> Vec<RelayAction> {
        let state = self.peers.entry(peer).or_default();
        let ids: Vec<TxFullId> = pool.into_iter().take(self.limits.known_per_peer_max).collect();
        for id in &ids {
            state.known.learn(id, self.limits.known_per_peer_max);
        }
        self.stats.announced += count(ids.len());
        let chunks = ids.chunks(self.limits.message_ids_max.max(1));
        chunks.map(|ids| RelayAction::Announce { to: peer, ids: ids.to_vec() }).collect()
    }

    /// A peer is gone: what it was asked for is asked from the next announcer.
    pub fn on_peer_down(&mut self, now: Instant, peer: &PublicKey) -> Vec<RelayAction> {
        let Some(state) = self.peers.remove(peer) else { return Vec::new() };
        let mut requests = Requests::default();
        let mut wanted: Vec<_> = state.wanted.into_iter().collect();
        wanted.sort_unstable();
        for id in wanted {
            let Some(want) = self.wants.get_mut(&id) else { continue };
            want.next.retain(|other| other != peer);
            want.before.retain(|other| other != peer);
            match want.state {
                WantState::Asked { peer: asked, .. } if asked == *peer => self.ask_next(now, id, &mut requests),
                WantState::PutOff { .. } if want.next.is_empty() => self.forget_want(&id),
                WantState::Asked { .. } | WantState::PutOff { .. } => {}
            }
        }
        self.send(requests)
    }

    /// A peer announced ids. Those that are neither known (`is_known`: in the pool, refused or included a short time ago) nor wanted
    /// already are asked from it at once as far as there is room ([`Relay::set_room`]), else later, oldest first; of the others it is
    /// remembered as one to ask.
    pub fn on_announce(
        &mut self,
        now: Instant,
        peer: PublicKey,
        ids: &[TxFullId],
        is_known: impl Fn(&TxFullId) -> bool,
    ) -> Vec<RelayAction> {
        let mut requests = Requests::default();
        for id in ids {
            let Some(state) = self.peers.get_mut(&peer) else { return Vec::new() };
            state.known.learn(id, self.limits.known_per_peer_max);
            if is_known(id) || self.waiting.contains(id) {
                continue;
            }
            let is_new = !self.wants.contains_key(id);
            if state.wanted.len() >= self.limits.wanted_per_peer_max
                || (is_new && self.wants.len() >= self.limits.wanted_max)
            {
                self.stats.ignored += 1;
                continue;
            }
            if let Some(want) = self.wants.get_mut(id) {
                if !want.involves(&peer) && want.next.len() < self.limits.announcers_max {
                    want.next.push_back(peer);
                    state.wanted.insert(*id);
                }
                continue;
            }
            state.wanted.insert(*id);
            let place = self.next_place;
            self.next_place += 1;
            let want = WantedTransaction {
                state: WantState::PutOff { place },
                next: VecDeque::from([peer]),
                before: Vec::new(),
            };
            self.wants.insert(*id, want);
            self.put_off.insert(place, *id);
            if self.deadlines.len() < self.room {
                self.ask_next(now, *id, &mut requests);
            }
        }
        self.send(requests)
    }

    /// Most transactions that may be asked for at a time: so many as can be checked soon. Without it there is no such bound.
    pub fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Whether something was put off for which there is room now.
    pub fn has_put_off(&self) -> bool {
        !self.put_off.is_empty() && self.deadlines.len() < self.room
    }

    /// Asks for what was put off, oldest first, as far as there is room; what is known by now is forgotten.
    pub fn on_room(&mut self, now: Instant, is_known: impl Fn(&TxFullId) -> bool) -> Vec<RelayAction> {
        let mut requests = Requests::default();
        for _ in 0..self.limits.message_ids_max {
            if self.deadlines.len() >= self.room {
                break;
            }
            let Some((_, id)) = self.put_off.first_key_value().map(|(place, id)| (*place, *id)) else { break };
            if is_known(&id) || self.waiting.contains(&id) {
                self.forget_want(&id);
            } else {
                self.ask_next(now, id, &mut requests);
            }
        }
        self.send(requests)
    }

    /// A transaction arrived from a peer. It need not be asked for any more.
    pub fn on_received(&mut self, peer: &PublicKey, id: &TxFullId) -> Receipt {
        if let Some(state) = self.peers.get_mut(peer) {
            state.known.learn(id, self.limits.known_per_peer_max);
        }
        let is_wanted =
            self.wants.get(id).is_some_and(|want| want.asked() == Some(*peer) || want.before.contains(peer));
        if is_wanted {
            self.forget_want(id);
            Receipt::Wanted
        } else {
            self.stats.unwanted += 1;
            Receipt::Unwanted
        }
    }

    /// What a transaction consumes is not here: it waits for the one that produces what is `missing`.
    pub fn on_unknown_input(
        &mut self,
        now: Instant,
        from: PublicKey,
        transaction: Arc<PoolTransaction>,
        missing: Resource,
    ) {
        self.waiting.expire(now);
        self.waiting.insert(now, &self.limits, transaction, missing, from);
    }

    /// A transaction entered the pool: it is announced to every peer that is not known to have it, at [`Relay::next_wake`], which may be
    /// now: the first after a quiet time with whatever else enters at this moment, later ones [`RelayLimits::announce_delay`] after those
    /// before. Children that waited for what it produces are tried again.
    pub fn on_admitted(&mut self, now: Instant, full_id: TxFullId, produces: &[Resource]) -> Vec<RelayAction> {
        self.forget_want(&full_id);
        let mut actions = Vec::new();
        for (peer, state) in &mut self.peers {
            if !state.known.learn(&full_id, self.limits.known_per_peer_max) && !is_planted(Bug::DoubleRelay) {
                continue;
            }
            state.queue.push(full_id);
            if state.queue.len() >= self.limits.announce_batch {
                announce(*peer, state, &mut self.stats, &mut actions);
            } else if self.flush_at.is_none() {
                let pause_ends = self.flushed_at.map_or(now, |before| before + self.limits.announce_delay);
                self.flush_at = Some(pause_ends.max(now));
            }
        }
        actions.extend(self.on_available(produces));
        actions
    }

    /// These can be consumed from now, by admission of who produces them or by a committed block: children that waited are tried again.
    pub fn on_available(&mut self, resources: &[Resource]) -> Vec<RelayAction> {
        if self.waiting.len() == 0 {
            return Vec::new();
        }
        let children = resources.iter().flat_map(|resource| self.waiting.take(resource));
        children.map(|(from, transaction)| RelayAction::Retry { from, transaction }).collect()
    }

    /// To be called at [`Relay::next_wake`]: late requests go to the next announcer, collected announcements leave.
    pub fn on_wake(&mut self, now: Instant) -> Vec<RelayAction> {
        let mut requests = Requests::default();
        while let Some((_, id)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            self.stats.timed_out += 1;
            self.ask_next(now, id, &mut requests);
        }
        let mut actions = self.send(requests);
        self.waiting.expire(now);
        if self.flush_at.is_some_and(|at| at <= now) {
            (self.flush_at, self.flushed_at) = (None, Some(now));
            for (peer, state) in &mut self.peers {
                announce(*peer, state, &mut self.stats, &mut actions);
            }
        }
        actions
    }

    /// When [`Relay::on_wake`] has something to do.
    pub fn next_wake(&self) -> Option<Instant> {
        let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
        [deadline, self.flush_at, self.waiting.next_wake()].into_iter().flatten().min()
    }

    /// Counters and levels.
    pub fn stats(&self) -> RelayStats {
        RelayStats {
            wanted: self.deadlines.len(),
            put_off: self.put_off.len(),
            waiting_for_parent: self.waiting.len(),
            ..self.stats
        }
    }

    /// Nobody is asked yet, or the announcer asked before did not deliver: on to the next that is still connected, or give up.
    fn ask_next(&mut self, now: Instant, id: TxFullId, requests: &mut Requests) {
        let Some(want) = self.wants.get_mut(&id) else { return };
        match want.state {
            WantState::Asked { peer, deadline } => {
                self.deadlines.remove(&(deadline, id));
                if self.peers.contains_key(&peer) {
                    want.before.push(peer);
                }
            }
            WantState::PutOff { place } => {
                self.put_off.remove(&place);
            }
        }
        let Some(peer) = want.next.pop_front() else {
            self.stats.given_up += 1;
            self.forget_want(&id);
            return;
        };
        let deadline = now + self.limits.request_timeout;
        want.state = WantState::Asked { peer, deadline };
        self.deadlines.insert((deadline, id));
        requests.add(peer, id);
    }

    fn forget_want(&mut self, id: &TxFullId) {
        let Some(want) = self.wants.remove(id) else { return };
        match want.state {
            WantState::Asked { deadline, .. } => {
                self.deadlines.remove(&(deadline, *id));
            }
            WantState::PutOff { place } => {
                self.put_off.remove(&place);
            }
        }
        for peer in want.before.iter().chain(&want.next).chain(&want.asked()) {
            if let Some(state) = self.peers.get_mut(peer) {
                state.wanted.remove(id);
            }
        }
    }

    fn send(&mut self, requests: Requests) -> Vec<RelayAction> {
        let max = self.limits.message_ids_max.max(1);
        let mut actions = Vec::new();
        for (to, ids) in requests.0 {
            self.stats.requested += count(ids.len());
            actions.extend(ids.chunks(max).map(|ids| RelayAction::Request { to, ids: ids.to_vec() }));
        }
        actions
    }
}

/// Requests to be sent, gathered by peer.
#[derive(Default)]
struct Requests(BTreeMap<PublicKey, Vec<TxFullId>>);

impl Requests {
    fn add(&mut self, to: PublicKey, id: TxFullId) {
        self.0.entry(to).or_default().push(id);
    }
}

fn announce(to: PublicKey, state: &mut PeerState, stats: &mut RelayStats, actions: &mut Vec<RelayAction>) {
    if !state.queue.is_empty() {
        stats.announced += count(state.queue.len());
        actions.push(RelayAction::Announce { to, ids: std::mem::take(&mut state.queue) });
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
