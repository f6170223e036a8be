//! LtHash16: a hash of a set that changes by one element at a time, whatever the order.
//!
//! Each element is stretched to 2,048 bytes by BLAKE3 in extended-output mode and read as 1,024 lanes of 16 bits (little
//! endian); the set's hash is their lane-wise wrapping sum. Source: Lewi, Kim, Maykov, Weis, "Securing Update Propagation with
//! Homomorphic Hashing" (2019), the parameters for more than 200 bits of security. A multiset, so the ledger never adds twice.

use crate::transaction::{OutPoint, TxOutput};
use borsh::{BorshDeserialize, BorshSerialize};
use timed_primitives::{Domain, Height};

/// Lanes of 16 bits.
const LANES: usize = 1024;
/// Size of the state and of each stretched element. Unit: bytes.
const BYTES: usize = 2 * LANES;

/// Hash of a set of elements.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LtHash(Box<[u16; LANES]>);

impl Default for LtHash {
    fn default() -> Self {
        Self(Box::new([0; LANES]))
    }
}

impl std::fmt::Debug for LtHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LtHash({:04x}{:04x}..)", self.0[0], self.0[1])
    }
}

impl LtHash {
    /// Takes an unspent output into the set.
    pub fn add(&mut self, outpoint: &OutPoint, output: &TxOutput, height: Height) {
        self.each_lane(outpoint, output, height, u16::wrapping_add);
    }

    /// Takes an output, which must have been added, out of the set.
    pub fn remove(&mut self, outpoint: &OutPoint, output: &TxOutput, height: Height) {
        self.each_lane(outpoint, output, height, u16::wrapping_sub);
    }

    /// The 2,048 bytes of the state.
    pub fn to_bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (pair, lane) in bytes.chunks_exact_mut(2).zip(self.0.iter()) {
            pair.copy_from_slice(&lane.to_le_bytes());
        }
        bytes
    }

    fn each_lane(&mut self, outpoint: &OutPoint, output: &TxOutput, height: Height, change: impl Fn(u16, u16) -> u16) {
        let mut stretched = [0; BYTES];
        let mut hasher = Domain::UtxoElement.hasher();
        hasher.update(&timed_primitives::encode(&(outpoint, output, height)));
        hasher.finalize_xof().fill(&mut stretched);
        for (lane, pair) in self.0.iter_mut().zip(stretched.chunks_exact(2)) {
            *lane = change(*lane, u16::from_le_bytes([pair[0], pair[1]]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{KeyHash, Lock};
    use proptest::prelude::*;
    use timed_primitives::{Amount, Hash, TxId};

    type Element = (OutPoint, TxOutput, Height);

    fn element() -> impl Strategy<Value = Element> {
        (any::<[u8; 32]>(), 0u32..4, any::<u64>(), any::<[u8; 32]>(), any::<u64>()).prop_map(
            |(txid, index, amount, key, height)| {
                let outpoint = OutPoint { txid: TxId(Hash(txid)), index };
                let lock = Lock::KeyHash(KeyHash(Hash(key)));
                (outpoint, TxOutput { amount: Amount(amount), lock }, Height(height))
            },
        )
    }

    fn of<'a>(elements: impl IntoIterator<Item = &'a Element>) -> LtHash {
        let mut hash = LtHash::default();
        for (outpoint, output, height) in elements {
            hash.add(outpoint, output, *height);
        }
        hash
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn order_does_not_matter_and_removing_undoes(
            elements in proptest::collection::vec(element(), 1..8), at in any::<prop::sample::Index>(),
        ) {
            let forward = of(&elements);
            prop_assert_eq!(&forward, &of(elements.iter().rev()));
            prop_assert_eq!(forward.to_bytes().to_vec(), timed_primitives::encode(&forward));
            let mut without = elements.clone();
            let (outpoint, output, height) = without.swap_remove(at.index(elements.len()));
            let mut removed = forward.clone();
            removed.remove(&outpoint, &output, height);
            prop_assert_eq!(&removed, &of(&without));
            prop_assert_ne!(&removed, &forward);
        }

        #[test]
        fn every_part_of_an_element_counts(e in element()) {
            let hash = of([&e]);
            let (outpoint, output, height) = e;
            let others: [Element; 4] = [
                (OutPoint { index: outpoint.index + 1, ..outpoint }, output, height),
                (OutPoint { txid: TxId::default(), ..outpoint }, output, height),
                (outpoint, TxOutput { amount: Amount(output.amount.0 ^ 1), ..output }, height),
                (outpoint, output, Height(height.0 ^ 1)),
            ];
            for other in others.iter().filter(|o| **o != e) {
                prop_assert_ne!(&of([other]), &hash);
            }
        }
    }
}
