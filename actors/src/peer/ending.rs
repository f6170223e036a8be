//! What is said of a session when it is over.

use super::{PeerActor, PostMortem};
use std::time::Duration;
use timed_peer::{EndReason, SessionEnd};
use timed_primitives::Instant;
use timed_wire::FrameError;

/// What a failed read means. A connection cut inside a frame is a closed one and nobody's fault.
pub(super) fn end_of(error: &FrameError) -> SessionEnd {
    match error {
        FrameError::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            SessionEnd::theirs(EndReason::ConnectionClosed)
        }
        FrameError::Io(_) => SessionEnd::theirs(EndReason::ConnectionFailed),
        FrameError::Truncated { .. } => SessionEnd::theirs(EndReason::ConnectionClosed),
        FrameError::Oversized { .. } => SessionEnd::ours(EndReason::OversizedFrame),
        FrameError::Body { .. }
        | FrameError::ChunkLane { .. }
        | FrameError::ChunkSize { .. }
        | FrameError::ChunkOrder { .. } => SessionEnd::ours(EndReason::Undecodable),
    }
}

impl PeerActor {
    pub(super) fn post_mortem(&self, now: Instant) -> PostMortem {
        let stats = self.stats.lock();
        PostMortem {
            key: Some(self.key),
            address: self.address.clone(),
            direction: self.direction,
            // Without a reason the actor was torn down: a panic, or the runtime went away.
            end: self.end.unwrap_or(SessionEnd::ours(EndReason::Internal)),
            ended_at: now,
            up_for: self.up_since.map_or(Duration::ZERO, |since| now.since(since)),
            rtt: stats.heartbeat.iter().flat_map(|heartbeat| heartbeat.rtt().history()).collect(),
            silent_for: now.since(stats.last_received),
            queue_age: self.outbound.queue_age(now),
            queued_bytes: self.outbound.queued_bytes(),
            last: stats.last(),
        }
    }
}
