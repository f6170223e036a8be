//! Unspent outputs and their keys in the store.

use crate::lock::KeyHash;
use crate::transaction::{OutPoint, TxOutput};
use borsh::{BorshDeserialize, BorshSerialize};
use timed_primitives::{Amount, Hash, Height, TxId};

/// An unspent output and since when it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OutputEntry {
    /// Amount and lock.
    pub output: TxOutput,
    /// Height of the block that made it; 0 for genesis.
    pub height: Height,
}

/// Where all money is. `unspent + fees + treasury` is what genesis made and what was issued since, at every height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Supply {
    /// In unspent outputs.
    pub unspent: Amount,
    /// Collected as fees, waiting to be paid out.
    pub fees: Amount,
    /// The treasury's.
    pub treasury: Amount,
    /// Made as rewards since genesis.
    pub issued: Amount,
}

impl Supply {
    /// All money there is; `None` when it is more than any amount, which the rules exclude.
    pub const fn total(&self) -> Option<Amount> {
        match self.unspent.plus(self.fees) {
            Some(sum) => sum.plus(self.treasury),
            None => None,
        }
    }
}

/// The store's key of an output: order of bytes is order of outpoints.
pub(crate) fn output_key(outpoint: &OutPoint) -> Vec<u8> {
    let mut key = Vec::with_capacity(36);
    write_outpoint(&mut key, outpoint);
    key
}

/// Reads the outpoint that [`output_key`] wrote.
pub(crate) fn outpoint_of_key(key: &[u8]) -> Option<OutPoint> {
    let (txid, index) = key.split_first_chunk::<32>()?;
    Some(OutPoint { txid: TxId(Hash(*txid)), index: u32::from_be_bytes(index.try_into().ok()?) })
}

/// The store's key of an output among those of its owner.
pub(crate) fn owner_key(owner: &KeyHash, outpoint: &OutPoint) -> Vec<u8> {
    let mut key = Vec::with_capacity(68);
    key.extend(owner.0.0);
    write_outpoint(&mut key, outpoint);
    key
}

fn write_outpoint(key: &mut Vec<u8>, outpoint: &OutPoint) {
    key.extend(outpoint.txid.0.0);
    key.extend(outpoint.index.to_be_bytes());
}

/// Reads the outpoint behind an owner's key hash.
pub(crate) fn outpoint_of_owner_key(key: &[u8]) -> Option<OutPoint> {
    outpoint_of_key(key.get(32..)?)
}
