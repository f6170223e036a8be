//! What is done at the end of a process, where nothing may hold it up: neither a pipe that nobody reads nor a disk that hangs.

use std::io::Write as _;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// How long a reader of standard error may take.
const SAY_WITHIN: Duration = Duration::from_millis(300);

/// Writes a line to standard error, and goes on after a moment even if nobody reads it.
pub fn say(line: &str) {
    let line = format!("{line}\n");
    // Nobody left to write to is nothing that could be said to anybody.
    within(SAY_WITHIN, move || drop(std::io::stderr().write_all(line.as_bytes())));
}

/// Does something by another thread and waits for it, at most for `limit`. True when it was done.
pub(crate) fn within(limit: Duration, work: impl FnOnce() + Send + 'static) -> bool {
    let (done, is_done) = channel();
    let work = move || {
        work();
        let _ = done.send(());
    };
    thread::Builder::new().name("last words".into()).spawn(work).is_ok() && is_done.recv_timeout(limit).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_left_behind() {
        assert!(within(Duration::from_secs(10), || {}));
        let (_held, hold) = channel::<()>();
        assert!(!within(Duration::from_millis(20), move || {
            let _ = hold.recv();
        }));
    }
}
