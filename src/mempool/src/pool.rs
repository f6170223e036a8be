//! Admission: two steps, so that signatures can be verified in batches elsewhere in between.

use crate::chain::Chain;
use crate::event::{Conflict, OutputState, PoolEvent, RemovalReason, Removed};
use crate::fee::{FeeFloor, FeeRate};
use crate::graph::{Graph, IncomingTransaction};
use crate::limits::PoolLimits;
use crate::reject::Reject;
use crate::seen::SeenIds;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use timed_primitives::{
    Amount, BlockId, Height, Instant, OutPoint, PublicKey, SignedItem, Transaction, TxFullId, TxId, TxOutput,
};

/// Where a transaction came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This node's operator: RPC, wallet, or the pool of the last run.
    Local,
    /// A peer, by its node key.
    Peer(PublicKey),
}

/// A transaction that passed [`Pool::pre_check`]; valid if all its signatures are.
#[derive(Clone, Debug)]
pub struct Candidate {
    transaction: Arc<Transaction>,
    id: TxId,
    full_id: TxFullId,
    size: usize,
    fee: Amount,
    source: Source,
    signed_items: Vec<SignedItem>,
    /// The chain's height here when its inputs were found, if all of them were found there.
    on_chain_at: Option<Height>,
    /// When it entered the pool of an earlier run.
    arrived: Option<Instant>,
}

impl Candidate {
    /// The signatures to verify before [`Pool::admit`].
    pub fn signed_items(&self) -> &[SignedItem] {
        &self.signed_items
    }

    /// Takes the signatures out, to be verified elsewhere.
    pub fn take_signed_items(&mut self) -> Vec<SignedItem> {
        std::mem::take(&mut self.signed_items)
    }

    /// It was in the pool of an earlier run since then, and has waited as long.
    #[must_use]
    pub fn arrived_at(mut self, arrived: Instant) -> Self {
        self.arrived = Some(arrived);
        self
    }

    /// The transaction.
    pub fn transaction(&self) -> &Arc<Transaction> {
        &self.transaction
    }

    /// Its id.
    pub fn txid(&self) -> TxId {
        self.id
    }

    /// Its id with witnesses.
    pub fn full_id(&self) -> TxFullId {
        self.full_id
    }

    /// Its fee.
    pub fn fee(&self) -> Amount {
        self.fee
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Where it came from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// What it costs: see [`crate::weight`].
    pub fn weight(&self) -> u64 {
        crate::weight(self.size, self.transaction.witnesses.len())
    }
}

/// A transaction is in the pool now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Its id.
    pub txid: TxId,
    /// Its id with witnesses, to be announced.
    pub full_id: TxFullId,
    /// What had to leave for it.
    pub evicted: Vec<Removed>,
}

/// The transactions that are not decided. See the crate for the flow.
///
/// Invariants, each a property test: bounds hold after every call; no two transactions spend one output; a payload has parents
/// before children and fits; after [`Pool::on_committed`] nothing here is in that block or spends what it spent.
#[derive(Debug)]
pub struct Pool {
    pub(crate) limits: PoolLimits,
    pub(crate) graph: Graph,
    pub(crate) floor: FeeFloor,
    pub(crate) rejects: SeenIds,
    pub(crate) included: SeenIds,
    pub(crate) conflicts: VecDeque<Conflict>,
    /// With what each holds of ours, in order of id.
    pub(crate) proposed: BTreeMap<BlockId, (Height, Vec<TxId>)>,
    pub(crate) proposed_order: VecDeque<BlockId>,
    pub(crate) confirmed: BTreeMap<OutPoint, (TxId, Height)>,
    pub(crate) confirmed_order: VecDeque<OutPoint>,
    pub(crate) events: VecDeque<PoolEvent>,
    pub(crate) height: Height,
    /// Weight that left by blocks since the start.
    pub(crate) included_weight: u64,
    pub(crate) evicted: u64,
    pub(crate) expired: u64,
    pub(crate) conflicts_seen: u64,
    pub(crate) events_dropped: u64,
}

impl Pool {
    /// An empty pool on top of the block at `height`.
    pub fn new(limits: PoolLimits, height: Height) -> Self {
        Self {
            rejects: SeenIds::new(limits.rejects_max),
            included: SeenIds::new(limits.confirmed_max),
            limits,
            graph: Graph::default(),
            floor: FeeFloor::default(),
            conflicts: VecDeque::new(),
            proposed: BTreeMap::new(),
            proposed_order: VecDeque::new(),
            confirmed: BTreeMap::new(),
            confirmed_order: VecDeque::new(),
            events: VecDeque::new(),
            height,
            included_weight: 0,
            evicted: 0,
            expired: 0,
            conflicts_seen: 0,
            events_dropped: 0,
        }
    }

    /// Everything but signatures, and nothing is changed: the dry run (`testmempoolaccept`).
    ///
    /// A local transaction is checked anew even if it was refused before, so that its owner sees the reason.
    ///
    /// # Errors
    /// [`Reject`] says why not.
    pub fn check<C: Chain>(
        &self,
        now: Instant,
        transaction: Arc<Transaction>,
        source: Source,
        chain: &C,
    ) -> Result<Candidate, Reject<C::Refusal>> {
        let (id, full_id, size) = (transaction.id(), transaction.full_id(), transaction.size_bytes());
        let max = self.limits.transaction_bytes_max;
        if size > max {
            return Err(Reject::TooLarge { size, max });
        }
        if source != Source::Local && self.rejects.contains(now, &full_id) {
            return Err(Reject::RecentlyRejected { id: full_id });
        }
        let spent = self.resolve(&id, &transaction, chain)?;
        let is_on_chain = transaction.body.inputs.iter().all(|input| self.graph.output(&input.previous).is_none());
        let on_chain_at = is_on_chain.then_some(self.height);
        let fee = chain.check(&transaction, &spent).map_err(Reject::Invalid)?;
        let signed_items = transaction.signed_items().collect();
        let candidate =
            Candidate { transaction, id, full_id, size, fee, source, signed_items, on_chain_at, arrived: None };
        self.plan(now, &candidate)?;
        Ok(candidate)
    }

    /// First step of admission: [`Pool::check`], and what a refusal teaches is remembered.
    ///
    /// # Errors
    /// [`Reject`] says why not. A conflict is added to [`Pool::conflicts`].
    pub fn pre_check<C: Chain>(
        &mut self,
        now: Instant,
        transaction: Arc<Transaction>,
        source: Source,
        chain: &C,
    ) -> Result<Candidate, Reject<C::Refusal>> {
        let result = self.check(now, Arc::clone(&transaction), source, chain);
        if let Err(reject) = &result {
            self.remember(now, &transaction, source, reject);
        }
        result
    }

    /// Second step: the signatures are valid. Checks again what may have changed since and adds the transaction.
    ///
    /// # Errors
    /// [`Reject`] as before.
    pub fn admit<C: Chain>(
        &mut self,
        now: Instant,
        candidate: Candidate,
        chain: &C,
    ) -> Result<Admitted, Reject<C::Refusal>> {
        let is_free = self.resolve_again(&candidate, chain);
        let victims = is_free.and_then(|()| self.plan(now, &candidate));
        let victims = match victims {
            Ok(victims) => victims,
            Err(reject) => {
                self.remember(now, &candidate.transaction, candidate.source, &reject);
                return Err(reject);
            }
        };
        let evicted = self.evict(now, &victims);
        let Candidate { transaction, id, full_id, size, fee, source, arrived, .. } = candidate;
        let arrived = arrived.unwrap_or(now);
        let spent: Vec<OutPoint> = transaction.body.inputs.iter().map(|input| input.previous).collect();
        self.graph.insert(IncomingTransaction { transaction, id, full_id, size, fee, arrived, source });
        self.emit(PoolEvent::Accepted { txid: id, fee, size });
        for outpoint in spent {
            self.emit(PoolEvent::Output { outpoint, state: OutputState::Locked { by: id } });
        }
        Ok(Admitted { txid: id, full_id, evicted })
    }

    /// A signature of the candidate is invalid: these bytes are not checked again for a while. Other witnesses for the same
    /// body are.
    pub fn on_invalid_signature(&mut self, now: Instant, candidate: &Candidate) {
        self.rejects.insert(candidate.full_id, now + self.limits.reject_invalid_for);
    }

    /// Bytes of all transactions here, in canonical encoding.
    pub fn bytes(&self) -> usize {
        self.graph.bytes()
    }

    /// True when a transaction with this full id need not be asked for: it is here, was refused or was included a short time ago.
    pub fn is_known(&self, now: Instant, id: &TxFullId) -> bool {
        self.graph.by_full_id(id).is_some() || self.rejects.contains(now, id) || self.included.contains(now, id)
    }

    /// The outputs that are spent, in order of the inputs.
    fn resolve<C: Chain>(
        &self,
        id: &TxId,
        transaction: &Transaction,
        chain: &C,
    ) -> Result<Vec<TxOutput>, Reject<C::Refusal>> {
        self.is_free(id, transaction)?;
        let inputs = transaction.body.inputs.iter().map(|input| input.previous);
        inputs
            .map(|outpoint| {
                let output = self.graph.output(&outpoint).or_else(|| chain.output(&outpoint));
                // What a decided transaction spent is gone by itself, so only then it needs to be looked for.
                output.ok_or_else(|| match chain.is_known(id) {
                    true => Reject::AlreadyKnown { txid: *id },
                    false => Reject::UnknownInput { outpoint },
                })
            })
            .collect()
    }

    /// As [`Self::resolve`], for what was found before. While no block came, what is spent of the chain is still there.
    fn resolve_again<C: Chain>(&self, candidate: &Candidate, chain: &C) -> Result<(), Reject<C::Refusal>> {
        if candidate.on_chain_at == Some(self.height) {
            return self.is_free(&candidate.id, &candidate.transaction);
        }
        self.resolve(&candidate.id, &candidate.transaction, chain).map(drop)
    }

    /// Neither the transaction itself is here nor another that spends the same.
    fn is_free<R>(&self, id: &TxId, transaction: &Transaction) -> Result<(), Reject<R>> {
        if self.graph.get(id).is_some() {
            return Err(Reject::AlreadyKnown { txid: *id });
        }
        for input in &transaction.body.inputs {
            if let Some(with) = self.graph.spender(&input.previous) {
                return Err(Reject::Conflict { with, outpoint: input.previous });
            }
        }
        Ok(())
    }

    /// Whether there is a place for the candidate, and who must leave for it.
    fn plan<R>(&self, now: Instant, candidate: &Candidate) -> Result<Vec<TxId>, Reject<R>> {
        let parents = self.graph.parents(&candidate.transaction);
        let ancestors = self.graph.ancestors(&parents, self.limits.ancestors_max);
        if ancestors.len() + 1 > self.limits.ancestors_max {
            return Err(Reject::TooManyAncestors { count: ancestors.len() + 1, max: self.limits.ancestors_max });
        }
        let needed = self.floor_rate(now).fee_for(candidate.size);
        if candidate.fee < needed {
            return Err(Reject::FeeBelowFloor { needed, offered: candidate.fee });
        }
        if let Source::Peer(peer) = candidate.source {
            let (used, max) = (self.graph.peer_bytes(&peer), self.limits.peer_bytes_max);
            if used.saturating_add(candidate.size) > max {
                return Err(Reject::PeerShare { used, max });
            }
        }
        self.make_room(candidate, &ancestors)
    }

    /// The worst transactions, with their descendants, that must leave. Only those worse than the candidate, never its ancestors.
    fn make_room<R>(&self, candidate: &Candidate, ancestors: &BTreeSet<TxId>) -> Result<Vec<TxId>, Reject<R>> {
        let offered = FeeRate::new(candidate.fee, u64::try_from(candidate.size).unwrap_or(u64::MAX));
        let mut victims = Vec::new();
        let mut leaving = BTreeSet::new();
        let (mut count, mut bytes) = (self.graph.len() + 1, self.graph.bytes().saturating_add(candidate.size));
        let mut worst = self.graph.eviction_order();
        while count > self.limits.count_max || bytes > self.limits.bytes_max {
            let full = |rate: FeeRate| Reject::Full { needed: rate.for_kilobyte(), offered: offered.for_kilobyte() };
            let place = worst.next().ok_or_else(|| full(offered))?;
            if place.rate >= offered {
                return Err(full(place.rate));
            }
            if ancestors.contains(&place.id) || leaving.contains(&place.id) {
                continue;
            }
            let package = std::iter::once(place.id).chain(self.graph.descendants(&place.id));
            for entry in package.filter_map(|id| self.graph.get(&id)) {
                if leaving.insert(entry.id) {
                    count -= 1;
                    bytes = bytes.saturating_sub(usize::try_from(entry.own.size).unwrap_or(usize::MAX));
                }
            }
            victims.push(place.id);
        }
        Ok(victims)
    }

    fn evict(&mut self, now: Instant, victims: &[TxId]) -> Vec<Removed> {
        let mut removed = Vec::new();
        for victim in victims {
            if let Some(entry) = self.graph.get(victim) {
                let rate = entry.own.rate().max(entry.with_descendants.rate()).for_kilobyte();
                let floor = rate.0.saturating_add(self.limits.fee_floor_step);
                self.floor.raise(now, self.limits.fee_floor_half_life, floor);
                removed.extend(self.remove_with_descendants(victim, RemovalReason::Evicted));
            }
        }
        self.evicted = self.evicted.saturating_add(u64::try_from(removed.len()).unwrap_or(u64::MAX));
        removed
    }

    /// The rate below which nothing is taken now. A raised floor counts while the pool is at least half full.
    pub(crate) fn floor_rate(&self, now: Instant) -> FeeRate {
        let half_full =
            self.graph.len() * 2 >= self.limits.count_max || self.graph.bytes() * 2 >= self.limits.bytes_max;
        let raised = if half_full { self.floor.at(now, self.limits.fee_floor_half_life) } else { 0 };
        FeeRate::per_kilobyte(Amount(raised.max(self.limits.fee_floor_min)))
    }

    fn remember<R>(&mut self, now: Instant, transaction: &Transaction, source: Source, reject: &Reject<R>) {
        let keep = match reject {
            Reject::AlreadyKnown { .. }
            | Reject::RecentlyRejected { .. }
            | Reject::UnknownInput { .. }
            | Reject::PeerShare { .. } => return,
            Reject::TooLarge { .. } | Reject::Invalid(_) => self.limits.reject_invalid_for,
            Reject::Conflict { with, outpoint } => {
                let second = transaction.id();
                let (first, outpoint) = (*with, *outpoint);
                self.report_conflict(Conflict { outpoint, first, second, source: Some(source), seen: now });
                self.limits.reject_passing_for
            }
            Reject::TooManyAncestors { .. } | Reject::FeeBelowFloor { .. } | Reject::Full { .. } => {
                self.limits.reject_passing_for
            }
        };
        self.rejects.expire(now);
        self.rejects.insert(transaction.full_id(), now + keep);
    }

    /// Reports each pair once for as long as it is remembered.
    pub(crate) fn report_conflict(&mut self, conflict: Conflict) {
        let same = |old: &Conflict| {
            old.outpoint == conflict.outpoint && old.first == conflict.first && old.second == conflict.second
        };
        if self.conflicts.iter().any(same) {
            return;
        }
        self.conflicts_seen += 1;
        if self.conflicts.len() >= self.limits.conflicts_max {
            self.conflicts.pop_front();
        }
        self.conflicts.push_back(conflict.clone());
        self.emit(PoolEvent::Conflict(conflict));
    }

    pub(crate) fn emit(&mut self, event: PoolEvent) {
        if self.events.len() >= self.limits.events_max {
            self.events.pop_front();
            self.events_dropped += 1;
        }
        self.events.push_back(event);
    }
}
