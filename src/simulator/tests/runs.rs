//! Whole runs: the pinned one, some that nobody played before, and those that once found something.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use rand::RngExt as _;
use std::path::Path;
use std::time::Duration;
use timed_simulator::{FaultKind, FaultSet, Latency, Report, RunConfig, run};

const MINUTE: Duration = Duration::from_secs(60);

fn play(seed: u64, change: impl FnOnce(&mut RunConfig)) -> Report {
    let mut config = RunConfig { nodes: 4, length: 2 * MINUTE, ..RunConfig::new(seed) };
    change(&mut config);
    run(config)
}

fn assert_sound(report: &Report) {
    assert!(report.is_sound(), "repeat it with: {}\n{report}", report.command);
}

/// The hash covers every write, sync, message and block. When the nodes were meant to change, `UPDATE_GOLDEN=1` pins the new run.
#[test]
fn a_seed_gives_the_pinned_trace_in_every_build() {
    let report = play(1, |_| ());
    assert_sound(&report);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/simulator/run.txt");
    let found = format!("{report}\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &found).unwrap();
    }
    let pinned = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found, pinned, "another trace: if the nodes were meant to change, run again with UPDATE_GOLDEN=1");
}

/// Four or seven validators, near each other or not, with and without observers, in turn.
fn play_varied(seed: u64) -> Report {
    play(seed, |config| {
        config.nodes = [4, 7][(seed % 2) as usize];
        config.observers = seed % 3;
        config.latency = if seed % 4 < 2 { Latency::Lan } else { config.latency.clone() };
        config.cost = [0, 1, 10, 100][(seed / 4 % 4) as usize];
    })
}

/// `TIMED_SIMULATE_SEED` is the first seed, else it is drawn; `TIMED_SIMULATE_SECONDS` is how long new ones are begun, else there are four.
#[test]
fn fresh_seeds_find_nothing() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let base = number("TIMED_SIMULATE_SEED").unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    let limit = number("TIMED_SIMULATE_SECONDS").map(Duration::from_secs);
    #[allow(clippy::disallowed_methods, reason = "how long the test may take is real time")]
    let begun = std::time::Instant::now();
    let is_over = |played| limit.map_or(played == 4, |limit| begun.elapsed() >= limit);
    let played = (base..).enumerate().find_map(|(played, seed)| {
        if is_over(played) {
            return Some(played);
        }
        println!("seed {seed}");
        assert_sound(&play_varied(seed));
        None
    });
    println!("{} fresh seeds from {base} on", played.unwrap_or_default());
}

/// Seeds that found something, with what it was. A change of the simulator's draws takes their meaning away; then they are only seeds.
#[test]
fn seeds_that_once_found_something_find_nothing() {
    // A disk was lost while another validator was one height behind and then crashed: two in doubt of four.
    assert_sound(&play(1023, |config| config.length = 5 * MINUTE));
    // Byzantine validators had shown a quorum of prevotes to one validator alone: it was locked, and needed, and nobody else led with its block.
    assert_sound(&play(20_261_129_097, |config| {
        (config.nodes, config.latency, config.cost) = (7, Latency::Lan, 10);
    }));
    // A planned crash came after the heal.
    assert_sound(&play(13, |config| config.length = 4 * MINUTE));
    // A cut one-way link brought late what a dead node had sent before: the checker took it for a dead peer that was kept.
    assert_sound(&play(42, |config| {
        config.nodes = 7;
        config.length = 4 * MINUTE;
    }));
    // Beside a twin a validator returned to a chain that had gone on without it, and signed no more.
    assert_sound(&play(4_233_200_762, |_| ()));
    // One that had been away signed, learned that it had been away, and began the height again without what it had signed in it.
    assert_sound(&play(9100, |config| {
        config.nodes = 7;
        config.length = 8 * MINUTE;
    }));
    // One that had been away began a height without signing, and was missing in it.
    assert_sound(&play(8017, |config| config.length = 4 * MINUTE));
    // A reset of connections over a link that stayed cut: the checker took the link for healed.
    assert_sound(&play(20_099, |config| {
        config.length = 10 * MINUTE;
        config.tick = Duration::from_millis(5);
    }));
    // A node that waited for its disk for seconds: the checker counted that time as time to hear others.
    assert_sound(&play(50_134, |config| {
        config.length = 4 * MINUTE;
        config.tick = Duration::from_millis(5);
    }));
    // Two that had been away in a sparse network never heard a quorum, and two others had lost their disks.
    assert_sound(&play(70_008, |config| {
        config.nodes = 10;
        config.length = 5 * MINUTE;
        config.tick = Duration::from_millis(5);
    }));
    // A disk was restored from a copy of the open height, and what it had signed since had reached nobody.
    assert_sound(&play(60_124, |config| {
        config.length = 7 * MINUTE;
        config.tick = Duration::from_millis(5);
    }));
    // A follower was killed between the write of a block and its sync, found it, called it final, and lost it with its power.
    assert_sound(&play(349_904_590, |config| config.observers = 1));
    // A twin that heard its own key vote gave up. It may; who shares a key with nobody may not.
    assert_sound(&play(2033, |_| ()));
}

#[test]
fn without_faults_every_payment_is_final_within_a_second_and_a_half() {
    let report = play(3, |config| config.faults = FaultSet(Default::default()));
    assert_sound(&report);
    assert!(report.faults.is_empty() && report.payments_final >= 100, "{report}");
    assert!(report.finality_ms.1 < 1_500, "{report}");
}

/// One fault at a time, of each kind: accepted payments are final where they were accepted within the bound of that kind.
#[test]
fn under_each_fault_alone_payments_are_final_within_its_bound() {
    let mut bounded = std::collections::BTreeSet::new();
    for kind in FaultKind::ALL {
        let report = play(1_000, |config| {
            config.faults = FaultSet([*kind].into());
            (config.exactly, config.alone, config.latency) = (true, true, Latency::Lan);
        });
        assert_sound(&report);
        bounded.extend(report.services.iter().filter(|(_, service)| service.bound_ms.is_some()).map(|(name, _)| *name));
    }
    assert!(bounded.len() >= 12, "{bounded:?}");
}

/// Each vote goes once over each connection: nobody passes on what is on its way from its signer.
#[test]
fn a_vote_is_sent_once_to_each_of_the_others() {
    let report = play(4, |config| {
        config.nodes = 8;
        config.faults = FaultSet(Default::default());
    });
    assert_sound(&report);
    let (votes, heights) = (report.sent["vote"].0, report.heights.1);
    let once = heights * 8 * 2 * 7;
    assert!((once * 95 / 100..=once * 105 / 100).contains(&votes), "{votes} votes, {once} expected\n{report}");
}
