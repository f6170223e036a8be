//! Two nodes with one consensus key: they contradict each other never, or at one height, and both know why they are silent.

#![allow(clippy::unwrap_used, reason = "a test")]

mod sim;

use sim::{Sim, consensus_key, node_key};
use std::collections::BTreeSet;
use std::time::Duration;
use timed_consensus::guard::{clear_stop, read_stop};
use timed_consensus::{Gossip, Input, KeyReport, OtherNode, OtherSession, Output, SigningOff, SigningStatus};
use timed_primitives::{BlockId, Hash, Height, MemoryDisk, Round, Signature, Vote, VoteKind};

const SECOND: Duration = Duration::from_secs(1);

fn off_reason(sim: &Sim, id: usize) -> Option<SigningOff> {
    match sim.status(id).signing {
        SigningStatus::Off { reason, .. } => Some(reason),
        _ => None,
    }
}

fn is_silent_for_a_twin(sim: &Sim, id: usize) -> bool {
    off_reason(sim, id).is_some_and(|reason| reason.is_twin())
}

/// Whether a node ever sent something signed.
fn has_signed(sim: &Sim, id: usize) -> bool {
    let is_signed = |output: &Output| matches!(output, Output::Broadcast(Gossip::Vote(_) | Gossip::Proposal(_)));
    sim.nodes[id].outputs.iter().any(is_signed)
}

/// A network under way, and a twin of its first validator that is not started.
fn under_way(validators: usize, seed: u64) -> (Sim, usize) {
    let mut sim = Sim::new(validators, 0, seed);
    sim.config.min_block_interval = Duration::from_millis(200);
    let twin = sim.add_twin(0);
    (0..validators).for_each(|id| sim.start(id));
    sim.payload_everywhere();
    assert!(sim.run_until(60 * SECOND, |s| (0..validators).all(|id| s.height(id) >= 5)));
    (sim, twin)
}

/// Where a twin's folder comes from.
#[derive(Clone, Copy, Debug)]
enum Folder {
    Empty,
    /// Copied while the original ran.
    Copy,
    /// With the whole volume: it cannot be distinguished from the original.
    Snapshot,
}

/// A single contradiction ends the simulation.
fn a_twin_of_a_running_validator(folder: Folder) {
    for seed in 1..=8 {
        let validators = [4, 7][(seed % 2) as usize];
        let (mut sim, twin) = under_way(validators, seed);
        let disk = &sim.nodes[0].disk;
        let (disk, chain) = match folder {
            Folder::Empty => (MemoryDisk::default(), vec![]),
            Folder::Copy => (disk.copy_of_durable(), sim.nodes[0].chain.clone()),
            Folder::Snapshot => (disk.snapshot_of_durable(), sim.nodes[0].chain.clone()),
        };
        (sim.nodes[twin].disk, sim.nodes[twin].chain) = (disk, chain);
        if seed % 3 > 0 {
            sim.cut(0, twin);
        }
        let inputs = sim.nodes[0].handled + sim.random(40);
        sim.run_until(10 * SECOND, |s| s.nodes[0].handled >= inputs);
        sim.start(twin);
        sim.payload_everywhere();
        let before = sim.height(1);
        sim.run_for(15 * SECOND);
        assert!(sim.height(1) > before + 30, "{folder:?}, seed {seed}: {:#?}", sim.status(1));
        assert!(!has_signed(&sim, twin), "{folder:?}, seed {seed}");
        assert!(is_silent_for_a_twin(&sim, twin), "{folder:?}, seed {seed}: {:?}", sim.status(twin).signing);
        assert_eq!(sim.status(0).signing, SigningStatus::On, "{folder:?}, seed {seed}");
        // The original is restarted, and signs at once: nobody took over meanwhile.
        let signed = sim.signed_by(0).len();
        sim.kill(0);
        sim.run_for(SECOND / 10);
        sim.start(0);
        sim.payload_everywhere();
        assert!(
            sim.run_until(3 * SECOND, |s| s.signed_by(0).len() > signed),
            "{folder:?}, seed {seed}: {:?}",
            sim.status(0)
        );
    }
}

#[test]
fn an_empty_twin_of_a_running_validator_signs_nothing() {
    a_twin_of_a_running_validator(Folder::Empty);
}

#[test]
fn a_copied_twin_of_a_running_validator_signs_nothing() {
    a_twin_of_a_running_validator(Folder::Copy);
}

#[test]
fn a_cloned_twin_of_a_running_validator_signs_nothing() {
    a_twin_of_a_running_validator(Folder::Snapshot);
}

/// Both begin with nothing, at moments that differ by less than what it takes to begin, in a new network or one under way.
#[test]
fn two_from_empty_folders_at_once_contradict_each_other_at_one_height_at_most() {
    let mut silent = 0;
    for seed in 1..=24 {
        let mut sim = Sim::new([4, 7][(seed % 2) as usize], 0, seed);
        sim.config.min_block_interval = Duration::from_millis(200);
        sim.contradictions = Some(BTreeSet::new());
        let (validators, twin) = (sim.nodes.len(), sim.add_twin(0));
        sim.cut(0, twin);
        (1..validators).for_each(|id| sim.start(id));
        sim.payload_everywhere();
        if seed % 4 > 1 {
            assert!(sim.run_until(60 * SECOND, |s| s.height(1) >= 5));
        }
        sim.start(0);
        let apart = sim.random(700_000);
        sim.run_for(Duration::from_micros(apart));
        sim.start(twin);
        sim.payload_everywhere();
        sim.run_for(10 * SECOND);
        let contradictions = sim.contradictions.take().unwrap();
        assert!(contradictions.len() <= 1, "seed {seed}: {contradictions:?}");
        let off = [0, twin].map(|id| is_silent_for_a_twin(&sim, id));
        assert!(off[0] || off[1], "seed {seed}: {:?} {:?}", sim.status(0).signing, sim.status(twin).signing);
        silent += u32::from(off[0] && off[1]);
        // When one ends, the other takes its place, if nobody signed: the operator clears what proved a twin.
        let (gone, stays) = if off[0] && !off[1] { (0, twin) } else { (twin, 0) };
        sim.kill(gone);
        if read_stop(&sim.nodes[stays].disk).unwrap().is_some() {
            sim.kill(stays);
            assert!(clear_stop(&sim.nodes[stays].disk).unwrap().is_some());
            sim.start(stays);
        }
        sim.payload_everywhere();
        let is_on = |s: &Sim| s.status(stays).signing == SigningStatus::On;
        assert!(sim.run_until(60 * SECOND, is_on), "seed {seed}: {:?}", sim.status(stays));
    }
    assert!(silent >= 5, "in {silent} of 24 runs both were silent");
}

/// The proof is what the other signed, in the blocks, and it stays.
#[test]
fn what_the_other_signs_stops_a_twin_until_the_operator_clears_it() {
    let mut proven = 0;
    for seed in 1..=10 {
        let (mut sim, twin) = under_way(4, 100 + seed);
        sim.cut(0, twin);
        sim.start(twin);
        sim.payload_everywhere();
        sim.run_for(20 * SECOND);
        let found = read_stop(&sim.nodes[twin].disk).unwrap();
        let Some(found) = found else { continue };
        proven += 1;
        assert!(found.statement.is_some(), "{found}");
        assert!(matches!(off_reason(&sim, twin), Some(SigningOff::Twin(_))), "{:?}", sim.status(twin));
        assert!(found.other.is_some_and(|other| other.node == node_key(0)), "{found}");
        // It outlives its cause and every restart.
        sim.kill(0);
        sim.restart(twin);
        sim.payload_everywhere();
        sim.run_for(30 * SECOND);
        assert!(matches!(off_reason(&sim, twin), Some(SigningOff::Twin(_))), "{:?}", sim.status(twin));
        assert!(!has_signed(&sim, twin));
        sim.kill(twin);
        assert_eq!(clear_stop(&sim.nodes[twin].disk).unwrap(), Some(found));
        sim.start(twin);
        sim.payload_everywhere();
        assert!(sim.run_until(60 * SECOND, |s| s.status(twin).signing == SigningStatus::On), "{:?}", sim.status(twin));
    }
    assert!(proven >= 8, "{proven} of 10 were proven");
}

/// Whatever of ours is sent back to us, at whatever height, and whoever forges what.
#[test]
fn what_is_reflected_replayed_or_forged_switches_nobody_off() {
    for seed in 1..=5 {
        let (mut sim, _) = under_way(4, 200 + seed);
        let before = sim.height(0);
        assert!(sim.run_until(60 * SECOND, |s| s.height(0) >= before + 30));
        for restart in [false, true] {
            if restart {
                sim.restart(0);
                sim.payload_everywhere();
                assert!(sim.run_until(10 * SECOND, |s| s.status(0).signing == SigningStatus::On));
                let before = sim.height(0);
                assert!(sim.run_until(10 * SECOND, |s| s.height(0) >= before + 10));
            }
            let sent = sim.nodes[0].outputs.iter().filter_map(|output| match output {
                Output::Broadcast(message @ (Gossip::Vote(_) | Gossip::Proposal(_))) => Some(message.clone()),
                _ => None,
            });
            for message in sent.collect::<Vec<_>>() {
                sim.handle(0, Input::Gossip { from: node_key(1), message });
            }
            let (height, block) = (Height(sim.height(0) + 1), Some(BlockId(Hash([7; 32]))));
            for ahead in 0..10 {
                let (height, round) = (height.plus(ahead), Round(0));
                let (kind, validator) = (VoteKind::Prevote, consensus_key(0).public());
                let forged = Vote { kind, height, round, block, validator, signature: Signature([9; 64]) };
                sim.handle(0, Input::Gossip { from: node_key(1), message: Gossip::Vote(forged) });
            }
            assert_eq!(sim.status(0).signing, SigningStatus::On);
        }
    }
}

/// The original loses power; its peers do not know that it is gone. Who takes its place with an empty folder waits for the stale session to end, and the
/// original does not sign against it when it comes back.
#[test]
fn who_takes_over_waits_for_the_stale_session_and_the_original_then_stays_silent() {
    for seed in 1..=6 {
        let (mut sim, twin) = under_way(4, 300 + seed);
        sim.leaves_stale_sessions = true;
        sim.kill(0);
        sim.start(twin);
        sim.payload_everywhere();
        sim.run_for(14 * SECOND);
        assert!(!has_signed(&sim, twin), "seed {seed}");
        let text = sim.status(twin).signing.to_string();
        assert!(text.contains("perhaps an earlier start of this node; it counts for"), "{text}");
        assert!(sim.run_until(4 * SECOND, |s| has_signed(s, twin)), "seed {seed}: {:?}", sim.status(twin));
        sim.run_for(2 * SECOND);
        sim.start(0);
        sim.payload_everywhere();
        sim.run_for(10 * SECOND);
        assert!(is_silent_for_a_twin(&sim, 0), "seed {seed}: {:?}", sim.status(0));
        assert_eq!(sim.status(twin).signing, SigningStatus::On, "seed {seed}");
    }
}

/// What validators say of our key counts when more than a third of the power says it, and for as long.
#[test]
fn one_byzantine_validator_keeps_nobody_from_signing() {
    let mut sim = Sim::new(4, 0, 400);
    sim.config.min_block_interval = Duration::from_millis(200);
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 3));
    let say = |sim: &mut Sim, byzantine: usize, is_live: bool| {
        let other = OtherNode { node: node_key(9), instance: 9, address: None };
        let session = OtherSession { other, age: 1_000 * SECOND, left: None, has_signed: true };
        let report = KeyReport { height: Height(0), other: Some(session).filter(|_| is_live) };
        sim.handle(0, Input::Gossip { from: node_key(byzantine), message: Gossip::KeyReport(report) });
    };
    say(&mut sim, 1, true);
    assert_eq!(sim.status(0).signing, SigningStatus::On);
    say(&mut sim, 2, true);
    assert!(is_silent_for_a_twin(&sim, 0), "{:?}", sim.status(0).signing);
    say(&mut sim, 2, false);
    assert!(!is_silent_for_a_twin(&sim, 0) && off_reason(&sim, 0).is_some(), "{:?}", sim.status(0).signing);
    sim.run_for(14 * SECOND);
    assert!(off_reason(&sim, 0).is_some(), "who said so may have restarted");
    assert!(sim.run_until(5 * SECOND, |s| s.status(0).signing == SigningStatus::On), "{:?}", sim.status(0).signing);
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn twin_unheard() {
        assert!(is_caught(Bug::TwinUnheard, one_byzantine_validator_keeps_nobody_from_signing));
    }
}
