//! A node of a test network, before its files are written.

use timed_primitives::SecretKey;

/// One node to be.
pub(super) struct TestnetMember {
    /// Its folder, its service, and its name in the containers' network.
    pub(super) name: String,
    /// What it is, for people.
    pub(super) title: String,
    pub(super) p2p_port: u16,
    pub(super) rpc_port: u16,
    pub(super) node_key: SecretKey,
    /// Only a masternode has them.
    pub(super) masternode: Option<MasternodeKeys>,
    pub(super) wallet_key: SecretKey,
}

/// The keys of a masternode.
pub(super) struct MasternodeKeys {
    /// Votes; the only one that the node has.
    pub(super) consensus: SecretKey,
    /// Signs what concerns money and keys.
    pub(super) owner: SecretKey,
    /// Owns what is locked.
    pub(super) collateral: SecretKey,
}
