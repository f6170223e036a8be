//! What is reported to a service manager that started this process with a socket for it (systemd's `Type=notify`, sd_notify(3)): that the node is ready, what
//! it does, in words, that it lives, and that it stops.
//!
//! | state | sent |
//! |---|---|
//! | no part hangs | `WATCHDOG=1` each second, `STATUS=` when the words are others |
//! | a part hangs | `STATUS=` with its name, and no sign of life: the manager ends the node after `WatchdogSec` and starts it again |
//! | asked to end | `STOPPING=1`, the last |
//!
//! A part that is merely busy beats, late perhaps: it hangs after ten seconds without a beat ([`timed_actors::pulse::HUNG_AFTER`]).

use sd_notify::NotifyState;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::Pulses;
use timed_process::{Stop, ThreadError, own_thread};
use timed_service::Service;

/// The unit, as it lies in the repository.
const UNIT: &str = include_str!("../../../docker/timed.service");

/// Prints the unit.
///
/// # Errors
/// When it cannot be written.
pub fn print_unit() -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(UNIT.as_bytes())?)
}

/// Where the socket is, if there is one.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// Time between two signs of life. A `WatchdogSec` should be ten times as long.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// What it reports.
pub(crate) struct ServiceManager {
    /// Who knows what the node does.
    pub(crate) service: Arc<Service>,
    /// Whether all parts live.
    pub(crate) pulses: Pulses,
    /// When the node ends.
    pub(crate) stop: Stop,
}

impl ServiceManager {
    /// The node is ready; from now on a thread of its own reports what it does. It does nothing without a socket.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(self) -> Result<(), ThreadError> {
        if std::env::var_os(SOCKET_VARIABLE).is_none() {
            return Ok(());
        }
        own_thread::start("service manager", move || self.report_all())
    }

    fn report_all(&self) {
        let mut states = SentStates::default();
        loop {
            let words = self.service.in_words();
            notify(&states.next(self.pulses.hung().is_empty(), &words));
            if self.stop.wait(REPORT_EVERY).is_some() {
                return notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
            }
        }
    }
}

/// The node serves whether or not anybody listens.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager is not reached");
    }
}

/// What was sent so far.
#[derive(Default)]
struct SentStates {
    is_ready: bool,
    words: String,
}

impl SentStates {
    /// What is to be sent now.
    fn next<'a>(&mut self, lives: bool, words: &'a str) -> Vec<NotifyState<'a>> {
        let ready = (!self.is_ready).then_some(NotifyState::Ready);
        let status = (self.words != words).then_some(NotifyState::Status(words));
        let alive = lives.then_some(NotifyState::Watchdog);
        (self.is_ready, self.words) = (true, words.to_owned());
        [ready, status, alive].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hangs_gives_no_sign_of_life_and_says_why() {
        let mut states = SentStates::default();
        let mut sent = |lives, words: &str| {
            states.next(lives, words).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(sent(true, "height 1"), "READY=1 STATUS=height 1 WATCHDOG=1");
        assert_eq!(sent(true, "height 1"), "WATCHDOG=1");
        assert_eq!(sent(true, "height 2"), "STATUS=height 2 WATCHDOG=1");
        assert_eq!(sent(false, "ledger hangs"), "STATUS=ledger hangs");
        assert_eq!(sent(false, "ledger hangs"), "");
        assert_eq!(sent(true, "height 2"), "STATUS=height 2 WATCHDOG=1");
    }
}
