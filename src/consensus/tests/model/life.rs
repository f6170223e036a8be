//! One life of a validator: the real core over a logged disk, from its start to a loss of power.

use crate::Plant;
use crate::disk::{Image, LoggedDisk, Operation, Surface};
use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use timed_consensus::guard::GUARD_FILE;
use timed_consensus::inspect::read_guard;
use timed_consensus::statement::Statement;
use timed_consensus::{
    ChainStart, CommittedBlocks, Consensus, CoreConfig, Gossip, Input, KeyReport, LeaderRecord, Output, Payload,
    TimeoutDefaults,
};
use timed_primitives::block::BLOCK_VERSION;
use timed_primitives::{
    Block, BlockId, ChainId, CommitCertificate, Hash, Header, Height, Instant, PayloadFormat, PublicKey, Round,
    SecretKey, Tip, UnixTime, Validator, ValidatorSet,
};

pub(crate) const VALIDATORS: usize = 4;
const CHAIN: ChainId = ChainId(78);
const GENESIS_TIME: UnixTime = UnixTime(1_700_000_000_000);
/// All clocks agree and stand still: a block's time is one millisecond after its parent's, or this.
const NOW: UnixTime = UnixTime(GENESIS_TIME.0 + 86_400_000);
/// Wake-ups within which a time-out that is pending has come; one in each second is that of vote-set gossip.
const WAKES_MAX: usize = 8;

/// A decided block, and why it is final.
pub(crate) type Link = (Arc<Block>, CommitCertificate);

/// Keys of each validator: deriving them costs as much as checking a signature.
struct Keys {
    consensus: SecretKey,
    public: PublicKey,
    node: PublicKey,
}

static KEYS: LazyLock<[Keys; VALIDATORS]> = LazyLock::new(|| {
    std::array::from_fn(|who| {
        let key = |domain| SecretKey::development(domain, who as u64 + 1);
        let consensus = key("consensus");
        Keys { public: consensus.public(), consensus, node: key("node").public() }
    })
});

/// Consensus key of a validator.
pub(crate) fn key(who: usize) -> PublicKey {
    KEYS[who].public
}

/// Whose consensus key it is.
pub(crate) fn owner(key: PublicKey) -> usize {
    KEYS.iter().position(|keys| keys.public == key).unwrap()
}

/// What a validator does, in order. A loss of power may come between any two.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Disk(Operation),
    Publish(Statement),
    Commit(Link),
}

/// How a life begins.
#[derive(Clone)]
pub(crate) struct Birth {
    pub(crate) who: usize,
    /// Lives before this one.
    pub(crate) lives: u8,
    pub(crate) image: Arc<Image>,
    pub(crate) chain: Vec<Link>,
    /// Heights that the other validators report when they connect.
    pub(crate) reported: [u64; VALIDATORS],
}

/// See the module.
pub(crate) struct Life {
    who: usize,
    lives: u8,
    core: Consensus,
    disk: LoggedDisk,
    now: Instant,
    plant: Plant,
    pub(crate) surface: Surface,
    pub(crate) chain: Vec<Link>,
    /// Every block this life built or was given.
    pub(crate) built: Vec<Arc<Block>>,
    /// Why the core stopped, if it did.
    pub(crate) fatal: Option<String>,
}

impl Life {
    /// Opens what is on the disk, hears what the others report, and listens for as long as the core wants to.
    pub(crate) fn begin(birth: &Birth, plant: Plant) -> (Self, Vec<Event>) {
        let Birth { who, lives, image, chain, reported } = birth;
        #[cfg(feature = "planted")]
        let _planted = plant.sow();
        let mut image = (**image).clone();
        if plant == Plant::NoGuard {
            image.remove(GUARD_FILE);
        }
        let disk = LoggedDisk::new(image.clone());
        let tip = chain.last().map_or(
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
        let recent = chain.iter().map(|(b, _)| LeaderRecord::of(b)).collect();
        let start = ChainStart {
            tip,
            validators: validators(),
            next_validators: validators(),
            tip_validators: validators(),
            recent,
        };
        let core = Consensus::open(config(*who), &disk, start).unwrap();
        let is_journal_lying = plant == Plant::NoJournalSync;
        let surface = Surface::new(image, is_journal_lying);
        let mut life = Self {
            who: *who,
            lives: *lives,
            core,
            disk,
            now: Instant::START,
            plant,
            surface,
            chain: chain.clone(),
            built: vec![],
            fatal: None,
        };
        let mut events = life.give(Input::PayloadWaiting(Payload::Light));
        events.extend(life.give(Input::Start));
        for other in (0..VALIDATORS).filter(|other| other != who) {
            let peer = KEYS[other].node;
            let instance = other as u128;
            events.extend(life.give(Input::PeerUp { peer, validator: Some(key(other)), instance, address: None }));
            let height = Height(reported[other]);
            events.extend(life.give(Input::PeerHeight { peer, height }));
            let report = KeyReport { height, other: None };
            events.extend(life.give(Input::Gossip { from: peer, message: Gossip::KeyReport(report) }));
        }
        events.extend(life.wake());
        (life, events)
    }

    /// What the guard holds, synced or not.
    pub(crate) fn guard(&self) -> Option<String> {
        read_guard(&self.disk).unwrap()[0].map(|record| format!("{record:?}"))
    }

    pub(crate) fn status(&self) -> timed_consensus::ConsensusStatus {
        self.core.status()
    }

    /// Hears a statement of another validator, and the block that a proposal names.
    pub(crate) fn hear(&mut self, from: usize, statement: &Statement, block: Option<Arc<Block>>) -> Vec<Event> {
        let message = match statement {
            Statement::Vote(vote) => Gossip::Vote(vote.clone()),
            Statement::Proposal(proposal) => Gossip::Proposal(proposal.clone()),
        };
        let from = KEYS[from].node;
        let mut events = self.give(Input::Gossip { from, message });
        let block = block.map(|block| self.give(Input::Gossip { from, message: Gossip::Block(block) }));
        events.extend(block.into_iter().flatten());
        events
    }

    /// Waits until a time-out moves the round or publishes something; `None` when none is pending.
    pub(crate) fn time_out(&mut self) -> Option<Vec<Event>> {
        let place = |core: &Consensus| (core.status().round, core.status().step);
        let before = place(&self.core);
        let mut events = Vec::new();
        for _ in 0..WAKES_MAX {
            events.extend(self.wake());
            if place(&self.core) != before || events.iter().any(|e| matches!(e, Event::Publish(_))) {
                return Some(events);
            }
        }
        None
    }

    fn wake(&mut self) -> Vec<Event> {
        self.now = self.core.next_wake().unwrap_or(self.now).max(self.now);
        self.give(Input::Wake)
    }

    /// Gives the core an input, and the answers of mempool and ledger to what it asks for.
    fn give(&mut self, input: Input) -> Vec<Event> {
        #[cfg(feature = "planted")]
        let _planted = self.plant.sow();
        let mut events = Vec::new();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            if self.fatal.is_some() {
                break;
            }
            let outputs = match self.core.handle(self.now, NOW, input) {
                Ok(outputs) => outputs,
                Err(fatal) => {
                    self.fatal = Some(fatal.to_string());
                    Vec::new()
                }
            };
            let disk: Vec<_> = self.disk.take_log().into_iter().map(Event::Disk).collect();
            let mut visible = Vec::new();
            for output in outputs {
                self.carry_out(output, &mut inputs, &mut visible);
            }
            match self.plant {
                Plant::PublishBeforeSync => events.extend(visible.into_iter().chain(disk)),
                _ => events.extend(disk.into_iter().chain(visible)),
            }
            if self.fatal.is_none() {
                self.fatal = self.core.on_carried_out().err().map(|fatal| fatal.to_string());
            }
            events.extend(self.disk.take_log().into_iter().map(Event::Disk));
        }
        events.iter().for_each(|event| {
            if let Event::Disk(operation) = event {
                self.surface.apply(operation);
            }
        });
        events
    }

    fn carry_out(&mut self, output: Output, inputs: &mut VecDeque<Input>, visible: &mut Vec<Event>) {
        match output {
            Output::Broadcast(Gossip::Vote(vote)) => visible.push(Event::Publish(Statement::Vote(vote))),
            Output::Broadcast(Gossip::Proposal(proposal)) => {
                visible.push(Event::Publish(Statement::Proposal(proposal)));
            }
            Output::Build { height, round, parent, time, parent_certificate, .. } => {
                let block = self.build(height, round, parent, time, parent_certificate);
                self.built.push(block.clone());
                inputs.push_back(Input::Built { height, round, block });
            }
            Output::Validate { block } => inputs.push_back(Input::Validated { id: block.id(), valid: true }),
            Output::Commit { block, certificate } => {
                self.chain.push((block.clone(), certificate.clone()));
                visible.push(Event::Commit((block.clone(), certificate.clone())));
                inputs.push_back(Input::Committed(CommittedBlocks {
                    blocks: vec![block],
                    certificate,
                    decided_by: validators(),
                    validators: validators(),
                    next_validators: validators(),
                }));
            }
            // Every published statement can be heard by everyone at any time, so nothing needs to be sent again.
            Output::Broadcast(_) | Output::Send { .. } | Output::Wanted { .. } | Output::Behind { .. } => {}
            Output::DoubleSign(_)
            | Output::Invalid { .. }
            | Output::BlockTooEarly { .. }
            | Output::QuorumLost { .. }
            | Output::QuorumBack
            | Output::SigningChanged { .. } => {}
        }
    }

    /// Each life builds another block for the same round: what was lost would be seen.
    fn build(
        &self,
        height: Height,
        first_round: Round,
        parent: BlockId,
        time: UnixTime,
        parent_certificate: Option<CommitCertificate>,
    ) -> Arc<Block> {
        let header = Header {
            version: BLOCK_VERSION,
            chain_id: CHAIN,
            height,
            time,
            parent,
            proposer: key(self.who),
            first_round,
            tx_root: timed_primitives::merkle::root(&[]),
            state_commitment: Hash([self.lives; 32]),
            history_root: Hash::ZERO,
            masternode_root: Hash::ZERO,
            output_root: Hash::ZERO,
            validators_hash: Hash::ZERO,
            next_validators_hash: Hash::ZERO,
            parent_certificate_hash: parent_certificate.as_ref().map_or(Hash::ZERO, |c| c.hash()),
            evidence_root: Hash::ZERO,
            parameters_hash: Hash::ZERO,
        };
        Arc::new(Block { header, parent_certificate, payload: Default::default() })
    }
}

fn config(who: usize) -> CoreConfig {
    let second = Duration::from_secs(1);
    let mut config = CoreConfig::new(CHAIN, Some(KEYS[who].consensus.clone()), PayloadFormat::EMPTY);
    config.journal_step_bytes = 4096;
    config.timeouts = TimeoutDefaults { propose: second, prevote: second / 2, precommit: second / 2 };
    config
}

fn validators() -> ValidatorSet {
    ValidatorSet::new((0..VALIDATORS).map(|who| Validator { key: key(who), power: 1 }).collect()).unwrap()
}
