//! What happened, one line for each event, and the hash of all lines: two runs are the same when their hashes are.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How much the nodes did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TraceCounts {
    /// Lines of the trace.
    pub events: u64,
    /// Writes to connections.
    pub messages: u64,
    /// Bytes written to connections, encrypted.
    pub bytes: u64,
    /// Syncs of files.
    pub syncs: u64,
}

/// The trace of a run. Clones share it.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<TraceState>>);

struct TraceState {
    origin: Instant,
    hasher: blake3::Hasher,
    line: String,
    counts: TraceCounts,
    print: Option<Print>,
}

/// Takes each line, without its end.
pub type Print = Box<dyn FnMut(&str) + Send>;

impl Trace {
    /// Begins now. `print` sees every line.
    pub fn new(print: Option<Print>) -> Self {
        let state = TraceState {
            origin: Instant::now(),
            hasher: blake3::Hasher::new(),
            line: String::new(),
            counts: TraceCounts::default(),
            print,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, TraceState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened in the world.
    pub fn world(&self, what: fmt::Arguments<'_>) {
        self.state().add(format_args!("{what}"));
    }

    /// A node did something.
    pub fn node(&self, node: u64, what: fmt::Arguments<'_>) {
        self.state().add(format_args!("node {node} {what}"));
    }

    pub(crate) fn sent(&self, node: u64, to: impl fmt::Display, bytes: usize) {
        let mut state = self.state();
        state.counts.messages += 1;
        state.counts.bytes += bytes as u64;
        state.add(format_args!("node {node} sends {bytes} bytes to {to}"));
    }

    pub(crate) fn synced(&self, node: u64, file: &str) {
        let mut state = self.state();
        state.counts.syncs += 1;
        state.add(format_args!("node {node} syncs {file}"));
    }

    /// Virtual time since the start.
    pub fn elapsed(&self) -> Duration {
        self.state().origin.elapsed()
    }

    /// How much happened so far.
    pub fn counts(&self) -> TraceCounts {
        self.state().counts
    }

    /// BLAKE3 of all lines so far, each with a line feed.
    pub fn hash(&self) -> String {
        self.state().hasher.finalize().to_hex().to_string()
    }
}

impl TraceState {
    fn add(&mut self, what: fmt::Arguments<'_>) {
        let since = self.origin.elapsed();
        self.line.clear();
        // Writing to a string cannot fail.
        let _ = writeln!(self.line, "{}.{:06} {what}", since.as_secs(), since.subsec_micros());
        self.hasher.update(self.line.as_bytes());
        self.counts.events += 1;
        if let Some(print) = &mut self.print {
            print(self.line.trim_end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_hash_is_that_of_the_printed_lines() {
        let printed = Arc::new(Mutex::new(String::new()));
        let copy = printed.clone();
        let trace = Trace::new(Some(Box::new(move |line| {
            copy.lock().unwrap().push_str(&format!("{line}\n"));
        })));
        trace.world(format_args!("begins"));
        tokio::time::sleep(Duration::from_millis(12_345)).await;
        trace.node(3, format_args!("commits height 17"));
        trace.sent(3, "node 4", 100);
        let printed = printed.lock().unwrap().clone();
        assert_eq!(
            printed,
            "0.000000 begins\n12.345000 node 3 commits height 17\n12.345000 node 3 sends 100 bytes to node 4\n"
        );
        assert_eq!(trace.hash(), blake3::hash(printed.as_bytes()).to_hex().to_string());
        assert_eq!(trace.counts(), TraceCounts { events: 3, messages: 1, bytes: 100, syncs: 0 });
    }
}
