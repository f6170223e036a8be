//! Where scenarios are played, and what they all look at.

use crate::check::{SharedChecker, Violation};
use crate::node::{Node, StartError, WaitTimeout};
use crate::payments::SimulatedPayments;
use crate::trace::{Print, Trace};
use crate::unknown_peer::UnknownPeerError;
use crate::world::{World, WorldConfig};
use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timed_actors::mempool::SubmitError;
use timed_actors::peer::PeerSnapshot;
use timed_actors::peer_manager::PeersView;
use timed_chain::{PoolTransaction, ReadError};
use timed_peer::EndReason;
use timed_primitives::{Height, PublicKey, SecretKey, TxId};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The host where unknown peers live.
pub(crate) const ELSEWHERE: u64 = 240;

/// Validators without distance, which make a block in ten minutes when there is no payment.
pub(crate) fn quiet(voters: u64) -> WorldConfig {
    let application = Arc::new(SimulatedPayments::with_empty_blocks(voters, 10 * MINUTE));
    WorldConfig { application, ..WorldConfig::instant(voters, 1) }
}

/// A promise that was not kept, or a scenario that could not be played.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// What was inspected is not as promised.
    #[error("{0}")]
    Broken(String),
    /// Something did not happen in time.
    #[error(transparent)]
    Wait(#[from] WaitTimeout),
    /// The checker of a world found what must never be.
    #[error("the checker found: {0}")]
    Violated(Box<Violation>),
    /// A node does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A payment was not taken.
    #[error("a payment was not taken: {0}")]
    Refused(#[from] SubmitError),
    /// A node cannot read its chain.
    #[error("a chain cannot be read: {0}")]
    Read(#[from] ReadError),
    /// An unknown peer could not do what it was to do.
    #[error(transparent)]
    UnknownPeer(#[from] UnknownPeerError),
}

/// Fails with what was promised, unless it was kept.
pub(crate) fn promise(is_kept: bool, what: fmt::Arguments<'_>) -> Result<(), Failed> {
    if is_kept { Ok(()) } else { Err(Failed::Broken(what.to_string())) }
}

/// Sees the lines of all worlds of a scenario.
type SharedPrint = Arc<Mutex<Print>>;

/// Where a scenario is played.
pub struct Stage {
    print: Option<SharedPrint>,
    worlds: RefCell<Vec<(Trace, SharedChecker)>>,
    shown: RefCell<Vec<String>>,
}

impl Stage {
    /// An empty one. `print` sees every line of the traces of its worlds.
    pub(crate) fn new(print: Option<Print>) -> Self {
        Self {
            print: print.map(|print| Arc::new(Mutex::new(print))),
            worlds: RefCell::default(),
            shown: RefCell::default(),
        }
    }

    /// The worlds that were played, and what was shown.
    pub(crate) fn into_parts(self) -> (Vec<(Trace, SharedChecker)>, Vec<String>) {
        (self.worlds.into_inner(), self.shown.into_inner())
    }

    /// A world whose checker and trace count for the scenario.
    pub(crate) fn world(&self, mut config: WorldConfig) -> World {
        if let Some(print) = self.print.clone() {
            config.print = Some(Box::new(move |line| print.lock().unwrap_or_else(PoisonError::into_inner)(line)));
        }
        let world = World::new(config);
        self.worlds.borrow_mut().push((world.trace().clone(), world.checker().clone()));
        world
    }

    /// A world of validators without distance, all of which run and have a first block.
    pub(crate) async fn network(&self, voters: u64) -> Result<World, Failed> {
        self.network_of(WorldConfig::instant(voters, 1)).await
    }

    /// The same of another make.
    pub(crate) async fn network_of(&self, config: WorldConfig) -> Result<World, Failed> {
        let mut world = self.world(config);
        for id in 1..=world.voters() {
            world.start(id)?;
        }
        all_reach(&world, Height(1), 90 * SECOND).await?;
        // Whatever was under way between them at their handshake is over.
        world.run_for(SECOND).await;
        Ok(world)
    }

    /// Notes what was shown, for the report.
    pub(crate) fn show(&self, what: fmt::Arguments<'_>) {
        self.shown.borrow_mut().push(what.to_string());
    }
}

/// The node key of a node.
pub(crate) fn node_key(id: u64) -> PublicKey {
    SecretKey::development("node", id).public()
}

/// What a node shows of its peers.
pub(crate) fn view(node: &Node) -> PeersView {
    node.try_handles().map(|handles| PeersView::clone(&handles.peers.borrow())).unwrap_or_default()
}

/// A peer of a node, when it is up.
pub(crate) fn peer(node: &Node, key: PublicKey) -> Option<PeerSnapshot> {
    view(node).peers.into_iter().find(|peer| peer.key == key)
}

/// A node of the world, which must be there.
pub(crate) fn node(world: &World, id: u64) -> Result<Node, Failed> {
    world.node(id).ok_or_else(|| Failed::Broken(format!("there is no node {id}")))
}

/// A payment of a world, which has enough of them.
pub(crate) fn payment(world: &World, number: usize) -> Result<PoolTransaction, Failed> {
    world.transaction(number, 7).ok_or_else(|| Failed::Broken(format!("genesis has no output {number}")))
}

/// Hands a payment in and waits until all nodes that run call it final.
pub(crate) async fn pay(world: &World, number: usize, at: u64) -> Result<TxId, Failed> {
    let txid = node(world, at)?.submit(payment(world, number)?).await?;
    for node in world.nodes().filter(|node| node.is_running()) {
        node.wait_for_payment(txid, MINUTE).await?;
    }
    Ok(txid)
}

/// Waits until all nodes that run have a height.
pub(crate) async fn all_reach(world: &World, height: Height, limit: Duration) -> Result<(), Failed> {
    for node in world.nodes().filter(|node| node.is_running()) {
        node.wait_for_height(height, limit).await?;
    }
    Ok(())
}

/// Why sessions of a node with a peer ended, the oldest first.
pub(crate) fn ends(node: &Node, key: PublicKey) -> Vec<EndReason> {
    view(node).ended.iter().filter(|end| end.key == Some(key)).map(|end| end.end.reason).collect()
}

/// Every node that runs has a session with every other.
pub(crate) fn is_meshed(world: &World) -> bool {
    let running: Vec<&Node> = world.nodes().filter(|node| node.is_running()).collect();
    let knows_all = |node: &&&Node| {
        let peers = view(node).peers;
        running.iter().all(|other| other.id() == node.id() || peers.iter().any(|p| p.key == node_key(other.id())))
    };
    running.iter().all(|node| knows_all(&node))
}

/// Waits until every node has a session with every other, and says how long that took.
pub(crate) async fn mesh(world: &World, limit: Duration) -> Result<Duration, Failed> {
    let began = tokio::time::Instant::now();
    while !is_meshed(world) {
        promise(began.elapsed() < limit, format_args!("after {} s some nodes are not connected", limit.as_secs()))?;
        world.run_for(Duration::from_millis(100)).await;
    }
    Ok(began.elapsed())
}

/// No node holds anything against another node: no points, no bans.
pub(crate) fn nobody_is_blamed(world: &World) -> Result<(), Failed> {
    let ours: Vec<PublicKey> = world.nodes().map(|node| node_key(node.id())).collect();
    for node in world.nodes() {
        let view = view(node);
        let points = view.peers.iter().filter(|peer| ours.contains(&peer.key)).map(|peer| peer.penalty).sum::<u32>();
        let bans = view.bans.iter().filter(|ban| ours.contains(&ban.key)).count();
        promise(
            points == 0 && bans == 0,
            format_args!("node {} holds {points} points and {bans} bans against honest nodes", node.id()),
        )?;
    }
    Ok(())
}
