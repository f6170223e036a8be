//! The counter on four nodes with real sockets, files and threads: over TCP and TLS, with a store on disk. One is stopped and returns.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod common;

use common::{CHAIN, add, counter, key};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::peer_manager::{ConfiguredPeer, PeersConfig};
use timed_actors::transport::{Listener, TcpTransport, Transport as _};
use timed_actors::{FatalReporter, Handles, NodeParts, OpenNode, SystemClock, Threads};
use timed_chain::{Application as _, Chain, payload_format, tables_of};
use timed_consensus::CoreConfig;
use timed_example_counter::{Add, Counter};
use timed_peer::LocalNode;
use timed_primitives::{SecretKey, decode, encode};
use timed_store::DataDir;
use uuid::Uuid;

const VOTERS: u64 = 4;

/// A node that runs. Its folder is locked as long.
struct Node {
    handles: Handles,
    threads: Threads,
    data: DataDir,
}

async fn bind(address: SocketAddr) -> Box<dyn Listener> {
    TcpTransport.bind(address).await.unwrap()
}

/// Opens the files of a node and starts it. This is all that an application of its own needs to run.
fn start(id: u64, folder: &Path, listener: Box<dyn Listener>, peers: &[SocketAddr]) -> Node {
    let application = counter(VOTERS);
    let genesis = application.genesis().clone();
    let (node_key, consensus_key) = (SecretKey::development("node", id), SecretKey::development("consensus", id));
    let data = DataDir::open(folder, genesis.hash).unwrap();
    let store = data.open_store(&tables_of::<Counter>()).unwrap();
    let chain = Chain::open(application, &data.disk(), Arc::new(store)).unwrap();
    let height = chain.tip().height.0;
    let core = CoreConfig::new(CHAIN, Some(consensus_key.clone()), payload_format::<Add>());
    let files = OpenNode::open(Box::new(chain), Arc::new(data.disk()), core, Default::default()).unwrap();
    let local = LocalNode {
        consensus_key: Some(consensus_key),
        listen_port: listener.local_addr().unwrap().port(),
        height,
        ..LocalNode::new(node_key.public(), CHAIN, genesis.hash, "counter/1", Uuid::from_u128(rand::random()))
    };
    let configured =
        |address: &SocketAddr| ConfiguredPeer { address: address.to_string(), key: None, is_validator: true };
    let threads = Threads::arbiters().unwrap();
    let handles = timed_actors::start(NodeParts {
        application: None,
        files,
        peers: PeersConfig { configured: peers.iter().map(configured).collect(), ..PeersConfig::new(local) },
        node_key,
        transport: Arc::new(TcpTransport),
        listener: Some(listener),
        rng: StdRng::from_seed(rand::random()),
        clock: Arc::new(SystemClock::start()),
        threads: threads.clone(),
        fatal: FatalReporter::new(|reason| panic!("{reason:?}")),
    });
    Node { handles: handles.unwrap(), threads, data }
}

impl Node {
    fn sum(&self, id: u64) -> u64 {
        decode(&self.handles.history.query(&encode(&key(id))).unwrap()).unwrap()
    }

    async fn add(&self, id: u64, number: u32, amount: u32) {
        let taken = self.handles.submissions.submit(Arc::new(add(id, number, amount)), None).await;
        assert_eq!(taken.unwrap(), add(id, number, amount).facts.id);
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), waited).await.is_ok(), "not in a minute: {what}");
}

#[actix_rt::test]
async fn four_nodes_count_alike_and_one_that_returns_catches_up() {
    let folders: Vec<_> = (0..VOTERS).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut listeners = Vec::new();
    for _ in 0..VOTERS {
        listeners.push(bind(SocketAddr::from(([127, 0, 0, 1], 0))).await);
    }
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let mut nodes: Vec<_> = (1..)
        .zip(&folders)
        .zip(listeners)
        .map(|((id, folder), listener)| start(id, folder.path(), listener, &addresses))
        .collect();

    // Two additions of one owner wait for each other in the pool; a third with a number that was used is refused.
    nodes[0].add(1, 0, 5).await;
    nodes[1].add(2, 0, 100).await;
    until("all have both", || nodes.iter().all(|node| (node.sum(1), node.sum(2)) == (5, 100))).await;
    nodes[0].add(1, 1, 10).await;
    nodes[0].add(1, 2, 20).await;
    until("all have the rest", || nodes.iter().all(|node| node.sum(1) == 35)).await;
    let again = nodes[2].handles.submissions.submit(Arc::new(add(1, 1, 7)), None).await.unwrap_err().to_string();
    assert!(again.contains("does not exist or is spent"), "{again}");

    // The last node is gone for a while; the others go on without it, and it finds its files and what it missed.
    let Node { handles, threads, data } = nodes.pop().unwrap();
    handles.stop().await;
    threads.stop();
    drop(handles);
    until("its threads have ended", || data.open_store(&tables_of::<Counter>()).is_ok()).await;
    drop(data);
    nodes[1].add(2, 1, 1).await;
    until("three go on", || nodes.iter().all(|node| node.sum(2) == 101)).await;
    let listener = bind(addresses[3]).await;
    nodes.push(start(4, folders[3].path(), listener, &addresses));
    until("it catches up", || nodes[3].sum(2) == 101).await;
    nodes[3].add(3, 0, 9).await;
    until("it takes part", || nodes.iter().all(|node| node.sum(3) == 9)).await;
    for node in &nodes {
        node.handles.stop().await;
    }
}
