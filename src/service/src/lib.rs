//! What clients may ask of this node: [`NodeApi`] over the actors' published state, snapshots of the chain, and, where
//! only an actor knows, a question with a time limit.

mod chain;
mod consensus;
mod events;
mod failures;
mod metrics;
mod node_wallet;
mod own_standing;
mod payments;
mod peer_calls;
mod peers;
mod pool;
mod reads;
mod rescan;
mod rewards;
mod saved_peers;
mod scan;
mod troubles;
mod wallet;
mod wallets;
mod witness;

pub use node_wallet::{NodeWallet, NodeWalletError};
pub use reads::ChainReads;
pub use troubles::Noticed;
pub use wallets::{WalletSecrets, Wallets};

use saved_peers::SavedPeers;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::Handles;
use timed_node_files::PeerFiles;
use timed_peer::Ban;
use timed_primitives::{Clock, Instant, Network, PublicKey, SecretKey, UnixTime};
use timed_process::LogWriter;
use timed_process::{Stop, StopCause};
use timed_rpc::metrics::Registry;
use timed_rpc::result::EndInfo;
use timed_rpc::{GenesisFacts, NodeApi, RpcError, Trouble};

/// What this node says of itself.
#[derive(Clone, Debug)]
pub struct Identity {
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
    /// Names of consensus keys for people. A key without one is shown by its first bytes.
    pub labels: BTreeMap<PublicKey, String>,
}

/// Answers clients. Cheap to clone: a clone is for a client that chose another wallet.
#[derive(Clone)]
pub struct Service {
    handles: Handles,
    chain: Arc<ChainReads>,
    /// Of the genesis, whose hash takes as long as it is large.
    genesis: GenesisFacts,
    identity: Arc<Identity>,
    /// Signs changes of this node's masternode; votes are signed elsewhere.
    consensus_key: Option<SecretKey>,
    /// The one that was chosen; the node's own where none was.
    wallet: Arc<NodeWallet>,
    wallets: Arc<Wallets>,
    clock: Arc<dyn Clock>,
    started: Instant,
    stop: Stop,
    log: LogWriter,
    files: PeerFiles,
    /// Of earlier runs, oldest first.
    earlier_ends: Arc<Vec<EndInfo>>,
    /// Locked while files about peers are written.
    saved: Arc<tokio::sync::Mutex<SavedPeers>>,
    noticed: Noticed,
    /// Which intervals paid, by the ids of their payouts.
    payouts: rewards::SharedPayoutIds,
}

/// What a [`Service`] is made of.
pub struct ServiceParts {
    /// The running node.
    pub handles: Handles,
    /// Its chain, as clients read it.
    pub chain: ChainReads,
    /// What it says of itself.
    pub identity: Identity,
    /// Consensus key, when it has one, whether or not it votes now: it signs changes of its masternode that clients ask for.
    pub consensus_key: Option<SecretKey>,
    /// Its wallets.
    pub wallets: Arc<Wallets>,
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
    pub fn new(parts: ServiceParts) -> Self {
        let ServiceParts { handles, chain, identity, consensus_key, wallets, clock, stop, log, .. } = parts;
        let (files, earlier_ends, bans, noticed) = (parts.files, parts.earlier_ends, parts.bans, parts.noticed);
        let (started, saved) =
            (clock.now(), Arc::new(tokio::sync::Mutex::new(SavedPeers { bans, ..SavedPeers::default() })));
        let genesis = chain.genesis();
        let genesis = GenesisFacts { hash: genesis.hash(), chain_id: genesis.chain_id, time: genesis.time };
        let payouts = rewards::SharedPayoutIds::new(genesis.hash);
        Self {
            handles,
            chain: Arc::new(chain),
            genesis,
            identity: Arc::new(identity),
            consensus_key,
            wallet: wallets.own().clone(),
            wallets,
            clock,
            started,
            stop,
            log,
            files,
            earlier_ends: Arc::new(earlier_ends),
            saved,
            noticed,
            payouts,
        }
    }
}

impl NodeApi for Service {
    fn network(&self) -> Network {
        self.chain.genesis().network
    }

    fn unix_time(&self) -> UnixTime {
        self.clock.unix()
    }

    fn uptime(&self) -> Duration {
        self.clock.now().since(self.started)
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.all_troubles()
    }

    fn metrics(&self, registry: &mut Registry) {
        self.register_metrics(registry);
    }

    fn with_wallet(&self, name: Option<&str>) -> Result<Option<Arc<dyn NodeApi>>, RpcError> {
        self.choose(name)
    }

    fn stop(&self) {
        self.stop.ask(StopCause::Client);
    }
}

#[cfg(test)]
mod tests;
