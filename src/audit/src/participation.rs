//! Who took part: heights, intervals, accounts.

use crate::draw::AuditedDraw;
use crate::error::BrokenRule as Fault;
use crate::power::Voters;
use borsh::BorshSerialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use timed_ledger::{RegistrationId, Tier};
use timed_primitives::{Amount, BlockId, CommitCertificate, Height, PublicKey, Round, UnixTime};

/// Heights that can still get late precommits.
const HEIGHTS_KEPT: u64 = 100;

/// All that rewards depend on. In this order it is part of the accounts root.
#[derive(Clone, Debug, Default, BorshSerialize)]
pub(crate) struct Participation {
    pub(crate) heights: Heights,
    pub(crate) open: AuditedInterval,
    pub(crate) waiting: Option<AuditedInterval>,
    pub(crate) accounts: BTreeMap<RegistrationId, AuditedAccount>,
}

/// What a masternode did since its last assessment.
#[derive(Clone, Copy, Debug, Default, BorshSerialize)]
pub(crate) struct AuditedAccount {
    pub(crate) expected: u32,
    pub(crate) signed: u32,
    pub(crate) is_warned: bool,
}

/// Blocks that are paid for together.
#[derive(Clone, Debug, Default, BorshSerialize)]
pub(crate) struct AuditedInterval {
    pub(crate) number: u64,
    pub(crate) start: UnixTime,
    pub(crate) first: Height,
    pub(crate) voters: u32,
    pub(crate) fees: Amount,
    pub(crate) tallies: BTreeMap<RegistrationId, AuditedTally>,
    pub(crate) drawn: Vec<AuditedDraw>,
}

/// At how many heights a masternode could vote, and signed.
#[derive(Clone, Copy, Debug, BorshSerialize)]
pub(crate) struct AuditedTally {
    pub(crate) tier: Tier,
    pub(crate) expected: u32,
    pub(crate) signed: u32,
}

/// What is recorded of the last heights.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heights(BTreeMap<Height, Record>);

/// What is recorded of a height.
#[derive(Clone, Debug)]
struct Record {
    block: BlockId,
    round: Round,
    signed: BTreeSet<PublicKey>,
    /// The same, a bit for each voter.
    bits: [u64; 3],
    voters: Voters,
    /// From which height on the voters were these.
    since: Height,
}

/// A bit for each of the voters that signed, in order.
fn bits(voters: &Voters, signed: &BTreeSet<PublicKey>) -> [u64; 3] {
    let mut bits = [0_u64; 3];
    for (position, voter) in voters.iter().enumerate() {
        if let (Some(word), true) = (bits.get_mut(position / 64), signed.contains(&voter.key)) {
            *word |= 1 << (position % 64);
        }
    }
    bits
}

/// As the state has it: the heights with a bit for each voter, then the voters, each with the first of their heights.
impl BorshSerialize for Heights {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        let row = |(height, one): (&Height, &Record)| (*height, one.block, one.round, one.bits);
        self.0.iter().map(row).collect::<Vec<_>>().serialize(writer)?;
        let voters: BTreeMap<Height, &Voters> = self.0.values().map(|one| (one.since, &one.voters)).collect();
        voters.into_iter().collect::<Vec<_>>().serialize(writer)
    }
}

#[cfg(test)]
impl Heights {
    /// Forgets a precommit, or makes one up.
    pub(crate) fn tamper(&mut self) -> bool {
        self.0.values_mut().last().map(|one| one.bits[0] ^= 1).is_some()
    }
}

impl Participation {
    /// Block 1 opens the first interval.
    pub(crate) fn open_first(&mut self, time: UnixTime) {
        self.open = AuditedInterval { number: 1, start: time, first: Height::FIRST, ..AuditedInterval::default() };
    }

    /// What the certificate of a height says, whose voters were these. Its signers are among them.
    pub(crate) fn record(&mut self, certificate: &CommitCertificate, voters: &Voters) {
        let height = certificate.height;
        let signed: BTreeSet<_> = certificate.signatures.iter().map(|one| one.validator).collect();
        let before = self.heights.0.last_key_value().filter(|(_, one)| one.voters == *voters);
        let since = before.map_or(height, |(_, one)| one.since);
        if let Some(interval) = self.interval_of(height) {
            for voter in voters.iter() {
                let new = AuditedTally { tier: voter.tier, expected: 0, signed: 0 };
                let tally = interval.tallies.entry(voter.registration).or_insert(new);
                tally.expected += 1;
                tally.signed += u32::from(signed.contains(&voter.key));
            }
        }
        let (block, round, bits) = (certificate.block, certificate.round, bits(voters, &signed));
        self.heights.0.insert(height, Record { block, round, signed, bits, voters: voters.clone(), since });
        self.heights.0.retain(|kept, _| height.above(*kept) < HEIGHTS_KEPT);
    }

    /// The interval that a height belongs to, while it is not paid.
    fn interval_of(&mut self, height: Height) -> Option<&mut AuditedInterval> {
        if height >= self.open.first {
            return Some(&mut self.open);
        }
        self.waiting.as_mut().filter(|waiting| height >= waiting.first)
    }

    /// Whether these precommits can still be added.
    pub(crate) fn check_late(&self, late: &CommitCertificate) -> Result<(), Fault> {
        let record = self.heights.0.get(&late.height).ok_or(Fault::LateHeight(late.height))?;
        if (late.block, late.round) != (record.block, record.round) {
            return Err(Fault::LateBlock { block: record.block, round: record.round });
        }
        if late.signatures.is_empty() {
            return Err(Fault::LateKey { key: None });
        }
        let mut before = None;
        for one in &late.signatures {
            let key = Some(one.validator);
            let counts = record.voters.of_key(&one.validator).is_some() && !record.signed.contains(&one.validator);
            if before >= key || !counts {
                return Err(Fault::LateKey { key });
            }
            before = key;
        }
        Ok(())
    }

    /// Adds them.
    pub(crate) fn add_late(&mut self, late: &CommitCertificate) {
        let keys: Vec<PublicKey> = late.signatures.iter().map(|one| one.validator).collect();
        let Some(record) = self.heights.0.get_mut(&late.height) else { return };
        record.signed.extend(&keys);
        record.bits = bits(&record.voters, &record.signed);
        let voters = record.voters.clone();
        let Some(interval) = self.interval_of(late.height) else { return };
        for voter in keys.iter().filter_map(|key| voters.of_key(key)) {
            if let Some(tally) = interval.tallies.get_mut(&voter.registration) {
                tally.signed += 1;
            }
        }
    }

    /// The one witness that states something, if it was asked and has not stated it.
    pub(crate) fn witness(
        &mut self,
        number: u64,
        free: RegistrationId,
        witness: RegistrationId,
    ) -> Result<&mut bool, Fault> {
        let intervals = [Some(&mut self.open), self.waiting.as_mut()];
        let drawn = intervals.into_iter().flatten().filter(|one| one.number == number).flat_map(|one| &mut one.drawn);
        let witnesses = drawn.filter(|one| one.free == free).flat_map(|one| &mut one.witnesses);
        let mut asked = witnesses.filter(|one| one.registration == witness && !one.has_stated);
        let asked = asked.next().map(|one| &mut one.has_stated);
        asked.ok_or(Fault::NotAsked { interval: number, free, witness })
    }
}
