//! Who else has a consensus key.

use crate::names::WireKey;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a node says to another about the consensus key that it proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireKeyReport {
    /// Height of the sender's tip.
    pub height: u64,
    /// Another session with the receiver's key, if the sender knows one.
    pub other: Option<WireOtherSession>,
}

/// A session of another node with the receiver's consensus key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireOtherSession {
    /// Its node key.
    #[serde(with = "serde_bytes")]
    pub node: WireKey,
    /// Its instance id.
    pub instance: Uuid,
    /// The IP that it comes from, with the port that it announced.
    pub address: Option<core::net::SocketAddr>,
    /// Since how long the sender knows it. Unit: milliseconds.
    pub age_ms: u64,
    /// How long it still counts when its connection was lost. Unit: milliseconds; nothing while it is up.
    pub left_ms: Option<u32>,
    /// Whether votes with the key came over it.
    pub has_signed: bool,
}
