//! The subscriptions with their clock, their clients and the node: what happens is reported to it, and clients are woken.

use super::cursor::EventCursor;
use super::limits::EventLimits;
use super::matching::{block_body, events_of_block};
use super::node_event::{EventsApi, FinalBlock, NodeEvent, PoolChange, WaitingPayment};
use super::parts::{EventBody, PaymentParts, PreparedBlock};
use super::subscriber::SubscriberEnd;
use super::subscriptions::{ReplayTask, SubscriberId, Subscriptions, TooManySubscribers};
use super::topic::{Topic, TopicSet};
use crate::error::RpcError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timed_ledger::{KeyHash, Transaction};
use timed_primitives::{BlockId, Hash, Height, Network};
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio::time::Instant;

/// Blocks that are read at once for those who are live. Unit: bytes.
const LIVE_PAGE_BYTES: usize = 4 << 20;
/// The same in blocks.
const LIVE_PAGE_BLOCKS: usize = 64;

/// Shared by all clients of `/ws`, and by the thread that follows the node.
pub(crate) struct EventHub {
    api: Arc<dyn EventsApi>,
    limits: EventLimits,
    network: Network,
    /// Of the genesis, of which ids of payouts are made.
    genesis: Hash,
    inner: Mutex<HubInner>,
    wanted: watch::Sender<TopicSet>,
    /// Places for those whose past is read.
    pub(crate) replays: Semaphore,
    /// A client has left.
    left: Notify,
    start: Instant,
}

struct HubInner {
    table: Subscriptions,
    /// Bound: that of the table.
    wakes: BTreeMap<SubscriberId, Arc<Notify>>,
}

/// A client of the hub, for as long as this is there.
pub(crate) struct ConnectedClient {
    pub(crate) hub: Arc<EventHub>,
    pub(crate) id: SubscriberId,
    /// Something is new for it.
    pub(crate) wake: Arc<Notify>,
}

impl Drop for ConnectedClient {
    fn drop(&mut self) {
        self.hub.with(|table, _| table.on_disconnect(self.id));
        self.hub.lock_wakes(|wakes| drop(wakes.remove(&self.id)));
        self.hub.left.notify_waiters();
    }
}

impl EventHub {
    pub(crate) fn new(api: Arc<dyn EventsApi>, limits: EventLimits, network: Network, genesis: Hash) -> Self {
        let (_, tip) = api.heights();
        let table = Subscriptions::new(limits.clone(), network, tip);
        let (wanted, _) = watch::channel(TopicSet::default());
        let replays = Semaphore::new(limits.replays_max);
        let inner = Mutex::new(HubInner { table, wakes: BTreeMap::new() });
        Self { api, limits, network, genesis, inner, wanted, replays, left: Notify::new(), start: Instant::now() }
    }

    pub(crate) fn api(&self) -> &Arc<dyn EventsApi> {
        &self.api
    }

    pub(crate) fn limits(&self) -> &EventLimits {
        &self.limits
    }

    pub(crate) fn network(&self) -> Network {
        self.network
    }

    /// Uses the table, and wakes those for whom something is new then. The lock is held for that long, and never across a wait.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Subscriptions, Duration) -> T) -> T {
        let now = self.start.elapsed();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut inner.table, now);
        for id in inner.table.take_woken() {
            if let Some(wake) = inner.wakes.get(&id) {
                wake.notify_one();
            }
        }
        let wanted = inner.table.wanted();
        self.wanted.send_if_modified(|known| std::mem::replace(known, wanted) != wanted);
        result
    }

    fn lock_wakes<T>(&self, act: impl FnOnce(&mut BTreeMap<SubscriberId, Arc<Notify>>) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner).wakes)
    }

    /// A client connects.
    ///
    /// # Errors
    /// When as many are connected as may be.
    pub(crate) fn connect(self: &Arc<Self>) -> Result<ConnectedClient, TooManySubscribers> {
        let id = self.with(|table, now| table.on_connect(now))?;
        let wake = Arc::new(Notify::new());
        self.lock_wakes(|wakes| wakes.insert(id, wake.clone()));
        Ok(ConnectedClient { hub: self.clone(), id, wake })
    }

    /// Ends all clients, and waits until they are gone.
    pub(crate) async fn stop(&self) {
        self.with(|table, _| table.end_all(SubscriberEnd::Stopping));
        loop {
            let left = self.left.notified();
            if self.with(|table, _| table.count()) == 0 {
                return;
            }
            left.await;
        }
    }

    /// Follows the node on a thread of its own, until the sender that comes back is dropped: taking blocks apart for clients holds up nobody else.
    ///
    /// # Errors
    /// When there is no thread.
    pub(crate) fn follow_on_thread(self: &Arc<Self>) -> std::io::Result<oneshot::Sender<()>> {
        let (end, ended) = oneshot::channel::<()>();
        let hub = self.clone();
        let run = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    tracing::warn!(%error, "events cannot be followed");
                    return hub.with(|table, _| table.end_all(SubscriberEnd::Failed));
                }
            };
            runtime.block_on(async {
                tokio::select! {
                    _ = ended => {}
                    () = hub.follow() => hub.with(|table, _| table.end_all(SubscriberEnd::Failed)),
                }
            });
            // A read that the disk does not answer is not waited for.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("events".into()).spawn(run)?;
        Ok(end)
    }

    async fn follow(&self) {
        let report = |event| self.on_event(event);
        self.api.follow(self.wanted.subscribe(), &report).await;
    }

    fn on_event(&self, event: NodeEvent) {
        match event {
            NodeEvent::Tip(height) => self.read_up_to(height),
            NodeEvent::Pool(waiting) => {
                let parts = |payment: WaitingPayment| (self.parts(&payment.transaction), payment.block);
                let waiting: Vec<(PaymentParts, Option<BlockId>)> = waiting.into_iter().map(parts).collect();
                self.with(|table, _| table.on_pool(waiting));
            }
            NodeEvent::PoolChanges(changes) => {
                let entered = |change: &PoolChange| match change {
                    PoolChange::Entered(transaction) => Some(self.parts(transaction)),
                    PoolChange::Proposed { .. }
                    | PoolChange::WaitsAgain(_)
                    | PoolChange::Included(_)
                    | PoolChange::Declined(_) => None,
                };
                // Taken apart before the lock is taken.
                let parts: Vec<Option<PaymentParts>> = changes.iter().map(entered).collect();
                self.with(|table, _| {
                    for (change, parts) in changes.into_iter().zip(parts) {
                        match (change, parts) {
                            (_, Some(parts)) => table.on_entered(parts, None),
                            (PoolChange::Entered(_), None) => {}
                            (PoolChange::Proposed { txid, block }, None) => table.on_proposed(&txid, Some(block)),
                            (PoolChange::WaitsAgain(txid), None) => table.on_proposed(&txid, None),
                            (PoolChange::Included(txid), None) => table.on_included(&txid),
                            (PoolChange::Declined(declined), None) => table.on_declined(&declined),
                        }
                    }
                });
            }
            NodeEvent::Peers { up, ended } => self.with(|table, _| table.on_peers(up, &ended)),
            NodeEvent::Consensus(step) => self.with(|table, _| table.on_consensus(step)),
            NodeEvent::Masternodes(all) => self.with(|table, _| table.on_masternodes(all)),
            NodeEvent::NotFollowed(Topic::Payments) => self.with(|table, _| table.on_pool_unknown()),
            NodeEvent::NotFollowed(topic) => self.with(|table, _| table.on_unknown(topic)),
        }
    }

    fn parts(&self, transaction: &Transaction) -> PaymentParts {
        PaymentParts::of(transaction, &|owner: &KeyHash| self.api.is_owner_mine(owner))
    }

    fn prepared(&self, block: FinalBlock, with_payments: bool) -> PreparedBlock {
        let is_mine = |owner: &KeyHash| self.api.is_owner_mine(owner);
        PreparedBlock::new(block, self.network, self.genesis, with_payments, &is_mine)
    }

    /// Sends the blocks up to this one to those who want them.
    fn read_up_to(&self, height: Height) {
        loop {
            let next = self.with(|table, _| {
                if table.wanted().needs_blocks() {
                    return (table.height() < height).then(|| table.height().next());
                }
                table.on_height(height);
                None
            });
            let Some(next) = next else { return };
            match self.api.final_blocks(next, LIVE_PAGE_BLOCKS, LIVE_PAGE_BYTES) {
                Ok(blocks) if !blocks.is_empty() => blocks.into_iter().for_each(|block| self.on_block(block)),
                unread => {
                    let error = unread.err().map(|error| error.to_string()).unwrap_or_default();
                    tracing::warn!(height = %next, error, "final blocks cannot be read for those who follow them");
                    // Whoever comes back is sent what is missing, as soon as it can be read.
                    return self.with(|table, _| {
                        table.end_all(SubscriberEnd::Failed);
                        table.on_height(height);
                    });
                }
            }
        }
    }

    fn on_block(&self, block: FinalBlock) {
        let (mut wanted, details) = self.with(|table, _| (table.wanted(), table.wanted_details()));
        loop {
            let prepared = self.prepared(block.clone(), wanted.needs_pool());
            for detail in &details {
                let _made_before_the_lock = block_body(&prepared, *detail);
            }
            let missing = self.with(|table, _| {
                let now = table.wanted();
                if now.needs_pool() && !wanted.needs_pool() {
                    return Some(now);
                }
                table.on_block(&prepared);
                None
            });
            // Somebody has just asked for what is in it.
            let Some(now) = missing else { return };
            wanted = now;
        }
    }

    /// Reads a page for a subscription: its events, and the first block behind it. Waits for the disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn page(&self, task: &ReplayTask) -> Result<(Vec<(EventCursor, EventBody)>, Height), RpcError> {
        let blocks = self.api.final_blocks(task.first, self.limits.page_blocks, self.limits.page_bytes)?;
        let (mut events, mut next) = (Vec::new(), task.first);
        for block in blocks {
            next = block.block.header.height.next();
            let prepared = self.prepared(block, task.filter.topic.is_of_pool());
            events.extend(
                events_of_block(&prepared, &task.filter).into_iter().filter(|(cursor, _)| *cursor > task.after),
            );
        }
        Ok((events, next))
    }
}
