//! Questions about money, at one tip.

use crate::genesis::Genesis;
use crate::lock::KeyHash;
use crate::rewards::RewardReport;
use crate::state::{OutputEntry, Supply};
use crate::transaction::{OutPoint, Transaction};
use borsh::{BorshDeserialize, BorshSerialize};
use std::sync::Arc;
use timed_chain::ReadError;
use timed_primitives::{Height, TxId};

/// Questions in canonical bytes, for [`timed_chain::History::query`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum LedgerQuery {
    /// What all unspent outputs of a key amount to. Answer: an amount.
    Balance(KeyHash),
    /// Where all money is. Answer: a [`Supply`].
    Supply,
    /// All masternodes. Answer: a [`crate::MasternodeList`].
    Masternodes,
}

/// A transaction of a final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmedTransaction {
    /// The transaction.
    pub transaction: Transaction,
    /// Height of its block.
    pub height: Height,
    /// Position in the block.
    pub index: u32,
}

/// Totals at a tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerTotals {
    /// Transactions of all blocks.
    pub transactions: u64,
    /// Unspent outputs.
    pub outputs: u64,
}

/// What a ledger answers.
pub trait LedgerQueries {
    /// How it started.
    fn genesis(&self) -> Arc<Genesis>;

    /// What an interval paid; `None` when it is not paid, or so long ago that the report is gone: see [`crate::REWARD_REPORTS_MAX`].
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    fn reward_report(&self, interval: u64) -> Result<Option<RewardReport>, ReadError>;

    /// An unspent output; `None` when it was never made or is spent.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    fn output(&self, outpoint: &OutPoint) -> Result<Option<OutputEntry>, ReadError>;

    /// At most `limit` unspent outputs locked to a key, in order of outpoint, those above `after` only when it is given.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    fn outputs_of(
        &self,
        key: &KeyHash,
        after: Option<&OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, OutputEntry)>, ReadError>;

    /// A transaction of a final block.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    fn transaction(&self, txid: &TxId) -> Result<Option<ConfirmedTransaction>, ReadError>;

    /// Where all money is.
    fn supply(&self) -> Supply;

    /// Totals.
    fn totals(&self) -> LedgerTotals;
}
