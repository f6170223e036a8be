//! Wires the actors of one node to each other.

use crate::block_sync::{BlockSyncActor, BlockSyncParts, SyncStatus};
use crate::consensus::{ConsensusActor, ConsensusParts};
use crate::fatal::{FatalHandle, FatalReporter};
use crate::ledger::{Committed, FlushNow, LedgerActor, TipSeen};
use crate::mempool::{self, CloseAndKeep, MempoolActor, MempoolParts, MempoolStatus, PoolFeed, Submissions};
use crate::messages::{Inbound, Inboxes, PeerListener, StopPeers, SubscribeClock, SubscribePeers};
use crate::network::NetworkHandle;
use crate::peer_manager::{PeerManager, PeerManagerParts, PeersConfig, PeersView};
use crate::pulse::{Component, Pulses};
use crate::threads::{self, Threads};
use crate::times::NodeTimes;
use crate::tls::TlsError;
use crate::transport::{Listener, Transport};
use actix::{Addr, Recipient};
use rand::rngs::StdRng;
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{ChainWriter, History, ReadError};
use timed_consensus::leaders::MEMORY_HEIGHTS;
use timed_consensus::{ChainStart, Consensus, ConsensusStatus, CoreConfig, CoreOpenError, LeaderRecord};
use timed_mempool::{BlockRelayStats, KeptContents, PoolFile, PoolIndex, PoolLimits};
use timed_primitives::{Clock, Disk, Height, PublicKey, SecretKey};
use timed_wire::ApplicationMessage;
use tokio::sync::{mpsc, watch};
use tracing::warn;

/// How long a stop waits for the mempool's file: a disk that hangs holds nobody longer.
const KEEP_WITHIN: Duration = Duration::from_secs(2);

/// What a node has on its disk, open.
pub struct OpenNode {
    chain: Box<dyn ChainWriter>,
    consensus: Consensus,
    /// Our consensus key's public half, when we vote.
    proposer: Option<PublicKey>,
    mempool: PoolLimits,
    /// Where the mempool keeps what waits, and what an earlier run left there.
    kept: (PoolFile, KeptContents),
}

/// The files of a node cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeOpenError {
    /// Its chain cannot be read.
    #[error(transparent)]
    Chain(#[from] ReadError),
    /// Its journal or guard cannot be used.
    #[error(transparent)]
    Consensus(#[from] CoreOpenError),
}

impl OpenNode {
    /// Opens what a node keeps beside its chain: consensus' journal and guard, and the mempool's file.
    ///
    /// # Errors
    /// [`NodeOpenError`] says which file is at fault and what to do.
    pub fn open(
        chain: Box<dyn ChainWriter>,
        disk: Arc<dyn Disk>,
        core: CoreConfig,
        mempool: PoolLimits,
    ) -> Result<Self, NodeOpenError> {
        let (history, rules) = (chain.history(), chain.rules());
        let proposer = core.key.as_ref().map(SecretKey::public);
        let consensus = Consensus::open(core, &*disk, chain_start(&*history)?)?;
        let genesis = history.chain_genesis().hash;
        let kept = PoolFile::open(disk, genesis, &mempool, &|bytes| rules.parse(bytes));
        Ok(Self { chain, consensus, proposer, mempool, kept })
    }
}

/// Everything a node is made of, open and not running. All that touches the outside comes in by a seam.
pub struct NodeParts {
    /// What it has on its disk.
    pub files: OpenNode,
    /// How to treat peers.
    pub peers: PeersConfig,
    /// Proves who we are.
    pub node_key: SecretKey,
    /// Makes connections.
    pub transport: Arc<dyn Transport>,
    /// Accepts connections; `None` for a node that only dials.
    pub listener: Option<Box<dyn Listener>>,
    /// Nonces, jitter, back-off.
    pub rng: StdRng,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where actors live.
    pub threads: Threads,
    /// Ends the process.
    pub fatal: FatalReporter,
    /// Gets messages of an application of its own from peers; `None` when it has none.
    pub application: Option<mpsc::Sender<Inbound<ApplicationMessage>>>,
}

/// A running node, for those who ask it: addresses to ask, watches to read. Cheap to clone.
#[derive(Clone)]
pub struct Handles {
    /// The decided chain.
    pub history: Arc<dyn History>,
    /// Takes transactions.
    pub submissions: Submissions,
    /// Answers about the mempool.
    pub mempool: Addr<MempoolActor>,
    /// Who consumes and produces what in the mempool.
    pub mempool_index: Arc<PoolIndex>,
    /// What happens in the mempool, as it happens.
    pub pool_feed: PoolFeed,
    /// Its levels, counters, and how fast payments become final.
    pub mempool_status: watch::Receiver<Option<MempoolStatus>>,
    /// What is being decided.
    pub consensus: watch::Receiver<Option<ConsensusStatus>>,
    /// How blocks under decision travelled.
    pub block_relay: watch::Receiver<BlockRelayStats>,
    /// How far sync is.
    pub sync: watch::Receiver<Option<SyncStatus>>,
    /// Who is connected.
    pub peers: watch::Receiver<Arc<PeersView>>,
    /// The last final block.
    pub tip: watch::Receiver<TipSeen>,
    /// Connects, disconnects, stops.
    pub peer_manager: Addr<PeerManager>,
    /// Which parts still run.
    pub pulses: Pulses,
    /// How long things took.
    pub times: NodeTimes,
    consensus_actor: Addr<ConsensusActor>,
    ledger: Addr<LedgerActor>,
    block_sync: Addr<BlockSyncActor>,
}

impl Handles {
    /// The actors that have ended, though the node runs.
    pub fn ended_actors(&self) -> Vec<Component> {
        let actors = [
            (Component::PeerManager, self.peer_manager.connected()),
            (Component::Consensus, self.consensus_actor.connected()),
            (Component::Ledger, self.ledger.connected()),
            (Component::Mempool, self.mempool.connected()),
            (Component::BlockSync, self.block_sync.connected()),
        ];
        actors.into_iter().filter(|(_, is_alive)| !is_alive).map(|(component, _)| component).collect()
    }

    /// Ends in order: the mempool takes nothing more and keeps what waits, peers get a goodbye, then the store is brought up to date.
    /// What is final is on disk already.
    pub async fn stop(&self) {
        self.keep_pool().await;
        self.stop_peers().await;
        self.flush().await;
    }

    /// The first part of [`Self::stop`].
    pub async fn keep_pool(&self) {
        // An actor that is gone has nothing left to end.
        let kept = tokio::time::timeout(KEEP_WITHIN, self.mempool.send(CloseAndKeep)).await;
        if kept.is_err() {
            warn!(
                "the mempool's file could not be written in {} s: payments of the last moments may be lost",
                KEEP_WITHIN.as_secs()
            );
        }
    }

    /// The second part of [`Self::stop`].
    pub async fn stop_peers(&self) {
        let _ = self.peer_manager.send(StopPeers).await;
    }

    /// The last part of [`Self::stop`].
    pub async fn flush(&self) {
        let _ = self.ledger.send(FlushNow).await;
    }
}

/// Starts all actors.
///
/// # Errors
/// When the node key cannot be used for TLS.
pub fn start(parts: NodeParts) -> Result<Handles, TlsError> {
    let NodeParts { threads, clock, fatal, .. } = &parts;
    let (threads, clock, fatal) = (threads.clone(), clock.clone(), fatal.clone());
    let (mut inboxes, outlets) = Inboxes::bounded();
    if let Some(application) = parts.application {
        inboxes.application = application;
    }
    let (peers_sender, peers) = watch::channel(Arc::<PeersView>::default());
    let (mempool_sender, mempool_status) = watch::channel(None);
    let (consensus_sender, consensus_status) = watch::channel(None);
    let (block_relay_sender, block_relay) = watch::channel(BlockRelayStats::default());
    let (sync_sender, sync) = watch::channel(None);
    let OpenNode { chain, consensus: core, proposer, mempool: limits, kept } = parts.files;
    let (history, rules) = (chain.history(), chain.rules());
    let (tip_sender, tip) = watch::channel(tip_seen(&*history));
    let times = NodeTimes::default();

    let mut manager = PeerManager::new(PeerManagerParts {
        config: parts.peers,
        node_key: parts.node_key,
        transport: parts.transport,
        listener: parts.listener,
        inboxes,
        clock: clock.clone(),
        rng: parts.rng,
        view: peers_sender,
        times: times.clone(),
        pulses: threads.pulses().clone(),
    })?;
    manager.guard(FatalHandle::new("peer manager", fatal.clone()));
    let peer_manager = threads.start(Component::PeerManager, move |_| manager);
    let network = NetworkHandle {
        send: peer_manager.clone().recipient(),
        batch: peer_manager.clone().recipient(),
        penalize: peer_manager.clone().recipient(),
        useful: peer_manager.clone().recipient(),
        tip: peer_manager.clone().recipient(),
        validators: peer_manager.clone().recipient(),
    };

    let (verified, fatal_handle) = (chain.verified(), FatalHandle::new("ledger", fatal.clone()));
    let (consensus, consensus_mailbox) = threads::mailbox();
    let (mempool, mempool_mailbox) = threads::mailbox();
    let (block_sync, block_sync_mailbox) = threads::mailbox();
    // Consensus first: what the mempool says after a block must reach it after the block.
    let listeners = vec![committed_to(&consensus), committed_to(&mempool), committed_to(&block_sync)];
    let actor = LedgerActor::new(chain, threads.clone(), tip_sender, listeners, fatal_handle);
    let ledger = threads.start(Component::Ledger, move |_| actor);

    let (file, found) = kept;
    let actor = MempoolActor::new(MempoolParts {
        limits,
        file,
        found,
        history: history.clone(),
        rules,
        verified,
        clock: clock.clone(),
        threads: threads.clone(),
        network: network.clone(),
        inbox: outlets.mempool,
        finality: times.finality.clone(),
        status: mempool_sender,
        fatal: FatalHandle::new("mempool", fatal.clone()),
    });
    let (gate, mempool_index, pool_feed) = (actor.gate(), actor.index(), actor.feed());
    threads.start_at(Component::Mempool, mempool_mailbox, move |_| actor);
    let submissions = Submissions::new(mempool.clone(), gate, sync.clone());

    let actor = BlockSyncActor::new(BlockSyncParts {
        history: history.clone(),
        ledger: ledger.clone().recipient(),
        clock: clock.clone(),
        threads: threads.clone(),
        network: network.clone(),
        inbox: outlets.block_sync,
        status: sync_sender,
        fatal: FatalHandle::new("block sync", fatal.clone()),
    });
    threads.start_at(Component::BlockSync, block_sync_mailbox, move |_| actor);

    let actor = ConsensusActor::new(ConsensusParts {
        core,
        proposer,
        history: history.clone(),
        validate: ledger.clone().recipient(),
        assemble: ledger.clone().recipient(),
        commit: ledger.clone().recipient(),
        payload: mempool.clone().recipient(),
        rebuild: mempool.clone().recipient(),
        proposed: mempool.clone().recipient(),
        accuse: mempool.clone().recipient(),
        revalidate: mempool.clone().recipient(),
        wanted: block_sync.clone().recipient(),
        behind: block_sync.clone().recipient(),
        clock,
        network,
        inbox: outlets.consensus,
        status: consensus_sender,
        block_relay: block_relay_sender,
        fatal: FatalHandle::new("consensus", fatal),
    });
    threads.start_at(Component::Consensus, consensus_mailbox, move |_| actor);

    mempool.do_send(mempool::SubscribePayload(consensus.clone().recipient()));
    for listener in [listener(&consensus), listener(&mempool), listener(&block_sync)] {
        peer_manager.do_send(SubscribePeers(listener));
    }
    peer_manager.do_send(SubscribeClock(consensus.clone().recipient()));
    Ok(Handles {
        history,
        submissions,
        mempool,
        mempool_index,
        pool_feed,
        mempool_status,
        consensus: consensus_status,
        block_relay,
        sync,
        peers,
        tip,
        peer_manager,
        pulses: threads.pulses().clone(),
        times,
        consensus_actor: consensus,
        ledger,
        block_sync,
    })
}

fn committed_to<A>(actor: &Addr<A>) -> Recipient<Committed>
where
    A: actix::Actor<Context = actix::Context<A>> + actix::Handler<Committed>,
{
    actor.clone().recipient()
}

fn listener<A>(actor: &Addr<A>) -> PeerListener
where
    A: actix::Actor<Context = actix::Context<A>>
        + actix::Handler<crate::messages::PeerUp>
        + actix::Handler<crate::messages::PeerDown>,
{
    PeerListener { up: actor.clone().recipient(), down: actor.clone().recipient() }
}

fn tip_seen(history: &dyn History) -> TipSeen {
    let tip = history.tip();
    TipSeen { height: tip.height, id: tip.id }
}

/// What the consensus core must know of the chain to begin.
///
/// # Errors
/// [`ReadError`] when the last blocks cannot be read.
pub fn chain_start(history: &dyn History) -> Result<ChainStart, ReadError> {
    let tip = history.tip();
    let mut recent = Vec::new();
    for height in tip.height.0.saturating_sub(MEMORY_HEIGHTS) + 1..=tip.height.0 {
        if let Some(block) = history.block(Height(height))? {
            recent.push(LeaderRecord::new(&block.header, block.parent_certificate.as_ref()));
        }
    }
    Ok(ChainStart {
        validators: history.validators(tip.height.next()),
        next_validators: history.validators(tip.height.next().next()),
        tip_validators: history.validators(tip.height),
        tip,
        recent,
    })
}
