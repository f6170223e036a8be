//! What goes into the core and what comes out: the whole surface for the shell.

use crate::block_size::LIGHT_BYTES;
use crate::key_use::KeyReport;
use core::net::SocketAddr;
use std::sync::Arc;
use timed_primitives::{
    Block, BlockId, CommitCertificate, DoubleSign, Height, PolkaCertificate, Proposal, PublicKey, Round,
    RoundCertificate, UnixTime, ValidatorSet, Vote,
};

/// Blocks that became part of the chain, by our own decision or by sync.
#[derive(Clone, Debug)]
pub struct CommittedBlocks {
    /// In ascending order without a gap, the first at our tip + 1. Those at or below the tip are ignored.
    pub blocks: Vec<Arc<Block>>,
    /// Of the last one.
    pub certificate: CommitCertificate,
    /// Validators that decided the last one.
    pub decided_by: ValidatorSet,
    /// Validators that decide the height after it.
    pub validators: ValidatorSet,
    /// Validators that decide the height after that.
    pub next_validators: ValidatorSet,
}

/// What is held for one height and round: bitmaps over the sorted validators, lowest bit of the first byte first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownVotes {
    /// The height being decided.
    pub height: Height,
    /// The sender's round.
    pub round: Round,
    /// Whether it holds the round's proposal.
    pub has_proposal: bool,
    /// Whether it holds the block that the proposal names.
    pub has_block: bool,
    /// Prevotes held.
    pub prevotes: Vec<u8>,
    /// Precommits held.
    pub precommits: Vec<u8>,
}

/// A message between the consensus cores of two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gossip {
    /// A vote.
    Vote(Vote),
    /// A proposal; its block travels apart.
    Proposal(Proposal),
    /// A quorum of prevotes.
    Polka(PolkaCertificate),
    /// Why a round may be entered.
    RoundCertificate(RoundCertificate),
    /// What the sender holds.
    KnownVotes(KnownVotes),
    /// A block under decision.
    Block(Arc<Block>),
    /// Asks for a block under decision, or the one just decided.
    GetBlock {
        /// Its height.
        height: Height,
        /// Its id.
        id: BlockId,
    },
    /// Answers who proved a consensus key: our tip, and who else has that key.
    KeyReport(KeyReport),
}

impl Gossip {
    /// The height of which it speaks: once that is decided it is worth little. `None` for what keeps its worth.
    pub fn height(&self) -> Option<Height> {
        match self {
            Self::Vote(vote) => Some(vote.height),
            Self::Proposal(proposal) => Some(proposal.height),
            Self::Polka(polka) => Some(polka.height),
            Self::RoundCertificate(certificate) => Some(certificate.height),
            Self::KnownVotes(known) => Some(known.height),
            Self::Block(block) => Some(block.height()),
            Self::GetBlock { height, .. } => Some(*height),
            Self::KeyReport(_) => None,
        }
    }
}

/// What the core takes. `peer` and `from` are node keys; validators are named by consensus keys.
#[derive(Clone, Debug)]
pub enum Input {
    /// Once, after open: begin.
    Start,
    /// The time given by [`crate::Consensus::next_wake`] has come.
    Wake,
    /// A message from a peer.
    Gossip {
        /// Who sent it, not necessarily who signed it.
        from: PublicKey,
        /// The message.
        message: Gossip,
    },
    /// A block of a peer that was put together here, and compared with its header: payload and parent certificate are those.
    RebuiltBlock(Arc<Block>),
    /// A connection is up; before anything else of that peer.
    PeerUp {
        /// Its node key.
        peer: PublicKey,
        /// Its consensus key, when it proved one.
        validator: Option<PublicKey>,
        /// Its instance id: another after each of its starts.
        instance: u128,
        /// The IP that it comes from, with the port that it announced.
        address: Option<SocketAddr>,
    },
    /// A connection ended.
    PeerDown {
        /// Its node key.
        peer: PublicKey,
        /// Whether the node is surely gone: it said that it stops, or was silent for longer than a peer's deadline.
        is_gone: bool,
    },
    /// A peer's tip: on connecting, and whenever it is heard of.
    PeerHeight {
        /// Its node key.
        peer: PublicKey,
        /// Height of its tip.
        height: Height,
    },
    /// What a block built now would hold. Reported on change.
    PayloadWaiting(Payload),
    /// The answer to [`Output::Build`]. No answer costs the round.
    Built {
        /// As asked.
        height: Height,
        /// As asked.
        round: Round,
        /// The block.
        block: Arc<Block>,
    },
    /// The answer to [`Output::Validate`].
    Validated {
        /// The block's id.
        id: BlockId,
        /// Whether the chain alone says it is valid.
        valid: bool,
    },
    /// The chain grew.
    Committed(CommittedBlocks),
    /// How far the other validators' clocks are from ours, as measured with pings. Sent on change.
    NetworkTime {
        /// Their median by power, when a quorum was measured. Unit: milliseconds, negative when our clock is ahead.
        offset_ms: Option<i64>,
    },
}

/// How much waits for a block, as far as it matters to a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: an idle height waits.
    #[default]
    Nothing,
    /// A block that costs what any round costs.
    Light,
    /// A block whose size costs time: more than [`LIGHT_BYTES`].
    Heavy,
}

impl Payload {
    /// Of so many bytes that wait.
    pub const fn of(bytes: u64) -> Self {
        match bytes {
            0 => Self::Nothing,
            1..=LIGHT_BYTES => Self::Light,
            _ => Self::Heavy,
        }
    }
}

impl Input {
    /// Whether the connected voting power may be another afterwards.
    pub(crate) const fn may_change_quorum(&self) -> bool {
        match self {
            Self::Start | Self::Wake | Self::PeerUp { .. } | Self::PeerDown { .. } | Self::Committed(_) => true,
            Self::Gossip { .. }
            | Self::RebuiltBlock(_)
            | Self::PeerHeight { .. }
            | Self::PayloadWaiting(_)
            | Self::Built { .. }
            | Self::Validated { .. }
            | Self::NetworkTime { .. } => false,
        }
    }
}

/// Why a message was refused whose direct sender should have known better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GossipOffence {
    /// A signature that is not by its alleged signer.
    BadSignature,
    /// A certificate that proves nothing.
    BadCertificate,
    /// A block whose body is not what its header says.
    BadBlock,
}

/// What the shell must do now. Everything that had to be durable before is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send to all peers.
    Broadcast(Gossip),
    /// Send to one peer.
    Send {
        /// Its node key.
        to: PublicKey,
        /// The message.
        message: Gossip,
    },
    /// Build a block and answer with [`Input::Built`], soon: others wait for it.
    Build {
        /// For this height.
        height: Height,
        /// In this round: the header's `first_round`.
        round: Round,
        /// On this parent.
        parent: BlockId,
        /// With this time.
        time: UnixTime,
        /// With this certificate of the parent; `None` at height 1.
        parent_certificate: Option<CommitCertificate>,
        /// With what of these precommits for earlier blocks the chain does not hold yet, the oldest first.
        late_precommits: Vec<CommitCertificate>,
        /// With transactions of so many bytes at most; never below one transaction of the largest size.
        bytes_max: u64,
    },
    /// Validate a block from the chain alone and answer with [`Input::Validated`]. Its parent is the tip.
    Validate {
        /// The block.
        block: Arc<Block>,
    },
    /// Make the block part of the chain, durably, and answer with [`Input::Committed`]. Once per height.
    Commit {
        /// The decided block.
        block: Arc<Block>,
        /// Why it is final.
        certificate: CommitCertificate,
    },
    /// A block under decision is missing: whoever finds it gives it back as [`Gossip::Block`]. Repeated while it is.
    Wanted {
        /// Its height.
        height: Height,
        /// Its id.
        id: BlockId,
    },
    /// Others have decided up to `height`: sync should lead.
    Behind {
        /// Height that is decided elsewhere.
        height: Height,
    },
    /// A validator contradicted itself.
    DoubleSign(DoubleSign),
    /// A peer sent what no honest node sends.
    Invalid {
        /// Its node key.
        from: PublicKey,
        /// What it was.
        offence: GossipOffence,
    },
    /// A proposed block is refused because its time is too far ahead of our clock, in words for the operator. Once a minute at most.
    BlockTooEarly {
        /// Which, whose, and by how much.
        line: String,
    },
    /// The connected validators have been no quorum for a second, in words for the operator. Again when the words change.
    QuorumLost {
        /// E.g. `no quorum: 2 of 3 voting power, need 3; missing node 3`.
        line: String,
    },
    /// They are again.
    QuorumBack,
    /// Signing was switched on or off, in words for the operator.
    SigningChanged {
        /// What and why.
        line: String,
        /// Whether the operator should look: it is off, and that is not what the chain says of the key.
        is_warning: bool,
    },
}
