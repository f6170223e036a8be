//! The messages of the mempool, and what it publishes.

use super::asker::Asker;
use super::gate::Ticket;
use super::submit_error::SubmitError;
use crate::finality::FinalitySummary;
use actix::{Message, MessageResponse, Recipient};
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{CompactBlock, CompactBlockFault, PartialBlock, PoolTransaction, Resource};
use timed_consensus::Payload;
use timed_mempool::{Conflict, EntryInfo, Loss, LossCounts, PoolInfo, RelayStats, ResourceState};
use timed_primitives::{Amount, BlockId, DoubleSign, Height, IdSet, TxFullId, TxId};

/// A transaction from this node's operator that the gate let through: see [`super::Submissions`].
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Submit {
    pub(super) transaction: Arc<PoolTransaction>,
    /// Gets its id, or why it is not taken. Closed when nobody wants to know any more.
    pub(super) answer: Asker,
    pub(super) ticket: Ticket,
}

/// A validator contradicted itself: the pool passes on what the application makes of it, for whoever proposes next.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Accuse(pub DoubleSign);

/// Validates transactions as [`super::Submissions::submit`] would, and keeps nothing. Answer: fee, or why not, one for each.
#[derive(Message)]
#[rtype(result = "Vec<Result<Amount, SubmitError>>")]
pub struct TestAccept {
    /// The transactions.
    pub transactions: Vec<Arc<PoolTransaction>>,
    /// Highest fee for 1,000 bytes, if there is a limit.
    pub fee_rate_max: Option<Amount>,
}

/// Asks for the best transactions on top of a block; answered when that block is applied here.
#[derive(Message)]
#[rtype(result = "Option<ChosenPayload>")]
pub struct BuildPayload {
    /// The block they come after.
    pub parent: BlockId,
    /// Its height.
    pub parent_height: Height,
    /// Room in the block. Unit: bytes.
    pub bytes_max: usize,
    /// Those that wait for less long are said to be young.
    pub young_for: Duration,
}

/// The best transactions for a block.
pub struct ChosenPayload {
    /// In the order in which they apply.
    pub transactions: Vec<Arc<PoolTransaction>>,
    /// Those that have not waited for long.
    pub young: IdSet<TxFullId>,
}

/// Asks for the transactions that a compact block names, as far as they are here: in the pool, or waiting to be checked.
#[derive(Message)]
#[rtype(result = "Result<PartialBlock, CompactBlockFault>")]
pub struct Rebuild(pub CompactBlock);

/// The chain did not apply what the pool offered: every transaction is checked against the chain again.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Revalidate;

/// A block with these transactions is proposed at a height.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Proposed {
    /// The block.
    pub block: BlockId,
    /// Its height.
    pub height: Height,
    /// Its transactions.
    pub transactions: Vec<TxId>,
}

/// How much waits for a block. Reported to listeners when it changes; each final block resets it to nothing.
#[derive(Message)]
#[rtype(result = "()")]
pub struct PayloadWaiting(pub Payload);

/// Adds a listener to [`PayloadWaiting`], which hears at once if transactions wait.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SubscribePayload(pub Recipient<PayloadWaiting>);

/// Asks for one transaction in the pool.
#[derive(Message)]
#[rtype(result = "Option<EntryInfo>")]
pub struct GetEntry(pub TxId);

/// Asks what became of a transaction, as far as the mempool knows.
#[derive(Message)]
#[rtype(result = "TransactionFate")]
pub struct GetFate(pub TxId);

/// What became of a transaction, as far as the mempool knows.
#[derive(Clone, Debug, MessageResponse)]
pub enum TransactionFate {
    /// It is in the pool.
    Waiting(Box<EntryInfo>),
    /// It waited when the last run ended, and is not checked again yet.
    Restoring,
    /// It was acknowledged to a client, and it is lost.
    Lost(Loss),
    /// It is not here. The chain may know it.
    Unknown,
}

/// Takes nothing from here on. Answered when what waits is in the file and on the disk, or cannot be.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseAndKeep;

/// How it stands with what is kept over a restart.
#[derive(Clone, Debug)]
pub struct KeepStatus {
    /// Why the file cannot be written, when that is so: what waits is lost if the process ends.
    pub failed: Option<Arc<str>>,
    /// Answers do not wait for the file, because a write takes too long.
    pub is_late: bool,
    /// Payments that were taken from clients, were lost, and are remembered with the reason.
    pub losses: usize,
    /// How many such payments were lost since the start.
    pub lost: LossCounts,
    /// Transactions of the last run that are not checked again yet.
    pub restoring: usize,
}

impl KeepStatus {
    /// Why what is accepted now would be lost with the process, when that is so.
    pub fn problem(&self) -> Option<Arc<str>> {
        let is_late = || self.is_late.then(|| "a write takes longer than clients wait".into());
        self.failed.clone().or_else(is_late)
    }
}

/// Asks for every resource that a transaction in the pool consumes, or one of the last run that is to be checked again.
#[derive(Message)]
#[rtype(result = "Vec<Resource>")]
pub struct ListConsumed;

/// Asks for all transactions in the pool, oldest first.
#[derive(Message)]
#[rtype(result = "Vec<EntryInfo>")]
pub struct ListEntries;

/// Asks where resources stand.
#[derive(Message)]
#[rtype(result = "Vec<Option<ResourceState>>")]
pub struct ResourceStates(pub Vec<Resource>);

/// Asks for the second consumers seen, oldest first.
#[derive(Message)]
#[rtype(result = "Vec<Conflict>")]
pub struct ListConflicts;

/// What onlookers see of the mempool.
#[derive(Clone, Debug)]
pub struct MempoolStatus {
    /// Levels and counters of the pool.
    pub pool: PoolInfo,
    /// Levels and counters of the relay.
    pub relay: RelayStats,
    /// How long payments accepted here took to be final here.
    pub finality: FinalitySummary,
    /// Transactions dropped because the queue of those to be checked was full.
    pub dropped: u64,
    /// Transactions that were not checked because the client that handed them in had gone.
    pub abandoned: u64,
    /// Messages that could not be decoded.
    pub undecodable: u64,
    /// What is kept over a restart.
    pub keeping: KeepStatus,
}
