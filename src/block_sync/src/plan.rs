//! What to hand on, what to ask whom.

use crate::peer::PeerRecord;
use crate::sync::{BlockDelivery, BlockSync, DeliveredBatch, FetchedBlock, PendingRequest, SyncAction};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use timed_primitives::{Height, Instant, PublicKey};

/// A peer so many times slower than the fastest is asked only for heights that are not needed soon.
const SLOW_FACTOR: u64 = 8;

/// Whom to ask for a height.
struct PeerChoice {
    peer: PublicKey,
    is_probe: bool,
}

impl<B> BlockSync<B> {
    /// After every event: hands on what is complete, then asks for what is missing.
    pub(crate) fn advance(&mut self, now: Instant) -> Vec<SyncAction<B>> {
        self.last_planned = self.last_planned.max(now);
        let is_ahead = |peer: &PeerRecord| !peer.is_blamed && peer.claimed > self.tip;
        if !self.peers.values().any(is_ahead) {
            self.behind_since = None;
        } else if self.behind_since.is_none() {
            self.behind_since = Some(now);
        }
        let mut actions = Vec::new();
        actions.extend(self.deliver());
        self.request_missing(now, &mut actions);
        actions
    }

    /// The longest run above the tip, when no batch is out.
    fn deliver(&mut self) -> Option<SyncAction<B>> {
        if self.batch.is_some() {
            return None;
        }
        let first = self.tip.next();
        let mut batch = DeliveredBatch { last: first, from: Default::default(), bytes: 0 };
        let mut items = Vec::new();
        let mut height = first;
        while let Some(held) = self.held.get(&height) {
            let is_over = batch.bytes + held.bytes > self.limits.batch_bytes_max;
            if items.len() >= self.limits.batch_blocks_max.max(1) || (is_over && !items.is_empty()) {
                break;
            }
            let Some(FetchedBlock { from, bytes, item }) = self.held.remove(&height) else { break };
            self.held_bytes -= bytes;
            batch.bytes += bytes;
            batch.last = height;
            batch.from.insert(height, from);
            items.push(BlockDelivery { height, from, item });
            height = height.next();
        }
        if items.is_empty() {
            return None;
        }
        self.batch = Some(batch);
        Some(SyncAction::Deliver { first, items })
    }

    fn request_missing(&mut self, now: Instant, actions: &mut Vec<SyncAction<B>>) {
        let mut height = self.batch.as_ref().map_or(self.tip, |batch| batch.last).next();
        while self.held.contains_key(&height) {
            height = height.next();
        }
        self.end_probe(now, height);
        let top = self.peers.values().filter(|peer| !peer.is_blamed).map(|peer| peer.claimed).max().unwrap_or_default();
        let top = top.min(self.tip.plus(self.limits.window));
        let mut in_flight: BTreeSet<Height> = BTreeSet::new();
        for pending in self.pending_requests.values().filter(|pending| !pending.is_late) {
            in_flight.extend(&pending.missing);
        }
        while height <= top {
            let is_missing = |at: &Height| !self.held.contains_key(at) && !in_flight.contains(at);
            if is_missing(&height)
                && let Some(choice) = self.choose(now, height)
            {
                let max = self.run_max(&choice.peer, height, in_flight.len(), top);
                let run = std::iter::successors(Some(height), |at| Some(at.next())).take(max);
                let run: BTreeSet<Height> = run.take_while(is_missing).collect();
                in_flight.extend(&run);
                height = run.last().copied().unwrap_or(height);
                actions.extend(self.request(now, choice, run));
            }
            height = height.next();
        }
    }

    /// What was asked ahead of need from a peer of second choice is needed now: it is late, and asked from a better one.
    fn end_probe(&mut self, now: Instant, needed: Height) {
        let is_it =
            |pending: &PendingRequest| pending.is_probe && !pending.is_late && pending.missing.contains(&needed);
        let probe = self.pending_requests.iter().find(|(_, pending)| is_it(pending)).map(|(request, _)| *request);
        if let Some(request) = probe {
            self.give_up(now, request);
        }
    }

    /// A request is late. If it brought nothing, its peer has failed.
    pub(crate) fn give_up(&mut self, now: Instant, request: u64) {
        let Some(pending) = self.pending_requests.get_mut(&request) else { return };
        pending.is_late = true;
        self.stats.timed_out += 1;
        let (peer, blocks) = (pending.peer, pending.blocks);
        if blocks == 0
            && let Some(record) = self.peers.get_mut(&peer)
        {
            record.on_failure(now, &self.limits);
        }
        self.forget_late(&peer);
    }

    /// How many blocks from `height` upward to ask this peer for; 0 when there is no room for more than the lowest missing one.
    fn run_max(&self, peer: &PublicKey, height: Height, in_flight: usize, top: Height) -> usize {
        let Some(record) = self.peers.get(peer) else { return 0 };
        let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let is_next = self.batch.is_none() && height == self.tip.next();
        let out = self.batch.as_ref().map_or(0, |batch| batch.bytes);
        let block = count(self.block_bytes).max(1);
        let room = self.limits.bytes_max.saturating_sub(self.held_bytes + out) / block;
        let room = room.saturating_sub(in_flight).max(usize::from(is_next));
        let reach = count(record.claimed.min(top).above(height)).saturating_add(1);
        count(record.blocks_at_once(&self.limits, self.block_bytes)).min(room).min(reach)
    }

    fn request(&mut self, now: Instant, choice: PeerChoice, run: BTreeSet<Height>) -> Option<SyncAction<B>> {
        let PeerChoice { peer: to, is_probe } = choice;
        let from = *run.first()?;
        let count = u16::try_from(run.len()).ok()?;
        let request = self.next_request;
        self.next_request = self.next_request.wrapping_add(1);
        self.stats.requests += 1;
        self.pending_requests.insert(request, PendingRequest { is_probe, ..PendingRequest::new(to, run, now) });
        self.extend_deadlines(now, &to);
        Some(SyncAction::Request { to, request, from, count })
    }

    /// The peer to ask for a height: it claims to have it, is not paused and has a free slot. A peer that failed or is much slower
    /// than the fastest is passed over while a better one has the height too, even if that is busy now; except high in the window,
    /// where nothing waits for the answer and the peer can show that it has recovered.
    fn choose(&self, now: Instant, height: Height) -> Option<PeerChoice> {
        let may_ask = |peer: &PeerRecord| {
            let is_due = peer.claimed.above(self.tip) >= 2
                || self.wanted.is_some()
                || self.behind_since.is_some_and(|since| since + self.limits.grace <= now);
            peer.claims(height) && is_due
        };
        let able = || self.peers.iter().filter(|(_, peer)| may_ask(peer));
        let fastest =
            able().filter(|(_, peer)| peer.failures == 0).filter_map(|(_, peer)| peer.speed).max().unwrap_or(0);
        let is_second =
            |peer: &PeerRecord| peer.failures > 0 || peer.speed.is_some_and(|speed| speed < fastest / SLOW_FACTOR);
        let has_first = able().any(|(_, peer)| !is_second(peer));
        let is_urgent = height.above(self.tip) <= self.limits.window / 2;
        able()
            .filter(|(_, peer)| !(is_second(peer) && has_first && is_urgent))
            .filter(|(_, peer)| peer.ask_after <= now)
            .map(|(key, peer)| (key, peer, self.open_requests(key)))
            .filter(|(_, peer, open)| *open < if peer.failures == 0 { self.limits.requests_per_peer_max } else { 1 })
            .min_by_key(|(key, peer, open)| (peer.failures, *open, Reverse(peer.speed.unwrap_or(u64::MAX)), **key))
            .map(|(key, peer, _)| PeerChoice { peer: *key, is_probe: has_first && is_second(peer) })
    }

    fn open_requests(&self, peer: &PublicKey) -> usize {
        self.pending_requests.values().filter(|pending| pending.peer == *peer && !pending.is_late).count()
    }

    /// Any progress of a peer counts for all its requests, since it answers them one after the other; none lasts longer than
    /// [`crate::SyncLimits::timeout_max`] in all.
    pub(crate) fn extend_deadlines(&mut self, now: Instant, peer: &PublicKey) {
        let Some(record) = self.peers.get(peer) else { return };
        let open = |pending: &&mut PendingRequest| pending.peer == *peer && !pending.is_late;
        let missing = self.pending_requests.values_mut().filter(open).map(|pending| pending.missing.len()).sum();
        let timeout = record.timeout(&self.limits, missing, self.block_bytes);
        for pending in self.pending_requests.values_mut().filter(open) {
            pending.deadline = (now + timeout).min(pending.sent_at + self.limits.timeout_max);
        }
    }

    /// A block of a request has arrived: speed of its peer, size of blocks.
    pub(crate) fn measure(&mut self, now: Instant, peer: &PublicKey, request: u64, height: Height, bytes: usize) {
        let size = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.block_bytes = (self.block_bytes - self.block_bytes / 8 + size / 8).max(size).max(1);
        let (Some(pending), Some(record)) = (self.pending_requests.get_mut(&request), self.peers.get_mut(peer)) else {
            return;
        };
        pending.blocks += 1;
        pending.bytes = pending.bytes.saturating_add(bytes);
        record.on_block(height, pending.bytes, now.since(pending.sent_at));
    }

    /// Keeps a block. When there is no room, the highest go first, for they are needed last; the next one to be handed on always
    /// has room.
    pub(crate) fn hold(&mut self, height: Height, block: FetchedBlock<B>) {
        self.held_bytes += block.bytes;
        if let Some(old) = self.held.insert(height, block) {
            self.held_bytes -= old.bytes;
        }
        let out = self.batch.as_ref().map_or(0, |batch| batch.bytes);
        while self.held_bytes + out > self.limits.bytes_max && (self.held.len() > 1 || out > 0) {
            let Some((_, dropped)) = self.held.pop_last() else { break };
            self.held_bytes -= dropped.bytes;
            self.stats.dropped += 1;
        }
    }

    /// Ends all dealings with a peer: its requests, and what is held from it.
    pub(crate) fn blame(&mut self, peer: PublicKey, height: Height) -> SyncAction<B> {
        self.stats.blamed += 1;
        self.pending_requests.retain(|_, pending| pending.peer != peer);
        self.held.retain(|_, held| held.from != peer);
        self.held_bytes = self.held.values().map(|held| held.bytes).sum();
        if let Some(record) = self.peers.get_mut(&peer) {
            record.is_blamed = true;
            record.failures = record.failures.saturating_add(1);
        }
        SyncAction::Blame { peer, height }
    }

    /// Of the late requests to a peer only the newest few stay open.
    pub(crate) fn forget_late(&mut self, peer: &PublicKey) {
        let is_late = |pending: &PendingRequest| pending.peer == *peer && pending.is_late;
        let late: Vec<u64> =
            self.pending_requests.iter().filter(|(_, f)| is_late(f)).map(|(request, _)| *request).collect();
        for request in late.iter().rev().skip(self.limits.late_per_peer_max) {
            self.pending_requests.remove(request);
        }
    }
}
