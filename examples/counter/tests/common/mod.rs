//! The chain that both tests run: validators with development keys, and who adds.

use timed_chain::PoolTransaction;
use timed_example_counter::{AddBody, Counter};
use timed_primitives::{ChainId, PublicKey, SecretKey, Validator, ValidatorSet};

/// Its number.
pub(crate) const CHAIN: ChainId = ChainId(77);

/// With so many equal validators.
pub(crate) fn counter(voters: u64) -> Counter {
    let validator = |id| Validator { key: SecretKey::development("consensus", id).public(), power: 1 };
    Counter::new(CHAIN, ValidatorSet::new((1..=voters).map(validator).collect()).unwrap())
}

/// One who adds.
pub(crate) fn owner(id: u64) -> SecretKey {
    SecretKey::development("wallet", id)
}

/// The key of one who adds: names the counter.
pub(crate) fn key(id: u64) -> PublicKey {
    owner(id).public()
}

/// The addition of this number to somebody's counter.
pub(crate) fn add(id: u64, number: u32, amount: u32) -> PoolTransaction {
    PoolTransaction::of(&AddBody { chain_id: CHAIN, key: key(id), number, amount }.sign(&owner(id)))
}
