//! The ledger actor: the one writer of the chain, on a thread of its own where waiting for the disk hurts nobody.

use crate::fatal::FatalHandle;
use crate::threads::{Threads, Work};
use actix::{
    Actor, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, Message, Recipient, SpawnHandle, WrapFuture,
};
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{
    AssembleError, Assembled, BlockError, ChainWriter, CommittedBlock, Draft, TransactionFacts, ValidationError,
};
use timed_consensus::verify_certificate;
use timed_primitives::{Block, BlockId, CommitCertificate, Height};
use tokio::sync::watch;
use tracing::{info, warn};

/// How long new blocks wait in memory before the store is brought up to date. Their finality is the block log's, so this is a matter of
/// how much is replayed after a crash (at most 64 blocks), and of leaving the disk to votes under load. They wait for less when they are many.
const FLUSH_AFTER: Duration = Duration::from_millis(500);

/// Validates a proposed block on top of the tip. Answer: valid, or the rule it breaks.
#[derive(Message)]
#[rtype(result = "Validity")]
pub struct Validate(pub Arc<Block>);

/// What is said of a proposed block.
#[derive(Debug)]
pub enum Validity {
    /// Every rule holds. Its transactions.
    Valid(Arc<[TransactionFacts]>),
    /// It breaks a rule.
    Invalid(Box<BlockError>),
    /// It is not for the next height: nothing can be said.
    NotNext,
}

/// Makes a block on top of `parent`. Answer: the block; `None` when the tip has moved on.
#[derive(Message)]
#[rtype(result = "Option<Assembled>")]
pub struct Assemble {
    /// The block it comes after.
    pub parent: BlockId,
    /// What goes in.
    pub draft: Draft,
}

/// Takes over a decided block; [`Committed`] follows when it is on disk. A height that is final already is passed over.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Commit {
    /// The block.
    pub block: Arc<Block>,
    /// Its certificate, verified.
    pub certificate: CommitCertificate,
}

/// Takes over decided blocks of consecutive heights with one sync.
#[derive(Message)]
#[rtype(result = "CommitManyOutcome")]
pub struct CommitMany(pub Vec<SyncedBlock>);

/// A block from a peer: whole, and the one that its certificate names.
#[derive(Clone, Debug)]
pub struct SyncedBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Why it is final.
    pub certificate: CommitCertificate,
    /// Whether the certificate was checked. Otherwise it could not be: who decides its height follows from blocks that were not there.
    pub is_certified: bool,
}

/// How far [`CommitMany`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitManyOutcome {
    /// The height of the tip afterwards.
    pub tip: Height,
    /// The block whose certificate turned out to be signed by others than those who decide its height.
    pub refused: Option<Height>,
}

/// A block is final on this node.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct Committed(pub CommittedBlock);

/// Brings the store up to date before the process ends. Answer: whether it worked; nothing final depends on it.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct FlushNow;

/// The chain's tip, for those who wait for blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TipSeen {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
}

/// Owns the chain.
pub struct LedgerActor {
    ledger: Box<dyn ChainWriter>,
    threads: Threads,
    listeners: Vec<Recipient<Committed>>,
    tip: watch::Sender<TipSeen>,
    flush: Flush,
    fatal: FatalHandle,
}

/// What is being done about bringing the store up to date.
enum Flush {
    /// Nothing waits for the store.
    None,
    /// It begins later.
    Planned(SpawnHandle),
    /// It is under way on another thread.
    Running,
}

impl LedgerActor {
    /// Takes over an open chain. `tip` and the listeners get each new block: from the first on, since who missed one would wait for it for ever.
    pub fn new(
        ledger: Box<dyn ChainWriter>,
        threads: Threads,
        tip: watch::Sender<TipSeen>,
        listeners: Vec<Recipient<Committed>>,
        fatal: FatalHandle,
    ) -> Self {
        Self { ledger, threads, listeners, tip, flush: Flush::None, fatal }
    }

    /// Answers when this work is done; until then the ledger does nothing else.
    fn answer<T: 'static>(&self, work: Work, answer: T) -> AtomicResponse<Self, T> {
        AtomicResponse::new(Box::pin(self.threads.spend(work).into_actor(self).map(move |(), _actor, _ctx| answer)))
    }

    fn commit(&mut self, blocks: Vec<(Arc<Block>, CommitCertificate)>, ctx: &mut Context<Self>) {
        let outcome = self.ledger.commit_batch(blocks);
        let transactions = outcome.iter().flatten().map(|one| one.transactions.len()).sum();
        self.threads.occupy(Work::Commit(transactions), ctx);
        match outcome {
            Ok(committed) => {
                for one in committed {
                    let (height, transactions) = (one.block.height(), one.transactions.len());
                    info!(%height, block = one.id.short(), transactions, round = %one.certificate.round, "block final");
                    self.tip.send_replace(TipSeen { height, id: one.id });
                    let committed = Committed(one);
                    for listener in &self.listeners {
                        listener.do_send(committed.clone());
                    }
                }
                self.plan_flush(ctx);
            }
            Err(error) if error.is_fatal() => self.fatal.fail(error.to_string()),
            // Consensus and sync may bring the same heights; whoever is late changes nothing.
            Err(error) => warn!(%error, "block not taken over"),
        }
    }

    /// Takes over blocks from peers. The certificate of one that could not be checked before is checked when all blocks below it are here; the
    /// first that does not hold is named, and those from it on are not taken over.
    fn commit_synced(&mut self, blocks: Vec<SyncedBlock>, ctx: &mut Context<Self>) -> Option<Height> {
        let mut ready = Vec::new();
        for SyncedBlock { block, certificate, is_certified } in blocks {
            let height = block.height();
            if !is_certified && height > self.ledger.tip().height {
                if !ready.is_empty() {
                    self.commit(std::mem::take(&mut ready), ctx);
                }
                let history = self.ledger.history();
                if history.tip().height.next() != height {
                    // The blocks before it were not taken over, which was logged.
                    return None;
                }
                let (chain, voters) = (history.chain_genesis().chain_id, history.validators(height));
                if let Err(error) = verify_certificate(chain, &certificate, &voters) {
                    warn!(%height, %error, "certificate of a block from a peer does not hold");
                    return Some(height);
                }
            }
            ready.push((block, certificate));
        }
        self.commit(ready, ctx);
        None
    }

    /// At once when much waits, so that writing to the store goes on beside the commits that follow.
    fn plan_flush(&mut self, ctx: &mut Context<Self>) {
        match (&self.flush, self.ledger.is_flush_due()) {
            (Flush::Running, _) | (Flush::Planned(_), false) => {}
            (Flush::None, false) => self.flush = Flush::Planned(ctx.run_later(FLUSH_AFTER, Self::begin_flush)),
            (Flush::None, true) => self.begin_flush(ctx),
            (Flush::Planned(timer), true) => {
                ctx.cancel_future(*timer);
                self.begin_flush(ctx);
            }
        }
    }

    fn begin_flush(&mut self, ctx: &mut Context<Self>) {
        self.flush = Flush::None;
        let Some(job) = self.ledger.begin_flush() else { return };
        self.flush = Flush::Running;
        let is_part = job.blocks() < self.ledger.history().stats().overlay_blocks;
        let threads = self.threads.clone();
        let work = async move { threads.write(move || job.run()).await };
        ctx.spawn(work.into_actor(self).map(move |_outcome, actor, ctx| {
            actor.flush = Flush::None;
            match actor.ledger.finish_flush() {
                Ok(()) if is_part => actor.begin_flush(ctx),
                Ok(()) if actor.ledger.history().stats().overlay_blocks > 0 => actor.plan_flush(ctx),
                Ok(()) => {}
                Err(error) => actor.fatal.fail(error.to_string()),
            }
        }));
    }
}

impl Actor for LedgerActor {
    type Context = Context<Self>;
}

impl Handler<Validate> for LedgerActor {
    type Result = AtomicResponse<Self, Validity>;

    fn handle(&mut self, validate: Validate, _ctx: &mut Self::Context) -> Self::Result {
        let validity = match self.ledger.validate(&validate.0) {
            Ok(transactions) => Validity::Valid(transactions),
            Err(ValidationError::Invalid(error)) => Validity::Invalid(Box::new(error)),
            Err(ValidationError::NotNext { .. }) => Validity::NotNext,
            Err(ValidationError::Read(error)) => {
                self.fatal.fail(error.to_string());
                Validity::NotNext
            }
        };
        let transactions = if let Validity::Valid(transactions) = &validity { transactions.len() } else { 0 };
        self.answer(Work::Validate(transactions), validity)
    }
}

impl Handler<Assemble> for LedgerActor {
    type Result = AtomicResponse<Self, Option<Assembled>>;

    fn handle(&mut self, assemble: Assemble, _ctx: &mut Self::Context) -> Self::Result {
        if self.ledger.tip().id != assemble.parent {
            return self.answer(Work::Assemble(0), None);
        }
        let work = Work::Assemble(assemble.draft.transactions.len());
        let assembled = match self.ledger.assemble(assemble.draft) {
            Ok(assembled) => Some(assembled),
            Err(error @ AssembleError::Header(_)) => {
                warn!(%error, "no block made");
                None
            }
            Err(error) => {
                self.fatal.fail(error.to_string());
                None
            }
        };
        self.answer(work, assembled)
    }
}

impl Handler<Commit> for LedgerActor {
    type Result = ();

    fn handle(&mut self, commit: Commit, ctx: &mut Self::Context) {
        self.commit(vec![(commit.block, commit.certificate)], ctx);
    }
}

impl Handler<CommitMany> for LedgerActor {
    type Result = actix::MessageResult<CommitMany>;

    fn handle(&mut self, many: CommitMany, ctx: &mut Self::Context) -> Self::Result {
        let refused = self.commit_synced(many.0, ctx);
        actix::MessageResult(CommitManyOutcome { tip: self.ledger.tip().height, refused })
    }
}

impl Handler<FlushNow> for LedgerActor {
    type Result = bool;

    fn handle(&mut self, _flush: FlushNow, _ctx: &mut Self::Context) -> Self::Result {
        match self.ledger.flush() {
            Ok(()) => true,
            Err(error) => {
                warn!(%error, "the store is not up to date; the next start replays the block log");
                false
            }
        }
    }
}
