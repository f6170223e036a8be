//! A run: a world drawn from a seed, phases of trouble, each followed by a heal after which the network must live.

use crate::adversary::Lies;
use crate::application::{ChangeDraw, SimulatedApplication};
use crate::change_times::ChangeTimes;
use crate::check::Violation;
use crate::clients::Clients;
use crate::clock::ClockOffsets;
use crate::cost::Machines;
use crate::fault_kind::FaultSet;
use crate::faults::Faults;
use crate::gate::DiskPace;
use crate::node::{Node, StartError};
use crate::payments::SimulatedPayments;
use crate::readers::Readers;
use crate::regions::Latency;
use crate::report::Report;
use crate::service::{Samples, ServiceFigures, longest_round_trip};
use crate::trace::Print;
use crate::world::{World, WorldConfig, play};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::mempool::GetEntry;
use timed_consensus::SigningStatus;
use timed_primitives::{Height, TxId};
use tokio::time::Instant;

/// After a heal every node must reach a new height, and a payment handed in then must be final everywhere, within this time. Longest
/// is the wait for a round that began in trouble: it may take a minute.
pub const LIVE_WITHIN: Duration = Duration::from_secs(150);
/// How often a run looks whether the network lives.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a run is made with.
pub struct RunConfig {
    /// Equal validators.
    pub nodes: u64,
    /// Nodes that only follow.
    pub observers: u64,
    /// What everything follows.
    pub seed: u64,
    /// How long, in virtual time. The run ends at the first violation.
    pub length: Duration,
    /// Payments per second.
    pub tps: u64,
    /// Kinds of faults of which the seed draws some.
    pub faults: FaultSet,
    /// The seed draws all of them.
    pub exactly: bool,
    /// A fault comes when the last one and its effects are over: then each has a bound of its own.
    pub alone: bool,
    /// How far apart the nodes are.
    pub latency: Latency,
    /// How much longer work takes than on the processors that are drawn for the nodes; 0 for no time.
    pub cost: u64,
    /// Arrivals fall on multiples of it.
    pub tick: Duration,
    /// Masternodes come, pause, move and go.
    pub changes: bool,
    /// Makes what the network runs, for so many validators.
    pub application: fn(u64) -> Arc<dyn SimulatedApplication>,
    /// Sees every line of the trace.
    pub print: Option<Print>,
}

impl RunConfig {
    /// Seven validators in eight cities, every kind of fault.
    pub fn new(seed: u64) -> Self {
        Self {
            nodes: 7,
            observers: 0,
            seed,
            length: Duration::from_secs(60 * 60),
            tps: 1,
            faults: FaultSet::all(),
            exactly: false,
            alone: false,
            cost: 1,
            latency: Latency::Cities(crate::City::ALL.to_vec()),
            tick: Duration::from_millis(1),
            changes: true,
            application: |voters| Arc::new(SimulatedPayments::devnet(voters)),
            print: None,
        }
    }

    /// The same without anybody who sees the trace.
    pub fn unseen(&self) -> Self {
        let (faults, latency) = (self.faults.clone(), self.latency.clone());
        Self { faults, latency, print: None, ..*self }
    }

    /// The command that repeats it up to a time.
    fn command(&self, minutes: u64) -> String {
        let mut command = format!("timed simulate --nodes {} --seed {} --minutes {minutes}", self.nodes, self.seed);
        let base = Self::new(self.seed);
        let mut add = |is_other: bool, flag: String| {
            if is_other {
                command.push_str(&flag);
            }
        };
        add(self.observers != base.observers, format!(" --observers {}", self.observers));
        add(self.tps != base.tps, format!(" --load {}", self.tps));
        add(self.faults != base.faults, format!(" --faults {}", self.faults));
        add(self.exactly, " --exactly".to_owned());
        add(self.alone, " --alone".to_owned());
        add(self.latency != base.latency, format!(" --latency {}", self.latency));
        add(self.cost != base.cost, format!(" --cost {}", self.cost));
        add(!self.changes, " --no-changes".to_owned());
        add(self.tick != base.tick, format!(" --tick {}", self.tick.as_millis()));
        command
    }
}

/// Plays a run to its end or to the first violation.
pub fn run(mut config: RunConfig) -> Report {
    let print = config.print.take();
    play(async move { Run::new(config, print).play().await })
}

struct Run {
    config: RunConfig,
    world: World,
    faults: Faults,
    clients: Clients,
    readers: Readers,
    rng: StdRng,
    ends: Instant,
    next_payment: Instant,
    changes: ChangeTimes,
    /// Each node dials two others only.
    is_sparse: bool,
    /// How far off clocks are at the beginning, at most, beside what `clocks` says.
    offset_max_ms: i64,
    clocks: ClockOffsets,
    /// Mean time between two faults while there is trouble.
    quiet: Duration,
    heals: u64,
    slowest_heal: Duration,
}

impl Run {
    fn new(config: RunConfig, print: Option<Print>) -> Self {
        let mut rng = StdRng::seed_from_u64(config.seed);
        let disks = [DiskPace::INSTANT, DiskPace::GOOD, DiskPace { sync_micros: 1_000..=20_000, room_bytes: None }];
        let is_sparse = config.nodes >= 5 && rng.random_bool(0.25);
        let world = World::new(WorldConfig {
            voters: config.nodes,
            candidates: if config.changes { config.observers } else { 0 },
            seed: rng.random(),
            first_blocks_full: false,
            plain: None,
            latency: config.latency.clone(),
            tick: config.tick,
            disk: disks[rng.random_range(0..disks.len())].clone(),
            discovers: !is_sparse,
            application: (config.application)(config.nodes),
            machines: Machines::Drawn,
            cost: config.cost,
            print,
        });
        let offset_max_ms = rng.random_range(0..=1_000);
        let beside = StdRng::seed_from_u64(!config.seed);
        let changes = ChangeTimes::new(config.seed, config.changes);
        let voters_least = changes.voters_least(config.nodes);
        let mut faults = Faults::new(StdRng::from_rng(&mut rng), beside, &config.faults, config.exactly, voters_least);
        let clocks = StdRng::seed_from_u64(config.seed.rotate_left(48));
        let nodes = config.nodes + config.observers;
        let clocks = ClockOffsets::drawn(clocks, config.nodes, nodes, faults.spare());
        faults.set_far_off(clocks.far_off());
        let quiet = Duration::from_millis(rng.random_range(500..=20_000));
        world.trace().world(format_args!(
            "a world of {} validators and {} observers, {}, clocks {clocks}, faults: {}",
            config.nodes,
            config.observers,
            if is_sparse { "sparsely connected" } else { "all connected" },
            faults.kinds()
        ));
        let clients = Clients::new(world.application().workload());
        let readers = Readers::new(StdRng::seed_from_u64(!config.seed.rotate_left(32)));
        let now = Instant::now();
        let (ends, next_payment) = (now + config.length, now);
        Self {
            config,
            world,
            faults,
            clients,
            readers,
            rng,
            ends,
            next_payment,
            changes,
            is_sparse,
            offset_max_ms,
            clocks,
            quiet,
            heals: 0,
            slowest_heal: Duration::ZERO,
        }
    }

    async fn play(mut self) -> Report {
        if let Err(StartError { node, text }) = self.live_through().await {
            self.world.checker().lock().report(Violation::Stopped { node, text });
        }
        self.look_for_lost().await;
        self.report()
    }

    /// Every payment that was accepted is final or waits where it was, unless that node was stopped since.
    async fn look_for_lost(&self) {
        for (txid, node) in self.clients.accepted() {
            let Some(handles) = self.world.node(node).filter(|node| !node.is_paused()).and_then(|n| n.try_handles())
            else {
                continue;
            };
            let waits = tokio::time::timeout(LIVE_WITHIN, handles.mempool.send(GetEntry(txid))).await;
            let is_gone = matches!(waits, Ok(Ok(None)));
            if is_gone && !handles.history.is_confirmed(&txid).unwrap_or(true) {
                self.world.checker().lock().report(Violation::Lost { node, txid });
            }
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.ends || !self.world.checker().lock().violations().is_empty()
    }

    /// The error is a node that does not start. What else must never be, the checker has.
    async fn live_through(&mut self) -> Result<(), StartError> {
        self.faults.schedule().begin();
        let byzantine = self.faults.draw_byzantine(&self.world);
        for id in 1..=self.config.nodes {
            self.start(id, byzantine.get(&id).cloned())?;
        }
        let twin = self.faults.add_twin(&mut self.world, self.config.nodes + self.config.observers + 1);
        if let Some(twin) = twin {
            twin.start()?;
        }
        self.heal().await?;
        for id in self.config.nodes + 1..=self.config.nodes + self.config.observers {
            let late = Duration::from_millis(self.rng.random_range(0..=60_000));
            self.pass(Instant::now() + late, false).await?;
            self.faults.schedule().begin();
            self.start(id, None)?;
        }
        while !self.is_over() {
            let trouble = Duration::from_millis(self.rng.random_range(5_000..=90_000));
            self.pass(Instant::now() + trouble, true).await?;
            self.heal().await?;
            let rest = Duration::from_millis(self.rng.random_range(1_000..=30_000));
            self.pass(Instant::now() + rest, false).await?;
        }
        Ok(())
    }

    fn start(&mut self, id: u64, lies: Option<Lies>) -> Result<(), StartError> {
        let offset_ms = self.clocks.offset_ms(id) + self.rng.random_range(-self.offset_max_ms..=self.offset_max_ms);
        let skew = World::skew(offset_ms, self.rng.random_range(-100..=100));
        let dials = match self.is_sparse {
            false => (1..=self.config.nodes).collect(),
            true => [1, 2].map(|step| (id - 1 + step) % self.config.nodes + 1).to_vec(),
        };
        let node = self.world.add_with(id, dials, skew);
        if let Some(lies) = lies {
            node.lie(lies);
        }
        node.start()
    }

    /// Lets time pass, with payments, and with faults when there is to be trouble.
    async fn pass(&mut self, until: Instant, is_trouble: bool) -> Result<(), StartError> {
        let mut next_strike = is_trouble.then(|| Instant::now() + self.draw_quiet());
        while Instant::now() < until && !self.is_over() {
            let wakes = [Some(until), Some(self.next_payment), next_strike, self.faults.next_undo()];
            let next = wakes.into_iter().flatten().min().unwrap_or(until);
            tokio::time::sleep_until(next).await;
            self.pay();
            self.change();
            self.readers.read(&self.world);
            self.faults.undo_due(&self.world)?;
            if next_strike.is_some_and(|at| at <= Instant::now()) {
                if !self.config.alone || self.faults.schedule().is_quiet() {
                    self.faults.strike(&self.world);
                }
                next_strike = Some(Instant::now() + self.draw_quiet());
            }
        }
        Ok(())
    }

    fn draw_quiet(&mut self) -> Duration {
        let quiet_ms = u64::try_from(self.quiet.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.rng.random_range(1..=2 * quiet_ms))
    }

    /// Makes payments that are due, and hands in again what waits for too long.
    fn pay(&mut self) {
        for done in self.world.checker().lock().take_newly_final() {
            self.clients.on_final(&done.txid, done.at);
        }
        for (txid, node) in self.clients.take_lost() {
            self.world.checker().lock().report(Violation::Lost { node, txid });
        }
        if self.next_payment > Instant::now() {
            return;
        }
        let nodes = self.running();
        let due = self.clients.overdue();
        let fresh = (self.config.tps > 0).then(|| self.clients.next_transaction()).flatten();
        for transaction in due.into_iter().chain(fresh) {
            self.clients.submit(&nodes, &mut self.rng, transaction);
        }
        let mean_micros = 1_000_000 / self.config.tps.max(1);
        self.next_payment = Instant::now() + Duration::from_micros(self.rng.random_range(1..=2 * mean_micros));
    }

    /// Makes a change of who decides that is due. Whether it is taken, and what becomes of it, its node says; here nobody insists.
    fn change(&mut self) {
        let Some((number, word, node)) = self.changes.due() else { return };
        let nodes = self.running();
        let Some(node) = nodes.get(node % nodes.len().max(1)).cloned() else { return };
        let running: Vec<_> = nodes.iter().map(Node::id).collect();
        let voters = self.config.nodes;
        let candidates = (voters + 1..=voters + self.config.observers).filter(|id| running.contains(id)).collect();
        let draw = ChangeDraw { number, word, voters, candidates, voters_least: self.changes.voters_least(voters) };
        let Some(handles) = node.try_handles() else { return };
        if let Some(made) = self.world.application().change(&*handles.history, &draw) {
            tokio::task::spawn_local(async move { drop(node.submit(made).await) });
        }
    }

    /// Ends all faults; then the network must live in time.
    async fn heal(&mut self) -> Result<(), StartError> {
        self.faults.undo_all(&self.world)?;
        self.world.trace().world(format_args!("everything is healed"));
        let (started, (_, highest)) = (Instant::now(), self.world.heights());
        let probe = self.clients.next_transaction();
        let running = self.running();
        let probe = probe.map(|transaction| {
            let txid = transaction.facts.id;
            self.clients.submit(&running, &mut self.rng, transaction);
            txid
        });
        loop {
            let late = self.late(highest.next(), probe.as_ref());
            let Some(late) = late else { break };
            if !self.world.checker().lock().violations().is_empty() {
                return Ok(());
            }
            if started.elapsed() > LIVE_WITHIN {
                let violation = Violation::NotLive { after: LIVE_WITHIN, text: late };
                self.world.checker().lock().report(violation);
                return Ok(());
            }
            self.pass(Instant::now() + LOOK_EVERY, false).await?;
            if Instant::now() >= self.ends {
                tokio::time::sleep(LOOK_EVERY).await;
                self.pay();
            }
        }
        self.faults.on_live(&self.world);
        self.heals += 1;
        self.slowest_heal = self.slowest_heal.max(started.elapsed());
        Ok(())
    }

    /// Nodes that run and do not lie: what a Byzantine validator passes on, and how far it comes, nobody promised.
    fn running(&self) -> Vec<Node> {
        self.world.nodes().filter(|node| node.is_running() && !node.lies()).cloned().collect()
    }

    /// Who is late, and what for.
    fn late(&self, height: Height, probe: Option<&TxId>) -> Option<String> {
        self.running().iter().find_map(|node| {
            let what = match probe {
                _ if node.height() < height => format!("is at height {}, not {height}", node.height()),
                Some(txid) if !node.is_final(txid) => format!("does not have payment {txid}"),
                _ => return None,
            };
            Some(format!("node {} {what}: {}{}", node.id(), node.why(), self.silent()))
        })
    }

    /// Which validators do not sign, and why.
    fn silent(&self) -> String {
        let off = |node: &Node| match node.signing() {
            Some(status @ SigningStatus::Off { .. }) => Some(format!("; node {}: {status}", node.id())),
            _ => None,
        };
        self.world.nodes().filter_map(off).collect()
    }

    fn lies_counted(&self) -> BTreeMap<&'static str, u64> {
        let mut lies = BTreeMap::new();
        for (lie, count) in self.world.nodes().flat_map(Node::lies_counted) {
            *lies.entry(lie).or_default() += count;
        }
        lies
    }

    /// What live connections carried, by kind.
    fn sent(&self) -> BTreeMap<&'static str, (u64, u64)> {
        let mut sent = BTreeMap::<_, (u64, u64)>::new();
        for handles in self.world.nodes().filter_map(Node::try_handles) {
            for (kind, traffic) in handles.peers.borrow().peers.iter().flat_map(|peer| &peer.sent) {
                let sum = sent.entry(kind.name()).or_default();
                *sum = (sum.0 + traffic.messages, sum.1 + traffic.bytes);
            }
        }
        sent
    }

    /// The least and the most peers that a node which runs has.
    fn peers(&self) -> (usize, usize) {
        let handles = self.world.nodes().filter_map(Node::try_handles);
        let counts: Vec<_> = handles.map(|handles| handles.peers.borrow().peers.len()).collect();
        (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0))
    }

    /// Checks how long payments took, and says so.
    fn services(&mut self) -> BTreeMap<&'static str, ServiceFigures> {
        // Where nodes that are no neighbours hear of each other by others only, relay takes what nothing bounds yet.
        // The bounds are those of the nodes that decide at first: others may be slower, or further away.
        let is_bound =
            !self.is_sparse && !self.changes.are_made() && crate::cost::is_light(self.config.tps, self.config.cost);
        let samples = Samples::new(self.faults.schedule(), self.clients.served(), is_bound);
        let nodes = self.config.nodes + self.config.observers;
        let round_trip = longest_round_trip(&self.config.latency, nodes, self.config.tick);
        let services = samples.services(round_trip);
        for (condition, service) in &services {
            if let (false, Some(bound_ms)) = (service.is_kept(), service.bound_ms) {
                let (payments, p99_ms) = (service.payments, service.p99_ms);
                let slow = Violation::Slow { condition, payments, p99_ms, bound_ms };
                self.world.checker().lock().report(slow);
            }
        }
        services
    }

    fn report(&mut self) -> Report {
        self.pay();
        let services = self.services();
        let elapsed = self.world.trace().elapsed();
        let took = self.clients.took();
        let percentile = |percent: usize| {
            let index = (took.len() * percent).div_ceil(100).saturating_sub(1);
            took.get(index).map_or(0, |took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
        };
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (lowest, highest) = self.world.heights();
        let sent = self.sent();
        let checker = self.world.checker().lock();
        let found = |is_meant: fn(&Violation) -> bool| checker.violations().iter().filter(|v| is_meant(v)).count();
        Report {
            command: self.config.command(elapsed.min(self.config.length).as_secs().div_ceil(60)),
            nodes: self.world.nodes().count() as u64,
            virtual_ms: milliseconds(elapsed),
            heights: (lowest.0, highest.0),
            rounds_failed: checker.rounds_failed(),
            payments_sent: self.clients.sent(),
            payments_final: took.len() as u64,
            finality_ms: (percentile(50), percentile(99)),
            services,
            drawn: self.faults.kinds().to_string(),
            faults: self.faults.counts.clone(),
            lies: self.lies_counted(),
            changes: self.world.application().changes(),
            heals: self.heals,
            slowest_heal_ms: milliseconds(self.slowest_heal),
            counts: self.world.trace().counts(),
            sent,
            ended: checker.ended().clone(),
            live_dropped: found(|v| matches!(v, Violation::FalseDisconnect { .. })),
            dead_kept: found(|v| matches!(v, Violation::DeadPeerKept { .. })),
            peers: self.peers(),
            checks: checker.checks(),
            violations: checker.violations().iter().map(ToString::to_string).collect(),
            kinds: checker.violations().iter().map(Violation::kind).collect(),
            trace_hash: self.world.trace().hash(),
        }
    }
}
