//! What addresses once had. No index is kept of that: blocks are read, at most so many for one call.

use super::shape::signed_units;
use crate::error::RpcError;
use crate::node::{BlockAt, NodeApi};
use crate::params::Args;
use crate::text::Text;
use serde_json::{Value, json as value_of};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use timed_ledger::{Address, KeyHash, OutPoint, Transaction, TxOutput, Witness, payout_id, transactions_of};
use timed_primitives::{Amount, Height, TxId};
use tokio::time::timeout;

/// Most blocks that one call reads: an idle devnet makes some 8,600 of them a day.
const BLOCKS_MAX: u64 = 10_000;
/// Most transactions that one call reads: a second's work, and of full blocks there may be too many.
const TRANSACTIONS_MAX: usize = 200_000;
/// How long the sum of all that addresses ever got may take.
const RECEIVED_TIME: Duration = Duration::from_secs(3);
/// Most rows of an answer.
const ROWS_MAX: usize = 50_000;

/// Heights from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeightRange {
    first: u64,
    last: u64,
}

impl HeightRange {
    /// `start` and `end` beside the addresses; without them all blocks.
    pub(super) async fn read(node: &dyn NodeApi, args: &Args<'_>) -> Result<Self, RpcError> {
        let tip = node.tip().await?.0.0;
        let given = args.given("addresses");
        let bound = |name: &str, default| match given.and_then(|object| object.get(name)) {
            None | Some(Value::Null) => Ok(default),
            Some(height) => height.as_u64().ok_or_else(|| {
                RpcError::InvalidParameter(format!("addresses: {name}: expected a height (a whole number)"))
            }),
        };
        let range = Self { first: bound("start", 0)?, last: bound("end", tip)?.min(tip) };
        if range.last.saturating_sub(range.first) >= BLOCKS_MAX {
            return Err(too_much(range, format!("{BLOCKS_MAX} blocks")));
        }
        Ok(range)
    }
}

fn too_much(range: HeightRange, max: String) -> RpcError {
    RpcError::InvalidParameter(format!(
        "heights {} to {} are more than {max}, and no index is kept of what addresses once had: ask for parts, with start and end in \
         the object of addresses",
        range.first, range.last
    ))
}

/// A place where an address gets or gives something.
struct Delta {
    address: Address,
    /// Of the output or input. Unit: position.
    index: usize,
    /// Not known of a payout that is spent and whose report is not kept any more.
    amount: Option<Amount>,
    is_spent: bool,
}

impl Delta {
    fn row(&self, txid: TxId, height: u64, position: usize) -> Value {
        let mut row = value_of!({
            "address": Text(self.address), "txid": Text(txid), "index": self.index, "blockindex": position, "height": height,
        });
        if let Some(amount) = self.amount {
            row["satoshis"] = signed_units(amount, self.is_spent).into();
        }
        row
    }
}

/// Whose output an input spends, by the key that signs it: witnesses have the order of the inputs. `None` for what has no address.
fn spenders(transaction: &Transaction) -> impl Iterator<Item = Option<KeyHash>> + '_ {
    transaction.witnesses.iter().map(|witness| match witness {
        Witness::Key { key, .. } => Some(KeyHash::of(key)),
        Witness::KeySet { .. } => None,
    })
}

fn concerns(transaction: &Transaction, owners: &BTreeSet<KeyHash>) -> bool {
    let is_one = |owner: Option<KeyHash>| owner.is_some_and(|owner| owners.contains(&owner));
    transaction.body.outputs.iter().any(|output| is_one(output.lock.key_hash())) || spenders(transaction).any(is_one)
}

/// What moves money in a block.
enum Mover {
    Transaction(Transaction),
    /// Of an interval that the block pays. No transaction makes them.
    Payouts(TxId, Vec<TxOutput>),
}

impl Mover {
    fn id(&self) -> TxId {
        match self {
            Self::Transaction(transaction) => transaction.id(),
            Self::Payouts(id, _) => *id,
        }
    }

    fn outputs(&self) -> &[TxOutput] {
        match self {
            Self::Transaction(transaction) => &transaction.body.outputs,
            Self::Payouts(_, outputs) => outputs,
        }
    }
}

/// Gives each final transaction of the range that concerns the addresses, in order, with its height and its position in the block. Behind those of a
/// block stand the payouts, as far as the report of its payment is kept.
async fn found(
    node: &dyn NodeApi,
    owners: &BTreeSet<KeyHash>,
    range: HeightRange,
) -> Result<Vec<(u64, usize, Mover)>, RpcError> {
    let genesis = node.genesis().await?.hash;
    let mut payments = node.payments(Height(range.first), Height(range.last)).await?.into_iter().peekable();
    let is_theirs = |output: &TxOutput| output.lock.key_hash().is_some_and(|owner| owners.contains(&owner));
    let (mut found, mut read) = (Vec::new(), 0);
    for height in range.first.max(Height::FIRST.0)..=range.last {
        let transactions = transactions_of(&node.block(BlockAt::Height(Height(height))).await?.block.payload);
        read += transactions.len();
        let count = transactions.len();
        let concerned = transactions.into_iter().enumerate().filter(|(_, transaction)| concerns(transaction, owners));
        found.extend(concerned.map(|(position, transaction)| (height, position, Mover::Transaction(transaction))));
        if let Some(report) = payments.next_if(|report| report.paid_at.0 == height)
            && report.outputs.iter().any(is_theirs)
        {
            found.push((height, count, Mover::Payouts(payout_id(genesis, report.paid_at), report.outputs)));
        }
        if read > TRANSACTIONS_MAX {
            return Err(too_much(range, format!("{TRANSACTIONS_MAX} transactions")));
        }
        if found.len() > ROWS_MAX {
            return Err(too_much(range, format!("{ROWS_MAX} rows")));
        }
    }
    Ok(found)
}

fn key_hashes(owners: &[Address]) -> BTreeSet<KeyHash> {
    owners.iter().map(|address| address.key_hash).collect()
}

/// `getaddresstxids`.
pub(super) async fn transactions(
    node: &dyn NodeApi,
    owners: &[Address],
    range: HeightRange,
) -> Result<Value, RpcError> {
    let found = found(node, &key_hashes(owners), range).await?;
    Ok(found.iter().map(|(_, _, mover)| Value::from(mover.id().to_string())).collect())
}

/// What addresses ever got, the genesis included; `None` where that takes more than one call reads or [`RECEIVED_TIME`], or is more than an amount
/// can be.
pub(super) async fn received(node: &dyn NodeApi, owners: &[Address]) -> Result<Option<Amount>, RpcError> {
    let tip = node.tip().await?.0;
    let transactions = node.totals().await?.transactions;
    if tip.0 >= BLOCKS_MAX || usize::try_from(transactions).is_ok_and(|all| all > TRANSACTIONS_MAX) {
        return Ok(None);
    }
    match timeout(RECEIVED_TIME, sum_received(node, owners, tip)).await {
        // The rest of the answer is known, and needs none of it.
        Err(_) | Ok(Err(RpcError::Busy(_) | RpcError::DiskSilent { .. } | RpcError::Timeout(_))) => Ok(None),
        Ok(outcome) => outcome,
    }
}

async fn sum_received(node: &dyn NodeApi, owners: &[Address], tip: Height) -> Result<Option<Amount>, RpcError> {
    let key_hashes = key_hashes(owners);
    if node.chain_rewards().await?.kept.is_some_and(|(oldest, _)| oldest > 1) {
        // What they were paid before that is not known any more.
        return Ok(None);
    }
    let is_theirs = |output: &&TxOutput| output.lock.key_hash().is_some_and(|owner| key_hashes.contains(&owner));
    let from_genesis = node.genesis_outputs(&key_hashes);
    let paid = node.payments(Height::FIRST, tip).await?;
    let paid = paid.iter().flat_map(|report| &report.outputs).filter(is_theirs).map(|output| output.amount);
    let mut all = Amount::sum(from_genesis.iter().map(|(_, output)| output.amount).chain(paid));
    for height in Height::FIRST.0..=tip.0 {
        let transactions = transactions_of(&node.block(BlockAt::Height(Height(height))).await?.block.payload);
        let outputs = transactions.iter().flat_map(|transaction| &transaction.body.outputs).filter(is_theirs);
        let sum = Amount::sum(outputs.map(|output| output.amount));
        // What went to and fro may be more than there is.
        all = all.zip(sum).and_then(|(all, sum)| all.plus(sum));
        if all.is_none() {
            break;
        }
    }
    Ok(all)
}

/// `getaddressdeltas`. What the genesis gave stands at height 0.
pub(super) async fn deltas(node: &dyn NodeApi, owners: &[Address], range: HeightRange) -> Result<Value, RpcError> {
    let (network, key_hashes) = (node.network(), key_hashes(owners));
    let of = |key_hash| Address { network, key_hash };
    let from_genesis: BTreeMap<OutPoint, TxOutput> = node.genesis_outputs(&key_hashes).into_iter().collect();
    let mut rows = Vec::new();
    if range.first == 0 {
        for (position, (outpoint, output)) in from_genesis.iter().enumerate() {
            let Some(owner) = output.lock.key_hash() else { continue };
            let index = usize::try_from(outpoint.index).unwrap_or(usize::MAX);
            let delta = Delta { address: of(owner), index, amount: Some(output.amount), is_spent: false };
            rows.push(delta.row(outpoint.txid, 0, position));
        }
    }
    for (height, position, mover) in found(node, &key_hashes, range).await? {
        let txid = mover.id();
        let inputs = match &mover {
            Mover::Transaction(transaction) => {
                transaction.body.inputs.iter().zip(spenders(transaction)).enumerate().collect()
            }
            Mover::Payouts(..) => Vec::new(),
        };
        for (index, (input, owner)) in inputs {
            let Some(owner) = owner.filter(|owner| key_hashes.contains(owner)) else { continue };
            let amount = match from_genesis.get(&input.previous) {
                Some(output) => Some(output.amount),
                None => spent_amount(node, &input.previous).await?,
            };
            rows.push(Delta { address: of(owner), index, amount, is_spent: true }.row(txid, height, position));
        }
        for (index, output) in mover.outputs().iter().enumerate() {
            if let Some(owner) = output.lock.key_hash().filter(|owner| key_hashes.contains(owner)) {
                let delta = Delta { address: of(owner), index, amount: Some(output.amount), is_spent: false };
                rows.push(delta.row(txid, height, position));
            }
        }
        if rows.len() > ROWS_MAX {
            return Err(too_much(range, format!("{ROWS_MAX} rows")));
        }
    }
    Ok(rows.into())
}

/// How much an output of a final transaction or a payment held; `None` for a payout whose report is not kept any more.
async fn spent_amount(node: &dyn NodeApi, outpoint: &OutPoint) -> Result<Option<Amount>, RpcError> {
    let index = usize::try_from(outpoint.index).unwrap_or(usize::MAX);
    let output = match node.transaction(outpoint.txid).await {
        Ok(parent) => parent.transaction.body.outputs.get(index).copied(),
        Err(RpcError::PayoutId { .. } | RpcError::TransactionUnknown(_)) => {
            node.payment_of(outpoint.txid).await?.and_then(|report| report.outputs.get(index).copied())
        }
        Err(error) => return Err(error),
    };
    Ok(output.map(|output| output.amount))
}
