//! What is done at the end of a process, where nothing may hold it up: neither a pipe that nobody reads nor a disk that hangs.

use crate::own_thread;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::io::Write as _;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long a reader of standard error may take.
const SAY_WITHIN: Duration = Duration::from_millis(300);

/// Writes a line to standard error, and goes on after a moment even if nobody reads it.
pub fn say(line: &str) {
    let line = format!("{line}\n");
    let words = line.clone();
    // Nobody left to write to is nothing that could be said to anybody.
    let write = move || drop(std::io::stderr().write_all(words.as_bytes()));
    if let Err(NoThread) = try_within(SAY_WITHIN, write) {
        write_at_once(&line);
    }
}

/// Writes what standard error takes without waiting. Whether writing waits belongs to all who share it, so it is as before afterwards.
fn write_at_once(line: &str) {
    let mut stderr = std::io::stderr();
    let Ok(before) = fcntl_getfl(&stderr) else { return };
    if fcntl_setfl(&stderr, before | OFlags::NONBLOCK).is_ok() {
        drop(stderr.write_all(line.as_bytes()));
        let _ = fcntl_setfl(&stderr, before);
    }
}

/// The system refuses a thread for it.
struct NoThread;

/// Does something by another thread and waits for it, at most for `limit`. True when it was done.
pub fn within(limit: Duration, work: impl FnOnce() + Send + 'static) -> bool {
    try_within(limit, work).unwrap_or(false)
}

fn try_within(limit: Duration, work: impl FnOnce() + Send + 'static) -> Result<bool, NoThread> {
    let (done, is_done) = channel();
    let work = move || {
        work();
        let _ = done.send(());
    };
    own_thread::start("last words", work).map_err(|_| NoThread)?;
    Ok(is_done.recv_timeout(limit).is_ok())
}

/// An error with its causes, each said once: many name their cause themselves.
pub fn causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn what_hangs_is_left_behind() {
        assert!(within(Duration::from_secs(10), || {}));
        let (_held, hold) = channel::<()>();
        assert!(!within(Duration::from_millis(20), move || {
            let _ = hold.recv();
        }));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("journal-a: {source}; check the disk")]
    struct NamesItsCause {
        source: std::io::Error,
    }

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::Error::new(NamesItsCause { source: std::io::Error::from_raw_os_error(28) });
        assert_eq!(causes(&error), "journal-a: No space left on device (os error 28); check the disk");
        let plain = Err::<(), _>(std::io::Error::from_raw_os_error(13)).context("cannot read the file").unwrap_err();
        assert_eq!(causes(&plain), "cannot read the file: Permission denied (os error 13)");
    }
}
