//! One of seven validators sends one kind of lie, all the time, and another is away in turn: the chain stays one, and goes on.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use std::time::Duration;
use timed_primitives::Height;
use timed_simulator::{Crash, Lie, Lies, Node, World, WorldConfig, play};

const SECOND: Duration = Duration::from_secs(1);

/// A validator that is down for a while must get the chain from neighbours of whom one lies.
fn live_with(lie: Lie, seed: u64) {
    play(async {
        let mut world = World::new(WorldConfig::instant(7, seed));
        let nodes: Vec<Node> = (1..=7).map(|id| world.add(id)).collect();
        nodes[6].lie(Lies::from([(lie, 1000)]));
        nodes.iter().for_each(|node| node.start().unwrap());
        for node in &nodes[..6] {
            node.reaches(Height(3), 90 * SECOND).await;
        }
        let mut paid = 0;
        for round in 0..6 {
            let [away, payer, payee] = [0, 1, 2].map(|step| &nodes[(round + step) % 6]);
            away.kill(Crash::Process);
            for _ in 0..4 {
                let txid = payer.submit(world.transaction(paid, 7).unwrap()).await.unwrap();
                paid += 1;
                payee.finalises(txid, 90 * SECOND).await;
            }
            // First it hears the Byzantine validator alone.
            let honest = (1..=6).filter(|id| *id != away.id());
            honest.clone().for_each(|id| world.cut(away.id(), id));
            away.start().unwrap();
            world.run_for(10 * SECOND).await;
            honest.for_each(|id| world.heal(away.id(), id));
            away.reaches(payee.height(), 90 * SECOND).await;
        }
        assert_eq!(world.checker().lock().violations(), [], "{}", lie.name());
        let sent = nodes[6].lies_counted().get(lie.name()).copied().unwrap_or(0);
        assert!(sent > 0, "{} was never sent", lie.name());
    });
}

#[test]
fn every_lie_is_borne() {
    for (seed, lie) in (1..).zip(Lie::ALL) {
        println!("{}", lie.name());
        live_with(*lie, seed);
    }
}
