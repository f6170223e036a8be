//! Why a transaction is not taken.

use timed_chain::{ReadError, Refusal, Resource};
use timed_primitives::{Amount, TxFullId, TxId};

/// Why a transaction is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Reject {
    /// It is in the pool or in a decided block. Nothing to do.
    #[error("transaction {txid} is known already")]
    AlreadyKnown {
        /// The transaction.
        txid: TxId,
    },
    /// The same bytes were refused a short time ago.
    #[error("transaction with full id {id} was refused a short time ago; submit it locally to see why")]
    RecentlyRejected {
        /// Its full id.
        id: TxFullId,
    },
    /// Another transaction in the pool consumes the same; first seen wins.
    #[error("{resource} is spent by {with}, which was seen first; wait until that is decided or expires")]
    Conflict {
        /// The transaction seen first.
        with: TxId,
        /// The resource both consume.
        resource: Resource,
    },
    /// What it consumes is neither on the chain nor made by a transaction of the pool.
    #[error("{resource} does not exist or is spent; submit its parent first")]
    UnknownInput {
        /// What is missing.
        resource: Resource,
    },
    /// The chain of transactions that wait for each other would be too long.
    #[error("at least {count} unconfirmed transactions would be chained, at most {max} are allowed; wait for a block")]
    TooManyAncestors {
        /// How long the chain would be at least, itself included.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// The fee is lower than the pool takes now.
    #[error("a fee of {offered} is offered, at least {needed} is needed now; raise it or wait")]
    FeeBelowFloor {
        /// The least fee for its size.
        needed: Amount,
        /// Its fee.
        offered: Amount,
    },
    /// The pool is full of transactions that pay as much or more.
    #[error(
        "the pool is full and {offered} for 1000 bytes is not more than {needed}, the lowest in it; raise the fee or wait"
    )]
    Full {
        /// The fee rate that must be exceeded, for 1,000 bytes.
        needed: Amount,
        /// Its fee rate, for 1,000 bytes.
        offered: Amount,
    },
    /// The sending peer has too much in the pool.
    #[error("its sender has {used} bytes in the pool, at most {max} are allowed; wait for a block")]
    PeerShare {
        /// Bytes of that peer in the pool.
        used: usize,
        /// The bound.
        max: usize,
    },
    /// It is larger than any block would take.
    #[error("it has {size} bytes, at most {max} are allowed; split it")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The bound.
        max: usize,
    },
    /// It breaks a rule of the application.
    #[error("invalid: {0}")]
    Invalid(Refusal),
    /// Our own state could not be read, so nothing is known of it; fatal.
    #[error("it could not be checked: {0}")]
    Unreadable(#[from] ReadError),
}

impl Reject {
    /// Stable name for metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AlreadyKnown { .. } => "already_known",
            Self::RecentlyRejected { .. } => "recently_rejected",
            Self::Conflict { .. } => "conflict",
            Self::UnknownInput { .. } => "unknown_input",
            Self::TooManyAncestors { .. } => "too_many_ancestors",
            Self::FeeBelowFloor { .. } => "fee_below_floor",
            Self::Full { .. } => "full",
            Self::PeerShare { .. } => "peer_share",
            Self::TooLarge { .. } => "too_large",
            Self::Invalid(_) => "invalid",
            Self::Unreadable(_) => "unreadable",
        }
    }
}
