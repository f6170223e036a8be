//! Networks with twins, for the tests of them and of the bug that lets them sign.
#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;
use timed_primitives::Height;
use timed_simulator::{Crash, Latency, Node, World, WorldConfig};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Validators of which all but the first run.
pub(crate) fn world(voters: u64, seed: u64) -> (World, Vec<Node>) {
    let mut world = World::new(WorldConfig { latency: Latency::Lan, ..WorldConfig::instant(voters, seed) });
    let nodes: Vec<Node> = (1..=voters).map(|id| world.add(id)).collect();
    nodes[1..].iter().for_each(|node| node.start().unwrap());
    (world, nodes)
}

/// Lets so many payments be made, each by the next of these nodes.
pub(crate) async fn pay_for(world: &World, nodes: &[Node], payments: usize) {
    for number in 0..payments {
        // What nobody decides any more is seen by the checker, or by who inspects the end.
        let _ = nodes[number % nodes.len()].submit(world.transaction(number, 7).unwrap()).await;
        world.run_for(SECOND / 2).await;
    }
}

/// A twin of the first validator starts with an empty folder while the network decides.
pub(crate) async fn a_twin_of_a_running_validator(voters: u64, seed: u64) -> (World, Vec<Node>, Node) {
    let (mut world, nodes) = world(voters, seed);
    nodes[0].start().unwrap();
    nodes[0].reaches(Height(1), 60 * SECOND).await;
    pay_for(&world, &nodes, 6).await;
    let twin = world.add_checked_twin(voters + 1, 1);
    world.run_for(Duration::from_millis(seed * 37 % 500)).await;
    twin.start().unwrap();
    pay_for(&world, &nodes, 40).await;
    (world, nodes, twin)
}

/// The first validator loses power, and three seconds later its peers do not know yet; a twin with an empty folder started at once.
pub(crate) async fn a_twin_takes_over(voters: u64, seed: u64) -> (World, Node) {
    let (mut world, nodes) = world(voters, seed);
    nodes[0].start().unwrap();
    nodes[0].reaches(Height(1), 60 * SECOND).await;
    pay_for(&world, &nodes, 6).await;
    nodes[0].kill(Crash::Power);
    let twin = world.add_checked_twin(voters + 1, 1);
    twin.start().unwrap();
    pay_for(&world, &nodes[1..], 6).await;
    (world, twin)
}
