//! Four nodes of which one is killed and started again, many times, and frozen: how soon it is connected to all others after its port is
//! open, and how soon the others give up the frozen one.

use super::report::{self, Percentiles, ms};
use anyhow::Context as _;
use clap::Args;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use timed_devnet::local_nodes::{NodeProcess, Nodes, Ports};

/// Nodes: with four, one may fail.
const NODES: u64 = 4;
/// Peers of each while all run.
const OTHERS: usize = 3;
/// Longest wait for the next event. A dead peer is given up after 15 s.
const PATIENCE: Duration = Duration::from_secs(60);
/// The node is down for so long before it is started again, in turn: others dial it rarer the longer it is gone.
const AWAY: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_millis(1_500), Duration::from_millis(4_000)];

/// Flags of `timed-bench reconnect`.
#[derive(Clone, Debug, Args)]
pub(super) struct ReconnectArgs {
    /// How often a node is killed and started again.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// How often a node is frozen; each takes some 20 s.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    freezes: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(arguments: &ReconnectArgs, program: &Path) -> anyhow::Result<()> {
    let measured = super::in_temporary_folder(|folder| measure(arguments, program, folder))?;
    match arguments.json {
        true => report::print_json(&measured.as_json(arguments)),
        false => measured.print(),
    }
    Ok(())
}

/// What came out. Unit: milliseconds.
struct ReconnectFigures {
    /// From the open port to the last of the others.
    connected: Percentiles,
    /// From the freeze to the last of the others.
    given_up: Percentiles,
}

fn measure(arguments: &ReconnectArgs, program: &Path, folder: &Path) -> anyhow::Result<ReconnectFigures> {
    let mut nodes = Nodes::start(program, NODES, folder, Ports::Free)?;
    super::wait_for_height(&nodes, 1)?;
    let folders: Vec<PathBuf> = nodes.iter().map(|node| node.folder.clone()).collect();
    let (_, others) = folders.split_last().context("no node runs")?;
    let last = nodes.iter_mut().last().context("no node runs")?;
    wait_for_peers(others, OTHERS)?;
    let (mut connected, mut given_up) = (Vec::new(), Vec::new());
    for (round, away) in (1..=arguments.rounds).zip(AWAY.into_iter().cycle()) {
        if round % 10 == 0 {
            report::progress(format!("killed {round} of {} times ...", arguments.rounds));
        }
        connected.push(ms(kill_and_return(last, others, away)?));
    }
    for freeze in 1..=arguments.freezes {
        report::progress(format!("frozen {freeze} of {} times ...", arguments.freezes));
        let start = Instant::now();
        last.signal(Signal::STOP);
        let taken = wait_for_peers(others, OTHERS - 1).map(|()| start.elapsed());
        last.signal(Signal::CONT);
        given_up.push(ms(taken?));
        wait_for_peers(others, OTHERS)?;
    }
    Ok(ReconnectFigures { connected: Percentiles::of(connected), given_up: Percentiles::of(given_up) })
}

fn kill_and_return(node: &mut NodeProcess, others: &[PathBuf], away: Duration) -> anyhow::Result<Duration> {
    node.kill();
    wait_for_peers(others, OTHERS - 1)?;
    std::thread::sleep(away);
    node.restart()?;
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, node.p2p_port)).is_err() {
        anyhow::ensure!(start.elapsed() < PATIENCE, "node {} does not listen after {PATIENCE:?}", node.id);
        std::thread::sleep(Duration::from_millis(1));
    }
    let open = Instant::now();
    wait_for_peers(others, OTHERS)?;
    Ok(open.elapsed())
}

/// Waits until each of these nodes has so many peers.
fn wait_for_peers(folders: &[PathBuf], count: usize) -> anyhow::Result<()> {
    let start = Instant::now();
    for folder in folders {
        loop {
            let found = super::ask(folder, "getpeerinfo", json!([]))?.as_array().map_or(0, Vec::len);
            if found == count {
                break;
            }
            let (folder, waited) = (folder.display(), start.elapsed());
            anyhow::ensure!(waited < PATIENCE, "{folder}: {found} peers and not {count} after {waited:?}");
            std::thread::sleep(super::LOOK_EVERY);
        }
    }
    Ok(())
}

impl ReconnectFigures {
    fn as_json(&self, arguments: &ReconnectArgs) -> Value {
        json!({
            "benchmark": "reconnect",
            "setting": report::setting(),
            "nodes": NODES,
            "rounds": arguments.rounds,
            "connected_after_port_is_open_ms": self.connected,
            "freezes": arguments.freezes,
            "frozen_given_up_ms": self.given_up,
        })
    }

    fn print(&self) {
        let row = |percentiles: &Percentiles| {
            format!("p50 {:.0} ms, p99 {:.0} ms, most {:.0} ms", percentiles.p50, percentiles.p99, percentiles.max)
        };
        report::print_rows(&[
            ("connected again", row(&self.connected), "after its port is open, to all three others"),
            ("frozen, given up", row(&self.given_up), "by all three others"),
        ]);
    }
}
