//! What the order of writes leaves after a loss of power, and what it costs. Where in a step the power fails is for the model to explore.

#![allow(clippy::unwrap_used, reason = "a test")]

mod sim;

use sim::Sim;
use std::time::Duration;
use timed_consensus::guard::GUARD_FILE;
use timed_consensus::inspect::read_guard;
use timed_consensus::journal::JOURNAL_FILES;
use timed_consensus::{Payload, SigningOff, SigningStatus};
use timed_primitives::{CommitCertificate, Disk, MemoryDisk, Survival};

const SECOND: Duration = Duration::from_secs(1);

fn off_reason(sim: &Sim, id: usize) -> Option<SigningOff> {
    match sim.status(id).signing {
        SigningStatus::Off { reason, .. } => Some(reason),
        _ => None,
    }
}

fn content(disk: &MemoryDisk, file: &str) -> Vec<u8> {
    let file = disk.open(file).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// After a loss of power the guard may be as old as the height before, and shows nevertheless that a journal is gone or old.
#[test]
fn a_journal_lost_or_restored_in_place_with_the_power_switches_signing_off() {
    for is_restored in [false, true] {
        let mut sim = Sim::new(4, 0, 12);
        sim.config.min_block_interval = Duration::from_millis(100);
        sim.start_all();
        sim.payload_everywhere();
        assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 5));
        let old = JOURNAL_FILES.map(|file| content(&sim.nodes[0].disk, file));
        assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 8));
        (2..4).for_each(|id| sim.kill(id));
        sim.run_for(5 * SECOND);
        let (height, signed) = (sim.height(0) + 1, sim.signed_by(0).len());
        assert!(sim.signed_by(0).iter().any(|(h, ..)| *h == height));
        sim.kill(0);
        sim.nodes[0].disk.crash();
        let guarded = read_guard(&sim.nodes[0].disk).unwrap()[0].unwrap().height;
        assert_eq!(guarded.0 + 1, height, "one height behind");
        for (file, old) in JOURNAL_FILES.into_iter().zip(&old) {
            let change = |bytes: &mut Vec<u8>| if is_restored { bytes.clone_from(old) } else { bytes.clear() };
            sim.nodes[0].disk.damage(file, change).unwrap();
        }
        sim.start(0);
        sim.payload(0, Payload::Light);
        assert!(matches!(off_reason(&sim, 0), Some(SigningOff::GuardAhead { .. })), "{:?}", sim.status(0));
        (2..4).for_each(|id| sim.start(id));
        sim.payload_everywhere();
        assert!(sim.run_until(30 * SECOND, |s| s.status(0).signing == SigningStatus::On), "{:?}", sim.status(0));
        assert_eq!(sim.signed_by(0).len(), signed);
    }
}

/// Whatever is left of what was not synced: of the guard most, as it is synced once for each height.
#[test]
fn all_that_lose_power_at_once_sign_again() {
    for seed in 300..340 {
        let mut sim = Sim::started(4, seed);
        sim.payload_everywhere();
        for _ in 0..4 {
            let before = sim.lowest();
            assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= before + 2), "seed {seed}: {:#?}", sim.status(0));
            let handled = sim.nodes[0].handled + sim.random(60);
            sim.run_until(5 * SECOND, |s| s.nodes[0].handled >= handled);
            (0..4).for_each(|id| sim.kill(id));
            for id in 0..4 {
                let left = sim.random(u64::MAX);
                sim.nodes[id].disk.crash_keeping(|_| match left % 4 {
                    0 => Survival::Lost,
                    1 => Survival::Whole,
                    2 => Survival::Prefix(40),
                    _ => Survival::Sectors(left),
                });
            }
            sim.start_all();
            sim.payload_everywhere();
            for id in 0..4 {
                let off = off_reason(&sim, id);
                assert!(matches!(off, None | Some(SigningOff::Away { .. })), "seed {seed}: {off:?}");
            }
        }
    }
}

#[test]
fn a_height_takes_two_syncs_of_the_journal_and_one_of_the_guard() {
    let mut sim = Sim::started(4, 13);
    let syncs = |sim: &Sim, file: &str| -> u64 { sim.nodes.iter().map(|node| node.disk.syncs(file)).sum() };
    let both = |sim: &Sim| JOURNAL_FILES.iter().map(|file| syncs(sim, file)).sum::<u64>();
    sim.payload_everywhere();
    assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= 3));
    let (journal, guard, before) = (both(&sim), syncs(&sim, GUARD_FILE), sim.lowest());
    for height in before + 1..=before + 20 {
        sim.payload_everywhere();
        assert!(sim.run_until(10 * SECOND, |s| s.lowest() >= height));
    }
    let rounds = |certificate: &CommitCertificate| u64::from(certificate.round.0) + 1;
    let expected: u64 = sim.nodes[0].chain[before as usize..].iter().map(|(_, c)| rounds(c)).sum();
    let (journal, guard) = (both(&sim) - journal, syncs(&sim, GUARD_FILE) - guard);
    // Who leads signs a proposal besides.
    assert!(journal <= expected * (4 * 2 + 1) + 8, "{journal} syncs of the journal in {expected} rounds");
    assert!(guard <= 4 * 21, "{guard} syncs of the guard in 20 heights");
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn no_guard_sync() {
        assert!(is_caught(Bug::NoGuardSync, a_journal_lost_or_restored_in_place_with_the_power_switches_signing_off));
    }
}
