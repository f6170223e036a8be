//! Answers about any address, in the shapes that Dash gave them. Amounts are in units of 10⁻⁸ TIME here, as there.

use crate::chain::UnspentInfo;
use crate::error::RpcError;
use crate::methods::AddressCall;
use crate::node::{NodeApi, Unspent};
use crate::params::Args;
use serde_json::{Value, json as value_of};
use timed_primitives::Amount;

pub(super) async fn answer(node: &dyn NodeApi, call: AddressCall, args: &Args<'_>) -> Result<Value, RpcError> {
    let network = node.network();
    let owners = args.owners("addresses", network)?;
    let found = node.unspent(owners).await?;
    let (waiting, mut last): (Vec<&Unspent>, Vec<&Unspent>) =
        found.iter().partition(|unspent| unspent.height.is_none());
    match call {
        AddressCall::GetAddressBalance => {
            let units = |amounts: &mut dyn Iterator<Item = Amount>| Amount::sum(amounts).unwrap_or(Amount(u64::MAX)).0;
            let spendable = last.iter().filter(|unspent| unspent.is_spendable());
            Ok(value_of!({
                "balance": units(&mut last.iter().map(|unspent| unspent.output.amount)),
                "balance_spendable": units(&mut spendable.map(|unspent| unspent.output.amount)),
                "balance_immature": 0,
            }))
        }
        AddressCall::GetAddressUtxos => {
            last.sort_by_key(|unspent| unspent.height);
            let row = |info: UnspentInfo, units: u64, height: Option<u64>| {
                value_of!({
                    "address": info.address, "txid": info.txid, "outputIndex": info.vout, "script": info.script,
                    "satoshis": units, "height": height,
                })
            };
            let rows = last.iter().map(|unspent| {
                let height = unspent.height.map(|height| height.0);
                row(UnspentInfo::of(unspent, network), unspent.output.amount.0, height)
            });
            Ok(rows.collect())
        }
        AddressCall::GetAddressMempool => {
            let now = node.unix_time().seconds();
            let rows = waiting.iter().map(|unspent| {
                let info = UnspentInfo::of(unspent, network);
                value_of!({
                    "address": info.address, "txid": info.txid, "index": info.vout, "satoshis": unspent.output.amount.0,
                    "timestamp": now,
                })
            });
            Ok(rows.collect())
        }
    }
}
