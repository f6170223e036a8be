//! The world does what it says: the same seed gives the same trace, dead nodes are dead, and the checker sees what it must.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use std::time::Duration;
use timed_primitives::Height;
use timed_simulator::{Crash, CrashPlan, DiskPace, Latency, Node, World, WorldConfig, play};

const SECOND: Duration = Duration::from_secs(1);

fn far_apart(voters: u64, seed: u64) -> World {
    World::new(WorldConfig {
        latency: "frankfurt,ashburn,tokyo".parse().unwrap(),
        disk: DiskPace::GOOD,
        ..WorldConfig::instant(voters, seed)
    })
}

fn start_all(world: &mut World, count: u64) -> Vec<Node> {
    (1..=count).map(|id| world.start(id).unwrap()).collect()
}

fn assert_sound(world: &World) {
    assert_eq!(world.checker().lock().violations(), []);
}

/// A short life with payments, a crash, a cut and a pause.
fn short_life(seed: u64) -> (String, Height) {
    play(async {
        let mut world = far_apart(4, seed);
        let nodes = start_all(&mut world, 4);
        for number in 0..6 {
            world.run_for(SECOND).await;
            let _ = nodes[number % 4].submit(world.transaction(number, 7).unwrap()).await;
        }
        nodes[3].kill(Crash::Power);
        world.cut(1, 2);
        world.run_for(10 * SECOND).await;
        nodes[3].start().unwrap();
        nodes[2].pause();
        world.run_for(5 * SECOND).await;
        nodes[2].resume();
        world.heal(1, 2);
        world.run_for(30 * SECOND).await;
        assert_sound(&world);
        (world.trace().hash(), world.heights().0)
    })
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let (hash, height) = short_life(1);
    assert!(height.0 >= 8, "{height}");
    assert_eq!(short_life(1), (hash.clone(), height));
    assert_ne!(short_life(2).0, hash);
}

#[test]
fn four_nodes_in_three_cities_make_a_payment_final_within_a_second() {
    play(async {
        let mut world = far_apart(4, 3);
        let nodes = start_all(&mut world, 4);
        for node in &nodes {
            node.reaches(Height(1), 20 * SECOND).await;
        }
        let txid = nodes[0].submit(world.transaction(0, 7).unwrap()).await.unwrap();
        for node in &nodes {
            node.finalises(txid, SECOND).await;
        }
        assert_sound(&world);
    });
}

#[test]
fn a_node_that_crashes_at_any_of_its_first_events_returns_and_goes_on() {
    for (number, crash) in (0..40).zip([Crash::Power, Crash::Process].into_iter().cycle()) {
        play(async {
            let mut world = World::new(WorldConfig { disk: DiskPace::GOOD, ..WorldConfig::instant(4, number) });
            let nodes = start_all(&mut world, 3);
            let four = world.add(4);
            four.start_with(Some(CrashPlan { crash, events: 1 + number * 5 })).unwrap();
            for payment in 0..4 {
                let txid = nodes[0].submit(world.transaction(payment, 7).unwrap()).await.unwrap();
                nodes[0].finalises(txid, 20 * SECOND).await;
            }
            world.run_for(30 * SECOND).await;
            assert!(!four.is_running(), "it was to crash");
            four.start().unwrap();
            let txid = nodes[1].submit(world.transaction(9, 7).unwrap()).await.unwrap();
            four.finalises(txid, 30 * SECOND).await;
            assert_sound(&world);
        });
    }
}

#[test]
fn a_paused_node_does_nothing_and_keeps_its_connections_open() {
    play(async {
        let mut world = World::new(WorldConfig::instant(4, 5));
        let nodes = start_all(&mut world, 4);
        nodes[3].reaches(Height(1), 20 * SECOND).await;
        nodes[3].pause();
        let (events, height) = (nodes[3].events(), nodes[3].height());
        world.run_for(8 * SECOND).await;
        assert_eq!((nodes[3].events(), nodes[3].height()), (events, height));
        assert_eq!(world.links().connections(world.ip(1), world.ip(4)), 1, "a short pause costs no session");
        nodes[3].resume();
        nodes[3].reaches(Height(height.0 + 2), 30 * SECOND).await;
        assert_sound(&world);
    });
}

#[test]
fn a_loss_of_power_is_noticed_by_silence_and_a_kill_at_once() {
    play(async {
        let mut world = World::new(WorldConfig::instant(4, 6));
        let nodes = start_all(&mut world, 4);
        nodes[0].reaches(Height(1), 20 * SECOND).await;
        let peers = |node: &Node| node.handles().peers.borrow().peers.len();
        world.run_for(2 * SECOND).await;
        assert_eq!(peers(&nodes[0]), 3);
        nodes[3].kill(Crash::Process);
        world.run_for(2 * SECOND).await;
        assert_eq!(peers(&nodes[0]), 2);
        nodes[2].kill(Crash::Power);
        world.run_for(8 * SECOND).await;
        assert_eq!(peers(&nodes[0]), 2, "nobody said that it is gone");
        world.run_for(10 * SECOND).await;
        assert_eq!(peers(&nodes[0]), 1);
        assert_sound(&world);
    });
}

/// One was away for a while, then another dies for good: three of four live and have lost nothing, so the network goes on.
#[test]
fn one_that_was_away_makes_up_for_one_that_died_since() {
    play(async {
        let mut world = World::new(WorldConfig::instant(4, 7));
        let nodes = start_all(&mut world, 4);
        nodes[0].reaches(Height(3), 60 * SECOND).await;
        nodes[1].kill(Crash::Process);
        nodes[0].reaches(Height(6), 60 * SECOND).await;
        nodes[3].kill(Crash::Process);
        nodes[1].start().unwrap();
        nodes[0].reaches(Height(9), 60 * SECOND).await;
        assert_sound(&world);
    });
}

#[test]
fn the_latency_of_a_world_without_distance_is_none() {
    assert_eq!(Latency::None.between(1, 2), Default::default());
}
