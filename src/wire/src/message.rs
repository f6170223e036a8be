//! Every message that nodes exchange, nested by the component that answers it.
//!
//! To add one: a variant here with its doc (direction, bound, reply), its row in [`Kind`], a golden file, and the arm in the crate
//! that the compiler then asks for. Positions of fields and numbers of kinds never change; new ones are added at the end.

pub use crate::block_part::WireBlockPart;
pub use crate::key_report::{WireKeyReport, WireOtherSession};
use crate::names::{WireHash, WireKey};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Bytes in their canonical encoding, written by `timed_primitives::encode`.
pub type Opaque = Bytes;

/// A message, nested by channel, so that the peer routes five arms for ever.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Between the two ends of a connection.
    Control(ControlMessage),
    /// Votes, proposals and the blocks under decision.
    Consensus(ConsensusMessage),
    /// Transactions not yet decided.
    Mempool(MempoolMessage),
    /// Decided blocks.
    BlockSync(BlockSyncMessage),
    /// What an application of its own says.
    Application(ApplicationMessage),
}

/// Bytes of an application of its own, of whatever types it has. Dropped and counted where nobody listens. Bound: 64 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationMessage(pub Opaque);

/// Between the two ends of a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlMessage {
    /// First message of both sides; nothing else is accepted before it. Reply: the other side's.
    Hello(Box<Hello>),
    /// Asks for a pong with the same nonce.
    Ping {
        /// Random, unguessable for third parties.
        nonce: u64,
    },
    /// Answers a ping.
    Pong {
        /// The ping's.
        nonce: u64,
        /// The sender's clock; zero when it does not say. Unit: milliseconds since 1970.
        time_ms: u64,
    },
    /// Last message: why the sender closes (a code of `timed_peer::EndReason`). No reply.
    Goodbye {
        /// The reason's stable number.
        code: u8,
    },
    /// Asks for addresses of other nodes. Reply: `Addr`. At most one per session.
    GetAddr,
    /// Signed address records, canonical bytes each. Bound: 100 records of 256 bytes.
    Addr {
        /// The records.
        records: Vec<Opaque>,
    },
}

/// What each side says of itself when a connection begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of this protocol; 1 today.
    pub protocol: u16,
    /// Number of the chain.
    pub chain_id: u64,
    /// Hash of the chain's genesis.
    #[serde(with = "serde_bytes")]
    pub genesis: WireHash,
    /// Name and version of the software, for people. Bound: 64 bytes of printable ASCII.
    pub agent: String,
    /// One per start of a node: distinguishes ourselves and a restarted peer.
    pub instance: Uuid,
    /// Port on which the sender accepts connections; 0 when it does not.
    pub listen_port: u16,
    /// Address under which it wants to be known, when it differs from the observed one: `host:port`. Bound: 255 bytes.
    pub external: Option<String>,
    /// Height of its tip.
    pub height: u64,
    /// Its clock; zero when it does not say. Unit: milliseconds since 1970.
    pub time_ms: u64,
    /// Bits of what it can do; unknown bits are ignored.
    pub capabilities: u64,
    /// Its wish for the time between pings. Unit: milliseconds. Two validators use the smaller wish, others the larger, within bounds.
    pub ping_interval_ms: u32,
    /// Its consensus key with proof of possession, when it votes.
    pub validator: Option<ValidatorClaim>,
}

/// Proof that the sender holds a consensus key: a signature over domain, chain id, both node keys, role and the TLS exporter value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidatorClaim {
    /// The consensus key.
    #[serde(with = "serde_bytes")]
    pub key: WireKey,
    /// 64 bytes of signature.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

/// Votes, proposals and the blocks under decision. All bytes are canonical encodings of the types of `timed_primitives`.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsensusMessage {
    /// A `Vote`. Bound: 256 bytes.
    Vote(Opaque),
    /// A `Proposal`. Bound: 256 bytes.
    Proposal(Opaque),
    /// A `PolkaCertificate`. Bound: 64 KiB.
    Polka(Opaque),
    /// A `RoundCertificate`. Bound: 64 KiB.
    RoundCertificate(Opaque),
    /// What the sender holds of its current height and round. Reply: what it lacks.
    VoteSetBits(VoteSetBits),
    /// A `Block` under decision. Bound: 2 MiB, more than any valid block with its certificate.
    Block(Opaque),
    /// Asks for a block under decision by its id. Reply: `Block`, or nothing.
    GetBlock {
        /// Height the block is for.
        height: u64,
        /// Its id.
        id: WireHash,
    },
    /// Answers who proved a consensus key in its handshake: the sender's tip, and who else has that key. Again when it changes.
    KeyReport(WireKeyReport),
    /// A `CompactBlock`: a block under decision with short ids in place of transactions that the receiver is taken to hold. From its
    /// proposer, to peers that say in their handshake that they take it. Bound: 2 MiB.
    CompactBlock(Opaque),
    /// Asks the sender of a compact block for transactions of it. Reply: `BlockTransactions`, once for each block.
    GetBlockTransactions(WireBlockPart),
    /// Transactions of a compact block that were asked for, canonical bytes each, in the order in which they were. Bound: those of one block.
    BlockTransactions {
        /// Id of the block.
        id: WireHash,
        /// The transactions.
        transactions: Vec<Opaque>,
    },
}

/// Bitmap of votes, proposal and block held for one height and round. Bit i of byte i/8 (lowest first) is validator i of the sorted set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteSetBits {
    /// The height being decided.
    pub height: u64,
    /// The sender's round.
    pub round: u32,
    /// Whether it holds the round's proposal.
    pub has_proposal: bool,
    /// Whether it holds the block that the proposal names.
    pub has_block: bool,
    /// Prevotes held. Bound: 1,250 bytes (10,000 validators).
    #[serde(with = "serde_bytes")]
    pub prevotes: Vec<u8>,
    /// Precommits held. Same bound.
    #[serde(with = "serde_bytes")]
    pub precommits: Vec<u8>,
}

/// Transactions not yet decided.
#[derive(Clone, Debug, PartialEq)]
pub enum MempoolMessage {
    /// Full ids the sender holds and the receiver may ask for. Bound: 1,024 ids. Reply: `Request` for the unknown ones.
    Announce {
        /// Full ids (with witnesses).
        ids: Vec<WireHash>,
    },
    /// Asks for announced transactions. Bound: 1,024 ids. Reply: `Transactions`.
    Request {
        /// Full ids.
        ids: Vec<WireHash>,
    },
    /// Transactions that were asked for, canonical bytes each. Bound: 1 MiB. Those the sender no longer holds are left out.
    Transactions {
        /// The transactions.
        transactions: Vec<Opaque>,
    },
}

/// Decided blocks.
#[derive(Clone, Debug, PartialEq)]
pub enum BlockSyncMessage {
    /// The sender's chain: sent on connecting, at each new tip to who is behind, and to others now and then. Reply: the receiver's, when it
    /// is ahead by more than a block and has not said so.
    Status {
        /// Height of the tip.
        height: u64,
        /// Lowest height whose block it can serve.
        earliest: u64,
    },
    /// Asks for decided blocks from a height upward. Bound: 64 blocks. Reply: one `Decided` for each, in order, then `End`.
    GetBlocks {
        /// Chosen by the asker, repeated in each reply.
        request: u64,
        /// First height.
        from: u64,
        /// How many.
        count: u16,
    },
    /// One decided block. Bound: 2 MiB + 64 KiB.
    Decided {
        /// The request's.
        request: u64,
        /// Its height.
        height: u64,
        /// `CommitCertificate`, canonical bytes: checked first.
        certificate: Opaque,
        /// `Block`, canonical bytes.
        block: Opaque,
    },
    /// No more blocks come for this request.
    End {
        /// The request's.
        request: u64,
        /// How many `Decided` were sent for it.
        sent: u16,
    },
}

/// Order in which waiting messages leave: control before consensus before bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Handshake, ping, pong, goodbye, addresses. Cannot fill: its messages are few by construction.
    Control,
    /// Votes, proposals, blocks under decision.
    Consensus,
    /// Transactions and decided blocks.
    Bulk,
}

impl Lane {
    /// Every lane, first served first.
    pub const ALL: [Self; 3] = [Self::Control, Self::Consensus, Self::Bulk];

    /// The number in chunks.
    pub const fn number(self) -> u8 {
        match self {
            Self::Control => 0,
            Self::Consensus => 1,
            Self::Bulk => 2,
        }
    }

    /// The lane with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.number() == number)
    }

    /// Lower-case name for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Consensus => "consensus",
            Self::Bulk => "bulk",
        }
    }
}

/// Number of a message on the wire, with its name for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is the message of the same name")]
pub enum Kind {
    Hello = 0x01,
    Ping = 0x02,
    Pong = 0x03,
    Goodbye = 0x04,
    GetAddr = 0x05,
    Addr = 0x06,
    /// Part of a large message.
    Chunk = 0x0f,
    Vote = 0x10,
    Proposal = 0x11,
    Polka = 0x12,
    RoundCertificate = 0x13,
    VoteSetBits = 0x14,
    Block = 0x15,
    GetBlock = 0x16,
    KeyReport = 0x17,
    CompactBlock = 0x18,
    GetBlockTransactions = 0x19,
    BlockTransactions = 0x1a,
    Announce = 0x20,
    Request = 0x21,
    Transactions = 0x22,
    Status = 0x30,
    GetBlocks = 0x31,
    Decided = 0x32,
    End = 0x33,
    Application = 0x40,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Most bytes of transactions that one `Transactions` message carries; the frame's bound leaves room for their lengths.
pub const TRANSACTIONS_BYTES_MAX: usize = MIB;

impl Kind {
    /// Every kind, by number.
    pub const ALL: [Self; 26] = [
        Self::Hello,
        Self::Ping,
        Self::Pong,
        Self::Goodbye,
        Self::GetAddr,
        Self::Addr,
        Self::Chunk,
        Self::Vote,
        Self::Proposal,
        Self::Polka,
        Self::RoundCertificate,
        Self::VoteSetBits,
        Self::Block,
        Self::GetBlock,
        Self::KeyReport,
        Self::CompactBlock,
        Self::GetBlockTransactions,
        Self::BlockTransactions,
        Self::Announce,
        Self::Request,
        Self::Transactions,
        Self::Status,
        Self::GetBlocks,
        Self::Decided,
        Self::End,
        Self::Application,
    ];

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.number() == number)
    }

    /// The number on the wire.
    #[allow(clippy::as_conversions, reason = "the discriminants are the numbers")]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Lower-case name for logs, metrics and golden files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Goodbye => "goodbye",
            Self::GetAddr => "getaddr",
            Self::Addr => "addr",
            Self::Chunk => "chunk",
            Self::Vote => "vote",
            Self::Proposal => "proposal",
            Self::Polka => "polka",
            Self::RoundCertificate => "round_certificate",
            Self::VoteSetBits => "holdings",
            Self::Block => "block",
            Self::GetBlock => "getblock",
            Self::KeyReport => "key_report",
            Self::CompactBlock => "compact_block",
            Self::GetBlockTransactions => "getblocktransactions",
            Self::BlockTransactions => "block_transactions",
            Self::Announce => "announce",
            Self::Request => "request",
            Self::Transactions => "transactions",
            Self::Status => "status",
            Self::GetBlocks => "getblocks",
            Self::Decided => "decided",
            Self::End => "end",
            Self::Application => "application",
        }
    }

    /// Largest body. Unit: bytes of the frame's body, chunks joined. Checked before anything is allocated.
    pub const fn body_max(self) -> usize {
        match self {
            Self::Ping | Self::Goodbye | Self::GetAddr => 16,
            Self::Pong => 24,
            Self::GetBlock | Self::Status | Self::GetBlocks | Self::End => 64,
            Self::Vote | Self::Proposal | Self::KeyReport => 256,
            Self::Hello => KIB,
            Self::VoteSetBits => 3 * KIB,
            Self::Addr => 32 * KIB,
            Self::GetBlockTransactions => 24 * KIB,
            Self::Announce | Self::Request => 40 * KIB,
            Self::Chunk => 64 * KIB + 16,
            Self::Polka | Self::RoundCertificate => 64 * KIB,
            Self::Application => 64 * KIB + 16,
            Self::Transactions => TRANSACTIONS_BYTES_MAX + 64 * KIB,
            Self::Block | Self::CompactBlock | Self::BlockTransactions => 2 * MIB,
            Self::Decided => 2 * MIB + 128 * KIB,
        }
    }

    /// Its lane.
    pub const fn lane(self) -> Lane {
        match self {
            Self::Hello | Self::Ping | Self::Pong | Self::Goodbye | Self::GetAddr | Self::Addr => Lane::Control,
            Self::Vote
            | Self::Proposal
            | Self::Polka
            | Self::RoundCertificate
            | Self::VoteSetBits
            | Self::Block
            | Self::GetBlock
            | Self::KeyReport
            | Self::CompactBlock
            | Self::GetBlockTransactions
            | Self::BlockTransactions => Lane::Consensus,
            Self::Chunk
            | Self::Announce
            | Self::Request
            | Self::Transactions
            | Self::Status
            | Self::GetBlocks
            | Self::Decided
            | Self::End
            | Self::Application => Lane::Bulk,
        }
    }
}

impl Message {
    /// Its number, name, bound and lane.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Control(m) => match m {
                ControlMessage::Hello(_) => Kind::Hello,
                ControlMessage::Ping { .. } => Kind::Ping,
                ControlMessage::Pong { .. } => Kind::Pong,
                ControlMessage::Goodbye { .. } => Kind::Goodbye,
                ControlMessage::GetAddr => Kind::GetAddr,
                ControlMessage::Addr { .. } => Kind::Addr,
            },
            Self::Consensus(m) => match m {
                ConsensusMessage::Vote(_) => Kind::Vote,
                ConsensusMessage::Proposal(_) => Kind::Proposal,
                ConsensusMessage::Polka(_) => Kind::Polka,
                ConsensusMessage::RoundCertificate(_) => Kind::RoundCertificate,
                ConsensusMessage::VoteSetBits(_) => Kind::VoteSetBits,
                ConsensusMessage::Block(_) => Kind::Block,
                ConsensusMessage::GetBlock { .. } => Kind::GetBlock,
                ConsensusMessage::KeyReport(_) => Kind::KeyReport,
                ConsensusMessage::CompactBlock(_) => Kind::CompactBlock,
                ConsensusMessage::GetBlockTransactions(_) => Kind::GetBlockTransactions,
                ConsensusMessage::BlockTransactions { .. } => Kind::BlockTransactions,
            },
            Self::Mempool(m) => match m {
                MempoolMessage::Announce { .. } => Kind::Announce,
                MempoolMessage::Request { .. } => Kind::Request,
                MempoolMessage::Transactions { .. } => Kind::Transactions,
            },
            Self::BlockSync(m) => match m {
                BlockSyncMessage::Status { .. } => Kind::Status,
                BlockSyncMessage::GetBlocks { .. } => Kind::GetBlocks,
                BlockSyncMessage::Decided { .. } => Kind::Decided,
                BlockSyncMessage::End { .. } => Kind::End,
            },
            Self::Application(_) => Kind::Application,
        }
    }
}

impl From<ControlMessage> for Message {
    fn from(m: ControlMessage) -> Self {
        Self::Control(m)
    }
}

impl From<ConsensusMessage> for Message {
    fn from(m: ConsensusMessage) -> Self {
        Self::Consensus(m)
    }
}

impl From<MempoolMessage> for Message {
    fn from(m: MempoolMessage) -> Self {
        Self::Mempool(m)
    }
}

impl From<BlockSyncMessage> for Message {
    fn from(m: BlockSyncMessage) -> Self {
        Self::BlockSync(m)
    }
}

impl From<ApplicationMessage> for Message {
    fn from(m: ApplicationMessage) -> Self {
        Self::Application(m)
    }
}
