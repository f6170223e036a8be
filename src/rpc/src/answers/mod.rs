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
mod history_proof;
mod labels;
mod masternode_proof;
mod masternode_status;
mod masternodes;
mod network;
mod payments;
mod protx;
mod protx_options;
mod rewards;
mod shape;
mod signing;
mod standing;
mod transactions;
mod wallet;

pub(crate) use shape::Answer;

use crate::error::{RpcError, WALLET_NAME};
use crate::methods::{
    Call, ChainCall, ControlCall, FeeCall, MasternodeCall, Method, NetworkCall, TransactionCall, WalletCall,
};
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
        Call::Consensus(call) => consensus::answer(node, call).await,
        Call::Masternode(call) => masternodes::answer(node, call, &args).await,
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

/// Whether a call of it may leave something changed, so that its answer is never withheld: whoever does not learn what was done does it again.
pub(crate) fn has_effect(method: &Method) -> bool {
    match method.call {
        Call::Chain(_) | Call::Address(_) | Call::Consensus(_) => false,
        Call::Transaction(call) => call == TransactionCall::SendRawTransaction,
        Call::Masternode(call) => call == MasternodeCall::Protx,
        Call::Fee(call) => call == FeeCall::PrioritiseTransaction,
        Call::Network(call) => match call {
            NetworkCall::Ping
            | NetworkCall::PingPeer
            | NetworkCall::AddNode
            | NetworkCall::DisconnectNode
            | NetworkCall::SetBan
            | NetworkCall::ClearBanned
            | NetworkCall::SetNetworkActive => true,
            NetworkCall::GetNetworkInfo
            | NetworkCall::GetConnectionCount
            | NetworkCall::GetNetTotals
            | NetworkCall::GetPeerInfo
            | NetworkCall::GetPeerHistory
            | NetworkCall::GetAddedNodeInfo
            | NetworkCall::GetNodeAddresses
            | NetworkCall::ListBanned => false,
        },
        Call::Wallet(call) => match call {
            WalletCall::GetNewAddress
            | WalletCall::GetRawChangeAddress
            | WalletCall::SendToAddress
            | WalletCall::SendMany
            | WalletCall::FundRawTransaction
            | WalletCall::SetLabel
            | WalletCall::LockUnspent
            | WalletCall::SetTxFee => true,
            WalletCall::GetBalance
            | WalletCall::GetBalances
            | WalletCall::GetUnconfirmedBalance
            | WalletCall::GetWalletInfo
            | WalletCall::ListWallets
            | WalletCall::GetAddressInfo
            | WalletCall::ListUnspent
            | WalletCall::GetAddressesByLabel
            | WalletCall::ListLabels
            | WalletCall::SignRawTransactionWithWallet
            | WalletCall::SignMessage
            | WalletCall::VerifyMessage
            | WalletCall::ListLockUnspent
            | WalletCall::ListTransactions
            | WalletCall::ListSinceBlock
            | WalletCall::ValidateAddress => false,
        },
        Call::Control(call) => matches!(call, ControlCall::Stop | ControlCall::Logging),
    }
}
