//! Whole nodes whose clocks differ, drift and jump: payments are as fast as with equal clocks, an idle network is as quiet, and a node whose
//! own clock is wrong says so.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use std::time::Duration;
use timed_primitives::Height;
use timed_simulator::{DiskPace, Latency, Node, World, WorldConfig, play};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const HOUR_MS: i64 = 3_600_000;

/// Milliseconds by which a clock is ahead, and how much too fast it runs in millionths.
type Clock = (i64, i64);

const RIGHT: Clock = (0, 0);

/// Four validators in one network, idle after their first heights, their clocks compared.
async fn four(clocks: [Clock; 4]) -> (World, Vec<Node>) {
    let mut world =
        World::new(WorldConfig { latency: Latency::Lan, disk: DiskPace::GOOD, ..WorldConfig::instant(4, 5) });
    let nodes: Vec<_> = (1..=4)
        .zip(clocks)
        .map(|(id, (offset_ms, drift))| world.add_with(id, vec![1, 2, 3, 4], World::skew(offset_ms, drift)))
        .collect();
    nodes.iter().for_each(|node| node.start().unwrap());
    for node in &nodes {
        node.reaches(Height(1), 60 * SECOND).await;
    }
    world.run_for(8 * SECOND).await;
    (world, nodes)
}

/// How long each of these payments takes from its submission until it is final on every node.
async fn pay(world: &World, nodes: &[Node], numbers: std::ops::Range<usize>) -> Vec<Duration> {
    let mut took = Vec::new();
    for number in numbers {
        let since = Instant::now();
        let txid = nodes[number % 4].submit(world.transaction(number, 7).unwrap()).await.unwrap();
        for node in nodes {
            node.finalises(txid, 120 * SECOND).await;
        }
        took.push(since.elapsed());
        world.run_for(Duration::from_millis(1_700)).await;
    }
    took.sort();
    assert_eq!(world.checker().lock().violations(), []);
    took
}

struct Found {
    median: Duration,
    longest: Duration,
    idle_heights: u64,
}

/// Sixteen payments, then two idle minutes.
fn found(clocks: [Clock; 4]) -> Found {
    play(async move {
        let (world, nodes) = four(clocks).await;
        let took = pay(&world, &nodes, 0..16).await;
        let before = world.heights().1;
        world.run_for(120 * SECOND).await;
        let idle_heights = world.heights().1.0 - before.0;
        Found { median: took[8], longest: *took.last().unwrap(), idle_heights }
    })
}

fn one(clock: Clock) -> [Clock; 4] {
    [RIGHT, clock, RIGHT, RIGHT]
}

#[test]
fn payments_are_as_fast_and_idle_is_as_quiet_whatever_the_clocks_say() {
    let quiet = found([RIGHT; 4]);
    assert!(quiet.longest < SECOND / 2, "{:?}", quiet.longest);
    let apart = [300, 2_000, 4_500, HOUR_MS, 24 * HOUR_MS].into_iter().flat_map(|ms| [ms, -ms]);
    let minority = apart.clone().map(|ms| one((ms, 0)));
    let all = [2_000, -HOUR_MS, 24 * HOUR_MS].map(|ms| [(ms, 0); 4]);
    let each = [[(-2_000, 0), (2_000, 0), (300, 0), RIGHT], [(0, 5_000), (0, -5_000), (4_000, 100), RIGHT]];
    for clocks in minority.chain(all).chain(each) {
        let skewed = found(clocks);
        assert!(
            skewed.median * 2 <= quiet.median * 3,
            "{clocks:?}: {:?}, with right clocks {:?}",
            skewed.median,
            quiet.median
        );
        // No turn is lost either: who is too far ahead knows it, and names the others' time.
        assert!(skewed.longest < SECOND / 2, "{clocks:?}: {:?}, with right clocks {:?}", skewed.longest, quiet.longest);
        assert!(skewed.idle_heights <= quiet.idle_heights + 1, "{clocks:?}: {} heights", skewed.idle_heights);
        assert!(skewed.idle_heights + 1 >= quiet.idle_heights, "{clocks:?}: {} heights", skewed.idle_heights);
    }
}

#[test]
fn clocks_set_forward_and_back_delay_no_payment() {
    for who in [1, 3, 4] {
        play(async move {
            let (world, nodes) = four([RIGHT; 4]).await;
            let quiet = pay(&world, &nodes, 0..8).await;
            nodes[..who].iter().for_each(|node| node.move_clock(90_000));
            let ahead = pay(&world, &nodes, 8..16).await;
            nodes[..who].iter().for_each(|node| node.move_clock(-90_000));
            let after = pay(&world, &nodes, 16..24).await;
            for took in [&ahead, &after] {
                assert!(took[4] * 2 <= quiet[4] * 3, "{who} clocks: {took:?}, before {quiet:?}");
            }
            // A turn may be lost before a clock is known to be ahead; nobody waits for it to be right.
            assert!(
                ahead.last().unwrap().max(after.last().unwrap()) < &(2 * SECOND),
                "{who} clocks: {ahead:?} {after:?}"
            );
        });
    }
}

/// Whether a node calls its own clock wrong, and how far the others are from it. Unit: milliseconds.
fn own_clock(node: &Node) -> (bool, Option<i64>) {
    let handles = node.handles();
    let view = handles.peers.borrow();
    (view.is_clock_off, view.clock_offset_ms)
}

fn is_near(found: Option<i64>, expected: i64) -> bool {
    found.is_some_and(|found| found.abs_diff(expected) <= 20)
}

#[test]
fn a_node_names_its_own_clock_and_no_others() {
    play(async {
        let (world, nodes) = four([(2_000, 0), RIGHT, RIGHT, RIGHT]).await;
        let (is_off, offset) = own_clock(&nodes[0]);
        assert!(is_off && is_near(offset, -2_000), "{is_off} {offset:?}");
        for node in &nodes[1..] {
            let (is_off, offset) = own_clock(node);
            assert!(!is_off && is_near(offset, 0), "node {}: {is_off} {offset:?}", node.id());
            let handles = node.handles();
            let view = handles.peers.borrow();
            let offsets: Vec<_> = view.peers.iter().map(|peer| peer.clock_offset_ms).collect();
            assert_eq!(offsets.iter().filter(|offset| is_near(**offset, 2_000)).count(), 1, "{offsets:?}");
            assert_eq!(offsets.iter().filter(|offset| is_near(**offset, 0)).count(), 2, "{offsets:?}");
        }
        nodes[0].move_clock(-2_000);
        world.run_for(3 * SECOND).await;
        let (is_off, offset) = own_clock(&nodes[0]);
        assert!(!is_off && is_near(offset, 0), "{is_off} {offset:?}");
        // Theirs, as the next pings show.
        nodes[3].move_clock(24 * HOUR_MS);
        world.run_for(12 * SECOND).await;
        assert!(own_clock(&nodes[3]).0);
        assert!(nodes[..3].iter().all(|node| !own_clock(node).0), "one clock of four raises no alarm elsewhere");
        // Without a quorum nobody knows.
        world.part(&[4]);
        world.run_for(60 * SECOND).await;
        assert_eq!(own_clock(&nodes[3]), (false, None));
    });
}
