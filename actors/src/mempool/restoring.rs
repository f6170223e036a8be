//! What waited when the last run ended is checked as if it came now, in small batches beside all other work, and announced to peers.

use super::MempoolActor;
use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{Resource, TransactionFacts};
use timed_mempool::{
    Candidate, KeepTrouble, KeptContents, KeptTransaction, Loss, LossReason, POOL_FILE, POOL_FILE_DAMAGED, Reject,
    Source, valid_ones,
};
use timed_primitives::{IdMap, Instant, TxId};
use tracing::{info, warn};

/// Transactions that are checked at a time: a few milliseconds of the actor's thread.
const BATCH: usize = 256;

/// What is still to be checked.
pub(super) struct Restoring {
    /// Lesser depths first; those of one depth may be checked together.
    waiting: VecDeque<(usize, KeptTransaction)>,
    /// Those whose signatures are being checked.
    checking: Vec<KeptTransaction>,
    ids: BTreeSet<TxId>,
    /// What they consume, also those that are checked already.
    consumers: IdMap<Resource, TxId>,
    expiry: Duration,
    back: usize,
    gone: usize,
}

impl Restoring {
    /// With what an earlier run left; says in the log what was wrong with the file.
    pub(super) fn new(found: Vec<(usize, KeptTransaction)>, expiry: Duration) -> Self {
        let ids = found.iter().map(|(_, kept)| kept.transaction.facts.id).collect();
        let consumes = |kept: &KeptTransaction| {
            let facts = &kept.transaction.facts;
            facts.consumes.iter().map(|resource| (*resource, facts.id)).collect::<Vec<_>>()
        };
        let consumers = found.iter().flat_map(|(_, kept)| consumes(kept)).collect();
        Self { waiting: found.into(), checking: Vec::new(), ids, consumers, expiry, back: 0, gone: 0 }
    }

    /// How many are not checked yet.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether this one is not checked yet.
    pub(super) fn has(&self, txid: &TxId) -> bool {
        self.ids.contains(txid)
    }

    /// Which of those that are not checked yet a transaction contradicts: they were here first.
    pub(super) fn conflict(&self, facts: &TransactionFacts) -> Option<Reject> {
        let consumer = |resource: &Resource| {
            let with = self.consumers.get(resource).filter(|id| **id != facts.id && self.ids.contains(id))?;
            Some(Reject::Conflict { resource: *resource, with: *with })
        };
        facts.consumes.iter().find_map(consumer)
    }

    /// What those consume that are not checked yet.
    pub(super) fn consumed(&self) -> impl Iterator<Item = Resource> {
        self.consumers.iter().filter(|(_, id)| self.ids.contains(id)).map(|(resource, _)| *resource)
    }

    /// Those that are not checked yet.
    pub(super) fn left(&self) -> impl Iterator<Item = &KeptTransaction> {
        self.checking.iter().chain(self.waiting.iter().map(|(_, kept)| kept))
    }

    fn next_batch(&mut self) -> Vec<KeptTransaction> {
        let Some((depth, _)) = self.waiting.front() else { return Vec::new() };
        let depth = *depth;
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some((_, kept)) = self.waiting.pop_front_if(|(other, _)| *other == depth)
        {
            batch.push(kept);
        }
        batch
    }
}

/// Says what was wrong with the file of the last run.
pub(super) fn report_trouble(found: &KeptContents) {
    let Some(problem) = &found.trouble else { return };
    let (waiting, losses) = (found.waiting.len(), found.losses.len());
    match problem {
        KeepTrouble::TornTail { .. } => {
            info!(file = POOL_FILE, %problem, waiting, losses, "the mempool's file was cut short")
        }
        _ if found.is_put_aside => warn!(
            file = POOL_FILE, aside = POOL_FILE_DAMAGED, %problem, waiting, losses,
            "the mempool's file is damaged and put aside; going on with what could be read"
        ),
        _ => {
            warn!(file = POOL_FILE, %problem, waiting, losses, "the mempool's file cannot be used; going on without it")
        }
    }
}

impl MempoolActor {
    /// Checks the next batch, unless one is being checked.
    pub(super) fn restore(&mut self, ctx: &mut Context<Self>) {
        if !self.restoring.checking.is_empty() {
            return;
        }
        let now = self.clock.now();
        let (mut candidates, mut items) = (Vec::new(), Vec::new());
        while candidates.is_empty() {
            let batch = self.restoring.next_batch();
            if batch.is_empty() {
                return;
            }
            for kept in batch {
                if let Some(mut candidate) = self.check_kept(now, &kept) {
                    items.push(candidate.take_signed_items());
                    candidates.push((candidate, kept.is_ours));
                    self.restoring.checking.push(kept);
                }
            }
            self.end_of_restoring();
        }
        let threads = self.threads.clone();
        let checked = async move { threads.compute(move || valid_ones(&items, items.len())).await };
        ctx.spawn(checked.into_actor(self).map(move |valid, actor, ctx| {
            // `None`: the process is ending, and the file keeps them.
            let Some(valid) = valid else { return };
            actor.restoring.checking.clear();
            for ((candidate, is_ours), is_valid) in candidates.into_iter().zip(valid) {
                actor.on_kept_checked(candidate, is_ours, is_valid, ctx);
            }
            actor.end_of_restoring();
            actor.restore(ctx);
            actor.after(ctx);
        }));
    }

    /// All but its signatures; what is refused is settled.
    fn check_kept(&mut self, now: Instant, kept: &KeptTransaction) -> Option<Candidate> {
        let txid = kept.transaction.facts.id;
        let age = self.clock.unix().since(kept.arrived);
        if age >= self.restoring.expiry {
            self.on_not_restored(txid, kept.is_ours, LossReason::Expired);
            return None;
        }
        let micros = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        match self.pool.check(now, kept.transaction.clone(), Source::Local, &self.rules) {
            Ok(candidate) => Some(candidate.arrived_at(Instant(now.0.saturating_sub(micros)))),
            Err(reject) => {
                self.on_kept_refused(txid, kept.is_ours, &reject);
                None
            }
        }
    }

    fn on_kept_checked(&mut self, candidate: Candidate, is_ours: bool, is_valid: bool, ctx: &mut Context<Self>) {
        let (now, txid) = (self.clock.now(), candidate.txid());
        if !is_valid {
            return self.on_not_restored(txid, is_ours, LossReason::Invalid);
        }
        self.verified.insert([Arc::clone(candidate.transaction())]);
        match self.pool.admit(now, candidate, &self.rules) {
            Ok(admitted) => {
                self.restoring.ids.remove(&txid);
                self.restoring.back += 1;
                if is_ours {
                    self.keeping.on_restored(txid);
                }
                self.on_left(&admitted.evicted);
                let facts = &admitted.transaction.facts;
                let actions = self.relay.on_admitted(now, facts.full_id, &facts.produces);
                self.admission.on_pooled(now);
                self.carry_out(actions, ctx);
            }
            Err(reject) => self.on_kept_refused(txid, is_ours, &reject),
        }
    }

    fn on_kept_refused(&mut self, txid: TxId, is_ours: bool, reject: &Reject) {
        if let Reject::Unreadable(_) = reject {
            // The process is ending, and the file keeps it.
            return;
        }
        match LossReason::of_refusal(reject) {
            Some(reason) => self.on_not_restored(txid, is_ours, reason),
            // Final since, or here already, by a peer.
            None => {
                self.restoring.ids.remove(&txid);
                if is_ours && self.pool.contains(&txid) {
                    self.answer_when_kept(txid, None, Ok(txid));
                }
            }
        }
    }

    fn on_not_restored(&mut self, txid: TxId, is_ours: bool, reason: LossReason) {
        self.restoring.ids.remove(&txid);
        self.restoring.gone += 1;
        if is_ours {
            self.keeping.on_lost(self.clock.now(), Loss { txid, reason, at: self.clock.unix() });
        }
    }

    fn end_of_restoring(&mut self) {
        if self.restoring.ids.is_empty() && self.restoring.waiting.is_empty() {
            let Restoring { back, gone, .. } = self.restoring;
            info!(back, gone, "the mempool of the last run was checked again");
            self.restoring.consumers = IdMap::default();
            // What became final in the meantime leaves the file.
            self.keeping.rewrite_soon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_chain::PoolTransaction;
    use timed_primitives::{Hash, TxFullId, UnixTime};

    fn kept(number: u8, consumes: &[u8]) -> KeptTransaction {
        let (id, full_id) = (TxId(Hash([number; 32])), TxFullId(Hash([number; 32])));
        let consumes = consumes.iter().map(|n| Resource { origin: Hash([*n; 32]), index: 0 }).collect();
        let facts = TransactionFacts {
            id,
            full_id,
            size_bytes: 1,
            signatures: 1,
            is_statement: false,
            consumes,
            produces: Arc::default(),
        };
        let transaction = Arc::new(PoolTransaction::new(vec![number].into(), facts));
        KeptTransaction { transaction, arrived: UnixTime(0), is_ours: true }
    }

    #[test]
    fn what_waits_for_its_check_was_here_before_what_comes_now() {
        let mut restoring = Restoring::new(vec![(0, kept(1, &[1, 2])), (0, kept(2, &[3]))], Duration::from_secs(9));
        let with = |restoring: &Restoring, other: &KeptTransaction| match restoring.conflict(&other.transaction.facts) {
            Some(Reject::Conflict { with, .. }) => Some(with.0.0[0]),
            Some(_) | None => None,
        };
        assert_eq!(with(&restoring, &kept(7, &[9, 2])), Some(1));
        assert_eq!(with(&restoring, &kept(7, &[3])), Some(2));
        assert_eq!(with(&restoring, &kept(7, &[4])), None);
        assert_eq!(with(&restoring, &kept(1, &[1, 2])), None, "itself");
        assert_eq!(restoring.consumed().count(), 3);
        restoring.ids.remove(&TxId(Hash([1; 32])));
        assert_eq!(with(&restoring, &kept(7, &[9, 2])), None, "the pool knows by now");
        assert_eq!(restoring.consumed().count(), 1);
    }
}
