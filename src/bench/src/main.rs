//! `timed-bench`: how fast the node is, by commands that anybody can repeat.
//!
//! Knows: how to start nodes as processes of the program `timed`, to load them, disturb them and attack them, and cores and actors that are
//! measured by themselves. Must not know: how the daemon is wired. Start reading at [`BenchKind`].
#![allow(clippy::disallowed_methods, reason = "real time is what is measured")]

mod chain;
mod events;
mod faults;
mod growth;
mod hostile;
mod idle_peers;
mod join;
mod lanes;
mod light_load;
mod lone_node;
mod masternodes;
mod overload;
mod payments;
mod peers;
mod pretend_peer;
mod reconnect;
mod report;
mod reward_blocks;
mod rpc_load;
mod start;
mod sync;
mod usage;
mod verify;
mod wallet;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use payments::PaymentsArgs;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use timed_cli::{Failure, NodeConnection};
use timed_devnet::local_nodes::Nodes;
use timed_process::last_words::{causes, say};

/// How long nodes may take to reach a height that they should reach at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest wait for the next event of a measurement.
const EVENT_PATIENCE: Duration = Duration::from_secs(120);
/// Time between two questions to a node that is not ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How fast the node is, by commands that anybody can repeat. Without a subcommand it measures payments.
#[derive(Debug, Parser)]
#[command(
    name = "timed-bench",
    version,
    max_term_width = 80,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  timed-bench --nodes 4 --tps 50 --duration 60s\n  timed-bench --tps max --json\n  timed-bench verify --json"
)]
struct BenchArgs {
    /// What to measure instead of payments.
    #[command(subcommand)]
    kind: Option<BenchKind>,
    /// How to measure payments.
    #[command(flatten)]
    payments: PaymentsArgs,
    /// The program `timed` whose nodes are measured [default: the one in the folder of this program].
    #[arg(long, global = true, value_name = "PATH")]
    timed: Option<PathBuf>,
}

/// What else can be measured.
#[derive(Clone, Debug, Subcommand)]
enum BenchKind {
    /// What it costs to check signatures, transactions and blocks.
    #[command(after_help = "Example:\n  timed-bench verify --json")]
    Verify(verify::VerifyArgs),
    /// What masternodes cost: sizes of proofs, processor time of payloads and roots.
    #[command(after_help = "Example:\n  timed-bench masternodes --json")]
    Masternodes(masternodes::MasternodesArgs),
    /// What the nodes still finalise at multiples of the highest rate, what waiting and refusals cost, and how soon all is well again.
    #[command(after_help = "Example:\n  timed-bench overload --factors 1,2,4,10 --time 60s --json")]
    Overload(overload::OverloadArgs),
    /// What reading clients get, and whether floods of them make payments final later.
    #[command(after_help = "Example:\n  timed-bench rpc-load --floods blocks,unread --repetitions 5 --json")]
    RpcLoad(rpc_load::RpcLoadArgs),
    /// How soon clients that follow by events hear of a final block.
    #[command(after_help = "Example:\n  timed-bench events --subscribers 1,100 --time 20s --json")]
    Events(events::EventsArgs),
    /// Messages between two nodes, by peer actors and by plain tasks over the same TLS and frames.
    #[command(after_help = "Example:\n  timed-bench peers --repetitions 9 --json")]
    Peers(peers::PeersArgs),
    /// How fast a new node fetches a chain of full blocks.
    #[command(after_help = "Example:\n  timed-bench sync --blocks 32 --json")]
    Sync(sync::SyncArgs),
    /// From the start of nodes to their first block, what they cost while idle, and how soon a node that was away votes again.
    #[command(after_help = "Example:\n  timed-bench start --repetitions 5 --idle 30s --missed-blocks 1000 --json")]
    Start(start::StartArgs),
    /// From the registration of a masternode to its first vote.
    #[command(after_help = "Example:\n  timed-bench join --newcomers 5 --json")]
    Join(join::JoinArgs),
    /// Heights per second under a light load: healthy, with one node killed, with one frozen.
    #[command(after_help = "Example:\n  timed-bench faults --time 20s --json")]
    Faults(faults::FaultsArgs),
    /// How costs grow: with the number of nodes, the size of blocks, and the length of the chain and the outputs on it.
    #[command(after_help = "Example:\n  timed-bench growth --nodes 4,16 --full-blocks 32 --json")]
    Growth(growth::GrowthArgs),
    /// How soon a node that was killed is connected to all again, and how soon a frozen one is given up.
    #[command(after_help = "Example:\n  timed-bench reconnect --rounds 100 --freezes 20 --json")]
    Reconnect(reconnect::ReconnectArgs),
    /// What peers cost that say nothing but pings: memory, processor, file descriptors, and how many are lost.
    #[command(after_help = "Example:\n  timed-bench idle-peers --peers 1000 --time 10m --json")]
    IdlePeers(idle_peers::IdlePeersArgs),
    /// What attackers on the connection layer cost a node, and how long a newcomer waits meanwhile.
    #[command(after_help = "Example:\n  timed-bench hostile --time 10s --json")]
    Hostile(hostile::HostileArgs),
    /// How long votes and pings wait on a slow link that block sync fills, and what is left of the link for blocks.
    #[command(after_help = "Example:\n  timed-bench lanes --rates 1,10,100 --time 25s --json")]
    Lanes(lanes::LanesArgs),
    /// What a wallet costs: the balance of many outputs, choosing among them, trying a passphrase.
    #[command(after_help = "Example:\n  timed-bench wallet --outputs 50000 --json")]
    Wallet(wallet::WalletArgs),
    /// One end of `lanes`, in a network namespace of its own.
    #[command(hide = true)]
    LanesEnd(lanes::EndArgs),
}

fn main() -> ExitCode {
    match run(&BenchArgs::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("timed-bench: {}", causes(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints.
///
/// # Errors
/// When something cannot be started or measured; a slow result is no error.
fn run(arguments: &BenchArgs) -> anyhow::Result<()> {
    let program = || arguments.program();
    match &arguments.kind {
        None => payments::run(&arguments.payments, &program()?),
        Some(BenchKind::Verify(arguments)) => verify::run(arguments),
        Some(BenchKind::Masternodes(arguments)) => masternodes::run(arguments),
        Some(BenchKind::Overload(arguments)) => overload::run(arguments, &program()?),
        Some(BenchKind::RpcLoad(arguments)) => rpc_load::run(arguments, &program()?),
        Some(BenchKind::Events(arguments)) => events::run(arguments, &program()?),
        Some(BenchKind::Peers(arguments)) => peers::run(arguments),
        Some(BenchKind::Sync(arguments)) => sync::run(arguments, &program()?),
        Some(BenchKind::Start(arguments)) => start::run(arguments, &program()?),
        Some(BenchKind::Join(arguments)) => join::run(arguments, &program()?),
        Some(BenchKind::Faults(arguments)) => faults::run(arguments, &program()?),
        Some(BenchKind::Growth(arguments)) => growth::run(arguments, &program()?),
        Some(BenchKind::Reconnect(arguments)) => reconnect::run(arguments, &program()?),
        Some(BenchKind::IdlePeers(arguments)) => idle_peers::run(arguments, &program()?),
        Some(BenchKind::Hostile(arguments)) => hostile::run(arguments, &program()?),
        Some(BenchKind::Lanes(arguments)) => lanes::run(arguments),
        Some(BenchKind::Wallet(arguments)) => wallet::run(arguments),
        Some(BenchKind::LanesEnd(arguments)) => lanes::run_end(arguments),
    }
}

impl BenchArgs {
    /// The daemon to measure.
    ///
    /// # Errors
    /// When there is none where it should be.
    fn program(&self) -> anyhow::Result<PathBuf> {
        let program = match &self.timed {
            Some(named) => named.clone(),
            None => std::env::current_exe().context("cannot find this program's own file")?.with_file_name("timed"),
        };
        anyhow::ensure!(
            program.is_file(),
            "there is no program {}: build it with `cargo build --release -p timed`, or name it with --timed PATH",
            program.display()
        );
        Ok(program)
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
        eprintln!("timed-bench: the nodes' logs are kept in {}", folder.keep().display());
    }
    outcome
}

/// Asks a node of this machine.
fn ask(folder: &Path, method: &str, params: Value) -> Result<Value, Failure> {
    NodeConnection::of_data_dir(folder)?.call(method, params)
}

/// Waits until something is so.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !is_so() {
        anyhow::ensure!(start.elapsed() < EVENT_PATIENCE, "waited {EVENT_PATIENCE:?} in vain for {what}");
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        BenchArgs::command().debug_assert();
    }

    #[test]
    fn all_help_fits_a_terminal_and_no_example_is_broken() {
        fn check(command: &mut clap::Command) -> usize {
            let [short, long] = [command.render_help(), command.render_long_help()].map(|text| text.to_string());
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in [short, long, examples].iter().flat_map(|text| text.lines()) {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
            1 + command.get_subcommands_mut().map(check).sum::<usize>()
        }
        let mut command = BenchArgs::command();
        command.build();
        assert!(check(&mut command) >= 12);
    }

    #[test]
    fn a_daemon_that_is_not_there_is_named_with_the_way_out() {
        let arguments = BenchArgs::try_parse_from(["timed-bench", "sync", "--timed", "/nowhere/timed"]).unwrap();
        let error = arguments.program().unwrap_err().to_string();
        assert!(error.contains("/nowhere/timed") && error.contains("--timed PATH"), "{error}");
    }
}
