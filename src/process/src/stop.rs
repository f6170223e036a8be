//! The one place where the process is asked to end, from any thread.

use crate::own_thread::{self, ThreadError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// SIGTERM, SIGINT or SIGQUIT.
    Signal,
    /// `stop` by RPC.
    Client,
    /// Standard input has ended, and the node was to end with it.
    StdinEnded,
    /// The node must not go on.
    Fatal,
}

/// Asked once; later causes change nothing. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<StopInner>);

#[derive(Debug, Default)]
struct StopInner {
    state: Mutex<StopState>,
    /// For threads that wait.
    changed: Condvar,
    /// For the one task that waits.
    task: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct StopState {
    asked: Option<StopCause>,
    is_served: bool,
}

impl Stop {
    fn state(&self) -> MutexGuard<'_, StopState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on somebody waits for it, and a watchdog sees to it that the end comes.
    pub fn serve(&self) {
        self.state().is_served = true;
    }

    /// Whether somebody waits for it. Before that there is nothing to end in order.
    pub fn is_served(&self) -> bool {
        self.state().is_served
    }

    /// Asks the process to end in order.
    pub fn ask(&self, cause: StopCause) {
        self.state().asked.get_or_insert(cause);
        self.0.changed.notify_all();
        self.0.task.notify_one();
    }

    /// Asks for the end when standard input has ended. Read by a thread of its own, which the end of the process does not wait for; a task
    /// of a runtime would hold it up for as long as the other end stays open.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn ask_when_stdin_ends(self) -> Result<(), ThreadError> {
        let read = move || {
            // An error ends it as well: whoever held the other end is gone.
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            self.ask(StopCause::StdinEnded);
        };
        own_thread::start("stdin", read)
    }

    /// Waits until it is asked, as a task.
    pub async fn asked(&self) -> StopCause {
        loop {
            let notified = self.0.task.notified();
            if let Some(cause) = self.state().asked {
                return cause;
            }
            notified.await;
        }
    }

    /// Waits until it is asked, or for `limit`, as a thread.
    pub fn wait(&self, limit: Duration) -> Option<StopCause> {
        let waited = self.0.changed.wait_timeout_while(self.state(), limit, |state| state.asked.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.asked
    }
}
