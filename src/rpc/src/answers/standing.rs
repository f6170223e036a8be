//! Which masternode is this node's, and how one stands among the others.

use crate::error::RpcError;
use crate::node::NodeApi;
use timed_ledger::{Masternode, MasternodeList, RegistrationId};

/// A masternode and its place among those with a claim to vote, from 1.
pub(super) struct Standing<'a> {
    pub(super) one: &'a Masternode,
    pub(super) place: Option<usize>,
}

/// The masternode with this node's own consensus key.
pub(super) fn own(node: &dyn NodeApi, list: &MasternodeList) -> Result<RegistrationId, RpcError> {
    let none = |why: String| Err(RpcError::InvalidParameter(why));
    let Some(key) = node.consensus_key() else {
        return none("this node has no consensus key: name a masternode; `masternodelist` lists all".into());
    };
    match list.of_operator(&key) {
        Some(one) => Ok(one.id),
        None => none(format!(
            "no masternode has this node's consensus key {key}: name one, or register it (`protx register_prepare`)"
        )),
    }
}
