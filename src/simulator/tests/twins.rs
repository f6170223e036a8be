//! Two whole nodes with one key, and a checker that forgives neither: they contradict each other never, or at one height.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod twins_world;

use std::collections::BTreeSet;
use std::time::Duration;
use timed_consensus::SigningStatus;
use timed_simulator::{Node, Violation};
use twins_world::{SECOND, a_twin_of_a_running_validator, pay_for, world};

/// Seeds of each network here; `TIMED_TWIN_SEEDS` makes a longer run.
fn seeds() -> std::ops::RangeInclusive<u64> {
    let count = std::env::var("TIMED_TWIN_SEEDS").ok().map_or(6, |count| count.parse().unwrap());
    1..=count
}

fn is_silent_for_a_twin(node: &Node) -> bool {
    matches!(node.signing(), Some(SigningStatus::Off { reason, .. }) if reason.is_twin())
}

#[test]
fn a_twin_with_an_empty_folder_never_contradicts_a_running_validator() {
    for (voters, seed) in [4, 7].into_iter().flat_map(|voters| seeds().map(move |seed| (voters, seed))) {
        let (world, nodes, twin) = timed_simulator::play(a_twin_of_a_running_validator(voters, seed));
        assert_eq!(world.checker().lock().violations(), [], "{voters} validators, seed {seed}");
        assert!(is_silent_for_a_twin(&twin), "{voters} validators, seed {seed}: {:?}", twin.signing());
        assert_eq!(nodes[0].signing(), Some(SigningStatus::On), "{voters} validators, seed {seed}");
    }
}

#[test]
fn two_from_empty_folders_at_once_contradict_each_other_at_one_height_at_most() {
    for (voters, seed) in [4, 7].into_iter().flat_map(|voters| seeds().map(move |seed| (voters, seed))) {
        timed_simulator::play(async {
            let (mut world, nodes) = world(voters, seed);
            let twin = world.add_checked_twin(voters + 1, 1);
            let late = Duration::from_millis(seed * 130 % 700);
            nodes[0].start().unwrap();
            world.run_for(late).await;
            twin.start().unwrap();
            pay_for(&world, &nodes[1..], 20).await;
            world.run_for(20 * SECOND).await;
            let found = world.checker().lock().violations().to_vec();
            let heights: BTreeSet<_> = found
                .iter()
                .map(|violation| match violation {
                    Violation::SignedTwice { first, .. } => first.height,
                    other => panic!("{voters} validators, seed {seed}: {other}"),
                })
                .collect();
            assert!(heights.len() <= 1, "{voters} validators, seed {seed}: {heights:?}");
            assert!(is_silent_for_a_twin(&twin) || is_silent_for_a_twin(&nodes[0]), "{voters} validators, seed {seed}");
        });
    }
}
