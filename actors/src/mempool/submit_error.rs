//! Why a submitted transaction is not in the pool.

use std::time::Duration;
use timed_mempool::Reject;
use timed_primitives::{Amount, counted};

/// Why a submitted transaction is not in the pool.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] Reject),
    /// A signature does not fit.
    #[error("a signature is invalid; sign the transaction for this chain with the keys of the outputs it spends")]
    BadSignature,
    /// It pays more than the client means to.
    #[error(
        "it pays a fee of {fee} TIME, and the highest fee rate of {rate_max} for 1,000 bytes allows {max} TIME for its size; if this is \
         meant, give a higher one"
    )]
    FeeAboveMaximum {
        /// What it pays.
        fee: Amount,
        /// What is allowed for its size.
        max: Amount,
        /// The limit for 1,000 bytes.
        rate_max: Amount,
    },
    /// What waits is as much as is done in about a second.
    #[error(
        "busy: {} wait{}, which takes about {} ms; try again in {} ms",
        counted(*waiting, "transaction"),
        if *waiting == 1 { "s" } else { "" },
        delay.as_millis(),
        retry_after.as_millis()
    )]
    Busy {
        /// Transactions in the pool and before it.
        waiting: u64,
        /// How long they will take, as far as measured.
        delay: Duration,
        /// When there will be room again.
        retry_after: Duration,
    },
    /// The node lacks blocks that others have, and will for a while.
    #[error("busy: this node is behind by {}; try again in {} ms, or at another node", counted(*blocks, "block"), retry_after.as_millis())]
    Behind {
        /// So many.
        blocks: u64,
        /// When it may have caught up.
        retry_after: Duration,
    },
    /// The node is ending, or not running, and takes nothing that it could not keep.
    #[error("the node is shutting down and takes no transactions; hand it in again when it is back, or elsewhere")]
    Closing,
}
