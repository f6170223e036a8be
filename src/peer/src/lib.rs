//! What it takes to keep a peer, and to let one go: handshake, heartbeat, outbound lanes, rate limits, the book of sessions, signed
//! addresses, penalties, offsets of clocks, validators among peers.
//!
//! Knows: how long a peer may be silent, which of two sessions stays, when to dial again, what a session's end was called. Must not
//! know: a runtime, a clock, a socket, a random source (all passed in), consensus, the ledger.
//!
//! ```text
//!  one connection:   Handshake ──PeerInfo──► Heartbeat      Lanes (outbound)   RateLimit (inbound)
//!                                  │ HeartbeatAction            │ Frame
//!  one node:         PeerBook  ◄── on_up / on_down          AddressBook        Misbehaviour
//!                       ├── refill ◄── draw ────────────────┘
//!                       └── wants_dial ──► Dial
//! ```
//!
//! Every core is a plain struct: `on_<event>(now, …)` gives what the caller must do, `next_wake()` the one timer it must keep.
//! Start reading in [`heartbeat`], then [`book`].

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::as_conversions))]

pub mod addresses;
mod admission;
pub mod backoff;
pub mod book;
pub mod clock_offset;
pub mod end_reason;
mod ended_connection;
pub mod handshake;
pub mod heartbeat;
pub mod heartbeat_line;
pub mod lanes;
pub mod link_rate;
pub mod misbehaviour;
mod outstanding_requests;
pub mod queue_budget;
pub mod rate;
pub mod rtt;
pub mod subnet;
mod validator_peers;

pub use addresses::{AddressBook, AddressClass, AddressRecord, AddressRecordError};
pub use admission::{Begun, HandshakeAdmission, HandshakesUnderWay};
pub use backoff::Backoff;
pub use book::{BookConfig, CompletedHandshake, Departure, Dial, PeerBook, Session, SessionDecision, Twin};
pub use clock_offset::{ClockChange, ClockOffset, OwnClock, OwnClockOff, Reading, median_offset};
pub use end_reason::{EndReason, Redial, SessionEnd, Side};
pub use ended_connection::{ConnectionStage, EndClass, EndedConnection};
pub use handshake::{Handshake, HandshakeAction, HandshakeError, HandshakeInfo, LocalNode, sign_claim, verify_claim};
pub use heartbeat::{Heartbeat, HeartbeatAction, Pong, UserPingError};
pub use heartbeat_line::HeartbeatLine;
pub use lanes::{LaneLimits, Lanes, Overflow, QueuedFrame, chunk_bytes};
pub use link_rate::LinkRate;
pub use misbehaviour::{Ban, Connectivity, Misbehaviour, Offence, PenaltyVerdict};
pub use outstanding_requests::OutstandingRequests;
pub use rate::{RateLimit, TokenBucket};
pub use rtt::Rtt;
pub use validator_peers::ValidatorPeers;

use std::fmt;

/// Who dialled a connection, seen from this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// They dialled us.
    Inbound,
    /// We dialled them.
    Outbound,
}

impl Direction {
    /// Lower-case name for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }

    /// The same connection, seen from the other end.
    pub const fn reversed(self) -> Self {
        match self {
            Self::Inbound => Self::Outbound,
            Self::Outbound => Self::Inbound,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
