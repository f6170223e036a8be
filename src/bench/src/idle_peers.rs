//! One node with many peers that say nothing but pongs: what each costs, and whether any is lost.

use super::lone_node::LoneNode;
use super::peers::on_one_thread;
use super::pretend_peer::{PretendCounts, connect_many};
use super::report::{self, rounded};
use clap::Args;
use serde_json::{Value, json};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Flags of `timed-bench idle-peers`.
#[derive(Clone, Debug, Args)]
pub(super) struct IdlePeersArgs {
    /// How many.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    peers: u16,
    /// How long they stay, such as 10m.
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    time: Duration,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(arguments: &IdlePeersArgs, program: &Path) -> anyhow::Result<()> {
    let measured = super::in_temporary_folder(|folder| measure(arguments, program, folder))?;
    match arguments.json {
        true => report::print_json(&measured.as_json(arguments)),
        false => measured.print(),
    }
    Ok(())
}

/// What came out.
struct IdlePeersFigures {
    kib_per_peer: f64,
    cpu_percent: f64,
    files_per_peer: f64,
    pongs: u64,
    lost: u64,
}

fn measure(arguments: &IdlePeersArgs, program: &Path, folder: &Path) -> anyhow::Result<IdlePeersFigures> {
    let node = LoneNode::start(program, folder, vec![("TIMED__P2P__INBOUND_MAX", arguments.peers.to_string())], None)?;
    let before = node.usage()?;
    on_one_thread(async {
        let seen = Rc::new(PretendCounts::default());
        report::progress(format!("connecting {} peers ...", arguments.peers));
        connect_many(arguments.peers, node.port(), None, &seen).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        anyhow::ensure!(seen.ended.get() == 0, "the node did not take all of the peers");
        report::progress(format!("idle for {:?} ...", arguments.time));
        let (cpu, start, pongs) = (node.cpu()?, Instant::now(), seen.pongs.get());
        tokio::time::sleep(arguments.time).await;
        let (cpu, elapsed) = (node.cpu()?.saturating_sub(cpu), start.elapsed());
        let after = node.usage()?;
        let count = f64::from(arguments.peers);
        Ok(IdlePeersFigures {
            kib_per_peer: (after.memory_mib - before.memory_mib) * 1_024.0 / count,
            cpu_percent: 100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64(),
            files_per_peer: (after.files - before.files) / count,
            pongs: seen.pongs.get() - pongs,
            lost: seen.ended.get(),
        })
    })
}

impl IdlePeersFigures {
    fn as_json(&self, arguments: &IdlePeersArgs) -> Value {
        json!({
            "benchmark": "idle-peers",
            "setting": report::setting(),
            "peers": arguments.peers,
            "time_s": arguments.time.as_secs_f64(),
            "kib_per_peer": rounded(self.kib_per_peer, 1),
            "cpu_percent": rounded(self.cpu_percent, 2),
            "files_per_peer": rounded(self.files_per_peer, 3),
            "pongs": self.pongs,
            "lost": self.lost,
        })
    }

    fn print(&self) {
        report::print_rows(&[
            ("memory", format!("{:.1} KiB", self.kib_per_peer), "for each peer"),
            ("processor", format!("{:.2} %", self.cpu_percent), "of a core, for all"),
            ("open files", format!("{:.3}", self.files_per_peer), "for each peer"),
            ("pings answered", self.pongs.to_string(), ""),
            ("peers lost", self.lost.to_string(), ""),
        ]);
    }
}
