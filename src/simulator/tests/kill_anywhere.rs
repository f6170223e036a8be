//! One validator of four crashes at events all over its two lives; `timed simulate --kill-anywhere` plays every one.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use std::collections::BTreeSet;
use timed_simulator::crash_points::{enumerate, with_crash, without_crash};

/// One of so many points is played. It has no divisor in common with the six points that two events have.
const STRIDE: u64 = 61;

#[test]
fn wherever_a_validator_crashes_it_opens_catches_up_signs_and_has_lost_nothing() {
    let report = enumerate(1, STRIDE, |report| println!("{}", report.progress()));
    assert!(report.is_sound(), "{report}");
    assert!(report.points >= 40 && report.played == report.points, "{report}");
    assert!(report.second_crashes >= report.points / 5, "{report}");
    assert_eq!((report.crashes, report.restarts), (report.points + report.second_crashes, report.crashes), "{report}");
}

#[test]
fn the_points_are_every_event_with_both_crashes_and_half_of_them_again() {
    let lives = without_crash(1).unwrap();
    assert_eq!(without_crash(1), Ok(lives));
    let points: Vec<String> = lives.points(1).map(|point| point.to_string()).collect();
    let events = lives.events.iter().sum::<u64>() as usize;
    assert_eq!(points.len(), 3 * events);
    assert_eq!(points.iter().collect::<BTreeSet<_>>().len(), points.len());
    assert!(points.iter().any(|point| *point == format!("2/{}/power", lives.events[1])), "the last event is one");
}

#[test]
fn a_point_is_played_alike_each_time_and_a_point_that_never_comes_is_noticed() {
    let point = "2/100/power/20".parse().unwrap();
    assert_eq!(with_crash(1, point, None), with_crash(1, point, None));
    let outcome = with_crash(1, "1/100000/process".parse().unwrap(), None);
    assert!(!outcome.has_crashed && outcome.violations.len() == 1, "{outcome:?}");
}
