//! What is said of a session when it is over.

use super::{PeerActor, PostMortem};
use std::time::Duration;
use timed_peer::{End, EndReason};
use timed_primitives::Instant;
use timed_wire::DecodeError;

/// What a failed read means. A connection cut inside a frame is a closed one and nobody's fault.
pub(super) fn end_of(error: &DecodeError) -> End {
    match error {
        DecodeError::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => End::theirs(EndReason::ConnectionClosed),
        DecodeError::Io(_) => End::theirs(EndReason::ConnectionFailed),
        DecodeError::Truncated { .. } => End::theirs(EndReason::ConnectionClosed),
        DecodeError::Oversized { .. } => End::ours(EndReason::OversizedFrame),
        DecodeError::Body { .. }
        | DecodeError::ChunkLane { .. }
        | DecodeError::ChunkSize { .. }
        | DecodeError::ChunkOrder { .. } => End::ours(EndReason::Undecodable),
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
            end: self.end.unwrap_or(End::ours(EndReason::Internal)),
            ended_at: now,
            up_for: self.up_since.map_or(Duration::ZERO, |since| now.since(since)),
            rtt: stats.rtt.history().collect(),
            silent_for: now.since(stats.last_life),
            queue_age: self.outbox.queue_age(now),
            queued_bytes: self.outbox.queued_bytes(),
            last: stats.last(),
        }
    }
}
