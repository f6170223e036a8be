//! What the chain amounts to after a block: totals, and the hash of the set of unspent outputs.

use crate::delta::Delta;
use crate::genesis::{Genesis, GenesisError};
use crate::lthash::LtHash;
use borsh::{BorshDeserialize, BorshSerialize};
use timed_primitives::{
    Amount, Block, BlockId, CommitCertificate, Domain, Hash, Height, KeyHash, Lock, OutPoint, TxOutput, UnixTime,
    encode, merkle,
};

/// An unspent output and since when it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OutputEntry {
    /// Amount and lock.
    pub output: TxOutput,
    /// Height of the block that made it; 0 for genesis.
    pub height: Height,
}

/// The last final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerTip {
    /// Its height; 0 before the first block.
    pub height: Height,
    /// Its id; zero before the first block.
    pub id: BlockId,
    /// Its time; that of genesis before the first block.
    pub time: UnixTime,
    /// Commitment to the state after it.
    pub state_commitment: Hash,
    /// Why it is final; `None` before the first block.
    pub certificate: Option<CommitCertificate>,
}

/// Where all money is. `unspent + fees` is the supply of genesis, at every height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supply {
    /// In unspent outputs.
    pub unspent: Amount,
    /// Collected as fees so far, waiting to be paid out.
    pub fees: Amount,
}

/// Totals after a block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct ChainState {
    pub(crate) height: Height,
    pub(crate) id: BlockId,
    pub(crate) time: UnixTime,
    pub(crate) utxo: LtHash,
    pub(crate) outputs: u64,
    pub(crate) transactions: u64,
    pub(crate) unspent: Amount,
    pub(crate) fees: Amount,
}

impl ChainState {
    /// Before the first block.
    pub(crate) fn genesis(genesis: &Genesis) -> Result<Self, GenesisError> {
        let mut utxo = LtHash::default();
        let mut outputs = 0;
        for (outpoint, output) in genesis.unspent() {
            utxo.add(&outpoint, &output, Height::GENESIS);
            outputs += 1;
        }
        Ok(Self {
            height: Height::GENESIS,
            id: BlockId::default(),
            time: genesis.time,
            utxo,
            outputs,
            transactions: 0,
            unspent: genesis.supply()?,
            fees: Amount::ZERO,
        })
    }

    /// After a block at `height` with these changes; `None` when an amount leaves its range, which only a broken state can cause.
    /// Id and time are those of the parent until [`Self::with_block_id`].
    pub(crate) fn after(&self, height: Height, delta: &Delta) -> Option<Self> {
        let mut utxo = self.utxo.clone();
        let mut unspent = self.unspent;
        for (outpoint, entry) in &delta.spent {
            utxo.remove(outpoint, &entry.output, entry.height);
            unspent = unspent.minus(entry.output.amount)?;
        }
        for (outpoint, output) in &delta.created {
            utxo.add(outpoint, output, height);
            unspent = unspent.plus(output.amount)?;
        }
        let [created, spent, transactions] = [delta.created.len(), delta.spent.len(), delta.transactions.len()]
            .map(|n| u64::try_from(n).unwrap_or(u64::MAX));
        Some(Self {
            height,
            utxo,
            unspent,
            fees: self.fees.plus(delta.fees)?,
            outputs: self.outputs.checked_sub(spent)?.checked_add(created)?,
            transactions: self.transactions.saturating_add(transactions),
            ..self.clone()
        })
    }

    /// With id and time of the block that led here.
    pub(crate) fn with_block_id(self, id: BlockId, block: &Block) -> Self {
        Self { id, time: block.header.time, ..self }
    }

    /// What a header says of the state after its block: LtHash, root of the masternode list, height (big endian).
    pub(crate) fn commitment(&self) -> Hash {
        let mut hasher = Domain::StateCommitment.hasher();
        hasher.update(&self.utxo.to_bytes());
        hasher.update(&masternode_root().0);
        hasher.update(&self.height.0.to_be_bytes());
        Hash(hasher.finalize().into())
    }

    pub(crate) fn supply(&self) -> Supply {
        Supply { unspent: self.unspent, fees: self.fees }
    }
}

/// Root of the ordered list of masternodes; there are none on chain in this version.
fn masternode_root() -> Hash {
    merkle::root(&[])
}

/// The store's key of an output: order of bytes is order of outpoints.
pub(crate) fn output_key(outpoint: &OutPoint) -> Vec<u8> {
    let mut key = outpoint.txid.0.0.to_vec();
    key.extend(outpoint.index.to_be_bytes());
    key
}

/// The store's key of an output among those of its owner.
pub(crate) fn owner_key(owner: &KeyHash, outpoint: &OutPoint) -> Vec<u8> {
    let mut key = owner.0.0.to_vec();
    key.extend(output_key(outpoint));
    key
}

/// Reads the outpoint behind an owner's key hash.
pub(crate) fn outpoint_of_owner_key(key: &[u8]) -> Option<OutPoint> {
    let (txid, index) = key.get(32..)?.split_first_chunk::<32>()?;
    Some(OutPoint { txid: timed_primitives::TxId(Hash(*txid)), index: u32::from_be_bytes(index.try_into().ok()?) })
}

/// Who owns what is locked so.
pub(crate) const fn owner(lock: &Lock) -> KeyHash {
    let Lock::KeyHash(owner) = lock;
    *owner
}

/// What the store says of itself, atomically with the outputs.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub(crate) struct Applied {
    pub(crate) state: ChainState,
    /// Where the record of the applied block ends in the log.
    pub(crate) log_end: u64,
}

impl Applied {
    pub(crate) const KEY: &'static [u8] = b"applied";

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

/// The store's key of the genesis hash.
pub(crate) const GENESIS_KEY: &[u8] = b"genesis";
