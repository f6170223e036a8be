//! `timed localnet`: a network of masternodes on this machine, each a process of this same program, watched live.

mod payments;
mod view;

use crate::local_nodes::{Nodes, Ports};
use crate::parse_duration;
use anyhow::Context as _;
use clap::Args;
use payments::PaymentSender;
use std::path::PathBuf;
use std::time::Duration;
use timed_ledger::Genesis;
use tokio::time::{Instant, MissedTickBehavior};
use view::{LocalnetView, NodeRow};

/// Time between two looks at the nodes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Flags of `timed localnet`.
#[derive(Clone, Debug, Args)]
pub struct LocalnetArgs {
    /// How many masternodes to run.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20))]
    pub nodes: u64,
    /// Payments to send in the background. Unit: payments per second.
    #[arg(long, default_value_t = 0.0, value_name = "R", value_parser = parse_rate)]
    pub tps: f64,
    /// End after this time, such as 60s or 10m; without it, run until Ctrl-C.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Folder for the nodes' data and logs [default: ~/.timed/devnet-GENESIS].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Runs the network until Ctrl-C, SIGTERM or the end of `--duration`.
///
/// # Errors
/// When the network cannot be started, or every node has ended by itself.
pub fn run(arguments: &LocalnetArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(watch(arguments))
}

fn folder(arguments: &LocalnetArgs) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &arguments.data_dir {
        return Ok(folder.clone());
    }
    let prefix = Genesis::devnet(arguments.nodes).hash().short();
    let root =
        timed_config::default_root().context("there is no home folder; say where to keep data with --data-dir DIR")?;
    Ok(root.join(format!("devnet-{prefix}")))
}

async fn watch(arguments: &LocalnetArgs) -> anyhow::Result<()> {
    let folder = folder(arguments)?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut nodes = Nodes::start(&program, arguments.nodes, &folder, Ports::Usual)?;
    let mut view = LocalnetView::new(&nodes);
    view.introduce(&nodes, &folder);
    let mut payments = PaymentSender::new(arguments.tps);
    let end = timed_process::signals::ended()?;
    tokio::pin!(end);
    let started = Instant::now();
    let deadline = arguments.duration.map(|duration| started + duration);
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let outcome = loop {
        tokio::select! {
            biased;
            () = &mut end => break Ok(()),
            () = sleep_until(deadline) => break Ok(()),
            () = payments.due() => payments.pay(&nodes),
            _ = look.tick() => {
                nodes.notice_ends();
                let rows = tokio::select! {
                    biased;
                    () = &mut end => break Ok(()),
                    rows = look_at(&nodes) => rows,
                };
                if rows.iter().any(|row| row.height.is_some()) {
                    payments.begin();
                }
                view.show(&rows, &payments);
                if nodes.all_ended() {
                    break Err(anyhow::anyhow!("every node has ended; their logs are in {}", folder.display()));
                }
            }
        }
    };
    let rows = look_at(&nodes).await;
    payments.settle().await;
    view.finish(&rows, &payments, started.elapsed(), &folder);
    nodes.stop().await;
    outcome
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Asks all nodes at once.
async fn look_at(nodes: &Nodes) -> Vec<NodeRow> {
    let asked: Vec<_> = nodes
        .iter()
        .map(|node| {
            let (id, folder, ended) = (node.id, node.folder.clone(), node.ended.clone());
            tokio::task::spawn_blocking(move || match ended {
                Some(why) => NodeRow::ended(id, &why),
                None => NodeRow::ask(id, &folder),
            })
        })
        .collect();
    let mut rows = Vec::with_capacity(asked.len());
    for (asked, node) in asked.into_iter().zip(nodes.iter()) {
        rows.push(asked.await.unwrap_or_else(|_| NodeRow::starting(node.id)));
    }
    rows
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("expected a number from 0 to 1000".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_not_negative() {
        assert!(parse_rate("-1").is_err());
    }
}
