//! Random kills, restarts, cut links, clocks and loads: never two blocks at a height, never two signatures for one place; and when it
//! is over, heights go on.

#![allow(clippy::unwrap_used, reason = "a test")]

mod sim;

use sim::Sim;
use std::time::Duration;
use timed_consensus::Payload;

const SECOND: Duration = Duration::from_secs(1);

fn chaos(seed: u64, validators: usize, steps: usize) {
    let mut sim = Sim::new(validators, 1, seed);
    sim.config.min_block_interval = Duration::from_millis(5);
    for id in 0..validators {
        sim.nodes[id].clock_offset_ms = sim.random(4_000) as i64 - 2_000;
    }
    sim.start_all();
    let count = sim.nodes.len() as u64;
    for _ in 0..steps {
        let (a, b) = (sim.random(count) as usize, sim.random(count) as usize);
        match sim.random(10) {
            0 if sim.nodes[a].core.is_some() => sim.kill(a),
            0..=2 if sim.nodes[a].core.is_none() => sim.start(a),
            3 if sim.nodes[a].core.is_some() => sim.restart(a),
            4 if a != b => sim.cut(a, b),
            5 | 6 if a != b => sim.heal(a, b),
            7 => sim.payload(a, Payload::Light),
            8 => sim.payload(a, Payload::Nothing),
            _ => {}
        }
        let pause = sim.random(800_000) + 1;
        sim.run_for(Duration::from_micros(pause));
    }
    let count = sim.nodes.len();
    (0..count).for_each(|a| (0..a).for_each(|b| sim.heal(a, b)));
    (0..count).filter(|id| sim.nodes[*id].core.is_none()).collect::<Vec<_>>().into_iter().for_each(|id| sim.start(id));
    sim.payload_everywhere();
    let before = (0..count).map(|id| sim.height(id)).max().unwrap();
    let is_alive = sim.run_until(180 * SECOND, |s| s.lowest() >= before + 5);
    assert!(is_alive, "seed {seed}: {:#?}", (0..count).map(|id| sim.status(id)).collect::<Vec<_>>());
}

#[test]
fn four_validators_in_chaos() {
    (1..=12).for_each(|seed| chaos(seed, 4, 60));
}

#[test]
fn seven_validators_in_chaos() {
    (1..=4).for_each(|seed| chaos(100 + seed, 7, 60));
}

#[test]
fn three_validators_in_chaos() {
    (1..=8).for_each(|seed| chaos(200 + seed, 3, 60));
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn lock_ignored() {
        assert!(is_caught(Bug::LockIgnored, four_validators_in_chaos));
    }
}
