//! What an interval paid, for people.

use crate::masternodes::{RegistrationId, Tier};
use crate::transaction::TxOutput;
use borsh::{BorshDeserialize, BorshSerialize};
use timed_primitives::{Amount, Height, UnixTime};

/// Reports of how many intervals a node keeps. Older ones can be derived from the blocks again.
pub const REWARD_REPORTS_MAX: u64 = 1_024;

/// What an interval paid, and to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RewardReport {
    /// Number of the interval.
    pub interval: u64,
    /// Its first height.
    pub first: Height,
    /// Height of the block that pays.
    pub paid_at: Height,
    /// Time of that block.
    pub time: UnixTime,
    /// How many voted at its last height.
    pub voters: u32,
    /// Money that is made.
    pub emission: Amount,
    /// Fees that are paid out.
    pub fees: Amount,
    /// Of both, what goes to the treasury.
    pub treasury: Amount,
    /// Those that voted, in order of names.
    pub masternodes: Vec<RewardRow>,
    /// The free ones that were drawn, in order of drawing.
    pub free: Vec<FreeRow>,
    /// The payouts, in order of their indexes: those of each masternode in turn, then those of the free ones. See [`crate::payout_id`].
    pub outputs: Vec<TxOutput>,
    /// Who was warned, in order of names.
    pub warned: Vec<RegistrationId>,
    /// Who was to be jailed, in order of names.
    pub missing: Vec<RegistrationId>,
}

/// What a masternode that votes was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RewardRow {
    /// Which.
    pub registration: RegistrationId,
    /// Its tier.
    pub tier: Tier,
    /// At how many heights it voted.
    pub expected: u32,
    /// How many of them the chain holds its precommit for.
    pub signed: u32,
    /// What that was worth.
    pub earned: Amount,
    /// What its payees got: less when a share is too small to be an output, nothing when it is gone or has ended.
    pub paid: Amount,
    /// In how many outputs.
    pub payouts: u32,
}

/// What a free masternode that was drawn was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FreeRow {
    /// Which.
    pub registration: RegistrationId,
    /// How many were asked whether it can be reached.
    pub witnesses: u32,
    /// How many of them reached it.
    pub reached: u32,
    /// What its payees got.
    pub paid: Amount,
    /// In how many outputs.
    pub payouts: u32,
}
