//! Shared by the tests.

mod network;
mod transcript;

use crate::{Action, BlockSync, Limits};
use timed_primitives::{Height, Instant, PublicKey};

pub(crate) type Sync = BlockSync<u64>;

/// Peer `n`.
pub(crate) fn peer(n: u8) -> PublicKey {
    PublicKey([n; 32])
}

pub(crate) fn ms(n: u64) -> Instant {
    Instant(n * 1_000)
}

pub(crate) fn sync(tip: u64) -> Sync {
    BlockSync::new(Limits::default(), Height(tip))
}

/// Requests among the actions: (peer, number, first height, count).
pub(crate) fn requests(actions: &[Action<u64>]) -> Vec<(PublicKey, u64, u64, u16)> {
    let request = |action: &Action<u64>| match action {
        Action::Request { to, request, from, count } => Some((*to, *request, from.0, *count)),
        Action::Deliver { .. } | Action::Blame { .. } => None,
    };
    actions.iter().filter_map(request).collect()
}

/// Heights handed on by the actions.
pub(crate) fn delivered(actions: &[Action<u64>]) -> Vec<u64> {
    let items = |action: &Action<u64>| match action {
        Action::Deliver { items, .. } => items.iter().map(|delivery| delivery.height.0).collect(),
        Action::Request { .. } | Action::Blame { .. } => Vec::new(),
    };
    actions.iter().flat_map(items).collect()
}
