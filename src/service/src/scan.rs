//! How far a scan of the chain for a wallet is, and whether it is to go on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use timed_primitives::{Height, Instant};
use timed_rpc::ScanProgress;

/// A scan that runs.
pub(crate) struct Scan {
    first: Height,
    last: Height,
    reached: AtomicU64,
    since: Instant,
    is_aborted: AtomicBool,
}

impl Scan {
    pub(crate) const fn new(first: Height, last: Height, since: Instant) -> Self {
        Self { first, last, reached: AtomicU64::new(first.0), since, is_aborted: AtomicBool::new(false) }
    }

    pub(crate) fn progress(&self, now: Instant) -> ScanProgress {
        let reached = Height(self.reached.load(Ordering::Relaxed));
        ScanProgress { duration: now.since(self.since), first: self.first, reached, last: self.last }
    }

    pub(crate) fn abort(&self) {
        self.is_aborted.store(true, Ordering::Relaxed);
    }

    pub(crate) const fn first(&self) -> Height {
        self.first
    }

    pub(crate) const fn last(&self) -> Height {
        self.last
    }

    /// This block was read.
    pub(crate) fn reach(&self, height: Height) {
        self.reached.store(height.0, Ordering::Relaxed);
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.is_aborted.load(Ordering::Relaxed)
    }
}
