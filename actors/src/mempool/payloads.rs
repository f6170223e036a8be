//! Transactions for blocks: the best ones for a block of ours, and those that another's compact block names.

use super::messages::{ChosenPayload, Rebuild};
use super::{BuildPayload, MempoolActor, PAYLOADS_MAX, PendingPayload};
use actix::{Handler, ResponseFuture};
use std::sync::Arc;
use timed_chain::{CompactBlockFault, PartialBlock, PoolTransaction};
use tokio::sync::oneshot;

impl MempoolActor {
    /// Answers those whose parent is applied.
    pub(super) fn answer_payloads(&mut self) {
        // While a block is being taken out, the pool may still hold what is in it.
        let height = self.jobs.is_empty().then(|| self.pool.height());
        let (ready, waiting) = self.payloads.drain(..).partition(|p| Some(p.request.parent_height) <= height);
        self.payloads = waiting;
        for PendingPayload { request, answer } in ready {
            let _ = answer.send(self.choose(&request));
        }
    }

    fn choose(&self, request: &BuildPayload) -> ChosenPayload {
        let transactions = self.pool.build_payload(request.bytes_max, usize::MAX);
        let now = self.clock.now();
        let is_young = |one: &&Arc<PoolTransaction>| {
            self.pool.arrived(&one.facts.id).is_none_or(|arrived| now.since(arrived) < request.young_for)
        };
        let young = transactions.iter().filter(is_young).map(|one| one.facts.full_id).collect();
        ChosenPayload { transactions, young }
    }
}

impl Handler<BuildPayload> for MempoolActor {
    type Result = ResponseFuture<Option<ChosenPayload>>;

    fn handle(&mut self, request: BuildPayload, ctx: &mut Self::Context) -> Self::Result {
        let (answer, payload) = oneshot::channel();
        if self.payloads.len() >= PAYLOADS_MAX {
            // The oldest asker is answered with nothing: its height is long over.
            self.payloads.remove(0);
        }
        self.payloads.push(PendingPayload { request, answer });
        self.after(ctx);
        Box::pin(async move { payload.await.ok() })
    }
}

impl Handler<Rebuild> for MempoolActor {
    type Result = Result<PartialBlock, CompactBlockFault>;

    fn handle(&mut self, Rebuild(compact): Rebuild, _ctx: &mut Self::Context) -> Self::Result {
        let pooled = self.pool.transactions_from(0).map(|(transaction, ..)| transaction);
        let all = pooled.chain(self.queue.transactions()).chain(&self.checking);
        PartialBlock::new(compact, all.map(|one| (one.facts.full_id, one.bytes.clone())))
    }
}
