//! How fast a new node catches up: a chain of full blocks is made in a data folder, one node serves it and a fresh one fetches it, both
//! real processes on this machine.

use super::chain::{Made, VALIDATORS, make_chain};
use super::report::{self, float, rounded};
use super::{LOOK_EVERY, ask, usage};
use clap::Args;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use timed_devnet::local_nodes::{NodeProcess, Ports, Setup, choose};

/// Longest wait for the nodes, for each block beyond the start.
const PATIENCE_PER_BLOCK: Duration = Duration::from_secs(5);

/// Flags of `timed-bench sync`.
#[derive(Clone, Debug, Args)]
pub(super) struct SyncArgs {
    /// How many full blocks the chain has.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    blocks: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(arguments: &SyncArgs, program: &Path) -> anyhow::Result<()> {
    let measured = super::in_temporary_folder(|folder| measure(arguments, program, folder))?;
    match arguments.json {
        true => report::print_json(&measured.as_json()),
        false => measured.print(),
    }
    Ok(())
}

fn measure(arguments: &SyncArgs, program: &Path, folder: &Path) -> anyhow::Result<SyncFigures> {
    let (ports, _) = choose(Ports::Free, 2)?;
    let [serving, fresh] = ports[..] else { anyhow::bail!("this machine has no free ports on 127.0.0.1") };
    let validators = VALIDATORS;
    let serving = Setup {
        program,
        id: validators + 1,
        validators,
        folder,
        ports: serving,
        peers: vec![fresh.0],
        environment: Vec::new(),
    };
    let fresh = Setup {
        program,
        id: validators + 2,
        validators,
        folder,
        ports: fresh,
        peers: vec![serving.ports.0],
        environment: Vec::new(),
    };
    report::progress(format!("making {} full blocks ...", arguments.blocks));
    let made = make_chain(&serving.data(), arguments.blocks)?;
    let patience = PATIENCE_PER_BLOCK * (arguments.blocks + 2);
    let mut server = serving.start()?;
    wait_for_height(&mut server, made.blocks, patience)?;
    report::progress("fetching them ...");
    let server_before = usage::cpu_time(server.pid());
    let start = Instant::now();
    let mut client = fresh.start()?;
    let first = wait_for_height(&mut client, 1, patience)?;
    let last = wait_for_height(&mut client, made.blocks, patience)?;
    let cpu = |now: Option<Duration>, before: Option<Duration>| Some(now?.saturating_sub(before.unwrap_or_default()));
    let measured = SyncFigures {
        made,
        took: last.at.duration_since(start),
        until_first: first.at.duration_since(start),
        already_at_first: first.height,
        server_cpu: cpu(usage::cpu_time(server.pid()), server_before),
        client_cpu: usage::cpu_time(client.pid()),
        client_memory_mib: usage::memory_mib(client.pid()).map(|(_, most)| most),
    };
    for node in [&mut client, &mut server] {
        node.kill();
    }
    Ok(measured)
}

/// A height that a node has shown, and when.
struct Reached {
    at: Instant,
    height: u64,
}

fn wait_for_height(node: &mut NodeProcess, height: u64, patience: Duration) -> anyhow::Result<Reached> {
    let start = Instant::now();
    loop {
        let found = ask(&node.folder, "getblockcount", json!([])).ok().and_then(|found| found.as_u64());
        if let Some(found) = found.filter(|found| *found >= height) {
            return Ok(Reached { at: Instant::now(), height: found });
        }
        let waited = start.elapsed();
        anyhow::ensure!(waited < patience, "node {} has not reached height {height} after {waited:?}", node.id);
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What came out.
struct SyncFigures {
    made: Made,
    /// From the start of the fresh process until it had everything.
    took: Duration,
    /// From the start of the fresh process until its first block.
    until_first: Duration,
    already_at_first: u64,
    server_cpu: Option<Duration>,
    client_cpu: Option<Duration>,
    client_memory_mib: Option<f64>,
}

impl SyncFigures {
    fn per_second(&self, count: u64) -> f64 {
        float(count) / self.took.as_secs_f64().max(1e-9)
    }

    /// Without the start of the process, the dialling and the first request.
    fn steady_transactions_per_second(&self) -> Option<f64> {
        let blocks = self.made.blocks.checked_sub(self.already_at_first).filter(|blocks| *blocks > 0)?;
        let share = float(blocks) / float(self.made.blocks);
        let seconds = self.took.saturating_sub(self.until_first).as_secs_f64();
        Some(share * float(self.made.transactions) / seconds.max(1e-9))
    }

    fn as_json(&self) -> Value {
        let seconds = |time: Option<Duration>| time.map(|time| rounded(time.as_secs_f64(), 2));
        json!({
            "benchmark": "sync",
            "setting": report::setting(),
            "blocks": self.made.blocks,
            "transactions": self.made.transactions,
            "bytes": self.made.bytes,
            "seconds": rounded(self.took.as_secs_f64(), 3),
            "seconds_until_first_block": rounded(self.until_first.as_secs_f64(), 3),
            "transactions_per_second": rounded(self.per_second(self.made.transactions), 0),
            "transactions_per_second_after_first_block": self.steady_transactions_per_second().map(|rate| rounded(rate, 0)),
            "blocks_per_second": rounded(self.per_second(self.made.blocks), 2),
            "mib_per_second": rounded(self.per_second(self.made.bytes) / 1_048_576.0, 2),
            "server_cpu_s": seconds(self.server_cpu),
            "client_cpu_s": seconds(self.client_cpu),
            "client_memory_max_mib": self.client_memory_mib.map(|mib| rounded(mib, 1)),
        })
    }

    fn print(&self) {
        let seconds = |time: Option<Duration>| time.map_or("-".into(), |time| format!("{:.2} s", time.as_secs_f64()));
        let steady = self.steady_transactions_per_second().map_or("-".into(), |rate| format!("{rate:.0}"));
        let chain = format!("{} payments in {} blocks", self.made.transactions, self.made.blocks);
        report::print_rows(&[
            ("chain", chain, ""),
            ("caught up after", format!("{:.2} s", self.took.as_secs_f64()), "from the start of the fresh process"),
            ("  first block after", format!("{:.2} s", self.until_first.as_secs_f64()), ""),
            ("payments per second", format!("{:.0}", self.per_second(self.made.transactions)), ""),
            ("  after the first block", steady, ""),
            ("blocks per second", format!("{:.2}", self.per_second(self.made.blocks)), ""),
            ("MiB per second", format!("{:.2}", self.per_second(self.made.bytes) / 1_048_576.0), ""),
            ("processor time, serving", seconds(self.server_cpu), ""),
            ("  fetching", seconds(self.client_cpu), ""),
            ("memory at most, fetching", self.client_memory_mib.map_or("-".into(), |mib| format!("{mib:.0} MiB")), ""),
        ]);
    }
}
