//! One node under attacks on its connection layer, each on a node of its own: what they cost it, how long a newcomer waits meanwhile, and
//! whether the peers that it has stay.
//!
//! Attackers, newcomers and peers share the machine with the node. Connections of this machine are free of the limits of admission
//! (`timed_peer::admission`), so the bound of handshakes under way and who gives way at it are what is measured here.

mod attack;
mod scenario;
mod watch;

use super::lone_node::{LoneNode, NodeUsage};
use super::peers::on_one_thread;
use super::pretend_peer::{PretendCounts, PretendPeer, connect_many};
use super::report::{self, Percentiles, float, ms, rounded};
use attack::{Plan, RunningAttack, newcomer};
use clap::{Args, ValueEnum as _};
use scenario::HostileScenario;
use serde_json::{Value, json};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use timed_cli::table::{left, right, table};
use timed_primitives::SecretKey;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use watch::{HandshakeFigures, Watch};

/// After the peers are connected, before the node's memory is measured; and after an attack, before it is measured again.
const SETTLE: Duration = Duration::from_secs(1);
/// From the start of an attack until the first newcomer.
const RAMP: Duration = Duration::from_millis(500);
/// Time between two newcomers, whatever became of the one before.
const NEWCOMER_EVERY: Duration = Duration::from_millis(100);
/// How long a newcomer tries: what a node gives a dial and a handshake.
const NEWCOMER_LIMIT: Duration = Duration::from_secs(8);
/// Time between two pings of a peer; a node answers ten per second.
const PING_EVERY: Duration = Duration::from_millis(250);

/// Flags of `timed-bench hostile`.
#[derive(Clone, Debug, Args)]
pub(super) struct HostileArgs {
    /// What is done to the node, each on its own.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME,...",
        default_values_t = HostileScenario::value_variants().iter().copied())]
    scenarios: Vec<HostileScenario>,
    /// How long newcomers come in each, such as 10s.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    time: Duration,
    /// Attackers, each with one connection at a time, which it opens again as soon as it is closed.
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    attackers: u16,
    /// Subnets (/24) that the attackers come from.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    subnets: u16,
    /// Most connections of the attackers in each.
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    connections_max: u64,
    /// Peers that the node has before.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=32))]
    peers: u16,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(arguments: &HostileArgs, program: &Path) -> anyhow::Result<()> {
    let measured = super::in_temporary_folder(|folder| {
        let each = arguments.scenarios.iter().map(|scenario| measure(*scenario, arguments, program, folder));
        each.collect::<anyhow::Result<Vec<_>>>()
    })?;
    match arguments.json {
        true => report::print_json(&as_json(&measured, arguments)),
        false => print(&measured),
    }
    Ok(())
}

/// What came out of one scenario.
struct HostileFigures {
    scenario: HostileScenario,
    attackers: u16,
    /// From the start of the attack to its end.
    attacked: Duration,
    opened: u64,
    failed: u64,
    is_bound_reached: bool,
    newcomers: Newcomers,
    peers_dropped: u64,
    peer_pings: Percentiles,
    before: NodeUsage,
    peak: NodeUsage,
    after: NodeUsage,
    cpu_percent: f64,
    queued_bytes: f64,
    handshakes: HandshakeFigures,
}

fn measure(
    scenario: HostileScenario,
    arguments: &HostileArgs,
    program: &Path,
    folder: &Path,
) -> anyhow::Result<HostileFigures> {
    let folder = folder.join(scenario.name());
    std::fs::create_dir_all(&folder)?;
    report::progress(format!("{} ...", scenario.name()));
    let node = LoneNode::start(program, &folder, Vec::new(), scenario.blocks())?;
    let plan = Plan {
        port: node.port(),
        attackers: scenario.attackers(arguments.attackers),
        subnets: arguments.subnets,
        connections_max: arguments.connections_max,
    };
    on_one_thread(async {
        let seen = Rc::new(PretendCounts::default());
        connect_many(arguments.peers, node.port(), Some(PING_EVERY), &seen).await?;
        sleep(SETTLE).await;
        let before = node.usage()?;
        let watch = Watch::start(&node)?;
        let begin = Instant::now();
        let attack = (scenario != HostileScenario::Quiet).then(|| RunningAttack::start(scenario, plan)).transpose()?;
        sleep(RAMP).await;
        seen.round_trips.borrow_mut().clear();
        let (cpu, start) = (node.cpu()?, Instant::now());
        let newcomers = newcomers(node.port(), arguments.time).await;
        let (cpu, elapsed) = (node.cpu()?.saturating_sub(cpu), start.elapsed());
        let peer_pings = Percentiles::of(seen.round_trips.take());
        let (mut opened, mut failed) = (0, 0);
        let attacked = begin.elapsed();
        if let Some(attack) = attack {
            (opened, failed) = (attack.done.opened.load(Ordering::Relaxed), attack.done.failed.load(Ordering::Relaxed));
            attack.stop()?;
        }
        sleep(SETTLE).await;
        let (after, watched) = (node.usage()?, watch.stop()?);
        Ok(HostileFigures {
            scenario,
            attackers: plan.attackers,
            attacked,
            opened,
            failed,
            is_bound_reached: opened >= arguments.connections_max,
            newcomers,
            peers_dropped: seen.ended.get(),
            peer_pings,
            before,
            peak: watched.peak,
            after,
            cpu_percent: 100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64().max(1e-9),
            queued_bytes: watched.metrics.queued_bytes,
            handshakes: watched.metrics.handshakes,
        })
    })
}

/// What became of newcomers.
#[derive(Debug, Default)]
struct Newcomers {
    came: u64,
    /// From the first packet to the answer to their first ping, of those who were served. Unit: ms.
    ready: Vec<f64>,
    /// The node closed the connection.
    closed: u64,
    /// Not ready within [`NEWCOMER_LIMIT`].
    late: u64,
}

/// Newcomers come, one by one, for so long; each goes when it was served. The last are waited for.
async fn newcomers(port: u16, time: Duration) -> Newcomers {
    let (start, mut ticks, mut under_way) = (Instant::now(), interval(NEWCOMER_EVERY), JoinSet::new());
    let mut newcomers = Newcomers::default();
    while start.elapsed() < time {
        ticks.tick().await;
        let (key, from) = (SecretKey::development("newcomer", newcomers.came), newcomer(newcomers.came));
        newcomers.came += 1;
        under_way.spawn_local(async move {
            let start = Instant::now();
            let ready = async { PretendPeer::connect(&key, from, port).await?.ready().await };
            timeout(NEWCOMER_LIMIT, ready).await.map(|ready| ready.map(|()| start.elapsed()))
        });
    }
    for outcome in under_way.join_all().await {
        match outcome {
            Ok(Ok(after)) => newcomers.ready.push(ms(after)),
            Ok(Err(_)) => newcomers.closed += 1,
            Err(_) => newcomers.late += 1,
        }
    }
    newcomers
}

fn as_json(measured: &[HostileFigures], arguments: &HostileArgs) -> Value {
    json!({
        "benchmark": "hostile",
        "setting": report::setting(),
        "time_s": arguments.time.as_secs_f64(),
        "subnets": arguments.subnets,
        "peers": arguments.peers,
        "scenarios": measured.iter().map(HostileFigures::as_json).collect::<Vec<_>>(),
    })
}

impl HostileFigures {
    fn ready(&self) -> Percentiles {
        Percentiles::of(self.newcomers.ready.clone())
    }

    fn opened_per_second(&self) -> f64 {
        float(self.opened) / self.attacked.as_secs_f64().max(1e-9)
    }

    fn as_json(&self) -> Value {
        let times = |times: Percentiles| {
            let [p50, p99, max] = [times.p50, times.p99, times.max].map(|ms| rounded(ms, 2));
            json!({ "p50": p50, "p99": p99, "max": max })
        };
        let usage = |usage: NodeUsage| json!({ "memory_mib": rounded(usage.memory_mib, 1), "open_files": usage.files });
        json!({
            "scenario": self.scenario.name(),
            "attackers": self.attackers,
            "connections": self.opened,
            "connections_per_second": rounded(self.opened_per_second(), 0),
            "connections_failed": self.failed,
            "connections_bound_reached": self.is_bound_reached,
            "newcomers": {
                "came": self.newcomers.came,
                "served": self.newcomers.ready.len(),
                "closed": self.newcomers.closed,
                "late": self.newcomers.late,
                "ready_ms": times(self.ready()),
            },
            "peers_dropped": self.peers_dropped,
            "peer_ping_ms": times(self.peer_pings),
            "before": usage(self.before),
            "peak": usage(self.peak),
            "after": usage(self.after),
            "queued_mib": rounded(self.queued_bytes / 1_048_576.0, 1),
            "cpu_percent": rounded(self.cpu_percent, 1),
            "handshakes": {
                "peak": self.handshakes.under_way,
                "begun": self.handshakes.begun,
                "gave_way": self.handshakes.gave_way,
                "refused": self.handshakes.refused,
            },
        })
    }

    fn row(&self) -> Vec<String> {
        let times = |times: Percentiles| format!("{:.1} / {:.1} / {:.1}", times.p50, times.p99, times.max);
        vec![
            self.scenario.name().to_owned(),
            format!("{:.0}", self.opened_per_second()),
            format!("{} of {}", self.newcomers.ready.len(), self.newcomers.came),
            times(self.ready()),
            self.peers_dropped.to_string(),
            times(self.peer_pings),
            format!("{:.1} / {:.1} / {:.1}", self.before.memory_mib, self.peak.memory_mib, self.after.memory_mib),
            format!("{:.1}", self.queued_bytes / 1_048_576.0),
            format!("{:.0}", self.peak.files),
            format!("{:.0}", self.cpu_percent),
            format!("{:.0}", self.handshakes.under_way),
            format!("{:.0}", self.handshakes.gave_way),
        ]
    }
}

fn print(measured: &[HostileFigures]) {
    let columns = [
        left("attack"),
        right("opened/s"),
        right("newcomers served"),
        right("ready, ms"),
        right("peers lost"),
        right("peers' pings, ms"),
        right("memory, MiB"),
        right("queued, MiB"),
        right("files"),
        right("cpu %"),
        right("handshakes"),
        right("gave way"),
    ];
    let rows: Vec<_> = measured.iter().map(HostileFigures::row).collect();
    report::print_text(&table(&columns, &rows, None, str::to_owned));
    report::print_text(
        "Times: p50 / p99 / largest. Memory: before / most / after. Queued for peers, files and handshakes: the most. CPU: of one core.",
    );
}
