//! Keys that sign two things for one place: with fewer than a third of them the chain stays one, with more the checker sees it break.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use std::time::Duration;
use timed_primitives::Height;
use timed_simulator::{Node, Violation, World, WorldConfig, play};

const SECOND: Duration = Duration::from_secs(1);

/// Four validators, those of `twins` twice, in two groups that do not hear each other for a minute, and then do.
fn two_groups(twins: &[(u64, u64)], group: &[u64]) -> (World, Vec<Node>) {
    let mut world = World::new(WorldConfig { discovers: false, ..WorldConfig::instant(4, 1) });
    let mut nodes: Vec<Node> = (1..=4).map(|id| world.add(id)).collect();
    nodes.extend(twins.iter().map(|(id, of)| world.add_twin(*id, *of)));
    world.part(group);
    nodes.iter().for_each(|node| node.start().unwrap());
    (world, nodes)
}

#[test]
fn one_of_four_signs_twice_and_the_chain_stays_one() {
    play(async {
        let (world, nodes) = two_groups(&[(5, 4)], &[1, 2, 4]);
        nodes[0].reaches(Height(4), 90 * SECOND).await;
        assert_eq!(nodes[2].height(), Height(0), "one honest node and one twin are no quorum");
        for (a, b) in [(1, 3), (1, 5), (2, 3), (2, 5), (4, 3), (4, 5)] {
            world.heal(a, b);
        }
        for number in 0..10 {
            let payment = world.transaction(number, 7).unwrap();
            let txid = nodes[number % 3].submit(payment).await.unwrap();
            nodes[2].finalises(txid, 60 * SECOND).await;
        }
        assert_eq!(world.checker().lock().violations(), []);
    });
}

#[test]
fn two_of_four_sign_twice_and_the_checker_sees_two_blocks_of_one_height() {
    play(async {
        let (world, nodes) = two_groups(&[(5, 3), (6, 4)], &[1, 3, 4]);
        for node in [&nodes[0], &nodes[1]] {
            node.reaches(Height(2), 90 * SECOND).await;
        }
        let checker = world.checker().lock();
        let first = checker.violations().first().unwrap();
        assert!(matches!(first, Violation::OtherBlock { height: Height(1), .. }), "{first}");
    });
}
