//! How long a round waits: measured, not guessed.
//!
//! Base of round 0 = clamp(4 × p95 of the last 100 heights, 20 ms, the genesis default of the step); ×1.5 for each further round; at
//! most 60 s.
//!
//! What is measured is the time from a height's first sign of life on this node (its hold was released, or a verified message came) to
//! its decision here, **failed rounds included**. Idle waiting is left out, so a quiet night does not make the node slow; and when the
//! base is too short for a loaded machine, rounds fail, the measure grows, and the base grows with it up to the default. One dead
//! leader in a hundred heights stays outside the p95. Below 20 heights the default holds; nothing is remembered over a restart.
//!
//! The grace for relay follows the same rule: 4 × p95 of the time from a payload's waiting here to its height's decision, where another
//! node led, at least 20 ms and at most [`RELAY_GRACE`]. Otherwise it would be the larger part of what a dead leader costs.

use crate::idle::RELAY_GRACE;
use crate::journal::TimeoutStep;
use std::collections::VecDeque;
use std::time::Duration;
use timed_primitives::Round;

/// Shortest base. Below it the scheduler of a busy machine would decide, not the network.
pub const BASE_MIN: Duration = Duration::from_millis(20);
/// Longest wait of any round.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60);

const HEIGHTS: usize = 100;
const HEIGHTS_MIN: usize = 20;

/// The genesis defaults: longest bases, and those of a node that has measured too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutDefaults {
    /// Waiting for a proposal.
    pub propose: Duration,
    /// Waiting for more prevotes after a quorum of differing ones.
    pub prevote: Duration,
    /// Waiting for more precommits after a quorum of differing ones.
    pub precommit: Duration,
}

impl Default for TimeoutDefaults {
    fn default() -> Self {
        Self {
            propose: Duration::from_secs(1),
            prevote: Duration::from_millis(500),
            precommit: Duration::from_millis(500),
        }
    }
}

pub(crate) struct Timeouts {
    defaults: TimeoutDefaults,
    /// From the first sign of life to the decision.
    decided: Durations,
    /// From a payload's waiting here to the decision, where another node led.
    relayed: Durations,
}

/// Of the last heights.
#[derive(Default)]
struct Durations(VecDeque<Duration>);

impl Durations {
    fn push(&mut self, duration: Duration) {
        if self.0.len() == HEIGHTS {
            self.0.pop_front();
        }
        self.0.push_back(duration);
    }

    /// 4 × p95 within bounds, or the longest when too little was measured.
    fn base(&self, longest: Duration) -> Duration {
        self.p95().map_or(longest, |p95| (4 * p95).max(BASE_MIN).min(longest))
    }

    fn p95(&self) -> Option<Duration> {
        if self.0.len() < HEIGHTS_MIN {
            return None;
        }
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort();
        sorted.get((sorted.len() * 95).div_ceil(100).saturating_sub(1)).copied()
    }
}

impl Timeouts {
    pub(crate) fn new(defaults: TimeoutDefaults) -> Self {
        Self { defaults, decided: Durations::default(), relayed: Durations::default() }
    }

    /// A height took `duration` from its first sign of life to its decision.
    pub(crate) fn on_decided(&mut self, duration: Duration) {
        self.decided.push(duration);
    }

    /// A height that another node led took `duration` from the moment when a payload waited here to its decision.
    pub(crate) fn on_relayed(&mut self, duration: Duration) {
        self.relayed.push(duration);
    }

    /// How long a leader is given to hear of a payload that waits here.
    pub(crate) fn relay_grace(&self) -> Duration {
        self.relayed.base(RELAY_GRACE)
    }

    pub(crate) fn duration(&self, step: TimeoutStep, round: Round) -> Duration {
        let default = match step {
            TimeoutStep::Propose => self.defaults.propose,
            TimeoutStep::Prevote => self.defaults.prevote,
            TimeoutStep::Precommit => self.defaults.precommit,
        };
        let base = self.decided.base(default);
        let mut duration = base;
        for _ in 0..round.0 {
            if duration >= TIMEOUT_MAX {
                break;
            }
            duration = duration * 3 / 2;
        }
        duration.min(TIMEOUT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_follows_the_network_within_bounds_and_rounds_grow() {
        let mut timeouts = Timeouts::new(TimeoutDefaults::default());
        let propose = |t: &Timeouts, r| t.duration(TimeoutStep::Propose, Round(r)).as_millis();
        assert_eq!([0, 1, 2].map(|r| propose(&timeouts, r)), [1000, 1500, 2250]);
        assert_eq!(timeouts.duration(TimeoutStep::Prevote, Round(u32::MAX)), TIMEOUT_MAX);
        for _ in 0..100 {
            timeouts.on_decided(Duration::from_millis(1));
        }
        assert_eq!([0, 1].map(|r| propose(&timeouts, r)), [20, 30]);
        // Five slow heights of a hundred stay outside the p95, six do not.
        for _ in 0..5 {
            timeouts.on_decided(Duration::from_secs(9));
        }
        assert_eq!(propose(&timeouts, 0), 20);
        timeouts.on_decided(Duration::from_millis(100));
        assert_eq!(propose(&timeouts, 0), 400);
        timeouts.on_decided(Duration::from_secs(9));
        assert_eq!(propose(&timeouts, 0), 1000);
    }

    #[test]
    fn the_grace_for_relay_follows_what_was_measured_and_grows_when_it_was_too_short() {
        let mut timeouts = Timeouts::new(TimeoutDefaults::default());
        assert_eq!(timeouts.relay_grace(), RELAY_GRACE);
        (0..100).for_each(|_| timeouts.on_relayed(Duration::from_millis(15)));
        assert_eq!(timeouts.relay_grace().as_millis(), 60);
        assert_eq!(timeouts.duration(TimeoutStep::Propose, Round(0)).as_millis(), 1000, "apart from the other measure");
        // One dead leader in a hundred heights does not count; rounds that fail more often do.
        timeouts.on_relayed(Duration::from_millis(150));
        assert_eq!(timeouts.relay_grace().as_millis(), 60);
        (0..6).for_each(|_| timeouts.on_relayed(Duration::from_millis(150)));
        assert_eq!(timeouts.relay_grace(), RELAY_GRACE);
    }
}
