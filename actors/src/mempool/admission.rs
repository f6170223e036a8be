//! The way into the pool: everything but signatures first, then signatures in batches off the actor's thread, then the pool.

use super::asker::{Asker, check_fee, reply};
use super::{MempoolActor, Submit, SubmitError};
use crate::messages::{Penalize, Useful};
use crate::threads::Work;
use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use std::sync::Arc;
use std::time::Duration;
use timed_chain::PoolTransaction;
use timed_mempool::{
    Candidate, Load, PendingCheck, PendingChild, Reject, SignatureBatch, Source, Waiter as _, valid_ones,
};
use timed_peer::Offence;
use timed_primitives::{Instant, PublicKey, TxId};
use tracing::trace;

/// After a batch of signatures the next one waits this long for each transaction of that batch, from its start. So one that comes alone is
/// checked at once, and under load more are checked together, which costs half.
const GATHER_EACH: Duration = Duration::from_micros(500);
/// The longest such wait.
const GATHER_MAX: Duration = Duration::from_millis(10);
/// Shortest time between two reports of a useful peer, whoever it is: a sample says enough.
const USEFUL_EACH: Duration = Duration::from_millis(100);
/// Weight of an ordinary payment, until peers' transactions show what is usual.
pub(super) const USUAL_WEIGHT: u64 = 364;

/// The key that a client's transaction is counted under, should its signatures be invalid.
fn suspect_key(candidate: &Candidate) -> Option<PublicKey> {
    candidate.first_signer().filter(|_| candidate.source() == Source::Local)
}

impl MempoolActor {
    /// A client hands in a transaction that the gate let through.
    pub(super) fn on_submit(&mut self, submit: Submit, ctx: &mut Context<Self>) {
        let Submit { transaction, answer, ticket } = submit;
        if answer.is_gone() {
            self.abandoned += 1;
            return;
        }
        self.pre_check(transaction, Source::Local, Some(answer));
        self.publish_budget();
        drop(ticket);
        self.check_signatures(ctx);
    }

    /// Says how much may come in on top of what waits.
    pub(super) fn publish_budget(&mut self) {
        let (pool_clients, pool_peers) = self.pool.weights();
        let queue = self.queue.weights();
        let (queue_clients, queue_peers) = (queue.clients, queue.peers);
        let budget = self.admission.budget(&Load { pool_clients, pool_peers, queue_clients, queue_peers });
        self.gate.publish(&budget, self.queue.len() + self.pool.len());
        // Peers announce ids: how large what they have is, shows what they brought.
        let room = usize::try_from(budget.peers.div_ceil(self.usual_weight.max(1))).unwrap_or(usize::MAX);
        self.relay.set_room(room);
    }

    /// Asks peers for what was put off, as far as there is room.
    pub(super) fn ask_for_more(&mut self, ctx: &mut Context<Self>) {
        if self.relay.has_put_off() {
            let now = self.clock.now();
            let pool = &self.pool;
            let actions = self.relay.on_room(now, |id| pool.is_known(now, id));
            self.carry_out(actions, ctx);
        }
    }

    /// Queues a transaction for the check of its signatures, or refuses it and returns false.
    pub(super) fn pre_check(
        &mut self,
        transaction: Arc<PoolTransaction>,
        source: Source,
        answer: Option<Asker>,
    ) -> bool {
        if self.keeping.is_closing {
            reply(answer, Err(SubmitError::Closing));
            return false;
        }
        if let (Source::Local, Some(reject)) = (source, self.restoring.conflict(&transaction.facts)) {
            reply(answer, Err(reject.into()));
            return false;
        }
        let (bytes, signatures) = (transaction.facts.size_bytes, transaction.facts.signatures);
        if !self.queue.has_room(bytes, source) {
            self.dropped += 1;
            reply(answer, Err(self.gate.busy(timed_mempool::weight(bytes, signatures))));
            return false;
        }
        let now = self.clock.now();
        match self.pool.pre_check(now, Arc::clone(&transaction), source, &self.rules) {
            Ok(candidate) => {
                let fee_rate_max = answer.as_ref().and_then(|asker| asker.fee_rate_max);
                if let Err(error) = check_fee(&candidate, fee_rate_max) {
                    reply(answer, Err(error));
                    return false;
                }
                if let Some(key) = suspect_key(&candidate) {
                    if self.suspects.is_full(now, &key) {
                        reply(answer, Err(self.gate.busy(candidate.weight())));
                        return false;
                    }
                    self.suspects.on_queued(&key);
                }
                self.queue.push(PendingCheck { candidate, answer, since: now });
                true
            }
            Err(reject) => {
                if let Reject::UnknownInput { resource } = &reject {
                    match (source, self.queue.producer(resource)) {
                        (Source::Peer(peer), _) => self.relay.on_unknown_input(now, peer, transaction, *resource),
                        (Source::Local, Some(parent)) => {
                            self.queue.push_child(parent, PendingChild { transaction, answer });
                            return true;
                        }
                        (Source::Local, None) => {}
                    }
                }
                trace!(reason = reject.name(), "transaction refused");
                self.answer_refused(source, answer, reject);
                false
            }
        }
    }

    /// Says who brought the latest transaction, now and then.
    fn report_useful(&mut self, now: Instant, source: Source) {
        if let (Source::Peer(peer), true) = (source, now >= self.next_useful) {
            self.next_useful = now + USEFUL_EACH;
            self.network.useful.do_send(Useful { peer });
        }
    }

    /// Checks the signatures of what waits, batch by batch, while more gathers.
    pub(super) fn check_signatures(&mut self, ctx: &mut Context<Self>) {
        if !self.checking.is_empty() || self.is_batch_planned || self.queue.is_empty() {
            return;
        }
        let now = self.clock.now();
        let early = self.next_batch.since(now);
        if !early.is_zero() && !self.queue.has_full_batch() {
            self.is_batch_planned = true;
            ctx.run_later(early, |actor, ctx| {
                actor.is_batch_planned = false;
                actor.check_signatures(ctx);
            });
            return;
        }
        let suspects = &self.suspects;
        let is_suspect = |candidate: &Candidate| suspect_key(candidate).is_some_and(|key| suspects.contains(now, &key));
        let mut batch = self.queue.take_batch(now, is_suspect);
        let (pool, verified) = (&self.pool, &self.verified);
        batch.skip_checked(|known| verified.contains(known) || pool.is_included(now, &known.facts.full_id));
        self.give_back(&mut batch);
        if batch.checking.is_empty() {
            // Only a child of one that was given back can be in the queue now.
            return self.check_signatures(ctx);
        }
        self.checking = batch.checking.iter().map(|checking| Arc::clone(checking.candidate.transaction())).collect();
        let gather = GATHER_EACH.saturating_mul(u32::try_from(batch.checking.len()).unwrap_or(u32::MAX));
        self.next_batch = now + gather.min(GATHER_MAX);
        self.admission.on_check(now);
        let (threads, items, together) = (self.threads.clone(), std::mem::take(&mut batch.items), batch.together);
        let work = Work::Signatures(items.iter().map(Vec::len).sum());
        let checked = async move { threads.compute_work(work, move || valid_ones(&items, together)).await };
        ctx.spawn(checked.into_actor(self).map(move |valid, actor, ctx| {
            actor.checking.clear();
            actor.threads.occupy(Work::Admit(batch.checking.len()), ctx);
            actor.on_batch(batch, valid, ctx);
            actor.check_signatures(ctx);
            actor.after(ctx);
        }));
    }

    fn on_batch(&mut self, batch: SignatureBatch<Asker>, valid: Option<Vec<bool>>, ctx: &mut Context<Self>) {
        let weight = self.queue.batch_done(&batch);
        self.admission.on_checked(self.clock.now(), weight, !self.queue.is_empty());
        // None: our own fault or our own end, nobody else's.
        let outcomes = valid.map(|valid| valid.into_iter().map(Some).collect());
        let outcomes: Vec<Option<bool>> = outcomes.unwrap_or_else(|| vec![None; batch.checking.len()]);
        for (checking, outcome) in batch.checking.into_iter().zip(outcomes) {
            let transaction = Arc::clone(checking.candidate.transaction());
            if let Some(key) = suspect_key(&checking.candidate) {
                self.suspects.on_left(&key);
            }
            match outcome {
                Some(is_valid) => self.on_checked(checking, is_valid, ctx),
                None => reply(checking.answer, Err(SubmitError::Closing)),
            }
            self.retry_children(&transaction);
        }
    }

    /// Those that nobody waits for any more, and those that waited too long, are not checked.
    fn give_back(&mut self, batch: &mut SignatureBatch<Asker>) {
        for key in batch.abandoned.iter().chain(&batch.late).filter_map(|checking| suspect_key(&checking.candidate)) {
            self.suspects.on_left(&key);
        }
        for checking in std::mem::take(&mut batch.abandoned) {
            self.abandoned += 1;
            self.retry_children(checking.candidate.transaction());
        }
        for checking in std::mem::take(&mut batch.late) {
            reply(checking.answer, Err(self.gate.busy(checking.candidate.weight())));
            self.retry_children(checking.candidate.transaction());
        }
    }

    /// What depends on a transaction that is checked now is checked again; what is refused then has children of its own that must learn of it.
    fn retry_children(&mut self, parent: &Arc<PoolTransaction>) {
        let mut finished = vec![Arc::clone(parent)];
        while let Some(parent) = finished.pop() {
            for PendingChild { transaction, answer } in self.queue.finished(&parent.facts) {
                if !self.pre_check(Arc::clone(&transaction), Source::Local, answer) {
                    finished.push(transaction);
                }
            }
        }
    }

    fn on_checked(&mut self, checking: PendingCheck<Asker>, is_valid: bool, ctx: &mut Context<Self>) {
        let PendingCheck { candidate, answer, .. } = checking;
        let now = self.clock.now();
        if !is_valid {
            self.pool.on_invalid_signature(now, &candidate);
            if let Some(key) = suspect_key(&candidate) {
                self.suspects.on_invalid(now, key);
            }
            if let Source::Peer(peer) = candidate.source() {
                // Nobody honest passes on what he has not checked.
                self.network.penalize.do_send(Penalize { peer, offence: Offence::InvalidTransaction });
            }
            reply(answer, Err(SubmitError::BadSignature));
            return;
        }
        self.verified.insert([Arc::clone(candidate.transaction())]);
        let source = candidate.source();
        if self.keeping.is_closing {
            return reply(answer, Err(SubmitError::Closing));
        }
        match self.pool.admit(now, candidate, &self.rules) {
            Ok(admitted) => {
                self.on_left(&admitted.evicted);
                let facts = &admitted.transaction.facts;
                let actions = self.relay.on_admitted(now, facts.full_id, &facts.produces);
                self.admission.on_pooled(now);
                self.carry_out(actions, ctx);
                self.report_useful(now, source);
                self.on_admitted(facts.id, source, answer);
            }
            Err(reject) => self.answer_refused(source, answer, reject),
        }
    }

    /// A client's is kept before it is answered; a peer's may be one that was lost here before.
    fn on_admitted(&mut self, txid: TxId, source: Source, answer: Option<Asker>) {
        match source {
            Source::Local => self.answer_when_kept(txid, answer, Ok(txid)),
            Source::Peer(_) => self.on_brought_again(txid),
        }
    }

    /// What a peer brought and a client hands in counts as taken for the client, so it is kept like his own.
    fn answer_refused(&mut self, source: Source, answer: Option<Asker>, reject: Reject) {
        match (source, &reject) {
            (Source::Local, Reject::AlreadyKnown { txid }) => {
                self.answer_when_kept(*txid, answer, Err(reject.into()));
            }
            _ => reply(answer, Err(reject.into())),
        }
    }
}
