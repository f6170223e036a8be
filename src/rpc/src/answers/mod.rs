//! From a checked call to the node's answer as JSON: a match for each group of methods, each exhaustive.

mod address;
mod address_history;
mod block_stats;
mod chain;
mod consensus;
mod control;
mod fees;
mod genesis;
mod graph;
mod history;
mod labels;
mod network;
mod payments;
mod shape;
mod signing;
mod transactions;
mod wallet;

pub(crate) use shape::Answer;

use crate::error::{RpcError, WALLET_NAME};
use crate::methods::{Call, ChainCall, Method};
use crate::node::NodeApi;
use crate::params::Args;
use serde_json::Value;

/// Answers one call. `wallet` is the name that the client asked the wallet under, if any.
pub(crate) async fn answer(
    node: &dyn NodeApi,
    method: &'static Method,
    params: Option<&Value>,
    wallet: Option<&str>,
) -> Result<Answer, RpcError> {
    let args = Args::bind(method, params)?;
    if let (Call::Wallet(_), Some(name)) = (method.call, wallet.filter(|name| !["", WALLET_NAME].contains(name))) {
        return Err(RpcError::WalletUnknown(name.chars().take(60).collect()));
    }
    let value = match method.call {
        Call::Chain(call) => return chain::answer(node, call, &args).await,
        Call::Transaction(call) => transactions::answer(node, call, &args).await,
        Call::Fee(call) => fees::answer(node, call, &args).await,
        Call::Network(call) => network::answer(node, call, &args).await,
        Call::Consensus(call) => consensus::answer(node, call, &args).await,
        Call::Wallet(call) => return wallet::answer(node, call, &args).await,
        Call::Address(call) => return address::answer(node, call, &args).await,
        Call::Control(call) => control::answer(node, call, &args),
    };
    value.map(Answer::Value)
}

/// What a waiting call may cost differs from the others.
pub(crate) fn is_wait(method: &Method) -> bool {
    matches!(
        method.call,
        Call::Chain(ChainCall::WaitForNewBlock | ChainCall::WaitForBlock | ChainCall::WaitForBlockHeight)
    )
}
