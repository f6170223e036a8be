//! The way of a peer's messages into the rooms: never waits, bounded per peer in messages and bytes, counted when it drops.

use crate::messages::{Inbound, Inboxes};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use timed_primitives::PublicKey;
use timed_wire::{BlockSyncMessage, ConsensusMessage, MempoolMessage};
use tokio::sync::mpsc;

/// What one peer may have waiting in one room.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    messages: usize,
    /// Unit: bytes on the wire.
    bytes: usize,
}

/// Votes of several heights of a hundred validators, and two blocks under decision of the largest size.
const CONSENSUS: Allowance = Allowance { messages: 1024, bytes: 5 * 1024 * 1024 };
/// Announcements and two answers with transactions of the largest size.
const MEMPOOL: Allowance = Allowance { messages: 256, bytes: 3 * 1024 * 1024 };
/// What a window of sync asks one peer for at a time; a single reply always fits.
const BLOCK_SYNC: Allowance = Allowance { messages: 256, bytes: 16 * 1024 * 1024 };
/// Requests for blocks that may be unanswered; the oldest is forgotten at the bound.
const REQUESTS_MAX: usize = 64;

/// What a peer has waiting in one room.
#[derive(Debug)]
struct Meter {
    allowance: Allowance,
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

impl Meter {
    fn new(allowance: Allowance) -> Arc<Self> {
        Arc::new(Self { allowance, messages: AtomicUsize::new(0), bytes: AtomicUsize::new(0) })
    }

    /// Counts one more message, unless it exceeds the allowance. Only the peer's own thread adds, so the check holds.
    fn take(self: &Arc<Self>, bytes: usize) -> Option<Credit> {
        let messages_after = self.messages.load(Ordering::Acquire) + 1;
        let bytes_after = self.bytes.load(Ordering::Acquire).saturating_add(bytes);
        if messages_after > self.allowance.messages || bytes_after > self.allowance.bytes {
            return None;
        }
        self.messages.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        Some(Credit { meter: self.clone(), bytes })
    }
}

/// Part of a peer's allowance, given back when dropped.
#[derive(Debug)]
pub(crate) struct Credit {
    meter: Arc<Meter>,
    bytes: usize,
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.meter.messages.fetch_sub(1, Ordering::AcqRel);
        self.meter.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Delivery {
    /// The room has it.
    Delivered,
    /// The peer or all peers together have too much waiting: dropped.
    Full,
    /// A reply nobody asked for: dropped.
    Unasked,
}

/// One peer's way into the rooms.
#[derive(Debug)]
pub(crate) struct Inlet {
    peer: PublicKey,
    inboxes: Inboxes,
    consensus: Arc<Meter>,
    mempool: Arc<Meter>,
    block_sync: Arc<Meter>,
}

impl Inlet {
    pub(crate) fn new(peer: PublicKey, inboxes: Inboxes) -> Self {
        Self {
            peer,
            inboxes,
            consensus: Meter::new(CONSENSUS),
            mempool: Meter::new(MEMPOOL),
            block_sync: Meter::new(BLOCK_SYNC),
        }
    }

    pub(crate) fn consensus(&self, message: ConsensusMessage, bytes: usize) -> Delivery {
        deliver(&self.inboxes.consensus, &self.consensus, self.peer, message, bytes)
    }

    pub(crate) fn mempool(&self, message: MempoolMessage, bytes: usize) -> Delivery {
        deliver(&self.inboxes.mempool, &self.mempool, self.peer, message, bytes)
    }

    pub(crate) fn block_sync(&self, message: BlockSyncMessage, bytes: usize) -> Delivery {
        deliver(&self.inboxes.block_sync, &self.block_sync, self.peer, message, bytes)
    }
}

fn deliver<M>(
    inbox: &mpsc::Sender<Inbound<M>>,
    meter: &Arc<Meter>,
    peer: PublicKey,
    message: M,
    bytes: usize,
) -> Delivery {
    let Some(credit) = meter.take(bytes) else { return Delivery::Full };
    match inbox.try_send(Inbound::counted(peer, message, credit)) {
        Ok(()) => Delivery::Delivered,
        Err(_) => Delivery::Full,
    }
}

/// What a peer owes us: blocks that we asked it for, by request. Bound: 64 requests.
#[derive(Debug, Default)]
pub(crate) struct Owed(BTreeMap<u64, u16>);

impl Owed {
    /// We ask for `count` blocks.
    pub(crate) fn on_request(&mut self, request: u64, count: u16) {
        self.0.insert(request, count);
        if self.0.len() > REQUESTS_MAX {
            self.0.pop_first();
        }
    }

    /// A reply came: true when it was asked for.
    pub(crate) fn on_reply(&mut self, message: &BlockSyncMessage) -> bool {
        match message {
            BlockSyncMessage::Decided { request, .. } => match self.0.get_mut(request) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    true
                }
                _ => false,
            },
            BlockSyncMessage::End { request, .. } => self.0.remove(request).is_some(),
            BlockSyncMessage::Status { .. } | BlockSyncMessage::GetBlocks { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_wire::sample;

    #[test]
    fn a_peer_is_bounded_in_messages_and_bytes_and_gets_its_allowance_back() {
        let (inboxes, mut outlets) = Inboxes::bounded();
        let inlet = Inlet::new(PublicKey([1; 32]), inboxes.clone());
        let other = Inlet::new(PublicKey([2; 32]), inboxes);
        let vote = || ConsensusMessage::Vote(sample::opaque(10));
        let delivered = (0..5000).filter(|_| inlet.consensus(vote(), 100) == Delivery::Delivered).count();
        assert_eq!(delivered, CONSENSUS.messages);
        assert_eq!(other.consensus(vote(), 100), Delivery::Delivered, "another peer is not affected");
        drop(outlets.consensus.try_recv().unwrap());
        assert_eq!(inlet.consensus(vote(), 100), Delivery::Delivered);
        let block = || BlockSyncMessage::Status { height: 0, earliest: 0 };
        let delivered = (0..100).filter(|_| inlet.block_sync(block(), 2_000_000) == Delivery::Delivered).count();
        assert_eq!(delivered, BLOCK_SYNC.bytes / 2_000_000);
    }

    #[test]
    fn the_channel_of_all_peers_is_bounded_too() {
        let (inboxes, _outlets) = Inboxes::bounded();
        let mut delivered = 0;
        for peer in 0..10 {
            let inlet = Inlet::new(PublicKey([peer; 32]), inboxes.clone());
            delivered += (0..1024)
                .filter(|_| inlet.consensus(ConsensusMessage::Vote(sample::opaque(1)), 1) == Delivery::Delivered)
                .count();
        }
        assert_eq!(delivered, 4096);
    }

    #[test]
    fn blocks_nobody_asked_for_are_not_owed() {
        let mut owed = Owed::default();
        let decided = |request| BlockSyncMessage::Decided {
            request,
            height: 1,
            certificate: sample::opaque(0),
            block: sample::opaque(0),
        };
        assert!(!owed.on_reply(&decided(1)));
        owed.on_request(1, 2);
        assert!(owed.on_reply(&decided(1)) && owed.on_reply(&decided(1)));
        assert!(!owed.on_reply(&decided(1)));
        assert!(owed.on_reply(&BlockSyncMessage::End { request: 1, sent: 2 }));
        assert!(!owed.on_reply(&BlockSyncMessage::End { request: 1, sent: 2 }));
        (0..1000).for_each(|request| owed.on_request(request, 1));
        assert_eq!(owed.0.len(), REQUESTS_MAX);
    }
}
