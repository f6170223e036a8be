//! Shared by the tests.

mod network;
mod transcript;

use crate::{BlockSync, SyncAction, SyncLimits};
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
    BlockSync::new(SyncLimits::default(), Height(tip))
}

/// Requests among the actions: (peer, number, first height, count).
pub(crate) fn requests(actions: &[SyncAction<u64>]) -> Vec<(PublicKey, u64, u64, u16)> {
    let request = |action: &SyncAction<u64>| match action {
        SyncAction::Request { to, request, from, count } => Some((*to, *request, from.0, *count)),
        SyncAction::Deliver { .. } | SyncAction::Blame { .. } => None,
    };
    actions.iter().filter_map(request).collect()
}

/// Heights handed on by the actions.
pub(crate) fn delivered(actions: &[SyncAction<u64>]) -> Vec<u64> {
    let items = |action: &SyncAction<u64>| match action {
        SyncAction::Deliver { items, .. } => items.iter().map(|delivery| delivery.height.0).collect(),
        SyncAction::Request { .. } | SyncAction::Blame { .. } => Vec::new(),
    };
    actions.iter().flat_map(items).collect()
}
