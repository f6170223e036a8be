//! How soon nodes work: from their start to the first block, what they cost while nothing happens, and how soon one that was away for many
//! blocks votes again.

use super::light_load::{LightLoad, has_signed_since};
use super::report::{self, median, ms, rounded};
use super::{ask, usage, wait_for};
use anyhow::Context as _;
use clap::Args;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use timed_devnet::local_nodes::{NodeProcess, Nodes, Ports};
use timed_primitives::SecretKey;

/// Nodes: with four, one may be away.
const NODES: u64 = 4;
/// After the first block, before a node counts as idle.
const SETTLE: Duration = Duration::from_secs(2);
/// Payments per second while a node is away: enough for a block at any time.
const LOAD: f64 = 150.0;
/// Flags of `timed-bench start`.
#[derive(Clone, Debug, Args)]
pub(super) struct StartArgs {
    /// How often a network is started from nothing.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    repetitions: u16,
    /// How long idle nodes are watched, such as 10s or 1m.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    idle: Duration,
    /// Blocks that a node misses before it is started again.
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    missed_blocks: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(arguments: &StartArgs, program: &Path) -> anyhow::Result<()> {
    let measured = super::in_temporary_folder(|folder| measure(arguments, program, folder))?;
    match arguments.json {
        true => report::print_json(&measured.as_json(arguments)),
        false => measured.print(arguments),
    }
    Ok(())
}

fn measure(arguments: &StartArgs, program: &Path, folder: &Path) -> anyhow::Result<StartFigures> {
    let mut first_blocks = Vec::new();
    let mut network = None;
    for repetition in 0..arguments.repetitions {
        report::progress(format!("start {} of {} ...", repetition + 1, arguments.repetitions));
        drop(network.take());
        let nodes = Nodes::start(program, NODES, &folder.join(format!("start-{repetition}")), Ports::Free)?;
        let start = Instant::now();
        super::wait_for_height(&nodes, 1)?;
        first_blocks.push(ms(start.elapsed()));
        network = Some(nodes);
    }
    let mut nodes = network.context("nothing was started")?;
    report::progress("idle ...");
    std::thread::sleep(SETTLE);
    let idle = watch_idle(&nodes, arguments.idle)?;
    report::progress(format!("{} blocks without one node ...", arguments.missed_blocks));
    let back = come_back(&mut nodes, arguments.missed_blocks)?;
    Ok(StartFigures { first_blocks, idle, back })
}

/// Cost of one idle node.
struct IdleCost {
    memory_mib: f64,
    /// Of one core.
    cpu_percent: f64,
}

fn watch_idle(nodes: &Nodes, time: Duration) -> anyhow::Result<Vec<IdleCost>> {
    let all = || nodes.iter().map(|node| usage::cpu_time(node.pid()).context("processor time is not known here"));
    let before = all().collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    std::thread::sleep(time);
    let (after, elapsed) = (all().collect::<Result<Vec<_>, _>>()?, start.elapsed());
    let of_node = |(node, (before, after)): (&NodeProcess, (Duration, Duration))| {
        let (memory_mib, _) = usage::memory_mib(node.pid()).context("memory is not known here")?;
        let used = after.saturating_sub(before);
        Ok(IdleCost { memory_mib, cpu_percent: 100.0 * used.as_secs_f64() / elapsed.as_secs_f64().max(1e-9) })
    };
    nodes.iter().zip(before.into_iter().zip(after)).map(of_node).collect()
}

/// How a node came back, from the start of its process.
struct Back {
    missed: u64,
    /// Until it answered clients.
    answers: Duration,
    /// Until it had the height that the others had at that moment.
    caught_up: Duration,
    /// Until the others decided a block with its precommit.
    votes: Duration,
}

fn come_back(nodes: &mut Nodes, blocks: u32) -> anyhow::Result<Back> {
    let stays = nodes.first_running().context("no node runs")?.folder.clone();
    let height = || ask(&stays, "getblockcount", json!([])).ok().and_then(|height| height.as_u64()).unwrap_or_default();
    let last = nodes.iter_mut().last().context("no node runs")?;
    last.signal(Signal::TERM);
    let has_ended = |nodes: &mut Nodes| {
        nodes.notice_ends();
        nodes.iter().last().is_some_and(|node| node.ended.is_some())
    };
    wait_for("the end of the last node", || has_ended(nodes))?;
    let left_at = height();
    let _load = LightLoad::start(&stays, LOAD);
    wait_for("blocks of the others", || height() >= left_at + u64::from(blocks))?;
    let last = nodes.iter_mut().last().context("no node runs")?;
    let start = Instant::now();
    last.restart()?;
    let (folder, key) = (last.folder.clone(), SecretKey::development("consensus", last.id).public().to_string());
    let missed = height() - left_at;
    let mut own = None;
    let mut look = || {
        own = ask(&folder, "getblockcount", json!([])).ok().and_then(|height| height.as_u64());
        own
    };
    wait_for("an answer of the node", || look().is_some())?;
    let answers = start.elapsed();
    // At the tip is within a block: the others go on while it is asked.
    wait_for("the node at the tip", || look().is_some_and(|own| own + 1 >= height()))?;
    let (caught_up, at) = (start.elapsed(), height());
    wait_for("its vote", || has_signed_since(&stays, at, &key))?;
    Ok(Back { missed, answers, caught_up, votes: start.elapsed() })
}

/// What came out.
struct StartFigures {
    /// Unit: ms.
    first_blocks: Vec<f64>,
    idle: Vec<IdleCost>,
    back: Back,
}

impl StartFigures {
    fn first_block(&self) -> (f64, f64) {
        let most = self.first_blocks.iter().copied().fold(0.0, f64::max);
        (median(self.first_blocks.clone()), most)
    }

    fn as_json(&self, arguments: &StartArgs) -> Value {
        let (first, first_most) = self.first_block();
        let seconds = |time: Duration| rounded(time.as_secs_f64(), 3);
        json!({
            "benchmark": "start",
            "setting": report::setting(),
            "nodes": NODES,
            "first_block_ms": {
                "median": rounded(first, 1),
                "max": rounded(first_most, 1),
                "all": self.first_blocks.iter().map(|time| rounded(*time, 1)).collect::<Vec<_>>(),
            },
            "idle": {
                "seconds": arguments.idle.as_secs_f64(),
                "rss_mib_per_node": self.idle.iter().map(|node| rounded(node.memory_mib, 1)).collect::<Vec<_>>(),
                "cpu_percent_per_node": self.idle.iter().map(|node| rounded(node.cpu_percent, 2)).collect::<Vec<_>>(),
            },
            "restart": {
                "missed_blocks": self.back.missed,
                "answers_s": seconds(self.back.answers),
                "at_tip_s": seconds(self.back.caught_up),
                "votes_s": seconds(self.back.votes),
            },
        })
    }

    fn print(&self, arguments: &StartArgs) {
        let (first, first_most) = self.first_block();
        let most = |of: fn(&IdleCost) -> f64| self.idle.iter().map(of).fold(0.0, f64::max);
        let idle = format!("of the costliest of {NODES} nodes, over {} s", arguments.idle.as_secs_f64());
        let missed = format!("after {} blocks without it, from the start of its process", self.back.missed);
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        report::print_rows(&[
            ("first block after", format!("{first:.0} ms"), "median, from the start of the last node"),
            ("  at most", format!("{first_most:.0} ms"), ""),
            ("idle memory", format!("{:.1} MiB", most(|node| node.memory_mib)), &idle),
            ("idle processor time", format!("{:.2} %", most(|node| node.cpu_percent)), "of one core"),
            ("restarted node answers after", seconds(self.back.answers), &missed),
            ("  is at the tip after", seconds(self.back.caught_up), ""),
            ("  votes after", seconds(self.back.votes), "its precommit is in a block's certificate"),
        ]);
    }
}
