//! Random histories of a chain, made by the ledger and audited block by block.

mod dice;
mod free;
mod genesis;
mod play;
mod tries;

use play::{Player, Shape};
use std::time::Instant;

/// How many histories are played. More: `AUDIT_HISTORIES=10000`; others: `AUDIT_SEED=<n>`, the seed of the first.
fn cases() -> std::ops::Range<u64> {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let first = number("AUDIT_SEED", 1);
    first..first + number("AUDIT_HISTORIES", 64)
}

#[test]
fn what_the_ledger_does_is_what_the_audit_finds() {
    let (started, mut seen) = (Instant::now(), play::Seen::default());
    for seed in cases() {
        let mut player = Player::new(seed, Shape::of(seed));
        player.play();
        seen.add(&player.seen());
    }
    println!("{:?} {seen:#?}", started.elapsed());
    if cases().count() >= 64 {
        seen.check();
    }
}
