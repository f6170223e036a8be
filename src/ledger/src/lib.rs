//! The ledger: who owns what, which blocks are valid, and the log of final blocks that all of it follows from.
//!
//! Knows: genesis, the rules of transactions and blocks, the set of unspent outputs and the hash of it, the block log, the
//! [`Store`] seam. Must not know: consensus, frames, peers, actors, a database. It has no clock and no thread.
//!
//! ```text
//!  validate / assemble ──► Delta, ChainState (kept by block id)
//!  commit ──► block log: append, sync = final ──► overlay (≤ 64 blocks) ──► published to readers
//!                                                   │ flush, on any thread
//!                                                   ▼
//!                                                 Store  (outputs, indexes, applied height: one atomic batch)
//!  open:  Store at height A  +  block log A+1 .. tip  ──► the same state, from any crash
//! ```
//!
//! Start reading in [`Ledger`] (the one writer) and [`LedgerReader`]; [`check_transaction`] and [`BlockError`] hold the rules.

mod block_log;
mod check;
mod check_block;
mod delta;
mod error;
mod filter;
mod flush;
mod genesis;
mod inspect;
mod ledger;
mod lthash;
mod memory_store;
mod open;
mod overlay;
mod parameters;
mod reader;
mod recent;
mod state;
mod store;
mod validate;
mod verified;

pub use block_log::{Damage, DecidedBytes, FILE as BLOCK_LOG_FILE, LogError};
pub use check::{TransactionError, check_form, check_spend, check_transaction};
pub use check_block::BlockError;
pub use error::{AssembleError, CommitError, LedgerOpenError, ReadError, StoreError, ValidationError};
pub use flush::FlushJob;
pub use genesis::{GENESIS_OUTPUTS_MAX, Genesis, GenesisError, GenesisOutput, GenesisValidator};
pub use inspect::{LogWalk, MoneyTally, TallyError};
pub use ledger::{CommittedBlock, Ledger};
pub use lthash::LtHash;
pub use memory_store::MemoryStore;
pub use overlay::{OVERLAY_BLOCKS_MAX, OVERLAY_CHANGES_MAX};
pub use parameters::{BLOCK_BYTES_LIMIT, Parameters, ParametersError, TRANSACTION_BYTES_LIMIT};
pub use reader::{ChainStats, ConfirmedTransaction, DecidedBlock, LedgerReader, LedgerView};
pub use state::{LedgerTip, OutputEntry, Supply};
pub use store::{KeyValue, Store, StoreBatch, StoreView, Table};
pub use validate::{Assembled, Draft};
pub use verified::{VERIFIED_MAX, VerifiedSignatures};
