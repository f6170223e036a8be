//! Outputs locked to several keys, and until a height, on a chain.

use crate::chain::{Node, block, certify, coin, commit, draft, genesis, move_to, wallet};
use timed_chain::{BlockError, PoolTransaction, TransactionFault, TransactionRules as _};
use timed_ledger::{
    KeyHash, KeySet, LedgerQueries as _, Lock, LockOwner, OutPoint, SetSignature, SetSignatures, Transaction,
    TransactionBody, TransactionError, TxInput, TxOutput, Witness,
};
use timed_primitives::{Amount, Height, SecretKey, TxId};

const FEE: u64 = 10_000;

/// The keys of wallets 1 to 3, in the order of a set.
pub(crate) fn signers() -> Vec<SecretKey> {
    let mut keys: Vec<_> = (1..=3).map(wallet).collect();
    keys.sort_unstable_by_key(SecretKey::public);
    keys
}

/// Two of them.
pub(crate) fn set() -> KeySet {
    KeySet::new(2, signers().iter().map(SecretKey::public).collect()).unwrap()
}

/// Spends an output into another lock, not signed.
pub(crate) fn body(spent: &(OutPoint, TxOutput), lock: Lock) -> TransactionBody {
    let output = TxOutput { amount: Amount(spent.1.amount.0 - FEE), lock };
    TransactionBody::transfer(genesis().chain_id, vec![TxInput { previous: spent.0 }], vec![output])
}

/// Signs with the keys at these positions of the set.
pub(crate) fn by_set(body: TransactionBody, positions: &[u8]) -> Transaction {
    let message = body.signing_message();
    let sign = |position: &u8| SetSignature {
        position: *position,
        signature: signers()[usize::from(*position)].sign(&message),
    };
    let signatures = SetSignatures(positions.iter().map(sign).collect());
    Transaction { body, witnesses: vec![Witness::KeySet { set: set(), signatures }] }
}

fn only_output(transaction: &Transaction) -> (OutPoint, TxOutput) {
    transaction.outputs().next().unwrap()
}

fn to_wallet() -> Lock {
    Lock::KeyHash(KeyHash::of(&wallet(4).public()))
}

/// What a proposer says of a candidate that it leaves out.
fn left_out(node: &mut Node, candidate: &Transaction) -> Option<TransactionFault> {
    let draft = draft(&node.ledger, vec![candidate.clone()]);
    node.ledger.assemble(draft).unwrap().left_out.pop().map(|(_, fault): (TxId, _)| fault)
}

fn refused(fault: Option<TransactionFault>) -> TransactionError {
    match fault {
        Some(TransactionFault::Refused(reason)) => reason.downcast_ref::<TransactionError>().unwrap().clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_of_three_keys_spend_what_is_locked_to_their_set() {
    let mut node = Node::new();
    let locked = body(&coin(0), Lock::KeySet(set().hash())).sign(&[&wallet(0)]);
    commit(&mut node.ledger, vec![locked.clone()]);
    let spent = only_output(&locked);
    assert_eq!(node.ledger.reader().outputs_of(&set().hash(), None, 9).unwrap()[0].0, spent.0);
    for positions in [&[0_u8][..], &[0, 1, 2]] {
        let error = refused(left_out(&mut node, &by_set(body(&spent, to_wallet()), positions)));
        assert!(matches!(error, TransactionError::SignatureCount { index: 0, threshold: 2, .. }), "{error}");
    }
    let error = refused(left_out(&mut node, &by_set(body(&spent, to_wallet()), &[2, 1])));
    assert!(matches!(error, TransactionError::SignaturePosition { index: 0, position: 1, keys: 3 }), "{error}");
    let error = refused(left_out(&mut node, &body(&spent, to_wallet()).sign(&[&wallet(1)])));
    assert_eq!(error, TransactionError::WrongKey { index: 0 });
    // The second of two signatures is bad: for a proposer, and for who validates.
    let good = by_set(body(&spent, to_wallet()), &[0, 2]);
    let mut forged = good.clone();
    let Witness::KeySet { signatures, .. } = &mut forged.witnesses[0] else { unreachable!() };
    signatures.0[1].signature.0[0] ^= 1;
    let bad = TransactionFault::BadSignature { index: 1 };
    assert_eq!(left_out(&mut node, &forged), Some(bad.clone()));
    let mut other = Node::open(node.disk.copy_of_durable(), node.store.copy());
    other.ledger.verified().insert([std::sync::Arc::new(PoolTransaction::of(&forged))]);
    let made = block(&mut other.ledger, vec![forged]);
    let error = node.ledger.validate(&made).unwrap_err();
    assert!(matches!(
        error,
        timed_chain::ValidationError::Invalid(BlockError::Transaction { index: 0, reason, .. }) if reason == bad
    ));
    commit(&mut node.ledger, vec![good.clone()]);
    assert!(node.ledger.reader().outputs_of(&set().hash(), None, 9).unwrap().is_empty());
    assert!(node.ledger.reader().output(&only_output(&good).0).unwrap().is_some());
}

#[test]
fn what_is_locked_until_a_height_waits_for_it_and_no_longer() {
    let mut node = Node::new();
    let (height, key_hash) = (Height(4), KeyHash::of(&wallet(1).public()));
    let owners = [LockOwner::KeyHash(key_hash), LockOwner::KeySet(set().hash())];
    let locked = owners.map(|owner| Lock::NotBefore { height, owner });
    let made: Vec<_> = (0..).zip(locked).map(|(n, lock)| body(&coin(n), lock).sign(&[&wallet(0)])).collect();
    let spends = [
        body(&only_output(&made[0]), to_wallet()).sign(&[&wallet(1)]),
        by_set(body(&only_output(&made[1]), to_wallet()), &[0, 1]),
    ];
    commit(&mut node.ledger, made.clone());
    assert_eq!(node.ledger.reader().outputs_of(&key_hash, None, 9).unwrap()[0].0, only_output(&made[0]).0);
    // The next height is 2, then 3: neither a block nor the pool takes it.
    for next in [2, 3] {
        for spend in &spends {
            let expected = TransactionError::NotBefore { index: 0, not_before: height, height: Height(next) };
            assert_eq!(refused(left_out(&mut node, spend)), expected);
            let checked = node.ledger.reader().check(&PoolTransaction::of(spend), &Nothing).unwrap_err();
            assert!(checked.to_string().contains("is locked until height 4"), "{checked}");
        }
        commit(&mut node.ledger, vec![move_to(coin(next as usize), 0, 1)]);
    }
    for spend in &spends {
        assert!(node.ledger.reader().check(&PoolTransaction::of(spend), &Nothing).is_ok());
    }
    commit(&mut node.ledger, spends.to_vec());
    // In the block that makes it: the height of that block counts.
    let early = body(&coin(5), Lock::NotBefore { height: Height(7), owner: owners[0] }).sign(&[&wallet(0)]);
    let child = body(&only_output(&early), to_wallet()).sign(&[&wallet(1)]);
    let draft_of = |node: &Node| draft(&node.ledger, vec![early.clone(), child.clone()]);
    assert_eq!(node.ledger.tip().height, Height(4));
    let draft = draft_of(&node);
    assert_eq!(node.ledger.assemble(draft).unwrap().left_out.len(), 1);
    commit(&mut node.ledger, vec![]);
    commit(&mut node.ledger, vec![]);
    let draft = draft_of(&node);
    let assembled = node.ledger.assemble(draft).unwrap();
    assert_eq!((assembled.left_out.len(), assembled.block.height()), (0, Height(7)));
    let certificate = certify(&assembled.block);
    node.ledger.commit(assembled.block, certificate).unwrap();
    // Another node comes to the same by the log.
    let again = Node::open(node.disk.copy_of_durable(), timed_test_support::MemoryStore::default());
    assert_eq!(again.ledger.tip(), node.ledger.tip());
}

/// Nothing waits.
struct Nothing;

impl timed_chain::Pending for Nothing {
    fn producer(&self, _: &timed_chain::Resource) -> Option<bytes::Bytes> {
        None
    }
}
