//! What a peer may have waiting for an actor, and what of it is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one peer may have waiting for one actor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) messages: usize,
    /// Unit: bytes on the wire.
    pub(crate) bytes: usize,
}

/// What a peer has waiting for one actor.
#[derive(Debug)]
pub(crate) struct Meter {
    allowance: Allowance,
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

impl Meter {
    pub(crate) fn new(allowance: Allowance) -> Arc<Self> {
        Arc::new(Self { allowance, messages: AtomicUsize::new(0), bytes: AtomicUsize::new(0) })
    }

    /// Counts one more message, unless it exceeds the allowance. Only the peer's own thread adds, so the check holds.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Credit> {
        let messages_after = self.messages.load(Ordering::Acquire) + 1;
        let bytes_after = self.bytes.load(Ordering::Acquire).saturating_add(bytes);
        if messages_after > self.allowance.messages || bytes_after > self.allowance.bytes {
            return None;
        }
        self.messages.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        Some(Credit { meter: self.clone(), bytes })
    }
}

/// Part of a peer's allowance, given back when dropped.
#[derive(Debug)]
pub(crate) struct Credit {
    meter: Arc<Meter>,
    bytes: usize,
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.meter.messages.fetch_sub(1, Ordering::AcqRel);
        self.meter.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
