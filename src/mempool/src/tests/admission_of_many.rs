//! Admission by delay on many nodes whose clients all want more than there is room for.

use crate::{Admission, AdmissionLimits, Load, weight};
use std::collections::BTreeMap;
use std::time::Duration;
use timed_primitives::Instant;

/// Between two blocks. Unit: microseconds.
const INTERVAL: u64 = 100_000;
const TICK: u64 = 1_000;

/// A payment in a pool: when it came there, and whether from a client.
type Pooled = (Instant, bool);

/// Nodes that lead in turn, each with the oldest that its own pool holds.
struct Network {
    nodes: Vec<(Admission, BTreeMap<u64, Pooled>)>,
    /// Payments per second that blocks take.
    speed: u64,
    next: u64,
    offered: Vec<Instant>,
    longest: Duration,
    done: u64,
}

fn payment() -> u64 {
    weight(236, 1)
}

fn load(pool: &BTreeMap<u64, Pooled>) -> Load {
    let of = |wanted: bool| pool.values().filter(|(_, is_client)| *is_client == wanted).count() as u64 * payment();
    Load { pool_clients: of(true), pool_peers: of(false), ..Load::default() }
}

impl Network {
    fn new(nodes: usize, speed: u64) -> Self {
        let node = || {
            let mut admission = Admission::new(AdmissionLimits::default());
            // Signatures are checked eight times as fast.
            admission.on_check(Instant(0));
            admission.on_checked(Instant(1_000_000), 8 * speed * payment(), false);
            (admission, BTreeMap::new())
        };
        Self {
            nodes: (0..nodes).map(|_| node()).collect(),
            speed,
            next: 0,
            offered: Vec::new(),
            longest: Duration::ZERO,
            done: 0,
        }
    }

    /// As many payments as find room, the nodes in turn, and of each as many others as have room for it.
    fn fill(&mut self, now: Instant) {
        let mut loads: Vec<Load> = self.nodes.iter().map(|(_, pool)| load(pool)).collect();
        let mut is_full = vec![false; self.nodes.len()];
        while is_full.contains(&false) {
            for at in 0..self.nodes.len() {
                is_full[at] = is_full[at] || self.nodes[at].0.budget(&loads[at]).clients == 0;
                if is_full[at] {
                    continue;
                }
                let number = self.next;
                self.next += 1;
                self.offered.push(now);
                for (other, (admission, pool)) in self.nodes.iter_mut().enumerate() {
                    if other == at {
                        loads[other].pool_clients += payment();
                    } else if admission.budget(&loads[other]).peers > 0 {
                        loads[other].pool_peers += payment();
                    } else {
                        continue;
                    }
                    pool.insert(number, (now, other == at));
                    admission.on_pooled(now);
                }
            }
        }
    }

    fn block(&mut self, now: Instant, leader: usize) {
        let room = usize::try_from(self.speed * INTERVAL / 1_000_000).unwrap();
        let taken: Vec<u64> = self.nodes[leader].1.keys().take(room).copied().collect();
        for number in &taken {
            self.longest = self.longest.max(now.since(self.offered[usize::try_from(*number).unwrap()]));
        }
        self.done += taken.len() as u64;
        for (admission, pool) in &mut self.nodes {
            let weight = taken.iter().filter_map(|number| pool.remove(number)).count() as u64 * payment();
            let old = pool.values().filter(|(came, _)| *came < admission.last_block()).count() as u64 * payment();
            admission.on_block(now, weight, old, load(pool).total());
        }
    }

    fn run(&mut self, from: Instant, time: Duration) {
        let ticks = u64::try_from(time.as_micros()).unwrap() / TICK;
        for tick in 1..=ticks {
            let now = from + Duration::from_micros(tick * TICK);
            if (tick * TICK).is_multiple_of(20_000) {
                self.fill(now);
            }
            if (tick * TICK).is_multiple_of(INTERVAL) {
                let leader = usize::try_from(now.0 / INTERVAL).unwrap() % self.nodes.len();
                self.block(now, leader);
            }
        }
    }
}

/// Clients of each node have half of its room whatever peers bring, so together half a room for each node waits.
#[test]
fn many_nodes_take_together_half_of_what_each_may_hold() {
    for nodes in [1, 2, 4, 7] {
        let mut network = Network::new(nodes, 2_000);
        let from = Instant(1_000_000);
        network.run(from, Duration::from_secs(5));
        assert!(network.done >= 2_000 * 5 * 90 / 100, "{nodes} nodes: {} done from the start on", network.done);
        let started = std::mem::take(&mut network.longest);
        network.done = 0;
        network.run(from + Duration::from_secs(5), Duration::from_secs(15));
        assert!(network.done >= 2_000 * 15 * 98 / 100, "{nodes} nodes: {} done", network.done);
        // Beside the queue what only one pool holds waits for that node's turn.
        let turns = Duration::from_micros(INTERVAL * nodes as u64);
        let bound = AdmissionLimits::default().delay * 2_u32.max(nodes as u32) / 2 + 2 * turns;
        assert!(network.longest <= bound, "{nodes} nodes: {:?}", network.longest);
        assert!(started <= bound, "{nodes} nodes: {started:?} at the start");
    }
}
