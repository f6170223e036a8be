//! How a life of a node begins.

use crate::clock::NodeClock;
use crate::cost::{PROCESSORS, Processors};
use crate::disk::{GatedDisk, GatedStore, STORE_UNDO};
use crate::gate::NodeGate;
use crate::life::Life;
use crate::links::GatedTransport;
use crate::node::Node;
use crate::setting::{PORT, STARTED};
use futures_util::FutureExt as _;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use timed_actors::peer_manager::{ConfiguredPeer, PeersConfig};
use timed_actors::transport::Transport as _;
use timed_actors::{FatalReporter, NodeParts, OpenNode, Threads};
use timed_peer::LocalNode;
use timed_peer::handshake::COMPACT_BLOCKS;
use timed_primitives::{Height, SecretKey};
use tokio::task::LocalSet;
use uuid::Uuid;

impl Node {
    /// Opens chain and consensus, and starts the actors. The error is what an operator would read.
    pub(crate) fn open(&self, gate: &Arc<NodeGate>) -> Result<Life, String> {
        let (inner, setting) = (&*self.0, &self.0.setting);
        let kept = inner.kept.borrow().clone();
        kept.store.keep_undo(STORE_UNDO);
        let disk = GatedDisk { files: kept.files, gate: gate.clone(), checker: setting.checker.clone() };
        let store = Arc::new(GatedStore { store: kept.store, gate: gate.clone() });
        let key = self.votes().then(|| SecretKey::development("consensus", inner.signs_as));
        let ledger = setting.application.open(&disk, store)?;
        let history = ledger.history();
        let mut config =
            timed_consensus::CoreConfig::new(setting.genesis.chain_id, key.clone(), history.payload_format());
        config.labels = (1..=setting.voters)
            .map(|n| (SecretKey::development("consensus", n).public(), format!("node {n}")))
            .collect();
        config.block_bytes_max = setting.genesis.block_bytes_max.into();
        config.block_bytes_first = setting.first_blocks_full.then_some(config.block_bytes_max);
        config.empty_block_interval = setting.application.empty_block_interval();
        // Small steps: the disk is memory.
        config.journal_step_bytes = 1 << 16;
        let limits = timed_mempool::PoolLimits::default();
        let files = OpenNode::open(ledger, Arc::new(disk), config, limits).map_err(|e| e.to_string())?;
        setting.checker.lock().on_start(inner.id, &*history);
        let transport = GatedTransport {
            inner: setting.links.host(self.ip()),
            gate: gate.clone(),
            byzantine: inner.byzantine.borrow().clone(),
        };
        let listener = if inner.accepts.get() {
            let bound = transport.bind(SocketAddr::new(self.ip(), PORT)).now_or_never();
            Some(bound.ok_or("the listener waits")?.map_err(|e| e.to_string())?)
        } else {
            None
        };
        let times_percent = setting.machines.times_percent(setting.seed, inner.id, setting.voters);
        let processors = (setting.cost > 0).then(|| Arc::new(Processors::new(times_percent, setting.cost)));
        let fatal = Arc::new(Mutex::new(None));
        let (record, closing) = (fatal.clone(), gate.clone());
        let parts = NodeParts {
            application: None,
            peers: self.peers_config(key, history.tip().height),
            node_key: SecretKey::development("node", inner.id),
            transport: Arc::new(transport),
            listener,
            rng: self.split_rng(),
            files,
            clock: Arc::new(NodeClock {
                gate: gate.clone(),
                skew: inner.skew.clone(),
                origin: setting.origin,
                started: STARTED,
            }),
            threads: processors.clone().map_or_else(Threads::inline, |drawn| Threads::simulated(drawn, PROCESSORS)),
            // The process ends with the first reason; what a dying node says is not heard.
            fatal: FatalReporter::new(move |reason| {
                if !closing.is_shut() {
                    closing.shut();
                    record.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
                }
            }),
        };
        let local = LocalSet::new();
        let handles = {
            let _inside = local.enter();
            timed_actors::start(parts).map_err(|e| e.to_string())?
        };
        Ok(Life {
            gate: gate.clone(),
            local: RefCell::new(Some(local)),
            handles,
            processors,
            is_paused: Cell::new(false),
            waker: RefCell::default(),
            fatal,
        })
    }

    fn peers_config(&self, consensus_key: Option<SecretKey>, height: Height) -> PeersConfig {
        let (inner, setting) = (&*self.0, &self.0.setting);
        let key = SecretKey::development("node", inner.id).public();
        let instance = Uuid::from_u128((u128::from(inner.id) << 64) | u128::from(inner.starts.get()));
        let local = LocalNode {
            consensus_key,
            listen_port: if inner.accepts.get() { PORT } else { 0 },
            height: height.0,
            capabilities: if setting.plain == Some(inner.id) { 0 } else { COMPACT_BLOCKS },
            ..LocalNode::new(key, setting.genesis.chain_id, setting.genesis.hash, "timed/test", instance)
        };
        PeersConfig {
            configured: inner
                .dials
                .borrow()
                .iter()
                .map(|other| ConfiguredPeer {
                    address: format!("{}:{PORT}", setting.ip(*other)),
                    key: None,
                    is_validator: *other <= setting.voters,
                })
                .collect(),
            discovers: setting.discovers,
            ..PeersConfig::new(local)
        }
    }
}
