//! Random chains against a plain model, through flushes, crashes and stores left behind.

use crate::chain::{FEE, Node, block, certify, coin, locked, owner, pay};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use timed_ledger::{LedgerQueries as _, LedgerView, LtHash, OutPoint, OutputEntry, Transaction, TxOutput};
use timed_primitives::{Amount, Height};
use timed_test_support::MemoryStore;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A block of payments; each number picks the output to spend, the receiver and the split.
    Block(Vec<u16>),
    /// The store catches up.
    Flush,
    /// Power is lost while a block is written; the store falls back by so many of its saved states.
    Crash { stores_back: usize },
    /// The store is lost.
    LoseStore,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => proptest::collection::vec(any::<u16>(), 0..6).prop_map(Step::Block),
        2 => Just(Step::Flush),
        2 => (0usize..4).prop_map(|stores_back| Step::Crash { stores_back }),
        1 => Just(Step::LoseStore),
    ]
}

/// The set of unspent outputs, as simply as can be.
pub(crate) type Model = BTreeMap<OutPoint, (TxOutput, u64, Height)>;

/// In place of a wallet: collateral of a masternode, which no payment spends.
pub(crate) const LOCKED: u64 = u64::MAX;

/// Takes one output out of the model and splits it between two wallets; children may follow in the same block.
pub(crate) fn payment(model: &mut Model, pick: u16, height: Height) -> Option<Transaction> {
    let at = usize::from(pick) % model.len();
    let (outpoint, (output, from, _)) = model.iter().nth(at).map(|(k, v)| (*k, *v))?;
    if from == LOCKED {
        return None;
    }
    let left = output.amount.0.checked_sub(FEE)?;
    let part = left / (2 + u64::from(pick % 3));
    if part < 1_000 {
        return None;
    }
    let to = u64::from(pick % 5);
    let transaction = pay(&[(outpoint, output)], from, &[(part, to), (left - part, from)]);
    model.remove(&outpoint);
    for ((made, output), to) in transaction.outputs().zip([to, from]) {
        model.insert(made, (output, to, height));
    }
    Some(transaction)
}

/// Everything a reader says agrees with the model.
fn check(node: &Node, model: &Model, fees: u64) {
    let view = node.ledger.reader().view();
    let supply = view.supply();
    assert_eq!(supply.fees, Amount(fees));
    assert_eq!(supply.unspent.plus(supply.fees), crate::chain::genesis().supply().ok());
    assert_eq!(view.totals().outputs, u64::try_from(model.len() + 4).unwrap());
    let mut utxo = LtHash::default();
    // What the masternodes lock stays.
    for (outpoint, output) in crate::chain::genesis().unspent().skip(8) {
        utxo.add(&outpoint, &output, Height(0));
    }
    for (outpoint, (output, _, height)) in model {
        utxo.add(outpoint, output, *height);
        assert_eq!(view.output(outpoint).unwrap(), Some(OutputEntry { output: *output, height: *height }));
    }
    let mut hasher = timed_primitives::Domain::StateCommitment.hasher();
    let mut entries: Vec<_> = crate::chain::genesis().masternodes().map(|one| one.entry()).collect();
    entries.sort_unstable_by_key(|entry| entry.id);
    let leaves: Vec<_> = entries.iter().map(|entry| entry.leaf()).collect();
    hasher.update(&utxo.to_bytes()).update(&timed_primitives::merkle::root(&leaves).0);
    hasher.update(&view.state().accounts_root().0);
    hasher.update(&view.tip().height.0.to_be_bytes());
    assert_eq!(view.tip().state_commitment.0, *hasher.finalize().as_bytes());
    for wallet in 0..5 {
        let expected: Vec<_> = model
            .iter()
            .filter(|(_, (_, of, _))| *of == wallet)
            .map(|(outpoint, (output, _, height))| (*outpoint, OutputEntry { output: *output, height: *height }))
            .collect();
        assert_eq!(view.outputs_of(&owner(wallet), None, 1_000).unwrap(), expected);
        let two = view.outputs_of(&owner(wallet), expected.first().map(|(at, _)| at), 2).unwrap();
        assert_eq!(two, expected.into_iter().skip(1).take(2).collect::<Vec<_>>());
    }
}

/// What a reader held when the model was this says the same for every output there ever was, however far the ledger has gone since.
fn check_held(held: &[(Arc<LedgerView>, Model)], ever: &BTreeSet<OutPoint>) {
    for (view, model) in held {
        for outpoint in ever {
            let expected =
                model.get(outpoint).map(|(output, _, height)| OutputEntry { output: *output, height: *height });
            assert_eq!(view.output(outpoint).unwrap(), expected, "at height {}", view.tip().height);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_chain_survives_anything(steps in proptest::collection::vec(step(), 1..24)) {
        let mut node = Node::new();
        let mut model: Model = (0..8).map(coin).map(|(at, output)| (at, (output, 0, Height(0)))).collect();
        let mut fees = 0;
        let mut saved = vec![node.store.copy()];
        let (mut held, mut ever) = (Vec::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Block(picks) => {
                    let height = node.ledger.tip().height.next();
                    let payments: Vec<_> = picks.iter().filter_map(|pick| payment(&mut model, *pick, height)).collect();
                    fees += FEE * u64::try_from(payments.len()).unwrap();
                    let made = block(&mut node.ledger, payments);
                    let certificate = certify(&made);
                    node.ledger.commit(made, certificate).unwrap();
                }
                Step::Flush => {
                    node.ledger.flush().unwrap();
                    saved.push(node.store.copy());
                }
                Step::Crash { stores_back } => {
                    let tip = node.ledger.tip();
                    // A block is written, but its sync never returns.
                    let lost = block(&mut node.ledger, vec![]);
                    node.disk.fail_syncs(timed_chain::BLOCK_LOG_FILE);
                    prop_assert!(node.ledger.commit(lost.clone(), certify(&lost)).is_err());
                    node.disk.crash();
                    let disk = node.disk.copy_of_durable();
                    saved.truncate(saved.len().saturating_sub(stores_back).max(1));
                    node = Node::open(disk, saved[saved.len() - 1].copy());
                    prop_assert_eq!(node.ledger.tip(), tip);
                }
                Step::LoseStore => {
                    let tip = node.ledger.tip();
                    node = Node::open(node.disk, MemoryStore::default());
                    prop_assert_eq!(node.ledger.tip(), tip);
                }
            }
            check(&node, &model, fees);
            ever.extend(model.keys().copied());
            held.push((node.ledger.reader().view(), model.clone()));
            check_held(&held, &ever);
        }
    }

    #[test]
    fn no_changed_byte_of_a_transaction_gets_it_into_a_block(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut node = Node::new();
        let good = pay(&[coin(0)], 0, &[(70_000, 1), (locked(90_000, 2).amount.0, 2)]);
        let mut bytes = timed_primitives::encode(&good);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = timed_primitives::decode::<Transaction>(&bytes) {
            let assembled = node.ledger.assemble(crate::chain::draft(&node.ledger, vec![changed])).unwrap();
            prop_assert_eq!(assembled.transactions.len(), 0);
            prop_assert_eq!(assembled.left_out.len(), 1);
        }
    }
}
