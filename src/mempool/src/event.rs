//! What is reported to onlookers: the life of outputs, arrivals, removals, conflicts.

use crate::pool::Source;
use timed_primitives::{Amount, BlockId, Height, Instant, OutPoint, TxId};

/// Where an output stands.
///
/// | from | to | when |
/// |---|---|---|
/// | `Unspent` | `Locked` | a spend enters the pool |
/// | `Locked` | `SpentPending` | a proposed block holds the spend |
/// | `SpentPending` | `Locked` | that height is decided without the spend |
/// | `Locked`, `SpentPending` | `SpentFinalized` | a block with the spend is decided |
/// | any | `Confirmed` | the block is applied |
/// | `Locked`, `SpentPending` | `Unspent` | the spend expires or is evicted |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputState {
    /// Nobody we know of spends it.
    Unspent,
    /// A transaction in the pool spends it.
    Locked {
        /// The spend.
        by: TxId,
    },
    /// A proposed block spends it.
    SpentPending {
        /// The spend.
        by: TxId,
        /// The block, the last one proposed with it.
        block: BlockId,
    },
    /// A decided block spends it, which is not applied yet.
    SpentFinalized {
        /// The spend.
        by: TxId,
        /// The block.
        block: BlockId,
        /// Its height.
        height: Height,
    },
    /// A decided and applied block spends it.
    Confirmed {
        /// The spend.
        by: TxId,
        /// The block's height.
        height: Height,
    },
}

/// Two transactions that spend one output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The output.
    pub outpoint: OutPoint,
    /// The transaction seen first.
    pub first: TxId,
    /// The transaction seen second.
    pub second: TxId,
    /// Who sent the second; `None` when it came in a decided block, and then the second won.
    pub source: Option<Source>,
    /// When the second was seen.
    pub seen: Instant,
}

/// Why a transaction left the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemovalReason {
    /// It is in a decided block.
    #[error("included at height {height}")]
    Included {
        /// The block's height.
        height: Height,
    },
    /// A decided block spends one of its inputs otherwise.
    #[error("height {height} spends {outpoint} by {with}")]
    Conflict {
        /// The transaction that won.
        with: TxId,
        /// The output both spend.
        outpoint: OutPoint,
        /// Its height.
        height: Height,
    },
    /// Others pay more.
    #[error("evicted: the pool is full and others pay more")]
    Evicted,
    /// It waited too long.
    #[error("expired")]
    Expired,
    /// The chain no longer has one of its inputs.
    #[error("output {outpoint} is gone")]
    InputGone {
        /// The output.
        outpoint: OutPoint,
    },
    /// A transaction it spends from left the pool undecided.
    #[error("its ancestor {ancestor} was removed")]
    AncestorRemoved {
        /// That transaction.
        ancestor: TxId,
    },
}

/// A transaction that left the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Which.
    pub txid: TxId,
    /// Why.
    pub reason: RemovalReason,
}

/// Something happened in the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolEvent {
    /// A transaction entered.
    Accepted {
        /// Which.
        txid: TxId,
        /// Its fee.
        fee: Amount,
        /// Its size in bytes.
        size: usize,
    },
    /// A transaction left.
    Removed(Removed),
    /// An output changed its state.
    Output {
        /// Which.
        outpoint: OutPoint,
        /// The state it has now.
        state: OutputState,
    },
    /// A second spend of an output was seen.
    Conflict(Conflict),
}
