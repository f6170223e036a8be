//! Precommits that came too late for the certificate that the next block included.
//!
//! They show who took part, and the chain has room for them for a hundred heights. Bound: as many heights, and one precommit of each validator.

use std::collections::{BTreeMap, VecDeque};
use timed_primitives::{CommitCertificate, CommitSignature, PublicKey, Signature, ValidatorSet, Vote, VoteKind};

/// Of how many heights late precommits are kept: as many as the chain has room for.
const HEIGHTS_MAX: usize = 100;

/// A height whose certificate is included.
struct LateHeight {
    /// What was included.
    included: CommitCertificate,
    /// Who decided the height.
    set: ValidatorSet,
    /// Verified precommits that were not included.
    late: BTreeMap<PublicKey, Signature>,
}

/// See the module. Heights ascend.
#[derive(Default)]
pub(crate) struct LatePrecommits {
    heights: VecDeque<LateHeight>,
}

impl LatePrecommits {
    /// A block included this certificate of its parent, which this set decided; `held` is all that we have of it.
    pub(crate) fn on_included(
        &mut self,
        included: &CommitCertificate,
        held: Option<&CommitCertificate>,
        set: &ValidatorSet,
    ) {
        if self.heights.back().is_some_and(|last| last.included.height >= included.height) {
            return;
        }
        if self.heights.len() >= HEIGHTS_MAX {
            self.heights.pop_front();
        }
        // After several blocks at once, what we hold is of another height, and so is the set.
        let Some(held) = held.filter(|held| held.block == included.block) else { return };
        self.heights.push_back(LateHeight { included: included.clone(), set: set.clone(), late: BTreeMap::new() });
        let votes: Vec<_> = held.votes().filter(|vote| self.is_missing(vote)).collect();
        votes.iter().for_each(|vote| self.insert(vote));
    }

    /// Whether this is a precommit for what was decided, by somebody who decided it, that is neither included nor held.
    pub(crate) fn is_missing(&self, vote: &Vote) -> bool {
        self.find(vote).and_then(|at| self.heights.get(at)).is_some_and(|LateHeight { included, set, late }| {
            vote.kind == VoteKind::Precommit
                && vote.round == included.round
                && vote.block == Some(included.block)
                && set.get(&vote.validator).is_some()
                && !late.contains_key(&vote.validator)
                && included.signatures.iter().all(|one| one.validator != vote.validator)
        })
    }

    /// The precommit on the chain that this vote, by the same signer for the same place, contradicts.
    pub(crate) fn contradicted(&self, vote: &Vote) -> Option<Vote> {
        let included = &self.heights.get(self.find(vote)?)?.included;
        let is_other =
            vote.kind == VoteKind::Precommit && vote.round == included.round && vote.block != Some(included.block);
        included.votes().find(|held| is_other && held.validator == vote.validator)
    }

    /// A verified precommit that is missing.
    pub(crate) fn insert(&mut self, vote: &Vote) {
        if let Some(at) = self.find(vote)
            && let Some(height) = self.heights.get_mut(at)
        {
            height.late.insert(vote.validator, vote.signature);
        }
    }

    /// What is held, one certificate for each height with late precommits, the oldest first. They hold the late ones alone.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = CommitCertificate> + '_ {
        self.heights.iter().filter(|height| !height.late.is_empty()).map(|height| {
            let signature = |(validator, signature): (&PublicKey, &Signature)| CommitSignature {
                validator: *validator,
                signature: *signature,
            };
            CommitCertificate {
                signatures: height.late.iter().map(signature).collect(),
                height: height.included.height,
                round: height.included.round,
                block: height.included.block,
            }
        })
    }

    fn find(&self, vote: &Vote) -> Option<usize> {
        self.heights.binary_search_by_key(&vote.height, |height| height.included.height).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::{BlockId, Hash, Height, Round, SecretKey, Validator};

    fn key(n: u64) -> PublicKey {
        SecretKey::development("consensus", n).public()
    }

    fn vote(n: u64, height: u64) -> Vote {
        Vote {
            kind: VoteKind::Precommit,
            height: Height(height),
            round: Round(2),
            block: Some(block(height)),
            validator: key(n),
            signature: Signature([height.try_into().unwrap_or(u8::MAX); 64]),
        }
    }

    fn block(height: u64) -> BlockId {
        BlockId(Hash([height.try_into().unwrap_or(u8::MAX); 32]))
    }

    fn certificate(height: u64, signers: &[u64]) -> CommitCertificate {
        let signature = |n: &u64| CommitSignature { validator: key(*n), signature: vote(*n, height).signature };
        let mut signatures: Vec<_> = signers.iter().map(signature).collect();
        signatures.sort();
        CommitCertificate { height: Height(height), round: Round(2), block: block(height), signatures }
    }

    fn set() -> ValidatorSet {
        ValidatorSet::new((1..=4).map(|n| Validator { key: key(n), power: 1 }).collect()).unwrap()
    }

    #[test]
    fn what_came_late_is_kept_once_and_what_does_not_count_is_not() {
        let mut late = LatePrecommits::default();
        late.on_included(&certificate(7, &[1, 2, 3]), Some(&certificate(7, &[1, 2, 3])), &set());
        assert_eq!(late.certificates().count(), 0);
        let nil = Vote { block: None, ..vote(4, 7) };
        let others = [
            vote(1, 7),
            vote(4, 8),
            vote(9, 7),
            nil,
            Vote { round: Round(1), ..vote(4, 7) },
            Vote { kind: VoteKind::Prevote, ..vote(4, 7) },
        ];
        assert!(others.iter().all(|vote| !late.is_missing(vote)));
        assert!(late.is_missing(&vote(4, 7)));
        late.insert(&vote(4, 7));
        assert!(!late.is_missing(&vote(4, 7)));
        assert_eq!(late.certificates().collect::<Vec<_>>(), [certificate(7, &[4])]);
    }

    #[test]
    fn what_we_hold_and_the_proposer_did_not_is_late_too() {
        let mut late = LatePrecommits::default();
        late.on_included(&certificate(7, &[1, 2, 3]), Some(&certificate(7, &[1, 2, 3, 4])), &set());
        assert_eq!(late.certificates().collect::<Vec<_>>(), [certificate(7, &[4])]);
        // What we hold is of another height: after blocks from others.
        late.on_included(&certificate(9, &[1, 2, 3]), Some(&certificate(7, &[1, 2, 3, 4])), &set());
        assert!(!late.is_missing(&vote(4, 9)));
    }

    #[test]
    fn what_contradicts_a_precommit_on_the_chain_is_found() {
        let mut late = LatePrecommits::default();
        late.on_included(&certificate(7, &[1, 2, 3]), Some(&certificate(7, &[1, 2, 3])), &set());
        let other = Vote { block: Some(block(9)), ..vote(1, 7) };
        let nil = Vote { block: None, ..vote(2, 7) };
        assert_eq!([&other, &nil].map(|vote| late.contradicted(vote)), [Some(vote(1, 7)), Some(vote(2, 7))]);
        let harmless = [
            vote(1, 7),
            Vote { round: Round(3), ..other.clone() },
            Vote { kind: VoteKind::Prevote, ..other.clone() },
            Vote { validator: key(4), ..other.clone() },
            Vote { height: Height(8), ..other },
        ];
        assert!(harmless.iter().all(|vote| late.contradicted(vote).is_none()));
    }

    #[test]
    fn a_hundred_heights_are_kept() {
        let mut late = LatePrecommits::default();
        for height in 1..=150 {
            late.on_included(&certificate(height, &[1, 2, 3]), Some(&certificate(height, &[1, 2, 3, 4])), &set());
        }
        let heights: Vec<_> = late.certificates().map(|certificate| certificate.height.0).collect();
        assert_eq!(heights, (51..=150).collect::<Vec<_>>());
    }
}
