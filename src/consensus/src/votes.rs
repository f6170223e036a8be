//! Verified votes and proposals of one height, whoever signed them: what others are sent from, and what is counted for people.
//!
//! The engine counts for itself. Bound: [`ROUNDS_MAX`] rounds; when one more comes the lowest goes, except the highest with a quorum of
//! prevotes for a block. Per round one vote of each kind and validator, and two proposals.

use crate::quorum::{is_more_than_third, is_quorum, power_of};
use crate::statement::Statement;
use std::collections::{BTreeMap, BTreeSet};
use timed_primitives::{
    BlockId, CommitSignature, Height, PolkaCertificate, Proposal, PublicKey, Round, RoundCertificate, RoundSignature,
    ValidatorSet, Vote, VoteKind,
};

/// Rounds of one height that are kept.
pub const ROUNDS_MAX: usize = 64;
/// Proposals kept per round: two prove that the leader signed two.
const PROPOSALS_MAX: usize = 2;

/// Whether a message is already held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen<T> {
    No,
    /// The same statement.
    Same,
    /// Another statement by the same signer for the same place.
    Conflict(T),
}

#[derive(Default)]
struct RoundVotes {
    proposals: Vec<Proposal>,
    votes: BTreeMap<(VoteKind, PublicKey), Vote>,
}

/// See the module.
pub(crate) struct Votes {
    height: Height,
    set: ValidatorSet,
    rounds: BTreeMap<Round, RoundVotes>,
}

impl Votes {
    pub(crate) fn new(height: Height, set: ValidatorSet) -> Self {
        Self { height, set, rounds: BTreeMap::new() }
    }

    pub(crate) fn height(&self) -> Height {
        self.height
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    pub(crate) fn vote(&self, round: Round, kind: VoteKind, validator: &PublicKey) -> Option<&Vote> {
        self.rounds.get(&round)?.votes.get(&(kind, *validator))
    }

    pub(crate) fn seen_vote(&self, vote: &Vote) -> Seen<Vote> {
        match self.vote(vote.round, vote.kind, &vote.validator) {
            None => Seen::No,
            Some(held) if held.block == vote.block => Seen::Same,
            Some(held) => Seen::Conflict(held.clone()),
        }
    }

    /// Keeps a verified vote; the first of its place stays.
    pub(crate) fn insert_vote(&mut self, vote: &Vote) {
        let round = self.rounds.entry(vote.round).or_default();
        round.votes.entry((vote.kind, vote.validator)).or_insert_with(|| vote.clone());
        self.bound();
    }

    pub(crate) fn proposals(&self, round: Round) -> &[Proposal] {
        self.rounds.get(&round).map_or(&[], |r| &r.proposals)
    }

    /// All that is held of what a validator signed.
    pub(crate) fn signed_by(&self, signer: &PublicKey) -> impl Iterator<Item = Statement> {
        let votes = self.rounds.values().flat_map(|r| r.votes.values()).filter(|v| v.validator == *signer);
        let proposals = self.all_proposals().filter(|p| p.proposer == *signer);
        votes.cloned().map(Statement::Vote).chain(proposals.cloned().map(Statement::Proposal))
    }

    pub(crate) fn all_proposals(&self) -> impl Iterator<Item = &Proposal> {
        self.rounds.values().flat_map(|r| &r.proposals)
    }

    pub(crate) fn seen_proposal(&self, proposal: &Proposal) -> Seen<Proposal> {
        let held = self.proposals(proposal.round);
        if held.iter().any(|p| p.block == proposal.block && p.valid_round == proposal.valid_round) {
            return Seen::Same;
        }
        held.first().map_or(Seen::No, |p| Seen::Conflict(p.clone()))
    }

    /// Keeps a verified proposal; false when two of its round are held already.
    pub(crate) fn insert_proposal(&mut self, proposal: &Proposal) -> bool {
        let round = self.rounds.entry(proposal.round).or_default();
        let has_room = round.proposals.len() < PROPOSALS_MAX;
        if has_room {
            round.proposals.push(proposal.clone());
        }
        self.bound();
        has_room
    }

    fn bound(&mut self) {
        let keep = self.highest_polka_round(Round(u32::MAX));
        while self.rounds.len() > ROUNDS_MAX {
            let Some(lowest) = self.rounds.keys().find(|r| Some(**r) != keep).copied() else { return };
            self.rounds.remove(&lowest);
        }
    }

    fn of_kind(&self, round: Round, kind: VoteKind) -> impl Iterator<Item = &Vote> {
        self.rounds.get(&round).into_iter().flat_map(|r| r.votes.values()).filter(move |v| v.kind == kind)
    }

    /// Power of those who voted for `block` (nil: `None`).
    pub(crate) fn power_for(&self, round: Round, kind: VoteKind, block: Option<BlockId>) -> u64 {
        self.power(self.of_kind(round, kind).filter(|v| v.block == block))
    }

    fn power<'a>(&self, votes: impl Iterator<Item = &'a Vote>) -> u64 {
        let voters: BTreeSet<_> = votes.map(|v| v.validator).collect();
        power_of(&self.set, |key| voters.contains(key))
    }

    /// True when a quorum precommitted nil: the round is over.
    pub(crate) fn is_nil_quorum(&self, round: Round) -> bool {
        is_quorum(self.power_for(round, VoteKind::Precommit, None), self.set.total_power())
    }

    /// The block, if any, for which a quorum of `kind` voted in `round`.
    pub(crate) fn quorum_block(&self, round: Round, kind: VoteKind) -> Option<BlockId> {
        let named: BTreeSet<_> = self.of_kind(round, kind).filter_map(|v| v.block).collect();
        named.into_iter().find(|id| is_quorum(self.power_for(round, kind, Some(*id)), self.set.total_power()))
    }

    /// True when a quorum prevoted or precommitted the block in some round.
    pub(crate) fn has_quorum_for(&self, id: BlockId) -> bool {
        let kinds = [VoteKind::Prevote, VoteKind::Precommit];
        self.rounds.keys().any(|round| kinds.iter().any(|kind| self.quorum_block(*round, *kind) == Some(id)))
    }

    /// Blocks that a proposal names, or more than a third of the power voted for in one round: worth fetching.
    pub(crate) fn named_blocks(&self) -> BTreeSet<BlockId> {
        let mut named: BTreeSet<_> = self.all_proposals().map(|p| p.block).collect();
        for (round, votes) in &self.rounds {
            for kind in [VoteKind::Prevote, VoteKind::Precommit] {
                let voted: BTreeSet<_> = votes.votes.values().filter_map(|v| v.block).collect();
                let total = self.set.total_power();
                named.extend(
                    voted.into_iter().filter(|id| is_more_than_third(self.power_for(*round, kind, Some(*id)), total)),
                );
            }
        }
        named
    }

    /// Bitmap of validators whose votes are held: bit i of byte i/8, lowest first, is validator i of the sorted set.
    pub(crate) fn bitmap(&self, round: Round, kind: VoteKind) -> Vec<u8> {
        let mut bitmap = vec![0u8; self.set.len().div_ceil(8)];
        for position in self.of_kind(round, kind).filter_map(|v| self.set.index_of(&v.validator)) {
            if let Some(byte) = bitmap.get_mut(position / 8) {
                *byte |= 1 << (position % 8);
            }
        }
        bitmap
    }

    /// Votes held that a peer with this bitmap lacks.
    pub(crate) fn lacking<'a>(
        &'a self,
        round: Round,
        kind: VoteKind,
        bitmap: &'a [u8],
    ) -> impl Iterator<Item = &'a Vote> + 'a {
        self.of_kind(round, kind).filter(move |v| self.set.index_of(&v.validator).is_some_and(|i| !has_bit(bitmap, i)))
    }

    /// True when the bitmap shows a vote that is not held here.
    pub(crate) fn is_lacking_any(&self, round: Round, kind: VoteKind, bitmap: &[u8]) -> bool {
        let held = self.bitmap(round, kind);
        (0..self.set.len()).any(|i| has_bit(bitmap, i) && !has_bit(&held, i))
    }

    /// The highest round up to `round` with a quorum of prevotes for a block.
    pub(crate) fn highest_polka_round(&self, round: Round) -> Option<Round> {
        let rounds = self.rounds.keys().rev().filter(|r| **r <= round);
        rounds.copied().find(|r| self.quorum_block(*r, VoteKind::Prevote).is_some())
    }

    pub(crate) fn polka(&self, round: Round) -> Option<PolkaCertificate> {
        let block = self.quorum_block(round, VoteKind::Prevote)?;
        let signatures = self.of_kind(round, VoteKind::Prevote).filter(|v| v.block == Some(block));
        let signatures = signatures.map(|v| CommitSignature { validator: v.validator, signature: v.signature });
        Some(PolkaCertificate { height: self.height, round, block, signatures: signatures.collect() })
    }

    /// Proof for a peer in `theirs` that a higher round may be entered, of the highest round up to `ours` that has one.
    pub(crate) fn round_certificate(&self, theirs: Round, ours: Round) -> Option<RoundCertificate> {
        let total = self.set.total_power();
        self.rounds.range(theirs..=ours).rev().find_map(|(round, votes)| {
            let is_skip = *round > theirs && is_more_than_third(self.power(votes.votes.values()), total);
            let precommits = || self.of_kind(*round, VoteKind::Precommit);
            let is_left = *round < ours && is_quorum(self.power(precommits()), total);
            let signatures = match (is_skip, is_left) {
                (true, _) => one_per_validator(votes.votes.values()),
                (false, true) => one_per_validator(precommits()),
                (false, false) => return None,
            };
            Some(RoundCertificate { height: self.height, round: *round, is_precommit: !is_skip, signatures })
        })
    }

    /// Precommits for `block` in `round`, sorted by validator.
    pub(crate) fn precommits_for(&self, round: Round, block: BlockId) -> Vec<CommitSignature> {
        let votes = self.of_kind(round, VoteKind::Precommit).filter(|v| v.block == Some(block));
        votes.map(|v| CommitSignature { validator: v.validator, signature: v.signature }).collect()
    }
}

fn one_per_validator<'a>(votes: impl Iterator<Item = &'a Vote>) -> Vec<RoundSignature> {
    let by_validator: BTreeMap<_, _> = votes.map(|v| (v.validator, v)).collect();
    let signature =
        |v: &Vote| RoundSignature { kind: v.kind, block: v.block, validator: v.validator, signature: v.signature };
    by_validator.into_values().map(signature).collect()
}

/// Bit `index` of a bitmap; a short bitmap holds zeros beyond its end.
pub(crate) fn has_bit(bitmap: &[u8], index: usize) -> bool {
    bitmap.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::{Hash, Signature, Validator};

    fn votes() -> Votes {
        let set =
            ValidatorSet::new((1..=4).map(|k| Validator { key: PublicKey([k; 32]), power: 1 }).collect()).unwrap();
        Votes::new(Height(1), set)
    }

    fn vote(kind: VoteKind, round: u32, validator: u8, block: Option<u8>) -> Vote {
        let block = block.map(|b| BlockId(Hash([b; 32])));
        let (validator, signature) = (PublicKey([validator; 32]), Signature([0; 64]));
        Vote { kind, height: Height(1), round: Round(round), block, validator, signature }
    }

    #[test]
    fn dedup_and_conflict() {
        let mut votes = votes();
        let first = vote(VoteKind::Prevote, 0, 1, Some(7));
        assert_eq!(votes.seen_vote(&first), Seen::No);
        votes.insert_vote(&first);
        assert_eq!(votes.seen_vote(&first), Seen::Same);
        assert_eq!(votes.seen_vote(&vote(VoteKind::Prevote, 0, 1, None)), Seen::Conflict(first));
        assert_eq!(votes.seen_vote(&vote(VoteKind::Precommit, 0, 1, None)), Seen::No);
    }

    #[test]
    fn bitmaps_show_what_is_lacking() {
        let mut votes = votes();
        votes.insert_vote(&vote(VoteKind::Prevote, 0, 1, Some(7)));
        votes.insert_vote(&vote(VoteKind::Prevote, 0, 4, None));
        assert_eq!(votes.bitmap(Round(0), VoteKind::Prevote), [0b1001]);
        let lacking: Vec<_> = votes.lacking(Round(0), VoteKind::Prevote, &[0b0001]).map(|v| v.validator.0[0]).collect();
        assert_eq!(lacking, [4]);
        assert_eq!(votes.lacking(Round(0), VoteKind::Prevote, &[]).count(), 2);
        assert!(votes.is_lacking_any(Round(0), VoteKind::Prevote, &[0b0010]));
        assert!(!votes.is_lacking_any(Round(0), VoteKind::Prevote, &[0b1001, 0xff]));
    }

    #[test]
    fn certificates_are_made_of_known_votes() {
        let mut votes = votes();
        for validator in 1..=3 {
            votes.insert_vote(&vote(VoteKind::Prevote, 0, validator, Some(7)));
            votes.insert_vote(&vote(VoteKind::Precommit, 0, validator, None));
        }
        assert_eq!(votes.polka(Round(0)).unwrap().signatures.len(), 3);
        assert!(votes.is_nil_quorum(Round(0)));
        let left = votes.round_certificate(Round(0), Round(1)).unwrap();
        assert_eq!((left.round, left.is_precommit, left.signatures.len()), (Round(0), true, 3));
        votes.insert_vote(&vote(VoteKind::Prevote, 5, 1, None));
        votes.insert_vote(&vote(VoteKind::Prevote, 5, 2, None));
        let skip = votes.round_certificate(Round(0), Round(5)).unwrap();
        assert_eq!((skip.round, skip.is_precommit, skip.signatures.len()), (Round(5), false, 2));
        assert_eq!(votes.round_certificate(Round(5), Round(5)), None);
    }

    #[test]
    fn rounds_are_bounded_and_the_polka_is_kept() {
        let mut votes = votes();
        for validator in 1..=3 {
            votes.insert_vote(&vote(VoteKind::Prevote, 2, validator, Some(7)));
        }
        for round in 0..200 {
            votes.insert_vote(&vote(VoteKind::Precommit, round, 1, None));
        }
        assert_eq!(votes.rounds.len(), ROUNDS_MAX);
        assert!(votes.polka(Round(2)).is_some());
    }
}
