//! One process on half a core: what a quota of a control group does, without the right to make one. In each period of 100 ms the process may
//! use 50 ms of processor time; then it is stopped until the period ends.

use rustix::process::{Pid, Signal, kill_process};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// As the quota of Linux' scheduler.
const PERIOD: Duration = Duration::from_millis(100);
/// Processor time in each period.
const QUOTA: Duration = Duration::from_millis(50);
/// Time between two looks at what was used.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Holds a process back until it is dropped.
pub(super) struct HalfCore {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HalfCore {
    pub(super) fn of(pid: u32) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let ended = is_over.clone();
        let thread = std::thread::spawn(move || hold(pid, &ended));
        Self { is_over, thread: Some(thread) }
    }
}

impl Drop for HalfCore {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of it has been shown.
            let _ = thread.join();
        }
    }
}

fn hold(pid: u32, is_over: &AtomicBool) {
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    while !is_over.load(Ordering::Acquire) {
        let (start, before) = (Instant::now(), used(pid));
        while start.elapsed() < PERIOD {
            std::thread::sleep(LOOK_EVERY);
            if used(pid).saturating_sub(before) > QUOTA {
                // Fails only when the process has just ended.
                let _ = kill_process(process, Signal::STOP);
                std::thread::sleep(PERIOD.saturating_sub(start.elapsed()));
                let _ = kill_process(process, Signal::CONT);
            }
        }
    }
}

/// Processor time of all threads, to the nanosecond: the ticks of `stat` are too coarse for periods of 100 ms.
fn used(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}
