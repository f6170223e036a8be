//! The hash over a set of outputs: LtHash16 (Lewi, Kim, Maykov, Weis, 2019), from its definition.

use std::fmt;
use timed_ledger::{OutPoint, TxOutput};
use timed_primitives::{Domain, Height, encode};

/// Numbers of 16 bits that make up the hash.
const LANES: usize = 1_024;

/// Sum of what BLAKE3 makes of each output: 1,024 numbers of 16 bits, little end first, each sum without its overflow.
#[derive(Clone, PartialEq, Eq)]
pub struct OutputHash(Vec<u16>);

impl Default for OutputHash {
    fn default() -> Self {
        Self(vec![0; LANES])
    }
}

impl fmt::Debug for OutputHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|lane| write!(f, "{lane:04x}"))
    }
}

impl OutputHash {
    /// With one more output.
    pub fn add(&mut self, outpoint: &OutPoint, output: &TxOutput, height: Height) {
        for (sum, lane) in self.0.iter_mut().zip(lanes(outpoint, output, height)) {
            *sum = sum.wrapping_add(lane);
        }
    }

    /// With one less.
    pub fn subtract(&mut self, outpoint: &OutPoint, output: &TxOutput, height: Height) {
        for (sum, lane) in self.0.iter_mut().zip(lanes(outpoint, output, height)) {
            *sum = sum.wrapping_sub(lane);
        }
    }

    /// Its 2,048 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|lane| lane.to_le_bytes()).collect()
    }
}

/// What one output adds to each sum.
fn lanes(outpoint: &OutPoint, output: &TxOutput, height: Height) -> Vec<u16> {
    let mut hasher = Domain::UtxoElement.hasher();
    hasher.update(&encode(&(outpoint, output, height)));
    let mut stretched = [[0_u8; 2]; LANES];
    hasher.finalize_xof().fill(stretched.as_flattened_mut());
    stretched.into_iter().map(u16::from_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_ledger::{KeyHash, Lock, LtHash};
    use timed_primitives::{Amount, Hash, TxId};

    #[test]
    fn the_hash_is_that_of_the_ledger_whatever_comes_and_goes() {
        let output = |n: u8| {
            let outpoint = OutPoint { txid: TxId(Hash([n; 32])), index: n.into() };
            (outpoint, TxOutput { amount: Amount(n.into()), lock: Lock::KeyHash(KeyHash(Hash([n; 32]))) })
        };
        let (mut ours, mut theirs) = (OutputHash::default(), LtHash::default());
        assert_eq!(ours.to_bytes(), theirs.to_bytes());
        for n in 0..40 {
            let (outpoint, made) = output(n);
            ours.add(&outpoint, &made, Height(n.into()));
            theirs.add(&outpoint, &made, Height(n.into()));
            assert_eq!(ours.to_bytes(), theirs.to_bytes());
        }
        for n in (0..40).step_by(3) {
            let (outpoint, gone) = output(n);
            ours.subtract(&outpoint, &gone, Height(n.into()));
            theirs.remove(&outpoint, &gone, Height(n.into()));
            assert_eq!(ours.to_bytes(), theirs.to_bytes());
        }
    }
}
