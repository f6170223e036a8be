//! What actors and peers send to each other. A message from a peer comes through a bounded channel; all else are messages of ours.

use crate::credit::Credit;
use actix::{Message as ActixMessage, Recipient};
use std::time::Duration;
use timed_peer::addresses::KeptAddress;
use timed_peer::{EndReason, Offence};
use timed_primitives::{Height, PublicKey, ValidatorSet};
use timed_wire::{ApplicationMessage, BlockSyncMessage, ConsensusMessage, MempoolMessage, Message};
use tokio::sync::mpsc;

/// A peer's message for an actor. While the actor holds it, it counts against what the peer may have waiting there.
#[derive(Debug)]
pub struct Inbound<M> {
    /// Who sent it, as proved by the secure channel.
    pub peer: PublicKey,
    /// What it sent.
    pub message: M,
    /// Given back when the actor drops this.
    _credit: Option<Credit>,
}

impl<M> Inbound<M> {
    /// A message that counts against nothing.
    pub const fn new(peer: PublicKey, message: M) -> Self {
        Self { peer, message, _credit: None }
    }

    pub(crate) const fn counted(peer: PublicKey, message: M, credit: Credit) -> Self {
        Self { peer, message, _credit: Some(credit) }
    }
}

/// Where peers put messages for the actors. A full channel drops and counts; the reader of a peer never waits.
#[derive(Clone, Debug)]
pub struct Inboxes {
    /// Votes, proposals, blocks under decision. What is dropped comes again by vote-set gossip.
    pub consensus: mpsc::Sender<Inbound<ConsensusMessage>>,
    /// Transactions. What is dropped is announced again by others.
    pub mempool: mpsc::Sender<Inbound<MempoolMessage>>,
    /// Decided blocks. Bounded by what was asked for.
    pub block_sync: mpsc::Sender<Inbound<BlockSyncMessage>>,
    /// Messages of an application of its own. What is dropped is lost.
    pub application: mpsc::Sender<Inbound<ApplicationMessage>>,
}

/// The actors' ends of [`Inboxes`].
#[derive(Debug)]
pub struct Outlets {
    /// For the consensus actor.
    pub consensus: mpsc::Receiver<Inbound<ConsensusMessage>>,
    /// For the mempool.
    pub mempool: mpsc::Receiver<Inbound<MempoolMessage>>,
    /// For block sync.
    pub block_sync: mpsc::Receiver<Inbound<BlockSyncMessage>>,
    /// For an application of its own, if there is one.
    pub application: mpsc::Receiver<Inbound<ApplicationMessage>>,
}

/// Messages that wait for one actor, of all peers together. The bytes are bounded per peer.
const INBOX_MESSAGES_MAX: usize = 4096;

impl Inboxes {
    /// Channels for all actors, each for 4,096 messages.
    pub fn bounded() -> (Self, Outlets) {
        let (consensus, for_consensus) = mpsc::channel(INBOX_MESSAGES_MAX);
        let (mempool, for_mempool) = mpsc::channel(INBOX_MESSAGES_MAX);
        let (block_sync, for_block_sync) = mpsc::channel(INBOX_MESSAGES_MAX);
        let (application, for_application) = mpsc::channel(INBOX_MESSAGES_MAX);
        let outlets = Outlets {
            consensus: for_consensus,
            mempool: for_mempool,
            block_sync: for_block_sync,
            application: for_application,
        };
        (Self { consensus, mempool, block_sync, application }, outlets)
    }
}

/// Sends one message to one peer; nothing happens when it is not connected.
#[derive(Clone, Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct SendTo {
    /// To whom: its node key.
    pub to: PublicKey,
    /// What.
    pub message: Message,
    /// The height whose decision makes it worthless; `None` for messages that keep their worth.
    pub height: Option<Height>,
}

/// Who hears a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every peer that is up.
    All,
    /// Peers with this capability bit, such as [`timed_peer::handshake::COMPACT_BLOCKS`].
    Able(u64),
}

/// Sends one message to many peers; it is encoded once.
#[derive(Clone, Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct Broadcast {
    /// What.
    pub message: Message,
    /// To whom.
    pub audience: Audience,
    /// Whom to leave out: the peer it came from.
    pub except: Option<PublicKey>,
    /// The height whose decision makes it worthless; `None` for messages that keep their worth.
    pub height: Option<Height>,
}

/// What one event makes an actor send, in order: it leaves together, so that each peer gets it with one write. Bound: what the inputs that are
/// handled together give.
#[derive(Clone, Debug, Default, ActixMessage)]
#[rtype(result = "()")]
pub struct SendBatch(pub Vec<Delivery>);

/// One message of a [`SendBatch`].
#[derive(Clone, Debug)]
pub enum Delivery {
    /// To one peer.
    ToOne(SendTo),
    /// To many.
    ToMany(Broadcast),
}

/// A peer provably misbehaved.
#[derive(Clone, Copy, Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct Penalize {
    /// The authenticated author of what was wrong.
    pub peer: PublicKey,
    /// What it did.
    pub offence: Offence,
}

/// A peer brought a transaction that we did not have: what eviction looks at, among other things. Sent ten times a second at most.
#[derive(Clone, Copy, Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct Useful {
    /// Who.
    pub peer: PublicKey,
}

/// The chain grew: handshakes announce it from now on, and lanes that are full drop messages of decided heights first.
#[derive(Clone, Copy, Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct TipChanged {
    /// The decided height.
    pub height: Height,
}

/// A peer completed its handshake and was accepted. One for each peer at a time; its first message may overtake this.
#[derive(Clone, Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct PeerUp {
    /// Its node key.
    pub peer: PublicKey,
    /// Its consensus key, proved, when it votes.
    pub validator: Option<PublicKey>,
    /// Height of its tip at the handshake.
    pub height: u64,
    /// Differs after each of its starts.
    pub instance: uuid::Uuid,
    /// The IP that it comes from, with the port that it announced.
    pub address: std::net::SocketAddr,
    /// Bits of what it can do.
    pub capabilities: u64,
}

/// A peer that was up is gone. One for each [`PeerUp`].
#[derive(Clone, Copy, Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct PeerDown {
    /// Its node key.
    pub peer: PublicKey,
    /// Why.
    pub reason: EndReason,
}

/// Who gets messages about peers that come and go.
#[derive(Clone)]
pub struct PeerListener {
    /// Gets a message when a peer is up.
    pub up: Recipient<PeerUp>,
    /// Gets a message when it is gone.
    pub down: Recipient<PeerDown>,
}

/// The validator set changed: nobody is banned whose absence would take the connected voting power below the quorum. Until the first
/// of these no validator is banned at all.
#[derive(Clone, Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct ValidatorsChanged {
    /// The set that decides the next height.
    pub validators: ValidatorSet,
    /// Voting power that decides.
    pub quorum: u64,
}

/// Bans a key, as an operator wishes, and ends its session.
#[derive(Clone, Copy, Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct SetBan {
    /// The node key.
    pub peer: PublicKey,
    /// For how long.
    pub length: Duration,
}

/// Lifts the ban of a key. Answer: false when it was not banned.
#[derive(Clone, Copy, Debug, ActixMessage)]
#[rtype(result = "bool")]
pub struct LiftBan {
    /// The node key.
    pub peer: PublicKey,
}

/// Lifts every ban. Answer: how many there were.
#[derive(Clone, Copy, Debug, ActixMessage)]
#[rtype(result = "usize")]
pub struct LiftAllBans;

/// The address book, to be kept. Answer: `None` when nothing changed since this count of changes, which came with an earlier answer.
#[derive(Clone, Copy, Debug, ActixMessage)]
#[rtype(result = "Option<KnownAddresses>")]
pub struct ListAddresses {
    /// What is kept already.
    pub since: u64,
}

/// Answer to [`ListAddresses`].
#[derive(Clone, Debug)]
pub struct KnownAddresses {
    /// For the next question.
    pub changes: u64,
    /// Every record.
    pub kept: Vec<KeptAddress>,
}

/// Adds a listener for peers to the peer manager; those that are up already are reported to it.
#[derive(ActixMessage)]
#[rtype(result = "()")]
pub struct SubscribePeers(pub PeerListener);

/// How far the other validators' clocks are from ours. Sent on change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ActixMessage)]
#[rtype(result = "()")]
pub struct NetworkTime {
    /// Their median by power; `None` while fewer than a quorum are measured. Unit: milliseconds, negative when our clock is ahead.
    pub offset_ms: Option<i64>,
}

/// Adds a listener for the network's time to the peer manager.
#[derive(ActixMessage)]
#[rtype(result = "()")]
pub struct SubscribeClock(pub Recipient<NetworkTime>);

/// Dials an address from now on, as if it were configured: it is never given up.
#[derive(Clone, Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct Connect {
    /// `host:port`.
    pub address: String,
}

/// Ends the session with a peer. Answer: false when there is none.
#[derive(Clone, Copy, Debug, ActixMessage)]
#[rtype(result = "bool")]
pub struct Disconnect {
    /// Its node key.
    pub peer: PublicKey,
}

/// Sends a ping to every peer, or to one, outside the heartbeat. Answer: a row for each that is up, when all have answered or
/// [`PING_WAIT`] is over.
#[derive(Clone, Copy, Debug, ActixMessage)]
#[rtype(result = "Vec<Pinged>")]
pub struct Ping {
    /// Only to this one.
    pub peer: Option<PublicKey>,
}

/// How long the answer to a [`Ping`] is waited for.
pub const PING_WAIT: Duration = Duration::from_secs(5);

/// What came of a [`Ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinged {
    /// The peer's node key.
    pub peer: PublicKey,
    /// The round trip; `None` when no answer came in time, or as many pings are under way to it as may be.
    pub rtt: Option<Duration>,
}

/// Stops accepting and dialling, and says goodbye to every peer. Answered when all sessions have ended, after 2.5 s at most.
#[derive(Clone, Copy, Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct StopPeers;
