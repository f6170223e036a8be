//! What transactions mean to the node's wallet. Nothing is kept of it: the mempool and the last blocks are looked through.

use super::labels::wanted as wanted_label;
use super::shape::{decoded, with_fields};
use crate::chain::TransactionInfo;
use crate::error::RpcError;
use crate::node::{BlockAt, BlockFacts, NodeApi, TransactionRecord, TransactionState};
use crate::params::Args;
use crate::text::{JsonAmount, Text};
use serde_json::{Number, Value, json as value_of};
use std::collections::HashSet;
use timed_ledger::{Address, LockOwner, RewardReport, Transaction, TxOutput, Witness, payout_id, transactions_of};
use timed_primitives::{Amount, BlockId, Height, TxId};

/// Most blocks that are looked through.
const BLOCKS_MAX: u64 = 1_000;
/// No further block is looked through after so many transactions.
const SEEN_MAX: usize = 100_000;
/// Most transactions of the mempool that are read, and most rows of an answer.
const ROWS_MAX: usize = 1_000;
/// Most rows that are gone through for an answer: beyond them pages are empty.
const ROWS_SEEN_MAX: usize = 20_000;

/// An output, as far as the wallet is concerned.
struct WalletOutput {
    n: u32,
    address: Address,
    amount: Amount,
    is_mine: bool,
    label: String,
}

/// What a transaction does for the wallet.
struct Effect {
    /// Whether a key of the wallet signed it.
    is_sent: bool,
    outputs: Vec<WalletOutput>,
}

impl Effect {
    fn of(node: &dyn NodeApi, transaction: &Transaction) -> Self {
        let network = node.network();
        let is_ours = |key_hash| node.is_mine(&Address { network, key_hash });
        // Other locks have no address, and are none of the wallet's.
        let output = |(n, output): (u32, &TxOutput)| {
            let address = Address { network, key_hash: output.lock.key_hash()? };
            let (is_mine, label) = (node.is_mine(&address), node.label(&address));
            Some(WalletOutput { n, address, amount: output.amount, is_mine, label })
        };
        let is_by_us = |witness: &Witness| matches!(witness.owner(), LockOwner::KeyHash(key_hash) if is_ours(key_hash));
        Self {
            is_sent: transaction.witnesses.iter().any(is_by_us),
            outputs: (0u32..).zip(&transaction.body.outputs).filter_map(output).collect(),
        }
    }

    fn concerns_wallet(&self) -> bool {
        self.is_sent || self.outputs.iter().any(|output| output.is_mine)
    }

    /// The wallet pays itself: as far as can be seen with the first output, and what is left comes back with the others.
    fn is_to_itself(&self) -> bool {
        self.is_sent && self.outputs.iter().all(|output| output.is_mine)
    }

    /// What of the outputs is no change: of a payment of ours what others get, of others' what we get.
    fn paid(&self) -> impl Iterator<Item = &WalletOutput> {
        self.outputs.iter().filter(|output| output.is_mine != self.is_sent)
    }

    fn amount(&self) -> Value {
        signed(Amount::sum(self.paid().map(|output| output.amount)).unwrap_or_default(), self.is_sent)
    }

    fn rows(&self, fee: Option<Amount>) -> Vec<Value> {
        let row = |output: &WalletOutput, goes: bool| {
            let mut row = value_of!({
                "address": Text(output.address),
                "category": if goes { "send" } else { "receive" },
                "amount": signed(output.amount, goes),
                "label": output.label,
                "vout": output.n,
                "abandoned": false,
            });
            if let (true, Some(fee)) = (goes, fee) {
                row["fee"] = signed(fee, true);
            }
            row
        };
        if self.is_to_itself() {
            return self.outputs.iter().take(1).flat_map(|output| [row(output, true), row(output, false)]).collect();
        }
        self.paid().map(|output| row(output, self.is_sent)).collect()
    }
}

/// An amount that comes or goes.
fn signed(amount: Amount, goes: bool) -> Value {
    let digits = if goes && amount > Amount::ZERO { format!("-{amount}") } else { amount.to_string() };
    digits.parse::<Number>().map_or(Value::Null, Value::Number)
}

/// `gettransaction`.
pub(super) async fn transaction(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let (txid, is_verbose) = (args.txid("txid")?, args.boolean_or("verbose", false)?);
    let record = node.transaction(txid).await?;
    let effect = Effect::of(node, &record.transaction);
    let time = received_at(node, &record);
    let mut fields = value_of!({
        "amount": if effect.concerns_wallet() { effect.amount() } else { value_of!(JsonAmount::default()) },
        "details": if effect.concerns_wallet() { effect.rows(record.fee) } else { Vec::new() },
        "walletconflicts": [],
        "time": time,
        "timereceived": time,
        "bip125-replaceable": "no",
    });
    if is_verbose {
        fields["decoded"] = decoded(&record.transaction, node)?;
    }
    let mut result = with_fields(TransactionInfo::of(&record, node.network()), fields)?;
    // As in Bitcoin: what the wallet pays goes.
    if let (true, Some(fee)) = (effect.is_sent, record.fee) {
        result["fee"] = signed(fee, true);
    }
    Ok(result)
}

/// Nobody writes down when a transaction was first seen: the time of its block stands for it, or now.
fn received_at(node: &dyn NodeApi, record: &TransactionRecord) -> u64 {
    match record.state {
        TransactionState::Final(place) => place.time.seconds(),
        _ => node.unix_time().seconds(),
    }
}

fn rows_of(node: &dyn NodeApi, record: &TransactionRecord, label: Option<&str>) -> Result<Vec<Value>, RpcError> {
    let info = TransactionInfo::of(record, node.network());
    let time = received_at(node, record);
    let shared = value_of!({
        "txid": info.txid, "wtxid": info.fullid, "confirmations": info.confirmations, "blockhash": info.blockhash,
        "blockheight": info.blockheight, "blockindex": info.blockindex, "blocktime": info.blocktime, "walletconflicts": [],
        "time": time, "timereceived": time, "bip125-replaceable": "no",
    });
    let effect = Effect::of(node, &record.transaction);
    let rows = if effect.concerns_wallet() { effect.rows(record.fee) } else { Vec::new() };
    let is_wanted = |row: &Value| label.is_none_or(|label| row.get("label").and_then(Value::as_str) == Some(label));
    let rows = rows.into_iter().filter(is_wanted).map(|row| {
        let mut row = with_fields(row, shared.clone())?;
        if let (Value::Object(map), None) = (&mut row, info.blockhash) {
            map.retain(|name, _| !name.starts_with("block"));
        }
        Ok(row)
    });
    rows.collect()
}

/// What an interval paid to the wallet, which no transaction did.
async fn rows_of_payouts(
    node: &dyn NodeApi,
    facts: &BlockFacts,
    report: &RewardReport,
    label: Option<&str>,
) -> Result<Vec<Value>, RpcError> {
    let (network, txid) = (node.network(), payout_id(node.genesis().await?.hash, report.paid_at));
    let time = report.time.seconds();
    let row = |(n, output): (u32, &TxOutput)| {
        let address = Address { network, key_hash: output.lock.key_hash()? };
        let own = node.label(&address);
        let is_wanted = node.is_mine(&address) && label.is_none_or(|label| label == own);
        is_wanted.then(|| {
            value_of!({
                "address": Text(address), "category": "generate", "amount": JsonAmount(output.amount), "label": own, "vout": n,
                "abandoned": false, "generated": true, "txid": Text(txid), "confirmations": facts.confirmations,
                "blockhash": Text(facts.block.id()), "blockheight": report.paid_at.0, "blocktime": time, "walletconflicts": [],
                "time": time, "timereceived": time, "bip125-replaceable": "no", "interval": report.interval,
            })
        })
    };
    Ok((0..).zip(&report.outputs).filter_map(row).collect())
}

/// Rows of the mempool by their transactions.
type WaitingRows = Vec<(TxId, Vec<Value>)>;

/// Those there are, the newest first.
async fn waiting(node: &dyn NodeApi, label: Option<&str>) -> Result<WaitingRows, RpcError> {
    let mut waiting = Vec::new();
    for entry in node.raw_mempool().await?.iter().rev().take(ROWS_MAX) {
        // It may have become final or lost since; then a block shows it, or nothing does.
        if let Ok(record) = node.transaction(entry.txid.0).await
            && !matches!(record.state, TransactionState::Final(_))
        {
            waiting.push((entry.txid.0, rows_of(node, &record, label)?.into_iter().rev().collect()));
        }
    }
    Ok(waiting)
}

/// What one block holds for the wallet.
struct OfBlock {
    /// The newest first.
    rows: Vec<Value>,
    ids: Vec<TxId>,
    /// Transactions of everybody.
    count: usize,
}

async fn of_block(
    node: &dyn NodeApi,
    height: Height,
    label: Option<&str>,
    payments: &[RewardReport],
) -> Result<OfBlock, RpcError> {
    let facts = node.block(BlockAt::Height(height)).await?;
    let transactions = transactions_of(&facts.block.payload);
    let mut found = OfBlock { rows: Vec::new(), ids: Vec::new(), count: transactions.len() };
    if let Some(report) = payments.iter().find(|report| report.paid_at == height) {
        found.rows.extend(rows_of_payouts(node, &facts, report, label).await?.into_iter().rev());
    }
    for transaction in transactions.iter().rev() {
        if Effect::of(node, transaction).concerns_wallet() {
            let id = transaction.id();
            found.rows.extend(rows_of(node, &node.transaction(id).await?, label)?.into_iter().rev());
            found.ids.push(id);
        }
    }
    Ok(found)
}

/// Rows of those that are not in these blocks.
fn not_in(waiting: WaitingRows, ids: &HashSet<TxId>) -> impl Iterator<Item = Value> {
    waiting.into_iter().filter(|(id, _)| !ids.contains(id)).flat_map(|(_, rows)| rows)
}

/// Rows of the mempool and of the last blocks, of addresses with this label or of all, the newest first, until there are `wanted` of them.
///
/// Blocks come while it is read. What left the mempool before that was read is in a block up to the tip afterwards, and what is in a block above
/// the tip before may have been read there too: so all blocks up to the later tip are looked through, and what they hold waits no more.
async fn newest(node: &dyn NodeApi, wanted: usize, label: Option<&str>) -> Result<Vec<Value>, RpcError> {
    let (before, _) = node.tip().await?;
    let waiting = waiting(node, label).await?;
    let (last, _) = node.tip().await?;
    let lowest = last.0.saturating_sub(BLOCKS_MAX);
    let (mut of_blocks, mut recent, mut seen) = (Vec::new(), HashSet::new(), 0);
    let payments = node.payments(Height(lowest + 1), last).await?;
    for height in (lowest.max(before.0) + 1..=last.0).rev() {
        let block = of_block(node, Height(height), label, &payments).await?;
        of_blocks.extend(block.rows);
        recent.extend(block.ids);
        seen += block.count;
    }
    let mut rows: Vec<Value> = not_in(waiting, &recent).chain(of_blocks).collect();
    for height in (lowest + 1..=last.0.min(before.0)).rev() {
        if rows.len() >= wanted || seen > SEEN_MAX {
            break;
        }
        let block = of_block(node, Height(height), label, &payments).await?;
        rows.extend(block.rows);
        seen += block.count;
    }
    Ok(rows)
}

/// `listtransactions`.
pub(super) async fn list(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let bounded = |name, default, max| -> Result<usize, RpcError> {
        Ok(usize::try_from(args.integer_or(name, default)?).unwrap_or(usize::MAX).min(max))
    };
    let (count, skip) = (bounded("count", 10, ROWS_MAX)?, bounded("skip", 0, ROWS_SEEN_MAX)?);
    let rows = newest(node, (count + skip).min(ROWS_SEEN_MAX), wanted_label(args)?).await?;
    let mut rows: Vec<Value> = rows.into_iter().skip(skip).take(count).collect();
    rows.reverse();
    Ok(rows.into())
}

/// `listsinceblock`.
pub(super) async fn since_block(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let start = match args.block_id_or("blockhash")? {
        Some(BlockId(hash)) if node.genesis().await?.hash == hash => Height::GENESIS,
        Some(id) => node.block(BlockAt::Id(id)).await?.block.header.height,
        None => Height::GENESIS,
    };
    let confirmations = args.integer_or("target_confirmations", 1)?;
    if confirmations == 0 {
        return Err(RpcError::InvalidParameter(
            "listsinceblock: target_confirmations: expected 1 or more, got 0".into(),
        ));
    }
    let label = wanted_label(args)?;
    let (mut rows, mut seen, mut reached) = (Vec::new(), 0, start);
    let mut last = node.tip().await?.0;
    let mut waits: Option<(WaitingRows, HashSet<TxId>)> = None;
    let mut payments = node.payments(start.next(), last).await?;
    while reached.0 - start.0 < BLOCKS_MAX && rows.len() < ROWS_MAX && seen <= SEEN_MAX {
        if reached >= last && waits.is_some() {
            break;
        }
        if reached >= last {
            // What waits belongs to the last answer, and what became final meanwhile too.
            waits = Some((waiting(node, label).await?, HashSet::new()));
            last = node.tip().await?.0;
            payments.extend(node.payments(reached.next(), last).await?);
            continue;
        }
        reached = reached.next();
        let block = of_block(node, reached, label, &payments).await?;
        rows.extend(block.rows.into_iter().rev());
        seen += block.count;
        if let Some((_, recent)) = &mut waits {
            recent.extend(block.ids);
        }
    }
    if let Some((waiting, recent)) = waits {
        let mut waiting: Vec<Value> = not_in(waiting, &recent).collect();
        waiting.reverse();
        rows.extend(waiting);
    }
    // Where not all fits into one answer it names the block to go on from.
    let named = match last.0.saturating_sub(confirmations - 1).min(reached.0) {
        0 => BlockId(node.genesis().await?.hash),
        height => node.block_id(Height(height)).await?,
    };
    Ok(value_of!({ "transactions": rows, "removed": [], "lastblock": Text(named) }))
}
