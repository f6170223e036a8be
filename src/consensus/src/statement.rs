//! What validators sign, and the order in which one of them signs it.

use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use timed_primitives::{BlockId, ChainId, CommitCertificate, Height, Proposal, PublicKey, Round, Vote, VoteKind};

/// What was signed, in the order in which it is signed within a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum SignedStep {
    /// A proposal.
    Proposal,
    /// A prevote.
    Prevote,
    /// A precommit.
    Precommit,
    /// Nothing: the height was decided, and this node will sign nothing more there.
    Decided,
}

/// One thing signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedRecord {
    /// At which height.
    pub height: Height,
    /// In which round.
    pub round: Round,
    /// What kind of thing.
    pub step: SignedStep,
    /// For which block; `None` for nil.
    pub block: Option<BlockId>,
    /// The round of the quorum named in a proposal, if any.
    pub valid_round: Option<Round>,
}

impl SignedRecord {
    /// Position in the order of signing.
    pub(crate) fn place(&self) -> (Height, Round, SignedStep) {
        (self.height, self.round, self.step)
    }

    /// A vote's place and value.
    pub fn of_vote(vote: &Vote) -> Self {
        let step = match vote.kind {
            VoteKind::Prevote => SignedStep::Prevote,
            VoteKind::Precommit => SignedStep::Precommit,
        };
        Self { height: vote.height, round: vote.round, step, block: vote.block, valid_round: None }
    }

    /// A proposal's place and value.
    pub fn of_proposal(p: &Proposal) -> Self {
        let step = SignedStep::Proposal;
        Self { height: p.height, round: p.round, step, block: Some(p.block), valid_round: p.valid_round }
    }

    /// `height` is behind us, decided as `block`.
    pub(crate) fn decided(height: Height, block: BlockId) -> Self {
        Self { height, round: Round(u32::MAX), step: SignedStep::Decided, block: Some(block), valid_round: None }
    }

    /// True when this comes after `other` in the order of signing.
    pub(crate) fn is_after(&self, other: &Self) -> bool {
        self.place() > other.place()
    }
}

impl fmt::Display for SignedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            SignedStep::Proposal => "proposal",
            SignedStep::Prevote => "prevote",
            SignedStep::Precommit => "precommit",
            SignedStep::Decided => return write!(f, "height {} (decided)", self.height),
        };
        write!(f, "{step} of height {} round {}", self.height, self.round)
    }
}

/// Something a validator signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A vote.
    Vote(Vote),
    /// A proposal.
    Proposal(Proposal),
}

impl Statement {
    /// Whose signature it bears.
    pub const fn signer(&self) -> PublicKey {
        match self {
            Self::Vote(vote) => vote.validator,
            Self::Proposal(proposal) => proposal.proposer,
        }
    }

    /// Its place and value.
    pub fn record(&self) -> SignedRecord {
        match self {
            Self::Vote(vote) => SignedRecord::of_vote(vote),
            Self::Proposal(proposal) => SignedRecord::of_proposal(proposal),
        }
    }

    /// True when the signer signed it for this chain.
    pub fn is_signed(&self, chain: ChainId) -> bool {
        match self {
            Self::Vote(vote) => vote.is_signed(chain),
            Self::Proposal(proposal) => proposal.is_signed(chain),
        }
    }
}

/// The precommits of which a certificate is made.
pub fn statements_of(certificate: &CommitCertificate) -> impl Iterator<Item = Statement> + '_ {
    certificate.votes().map(Statement::Vote)
}
