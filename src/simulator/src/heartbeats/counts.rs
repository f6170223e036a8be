//! What is counted on pairs of nodes.

use std::collections::BTreeMap;
use std::time::Duration;
use timed_primitives::Instant;

/// Why a session ended, in truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum EndCause {
    /// Declared silent although it was alive and could be heard: must never be.
    False,
    /// Declared silent; the peer had stopped or lost power.
    PeerLost,
    /// Declared silent; nothing got through.
    PathCut,
    /// Declared silent; the peer's process stood still.
    PeerFrozen,
    /// The other side closed, or its system no longer knew the connection.
    ClosedByPeer,
    /// This end stopped or lost power.
    Stopped,
    /// The peer dialled anew.
    Replaced,
    /// It lasted until the end of the run.
    StillUp,
}

impl EndCause {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::False => "false",
            Self::PeerLost => "silent: peer was gone",
            Self::PathCut => "silent: path was cut",
            Self::PeerFrozen => "silent: peer was frozen",
            Self::ClosedByPeer => "closed by the peer",
            Self::Stopped => "stopped",
            Self::Replaced => "replaced",
            Self::StillUp => "still up",
        }
    }
}

/// What was counted on one pair of nodes or on all.
#[derive(Clone, Debug, Default)]
pub(super) struct HeartbeatCounts {
    pub(super) pings: u64,
    pub(super) pongs: u64,
    pub(super) matched: u64,
    pub(super) unmatched: u64,
    pub(super) dials: u64,
    pub(super) sessions: u64,
    pub(super) ends: BTreeMap<EndCause, u64>,
    pub(super) kept_dead: u64,
    /// Sum over both ends of all sessions.
    pub(super) node_time: Duration,
    pub(super) reconnects: Vec<Duration>,
    /// When the dialler's last session ended.
    pub(super) last_end: Instant,
}

impl HeartbeatCounts {
    pub(super) fn note(&mut self, cause: EndCause) {
        *self.ends.entry(cause).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: Self) {
        self.pings += other.pings;
        self.pongs += other.pongs;
        self.matched += other.matched;
        self.unmatched += other.unmatched;
        self.dials += other.dials;
        self.sessions += other.sessions;
        self.kept_dead += other.kept_dead;
        self.node_time += other.node_time;
        self.reconnects.extend(other.reconnects);
        for (cause, count) in other.ends {
            *self.ends.entry(cause).or_default() += count;
        }
    }
}
