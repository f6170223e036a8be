//! The way into the pool: everything but signatures first, then signatures in batches off the actor's thread, then the pool.

use super::checking::{Answer, Checking, Child, reply, valid_ones};
use super::{MempoolActor, Refusal, SubmitError};
use crate::messages::{Penalize, Useful};
use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use std::sync::Arc;
use std::time::Duration;
use timed_mempool::{Reject, Source};
use timed_peer::Offence;
use timed_primitives::{Instant, Transaction, TxId};
use tracing::trace;

/// After a batch of signatures the next one waits this long for each transaction of that batch, from its start. So one that comes alone is
/// checked at once, and under load more are checked together, which costs half.
const GATHER_EACH: Duration = Duration::from_micros(500);
/// The longest such wait.
const GATHER_MAX: Duration = Duration::from_millis(10);
/// Shortest time between two words of thanks for a transaction, whoever brought it: a sample says enough.
const THANKS_EACH: Duration = Duration::from_millis(100);
impl MempoolActor {
    /// Queues a transaction for the check of its signatures, or refuses it and returns false.
    pub(super) fn pre_check(&mut self, transaction: Arc<Transaction>, source: Source, answer: Option<Answer>) -> bool {
        if self.keeping.is_closing {
            reply(answer, Err(SubmitError::Closing));
            return false;
        }
        if !self.queue.has_room(transaction.size_bytes(), source) {
            self.dropped += 1;
            reply(answer, Err(SubmitError::Busy(self.queue.len())));
            return false;
        }
        let now = self.clock.now();
        match self.pool.pre_check(now, Arc::clone(&transaction), source, &self.chain) {
            Ok(candidate) => {
                self.queue.push(Checking { candidate, answer });
                true
            }
            Err(reject) => {
                match (&reject, source) {
                    (Reject::UnknownInput { outpoint }, Source::Peer(peer)) => {
                        self.relay.on_unknown_input(now, peer, transaction, outpoint.txid);
                    }
                    (Reject::UnknownInput { outpoint }, Source::Local) if self.queue.is_under_way(&outpoint.txid) => {
                        let child = Child { id: transaction.id(), transaction, answer };
                        self.queue.push_child(outpoint.txid, child);
                        return true;
                    }
                    _ => {}
                }
                trace!(reason = reject.name(), "transaction refused");
                self.answer_refused(source, answer, reject);
                false
            }
        }
    }

    /// Says who brought the latest transaction, now and then.
    fn thank(&mut self, now: Instant, source: Source) {
        if let (Source::Peer(peer), true) = (source, now >= self.next_thanks) {
            self.next_thanks = now + THANKS_EACH;
            self.network.useful.do_send(Useful { peer });
        }
    }

    /// Checks the signatures of what waits, batch by batch, while more gathers.
    pub(super) fn check_signatures(&mut self, ctx: &mut Context<Self>) {
        if self.is_checking || self.is_batch_planned || self.queue.is_empty() {
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
        self.is_checking = true;
        let (batch, items) = self.queue.take_batch();
        let gather = GATHER_EACH.saturating_mul(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        self.next_batch = now + gather.min(GATHER_MAX);
        let threads = self.threads.clone();
        let checked = async move { threads.compute(move || valid_ones(&items)).await };
        ctx.spawn(checked.into_actor(self).map(move |valid, actor, ctx| {
            actor.is_checking = false;
            match valid {
                Some(valid) => {
                    for (checking, is_valid) in batch.into_iter().zip(valid) {
                        let txid = checking.candidate.txid();
                        actor.on_checked(checking, is_valid, ctx);
                        actor.retry_children(&txid);
                    }
                }
                // Our own fault or our own end, nobody else's.
                None => {
                    for checking in batch {
                        let txid = checking.candidate.txid();
                        reply(checking.answer, Err(SubmitError::Busy(actor.queue.len())));
                        actor.retry_children(&txid);
                    }
                }
            }
            actor.check_signatures(ctx);
            actor.after(ctx);
        }));
    }

    /// What spends from a transaction that is checked now is looked at again; what is refused then has children of its own to tell.
    fn retry_children(&mut self, parent: &TxId) {
        let mut finished = vec![*parent];
        while let Some(id) = finished.pop() {
            for Child { id, transaction, answer } in self.queue.finished(&id) {
                if !self.pre_check(transaction, Source::Local, answer) {
                    finished.push(id);
                }
            }
        }
    }

    fn on_checked(&mut self, checking: Checking, is_valid: bool, ctx: &mut Context<Self>) {
        let Checking { candidate, answer } = checking;
        let now = self.clock.now();
        if !is_valid {
            self.pool.on_invalid_signature(now, &candidate);
            if let Source::Peer(peer) = candidate.source() {
                // Nobody honest passes on what he has not checked.
                self.network.penalize.do_send(Penalize { peer, offence: Offence::InvalidTransaction });
            }
            reply(answer, Err(SubmitError::BadSignature));
            return;
        }
        self.verified.insert([candidate.full_id()]);
        let source = candidate.source();
        if self.keeping.is_closing {
            return reply(answer, Err(SubmitError::Closing));
        }
        match self.pool.admit(now, candidate, &self.chain) {
            Ok(admitted) => {
                self.on_left(&admitted.evicted);
                let actions = self.relay.on_admitted(now, &admitted.txid, admitted.full_id);
                self.carry_out(actions, ctx);
                self.thank(now, source);
                self.on_admitted(admitted.txid, source, answer);
            }
            Err(reject) => self.answer_refused(source, answer, reject),
        }
    }

    /// A client's is kept before it is answered; a peer's may be one that was lost here before.
    fn on_admitted(&mut self, txid: TxId, source: Source, answer: Option<Answer>) {
        match source {
            Source::Local => self.answer_when_kept(txid, answer, Ok(txid)),
            Source::Peer(_) => self.on_brought_again(txid),
        }
    }

    /// What a peer brought and a client hands in counts as taken for the client, so it is kept like his own.
    fn answer_refused(&mut self, source: Source, answer: Option<Answer>, reject: Refusal) {
        match (source, &reject) {
            (Source::Local, Reject::AlreadyKnown { txid }) => {
                self.answer_when_kept(*txid, answer, Err(reject.into()));
            }
            _ => reply(answer, Err(reject.into())),
        }
    }
}
