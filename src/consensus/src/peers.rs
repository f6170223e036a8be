//! Who is connected, and whether they are a quorum.

use std::collections::BTreeMap;
use timed_primitives::{BlockId, Height, Instant, PublicKey};

/// One connected peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    pub(crate) validator: Option<PublicKey>,
    pub(crate) height: Option<Height>,
    pub(crate) holdings_sent: Option<Instant>,
    pub(crate) block_sent: Option<(BlockId, Instant)>,
}

/// The connected peers. Bound: as many as the peer manager connects.
#[derive(Default)]
pub(crate) struct Peers {
    by_key: BTreeMap<PublicKey, Peer>,
}

impl Peers {
    pub(crate) fn up(&mut self, peer: PublicKey, validator: Option<PublicKey>) {
        self.by_key.insert(peer, Peer { validator, ..Peer::default() });
    }

    pub(crate) fn down(&mut self, peer: &PublicKey) {
        self.by_key.remove(peer);
    }

    pub(crate) fn get(&self, peer: &PublicKey) -> Option<&Peer> {
        self.by_key.get(peer)
    }

    pub(crate) fn get_mut(&mut self, peer: &PublicKey) -> Option<&mut Peer> {
        self.by_key.get_mut(peer)
    }

    pub(crate) fn is_connected(&self, validator: &PublicKey) -> bool {
        self.by_key.values().any(|p| p.validator.as_ref() == Some(validator))
    }

    /// True when a connected peer with this consensus key told its height.
    pub(crate) fn has_told_height(&self, validator: &PublicKey) -> bool {
        self.by_key.values().any(|p| p.validator.as_ref() == Some(validator) && p.height.is_some())
    }

    /// Node keys of connected validators.
    pub(crate) fn validators(&self) -> Vec<PublicKey> {
        self.by_key.iter().filter(|(_, p)| p.validator.is_some()).map(|(key, _)| *key).collect()
    }

    /// Node keys of all.
    pub(crate) fn all(&self) -> Vec<PublicKey> {
        self.by_key.keys().copied().collect()
    }

    /// The highest tip that any told.
    pub(crate) fn height_max(&self) -> Option<Height> {
        self.by_key.values().filter_map(|p| p.height).max()
    }
}
