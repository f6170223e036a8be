//! What the audit found, for people.

use std::collections::BTreeMap;
use timed_primitives::{Amount, Height, UnixTime};

/// Where the audit stands after the last block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Of the last block; 0 at genesis.
    pub height: Height,
    /// Its time.
    pub time: UnixTime,
    /// Transactions since genesis.
    pub transactions: u64,
    /// Unspent outputs.
    pub outputs: u64,
    /// What they hold.
    pub unspent: Amount,
    /// Fees that are not paid out yet.
    pub fees: Amount,
    /// The treasury's.
    pub treasury: Amount,
    /// Made as rewards since genesis.
    pub issued: Amount,
    /// Masternodes on the list, by what they do.
    pub masternodes: BTreeMap<&'static str, u64>,
    /// Double signs that were punished since genesis.
    pub double_signs: u64,
    /// Warnings since genesis.
    pub warnings: u64,
    /// Jailings since genesis.
    pub jailings: u64,
    /// What those on the list are charged for double signs and have not paid yet.
    pub penalties_due: Amount,
    /// What releases paid to the treasury.
    pub penalties_paid: Amount,
    /// Intervals that were paid.
    pub intervals_paid: u64,
}
