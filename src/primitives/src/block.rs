//! Blocks: a header that commits to everything, and the body.

use crate::block_id::BlockId;
use crate::hash::{Domain, Hash};
use crate::keys::PublicKey;
use crate::number::{ChainId, Height, Round};
use crate::time::UnixTime;
use crate::vote::CommitCertificate;
use borsh::{BorshDeserialize, BorshSerialize};
use std::io;

/// The format this software writes and accepts.
pub const BLOCK_VERSION: u16 = 2;

/// What a block commits to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Header {
    /// Format: [`BLOCK_VERSION`]. Version 1 had none of history, masternode and output root.
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
    /// Root over the ids of all blocks before this one: see [`crate::history`].
    pub history_root: Hash,
    /// Root of the application's list of masternodes after this block; of the empty tree for applications without.
    pub masternode_root: Hash,
    /// What the application says of an earlier state, for proofs of its parts: for payments, at every height k·E, the Merkle root of all
    /// outputs that were unspent after height (k−1)·E. Zero at all other heights.
    pub output_root: Hash,
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

    /// How many blocks [`Self::history_root`] covers: heights 1 to the one before this.
    pub const fn blocks_before(&self) -> u64 {
        self.height.0.saturating_sub(1)
    }
}

/// The transactions of a block, as the canonical bytes (borsh) of their list. What they mean only the application knows: consensus, journal,
/// log and frames carry them as they are.
///
/// In canonical bytes it is what comes last, without a length of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockPayload(pub Vec<u8>);

impl Default for BlockPayload {
    /// No transactions.
    fn default() -> Self {
        Self(vec![0; 4])
    }
}

impl BorshSerialize for BlockPayload {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(&self.0)
    }
}

impl BorshDeserialize for BlockPayload {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// The two things that must be known of an application's payloads without it.
#[derive(Clone, Copy, Debug)]
pub struct PayloadFormat {
    /// What [`Header::tx_root`] must be for a payload; `None` when the bytes are no list of the application's transactions.
    pub root: fn(&BlockPayload) -> Option<Hash>,
    /// Length of the payload that these bytes begin with; `None` when they begin with none.
    pub length: fn(&[u8]) -> Option<usize>,
}

impl PayloadFormat {
    /// Of an application without transactions, for those who only count blocks.
    pub const EMPTY: Self = Self {
        root: |payload| (*payload == BlockPayload::default()).then(|| crate::merkle::root(&[])),
        length: |bytes| bytes.starts_with(&[0; 4]).then_some(4),
    };
}

/// A header and what it commits to.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// The commitments.
    pub header: Header,
    /// Why the parent is final; `None` at height 1 only.
    pub parent_certificate: Option<CommitCertificate>,
    /// The transactions, in order of application.
    pub payload: BlockPayload,
}

impl Block {
    /// The block's id: its header's.
    pub fn id(&self) -> BlockId {
        self.header.id()
    }

    /// True when payload and parent certificate are those that the header commits to. The id alone names only the header: a body
    /// that came from a peer proves nothing before this.
    pub fn is_whole(&self, format: PayloadFormat) -> bool {
        let certificate = self.parent_certificate.as_ref().map_or(Hash::ZERO, CommitCertificate::hash);
        self.header.parent_certificate_hash == certificate && Some(self.header.tx_root) == (format.root)(&self.payload)
    }

    /// Its height.
    pub fn height(&self) -> Height {
        self.header.height
    }

    /// Reads a block that other bytes follow, and takes it off their front.
    ///
    /// # Errors
    /// When they do not begin with a block.
    pub fn read_from(bytes: &mut &[u8], format: PayloadFormat) -> io::Result<Self> {
        let (header, parent_certificate) = (Header::deserialize(bytes)?, Option::deserialize(bytes)?);
        let payload = (format.length)(bytes).and_then(|length| bytes.split_at_checked(length));
        let (payload, rest) = payload.ok_or(io::ErrorKind::InvalidData)?;
        *bytes = rest;
        Ok(Self { header, parent_certificate, payload: BlockPayload(payload.to_vec()) })
    }
}

/// The end of the chain as a node has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height; 0 at genesis.
    pub height: Height,
    /// Its id; zero at genesis.
    pub id: BlockId,
    /// Its time; the genesis time at genesis.
    pub time: UnixTime,
    /// Commitment to the state after it.
    pub state_commitment: Hash,
    /// Why it is final; `None` at genesis only.
    pub certificate: Option<CommitCertificate>,
}
