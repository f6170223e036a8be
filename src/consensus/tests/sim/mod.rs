//! A network of consensus cores under virtual time: one seed, one trace. Safety is checked at every message that leaves a node.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test harness: a failure is the test's")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use timed_consensus::{
    ChainStart, CommittedBlocks, Consensus, CoreConfig, Gossip, Input, LeaderRecord, Output, Payload, TimeoutDefaults,
    verify_certificate,
};
use timed_primitives::block::BLOCK_VERSION;
use timed_primitives::{
    Block, BlockId, ChainId, CommitCertificate, Hash, Header, Height, Instant, MemoryDisk, PayloadFormat, PublicKey,
    Round, SecretKey, Tip, UnixTime, Validator, ValidatorSet, VoteKind,
};

pub(crate) const CHAIN: ChainId = ChainId(77);
pub(crate) const GENESIS_TIME: UnixTime = UnixTime(1_700_000_000_000);
const UNIX_START: u64 = GENESIS_TIME.0 + 86_400_000;

pub(crate) fn consensus_key(id: usize) -> SecretKey {
    SecretKey::development("consensus", id as u64 + 1)
}

pub(crate) fn node_key(id: usize) -> PublicKey {
    SecretKey::development("node", id as u64 + 1).public()
}

/// What was signed where: key, height, round, kind.
type Place = (PublicKey, Height, Round, u8);
/// For what: block and, in proposals, the round of the quorum named.
type Value = (Option<BlockId>, Option<Round>);
/// Says whether a message (from, to) is lost.
type Filter = Box<dyn Fn(usize, usize, &Gossip) -> bool>;
/// Says whether a node finds a block valid.
type ValidityFn = Box<dyn Fn(usize, &Block) -> bool>;
/// How much longer a message (from, to) takes. Unit: µs.
type Delay = Box<dyn Fn(usize, usize, &Gossip) -> u64>;

#[derive(Clone, Debug)]
enum Event {
    Deliver { from: usize, to: usize, message: Gossip },
    Local { node: usize, input: Box<Input> },
    Wake { node: usize },
}

pub(crate) struct Node {
    pub(crate) core: Option<Consensus>,
    pub(crate) disk: MemoryDisk,
    pub(crate) chain: Vec<(Arc<Block>, CommitCertificate)>,
    pub(crate) clock_offset_ms: i64,
    pub(crate) outputs: Vec<Output>,
    /// Number of starts, in the low half: messages to an earlier life are lost. All of it is the instance id.
    life: u64,
    pub(crate) handled: u64,
    pub(crate) is_validator: bool,
    pub(crate) withholds_blocks: bool,
    /// Whose consensus key it has.
    pub(crate) signs_as: usize,
}

pub(crate) struct Sim {
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: Instant,
    pub(crate) set: ValidatorSet,
    /// Who decides from a height on, where that is not `set`.
    pub(crate) later_sets: BTreeMap<u64, ValidatorSet>,
    /// Whether nodes tell their peers each height that they commit.
    pub(crate) reports_heights: bool,
    pub(crate) config: CoreConfig,
    pub(crate) delivered: BTreeMap<&'static str, u64>,
    pub(crate) delay_us: (u64, u64),
    events: BTreeMap<(Instant, u64), (u64, Event)>,
    sequence: u64,
    random: u64,
    cut: BTreeSet<(usize, usize)>,
    signed: BTreeMap<Place, Value>,
    decided: BTreeMap<Height, BlockId>,
    nonce: u64,
    /// Drops a message when it holds: (from, to, message).
    pub(crate) filter: Filter,
    pub(crate) is_valid: ValidityFn,
    /// How much longer a message takes than others.
    pub(crate) held_back: Delay,
    /// What building and what validating a block takes, whoever does it. Unit: µs.
    pub(crate) work_us: (u64, u64),
    /// As the daemon does: nothing waits after a block until the mempool reports it again, a moment later.
    pub(crate) steady_payload: Payload,
    /// Heights at which a key signed two things for one place; without a set the first one ends the test.
    pub(crate) contradictions: Option<BTreeSet<Height>>,
    /// Whether a killed node's connections are not known to be over.
    pub(crate) leaves_stale_sessions: bool,
    /// Stops after this many handled inputs of a node, for crash tests: (node, count).
    pub(crate) crash_at: Option<(usize, u64)>,
}

impl Sim {
    pub(crate) fn new(validators: usize, observers: usize, seed: u64) -> Self {
        Self::with_powers(&vec![1; validators], observers, seed)
    }

    pub(crate) fn with_powers(powers: &[u64], observers: usize, seed: u64) -> Self {
        let validator = |(id, power): (usize, &u64)| Validator { key: consensus_key(id).public(), power: *power };
        let set = ValidatorSet::new(powers.iter().enumerate().map(validator).collect()).unwrap();
        let mut config = CoreConfig::new(CHAIN, None, PayloadFormat::EMPTY);
        config.journal_step_bytes = 64 << 10;
        config.timeouts = TimeoutDefaults {
            propose: Duration::from_millis(1000),
            prevote: Duration::from_millis(500),
            precommit: Duration::from_millis(500),
        };
        config.labels = (0..powers.len()).map(|id| (consensus_key(id).public(), format!("node {}", id + 1))).collect();
        let node = |id: usize| Node {
            core: None,
            disk: MemoryDisk::default(),
            chain: vec![],
            clock_offset_ms: 0,
            outputs: vec![],
            life: (id as u64) << 32,
            handled: 0,
            is_validator: id < powers.len(),
            withholds_blocks: false,
            signs_as: id,
        };
        Self {
            nodes: (0..powers.len() + observers).map(node).collect(),
            now: Instant::START,
            set,
            later_sets: BTreeMap::new(),
            reports_heights: false,
            config,
            delivered: BTreeMap::new(),
            delay_us: (200, 2000),
            events: BTreeMap::new(),
            sequence: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            cut: BTreeSet::new(),
            signed: BTreeMap::new(),
            decided: BTreeMap::new(),
            nonce: 0,
            filter: Box::new(|_, _, _| false),
            is_valid: Box::new(|_, _| true),
            held_back: Box::new(|_, _, _| 0),
            work_us: (300, 200),
            steady_payload: Payload::Nothing,
            contradictions: None,
            leaves_stale_sessions: false,
            crash_at: None,
        }
    }

    /// Adds another node with the consensus key of `of`, and a node key of its own. It is not started.
    pub(crate) fn add_twin(&mut self, of: usize) -> usize {
        let id = self.nodes.len();
        self.nodes.push(Node {
            core: None,
            disk: MemoryDisk::default(),
            chain: vec![],
            clock_offset_ms: 0,
            outputs: vec![],
            life: (id as u64) << 32,
            handled: 0,
            is_validator: true,
            withholds_blocks: false,
            signs_as: of,
        });
        id
    }

    /// All nodes started.
    pub(crate) fn started(validators: usize, seed: u64) -> Self {
        let mut sim = Self::new(validators, 0, seed);
        sim.start_all();
        sim
    }

    pub(crate) fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below.max(1)
    }

    pub(crate) fn unix(&self, node: usize) -> UnixTime {
        let offset = self.nodes[node].clock_offset_ms;
        UnixTime((UNIX_START + self.now.0 / 1000).saturating_add_signed(offset))
    }

    pub(crate) fn start_all(&mut self) {
        (0..self.nodes.len()).for_each(|id| self.start(id));
    }

    pub(crate) fn start(&mut self, id: usize) {
        let node = &self.nodes[id];
        let recent = node.chain.iter().rev().take(100).rev().map(|(b, _)| LeaderRecord::of(b)).collect();
        let tip = node.chain.last().map_or(
            Tip {
                height: Height::GENESIS,
                id: BlockId::default(),
                time: GENESIS_TIME,
                state_commitment: Hash::ZERO,
                certificate: None,
            },
            |(b, c)| Tip {
                height: b.height(),
                id: b.id(),
                time: b.header.time,
                state_commitment: b.header.state_commitment,
                certificate: Some(c.clone()),
            },
        );
        let [tip_validators, validators, next_validators] = [0, 1, 2].map(|above| self.set_of(tip.height.0 + above));
        let chain = ChainStart { tip, validators, next_validators, tip_validators, recent };
        let config = CoreConfig { key: node.is_validator.then(|| consensus_key(node.signs_as)), ..self.config.clone() };
        let core = Consensus::open(config, &node.disk, chain).unwrap();
        self.nodes[id].core = Some(core);
        self.nodes[id].life += 1;
        self.handle(id, Input::Start);
        for other in (0..self.nodes.len()).filter(|o| *o != id) {
            if self.nodes[other].core.is_some() && !self.is_cut(id, other) {
                self.connect(id, other);
                self.connect(other, id);
            }
        }
    }

    /// Who decides `height`.
    pub(crate) fn set_of(&self, height: u64) -> ValidatorSet {
        self.later_sets.range(..=height).next_back().map_or(&self.set, |(_, set)| set).clone()
    }

    /// Loses power: what was not synced is gone, and what was under way to it too.
    pub(crate) fn kill(&mut self, id: usize) {
        self.nodes[id].core = None;
        self.nodes[id].life += 1;
        self.nodes[id].disk.crash();
        for other in (0..self.nodes.len()).filter(|o| *o != id) {
            if self.nodes[other].core.is_some() && !self.is_cut(id, other) {
                self.handle(other, Input::PeerDown { peer: node_key(id), is_gone: !self.leaves_stale_sessions });
            }
        }
    }

    pub(crate) fn restart(&mut self, id: usize) {
        self.kill(id);
        self.start(id);
    }

    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    /// The link is gone and both know it.
    pub(crate) fn cut(&mut self, a: usize, b: usize) {
        if self.cut.insert((a.min(b), a.max(b))) {
            for (node, peer) in [(a, b), (b, a)] {
                if self.nodes[node].core.is_some() {
                    self.handle(node, Input::PeerDown { peer: node_key(peer), is_gone: !self.leaves_stale_sessions });
                }
            }
        }
    }

    pub(crate) fn heal(&mut self, a: usize, b: usize) {
        if self.cut.remove(&(a.min(b), a.max(b))) && self.nodes[a].core.is_some() && self.nodes[b].core.is_some() {
            self.connect(a, b);
            self.connect(b, a);
        }
    }

    fn connect(&mut self, node: usize, peer: usize) {
        let validator = self.nodes[peer].is_validator.then(|| consensus_key(self.nodes[peer].signs_as).public());
        let instance = self.nodes[peer].life.into();
        let height = Height(self.nodes[peer].chain.len() as u64);
        self.handle(node, Input::PeerUp { peer: node_key(peer), validator, instance, address: None });
        if self.nodes[node].core.is_some() {
            self.handle(node, Input::PeerHeight { peer: node_key(peer), height });
        }
    }

    pub(crate) fn payload(&mut self, node: usize, payload: Payload) {
        self.handle(node, Input::PayloadWaiting(payload));
    }

    pub(crate) fn payload_everywhere(&mut self) {
        (0..self.nodes.len())
            .filter(|id| self.nodes[*id].core.is_some())
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|id| self.payload(id, Payload::Light));
    }

    fn post(&mut self, at: Instant, life: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), (life, event));
    }

    fn later(&mut self, node: usize, micros: u64, input: Input) {
        let life = self.nodes[node].life;
        let at = self.now + Duration::from_micros(micros);
        self.post(at, life, Event::Local { node, input: Box::new(input) });
    }

    /// Gives a node an input now.
    pub(crate) fn handle(&mut self, id: usize, input: Input) {
        let (now, unix) = (self.now, self.unix(id));
        let Some(core) = &mut self.nodes[id].core else { return };
        let outputs = core.handle(now, unix, input).unwrap_or_else(|e| panic!("node {} at {now:?}: {e}", id + 1));
        let wake = core.next_wake();
        self.nodes[id].handled += 1;
        if self.crash_at == Some((id, self.nodes[id].handled)) {
            // The outputs are lost with the node.
            self.crash_at = None;
            self.restart(id);
            return;
        }
        if let Some(at) = wake {
            let life = self.nodes[id].life;
            self.post(at.max(now), life, Event::Wake { node: id });
        }
        for output in outputs {
            self.nodes[id].outputs.push(output.clone());
            self.carry_out(id, output);
        }
        let carried_out = self.nodes[id].core.as_mut().map_or(Ok(()), Consensus::on_carried_out);
        carried_out.unwrap_or_else(|e| panic!("node {} at {now:?}: {e}", id + 1));
    }

    fn carry_out(&mut self, id: usize, output: Output) {
        match output {
            Output::Broadcast(message) => {
                (0..self.nodes.len()).filter(|to| *to != id).for_each(|to| self.send(id, to, message.clone()));
            }
            Output::Send { to, message } => {
                let to = (0..self.nodes.len()).find(|n| node_key(*n) == to).unwrap();
                self.send(id, to, message);
            }
            Output::Build { height, round, parent, time, parent_certificate, .. } => {
                if !self.nodes[id].withholds_blocks {
                    let block = self.build(id, height, round, parent, time, parent_certificate);
                    self.later(id, self.work_us.0, Input::Built { height, round, block });
                }
            }
            Output::Validate { block } => {
                let valid = (self.is_valid)(id, &block);
                self.later(id, self.work_us.1, Input::Validated { id: block.id(), valid });
            }
            Output::Commit { block, certificate } => self.commit(id, vec![(block, certificate)]),
            Output::Behind { .. } => self.sync(id),
            Output::Wanted { .. }
            | Output::DoubleSign(_)
            | Output::Invalid { .. }
            | Output::BlockTooEarly { .. }
            | Output::QuorumLost { .. }
            | Output::QuorumBack
            | Output::SigningChanged { .. } => {}
        }
    }

    pub(crate) fn build(
        &mut self,
        id: usize,
        height: Height,
        round: Round,
        parent: BlockId,
        time: UnixTime,
        parent_certificate: Option<CommitCertificate>,
    ) -> Arc<Block> {
        self.nonce += 1;
        // No two blocks of a run are the same, so building twice for one round would be seen.
        let mut unique = [0; 32];
        unique[..8].copy_from_slice(&self.nonce.to_be_bytes());
        let header = Header {
            version: BLOCK_VERSION,
            chain_id: CHAIN,
            height,
            time,
            parent,
            proposer: consensus_key(self.nodes[id].signs_as).public(),
            first_round: round,
            tx_root: timed_primitives::merkle::root(&[]),
            state_commitment: Hash(unique),
            history_root: Hash::ZERO,
            masternode_root: Hash::ZERO,
            output_root: Hash::ZERO,
            validators_hash: self.set_of(height.0).hash(),
            next_validators_hash: self.set_of(height.0 + 1).hash(),
            parent_certificate_hash: parent_certificate.as_ref().map_or(Hash::ZERO, |c| c.hash()),
            evidence_root: Hash::ZERO,
            parameters_hash: Hash::ZERO,
        };
        Arc::new(Block { header, parent_certificate, payload: Default::default() })
    }

    fn commit(&mut self, id: usize, blocks: Vec<(Arc<Block>, CommitCertificate)>) {
        let tip = self.nodes[id].chain.len() as u64;
        let blocks: Vec<_> = blocks.into_iter().filter(|(b, _)| b.height().0 > tip).collect();
        let Some((_, certificate)) = blocks.last().cloned() else { return };
        for (block, certificate) in &blocks {
            let height = block.height();
            assert_eq!(certificate.block, block.id());
            assert_eq!(height.0, self.nodes[id].chain.len() as u64 + 1, "node {} commits out of order", id + 1);
            verify_certificate(CHAIN, certificate, &self.set_of(height.0)).unwrap();
            let first = *self.decided.entry(height).or_insert(block.id());
            assert_eq!(first, block.id(), "two blocks at height {height}");
            self.nodes[id].chain.push((block.clone(), certificate.clone()));
        }
        let tip = certificate.height;
        let [decided_by, validators, next_validators] = [0, 1, 2].map(|above| self.set_of(tip.0 + above));
        let blocks = blocks.into_iter().map(|(b, _)| b).collect();
        let committed = CommittedBlocks { blocks, certificate, decided_by, validators, next_validators };
        for to in 0..self.nodes.len() {
            if self.reports_heights && to != id && !self.is_cut(id, to) {
                let delay = 500 + self.random(self.delay_us.1);
                self.later(to, delay, Input::PeerHeight { peer: node_key(id), height: tip });
            }
        }
        if self.steady_payload != Payload::Nothing {
            self.later(id, 500, Input::PayloadWaiting(Payload::Nothing));
            self.later(id, 2_000, Input::PayloadWaiting(self.steady_payload));
        }
        self.later(id, 500, Input::Committed(committed));
    }

    /// Block sync: all that a connected node has.
    pub(crate) fn sync(&mut self, id: usize) {
        let tip = self.nodes[id].chain.len();
        let reachable = (0..self.nodes.len()).filter(|o| self.nodes[*o].core.is_some() && !self.is_cut(id, *o));
        let Some(best) = reachable.max_by_key(|o| self.nodes[*o].chain.len()) else { return };
        let blocks = self.nodes[best].chain.get(tip..).unwrap_or_default().to_vec();
        self.commit(id, blocks);
    }

    fn send(&mut self, from: usize, to: usize, message: Gossip) {
        self.check_signature(from, &message);
        if self.nodes[to].core.is_none() || self.is_cut(from, to) || (self.filter)(from, to, &message) {
            return;
        }
        *self.delivered.entry(kind(&message)).or_default() += 1;
        let (low, high) = self.delay_us;
        let delay = low + self.random(high - low + 1) + (self.held_back)(from, to, &message);
        let (at, life) = (self.now + Duration::from_micros(delay), self.nodes[to].life);
        self.post(at, life, Event::Deliver { from, to, message });
    }

    /// No key signs two statements for one place, whoever passes them on.
    fn check_signature(&mut self, from: usize, message: &Gossip) {
        let (place, value) = match message {
            Gossip::Vote(v) => {
                assert!(v.is_signed(CHAIN));
                let kind = if v.kind == VoteKind::Prevote { 1 } else { 2 };
                ((v.validator, v.height, v.round, kind), (v.block, None))
            }
            Gossip::Proposal(p) => {
                assert!(p.is_signed(CHAIN));
                ((p.proposer, p.height, p.round, 0), (Some(p.block), p.valid_round))
            }
            _ => return,
        };
        let first = *self.signed.entry(place).or_insert(value);
        if let Some(contradictions) = self.contradictions.as_mut().filter(|_| first != value) {
            contradictions.insert(place.1);
            return;
        }
        assert_eq!(
            first,
            value,
            "a key signed twice at {place:?}, sent by node {}, {:#?}",
            from + 1,
            self.status(from)
        );
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done`, at most `duration`; true when done.
    pub(crate) fn run_until(&mut self, duration: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + duration;
        while !done(self) {
            if !self.step(end) {
                return false;
            }
        }
        true
    }

    fn step(&mut self, end: Instant) -> bool {
        let Some((&(at, _), _)) = self.events.first_key_value().filter(|(key, _)| key.0 <= end) else { return false };
        self.now = self.now.max(at);
        let Some((_, (life, event))) = self.events.pop_first() else { return false };
        match event {
            Event::Deliver { from, to, message } if self.nodes[to].life == life && !self.is_cut(from, to) => {
                self.handle(to, Input::Gossip { from: node_key(from), message });
            }
            Event::Local { node, input } if self.nodes[node].life == life => self.handle(node, *input),
            Event::Wake { node } if self.nodes[node].life == life => {
                let is_due =
                    self.nodes[node].core.as_ref().and_then(|c| c.next_wake()).is_some_and(|at| at <= self.now);
                if is_due {
                    self.handle(node, Input::Wake);
                }
            }
            _ => {}
        }
        true
    }

    pub(crate) fn height(&self, id: usize) -> u64 {
        self.nodes[id].chain.len() as u64
    }

    /// The lowest height among running nodes.
    pub(crate) fn lowest(&self) -> u64 {
        let running = (0..self.nodes.len()).filter(|id| self.nodes[*id].core.is_some());
        running.map(|id| self.height(id)).min().unwrap_or(0)
    }

    pub(crate) fn status(&self, id: usize) -> timed_consensus::ConsensusStatus {
        self.nodes[id].core.as_ref().unwrap().status()
    }

    /// Rounds in which the heights of a node's chain were decided.
    pub(crate) fn rounds(&self, id: usize) -> Vec<u32> {
        self.nodes[id].chain.iter().map(|(_, c)| c.round.0).collect()
    }

    /// Everything that validator `id` signed: (height, round, kind).
    pub(crate) fn signed_by(&self, id: usize) -> Vec<(u64, u32, u8)> {
        let key = consensus_key(id).public();
        self.signed.keys().filter(|k| k.0 == key).map(|k| (k.1.0, k.2.0, k.3)).collect()
    }
}

fn kind(message: &Gossip) -> &'static str {
    match message {
        Gossip::Vote(_) => "vote",
        Gossip::Proposal(_) => "proposal",
        Gossip::Polka(_) => "polka",
        Gossip::RoundCertificate(_) => "round certificate",
        Gossip::KnownVotes(_) => "known votes",
        Gossip::Block(_) => "block",
        Gossip::GetBlock { .. } => "get block",
        Gossip::KeyReport(_) => "key report",
    }
}
