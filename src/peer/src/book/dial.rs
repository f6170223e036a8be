//! A connection to make, and the times that all dials share.

use std::time::Duration;
use timed_primitives::PublicKey;

/// A session that lived this long was good: the next failure backs off from the start.
pub const STABLE_AFTER: Duration = Duration::from_secs(60);

/// A dial about which nobody reported counts as failed: 3 s to connect and 5 s for the handshake have long passed.
pub(super) const DIAL_LOST: Duration = Duration::from_secs(20);

/// A connection to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// `host:port`, to be resolved now.
    pub address: String,
    /// The key that was found there last time, if any: a hint for logs, not a demand.
    pub key: Option<PublicKey>,
    /// Only to see whether the node answers there: complete the handshake with [`crate::handshake::FEELER`] and end with [`crate::EndReason::Tested`]. Its end
    /// is reported by [`crate::PeerBook::on_tested`] or [`crate::PeerBook::on_dial_failed`]; it never becomes a session.
    pub is_feeler: bool,
    /// Whether an operator named it. An address that peers announced is dialled only where its class says that it is: a public name may
    /// lead into a private network.
    pub is_configured: bool,
}
