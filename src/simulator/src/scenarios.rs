//! What once went wrong in a network of this kind, 43 incidents by number, each played again against real nodes or ruled out in a line.
//!
//! A scenario plays a world and says what it has shown; when a promise is not kept it gives a [`Failed`] and does not panic. Whatever
//! it checks itself, the checker of each of its worlds must have found nothing.
//!
//! Start reading in [`table`], which has a row for each incident.

mod chain;
mod frames;
mod operations;
mod storage;
pub mod table;
mod transport;
mod trust;

pub use table::{INCIDENTS, INCIDENTS_MAX, Incident, IncidentRow, SCENARIOS, Scenario, named, near};

use crate::check::{SharedChecker, Violation};
use crate::node::{Node, StartError, WaitTimeout};
use crate::payments::SimulatedPayments;
use crate::trace::{Print, Trace};
use crate::unknown_peer::UnknownPeerError;
use crate::world::{World, WorldConfig, play as play_world};
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

/// What came of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Played {
    /// Its name.
    pub name: &'static str,
    /// The incidents it stands for.
    pub incidents: &'static [u8],
    /// What it promises.
    pub promise: &'static str,
    /// What was seen.
    pub shown: Vec<String>,
    /// Virtual time, all worlds together. Unit: milliseconds.
    pub virtual_ms: u64,
    /// Comparisons that the checkers made.
    pub checks: u64,
    /// Why the promise is not kept.
    pub failed: Option<String>,
    /// BLAKE3 of the traces, one for each world.
    pub trace_hashes: Vec<String>,
}

impl Played {
    /// Whether the promise is kept.
    pub const fn is_kept(&self) -> bool {
        self.failed.is_none()
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Duration::from_millis(self.virtual_ms).as_secs();
        writeln!(f, "timed simulate --scenario {}", self.name)?;
        writeln!(f, "promise       {}", self.promise)?;
        for shown in &self.shown {
            writeln!(f, "shown         {shown}")?;
        }
        writeln!(f, "virtual time  {} h {} min {} s", time / 3600, time / 60 % 60, time % 60)?;
        writeln!(f, "checks        {}", self.checks)?;
        match &self.failed {
            None => writeln!(f, "outcome       kept")?,
            Some(why) => writeln!(f, "BROKEN        {why}")?,
        }
        write!(f, "trace hashes  {}", self.trace_hashes.join(" "))
    }
}

/// Plays a scenario. `print` sees every line of its traces.
pub fn play(scenario: &Scenario, print: Option<Print>) -> Played {
    let stage = Stage {
        print: print.map(|print| Arc::new(Mutex::new(print))),
        worlds: RefCell::default(),
        shown: RefCell::default(),
    };
    let (outcome, virtual_ms) = play_world(async {
        let began = tokio::time::Instant::now();
        let outcome = (scenario.play)(&stage).await;
        (outcome, u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX))
    });
    let worlds = stage.worlds.into_inner();
    let violation = worlds.iter().find_map(|(_, checker)| checker.lock().violations().first().cloned());
    // What the checker found says more than what did not happen because of it.
    let failed = violation.map(|violation| Failed::Violated(Box::new(violation))).or(outcome.err());
    Played {
        name: scenario.name,
        incidents: scenario.incidents,
        promise: scenario.promise,
        shown: stage.shown.into_inner(),
        virtual_ms,
        checks: worlds.iter().map(|(_, checker)| checker.lock().checks()).sum(),
        failed: failed.map(|failed| failed.to_string()),
        trace_hashes: worlds.iter().map(|(trace, _)| trace.hash()).collect(),
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
