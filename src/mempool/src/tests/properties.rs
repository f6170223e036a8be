//! The pool's invariants under random submissions, blocks, conflicts, time and delays.

use super::*;
use crate::{PoolEvent, ResourceState};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;
use timed_primitives::BlockId;

#[derive(Clone, Debug)]
enum Op {
    Submit {
        inputs: Vec<usize>,
        outputs: u64,
        fee: u64,
        from: u64,
    },
    /// Decide a payload of ours.
    Include {
        bytes: usize,
        count: usize,
    },
    /// Decide a transaction that nobody saw before.
    IncludeForeign {
        inputs: Vec<usize>,
    },
    /// The pool hears of the oldest decided block it has not heard of.
    Hear,
    Propose {
        count: usize,
    },
    Decide,
    NotDecided,
    Revalidate,
    Wait {
        seconds: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let inputs = || prop::collection::vec(any::<usize>(), 1..3);
    prop_oneof![
        12 => (inputs(), 1..6u64, 0..3_000u64, 0..4u64)
            .prop_map(|(inputs, outputs, fee, from)| Op::Submit { inputs, outputs, fee, from }),
        2 => (0..1_500usize, 0..6usize).prop_map(|(bytes, count)| Op::Include { bytes, count }),
        1 => inputs().prop_map(|inputs| Op::IncludeForeign { inputs }),
        2 => Just(Op::Hear),
        1 => (1..5usize).prop_map(|count| Op::Propose { count }),
        1 => Just(Op::Decide),
        1 => Just(Op::NotDecided),
        1 => Just(Op::Revalidate),
        1 => (0..40u64).prop_map(|seconds| Op::Wait { seconds }),
    ]
}

fn limits() -> PoolLimits {
    PoolLimits {
        count_max: 10,
        bytes_max: 2_000,
        peer_bytes_max: 900,
        ancestors_max: 4,
        expiry: Duration::from_secs(100),
        rejects_max: 5,
        conflicts_max: 4,
        proposed_max: 3,
        ..PoolLimits::default()
    }
}

struct World {
    pool: Pool,
    chain: MapChain,
    now: Instant,
    /// Every output ever named, to choose inputs from.
    outputs: Vec<Resource>,
    /// Decided, and not heard of by the pool.
    unheard: VecDeque<Vec<Arc<PoolTransaction>>>,
    decided: u64,
    blocks: u8,
    proposed: Option<BlockId>,
    /// The last state each output had in the events.
    states: BTreeMap<Resource, ResourceState>,
}

impl World {
    fn new() -> Self {
        let chain = MapChain::with_coins(12);
        Self {
            outputs: chain.outputs.keys().copied().collect(),
            pool: pool(limits()),
            chain,
            now: at(1),
            unheard: VecDeque::new(),
            decided: 0,
            blocks: 0,
            proposed: None,
            states: BTreeMap::new(),
        }
    }

    fn pick(from: &[Resource], picks: &[usize]) -> Vec<Resource> {
        let picked: BTreeSet<Resource> = picks.iter().map(|n| from[n % from.len()]).collect();
        picked.into_iter().collect()
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Submit { inputs, outputs, fee, from } => self.submit(&inputs, outputs, fee, from),
            Op::Include { bytes, count } => {
                let payload = self.pool.build_payload(bytes, count);
                assert!(payload.len() <= count);
                assert!(payload.iter().map(|t| t.facts.size_bytes).sum::<usize>() <= bytes);
                if !self.unheard.is_empty() {
                    return; // A payload is built after the pool heard of its parent.
                }
                // Panics when a parent comes after its child, or an input does not exist.
                payload.iter().for_each(|transaction| self.chain.apply(transaction));
                self.decide(payload);
            }
            Op::IncludeForeign { inputs } => {
                let unspent: Vec<Resource> = self.chain.outputs.keys().copied().collect();
                let foreign = spend(&Self::pick(&unspent, &inputs), &[1, u64::from(self.blocks)]);
                self.chain.apply(&foreign);
                self.outputs.extend(foreign.facts.produces.iter());
                self.decide(vec![foreign]);
            }
            Op::Hear => {
                if let Some(block) = self.unheard.pop_front() {
                    let height = self.pool.height().next();
                    // In two parts, as large blocks are taken.
                    let (first, second) = block.split_at(block.len() / 2);
                    self.pool.begin_commit(height);
                    for part in [first, second] {
                        let facts: Vec<_> = part.iter().map(|transaction| transaction.facts.clone()).collect();
                        self.pool.commit_part(self.now, height, &facts);
                        self.pool.graph.check();
                    }
                    self.pool.end_commit(self.now, height);
                    for transaction in &block {
                        assert!(self.pool.transaction(&transaction.facts.id).is_none());
                        for input in transaction.facts.consumes.iter() {
                            assert!(matches!(
                                self.pool.resource_state(input, &self.chain).unwrap(),
                                Some(ResourceState::Confirmed { .. })
                            ));
                        }
                    }
                }
            }
            Op::Propose { count } => {
                self.blocks = self.blocks.wrapping_add(1);
                let block = BlockId(Hash([self.blocks; 32]));
                let held: Vec<TxId> = self.pool.build_payload(2_000, count).iter().map(|t| t.facts.id).collect();
                self.pool.on_proposed(block, self.pool.height().next(), held);
                self.proposed = Some(block);
            }
            Op::Decide => self.proposed.iter().for_each(|block| self.pool.on_decided(*block)),
            Op::NotDecided => self.proposed.iter().for_each(|block| self.pool.on_not_decided(*block)),
            Op::Revalidate => {
                if self.unheard.is_empty() {
                    assert_eq!(
                        self.pool.revalidate(Height(self.decided), &self.chain).unwrap(),
                        [],
                        "all was heard already"
                    );
                }
            }
            Op::Wait { seconds } => {
                self.now += Duration::from_secs(seconds);
                self.pool.on_wake(self.now);
                assert!(self.pool.next_wake().is_none_or(|at| at > self.now));
            }
        }
    }

    fn submit(&mut self, inputs: &[usize], outputs: u64, fee: u64, from: u64) {
        let inputs = Self::pick(&self.outputs, inputs);
        let value: u64 = inputs.iter().filter_map(|input| self.chain.value(&self.pool.graph, input)).sum();
        let amounts = vec![value.saturating_sub(fee) / outputs; usize::try_from(outputs).unwrap()];
        let transaction = spend(&inputs, &amounts);
        let source = if from == 0 { Source::Local } else { Source::Peer(peer(from)) };
        let before: Vec<TxId> = self.pool.entries().map(|entry| entry.txid).collect();
        match submit_from(&mut self.pool, self.now, &transaction, source, &self.chain) {
            Ok(admitted) => {
                assert!(self.pool.transaction(&admitted.transaction.facts.id).is_some());
                for removed in admitted.evicted {
                    assert!(before.contains(&removed.txid) && self.pool.transaction(&removed.txid).is_none());
                }
            }
            Err(_) => assert_eq!(before, self.pool.entries().map(|entry| entry.txid).collect::<Vec<_>>()),
        }
        self.outputs.extend(transaction.facts.produces.iter());
    }

    fn decide(&mut self, block: Vec<Arc<PoolTransaction>>) {
        self.decided += 1;
        self.unheard.push_back(block);
    }

    fn check(&mut self) {
        self.pool.graph.check();
        let (limits, info) = (limits(), self.pool.info(self.now));
        assert!(info.count <= limits.count_max && info.bytes <= limits.bytes_max && info.rejects <= limits.rejects_max);
        assert!(self.pool.conflicts().count() <= limits.conflicts_max);
        assert!(self.pool.proposed.len() <= limits.proposed_max);
        assert_eq!(self.pool.proposed.len(), self.pool.proposed_order.len());
        for entry in self.pool.entries() {
            assert!(entry.ancestors.0 <= limits.ancestors_max);
            if let Source::Peer(peer) = entry.source {
                assert!(self.pool.graph.peer_bytes(&peer) <= limits.peer_bytes_max);
            }
            if self.unheard.is_empty() {
                assert!(!self.chain.known.contains(&entry.txid), "{} is decided and still here", entry.txid);
                for input in entry.transaction.facts.consumes.iter() {
                    assert!(self.pool.exists(input, &self.chain).unwrap(), "{input} is gone");
                }
            }
        }
        for event in self.pool.take_events() {
            if let PoolEvent::Resource { resource, state } = event {
                self.states.insert(resource, state);
            }
        }
        for (resource, reported) in &self.states {
            if let Some(state) = self.pool.resource_state(resource, &self.chain).unwrap() {
                assert_eq!(state, *reported, "events and state of {resource} differ");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn invariants_hold_whatever_happens(ops in prop::collection::vec(op(), 1..80)) {
        let mut world = World::new();
        for op in ops {
            world.apply(op);
            world.check();
        }
        while !world.unheard.is_empty() {
            world.apply(Op::Hear);
            world.check();
        }
    }

    #[test]
    fn with_room_for_all_a_payload_is_all(ops in prop::collection::vec(op(), 1..40)) {
        let mut world = World::new();
        for op in ops {
            world.apply(op);
        }
        let payload = world.pool.build_payload(usize::MAX, usize::MAX);
        prop_assert_eq!(payload.len(), world.pool.info(world.now).count);
        prop_assert_eq!(&payload, &world.pool.build_payload(usize::MAX, usize::MAX));
        let mut seen = BTreeSet::new();
        for transaction in payload {
            let parents = world.pool.entry(&transaction.facts.id).unwrap().depends;
            prop_assert!(parents.iter().all(|parent| seen.contains(parent)));
            seen.insert(transaction.facts.id);
        }
    }
}
