//! The chain: the log of final blocks, what follows from it, and the seam behind which an application decides what they mean.
//!
//! Knows: the block log, certificates, the rules of headers, replay and damage, the index by height and id, the [`Store`] seam, and the
//! trait [`Application`]. Must not know: money or any other meaning of a transaction, consensus, frames, peers, actors, a database. It
//! has no clock and no thread.
//!
//! ```text
//!  validate / assemble ──► Application::apply, one transaction after the other ──► what the block does (kept by block id)
//!  commit ──► block log: append, sync = final ──► overlay (≤ 64 blocks) ──► published to readers
//!                                                   │ flush, on any thread
//!                                                   ▼
//!                                                 Store  (the application's tables, indexes, applied height: one atomic batch)
//!  open:  Store at height A  +  block log A+1 .. tip  ──► the same state, from any crash
//! ```
//!
//! Start reading in [`Application`], then [`Chain`] (the one writer) and [`ChainReader`]; [`BlockError`] holds the rules of blocks.

mod application;
mod block_log;
mod chain;
mod check_block;
mod error;
mod execute;
mod filter;
mod flush;
mod inspect;
mod open;
mod reader;
mod state_view;
mod store;
mod transaction;
mod verified;
mod writer;

pub use application::{
    Application, ApplyError, BLOCK_BYTES_LIMIT, BlockContext, ChainGenesis, CheckError, QueryError, Refusal,
    WorkingState,
};
pub use block_log::{Damage, DecidedBytes, FILE as BLOCK_LOG_FILE, LogError};
pub use chain::{Chain, CommittedBlock};
pub use check_block::BlockError;
pub use error::{AssembleError, ChainOpenError, CommitError, ReadError, StoreError, ValidationError};
pub use execute::{Assembled, Draft, TransactionFault};
pub use filter::Filter;
pub use flush::FlushJob;
pub use inspect::LogWalk;
pub use reader::{ChainReader, ChainStats, DecidedBlock, History};
pub use state_view::{Layer, Location, OVERLAY_BLOCKS_MAX, OVERLAY_CHANGES_MAX, StateView};
pub use store::{KeyValue, Store, StoreBatch, StoreView, Table, tables_of};
pub use transaction::{
    ApplicationTransaction, Checked, Pending, PoolTransaction, Resource, TransactionFacts, TransactionRules, payload,
    payload_format, transactions,
};
pub use verified::{VERIFIED_MAX, VerifiedSignatures};
pub use writer::ChainWriter;
