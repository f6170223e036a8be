//! Which transactions' signatures this node has checked already, so that none is checked twice.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use timed_primitives::TxFullId;

/// Most ids remembered; one takes about 100 bytes. When full, the oldest is forgotten and would be checked again.
pub const VERIFIED_MAX: usize = 100_000;

/// Full ids (with witnesses) whose signatures are known to be good. Shared by pool and ledger; the lock is held for a look-up.
#[derive(Default)]
pub struct VerifiedSignatures {
    state: Mutex<VerifiedState>,
}

#[derive(Default)]
struct VerifiedState {
    ids: BTreeSet<TxFullId>,
    order: VecDeque<TxFullId>,
}

impl VerifiedSignatures {
    /// True when these very bytes have been checked and found good.
    pub fn contains(&self, id: &TxFullId) -> bool {
        self.lock().ids.contains(id)
    }

    /// Remembers ids whose signatures the caller has checked.
    pub fn insert(&self, ids: impl IntoIterator<Item = TxFullId>) {
        let mut state = self.lock();
        for id in ids {
            if state.ids.insert(id) {
                state.order.push_back(id);
            }
            if state.order.len() > VERIFIED_MAX
                && let Some(oldest) = state.order.pop_front()
            {
                state.ids.remove(&oldest);
            }
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.lock().order.len()
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
    use timed_primitives::Hash;

    #[test]
    fn forgets_the_oldest_at_the_bound() {
        let id = |n: u64| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            TxFullId(Hash(bytes))
        };
        let verified = VerifiedSignatures::default();
        assert!(verified.is_empty());
        verified.insert((0..VERIFIED_MAX as u64).map(id));
        verified.insert([id(0)]);
        assert_eq!(verified.len(), VERIFIED_MAX);
        assert!(verified.contains(&id(0)));
        verified.insert([id(u64::MAX)]);
        assert_eq!(verified.len(), VERIFIED_MAX);
        assert!(!verified.contains(&id(0)) && verified.contains(&id(1)) && verified.contains(&id(u64::MAX)));
    }
}
