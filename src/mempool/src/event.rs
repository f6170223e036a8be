//! What is reported to onlookers: the life of resources, arrivals, removals, conflicts.

use timed_chain::Resource;
use timed_primitives::{Amount, BlockId, Height, Instant, PublicKey, TxId};

/// Where a transaction came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This node's operator: RPC, wallet, or the pool of the last run.
    Local,
    /// A peer, by its node key.
    Peer(PublicKey),
}

/// Where a resource stands. Its consumer is the transaction that consumes it.
///
/// | from | to | when |
/// |---|---|---|
/// | `Available` | `Locked` | a consumer enters the pool |
/// | `Locked` | `Proposed` | a proposed block holds the consumer |
/// | `Proposed` | `Locked` | that height is decided without the consumer |
/// | `Locked`, `Proposed` | `Decided` | a block with the consumer is decided |
/// | any | `Confirmed` | the block is applied |
/// | `Locked`, `Proposed` | `Available` | the consumer expires or is evicted |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceState {
    /// Nobody we know of consumes it.
    Available,
    /// A transaction in the pool consumes it.
    Locked {
        /// The consumer.
        by: TxId,
    },
    /// A proposed block consumes it.
    Proposed {
        /// The consumer.
        by: TxId,
        /// The block, the last one proposed with it.
        block: BlockId,
    },
    /// A decided block consumes it, which is not applied yet.
    Decided {
        /// The consumer.
        by: TxId,
        /// The block.
        block: BlockId,
        /// Its height.
        height: Height,
    },
    /// A decided and applied block consumes it.
    Confirmed {
        /// The consumer.
        by: TxId,
        /// The block's height.
        height: Height,
    },
}

/// Two transactions that consume one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The resource.
    pub resource: Resource,
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
    /// A decided block consumes what it consumes otherwise.
    #[error("height {height} spends {resource} by {with}")]
    Conflict {
        /// The transaction that won.
        with: TxId,
        /// The resource both consume.
        resource: Resource,
        /// Its height.
        height: Height,
    },
    /// Others pay more.
    #[error("evicted: the pool is full and others pay more")]
    Evicted,
    /// It waited too long.
    #[error("expired")]
    Expired,
    /// The chain no longer has what it consumes.
    #[error("{resource} is gone")]
    InputGone {
        /// The resource.
        resource: Resource,
    },
    /// Checked again, it breaks a rule: what the state is now does not allow it.
    #[error("it breaks a rule now")]
    Invalid,
    /// A transaction it depends on left the pool undecided.
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
    /// A resource changed its state.
    Resource {
        /// Which.
        resource: Resource,
        /// The state it has now.
        state: ResourceState,
    },
    /// A second consumer of a resource was seen.
    Conflict(Conflict),
}
