//! Admission: two steps, so that signatures can be verified in batches elsewhere in between.

use crate::event::{Conflict, PoolEvent, RemovalReason, Removed, ResourceState, Source};
use crate::fee::{FeeFloor, FeeRate};
use crate::graph::{Graph, IncomingTransaction};
use crate::limits::PoolLimits;
use crate::newest::NewestKeys;
use crate::reject::Reject;
use crate::seen::SeenIds;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use timed_chain::{
    CheckError, Checked, PoolTransaction, ReadError, Refusal, Resource, TransactionFacts, TransactionRules,
};
use timed_primitives::{Amount, BlockId, Height, Instant, PublicKey, SignedItem, TxFullId, TxId};

/// A transaction that passed [`Pool::pre_check`]; valid if all its signatures are.
#[derive(Clone, Debug)]
pub struct Candidate {
    transaction: Arc<PoolTransaction>,
    fee: Amount,
    source: Source,
    signed_items: Vec<SignedItem>,
    first_signer: Option<PublicKey>,
    /// The chain's height here when what it consumes was found, if all of that was found there.
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

    /// The key of its first signature, if it has one.
    pub fn first_signer(&self) -> Option<PublicKey> {
        self.first_signer
    }

    /// It was in the pool of an earlier run since then, and has waited as long.
    #[must_use]
    pub fn arrived_at(mut self, arrived: Instant) -> Self {
        self.arrived = Some(arrived);
        self
    }

    /// The transaction.
    pub fn transaction(&self) -> &Arc<PoolTransaction> {
        &self.transaction
    }

    /// Its id.
    pub fn txid(&self) -> TxId {
        self.transaction.facts.id
    }

    /// Its id with signatures.
    pub fn full_id(&self) -> TxFullId {
        self.transaction.facts.full_id
    }

    /// Its fee.
    pub fn fee(&self) -> Amount {
        self.fee
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.transaction.facts.size_bytes
    }

    /// Where it came from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// What it costs: see [`crate::weight`].
    pub fn weight(&self) -> u64 {
        crate::weight(self.size(), self.transaction.facts.signatures)
    }
}

/// A transaction is in the pool now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Which.
    pub transaction: Arc<PoolTransaction>,
    /// What had to leave for it.
    pub evicted: Vec<Removed>,
}

/// The transactions that are not decided. See the crate for the flow.
///
/// Invariants, each a property test: bounds hold after every call; no two transactions consume one resource; a payload has parents
/// before children and fits; after [`Pool::on_committed`] nothing here is in that block or consumes what it consumed.
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
    pub(crate) confirmed: NewestKeys<Resource, (TxId, Height)>,
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
            confirmed: NewestKeys::new(limits.confirmed_max),
            limits,
            graph: Graph::default(),
            floor: FeeFloor::default(),
            conflicts: VecDeque::new(),
            proposed: BTreeMap::new(),
            proposed_order: VecDeque::new(),
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
    pub fn check(
        &self,
        now: Instant,
        transaction: Arc<PoolTransaction>,
        source: Source,
        rules: &dyn TransactionRules,
    ) -> Result<Candidate, Reject> {
        let facts = &transaction.facts;
        let (size, max) = (facts.size_bytes, self.limits.transaction_bytes_max);
        if size > max {
            return Err(Reject::TooLarge { size, max });
        }
        if source != Source::Local && self.rejects.contains(now, &facts.full_id) {
            return Err(Reject::RecentlyRejected { id: facts.full_id });
        }
        self.is_free(facts)?;
        let Checked { fee, signed_items } = self.check_rules(&transaction, rules)?;
        let is_on_chain = !facts.consumes.iter().any(|resource| self.graph.is_produced(resource));
        let on_chain_at = is_on_chain.then_some(self.height);
        let first_signer = signed_items.first().map(|item| item.key);
        let candidate = Candidate { transaction, fee, source, signed_items, first_signer, on_chain_at, arrived: None };
        self.plan(now, &candidate)?;
        Ok(candidate)
    }

    /// First step of admission: [`Pool::check`], and what a refusal teaches is remembered.
    ///
    /// # Errors
    /// [`Reject`] says why not. A conflict is added to [`Pool::conflicts`].
    pub fn pre_check(
        &mut self,
        now: Instant,
        transaction: Arc<PoolTransaction>,
        source: Source,
        rules: &dyn TransactionRules,
    ) -> Result<Candidate, Reject> {
        let result = self.check(now, Arc::clone(&transaction), source, rules);
        if let Err(reject) = &result {
            self.remember(now, &transaction.facts, source, reject);
        }
        result
    }

    /// Second step: the signatures are valid. Checks again what may have changed since and adds the transaction.
    ///
    /// # Errors
    /// [`Reject`] as before.
    pub fn admit(
        &mut self,
        now: Instant,
        candidate: Candidate,
        rules: &dyn TransactionRules,
    ) -> Result<Admitted, Reject> {
        let is_free = self.check_again(&candidate, rules);
        let victims = is_free.and_then(|()| self.plan(now, &candidate));
        let victims = match victims {
            Ok(victims) => victims,
            Err(reject) => {
                self.remember(now, &candidate.transaction.facts, candidate.source, &reject);
                return Err(reject);
            }
        };
        let evicted = self.evict(now, &victims);
        let Candidate { transaction, fee, source, arrived, .. } = candidate;
        let arrived = arrived.unwrap_or(now);
        self.graph.insert(IncomingTransaction { transaction: Arc::clone(&transaction), fee, arrived, source });
        let TransactionFacts { id: txid, size_bytes: size, ref consumes, .. } = transaction.facts;
        self.emit(PoolEvent::Accepted { txid, fee, size });
        for resource in consumes.iter() {
            self.emit(PoolEvent::Resource { resource: *resource, state: ResourceState::Locked { by: txid } });
        }
        Ok(Admitted { transaction, evicted })
    }

    /// A signature of the candidate is invalid: these bytes are not checked again for a while. The same transaction with other
    /// signatures is.
    pub fn on_invalid_signature(&mut self, now: Instant, candidate: &Candidate) {
        self.rejects.insert(candidate.full_id(), now + self.limits.reject_invalid_for);
    }

    /// Bytes of all transactions here, in canonical encoding.
    pub fn bytes(&self) -> usize {
        self.graph.bytes()
    }

    /// True when a transaction with this full id need not be asked for: it is here, was refused or was included a short time ago.
    pub fn is_known(&self, now: Instant, id: &TxFullId) -> bool {
        self.graph.by_full_id(id).is_some() || self.rejects.contains(now, id) || self.included.contains(now, id)
    }

    /// True when a final block held exactly this transaction a short time ago: its signatures are good.
    pub fn is_included(&self, now: Instant, id: &TxFullId) -> bool {
        self.included.contains(now, id)
    }

    /// All rules but signatures, and that it is in no final block.
    fn check_rules(&self, transaction: &PoolTransaction, rules: &dyn TransactionRules) -> Result<Checked, Reject> {
        let facts = &transaction.facts;
        let refused = match rules.check(transaction, &self.graph) {
            // What a decided transaction consumed is gone, so only one that consumes nothing needs to be looked for.
            Ok(checked) if !facts.consumes.is_empty() || !rules.is_confirmed(&facts.id)? => return Ok(checked),
            Ok(_) => return Err(Reject::AlreadyKnown { txid: facts.id }),
            Err(CheckError::Missing(resource)) => Reject::UnknownInput { resource },
            Err(CheckError::Refused(reason)) => Reject::Invalid(reason),
            Err(CheckError::Undecodable(reason)) => Reject::Invalid(Refusal::new(reason)),
            Err(CheckError::Read(error)) => return Err(error.into()),
        };
        Err(unless_confirmed(facts, refused, rules)?)
    }

    /// What was checked before, for what may have changed since. While no block came, what is consumed of the chain is still there.
    fn check_again(&self, candidate: &Candidate, rules: &dyn TransactionRules) -> Result<(), Reject> {
        let facts = &candidate.transaction.facts;
        self.is_free(facts)?;
        if candidate.on_chain_at == Some(self.height) {
            return Ok(());
        }
        match self.missing(facts, rules)? {
            Some(resource) => Err(unless_confirmed(facts, Reject::UnknownInput { resource }, rules)?),
            None if facts.consumes.is_empty() && rules.is_confirmed(&facts.id)? => {
                Err(Reject::AlreadyKnown { txid: facts.id })
            }
            None => Ok(()),
        }
    }

    /// The first of what it consumes that is neither here nor on the chain.
    fn missing(&self, facts: &TransactionFacts, rules: &dyn TransactionRules) -> Result<Option<Resource>, ReadError> {
        for resource in facts.consumes.iter() {
            if !self.exists(resource, rules)? {
                return Ok(Some(*resource));
            }
        }
        Ok(None)
    }

    /// Whether a transaction here produces it, or it is on the chain.
    pub(crate) fn exists(&self, resource: &Resource, rules: &dyn TransactionRules) -> Result<bool, ReadError> {
        Ok(self.graph.is_produced(resource) || rules.is_available(resource)?)
    }

    /// Neither the transaction itself is here nor another that consumes the same.
    fn is_free(&self, facts: &TransactionFacts) -> Result<(), Reject> {
        if self.graph.get(&facts.id).is_some() {
            return Err(Reject::AlreadyKnown { txid: facts.id });
        }
        for resource in facts.consumes.iter() {
            if let Some(with) = self.graph.consumer(resource) {
                return Err(Reject::Conflict { with, resource: *resource });
            }
        }
        Ok(())
    }

    /// Whether there is a place for the candidate, and who must leave for it.
    fn plan(&self, now: Instant, candidate: &Candidate) -> Result<Vec<TxId>, Reject> {
        let parents = self.graph.parents(&candidate.transaction.facts);
        let ancestors = self.graph.ancestors(&parents, self.limits.ancestors_max);
        if ancestors.len() + 1 > self.limits.ancestors_max {
            return Err(Reject::TooManyAncestors { count: ancestors.len() + 1, max: self.limits.ancestors_max });
        }
        let needed = self.floor_rate(now).fee_for(candidate.size());
        if candidate.fee < needed {
            return Err(Reject::FeeBelowFloor { needed, offered: candidate.fee });
        }
        if let Source::Peer(peer) = candidate.source {
            let (used, max) = (self.graph.peer_bytes(&peer), self.limits.peer_bytes_max);
            if used.saturating_add(candidate.size()) > max {
                return Err(Reject::PeerShare { used, max });
            }
        }
        self.make_room(candidate, &ancestors)
    }

    /// The worst transactions, with their descendants, that must leave. Only those worse than the candidate, never its ancestors.
    fn make_room(&self, candidate: &Candidate, ancestors: &BTreeSet<TxId>) -> Result<Vec<TxId>, Reject> {
        let offered = FeeRate::new(candidate.fee, u64::try_from(candidate.size()).unwrap_or(u64::MAX));
        let mut victims = Vec::new();
        let mut leaving = BTreeSet::new();
        let (mut count, mut bytes) = (self.graph.len() + 1, self.graph.bytes().saturating_add(candidate.size()));
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

    fn remember(&mut self, now: Instant, facts: &TransactionFacts, source: Source, reject: &Reject) {
        let keep = match reject {
            Reject::AlreadyKnown { .. }
            | Reject::RecentlyRejected { .. }
            | Reject::UnknownInput { .. }
            | Reject::PeerShare { .. }
            | Reject::Unreadable(_) => return,
            Reject::TooLarge { .. } | Reject::Invalid(_) => self.limits.reject_invalid_for,
            Reject::Conflict { with: first, resource } => {
                let (resource, first, second) = (*resource, *first, facts.id);
                self.report_conflict(Conflict { resource, first, second, source: Some(source), seen: now });
                self.limits.reject_passing_for
            }
            Reject::TooManyAncestors { .. } | Reject::FeeBelowFloor { .. } | Reject::Full { .. } => {
                self.limits.reject_passing_for
            }
        };
        self.rejects.expire(now);
        self.rejects.insert(facts.full_id, now + keep);
    }

    /// Reports each pair once for as long as it is remembered.
    pub(crate) fn report_conflict(&mut self, conflict: Conflict) {
        let same = |old: &Conflict| {
            old.resource == conflict.resource && old.first == conflict.first && old.second == conflict.second
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

/// The refusal, or that the transaction is in a final block: then nothing else needs to be said of it.
fn unless_confirmed(
    facts: &TransactionFacts,
    refused: Reject,
    rules: &dyn TransactionRules,
) -> Result<Reject, ReadError> {
    let is_confirmed = rules.is_confirmed(&facts.id)?;
    Ok(if is_confirmed { Reject::AlreadyKnown { txid: facts.id } } else { refused })
}
