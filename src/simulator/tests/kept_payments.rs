//! What a node acknowledged to a client outlives the node, whatever befalls its disk.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;
use timed_actors::mempool::ListEntries;
use timed_primitives::TxId;
use timed_simulator::{Crash, CrashPlan, DiskPace, Node, World, WorldConfig, play};

const SECOND: Duration = Duration::from_secs(1);

/// A node whose three peers do not run: it decides nothing.
fn alone(seed: u64) -> (World, Node) {
    let mut world = World::new(WorldConfig { disk: DiskPace::GOOD, ..WorldConfig::instant(4, seed) });
    let node = world.add(1);
    (world, node)
}

/// Hands in so many payments; those that were answered with their ids.
async fn pay(world: &World, node: &Node, numbers: std::ops::Range<usize>) -> BTreeSet<TxId> {
    let mut taken = BTreeSet::new();
    for number in numbers {
        let answer = node.submit(world.transaction(number, 7).unwrap()).await;
        // What a node says in the moment of its death nobody hears.
        taken.extend(answer.ok().filter(|_| node.is_running()));
    }
    taken
}

async fn waiting(node: &Node) -> BTreeSet<TxId> {
    node.handles().mempool.send(ListEntries).await.unwrap().iter().map(|entry| entry.txid).collect()
}

#[test]
fn what_was_answered_survives_a_kill_at_any_event() {
    let mut killed_after_an_answer = 0;
    for events in 1..=60 {
        play(async {
            let (world, node) = alone(events);
            // The error is a crash in the midst of the start.
            let _ = node.start_with(Some(CrashPlan { crash: Crash::Process, events }));
            let taken = pay(&world, &node, 0..4).await;
            world.run_for(SECOND).await;
            killed_after_an_answer += u32::from(!node.is_running() && !taken.is_empty());
            if node.is_running() {
                node.kill(Crash::Process);
            }
            node.start().unwrap();
            world.run_for(SECOND).await;
            assert!(taken.is_subset(&waiting(&node).await), "killed at event {events}");
        });
    }
    assert!(killed_after_an_answer >= 3, "{killed_after_an_answer}");
}

#[test]
fn a_loss_of_power_takes_at_most_what_the_last_two_seconds_brought() {
    for seed in 0..20 {
        play(async {
            let (world, node) = alone(seed);
            node.start().unwrap();
            let taken = pay(&world, &node, 0..3).await;
            world.run_for(3 * SECOND).await;
            let last = pay(&world, &node, 3..6).await;
            assert_eq!((taken.len(), last.len()), (3, 3));
            node.kill(Crash::Power);
            node.start().unwrap();
            world.run_for(SECOND).await;
            let found = waiting(&node).await;
            assert!(taken.is_subset(&found) && found.is_subset(&(&taken | &last)), "seed {seed}");
            assert_eq!(world.checker().lock().violations(), []);
        });
    }
}

#[test]
fn a_full_disk_costs_only_the_file_and_only_while_it_is_full() {
    play(async {
        let (world, node) = alone(1);
        node.start().unwrap();
        let problem = || node.handles().mempool_status.borrow().as_ref().unwrap().keeping.failed.clone();
        let first = pay(&world, &node, 0..1).await;
        assert_eq!(problem(), None);
        node.set_disk(&DiskPace { room_bytes: Some(0), ..DiskPace::GOOD });
        let second = pay(&world, &node, 1..3).await;
        assert_eq!(second.len(), 2, "answered all the same");
        world.run_for(SECOND).await;
        assert!(problem().is_some() && node.is_running());
        node.set_disk(&DiskPace::GOOD);
        world.run_for(15 * SECOND).await;
        assert_eq!(problem(), None);
        node.kill(Crash::Process);
        node.start().unwrap();
        world.run_for(SECOND).await;
        assert_eq!(waiting(&node).await, &first | &second);
    });
}

#[test]
fn an_orderly_stop_takes_nothing_more_and_loses_nothing() {
    play(async {
        let (world, node) = alone(1);
        node.start().unwrap();
        let taken = pay(&world, &node, 0..3).await;
        node.handles().stop().await;
        assert_eq!(pay(&world, &node, 3..4).await, BTreeSet::new());
        // It has synced before it ended.
        node.kill(Crash::Power);
        node.start().unwrap();
        world.run_for(SECOND).await;
        assert_eq!(waiting(&node).await, taken);
    });
}
