//! Answers about transactions and the mempool.

use super::graph::PoolGraph;
use super::shape::{decoded, json, tip, with_fields};
use super::signing::{combine, sign_with_keys};
use crate::chain::{ScriptInfo, TransactionInfo};
use crate::error::RpcError;
use crate::methods::TransactionCall;
use crate::node::{BlockAt, NodeApi, TransactionState};
use crate::outputs::TxOutInfo;
use crate::params::Args;
use crate::text::Text;
use serde_json::{Value, json as value_of};
use timed_ledger::{Lock, OutPoint, Transaction, TransactionBody, TxInput, TxOutput, transactions_of};
use timed_primitives::{Amount, encode};

pub(super) async fn answer(node: &dyn NodeApi, call: TransactionCall, args: &Args<'_>) -> Result<Value, RpcError> {
    match call {
        TransactionCall::GetTransaction => super::history::transaction(node, args).await,
        TransactionCall::GetRawTransaction => raw_transaction(node, args).await,
        TransactionCall::GetTxOut => output(node, args).await,
        TransactionCall::GetTxSpendingPrevout => spenders(node, args.outpoints("outputs")?).await,
        TransactionCall::SendRawTransaction => {
            node.check_room(args.text("hexstring")?.len() / 2)?;
            let (transaction, fee_rate_max) = (args.transaction("hexstring")?, args.fee_rate_max("maxfeerate")?);
            json(Text(node.submit(transaction, fee_rate_max).await?))
        }
        TransactionCall::TestMempoolAccept => {
            let (transactions, fee_rate_max) = (args.transactions("rawtxs")?, args.fee_rate_max("maxfeerate")?);
            let ids: Vec<_> = transactions.iter().map(|transaction| Text(transaction.full_id())).collect();
            let rows = node.test_mempool_accept(transactions, fee_rate_max).await?;
            let rows = rows.iter().zip(ids).map(|(row, id)| {
                let mut fields = value_of!({ "wtxid": id });
                if let Some(fee) = row.fee {
                    fields["vsize"] = row.size.into();
                    fields["fees"] = value_of!({ "base": fee });
                }
                with_fields(row, fields)
            });
            rows.collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        TransactionCall::DecodeRawTransaction => {
            let decoded = decoded(&args.transaction("hexstring")?, node)?;
            let Value::Object(mut map) = decoded else { return Ok(decoded) };
            map.remove("hex");
            Ok(map.into())
        }
        TransactionCall::DecodeScript => {
            let bytes = hex::decode(args.text("hexstring")?)
                .map_err(|e| RpcError::InvalidParameter(format!("decodescript: hexstring: not hex: {e}")))?;
            // What is no lock of ours is a script of some kind, and no error.
            match timed_primitives::decode::<Lock>(&bytes) {
                Ok(lock) => json(ScriptInfo::of(node.network(), lock)),
                Err(_) => Ok(value_of!({ "asm": "", "type": "nonstandard" })),
            }
        }
        TransactionCall::CreateRawTransaction => create(node, args).await,
        TransactionCall::CombineRawTransaction => json(hex::encode(encode(&combine(args.transactions("txs")?)?))),
        TransactionCall::SignRawTransactionWithKey => {
            sign_with_keys(node, args.transaction("hexstring")?, &args.texts("privkeys", 1_000)?).await
        }
        TransactionCall::GetMempoolInfo => mempool_info(node).await,
        TransactionCall::GetRawMempool => raw_mempool(node, args).await,
        TransactionCall::GetMempoolEntry => {
            let txid = args.txid("txid")?;
            json(PoolGraph::of(node).await?.entry(txid)?)
        }
        TransactionCall::GetMempoolAncestors => {
            let (txid, is_verbose) = (args.txid("txid")?, args.boolean_or("verbose", false)?);
            let pool = PoolGraph::of(node).await?;
            pool.show(&pool.ancestors(txid)?, is_verbose)
        }
        TransactionCall::GetMempoolDescendants => {
            let (txid, is_verbose) = (args.txid("txid")?, args.boolean_or("verbose", false)?);
            let pool = PoolGraph::of(node).await?;
            pool.show(&pool.descendants(txid)?, is_verbose)
        }
    }
}

async fn raw_transaction(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let (txid, verbosity) = (args.txid("txid")?, args.verbosity("verbosity", 0)?);
    let record = match args.block_id_or("blockhash")? {
        None => node.transaction(txid).await?,
        Some(block) => {
            let facts = node.block(BlockAt::Id(block)).await?;
            if !transactions_of(&facts.block.payload).iter().any(|transaction| transaction.id() == txid) {
                let paid = node.payment_of(txid).await?;
                return Err(
                    paid.map_or(RpcError::TransactionUnknown(txid), |report| RpcError::payout_id(txid, &report))
                );
            }
            node.transaction(txid).await?
        }
    };
    let info = TransactionInfo::of(&record, node.network());
    if verbosity == 0 {
        return json(info.hex);
    }
    let is_final = matches!(record.state, TransactionState::Final(_));
    with_fields(info, if is_final { value_of!({ "in_active_chain": true }) } else { Value::Null })
}

async fn output(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let outpoint = OutPoint { txid: args.txid("txid")?, index: args.index("n")? };
    let found = node.output(outpoint, args.boolean_or("include_mempool", true)?).await?;
    let (_, best) = tip(node).await?;
    let genesis = node.genesis().await?.hash;
    json(found.map(|unspent| TxOutInfo::of(&unspent, best, genesis, node.network())))
}

async fn spenders(node: &dyn NodeApi, outputs: Vec<OutPoint>) -> Result<Value, RpcError> {
    if outputs.is_empty() {
        return Err(RpcError::InvalidParameter("gettxspendingprevout: outputs: at least one is needed".into()));
    }
    let spenders = node.spenders(outputs.clone()).await?;
    let rows = outputs.iter().zip(spenders).map(|(outpoint, spender)| {
        let mut row = value_of!({ "txid": Text(outpoint.txid), "vout": outpoint.index });
        if let Some(spender) = spender {
            row["spendingtxid"] = value_of!(Text(spender));
        }
        row
    });
    Ok(rows.collect())
}

async fn create(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let inputs = args.outpoints("inputs")?;
    let outputs = args.payments("outputs", node.network())?;
    if let Some((address, _)) = outputs.iter().find(|(_, amount)| *amount == Amount::ZERO) {
        return Err(RpcError::InvalidParameter(format!("createrawtransaction: outputs: {address} gets nothing")));
    }
    let inputs = inputs.into_iter().map(|previous| TxInput { previous }).collect();
    let outputs = outputs.into_iter().map(|(to, amount)| TxOutput { amount, lock: to.lock() }).collect();
    let body = TransactionBody::transfer(node.genesis().await?.chain_id, inputs, outputs);
    json(hex::encode(encode(&Transaction { body, witnesses: Vec::new() })))
}

async fn mempool_info(node: &dyn NodeApi) -> Result<Value, RpcError> {
    let info = node.mempool_info().await?;
    let fields = value_of!({
        "loaded": true,
        "usage": info.bytes,
        "incrementalrelayfee": info.minrelaytxfee,
        "unbroadcastcount": 0,
        "fullrbf": false,
    });
    with_fields(info, fields)
}

async fn raw_mempool(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let (is_verbose, has_sequence) = (args.boolean_or("verbose", false)?, args.boolean_or("mempool_sequence", false)?);
    if is_verbose && has_sequence {
        return Err(RpcError::InvalidParameter(
            "getrawmempool: a verbose answer has no mempool_sequence: ask for one of the two".into(),
        ));
    }
    let pool = PoolGraph::of(node).await?;
    let ids: Vec<_> = pool.ids().collect();
    if has_sequence {
        let ids: Vec<_> = ids.into_iter().map(Text).collect();
        return Ok(value_of!({ "txids": ids, "mempool_sequence": 0 }));
    }
    pool.show(&ids, is_verbose)
}
