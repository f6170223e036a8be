//! Bits that turn on the disk of a node that is down: it refuses to start and names the file, or it goes on, and nothing final changes.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::time::Duration;
use timed_simulator::{Crash, Node, World, WorldConfig, play};

const SECOND: Duration = Duration::from_secs(1);
const FILES: [&str; 4] = ["blocks.log", "journal-a", "journal-b", "guard"];
/// Bits turned in each file, one at a time.
const BITS: u32 = 40;

#[test]
fn a_node_whose_disk_rots_refuses_to_start_or_goes_on_and_nothing_final_changes() {
    play(async {
        let mut world = World::new(WorldConfig::instant(4, 31));
        let nodes: Vec<Node> = (1..=4).map(|id| world.start(id).unwrap()).collect();
        for number in 0..8 {
            let txid = nodes[number % 4].submit(world.transaction(number, 7).unwrap()).await.unwrap();
            nodes[3].finalises(txid, 60 * SECOND).await;
        }
        let (node, mut rng) = (&nodes[3], StdRng::seed_from_u64(31));
        node.kill(Crash::Process);
        let sound = node.kept().snapshot();
        let (mut refused, mut went_on) = (0, 0);
        for file in FILES {
            for _ in 0..BITS {
                node.replace_disk(sound.snapshot());
                let bit = node.rot(file, rng.random()).unwrap();
                match node.start() {
                    Err(error) => {
                        assert!(error.text.contains(file), "bit {bit} of {file}: {error}");
                        refused += 1;
                    }
                    Ok(()) => {
                        node.reaches(nodes[0].height(), 60 * SECOND).await;
                        world.run_for(SECOND).await;
                        node.kill(Crash::Process);
                        went_on += 1;
                    }
                }
                let checker = world.checker().lock();
                assert_eq!(checker.violations(), [], "bit {bit} of {file}");
            }
        }
        println!("{refused} starts refused, {went_on} times it went on");
        assert!(refused >= 20 && went_on >= 20, "{refused} refused, {went_on} went on");
    });
}
