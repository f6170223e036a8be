//! No key ever signs two statements for one place, whatever is lost; and what cannot be known switches signing off.
//! The simulation checks every message that leaves a node, and that each height has one block.

#![allow(clippy::unwrap_used, reason = "a test")]

mod sim;

use sim::{Sim, consensus_key};
use std::sync::Arc;
use std::time::Duration;
use timed_consensus::guard::GUARD_FILE;
use timed_consensus::journal::JOURNAL_FILES;
use timed_consensus::{Output, Payload, SigningOff, SigningStatus};
use timed_primitives::{Block, CommitCertificate, Disk, MemoryDisk};

const SECOND: Duration = Duration::from_secs(1);

fn off_reason(sim: &Sim, id: usize) -> Option<SigningOff> {
    match sim.status(id).signing {
        SigningStatus::Off { reason, .. } => Some(reason),
        _ => None,
    }
}

fn wipe(disk: &MemoryDisk, file: &str) {
    disk.damage(file, |bytes| bytes.fill(0)).unwrap();
}

fn content(disk: &MemoryDisk, file: &str) -> Vec<u8> {
    let file = disk.open(file).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn all_four_restarted_together_again_and_again() {
    for seed in 1..=4 {
        let mut sim = Sim::started(4, seed);
        for _ in 0..25 {
            sim.payload_everywhere();
            // Each listens for 300 ms before it signs.
            let pause = 300_000 + sim.random(60_000);
            sim.run_for(Duration::from_micros(pause));
            (0..4).for_each(|id| sim.kill(id));
            sim.start_all();
        }
        sim.payload_everywhere();
        let before = sim.lowest();
        assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= before + 10), "seed {seed}: {:#?}", sim.status(0));
        assert_eq!(off_reason(&sim, 0), None);
    }
}

#[test]
fn a_kill_at_every_step_of_a_height_never_signs_twice() {
    for step in 1..=70 {
        let mut sim = Sim::new(4, 0, step);
        sim.crash_at = Some((0, step));
        sim.start_all();
        sim.payload_everywhere();
        assert!(sim.run_until(60 * SECOND, |s| s.crash_at.is_none()), "step {step} was not reached");
        sim.payload_everywhere();
        let before = sim.lowest();
        assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= before + 4), "step {step}: {:#?}", sim.status(0));
    }
}

#[test]
fn a_lone_validator_killed_at_every_step_goes_on() {
    for step in 1..=40 {
        let mut sim = Sim::new(1, 0, step);
        sim.crash_at = Some((0, step));
        sim.start_all();
        sim.payload_everywhere();
        assert!(sim.run_until(10 * SECOND, |s| s.crash_at.is_none()), "step {step} was not reached");
        sim.payload_everywhere();
        let before = sim.lowest();
        assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= before + 4), "step {step}: {:#?}", sim.status(0));
    }
}

/// Between journal sync and guard sync the power can fail: the journal is one step ahead, which is no reason to stop.
#[test]
fn a_journal_one_step_ahead_of_the_guard_is_fine() {
    let mut sim = Sim::new(4, 0, 7);
    sim.config.min_block_interval = Duration::from_millis(50);
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 3));
    for _ in 0..30 {
        let signed = sim.signed_by(0).len();
        let before = content(&sim.nodes[0].disk, GUARD_FILE);
        assert!(sim.run_until(10 * SECOND, |s| s.signed_by(0).len() > signed));
        sim.kill(0);
        let height = sim.height(0) + 1;
        let is_open = sim.signed_by(0).iter().any(|(h, ..)| *h == height);
        sim.nodes[0].disk.damage(GUARD_FILE, |bytes| bytes.clone_from(&before)).unwrap();
        sim.start(0);
        if is_open {
            assert!(!matches!(off_reason(&sim, 0), Some(SigningOff::GuardAhead { .. })));
        }
        sim.payload_everywhere();
        // Listened, and signing again.
        sim.run_for(Duration::from_millis(400));
    }
}

#[test]
fn a_missing_guard_switches_signing_off_and_two_heights_later_on() {
    let mut sim = Sim::new(4, 0, 8);
    sim.config.min_block_interval = Duration::from_millis(100);
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 5));
    sim.kill(0);
    wipe(&sim.nodes[0].disk, GUARD_FILE);
    let signed = sim.signed_by(0).len();
    sim.start(0);
    sim.payload(0, Payload::Light);
    assert!(matches!(off_reason(&sim, 0), Some(SigningOff::GuardMissing { .. })), "{:?}", sim.status(0));
    let text = sim.status(0).signing.to_string();
    assert!(text.contains("the guard is missing"), "{text}");
    let reported = (1..4).map(|id| sim.height(id)).max().unwrap();
    assert!(sim.run_until(10 * SECOND, |s| s.status(0).signing == SigningStatus::On), "{:?}", sim.status(0));
    assert_eq!(sim.signed_by(0).len(), signed, "signed although it may have forgotten");
    assert!(sim.height(0) >= reported + 2, "at {} after tips of {reported}", sim.height(0));
    assert!(sim.run_until(10 * SECOND, |s| s.signed_by(0).len() > signed));
    let lines = sim.nodes[0].outputs.iter().filter(|o| matches!(o, Output::SigningChanged { .. })).count();
    assert_eq!(lines, 2);
}

#[test]
fn a_restored_old_copy_switches_signing_off_and_two_heights_later_on() {
    let mut sim = Sim::new(4, 0, 9);
    sim.config.min_block_interval = Duration::from_millis(100);
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 5));
    let (disk, chain) = (sim.nodes[0].disk.copy_of_durable(), sim.nodes[0].chain.clone());
    assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 40));
    sim.kill(0);
    sim.nodes[0].disk = disk;
    sim.nodes[0].chain = chain;
    let signed = sim.signed_by(0).len();
    sim.start(0);
    sim.payload(0, Payload::Light);
    assert!(matches!(off_reason(&sim, 0), Some(SigningOff::GuardOlder { .. })), "{:?}", sim.status(0));
    sim.run_for(Duration::from_millis(50));
    assert_eq!(sim.signed_by(0).len(), signed);
    // A restart meanwhile changes nothing: the guard was left as it was.
    sim.restart(0);
    sim.payload(0, Payload::Light);
    assert!(matches!(off_reason(&sim, 0), Some(SigningOff::GuardOlder { .. })), "{:?}", sim.status(0));
    let reported = (1..4).map(|id| sim.height(id)).max().unwrap();
    assert!(sim.run_until(20 * SECOND, |s| s.status(0).signing == SigningStatus::On), "{:?}", sim.status(0));
    assert_eq!(sim.signed_by(0).len(), signed);
    assert!(sim.height(0) >= reported + 2, "at {} after tips of {reported}", sim.height(0));
    assert!(sim.run_until(10 * SECOND, |s| s.signed_by(0).len() > signed));
}

/// A network whose first validator has been down for twenty heights.
fn with_one_away(validators: usize, seed: u64) -> Sim {
    let mut sim = Sim::new(validators, 0, seed);
    sim.config.min_block_interval = Duration::from_millis(50);
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 3));
    sim.kill(0);
    let before = sim.height(1);
    assert!(sim.run_until(30 * SECOND, |s| s.height(1) >= before + 20));
    sim
}

/// Two of four were down one after the other; one never returns, and the one that does is needed.
#[test]
fn a_validator_that_was_away_is_back_as_soon_as_it_has_caught_up_and_the_network_may_need_it() {
    let mut sim = with_one_away(4, 23);
    sim.kill(3);
    sim.run_for(10 * SECOND);
    let stuck = sim.height(1);
    sim.start(0);
    sim.payload_everywhere();
    assert!(matches!(off_reason(&sim, 0), Some(SigningOff::Away { .. })), "{:?}", sim.status(0));
    assert!(sim.run_until(20 * SECOND, |s| s.height(0) >= stuck + 10), "{:#?}", sim.status(0));
    assert_eq!(off_reason(&sim, 0), None);
}

/// Seven of which each hears four at most; three lost their memory or are dead, so that the one that was away is needed.
#[test]
fn who_was_away_and_never_hears_a_quorum_signs_again_when_more_than_a_third_reported() {
    let mut sim = with_one_away(7, 26);
    [5, 6].into_iter().for_each(|id| sim.kill(id));
    sim.cut(0, 4);
    sim.run_for(5 * SECOND);
    let stuck = sim.height(1);
    sim.start(0);
    sim.payload_everywhere();
    sim.run_for(5 * SECOND);
    assert!(matches!(off_reason(&sim, 0), Some(SigningOff::Away { .. })), "{:?}", sim.status(0));
    assert!(sim.run_until(30 * SECOND, |s| s.height(0) >= stuck + 10), "{:#?}", sim.status(0));
}

/// It caught up while it was down, with one neighbour, and signs. That it was away it hears from the next two, and that a quorum
/// is back from another one; by then it is not away, and what it signed in the open height it still knows.
#[test]
fn who_hears_while_it_signs_that_it_was_away_goes_on() {
    let mut sim = with_one_away(7, 25);
    [1, 3, 4, 5, 6].into_iter().for_each(|id| sim.kill(id));
    sim.nodes[0].chain = sim.nodes[2].chain.clone();
    let signed = sim.signed_by(0).len();
    sim.start(0);
    sim.payload_everywhere();
    sim.run_for(SECOND);
    assert!(sim.run_until(20 * SECOND, |s| s.signed_by(0).len() > signed), "{:?}", sim.status(0));
    let stuck = sim.height(0);
    assert_eq!(stuck, sim.height(2));
    for back in [1, 3, 4] {
        sim.start(back);
        sim.payload_everywhere();
        sim.run_for(5 * SECOND);
        assert_eq!(off_reason(&sim, 0), None);
    }
    assert!(sim.run_until(30 * SECOND, |s| s.height(0) >= stuck + 10), "{:#?}", sim.status(0));
}

/// A snapshot of the whole volume cannot be distinguished from the original: what was signed since stands in certificates, or neighbours know.
#[test]
fn a_volume_set_back_to_a_snapshot_signs_nothing_twice() {
    let mut forgotten = 0;
    for seed in 200..230 {
        let mut sim = Sim::started(4, seed);
        sim.payload_everywhere();
        assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 3));
        let (disk, chain) = (sim.nodes[0].disk.snapshot_of_durable(), sim.nodes[0].chain.clone());
        let (before, more) = (sim.lowest(), sim.random(6));
        assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= before + more));
        let inputs = sim.random(20);
        run_inputs(&mut sim, inputs);
        sim.kill(0);
        set_back(&mut sim, (disk, chain));
        sim.run_for(SECOND);
        let is_found =
            |o: &Output| matches!(o, Output::SigningChanged { line, .. } if line.contains("do not remember"));
        forgotten += u32::from(sim.nodes[0].outputs.iter().any(is_found));
        assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= before + 20), "seed {seed}: {:#?}", sim.status(0));
    }
    assert!(forgotten >= 20, "only {forgotten} snapshots were found out");
}

/// Nobody remembers its votes any more, but the blocks hold them.
#[test]
fn a_snapshot_is_found_out_by_our_precommits_in_the_chain() {
    let mut sim = Sim::started(4, 24);
    sim.payload_everywhere();
    assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 3));
    let (disk, chain) = (sim.nodes[0].disk.snapshot_of_durable(), sim.nodes[0].chain.clone());
    let before = sim.lowest();
    assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= before + 5));
    sim.kill(0);
    assert!(sim.run_until(60 * SECOND, |s| s.height(1) >= before + 20));
    (1..4).for_each(|id| sim.kill(id));
    (1..4).for_each(|id| sim.start(id));
    sim.payload_everywhere();
    let signed = sim.signed_by(0).len();
    set_back(&mut sim, (disk, chain));
    let is_found = |s: &Sim| matches!(off_reason(s, 0), Some(SigningOff::Forgotten { .. }));
    assert!(sim.run_until(10 * SECOND, is_found), "{:?}", sim.status(0));
    assert_eq!(sim.signed_by(0).len(), signed);
}

/// Whatever the moment at which a node loses its memory and is back at once, with the height it last signed still open.
#[test]
fn an_old_copy_or_an_empty_disk_at_any_moment_signs_nothing_twice() {
    for seed in 100..140 {
        let mut sim = Sim::new(4, 0, seed);
        sim.start_all();
        sim.payload_everywhere();
        assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 3));
        for round in 0..4 {
            let (disk, chain) = (sim.nodes[0].disk.copy_of_durable(), sim.nodes[0].chain.clone());
            let before = sim.lowest();
            assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= before + 2), "seed {seed}: {:#?}", sim.status(0));
            let moment = sim.random(20_000);
            sim.run_for(Duration::from_micros(moment));
            sim.kill(0);
            sim.nodes[0].disk = if round % 2 == 0 { disk } else { MemoryDisk::default() };
            sim.nodes[0].chain = chain;
            sim.start(0);
            sim.payload_everywhere();
            let on = |s: &Sim| s.status(0).signing == SigningStatus::On && s.lowest() >= before + 6;
            assert!(sim.run_until(60 * SECOND, on), "seed {seed}: {:#?}", sim.status(0));
        }
    }
}

#[test]
fn a_lost_journal_under_a_younger_guard_switches_signing_off() {
    let mut sim = Sim::new(4, 0, 10);
    sim.config.min_block_interval = Duration::from_millis(100);
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 5));
    // Without a quorum the height stays open after the votes of round 0.
    (2..4).for_each(|id| sim.kill(id));
    sim.run_for(5 * SECOND);
    let (height, signed) = (sim.height(0) + 1, sim.signed_by(0).len());
    assert!(sim.signed_by(0).iter().any(|(h, ..)| *h == height));
    sim.kill(0);
    JOURNAL_FILES.iter().for_each(|file| wipe(&sim.nodes[0].disk, file));
    sim.start(0);
    sim.payload(0, Payload::Light);
    assert!(matches!(off_reason(&sim, 0), Some(SigningOff::GuardAhead { .. })), "{:?}", sim.status(0));
    (2..4).for_each(|id| sim.start(id));
    sim.payload_everywhere();
    assert!(sim.run_until(30 * SECOND, |s| s.status(0).signing == SigningStatus::On), "{:?}", sim.status(0));
    assert_eq!(sim.signed_by(0).len(), signed);
    assert!(sim.height(0) > height, "the height it signed at is behind it");
}

/// Journal and guard are lost, and no peer is ahead: our own vote comes back and gives it away.
#[test]
fn a_forgotten_vote_that_comes_back_switches_signing_off() {
    let mut sim = Sim::new(4, 0, 11);
    (0..2).for_each(|id| sim.start(id));
    sim.payload_everywhere();
    sim.run_for(10 * SECOND);
    let signed = sim.signed_by(0);
    assert!(!signed.is_empty());
    sim.kill(0);
    sim.nodes[0].disk = MemoryDisk::default();
    sim.start(0);
    sim.run_for(Duration::from_millis(20));
    (2..4).for_each(|id| sim.start(id));
    sim.payload_everywhere();
    assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= 20), "{:#?}", sim.status(0));
    let lines: Vec<_> = sim.nodes[0]
        .outputs
        .iter()
        .filter_map(|o| match o {
            Output::SigningChanged { line, .. } => Some(line.clone()),
            _ => None,
        })
        .collect();
    assert!(lines.iter().any(|l| l.contains("that we do not remember")), "{lines:?}");
}

/// Runs until node 0 has handled so many more inputs.
fn run_inputs(sim: &mut Sim, more: u64) {
    let handled = sim.nodes[0].handled + more;
    sim.run_until(5 * SECOND, |s| s.nodes[0].handled >= handled);
}

/// What an operator who restores a copy does: node 0 ends, and comes back as it was.
fn copy_of(sim: &mut Sim) -> (MemoryDisk, Vec<(Arc<Block>, CommitCertificate)>) {
    sim.kill(0);
    let copy = (sim.nodes[0].disk.copy_of_durable(), sim.nodes[0].chain.clone());
    sim.start(0);
    sim.payload_everywhere();
    copy
}

fn set_back(sim: &mut Sim, (disk, chain): (MemoryDisk, Vec<(Arc<Block>, CommitCertificate)>)) {
    sim.nodes[0].disk = disk;
    sim.nodes[0].chain = chain;
    sim.start(0);
    sim.payload_everywhere();
}

/// The copy is so new that no peer is ahead of it: only the votes of its own that neighbours know show that it is one. One of four is dead,
/// so that the height stays open while node 0 is down.
#[test]
fn a_copy_of_the_open_height_is_found_out_by_what_neighbours_remember() {
    let mut forgotten = 0;
    for seed in 1..=40 {
        let mut sim = Sim::new(4, 0, seed);
        sim.config.min_block_interval = Duration::from_millis(400);
        (0..3).for_each(|id| sim.start(id));
        sim.payload_everywhere();
        let inputs = 30 + sim.random(60);
        run_inputs(&mut sim, inputs);
        let copy = copy_of(&mut sim);
        let signed = sim.signed_by(0).len();
        assert!(sim.run_until(10 * SECOND, |s| s.signed_by(0).len() > signed));
        let inputs = sim.random(8);
        run_inputs(&mut sim, inputs);
        sim.kill(0);
        set_back(&mut sim, copy);
        sim.run_for(2 * SECOND);
        forgotten += u32::from(matches!(off_reason(&sim, 0), Some(SigningOff::Forgotten { .. })));
    }
    assert!(forgotten >= 15, "only {forgotten} copies were ones of the open height");
}

/// Nobody reports how high the network is, so it may be anywhere.
#[test]
fn a_validator_that_hears_nobody_signs_nothing() {
    let mut sim = Sim::new(4, 0, 20);
    sim.config.min_block_interval = Duration::from_millis(400);
    sim.start_all();
    sim.payload_everywhere();
    run_inputs(&mut sim, 60);
    sim.kill(0);
    (1..4).for_each(|other| sim.cut(0, other));
    let signed = sim.signed_by(0).len();
    set_back(&mut sim, (MemoryDisk::default(), vec![]));
    sim.run_for(4 * SECOND);
    assert_eq!(sim.signed_by(0).len(), signed, "signed without hearing anybody");
    (1..4).for_each(|other| sim.heal(0, other));
    sim.run_for(SECOND / 10);
    assert!(matches!(off_reason(&sim, 0), Some(SigningOff::GuardMissing { .. })), "{:?}", sim.status(0));
    assert!(sim.run_until(30 * SECOND, |s| s.status(0).signing == SigningStatus::On), "{:?}", sim.status(0));
}

/// One neighbour proves nothing by saying how high it is, but the blocks that it sends do.
#[test]
fn a_copy_that_hears_one_neighbour_catches_up_and_does_not_sign_meanwhile() {
    let mut sim = Sim::new(4, 0, 21);
    sim.config.min_block_interval = Duration::from_millis(400);
    sim.start_all();
    sim.payload_everywhere();
    run_inputs(&mut sim, 60);
    let copy = copy_of(&mut sim);
    sim.run_for(2 * SECOND);
    sim.kill(0);
    [2, 3].into_iter().for_each(|other| sim.cut(0, other));
    let signed = sim.signed_by(0).len();
    set_back(&mut sim, copy);
    sim.run_for(4 * SECOND);
    assert_eq!(sim.signed_by(0).len(), signed, "signed although it may have forgotten");
    // By the blocks that came, or by its precommits in them.
    let reason = off_reason(&sim, 0);
    let is_found = matches!(reason, Some(SigningOff::GuardOlder { .. } | SigningOff::Forgotten { .. }));
    assert!(is_found, "{:?}", sim.status(0));
    // What one neighbour says proves nothing, however long it is alone.
    sim.run_for(20 * SECOND);
    assert_eq!(sim.signed_by(0).len(), signed, "signed although it may have forgotten");
    [2, 3].into_iter().for_each(|other| sim.heal(0, other));
    assert!(sim.run_until(30 * SECOND, |s| s.status(0).signing == SigningStatus::On), "{:?}", sim.status(0));
}

/// Of seven it hears three, and they do not hear all either: more than a third, and no quorum.
#[test]
fn who_lost_its_memory_and_never_hears_a_quorum_signs_again_after_long() {
    let mut sim = Sim::new(7, 0, 27);
    sim.config.min_block_interval = Duration::from_millis(400);
    [4, 5, 6].into_iter().for_each(|other| sim.cut(0, other));
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= 3));
    sim.kill(0);
    let signed = sim.signed_by(0).len();
    set_back(&mut sim, (MemoryDisk::default(), vec![]));
    sim.run_for(5 * SECOND);
    assert!(matches!(off_reason(&sim, 0), Some(SigningOff::GuardMissing { .. })), "{:?}", sim.status(0));
    assert_eq!(sim.signed_by(0).len(), signed);
    assert!(sim.run_until(60 * SECOND, |s| s.signed_by(0).len() > signed), "{:?}", sim.status(0));
}

/// Whatever the clock says: that of the node which lost its memory is an hour or a day off, in both directions. One of four is dead, so
/// that the others wait for it at the height that it last signed.
#[test]
fn whoever_lost_its_memory_and_has_a_wrong_clock_signs_nothing_twice() {
    const HOUR: i64 = 3_600_000;
    for (seed, offset_ms) in (300..320).zip([-HOUR, -24 * HOUR, HOUR, 24 * HOUR].into_iter().cycle()) {
        let mut sim = Sim::started(4, seed);
        sim.payload_everywhere();
        assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 3));
        let (disk, chain) = (sim.nodes[0].disk.copy_of_durable(), sim.nodes[0].chain.clone());
        let before = sim.lowest();
        assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= before + 4));
        // The others are at the height that it signs at, and remember nothing of it.
        sim.kill(3);
        let inputs = sim.random(30);
        run_inputs(&mut sim, inputs);
        (0..3).for_each(|id| sim.kill(id));
        (1..3).for_each(|id| sim.start(id));
        let disk = if seed % 2 == 0 { disk } else { MemoryDisk::default() };
        sim.nodes[0].clock_offset_ms = offset_ms;
        set_back(&mut sim, (disk, chain));
        sim.run_for(5 * SECOND);
        sim.start(3);
        sim.payload_everywhere();
        let is_on = |s: &Sim| s.status(0).signing == SigningStatus::On && s.lowest() >= before + 10;
        assert!(sim.run_until(60 * SECOND, is_on), "seed {seed}: {:#?}", sim.status(0));
    }
}

/// The last of the four is dead and the link to another is cut: the one that starts again is needed, and hears only one.
#[test]
fn a_validator_that_is_needed_and_hears_one_neighbour_signs_again() {
    let mut sim = Sim::new(4, 0, 22);
    (0..3).for_each(|id| sim.start(id));
    sim.cut(0, 1);
    sim.payload_everywhere();
    assert!(sim.run_until(20 * SECOND, |s| s.lowest() >= 5));
    sim.restart(0);
    sim.payload_everywhere();
    let before = sim.lowest();
    assert!(sim.run_until(20 * SECOND, |s| s.lowest() >= before + 10), "{:#?}", sim.status(0));
    assert_eq!(off_reason(&sim, 0), None);
}

#[test]
fn one_lying_validator_switches_nobody_off() {
    let mut sim = Sim::new(4, 0, 12);
    sim.start_all();
    let byzantine = sim::node_key(3);
    for id in 0..3 {
        let height = timed_primitives::Height(1_000_000);
        sim.handle(id, timed_consensus::Input::PeerHeight { peer: byzantine, height });
        assert_eq!(off_reason(&sim, id), None);
    }
    sim.payload_everywhere();
    assert!(sim.run_until(20 * SECOND, |s| s.lowest() >= 5));
    assert!(sim.set.get(&consensus_key(3).public()).is_some());
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn no_guard() {
        assert!(is_caught(Bug::NoGuard, a_lost_journal_under_a_younger_guard_switches_signing_off));
    }

    #[test]
    fn clock_decides_doubt() {
        assert!(is_caught(Bug::ClockDecidesDoubt, whoever_lost_its_memory_and_has_a_wrong_clock_signs_nothing_twice));
    }

    #[test]
    fn no_journal_sync() {
        assert!(is_caught(Bug::NoJournalSync, all_four_restarted_together_again_and_again));
    }

    #[test]
    fn publish_before_sync() {
        assert!(is_caught(Bug::PublishBeforeSync, all_four_restarted_together_again_and_again));
    }
}
