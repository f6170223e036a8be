//! Answers about any address, in the shapes that Dash gave them. Amounts are in units of 10⁻⁸ TIME here, as there.

use super::address_history::{self, HeightRange};
use super::shape::{Answer, Rows, signed_units, text};
use crate::error::RpcError;
use crate::methods::AddressCall;
use crate::node::{NodeApi, Unspent};
use crate::outputs::UnspentInfo;
use crate::params::Args;
use serde_json::{Value, json as value_of};
use timed_primitives::{Amount, TxId};

pub(super) async fn answer(node: &dyn NodeApi, call: AddressCall, args: &Args<'_>) -> Result<Answer, RpcError> {
    let network = node.network();
    let owners = args.owners("addresses", network)?;
    let value = match call {
        AddressCall::GetAddressBalance => {
            let mut balance = balance(&node.unspent(owners.clone()).await?);
            if let Some(received) = address_history::received(node, &owners).await? {
                balance["received"] = received.0.into();
            }
            Ok(balance)
        }
        AddressCall::GetAddressUtxos => {
            let mut found = node.unspent(owners).await?;
            found.retain(|unspent| unspent.height.is_some());
            found.sort_by_key(|unspent| (unspent.height, unspent.outpoint));
            let row = |unspent: &Unspent| {
                let info = UnspentInfo::of(unspent, network);
                value_of!({
                    "address": info.address, "txid": info.txid, "outputIndex": info.vout, "script": info.script,
                    "satoshis": unspent.output.amount.0, "height": unspent.height.map(|height| height.0),
                })
            };
            return text(&Rows(&found, row));
        }
        AddressCall::GetAddressTxids => {
            address_history::transactions(node, &owners, HeightRange::read(node, args).await?).await
        }
        AddressCall::GetAddressDeltas => {
            address_history::deltas(node, &owners, HeightRange::read(node, args).await?).await
        }
        AddressCall::GetAddressMempool => waiting(node, &node.unspent(owners).await?).await,
    };
    value.map(Answer::Value)
}

fn balance(found: &[Unspent]) -> Value {
    let units = |amounts: &mut dyn Iterator<Item = Amount>| Amount::sum(amounts).unwrap_or(Amount(u64::MAX)).0;
    let last = || found.iter().filter(|unspent| unspent.height.is_some());
    let spendable = last().filter(|unspent| unspent.is_spendable());
    value_of!({
        "balance": units(&mut last().map(|unspent| unspent.output.amount)),
        "balance_spendable": units(&mut spendable.map(|unspent| unspent.output.amount)),
        "balance_immature": 0,
    })
}

/// What comes and goes with transactions of the mempool.
async fn waiting(node: &dyn NodeApi, found: &[Unspent]) -> Result<Value, RpcError> {
    let (network, now) = (node.network(), node.unix_time().seconds());
    let mut rows = Vec::new();
    for unspent in found {
        let info = UnspentInfo::of(unspent, network);
        if unspent.height.is_none() {
            rows.push(value_of!({
                "address": info.address, "txid": info.txid, "index": info.vout, "satoshis": unspent.output.amount.0,
                "timestamp": now,
            }));
        }
        if let Some((spender, index)) = spending_input(node, unspent).await {
            rows.push(value_of!({
                "address": info.address, "txid": spender.to_string(), "index": index,
                "satoshis": signed_units(unspent.output.amount, true), "timestamp": now, "prevtxid": info.txid,
                "prevout": info.vout,
            }));
        }
    }
    Ok(rows.into())
}

/// Which input of which waiting transaction spends it. One that became final or lost meanwhile waits no more.
async fn spending_input(node: &dyn NodeApi, unspent: &Unspent) -> Option<(TxId, usize)> {
    let spender = unspent.spent_by?;
    let record = node.transaction(spender).await.ok()?;
    let inputs = &record.transaction.body.inputs;
    Some((spender, inputs.iter().position(|input| input.previous == unspent.outpoint)?))
}
