//! What a peer and its supervisor say to each other, and what a peer is made of.

use super::{HeartbeatLevel, HeldBytes, PostMortem};
use crate::messages::Inboxes;
use crate::times::NodeTimes;
use crate::transport::BoxStream;
use actix::{Message, MessageResponse, Recipient};
use rand::rngs::StdRng;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use timed_peer::{Direction, EndReason, HandshakeInfo, LaneLimits, LocalNode};
use timed_primitives::{Clock, PublicKey};
use timed_wire::message::Opaque;
use tokio::sync::{mpsc, oneshot};

/// A peer completed its handshake. Answer: whether it may stay.
#[derive(Debug, Message)]
#[rtype(result = "PeerAdmission")]
pub struct ConnectionEstablished {
    /// Number of the session.
    pub session: u64,
    /// What the handshake said.
    pub info: Box<HandshakeInfo>,
}

/// Whether a peer may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, MessageResponse)]
pub enum PeerAdmission {
    /// It is up.
    Accepted,
    /// Say goodbye with this reason.
    Refused(EndReason),
}

/// A session ended. Sent exactly once for each.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PeerEnded {
    /// Number of the session.
    pub session: u64,
    /// Why, and what was going on.
    pub post_mortem: PostMortem,
}

/// Something a peer sent or asked about addresses. Rate-limited before it is sent.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum AddressesLearned {
    /// It asks for records; at most once per session.
    Wanted {
        /// Who.
        session: u64,
    },
    /// It sent records, not yet checked.
    Received {
        /// Who.
        session: u64,
        /// Canonical bytes.
        records: Vec<Opaque>,
    },
}

/// A round trip was measured.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct PeerStats {
    /// Number of the session.
    pub session: u64,
    /// Smoothed round trip.
    pub srtt: Duration,
}

/// Ends a session: says goodbye with the reason.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct ClosePeer(pub EndReason);

/// Sends a ping that an operator asked for; it has no part in the heartbeat. The round trip goes to `answer`, which is dropped when there
/// will be none.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct UserPing {
    /// Who waits.
    pub answer: oneshot::Sender<Duration>,
}

/// Whom a peer reports to.
#[derive(Clone)]
pub struct Supervisor {
    /// Asked once, after the handshake.
    pub established: Recipient<ConnectionEstablished>,
    /// Gets one message, at the end.
    pub ended: Recipient<PeerEnded>,
    /// Gets what peers say about addresses.
    pub addresses: Recipient<AddressesLearned>,
    /// Gets round trips.
    pub measured: Recipient<PeerStats>,
}

/// What a peer is made of.
pub struct PeerParts {
    /// Number of the session, unique in this process.
    pub session: u64,
    /// The connection; its other end is known.
    pub stream: BoxStream,
    /// The other end's node key.
    pub key: PublicKey,
    /// The secure channel's exporter value.
    pub exporter: [u8; 32],
    /// Who dialled.
    pub direction: Direction,
    /// The other end's address.
    pub observed: SocketAddr,
    /// What we say of ourselves.
    pub local: LocalNode,
    /// Where messages for actors go.
    pub inboxes: Inboxes,
    /// Whom to report to.
    pub supervisor: Supervisor,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Nonces and jitter.
    pub rng: StdRng,
    /// Bounds of what waits to be sent.
    pub lane_limits: LaneLimits,
    /// Where it is counted with that of all other peers.
    pub(crate) held_bytes: HeldBytes,
    /// How loud the heartbeat is.
    pub heartbeat_level: HeartbeatLevel,
    /// Where it is counted how long things take.
    pub times: NodeTimes,
    /// Held until the last byte has left, so that its owner can wait for that.
    pub alive: mpsc::Sender<()>,
    /// No handshake with it: it gets this reason, and is closed.
    pub refused: Option<EndReason>,
}
