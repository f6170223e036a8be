//! How large a block we propose: as large as can be decided soon, measured and not guessed.
//!
//! Size is the proposer's choice alone: validators take any block up to the genesis limit. A leader measures its own turns, from the
//! moment it asks for a block to the decision, which holds everything: choosing and assembling, journal, the path to the others, what
//! validating costs the slower ones of a quorum, and votes.
//!
//! | what became of our block | bound of the next |
//! |---|---|
//! | decided within the target, and it filled three quarters of its bound | a sixteenth of the genesis limit more |
//! | decided later than that | the same |
//! | decided later than twice the target | half of its size, or less in proportion to the time |
//! | not decided in its round, and it was larger than the floor | half of its size |
//! | at most `LIGHT_BYTES` | the same; its time is what a round costs whatever is in it |
//!
//! The target is [`TARGET`], or three times what a round costs when blocks are small, where distances make that more. In a later round any
//! leader takes half of its bound for each round that failed, so that whatever made a round fail costs the next one less. The floor of one
//! transaction of the largest size is never passed, so everything valid gets its turn.
//!
//! Bytes alone are the measure: signatures, inputs and outputs all grow with them, and what a byte costs in a given mix is what is measured.

use std::collections::VecDeque;
use std::time::Duration;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Instant, Round};

/// From asking for a block to its decision. Twice it is about the latency of a payment that came just too late for a block; and a payment
/// that only one node's pool holds waits for that node's turn, so under overload every turn's length counts once for each validator.
pub const TARGET: Duration = Duration::from_millis(125);
/// The bound never sinks below: one transaction of the largest size (genesis allows at most as much). Unit: bytes.
pub const FLOOR_BYTES: u64 = 64 << 10;
/// A block up to this size says nothing about size. Unit: bytes.
pub const LIGHT_BYTES: u64 = 16 << 10;
/// The same with times that a light block needs.
const LIGHT_TIMES: usize = 16;
/// A target in units of what a light round costs.
const LIGHT_FACTOR: u32 = 3;

/// Our turn at this height.
struct Turn {
    round: Round,
    asked: Instant,
    bound: u64,
    /// Once it is built. Unit: bytes.
    size: Option<u64>,
}

pub(crate) struct BlockSize {
    /// Of the genesis parameters. Unit: bytes.
    limit: u64,
    /// What a block of ours may have. Unit: bytes.
    bound: u64,
    turn: Option<Turn>,
    /// How long our light blocks took.
    light: VecDeque<Duration>,
}

impl BlockSize {
    /// Begins with `first`, or with a quarter of the limit.
    pub(crate) fn new(limit: u64, first: Option<u64>) -> Self {
        let bound = first.unwrap_or(limit / 4).clamp(FLOOR_BYTES.min(limit), limit);
        Self { limit, bound, turn: None, light: VecDeque::new() }
    }

    fn floor(&self) -> u64 {
        FLOOR_BYTES.min(self.limit)
    }

    /// A height begins: what became of our turn at another, decided elsewhere, is not known.
    pub(crate) fn on_height(&mut self) {
        self.turn = None;
    }

    /// We lead a round and ask for a block: of how many bytes.
    pub(crate) fn on_asked(&mut self, now: Instant, round: Round) -> u64 {
        let bound = self.bound.checked_shr(round.0).unwrap_or_default().max(self.floor());
        self.turn = Some(Turn { round, asked: now, bound, size: None });
        bound
    }

    /// It is built and will be proposed.
    pub(crate) fn on_built(&mut self, size: u64) {
        if let Some(turn) = &mut self.turn {
            turn.size = Some(size);
        }
    }

    /// A round began: an earlier one of ours has failed.
    pub(crate) fn on_round(&mut self, round: Round) {
        let Some(turn) = self.turn.take_if(|turn| turn.round < round) else { return };
        let size = turn.size.unwrap_or(turn.bound);
        if size > self.floor() {
            self.shrink(size / 2);
        }
    }

    /// A height is decided, by our block or by another.
    pub(crate) fn on_decided(&mut self, now: Instant, is_ours: bool) {
        let Some(turn) = self.turn.take().filter(|_| is_ours) else { return };
        let (took, size) = (now.since(turn.asked), turn.size.unwrap_or_default());
        if size <= LIGHT_BYTES {
            if self.light.len() == LIGHT_TIMES {
                self.light.pop_front();
            }
            self.light.push_back(took);
            return;
        }
        let target = self.target();
        if took > 2 * target {
            let in_proportion = u128::from(size) * target.as_micros() / took.as_micros().max(1);
            self.shrink(u64::try_from(in_proportion).unwrap_or(size).min(size / 2));
        } else if took <= target && size >= turn.bound - turn.bound / 4 {
            self.bound = (self.bound + self.limit / 16).min(self.limit);
        }
    }

    /// What a block may take.
    pub(crate) fn target(&self) -> Duration {
        let mut light: Vec<_> = self.light.iter().copied().collect();
        light.sort();
        TARGET.max(LIGHT_FACTOR * light.get(light.len() / 2).copied().unwrap_or_default())
    }

    fn shrink(&mut self, bound: u64) {
        if !is_planted(Bug::BlockSizeNeverShrinks) {
            self.bound = bound.clamp(self.floor(), self.bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 20;

    /// A full block of ours in round 0 that takes so many milliseconds; the bound afterwards.
    fn turn(size: &mut BlockSize, takes_ms: u64) -> u64 {
        let bound = size.on_asked(Instant(0), Round::ZERO);
        size.on_built(bound);
        size.on_decided(Instant(takes_ms * 1_000), true);
        size.bound
    }

    fn full_blocks_that_cost_too_much_get_smaller() {
        let mut size = BlockSize::new(LIMIT, None);
        (0..20).for_each(|_| _ = turn(&mut size, 100));
        assert_eq!(size.bound, LIMIT);
        // In proportion: 1.9 s for a full block is 69 KiB in 125 ms.
        assert_eq!(turn(&mut size, 1_900), LIMIT * 125 / 1_900);
        assert_eq!(turn(&mut size, 60_000), FLOOR_BYTES, "one largest transaction always fits");
    }

    #[test]
    fn the_bound_grows_while_full_blocks_are_decided_soon_and_shrinks_when_they_are_not() {
        full_blocks_that_cost_too_much_get_smaller();
        let mut size = BlockSize::new(LIMIT, None);
        assert_eq!(turn(&mut size, 125), LIMIT / 4 + LIMIT / 16);
        assert_eq!(turn(&mut size, 250), LIMIT / 4 + LIMIT / 16, "between target and twice it nothing changes");
        // A block that did not reach its bound says nothing about a larger one.
        let bound = size.on_asked(Instant(0), Round::ZERO);
        size.on_built(bound / 2);
        size.on_decided(Instant(1_000), true);
        assert_eq!(size.bound, bound);
        // From the floor to the limit in 15 turns.
        size.bound = FLOOR_BYTES;
        let turns = (1..).find(|_| turn(&mut size, 100) == LIMIT).unwrap();
        assert_eq!(turns, 15);
    }

    #[test]
    fn a_failed_round_of_ours_halves_and_each_failed_round_halves_what_the_next_leader_takes() {
        let mut size = BlockSize::new(LIMIT, None);
        size.bound = LIMIT;
        let bounds = [0, 1, 2, 3, 9, 200].map(|round| size.on_asked(Instant(0), Round(round)));
        assert_eq!(bounds, [LIMIT, LIMIT / 2, LIMIT / 4, LIMIT / 8, FLOOR_BYTES, FLOOR_BYTES]);
        size.on_asked(Instant(0), Round::ZERO);
        size.on_built(LIMIT);
        size.on_round(Round::ZERO);
        assert_eq!(size.bound, LIMIT);
        size.on_round(Round(1));
        size.on_round(Round(2));
        assert_eq!(size.bound, LIMIT / 2, "once for one turn");
        // Not even built in time: what was asked for counts.
        size.on_asked(Instant(0), Round::ZERO);
        size.on_round(Round(1));
        assert_eq!(size.bound, LIMIT / 4);
        // A height that was decided elsewhere, and synced, says nothing.
        size.on_asked(Instant(0), Round::ZERO);
        size.on_height();
        size.on_round(Round(1));
        assert_eq!(size.bound, LIMIT / 4);
        // A small block fails for other reasons; and a height that another decides says nothing.
        size.on_asked(Instant(0), Round::ZERO);
        size.on_built(1_000);
        size.on_round(Round(1));
        size.on_asked(Instant(0), Round(2));
        size.on_built(LIMIT);
        size.on_decided(Instant(9_000_000), false);
        assert_eq!(size.bound, LIMIT / 4);
    }

    #[test]
    fn where_a_light_round_takes_long_the_target_does_too() {
        let mut size = BlockSize::new(LIMIT, None);
        for _ in 0..16 {
            size.on_asked(Instant(0), Round::ZERO);
            size.on_built(900);
            size.on_decided(Instant(400_000), true);
        }
        assert_eq!(size.target().as_millis(), 1_200);
        assert_eq!(turn(&mut size, 1_100), LIMIT / 4 + LIMIT / 16);
    }

    #[test]
    fn small_limits_are_all_floor() {
        let mut size = BlockSize::new(1_600, None);
        assert_eq!(turn(&mut size, 9_000), 1_600);
    }

    /// Each bug makes a test fail that passes without it.
    #[cfg(feature = "planted")]
    mod planted {
        use super::*;
        use timed_primitives::planted::is_caught;

        #[test]
        fn block_size_never_shrinks() {
            assert!(is_caught(Bug::BlockSizeNeverShrinks, full_blocks_that_cost_too_much_get_smaller));
        }
    }
}
