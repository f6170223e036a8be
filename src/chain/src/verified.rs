//! Transactions whose signatures this node has checked already, with all else that is known of them: in a block they are recognised by their
//! bytes, and nothing of them is decoded, hashed or checked again.

use crate::transaction::PoolTransaction;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use timed_primitives::IdMap;

/// Most transactions remembered, as many as a full pool has, twice. Above it, or above [`VERIFIED_BYTES_MAX`], the older half is forgotten
/// and would be checked again.
pub const VERIFIED_MAX: usize = 100_000;
/// Most bytes of transactions remembered. Their memory is that of the pool as long as they wait there. Unit: bytes.
pub const VERIFIED_BYTES_MAX: usize = 64 << 20;

/// So many bytes from a transaction's beginning lead to it. Only shorter ones without any signature are not remembered at all.
const PREFIX_BYTES: usize = 64;

type Prefix = [u8; PREFIX_BYTES];

/// Transactions that wait and whose signatures are known to be good. Shared by pool and ledger; the lock is held for a look-up.
///
/// Of two that begin alike the last counts. Such a pair consumes the same in all but odd applications, so that a pool holds only one.
#[derive(Default)]
pub struct VerifiedTransactions {
    state: Mutex<VerifiedState>,
}

#[derive(Default)]
struct VerifiedState {
    newer: Generation,
    older: Generation,
}

#[derive(Default)]
struct Generation {
    by_prefix: IdMap<Prefix, Arc<PoolTransaction>>,
    bytes: usize,
}

impl Generation {
    fn remove(&mut self, prefix: &Prefix) {
        if let Some(removed) = self.by_prefix.remove(prefix) {
            self.bytes -= removed.bytes.len();
        }
    }
}

impl VerifiedTransactions {
    /// True when the signatures of these very bytes have been checked and found good.
    pub fn contains(&self, transaction: &PoolTransaction) -> bool {
        self.at_front(&transaction.bytes).is_some_and(|known| known.bytes.len() == transaction.bytes.len())
    }

    /// The transaction that these bytes begin with, if it is here.
    pub(crate) fn at_front(&self, bytes: &[u8]) -> Option<Arc<PoolTransaction>> {
        let prefix: &Prefix = bytes.first_chunk()?;
        let state = self.lock();
        let known = state.newer.by_prefix.get(prefix).or_else(|| state.older.by_prefix.get(prefix))?;
        bytes.starts_with(&known.bytes).then(|| known.clone())
    }

    /// Remembers transactions whose signatures the caller has checked.
    pub fn insert(&self, transactions: impl IntoIterator<Item = Arc<PoolTransaction>>) {
        let mut state = self.lock();
        for transaction in transactions {
            let Some(prefix) = transaction.bytes.first_chunk().copied() else { continue };
            state.older.remove(&prefix);
            state.newer.remove(&prefix);
            state.newer.bytes += transaction.bytes.len();
            state.newer.by_prefix.insert(prefix, transaction);
            if state.newer.by_prefix.len() >= VERIFIED_MAX / 2 || state.newer.bytes >= VERIFIED_BYTES_MAX / 2 {
                state.older = std::mem::take(&mut state.newer);
            }
        }
    }

    /// Forgets those that begin like these: they are final, and come in no other block.
    pub(crate) fn forget<'a>(&self, transactions: impl IntoIterator<Item = &'a [u8]>) {
        let mut state = self.lock();
        for prefix in transactions.into_iter().filter_map(|bytes| bytes.first_chunk::<PREFIX_BYTES>()) {
            state.older.remove(prefix);
            state.newer.remove(prefix);
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        let state = self.lock();
        state.older.by_prefix.len() + state.newer.by_prefix.len()
    }

    /// True when none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, VerifiedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::TransactionFacts;
    use timed_primitives::{Hash, TxFullId, TxId};

    /// Begins with this number, and ends with `last`.
    fn transaction(number: u64, size: usize, last: u8) -> Arc<PoolTransaction> {
        let mut bytes = vec![0; size];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        *bytes.last_mut().unwrap() = last;
        let (id, full_id) = (TxId(Hash::ZERO), TxFullId(Hash::ZERO));
        let (consumes, produces) = (Arc::default(), Arc::default());
        let facts =
            TransactionFacts { id, full_id, size_bytes: size, signatures: 1, is_statement: false, consumes, produces };
        Arc::new(PoolTransaction::new(bytes.into(), facts))
    }

    #[test]
    fn only_the_very_bytes_are_known_and_those_that_follow_do_not_matter() {
        let verified = VerifiedTransactions::default();
        let known = transaction(1, 100, 7);
        verified.insert([known.clone()]);
        assert!(verified.contains(&known) && verified.contains(&transaction(1, 100, 7)));
        for other in [transaction(1, 100, 8), transaction(2, 100, 7), transaction(1, 99, 0), transaction(1, 101, 7)] {
            assert!(!verified.contains(&other), "{other:?}");
        }
        let longer = [&known.bytes[..], &[1, 2, 3]].concat();
        assert!(verified.at_front(&longer).is_some());
        assert!(!verified.contains(&PoolTransaction::new(longer.into(), known.facts.clone())));
        assert!(verified.at_front(&known.bytes[..99]).is_none() && verified.at_front(&[]).is_none());
        // The last of two that begin alike counts.
        let other = transaction(1, 100, 8);
        verified.insert([other.clone()]);
        assert!(verified.contains(&other) && !verified.contains(&known));
        verified.forget([&known.bytes[..]]);
        assert!(verified.is_empty());
    }

    #[test]
    fn forgets_the_older_half_at_a_bound() {
        let verified = VerifiedTransactions::default();
        verified.insert((0..VERIFIED_MAX as u64 - 1).map(|n| transaction(n, 64, 0)));
        assert_eq!(verified.len(), VERIFIED_MAX - 1);
        verified.insert([transaction(u64::MAX, 64, 0)]);
        assert_eq!(verified.len(), VERIFIED_MAX / 2);
        assert!(verified.contains(&transaction(u64::MAX, 64, 0)) && !verified.contains(&transaction(0, 64, 0)));
        // By size.
        let verified = VerifiedTransactions::default();
        let half = VERIFIED_BYTES_MAX / 2;
        for n in 0..3 {
            verified.insert([transaction(n, half, 0)]);
        }
        assert_eq!(verified.len(), 1);
        verified.insert((0..10).map(|n| transaction(n, 64, 0)));
        verified.forget((0..10).map(|n| transaction(n, 64, 0)).collect::<Vec<_>>().iter().map(|t| &t.bytes[..]));
        assert!(verified.is_empty());
        let state = verified.lock();
        assert_eq!((state.newer.bytes, state.older.bytes), (0, 0));
    }
}
