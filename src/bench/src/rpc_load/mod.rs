//! Clients that only read: what they get from a node that is idle and from one under full load, and whether a flood of them makes payments
//! final later. Floods are compared with runs without one that alternate with them, so that a machine that others use too is the same for both.

mod figures;
mod flood;
mod network;
mod readers;

use super::lone_node::LoneNode;
use super::report;
use anyhow::Context as _;
use clap::{Args, ValueEnum as _};
use figures::{BlockFigures, FloodComparison, RpcLoadFigures, StateFigures};
use flood::{FloodKind, body};
use network::RpcNetwork;
use readers::{ReadPlan, Readers};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// After a flood, before the next run: what the node still answers shall not count there.
const REST: Duration = Duration::from_secs(2);
/// Height of the full block in a chain that is made with one.
const FULL_BLOCK: u64 = 2;
/// How often it is asked for by one client.
const BLOCK_READS: usize = 20;

/// Flags of `timed-bench rpc-load`.
#[derive(Clone, Debug, Args)]
pub(super) struct RpcLoadArgs {
    /// How many masternodes to run. The first of them is read from.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20))]
    nodes: u64,
    /// Clients that read, each with a connection.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=200))]
    connections: u16,
    /// How long each run takes, such as 10s.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    time: Duration,
    /// Payments per second while floods are compared.
    #[arg(long, default_value_t = 50.0, value_name = "R", value_parser = parse_rate)]
    rate: f64,
    /// Payments per second that count as full load.
    #[arg(long, default_value_t = 2_000.0, value_name = "R", value_parser = parse_rate)]
    full_rate: f64,
    /// What floods the node, each on its own.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME,...",
        default_values_t = FloodKind::value_variants().iter().copied())]
    floods: Vec<FloodKind>,
    /// Runs with each flood, and as many without.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    repetitions: u16,
    /// Outputs of the address that floods ask about.
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=190_000))]
    outputs: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Folder for the nodes' data and logs, kept afterwards [default: one below ~/.timed that is removed].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Highest rate of payments that can be asked for. Unit: payments per second.
const RATE_MAX: f64 = 20_000.0;

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (1.0..=RATE_MAX).contains(&rate) => Ok(rate),
        _ => Err(format!("expected a number from 1 to {RATE_MAX}")),
    }
}

/// Measures and prints.
pub(super) fn run(arguments: &RpcLoadArgs, program: &Path) -> anyhow::Result<()> {
    let measured = match &arguments.data_dir {
        Some(folder) => measure(arguments, program, folder)?,
        None => super::in_temporary_folder(|folder| measure(arguments, program, folder))?,
    };
    match arguments.json {
        true => report::print_json(&measured.as_json(arguments)),
        false => measured.print(),
    }
    Ok(())
}

fn measure(arguments: &RpcLoadArgs, program: &Path, folder: &Path) -> anyhow::Result<RpcLoadFigures> {
    report::progress("a full block ...");
    let block = full_block(program, &folder.join("lone"))?;
    let mut network = RpcNetwork::start(arguments, program, folder)?;
    let outcome = measure_all(arguments, &mut network, block);
    network.stop();
    outcome
}

fn measure_all(
    arguments: &RpcLoadArgs,
    network: &mut RpcNetwork,
    block: BlockFigures,
) -> anyhow::Result<RpcLoadFigures> {
    report::progress("idle ...");
    let idle = reads(arguments, network, |_| {
        sleep(arguments.time);
        Ok(())
    })?;
    report::progress(format!("at {} payments per second ...", arguments.full_rate));
    let full = reads(arguments, network, |network| {
        network.play(arguments.full_rate, arguments.time)?;
        Ok(())
    })?;
    let largest = network.largest_block()?;
    report::progress(format!("floods ask for a block of {} bytes", largest.bytes));
    let targets = network.targets(largest.height);
    let mut floods = Vec::new();
    for kind in &arguments.floods {
        let mut comparison = FloodComparison::new(*kind);
        for repetition in 0..arguments.repetitions {
            let without = network.play(arguments.rate, arguments.time)?;
            let plan = network.plan(kind.bodies(&targets), kind.connections(arguments.connections.into()));
            let readers = Readers::start(ReadPlan { is_unread: *kind == FloodKind::Unread, ..plan })?;
            let with = network.play(arguments.rate, arguments.time)?;
            let read = readers.stop();
            let (name, (before, after)) = (kind.name(), (without.others.p99, with.others.p99));
            report::progress(format!("{name} {}: finality p99 {before} ms without, {after} ms with", repetition + 1));
            comparison.add(without, with, read);
            sleep(REST);
        }
        floods.push(comparison);
    }
    Ok(RpcLoadFigures { idle, full, block, flood_block: largest, floods })
}

/// Rates of small calls while something goes on.
fn reads(
    arguments: &RpcLoadArgs,
    network: &mut RpcNetwork,
    mut meanwhile: impl FnMut(&mut RpcNetwork) -> anyhow::Result<()>,
) -> anyhow::Result<StateFigures> {
    let count = vec![body("getblockcount", &json!([]))];
    let outputs = network.pile.iter().map(|(txid, index)| body("gettxout", &json!([txid, index]))).collect();
    let mut measured = Vec::new();
    for (method, bodies) in [("getblockcount", count), ("gettxout", outputs)] {
        let readers = Readers::start(network.plan(bodies, arguments.connections.into()))?;
        meanwhile(network)?;
        measured.push((method, readers.stop()));
        sleep(REST);
    }
    Ok(StateFigures(measured))
}

/// A full block of ordinary payments, as one client reads it from a node that has nothing else to do.
fn full_block(program: &Path, folder: &Path) -> anyhow::Result<BlockFigures> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let node = LoneNode::start(program, folder, Vec::new(), Some(1))?;
    let block = network::BlockSize::read(node.folder(), FULL_BLOCK)?;
    let (cookie, address) = timed_rpc::read_cookie(node.folder()).context("the node has no cookie")?;
    let bodies = [body("getblock", &json!([FULL_BLOCK, 2]))].into();
    let plan = ReadPlan { address, authorization: cookie.header(), bodies, connections: 1, is_unread: false };
    let readers = Readers::start(plan)?;
    let (start, patience) = (Instant::now(), Duration::from_secs(30));
    while readers.answered() < BLOCK_READS {
        anyhow::ensure!(start.elapsed() < patience, "the block was not answered {BLOCK_READS} times in {patience:?}");
        sleep(super::LOOK_EVERY);
    }
    Ok(BlockFigures { block, times: readers.stop().times() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_within_bounds() {
        assert_eq!(parse_rate("2500"), Ok(2_500.0));
        for bad in ["0", "-1", "nan", "1e9", "fast"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }
}
