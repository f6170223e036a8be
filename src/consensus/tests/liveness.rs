//! Heights go on: alone, with faults within the bound, over broken links; and an idle network is quiet.

#![allow(clippy::unwrap_used, reason = "a test")]

mod sim;

use sim::Sim;
use std::time::Duration;
use timed_consensus::Output;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn four_validators_decide_one_block_per_height() {
    let mut sim = Sim::started(4, 1);
    sim.payload_everywhere();
    assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= 50), "{:?}", sim.status(0));
    assert_eq!(sim.rounds(0).iter().max(), Some(&0));
}

#[test]
fn a_single_validator_decides_alone() {
    let mut sim = Sim::started(1, 1);
    sim.payload_everywhere();
    assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 20), "{:?}", sim.status(0));
    assert_eq!(sim.rounds(0).iter().max(), Some(&0));
}

#[test]
fn one_of_four_dead_and_one_link_cut_heights_go_on() {
    let mut sim = Sim::new(4, 0, 3);
    (0..3).for_each(|id| sim.start(id));
    sim.cut(0, 1);
    sim.payload_everywhere();
    assert!(sim.run_until(20 * SECOND, |s| s.lowest() >= 10), "{:#?}", sim.status(0));
    // What the cut link would have carried is passed on by now.
    let before = sim.lowest();
    sim.run_for(5 * SECOND);
    assert!(sim.lowest() >= before + 100, "{} heights in 5 s", sim.lowest() - before);
}

#[test]
fn idle_for_a_virtual_hour_every_height_decides_in_round_0() {
    let mut sim = Sim::new(4, 0, 4);
    for (id, offset) in [0, 900, -1500, 2000].into_iter().enumerate() {
        sim.nodes[id].clock_offset_ms = offset;
    }
    sim.start_all();
    sim.run_for(3600 * SECOND);
    let rounds = sim.rounds(0);
    assert_eq!(rounds.iter().max(), Some(&0), "{rounds:?}");
    assert!((300..=365).contains(&rounds.len()), "{} heights", rounds.len());
}

#[test]
fn a_two_two_split_never_decides_and_heals() {
    let mut sim = Sim::started(4, 5);
    sim.payload_everywhere();
    assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 3));
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        sim.cut(a, b);
    }
    sim.run_for(SECOND);
    let before = (0..4).map(|id| sim.height(id)).max().unwrap();
    sim.run_for(300 * SECOND);
    assert!((0..4).all(|id| sim.height(id) <= before));
    let line = sim.status(0).quorum_line.unwrap();
    assert_eq!(line, "no quorum: 2 of 4 voting power, need 3; missing node 3, node 4");
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        sim.heal(a, b);
    }
    assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= before + 5), "{:#?}", sim.status(0));
    assert_eq!(sim.status(0).quorum_line, None);
}

/// What is said of the quorum in the log.
fn said_of_quorum(sim: &Sim, id: usize) -> Vec<String> {
    let words = |output: &Output| match output {
        Output::QuorumLost { line } => Some(line.clone()),
        Output::QuorumBack => Some("back".into()),
        _ => None,
    };
    sim.nodes[id].outputs.iter().filter_map(words).collect()
}

/// Peers are gone for a moment at every start, when two sessions become one, and while a node ends.
#[test]
fn a_quorum_that_is_lost_for_a_moment_is_no_news() {
    let mut sim = Sim::started(4, 5);
    sim.run_for(3 * SECOND);
    assert_eq!(said_of_quorum(&sim, 0), [] as [&str; 0], "at the start");
    let away = |sim: &mut Sim, time| {
        (2..4).for_each(|other| sim.cut(0, other));
        sim.run_for(time);
        (2..4).for_each(|other| sim.heal(0, other));
        sim.run_for(SECOND / 10);
    };
    away(&mut sim, SECOND * 8 / 10);
    assert_eq!(said_of_quorum(&sim, 0), [] as [&str; 0]);
    away(&mut sim, SECOND * 3);
    let line = "no quorum: 2 of 4 voting power, need 3; missing node 3, node 4";
    assert_eq!(said_of_quorum(&sim, 0), [line, "back"]);
    // Not by then: the moments before do not count.
    away(&mut sim, SECOND * 8 / 10);
    assert_eq!(said_of_quorum(&sim, 0), [line, "back"]);
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn quorum_off_by_one() {
        assert!(is_caught(Bug::QuorumOffByOne, a_two_two_split_never_decides_and_heals));
    }

    #[test]
    fn stale_timeout_accepted() {
        assert!(is_caught(Bug::StaleTimeoutAccepted, idle_for_a_virtual_hour_every_height_decides_in_round_0));
    }
}
