//! Answers about the chain and its blocks.

use super::block_stats::block_stats;
use super::genesis::{genesis_block, genesis_info};
use super::history_proof::{history_proof, verify_history_proof};
use super::rewards;
use super::shape::{Answer, Rows, core_name, json, text, tip, tip_info, with_fields};
use crate::chain::{BITS, BlockInfo, TARGET, TransactionInfo, chainwork};
use crate::error::RpcError;
use crate::methods::ChainCall;
use crate::node::{BlockAt, BlockFacts, NodeApi, Unspent};
use crate::outputs::UnspentInfo;
use crate::params::{Args, address};
use crate::text::{JsonAmount, Text};
use serde::Serialize;
use serde_json::{Map, Value, json as value_of};
use std::time::Duration;
use timed_ledger::transactions_of;
use timed_primitives::{Amount, BlockId, Height, encode};

/// Longest wait of `waitfornewblock` and its like; clients that want more ask again.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// Most objects of one `scantxoutset`.
const SCAN_OBJECTS_MAX: usize = 1_000;
/// Most blocks that `getchaintxstats` counts.
const STATS_BLOCKS_MAX: u64 = 1_000;

pub(super) async fn answer(node: &dyn NodeApi, call: ChainCall, args: &Args<'_>) -> Result<Answer, RpcError> {
    let value = match call {
        ChainCall::GetBlockchainInfo => blockchain_info(node).await,
        ChainCall::GetBlockCount => json(node.tip().await?.0.0),
        ChainCall::GetBestBlockHash => json(Text(tip(node).await?.1)),
        ChainCall::GetBlock => {
            return block(node, args.block_at("blockhash")?, args.verbosity("verbosity", 1)?).await;
        }
        ChainCall::GetBlockHeader => header(node, args.block_at("blockhash")?, args.boolean_or("verbose", true)?).await,
        ChainCall::GetBlockHash => match Height(args.integer("height")?) {
            Height::GENESIS => json(Text(node.genesis().await?.hash)),
            height => json(Text(node.block_id(height).await?)),
        },
        ChainCall::GetBlockStats => {
            block_stats(node, args, block_at(node, args.block_at("hash_or_height")?).await?).await
        }
        ChainCall::GetHistoryProof => history_proof(node, args).await,
        ChainCall::VerifyHistoryProof => verify_history_proof(node, args).await,
        ChainCall::GetDifficulty => Ok(1.into()),
        ChainCall::GetChainTips => {
            let (height, id) = tip(node).await?;
            Ok(value_of!([{ "height": height.0, "hash": Text(id), "branchlen": 0, "status": "active" }]))
        }
        ChainCall::GetChainTxStats => tx_stats(node, args).await,
        ChainCall::GetDeploymentInfo => deployments(node, args.block_id_or("blockhash")?).await,
        ChainCall::GetTxOutSetInfo => output_set(node).await,
        ChainCall::GetSupply => rewards::supply(node).await,
        ChainCall::GetTreasuryBalance => rewards::treasury(node).await,
        ChainCall::ScanTxOutSet => return scan(node, args).await,
        ChainCall::GetIndexInfo => indexes(node, args.text_or("index_name")?.unwrap_or_default()).await,
        ChainCall::WaitForNewBlock => {
            let current = match args.block_id_or("current_tip")? {
                // Before the first block, which clients know as the genesis.
                Some(BlockId(hash)) if node.genesis().await?.hash == hash => Some(BlockId::default()),
                current => current,
            };
            node.wait_for_new_block(limit(args)?, current).await?;
            tip_info(node).await
        }
        ChainCall::WaitForBlock => {
            let block = Awaited::Block(BlockAt::Id(args.block_id("blockhash")?));
            wait_until(node, limit(args)?, block).await
        }
        ChainCall::WaitForBlockHeight => {
            let height = Awaited::Height(Height(args.integer("height")?));
            wait_until(node, limit(args)?, height).await
        }
    };
    value.map(Answer::Value)
}

/// What a client waits for.
enum Awaited {
    Block(BlockAt),
    Height(Height),
}

fn limit(args: &Args<'_>) -> Result<Duration, RpcError> {
    Ok(match args.integer_or("timeout", 0)? {
        0 => WAIT_MAX,
        milliseconds => Duration::from_millis(milliseconds).min(WAIT_MAX),
    })
}

/// Waits from block to block until it is so, or the time is over.
async fn wait_until(node: &dyn NodeApi, limit: Duration, awaited: Awaited) -> Result<Value, RpcError> {
    let blocks = async {
        loop {
            let (height, before) = node.tip().await?;
            let is_there = match awaited {
                Awaited::Block(at) => block_at(node, at).await.is_ok(),
                Awaited::Height(wanted) => height >= wanted,
            };
            if is_there {
                return Ok(());
            }
            let (_, now) = node.wait_for_new_block(limit, Some(before)).await?;
            if now == before {
                return Ok(());
            }
        }
    };
    // When the time is over the answer is the tip as well.
    tokio::time::timeout(limit, blocks).await.unwrap_or(Ok::<(), RpcError>(()))?;
    tip_info(node).await
}

async fn blockchain_info(node: &dyn NodeApi) -> Result<Value, RpcError> {
    let info = node.blockchain_info().await?;
    let bytes = node.totals().await?.bytes;
    let fields = value_of!({
        "bits": BITS,
        "target": TARGET,
        "difficulty": 1,
        "mediantime": info.time,
        "chainwork": chainwork(Height(info.blocks)),
        "size_on_disk": bytes,
        "pruned": false,
        "network": node.network().name(),
    });
    let is_genesis = info.blocks == 0;
    let mut result = with_fields(&info, fields)?;
    result["chain"] = core_name(node.network()).into();
    if is_genesis {
        result["bestblockhash"] = json(info.genesis)?;
    }
    Ok(result)
}

/// The block, or `None` for the genesis.
async fn block_at(node: &dyn NodeApi, at: BlockAt) -> Result<Option<BlockFacts>, RpcError> {
    match at {
        BlockAt::Height(Height::GENESIS) => Ok(None),
        BlockAt::Id(BlockId(hash)) if node.genesis().await?.hash == hash => Ok(None),
        at => node.block(at).await.map(Some),
    }
}

async fn block(node: &dyn NodeApi, at: BlockAt, verbosity: u64) -> Result<Answer, RpcError> {
    let Some(facts) = block_at(node, at).await? else {
        return match verbosity {
            0 => text(&hex::encode(encode(&genesis_block(&node.genesis().await?)))),
            _ => text(&genesis_info::<Value>(node).await?),
        };
    };
    let network = node.network();
    match verbosity {
        0 => text(&hex::encode(encode(&*facts.block))),
        1 => text(&follows_genesis(node, BlockInfo::of(&facts, |transaction| Text(transaction.id()))).await?),
        _ => {
            let info = BlockInfo::of(&facts, |t| TransactionInfo::in_block(t, facts.confirmations, network));
            text(&follows_genesis(node, info).await?)
        }
    }
}

/// The first block follows the genesis, so that whoever walks back arrives there.
async fn follows_genesis<T>(node: &dyn NodeApi, mut block: BlockInfo<T>) -> Result<BlockInfo<T>, RpcError> {
    if block.previousblockhash.is_none() {
        block.previousblockhash = Some(BlockId(node.genesis().await?.hash).into());
    }
    Ok(block)
}

async fn header(node: &dyn NodeApi, at: BlockAt, is_verbose: bool) -> Result<Value, RpcError> {
    let facts = block_at(node, at).await?;
    let info = match &facts {
        Some(facts) if !is_verbose => return json(hex::encode(encode(&facts.block.header))),
        Some(facts) => json(follows_genesis(node, BlockInfo::of(facts, |_| ())).await?)?,
        None if !is_verbose => return json(hex::encode(encode(&genesis_block(&node.genesis().await?).header))),
        None => json(genesis_info::<Value>(node).await?)?,
    };
    let Value::Object(map) = info else { return Ok(info) };
    let without = ["tx", "certificate", "size", "strippedsize", "weight"];
    Ok(map.into_iter().filter(|(name, _)| !without.contains(&name.as_str())).collect::<Map<_, _>>().into())
}

async fn tx_stats(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let last = match args.block_id_or("blockhash")? {
        Some(id) => BlockAt::Id(id),
        None => BlockAt::Height(node.tip().await?.0),
    };
    let Some(last) = block_at(node, last).await? else {
        let genesis = node.genesis().await?;
        return Ok(value_of!({
            "time": genesis.time.seconds(), "txcount": 0, "window_final_block_hash": Text(genesis.hash),
            "window_final_block_height": 0, "window_block_count": 0,
        }));
    };
    let height = last.block.header.height;
    let count = args.integer_or("nblocks", 30)?.min(STATS_BLOCKS_MAX).min(height.0.saturating_sub(1));
    let (mut window, mut first) = (0, last.block.header.time);
    for back in 0..count {
        window += transactions_of(&node.block(BlockAt::Height(Height(height.0 - back))).await?.block.payload).len();
    }
    if count > 0 {
        first = node.block(BlockAt::Height(Height(height.0 - count))).await?.block.header.time;
    }
    let seconds = last.block.header.time.0.saturating_sub(first.0) as f64 / 1_000.0;
    let mut stats = value_of!({
        "time": last.block.header.time.seconds(),
        "txcount": node.totals().await?.transactions,
        "window_final_block_hash": Text(last.block.id()),
        "window_final_block_height": height.0,
        "window_block_count": count,
    });
    if count > 0 {
        stats["window_tx_count"] = window.into();
        stats["window_interval"] = (seconds as u64).into();
    }
    if seconds > 0.0 {
        stats["txrate"] = (window as f64 / seconds).into();
    }
    Ok(stats)
}

async fn deployments(node: &dyn NodeApi, at: Option<BlockId>) -> Result<Value, RpcError> {
    let (height, id) = match at {
        None => tip(node).await?,
        Some(id) => match block_at(node, BlockAt::Id(id)).await? {
            Some(facts) => (facts.block.header.height, id),
            None => (Height::GENESIS, id),
        },
    };
    Ok(value_of!({ "hash": Text(id), "height": height.0, "deployments": {} }))
}

async fn output_set(node: &dyn NodeApi) -> Result<Value, RpcError> {
    let (info, totals) = (node.blockchain_info().await?, node.totals().await?);
    let best = match info.blocks {
        0 => Text(BlockId(node.genesis().await?.hash)),
        _ => info.bestblockhash,
    };
    Ok(value_of!({
        "height": info.blocks,
        "bestblock": best,
        "txouts": info.utxos,
        "bogosize": info.utxos.saturating_mul(50),
        "hash_serialized_3": info.state_commitment,
        "muhash": info.state_commitment,
        "transactions": totals.transactions,
        "disk_size": totals.bytes,
        "total_amount": info.supply,
    }))
}

/// `scantxoutset`.
#[derive(Serialize)]
struct ScanInfo<R> {
    success: bool,
    txouts: u64,
    height: u64,
    bestblock: Text<BlockId>,
    unspents: R,
    total_amount: JsonAmount,
}

async fn scan(node: &dyn NodeApi, args: &Args<'_>) -> Result<Answer, RpcError> {
    match args.text("action")? {
        "start" => {}
        // A scan is over before anybody can ask how far it is.
        "status" => return Ok(Answer::Value(Value::Null)),
        "abort" => return Ok(Answer::Value(false.into())),
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(RpcError::InvalidParameter(format!(
                "scantxoutset: action: expected start, status or abort, got {other:?}"
            )));
        }
    }
    let network = node.network();
    let bare = |text: &str| {
        let inner = text.strip_prefix("addr(").and_then(|rest| rest.split(')').next());
        address(inner.unwrap_or(text), network)
    };
    let owners = args.texts("scanobjects", SCAN_OBJECTS_MAX)?.into_iter().map(bare).collect::<Result<Vec<_>, _>>()?;
    let found = if owners.is_empty() { Vec::new() } else { node.unspent(owners).await? };
    let found: Vec<&Unspent> = found.iter().filter(|unspent| unspent.height.is_some()).collect();
    let (height, id) = tip(node).await?;
    let total = Amount::sum(found.iter().map(|unspent| unspent.output.amount)).unwrap_or_default();
    let genesis = node.genesis().await?.hash;
    let row = |unspent: &&Unspent| {
        let info = UnspentInfo::of(unspent, network);
        value_of!({
            "txid": info.txid, "vout": info.vout, "scriptPubKey": info.script, "desc": format!("addr({})", info.address),
            "amount": info.amount, "coinbase": unspent.is_payout(genesis), "height": unspent.height.map(|height| height.0),
        })
    };
    text(&ScanInfo {
        success: true,
        txouts: node.blockchain_info().await?.utxos,
        height: height.0,
        bestblock: Text(id),
        unspents: Rows(&found, row),
        total_amount: JsonAmount(total),
    })
}

async fn indexes(node: &dyn NodeApi, name: &str) -> Result<Value, RpcError> {
    let height = node.tip().await?.0.0;
    let all = ["txindex", "addressindex"].into_iter().filter(|index| name.is_empty() || name == *index);
    let row = |index: &str| (index.to_owned(), value_of!({ "synced": true, "best_block_height": height }));
    Ok(all.map(row).collect::<Map<_, _>>().into())
}
