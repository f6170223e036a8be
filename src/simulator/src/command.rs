//! `timed simulate`: plays networks of real nodes in virtual time and says what came of it.

mod incidents;
mod overload;

use crate::crash_points;
use crate::heartbeats::HeartbeatConfig;
use crate::shrink::shrink;
use crate::trace::Print;
use crate::{CrashPoint, CrashReport, FaultSet, Latency, Machines, Report, RunConfig};
use anyhow::bail;
use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use std::io::{IsTerminal as _, Write as _};
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
    fn config(&self, seed: u64) -> RunConfig {
        RunConfig {
            nodes: self.nodes,
            observers: self.observers,
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

    fn print(&self) -> Option<Print> {
        // A reader that has seen enough (`| head`) is no error.
        self.trace.then(|| -> Print { Box::new(|line| drop(writeln!(std::io::stdout(), "{line}"))) })
    }
}

/// Plays the seeds in order, until one fails; or crash points, or scenarios.
///
/// # Errors
/// When the checker found something or a promise is not kept: the report is printed before.
pub fn run(arguments: &SimulateArgs) -> anyhow::Result<()> {
    if arguments.kill_anywhere {
        return kill_anywhere(arguments);
    }
    if let Some(name) = &arguments.scenario {
        return incidents::run(name, arguments);
    }
    if let Some(days) = arguments.heartbeats {
        return heartbeats(arguments, days);
    }
    if let Some(times) = arguments.overload {
        return overload::run(arguments, times);
    }
    let begun = now();
    let is_time_up = || arguments.for_seconds.is_some_and(|limit| begun.elapsed() >= Duration::from_secs(limit));
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.seeds) {
        if is_time_up() {
            println!("the time is up before seed {seed}");
            break;
        }
        let started = now();
        let cpu_before = process_cpu_time();
        let report = crate::run(arguments.config(seed));
        let wall = started.elapsed();
        if arguments.seeds > 1 && report.is_sound() {
            println!("{}", summary(seed, &report, wall));
            continue;
        }
        if arguments.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            let faster = report.virtual_ms / u64::try_from(wall.as_millis()).unwrap_or(u64::MAX).max(1);
            println!("{report}\nwall time     {:.1} s, {faster} times faster", wall.as_secs_f64());
            println!("cpu time      {}", cpu_line(&report, process_cpu_time().saturating_sub(cpu_before)));
        }
        if !report.is_sound() {
            let command = shortest(arguments, seed, &report);
            bail!("the checker found what must never be; repeat it with: {command}");
        }
    }
    Ok(())
}

fn heartbeats(arguments: &SimulateArgs, days: u64) -> anyhow::Result<()> {
    let started = now();
    let config = HeartbeatConfig {
        nodes: usize::try_from(arguments.nodes)?,
        length: Duration::from_secs(days * 86_400),
        seed: arguments.seed,
    };
    let shows_progress = std::io::stderr().is_terminal();
    let report = crate::heartbeats::run(config, |done, of| {
        if shows_progress {
            let _ = write!(std::io::stderr(), "\r{done} of {of} links");
        }
    });
    if shows_progress {
        eprintln!();
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}\nwall time     {:.1} s", started.elapsed().as_secs_f64());
    }
    if !report.is_sound() {
        bail!("a live peer was dropped or a dead one kept; repeat it with the same --heartbeats, --nodes and --seed");
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "how long the machine took is not part of the simulation")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Processor time that all threads of this process have used so far.
fn process_cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

/// The shortest command found that fails as this run did.
fn shortest(arguments: &SimulateArgs, seed: u64, report: &Report) -> String {
    let (begun, limit) = (now(), Duration::from_secs(arguments.shrink));
    let mut tries = 0;
    let found = shrink(&arguments.config(seed), report, |smallest| {
        if begun.elapsed() >= limit {
            return false;
        }
        tries += 1;
        // Who does not listen to progress is no error.
        let _ = writeln!(std::io::stderr(), "try {tries} to make it smaller: {smallest}");
        true
    });
    found.map_or_else(|| report.command.clone(), |found| found.command)
}

/// Plays the crash points.
fn kill_anywhere(arguments: &SimulateArgs) -> anyhow::Result<()> {
    if let Some(point) = arguments.point {
        let outcome = crash_points::with_crash(arguments.seed, point, arguments.print());
        println!("{outcome:#?}");
        anyhow::ensure!(outcome.is_sound(), "the checker found what must never be");
        return Ok(());
    }
    let report = crash_points::enumerate(arguments.seed, arguments.every, progress);
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    anyhow::ensure!(report.is_sound(), "the checker found what must never be; repeat it with: {}", report.command);
    Ok(())
}

/// One line that changes on a terminal, else a line every so often.
fn progress(report: &CrashReport) {
    const EVERY: u64 = 200;
    let mut stderr = std::io::stderr();
    let is_last = report.played == report.points;
    // Who does not listen to progress is no error.
    let _ = match stderr.is_terminal() {
        true => write!(stderr, "\r{}{}", report.progress(), if is_last { "\n" } else { "" }),
        false if report.played.is_multiple_of(EVERY) || is_last => writeln!(stderr, "{}", report.progress()),
        false => Ok(()),
    };
}

fn cpu_line(report: &Report, cpu: Duration) -> String {
    let seconds = cpu.as_secs_f64();
    let shares = u32::try_from(report.heights_of_all()).unwrap_or(u32::MAX);
    let share = (cpu / shares).as_secs_f64() * 1_000.0;
    let virtual_seconds = Duration::from_millis(report.virtual_ms).as_secs_f64();
    let faster = virtual_seconds / seconds.max(0.001);
    format!("{seconds:.1} s: {faster:.1} virtual seconds for each, {share:.3} ms for each height and node")
}

fn summary(seed: u64, report: &Report, wall: Duration) -> String {
    format!(
        "seed {seed}: height {}, {} payments, {} faults, {} heals within {} ms, {:.1} s, {}",
        report.heights.1,
        report.payments_final,
        report.faults.values().sum::<u64>(),
        report.heals,
        report.slowest_heal_ms,
        wall.as_secs_f64(),
        report.trace_hash
    )
}
