//! Validators that lie: the real node's code, and between its messages and their encryption somebody who has its keys and changes,
//! withholds, repeats or invents what is said.
//!
//! A Byzantine validator's own files stay honest, so it comes back after a crash like everybody else; only its words cannot be relied on.

mod blocks;
mod stream;

pub(crate) use stream::LyingStream;

use blocks::{changed_block, false_names};
use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, RngExt as _};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use timed_primitives::{
    Block, BlockId, ChainId, CommitCertificate, CommitSignature, Hash, PayloadFormat, PolkaCertificate, Proposal,
    PublicKey, RoundCertificate, RoundSignature, SecretKey, Signature, Vote, VoteKind, decode, encode,
};
use timed_wire::{BlockSyncMessage, ConsensusMessage, ControlMessage, Encoded, FrameCodec, MempoolMessage, Message};
use tokio_util::codec::Encoder as _;

crate::kinds::kinds! {
    /// A kind of lie.
    Lie;
    /// Some peers get another vote than the others.
    TwoVotes = "two votes",
    /// Some peers get another block of its own than the others, as good as the first.
    TwoBlocks = "two blocks",
    /// Some peers do not get blocks that it proposes.
    WithheldBlock = "withheld block",
    /// Its blocks break a rule.
    InvalidBlock = "invalid block",
    /// It votes for nothing.
    NilVotes = "nil votes",
    /// Some peers hear none of its votes and proposals.
    Silence = "silence",
    /// What was said before is said again.
    Replay = "replay",
    /// Certificates with signatures that nobody made, or too few.
    ForgedCertificate = "forged certificate",
    /// Bytes that are no message.
    Garbage = "garbage",
    /// Lengths that nobody accepts.
    Oversized = "oversized",
    /// Who syncs gets other blocks or certificates than it asked for.
    WrongSync = "wrong sync",
    /// Who syncs gets the beginning of an answer.
    EndlessSync = "endless sync",
    /// Heights that do not exist.
    FalseHeight = "false height",
    /// It says to have what it has not, and lacks what it has.
    FalseVoteSetBits = "false holdings",
    /// Transactions, ids and addresses that nobody made.
    Spam = "spam",
    /// Compact blocks of its own that name what nobody has, or are none.
    FalseNames = "false names",
}

/// Most blocks of its own for which another was made; the oldest is forgotten.
const CHANGED_MAX: usize = 64;
/// Most messages kept to be said again; the oldest is forgotten.
const HEARD_MAX: usize = 256;
/// Most bytes that spam adds to one message.
const SPAM_BYTES_MAX: usize = 4096;

/// Which lies it sends, and how often out of a thousand times.
pub type Lies = BTreeMap<Lie, u32>;

/// One that lies. It survives the lives of its node.
pub(crate) struct ByzantineValidator {
    key: SecretKey,
    chain: ChainId,
    format: PayloadFormat,
    rng: StdRng,
    lies: Lies,
    /// Who hears one thing, and who another.
    fooled: BTreeMap<PublicKey, bool>,
    /// Its own blocks by id, and what some get instead.
    changed: VecDeque<(BlockId, Block)>,
    heard: VecDeque<Message>,
    counts: BTreeMap<&'static str, u64>,
}

/// The Byzantine validator, for its connections.
#[derive(Clone)]
pub(crate) struct SharedByzantine(Arc<Mutex<ByzantineValidator>>);

impl SharedByzantine {
    /// A validator with this key that sends these lies.
    pub(crate) fn new(key: SecretKey, chain: ChainId, format: PayloadFormat, lies: Lies, rng: StdRng) -> Self {
        Self(Arc::new(Mutex::new(ByzantineValidator {
            key,
            chain,
            format,
            fooled: BTreeMap::new(),
            rng,
            lies,
            changed: VecDeque::new(),
            heard: VecDeque::new(),
            counts: BTreeMap::new(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ByzantineValidator> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often each lie was sent.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.lock().counts.clone()
    }
}

impl ByzantineValidator {
    /// Whether to lie so this time.
    fn will(&mut self, lie: Lie) -> bool {
        let often = self.lies.get(&lie).copied().unwrap_or(0);
        often > 0 && self.rng.random_range(0..1000) < often
    }

    fn note(&mut self, lie: Lie) {
        *self.counts.entry(lie.name()).or_default() += 1;
    }

    fn does(&mut self, lie: Lie) -> bool {
        let will = self.will(lie);
        if will {
            self.note(lie);
        }
        will
    }

    fn is_fooled(&mut self, peer: &PublicKey) -> bool {
        *self.fooled.entry(*peer).or_insert_with(|| self.rng.random_bool(0.6))
    }

    /// What a peer gets in place of a message, as it travels.
    pub(crate) fn say(&mut self, to: &PublicKey, message: Message, out: &mut BytesMut) {
        let said = match message {
            Message::Consensus(message) => {
                let heard = Message::Consensus(message.clone());
                let said = self.say_consensus(to, message);
                self.remember(heard);
                said
            }
            Message::BlockSync(message) => self.say_sync(message).map(Message::BlockSync).into_iter().collect(),
            other => vec![other],
        };
        let extra = self.invent();
        said.iter().chain(&extra).for_each(|message| put(message, out));
        self.spoil(out);
    }

    fn remember(&mut self, message: Message) {
        if self.lies.contains_key(&Lie::Replay) {
            self.heard.push_back(message);
            if self.heard.len() > HEARD_MAX {
                self.heard.pop_front();
            }
        }
    }

    fn say_consensus(&mut self, to: &PublicKey, message: ConsensusMessage) -> Vec<Message> {
        let me = self.key.public();
        let said = match &message {
            ConsensusMessage::Vote(bytes) => match decode::<Vote>(bytes) {
                Ok(vote) if vote.validator == me => return self.say_vote(to, vote),
                _ => vec![message],
            },
            ConsensusMessage::Proposal(bytes) => match decode::<Proposal>(bytes) {
                Ok(proposal) if proposal.proposer == me => return self.say_proposal(to, proposal),
                _ => vec![message],
            },
            ConsensusMessage::Block(bytes) => match decode::<Block>(bytes) {
                Ok(block) if block.header.proposer == me => return self.say_block(to, block),
                _ => vec![message],
            },
            ConsensusMessage::Polka(bytes) if self.does(Lie::ForgedCertificate) => {
                let forged = decode::<PolkaCertificate>(bytes).map(|polka| self.forge_polka(polka));
                forged.map_or_else(|_| vec![message], |forged| vec![ConsensusMessage::Polka(opaque(&forged))])
            }
            ConsensusMessage::VoteSetBits(bits) if self.does(Lie::FalseVoteSetBits) => {
                let mut bits = bits.clone();
                for byte in bits.prevotes.iter_mut().chain(&mut bits.precommits) {
                    *byte = self.rng.random();
                }
                (bits.has_proposal, bits.has_block) = (self.rng.random(), self.rng.random());
                vec![ConsensusMessage::VoteSetBits(bits)]
            }
            _ => vec![message],
        };
        said.into_iter().map(Message::Consensus).collect()
    }

    fn say_vote(&mut self, to: &PublicKey, mut vote: Vote) -> Vec<Message> {
        if self.is_fooled(to) && self.does(Lie::Silence) {
            return Vec::new();
        }
        if vote.block.is_some() && self.does(Lie::NilVotes) {
            vote.block = None;
        }
        if self.is_fooled(to) && self.does(Lie::TwoVotes) {
            let other = self.changed.back().filter(|(_, block)| block.height() == vote.height).map(|(_, b)| b.id());
            vote.block = match vote.block {
                Some(_) => other,
                None => Some(other.unwrap_or(BlockId(Hash(self.rng.random())))),
            };
        }
        vote.signature = self.key.sign(&vote.signing_bytes(self.chain));
        let mut said = vec![ConsensusMessage::Vote(opaque(&vote))];
        if self.does(Lie::ForgedCertificate) {
            said.push(self.forge_round_certificate(&vote));
        }
        said.into_iter().map(Message::Consensus).collect()
    }

    /// Whether some get another block than it made, or none.
    fn trifles_with_blocks(&self) -> bool {
        [Lie::TwoBlocks, Lie::InvalidBlock, Lie::WithheldBlock].iter().any(|lie| self.lies.contains_key(lie))
    }

    fn say_proposal(&mut self, to: &PublicKey, proposal: Proposal) -> Vec<Message> {
        if self.is_fooled(to) && self.does(Lie::Silence) {
            return Vec::new();
        }
        // The one of the other block is sent with it.
        let is_other = self.trifles_with_blocks() && self.is_fooled(to) && proposal.valid_round.is_none();
        if is_other { Vec::new() } else { vec![Message::Consensus(ConsensusMessage::Proposal(opaque(&proposal)))] }
    }

    /// Whoever gets another block gets the proposal of that one first.
    fn say_block(&mut self, to: &PublicKey, block: Block) -> Vec<Message> {
        if self.does(Lie::FalseNames) {
            let (count, misplaced) = (self.rng.random_range(0..300), self.rng.random_range(0..4) == 0);
            let names: Vec<[u8; 6]> = (0..count).map(|_| self.rng.random()).collect();
            let bytes = false_names(&block, &names, misplaced).into();
            return vec![Message::Consensus(ConsensusMessage::CompactBlock(bytes))];
        }
        if !(self.trifles_with_blocks() && self.is_fooled(to)) {
            return vec![Message::Consensus(ConsensusMessage::Block(opaque(&block)))];
        }
        let is_withheld = self.does(Lie::WithheldBlock);
        let other = self.other_block(block);
        let header = &other.header;
        let mut proposal = Proposal {
            height: header.height,
            round: header.first_round,
            block: other.id(),
            valid_round: None,
            proposer: header.proposer,
            signature: Signature([0; 64]),
        };
        proposal.signature = self.key.sign(&proposal.signing_bytes(self.chain));
        let proposal = ConsensusMessage::Proposal(opaque(&proposal));
        let block = (!is_withheld).then(|| ConsensusMessage::Block(opaque(&other)));
        [proposal].into_iter().chain(block).map(Message::Consensus).collect()
    }

    /// The same other block for the same block.
    fn other_block(&mut self, block: Block) -> Block {
        let id = block.id();
        if let Some((_, other)) = self.changed.iter().find(|(of, _)| *of == id) {
            return other.clone();
        }
        let is_invalid = self.does(Lie::InvalidBlock);
        let other = if is_invalid || self.does(Lie::TwoBlocks) {
            changed_block(block, is_invalid, self.format, &mut self.rng)
        } else {
            block
        };
        self.changed.push_back((id, other.clone()));
        if self.changed.len() > CHANGED_MAX {
            self.changed.pop_front();
        }
        other
    }

    fn say_sync(&mut self, message: BlockSyncMessage) -> Option<BlockSyncMessage> {
        Some(match message {
            BlockSyncMessage::Status { height, earliest } if self.does(Lie::FalseHeight) => {
                let height = [0, height + 1, height + 1_000, u64::MAX].choose(&mut self.rng).copied().unwrap_or(height);
                BlockSyncMessage::Status { height, earliest }
            }
            BlockSyncMessage::Decided { request, height, certificate, block } if self.does(Lie::WrongSync) => {
                self.wrong_answer(request, height, certificate, block)
            }
            BlockSyncMessage::Decided { .. } | BlockSyncMessage::End { .. } if self.does(Lie::EndlessSync) => {
                return None;
            }
            other => other,
        })
    }

    fn wrong_answer(&mut self, request: u64, height: u64, certificate: Bytes, block: Bytes) -> BlockSyncMessage {
        let (mut certificate, mut block, mut height, mut request) = (certificate, block, height, request);
        match self.rng.random_range(0..5) {
            0 => height += 1,
            1 => request ^= 1,
            2 => {
                if let Ok(found) = decode::<Block>(&block) {
                    block = opaque(&changed_block(found, true, self.format, &mut self.rng));
                }
            }
            3 => {
                if let Ok(mut found) = decode::<CommitCertificate>(&certificate) {
                    self.spoil_signatures(&mut found.signatures);
                    certificate = opaque(&found);
                }
            }
            _ => {
                if let (Ok(found), Ok(mut signed)) =
                    (decode::<Block>(&block), decode::<CommitCertificate>(&certificate))
                {
                    let other = changed_block(found, false, self.format, &mut self.rng);
                    signed.block = other.id();
                    (block, certificate) = (opaque(&other), opaque(&signed));
                }
            }
        }
        BlockSyncMessage::Decided { request, height, certificate, block }
    }

    fn spoil_signatures(&mut self, signatures: &mut Vec<CommitSignature>) {
        if self.rng.random() {
            signatures.truncate(signatures.len() / 2);
        } else if let Some(one) = signatures.last_mut() {
            one.signature.0[0] ^= 1;
        }
    }

    fn forge_polka(&mut self, mut polka: PolkaCertificate) -> PolkaCertificate {
        self.spoil_signatures(&mut polka.signatures);
        polka
    }

    /// A proof that a round is over which its own vote alone does not give.
    fn forge_round_certificate(&mut self, vote: &Vote) -> ConsensusMessage {
        let signature =
            |kind| RoundSignature { kind, block: vote.block, validator: vote.validator, signature: vote.signature };
        let forged = RoundCertificate {
            height: vote.height,
            round: vote.round,
            is_precommit: self.rng.random(),
            signatures: vec![signature(VoteKind::Prevote), signature(VoteKind::Precommit)],
        };
        ConsensusMessage::RoundCertificate(opaque(&forged))
    }

    /// What nobody asked for.
    fn invent(&mut self) -> Vec<Message> {
        let mut said = Vec::new();
        if !self.heard.is_empty() && self.does(Lie::Replay) {
            let index = self.rng.random_range(0..self.heard.len());
            said.extend(self.heard.get(index).cloned());
        }
        if self.does(Lie::Spam) {
            let ids = (0..self.rng.random_range(1..=64)).map(|_| self.rng.random()).collect();
            let bytes = self.random_bytes(SPAM_BYTES_MAX);
            said.push(match self.rng.random_range(0..6) {
                0 => Message::Mempool(MempoolMessage::Announce { ids }),
                1 => Message::Mempool(MempoolMessage::Request { ids }),
                2 => Message::Mempool(MempoolMessage::Transactions { transactions: vec![bytes.into()] }),
                3 => Message::Control(ControlMessage::Addr { records: vec![self.random_bytes(256).into()] }),
                4 => Message::Control(ControlMessage::GetAddr),
                _ => Message::Control(ControlMessage::Ping { nonce: self.rng.random() }),
            });
        }
        said
    }

    fn random_bytes(&mut self, max: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.rng.random_range(0..=max)];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// Ends the connection, if the other side is as strict as it should be: so it is rare.
    fn spoil(&mut self, out: &mut BytesMut) {
        const RARE: u32 = 300;
        if self.lies.contains_key(&Lie::Garbage) && self.rng.random_range(0..RARE) == 0 {
            self.note(Lie::Garbage);
            out.extend(self.random_bytes(SPAM_BYTES_MAX));
        }
        if self.lies.contains_key(&Lie::Oversized) && self.rng.random_range(0..RARE) == 0 {
            self.note(Lie::Oversized);
            let length: u32 = self.rng.random_range(1 << 17..=u32::MAX);
            out.extend(length.to_be_bytes());
            out.extend([self.rng.random::<u8>()]);
        }
    }
}

fn opaque<T: borsh::BorshSerialize>(value: &T) -> Bytes {
    encode(value).into()
}

/// What is too large to be said at all stays unsaid.
fn put(message: &Message, out: &mut BytesMut) {
    if let Ok(encoded) = Encoded::new(message) {
        // Writing into memory does not fail.
        let _ = FrameCodec::new().encode(&encoded, out);
    }
}
