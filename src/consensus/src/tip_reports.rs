//! How high the network was when this node started: the tips that other validators reported since then.
//!
//! Who signed at height h had seen h − 1 decided: a quorum had precommitted it. Any other quorum shares an honest validator with that one,
//! and what this validator reports afterwards is at least h − 2. So nothing that was signed before our start, with our key or any other, is
//! more than two above the highest tip that some quorum of others reported since. Reports come over connections that began after our start,
//! so none of them is old; of several by one validator the lowest counts, and of all quorums the one whose highest tip is lowest: a
//! Byzantine validator that names too high a tip is left out as soon as the others are a quorum without it, and one that names too low a
//! tip is never the honest one that two quorums share.

use crate::quorum::quorum;
use std::collections::BTreeMap;
use timed_primitives::{Height, PublicKey, ValidatorSet};

/// See the module. Bound: one height per validator of the set.
#[derive(Default)]
pub(crate) struct TipReports {
    lowest: BTreeMap<PublicKey, Height>,
    of_quorum: Option<Height>,
}

impl TipReports {
    /// Another validator's tip, reported by itself.
    pub(crate) fn on_report(&mut self, set: &ValidatorSet, validator: PublicKey, tip: Height) {
        self.lowest.retain(|key, _| set.get(key).is_some());
        if set.get(&validator).is_none() {
            return;
        }
        let lowest = self.lowest.entry(validator).or_insert(tip);
        *lowest = tip.min(*lowest);
        let mut tips: Vec<_> = self.lowest.iter().filter_map(|(key, tip)| Some((*tip, set.get(key)?.power))).collect();
        tips.sort_unstable();
        let mut power = 0;
        let highest = tips.into_iter().find_map(|(tip, more)| {
            power += more;
            (power >= quorum(set.total_power())).then_some(tip)
        });
        self.of_quorum = [self.of_quorum, highest].into_iter().flatten().min();
    }

    /// The highest tip that a quorum of others reported since our start; `None` while they are no quorum.
    pub(crate) fn of_quorum(&self) -> Option<Height> {
        self.of_quorum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::Validator;

    fn key(id: u8) -> PublicKey {
        PublicKey([id; 32])
    }

    /// Tips that validators report, one after the other, in a set of equal ones; what the quorum's is after each.
    fn check(validators: u8, reports: &[(u8, u64)], expected: &[Option<u64>]) {
        let members = (1..=validators).map(|id| Validator { key: key(id), power: 1 }).collect();
        let set = ValidatorSet::new(members).unwrap();
        let mut tips = TipReports::default();
        let found: Vec<_> = reports
            .iter()
            .map(|(id, tip)| {
                tips.on_report(&set, key(*id), Height(*tip));
                tips.of_quorum().map(|height| height.0)
            })
            .collect();
        assert_eq!(found, expected, "{reports:?}");
    }

    #[test]
    fn the_quorum_whose_highest_tip_is_lowest_counts() {
        check(4, &[(2, 7), (3, 9), (4, 8)], &[None, None, Some(9)]);
        check(4, &[(2, 7), (2, 8), (3, 9), (4, 8), (3, 12)], &[None, None, None, Some(9), Some(9)]);
        // One of seven names any tip it likes.
        check(7, &[(2, u64::MAX), (3, 9), (4, 8), (5, 9), (6, 9)], &[None, None, None, None, Some(u64::MAX)]);
        check(
            7,
            &[(2, u64::MAX), (3, 9), (4, 8), (5, 9), (6, 9), (7, 8)].map(|r| r),
            &[None, None, None, None, Some(u64::MAX), Some(9)],
        );
        check(7, &[(2, 0), (3, 9), (4, 8), (5, 9), (6, 9), (7, 8)], &[None, None, None, None, Some(9), Some(9)]);
        // Who does not vote says nothing.
        check(4, &[(2, 7), (3, 9), (9, 8)], &[None, None, None]);
    }
}
