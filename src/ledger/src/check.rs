//! When a transaction is valid: one named error for each rule, checked from the chain alone.
//!
//! Signatures are apart, since they are checked in batches and once per node: see [`Transaction::signed_items`].

use crate::lock::Lock;
use crate::masternodes::MasternodeError;
use crate::parameters::Parameters;
use crate::rewards::StatementError;
use crate::transaction::{OutPoint, TRANSACTION_VERSION, Transaction, TxInput, TxOutput, Witness};
use std::collections::BTreeSet;
use timed_primitives::{Amount, ChainId, Height};

/// Why a transaction cannot be in a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// A format this software does not know.
    #[error("transaction version {found} is not {TRANSACTION_VERSION}: build it anew")]
    Version {
        /// What it says.
        found: u16,
    },
    /// Made and signed for another chain.
    #[error("transaction is for chain {found}, this is chain {expected}: build it anew for this chain")]
    WrongChain {
        /// What it says.
        found: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// It spends nothing.
    #[error("transaction has no inputs")]
    NoInputs,
    /// It makes nothing.
    #[error("transaction has no outputs")]
    NoOutputs,
    /// More bytes than the chain allows.
    #[error("transaction has {size_bytes} bytes, at most {max} are allowed: split the payment")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        max: u32,
    },
    /// One input named twice.
    #[error("transaction spends {0} twice")]
    DuplicateInput(OutPoint),
    /// Not one witness per input and per signature of the payload.
    #[error("transaction has {witnesses} witnesses, its inputs and its payload need {needed}")]
    WitnessCount {
        /// How many there are.
        witnesses: usize,
        /// How many there must be.
        needed: usize,
    },
    /// A masternode cannot be registered or changed so.
    #[error(transparent)]
    Masternode(#[from] MasternodeError),
    /// An output too small to be worth spending.
    #[error("output {index} of {amount} TIME is below the least of {min} TIME")]
    Dust {
        /// Which output.
        index: usize,
        /// Its amount.
        amount: Amount,
        /// The limit.
        min: Amount,
    },
    /// The outputs add up to more than can be counted.
    #[error("the outputs add up to more than any amount")]
    OutputsOverflow,
    /// The inputs add up to more than can be counted, which the supply excludes.
    #[error("the inputs add up to more than any amount")]
    InputsOverflow,
    /// The output does not exist: never made, or spent already.
    #[error("input {0} does not exist or is spent already")]
    UnknownInput(OutPoint),
    /// Another transaction earlier in the same block spends it.
    #[error("input {0} is spent by an earlier transaction of the block")]
    SpentInBlock(OutPoint),
    /// The key of a witness is not the one the output is locked to.
    #[error("the key of input {index} is not the key its output is locked to")]
    WrongKey {
        /// Which input.
        index: usize,
    },
    /// Another number of signatures than its set of keys demands.
    #[error("input {index} has {found} signatures, its set of keys demands exactly {threshold}")]
    SignatureCount {
        /// Which input.
        index: usize,
        /// How many there are.
        found: usize,
        /// How many there must be.
        threshold: u8,
    },
    /// A signature by a key that has signed already, or out of order, or by no key of the set.
    #[error("the signatures of input {index} are not by ascending positions below {keys}: {position} is out of place")]
    SignaturePosition {
        /// Which input.
        index: usize,
        /// The position.
        position: u8,
        /// How many keys the set has.
        keys: usize,
    },
    /// It spends an output too early.
    #[error("input {index} is locked until height {not_before}: a block of height {height} cannot spend it")]
    NotBefore {
        /// Which input.
        index: usize,
        /// The lowest height that may spend it.
        not_before: Height,
        /// The height that would.
        height: Height,
    },
    /// More goes out than comes in.
    #[error("transaction spends {inputs} TIME but pays out {outputs} TIME")]
    Overspend {
        /// Sum of the inputs.
        inputs: Amount,
        /// Sum of the outputs.
        outputs: Amount,
    },
    /// A released collateral does not cover what its masternode was charged.
    #[error(
        "transaction spends {inputs} TIME and pays out {outputs} TIME, but {penalty} TIME of the collateral are a penalty"
    )]
    Penalty {
        /// Sum of the inputs.
        inputs: Amount,
        /// Sum of the outputs.
        outputs: Amount,
        /// What goes to the treasury.
        penalty: Amount,
    },
    /// A statement about behaviour does not count.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Less than the chain's least fee.
    #[error("fee of {fee} TIME is below the least of {min} TIME for {size_bytes} bytes")]
    FeeTooLow {
        /// What it pays.
        fee: Amount,
        /// What it must pay.
        min: Amount,
        /// Its size.
        size_bytes: usize,
    },
}

/// Everything about a transaction of this many bytes in a block of this height but its signatures, given the outputs its inputs name, in order,
/// and what of a collateral that it releases goes to the treasury.
///
/// # Errors
/// [`TransactionError`] names the rule. On success, the fee.
pub fn check_transaction(
    transaction: &Transaction,
    size_bytes: usize,
    chain_id: ChainId,
    parameters: &Parameters,
    height: Height,
    spent: &[TxOutput],
    penalty: Amount,
) -> Result<Amount, TransactionError> {
    check_form(transaction, size_bytes, chain_id, parameters)?;
    check_spend(transaction, size_bytes, parameters, height, spent, penalty)
}

/// What the transaction says of itself, without looking at what it spends.
///
/// # Errors
/// [`TransactionError`] names the rule.
pub fn check_form(
    transaction: &Transaction,
    size_bytes: usize,
    chain_id: ChainId,
    parameters: &Parameters,
) -> Result<(), TransactionError> {
    let body = &transaction.body;
    if body.version != TRANSACTION_VERSION {
        return Err(TransactionError::Version { found: body.version });
    }
    if body.chain_id != chain_id {
        return Err(TransactionError::WrongChain { found: body.chain_id, expected: chain_id });
    }
    if u32::try_from(size_bytes).is_ok_and(|size| size > parameters.transaction_bytes_max) {
        return Err(TransactionError::TooLarge { size_bytes, max: parameters.transaction_bytes_max });
    }
    if body.payload.is_statement() {
        let is_bare = body.inputs.is_empty() && body.outputs.is_empty() && body.memo.bytes().is_empty();
        let (witnesses, needed) = (transaction.witnesses.len(), body.payload.signers());
        return match (is_bare, witnesses == needed) {
            (false, _) => Err(StatementError::NotBare.into()),
            (true, false) => Err(TransactionError::WitnessCount { witnesses, needed }),
            (true, true) => Ok(()),
        };
    }
    if body.inputs.is_empty() {
        return Err(TransactionError::NoInputs);
    }
    if body.outputs.is_empty() {
        return Err(TransactionError::NoOutputs);
    }
    let (witnesses, needed) = (transaction.witnesses.len(), body.inputs.len() + body.payload.signers());
    if witnesses != needed {
        return Err(TransactionError::WitnessCount { witnesses, needed });
    }
    if let Some(twice) = first_duplicate(&body.inputs) {
        return Err(TransactionError::DuplicateInput(twice));
    }
    let min = parameters.dust_min;
    if let Some((index, output)) = body.outputs.iter().enumerate().find(|(_, output)| output.amount < min) {
        return Err(TransactionError::Dust { index, amount: output.amount, min });
    }
    Amount::sum(body.outputs.iter().map(|o| o.amount)).map(|_| ()).ok_or(TransactionError::OutputsOverflow)
}

/// The first input that an earlier one names too. Most transactions have one or two, for which no set is made.
fn first_duplicate(inputs: &[TxInput]) -> Option<OutPoint> {
    match inputs {
        [] | [_] => None,
        [first, second] => (first == second).then_some(first.previous),
        many => {
            let mut seen = BTreeSet::new();
            many.iter().map(|input| input.previous).find(|previous| !seen.insert(*previous))
        }
    }
}

/// Whether the transaction may spend these outputs in a block of this height, and pays enough beside the penalty of a collateral that it
/// releases. They are those its inputs name, in order. A statement about behaviour spends nothing and pays nothing.
///
/// # Errors
/// [`TransactionError`] names the rule. On success, the fee.
pub fn check_spend(
    transaction: &Transaction,
    size_bytes: usize,
    parameters: &Parameters,
    height: Height,
    spent: &[TxOutput],
    penalty: Amount,
) -> Result<Amount, TransactionError> {
    if transaction.body.payload.is_statement() {
        return Ok(Amount::ZERO);
    }
    if let Some(missing) = transaction.body.inputs.get(spent.len()) {
        return Err(TransactionError::UnknownInput(missing.previous));
    }
    for (index, (witness, output)) in transaction.witnesses.iter().zip(spent).enumerate() {
        check_witness(index, witness, &output.lock, height)?;
    }
    let inputs = Amount::sum(spent.iter().map(|o| o.amount)).ok_or(TransactionError::InputsOverflow)?;
    let outputs = Amount::sum(transaction.body.outputs.iter().map(|o| o.amount));
    let outputs = outputs.ok_or(TransactionError::OutputsOverflow)?;
    let rest = inputs.minus(outputs).ok_or(TransactionError::Overspend { inputs, outputs })?;
    let fee = rest.minus(penalty).ok_or(TransactionError::Penalty { inputs, outputs, penalty })?;
    let min = parameters.fee_min(size_bytes);
    if fee < min {
        return Err(TransactionError::FeeTooLow { fee, min, size_bytes });
    }
    Ok(fee)
}

/// Whether a witness opens a lock in a block of this height, its signatures apart.
fn check_witness(index: usize, witness: &Witness, lock: &Lock, height: Height) -> Result<(), TransactionError> {
    if witness.owner() != lock.owner() {
        return Err(TransactionError::WrongKey { index });
    }
    if let Witness::KeySet { set, signatures } = witness {
        let (threshold, found) = (set.threshold(), signatures.0.len());
        if found != usize::from(threshold) {
            return Err(TransactionError::SignatureCount { index, found, threshold });
        }
        let (keys, mut next) = (set.keys().len(), 0);
        for one in &signatures.0 {
            let position = usize::from(one.position);
            if position < next || position >= keys {
                return Err(TransactionError::SignaturePosition { index, position: one.position, keys });
            }
            next = position + 1;
        }
    }
    let not_before = lock.not_before();
    if height < not_before {
        return Err(TransactionError::NotBefore { index, not_before, height });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{KeyHash, KeySet, LockOwner};
    use crate::transaction::{SetSignature, SetSignatures, TransactionBody};
    use timed_primitives::{Hash, Network, SecretKey, TxId};

    const CHAIN: ChainId = ChainId(9);
    const HEIGHT: Height = Height(5);

    fn key(id: u64) -> SecretKey {
        SecretKey::development("wallet", id)
    }

    fn output(amount: u64, owner: u64) -> TxOutput {
        TxOutput { amount: Amount(amount), lock: Lock::KeyHash(KeyHash::of(&key(owner).public())) }
    }

    fn body() -> TransactionBody {
        let input = |n: u8| TxInput { previous: OutPoint { txid: TxId(Hash([n; 32])), index: 0 } };
        TransactionBody::transfer(CHAIN, vec![input(1), input(2)], vec![output(50_000, 7), output(40_000, 1)])
    }

    /// Changes a good transaction, signs it, and says what the check answers.
    fn check(change: impl FnOnce(&mut TransactionBody), spent: &[TxOutput]) -> Result<Amount, TransactionError> {
        let mut body = body();
        change(&mut body);
        let transaction = body.sign(&[&key(1), &key(2)]);
        let (size_bytes, parameters) = (transaction.size_bytes(), Parameters::of(Network::Devnet));
        check_transaction(&transaction, size_bytes, CHAIN, &parameters, HEIGHT, spent, Amount::ZERO)
    }

    #[test]
    fn each_rule_has_its_error() {
        use TransactionError as E;
        let spent = [output(50_000, 1), output(50_000, 2)];
        assert_eq!(check(|_| (), &spent), Ok(Amount(10_000)));
        for version in [1, 3] {
            assert_eq!(check(|b| b.version = version, &spent), Err(E::Version { found: version }));
        }
        let other = ChainId(8);
        assert_eq!(check(|b| b.chain_id = other, &spent), Err(E::WrongChain { found: other, expected: CHAIN }));
        assert_eq!(check(|b| b.inputs.clear(), &spent), Err(E::NoInputs));
        assert_eq!(check(|b| b.outputs.clear(), &spent), Err(E::NoOutputs));
        assert_eq!(check(|b| b.inputs.truncate(1), &spent), Err(E::WitnessCount { witnesses: 2, needed: 1 }));
        let twice = body().inputs[0].previous;
        assert_eq!(check(|b| b.inputs[1] = b.inputs[0], &spent), Err(E::DuplicateInput(twice)));
        let dust = E::Dust { index: 1, amount: Amount(999), min: Amount(1_000) };
        assert_eq!(check(|b| b.outputs[1].amount = Amount(999), &spent), Err(dust));
        assert_eq!(check(|b| b.outputs[1].amount = Amount(u64::MAX), &spent), Err(E::OutputsOverflow));
        assert_eq!(check(|_| (), &spent[..1]), Err(E::UnknownInput(body().inputs[1].previous)));
        assert_eq!(check(|_| (), &[spent[1], spent[0]]), Err(E::WrongKey { index: 0 }));
        assert_eq!(check(|_| (), &[spent[0], output(u64::MAX, 2)]), Err(E::InputsOverflow));
        let overspend = E::Overspend { inputs: Amount(100_000), outputs: Amount(100_001) };
        assert_eq!(check(|b| b.outputs[0].amount = Amount(60_001), &spent), Err(overspend));
        let low = check(|b| b.outputs[0].amount = Amount(60_000), &spent);
        assert!(matches!(low, Err(E::FeeTooLow { fee: Amount(0), .. })), "{low:?}");
        let many = check(|b| b.outputs = vec![output(1_000, 1); 2_000], &[output(5_000_000, 1), spent[1]]);
        assert!(matches!(many, Err(E::TooLarge { max: 65_536, .. })), "{many:?}");
    }

    /// Two of the first three keys.
    fn set() -> KeySet {
        let mut keys: Vec<_> = (1..=3).map(|id| key(id).public()).collect();
        keys.sort_unstable();
        KeySet::new(2, keys).unwrap()
    }

    /// Spends one output with this lock by this witness, in a block of this height.
    fn opens(lock: Lock, witness: Witness, height: u64) -> Result<(), TransactionError> {
        let (mut body, amount) = (body(), Amount(100_000));
        body.inputs.truncate(1);
        let transaction = Transaction { body, witnesses: vec![witness] };
        let (size_bytes, parameters) = (transaction.size_bytes(), Parameters::of(Network::Devnet));
        let spent = [TxOutput { amount, lock }];
        check_transaction(&transaction, size_bytes, CHAIN, &parameters, Height(height), &spent, Amount::ZERO).map(drop)
    }

    fn by_positions(positions: &[u8]) -> Witness {
        let signature = key(1).sign(b"checked elsewhere");
        let one = |position: &u8| SetSignature { position: *position, signature };
        Witness::KeySet { set: set(), signatures: SetSignatures(positions.iter().map(one).collect()) }
    }

    #[test]
    fn a_set_is_opened_by_exactly_as_many_of_its_keys_in_order() {
        use TransactionError as E;
        let lock = Lock::KeySet(set().hash());
        for positions in [[0, 1], [0, 2], [1, 2]] {
            assert_eq!(opens(lock, by_positions(&positions), 1), Ok(()));
        }
        for positions in [&[][..], &[1], &[0, 1, 2]] {
            let expected = E::SignatureCount { index: 0, found: positions.len(), threshold: 2 };
            assert_eq!(opens(lock, by_positions(positions), 1), Err(expected));
        }
        for (positions, position) in [([1, 0], 0), ([1, 1], 1), ([0, 3], 3), ([255, 0], 255)] {
            let expected = E::SignaturePosition { index: 0, position, keys: 3 };
            assert_eq!(opens(lock, by_positions(&positions), 1), Err(expected));
        }
    }

    #[test]
    fn neither_opens_the_other_nor_the_same_hash_of_another_kind() {
        let wrong = Err(TransactionError::WrongKey { index: 0 });
        let (one, set_hash) = (key(1), set().hash());
        let by_key = || Witness::Key { key: one.public(), signature: one.sign(b"checked elsewhere") };
        let key_hash = KeyHash::of(&one.public());
        assert_eq!(opens(Lock::KeyHash(key_hash), by_key(), 1), Ok(()));
        assert_eq!(opens(Lock::KeySet(key_hash), by_key(), 1), wrong);
        assert_eq!(opens(Lock::KeySet(set_hash), by_key(), 1), wrong);
        assert_eq!(opens(Lock::KeyHash(set_hash), by_positions(&[0, 1]), 1), wrong);
        assert_eq!(opens(Lock::KeyHash(key_hash), by_positions(&[0, 1]), 1), wrong);
        let other = KeySet::new(1, set().keys().to_vec()).unwrap();
        assert_eq!(opens(Lock::KeySet(other.hash()), by_positions(&[0, 1]), 1), wrong);
    }

    #[test]
    fn a_lock_with_a_height_opens_there_and_not_before_whoever_owns_it() {
        let key_hash = KeyHash::of(&key(1).public());
        let owners = [
            (LockOwner::KeyHash(key_hash), Witness::Key { key: key(1).public(), signature: key(1).sign(b"elsewhere") }),
            (LockOwner::KeySet(set().hash()), by_positions(&[0, 2])),
        ];
        for (owner, witness) in owners {
            let not_before = Height(10);
            let lock = Lock::NotBefore { height: not_before, owner };
            for height in [1, 9] {
                let expected = TransactionError::NotBefore { index: 0, not_before, height: Height(height) };
                assert_eq!(opens(lock, witness.clone(), height), Err(expected));
            }
            for height in [10, 11, u64::MAX] {
                assert_eq!(opens(lock, witness.clone(), height), Ok(()));
            }
            let never = Lock::NotBefore { height: Height(u64::MAX), owner };
            assert!(opens(never, witness, 1_000_000).is_err());
        }
        let by_other = Witness::Key { key: key(2).public(), signature: key(2).sign(b"elsewhere") };
        let lock = Lock::NotBefore { height: Height(10), owner: LockOwner::KeyHash(key_hash) };
        assert_eq!(opens(lock, by_other, 10), Err(TransactionError::WrongKey { index: 0 }));
    }

    #[test]
    fn the_least_fee_is_enough_and_one_less_is_not() {
        let transaction = body().sign(&[&key(1), &key(2)]);
        let parameters = Parameters::of(Network::Devnet);
        let size = u64::try_from(transaction.size_bytes()).unwrap();
        let pays = |fee: u64| {
            let spent = [output(50_000, 1), output(40_000 + fee, 2)];
            check_transaction(&transaction, transaction.size_bytes(), CHAIN, &parameters, HEIGHT, &spent, Amount::ZERO)
        };
        assert_eq!(pays(size), Ok(Amount(size)));
        assert!(matches!(pays(size - 1), Err(TransactionError::FeeTooLow { .. })));
    }
}
