//! Two statements of one key for one place: what proves that a validator contradicted itself.

use crate::keys::{PublicKey, SignedItem};
use crate::number::{ChainId, Height, Round};
use crate::vote::{Proposal, Vote};
use borsh::{BorshDeserialize, BorshSerialize};

/// What a validator proved against itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum DoubleSign {
    /// 0: two votes of one kind in one round.
    Votes(Box<Vote>, Box<Vote>),
    /// 1: two proposals in one round.
    Proposals(Box<Proposal>, Box<Proposal>),
}

impl DoubleSign {
    /// Of two votes, the lesser first.
    pub fn of_votes(one: Vote, other: Vote) -> Self {
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        Self::Votes(Box::new(first), Box::new(second))
    }

    /// Of two proposals, the lesser first.
    pub fn of_proposals(one: Proposal, other: Proposal) -> Self {
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        Self::Proposals(Box::new(first), Box::new(second))
    }

    /// Whose contradiction it is, by the first of the two.
    pub const fn key(&self) -> PublicKey {
        match self {
            Self::Votes(first, _) => first.validator,
            Self::Proposals(first, _) => first.proposer,
        }
    }

    /// At which height, by the first of the two.
    pub const fn height(&self) -> Height {
        match self {
            Self::Votes(first, _) => first.height,
            Self::Proposals(first, _) => first.height,
        }
    }

    /// In which round, by the first of the two.
    pub const fn round(&self) -> Round {
        match self {
            Self::Votes(first, _) => first.round,
            Self::Proposals(first, _) => first.round,
        }
    }

    /// Whether the two are for one place and for different blocks, and the lesser is first, so that there is one encoding. Signatures apart.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Votes(first, second) => {
                let place = |vote: &Vote| (vote.kind, vote.height, vote.round, vote.validator);
                place(first) == place(second) && first.block != second.block && first < second
            }
            Self::Proposals(first, second) => {
                let place = |proposal: &Proposal| (proposal.height, proposal.round, proposal.proposer);
                place(first) == place(second) && first.block != second.block && first < second
            }
        }
    }

    /// The two signatures with what they must cover.
    pub fn signed_items(&self, chain: ChainId) -> [SignedItem; 2] {
        match self {
            Self::Votes(first, second) => [first, second].map(|vote| vote.signed_item(chain)),
            Self::Proposals(first, second) => [first, second].map(|proposal| SignedItem {
                key: proposal.proposer,
                message: proposal.signing_bytes(chain),
                signature: proposal.signature,
            }),
        }
    }
}
