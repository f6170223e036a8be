//! Shared by the tests: a small application whose chain is a map, and short functions that make transactions.

mod admission;
mod admission_of_many;
mod keep;
mod payload;
mod pool;
mod properties;
mod relay;
mod relay_network;

use crate::{Admitted, Pool, PoolLimits, Reject, Source};
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use timed_chain::{
    ApplicationTransaction, CheckError, Checked, Pending, PoolTransaction, ReadError, Refusal, Resource,
    TransactionRules,
};
use timed_primitives::{
    Amount, DecodeError, Hash, Height, Instant, PublicKey, SecretKey, Signature, SignedItem, TxId, decode, encode,
};

/// Moves value from outputs to outputs.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Transfer {
    inputs: Vec<Resource>,
    /// Each with as many bytes as the outputs of payments have.
    outputs: Vec<(u64, [u8; 33])>,
    signatures: Vec<(PublicKey, Signature)>,
}

impl Transfer {
    /// Spends `inputs` into outputs of these amounts.
    pub(crate) fn new(inputs: &[Resource], amounts: &[u64]) -> Self {
        let outputs = amounts.iter().map(|amount| (*amount, [0; 33])).collect();
        Self { inputs: inputs.to_vec(), outputs, signatures: Vec::new() }
    }

    pub(crate) fn sign(mut self, key: &SecretKey) -> Self {
        self.signatures.push((key.public(), key.sign(&self.id().0.0)));
        self
    }

    pub(crate) fn pooled(&self) -> Arc<PoolTransaction> {
        Arc::new(PoolTransaction::of(self))
    }
}

impl ApplicationTransaction for Transfer {
    fn id(&self) -> TxId {
        TxId(Hash::of(timed_primitives::Domain::TransactionId, &encode(&(&self.inputs, &self.outputs))))
    }

    fn consumes(&self) -> Vec<Resource> {
        self.inputs.clone()
    }

    fn produces(&self, id: TxId) -> Vec<Resource> {
        (0u32..).zip(&self.outputs).map(|(index, _)| Resource { origin: id.0, index }).collect()
    }

    fn signed_items(&self) -> Vec<SignedItem> {
        let message = self.id().0.0.to_vec();
        let item = |&(key, signature): &_| SignedItem { key, message: message.clone(), signature };
        self.signatures.iter().map(item).collect()
    }
}

/// Value of each output of the first block.
pub(crate) const VALUE: u64 = 1_000_000;

pub(crate) fn peer(n: u64) -> PublicKey {
    SecretKey::development("node", n).public()
}

pub(crate) fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000)
}

/// Output `n` of the first block.
pub(crate) fn coin(n: u32) -> Resource {
    Resource { origin: Hash([1; 32]), index: n }
}

/// Spends `inputs` into outputs of these amounts.
pub(crate) fn spend(inputs: &[Resource], amounts: &[u64]) -> Arc<PoolTransaction> {
    Transfer::new(inputs, amounts).pooled()
}

/// Output `index` of a transaction.
pub(crate) fn out(transaction: &PoolTransaction, index: u32) -> Resource {
    Resource { origin: transaction.facts.id.0, index }
}

fn parsed(bytes: &[u8]) -> Transfer {
    decode(bytes).unwrap()
}

/// The value of an output of the transaction with these bytes.
fn value_in(bytes: &[u8], output: &Resource) -> u64 {
    parsed(bytes).outputs[usize::try_from(output.index).unwrap()].0
}

#[derive(Debug, Default)]
pub(crate) struct MapChain {
    pub(crate) outputs: BTreeMap<Resource, u64>,
    pub(crate) known: BTreeSet<TxId>,
    /// Whether a transfer may pay nothing.
    pub(crate) wants_fee: bool,
    pub(crate) is_broken: bool,
}

/// Outputs exceed inputs, or pay no fee where one is wanted.
#[derive(Clone, Debug, thiserror::Error)]
#[error("outputs are too high")]
pub(crate) struct Inflation;

impl MapChain {
    pub(crate) fn with_coins(coins: u32) -> Self {
        Self { outputs: (0..coins).map(|n| (coin(n), VALUE)).collect(), ..Self::default() }
    }

    /// Applies a transaction as a decided block does; its inputs must exist.
    pub(crate) fn apply(&mut self, transaction: &PoolTransaction) {
        for input in transaction.facts.consumes.iter() {
            assert!(self.outputs.remove(input).is_some(), "{input} does not exist");
        }
        let amounts = parsed(&transaction.bytes).outputs.into_iter().map(|(amount, _)| amount);
        self.outputs.extend(transaction.facts.produces.iter().copied().zip(amounts));
        self.known.insert(transaction.facts.id);
    }

    pub(crate) fn value(&self, pending: &dyn Pending, output: &Resource) -> Option<u64> {
        let pending = pending.producer(output).map(|bytes| value_in(&bytes, output));
        pending.or_else(|| self.outputs.get(output).copied())
    }

    fn read<T>(&self, found: T) -> Result<T, ReadError> {
        if self.is_broken { Err(ReadError::Undecodable { table: "outputs" }) } else { Ok(found) }
    }
}

impl TransactionRules for MapChain {
    fn parse(&self, bytes: Bytes) -> Result<PoolTransaction, DecodeError> {
        PoolTransaction::parse::<Transfer>(bytes)
    }

    fn check(&self, transaction: &PoolTransaction, pending: &dyn Pending) -> Result<Checked, CheckError> {
        let transfer = parsed(&self.read(&transaction.bytes)?[..]);
        let value = |input| self.value(pending, input).ok_or(CheckError::Missing(*input));
        let spent: u64 = transfer.inputs.iter().map(value).sum::<Result<_, _>>()?;
        let made: u64 = transfer.outputs.iter().map(|(amount, _)| amount).sum();
        let fee = spent.checked_sub(made).filter(|fee| *fee > 0 || !self.wants_fee);
        let fee = Amount(fee.ok_or_else(|| CheckError::Refused(Refusal::new(Inflation)))?);
        Ok(Checked { fee, signed_items: transfer.signed_items() })
    }

    fn is_available(&self, resource: &Resource) -> Result<bool, ReadError> {
        self.read(self.outputs.contains_key(resource))
    }

    fn is_confirmed(&self, id: &TxId) -> Result<bool, ReadError> {
        self.read(self.known.contains(id))
    }
}

/// By their texts, which name all that they say.
impl PartialEq for Reject {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

pub(crate) fn pool(limits: PoolLimits) -> Pool {
    Pool::new(limits, Height::GENESIS)
}

/// Both steps at once, from this node's operator.
pub(crate) fn submit(
    pool: &mut Pool,
    now: Instant,
    transaction: &Arc<PoolTransaction>,
    chain: &MapChain,
) -> Result<Admitted, Reject> {
    submit_from(pool, now, transaction, Source::Local, chain)
}

pub(crate) fn submit_from(
    pool: &mut Pool,
    now: Instant,
    transaction: &Arc<PoolTransaction>,
    source: Source,
    chain: &MapChain,
) -> Result<Admitted, Reject> {
    let candidate = pool.pre_check(now, Arc::clone(transaction), source, chain)?;
    pool.admit(now, candidate, chain)
}
