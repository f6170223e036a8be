//! How costs grow: with the number of nodes, with the size of blocks, with the length of the chain and the outputs on it.

use super::chain::{BlockCost, ChainMaker, VALIDATORS};
use super::payments::costs_at;
use super::report::{self, float, median, rounded};
use super::{LOOK_EVERY, ask, usage};
use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use timed_chain::tables_of;
use timed_devnet::local_nodes::{Ports, Setup, choose};
use timed_ledger::PaymentApplication;
use timed_store::DataDir;

/// How long a node may take to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// Full blocks below those that are measured by their size.
const BLOCKS_BELOW: u64 = 4;

/// Flags of `timed-bench growth`.
#[derive(Clone, Debug, Args)]
pub(super) struct GrowthArgs {
    /// Networks of so many nodes.
    #[arg(long, default_value = "4,7,10,16", value_name = "N,..", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=20))]
    nodes: Vec<u64>,
    /// Payments per second for what a height costs: few, so that each has a block of its own.
    #[arg(long, default_value_t = 20, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    light: u32,
    /// Payments per second for what a payment costs: many, so that a block has many.
    #[arg(long, default_value_t = 500, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    load: u32,
    /// How long each of these is sent, such as 10s.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    time: Duration,
    /// Blocks of so many percent of the largest size.
    #[arg(long, default_value = "1,10,50,100", value_name = "P,..", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=100))]
    fills: Vec<u64>,
    /// Chains of so many full blocks, each with as many new outputs as it has payments.
    #[arg(long, default_value = "4,32,128", value_name = "N,..", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=2_000))]
    full_blocks: Vec<u64>,
    /// Chains of so many empty blocks, which are long without outputs.
    #[arg(long, default_value = "1000,10000", value_name = "N,..", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    empty_blocks: Vec<u64>,
    /// How often blocks are measured; the median is shown.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    repetitions: u16,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(arguments: &GrowthArgs, program: &Path) -> anyhow::Result<()> {
    let figures = GrowthFigures {
        networks: arguments.nodes.iter().map(|nodes| network(arguments, program, *nodes)).collect::<Result<_, _>>()?,
        sizes: super::in_temporary_folder(|folder| sizes(arguments, folder))?,
        chains: chains(arguments, program)?,
    };
    match arguments.json {
        true => report::print_json(&figures.as_json(arguments)),
        false => figures.print(),
    }
    Ok(())
}

/// What a network of so many nodes costs each of them.
struct NetworkCost {
    nodes: u64,
    /// Processor time per height and node under the light load. Unit: ms.
    height: f64,
    /// Finality under the light load. Unit: ms.
    p50: f64,
    p99: f64,
    /// Processor time per payment and node under the load, in signature checks.
    payment: f64,
    /// Payments made final per second under the load.
    achieved: f64,
}

fn network(arguments: &GrowthArgs, program: &Path, nodes: u64) -> anyhow::Result<NetworkCost> {
    report::progress(format!("{nodes} nodes ..."));
    let rates = [f64::from(arguments.light), f64::from(arguments.load)];
    let [light, load] = super::in_temporary_folder(|folder| costs_at(program, folder, nodes, rates, arguments.time))?;
    Ok(NetworkCost {
        nodes,
        height: light.height_ms,
        p50: light.p50_ms,
        p99: light.p99_ms,
        payment: load.payment_checks,
        achieved: load.achieved,
    })
}

/// What a block of so many payments costs.
struct SizeCost {
    payments: usize,
    cost: BlockCost,
}

fn sizes(arguments: &GrowthArgs, folder: &Path) -> anyhow::Result<Vec<SizeCost>> {
    report::progress("blocks by their size ...");
    let mut maker = maker(folder)?;
    for _ in 0..BLOCKS_BELOW {
        maker.full_block()?;
    }
    let mut found = Vec::new();
    for fill in &arguments.fills {
        let payments = (maker.payments_max() * usize::try_from(*fill)?).div_ceil(100);
        found.push(SizeCost { payments, cost: block_cost(&mut maker, payments, arguments.repetitions)? });
    }
    Ok(found)
}

/// A chain in a data folder, to be made.
fn maker(folder: &Path) -> anyhow::Result<ChainMaker> {
    let data = DataDir::open(folder, ChainMaker::genesis().hash())?;
    ChainMaker::start(&data.disk(), Arc::new(data.open_store(&tables_of::<PaymentApplication>())?))
}

/// Medians over some next blocks of a chain.
fn block_cost(maker: &mut ChainMaker, payments: usize, repetitions: u16) -> anyhow::Result<BlockCost> {
    let all = (0..repetitions).map(|_| maker.next_block_cost(payments)).collect::<Result<Vec<_>, _>>()?;
    let of = |field: fn(&BlockCost) -> f64| median(all.iter().map(field).collect());
    Ok(BlockCost { validate: of(|cost| cost.validate), commit: of(|cost| cost.commit), store: of(|cost| cost.store) })
}

/// What a chain costs.
struct ChainCost {
    blocks: u64,
    outputs: u64,
    log_mib: f64,
    /// What a full block on top of it costs.
    cost: BlockCost,
    /// From the start of a node's process until it answers. Unit: seconds.
    start: f64,
    memory_mib: f64,
}

fn chains(arguments: &GrowthArgs, program: &Path) -> anyhow::Result<Vec<ChainCost>> {
    let full = arguments.full_blocks.iter().map(|full| (*full, 0));
    let empty = arguments.empty_blocks.iter().map(|empty| (0, *empty));
    let one = |(full, empty)| super::in_temporary_folder(|folder| chain(arguments, program, folder, full, empty));
    full.chain(empty).map(one).collect()
}

fn chain(arguments: &GrowthArgs, program: &Path, folder: &Path, full: u64, empty: u64) -> anyhow::Result<ChainCost> {
    report::progress(format!("a chain of {full} full and {empty} empty blocks ..."));
    let (ports, _) = choose(Ports::Free, 1)?;
    let ports = *ports.first().context("this machine has no free ports on 127.0.0.1")?;
    let (id, environment) = (VALIDATORS + 1, Vec::new());
    let setup = Setup { program, id, validators: VALIDATORS, folder, ports, peers: Vec::new(), environment };
    let mut maker = maker(&setup.data())?;
    for _ in 0..full {
        maker.full_block()?;
    }
    for _ in 0..empty {
        maker.empty_block()?;
    }
    let payments = maker.payments_max();
    let cost = block_cost(&mut maker, payments, arguments.repetitions)?;
    let (blocks, outputs, log_bytes) = maker.size();
    maker.finish()?;
    let start = Instant::now();
    let mut node = setup.start()?;
    while ask(&node.folder, "getblockcount", json!([])).is_err() {
        anyhow::ensure!(start.elapsed() < PATIENCE, "a node with {blocks} blocks does not answer after {PATIENCE:?}");
        std::thread::sleep(LOOK_EVERY);
    }
    let (start, memory) = (start.elapsed().as_secs_f64(), usage::memory_mib(node.pid()));
    node.kill();
    let log_mib = float(log_bytes) / 1_048_576.0;
    Ok(ChainCost { blocks, outputs, log_mib, cost, start, memory_mib: memory.map_or(0.0, |(now, _)| now) })
}

/// What came out.
struct GrowthFigures {
    networks: Vec<NetworkCost>,
    sizes: Vec<SizeCost>,
    chains: Vec<ChainCost>,
}

impl GrowthFigures {
    fn as_json(&self, arguments: &GrowthArgs) -> Value {
        let block = |cost: &BlockCost| {
            json!({
                "validate_known_ms": rounded(1e3 * cost.validate, 3),
                "commit_ms": rounded(1e3 * cost.commit, 3),
                "store_ms": rounded(1e3 * cost.store, 3),
            })
        };
        let network = |one: &NetworkCost| {
            json!({
                "nodes": one.nodes,
                "height_ms": rounded(one.height, 3),
                "finality_ms": { "p50": rounded(one.p50, 2), "p99": rounded(one.p99, 2) },
                "payment_signature_checks": rounded(one.payment, 2),
                "achieved_tps": rounded(one.achieved, 1),
            })
        };
        let chain = |one: &ChainCost| {
            json!({
                "blocks": one.blocks,
                "outputs": one.outputs,
                "log_mib": rounded(one.log_mib, 1),
                "full_block": block(&one.cost),
                "start_s": rounded(one.start, 3),
                "rss_mib": rounded(one.memory_mib, 1),
            })
        };
        json!({
            "benchmark": "growth",
            "setting": report::setting(),
            "light_tps": arguments.light,
            "load_tps": arguments.load,
            "seconds": arguments.time.as_secs_f64(),
            "repetitions": arguments.repetitions,
            "by_nodes": self.networks.iter().map(network).collect::<Vec<_>>(),
            "by_payments": self.sizes.iter().map(|one| json!({ "payments": one.payments, "block": block(&one.cost) })).collect::<Vec<_>>(),
            "by_chain": self.chains.iter().map(chain).collect::<Vec<_>>(),
        })
    }

    fn print(&self) {
        let ms = |seconds: f64| format!("{:.2}", 1e3 * seconds);
        let block = |cost: &BlockCost| [ms(cost.validate), ms(cost.commit), ms(cost.store)];
        let networks = self.networks.iter().map(|one| {
            let cells = [one.height, one.p50, one.p99, one.payment].map(|value| format!("{value:.2}"));
            [vec![one.nodes.to_string()], cells.to_vec(), vec![format!("{:.0}", one.achieved)]].concat()
        });
        let sizes = self.sizes.iter().map(|one| [vec![one.payments.to_string()], block(&one.cost).to_vec()].concat());
        let chains = self.chains.iter().map(|one| {
            let sizes = vec![one.blocks.to_string(), one.outputs.to_string(), format!("{:.0}", one.log_mib)];
            let start = vec![format!("{:.2}", one.start), format!("{:.0}", one.memory_mib)];
            [sizes, block(&one.cost).to_vec(), start].concat()
        });
        report::print_text(&table(
            "By nodes: processor time per height and node, finality (light load); signature checks per payment and node (load)",
            &["nodes", "height ms", "p50 ms", "p99 ms", "checks", "final/s"],
            networks,
        ));
        let costs = ["validate ms", "commit ms", "store ms"];
        report::print_text(&table(
            "By size of a block whose transactions are known: processor time to validate, time to commit and to bring to the store",
            &[&["payments"], &costs[..]].concat(),
            sizes,
        ));
        report::print_text(&table(
            "By chain: the same for a full block on top of it, and a start",
            &[&["blocks", "outputs", "log MiB"], &costs[..], &["start s", "MiB"]].concat(),
            chains,
        ));
    }
}

/// A title and right-aligned columns.
fn table(title: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let heads = heads.iter().map(ToString::to_string).collect();
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:>width$}", width = width(column)));
        cells.collect::<Vec<_>>().join("  ")
    };
    let lines: Vec<String> = rows.iter().map(line).collect();
    format!("{title}\n{}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["4", "1.25"], ["16", "10.50"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(
            table("By nodes", &["nodes", "ms"], rows.into_iter()),
            "By nodes\nnodes     ms\n    4   1.25\n   16  10.50\n"
        );
    }
}
