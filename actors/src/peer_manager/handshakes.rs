//! Inbound handshakes under way, and how a connection began.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use timed_peer::{Begun, Dial, HandshakeAdmission, HandshakesUnderWay};
use timed_primitives::Instant;
use tokio::sync::oneshot;

/// Inbound connections that may be in their handshakes at once; with one more, one of the largest crowd gives way. Each costs about 40 KiB.
pub const HANDSHAKES_MAX: usize = 256;

/// How a connection began.
pub(super) enum ConnectionOrigin {
    /// They dialled; the permit counts against the handshakes under way.
    Accepted(Permit),
    /// We dialled.
    Dialled(Dial),
}

/// What became of those who connected to us, before they were peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandshakeCounts {
    /// Inbound handshakes under way.
    pub under_way: usize,
    /// Those begun since the start.
    pub begun: u64,
    /// Of these, broken off because their places were needed.
    pub gave_way: u64,
    /// Connections closed at once since the start: too many from their address or subnet.
    pub refused: u64,
}

/// Who may begin an inbound handshake, and those under way. Clones are the same.
#[derive(Clone)]
pub(super) struct InboundHandshakes(Arc<Mutex<HandshakeTable>>);

struct HandshakeTable {
    admission: HandshakeAdmission,
    core: HandshakesUnderWay,
    /// To notify each that it gives way.
    notices: BTreeMap<u64, oneshot::Sender<()>>,
}

impl InboundHandshakes {
    pub(super) fn new() -> Self {
        let core = HandshakesUnderWay::new(HANDSHAKES_MAX);
        Self(Arc::new(Mutex::new(HandshakeTable {
            admission: HandshakeAdmission::new(),
            core,
            notices: BTreeMap::new(),
        })))
    }

    fn table(&self) -> MutexGuard<'_, HandshakeTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> HandshakeCounts {
        let HandshakeTable { admission, core, .. } = &*self.table();
        HandshakeCounts {
            under_way: core.len(),
            begun: core.begun(),
            gave_way: core.gave_way(),
            refused: admission.refused(),
        }
    }

    /// `None` when too many came from there.
    pub(super) fn begin(&self, now: Instant, from: IpAddr) -> Option<Permit> {
        let mut table = self.table();
        if !table.admission.admit(now, from) {
            return None;
        }
        let Begun { number, gives_way } = table.core.begin(from);
        let (sender, gives_way_now) = oneshot::channel();
        table.notices.insert(number, sender);
        if let Some(sender) = gives_way.and_then(|number| table.notices.remove(&number)) {
            let _ = sender.send(());
        }
        Some(Permit { slot: HandshakeSlot { number, handshakes: self.clone() }, gives_way: gives_way_now })
    }
}

/// A place among the handshakes under way, given back when dropped.
pub(super) struct HandshakeSlot {
    number: u64,
    handshakes: InboundHandshakes,
}

impl Drop for HandshakeSlot {
    fn drop(&mut self) {
        let mut table = self.handshakes.table();
        table.core.end(self.number);
        table.notices.remove(&self.number);
    }
}

/// A place, and the news that it must be given up before its time; the channel is closed when the place was given back.
pub(super) struct Permit {
    pub(super) slot: HandshakeSlot,
    pub(super) gives_way: oneshot::Receiver<()>,
}
