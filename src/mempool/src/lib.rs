//! Transactions that are not yet decided: which are kept, which go into the next block, and how they travel between nodes.
//!
//! Knows: fees, conflicts, bounds, and which peer announced what. Must not know: what a transaction of the application means (its bytes,
//! names and resources come with a [`timed_chain::PoolTransaction`], its rules through [`timed_chain::TransactionRules`]), signature checking
//! (the caller verifies [`Candidate::signed_items`] between the two steps), sockets, frames.
//!
//! ```text
//!  announce ─► Relay ─► request ─► transaction ─► Pool::pre_check ─► signatures (elsewhere) ─► Pool::admit ─► Relay announces
//!                                                                                                 │
//!                        block committed ─► Pool::on_committed ◄── build_payload ─► proposal ◄────┘
//! ```
//!
//! Start reading in [`Pool`]; [`Relay`] stands beside it and never looks inside, and [`PoolFile`] keeps what waits over a restart.

mod admission;
mod block_relay;
mod check_queue;
mod drain;
mod event;
mod fee;
mod graph;
mod index;
mod info;
mod keep;
mod known;
mod lifecycle;
mod limits;
mod losses;
mod newest;
mod payload;
mod pool;
mod reject;
mod relay;
mod seen;
mod suspects;
#[cfg(test)]
mod tests;
mod waiting;

pub use admission::{Admission, AdmissionLimits, Budget, Load, RefusalEpisode, weight};
pub use block_relay::{BlockRelay, BlockRelayAction, BlockRelayStats};
pub use check_queue::{CheckQueue, PendingCheck, PendingChild, SignatureBatch, Waiter, Weights, valid_ones};
pub use drain::{Backlog, Drain};
pub use event::{Conflict, PoolEvent, RemovalReason, Removed, ResourceState, Source};
pub use fee::FeeRate;
pub use index::PoolIndex;
pub use info::{EntryInfo, PoolInfo};
pub use keep::{
    KeepTrouble, KeptContents, KeptRecord, KeptTransaction, POOL_FILE, POOL_FILE_BESIDE, POOL_FILE_DAMAGED,
    ParseTransaction, PoolFile, PoolFileSummary,
};
pub use limits::{PoolLimits, RelayLimits};
pub use losses::{LOSSES_MAX, Loss, LossCounts, LossReason, Losses};
pub use pool::{Admitted, Candidate, Pool};
pub use reject::Reject;
pub use relay::{Receipt, Relay, RelayAction, RelayStats};
pub use suspects::Suspects;
