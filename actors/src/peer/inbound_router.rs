//! Routes a peer's messages to the actors: never waits, bounded per peer in messages and bytes, counted when it drops.

use crate::credit::{Allowance, Meter};
use crate::messages::{Inbound, Inboxes};
use std::sync::Arc;
use timed_primitives::PublicKey;
use timed_wire::{ApplicationMessage, BlockSyncMessage, ConsensusMessage, MempoolMessage};
use tokio::sync::mpsc;

/// Votes of several heights of a hundred validators, and two blocks under decision of the largest size.
const CONSENSUS: Allowance = Allowance { messages: 1024, bytes: 5 * 1024 * 1024 };
/// Announcements and two answers with transactions of the largest size.
const MEMPOOL: Allowance = Allowance { messages: 256, bytes: 3 * 1024 * 1024 };
/// What a window of sync asks one peer for at a time; a single reply always fits.
const BLOCK_SYNC: Allowance = Allowance { messages: 256, bytes: 16 * 1024 * 1024 };
/// Messages of an application of its own: a burst of small ones, or some dozens of the largest.
const APPLICATION: Allowance = Allowance { messages: 256, bytes: 2 * 1024 * 1024 };
/// Whose message it is.
#[derive(Clone, Copy)]
pub(super) enum InboundChannel {
    Consensus,
    Mempool,
    BlockSync,
    Application,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum DeliveryOutcome {
    /// The actor has it.
    Delivered,
    /// The peer or all peers together have too much waiting: dropped.
    Full,
    /// A reply nobody asked for: dropped.
    Unasked,
}

/// One peer's entry to the actors.
#[derive(Debug)]
pub(crate) struct InboundRouter {
    peer: PublicKey,
    inboxes: Inboxes,
    consensus: Arc<Meter>,
    mempool: Arc<Meter>,
    block_sync: Arc<Meter>,
    application: Arc<Meter>,
}

impl InboundRouter {
    pub(crate) fn new(peer: PublicKey, inboxes: Inboxes) -> Self {
        Self {
            peer,
            inboxes,
            consensus: Meter::new(CONSENSUS),
            mempool: Meter::new(MEMPOOL),
            block_sync: Meter::new(BLOCK_SYNC),
            application: Meter::new(APPLICATION),
        }
    }

    pub(crate) fn consensus(&self, message: ConsensusMessage, bytes: usize) -> DeliveryOutcome {
        deliver(&self.inboxes.consensus, &self.consensus, self.peer, message, bytes)
    }

    pub(crate) fn mempool(&self, message: MempoolMessage, bytes: usize) -> DeliveryOutcome {
        deliver(&self.inboxes.mempool, &self.mempool, self.peer, message, bytes)
    }

    pub(crate) fn block_sync(&self, message: BlockSyncMessage, bytes: usize) -> DeliveryOutcome {
        deliver(&self.inboxes.block_sync, &self.block_sync, self.peer, message, bytes)
    }

    pub(crate) fn application(&self, message: ApplicationMessage, bytes: usize) -> DeliveryOutcome {
        deliver(&self.inboxes.application, &self.application, self.peer, message, bytes)
    }
}

fn deliver<M>(
    inbox: &mpsc::Sender<Inbound<M>>,
    meter: &Arc<Meter>,
    peer: PublicKey,
    message: M,
    bytes: usize,
) -> DeliveryOutcome {
    let Some(credit) = meter.take(bytes) else { return DeliveryOutcome::Full };
    match inbox.try_send(Inbound::counted(peer, message, credit)) {
        Ok(()) => DeliveryOutcome::Delivered,
        Err(_) => DeliveryOutcome::Full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_wire::sample;

    #[test]
    fn a_peer_is_bounded_in_messages_and_bytes_and_gets_its_allowance_back() {
        let (inboxes, mut outlets) = Inboxes::bounded();
        let router = InboundRouter::new(PublicKey([1; 32]), inboxes.clone());
        let other = InboundRouter::new(PublicKey([2; 32]), inboxes);
        let vote = || ConsensusMessage::Vote(sample::opaque(10));
        let delivered = (0..5000).filter(|_| router.consensus(vote(), 100) == DeliveryOutcome::Delivered).count();
        assert_eq!(delivered, CONSENSUS.messages);
        assert_eq!(other.consensus(vote(), 100), DeliveryOutcome::Delivered, "another peer is not affected");
        drop(outlets.consensus.try_recv().unwrap());
        assert_eq!(router.consensus(vote(), 100), DeliveryOutcome::Delivered);
        let block = || BlockSyncMessage::Status { height: 0, earliest: 0 };
        let delivered =
            (0..100).filter(|_| router.block_sync(block(), 2_000_000) == DeliveryOutcome::Delivered).count();
        assert_eq!(delivered, BLOCK_SYNC.bytes / 2_000_000);
    }

    #[test]
    fn the_channel_of_all_peers_is_bounded_too() {
        let (inboxes, _outlets) = Inboxes::bounded();
        let mut delivered = 0;
        for peer in 0..10 {
            let router = InboundRouter::new(PublicKey([peer; 32]), inboxes.clone());
            delivered += (0..1024)
                .filter(|_| {
                    router.consensus(ConsensusMessage::Vote(sample::opaque(1)), 1) == DeliveryOutcome::Delivered
                })
                .count();
        }
        assert_eq!(delivered, 4096);
    }
}
