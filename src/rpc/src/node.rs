//! What the server asks the daemon.

use crate::error::RpcError;
use crate::masternodes::{ChainMasternodes, ProvedMasternode};
use crate::metrics::Registry;
use crate::result::{
    Balance, BanInfo, BlockchainInfo, ConsensusInfo, EndInfo, MasternodeInfo, MempoolAcceptance, MempoolEntry,
    MempoolInfo, NetworkInfo, PeerInfo, PingInfo,
};
use crate::rewards::RewardsApi;
use crate::trouble::Trouble;
use crate::wallets::{WalletsApi, is_own_wallet};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use timed_ledger::{
    Address, KeyHash, OutPoint, RegistrationId, TextSignature, Transaction, TransactionBody, TransactionPayload,
    TxOutput, Witness,
};
use timed_primitives::{
    Amount, Block, BlockId, ChainId, CommitCertificate, Hash, Height, HistoryProof, Network, PublicKey, TxId, UnixTime,
};

/// The daemon, as the server sees it. Reads come from snapshots and published state, never from a busy actor's mailbox; each call
/// is given up after the limit for calls, except [`ChainApi::wait_for_new_block`], which has its own limit.
///
/// A method that an implementation leaves out is answered with [`RpcError::NotOffered`].
pub trait NodeApi: ChainApi + PeersApi + PoolApi + WalletApi + ConsensusApi + RewardsApi + WalletsApi {
    /// The network, for the prefix of addresses.
    fn network(&self) -> Network;

    /// Civil time now.
    fn unix_time(&self) -> UnixTime;

    /// Time since the process started.
    fn uptime(&self) -> Duration;

    /// What is wrong, most pressing first; `/health` and `/ready` answer from it. Must not wait for anybody.
    fn troubles(&self) -> Vec<Trouble>;

    /// `/metrics`: registers all that the page shows of the node, as it is now. Must not wait for anybody.
    fn metrics(&self, registry: &mut Registry);

    /// The node with the wallet of this name chosen, or without a name the only one that is loaded; `None` when that is the node as it is. Errors:
    /// [`RpcError::WalletUnknown`], [`RpcError::Wallets`].
    fn with_wallet(&self, name: Option<&str>) -> Result<Option<Arc<dyn NodeApi>>, RpcError> {
        is_own_wallet(name).map(|()| None)
    }

    /// Begins an orderly shutdown and returns at once, so that the caller still gets his answer.
    fn stop(&self);
}

fn not_offered<T>() -> Result<T, RpcError> {
    Err(RpcError::NotOffered)
}

/// Blocks, transactions of blocks, and unspent outputs.
#[async_trait]
pub trait ChainApi: Send + Sync {
    /// Height and id of the last block; height 0 and the zero id before the first.
    async fn tip(&self) -> Result<(Height, BlockId), RpcError> {
        not_offered()
    }

    /// `getblockchaininfo`.
    async fn blockchain_info(&self) -> Result<BlockchainInfo, RpcError> {
        not_offered()
    }

    /// `getblock`. Errors: [`RpcError::BlockUnknown`], [`RpcError::HeightUnknown`].
    async fn block(&self, _at: BlockAt) -> Result<BlockFacts, RpcError> {
        not_offered()
    }

    /// `getblockhash`. Error: [`RpcError::HeightUnknown`].
    async fn block_id(&self, _height: Height) -> Result<BlockId, RpcError> {
        not_offered()
    }

    /// `gethistoryproof`: that a block is part of the chain, by a later one or by the last. Errors: [`RpcError::HeightUnknown`],
    /// [`RpcError::InvalidParameter`] when the later one is not later.
    async fn history_proof(&self, _height: Height, _at: Option<Height>) -> Result<HistoryProof, RpcError> {
        not_offered()
    }

    /// `verifyhistoryproof`: whether a proof holds, its certificate is signed by the validators of its height, and its later block is of this
    /// node's chain. Error: [`RpcError::HistoryProof`].
    async fn verify_history_proof(&self, _proof: HistoryProof) -> Result<(), RpcError> {
        not_offered()
    }

    /// `gettxout`: `None` when there is no such unspent output. With `include_mempool`, one that a transaction in the mempool
    /// spends is absent too, and the mempool's own outputs are present.
    async fn output(&self, _outpoint: OutPoint, _include_mempool: bool) -> Result<Option<Unspent>, RpcError> {
        not_offered()
    }

    /// `gettransaction` and `getrawtransaction`: any transaction of the chain or the mempool. Error:
    /// [`RpcError::TransactionUnknown`].
    async fn transaction(&self, _txid: TxId) -> Result<TransactionRecord, RpcError> {
        not_offered()
    }

    /// How the chain starts, which clients see as the block of height 0.
    async fn genesis(&self) -> Result<GenesisFacts, RpcError> {
        not_offered()
    }

    /// Outputs that these owners had at the start, spent since or not, in order. Bound: the genesis.
    fn genesis_outputs(&self, _owners: &BTreeSet<KeyHash>) -> Vec<(OutPoint, TxOutput)> {
        Vec::new()
    }

    /// How much there is.
    async fn totals(&self) -> Result<ChainTotals, RpcError> {
        not_offered()
    }

    /// `gettxspendingprevout`: for each output, in order, the transaction of the mempool that spends it. Bound: 1,000.
    async fn spenders(&self, _outputs: Vec<OutPoint>) -> Result<Vec<Option<TxId>>, RpcError> {
        not_offered()
    }

    /// `waitfornewblock`: the tip as soon as it is another than `current` (without it: than the one at the call), or the old one after
    /// `limit`. With `current` no block is missed between two calls.
    async fn wait_for_new_block(
        &self,
        _limit: Duration,
        _current: Option<BlockId>,
    ) -> Result<(Height, BlockId), RpcError> {
        not_offered()
    }
}

/// Who is connected, who was, and who may be.
#[async_trait]
pub trait PeersApi: Send + Sync {
    /// `getnetworkinfo`.
    async fn network_info(&self) -> Result<NetworkInfo, RpcError> {
        not_offered()
    }

    /// `getpeerinfo`, in order of `id`.
    async fn peer_info(&self) -> Result<Vec<PeerInfo>, RpcError> {
        not_offered()
    }

    /// `getpeerhistory`: at most `count` ends of sessions, of one peer or of all, the newest first. A peer is named by its node key, its
    /// address or the id of its session, here and below. Error: [`RpcError::PeerUnknown`].
    async fn peer_history(&self, _peer: Option<String>, _count: usize) -> Result<Vec<EndInfo>, RpcError> {
        not_offered()
    }

    /// `ping`: a row for each peer that was asked. Error: [`RpcError::PeerUnknown`].
    async fn ping(&self, _peer: Option<String>) -> Result<Vec<PingInfo>, RpcError> {
        not_offered()
    }

    /// `addnode`. Error: [`RpcError::InvalidParameter`] for what cannot be an address.
    async fn add_node(&self, _address: String) -> Result<(), RpcError> {
        not_offered()
    }

    /// `disconnectnode`. Error: [`RpcError::PeerUnknown`].
    async fn disconnect(&self, _peer: String) -> Result<(), RpcError> {
        not_offered()
    }

    /// `setban` with `add`. Error: [`RpcError::PeerUnknown`].
    async fn ban(&self, _peer: String, _length: Duration) -> Result<(), RpcError> {
        not_offered()
    }

    /// `setban` with `remove`. Errors: [`RpcError::PeerUnknown`], [`RpcError::InvalidParameter`] when it is not banned.
    async fn lift_ban(&self, _peer: String) -> Result<(), RpcError> {
        not_offered()
    }

    /// `listbanned`, in order of key.
    async fn bans(&self) -> Result<Vec<BanInfo>, RpcError> {
        not_offered()
    }

    /// `getaddednodeinfo`: what is dialled until its peer is connected.
    async fn added_nodes(&self) -> Result<Vec<AddedNode>, RpcError> {
        not_offered()
    }

    /// `getnodeaddresses`: all that the address book holds. Bound: the book's own.
    async fn known_addresses(&self) -> Result<Vec<KnownAddress>, RpcError> {
        not_offered()
    }

    /// `clearbanned`: how many there were.
    async fn lift_all_bans(&self) -> Result<usize, RpcError> {
        not_offered()
    }
}

/// Transactions that wait, and their submission.
#[async_trait]
pub trait PoolApi: Send + Sync {
    /// Whether a submission of so many bytes would find room now. Asked before it is decoded, so that who is refused costs next to nothing.
    /// Error: [`RpcError::Overloaded`].
    fn check_room(&self, _bytes: usize) -> Result<(), RpcError> {
        Ok(())
    }

    /// `sendrawtransaction`: checks, keeps and announces. One that is in the mempool already is a success; one that pays more than
    /// `fee_rate_max` for 1,000 bytes is refused: [`RpcError::FeeAboveMaximum`].
    async fn submit(&self, _transaction: Transaction, _fee_rate_max: Option<Amount>) -> Result<TxId, RpcError> {
        not_offered()
    }

    /// `testmempoolaccept`: what [`PoolApi::submit`] would say, one answer for each, in order, keeping nothing. Bound: 25.
    async fn test_mempool_accept(
        &self,
        _transactions: Vec<Transaction>,
        _fee_rate_max: Option<Amount>,
    ) -> Result<Vec<MempoolAcceptance>, RpcError> {
        not_offered()
    }

    /// `getmempoolinfo`.
    async fn mempool_info(&self) -> Result<MempoolInfo, RpcError> {
        not_offered()
    }

    /// `getrawmempool`. Bounded by the pool's own bounds.
    async fn raw_mempool(&self) -> Result<Vec<MempoolEntry>, RpcError> {
        not_offered()
    }
}

/// The node's wallet.
#[async_trait]
pub trait WalletApi: Send + Sync {
    /// `getbalance`: of an address, or of the node's wallet.
    async fn balance(&self, _address: Option<Address>) -> Result<Balance, RpcError> {
        not_offered()
    }

    /// `getnewaddress`, with this label; an empty one is none.
    async fn new_address(&self, _label: String) -> Result<Address, RpcError> {
        not_offered()
    }

    /// Every address of the node's wallet. Bound: as many as a wallet can have.
    fn addresses(&self) -> Vec<Address> {
        Vec::new()
    }

    /// Addresses that have a label, of the node's wallet and others, in order. Bound: as many as are kept.
    fn labels(&self) -> Vec<(Address, String)> {
        Vec::new()
    }

    /// The label of an address; empty for none.
    fn label(&self, _address: &Address) -> String {
        String::new()
    }

    /// `setlabel`: an empty one takes the label away. Error: [`RpcError::Wallet`] when there are too many, or it cannot be kept.
    async fn set_label(&self, _address: Address, _label: String) -> Result<(), RpcError> {
        not_offered()
    }

    /// `listunspent`: of these addresses, or of the node's wallet when there are none.
    async fn unspent(&self, _addresses: Vec<Address>) -> Result<Vec<Unspent>, RpcError> {
        not_offered()
    }

    /// Whether the node's wallet can spend what this address is paid.
    fn is_mine(&self, _address: &Address) -> bool {
        false
    }

    /// For each input of a body, in order: the witness of the wallet's key with this hash, when it has that key.
    async fn witnesses(
        &self,
        _body: TransactionBody,
        _owners: Vec<Option<KeyHash>>,
    ) -> Result<Vec<Option<Witness>>, RpcError> {
        not_offered()
    }

    /// `signmessage`. Error: [`RpcError::Wallet`] when the node's wallet does not have the key of the address.
    async fn sign_text(&self, _address: Address, _text: String) -> Result<TextSignature, RpcError> {
        not_offered()
    }

    /// `lockunspent`: holds outputs back from payments, or gives them back; without any, gives all back.
    async fn hold_back(&self, _outputs: Vec<OutPoint>, _is_held: bool) -> Result<(), RpcError> {
        not_offered()
    }

    /// `listlockunspent`, in order.
    async fn held_back(&self) -> Result<Vec<OutPoint>, RpcError> {
        not_offered()
    }

    /// `sendtoaddress` and `sendmany`: pays from the node's wallet. Error: [`RpcError::InsufficientFunds`].
    async fn pay(&self, _order: PaymentOrder) -> Result<TxId, RpcError> {
        not_offered()
    }

    /// `fundrawtransaction`: a transaction of the order that spends these outputs and as many coins of the node's wallet as it takes, with what
    /// is left going to `change`, or to the wallet. Nothing is signed, sent or reserved. Error: [`RpcError::InsufficientFunds`].
    async fn fund(
        &self,
        _order: PaymentOrder,
        _inputs: Vec<OutPoint>,
        _change: Option<Address>,
    ) -> Result<Funding, RpcError> {
        not_offered()
    }
}

/// What is being decided, and by whom.
#[async_trait]
pub trait ConsensusApi: Send + Sync {
    /// `getconsensusinfo`.
    async fn consensus_info(&self) -> Result<ConsensusInfo, RpcError> {
        not_offered()
    }

    /// `masternodelist`: all of the chain, in order of their names.
    async fn masternodes(&self) -> Result<Vec<MasternodeInfo>, RpcError> {
        not_offered()
    }

    /// The list of the chain after the last block.
    async fn chain_masternodes(&self) -> Result<ChainMasternodes, RpcError> {
        not_offered()
    }

    /// `getmasternodeproof`: what the last block proves of a masternode. Errors: [`RpcError::MasternodeUnknown`],
    /// [`RpcError::HeightUnknown`] before the first block.
    async fn masternode_proof(&self, _id: RegistrationId) -> Result<ProvedMasternode, RpcError> {
        not_offered()
    }

    /// `verifymasternodeproof`: whether a proof holds, its certificate is signed by the validators of its height, and its block is of this
    /// node's chain. Error: [`RpcError::MasternodeProof`].
    async fn verify_masternode_proof(&self, _proof: ProvedMasternode) -> Result<(), RpcError> {
        not_offered()
    }

    /// The key with which this node votes, if it has one.
    fn consensus_key(&self) -> Option<PublicKey> {
        None
    }

    /// The signature by that key of a change of a masternode; `None` without the key.
    fn operator_witness(&self, _body: &TransactionBody) -> Option<Witness> {
        None
    }
}

/// Who is to be paid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentOrder {
    /// Who gets how much, in this order.
    pub outputs: Vec<(Address, Amount)>,
    /// Positions in `outputs` of those whom the fee is taken from; without any it comes on top.
    pub fee_from: BTreeSet<usize>,
    /// What it does beside paying. With one, nobody need be paid: what the coins hold comes back then.
    pub payload: TransactionPayload,
    /// Whether the wallet adds no coin of its own to those that are named.
    pub only_named: bool,
}

/// A transaction that the wallet has found the money for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funding {
    /// What it says.
    pub body: TransactionBody,
    /// What it leaves to the network.
    pub fee: Amount,
    /// Position of the output with what comes back; `None` when nothing does.
    pub change_at: Option<usize>,
}

/// How the chain starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenesisFacts {
    /// Its hash, which names it where clients expect a block.
    pub hash: Hash,
    /// Number of the chain, which every transaction names.
    pub chain_id: ChainId,
    /// Its time.
    pub time: UnixTime,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainTotals {
    /// Transactions of all blocks.
    pub transactions: u64,
    /// Size of all blocks on the disk. Unit: bytes.
    pub bytes: u64,
}

/// An address that is dialled until its peer is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedNode {
    /// `host:port`.
    pub address: String,
    /// The peer, when it is connected: its observed address, and whether it dialled us.
    pub connected: Option<(String, bool)>,
}

/// An address of the address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAddress {
    /// `host:port`.
    pub address: String,
    /// When it was last a good one; 0 when that is not known. Unit: seconds since 1970.
    pub time: u64,
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
    /// The masternode whose collateral it is: only its release spends it.
    pub collateral: Option<RegistrationId>,
}
