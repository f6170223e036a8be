//! Who decides which height.

use borsh::{BorshDeserialize, BorshSerialize};
use std::io;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Validator, ValidatorSet};

/// The validators of a tip's height and of the two after it: what a block changes acts two heights after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSchedule([ValidatorSet; 3]);

impl ValidatorSchedule {
    /// At the start of a chain: those of genesis decide the first two blocks.
    pub fn genesis(set: ValidatorSet) -> Self {
        Self([set.clone(), set.clone(), set])
    }

    /// Who decides so many heights above the tip. Those of the third and higher are not known yet: the last known are given.
    pub const fn at(&self, above: u64) -> &ValidatorSet {
        let [tip, next, second] = &self.0;
        match above {
            0 => tip,
            1 => next,
            _ => second,
        }
    }

    /// After the next block, at whose end these are the ones who vote.
    pub fn after(&self, voters: ValidatorSet) -> Self {
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

impl BorshSerialize for ValidatorSchedule {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.iter().try_for_each(|set| set.as_slice().serialize(writer))
    }
}

impl BorshDeserialize for ValidatorSchedule {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let mut set = || {
            let validators: Vec<Validator> = Vec::deserialize_reader(reader)?;
            ValidatorSet::new(validators).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        };
        Ok(Self([set()?, set()?, set()?]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::{PublicKey, decode, encode};

    fn set(powers: &[u64]) -> ValidatorSet {
        let validators = (1..).zip(powers).map(|(n, power)| Validator { key: PublicKey([n; 32]), power: *power });
        ValidatorSet::new(validators.collect()).unwrap()
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
        assert_eq!([0, 1, 2].map(|above| second.at(above).len()), [4, 4, 5]);
        assert_eq!([0, 1, 2, 3].map(|above| third.at(above).len()), [4, 5, 4, 4]);
        assert_eq!(decode::<ValidatorSchedule>(&encode(&third)).unwrap(), third);
    }
}
