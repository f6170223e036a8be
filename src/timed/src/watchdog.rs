//! A plain thread outside every runtime that sees when one of them, or an actor, hangs.

use std::sync::Arc;
use std::thread;
use std::time::Duration;
use timed_actors::Pulses;
use timed_actors::pulse::Monitor;
use timed_primitives::Clock;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Begins to look. The thread ends with the process.
///
/// # Errors
/// When the system refuses a thread.
pub(crate) fn start(pulses: Pulses, clock: Arc<dyn Clock>) -> std::io::Result<()> {
    let look = move || {
        let mut monitor = Monitor::default();
        loop {
            monitor.look(clock.now(), &pulses);
            thread::park_timeout(LOOK_EVERY);
        }
    };
    thread::Builder::new().name("watchdog".into()).spawn(look).map(drop)
}
