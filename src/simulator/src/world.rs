//! A network of nodes in one process and in virtual time, and all that can be done to it. The same calls with the same seed give the same
//! trace, on every machine.

use crate::application::SimulatedApplication;
use crate::check::SharedChecker;
use crate::clock::Skew;
use crate::cost::Machines;
use crate::gate::DiskPace;
use crate::node::{Node, StartError};
use crate::payments::SimulatedPayments;
use crate::regions::Latency;
use crate::setting::{STARTED, WorldSetting};
use crate::trace::{Print, Trace};
use crate::unknown_peer::UnknownPeer;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;
use timed_chain::{ChainGenesis, PoolTransaction};
use timed_primitives::{Height, SecretKey, UnixTime};
use timed_test_support::{LinkQuality, MemoryNetwork};
use tokio::time::Instant;

/// Most nodes of a world.
pub const NODES_MAX: u64 = 200;

/// What a world is made with.
pub struct WorldConfig {
    /// Equal validators: nodes 1 to `voters`. Nodes beyond observe.
    pub voters: u64,
    /// How many of the nodes beyond have a consensus key, with which they vote once it is that of a masternode.
    pub candidates: u64,
    /// What everything random follows.
    pub seed: u64,
    /// Whether leaders begin with the largest blocks that genesis allows, instead of growing to them.
    pub first_blocks_full: bool,
    /// The node that takes no compact blocks, as one of an earlier version.
    pub plain: Option<u64>,
    /// How far apart the nodes are.
    pub latency: Latency,
    /// Arrivals fall on multiples of it; at least a millisecond.
    pub tick: Duration,
    /// How fast disks are when a node starts.
    pub disk: DiskPace,
    /// Whether nodes ask each other for addresses and dial them.
    pub discovers: bool,
    /// What the network runs.
    pub application: Arc<dyn SimulatedApplication>,
    /// How fast the nodes are, compared with each other.
    pub machines: Machines,
    /// How much longer work takes than on these machines; 0 for no time.
    pub cost: u64,
    /// Sees every line of the trace.
    pub print: Option<Print>,
}

impl WorldConfig {
    /// Nodes without distance on disks without delay.
    pub fn instant(voters: u64, seed: u64) -> Self {
        Self {
            voters,
            candidates: 0,
            seed,
            first_blocks_full: false,
            plain: None,
            latency: Latency::None,
            tick: Duration::from_millis(1),
            disk: DiskPace::INSTANT,
            discovers: true,
            application: Arc::new(SimulatedPayments::devnet(voters)),
            machines: Machines::Drawn,
            cost: 0,
            print: None,
        }
    }
}

/// A network in virtual time. Nodes live on while the scenario awaits anything.
pub struct World {
    setting: Rc<WorldSetting>,
    latency: Latency,
    nodes: BTreeMap<u64, Node>,
}

/// Plays a scenario on this thread, where time moves only when everybody waits.
///
/// # Panics
/// When the system refuses a runtime.
#[allow(clippy::expect_used, reason = "nothing can be simulated without a runtime")]
pub fn play<F: Future>(scenario: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime with a timer and nothing else");
    tokio::task::LocalSet::new().block_on(&runtime, scenario)
}

/// Nodes end inside the runtime: an actor that is dropped runs once more, and may look at the time.
impl Drop for World {
    fn drop(&mut self) {
        self.nodes.values().for_each(Node::abandon);
    }
}

impl World {
    /// A world without nodes. Must be made inside [`play`].
    pub fn new(config: WorldConfig) -> Self {
        let trace = Trace::new(config.print);
        let setting = WorldSetting {
            checker: SharedChecker::new(config.application.clone(), NODES_MAX, trace.clone()),
            links: MemoryNetwork::seeded(config.seed, config.tick),
            voters: config.voters,
            candidates: config.candidates,
            seed: config.seed,
            first_blocks_full: config.first_blocks_full,
            plain: config.plain,
            disk: config.disk,
            discovers: config.discovers,
            machines: config.machines,
            cost: config.cost,
            origin: Instant::now(),
            genesis: config.application.genesis(),
            application: config.application,
            trace,
        };
        Self { setting: Rc::new(setting), latency: config.latency, nodes: BTreeMap::new() }
    }

    /// The chain's beginning.
    pub fn genesis(&self) -> &ChainGenesis {
        &self.setting.genesis
    }

    /// What the network runs.
    pub fn application(&self) -> &dyn SimulatedApplication {
        &*self.setting.application
    }

    /// How many nodes vote.
    pub fn voters(&self) -> u64 {
        self.setting.voters
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.setting.trace
    }

    /// The checker.
    pub fn checker(&self) -> &SharedChecker {
        &self.setting.checker
    }

    /// Who can reach whom. Cut and heal by the world's methods: the checker must know.
    pub fn links(&self) -> &MemoryNetwork {
        &self.setting.links
    }

    /// The host of a node.
    pub fn ip(&self, id: u64) -> IpAddr {
        self.setting.ip(id)
    }

    /// A host without a node, or somebody else on the host of a node, with a node key of its own by number.
    pub fn unknown(&self, host: u64, number: u64) -> UnknownPeer {
        UnknownPeer::new(self.setting.clone(), host, SecretKey::development("stranger", number))
    }

    /// Civil time now, on a clock that is right.
    pub fn unix(&self) -> UnixTime {
        STARTED.plus(self.setting.origin.elapsed())
    }

    /// Adds a node that dials all validators and whose clock is right. It is not started.
    pub fn add(&mut self, id: u64) -> Node {
        self.add_with(id, (1..=self.setting.voters).collect(), Skew::default())
    }

    /// Adds a node that dials these, itself left out. It is not started.
    pub fn add_with(&mut self, id: u64, dials: Vec<u64>, skew: Skew) -> Node {
        self.add_as(id, id, dials, skew)
    }

    /// Adds a twin: another node that signs with the key of validator `of` and knows nothing of it. Whatever a validator can do that signs two
    /// things for one place, the two of them do. The checker holds nothing against that key any more. It is not started.
    pub fn add_twin(&mut self, id: u64, of: u64) -> Node {
        for byzantine in [id, of] {
            self.setting.checker.lock().set_byzantine(byzantine);
        }
        self.setting.trace.world(format_args!("node {id} is a twin of node {of}"));
        self.add_as(id, of, (1..=self.setting.voters).collect(), Skew::default())
    }

    /// The same, but checked: no two signatures with their key may contradict each other. It is not started.
    pub fn add_checked_twin(&mut self, id: u64, of: u64) -> Node {
        self.setting.trace.world(format_args!("node {id} is a twin of node {of}, and both are checked"));
        self.add_as(id, of, (1..=self.setting.voters).collect(), Skew::default())
    }

    fn add_as(&mut self, id: u64, signs_as: u64, dials: Vec<u64>, skew: Skew) -> Node {
        for other in self.nodes.keys() {
            let quality = self.latency.between(id, *other);
            self.setting.links.set_quality(self.ip(id), self.ip(*other), quality);
        }
        let dials = dials.into_iter().filter(|other| *other != id).collect();
        let node = Node::new(id, signs_as, self.setting.clone(), dials, skew);
        self.setting.checker.lock().quiet().on_off(id);
        self.nodes.insert(id, node.clone());
        node
    }

    /// Adds and starts a node.
    ///
    /// # Errors
    /// [`StartError`] when it does not start.
    pub fn start(&mut self, id: u64) -> Result<Node, StartError> {
        let node = self.node(id).unwrap_or_else(|| self.add(id));
        node.start()?;
        Ok(node)
    }

    /// A node of this world.
    pub fn node(&self, id: u64) -> Option<Node> {
        self.nodes.get(&id).cloned()
    }

    /// All nodes, by number.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// Lets virtual time pass.
    pub async fn run_for(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Cuts both directions between two nodes.
    pub fn cut(&self, a: u64, b: u64) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Lets nothing through from one node to another.
    pub fn cut_one_way(&self, from: u64, to: u64) {
        self.setting.links.cut_one_way(self.ip(from), self.ip(to));
        self.setting.checker.lock().quiet().on_cut(from, to);
        self.setting.trace.world(format_args!("the link from node {from} to node {to} is cut"));
    }

    /// Cuts every link between the first group and the other nodes.
    pub fn part(&self, group: &[u64]) {
        for a in group {
            for b in self.nodes.keys().filter(|b| !group.contains(b)) {
                self.cut(*a, *b);
            }
        }
    }

    /// Undoes every cut between two nodes, and gives them back the link that they had.
    pub fn heal(&self, a: u64, b: u64) {
        self.setting.links.heal(self.ip(a), self.ip(b));
        self.setting.links.set_quality(self.ip(a), self.ip(b), self.latency.between(a, b));
        self.setting.checker.lock().quiet().on_heal(a, b);
        self.setting.trace.world(format_args!("the link between nodes {a} and {b} is healed"));
    }

    /// Makes a link worse until it is healed.
    pub fn slow_down(&self, a: u64, b: u64, quality: LinkQuality) {
        self.setting.links.set_quality(self.ip(a), self.ip(b), quality);
        self.setting.checker.lock().quiet().on_slow(a, b, quality.latency + quality.jitter);
        self.setting.trace.world(format_args!("the link between nodes {a} and {b} becomes slow: {quality:?}"));
    }

    /// Resets all connections between two nodes.
    pub fn reset(&self, a: u64, b: u64) {
        self.setting.links.reset(self.ip(a), self.ip(b));
        self.setting.checker.lock().quiet().on_reset(a, b);
        self.setting.trace.world(format_args!("connections between nodes {a} and {b} are reset"));
    }

    /// As [`SimulatedApplication::transaction`].
    pub fn transaction(&self, number: usize, variant: u64) -> Option<PoolTransaction> {
        self.setting.application.transaction(number, variant)
    }

    /// The lowest and the highest tip of all nodes that run.
    pub fn heights(&self) -> (Height, Height) {
        let heights = || self.nodes.values().filter(|node| node.is_running()).map(Node::height);
        (heights().min().unwrap_or_default(), heights().max().unwrap_or_default())
    }

    /// Makes a clock skew.
    pub fn skew(offset_ms: i64, drift_ppm: i64) -> Skew {
        Skew { offset_ms: AtomicI64::new(offset_ms), drift_ppm }
    }
}
