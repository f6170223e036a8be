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
mod application_error;
mod block_log;
mod block_transactions;
mod chain;
mod check_block;
mod compact_block;
mod decided;
mod error;
mod evidence;
mod execute;
mod filter;
mod flush;
mod genesis;
mod history_proof;
mod history_row;
mod inspect;
mod log_header;
mod open;
mod reader;
mod refusal;
mod resource;
mod state_view;
mod store;
mod transaction;
mod verified;
mod writer;

pub use application::{Application, BlockContext, WorkingState, tables_of};
pub use application_error::{ApplyError, CheckError, QueryError};
pub use block_log::{Damage, DecidedBytes, FILE as BLOCK_LOG_FILE, LogError};
pub use chain::{Chain, CommittedBlock};
pub use check_block::BlockError;
pub use compact_block::{CompactBlock, CompactBlockFault, PartialBlock, transactions_at};
pub use decided::DecidedBlock;
pub use error::{
    AssembleError, ChainOpenError, CommitError, HistoryProofFault, ReadError, StoreError, ValidationError,
};
pub use evidence::Evidence;
pub use execute::{Assembled, Draft};
pub use filter::Filter;
pub use flush::FlushJob;
pub use genesis::{BLOCK_BYTES_LIMIT, ChainGenesis};
pub use inspect::LogWalk;
pub use reader::{ChainReader, ChainStats, History};
pub use refusal::{Refusal, TransactionFault};
pub use resource::Resource;
pub use state_view::{FLUSH_CHANGES_MAX, Layer, Location, OVERLAY_BLOCKS_MAX, OVERLAY_CHANGES_MAX, StateView};
pub use store::{KeyValue, Store, StoreBatch, StoreView, Table};
pub use transaction::{
    ApplicationTransaction, Checked, Pending, PoolTransaction, TransactionFacts, TransactionRules, payload,
    payload_format, transactions,
};
pub use verified::{VERIFIED_BYTES_MAX, VERIFIED_MAX, VerifiedTransactions};
pub use writer::ChainWriter;
