//! The flags of `timed simulate`.

use crate::trace::Print;
use crate::{CrashPoint, FaultSet, Latency, Machines, RunConfig};
use clap::Args;
use std::io::Write as _;
use std::time::Duration;

/// Flags of `timed simulate`.
#[derive(Clone, Debug, Args)]
pub struct SimulateArgs {
    /// How many nodes vote.
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub nodes: u64,
    /// How many more nodes only follow; they join late.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=50))]
    pub observers: u64,
    /// What everything follows: the same seed gives the same trace hash on every machine.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Play so many seeds, beginning with --seed; a line for each, and the report of the first that fails.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// Begin no new seed after so long. Unit: seconds of real time.
    #[arg(long = "for", value_name = "SECONDS")]
    pub for_seconds: Option<u64>,
    /// After a failure look so long for a shorter command that fails in the same way. Unit: seconds of real time.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub shrink: u64,
    /// How long. Unit: minutes of virtual time.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub minutes: u64,
    /// Payments per second.
    #[arg(long, default_value_t = 1, value_name = "TPS", value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub load: u64,
    /// Kinds of faults of which each seed draws some: all, none, or names with commas between.
    #[arg(long, default_value = "all", value_name = "LIST")]
    pub faults: FaultSet,
    /// Each seed draws all kinds of --faults, not some.
    #[arg(long)]
    pub exactly: bool,
    /// Masternodes stay who they are; else they come, pause, move and go.
    #[arg(long)]
    pub no_changes: bool,
    /// A fault comes only when the last one and its effects are over: then each kind has its own bound of how long payments take.
    #[arg(long)]
    pub alone: bool,
    /// Work takes so many times as long as on the processors that are drawn for the nodes; 0 for no time.
    #[arg(long, default_value_t = 1, value_name = "TIMES", value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub cost: u64,
    /// Where the nodes are: lan, world, none, or cities with commas between.
    #[arg(long, default_value = "world", value_name = "PLACES")]
    pub latency: Latency,
    /// Arrivals fall on multiples of it; a longer one is faster to play. Unit: milliseconds.
    #[arg(long, default_value_t = 1, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub tick: u64,
    /// Instead, crash one of four validators at every event of a short story, as a process and as a machine, and see it return. Of the other flags only
    /// --seed, --every, --point, --trace and --json count.
    #[arg(long)]
    pub kill_anywhere: bool,
    /// Play one of so many crash points.
    #[arg(long, default_value_t = 1, value_name = "N", requires = "kill_anywhere", value_parser = clap::value_parser!(u64).range(1..))]
    pub every: u64,
    /// Play this crash point: life/event/process or life/event/power, and perhaps /event of a second crash.
    #[arg(long, value_name = "POINT", requires = "kill_anywhere")]
    pub point: Option<CrashPoint>,
    /// Instead, play an incident of the past by its name: "list" shows all incidents with their scenarios, "all" plays every scenario. Of
    /// the other flags only --trace and --json count.
    #[arg(long, value_name = "NAME", conflicts_with = "kill_anywhere")]
    pub scenario: Option<String>,
    /// Instead, play the heartbeats alone of --nodes nodes that each dial four others, for so many days of virtual time, and count live peers
    /// dropped and dead ones kept. Of the other flags only --nodes, --seed and --json count.
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["kill_anywhere", "scenario"], value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub heartbeats: Option<u64>,
    /// Instead, offer --nodes validators so many times what they carry for a while, and see that what they carry goes on, that what is
    /// accepted becomes final soon, and that no round fails. Of the other flags only --seed, --cost (where 0 counts as 1), --trace and --json count.
    #[arg(long, value_name = "TIMES", conflicts_with_all = ["kill_anywhere", "scenario", "heartbeats"], value_parser = clap::value_parser!(u64).range(1..=20))]
    pub overload: Option<u64>,
    /// What they carry. Unit: payments per second.
    #[arg(long, default_value_t = 850, value_name = "RATE", requires = "overload", value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub carries: u64,
    /// How fast they are, compared with each other: alike, half (one at half speed), or drawn.
    #[arg(long, default_value = "alike", value_name = "KIND", requires = "overload")]
    pub machines: Machines,
    /// How long the load lasts. Unit: seconds of virtual time.
    #[arg(long, default_value_t = 30, value_name = "N", requires = "overload", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Print every event.
    #[arg(long)]
    pub trace: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

impl SimulateArgs {
    pub(super) fn config(&self, seed: u64) -> RunConfig {
        RunConfig {
            nodes: self.nodes,
            observers: self.observers,
            changes: !self.no_changes,
            seed,
            length: Duration::from_secs(self.minutes * 60),
            tps: self.load,
            faults: self.faults.clone(),
            exactly: self.exactly,
            alone: self.alone,
            cost: self.cost,
            latency: self.latency.clone(),
            tick: Duration::from_millis(self.tick),
            print: self.print(),
            ..RunConfig::new(seed)
        }
    }

    pub(super) fn print(&self) -> Option<Print> {
        // A reader that has seen enough (`| head`) is no error.
        self.trace.then(|| -> Print { Box::new(|line| drop(writeln!(std::io::stdout(), "{line}"))) })
    }
}
