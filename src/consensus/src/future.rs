//! Verified votes and proposals of the heights after the one being decided.
//!
//! Bound: [`FUTURE_HEIGHTS`] heights and the rounds below [`FUTURE_ROUNDS`] only, one of each kind per validator and round, the first
//! staying: at most 2 × 4 × 2 votes and as many proposals per validator, whoever sends them.

use crate::statement::Statement;
use std::collections::BTreeMap;
use timed_primitives::{Height, Proposal, PublicKey, Round, Vote, VoteKind};

/// Heights after the one being decided of which votes are kept.
pub(crate) const FUTURE_HEIGHTS: u64 = 2;
/// Rounds of those heights that are kept.
pub(crate) const FUTURE_ROUNDS: u32 = 4;

/// See the module.
#[derive(Default)]
pub(crate) struct Future {
    votes: BTreeMap<(Height, Round, VoteKind, PublicKey), Vote>,
    proposals: BTreeMap<(Height, Round, PublicKey), Proposal>,
}

impl Future {
    /// Whether there is a place for this vote, and it is free.
    pub(crate) fn has_room_for_vote(&self, vote: &Vote) -> bool {
        vote.round.0 < FUTURE_ROUNDS && !self.votes.contains_key(&(vote.height, vote.round, vote.kind, vote.validator))
    }

    /// Keeps a verified vote for which there is room.
    pub(crate) fn insert_vote(&mut self, vote: Vote) {
        self.votes.insert((vote.height, vote.round, vote.kind, vote.validator), vote);
    }

    /// Whether there is a place for this proposal, and it is free.
    pub(crate) fn has_room_for_proposal(&self, proposal: &Proposal) -> bool {
        let place = (proposal.height, proposal.round, proposal.proposer);
        proposal.round.0 < FUTURE_ROUNDS && !self.proposals.contains_key(&place)
    }

    /// Keeps a verified proposal for which there is room.
    pub(crate) fn insert_proposal(&mut self, proposal: Proposal) {
        self.proposals.insert((proposal.height, proposal.round, proposal.proposer), proposal);
    }

    /// Takes out what is held of a height that begins.
    pub(crate) fn take(&mut self, height: Height) -> (Vec<Vote>, Vec<Proposal>) {
        let votes = self.votes.extract_if(.., |key, _| key.0 == height).map(|(_, v)| v).collect();
        let proposals = self.proposals.extract_if(.., |key, _| key.0 == height).map(|(_, p)| p).collect();
        (votes, proposals)
    }

    /// Forgets heights up to this one.
    pub(crate) fn on_committed(&mut self, height: Height) {
        self.votes.retain(|key, _| key.0 > height);
        self.proposals.retain(|key, _| key.0 > height);
    }

    /// All that is held of what a validator signed.
    pub(crate) fn signed_by(&self, signer: &PublicKey) -> impl Iterator<Item = Statement> {
        let votes = self.votes.values().filter(|vote| vote.validator == *signer).cloned();
        let proposals = self.proposals.values().filter(|proposal| proposal.proposer == *signer).cloned();
        votes.map(Statement::Vote).chain(proposals.map(Statement::Proposal))
    }

    /// How many messages are held.
    pub(crate) fn len(&self) -> usize {
        self.votes.len() + self.proposals.len()
    }
}
