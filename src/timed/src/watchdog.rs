//! A plain thread outside every runtime. It sees when a runtime, an actor or the reader of the log hangs, and once an end is asked for, sees to
//! it that the process ends, whoever hangs.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use timed_actors::Pulses;
use timed_actors::pulse::Monitor;
use timed_primitives::{Clock, Instant};
use timed_process::last_words::{say, within};
use timed_process::log_writer::{DroppedLines, LogWriter};
use timed_process::{Stop, ThreadError, own_thread};
use timed_rpc::Trouble;
use timed_service::Noticed;
use timed_store::{SlowSync, SyncTimes};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long an end may take that was asked for; what follows takes half a second at most, so that the process is gone within five.
const END_WITHIN: Duration = Duration::from_millis(4_400);
/// Who has been silent for so long when the end is forced is named: twice what a part that lives needs for a beat.
const NAMED_AFTER: Duration = Duration::from_secs(2);
/// How long each of the last steps may take.
const STEP: Duration = Duration::from_millis(150);

/// What the watchdog knows.
pub(crate) struct Watchdog {
    /// Whose heartbeats to compare.
    pub(crate) pulses: Pulses,
    /// Monotonic time.
    pub(crate) clock: Arc<dyn Clock>,
    /// When to end.
    pub(crate) stop: Stop,
    /// Where the clients' cookie is.
    pub(crate) folder: PathBuf,
    /// The log.
    pub(crate) log: LogWriter,
    /// Where a log that nobody reads, and a slow disk, are reported.
    pub(crate) noticed: Noticed,
    /// How long the disk takes.
    pub(crate) syncs: SyncTimes,
}

impl Watchdog {
    /// Begins to look. The thread ends with the process.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(self) -> Result<(), ThreadError> {
        self.stop.serve();
        own_thread::start("watchdog", move || self.watch())
    }

    fn watch(&self) {
        let mut monitor = Monitor::default();
        let mut asked_at: Option<Instant> = None;
        loop {
            let now = self.clock.now();
            monitor.look(now, &self.pulses);
            let DroppedLines { unreported: lines, refusal, .. } = self.log.dropped();
            let dropped = Trouble::LogDropped { lines, refusal: refusal.as_deref().map(str::to_owned) };
            match lines {
                0 => self.noticed.clear(dropped.name()),
                _ => self.noticed.set(dropped),
            }
            self.look_at_disk();
            match asked_at {
                Some(at) if now.since(at) >= END_WITHIN => self.end_now(),
                Some(_) => thread::park_timeout(LOOK_EVERY / 5),
                None => asked_at = self.stop.wait(LOOK_EVERY).map(|_| self.clock.now()),
            }
        }
    }

    fn look_at_disk(&self) {
        match self.syncs.slow() {
            Some(SlowSync { file, took }) => self.noticed.set_and_log(Trouble::DiskSlow { file, took }),
            None => self.noticed.clear(Trouble::DiskSlow { file: String::new(), took: Duration::ZERO }.name()),
        }
    }

    /// Says who hangs, removes the cookie if it can, and ends the process.
    fn end_now(&self) -> ! {
        let line = unfinished(&self.pulses);
        tracing::error!("{line}");
        if !self.log.flush(STEP) {
            say(&format!("timed: {line}"));
        }
        let folder = self.folder.clone();
        within(STEP, move || timed_rpc::remove_cookie(&folder));
        // What the system runs at an exit could wait for somebody who hangs; an abort waits for nobody.
        within(STEP, || std::process::exit(1));
        std::process::abort();
    }
}

/// What is said when an end takes too long: who hangs.
pub(crate) fn unfinished(pulses: &Pulses) -> String {
    let hung: Vec<_> = pulses.silent_for(NAMED_AFTER).iter().map(|hung| hung.component.name()).collect();
    let who = if hung.is_empty() { "nobody in particular hangs".into() } else { format!("hangs: {}", hung.join(", ")) };
    format!("not everything ended in time ({who}); ending anyway, nothing final is lost")
}

#[cfg(test)]
mod tests;
