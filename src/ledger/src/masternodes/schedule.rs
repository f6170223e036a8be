//! Who decides which height.

use crate::masternodes::voting::VotingMasternodes;
use borsh::{BorshDeserialize, BorshSerialize};
use timed_primitives::planted::{Bug, is_planted};

/// The validators of a tip's height and of the two after it: what a block changes acts two heights after it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ValidatorSchedule([VotingMasternodes; 3]);

impl ValidatorSchedule {
    /// At the start of a chain: those of genesis decide the first two blocks.
    pub fn genesis(set: VotingMasternodes) -> Self {
        Self([set.clone(), set.clone(), set])
    }

    /// Who decides so many heights above the tip. Those of the third and higher are not known yet: the last known are given.
    pub const fn at(&self, above: u64) -> &VotingMasternodes {
        let [tip, next, second] = &self.0;
        match above {
            0 => tip,
            1 => next,
            _ => second,
        }
    }

    /// After the next block, at whose end these are the ones who vote.
    pub fn after(&self, voters: VotingMasternodes) -> Self {
        let [_, next, second] = &self.0;
        let second = if is_planted(Bug::SetChangeTooEarly) { &voters } else { second };
        Self([next.clone(), second.clone(), voters.clone()])
    }

    /// After the next block, which changes nothing.
    pub fn unchanged(&self) -> Self {
        let [_, next, second] = &self.0;
        Self([next.clone(), second.clone(), second.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::masternodes::registration::RegistrationId;
    use crate::masternodes::tier::Tier;
    use crate::masternodes::voting::VotingMasternode;
    use timed_primitives::{Hash, PublicKey, decode, encode};

    fn set(powers: &[u64]) -> VotingMasternodes {
        let voter = |(n, power): (u8, &u64)| VotingMasternode {
            validator: (PublicKey([n; 32]), *power),
            registration: RegistrationId(Hash([n; 32])),
            tier: Tier::Bronze,
        };
        VotingMasternodes::new((1..).zip(powers).map(voter).collect()).unwrap()
    }

    #[test]
    fn what_a_block_changes_acts_two_heights_later() {
        let (old, new) = (set(&[1, 1, 1, 1]), set(&[1, 1, 1, 1, 1]));
        let genesis = ValidatorSchedule::genesis(old.clone());
        assert!((0..9).all(|above| *genesis.at(above) == old));
        // Block 1 changes nothing, block 2 does, block 3 takes it back.
        let first = genesis.after(old.clone());
        let second = first.after(new.clone());
        let third = second.after(old.clone());
        assert_eq!([0, 1, 2].map(|above| second.at(above).validators().len()), [4, 4, 5]);
        assert_eq!([0, 1, 2, 3].map(|above| third.at(above).validators().len()), [4, 5, 4, 4]);
        assert_eq!(decode::<ValidatorSchedule>(&encode(&third)).unwrap(), third);
    }
}
