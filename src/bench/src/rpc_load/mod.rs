//! Clients that only read: what they get from a node that is idle and from one under full load, and whether a flood of them makes payments
//! final later. Floods are compared with runs without one that alternate with them, so that a machine that others use too is the same for both.

mod arguments;
mod figures;
mod flood;
mod network;
mod read_block;
mod readers;

use super::lone_node::LoneNode;
use super::report;
use anyhow::Context as _;
pub(super) use arguments::RpcLoadArgs;
use figures::{BlockFigures, FloodComparison, RpcLoadFigures, StateFigures};
use flood::{FloodKind, body};
pub(super) use network::RpcNetwork;
use read_block::ReadBlock;
use readers::{ReadPlan, RpcReaders};
use serde_json::json;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use timed_cli::NodeConnection;

/// After a flood, before the next run: what the node still answers shall not count there.
const REST: Duration = Duration::from_secs(2);
/// Height of the full block in a chain that is made with one.
const FULL_BLOCK: u64 = 2;
/// How often it is asked for by one client.
const BLOCK_READS: usize = 20;

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
            let readers = RpcReaders::start(ReadPlan { is_unread: *kind == FloodKind::Unread, ..plan })?;
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
        let readers = RpcReaders::start(network.plan(bodies, arguments.connections.into()))?;
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
    let block = ReadBlock::ask(&mut NodeConnection::of_data_dir(node.folder())?, FULL_BLOCK)?;
    let (cookie, address) = timed_rpc::read_cookie(node.folder()).context("the node has no cookie")?;
    let bodies = [body("getblock", &json!([FULL_BLOCK, 2]))].into();
    let plan = ReadPlan { address, authorization: cookie.header(), bodies, connections: 1, is_unread: false };
    let readers = RpcReaders::start(plan)?;
    let (start, patience) = (Instant::now(), Duration::from_secs(30));
    while readers.answered() < BLOCK_READS {
        anyhow::ensure!(start.elapsed() < patience, "the block was not answered {BLOCK_READS} times in {patience:?}");
        sleep(super::LOOK_EVERY);
    }
    Ok(BlockFigures { block, times: readers.stop().times() })
}
