//! A bounded memory of full ids, each kept for a time.

use std::collections::{HashMap, VecDeque};
use timed_primitives::{Instant, TxFullId};

/// Remembers ids until a time. Bound: `max` ids; above it the oldest is forgotten.
#[derive(Debug)]
pub(crate) struct SeenIds {
    max: usize,
    until: HashMap<TxFullId, Instant>,
    order: VecDeque<TxFullId>,
}

impl SeenIds {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, until: HashMap::new(), order: VecDeque::new() }
    }

    pub(crate) fn insert(&mut self, id: TxFullId, until: Instant) {
        if self.max == 0 {
            return;
        }
        if self.until.insert(id, until).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > self.max {
            if let Some(oldest) = self.order.pop_front() {
                self.until.remove(&oldest);
            }
        }
    }

    pub(crate) fn contains(&self, now: Instant, id: &TxFullId) -> bool {
        self.until.get(id).is_some_and(|until| now < *until)
    }

    /// Forgets what has run out at the old end.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(oldest) = self.order.front().copied() {
            if self.contains(now, &oldest) {
                return;
            }
            self.order.pop_front();
            self.until.remove(&oldest);
        }
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
        let mut seen = SeenIds::new(2);
        seen.insert(id(1), Instant(10));
        seen.insert(id(2), Instant(20));
        assert!(seen.contains(Instant(9), &id(1)));
        assert!(!seen.contains(Instant(10), &id(1)));
        seen.insert(id(3), Instant(30));
        assert!(!seen.contains(Instant(0), &id(1)));
        assert_eq!(seen.len(), 2);
        seen.expire(Instant(25));
        assert_eq!(seen.len(), 1);
    }
}
