//! Why signing is off, for the policy and for people.

use crate::statement::SignedRecord;
use borsh::{BorshDeserialize, BorshSerialize};
use core::net::SocketAddr;
use std::fmt;
use std::time::Duration;
use timed_primitives::{Height, PublicKey, Round};
use uuid::Uuid;

/// Heights decided by others before signing begins again.
pub const HEIGHTS_TO_PASS: u8 = 2;

/// Another node that has our consensus key, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OtherNode {
    /// Its node key.
    pub node: PublicKey,
    /// Its instance id: another after each of its starts.
    pub instance: u128,
    /// Where it was seen: the IP that its connection came from, with the port it announced.
    pub address: Option<SocketAddr>,
}

impl fmt::Display for OtherNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instance = Uuid::from_u128(self.instance);
        match self.address {
            Some(address) => write!(f, "{address} (node key {}, instance {instance})", self.node),
            None => write!(f, "an unknown address (node key {}, instance {instance})", self.node),
        }
    }
}

/// Proof that another node signs with our key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TwinFound {
    /// What it signed and we did not; `None` when the note of it cannot be read any more.
    pub statement: Option<SignedRecord>,
    /// The node key of the peer that brought it; `None` when it stood in a block.
    pub brought_by: Option<PublicKey>,
    /// The other node; `None` while no peer has said where it is.
    pub other: Option<OtherNode>,
}

impl TwinFound {
    pub(crate) const UNREADABLE: Self = Self { statement: None, brought_by: None, other: None };
}

impl fmt::Display for TwinFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.statement {
            Some(statement) => write!(f, "another node signs with our key: it made a {statement}, and we did not")?,
            None => f.write_str("another node signs with our key: what it made cannot be read any more")?,
        }
        match self.brought_by {
            Some(peer) => write!(f, "; node key {} brought it", peer.short())?,
            None => f.write_str("; it was found in a block")?,
        }
        match self.other {
            Some(other) => write!(f, "; the other is {other}"),
            None => f.write_str("; no peer has said where the other is"),
        }
    }
}

/// Why signing is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningOff {
    /// The guard remembers something that the journal does not: the journal is lost or an old copy.
    GuardAhead {
        /// What the guard remembers.
        signed: SignedRecord,
    },
    /// There is no guard, but the network is under way.
    GuardMissing {
        /// Height that validators with more than a third of the power report.
        reported: Height,
    },
    /// The network is beyond what the guard remembers, and it is the original: this node was away.
    Away {
        /// What the guard remembers.
        signed: SignedRecord,
        /// Height that validators with more than a third of the power report.
        reported: Height,
    },
    /// The network is beyond what the guard remembers, and it is a copy.
    GuardOlder {
        /// What the guard remembers.
        signed: SignedRecord,
        /// Height that validators with more than a third of the power report.
        reported: Height,
    },
    /// A message with our signature came back that we do not remember.
    Forgotten {
        /// Its height.
        height: Height,
        /// Its round.
        round: Round,
    },
    /// Validators with more than a third of the power, or the other node itself, have a session with our key.
    LiveElsewhere {
        /// Whose session it is.
        other: OtherNode,
        /// How long it still counts when its connection was lost and nothing more comes; `None` while it is up.
        left: Option<Duration>,
    },
    /// Another node was found to sign with our key. Kept on disk.
    Twin(TwinFound),
    /// The journal of this height reached its bound.
    JournalFull {
        /// The height.
        height: Height,
    },
}

impl SigningOff {
    /// Whether the reason is another node with our key.
    pub fn is_twin(&self) -> bool {
        matches!(self, Self::Twin(_) | Self::LiveElsewhere { left: None, .. })
    }
}

impl fmt::Display for SigningOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GuardAhead { signed } => {
                write!(
                    f,
                    "the guard remembers a {signed} that the journal does not: the journal is lost or an old copy"
                )
            }
            Self::GuardMissing { reported } => {
                write!(f, "the guard is missing while validators report height {reported}: we may have signed before")
            }
            Self::Away { signed, reported } => {
                write!(f, "we were away: the guard's last is a {signed} while validators report height {reported}")
            }
            Self::GuardOlder { signed, reported } => {
                write!(f, "the guard is a copy: its last is a {signed} while validators report height {reported}")
            }
            Self::Forgotten { height, round } => {
                write!(
                    f,
                    "a message with our signature that we do not remember came back, of height {height} round {round}"
                )
            }
            Self::LiveElsewhere { other, left: None } => {
                write!(f, "our key is live elsewhere: peers are connected to {other} with it")
            }
            Self::LiveElsewhere { other, left: Some(left) } => write!(
                f,
                "our key may be live elsewhere: peers lost {other}, perhaps an earlier start of this node; it counts for {} s more",
                left.as_secs()
            ),
            Self::Twin(found) => write!(f, "{found}"),
            Self::JournalFull { height } => write!(f, "the journal of height {height} is full"),
        }
    }
}

/// Whether this node signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningStatus {
    /// It has no key.
    Observer,
    /// Its key is not in the validator set of the height.
    NotValidator,
    /// It does.
    On,
    /// It does not.
    Off {
        /// Why.
        reason: SigningOff,
        /// Heights decided by others since our start.
        passed: u8,
    },
}

impl fmt::Display for SigningStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Observer => f.write_str("observer: no consensus key"),
            Self::NotValidator => f.write_str(
                "observer: the consensus key is not among the voters of the chain; this node signs as soon as it is",
            ),
            Self::On => f.write_str("signing is on"),
            Self::Off { reason: reason @ SigningOff::JournalFull { .. }, .. } => {
                write!(f, "signing is off: {reason}; it turns on with the next height")
            }
            Self::Off { reason: reason @ SigningOff::Away { .. }, .. } => {
                write!(f, "signing is off: {reason}; it turns on when this node has caught up")
            }
            Self::Off { reason: reason @ SigningOff::Twin(_), .. } => write!(
                f,
                "signing is stopped: {reason}; end one of the two nodes, then run `timed resume-signing --data-dir DIR` for \
                 the one that stays, while it is down"
            ),
            Self::Off { reason: reason @ SigningOff::LiveElsewhere { left, .. }, .. } => match left {
                None => write!(f, "signing is off: {reason}; it turns on when that node is gone"),
                Some(_) => write!(f, "signing is off: {reason}"),
            },
            Self::Off { reason, passed } => write!(
                f,
                "signing is off: {reason}; it turns on when {HEIGHTS_TO_PASS} heights were decided by others after our start \
                 ({passed} so far)"
            ),
        }
    }
}
