//! What can go wrong around the state. Everything here but [`ValidationError::Invalid`] and the "not next" cases is ours, and fatal:
//! the node stops with the text as its reason, since going on could contradict what is final.

use crate::block_log::LogError;
use crate::check_block::BlockError;
use crate::refusal::Refusal;
use std::io;
use std::sync::Arc;
use timed_primitives::{BlockId, Hash, Height};

/// The store could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "store: {0}; check the disk, then start again: nothing final is lost, the block log brings the store up to date"
)]
pub struct StoreError(#[source] Arc<io::Error>);

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// The state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The block log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A value in the store is not what this software writes.
    #[error(
        "store: a value of table {table} is damaged; stop the node and move `state/` aside: it is rebuilt from the block log"
    )]
    Undecodable {
        /// The table.
        table: &'static str,
    },
}

/// There is no proof of that block by that header.
#[derive(Debug, thiserror::Error)]
pub enum HistoryProofFault {
    /// A header covers the blocks before its own.
    #[error(
        "the header of block {at} says nothing of block {height}: it covers the blocks from 1 to the one before it. Ask for the proof at a \
         later block, or take the certificate of block {height} itself (`getblock`)"
    )]
    NotBefore {
        /// Of the block to be proved.
        height: Height,
        /// Of the header.
        at: Height,
    },
    /// One of the two is not there.
    #[error("there is no block of height {height} here: blocks are 1 to {tip}")]
    NoBlock {
        /// Which.
        height: Height,
        /// The last there is.
        tip: Height,
    },
    /// Our own state could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A block was not found valid.
#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    /// It is not the next block here, so nothing can be said of it now.
    #[error("block of height {height} cannot be validated: the tip is at {tip}")]
    NotNext {
        /// The block's height.
        height: Height,
        /// Ours.
        tip: Height,
    },
    /// It breaks a rule of the chain: nobody should vote for it.
    #[error(transparent)]
    Invalid(#[from] BlockError),
    /// Our own state could not be read; fatal.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A block could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The given parent certificate is not for the tip, or is missing, or the proposer does not vote.
    #[error("cannot make a block: {0}")]
    Header(#[source] BlockError),
    /// Applying the transactions that were taken leaves no valid state; fatal.
    #[error(
        "cannot make a block: the state is broken at height {height} ({reason}); move `state/` aside and start again"
    )]
    BrokenState {
        /// The height of the block.
        height: Height,
        /// What the application says.
        #[source]
        reason: Refusal,
    },
    /// Our own state could not be read; fatal.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A final block was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It is above the next height, or below the tip; nothing was changed, and the caller's order is wrong.
    #[error("block of height {height} cannot be committed: the tip is at {tip}")]
    NotNext {
        /// The block's height.
        height: Height,
        /// Ours.
        tip: Height,
    },
    /// The certificate is for another block; nothing was changed.
    #[error("the certificate is for height {height}, block {certified}, not for block {block}")]
    OtherBlock {
        /// The certificate's height.
        height: Height,
        /// The certificate's block.
        certified: BlockId,
        /// The block that came with it.
        block: BlockId,
    },
    /// Two certified blocks at one height; fatal.
    #[error(
        "two final blocks at height {height}: {ours} here, {theirs} certified elsewhere. More than a third of the voting power \
         signed twice, or this node's data belongs to another history; compare `time-cli block {height}` on other nodes"
    )]
    Conflict {
        /// The height.
        height: Height,
        /// Our block.
        ours: BlockId,
        /// The other certified block.
        theirs: BlockId,
    },
    /// A certified block leads to another state here; fatal.
    #[error(
        "state differs at height {height}: {ours} here, {theirs} by the certified block. Stop, move `state/` aside and start \
         again to rebuild the state from the block log; if it still differs, this software is wrong: report both hashes"
    )]
    StateDiffers {
        /// The height.
        height: Height,
        /// Commitment by our state.
        ours: Hash,
        /// Commitment in the certified header.
        theirs: Hash,
    },
    /// A certified block breaks a rule here; fatal.
    #[error(
        "the certified block {id} of height {height} is not valid here: {source}. Is this software up to date? If it is, move `state/` \
         aside and start again to rebuild the state from the block log"
    )]
    Invalid {
        /// The height.
        height: Height,
        /// The block.
        id: BlockId,
        /// The rule.
        source: Box<BlockError>,
    },
    /// The block log could not be written: whether the block is on disk is unknown until the next start; fatal.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store failed; fatal.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Our own state could not be read; fatal.
    #[error(transparent)]
    Read(ReadError),
    /// An earlier write failed, after which nothing is written any more.
    #[error("an earlier write failed: this chain writes nothing any more, start the node again")]
    Stopped,
}

impl CommitError {
    /// True when the node must stop: its disk, its state or its software is at fault, or the network has split.
    pub const fn is_fatal(&self) -> bool {
        !matches!(self, Self::NotNext { .. } | Self::OtherBlock { .. })
    }
}

/// The chain could not be opened. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum ChainOpenError {
    /// The store was made for another genesis.
    #[error(
        "`state/` belongs to genesis {found}, this node runs genesis {expected}: start with the data folder of this network, or \
         move the old one aside"
    )]
    OtherGenesis {
        /// What the store says.
        found: Hash,
        /// Ours.
        expected: Hash,
    },
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log ends before the state does: final blocks are missing.
    #[error(
        "{file} ends at byte {log_end}, but `state/` holds height {applied}, whose record ends at byte {applied_end}: final blocks \
         are missing from the log. Bring {file} back from a backup; without one, move {file} and `state/` aside together, and the \
         node fetches all blocks again from its peers", file = crate::block_log::FILE
    )]
    LogShort {
        /// Where the log's valid part ends. Unit: bytes.
        log_end: u64,
        /// Height of the store.
        applied: Height,
        /// Where the log must reach at least. Unit: bytes.
        applied_end: u64,
    },
    /// The store was made from another log.
    #[error(
        "`state/` holds block {stored} at height {height}, which is not what {file} holds there: move `state/` aside, it is rebuilt \
         from the log", file = crate::block_log::FILE
    )]
    StoreMismatch {
        /// Height of the store.
        height: Height,
        /// The block it says is there.
        stored: BlockId,
    },
    /// The store was initialised but does not say which state it holds.
    #[error("`state/` is incomplete: move it aside, it is rebuilt from {file}", file = crate::block_log::FILE)]
    StoreIncomplete,
    /// The store says something else of the state than the block after which it is.
    #[error(
        "`state/` does not hold what the chain amounts to after block {height}: move `state/` aside, it is rebuilt from {file}",
        file = crate::block_log::FILE
    )]
    StoreDamaged {
        /// Height of the store.
        height: Height,
    },
    /// A block of the log does not apply.
    #[error(
        "block {height} of {file} does not apply to the state before it: {source}. Move `state/` aside and start again; if it \
         happens again, this software is not the one that wrote the log", file = crate::block_log::FILE
    )]
    Replay {
        /// The height.
        height: Height,
        /// The rule.
        source: Box<BlockError>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    Read(ReadError),
}
