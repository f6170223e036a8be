//! `timed bench`: how fast the node is, by commands that anybody can repeat.
#![allow(clippy::disallowed_methods, reason = "real time is what is measured")]

mod payments;
mod report;
mod usage;

use crate::cli::Connection;
use crate::local_nodes::Nodes;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use payments::PaymentsArgs;
use serde_json::json;
use std::time::{Duration, Instant};
use tempfile::TempDir;

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
enum BenchKind {}

/// Measures and prints.
///
/// # Errors
/// When something cannot be started or measured; a slow result is no error.
pub fn run(arguments: &BenchArgs) -> anyhow::Result<()> {
    match &arguments.kind {
        None => payments::run(&arguments.payments),
        Some(kind) => match *kind {},
    }
}

/// A folder on a real disk, removed when dropped: memory in place of a disk would make every figure better than it is.
fn temporary_folder() -> anyhow::Result<TempDir> {
    let root = timed_config::default_root().context("there is no home folder for temporary data")?;
    std::fs::create_dir_all(&root).with_context(|| format!("cannot make the folder {}", root.display()))?;
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&root);
    folder.with_context(|| format!("cannot make a folder in {}", root.display()))
}

/// Waits until every node that runs has decided a height.
fn wait_for_height(nodes: &Nodes, height: u64) -> anyhow::Result<()> {
    let start = Instant::now();
    for node in nodes.iter().filter(|node| node.ended.is_none()) {
        loop {
            let reached = Connection::of_data_dir(&node.folder)
                .and_then(|mut connection| connection.call("getblockcount", json!([])));
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
