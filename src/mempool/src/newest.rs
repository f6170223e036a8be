//! A bounded memory of the newest keys.

use std::hash::Hash;
use timed_primitives::IdMap;

/// Remembers what belongs to keys. Bound: `max` keys; at it the older half is forgotten.
///
/// Two tables by age cost less memory and time than one with an order beside it.
#[derive(Debug)]
pub(crate) struct NewestKeys<K, V> {
    max: usize,
    newer: IdMap<K, V>,
    older: IdMap<K, V>,
}

impl<K: Hash + Eq, V> NewestKeys<K, V> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, newer: IdMap::default(), older: IdMap::default() }
    }

    /// Remembers a key as the newest. False when it was known, and when nothing may be remembered.
    pub(crate) fn insert(&mut self, key: K, value: V) -> bool {
        if self.max == 0 {
            return false;
        }
        let was_older = self.older.remove(&key).is_some();
        let is_new = self.newer.insert(key, value).is_none() && !was_older;
        if self.newer.len() >= self.max.div_ceil(2) {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.clear();
        }
        is_new
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    pub(crate) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }

    /// Forgets the older half if `is_over` holds for all of it, and then the rest in the same way. Stops at the first for which it does not.
    pub(crate) fn forget_if(&mut self, is_over: impl Fn(&V) -> bool) {
        for part in [&mut self.older, &mut self.newer] {
            if !part.values().all(&is_over) {
                return;
            }
            part.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_half_is_forgotten_at_the_bound() {
        let mut newest = NewestKeys::new(4);
        assert!(newest.insert(1, 'a') && newest.insert(2, 'b') && newest.insert(3, 'c'));
        assert!(!newest.insert(1, 'd'), "known, and the newest again");
        assert_eq!([1, 2, 3].map(|key| newest.get(&key).copied()), [Some('d'), None, Some('c')]);
        assert!(newest.insert(2, 'e'), "forgotten");
        for key in 0..100 {
            newest.insert(key, 'x');
            assert!(newest.get(&key).is_some() && newest.len() <= 4);
        }
        assert!(!NewestKeys::new(0).insert(1, 'a'));
    }

    #[test]
    fn what_is_over_is_forgotten_by_halves() {
        let mut newest = NewestKeys::new(4);
        for key in 1..=3 {
            newest.insert(key, key);
        }
        newest.forget_if(|value| *value <= 1);
        assert_eq!(newest.len(), 3, "the older half has one that is not over");
        newest.forget_if(|value| *value <= 2);
        assert_eq!((newest.len(), newest.get(&3)), (1, Some(&3)));
        newest.forget_if(|_| true);
        assert_eq!(newest.len(), 0);
    }
}
