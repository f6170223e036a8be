//! Shared by the tests: a chain that is a map, and short functions that make transactions.

mod admission;
mod keep;
mod payload;
mod pool;
mod properties;
mod relay;
mod relay_network;

use crate::{Admitted, Chain, Pool, PoolLimits, Reject, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use timed_primitives::{
    Amount, ChainId, Hash, Height, Instant, KeyHash, Lock, OutPoint, PublicKey, SecretKey, Transaction,
    TransactionBody, TxId, TxInput, TxOutput,
};

/// Value of each output of the first block.
pub(crate) const VALUE: u64 = 1_000_000;

pub(crate) fn peer(n: u64) -> PublicKey {
    SecretKey::development("node", n).public()
}

pub(crate) fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000)
}

/// Output `n` of the first block.
pub(crate) fn coin(n: u32) -> OutPoint {
    OutPoint { txid: TxId(Hash([1; 32])), index: n }
}

pub(crate) fn output(amount: u64) -> TxOutput {
    TxOutput { amount: Amount(amount), lock: Lock::KeyHash(KeyHash::default()) }
}

/// Spends `inputs` into outputs of these amounts.
pub(crate) fn spend(inputs: &[OutPoint], amounts: &[u64]) -> Arc<Transaction> {
    let body = TransactionBody {
        version: 1,
        chain_id: ChainId(7),
        inputs: inputs.iter().map(|previous| TxInput { previous: *previous }).collect(),
        outputs: amounts.iter().map(|amount| output(*amount)).collect(),
    };
    Arc::new(Transaction { body, witnesses: Vec::new() })
}

/// Output `index` of a transaction.
pub(crate) fn out(transaction: &Transaction, index: u32) -> OutPoint {
    OutPoint { txid: transaction.id(), index }
}

#[derive(Debug, Default)]
pub(crate) struct MapChain {
    pub(crate) outputs: BTreeMap<OutPoint, TxOutput>,
    pub(crate) known: BTreeSet<TxId>,
}

/// Outputs exceed inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inflation;

impl MapChain {
    pub(crate) fn with_coins(coins: u32) -> Self {
        Self { outputs: (0..coins).map(|n| (coin(n), output(VALUE))).collect(), known: BTreeSet::new() }
    }

    /// Applies a transaction as a decided block does; its inputs must exist.
    pub(crate) fn apply(&mut self, transaction: &Transaction) {
        for input in &transaction.body.inputs {
            assert!(self.outputs.remove(&input.previous).is_some(), "{} does not exist", input.previous);
        }
        self.outputs.extend(transaction.outputs());
        self.known.insert(transaction.id());
    }
}

impl Chain for MapChain {
    type Refusal = Inflation;

    fn output(&self, outpoint: &OutPoint) -> Option<TxOutput> {
        self.outputs.get(outpoint).copied()
    }

    fn check(&self, transaction: &Transaction, spent: &[TxOutput]) -> Result<Amount, Inflation> {
        assert_eq!(spent.len(), transaction.body.inputs.len());
        let sum = |outputs: &[TxOutput]| Amount::sum(outputs.iter().map(|output| output.amount));
        let fee = sum(spent).zip(sum(&transaction.body.outputs)).and_then(|(in_, out)| in_.minus(out));
        fee.ok_or(Inflation)
    }

    fn is_known(&self, txid: &TxId) -> bool {
        self.known.contains(txid)
    }
}

pub(crate) fn pool(limits: PoolLimits) -> Pool {
    Pool::new(limits, Height::GENESIS)
}

/// Both steps at once, from this node's operator.
pub(crate) fn submit(
    pool: &mut Pool,
    now: Instant,
    transaction: &Arc<Transaction>,
    chain: &MapChain,
) -> Result<Admitted, Reject<Inflation>> {
    submit_from(pool, now, transaction, Source::Local, chain)
}

pub(crate) fn submit_from(
    pool: &mut Pool,
    now: Instant,
    transaction: &Arc<Transaction>,
    source: Source,
    chain: &MapChain,
) -> Result<Admitted, Reject<Inflation>> {
    let candidate = pool.pre_check(now, Arc::clone(transaction), source, chain)?;
    pool.admit(now, candidate, chain)
}
