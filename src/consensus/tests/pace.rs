//! Time-outs follow what work takes here, and nobody who only waits can stretch them.

#![allow(clippy::unwrap_used, reason = "a test")]

mod sim;

use sim::{Sim, consensus_key};
use std::time::Duration;
use timed_consensus::{Gossip, Payload};

const SECOND: Duration = Duration::from_secs(1);

/// The longest time from one height to the next on a node from now on, over so many heights.
fn longest_height(sim: &mut Sim, id: usize, heights: u64) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..heights {
        let (start, height) = (sim.now, sim.height(id));
        assert!(sim.run_until(60 * SECOND, |s| s.height(id) > height), "{:#?}", sim.status(id));
        longest = longest.max(sim.now.since(start));
    }
    longest
}

#[test]
fn work_that_takes_longer_than_the_default_timeouts_fails_rounds_only_until_it_was_measured() {
    let mut sim = Sim::new(4, 0, 71);
    // A machine so busy that a block takes 1.6 s to build and 1.9 s to validate; time-outs are 1 s by default.
    sim.work_us = (1_600_000, 1_900_000);
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(120 * SECOND, |s| s.lowest() >= 4), "{:#?}", sim.status(0));
    assert!(sim.run_until(200 * SECOND, |s| s.lowest() >= 34), "{:#?}", sim.status(0));
    let rounds = sim.rounds(0);
    assert!(rounds.iter().skip(4).all(|round| *round == 0), "{rounds:?}");
}

#[test]
fn a_block_that_is_being_validated_is_waited_for() {
    let mut sim = Sim::started(4, 72);
    sim.payload_everywhere();
    assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= 120));
    // Without warning: time-outs are tens of milliseconds by now.
    sim.work_us.1 = 3_000_000;
    let before = sim.rounds(0).len();
    assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= 126), "{:#?}", sim.status(0));
    let rounds = sim.rounds(0);
    assert!(rounds.iter().skip(before + 1).all(|round| *round == 0), "{rounds:?}");
}

/// Time-outs are tens of milliseconds by then. Validators learn of the load while they wait for the first block that is full of it.
#[test]
fn a_sudden_load_fails_no_round() {
    let mut sim = Sim::started(4, 73);
    sim.payload_everywhere();
    assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= 120));
    sim.work_us = (300_000, 50_000);
    sim.steady_payload = Payload::Heavy;
    let before = sim.rounds(0).len();
    assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= 160), "{:#?}", sim.status(0));
    let rounds = sim.rounds(0);
    // What is under way when the load begins, was begun without it.
    assert!(rounds.iter().skip(before + 1).all(|round| *round == 0), "{rounds:?}");
    // After it a dead leader costs tens of milliseconds again.
    sim.work_us = (300, 200);
    sim.steady_payload = Payload::Light;
    assert!(sim.run_until(90 * SECOND, |s| s.lowest() >= 300), "{:#?}", sim.status(0));
    assert!(sim.status(0).propose_timeout < Duration::from_millis(100), "{:#?}", sim.status(0));
}

/// Time-outs are tens of milliseconds. What waits turns out to be much while validators wait for the block already.
#[test]
fn a_round_that_turns_out_to_be_heavy_is_given_more_time() {
    let mut sim = Sim::started(4, 74);
    sim.steady_payload = Payload::Light;
    sim.payload_everywhere();
    assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= 120));
    sim.work_us.0 = 300_000;
    let before = sim.rounds(0).len();
    assert!(!sim.run_until(Duration::from_millis(10), |s| s.lowest() > before as u64));
    (0..4).for_each(|node| sim.payload(node, Payload::Heavy));
    assert!(sim.run_until(SECOND, |s| s.lowest() > before as u64), "{:#?}", sim.status(0));
    assert_eq!(sim.rounds(0)[before], 0);
}

/// The leader alone has not heard of the load by then, and time-outs are tens of milliseconds.
#[test]
fn a_leader_waits_for_its_own_block() {
    let mut sim = Sim::started(4, 75);
    sim.steady_payload = Payload::Light;
    sim.payload_everywhere();
    assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= 120));
    sim.work_us.0 = 300_000;
    let before = sim.rounds(0).len();
    assert!(!sim.run_until(Duration::from_millis(10), |s| s.lowest() > before as u64));
    let leader = sim.status(0).proposer;
    let followers = (0..4).filter(|node| Some(consensus_key(*node).public()) != leader);
    followers.for_each(|node| sim.payload(node, Payload::Heavy));
    assert!(sim.run_until(SECOND, |s| s.lowest() > before as u64), "{:#?}", sim.status(0));
    assert_eq!(sim.rounds(0)[before], 0);
}

#[test]
fn a_leader_that_delays_as_long_as_is_allowed_stretches_no_timeout_above_the_default() {
    for (seed, delay_ms) in [(73, 300), (74, 900), (75, 1_500)] {
        let mut sim = Sim::started(4, seed);
        sim.payload_everywhere();
        assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= 120));
        let byzantine = consensus_key(3).public();
        sim.held_back = Box::new(move |from, _, message| match message {
            Gossip::Block(block) if from == 3 && block.header.proposer == byzantine => delay_ms * 1_000,
            _ => 0,
        });
        // Its turns cost what it delays at most, or a time-out, and then it is the last in the order.
        let longest = longest_height(&mut sim, 0, 300);
        assert!(longest <= SECOND + SECOND / 10, "{longest:?} with {delay_ms} ms");
        // A dead leader costs a time-out of round 0 then, which is at most the default. Where the Byzantine validator's block comes after that, it alone votes
        // for it, and since one is dead a time-out of prevotes follows: half a second by default.
        sim.kill(0);
        let longest = longest_height(&mut sim, 1, 8);
        let more = if delay_ms < 1_000 { Duration::ZERO } else { SECOND / 2 };
        assert!(longest <= SECOND + SECOND / 10 + more, "{longest:?} after {delay_ms} ms");
    }
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn own_work_ignored() {
        let tests: [fn(); 3] = [
            work_that_takes_longer_than_the_default_timeouts_fails_rounds_only_until_it_was_measured,
            a_block_that_is_being_validated_is_waited_for,
            a_leader_waits_for_its_own_block,
        ];
        for test in tests {
            assert!(is_caught(Bug::OwnWorkIgnored, test));
        }
    }
}
