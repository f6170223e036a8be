//! Who leads which round, by the chain alone.
//!
//! 1. A table of turns: smooth weighted round-robin over power divided by the greatest common divisor. Height h begins at entry
//!    (h − 1) modulo its length, and the next distinct validators follow, for later rounds.
//! 2. Whoever led a failed round in the last 100 heights (all rounds below a block's round of first proposal) stands at the end,
//!    until its precommit for a height above the failed one is in an included certificate. So a dead leader costs one time-out.
//!
//! The second part is computed anew for each height from exactly the last 100 blocks and the height's own set, so a node that just
//! started and one that ran for a year agree. When every validator would be blamed it was the network, and nobody is.

use crate::context::Members;
use std::collections::VecDeque;
use std::sync::Arc;
use timed_primitives::{Block, CommitCertificate, Header, Height, PublicKey, Round, ValidatorSet};

/// How long a failed turn is remembered. Unit: blocks.
pub const MEMORY_HEIGHTS: u64 = 100;

/// Longest table of turns. Above it powers are scaled down, at least 1 each, which keeps the order and loses precision only.
pub const TURNS_MAX: u64 = 4096;

/// What one block says about leaders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderRecord {
    /// The block's height.
    pub height: Height,
    /// Who made it.
    pub proposer: PublicKey,
    /// In which round it was first proposed: those before failed.
    pub first_round: Round,
    /// Height of the certificate it includes, and who signed that: its parent's.
    pub included: Option<(Height, Vec<PublicKey>)>,
}

impl LeaderRecord {
    /// Of a header and the certificate in its block's body.
    pub fn new(header: &Header, parent_certificate: Option<&CommitCertificate>) -> Self {
        let signers = |c: &CommitCertificate| (c.height, c.signatures.iter().map(|s| s.validator).collect());
        Self {
            height: header.height,
            proposer: header.proposer,
            first_round: header.first_round,
            included: parent_certificate.map(signers),
        }
    }

    /// Of a block.
    pub fn of(block: &Block) -> Self {
        Self::new(&block.header, block.parent_certificate.as_ref())
    }
}

/// Turns and memory for the height after the newest record.
pub struct LeaderOrder {
    turns: Vec<usize>,
    set: ValidatorSet,
    records: VecDeque<LeaderRecord>,
}

impl LeaderOrder {
    /// `records` are the newest blocks in ascending order; more than [`MEMORY_HEIGHTS`] are ignored.
    pub fn new(set: ValidatorSet, records: impl IntoIterator<Item = LeaderRecord>) -> Self {
        let mut order = Self { turns: turns(&set), set, records: VecDeque::new() };
        records.into_iter().for_each(|r| order.push(r));
        order
    }

    /// A block was committed.
    pub fn push(&mut self, record: LeaderRecord) {
        self.records.push_back(record);
        while self.records.len() as u64 > MEMORY_HEIGHTS {
            self.records.pop_front();
        }
    }

    /// The validators changed.
    pub fn set_validators(&mut self, set: &ValidatorSet) {
        if self.set != *set {
            self.turns = turns(set);
            self.set = set.clone();
        }
    }

    /// Positions in the set, each once: round r of `height` is led by entry r modulo length.
    pub fn order(&self, height: Height) -> Arc<[usize]> {
        let oldest = height.0.saturating_sub(MEMORY_HEIGHTS);
        let mut failed: Vec<(usize, Height)> = Vec::new();
        for record in self.records.iter().filter(|r| r.height.0 >= oldest && r.height < height) {
            if let Some((certified, signers)) = &record.included {
                failed.retain(|(position, at)| {
                    *certified <= *at || !self.set.as_slice().get(*position).is_some_and(|v| signers.contains(&v.key))
                });
            }
            self.blame(record, &mut failed);
        }
        self.with_failed_last(height, &failed).into()
    }

    fn blame(&self, record: &LeaderRecord, failed: &mut Vec<(usize, Height)>) {
        let rounds = usize::try_from(record.first_round.0).unwrap_or(usize::MAX);
        if rounds == 0 || rounds >= self.set.len() {
            return;
        }
        let order = self.with_failed_last(record.height, failed);
        let proposer = self.set.index_of(&record.proposer);
        for position in order.into_iter().take(rounds).filter(|p| Some(*p) != proposer) {
            failed.retain(|(p, _)| *p != position);
            failed.push((position, record.height));
        }
    }

    fn with_failed_last(&self, height: Height, failed: &[(usize, Height)]) -> Vec<usize> {
        let is_failed = |p: &usize| failed.iter().any(|(f, _)| f == p);
        let natural = self.natural(height);
        natural.into_iter().filter(|p| !is_failed(p)).chain(failed.iter().map(|(p, _)| *p)).collect()
    }

    fn natural(&self, height: Height) -> Vec<usize> {
        let length = self.turns.len().max(1);
        let start = usize::try_from((height.0.saturating_sub(1)) % length as u64).unwrap_or(0);
        let mut seen = vec![false; self.set.len()];
        let mut order = Vec::with_capacity(self.set.len());
        for position in self.turns.iter().cycle().skip(start).take(length) {
            if let Some(seen) = seen.get_mut(*position).filter(|s| !**s) {
                *seen = true;
                order.push(*position);
            }
        }
        order
    }

    pub(crate) fn members(&self, height: Height) -> Members {
        Members::new(&self.set, self.order(height))
    }
}

/// Who leads `round` in an `order` that [`LeaderOrder::order`] gave for this set.
pub fn leader(set: &ValidatorSet, order: &[usize], round: Round) -> Option<PublicKey> {
    let round = usize::try_from(round.0).ok()?;
    let position = order.get(round.checked_rem(order.len())?)?;
    set.as_slice().get(*position).map(|v| v.key)
}

/// Smooth weighted round-robin: each turn everyone gains its weight, the highest leads and pays the total. Ties go to the smaller key.
fn turns(set: &ValidatorSet) -> Vec<usize> {
    let divisor = set.iter().fold(0, |d, v| greatest_common_divisor(d, v.power)).max(1);
    let total = set.total_power() / divisor;
    let scale = |power: u64| match total <= TURNS_MAX {
        true => power / divisor,
        false => (u128::from(power / divisor) * u128::from(TURNS_MAX) / u128::from(total)).max(1) as u64,
    };
    let weights: Vec<i64> = set.iter().map(|v| i64::try_from(scale(v.power)).unwrap_or(i64::MAX)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0i64; weights.len()];
    let mut table = Vec::new();
    for _ in 0..total {
        credit.iter_mut().zip(&weights).for_each(|(c, w)| *c += w);
        let Some(leader) = (0..credit.len()).rev().max_by_key(|i| credit[*i]) else { break };
        credit[leader] -= total;
        table.push(leader);
    }
    table
}

const fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    match b {
        0 => a,
        _ => greatest_common_divisor(b, a % b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use timed_primitives::Validator;

    fn set(powers: &[u64]) -> ValidatorSet {
        let validators = (1u8..).zip(powers).map(|(k, power)| Validator { key: PublicKey([k; 32]), power: *power });
        ValidatorSet::new(validators.collect()).unwrap()
    }

    fn record(height: u64, proposer: u8, first_round: u32, signers: &[u8]) -> LeaderRecord {
        LeaderRecord {
            height: Height(height),
            proposer: PublicKey([proposer; 32]),
            first_round: Round(first_round),
            included: Some((Height(height - 1), signers.iter().map(|k| PublicKey([*k; 32])).collect())),
        }
    }

    #[test]
    fn equal_powers_take_turns_and_weights_are_spread() {
        assert_eq!(turns(&set(&[7, 7, 7])), [0, 1, 2]);
        assert_eq!(turns(&set(&[5, 1, 1])), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(turns(&set(&[100_000, 1])).len() as u64, TURNS_MAX);
    }

    #[test]
    fn a_failed_leader_goes_to_the_end_until_its_precommit_appears() {
        let mut order = LeaderOrder::new(set(&[1, 1, 1, 1]), []);
        assert_eq!(*order.order(Height(2)), [1, 2, 3, 0]);
        order.push(record(1, 1, 0, &[]));
        // Validator 2 (position 1) leads height 2 and is dead.
        order.push(record(2, 3, 1, &[1, 3, 4]));
        assert_eq!(*order.order(Height(3)), [2, 3, 0, 1]);
        for height in 3..6 {
            order.push(record(height, 1, 0, &[1, 3, 4]));
        }
        assert_eq!(*order.order(Height(6)), [2, 3, 0, 1]);
        // Its precommit of height 5 is in block 6: it leads again.
        order.push(record(6, 1, 0, &[1, 2, 3]));
        assert_eq!(*order.order(Height(10)), [1, 2, 3, 0]);
    }

    #[test]
    fn a_failure_is_forgotten_after_a_hundred_heights_and_a_broken_network_blames_nobody() {
        let mut order = LeaderOrder::new(set(&[1, 1, 1, 1]), [record(2, 3, 1, &[1, 3, 4])]);
        for height in 3..=102 {
            order.push(record(height, 1, 0, &[1, 3, 4]));
            let expected_last = height < 102;
            let next = Height(height + 1);
            assert_eq!(order.order(next).last() == Some(&1) && order.natural(next) != *order.order(next), {
                expected_last && order.natural(next).last() != Some(&1)
            });
        }
        let order = LeaderOrder::new(set(&[1, 1, 1]), [record(2, 1, 3, &[1, 2, 3])]);
        assert_eq!(*order.order(Height(4)), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn every_validator_stands_in_the_order_once(
            powers in prop::collection::vec(1u64..200, 1..12),
            blocks in prop::collection::vec((0u32..6, 0u8..13, prop::collection::vec(0u8..13, 0..6)), 0..130),
        ) {
            let set = set(&powers);
            let records = (2u64..).zip(&blocks).map(|(h, (round, proposer, signers))| record(h, *proposer, *round, signers));
            let order = LeaderOrder::new(set.clone(), records.clone());
            let height = Height(blocks.len() as u64 + 2);
            let mut positions = order.order(height).to_vec();
            prop_assert!(leader(&set, &positions, Round(u32::MAX)).is_some());
            positions.sort();
            prop_assert_eq!(positions, (0..set.len()).collect::<Vec<_>>());
            // A node that knows only the last 100 blocks agrees.
            let skip = blocks.len().saturating_sub(100);
            prop_assert_eq!(LeaderOrder::new(set, records.skip(skip)).order(height), order.order(height));
        }

        #[test]
        fn turns_are_in_proportion_to_power(powers in prop::collection::vec(1u64..50, 1..8)) {
            let set = set(&powers);
            let table = turns(&set);
            let divisor = powers.iter().fold(0, |d, p| greatest_common_divisor(d, *p));
            for (position, power) in powers.iter().enumerate() {
                prop_assert_eq!(table.iter().filter(|t| **t == position).count() as u64, power / divisor);
            }
        }
    }
}
