//! The timers of one height, inside the core: the shell only keeps the earliest.
//!
//! A timer is named by what it is for; setting it again replaces it, and cancelling removes it at once. Due ones are taken one at a
//! time, and each is acted on before the next is taken, so a timer that an earlier one cancelled never fires, and none outlives its
//! height (the engine's time-outs carry none).

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;
use std::time::Duration;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Instant, Round};

/// Which step of a round a time-out ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub(crate) enum TimeoutStep {
    Propose,
    Prevote,
    Precommit,
}

/// Time between two rounds of vote-set gossip.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The first height starts though not all needed peers have reported theirs.
    Start,
    /// Round 0 leaves its hold.
    Release,
    /// No proposal came.
    Propose(Round),
    /// A quorum prevoted, for nothing in particular.
    Prevote(Round),
    /// A quorum precommitted, for nothing in particular.
    Precommit(Round),
    /// Vote-set gossip, and requests repeated.
    Tick,
}

impl Timer {
    /// The step and round whose time-out it is.
    pub(crate) fn timeout(self) -> Option<(TimeoutStep, Round)> {
        match self {
            Self::Propose(round) => Some((TimeoutStep::Propose, round)),
            Self::Prevote(round) => Some((TimeoutStep::Prevote, round)),
            Self::Precommit(round) => Some((TimeoutStep::Precommit, round)),
            Self::Start | Self::Release | Self::Tick => None,
        }
    }

    /// True for those that belong to the engine's current round.
    fn is_of_round(self) -> bool {
        self.timeout().is_some()
    }

    /// True for the tick, which belongs to no height.
    fn outlives_height(self) -> bool {
        self == Self::Tick || is_planted(Bug::StaleTimeoutAccepted) && self.is_of_round()
    }
}

#[derive(Default)]
pub(crate) struct Timers {
    deadlines: BTreeMap<Timer, Instant>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, deadline: Instant) {
        self.deadlines.insert(timer, deadline);
    }

    /// True when it was set.
    pub(crate) fn cancel(&mut self, timer: Timer) -> bool {
        self.deadlines.remove(&timer).is_some()
    }

    /// Cancels those of the engine's round.
    pub(crate) fn cancel_round(&mut self) {
        self.deadlines.retain(|timer, _| !timer.is_of_round() || timer.outlives_height());
    }

    /// Cancels all but the tick.
    pub(crate) fn cancel_height(&mut self) {
        self.deadlines.retain(|timer, _| timer.outlives_height());
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.deadlines.values().min().copied()
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let (timer, _) =
            self.deadlines.iter().filter(|(_, at)| **at <= now).min_by_key(|(timer, at)| (**at, **timer))?;
        let timer = *timer;
        self.deadlines.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_ones_come_in_order_and_cancelled_ones_never() {
        let mut timers = Timers::default();
        timers.set(Timer::Tick, Instant(30));
        timers.set(Timer::Propose(Round(0)), Instant(10));
        timers.set(Timer::Prevote(Round(0)), Instant(5));
        timers.set(Timer::Prevote(Round(0)), Instant(20));
        assert_eq!(timers.next(), Some(Instant(10)));
        assert_eq!(timers.take_due(Instant(9)), None);
        assert_eq!(timers.take_due(Instant(40)), Some(Timer::Propose(Round(0))));
        timers.cancel_round();
        assert_eq!(timers.take_due(Instant(40)), Some(Timer::Tick));
        assert_eq!(timers.take_due(Instant(40)), None);
        assert!(!timers.cancel(Timer::Prevote(Round(0))));
    }
}
