//! What is remembered of connections that ended: much of peers, little of unknown ones, so that nobody who comes and goes can push out why a peer was lost.

use crate::peer::PostMortem;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use timed_peer::Direction;
use timed_primitives::Instant;

/// Ended connections remembered; the oldest is forgotten at the bound.
const ENDED_MAX: usize = 256;
/// Of these, of unknown peers: inbound connections that never came to a session. The oldest of them is forgotten at the bound.
const UNKNOWN_MAX: usize = 32;
/// Unknown peers remembered in each [`UNKNOWN_TIME`]; of further ones nothing is said. What is remembered is also written to disk.
const UNKNOWN_AT_ONCE: usize = 16;
/// See [`UNKNOWN_AT_ONCE`].
const UNKNOWN_TIME: Duration = Duration::from_secs(600);

/// Ended connections, oldest first.
#[derive(Default)]
pub(super) struct PostMortems {
    ended: VecDeque<Arc<PostMortem>>,
    /// Since when unknown peers are counted, and how many were remembered.
    unknown: Option<(Instant, usize)>,
}

impl PostMortems {
    /// Remembers the end of a session, or of a dial.
    pub(super) fn add(&mut self, post_mortem: PostMortem) {
        if self.ended.len() == ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(Arc::new(post_mortem));
    }

    /// Remembers the end of an inbound connection that never came to a session, when there is room for one. True when it was.
    pub(super) fn add_unknown(&mut self, now: Instant, post_mortem: PostMortem) -> bool {
        let (since, noted) = self.unknown.filter(|(since, _)| now.since(*since) < UNKNOWN_TIME).unwrap_or((now, 0));
        if noted >= UNKNOWN_AT_ONCE {
            return false;
        }
        self.unknown = Some((since, noted + 1));
        let is_unknown = |p: &Arc<PostMortem>| p.direction == Direction::Inbound && p.up_for == Duration::ZERO;
        if self.ended.iter().filter(|p| is_unknown(p)).count() >= UNKNOWN_MAX
            && let Some(oldest) = self.ended.iter().position(is_unknown)
        {
            self.ended.remove(oldest);
        }
        self.add(post_mortem);
        true
    }

    /// All of them, oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<PostMortem>> {
        self.ended.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_peer::{EndReason, SessionEnd};

    fn end(direction: Direction, up_for: u64, at: Instant) -> PostMortem {
        let end = SessionEnd::theirs(EndReason::ConnectionClosed);
        let up_for = Duration::from_secs(up_for);
        PostMortem { up_for, ..PostMortem::never_up("192.0.2.1:7000".into(), direction, end, at) }
    }

    #[test]
    fn unknown_peers_without_end_push_out_no_peer_and_the_bound_holds() {
        let (mut ended, mut now) = (PostMortems::default(), Instant::default());
        (0..10).for_each(|_| ended.add(end(Direction::Inbound, 5, now)));
        let mut noted = 0;
        for _ in 0..100_000 {
            noted += usize::from(ended.add_unknown(now, end(Direction::Inbound, 0, now)));
            now += Duration::from_secs(1);
        }
        assert_eq!(noted, 167 * 16, "sixteen in each ten minutes");
        let unknown = ended.iter().filter(|p| p.up_for == Duration::ZERO).count();
        assert_eq!((unknown, ended.iter().count()), (UNKNOWN_MAX, UNKNOWN_MAX + 10));
        assert!(ended.iter().any(|p| p.ended_at + Duration::from_secs(600) > now), "the latest are known");
        (0..1_000).for_each(|_| ended.add(end(Direction::Outbound, 0, now)));
        assert_eq!(ended.iter().count(), ENDED_MAX);
    }
}
