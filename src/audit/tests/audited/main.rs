//! Random histories of a chain, made by the ledger and audited block by block.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that says how long it took")]

mod forged;
mod free;
#[path = "../histories/mod.rs"]
mod histories;
mod seen;

use histories::play::{Player, Shape};
use seen::Seen;
use std::time::Instant;

/// A history that showed a difference once: a free masternode signs twice in the block in which it asks to leave.
const FOUND: [u64; 1] = [7_626];

/// How many histories are played. More: `AUDIT_HISTORIES=10000`; others: `AUDIT_SEED=<n>`, the seed of the first.
fn cases() -> std::ops::Range<u64> {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let first = number("AUDIT_SEED", 1);
    first..first + number("AUDIT_HISTORIES", 64)
}

#[test]
fn what_the_ledger_does_is_what_the_audit_finds() {
    let (started, mut seen) = (Instant::now(), Seen::default());
    for seed in FOUND.into_iter().chain(cases()) {
        let mut player = Player::new(seed, Shape::of(seed));
        player.play();
        seen.add(&Seen::of(&player));
    }
    println!("{:?} {seen:#?}", started.elapsed());
    if cases().count() >= 64 {
        seen.check();
    }
}
