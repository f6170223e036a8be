//! Says at once that a block has nothing to do with a transaction: most look-ups of an output pass over most blocks of the overlay.

use timed_primitives::TxId;

/// A bitmap over the first bits of ids, which are hashes. May say yes wrongly (about one time in ten), never no.
#[derive(Debug, Default)]
pub struct Filter {
    bits: Vec<u64>,
}

/// Bits for each id, before rounding up to a power of two.
const BITS_PER_ID: usize = 10;

impl Filter {
    /// Of these ids; `count` is about how many they are.
    pub fn of<'a>(count: usize, ids: impl Iterator<Item = &'a TxId>) -> Self {
        let words = (count.saturating_mul(BITS_PER_ID) / 64 + 1).next_power_of_two();
        let mut filter = Self { bits: vec![0; words] };
        for id in ids {
            let (word, bit) = filter.place(id);
            filter.bits[word] |= bit;
        }
        filter
    }

    /// False when the id is not among those it was made of.
    pub fn may_hold(&self, id: &TxId) -> bool {
        let (word, bit) = self.place(id);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn place(&self, id: &TxId) -> (usize, u64) {
        let [a, b, c, d, bit, ..] = id.0.0;
        let hash = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or_default();
        (hash & self.bits.len().saturating_sub(1), 1 << (bit % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::{Domain, Hash};

    fn id(n: u32) -> TxId {
        TxId(Hash::of(Domain::TransactionId, &n.to_be_bytes()))
    }

    #[test]
    fn it_never_denies_what_it_holds_and_seldom_claims_what_it_does_not() {
        for count in [1u32, 3, 50, 4_000] {
            let held: Vec<TxId> = (0..count).map(id).collect();
            let filter = Filter::of(held.len(), held.iter());
            assert!(held.iter().all(|id| filter.may_hold(id)));
            let wrong = (10_000..20_000).filter(|n| filter.may_hold(&id(*n))).count();
            assert!(wrong < 1_500, "{wrong} of 10,000 with {count} ids");
        }
        assert!(!Filter::default().may_hold(&id(1)), "of nothing");
    }
}
