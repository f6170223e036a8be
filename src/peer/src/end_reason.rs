//! Why a session, or an attempt at one, ended: a closed set of reasons with stable numbers, names and words for people.

use std::fmt;

/// Why a session ended. The numbers travel in `Goodbye` and never change; new ones are added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndReason {
    /// The closing node stops.
    Shutdown,
    /// A second session with the same peer, begun at the same time, was kept instead.
    Duplicate,
    /// A newer session with the same peer took this one's place.
    Replaced,
    /// We reached ourselves.
    SelfConnection,
    /// The other side speaks another version of the protocol.
    ProtocolVersion,
    /// The other side is on another chain.
    ChainId,
    /// The other side's chain began with another genesis.
    Genesis,
    /// The handshake did not complete in time.
    HandshakeTimeout,
    /// The handshake has a field that breaks its bound or form.
    HandshakeInvalid,
    /// Something other than a handshake came first, or a second handshake came.
    HandshakeOrder,
    /// The proof of the validator key does not hold.
    ValidatorClaim,
    /// Nothing complete arrived within the deadline.
    Silent,
    /// Data arrived, but no ping was ever answered.
    PongsMissing,
    /// Our control lane overflowed: the other side does not read.
    LaneOverflow,
    /// A frame that cannot be decoded.
    Undecodable,
    /// A frame longer than its kind allows.
    OversizedFrame,
    /// Provable misbehaviour reached the limit.
    Misbehaviour,
    /// The peer's key is banned.
    Banned,
    /// No room for another session.
    TooManyPeers,
    /// The peer's key is not on the allow-list.
    NotAllowed,
    /// Closed to make room for a peer that matters more.
    Evicted,
    /// The connection was closed without a goodbye.
    ConnectionClosed,
    /// The connection failed: reset, unreachable, or another error of the network.
    ConnectionFailed,
    /// The connection was not accepted in time.
    DialTimeout,
    /// The connection was refused, or the address could not be resolved.
    DialFailed,
    /// The secure channel could not be set up.
    Tls,
    /// An operator asked for it.
    Operator,
    /// A fault in this software ended the session.
    Internal,
    /// The dialler only wanted to see whether the node answers at this address.
    Tested,
    /// A reason this version does not know.
    Unknown,
}

/// What a reason means for dialling the same peer again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redial {
    /// Soon and without counting as a failure: another session exists or is coming.
    Soon,
    /// With growing back-off.
    BackOff,
    /// At the longest back-off at once: trying sooner cannot help.
    Slowly,
    /// Not at all: the address is our own.
    Never,
}

impl EndReason {
    /// Every reason, by number.
    pub const ALL: [Self; 30] = [
        Self::Shutdown,
        Self::Duplicate,
        Self::Replaced,
        Self::SelfConnection,
        Self::ProtocolVersion,
        Self::ChainId,
        Self::Genesis,
        Self::HandshakeTimeout,
        Self::HandshakeInvalid,
        Self::HandshakeOrder,
        Self::ValidatorClaim,
        Self::Silent,
        Self::PongsMissing,
        Self::LaneOverflow,
        Self::Undecodable,
        Self::OversizedFrame,
        Self::Misbehaviour,
        Self::Banned,
        Self::TooManyPeers,
        Self::NotAllowed,
        Self::Evicted,
        Self::ConnectionClosed,
        Self::ConnectionFailed,
        Self::DialTimeout,
        Self::DialFailed,
        Self::Tls,
        Self::Operator,
        Self::Internal,
        Self::Tested,
        Self::Unknown,
    ];

    /// The number in `Goodbye`.
    pub const fn code(self) -> u8 {
        match self {
            Self::Shutdown => 1,
            Self::Duplicate => 2,
            Self::Replaced => 3,
            Self::SelfConnection => 4,
            Self::ProtocolVersion => 5,
            Self::ChainId => 6,
            Self::Genesis => 7,
            Self::HandshakeTimeout => 8,
            Self::HandshakeInvalid => 9,
            Self::HandshakeOrder => 10,
            Self::ValidatorClaim => 11,
            Self::Silent => 12,
            Self::PongsMissing => 13,
            Self::LaneOverflow => 14,
            Self::Undecodable => 15,
            Self::OversizedFrame => 16,
            Self::Misbehaviour => 17,
            Self::Banned => 18,
            Self::TooManyPeers => 19,
            Self::NotAllowed => 20,
            Self::Evicted => 21,
            Self::ConnectionClosed => 22,
            Self::ConnectionFailed => 23,
            Self::DialTimeout => 24,
            Self::DialFailed => 25,
            Self::Tls => 26,
            Self::Operator => 27,
            Self::Internal => 28,
            Self::Tested => 29,
            Self::Unknown => 255,
        }
    }

    /// The reason with this number; [`EndReason::Unknown`] for one that a later version may have added.
    pub fn from_code(code: u8) -> Self {
        Self::ALL.into_iter().find(|r| r.code() == code).unwrap_or(Self::Unknown)
    }

    /// Lower-case name for logs, metric labels and RPC.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Duplicate => "duplicate",
            Self::Replaced => "replaced",
            Self::SelfConnection => "self_connection",
            Self::ProtocolVersion => "protocol_version",
            Self::ChainId => "chain_id",
            Self::Genesis => "genesis",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HandshakeInvalid => "handshake_invalid",
            Self::HandshakeOrder => "handshake_order",
            Self::ValidatorClaim => "validator_claim",
            Self::Silent => "silent",
            Self::PongsMissing => "pongs_missing",
            Self::LaneOverflow => "lane_overflow",
            Self::Undecodable => "undecodable",
            Self::OversizedFrame => "oversized_frame",
            Self::Misbehaviour => "misbehaviour",
            Self::Banned => "banned",
            Self::TooManyPeers => "too_many_peers",
            Self::NotAllowed => "not_allowed",
            Self::Evicted => "evicted",
            Self::ConnectionClosed => "connection_closed",
            Self::ConnectionFailed => "connection_failed",
            Self::DialTimeout => "dial_timeout",
            Self::DialFailed => "dial_failed",
            Self::Tls => "tls",
            Self::Operator => "operator",
            Self::Internal => "internal",
            Self::Tested => "tested",
            Self::Unknown => "unknown",
        }
    }

    /// How to dial the same peer again.
    pub const fn redial(self) -> Redial {
        match self {
            Self::Duplicate | Self::Tested => Redial::Soon,
            Self::SelfConnection => Redial::Never,
            Self::ProtocolVersion
            | Self::ChainId
            | Self::Genesis
            | Self::ValidatorClaim
            | Self::Banned
            | Self::NotAllowed => Redial::Slowly,
            Self::Shutdown
            | Self::Replaced
            | Self::HandshakeTimeout
            | Self::HandshakeInvalid
            | Self::HandshakeOrder
            | Self::Silent
            | Self::PongsMissing
            | Self::LaneOverflow
            | Self::Undecodable
            | Self::OversizedFrame
            | Self::Misbehaviour
            | Self::TooManyPeers
            | Self::Evicted
            | Self::ConnectionClosed
            | Self::ConnectionFailed
            | Self::DialTimeout
            | Self::DialFailed
            | Self::Tls
            | Self::Operator
            | Self::Internal
            | Self::Unknown => Redial::BackOff,
        }
    }

    /// True when the next dial waits longer because of this end.
    pub const fn backs_off(self) -> bool {
        matches!(self.redial(), Redial::BackOff | Redial::Slowly)
    }

    /// Whether to say goodbye with this reason: false when there is nobody to read it.
    pub const fn says_goodbye(self) -> bool {
        !matches!(
            self,
            Self::ConnectionClosed | Self::ConnectionFailed | Self::DialTimeout | Self::DialFailed | Self::Tls
        )
    }

    /// What happened and, where there is something to do, what to do: for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Shutdown => "the node is stopping",
            Self::Duplicate => "another connection with this peer was kept",
            Self::Replaced => "a newer connection with this peer took its place",
            Self::SelfConnection => "this address is our own: remove it from the peers",
            Self::ProtocolVersion => "the versions of the protocol differ: upgrade the older node",
            Self::ChainId => "the nodes are on different chains: compare their network and genesis",
            Self::Genesis => "the nodes have different genesis files: compare the genesis hash of both",
            Self::HandshakeTimeout => "no complete handshake within 5 s",
            Self::HandshakeInvalid => "the handshake has an invalid field",
            Self::HandshakeOrder => "a message came out of order: a handshake must come first, and only once",
            Self::ValidatorClaim => "the proof of the validator key is wrong",
            Self::Silent => "nothing was received within the deadline: the peer or the link is down",
            Self::PongsMissing => "the peer sends but answers no pings",
            Self::LaneOverflow => "the peer does not read: our control messages piled up",
            Self::Undecodable => "a frame could not be decoded",
            Self::OversizedFrame => "a frame was longer than its kind allows",
            Self::Misbehaviour => "provable misbehaviour reached the limit",
            Self::Banned => "the peer's key is banned until the ban expires or is lifted",
            Self::TooManyPeers => "no room for another peer",
            Self::NotAllowed => {
                "the key is not on the allow-list of this private network: who runs it adds the key to p2p.allowed"
            }
            Self::Evicted => "closed to make room for a masternode, a configured peer or a less crowded network",
            Self::ConnectionClosed => "the connection was closed without a goodbye",
            Self::ConnectionFailed => "the connection failed",
            Self::DialTimeout => "no answer to the connection attempt: check address and firewall",
            Self::DialFailed => "the connection was refused or the name not found: check that the peer runs",
            Self::Tls => "the secure channel could not be set up: check that the port is a node's",
            Self::Operator => "an operator closed it",
            Self::Internal => "a fault in this software ended the session: please report it",
            Self::Tested => "the address was tested and answers",
            Self::Unknown => "a reason unknown to this version",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Which side closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// This node.
    Us,
    /// The other node.
    Them,
}

impl Side {
    /// Lower-case name for logs and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Them => "them",
        }
    }
}

/// How a session ended: why, and who closed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// Why.
    pub reason: EndReason,
    /// Who closed.
    pub by: Side,
}

impl SessionEnd {
    /// We closed.
    pub const fn ours(reason: EndReason) -> Self {
        Self { reason, by: Side::Us }
    }

    /// They closed, with the reason of their goodbye or the failure we saw.
    pub const fn theirs(reason: EndReason) -> Self {
        Self { reason, by: Side::Them }
    }
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            Side::Us => "we closed",
            Side::Them => "they closed",
        };
        write!(f, "{by}: {}", self.reason)?;
        match self {
            // Theirs names us; the operator of the node whose place it was hears it from nobody else.
            Self { reason: EndReason::Replaced, by: Side::Them } => f.write_str(
                "; if this goes on, another node runs with this node's key: end it, or give it a key of its own",
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn whose_place_is_taken_again_and_again_hears_of_a_twin() {
        let theirs = SessionEnd::theirs(EndReason::Replaced).to_string();
        assert!(
            theirs.contains("took its place") && theirs.contains("another node runs with this node's key"),
            "{theirs}"
        );
        assert_eq!(
            SessionEnd::ours(EndReason::Replaced).to_string(),
            "we closed: a newer connection with this peer took its place"
        );
    }

    #[test]
    fn codes_are_stable_unique_and_come_back() {
        let codes: BTreeSet<u8> = EndReason::ALL.iter().map(|r| r.code()).collect();
        let names: BTreeSet<&str> = EndReason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!((codes.len(), names.len()), (EndReason::ALL.len(), EndReason::ALL.len()));
        for reason in EndReason::ALL {
            assert_eq!(EndReason::from_code(reason.code()), reason);
            assert!(reason.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        }
        // Pinned: nodes of other versions read these numbers.
        let pinned = [
            (EndReason::Shutdown, 1),
            (EndReason::Duplicate, 2),
            (EndReason::Replaced, 3),
            (EndReason::Genesis, 7),
            (EndReason::Silent, 12),
            (EndReason::Banned, 18),
            (EndReason::Internal, 28),
            (EndReason::Tested, 29),
            (EndReason::Unknown, 255),
        ];
        for (reason, code) in pinned {
            assert_eq!(reason.code(), code);
        }
        assert_eq!(EndReason::from_code(200), EndReason::Unknown);
        assert_eq!(EndReason::from_code(0), EndReason::Unknown);
    }

    #[test]
    fn a_duplicate_never_backs_off_and_a_wrong_genesis_does_not_knock_often() {
        assert!(!EndReason::Duplicate.backs_off());
        assert!(EndReason::Silent.backs_off());
        assert_eq!(EndReason::Genesis.redial(), Redial::Slowly);
        assert_eq!(EndReason::SelfConnection.redial(), Redial::Never);
        assert_eq!(SessionEnd::ours(EndReason::Shutdown).to_string(), "we closed: the node is stopping");
    }
}
