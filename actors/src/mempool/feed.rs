//! What happens in the pool, for whoever follows it: published, so that the mempool waits for nobody.

use std::sync::Arc;
use timed_chain::PoolTransaction;
use timed_mempool::{Pool, PoolEvent};
use tokio::sync::broadcast;

/// Most batches that a follower may have unread. Above it the oldest is lost for it, which it learns; a batch is what one message to the mempool
/// brought about.
const BATCHES_MAX: usize = 1_024;

/// Something happened in the pool.
#[derive(Clone, Debug)]
pub struct PoolNews {
    /// What.
    pub event: PoolEvent,
    /// The transaction that entered, if it has not left since.
    pub transaction: Option<Arc<PoolTransaction>>,
}

/// What one message to the mempool brought about, in order.
pub type PoolNewsBatch = Arc<[PoolNews]>;

/// Where the pool's news can be followed. Cheap to clone; costs next to nothing while nobody follows.
#[derive(Clone, Debug)]
pub struct PoolFeed {
    sender: broadcast::Sender<PoolNewsBatch>,
}

impl PoolFeed {
    pub(super) fn new() -> Self {
        Self { sender: broadcast::Sender::new(BATCHES_MAX) }
    }

    /// All news from now on. Who reads too slowly is answered how many batches are lost.
    pub fn subscribe(&self) -> broadcast::Receiver<PoolNewsBatch> {
        self.sender.subscribe()
    }

    /// Takes what happened out of the pool, and sends it to those who follow.
    pub(super) fn publish(&self, pool: &mut Pool) {
        let events = pool.take_events();
        if events.is_empty() || self.sender.receiver_count() == 0 {
            return;
        }
        let news = |event| {
            let transaction = match &event {
                PoolEvent::Accepted { txid, .. } => pool.transaction(txid).cloned(),
                PoolEvent::Removed(_) | PoolEvent::Resource { .. } | PoolEvent::Conflict(_) => None,
            };
            PoolNews { event, transaction }
        };
        // The last follower may have just left.
        let _ = self.sender.send(events.into_iter().map(news).collect());
    }
}
