//! Threads of this process's own, apart from any runtime.

use std::io;
use std::thread;

/// The system refuses a thread.
#[derive(Debug, thiserror::Error)]
#[error(
    "the system refuses a thread ({name}): {source}; allow this process more threads or memory (ulimit -u and -v, TasksMax in systemd, \
     pids_limit in docker)"
)]
pub struct ThreadError {
    /// What it was for.
    pub name: &'static str,
    /// What the system says.
    #[source]
    pub source: io::Error,
}

/// Starts a thread that ends with its work, or with the process.
///
/// # Errors
/// When the system refuses it.
pub fn start(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<(), ThreadError> {
    let started = thread::Builder::new().name(name.into()).spawn(work).map(drop);
    started.map_err(|source| ThreadError { name, source })
}
