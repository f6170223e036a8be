//! From a checked call to the node's answer as JSON: one exhaustive match.

use crate::catalogue::help_all;
use crate::chain::{BlockInfo, TransactionInfo, TxOutInfo, UnspentInfo};
use crate::error::RpcError;
use crate::methods::{Call, Method};
use crate::node::{BlockFacts, NodeApi};
use crate::params::{Args, address};
use crate::result::{AddressInfo, TipInfo};
use crate::text::Text;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use timed_ledger::{Address, OutPoint};
use timed_primitives::{BlockId, Height, Network, encode};

/// Longest wait of `waitfornewblock`; clients that want more ask again.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(600);

/// Answers one call.
pub(crate) async fn answer(
    node: &dyn NodeApi,
    method: &'static Method,
    params: Option<&Value>,
) -> Result<Value, RpcError> {
    let args = Args::bind(method, params)?;
    let network = node.network();
    match method.call {
        Call::GetBlockchainInfo => json(node.blockchain_info().await?),
        Call::GetBlockCount => json(node.tip().await?.0.0),
        Call::GetBestBlockHash => json(Text(node.tip().await?.1)),
        Call::GetBlock => {
            let (at, verbosity) = (args.block_at("blockhash")?, args.verbosity("verbosity")?);
            block(&node.block(at).await?, verbosity, network)
        }
        Call::GetBlockHash => json(Text(node.block_id(Height(args.integer("height")?)).await?)),
        Call::WaitForNewBlock => {
            let limit = match args.integer_or("timeout", 0)? {
                0 => WAIT_MAX,
                milliseconds => Duration::from_millis(milliseconds).min(WAIT_MAX),
            };
            json(tip(node.wait_for_new_block(limit, args.block_id_or("current_tip")?).await?))
        }
        Call::GetTransaction => json(TransactionInfo::of(&node.transaction(args.txid("txid")?).await?, network)),
        Call::GetRawTransaction => {
            let (txid, verbose) = (args.txid("txid")?, args.boolean_or("verbose", false)?);
            let info = TransactionInfo::of(&node.transaction(txid).await?, network);
            if verbose { json(info) } else { json(info.hex) }
        }
        Call::GetTxOut => {
            let outpoint = OutPoint { txid: args.txid("txid")?, index: args.index("n")? };
            let found = node.output(outpoint, args.boolean_or("include_mempool", true)?).await?;
            let (_, best) = node.tip().await?;
            json(found.map(|unspent| TxOutInfo::of(&unspent, best, network)))
        }
        Call::SendRawTransaction => {
            node.check_room(args.text("hexstring")?.len() / 2)?;
            let (transaction, fee_rate_max) = (args.transaction("hexstring")?, args.fee_rate_max("maxfeerate")?);
            json(Text(node.submit(transaction, fee_rate_max).await?))
        }
        Call::TestMempoolAccept => {
            let (transactions, fee_rate_max) = (args.transactions("rawtxs")?, args.fee_rate_max("maxfeerate")?);
            json(node.test_mempool_accept(transactions, fee_rate_max).await?)
        }
        Call::GetMempoolInfo => json(node.mempool_info().await?),
        Call::GetRawMempool => raw_mempool(node, args.boolean_or("verbose", false)?).await,
        Call::GetNetworkInfo => json(node.network_info().await?),
        Call::GetPeerInfo => json(node.peer_info().await?),
        Call::GetPeerHistory => {
            let count = usize::try_from(args.integer_or("count", 20)?).unwrap_or(usize::MAX);
            json(node.peer_history(args.peer_or("node")?, count).await?)
        }
        Call::Ping => json(node.ping(args.peer_or("node")?).await?),
        Call::AddNode => json(node.add_node(args.text("node")?.to_owned()).await?),
        Call::DisconnectNode => json(node.disconnect(args.peer("node")?).await?),
        Call::SetBan => set_ban(node, &args).await,
        Call::ListBanned => json(node.bans().await?),
        Call::ClearBanned => json(node.lift_all_bans().await?),
        Call::GetConsensusInfo => json(node.consensus_info().await?),
        Call::MasternodeList => json(node.masternodes().await?),
        Call::GetBalance => {
            let of = args.text_or("address")?.filter(|text| *text != "*");
            json(node.balance(of.map(|text| address(text, network)).transpose()?).await?.spendable)
        }
        Call::GetNewAddress => json(Text(node.new_address().await?)),
        Call::ListUnspent => list_unspent(node, &args).await,
        Call::SendToAddress => {
            let (to, amount) = (args.address("address", network)?, args.amount("amount")?);
            json(Text(node.pay(to, amount).await?))
        }
        Call::ValidateAddress => json(validate_address(args.text("address")?, network)),
        Call::Uptime => json(node.uptime().as_secs()),
        Call::Stop => {
            node.stop();
            json("timed is stopping")
        }
        Call::Help => help(args.text_or("command")?.unwrap_or_default()),
    }
}

fn json(result: impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(result).map_err(|e| RpcError::Internal(format!("the result does not fit JSON: {e}")))
}

fn tip((height, id): (Height, BlockId)) -> TipInfo {
    TipInfo { hash: id.into(), height: height.0 }
}

fn block(facts: &BlockFacts, verbosity: u64, network: Network) -> Result<Value, RpcError> {
    match verbosity {
        0 => json(hex::encode(encode(&*facts.block))),
        1 => json(BlockInfo::of(facts, |transaction| Text(transaction.id()))),
        _ => json(BlockInfo::of(facts, |t| TransactionInfo::in_block(t, facts.confirmations, network))),
    }
}

async fn raw_mempool(node: &dyn NodeApi, verbose: bool) -> Result<Value, RpcError> {
    let entries = node.raw_mempool().await?;
    if verbose {
        json(entries.into_iter().map(|entry| (entry.txid.0.to_string(), entry)).collect::<BTreeMap<_, _>>())
    } else {
        json(entries.into_iter().map(|entry| entry.txid).collect::<Vec<_>>())
    }
}

async fn list_unspent(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let network = node.network();
    let confirmations = args.integer_or("minconf", 1)?..=args.integer_or("maxconf", 9_999_999)?;
    let found = node.unspent(args.addresses("addresses", network)?).await?;
    let within = found.iter().filter(|unspent| confirmations.contains(&unspent.confirmations));
    json(within.map(|unspent| UnspentInfo::of(unspent, network)).collect::<Vec<_>>())
}

async fn set_ban(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let (peer, seconds) = (args.peer("node")?, args.integer_or("bantime", 86_400)?);
    match args.text("command")? {
        "add" => json(node.ban(peer, Duration::from_secs(seconds)).await?),
        "remove" => json(node.lift_ban(peer).await?),
        other => Err(RpcError::InvalidParameter(format!(
            "setban: command: expected add or remove, got {:?}",
            other.chars().take(60).collect::<String>()
        ))),
    }
}

fn validate_address(text: &str, network: Network) -> AddressInfo {
    let parsed = Address::parse(text);
    let error = match &parsed {
        Ok(found) if found.network == network => None,
        Ok(_) => Address::parse_for(text, network).err().map(|e| e.to_string()),
        Err(error) => Some(error.to_string()),
    };
    AddressInfo {
        isvalid: error.is_none(),
        address: parsed.as_ref().ok().map(Address::to_string),
        network: parsed.as_ref().ok().map(|address| address.network.name().to_owned()),
        error,
    }
}

fn help(command: &str) -> Result<Value, RpcError> {
    match Method::find(command) {
        _ if command.is_empty() => json(help_all()),
        Some(method) => json(method.help()),
        None => Err(unknown(command)),
    }
}

/// The error for a name that is no method's.
pub(crate) fn unknown(name: &str) -> RpcError {
    RpcError::UnknownMethod { name: name.chars().take(60).collect(), nearest: Method::nearest(name) }
}

/// What a waiting call may cost differs from the others.
pub(crate) fn is_wait(method: &Method) -> bool {
    matches!(method.call, Call::WaitForNewBlock)
}
