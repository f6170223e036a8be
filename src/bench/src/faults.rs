//! Four nodes under a light load: how many heights they decide per second, healthy, with one node killed and with one frozen.

use super::light_load::{LightLoad, SeenHeight, first_after, heights_per_second, longest_gap};
use super::report::{self, float, ms, rounded};
use anyhow::Context as _;
use clap::Args;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use timed_devnet::local_nodes::{Nodes, Ports};

/// Nodes: with four, one may fail.
const NODES: u64 = 4;
/// Longest wait for the next event.
const PATIENCE: Duration = Duration::from_secs(60);

/// Flags of `timed-bench faults`.
#[derive(Clone, Debug, Args)]
pub(super) struct FaultsArgs {
    /// How long each of the three phases is measured, such as 8s.
    #[arg(long, default_value = "8s", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    time: Duration,
    /// Payments per second.
    #[arg(long, default_value_t = 100, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    tps: u32,
    /// Heights before the first phase and after the return of the killed node: time-outs follow what was measured.
    #[arg(long, default_value_t = 120, value_name = "N")]
    warm_up_heights: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(arguments: &FaultsArgs, program: &Path) -> anyhow::Result<()> {
    let measured = super::in_temporary_folder(|folder| measure(arguments, program, folder))?;
    match arguments.json {
        true => report::print_json(&measured.as_json(arguments)),
        false => measured.print(),
    }
    Ok(())
}

fn measure(arguments: &FaultsArgs, program: &Path, folder: &Path) -> anyhow::Result<FaultFigures> {
    let mut nodes = Nodes::start(program, NODES, folder, Ports::Free)?;
    super::wait_for_height(&nodes, 1)?;
    let first = nodes.first_running().context("no node runs")?.folder.clone();
    let load = LightLoad::start(&first, arguments.tps.into());
    report::progress("warming up ...");
    wait_for_seen(&load, arguments.warm_up_heights.into())?;
    report::progress("healthy ...");
    let accepted = load.accepted();
    let healthy = phase(&load, arguments.time);
    let paid = float(load.accepted() - accepted) / arguments.time.as_secs_f64();

    report::progress("one node killed ...");
    let last = nodes.iter_mut().last().context("no node runs")?;
    last.kill();
    let killed = phase(&load, arguments.time);
    last.restart()?;
    super::wait_for_height(&nodes, height(&load))?;
    let again = height(&load) + u64::from(arguments.warm_up_heights);
    wait_for_seen(&load, again)?;

    report::progress("one node frozen ...");
    let last = nodes.iter_mut().last().context("no node runs")?;
    last.signal(Signal::STOP);
    let frozen = phase(&load, arguments.time);
    last.signal(Signal::CONT);
    drop(load);
    Ok(FaultFigures { healthy, killed, frozen, paid })
}

fn height(load: &LightLoad) -> u64 {
    load.seen().last().map_or(0, |seen| seen.height)
}

fn wait_for_seen(load: &LightLoad, wanted: u64) -> anyhow::Result<()> {
    let start = Instant::now();
    while height(load) < wanted {
        let (height, waited) = (height(load), start.elapsed());
        anyhow::ensure!(waited < PATIENCE, "the nodes are at height {height} and not at {wanted} after {waited:?}");
        std::thread::sleep(super::LOOK_EVERY);
    }
    Ok(())
}

/// What was seen in one phase.
struct FaultsPhase {
    heights_per_second: f64,
    first_block: Option<Duration>,
    longest_gap: Duration,
    /// In its second half: when a fault has been got used to.
    settled_per_second: f64,
}

fn phase(load: &LightLoad, time: Duration) -> FaultsPhase {
    let from = Instant::now();
    std::thread::sleep(time);
    let (to, seen): (_, Vec<SeenHeight>) = (Instant::now(), load.seen());
    FaultsPhase {
        heights_per_second: heights_per_second(&seen, from, to),
        first_block: first_after(&seen, from),
        longest_gap: longest_gap(&seen, from, to),
        settled_per_second: heights_per_second(&seen, from + time / 2, to),
    }
}

/// What came out.
struct FaultFigures {
    healthy: FaultsPhase,
    killed: FaultsPhase,
    frozen: FaultsPhase,
    /// Payments accepted per second while healthy.
    paid: f64,
}

impl FaultFigures {
    fn ratio(&self, phase: &FaultsPhase) -> f64 {
        phase.heights_per_second / self.healthy.heights_per_second.max(1e-9)
    }

    fn as_json(&self, arguments: &FaultsArgs) -> Value {
        let fields = |phase: &FaultsPhase| {
            json!({
                "heights_per_s": rounded(phase.heights_per_second, 2),
                "settled_heights_per_s": rounded(phase.settled_per_second, 2),
                "ratio_to_healthy": rounded(self.ratio(phase), 3),
                "first_block_ms": phase.first_block.map(|time| rounded(ms(time), 1)),
                "longest_gap_ms": rounded(ms(phase.longest_gap), 1),
            })
        };
        json!({
            "benchmark": "faults",
            "setting": report::setting(),
            "nodes": NODES,
            "tps": arguments.tps,
            "accepted_tps": rounded(self.paid, 1),
            "phase_s": arguments.time.as_secs_f64(),
            "healthy": fields(&self.healthy),
            "killed": fields(&self.killed),
            "frozen": fields(&self.frozen),
        })
    }

    fn print(&self) {
        let mut rows = Vec::new();
        for (name, phase) in [("healthy", &self.healthy), ("one killed", &self.killed), ("one frozen", &self.frozen)] {
            let first = phase.first_block.map_or("never".into(), |time| format!("{:.0} ms", ms(time)));
            let remark = format!(
                "{:.0} % of healthy, {:.1} in the second half",
                100.0 * self.ratio(phase),
                phase.settled_per_second
            );
            rows.push((name, format!("{:.1} heights/s", phase.heights_per_second), remark));
            rows.push(("  first block after", first, String::new()));
            rows.push(("  longest gap", format!("{:.0} ms", ms(phase.longest_gap)), String::new()));
        }
        let rows: Vec<_> = rows.iter().map(|(name, value, remark)| (*name, value.clone(), &remark[..])).collect();
        report::print_rows(&rows);
    }
}
