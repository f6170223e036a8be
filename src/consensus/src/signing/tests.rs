use super::*;
use crate::statement::SignedStep;
use timed_primitives::{Round, Validator};

fn signed(height: u64) -> SignedRecord {
    SignedRecord {
        height: Height(height),
        round: Round(0),
        step: SignedStep::Precommit,
        block: None,
        valid_round: None,
    }
}

fn key(id: u8) -> PublicKey {
    PublicKey([id; 32])
}

/// Four equal validators; we are the first.
fn set() -> ValidatorSet {
    ValidatorSet::new((1..=4).map(|id| Validator { key: key(id), power: 1 }).collect()).unwrap()
}

/// What happens to signing, in words of the tests below.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// More than a third reports this height.
    Reported(u64),
    /// A quorum of others reports tips of which this is the highest.
    Quorum(u64),
    /// A quorum with us does.
    Enough {
        reported: u64,
        tip: u64,
    },
    /// For long only more than a third.
    Few(u64),
    /// A message of ours comes that we did not make.
    Foreign(u64),
    /// A block is committed, by sync or by the engine's decision.
    Synced(u64),
    Decided(u64),
    /// A height begins with signing on.
    Begins,
    /// The same at this height, when a quorum with us has reported.
    BeginsAt(u64),
    /// The key votes on the height after the tip and did not vote on the tip; more than a third reports this height.
    FirstVote {
        tip: u64,
        reported: u64,
    },
}

use Event::{Begins, BeginsAt, Decided, Enough, Few, FirstVote, Foreign as ForeignMessage, Quorum, Reported, Synced};

/// As the core does it.
fn play(signing: &mut Signing, event: Event) {
    match event {
        Reported(height) => signing.on_reported(Height(height)),
        Quorum(tip) => (2..=4).for_each(|id| signing.on_tip_report(&set(), key(id), Height(tip))),
        Enough { reported, tip } => signing.on_enough_reported(Height(reported), Height(tip)),
        Few(tip) => signing.on_few_reported(Height(tip)),
        ForeignMessage(height) => match signing.on_foreign(Height(height)) {
            Foreign::IsTwins => {
                signing.stop(TwinFound { statement: Some(signed(height)), brought_by: Some(key(2)), other: None });
            }
            Foreign::MayBeForgotten => {
                signing.switch_off(SigningOff::Forgotten { height: Height(height), round: Round(0) })
            }
        },
        // Whatever the blocks say of the time: no rule reads it.
        Synced(height) => signing.on_committed(Height(height), UnixTime(u64::MAX)),
        Decided(height) => {
            signing.on_decided_here();
            signing.on_committed(Height(height), UnixTime(u64::MAX));
        }
        Begins => signing.on_signing(Instant(5_000_000), Height(41), false),
        BeginsAt(height) => signing.on_signing(Instant(5_000_000), Height(height), true),
        FirstVote { tip, reported } => signing.on_first_vote(Height(tip), Height(reported)),
    }
}

fn name(off: Option<SigningOff>) -> &'static str {
    match off {
        None => "on",
        Some(SigningOff::GuardAhead { .. }) => "ahead",
        Some(SigningOff::GuardMissing { .. }) => "missing",
        Some(SigningOff::Away { .. }) => "away",
        Some(SigningOff::GuardOlder { .. }) => "older",
        Some(SigningOff::Forgotten { .. }) => "forgotten",
        Some(SigningOff::LiveElsewhere { .. }) => "elsewhere",
        Some(SigningOff::Twin(_)) => "twin",
        Some(SigningOff::JournalFull { .. }) => "full",
    }
}

/// Each event with the state after it.
fn check(mut signing: Signing, rows: &[(Event, &str)]) {
    signing.on_start(UnixTime(1_000_000));
    for (event, expected) in rows {
        play(&mut signing, *event);
        assert_eq!(name(signing.off()), *expected, "after {event:?} of {rows:?}");
    }
}

fn original() -> Signing {
    Signing::new(Some(signed(40)), true, true, None)
}

fn copy() -> Signing {
    Signing::new(Some(signed(40)), true, false, None)
}

fn missing() -> Signing {
    Signing::new(None, true, false, None)
}

#[test]
fn doubt_ends_two_heights_above_what_a_quorum_reported_whatever_the_time_says() {
    check(
        copy(),
        &[
            (Reported(40), "on"),
            (Reported(100), "older"),
            (Synced(41), "older"),
            (Synced(99), "older"),
            (Quorum(100), "older"),
            (Synced(100), "older"),
            (Synced(101), "older"),
            (Synced(102), "on"),
            (Reported(200), "on"),
        ],
    );
    check(missing(), &[(Reported(0), "on"), (Reported(1), "missing"), (Quorum(1), "missing"), (Synced(2), "missing")]);
    let ahead = Signing::new(Some(signed(3)), false, false, None);
    check(ahead, &[(Quorum(4), "ahead"), (Decided(4), "ahead"), (Decided(5), "ahead"), (Decided(6), "on")]);
    // Without a quorum nothing passes, however many blocks come.
    check(
        missing(),
        &[(Reported(9), "missing"), (Synced(10), "missing"), (Decided(11), "missing"), (Decided(12), "missing")],
    );
}

#[test]
fn who_hears_only_more_than_a_third_for_long_takes_what_it_heard_of() {
    check(
        missing(),
        &[
            (Reported(9), "missing"),
            (Synced(10), "missing"),
            (Few(11), "missing"),
            (Few(3), "missing"),
            (Synced(11), "missing"),
            (Synced(12), "missing"),
            (Decided(13), "on"),
        ],
    );
}

#[test]
fn who_was_away_signs_again_when_it_has_caught_up() {
    check(
        original(),
        &[
            (Reported(100), "away"),
            (Synced(100), "away"),
            (Enough { reported: 102, tip: 100 }, "away"),
            (Enough { reported: 90, tip: 100 }, "away"),
            (Synced(101), "away"),
            (Synced(102), "on"),
            (Reported(110), "on"),
        ],
    );
    check(original(), &[(Reported(100), "away"), (Quorum(100), "away"), (Synced(101), "away"), (Synced(102), "on")]);
    // Who signs is not away.
    check(original(), &[(Begins, "on"), (Reported(100), "on")]);
    // What comes back is a reason of its own.
    check(
        original(),
        &[
            (Reported(100), "away"),
            (ForeignMessage(60), "forgotten"),
            (Enough { reported: 100, tip: 100 }, "forgotten"),
        ],
    );
    let mut away = original();
    play(&mut away, Reported(100));
    assert!(!away.is_memory_in_doubt());
}

#[test]
fn a_message_of_ours_is_forgotten_or_a_twins_by_its_height_alone() {
    // Nobody knows how high the network is.
    check(original(), &[(ForeignMessage(1_000_000), "forgotten")]);
    check(original(), &[(Quorum(100), "on"), (ForeignMessage(102), "forgotten"), (ForeignMessage(103), "twin")]);
    check(missing(), &[(Quorum(100), "on"), (Reported(100), "missing"), (ForeignMessage(103), "twin")]);
    // The stop outlives all that ends the others.
    check(
        original(),
        &[(Quorum(100), "on"), (ForeignMessage(103), "twin"), (Decided(104), "twin"), (Decided(105), "twin")],
    );
    let found = TwinFound { statement: Some(signed(7)), brought_by: None, other: None };
    check(Signing::new(Some(signed(40)), true, true, Some(found)), &[(Reported(40), "twin"), (Decided(41), "twin")]);
    // The two heights are above the newest that comes back.
    check(
        original(),
        &[
            (Quorum(100), "on"),
            (ForeignMessage(101), "forgotten"),
            (Decided(101), "forgotten"),
            (Decided(102), "forgotten"),
            (ForeignMessage(102), "forgotten"),
            (Decided(103), "forgotten"),
            (ForeignMessage(102), "forgotten"),
            (Decided(104), "on"),
        ],
    );
}

#[test]
fn a_key_that_is_live_elsewhere_keeps_signing_off_and_changes_nothing_else() {
    let other = OtherNode { node: key(9), instance: 5, address: Some("10.0.0.9:7000".parse().unwrap()) };
    let said = |left| Some(OtherSession { other, age: Duration::ZERO, left, has_signed: false });
    let at = |seconds: u64| Instant(seconds * 1_000_000);
    let mut signing = missing();
    signing.on_elsewhere(at(10), said(None));
    assert_eq!(name(signing.off()), "elsewhere");
    assert!(signing.is_waiting_for_other() && !signing.is_memory_in_doubt() && signing.is_memory_unsure());
    // Who said so may have restarted.
    signing.on_elsewhere(at(11), None);
    assert!(matches!(signing.off(), Some(SigningOff::LiveElsewhere { left: Some(left), .. }) if left.as_secs() == 14));
    play(&mut signing, Reported(10));
    assert!(!signing.is_waiting_for_other(), "two heights have to pass in any case");
    assert_eq!(name(signing.off()), "missing", "it comes before a stale session");
    signing.on_elsewhere(at(12), said(None));
    assert_eq!(name(signing.off()), "elsewhere", "and after who lives");
    signing.on_elsewhere(at(27), None);
    assert_eq!(name(signing.off()), "missing");
    let mut signing = original();
    play(&mut signing, Begins);
    assert!(signing.begun().is_some());
    signing.on_elsewhere(at(30), said(Some(Duration::from_secs(7))));
    assert!(!signing.is_waiting_for_other() && !signing.is_memory_unsure() && signing.begun().is_none());
    signing.on_elsewhere(at(37), None);
    assert_eq!(name(signing.off()), "on");
}

#[test]
fn reasons_in_words() {
    let status = |reason| SigningStatus::Off { reason, passed: 1 }.to_string();
    let ahead = Signing::new(Some(signed(3)), false, false, None);
    let text = status(ahead.off().unwrap());
    assert!(text.contains("precommit of height 3 round 0") && text.contains("(1 so far)"), "{text}");
    let other = OtherNode { node: key(9), instance: 5, address: Some("10.0.0.9:7000".parse().unwrap()) };
    let text = status(SigningOff::LiveElsewhere { other, left: None });
    assert!(text.contains("peers are connected to 10.0.0.9:7000") && text.contains("000000000005"), "{text}");
    let text = status(SigningOff::LiveElsewhere { other, left: Some(Duration::from_secs(7)) });
    assert!(text.contains("it counts for 7 s more"), "{text}");
    let found = TwinFound { statement: Some(signed(7)), brought_by: Some(key(2)), other: Some(other) };
    let text = status(SigningOff::Twin(found));
    for part in ["precommit of height 7 round 0", "brought it", "10.0.0.9:7000", "timed resume-signing --data-dir DIR"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn doubt_of_a_guard_that_is_no_original_ends_before_the_first_height_that_the_key_votes_on() {
    let first = FirstVote { tip: 99, reported: 99 };
    for (signing, doubt) in [(missing(), "missing"), (copy(), "older")] {
        let rows = [(Reported(99), doubt), (first, "on"), (Reported(99), "on"), (Reported(100), doubt)];
        check(signing, &rows);
    }
    // What our own vote led to is no news, height after height.
    let begun = [(Reported(99), "missing"), (first, "on"), (BeginsAt(100), "on"), (Reported(100), "on")];
    check(
        missing(),
        &[&begun[..], &[(BeginsAt(101), "on"), (Reported(101), "on"), (Reported(102), "missing")]].concat(),
    );
    check(missing(), &[(BeginsAt(1), "on"), (Reported(1), "on"), (Reported(2), "missing")]);
    check(missing(), &[(BeginsAt(7), "on"), (Reported(1), "missing")]);
    // The open height is decided elsewhere, or a message of ours of it is known.
    check(missing(), &[(Reported(100), "missing"), (FirstVote { tip: 99, reported: 100 }, "missing")]);
    check(missing(), &[(Reported(99), "missing"), (ForeignMessage(100), "missing"), (first, "missing")]);
    check(missing(), &[(ForeignMessage(100), "forgotten"), (first, "forgotten")]);
    check(copy(), &[(Reported(99), "older"), (FirstVote { tip: 39, reported: 39 }, "older")]);
    // One of an earlier time as a voter is behind us.
    check(missing(), &[(Reported(99), "missing"), (ForeignMessage(50), "missing"), (first, "on")]);
}
