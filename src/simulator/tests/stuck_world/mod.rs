//! A network in which the writer of one mempool's file hangs, for the test of it and of the bug that waits for it.

use std::time::Duration;
use timed_primitives::Height;
use timed_simulator::{Latency, Node, Violation, World, WorldConfig, play};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
/// How long the writer hangs.
const HANGS: Duration = Duration::from_secs(30);
/// What an answer may take meanwhile.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_millis(200);

/// Hands payments in at the node whose writer hangs: the longest time to an answer, whether the node said of the first that the file does not
/// have it, and what the checker found.
pub(crate) fn longest_answer(seed: u64) -> (Duration, bool, Vec<&'static str>) {
    play(async move {
        let mut world = World::new(WorldConfig { latency: Latency::Lan, cost: 1, ..WorldConfig::instant(4, seed) });
        let nodes: Vec<Node> = (1..=4).map(|id| world.add(id)).collect();
        nodes.iter().for_each(|node| node.start().unwrap());
        nodes[0].reaches(Height(1), 60 * SECOND).await;
        nodes[0].hold_file(HANGS);
        let (mut longest, mut is_reported) = (Duration::ZERO, None);
        for number in 0..8 {
            let since = Instant::now();
            let txid = nodes[0].submit(world.transaction(number, 7).unwrap()).await.unwrap();
            longest = longest.max(since.elapsed());
            let status = nodes[0].handles().mempool_status.borrow().clone();
            is_reported.get_or_insert(status.is_some_and(|status| status.keeping.problem().is_some()));
            nodes[0].finalises(txid, 60 * SECOND).await;
        }
        let found = world.checker().lock().violations().iter().map(Violation::kind).collect();
        (longest, is_reported == Some(true), found)
    })
}
