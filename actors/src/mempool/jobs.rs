//! Work that grows with the block or the pool, done in parts, so that nothing else waits for all of it.

use super::MempoolActor;
use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use std::collections::VecDeque;
use std::sync::Arc;
use timed_chain::CommittedBlock;
use timed_chain::TransactionFacts;
use timed_mempool::Admission;
use timed_primitives::{Height, Instant, TxId};

/// Transactions of one part. A block of a light load is one part, done at once.
const PART: usize = 256;

/// Work under way, oldest first. Payloads are built when there is none: until then the pool may hold what a block holds.
#[derive(Default)]
pub(super) struct Jobs {
    queue: VecDeque<Job>,
    is_planned: bool,
}

enum Job {
    Commit {
        height: Height,
        transactions: Arc<[TransactionFacts]>,
        next: usize,
        /// Weight that had left the pool by blocks before this one.
        included_before: u64,
        has_finality: bool,
    },
    Revalidate {
        ids: Vec<TxId>,
        next: usize,
    },
}

impl Jobs {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

impl MempoolActor {
    /// A block is applied on the chain.
    pub(super) fn begin_commit(&mut self, committed: CommittedBlock, ctx: &mut Context<Self>) {
        let CommittedBlock { block, transactions, .. } = committed;
        let height = block.height();
        self.pool.begin_commit(height);
        self.pool.on_decided(block.id());
        self.begin(Job::Commit { height, transactions, next: 0, included_before: 0, has_finality: false }, ctx);
    }

    /// The chain is to be asked again about all transactions.
    pub(super) fn begin_revalidation(&mut self, ctx: &mut Context<Self>) {
        // One that has not begun yet asks about all of them too.
        let is_waiting = |job: &Job| matches!(job, Job::Revalidate { next: 0, .. });
        if !self.jobs.queue.iter().any(is_waiting) {
            self.begin(Job::Revalidate { ids: Vec::new(), next: 0 }, ctx);
        }
    }

    fn begin(&mut self, job: Job, ctx: &mut Context<Self>) {
        self.jobs.queue.push_back(job);
        if !self.jobs.is_planned {
            self.work(ctx);
        }
    }

    /// Does one part. What is left is done after whatever else this thread has to do.
    fn work(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        if let Some(job) = self.jobs.queue.pop_front()
            && let Some(rest) = self.part_of(job, now, ctx)
        {
            self.jobs.queue.push_front(rest);
        }
        if !self.jobs.is_empty() {
            self.jobs.is_planned = true;
            ctx.spawn(tokio::task::yield_now().into_actor(self).map(|(), actor, ctx| {
                actor.jobs.is_planned = false;
                actor.work(ctx);
            }));
        }
        self.after(ctx);
    }

    /// What is left of a job after its next part.
    fn part_of(&mut self, job: Job, now: Instant, ctx: &mut Context<Self>) -> Option<Job> {
        match job {
            Job::Commit { height, transactions, next, included_before, has_finality } => {
                let before = if next == 0 { self.pool.included_weight() } else { included_before };
                let end = (next + PART).min(transactions.len());
                let part = transactions.get(next..end).unwrap_or_default();
                let has_finality = self.commit_part(now, height, part, ctx) || has_finality;
                if end < transactions.len() {
                    let included_before = before;
                    return Some(Job::Commit { height, transactions, next: end, included_before, has_finality });
                }
                self.pool.end_commit(now, height);
                self.on_block_applied(now, before);
                // Consensus takes the pool to be empty when a block is final; the true state is reported to it.
                self.reported_payload = None;
                if has_finality {
                    self.summary = self.finality.summary();
                }
                None
            }
            Job::Revalidate { ids, next } => {
                let ids = if next == 0 { self.pool.ids() } else { ids };
                let end = (next + PART).min(ids.len());
                let part = ids.get(next..end).unwrap_or_default();
                // What cannot be read ends the process.
                let removed = self.pool.revalidate_part(self.pool.height(), &self.rules, part).ok()?;
                self.on_left(&removed);
                (end < ids.len()).then_some(Job::Revalidate { ids, next: end })
            }
        }
    }

    /// Takes out some transactions of a block. Returns whether one of them had waited here.
    fn commit_part(
        &mut self,
        now: Instant,
        height: Height,
        part: &[TransactionFacts],
        ctx: &mut Context<Self>,
    ) -> bool {
        let arrived: Vec<Instant> = part.iter().filter_map(|facts| self.pool.arrived(&facts.id)).collect();
        for at in &arrived {
            self.finality.record(now.since(*at));
        }
        let removed = self.pool.commit_part(now, height, part);
        self.on_left(&removed);
        for facts in part {
            let actions = self.relay.on_available(&facts.produces);
            self.carry_out(actions, ctx);
        }
        !arrived.is_empty()
    }

    /// How much a block took, for admission.
    fn on_block_applied(&mut self, now: Instant, included_before: u64) {
        let taken = self.pool.included_weight() - included_before;
        let (clients, peers) = self.pool.weights();
        let left = clients.saturating_add(peers);
        let old = self.pool.weight_before(self.admission.last_block(), Admission::old_weight(taken));
        self.admission.on_block(now, taken, old, left);
    }
}
