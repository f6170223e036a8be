//! Every scenario keeps its promise. A test for each group, so that they run side by side.

use timed_simulator::scenarios::{SCENARIOS, named, play};

/// Plays the scenarios whose first incident is one of these.
fn play_all(incidents: std::ops::RangeInclusive<u8>) {
    let meant = SCENARIOS.iter().filter(|scenario| incidents.contains(&scenario.incidents[0]));
    let played: Vec<_> = meant.map(|scenario| play(scenario, None)).collect();
    let broken: Vec<String> = played.iter().filter(|played| !played.is_kept()).map(ToString::to_string).collect();
    assert!(!played.is_empty(), "there are no scenarios for {incidents:?}");
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

#[test]
fn connections_and_frames() {
    play_all(1..=7);
}

#[test]
fn directions_and_heartbeat() {
    play_all(8..=14);
}

#[test]
fn bans_and_trust() {
    play_all(15..=20);
}

#[test]
fn genesis_and_chain() {
    play_all(21..=31);
}

#[test]
fn disks_and_coins() {
    play_all(32..=38);
}

#[test]
fn resources() {
    play_all(39..=43);
}

#[test]
fn a_scenario_is_the_same_each_time() {
    for name in ["d06-frame-bomb", "d09-collision", "d32-power-loss", "d42-forged-addresses"] {
        let Some(scenario) = named(name) else { panic!("there is no {name}") };
        let first = play(scenario, None);
        assert!(!first.trace_hashes.is_empty());
        assert_eq!(first, play(scenario, None), "{name}");
    }
}
