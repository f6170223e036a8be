//! The transactions of a block that is validated, taken from what the pool knows where they wait there.

use crate::transaction::{ApplicationTransaction, PoolTransaction, TransactionFacts};
use crate::verified::VerifiedTransactions;
use borsh::BorshDeserialize as _;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use timed_primitives::BlockPayload;

/// A transaction of a block that is validated.
pub(crate) struct BlockTransaction<T> {
    pub(crate) transaction: Arc<T>,
    pub(crate) facts: TransactionFacts,
    /// Where its canonical bytes are in the payload.
    pub(crate) range: Range<usize>,
    /// Its signatures are known to be good.
    pub(crate) is_verified: bool,
}

impl<T: ApplicationTransaction> BlockTransaction<T> {
    /// As the pool would hold it.
    pub(crate) fn to_pool(&self, payload: &BlockPayload) -> Option<PoolTransaction> {
        let bytes = Bytes::copy_from_slice(payload.0.get(self.range.clone())?);
        Some(PoolTransaction { bytes, facts: self.facts.clone(), decoded: Some(self.transaction.clone()) })
    }
}

/// The transactions of a payload; of those that are known already nothing is decoded or hashed. `None` when the payload is no list of them.
pub(crate) fn read_block<T: ApplicationTransaction>(
    payload: &BlockPayload,
    known: Option<&VerifiedTransactions>,
) -> Option<Vec<BlockTransaction<T>>> {
    let bytes = &payload.0[..];
    let mut rest = bytes;
    let count = u32::deserialize_reader(&mut rest).ok()?;
    let mut transactions = Vec::new();
    for _ in 0..count {
        let start = bytes.len() - rest.len();
        let known = known.and_then(|known| known.at_front(rest));
        // Canonical bytes at the front are what decoding would take from there.
        let known = known.and_then(|known| Some((known.decoded::<T>().ok()?, known)));
        if let Some((transaction, known)) = known {
            rest = rest.get(known.bytes.len()..)?;
            let (facts, range) = (known.facts.clone(), start..bytes.len() - rest.len());
            transactions.push(BlockTransaction { transaction, facts, range, is_verified: true });
            continue;
        }
        let transaction = T::deserialize_reader(&mut rest).ok()?;
        let range = start..bytes.len() - rest.len();
        // One without bytes would let a few bytes claim four billion of them.
        if range.is_empty() {
            return None;
        }
        let facts = TransactionFacts::of(&transaction, bytes.get(range.clone())?);
        transactions.push(BlockTransaction { transaction: Arc::new(transaction), facts, range, is_verified: false });
    }
    rest.is_empty().then_some(transactions)
}
