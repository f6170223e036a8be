//! `getblockstats`: sums over the transactions of a block.

use crate::error::RpcError;
use crate::node::{BlockFacts, NodeApi};
use crate::params::Args;
use crate::text::Text;
use serde_json::{Map, Value, json as value_of};
use timed_ledger::{RewardReport, Transaction, transactions_of};
use timed_primitives::{Amount, BlockId, Height};

/// Blocks with more transactions are shown without what follows from their fees, which need a look-up for each.
const FEES_MAX: usize = 500;
/// What follows from the fees.
const OF_FEES: [&str; 9] = [
    "avgfee",
    "avgfeerate",
    "feerate_percentiles",
    "maxfee",
    "maxfeerate",
    "medianfee",
    "minfee",
    "minfeerate",
    "totalfee",
];
/// What follows from what a block paid for an interval.
const OF_PAYMENT: [&str; 4] = ["outs", "subsidy", "utxo_increase", "utxo_increase_actual"];
/// At these parts of a block's bytes clients want the fee of a byte. Unit: percent.
const PERCENTILES: [usize; 5] = [10, 25, 50, 75, 90];

/// The statistics of a block, or of the genesis, that the client wants.
pub(super) async fn block_stats(
    node: &dyn NodeApi,
    args: &Args<'_>,
    block: Option<BlockFacts>,
) -> Result<Value, RpcError> {
    let wanted = args.texts("stats", 100)?;
    let map = match block {
        Some(facts) => {
            let transactions = transactions_of(&facts.block.payload);
            let fees = fees_of(node, &transactions).await?;
            let header = &facts.block.header;
            let (id, height) = (facts.block.id(), header.height.0);
            let known = fees.as_deref().unwrap_or_default();
            let paid = paid_by(node, header.height).await?;
            let report = paid.as_ref().and_then(Option::as_ref);
            let mut map = stats_of((id, height, header.time.seconds()), &transactions, known, report);
            if paid.is_none() {
                map.retain(|name, _| !OF_PAYMENT.contains(&name.as_str()));
            }
            if fees.is_none() {
                map.retain(|name, _| !OF_FEES.contains(&name.as_str()));
            }
            map
        }
        None => {
            let genesis = node.genesis().await?;
            stats_of((BlockId(genesis.hash), 0, genesis.time.seconds()), &[], &[], None)
        }
    };
    if let Some(unknown) = wanted.iter().find(|name| !map.contains_key(**name)) {
        if OF_PAYMENT.contains(unknown) {
            return Err(RpcError::InvalidParameter(format!(
                "getblockstats: {unknown} is not known here: what so old a block paid is not kept"
            )));
        }
        if OF_FEES.contains(unknown) {
            return Err(RpcError::InvalidParameter(format!(
                "getblockstats: {unknown} is not known here: the block has more than {FEES_MAX} transactions, or spends outputs of too many others"
            )));
        }
        let name: String = unknown.chars().take(40).collect();
        return Err(RpcError::InvalidParameter(format!("getblockstats: there is no statistic {name:?}")));
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.contains(&name);
    Ok(map.into_iter().filter(|(name, _)| is_wanted(name)).collect::<Map<_, _>>().into())
}

/// What a transaction pays, and for how many bytes.
struct Fee {
    units: u64,
    bytes: usize,
}

impl Fee {
    /// Unit: 10⁻⁸ TIME a byte.
    fn rate(&self) -> u64 {
        self.units / self.bytes.max(1) as u64
    }
}

/// What a block paid, if it paid something; `None` when that is not known any more.
async fn paid_by(node: &dyn NodeApi, height: Height) -> Result<Option<Option<RewardReport>>, RpcError> {
    if let Some(report) = node.payments(height, height).await?.pop() {
        return Ok(Some(Some(report)));
    }
    let oldest = match node.chain_rewards().await?.kept {
        Some((first, _)) if first > 1 => node.reward_reports(first, first).await?.pop(),
        _ => None,
    };
    Ok(oldest.is_none_or(|oldest| oldest.paid_at < height).then_some(None))
}

/// The fees of all transactions but those that pay none by rule, statements about behaviour; `None` when one is not known: a sum of the others would say something wrong.
async fn fees_of(node: &dyn NodeApi, transactions: &[Transaction]) -> Result<Option<Vec<Fee>>, RpcError> {
    if transactions.len() > FEES_MAX {
        return Ok(None);
    }
    let mut fees = Vec::new();
    for transaction in transactions.iter().filter(|transaction| !transaction.body.inputs.is_empty()) {
        let Some(fee) = node.transaction(transaction.id()).await?.fee else { return Ok(None) };
        fees.push(Fee { units: fee.0, bytes: transaction.size_bytes() });
    }
    Ok(Some(fees))
}

/// Least, middle and greatest; zeros of nothing.
fn spread<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> [T; 3] {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    [values.first(), values.get(values.len() / 2), values.last()].map(|value| value.copied().unwrap_or_default())
}

/// The rates at [`PERCENTILES`] of all bytes.
fn percentiles(fees: &[Fee]) -> Vec<u64> {
    let mut rates: Vec<(u64, usize)> = fees.iter().map(|fee| (fee.rate(), fee.bytes)).collect();
    rates.sort_unstable();
    let all: usize = rates.iter().map(|(_, bytes)| bytes).sum();
    let at = |percent: usize| {
        let mut before = 0;
        let reached = rates.iter().find(|(_, bytes)| {
            before += bytes;
            before * 100 >= all * percent
        });
        reached.map_or(0, |(rate, _)| *rate)
    };
    PERCENTILES.map(at).to_vec()
}

fn stats_of(
    (id, height, seconds): (BlockId, u64, u64),
    transactions: &[Transaction],
    fees: &[Fee],
    paid: Option<&RewardReport>,
) -> Map<String, Value> {
    let count = transactions.len();
    let ins: usize = transactions.iter().map(|t| t.body.inputs.len()).sum();
    let payouts = paid.map_or(0, |report| report.outputs.len());
    let outs = payouts + transactions.iter().map(|t| t.body.outputs.len()).sum::<usize>();
    let total_out = Amount::sum(transactions.iter().flat_map(|t| t.body.outputs.iter().map(|o| o.amount)));
    let total_size: usize = transactions.iter().map(Transaction::size_bytes).sum();
    let total_fee: u64 = fees.iter().map(|fee| fee.units).sum();
    let growth = i64::try_from(outs).unwrap_or(i64::MAX) - i64::try_from(ins).unwrap_or(i64::MAX);
    let [size_min, size_median, size_max] = spread(transactions.iter().map(Transaction::size_bytes));
    let [fee_min, fee_median, fee_max] = spread(fees.iter().map(|fee| fee.units));
    let [rate_min, _, rate_max] = spread(fees.iter().map(Fee::rate));
    let stats = value_of!({
        "avgfee": total_fee / fees.len().max(1) as u64,
        "avgfeerate": total_fee / total_size.max(1) as u64,
        "avgtxsize": total_size / count.max(1),
        "blockhash": Text(id),
        "feerate_percentiles": percentiles(fees),
        "height": height,
        "ins": ins,
        "maxfee": fee_max,
        "maxfeerate": rate_max,
        "maxtxsize": size_max,
        "medianfee": fee_median,
        "mediantime": seconds,
        "mediantxsize": size_median,
        "minfee": fee_min,
        "minfeerate": rate_min,
        "mintxsize": size_min,
        "outs": outs,
        "subsidy": paid.map_or(0, |report| report.emission.0),
        "swtotal_size": 0,
        "swtotal_weight": 0,
        "swtxs": 0,
        "time": seconds,
        "total_out": total_out.unwrap_or_default().0,
        "total_size": total_size,
        "total_weight": total_size.saturating_mul(4),
        "totalfee": total_fee,
        "txs": count,
        "utxo_increase": growth,
        "utxo_increase_actual": growth,
        "utxo_size_inc": 0,
        "utxo_size_inc_actual": 0,
    });
    match stats {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_bytes_and_nothing_has_none() {
        let fee = |units, bytes| Fee { units, bytes };
        assert_eq!(percentiles(&[]), [0; 5]);
        assert_eq!(percentiles(&[fee(900, 100), fee(200, 200), fee(3_500, 700)]), [1, 5, 5, 5, 5]);
        assert_eq!(spread([3, 1, 2].into_iter()), [1, 2, 3]);
        assert_eq!(spread(std::iter::empty::<u64>()), [0; 3]);
    }
}
