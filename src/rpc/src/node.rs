//! What the server asks the daemon.

use crate::error::RpcError;
use crate::result::{
    Balance, BanInfo, BlockchainInfo, ConsensusInfo, EndInfo, MasternodeInfo, MempoolAcceptance, MempoolEntry,
    MempoolInfo, NetworkInfo, PeerInfo, PingInfo,
};
use crate::trouble::Trouble;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use timed_ledger::{Address, OutPoint, Transaction, TxOutput};
use timed_primitives::{Amount, Block, BlockId, CommitCertificate, Height, Network, TxId, UnixTime};

/// The daemon, as the server sees it. Reads come from snapshots and published state, never from a busy actor's mailbox; each call
/// is given up after the limit for calls, except [`NodeApi::wait_for_new_block`], which has its own limit.
#[async_trait]
pub trait NodeApi: Send + Sync {
    /// The network, for the prefix of addresses.
    fn network(&self) -> Network;

    /// Time since the process started.
    fn uptime(&self) -> Duration;

    /// What is wrong, most pressing first; `/health` and `/ready` answer from it. Must not wait for anybody.
    fn troubles(&self) -> Vec<Trouble>;

    /// `/metrics`: the text format of Prometheus.
    fn metrics(&self) -> String;

    /// Begins an orderly shutdown and returns at once, so that the caller still gets his answer.
    fn stop(&self);

    /// Height and id of the last block; height 0 and the zero id before the first.
    async fn tip(&self) -> Result<(Height, BlockId), RpcError>;

    /// `getblockchaininfo`.
    async fn blockchain_info(&self) -> Result<BlockchainInfo, RpcError>;

    /// `getblock`. Errors: [`RpcError::BlockUnknown`], [`RpcError::HeightUnknown`].
    async fn block(&self, at: BlockAt) -> Result<BlockFacts, RpcError>;

    /// `getblockhash`. Error: [`RpcError::HeightUnknown`].
    async fn block_id(&self, height: Height) -> Result<BlockId, RpcError>;

    /// `getnetworkinfo`.
    async fn network_info(&self) -> Result<NetworkInfo, RpcError>;

    /// `getpeerinfo`, in order of `id`.
    async fn peer_info(&self) -> Result<Vec<PeerInfo>, RpcError>;

    /// `getpeerhistory`: at most `count` ends of sessions, of one peer or of all, the newest first. A peer is named by its node key, its
    /// address or the id of its session, here and below. Error: [`RpcError::PeerUnknown`].
    async fn peer_history(&self, peer: Option<String>, count: usize) -> Result<Vec<EndInfo>, RpcError>;

    /// `ping`: a row for each peer that was asked. Error: [`RpcError::PeerUnknown`].
    async fn ping(&self, peer: Option<String>) -> Result<Vec<PingInfo>, RpcError>;

    /// `addnode`. Error: [`RpcError::InvalidParameter`] for what cannot be an address.
    async fn add_node(&self, address: String) -> Result<(), RpcError>;

    /// `disconnectnode`. Error: [`RpcError::PeerUnknown`].
    async fn disconnect(&self, peer: String) -> Result<(), RpcError>;

    /// `setban` with `add`. Error: [`RpcError::PeerUnknown`].
    async fn ban(&self, peer: String, length: Duration) -> Result<(), RpcError>;

    /// `setban` with `remove`. Errors: [`RpcError::PeerUnknown`], [`RpcError::InvalidParameter`] when it is not banned.
    async fn lift_ban(&self, peer: String) -> Result<(), RpcError>;

    /// `listbanned`, in order of key.
    async fn bans(&self) -> Result<Vec<BanInfo>, RpcError>;

    /// `clearbanned`: how many there were.
    async fn lift_all_bans(&self) -> Result<usize, RpcError>;

    /// `gettxout`: `None` when there is no such unspent output. With `include_mempool`, one that a transaction in the mempool
    /// spends is absent too, and the mempool's own outputs are present.
    async fn output(&self, outpoint: OutPoint, include_mempool: bool) -> Result<Option<Unspent>, RpcError>;

    /// `gettransaction` and `getrawtransaction`: any transaction of the chain or the mempool. Error:
    /// [`RpcError::TransactionUnknown`].
    async fn transaction(&self, txid: TxId) -> Result<TransactionRecord, RpcError>;

    /// Whether a submission of so many bytes would find room now. Asked before it is decoded, so that who is refused costs next to nothing.
    /// Error: [`RpcError::Overloaded`].
    fn check_room(&self, bytes: usize) -> Result<(), RpcError>;

    /// `sendrawtransaction`: checks, keeps and announces. One that is in the mempool already is a success; one that pays more than
    /// `fee_rate_max` for 1,000 bytes is refused: [`RpcError::FeeAboveMaximum`].
    async fn submit(&self, transaction: Transaction, fee_rate_max: Option<Amount>) -> Result<TxId, RpcError>;

    /// `testmempoolaccept`: what [`NodeApi::submit`] would say, one answer for each, in order, keeping nothing. Bound: 25.
    async fn test_mempool_accept(
        &self,
        transactions: Vec<Transaction>,
        fee_rate_max: Option<Amount>,
    ) -> Result<Vec<MempoolAcceptance>, RpcError>;

    /// `getmempoolinfo`.
    async fn mempool_info(&self) -> Result<MempoolInfo, RpcError>;

    /// `getrawmempool`. Bounded by the pool's own bounds.
    async fn raw_mempool(&self) -> Result<Vec<MempoolEntry>, RpcError>;

    /// `getbalance`: of an address, or of the node's wallet.
    async fn balance(&self, address: Option<Address>) -> Result<Balance, RpcError>;

    /// `getnewaddress`.
    async fn new_address(&self) -> Result<Address, RpcError>;

    /// `listunspent`: of these addresses, or of the node's wallet when there are none.
    async fn unspent(&self, addresses: Vec<Address>) -> Result<Vec<Unspent>, RpcError>;

    /// `sendtoaddress`: pays from the node's wallet. Error: [`RpcError::InsufficientFunds`].
    async fn pay(&self, to: Address, amount: Amount) -> Result<TxId, RpcError>;

    /// `getconsensusinfo`.
    async fn consensus_info(&self) -> Result<ConsensusInfo, RpcError>;

    /// `masternodelist`, in order of key.
    async fn masternodes(&self) -> Result<Vec<MasternodeInfo>, RpcError>;

    /// `waitfornewblock`: the tip as soon as it is another than `current` (without it: than the one at the call), or the old one after
    /// `limit`. With `current` no block is missed between two calls.
    async fn wait_for_new_block(
        &self,
        limit: Duration,
        current: Option<BlockId>,
    ) -> Result<(Height, BlockId), RpcError>;
}

/// Names a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockAt {
    /// By its id.
    Id(BlockId),
    /// By its height.
    Height(Height),
}

/// A block of the chain and what is known of it.
#[derive(Clone, Debug)]
pub struct BlockFacts {
    /// The block.
    pub block: Arc<Block>,
    /// The precommits that made it final.
    pub certificate: Option<CommitCertificate>,
    /// 1 for the last block. Unit: blocks.
    pub confirmations: u64,
    /// The block after it.
    pub next: Option<BlockId>,
}

/// A transaction and where it is.
#[derive(Clone, Debug)]
pub struct TransactionRecord {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// What it leaves to the network, when the spent outputs are at hand.
    pub fee: Option<Amount>,
    /// How far it has come.
    pub state: TransactionState,
}

/// How far a transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionState {
    /// In the mempool: it locks what it spends.
    Mempool,
    /// In a block that is proposed and not decided.
    Proposed,
    /// In a final block.
    Final(ChainPosition),
}

/// Where in the chain something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainPosition {
    /// The block.
    pub block: BlockId,
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time: UnixTime,
    /// Position among its transactions, from 0.
    pub index: u32,
    /// 1 for the last block. Unit: blocks.
    pub confirmations: u64,
}

/// An output that can be spent, or is about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unspent {
    /// Its name.
    pub outpoint: OutPoint,
    /// Amount and lock.
    pub output: TxOutput,
    /// Height of the block that made it; `None` while that is in the mempool.
    pub height: Option<Height>,
    /// 0 in the mempool, 1 in the last block. Unit: blocks.
    pub confirmations: u64,
    /// The transaction in the mempool that spends it.
    pub spent_by: Option<TxId>,
}
