//! What answers have in common.

use crate::chain::TransactionInfo;
use crate::error::RpcError;
use crate::node::NodeApi;
use crate::result::TipInfo;
use crate::text::JsonAmount;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use timed_ledger::Transaction;
use timed_primitives::{Amount, BlockId, Height, Network};

/// An answer as JSON.
pub(crate) enum Answer {
    Value(Value),
    /// The text of one that may be large: as a value it would take many times as much memory.
    Text(String),
}

pub(super) fn json(result: impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(result).map_err(|e| RpcError::Internal(format!("the result does not fit JSON: {e}")))
}

/// The text of a result that may be large.
pub(super) fn text(result: &impl Serialize) -> Result<Answer, RpcError> {
    let text = serde_json::to_string(result);
    text.map(Answer::Text).map_err(|e| RpcError::Internal(format!("the result does not fit JSON: {e}")))
}

/// A list with a row for each item, made one after the other when it is written.
pub(super) struct Rows<'a, T, F>(pub(super) &'a [T], pub(super) F);

impl<T, R: Serialize, F: Fn(&T) -> R> Serialize for Rows<'_, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// A result with the fields beside it that Bitcoin's clients insist on. Where both have a field, that of the result counts.
pub(super) fn with_fields(result: impl Serialize, fields: Value) -> Result<Value, RpcError> {
    let mut result = json(result)?;
    if let (Value::Object(result), Value::Object(fields)) = (&mut result, fields) {
        for (name, value) in fields {
            result.entry(name).or_insert(value);
        }
    }
    Ok(result)
}

/// Height and id of the last block; before the first that is the genesis.
pub(super) async fn tip(node: &dyn NodeApi) -> Result<(Height, BlockId), RpcError> {
    let (height, id) = node.tip().await?;
    Ok((height, if height == Height::GENESIS { BlockId(node.genesis().await?.hash) } else { id }))
}

pub(super) async fn tip_info(node: &dyn NodeApi) -> Result<Value, RpcError> {
    let (height, id) = tip(node).await?;
    json(TipInfo { hash: id.into(), height: height.0 })
}

/// A transaction by itself, without what only its place in a chain or mempool says.
pub(super) fn decoded(transaction: &Transaction, node: &dyn NodeApi) -> Result<Value, RpcError> {
    let info = json(TransactionInfo::in_block(transaction, 0, node.network()))?;
    let Value::Object(mut map) = info else { return Ok(info) };
    for placed in ["state", "confirmations"] {
        map.remove(placed);
    }
    Ok(map.into())
}

/// The sum of amounts as JSON shows it.
pub(super) fn total(amounts: impl IntoIterator<Item = Amount>) -> JsonAmount {
    JsonAmount(Amount::sum(amounts).unwrap_or(Amount(u64::MAX)))
}

/// Units of 10⁻⁸ TIME that come or go.
pub(super) fn signed_units(amount: Amount, goes: bool) -> i64 {
    let units = i64::try_from(amount.0).unwrap_or(i64::MAX);
    if goes { -units } else { units }
}

/// An object from names and values.
pub(super) fn object(fields: impl IntoIterator<Item = (String, Value)>) -> Value {
    fields.into_iter().collect::<Map<_, _>>().into()
}

/// What Bitcoin's server calls its network of the same use: clients know these names and no others.
pub(super) const fn core_name(network: Network) -> &'static str {
    match network {
        Network::Mainnet => "main",
        Network::Testnet => "test",
        Network::Devnet => "regtest",
    }
}
