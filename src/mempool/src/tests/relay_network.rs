//! Whole networks of relays: each transaction reaches each node, and exactly once when nobody is silent.

use super::*;
use crate::{Receipt, Relay, RelayAction, RelayLimits};
use proptest::prelude::*;
use std::time::Duration;
use timed_primitives::TxFullId;

enum Message {
    Announce(Vec<TxFullId>),
    Request(Vec<TxFullId>),
    Transactions(Vec<TxFullId>),
}

/// Nodes with relays and, for a pool, a set of ids.
struct Network {
    nodes: Vec<(Relay, BTreeSet<TxFullId>)>,
    links: BTreeSet<(usize, usize)>,
    /// Nodes that announce and never deliver.
    silent: BTreeSet<usize>,
    /// By time and order of sending.
    flying: BTreeMap<(Instant, u64), (usize, usize, Message)>,
    sent: u64,
    now: Instant,
    /// Deliveries of each transaction to each node.
    delivered: BTreeMap<(usize, TxFullId), usize>,
}

impl Network {
    fn new(nodes: usize, links: BTreeSet<(usize, usize)>, silent: BTreeSet<usize>) -> Self {
        let mut network = Self {
            nodes: (0..nodes).map(|_| (Relay::new(RelayLimits::default()), BTreeSet::new())).collect(),
            links,
            silent,
            flying: BTreeMap::new(),
            sent: 0,
            now: at(1),
            delivered: BTreeMap::new(),
        };
        for (a, b) in network.links.clone() {
            assert_eq!(network.nodes[a].0.on_peer_up(key(b), []), []);
            assert_eq!(network.nodes[b].0.on_peer_up(key(a), []), []);
        }
        network
    }

    /// Latency depends on the link, so that ways of different length compete.
    fn send(&mut self, from: usize, to: usize, message: Message) {
        let latency = Duration::from_micros(u64::try_from(200 + 977 * ((from * 7 + to * 3) % 5)).unwrap());
        self.sent += 1;
        self.flying.insert((self.now + latency, self.sent), (from, to, message));
    }

    fn carry_out(&mut self, node: usize, actions: Vec<RelayAction>) {
        for action in actions {
            match action {
                RelayAction::Announce { to, ids } => self.send(node, number(&to), Message::Announce(ids)),
                RelayAction::Request { to, ids } => self.send(node, number(&to), Message::Request(ids)),
                RelayAction::Retry { .. } => panic!("no child waits here"),
            }
        }
    }

    fn admit(&mut self, node: usize, id: TxFullId) {
        let (relay, pool) = &mut self.nodes[node];
        assert!(pool.insert(id));
        let actions = relay.on_admitted(self.now, id, &[]);
        self.carry_out(node, actions);
    }

    fn receive(&mut self, from: usize, to: usize, message: Message) {
        let (relay, pool) = &mut self.nodes[to];
        match message {
            Message::Announce(ids) => {
                let actions = relay.on_announce(self.now, key(from), &ids, |id| pool.contains(id));
                self.carry_out(to, actions);
            }
            Message::Request(ids) if self.silent.contains(&to) => drop(ids),
            Message::Request(ids) => {
                let held = ids.into_iter().filter(|id| pool.contains(id)).collect();
                self.send(to, from, Message::Transactions(held));
            }
            Message::Transactions(ids) => {
                for id in ids {
                    *self.delivered.entry((to, id)).or_default() += 1;
                    if self.nodes[to].0.on_received(&key(from), &id) == Receipt::Wanted {
                        self.admit(to, id);
                    }
                }
            }
        }
    }

    /// Until nothing is left to do.
    fn run(&mut self) {
        loop {
            let message = self.flying.first_key_value().map(|((at, _), _)| *at);
            let wake = self.nodes.iter().filter_map(|(relay, _)| relay.next_wake()).min();
            let Some(next) = message.into_iter().chain(wake).min() else { return };
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (from, to, message) = entry.remove();
                self.receive(from, to, message);
            }
            for node in 0..self.nodes.len() {
                let actions = self.nodes[node].0.on_wake(self.now);
                self.carry_out(node, actions);
            }
        }
    }
}

fn key(node: usize) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[0] = u8::try_from(node).unwrap();
    PublicKey(bytes)
}

fn number(key: &PublicKey) -> usize {
    usize::from(key.0[0])
}

fn mesh(nodes: usize) -> BTreeSet<(usize, usize)> {
    (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))).collect()
}

fn id(n: u8) -> TxFullId {
    TxFullId(Hash([n; 32]))
}

#[test]
fn n_nodes_one_transaction_exactly_n_minus_1_deliveries() {
    for nodes in 2..12 {
        let mut network = Network::new(nodes, mesh(nodes), BTreeSet::new());
        for n in 0..20 {
            network.admit(usize::from(n) % nodes, id(n));
        }
        network.run();
        for n in 0..20 {
            let origin = usize::from(n) % nodes;
            for node in 0..nodes {
                let expected = usize::from(node != origin);
                assert_eq!(network.delivered.get(&(node, id(n))).copied().unwrap_or(0), expected);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A connected core of nodes that deliver, and others that announce and stay silent when asked.
    #[test]
    fn everything_arrives_in_spite_of_silent_announcers(
        honest in 2..6usize,
        silent in 0..3usize,
        extra in prop::collection::vec((0..9usize, 0..9usize), 0..20),
        origins in prop::collection::vec(0..6usize, 1..10),
    ) {
        let nodes = honest + silent;
        let mut links: BTreeSet<(usize, usize)> = (1..honest).map(|n| (n - 1, n)).collect();
        let both = |(a, b): (usize, usize)| (a % nodes, b % nodes);
        links.extend(extra.into_iter().map(both).filter(|(a, b)| a != b).map(|(a, b)| (a.min(b), a.max(b))));
        let mut network = Network::new(nodes, links, (honest..nodes).collect());
        for (n, origin) in (0u8..).zip(&origins) {
            // Silent nodes know everything at once, and say so first.
            for node in honest..nodes {
                network.admit(node, id(n));
            }
            network.admit(origin % honest, id(n));
        }
        network.run();
        for (n, _) in (0u8..).zip(&origins) {
            for node in 0..honest {
                prop_assert!(network.nodes[node].1.contains(&id(n)), "node {} lacks {}", node, n);
                prop_assert!(network.delivered.get(&(node, id(n))).copied().unwrap_or(0) <= 1);
            }
        }
    }
}
