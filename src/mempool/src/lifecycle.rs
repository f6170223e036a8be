//! From proposed to confirmed, and every exit from the pool.

use crate::event::{Conflict, PoolEvent, RemovalReason, Removed, ResourceState};
use crate::graph::{DecisionStage, PoolEntry};
use crate::pool::Pool;
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{CheckError, ReadError, Resource, TransactionFacts, TransactionRules};
use timed_primitives::{BlockId, Height, Instant, TxId};

/// So many expire at a time, and their descendants.
const EXPIRED_PART_MAX: usize = 512;
/// How long an included transaction is not asked for again when late announcements arrive.
const INCLUDED_FOR: Duration = Duration::from_secs(120);

impl Pool {
    /// A block with these transactions was proposed for `height`. Those not in the pool are passed over.
    pub fn on_proposed(&mut self, block: BlockId, height: Height, transactions: impl IntoIterator<Item = TxId>) {
        if height <= self.height || self.proposed.contains_key(&block) {
            return;
        }
        while self.proposed.len() >= self.limits.proposed_max.max(1) {
            let Some(oldest) = self.proposed_order.front().copied() else { break };
            self.on_not_decided(oldest);
        }
        let mut held: Vec<TxId> = transactions.into_iter().filter(|id| self.graph.get(id).is_some()).collect();
        for id in &held {
            self.set_stage(id, DecisionStage::Proposed(block));
        }
        held.sort_unstable();
        self.proposed.insert(block, (height, held));
        self.proposed_order.push_back(block);
    }

    /// The block will not be decided. Its transactions wait again, unless another proposed block holds them.
    pub fn on_not_decided(&mut self, block: BlockId) {
        self.proposed_order.retain(|other| *other != block);
        let Some((_, held)) = self.proposed.remove(&block) else { return };
        for id in held {
            if self.graph.get(&id).is_some_and(|entry| entry.stage == DecisionStage::Proposed(block)) {
                let other = self.proposed_order.iter().rev().find(|other| {
                    self.proposed.get(*other).is_some_and(|(_, others)| others.binary_search(&id).is_ok())
                });
                let stage = other.map_or(DecisionStage::Waiting, |other| DecisionStage::Proposed(*other));
                self.set_stage(&id, stage);
            }
        }
    }

    /// The block is decided and will be applied: what it consumes is final. It must have been proposed here before.
    pub fn on_decided(&mut self, block: BlockId) {
        let Some((height, held)) = self.proposed.get(&block).cloned() else { return };
        for id in held {
            self.set_stage(&id, DecisionStage::Decided(block, height));
        }
    }

    /// The block at `height` is applied. Takes out what it holds, and what consumes the same with its descendants; keeps the
    /// rest. To be called for every height in order; after a gap call [`Pool::revalidate`].
    ///
    /// A large block can be taken in parts, so that nobody waits for all of it: [`Pool::begin_commit`], [`Pool::commit_part`] for each part
    /// in order, [`Pool::end_commit`]. Until the end a payload may hold what the block holds.
    pub fn on_committed(&mut self, now: Instant, height: Height, transactions: &[TransactionFacts]) -> Vec<Removed> {
        self.begin_commit(height);
        let removed = self.commit_part(now, height, transactions);
        self.end_commit(now, height);
        removed
    }

    /// The block at `height` is applied on the chain: from now on nothing is taken that was looked up before it.
    pub fn begin_commit(&mut self, height: Height) {
        self.height = self.height.max(height);
    }

    /// Some transactions of the block.
    pub fn commit_part(&mut self, now: Instant, height: Height, part: &[TransactionFacts]) -> Vec<Removed> {
        let mut removed = Vec::new();
        for &TransactionFacts { id, full_id, ref consumes, .. } in part {
            let full_id = self.graph.get(&id).map_or(full_id, |entry| entry.full_id);
            self.included.insert(full_id, now + INCLUDED_FOR);
            removed.extend(self.take_included(&id, height));
            for &resource in consumes.iter() {
                if let Some(loser) = self.graph.consumer(&resource) {
                    let reason = RemovalReason::Conflict { with: id, resource, height };
                    removed.extend(self.remove_with_descendants(&loser, reason));
                    self.report_conflict(Conflict { resource, first: loser, second: id, source: None, seen: now });
                }
                self.remember_confirmed(resource, id, height);
            }
        }
        removed
    }

    /// All of the block was taken: what was proposed for its height and not decided waits again.
    pub fn end_commit(&mut self, now: Instant, height: Height) {
        let over = |(block, (at, _)): (&BlockId, &(Height, Vec<TxId>))| (*at <= height).then_some(*block);
        let over: Vec<BlockId> = self.proposed.iter().filter_map(over).collect();
        for block in over {
            self.end_proposal(block);
        }
        self.included.expire(now);
    }

    /// Checks all transactions against the chain again, signatures apart: after a gap in [`Pool::on_committed`]. `height` is the chain's.
    ///
    /// Many can be checked in parts: [`Pool::begin_commit`], and [`Pool::revalidate_part`] for the ids of [`Pool::transactions_from`] in their order.
    ///
    /// # Errors
    /// [`ReadError`] when our own state cannot be read.
    pub fn revalidate(&mut self, height: Height, rules: &dyn TransactionRules) -> Result<Vec<Removed>, ReadError> {
        self.begin_commit(height);
        let all = self.ids();
        self.revalidate_part(height, rules, &all)
    }

    /// Checks some transactions against the chain again.
    ///
    /// # Errors
    /// [`ReadError`] when our own state cannot be read.
    pub fn revalidate_part(
        &mut self,
        height: Height,
        rules: &dyn TransactionRules,
        part: &[TxId],
    ) -> Result<Vec<Removed>, ReadError> {
        let mut removed = Vec::new();
        for id in part {
            if rules.is_confirmed(id)? {
                removed.extend(self.take_included(id, height));
                continue;
            }
            let Some(entry) = self.graph.get(id) else { continue };
            let reason = match rules.check(&entry.transaction, &self.graph) {
                Ok(_) => continue,
                Err(CheckError::Missing(resource)) => RemovalReason::InputGone { resource },
                Err(CheckError::Refused(_) | CheckError::Undecodable(_)) => RemovalReason::Invalid,
                Err(CheckError::Read(error)) => return Err(error),
            };
            removed.extend(self.remove_with_descendants(id, reason));
        }
        Ok(removed)
    }

    /// Drops what has waited too long, a bounded number at a time. To be called at [`Pool::next_wake`], which is at once when more is left.
    pub fn on_wake(&mut self, now: Instant) -> Vec<Removed> {
        let mut removed = Vec::new();
        while let Some(entry) = self.graph.oldest() {
            if removed.len() >= EXPIRED_PART_MAX || now < entry.arrived + self.limits.expiry {
                break;
            }
            let id = entry.id;
            removed.extend(self.remove_with_descendants(&id, RemovalReason::Expired));
        }
        self.expired = self.expired.saturating_add(u64::try_from(removed.len()).unwrap_or(u64::MAX));
        removed
    }

    /// When [`Pool::on_wake`] has something to do.
    pub fn next_wake(&self) -> Option<Instant> {
        self.graph.oldest().map(|entry| entry.arrived + self.limits.expiry)
    }

    /// Where a resource stands; `None` when it never existed, or was consumed longer ago than is remembered here.
    ///
    /// # Errors
    /// [`ReadError`] when our own state cannot be read.
    pub fn resource_state(
        &self,
        resource: &Resource,
        rules: &dyn TransactionRules,
    ) -> Result<Option<ResourceState>, ReadError> {
        if let Some(consumer) = self.graph.consumer(resource).and_then(|id| self.graph.get(&id)) {
            return Ok(Some(consumed_state(consumer)));
        }
        if let Some((by, height)) = self.confirmed.get(resource) {
            return Ok(Some(ResourceState::Confirmed { by: *by, height: *height }));
        }
        Ok(self.exists(resource, rules)?.then_some(ResourceState::Available))
    }

    /// Takes out a transaction of a decided block. Ancestors still here must have been decided before, unnoticed.
    fn take_included(&mut self, id: &TxId, height: Height) -> Vec<Removed> {
        let Some(entry) = self.graph.get(id) else { return Vec::new() };
        let mut included: Vec<(u64, TxId)> = vec![(entry.sequence, *id)];
        let ancestors = self.graph.ancestors(&entry.parents, usize::MAX);
        included.extend(ancestors.iter().filter_map(|id| self.graph.get(id)).map(|entry| (entry.sequence, entry.id)));
        included.sort_unstable();
        let mut removed = Vec::new();
        for (_, id) in included {
            if let Some(entry) = self.graph.remove(&id) {
                self.included_weight = self.included_weight.saturating_add(entry.weight);
                for resource in entry.consumes() {
                    self.remember_confirmed(*resource, id, height);
                }
                removed.push(self.report_removed(id, RemovalReason::Included { height }));
            }
        }
        removed
    }

    /// Takes out a transaction and what depends on it, leaves first; reported parents first.
    pub(crate) fn remove_with_descendants(&mut self, id: &TxId, reason: RemovalReason) -> Vec<Removed> {
        let mut package = vec![*id];
        package.extend(self.graph.descendants(id));
        let mut removed = Vec::new();
        let gone = match reason {
            RemovalReason::Conflict { resource, .. } | RemovalReason::InputGone { resource } => Some(resource),
            _ => None,
        };
        for member in package.iter().rev() {
            if let Some(entry) = self.graph.remove(member) {
                for &resource in entry.consumes().iter().filter(|resource| Some(**resource) != gone) {
                    self.emit(PoolEvent::Resource { resource, state: ResourceState::Available });
                }
                let reason = if member == id { reason } else { RemovalReason::AncestorRemoved { ancestor: *id } };
                removed.push(self.report_removed(*member, reason));
            }
        }
        removed.reverse();
        removed
    }

    fn report_removed(&mut self, txid: TxId, reason: RemovalReason) -> Removed {
        let removed = Removed { txid, reason };
        self.emit(PoolEvent::Removed(removed));
        removed
    }

    fn remember_confirmed(&mut self, resource: Resource, by: TxId, height: Height) {
        if self.confirmed.insert(resource, (by, height)) {
            self.emit(PoolEvent::Resource { resource, state: ResourceState::Confirmed { by, height } });
        }
    }

    /// Its height is decided: forget the proposal; whatever of it is still here waits again.
    fn end_proposal(&mut self, block: BlockId) {
        let still = |stage: &DecisionStage| matches!(stage, DecisionStage::Proposed(b) | DecisionStage::Decided(b, _) if *b == block);
        let held = self.proposed.remove(&block).map(|(_, held)| held).unwrap_or_default();
        self.proposed_order.retain(|other| *other != block);
        for id in held {
            if self.graph.get(&id).is_some_and(|entry| still(&entry.stage)) {
                self.set_stage(&id, DecisionStage::Waiting);
            }
        }
    }

    fn set_stage(&mut self, id: &TxId, stage: DecisionStage) {
        if let Some(entry) = self.graph.set_stage(id, stage) {
            let (state, transaction) = (consumed_state(entry), Arc::clone(&entry.transaction));
            for &resource in transaction.facts.consumes.iter() {
                self.emit(PoolEvent::Resource { resource, state });
            }
        }
    }
}

fn consumed_state(consumer: &PoolEntry) -> ResourceState {
    let by = consumer.id;
    match consumer.stage {
        DecisionStage::Waiting => ResourceState::Locked { by },
        DecisionStage::Proposed(block) => ResourceState::Proposed { by, block },
        DecisionStage::Decided(block, height) => ResourceState::Decided { by, block, height },
    }
}
