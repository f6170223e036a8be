//! Who signed the last heights, as the chain knows it.

use crate::masternodes::{RegistrationId, VotingMasternode, VotingMasternodes};
use crate::rewards::error::StatementError;
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::{BTreeMap, VecDeque};
use timed_primitives::{BlockId, CommitCertificate, Height, Round};

/// How many heights can still get late precommits.
pub const HEIGHTS_MAX: usize = 100;

/// One bit for each voter, in order: whose precommit the chain holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedVoters([u64; 3]);

impl SignedVoters {
    /// Whether the voter at this position signed.
    pub fn has(&self, position: usize) -> bool {
        self.0.get(position / 64).is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    fn set(&mut self, position: usize) {
        if let Some(word) = self.0.get_mut(position / 64) {
            *word |= 1 << (position % 64);
        }
    }
}

/// What was decided at a height, and who signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HeightRecord {
    /// The height.
    pub height: Height,
    /// Its block.
    pub block: BlockId,
    /// Round of its certificate.
    pub round: Round,
    /// By voters of that height.
    pub signed: SignedVoters,
}

/// What one voter did at the last heights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// At how many of them it voted.
    pub expected: u32,
    /// How many of those the chain holds its precommit for.
    pub signed: u32,
    /// The last of those.
    pub last_signed: Option<Height>,
}

/// The last heights, at most [`HEIGHTS_MAX`], the oldest first, and who voted at them.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HeightWindow {
    heights: VecDeque<HeightRecord>,
    /// VotingMasternodes, each with the first of the heights they are for; none that no height needs any more.
    voters: VecDeque<(Height, VotingMasternodes)>,
}

impl HeightWindow {
    /// The recorded heights, the oldest first.
    pub fn heights(&self) -> impl DoubleEndedIterator<Item = &HeightRecord> + ExactSizeIterator {
        self.heights.iter()
    }

    /// Records the next height, and who of its voters signed the certificate. Gives the record.
    pub(super) fn record(&mut self, certificate: &CommitCertificate, voters: &VotingMasternodes) -> HeightRecord {
        if self.heights.len() >= HEIGHTS_MAX {
            self.heights.pop_front();
        }
        let (height, block, round) = (certificate.height, certificate.block, certificate.round);
        let mut signed = SignedVoters::default();
        for one in &certificate.signatures {
            voters.validators().index_of(&one.validator).into_iter().for_each(|position| signed.set(position));
        }
        let record = HeightRecord { height, block, round, signed };
        self.heights.push_back(record);
        if self.voters.back().is_none_or(|(_, last)| last != voters) {
            self.voters.push_back((height, voters.clone()));
        }
        let oldest = self.heights.front().map_or(height, |one| one.height);
        while self.voters.get(1).is_some_and(|(first, _)| *first <= oldest) {
            self.voters.pop_front();
        }
        record
    }

    /// Of each that voted at some of these heights: at how many, and which of them the chain holds its precommit for.
    pub(super) fn presence(&self) -> BTreeMap<RegistrationId, Presence> {
        let mut all = BTreeMap::<_, Presence>::new();
        for record in &self.heights {
            let Some((_, _, voters)) = self.get(record.height) else { continue };
            for (position, voter) in voters.as_slice().iter().enumerate() {
                let one = all.entry(voter.registration).or_default();
                one.expected += 1;
                if record.signed.has(position) {
                    (one.signed, one.last_signed) = (one.signed + 1, Some(record.height));
                }
            }
        }
        all
    }

    /// The record of a height, and who voted.
    fn get(&self, height: Height) -> Option<(usize, &HeightRecord, &VotingMasternodes)> {
        let first = self.heights.front()?.height;
        let position = usize::try_from(height.0.checked_sub(first.0)?).ok()?;
        let record = self.heights.get(position)?;
        let (_, voters) = self.voters.iter().rev().find(|(first, _)| *first <= height)?;
        Some((position, record, voters))
    }

    /// The voters whose precommits these are, when each of them counts.
    pub(super) fn check_late(&self, late: &CommitCertificate) -> Result<Vec<VotingMasternode>, StatementError> {
        let height = late.height;
        let Some((_, record, voters)) = self.get(height) else {
            let at = |one: Option<&HeightRecord>| one.map_or(Height::GENESIS, |one| one.height);
            let (first, last) = (at(self.heights.front()), at(self.heights.back()));
            return Err(StatementError::Height { height, first, last });
        };
        if (late.block, late.round) != (record.block, record.round) {
            let (found, round, block, decided) = (late.block, late.round, record.block, record.round);
            return Err(StatementError::Block { height, found, round, block, decided });
        }
        let (mut found, mut last) = (Vec::with_capacity(late.signatures.len()), None);
        for key in late.signatures.iter().map(|one| one.validator) {
            if last.is_some_and(|last| last >= key) {
                return Err(StatementError::Order(key));
            }
            last = Some(key);
            let position = voters.validators().index_of(&key).ok_or(StatementError::NoVoter { key, height })?;
            if record.signed.has(position) {
                return Err(StatementError::Counted { key, height });
            }
            found.extend(voters.as_slice().get(position).copied());
        }
        if found.is_empty() { Err(StatementError::Nobody) } else { Ok(found) }
    }

    /// They count from now on.
    pub(super) fn add_late(&mut self, late: &CommitCertificate) {
        let Some((position, _, voters)) = self.get(late.height) else { return };
        let keys = late.signatures.iter().map(|one| one.validator);
        let voters: Vec<_> = keys.filter_map(|key| voters.validators().index_of(&key)).collect();
        if let Some(record) = self.heights.get_mut(position) {
            voters.into_iter().for_each(|voter| record.signed.set(voter));
        }
    }

    /// Those of these precommits that would count; `None` when there are none.
    pub(super) fn missing_of(&self, late: &CommitCertificate) -> Option<CommitCertificate> {
        let (_, record, voters) = self.get(late.height)?;
        if (late.block, late.round) != (record.block, record.round) {
            return None;
        }
        let counts = |key| voters.validators().index_of(key).is_some_and(|position| !record.signed.has(position));
        let signatures: Vec<_> = late.signatures.iter().filter(|one| counts(&one.validator)).cloned().collect();
        (!signatures.is_empty()).then(|| CommitCertificate { signatures, ..late.clone() })
    }
}
