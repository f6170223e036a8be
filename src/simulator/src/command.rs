//! `timed simulate`: plays networks of real nodes in virtual time and says what came of it.

mod arguments;
mod incidents;
mod machine;
mod overload;

pub use arguments::SimulateArgs;

use crate::crash_points;
use crate::heartbeats::HeartbeatConfig;
use crate::shrink::shrink;
use crate::{CrashReport, Report};
use anyhow::bail;
use machine::now;
use rustix::time::{ClockId, clock_gettime};
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

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
