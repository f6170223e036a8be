//! Who is subscribed to what, and what waits for whom. Knows no socket, no runtime and no clock.
//!
//! | phase of a subscription | begins with | what it gets | ends with |
//! |---|---|---|---|
//! | replaying | `subscribe` with `after` | final events, page by page from the block log | the last block |
//! | awaiting | the end of that, or `subscribe` | final events as they happen | what there is now is known |
//! | live | what there is now, and `caught_up` | all events as they happen | `unsubscribe`, or the end of the connection |
//!
//! Bounds are those of [`EventLimits`]. A client for which more waits than may is ended, and nobody else waits for it.

mod changes;

use super::bodies;
use super::cursor::EventCursor;
use super::limits::EventLimits;
use super::matching::events_of_waiting;
use super::node_event::{ConsensusStep, MasternodeState, PeerUpState};
use super::parts::EventBody;
use super::subscriber::{CallBudget, CallVerdict, EventQueue, LifeCheck, LifeSigns, SubscriberEnd};
use super::topic::{BlockDetail, EventFilter, Topic, TopicSet};
use super::waiting::PooledPayments;
use crate::error::RpcError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use timed_ledger::{KeyHash, OutPoint, RegistrationId};
use timed_primitives::{Height, Network};

/// Number of a connection, in order of time.
pub(crate) type SubscriberId = u64;
/// Number of a subscription, in order of time over all connections.
pub(crate) type SubscriptionId = u64;
type SubscriptionKey = (SubscriberId, SubscriptionId);

/// How far a subscription has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubscriptionPhase {
    Replaying,
    Awaiting,
    Live,
}

struct Subscription {
    filter: Arc<EventFilter>,
    phase: SubscriptionPhase,
    /// The first block that it was not sent.
    next: Height,
    /// What it has had of the chain; only what is above is sent.
    after: EventCursor,
    /// Of the last event.
    sequence: u64,
}

struct Subscriber {
    queue: EventQueue,
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    /// Addresses and outputs of all its subscriptions.
    size: usize,
    budget: CallBudget,
    life: LifeSigns,
    end: Option<SubscriberEnd>,
}

/// What is to be read again for a subscription.
#[derive(Clone, Debug)]
pub(crate) struct ReplayTask {
    pub(crate) subscription: SubscriptionId,
    pub(crate) filter: Arc<EventFilter>,
    /// The first block.
    pub(crate) first: Height,
    /// What it has had.
    pub(crate) after: EventCursor,
}

/// As many clients subscribe as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManySubscribers(pub(crate) usize);

/// All connections and what they are subscribed to.
pub(crate) struct Subscriptions {
    limits: EventLimits,
    network: Network,
    subscribers: BTreeMap<SubscriberId, Subscriber>,
    next_subscriber: SubscriberId,
    next_subscription: SubscriptionId,
    /// Whom an address or an output concerns.
    owners: HashMap<KeyHash, BTreeSet<SubscriptionKey>>,
    outpoints: HashMap<OutPoint, BTreeSet<SubscriptionKey>>,
    /// Those that are about the node's wallet.
    of_wallet: BTreeSet<SubscriptionKey>,
    by_topic: BTreeMap<Topic, BTreeSet<SubscriptionKey>>,
    /// Bytes that wait for all.
    queued_bytes: usize,
    /// Of the last block that was sent to those that are live.
    height: Height,
    pool: PooledPayments,
    peers: Option<BTreeMap<u64, PeerUpState>>,
    consensus: Option<ConsensusStep>,
    masternodes: Option<BTreeMap<RegistrationId, MasternodeState>>,
    /// For whom something is new.
    woken: BTreeSet<SubscriberId>,
    ends: BTreeMap<SubscriberEnd, u64>,
    events: u64,
}

impl Subscriptions {
    pub(crate) fn new(limits: EventLimits, network: Network, height: Height) -> Self {
        Self {
            limits,
            network,
            subscribers: BTreeMap::new(),
            next_subscriber: 0,
            next_subscription: 1,
            owners: HashMap::new(),
            outpoints: HashMap::new(),
            of_wallet: BTreeSet::new(),
            by_topic: BTreeMap::new(),
            queued_bytes: 0,
            height,
            pool: PooledPayments::default(),
            peers: None,
            consensus: None,
            masternodes: None,
            woken: BTreeSet::new(),
            ends: BTreeMap::new(),
            events: 0,
        }
    }

    pub(crate) fn height(&self) -> Height {
        self.height
    }

    /// How much of blocks is wanted, by those who are subscribed to them.
    pub(crate) fn wanted_details(&self) -> BTreeSet<BlockDetail> {
        let of =
            |(id, number): &SubscriptionKey| Some(self.subscribers.get(id)?.subscriptions.get(number)?.filter.detail);
        self.by_topic.get(&Topic::Blocks).into_iter().flatten().filter_map(of).collect()
    }

    /// How many are connected.
    pub(crate) fn count(&self) -> usize {
        self.subscribers.len()
    }

    /// How many were ended for this reason.
    pub(crate) fn ended(&self, end: SubscriberEnd) -> u64 {
        self.ends.get(&end).copied().unwrap_or_default()
    }

    /// Events so far, counted for each subscription.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// What somebody is subscribed to.
    pub(crate) fn wanted(&self) -> TopicSet {
        self.by_topic.keys().fold(TopicSet::default(), |set, topic| set.with(*topic))
    }

    /// For whom something is new since the last time.
    pub(crate) fn take_woken(&mut self) -> BTreeSet<SubscriberId> {
        std::mem::take(&mut self.woken)
    }

    /// A client has connected.
    ///
    /// # Errors
    /// When as many are connected as may be.
    pub(crate) fn on_connect(&mut self, now: Duration) -> Result<SubscriberId, TooManySubscribers> {
        if self.subscribers.len() >= self.limits.subscribers_max {
            return Err(TooManySubscribers(self.limits.subscribers_max));
        }
        let id = self.next_subscriber;
        self.next_subscriber += 1;
        let subscriber = Subscriber {
            queue: EventQueue::default(),
            subscriptions: BTreeMap::new(),
            size: 0,
            budget: CallBudget::new(now, &self.limits),
            life: LifeSigns::new(now),
            end: None,
        };
        self.subscribers.insert(id, subscriber);
        Ok(id)
    }

    /// Its connection has ended.
    pub(crate) fn on_disconnect(&mut self, id: SubscriberId) {
        self.clear(id);
        self.subscribers.remove(&id);
    }

    /// Something came from it.
    pub(crate) fn on_frame(&mut self, now: Duration, id: SubscriberId) {
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.life.on_frame(now);
        }
    }

    /// Returns whether to send it a ping. One that is silent for too long is ended.
    pub(crate) fn on_tick(&mut self, now: Duration, id: SubscriberId) -> bool {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return false };
        match subscriber.life.on_tick(now, &self.limits) {
            LifeCheck::Nothing => false,
            LifeCheck::Ping => true,
            LifeCheck::End => {
                self.end(id, SubscriberEnd::Silent);
                false
            }
        }
    }

    /// It makes a call.
    ///
    /// # Errors
    /// That it makes too many. Who goes on is ended.
    pub(crate) fn on_call(&mut self, now: Duration, id: SubscriberId) -> Result<(), RpcError> {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return Ok(()) };
        match subscriber.budget.on_call(now, &self.limits) {
            CallVerdict::Allowed => Ok(()),
            CallVerdict::Refused { retry_after } => Err(RpcError::TooManyCalls { retry_after }),
            CallVerdict::End => {
                self.end(id, SubscriberEnd::TooManyCalls);
                Err(RpcError::TooManyCalls { retry_after: self.limits.call_every })
            }
        }
    }

    /// A new subscription, from what comes after `after` on, which must be of a block that can be read: from `lowest` to `tip`.
    ///
    /// # Errors
    /// When it has too many, or there is no such block.
    pub(crate) fn subscribe(
        &mut self,
        id: SubscriberId,
        filter: EventFilter,
        after: Option<EventCursor>,
        (lowest, tip): (Height, Height),
    ) -> Result<SubscriptionId, RpcError> {
        let size = filter.size();
        let limits = &self.limits;
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return Err(RpcError::NotOffered) };
        let count = subscriber.subscriptions.len() + 1;
        if count > limits.subscriptions_max {
            return Err(RpcError::TooLarge {
                what: "the number of subscriptions",
                size: count,
                max: limits.subscriptions_max,
            });
        }
        let whole = subscriber.size + size;
        if whole > limits.subscriber_addresses_max {
            let max = limits.subscriber_addresses_max;
            return Err(RpcError::TooLarge { what: "the number of addresses of this connection", size: whole, max });
        }
        if let Some(after) = after.filter(|after| after.height > tip || after.next_block() < lowest) {
            return Err(RpcError::EventsUnknown { height: after.height, lowest, tip });
        }
        subscriber.size = whole;
        let number = self.next_subscription;
        self.next_subscription += 1;
        let (phase, next) = match after {
            Some(after) => (SubscriptionPhase::Replaying, after.next_block()),
            None => (SubscriptionPhase::Awaiting, self.height.next()),
        };
        let after = after.unwrap_or(EventCursor::of_block(self.height));
        let key = (id, number);
        for owner in &filter.owners {
            self.owners.entry(*owner).or_default().insert(key);
        }
        for outpoint in &filter.outpoints {
            self.outpoints.entry(*outpoint).or_default().insert(key);
        }
        if filter.wallet {
            self.of_wallet.insert(key);
        }
        self.by_topic.entry(filter.topic).or_default().insert(key);
        let subscription = Subscription { filter: Arc::new(filter), phase, next, after, sequence: 0 };
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.subscriptions.insert(number, subscription);
        }
        self.advance(key);
        self.woken.insert(id);
        Ok(number)
    }

    /// Ends a subscription. Returns whether there was one of this number.
    pub(crate) fn unsubscribe(&mut self, id: SubscriberId, number: SubscriptionId) -> bool {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return false };
        let Some(subscription) = subscriber.subscriptions.remove(&number) else { return false };
        let (key, filter) = ((id, number), subscription.filter);
        subscriber.size -= filter.size();
        for owner in &filter.owners {
            remove_from(&mut self.owners, owner, &key);
        }
        for outpoint in &filter.outpoints {
            remove_from(&mut self.outpoints, outpoint, &key);
        }
        self.of_wallet.remove(&key);
        if let Some(keys) = self.by_topic.get_mut(&filter.topic) {
            keys.remove(&key);
            if keys.is_empty() {
                self.by_topic.remove(&filter.topic);
            }
        }
        true
    }

    /// The connection must be closed for this reason.
    pub(crate) fn end_of(&self, id: SubscriberId) -> Option<SubscriberEnd> {
        self.subscribers.get(&id)?.end
    }

    /// All must be closed.
    pub(crate) fn end_all(&mut self, end: SubscriberEnd) {
        let ids: Vec<SubscriberId> = self.subscribers.keys().copied().collect();
        for id in ids {
            self.end(id, end);
        }
    }

    /// Ends a client: nothing more waits for it.
    pub(crate) fn end(&mut self, id: SubscriberId, end: SubscriberEnd) {
        let Some(subscriber) = self.subscribers.get_mut(&id).filter(|subscriber| subscriber.end.is_none()) else {
            return;
        };
        subscriber.end = Some(end);
        *self.ends.entry(end).or_default() += 1;
        self.clear(id);
        self.woken.insert(id);
    }

    fn clear(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
        self.queued_bytes -= subscriber.queue.bytes();
        subscriber.queue.clear();
        let numbers: Vec<SubscriptionId> = subscriber.subscriptions.keys().copied().collect();
        for number in numbers {
            self.unsubscribe(id, number);
        }
    }

    /// What is to be sent next, up to so many bytes and one event at least, if there is one. Unit: bytes.
    pub(crate) fn take(&mut self, id: SubscriberId, bytes_max: usize) -> Vec<String> {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return Vec::new() };
        let (mut taken, mut bytes) = (Vec::new(), 0);
        let before = subscriber.queue.bytes();
        while bytes < bytes_max
            && let Some(text) = subscriber.queue.pop()
        {
            bytes += text.len();
            taken.push(text);
        }
        self.queued_bytes -= before - subscriber.queue.bytes();
        taken
    }

    /// The first subscription of a client whose past is to be read, while there is room for it.
    pub(crate) fn next_replay(&self, id: SubscriberId) -> Option<ReplayTask> {
        let subscriber = self.subscribers.get(&id)?;
        let limits = &self.limits;
        let has_room = subscriber.queue.bytes() <= limits.queue_bytes_max / 4
            && subscriber.queue.len() <= limits.queue_events_max / 4
            && self.queued_bytes <= limits.all_bytes_max / 2;
        let is_replaying = |one: &&Subscription| one.phase == SubscriptionPhase::Replaying;
        let (number, subscription) = subscriber.subscriptions.iter().find(|(_, one)| is_replaying(one))?;
        has_room.then(|| ReplayTask {
            subscription: *number,
            filter: subscription.filter.clone(),
            first: subscription.next,
            after: subscription.after,
        })
    }

    /// A page was read: `next` is the first block that was not.
    pub(crate) fn on_replayed(
        &mut self,
        id: SubscriberId,
        number: SubscriptionId,
        events: Vec<(EventCursor, EventBody)>,
        next: Height,
    ) {
        let key = (id, number);
        for (cursor, body) in events {
            self.push(key, Some(cursor), body);
        }
        if let Some(subscription) = self.subscription(key) {
            subscription.next = next;
            subscription.after = EventCursor::of_block(Height(next.0.saturating_sub(1)));
        }
        self.advance(key);
        self.woken.insert(id);
    }

    /// Moves a subscription on when it has all of its phase.
    fn advance(&mut self, key: SubscriptionKey) {
        let height = self.height;
        let Some(subscription) = self.subscription(key) else { return };
        if subscription.phase == SubscriptionPhase::Replaying && subscription.next > height {
            subscription.phase = SubscriptionPhase::Awaiting;
        }
        if subscription.phase != SubscriptionPhase::Awaiting {
            return;
        }
        let filter = subscription.filter.clone();
        let Some(bodies) = self.present(&filter) else { return };
        if let Some(subscription) = self.subscription(key) {
            subscription.phase = SubscriptionPhase::Live;
        }
        for body in bodies {
            self.push(key, None, body);
        }
        self.push(key, None, bodies::caught_up(filter.topic, height));
    }

    /// What there is now for a subscription; `None` while that is not known.
    fn present(&self, filter: &EventFilter) -> Option<Vec<EventBody>> {
        let height = self.height;
        match filter.topic {
            Topic::Blocks => Some(Vec::new()),
            Topic::Payments | Topic::Outputs => self.pool.is_known().then(|| {
                let waiting = self.pool.of(filter);
                waiting.iter().flat_map(|payment| events_of_waiting(self.network, height, payment, filter)).collect()
            }),
            Topic::Peers => Some(self.peers.as_ref()?.values().map(|peer| bodies::peer_up(height, peer)).collect()),
            Topic::Consensus => Some(vec![bodies::consensus(self.consensus.as_ref()?)]),
            Topic::Masternodes => {
                let all = self.masternodes.as_ref()?.values();
                Some(all.map(|one| bodies::masternode(height, None, Some(one))).collect())
            }
        }
    }

    fn subscription(&mut self, (id, number): SubscriptionKey) -> Option<&mut Subscription> {
        self.subscribers.get_mut(&id)?.subscriptions.get_mut(&number)
    }

    /// Puts an event into the queue of its client. `cursor` is that of an event of the chain; others repeat where the subscription is.
    fn push(&mut self, (id, number): SubscriptionKey, cursor: Option<EventCursor>, body: EventBody) {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
        let Some(subscription) = subscriber.subscriptions.get_mut(&number) else { return };
        if cursor.is_some_and(|cursor| cursor <= subscription.after) {
            return;
        }
        if let Some(cursor) = cursor {
            subscription.after = cursor;
        }
        subscription.sequence += 1;
        let head = format!(
            r#"{{"jsonrpc":"2.0","method":"event","params":{{"subscription":{number},"seq":{},"cursor":"{}","#,
            subscription.sequence, subscription.after
        );
        let before = subscriber.queue.bytes();
        subscriber.queue.push(head, body);
        self.queued_bytes += subscriber.queue.bytes() - before;
        self.events += 1;
        self.woken.insert(id);
        let limits = &self.limits;
        if subscriber.queue.len() > limits.queue_events_max || subscriber.queue.bytes() > limits.queue_bytes_max {
            self.end(id, SubscriberEnd::SlowReader);
        } else if self.queued_bytes > limits.all_bytes_max {
            let most = self.subscribers.iter().max_by_key(|(id, subscriber)| (subscriber.queue.bytes(), **id));
            if let Some(id) = most.map(|(id, _)| *id) {
                self.end(id, SubscriberEnd::Overfull);
            }
        }
    }

    /// The live and awaiting subscriptions of a topic.
    fn keys_of(&self, topic: Topic) -> Vec<SubscriptionKey> {
        self.by_topic.get(&topic).into_iter().flatten().copied().collect()
    }
}

fn remove_from<K: std::hash::Hash + Eq>(
    map: &mut HashMap<K, BTreeSet<SubscriptionKey>>,
    of: &K,
    key: &SubscriptionKey,
) {
    if let Some(keys) = map.get_mut(of) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(of);
        }
    }
}

#[cfg(test)]
mod tests;
