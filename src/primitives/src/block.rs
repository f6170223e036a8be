//! Blocks: a header that commits to everything, and the body.

use crate::hash::{Domain, Hash};
use crate::hash_newtype;
use crate::keys::PublicKey;
use crate::merkle;
use crate::number::{ChainId, Height, Round};
use crate::time::UnixTime;
use crate::transaction::Transaction;
use crate::vote::CommitCertificate;
use borsh::{BorshDeserialize, BorshSerialize};

hash_newtype! {
    /// Name of a block: hash of its header.
    BlockId
}

/// The format this software writes and accepts.
pub const BLOCK_VERSION: u16 = 1;

/// What a block commits to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Header {
    /// Format; 1 today.
    pub version: u16,
    /// The chain it belongs to.
    pub chain_id: ChainId,
    /// Its height, from 1.
    pub height: Height,
    /// Proposer's time: above the parent's, at most 5 s ahead of the validator's clock when fresh.
    pub time: UnixTime,
    /// The block before; zero at height 1.
    pub parent: BlockId,
    /// Who made the block: the consensus key.
    pub proposer: PublicKey,
    /// The round in which it was first proposed; shows later leaders who failed before.
    pub first_round: Round,
    /// Merkle root (RFC 6962 shape) of the full ids of the transactions.
    pub tx_root: Hash,
    /// Commitment to the state after this block.
    pub state_commitment: Hash,
    /// Hash of the validator set that decides this height.
    pub validators_hash: Hash,
    /// Hash of the validator set that decides the next height.
    pub next_validators_hash: Hash,
    /// Hash of the parent's certificate in the body; zero at height 1.
    pub parent_certificate_hash: Hash,
    /// Merkle root of the evidence in the body; of the empty tree today.
    pub evidence_root: Hash,
    /// Hash of the chain's parameters.
    pub parameters_hash: Hash,
}

impl Header {
    /// The block's id.
    pub fn id(&self) -> BlockId {
        BlockId(Hash::of(Domain::BlockId, &crate::encode(self)))
    }
}

/// A header and what it commits to.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// The commitments.
    pub header: Header,
    /// Why the parent is final; `None` at height 1 only.
    pub parent_certificate: Option<CommitCertificate>,
    /// In order of application.
    pub transactions: Vec<Transaction>,
}

impl Block {
    /// The block's id: its header's.
    pub fn id(&self) -> BlockId {
        self.header.id()
    }

    /// True when transactions and parent certificate are those that the header commits to. The id alone names only the header: a body
    /// that came from a peer proves nothing before this.
    pub fn is_whole(&self) -> bool {
        let certificate = self.parent_certificate.as_ref().map_or(Hash::ZERO, CommitCertificate::hash);
        self.header.parent_certificate_hash == certificate
            && self.header.tx_root == transaction_root(&self.transactions)
    }

    /// Its height.
    pub fn height(&self) -> Height {
        self.header.height
    }
}

/// Root over transactions, for [`Header::tx_root`].
pub fn transaction_root<'a>(transactions: impl IntoIterator<Item = &'a Transaction>) -> Hash {
    merkle::root(&transactions.into_iter().map(|t| t.full_id().0).collect::<Vec<_>>())
}
