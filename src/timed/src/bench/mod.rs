//! `timed bench`: how fast the node is, by commands that anybody can repeat.
#![allow(clippy::disallowed_methods, reason = "real time is what is measured")]

mod chain;
mod faults;
mod hostile;
mod idle_peers;
mod lanes;
mod light_load;
mod lone_node;
mod overload;
mod payments;
mod peers;
mod pretend_peer;
mod reconnect;
mod report;
mod start;
mod sync;
pub(crate) mod usage;
mod verify;

use crate::local_nodes::Nodes;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use payments::PaymentsArgs;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use timed_cli::{Failure, NodeConnection};

/// How long nodes may take to reach a height that they should reach at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two questions to a node that is not ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Flags of `timed bench`. Without a subcommand it measures payments.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    /// What to measure instead of payments.
    #[command(subcommand)]
    kind: Option<BenchKind>,
    /// How to measure payments.
    #[command(flatten)]
    payments: PaymentsArgs,
}

/// What else can be measured.
#[derive(Clone, Debug, Subcommand)]
enum BenchKind {
    /// What it costs to check signatures, transactions and blocks.
    #[command(after_help = "Example:\n  timed bench verify --json")]
    Verify(verify::VerifyArgs),
    /// What the nodes still finalise at multiples of the highest rate, what waiting and refusals cost, and how soon all is well again.
    #[command(after_help = "Example:\n  timed bench overload --factors 1,2,4,10 --time 60s --json")]
    Overload(overload::OverloadArgs),
    /// Messages between two nodes, by peer actors and by plain tasks over the same TLS and frames.
    #[command(after_help = "Example:\n  timed bench peers --repetitions 9 --json")]
    Peers(peers::PeersArgs),
    /// How fast a new node fetches a chain of full blocks.
    #[command(after_help = "Example:\n  timed bench sync --blocks 32 --json")]
    Sync(sync::SyncArgs),
    /// From the start of nodes to their first block, what they cost while idle, and how soon a node that was away votes again.
    #[command(after_help = "Example:\n  timed bench start --repetitions 5 --idle 30s --missed-blocks 1000 --json")]
    Start(start::StartArgs),
    /// Heights per second under a light load: healthy, with one node killed, with one frozen.
    #[command(after_help = "Example:\n  timed bench faults --time 20s --json")]
    Faults(faults::FaultsArgs),
    /// How soon a node that was killed is connected to all again, and how soon a frozen one is given up.
    #[command(after_help = "Example:\n  timed bench reconnect --rounds 100 --freezes 20 --json")]
    Reconnect(reconnect::ReconnectArgs),
    /// What peers cost that say nothing but pings: memory, processor, file descriptors, and how many are lost.
    #[command(after_help = "Example:\n  timed bench idle-peers --peers 1000 --time 10m --json")]
    IdlePeers(idle_peers::IdlePeersArgs),
    /// What attackers on the connection layer cost a node, and how long a newcomer waits meanwhile.
    #[command(after_help = "Example:\n  timed bench hostile --time 10s --json")]
    Hostile(hostile::HostileArgs),
    /// How long votes and pings wait on a slow link that block sync fills, and what is left of the link for blocks.
    #[command(after_help = "Example:\n  timed bench lanes --rates 1,10,100 --time 25s --json")]
    Lanes(lanes::LanesArgs),
    /// One end of `lanes`, in a network namespace of its own.
    #[command(hide = true)]
    LanesEnd(lanes::EndArgs),
}

/// Measures and prints.
///
/// # Errors
/// When something cannot be started or measured; a slow result is no error.
pub fn run(arguments: &BenchArgs) -> anyhow::Result<()> {
    match &arguments.kind {
        None => payments::run(&arguments.payments),
        Some(BenchKind::Verify(arguments)) => verify::run(arguments),
        Some(BenchKind::Overload(arguments)) => overload::run(arguments),
        Some(BenchKind::Peers(arguments)) => peers::run(arguments),
        Some(BenchKind::Sync(arguments)) => sync::run(arguments),
        Some(BenchKind::Start(arguments)) => start::run(arguments),
        Some(BenchKind::Faults(arguments)) => faults::run(arguments),
        Some(BenchKind::Reconnect(arguments)) => reconnect::run(arguments),
        Some(BenchKind::IdlePeers(arguments)) => idle_peers::run(arguments),
        Some(BenchKind::Hostile(arguments)) => hostile::run(arguments),
        Some(BenchKind::Lanes(arguments)) => lanes::run(arguments),
        Some(BenchKind::LanesEnd(arguments)) => lanes::run_end(arguments),
    }
}

/// Measures in a folder on a real disk, since memory in place of a disk would make every figure better than it is. The folder is removed
/// afterwards, or named when something failed, for its logs.
fn in_temporary_folder<T>(measure: impl FnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let root = timed_config::default_root().context("there is no home folder for temporary data")?;
    std::fs::create_dir_all(&root).with_context(|| format!("cannot make the folder {}", root.display()))?;
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&root);
    let folder = folder.with_context(|| format!("cannot make a folder in {}", root.display()))?;
    let outcome = measure(folder.path());
    if outcome.is_err() {
        eprintln!("timed: the nodes' logs are kept in {}", folder.keep().display());
    }
    outcome
}

/// Asks a node of this machine.
fn ask(folder: &Path, method: &str, params: Value) -> Result<Value, Failure> {
    NodeConnection::of_data_dir(folder)?.call(method, params)
}

/// Waits until every node that runs has decided a height.
fn wait_for_height(nodes: &Nodes, height: u64) -> anyhow::Result<()> {
    let start = Instant::now();
    for node in nodes.iter().filter(|node| node.ended.is_none()) {
        loop {
            let reached = ask(&node.folder, "getblockcount", json!([]));
            if reached.is_ok_and(|reached| reached.as_u64() >= Some(height)) {
                break;
            }
            anyhow::ensure!(
                start.elapsed() < PATIENCE,
                "node {} has not reached height {height} after {PATIENCE:?}",
                node.id
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Ok(())
}
