//! What waits for all peers together: who gives way when it is too much.
//!
//! | step | who | what |
//! |---|---|---|
//! | 1 | the peer with the most bulk waiting, then the next | its bulk is dropped |
//! | 2 | when none has any, the peer that is no validator and has the most | its session ends: it does not read |
//! | 3 | at last, the validator that has the most | the same |
//!
//! A peer that reads has little waiting, so those who read nothing give way. Whose bulk is dropped asks others again, or hears the
//! announcement from them.

use std::cmp::Reverse;
use timed_wire::Lane;

/// What is held for one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionQueue {
    /// Number of the session.
    pub session: u64,
    /// Whether the peer is a validator.
    pub is_validator: bool,
    /// What waits, in the order of [`Lane::ALL`]. Unit: bytes.
    pub waiting: [usize; Lane::ALL.len()],
    /// Messages of which a part has left. Unit: bytes.
    pub leaving: usize,
}

impl SessionQueue {
    /// All of it.
    pub fn bytes(&self) -> usize {
        self.waiting.iter().fold(self.leaving, |sum, bytes| sum.saturating_add(*bytes))
    }

    fn bulk(&self) -> usize {
        let bulk = Lane::ALL.into_iter().zip(self.waiting).find(|(lane, _)| *lane == Lane::Bulk);
        bulk.map_or(0, |(_, bytes)| bytes)
    }
}

/// What makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relief {
    /// Drop the bulk that waits for this session.
    DropBulk(u64),
    /// End this session and drop what waits for it.
    End(u64),
}

/// What to do so that no more than `bytes_max` is held.
pub fn relieve(mut held: Vec<SessionQueue>, bytes_max: usize) -> Vec<Relief> {
    let mut sum = held.iter().fold(0usize, |sum, held| sum.saturating_add(held.bytes()));
    let mut reliefs = Vec::new();
    held.sort_by_key(|held| (Reverse(held.bulk()), held.session));
    for held in held.iter().filter(|held| held.bulk() > 0) {
        if sum <= bytes_max {
            return reliefs;
        }
        sum = sum.saturating_sub(held.bulk());
        reliefs.push(Relief::DropBulk(held.session));
    }
    held.sort_by_key(|held| (held.is_validator, Reverse(held.bytes().saturating_sub(held.bulk())), held.session));
    for held in &held {
        if sum <= bytes_max {
            return reliefs;
        }
        sum = sum.saturating_sub(held.bytes().saturating_sub(held.bulk()));
        reliefs.push(Relief::End(held.session));
    }
    reliefs
}

#[cfg(test)]
mod tests {
    use super::*;
    use Relief::{DropBulk, End};

    /// Control, consensus, bulk, leaving.
    fn held(session: u64, is_validator: bool, [control, consensus, bulk, leaving]: [usize; 4]) -> SessionQueue {
        assert_eq!(Lane::ALL, [Lane::Control, Lane::Consensus, Lane::Bulk]);
        SessionQueue { session, is_validator, waiting: [control, consensus, bulk], leaving }
    }

    #[test]
    fn the_most_bulk_gives_way_first_and_validators_last() {
        let all = vec![
            held(1, true, [1, 30, 10, 5]),
            held(2, false, [1, 8, 20, 0]),
            held(3, false, [1, 9, 0, 0]),
            held(4, false, [0, 0, 15, 10]),
            held(5, true, [1, 40, 0, 0]),
        ];
        let sum: usize = all.iter().map(SessionQueue::bytes).sum();
        assert_eq!(sum, 151);
        let check =
            |bytes_max, expected: &[Relief]| assert_eq!(relieve(all.clone(), bytes_max), expected, "{bytes_max}");
        check(151, &[]);
        check(150, &[DropBulk(2)]);
        check(131, &[DropBulk(2)]);
        check(130, &[DropBulk(2), DropBulk(4)]);
        let bulk = [DropBulk(2), DropBulk(4), DropBulk(1)];
        check(106, &bulk);
        check(105, &[&bulk[..], &[End(3)]].concat());
        // What is leaving counts, and goes with the session.
        check(95, &[&bulk[..], &[End(3), End(4)]].concat());
        check(80, &[&bulk[..], &[End(3), End(4), End(2)]].concat());
        check(76, &[&bulk[..], &[End(3), End(4), End(2), End(5)]].concat());
        check(0, &[&bulk[..], &[End(3), End(4), End(2), End(5), End(1)]].concat());
        assert_eq!(relieve(Vec::new(), 0), []);
    }
}
