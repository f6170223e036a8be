//! How long a round waits: measured, not guessed.
//!
//! Base of round 0 = clamp(4 × p95 of the last 100 heights, 20 ms, the genesis default of the step), and above it, for proposals and
//! prevotes, what this node itself needs for a block: 4 × the time to validate one and 2 × the time to receive one, at most
//! [`OWN_WORK_MAX`]; ×1.5 for each further round; at most [`TIMEOUT_MAX`].
//!
//! While much waits for a block here ([`Payload::Heavy`]), the base is [`HEAVY_BASE`] at least (or the default, where that is less): leaders
//! make their blocks as large as can be decided in a fourth of it, and what the last hundred light heights took says nothing about such a block.
//! Else the first blocks of a sudden load would cost a round each. Our own pool says it, so no leader can stretch anything with it.
//!
//! What is measured is the time from a height's first sign of life on this node (its hold was released, or a verified message came) to
//! its decision here, **failed rounds included**. Idle waiting is left out, so a quiet night does not make the node slow; and when the
//! base is too short for a loaded machine, rounds fail, the measure grows, and the base grows with it up to the default. One dead
//! leader in a hundred heights stays outside the p95. Below 20 heights the default holds; nothing is remembered over a restart.
//!
//! **What a dishonest leader can do.** A leader that delays its proposal for as long as is allowed makes the p95 grow, and with it the base,
//! up to the genesis default and no further: above that, only own work counts. *Validating* is measured from the question to our ledger to its
//! answer; it is the second largest of the last 20, so one hiccup does not count, and 20 light blocks after a load it is forgotten.
//! *Receiving* is measured from a proposal to its block, which a leader can delay. So it is kept for each leader apart, and what counts is
//! the largest time that leaders with more than a third of the voting power reached or passed: an honest one is among them. Together: with
//! less than a third dishonest, the base of round 0 never passes max(genesis default, 4 × own validation + 2 × the slowest honest link).
//! While our own ledger validates a block of the round, or makes ours, the propose time-out waits for it, at most [`OWN_WORK_MAX`]: no vote for
//! nil is of use then.
//!
//! **Why later rounds may take 60 s.** Tendermint decides once the time-outs exceed what a proposal, its block and the votes really take
//! among the honest. What is measured bounds the base; what was never measured (a link so slow that no block came through yet) must be
//! reached by growth. 1 MiB to three peers over 1 Mbit/s takes 25 s, so a bound of 10 s or 20 s could stop such a network for ever. From
//! the default, 60 s is reached after eleven failed rounds; a dead leader costs that much only there.
//!
//! The grace for relay follows the same rule: 4 × p95 of the time from a payload's waiting here to its height's decision, where another
//! node led, at least 20 ms and at most [`RELAY_GRACE`]. Otherwise it would be the larger part of what a dead leader costs.

use crate::idle::RELAY_GRACE;
use crate::messages::Payload;
use crate::quorum::is_more_than_third;
use crate::timers::TimeoutStep;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{PublicKey, Round, ValidatorSet};

/// Shortest base. Below it the scheduler of a busy machine would decide, not the network.
pub const BASE_MIN: Duration = Duration::from_millis(20);
/// Longest wait of any round.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Longest base that follows from own work, and longest wait for our own validation. Validating a full block takes a fifth of a second of
/// processor time, so this is a machine that gives the node a fiftieth of a core.
pub const OWN_WORK_MAX: Duration = Duration::from_secs(10);

/// Shortest base while much waits: four times what leaders aim at, and twice what makes them take less.
pub const HEAVY_BASE: Duration = Duration::from_millis(500);

const HEIGHTS: usize = 100;
const HEIGHTS_MIN: usize = 20;
/// Validations that count.
const VALIDATIONS: usize = 20;
/// Blocks of each leader that count.
const RECEIPTS: usize = 8;

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
    /// From asking our ledger to its answer.
    validated: VecDeque<Duration>,
    /// From a leader's proposal to its block. Bound: the validators, each [`RECEIPTS`] times.
    received: BTreeMap<PublicKey, VecDeque<Duration>>,
    /// What follows from both, at most [`OWN_WORK_MAX`]; computed where a height begins.
    own_work: Duration,
    is_heavy: bool,
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
        Self {
            defaults,
            decided: Durations::default(),
            relayed: Durations::default(),
            validated: VecDeque::new(),
            received: BTreeMap::new(),
            own_work: Duration::ZERO,
            is_heavy: false,
        }
    }

    /// So much waits for a block here.
    pub(crate) fn on_payload(&mut self, payload: Payload) {
        self.is_heavy = payload == Payload::Heavy;
    }

    /// Our ledger took `duration` to validate a block, its other work included.
    pub(crate) fn on_validated(&mut self, duration: Duration) {
        push_bounded(&mut self.validated, duration, VALIDATIONS);
    }

    /// A leader's block came `duration` after its proposal.
    pub(crate) fn on_received(&mut self, leader: PublicKey, duration: Duration) {
        push_bounded(self.received.entry(leader).or_default(), duration, RECEIPTS);
    }

    /// A height begins that this set decides.
    pub(crate) fn on_height(&mut self, set: &ValidatorSet) {
        self.received.retain(|leader, _| set.get(leader).is_some());
        let receive = self.slowest_honest_link(set);
        let validate = second_largest(&self.validated);
        self.own_work = (4 * validate + 2 * receive).min(OWN_WORK_MAX);
        if is_planted(Bug::OwnWorkIgnored) {
            self.own_work = Duration::ZERO;
        }
    }

    /// The largest time that leaders with more than a third of the power took or passed.
    fn slowest_honest_link(&self, set: &ValidatorSet) -> Duration {
        let mut links: Vec<_> = self
            .received
            .iter()
            .filter_map(|(leader, times)| Some((second_largest(times), set.get(leader)?.power)))
            .collect();
        links.sort_by(|one, other| other.cmp(one));
        let mut power = 0;
        let reached = links.into_iter().find(|(_, own)| {
            power += own;
            is_more_than_third(power, set.total_power())
        });
        reached.map_or(Duration::ZERO, |(time, _)| time)
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
        let own_work = if step == TimeoutStep::Precommit { Duration::ZERO } else { self.own_work };
        let heavy = if self.is_heavy { HEAVY_BASE.min(default) } else { Duration::ZERO };
        let mut duration = self.decided.base(default).max(heavy).max(own_work);
        for _ in 0..round.0 {
            if duration >= TIMEOUT_MAX {
                break;
            }
            duration = duration * 3 / 2;
        }
        duration.min(TIMEOUT_MAX)
    }
}

fn push_bounded(times: &mut VecDeque<Duration>, time: Duration, max: usize) {
    if times.len() == max {
        times.pop_front();
    }
    times.push_back(time);
}

/// Zero of fewer than two.
fn second_largest(times: &VecDeque<Duration>) -> Duration {
    let mut times: Vec<_> = times.iter().copied().collect();
    times.sort();
    times.iter().rev().nth(1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::Validator;

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

    #[test]
    fn a_sudden_load_is_given_the_time_that_a_large_block_may_take() {
        let mut timeouts = Timeouts::new(TimeoutDefaults::default());
        (0..100).for_each(|_| timeouts.on_decided(Duration::from_millis(5)));
        let steps = [TimeoutStep::Propose, TimeoutStep::Prevote, TimeoutStep::Precommit];
        let bases = |t: &Timeouts| steps.map(|step| t.duration(step, Round(0)).as_millis());
        timeouts.on_payload(Payload::Light);
        assert_eq!(bases(&timeouts), [20, 20, 20]);
        timeouts.on_payload(Payload::Heavy);
        assert_eq!(bases(&timeouts), [500, 500, 500]);
        assert_eq!(timeouts.duration(TimeoutStep::Propose, Round(1)).as_millis(), 750);
        timeouts.on_payload(Payload::Nothing);
        assert_eq!(bases(&timeouts), [20, 20, 20]);
        let second = Duration::from_millis(100);
        let mut quick = Timeouts::new(TimeoutDefaults { propose: second, prevote: second, precommit: second });
        quick.on_payload(Payload::Heavy);
        assert_eq!(bases(&quick), [100, 100, 100], "never above the genesis default");
    }

    fn set_of(powers: &[u64]) -> ValidatorSet {
        let validator = |(id, power): (u8, &u64)| Validator { key: PublicKey([id; 32]), power: *power };
        ValidatorSet::new((1..).zip(powers).map(validator).collect()).unwrap()
    }

    fn own_work_counts_above_the_default_and_is_forgotten() {
        let set = set_of(&[1; 4]);
        let mut timeouts = Timeouts::new(TimeoutDefaults::default());
        let base = |t: &mut Timeouts, step| {
            t.on_height(&set);
            t.duration(step, Round(0)).as_millis()
        };
        timeouts.on_validated(Duration::from_millis(1_900));
        assert_eq!(base(&mut timeouts, TimeoutStep::Propose), 1_000, "one hiccup does not count");
        timeouts.on_validated(Duration::from_millis(1_500));
        let steps = [TimeoutStep::Propose, TimeoutStep::Prevote, TimeoutStep::Precommit];
        assert_eq!(steps.map(|step| base(&mut timeouts, step)), [6_000, 6_000, 500]);
        timeouts.on_validated(Duration::from_secs(90));
        assert_eq!(base(&mut timeouts, TimeoutStep::Propose), 7_600);
        timeouts.on_validated(Duration::from_secs(90));
        assert_eq!(base(&mut timeouts, TimeoutStep::Propose), OWN_WORK_MAX.as_millis());
        assert_eq!(timeouts.duration(TimeoutStep::Propose, Round(1)), OWN_WORK_MAX * 3 / 2);
        // Light blocks after the load.
        (0..19).for_each(|_| timeouts.on_validated(Duration::from_millis(1)));
        assert_eq!(base(&mut timeouts, TimeoutStep::Propose), 1_000);
    }

    #[test]
    fn own_work_lifts_the_base_above_the_default_and_is_forgotten_after_the_load() {
        own_work_counts_above_the_default_and_is_forgotten();
    }

    #[test]
    fn slow_blocks_of_a_third_of_the_power_or_less_do_not_count() {
        let second = Duration::from_secs(1);
        let own_work = |powers: &[u64], slow: &[u8]| {
            let set = set_of(powers);
            let mut timeouts = Timeouts::new(TimeoutDefaults::default());
            // The first validator is ourselves.
            for leader in 2..=u8::try_from(powers.len()).unwrap() {
                let time = if slow.contains(&leader) { 3 * second } else { second / 100 };
                (0..9).for_each(|_| timeouts.on_received(PublicKey([leader; 32]), time));
            }
            timeouts.on_height(&set);
            timeouts.own_work
        };
        assert_eq!(own_work(&[1; 4], &[]), second / 50);
        assert_eq!(own_work(&[1; 4], &[2]), second / 50, "one of four is at most a third");
        assert_eq!(own_work(&[1; 4], &[2, 4]), 6 * second);
        assert_eq!(own_work(&[10, 10, 10, 14], &[4]), second / 50);
        assert_eq!(own_work(&[10, 10, 10, 16], &[4]), 6 * second, "more than a third is not outvoted by anybody");
        assert_eq!(own_work(&[1], &[]), Duration::ZERO);
    }

    #[test]
    fn who_decides_no_more_is_forgotten() {
        let mut timeouts = Timeouts::new(TimeoutDefaults::default());
        (1..=4).for_each(|leader| timeouts.on_received(PublicKey([leader; 32]), Duration::from_secs(1)));
        timeouts.on_height(&set_of(&[1, 1]));
        assert_eq!(timeouts.received.len(), 2);
    }

    /// Each bug makes a test fail that passes without it.
    #[cfg(feature = "planted")]
    mod planted {
        use super::*;
        use timed_primitives::planted::is_caught;

        #[test]
        fn own_work_ignored() {
            assert!(is_caught(Bug::OwnWorkIgnored, own_work_counts_above_the_default_and_is_forgotten));
        }
    }
}
