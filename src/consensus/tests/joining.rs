//! Keys that begin to vote on a network under way, and machines that are started with an empty folder.

#![allow(clippy::unwrap_used, reason = "a test")]

mod sim;

use sim::{Sim, consensus_key};
use std::collections::BTreeSet;
use std::time::Duration;
use timed_consensus::{Gossip, Output, SigningOff, SigningStatus};
use timed_primitives::{MemoryDisk, Validator, ValidatorSet, VoteKind};

const SECOND: Duration = Duration::from_secs(1);
/// The first height of which those who join are voters.
const FIRST: u64 = 12;

fn set_of(ids: impl IntoIterator<Item = usize>) -> ValidatorSet {
    let validator = |id: usize| Validator { key: consensus_key(id).public(), power: 1 };
    ValidatorSet::new(ids.into_iter().map(validator).collect()).unwrap()
}

/// Four validators run; three more vote from [`FIRST`] on, and the machine of none of them runs. Five of seven are needed then.
fn on_the_way(seed: u64) -> Sim {
    let mut sim = Sim::new(7, 0, seed);
    sim.set = set_of(0..4);
    sim.later_sets.insert(FIRST, set_of(0..7));
    sim.config.min_block_interval = Duration::from_millis(50);
    sim.reports_heights = true;
    (0..4).for_each(|id| sim.start(id));
    sim.payload_everywhere();
    sim
}

/// The same, when nothing is decided without them any more.
fn stuck_for_who_joined(seed: u64) -> Sim {
    let mut sim = on_the_way(seed);
    assert!(sim.run_until(60 * SECOND, |s| s.lowest() == FIRST - 1), "{:#?}", sim.status(0));
    sim.run_for(5 * SECOND);
    assert_eq!(sim.lowest(), FIRST - 1, "four of seven decide nothing");
    sim
}

fn off_reason(sim: &Sim, id: usize) -> Option<SigningOff> {
    match sim.status(id).signing {
        SigningStatus::Off { reason, .. } => Some(reason),
        _ => None,
    }
}

fn has_signed(sim: &Sim, id: usize) -> bool {
    sim.nodes[id].outputs.iter().any(|o| {
        matches!(o, Output::Broadcast(Gossip::Vote(v)) if v.validator == consensus_key(id).public())
            || matches!(o, Output::Broadcast(Gossip::Proposal(_)))
    })
}

#[test]
fn who_starts_empty_after_its_first_height_began_signs_when_the_network_needs_it() {
    for seed in 1..=30 {
        let mut sim = stuck_for_who_joined(seed);
        sim.held_back = Box::new(move |from, to, _| if (from + to) as u64 % 3 == seed % 3 { 20_000 } else { 0 });
        sim.start(4);
        sim.payload_everywhere();
        assert!(sim.run_until(20 * SECOND, |s| s.height(0) >= FIRST + 20), "seed {seed}: {:#?}", sim.status(4));
        assert_eq!(sim.status(4).signing, SigningStatus::On, "seed {seed}");
    }
}

/// Exactly a quorum begins; who hears that a height is decided before it decides it itself has lost no memory.
#[test]
fn a_new_network_of_exactly_a_quorum_goes_on_however_late_its_votes_come() {
    for seed in 1..=30 {
        let mut sim = Sim::new(7, 0, seed);
        sim.config.min_block_interval = Duration::from_millis(50);
        sim.reports_heights = true;
        sim.held_back = Box::new(move |from, to, _| if (from + to) as u64 % 3 == seed % 3 { 20_000 } else { 0 });
        (0..5).for_each(|id| sim.start(id));
        sim.payload_everywhere();
        assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= 20), "seed {seed}: {:#?}", sim.status(0));
    }
}

/// However few heights before its first one it starts, and whatever it heard meanwhile.
#[test]
fn who_starts_empty_shortly_before_its_first_height_signs_there() {
    for seed in 1..=24 {
        let mut sim = on_the_way(seed);
        let start = FIRST - 1 - seed % 4;
        assert!(sim.run_until(60 * SECOND, |s| s.height(0) >= start), "{:#?}", sim.status(0));
        sim.start(4);
        sim.payload_everywhere();
        assert!(sim.run_until(30 * SECOND, |s| s.height(0) >= FIRST + 20), "seed {seed}: {:#?}", sim.status(4));
    }
}

/// It observed from the genesis on and was down when the last heights before its first one were decided. What it wrote while it observed is
/// no guard that anything was signed by.
#[test]
fn who_observed_and_was_down_for_some_heights_signs_at_its_first_one() {
    for seed in 1..=12 {
        let mut sim = on_the_way(seed);
        sim.start(4);
        assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= 5));
        sim.kill(4);
        assert!(sim.run_until(60 * SECOND, |s| s.height(0) == FIRST - 1));
        sim.run_for(SECOND);
        sim.start(4);
        sim.payload_everywhere();
        assert!(sim.run_until(30 * SECOND, |s| s.height(0) >= FIRST + 20), "seed {seed}: {:#?}", sim.status(4));
    }
}

fn lose_folder(sim: &mut Sim, id: usize) {
    sim.kill(id);
    (sim.nodes[id].disk, sim.nodes[id].chain) = (MemoryDisk::default(), vec![]);
    sim.nodes[id].outputs.clear();
}

/// Nothing is decided without it, and still: what it signed at the open height it may have forgotten.
#[test]
fn who_voted_for_decided_heights_and_lost_its_folder_stays_silent() {
    for seed in 1..=6 {
        let mut sim = stuck_for_who_joined(seed);
        sim.start(4);
        sim.payload_everywhere();
        let end = FIRST + seed - 1;
        assert!(sim.run_until(30 * SECOND, |s| (0..5).all(|id| s.height(id) >= end)), "{:#?}", sim.status(4));
        lose_folder(&mut sim, 4);
        sim.run_for(2 * SECOND);
        sim.start(4);
        sim.payload_everywhere();
        sim.run_for(60 * SECOND);
        assert!(sim.height(4) >= end, "it has caught up");
        assert!(matches!(off_reason(&sim, 4), Some(SigningOff::GuardMissing { .. })), "{:?}", sim.status(4));
        assert!(!has_signed(&sim, 4), "seed {seed}");
    }
}

/// It signed at its first height, which is open, and lost that. Neighbours hold what it signed, and send it back before it signs again.
#[test]
fn who_lost_its_folder_in_its_first_height_contradicts_nothing() {
    let mut silent = 0;
    for seed in 1..=40 {
        let mut sim = stuck_for_who_joined(seed);
        let precommits_lost = seed % 2 == 0;
        sim.filter = Box::new(move |from, _, message| {
            from == 4 && matches!(message, Gossip::Vote(v) if precommits_lost && v.kind == VoteKind::Precommit)
        });
        sim.start(4);
        sim.payload_everywhere();
        let inputs = sim.nodes[4].handled + 40 + sim.random(400);
        sim.run_until(10 * SECOND, |s| s.nodes[4].handled >= inputs);
        let has_voted = has_signed(&sim, 4);
        lose_folder(&mut sim, 4);
        sim.start(4);
        sim.payload_everywhere();
        sim.run_for(20 * SECOND);
        if has_voted {
            assert!(!has_signed(&sim, 4), "seed {seed}: {:?}", sim.status(4));
            silent += 1;
        }
    }
    assert!(silent >= 10, "in {silent} of 40 runs it had signed");
}

/// Two machines with the key of one that joined, both with nothing: the rules of [`timed_consensus::OtherSession`] hold as at genesis.
#[test]
fn of_two_machines_for_one_key_that_start_empty_the_later_one_signs_nothing() {
    for seed in 1..=6 {
        let mut sim = stuck_for_who_joined(seed);
        sim.contradictions = Some(BTreeSet::new());
        let twin = sim.add_twin(4);
        sim.cut(4, twin);
        sim.start(4);
        // Together, or when the first one signs already.
        let apart = if seed % 2 == 0 { sim.random(700_000) } else { 5_000_000 };
        sim.run_for(Duration::from_micros(apart));
        sim.start(twin);
        sim.payload_everywhere();
        sim.run_for(8 * SECOND);
        let contradictions = sim.contradictions.take().unwrap();
        if seed % 2 == 0 {
            assert!(contradictions.len() <= 1, "seed {seed}: {contradictions:?}");
        } else {
            let signed = sim.nodes[twin].outputs.iter().any(|o| matches!(o, Output::Broadcast(Gossip::Vote(_))));
            assert!(contradictions.is_empty() && !signed, "seed {seed}: {contradictions:?}");
            assert!(sim.height(0) >= FIRST + 20, "seed {seed}: {:#?}", sim.status(4));
        }
    }
}

/// What the operator of a node hears about signing, and whether as a warning.
fn reported(sim: &Sim, id: usize) -> Vec<(bool, &str)> {
    let outputs = sim.nodes[id].outputs.iter();
    let lines = outputs.filter_map(|output| match output {
        Output::SigningChanged { line, is_warning } => Some((*is_warning, line.split(':').next().unwrap())),
        _ => None,
    });
    lines.collect()
}

#[test]
fn who_is_no_voter_yet_is_reported_without_a_warning_and_who_is_no_longer_with_one() {
    let mut sim = on_the_way(1);
    sim.later_sets.insert(FIRST, set_of(0..5));
    sim.later_sets.insert(FIRST + 5, set_of(0..4));
    sim.later_sets.insert(FIRST + 10, set_of(0..5));
    sim.start(4);
    sim.payload_everywhere();
    assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= FIRST + 15), "{:#?}", sim.status(4));
    let expected = [(false, "observer"), (false, "signing is on"), (true, "signing is over"), (false, "signing is on")];
    assert_eq!(reported(&sim, 4), expected);
    assert_eq!(reported(&sim, 0), []);
}
