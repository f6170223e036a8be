//! Payments from the node's wallet, and transactions that it pays for.

use super::shape::json;
use crate::error::RpcError;
use crate::node::{NodeApi, PaymentOrder};
use crate::params::{Args, address};
use crate::text::{JsonAmount, Text};
use serde_json::{Map, Value, json as value_of};
use std::collections::BTreeSet;
use timed_ledger::{Address, OutPoint, Transaction, TxOutput};
use timed_primitives::{Network, encode};

/// `sendtoaddress`.
pub(super) async fn to_one(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let outputs = vec![(args.address("address", node.network())?, args.amount("amount")?)];
    let fee_from = if args.boolean_or("subtractfeefromamount", false)? { BTreeSet::from([0]) } else { BTreeSet::new() };
    json(Text(node.pay(PaymentOrder { outputs, fee_from, ..PaymentOrder::default() }).await?))
}

/// `sendmany`.
pub(super) async fn to_many(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let network = node.network();
    let outputs = args.payments("amounts", network)?;
    let mut fee_from = BTreeSet::new();
    for payer in args.addresses("subtractfeefrom", network)? {
        let position = outputs.iter().position(|(address, _)| *address == payer).ok_or_else(|| {
            RpcError::InvalidParameter(format!("sendmany: subtractfeefrom: {payer} is not among those paid"))
        })?;
        if !fee_from.insert(position) {
            return Err(RpcError::InvalidParameter(format!("sendmany: subtractfeefrom: {payer} is there twice")));
        }
    }
    json(Text(node.pay(PaymentOrder { outputs, fee_from, ..PaymentOrder::default() }).await?))
}

/// What a client wants of `fundrawtransaction`.
#[derive(Default)]
struct FundOptions {
    change: Option<Address>,
    holds_back: bool,
    fee_from: BTreeSet<usize>,
}

impl FundOptions {
    fn read(options: Option<&Map<String, Value>>, outputs: usize, network: Network) -> Result<Self, RpcError> {
        let mut read = Self::default();
        for (name, value) in options.into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let refuse = |expected: &str| {
                RpcError::InvalidParameter(format!("fundrawtransaction: options: {name}: expected {expected}"))
            };
            match name.as_str() {
                "changeAddress" | "change_address" => {
                    read.change = Some(address(value.as_str().ok_or_else(|| refuse("an address"))?, network)?);
                }
                "lockUnspents" | "lock_unspents" => {
                    read.holds_back = value.as_bool().ok_or_else(|| refuse("true or false"))?;
                }
                "subtractFeeFromOutputs" | "subtract_fee_from_outputs" => {
                    let position = |value: &Value| {
                        value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|position| *position < outputs)
                    };
                    let positions = value.as_array().and_then(|list| list.iter().map(position).collect());
                    read.fee_from = positions.ok_or_else(|| refuse("a list of positions of outputs"))?;
                }
                // Change is the last output here.
                "changePosition" | "change_position" if value.as_u64() == u64::try_from(outputs).ok() => {}
                "add_inputs" if *value == Value::Bool(true) => {}
                "replaceable" if *value == Value::Bool(false) => {}
                "includeWatching" | "include_watching" | "include_unsafe" | "conf_target" | "estimate_mode"
                | "change_type" | "minconf" | "maxconf" | "solving_data" => {}
                _ => {
                    let name: String = name.chars().take(40).collect();
                    return Err(RpcError::InvalidParameter(format!(
                        "fundrawtransaction: options: {name} is not supported by this node with this value: leave it out"
                    )));
                }
            }
        }
        Ok(read)
    }
}

/// `fundrawtransaction`.
pub(super) async fn fund(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let network = node.network();
    let body = args.transaction("hexstring")?.body;
    let output = |output: &TxOutput| match output.lock.key_hash() {
        Some(key_hash) => Ok((Address { network, key_hash }, output.amount)),
        None => Err(RpcError::InvalidParameter(format!(
            "fundrawtransaction: hexstring: an output is locked by {}: this wallet pays addresses only",
            output.lock
        ))),
    };
    let outputs = body.outputs.iter().map(output).collect::<Result<Vec<_>, _>>()?;
    let options = FundOptions::read(args.options("options")?, outputs.len(), network)?;
    let inputs: Vec<OutPoint> = body.inputs.iter().map(|input| input.previous).collect();
    let order = PaymentOrder { outputs, fee_from: options.fee_from, ..PaymentOrder::default() };
    let funding = node.fund(order, inputs, options.change).await?;
    if options.holds_back {
        let held: BTreeSet<OutPoint> = node.held_back().await?.into_iter().collect();
        let spent = funding.body.inputs.iter().map(|input| input.previous);
        node.hold_back(spent.filter(|outpoint| !held.contains(outpoint)).collect(), true).await?;
    }
    let change = funding.change_at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1);
    let hex = hex::encode(encode(&Transaction { body: funding.body, witnesses: Vec::new() }));
    Ok(value_of!({ "hex": hex, "fee": JsonAmount(funding.fee), "changepos": change }))
}
