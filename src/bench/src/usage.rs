//! What a process costs, as the system counts it (Linux; elsewhere nothing is known).

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Processor time a process has used so far, user and system.
pub(super) fn cpu_time(pid: u32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; fields 14 and 15 of proc_pid_stat(5) count from before it.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / per_second.max(1))))
}

/// Memory a process holds now and held at most. Unit: MiB.
pub(super) fn memory_mib(pid: u32) -> Option<(f64, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib = line.split_whitespace().next()?.parse::<u64>().ok()?;
        Some(super::report::float(kib) / 1_024.0)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

/// Processor time that the calling thread has used so far.
pub(super) fn thread_cpu_time() -> Duration {
    of_clock(ClockId::ThreadCPUTime)
}

/// Processor time that all threads of this process have used so far.
pub(super) fn process_cpu_time() -> Duration {
    of_clock(ClockId::ProcessCPUTime)
}

fn of_clock(clock: ClockId) -> Duration {
    clock_gettime(clock).try_into().unwrap_or_default()
}
