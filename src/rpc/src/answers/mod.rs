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
mod wallets;

pub(crate) use shape::Answer;

use crate::error::RpcError;
use crate::methods::{
    Call, ChainCall, ControlCall, FeeCall, MasternodeCall, Method, NetworkCall, TransactionCall, WalletCall,
    WalletsCall,
};
use crate::node::NodeApi;
use crate::params::Args;
use crate::wallet_fault::WalletFault;
use serde_json::Value;
use std::sync::Arc;

/// Answers one call. `wallet` is the name that the client asked the wallet under, if any.
pub(crate) async fn answer(
    node: &dyn NodeApi,
    method: &'static Method,
    params: Option<&Value>,
    wallet: Option<&str>,
) -> Result<Answer, RpcError> {
    let args = Args::bind(method, params)?;
    let chosen = chosen_wallet(node, method.call, &args, wallet)?;
    let node = chosen.as_deref().unwrap_or(node);
    let value = match method.call {
        Call::Chain(call) => return chain::answer(node, call, &args).await,
        Call::Transaction(call) => transactions::answer(node, call, &args).await,
        Call::Fee(call) => fees::answer(node, call, &args).await,
        Call::Network(call) => network::answer(node, call, &args).await,
        Call::Consensus(call) => consensus::answer(node, call).await,
        Call::Masternode(call) => masternodes::answer(node, call, &args).await,
        Call::Wallet(call) => return wallet::answer(node, call, &args).await,
        Call::Wallets(call) => wallets::answer(node, call, &args).await,
        Call::Address(call) => return address::answer(node, call, &args).await,
        Call::Control(call) => control::answer(node, call, &args),
    };
    value.map(Answer::Value)
}

/// The node with the wallet that a call is about; `None` when that is the node as it is.
///
/// A call of the wallet is about the one that is named, or the only one that is loaded. What is no call of the wallet and uses one all the same
/// (`gettransaction`, `protx`) uses the node's own where nothing is named and several are loaded.
fn chosen_wallet(
    node: &dyn NodeApi,
    call: Call,
    args: &Args<'_>,
    name: Option<&str>,
) -> Result<Option<Arc<dyn NodeApi>>, RpcError> {
    match call {
        Call::Wallet(WalletCall::ValidateAddress | WalletCall::VerifyMessage | WalletCall::SetTxFee)
            if name.is_none() =>
        {
            Ok(None)
        }
        Call::Wallets(
            WalletsCall::ListWallets
            | WalletsCall::ListWalletDir
            | WalletsCall::CreateWallet
            | WalletsCall::RestoreWallet
            | WalletsCall::LoadWallet
            | WalletsCall::AbortRescan,
        ) if name.is_none() => Ok(None),
        Call::Wallets(WalletsCall::UnloadWallet) if args.is_given("wallet_name") => Ok(None),
        Call::Wallet(_) | Call::Wallets(_) => node.with_wallet(name),
        Call::Transaction(_) | Call::Masternode(_) => match node.with_wallet(name) {
            Err(RpcError::Wallets(WalletFault::Unspecified(_) | WalletFault::NoneLoaded)) => Ok(None),
            chosen => chosen,
        },
        Call::Chain(_) | Call::Fee(_) | Call::Network(_) | Call::Consensus(_) | Call::Address(_) | Call::Control(_) => {
            Ok(None)
        }
    }
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
        Call::Wallets(call) => !matches!(call, WalletsCall::ListWallets | WalletsCall::ListWalletDir),
        Call::Control(call) => matches!(call, ControlCall::Stop | ControlCall::Logging),
    }
}
