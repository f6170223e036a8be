//! What waits behind block sync: votes and pings between two nodes over a slow link that sync fills. The nodes have real peer managers, peer
//! actors, TLS and TCP, each in a network namespace of its own; the link between them has the rate, delay and queue that are asked for.

mod end;
mod link;
mod relay;
mod world;

use super::peers::{like_a_node_that_has_seen_a_block, on_one_thread};
use super::report::{self, Percentiles, float, ms, rounded};
use anyhow::Context as _;
use clap::Args;
use end::{LanesPhase, NearFigures};
use link::{Quality, Queueing};
use relay::LinkRelay;
use serde_json::{Value, json};
use std::time::Duration;
use timed_actors::transport::CONGESTION_CONTROL;
use timed_peer::chunk_bytes;
use world::{EndProcess, LinkSide};

/// Beside two chunks, what may be added to a message's way. Unit: ms.
const ADDED_MS: f64 = 20.0;

/// Flags of `timed-bench lanes`.
#[derive(Clone, Debug, Args)]
pub(super) struct LanesArgs {
    /// Rates of the link. Unit: Mbit/s.
    #[arg(long, default_values_t = [1, 10, 100], value_delimiter = ',', value_name = "MBIT,...",
        value_parser = clap::value_parser!(u64).range(1..=1_000))]
    rates: Vec<u64>,
    /// Round trip of the idle link.
    #[arg(long, default_value = "20ms", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    round_trip: Duration,
    /// What the link does with more than it carries.
    #[arg(long, default_value = "codel")]
    queue: Queueing,
    /// The kernel's congestion control at both ends, such as bbr, instead of the node's choice.
    #[arg(long, value_name = "NAME")]
    congestion: Option<String>,
    /// How long the idle link is measured, at each rate.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    idle: Duration,
    /// How long the busy link is measured, at each rate.
    #[arg(long, default_value = "25s", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    time: Duration,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// This process is in a network namespace of its own already.
    #[arg(long, hide = true)]
    inside: bool,
}

/// Flags of one end.
#[derive(Clone, Debug, Args)]
pub(super) struct EndArgs {
    place: LinkSide,
    #[arg(long, value_parser = timed_devnet::parse_duration)]
    idle: Duration,
    #[arg(long, value_parser = timed_devnet::parse_duration)]
    time: Duration,
    #[arg(long)]
    congestion: Option<String>,
}

/// Measures and prints.
pub(super) fn run(arguments: &LanesArgs) -> anyhow::Result<()> {
    if !arguments.inside {
        return world::enter_and_run_again();
    }
    world::end_with_input()?;
    let mut measured = Vec::new();
    for rate in &arguments.rates {
        let busy = arguments.time.as_secs();
        report::progress(format!("a link of {rate} Mbit/s, busy for {busy} s ..."));
        measured.push(measure(*rate, arguments).with_context(|| format!("at {rate} Mbit/s"))?);
    }
    match arguments.json {
        true => report::print_json(&json!({
            "benchmark": "lanes",
            "setting": setting(),
            "round_trip_ms": ms(arguments.round_trip),
            "queue": arguments.queue.name(),
            "congestion": congestion(arguments),
            "links": measured.iter().map(LanesFigures::as_json).collect::<Vec<_>>(),
        })),
        false => measured.iter().for_each(LanesFigures::print),
    }
    Ok(())
}

/// The setting, with the command as it was given.
fn setting() -> Value {
    let mut setting = report::setting();
    if let Some(given) = setting["command"].as_str().and_then(|command| command.strip_suffix(" --inside")) {
        setting["command"] = given.to_owned().into();
    }
    setting
}

/// What decides how much is under way: what was asked for, or the node's choice.
fn congestion(arguments: &LanesArgs) -> String {
    arguments.congestion.clone().unwrap_or_else(|| CONGESTION_CONTROL.to_owned())
}

/// One end's whole life.
pub(super) fn run_end(arguments: &EndArgs) -> anyhow::Result<()> {
    world::set_up_end(arguments.place, arguments.congestion.as_deref())?;
    like_a_node_that_has_seen_a_block();
    on_one_thread(async {
        match arguments.place {
            LinkSide::Far => end::far().await,
            LinkSide::Near => {
                let near = end::near(arguments.idle, arguments.time).await?;
                println!("{}", serde_json::to_string(&near)?);
                Ok(())
            }
        }
    })
}

/// One rate.
struct LanesFigures {
    mbit: u64,
    quality: Quality,
    near: NearFigures,
    carried: u64,
    dropped: u64,
}

fn measure(mbit: u64, arguments: &LanesArgs) -> anyhow::Result<LanesFigures> {
    let quality = Quality { rate: mbit * 125_000, delay: arguments.round_trip / 2, queueing: arguments.queue };
    let mut flags = Vec::new();
    for (flag, time) in [("--idle", arguments.idle), ("--time", arguments.time)] {
        flags.extend([flag.to_owned(), format!("{}ms", time.as_millis())]);
    }
    if let Some(congestion) = &arguments.congestion {
        flags.extend(["--congestion".to_owned(), congestion.clone()]);
    }
    let (mut far, mut near) = (EndProcess::start(LinkSide::Far, &flags)?, EndProcess::start(LinkSide::Near, &flags)?);
    let relay = LinkRelay::start(quality)?;
    far.go()?;
    far.line()?;
    near.go()?;
    let near = serde_json::from_str(&near.line()?).context("the near end reports nonsense")?;
    let (carried, dropped) = relay.packets();
    Ok(LanesFigures { mbit, quality, near, carried, dropped })
}

/// What load adds to the middle of the idle link's times.
fn added(idle: &[f64], loaded: &[f64]) -> Percentiles {
    let base = report::median(idle.to_vec());
    Percentiles::of(loaded.iter().map(|time| time - base).collect())
}

impl LanesFigures {
    /// A chunk at this rate.
    fn chunk(&self) -> usize {
        chunk_bytes(self.quality.rate)
    }

    /// Most that load may add. Unit: ms.
    fn bound_ms(&self) -> f64 {
        2.0 * ms(self.quality.time_of(self.chunk())) + ADDED_MS
    }

    fn votes(&self) -> Percentiles {
        added(&self.near.idle.votes, &self.near.loaded.votes)
    }

    fn pings(&self) -> Percentiles {
        added(&self.near.idle.pings, &self.near.loaded.pings)
    }

    /// Blocks that arrived. Unit: Mbit/s.
    fn goodput(&self) -> f64 {
        self.near.bulk_rate * 8.0 / 1e6
    }

    fn as_json(&self) -> Value {
        let shown = |times: Percentiles| {
            let [p50, p99, max] = [times.p50, times.p99, times.max].map(|ms| rounded(ms, 1));
            json!({ "p50": p50, "p99": p99, "max": max })
        };
        let of = |phase: &LanesPhase| {
            json!({
                "votes_sent": phase.votes_sent,
                "votes_answered": phase.votes.len(),
                "votes_overtook": phase.votes_overtook,
                "pings_sent": phase.pings_sent,
                "pings_answered": phase.pings.len(),
                "vote_round_trip_p50_ms": rounded(report::median(phase.votes.clone()), 1),
                "ping_round_trip_p50_ms": rounded(report::median(phase.pings.clone()), 1),
            })
        };
        json!({
            "mbit_per_second": self.mbit,
            "chunk_bytes": self.chunk(),
            "bound_ms": rounded(self.bound_ms(), 1),
            "votes_added_ms": shown(self.votes()),
            "pings_added_ms": shown(self.pings()),
            "bulk_mbit_per_second": rounded(self.goodput(), 3),
            "bulk_share": rounded(self.goodput() / float(self.mbit), 3),
            "blocks": self.near.blocks,
            "sessions_lost": self.near.sessions_lost,
            "packets": { "carried": self.carried, "dropped": self.dropped },
            "idle": of(&self.near.idle),
            "loaded": of(&self.near.loaded),
        })
    }

    fn print(&self) {
        let rate = format!("{} Mbit/s", self.mbit);
        let added = |times: Percentiles| format!("{:.1} / {:.1} / {:.1} ms", times.p50, times.p99, times.max);
        let NearFigures { loaded, .. } = &self.near;
        let share = format!("{:.0} % of the link", 100.0 * self.goodput() / float(self.mbit));
        let bound = format!("p50 / p99 / largest; may be {:.1} ms", self.bound_ms());
        let pings_lost = loaded.pings_sent - loaded.pings.len() as u64;
        let votes_lost = loaded.votes_sent - loaded.votes.len() as u64;
        let sent = format!("of {} and {} sent", loaded.votes_sent, loaded.pings_sent);
        report::print_rows(&[
            (&rate, format!("{:.2} Mbit/s", self.goodput()), &share),
            ("  added to votes", added(self.votes()), &bound),
            ("  added to pings", added(self.pings()), ""),
            ("  votes and pings lost", format!("{votes_lost}, {pings_lost}"), &sent),
            ("  sessions lost", self.near.sessions_lost.to_string(), ""),
        ]);
    }
}
