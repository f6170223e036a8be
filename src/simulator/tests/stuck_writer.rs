//! A disk that hangs in one node: what it was asked to write is not there for minutes, and nothing is ever refused.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod stuck_world;

use std::time::Duration;
use stuck_world::{ANSWERED_WITHIN, longest_answer};
use timed_primitives::Height;
use timed_simulator::{DiskPace, Latency, Node, World, WorldConfig, play};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
/// How long each sync takes while the disk hangs.
const HANGS: Duration = Duration::from_secs(30);
/// What a payment may take where one of four is as good as dead: a time-out, and a round more.
const SERVED_WITHIN: Duration = Duration::from_secs(3);

/// Hands payments in at each of these nodes in turn, and waits until all of them call each final. The longest time that one took.
async fn pay(world: &World, nodes: &[Node], numbers: std::ops::Range<usize>) -> Duration {
    let mut longest = Duration::ZERO;
    for number in numbers {
        let since = Instant::now();
        let txid = nodes[number % nodes.len()].submit(world.transaction(number, 7).unwrap()).await.unwrap();
        for node in nodes {
            node.finalises(txid, 60 * SECOND).await;
        }
        longest = longest.max(since.elapsed());
        world.run_for(SECOND).await;
    }
    longest
}

/// Three of four are a quorum. With two such disks nothing is final.
#[test]
fn whose_writer_hangs_holds_up_nobody_and_is_back_when_it_writes_again() {
    for seed in 1..=4 {
        play(async move {
            let mut world = World::new(WorldConfig {
                latency: Latency::Lan,
                disk: DiskPace::GOOD,
                ..WorldConfig::instant(4, seed)
            });
            let nodes: Vec<_> = (1..=4).map(|id| world.add(id)).collect();
            nodes.iter().for_each(|node| node.start().unwrap());
            for node in &nodes {
                node.reaches(Height(1), 60 * SECOND).await;
            }
            let (stuck, others) = nodes.split_first().unwrap();
            let micros = u64::try_from(HANGS.as_micros()).unwrap();
            stuck.set_disk(&DiskPace { sync_micros: micros..=micros, room_bytes: None });
            let longest = pay(&world, others, 0..24).await;
            assert!(longest <= SERVED_WITHIN, "seed {seed}: {longest:?}");
            assert!(stuck.height() < others[0].height(), "seed {seed}: its writer hung");
            assert!(
                stuck.is_running() && stuck.fatal().is_none(),
                "seed {seed}: it waits, and nothing is wrong with it"
            );

            stuck.set_disk(&DiskPace::GOOD);
            stuck.reaches(others[0].height(), 600 * SECOND).await;
            let longest = pay(&world, &nodes, 24..32).await;
            assert!(longest <= SERVED_WITHIN, "seed {seed}, all of them again: {longest:?}");
            assert_eq!(world.checker().lock().violations(), [], "seed {seed}");
        });
    }
}

/// Who has handed a payment in waits for the file for a moment, and not for as long as its writer hangs.
#[test]
fn whose_mempool_file_hangs_answers_its_clients() {
    for seed in 1..=4 {
        let (longest, is_reported, found) = longest_answer(seed);
        assert!(longest <= ANSWERED_WITHIN, "seed {seed}: {longest:?}");
        assert!(is_reported, "seed {seed}: a client can know that its payment is not kept yet");
        assert_eq!(found, [""; 0], "seed {seed}");
    }
}
