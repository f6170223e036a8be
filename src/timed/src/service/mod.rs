//! What clients may ask of this node: [`rpc::NodeApi`](timed_rpc::Node) over the actors' published state, snapshots of the chain, and, where
//! only an actor knows, a question with a time limit.

mod chain;
mod consensus;
mod metrics;
mod peer_calls;
mod peers;
mod pool;
mod troubles;
mod wallet;

pub(crate) use troubles::Noticed;
pub(crate) use wallet::NodeWallet;

use async_trait::async_trait;
use peer_calls::Saved;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use timed_actors::Handles;
use timed_chain::{History as _, ReadError};
use timed_ledger::{Address, LedgerQueries as _, LedgerReader, OutPoint, Transaction};
use timed_node_files::PeerFiles;
use timed_peer::Ban;
use timed_primitives::{Amount, BlockId, Clock, Height, Instant, Network, PublicKey, TxId};
use timed_process::LogWriter;
use timed_process::{Stop, StopCause};
use timed_rpc::result::{
    Balance, BanInfo, BlockchainInfo, ConsensusInfo, EndInfo, MasternodeInfo, MempoolAcceptance, MempoolEntry,
    MempoolInfo, NetworkInfo, PeerInfo, PingInfo,
};
use timed_rpc::{BlockAt, BlockFacts, NodeApi, RpcError, TransactionRecord, Trouble, Unspent};

/// What this node says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Key by which peers know this node.
    pub node_key: PublicKey,
    /// Consensus key, when it has one.
    pub validator: Option<PublicKey>,
    /// Where it listens.
    pub listen: String,
    /// The address it announces, when one is configured.
    pub external: Option<String>,
    /// Name and version of the software.
    pub agent: String,
    /// Most inbound connections.
    pub inbound_max: u32,
    /// Most outbound connections.
    pub outbound_max: u32,
}

/// Answers clients.
pub(crate) struct Service {
    handles: Handles,
    reader: LedgerReader,
    identity: Identity,
    wallet: Arc<NodeWallet>,
    clock: Arc<dyn Clock>,
    started: Instant,
    stop: Stop,
    log: LogWriter,
    files: PeerFiles,
    /// Of earlier runs, oldest first.
    earlier_ends: Vec<EndInfo>,
    saved: Mutex<Saved>,
    noticed: Noticed,
}

/// What a [`Service`] is made of.
pub(crate) struct ServiceParts {
    /// The running node.
    pub handles: Handles,
    /// Its ledger.
    pub reader: LedgerReader,
    /// What it says of itself.
    pub identity: Identity,
    /// Its wallet.
    pub wallet: Arc<NodeWallet>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Asked when a client asks the node to end.
    pub stop: Stop,
    /// Counts what the log lost.
    pub log: LogWriter,
    /// Where bans and ends of sessions are kept.
    pub files: PeerFiles,
    /// Ends of sessions of earlier runs.
    pub earlier_ends: Vec<EndInfo>,
    /// Bans of earlier runs.
    pub bans: Vec<Ban>,
    /// What other threads of the daemon found wrong.
    pub noticed: Noticed,
}

impl Service {
    /// Over a running node.
    pub(crate) fn new(parts: ServiceParts) -> Self {
        let ServiceParts { handles, reader, identity, wallet, clock, stop, log, files, earlier_ends, bans, noticed } =
            parts;
        let (started, saved) = (clock.now(), Mutex::new(Saved::new(bans)));
        Self { handles, reader, identity, wallet, clock, started, stop, log, files, earlier_ends, saved, noticed }
    }
}

fn unreadable(error: ReadError) -> RpcError {
    RpcError::Internal(error.to_string())
}

fn gone<E>(_error: E) -> RpcError {
    RpcError::Warmup("the node is shutting down".into())
}

#[async_trait]
impl NodeApi for Service {
    fn network(&self) -> Network {
        self.reader.genesis().network
    }

    fn uptime(&self) -> Duration {
        self.clock.now().since(self.started)
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.all_troubles()
    }

    fn metrics(&self) -> String {
        self.metrics_text()
    }

    fn stop(&self) {
        self.stop.ask(StopCause::Client);
    }

    async fn tip(&self) -> Result<(Height, BlockId), RpcError> {
        let tip = self.reader.tip();
        Ok((tip.height, tip.id))
    }

    async fn blockchain_info(&self) -> Result<BlockchainInfo, RpcError> {
        Ok(self.chain_summary())
    }

    async fn block(&self, at: BlockAt) -> Result<BlockFacts, RpcError> {
        self.find_block(at)
    }

    async fn block_id(&self, height: Height) -> Result<BlockId, RpcError> {
        let view = self.reader.view();
        let found = view.block_id(height).map_err(unreadable)?;
        found.ok_or(RpcError::HeightUnknown { height, tip: view.tip().height })
    }

    async fn network_info(&self) -> Result<NetworkInfo, RpcError> {
        Ok(self.network_summary())
    }

    async fn peer_info(&self) -> Result<Vec<PeerInfo>, RpcError> {
        Ok(self.peer_rows())
    }

    async fn peer_history(&self, peer: Option<String>, count: usize) -> Result<Vec<EndInfo>, RpcError> {
        self.ends(peer.as_deref(), count)
    }

    async fn ping(&self, peer: Option<String>) -> Result<Vec<PingInfo>, RpcError> {
        self.ping_peers(peer.as_deref()).await
    }

    async fn add_node(&self, address: String) -> Result<(), RpcError> {
        self.add_peer(address).await
    }

    async fn disconnect(&self, peer: String) -> Result<(), RpcError> {
        self.disconnect_peer(&peer).await
    }

    async fn ban(&self, peer: String, length: Duration) -> Result<(), RpcError> {
        self.ban_peer(&peer, length).await
    }

    async fn lift_ban(&self, peer: String) -> Result<(), RpcError> {
        self.lift_peer_ban(&peer).await
    }

    async fn bans(&self) -> Result<Vec<BanInfo>, RpcError> {
        Ok(self.ban_rows())
    }

    async fn lift_all_bans(&self) -> Result<usize, RpcError> {
        self.lift_bans().await
    }

    async fn output(&self, outpoint: OutPoint, include_mempool: bool) -> Result<Option<Unspent>, RpcError> {
        self.find_output(outpoint, include_mempool).await
    }

    async fn transaction(&self, txid: TxId) -> Result<TransactionRecord, RpcError> {
        self.find_transaction(txid).await
    }

    fn check_room(&self, bytes: usize) -> Result<(), RpcError> {
        self.handles.submissions.check_room(bytes).map_err(|error| pool::refusal(&error))
    }

    async fn submit(&self, transaction: Transaction, fee_rate_max: Option<Amount>) -> Result<TxId, RpcError> {
        self.submit_transaction(transaction, fee_rate_max).await
    }

    async fn test_mempool_accept(
        &self,
        transactions: Vec<Transaction>,
        fee_rate_max: Option<Amount>,
    ) -> Result<Vec<MempoolAcceptance>, RpcError> {
        self.test_accept(transactions, fee_rate_max).await
    }

    async fn mempool_info(&self) -> Result<MempoolInfo, RpcError> {
        self.pool_summary()
    }

    async fn raw_mempool(&self) -> Result<Vec<MempoolEntry>, RpcError> {
        self.pool_rows().await
    }

    async fn balance(&self, address: Option<Address>) -> Result<Balance, RpcError> {
        self.wallet_balance(address).await
    }

    async fn new_address(&self) -> Result<Address, RpcError> {
        self.wallet.new_address().map_err(|error| RpcError::Wallet(error.to_string()))
    }

    async fn unspent(&self, addresses: Vec<Address>) -> Result<Vec<Unspent>, RpcError> {
        self.wallet_unspent(addresses).await
    }

    async fn pay(&self, to: Address, amount: Amount) -> Result<TxId, RpcError> {
        self.wallet_pay(to, amount).await
    }

    async fn consensus_info(&self) -> Result<ConsensusInfo, RpcError> {
        self.consensus_summary()
    }

    async fn masternodes(&self) -> Result<Vec<MasternodeInfo>, RpcError> {
        self.masternode_rows()
    }

    async fn wait_for_new_block(
        &self,
        limit: Duration,
        current: Option<BlockId>,
    ) -> Result<(Height, BlockId), RpcError> {
        let mut tip = self.handles.tip.clone();
        let current = current.unwrap_or_else(|| tip.borrow().id);
        // Either a block came, or the time is over: both answers are the tip.
        let _ = tokio::time::timeout(limit, tip.wait_for(|tip| tip.id != current)).await;
        let seen = *tip.borrow();
        Ok((seen.height, seen.id))
    }
}

#[cfg(test)]
mod tests;
