//! A bounded memory of full ids, each kept for a time.

use crate::newest::NewestKeys;
use timed_primitives::{Instant, TxFullId};

/// Remembers ids until a time. Bound: `max` ids; at it the older half is forgotten.
#[derive(Debug)]
pub(crate) struct SeenIds {
    until: NewestKeys<TxFullId, Instant>,
}

impl SeenIds {
    pub(crate) fn new(max: usize) -> Self {
        Self { until: NewestKeys::new(max) }
    }

    pub(crate) fn insert(&mut self, id: TxFullId, until: Instant) {
        self.until.insert(id, until);
    }

    pub(crate) fn contains(&self, now: Instant, id: &TxFullId) -> bool {
        self.until.get(id).is_some_and(|until| now < *until)
    }

    /// Forgets what has run out, the older half at once.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.until.forget_if(|until| *until <= now);
    }

    pub(crate) fn len(&self) -> usize {
        self.until.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::Hash;

    #[test]
    fn forgets_by_time_and_by_number() {
        let id = |n| TxFullId(Hash([n; 32]));
        let mut seen = SeenIds::new(4);
        seen.insert(id(1), Instant(10));
        seen.insert(id(2), Instant(20));
        seen.insert(id(3), Instant(30));
        assert!(seen.contains(Instant(9), &id(1)));
        assert!(!seen.contains(Instant(10), &id(1)));
        seen.expire(Instant(19));
        assert!(seen.contains(Instant(0), &id(1)), "beside one that has not run out");
        seen.expire(Instant(20));
        assert_eq!(seen.len(), 1);
        for n in 4..=6 {
            seen.insert(id(n), Instant(30));
        }
        assert!(!seen.contains(Instant(0), &id(3)) && seen.contains(Instant(0), &id(5)));
    }
}
