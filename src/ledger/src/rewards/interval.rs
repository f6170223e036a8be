//! Intervals of block time, and who took part in them.

use crate::masternodes::{RegistrationId, Tier, VotingMasternode};
use crate::rewards::draw::Drawn;
use crate::rewards::heights::SignedVoters;
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;
use timed_primitives::{Amount, Height, UnixTime};

/// An interval that is open, or waits for its payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Interval {
    /// Its number, from 1.
    pub number: u64,
    /// Time of the block that closed the one before; of block 1 for the first.
    pub start: UnixTime,
    /// Its first height.
    pub first: Height,
    /// How many voted at its last height; 0 while it is open.
    pub voters: u32,
    /// Fees of its blocks.
    pub fees: Amount,
    /// Who voted at its heights.
    pub tallies: BTreeMap<RegistrationId, Tally>,
    /// Free ones that can be paid for it, in order of drawing.
    pub drawn: Vec<Drawn>,
}

/// What part a masternode took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Tally {
    /// Its tier at the first of the heights.
    pub tier: Tier,
    /// At how many heights it voted.
    pub expected: u32,
    /// How many of them the chain holds its precommit for.
    pub signed: u32,
}

impl Tally {
    /// What a height counts when money is shared; 0 for the tier that does not vote.
    pub const fn weight(&self) -> u64 {
        match self.tier {
            Tier::Free => 0,
            Tier::Bronze => 1_000,
            Tier::Silver => 10_000,
            Tier::Gold => 100_000,
        }
    }
}

impl Interval {
    /// One more height.
    pub(super) fn count(&mut self, voters: &[VotingMasternode], signed: SignedVoters) {
        for (position, voter) in voters.iter().enumerate() {
            let new = Tally { tier: voter.tier, expected: 0, signed: 0 };
            let tally = self.tallies.entry(voter.registration).or_insert(new);
            tally.expected = tally.expected.saturating_add(1);
            tally.signed = tally.signed.saturating_add(u32::from(signed.has(position)));
        }
    }

    /// Precommits that came late for one of its heights.
    pub(super) fn count_late(&mut self, voters: &[VotingMasternode]) {
        for voter in voters {
            if let Some(tally) = self.tallies.get_mut(&voter.registration) {
                tally.signed = tally.signed.saturating_add(1);
            }
        }
    }
}
