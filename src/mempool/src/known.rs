//! What one peer is known to have.

use std::collections::VecDeque;
use timed_primitives::{IdSet, TxFullId};

/// The newest ids that a peer has announced, sent or had announced to it, each by its first eight bytes. Bound: that of [`Self::learn`].
///
/// Ids are hashes, and to find one that begins like a given other one takes 2^64 of them. Who makes two of his own that begin alike only
/// hinders their relay.
#[derive(Debug, Default)]
pub(crate) struct KnownIds {
    ids: IdSet<u64>,
    /// In the order in which they came.
    ring: VecDeque<u64>,
}

impl KnownIds {
    /// Remembers an id; above `max` the oldest is forgotten. False when it was known.
    pub(crate) fn learn(&mut self, id: &TxFullId, max: usize) -> bool {
        let short = short(id);
        if !self.ids.insert(short) {
            return false;
        }
        self.ring.push_back(short);
        if self.ring.len() > max
            && let Some(oldest) = self.ring.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

fn short(id: &TxFullId) -> u64 {
    id.0.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::Hash;

    #[test]
    fn the_oldest_is_forgotten_at_the_bound() {
        let id = |n: u8| TxFullId(Hash([n; 32]));
        let mut known = KnownIds::default();
        assert!(known.learn(&id(1), 2) && known.learn(&id(2), 2));
        assert!(!known.learn(&id(1), 2), "known again, as old as before");
        assert!(known.learn(&id(3), 2));
        assert!(!known.learn(&id(2), 2) && !known.learn(&id(3), 2));
        assert!(known.learn(&id(1), 2), "forgotten");
        assert_eq!((known.ids.len(), known.ring.len()), (2, 2));
    }
}
