//! What validators sign, and the certificates made of it.
//!
//! Pre-images are a domain tag, the chain id and fixed-width fields, so that no two statements share bytes.

use crate::block_id::BlockId;
use crate::hash::{Domain, Hash};
use crate::keys::{PublicKey, Signature, SignedItem};
use crate::number::{ChainId, Height, Round};
use borsh::{BorshDeserialize, BorshSerialize};

/// First or second vote of a round (Tendermint paper, algorithm 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum VoteKind {
    /// First vote: this proposal is acceptable, or nil.
    Prevote,
    /// Second vote: a quorum of prevotes was seen, or nil.
    Precommit,
}

/// A signed vote. `block` is `None` for nil.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// Which of the two votes.
    pub kind: VoteKind,
    /// For which height.
    pub height: Height,
    /// In which round.
    pub round: Round,
    /// For which block, or nil.
    pub block: Option<BlockId>,
    /// Who votes: the consensus key.
    pub validator: PublicKey,
    /// Over [`Vote::signing_bytes`].
    pub signature: Signature,
}

/// Bytes a validator signs for a vote. Fixed width: 8 + 8 + 1 + 8 + 4 + 1 + 32 + 32.
pub fn vote_signing_bytes(
    chain: ChainId,
    kind: VoteKind,
    height: Height,
    round: Round,
    block: Option<BlockId>,
    validator: &PublicKey,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(94);
    bytes.extend(b"TIMEvote");
    bytes.extend(chain.0.to_be_bytes());
    bytes.push(match kind {
        VoteKind::Prevote => 1,
        VoteKind::Precommit => 2,
    });
    bytes.extend(height.0.to_be_bytes());
    bytes.extend(round.0.to_be_bytes());
    bytes.push(u8::from(block.is_some()));
    bytes.extend(block.unwrap_or_default().0.0);
    bytes.extend(validator.0);
    bytes
}

impl Vote {
    /// What the signature covers.
    pub fn signing_bytes(&self, chain: ChainId) -> Vec<u8> {
        vote_signing_bytes(chain, self.kind, self.height, self.round, self.block, &self.validator)
    }

    /// The signature with what it must cover.
    pub fn signed_item(&self, chain: ChainId) -> SignedItem {
        SignedItem { key: self.validator, message: self.signing_bytes(chain), signature: self.signature }
    }

    /// True when the named validator signed this vote for this chain.
    pub fn is_signed(&self, chain: ChainId) -> bool {
        self.validator.verify(&self.signing_bytes(chain), &self.signature)
    }
}

/// A signed proposal of a block for a round; the block itself travels apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// For which height.
    pub height: Height,
    /// In which round.
    pub round: Round,
    /// Which block.
    pub block: BlockId,
    /// The earlier round in which a quorum prevoted the block, for a re-proposal (`vr` in the Tendermint paper).
    pub valid_round: Option<Round>,
    /// Who proposes: the consensus key. Not necessarily who made the block.
    pub proposer: PublicKey,
    /// Over [`Proposal::signing_bytes`].
    pub signature: Signature,
}

/// Bytes a validator signs for a proposal. Fixed width.
pub fn proposal_signing_bytes(
    chain: ChainId,
    height: Height,
    round: Round,
    block: BlockId,
    valid_round: Option<Round>,
    proposer: &PublicKey,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(97);
    bytes.extend(b"TIMEprop");
    bytes.extend(chain.0.to_be_bytes());
    bytes.extend(height.0.to_be_bytes());
    bytes.extend(round.0.to_be_bytes());
    bytes.push(u8::from(valid_round.is_some()));
    bytes.extend(valid_round.unwrap_or_default().0.to_be_bytes());
    bytes.extend(block.0.0);
    bytes.extend(proposer.0);
    bytes
}

impl Proposal {
    /// What the signature covers.
    pub fn signing_bytes(&self, chain: ChainId) -> Vec<u8> {
        proposal_signing_bytes(chain, self.height, self.round, self.block, self.valid_round, &self.proposer)
    }

    /// True when the named proposer signed this proposal for this chain.
    pub fn is_signed(&self, chain: ChainId) -> bool {
        self.proposer.verify(&self.signing_bytes(chain), &self.signature)
    }
}

/// One validator's precommit inside a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct CommitSignature {
    /// Who signed.
    pub validator: PublicKey,
    /// Over the precommit for the certificate's height, round and block.
    pub signature: Signature,
}

/// Proof that a block is final: precommits of more than two thirds of the voting power of its height's validators.
/// Anybody can check it with the validator set alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct CommitCertificate {
    /// The decided height.
    pub height: Height,
    /// The round of the precommits.
    pub round: Round,
    /// The decided block.
    pub block: BlockId,
    /// Sorted by validator, each at most once.
    pub signatures: Vec<CommitSignature>,
}

impl CommitCertificate {
    /// The precommits it is made of.
    pub fn votes(&self) -> impl Iterator<Item = Vote> + '_ {
        self.signatures.iter().map(|one| Vote {
            kind: VoteKind::Precommit,
            height: self.height,
            round: self.round,
            block: Some(self.block),
            validator: one.validator,
            signature: one.signature,
        })
    }

    /// Hash of the certificate, for the next header.
    pub fn hash(&self) -> Hash {
        Hash::of(Domain::Certificate, &crate::encode(self))
    }
}

/// Proof that a quorum prevoted one block in a round.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct PolkaCertificate {
    /// At which height.
    pub height: Height,
    /// In which round.
    pub round: Round,
    /// Which block.
    pub block: BlockId,
    /// The prevotes.
    pub signatures: Vec<CommitSignature>,
}

/// One vote inside a [`RoundCertificate`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct RoundSignature {
    /// Which of the two votes.
    pub kind: VoteKind,
    /// What was voted for; nil is `None`.
    pub block: Option<BlockId>,
    /// Who voted.
    pub validator: PublicKey,
    /// Over the vote.
    pub signature: Signature,
}

/// Proof that a round may be entered: enough votes of it (a third to skip ahead, a quorum of precommits to leave the last).
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct RoundCertificate {
    /// At which height.
    pub height: Height,
    /// The round of the votes.
    pub round: Round,
    /// True for a quorum of precommits, false for more than a third of any votes (skip).
    pub is_precommit: bool,
    /// The votes.
    pub signatures: Vec<RoundSignature>,
}
