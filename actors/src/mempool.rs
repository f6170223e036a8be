//! The mempool actor: frames and RPC in, signatures checked in batches off this thread, announcements out.

mod admission;
mod answers;
mod asker;
mod feed;
mod gate;
mod jobs;
mod keeping;
mod messages;
mod payloads;
mod restoring;
mod rules;
mod submissions;
mod submit_error;

pub use messages::{
    Accuse, BuildPayload, ChosenPayload, CloseAndKeep, GetEntry, GetFate, KeepStatus, ListConflicts, ListConsumed,
    ListEntries, MempoolStatus, PayloadWaiting, Proposed, Rebuild, ResourceStates, Revalidate, SubscribePayload,
    TestAccept, TransactionFate,
};

pub use feed::{PoolFeed, PoolNews, PoolNewsBatch};
pub use gate::{AdmissionView, SubmissionGate};
pub(crate) use messages::Submit;
pub use submissions::Submissions;
pub use submit_error::SubmitError;

use crate::fatal::FatalHandle;
use crate::finality::{Finality, FinalitySummary};
use crate::ledger::Committed;
use crate::messages::{Delivery, Inbound, PeerDown, PeerUp, Penalize, SendTo};
use crate::network::NetworkHandle;
use crate::threads::{Threads, Work};
use crate::wake_timer::WakeTimer;
use actix::{Actor, AsyncContext, Context, Handler, Recipient, ResponseFuture, StreamHandler};
use admission::USUAL_WEIGHT;
use asker::{Asker, check_fee};
use bytes::Bytes;
use jobs::Jobs;
use keeping::Keeping;
use prometheus_client::metrics::histogram::Histogram;
use restoring::Restoring;
use rules::FatalRules;
use std::collections::BTreeSet;
use std::sync::Arc;
use timed_chain::{Evidence, History, PoolTransaction, TransactionRules, VerifiedTransactions};
use timed_consensus::Payload;
use timed_mempool::{
    Admission, AdmissionLimits, Candidate, CheckQueue, KeptContents, Pool, PoolFile, PoolIndex, PoolLimits, Receipt,
    Reject, Relay, RelayAction, RelayLimits, Source, Suspects,
};
use timed_peer::Offence;
use timed_primitives::{Amount, Clock, Instant, PublicKey, TxFullId, verify_batch};
use timed_wire::MempoolMessage;
use tokio::sync::{mpsc, oneshot, watch};

/// Most bytes sent in answer to one request. Unit: bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Most payload requests waiting for their parent; consensus has one in flight.
const PAYLOADS_MAX: usize = 8;

/// What the actor is made of.
pub struct MempoolParts {
    /// Bounds of the pool.
    pub limits: PoolLimits,
    /// Where what waits is kept over a restart.
    pub file: PoolFile,
    /// What an earlier run left there.
    pub found: KeptContents,
    /// The decided blocks.
    pub history: Arc<dyn History>,
    /// What the application says of transactions.
    pub rules: Arc<dyn TransactionRules>,
    /// Signatures known to be good, shared with the chain.
    pub verified: Arc<VerifiedTransactions>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where signatures are checked.
    pub threads: Threads,
    /// The way to peers.
    pub network: NetworkHandle,
    /// Frames from peers.
    pub inbox: mpsc::Receiver<Inbound<MempoolMessage>>,
    /// Counts how long payments take to be final.
    pub finality: Histogram,
    /// Where the status is published.
    pub status: watch::Sender<Option<MempoolStatus>>,
    /// Ends the process if this actor panics.
    pub fatal: FatalHandle,
}

struct PendingPayload {
    request: BuildPayload,
    answer: oneshot::Sender<ChosenPayload>,
}

/// Keeps transactions until they are decided, and passes them on.
pub struct MempoolActor {
    pool: Pool,
    relay: Relay,
    rules: FatalRules,
    verified: Arc<VerifiedTransactions>,
    clock: Arc<dyn Clock>,
    threads: Threads,
    network: NetworkHandle,
    listeners: Vec<Recipient<PayloadWaiting>>,
    inbox: Option<mpsc::Receiver<Inbound<MempoolMessage>>>,
    status: watch::Sender<Option<MempoolStatus>>,
    queue: CheckQueue<Asker>,
    suspects: Suspects,
    /// Whose signatures are being checked. Bound: one batch.
    checking: Vec<Arc<PoolTransaction>>,
    /// When the next batch of signatures may start.
    next_batch: Instant,
    is_batch_planned: bool,
    /// When the next useful peer may be reported to the manager.
    next_useful: Instant,
    payloads: Vec<PendingPayload>,
    finality: Finality,
    /// Of the last commit; computing it for every event would cost more than the event.
    summary: FinalitySummary,
    admission: Admission,
    gate: Arc<SubmissionGate>,
    jobs: Jobs,
    /// Of peers' transactions, smoothed.
    usual_weight: u64,
    dropped: u64,
    abandoned: u64,
    undecodable: u64,
    /// What listeners know.
    reported_payload: Option<Payload>,
    timer: WakeTimer,
    /// What is to be sent when all messages that are here are handled.
    deliveries: Vec<Delivery>,
    keeping: Keeping,
    restoring: Restoring,
    feed: PoolFeed,
}

impl MempoolActor {
    /// A mempool on top of the chain's tip, empty until what an earlier run left is checked again.
    pub fn new(parts: MempoolParts) -> Self {
        restoring::report_trouble(&parts.found);
        let restoring = Restoring::new(parts.found.waiting, parts.limits.expiry);
        let keeping = Keeping::new(parts.file, parts.found.losses);
        let pool = Pool::new(parts.limits, parts.history.tip().height);
        let gate = Arc::new(SubmissionGate::new(parts.clock.clone()));
        let mut actor = Self {
            pool,
            relay: Relay::new(RelayLimits::default()),
            rules: FatalRules { rules: parts.rules, fatal: parts.fatal },
            verified: parts.verified,
            clock: parts.clock,
            threads: parts.threads,
            network: parts.network,
            listeners: Vec::new(),
            inbox: Some(parts.inbox),
            status: parts.status,
            queue: CheckQueue::default(),
            suspects: Suspects::default(),
            checking: Vec::new(),
            next_batch: Instant::default(),
            is_batch_planned: false,
            next_useful: Instant::default(),
            payloads: Vec::new(),
            finality: Finality::new(parts.finality),
            summary: FinalitySummary::default(),
            admission: Admission::new(AdmissionLimits::default()),
            gate,
            jobs: Jobs::default(),
            usual_weight: USUAL_WEIGHT,
            dropped: 0,
            abandoned: 0,
            undecodable: 0,
            reported_payload: None,
            timer: WakeTimer::default(),
            deliveries: Vec::new(),
            keeping,
            restoring,
            feed: PoolFeed::new(),
        };
        actor.publish_budget();
        actor
    }

    /// Who consumes and produces what in the pool, to be read on any thread.
    pub fn index(&self) -> Arc<PoolIndex> {
        self.pool.index()
    }

    /// Where what happens in the pool can be followed.
    pub fn feed(&self) -> PoolFeed {
        self.feed.clone()
    }

    /// What decides on submissions before they reach it.
    pub fn gate(&self) -> Arc<SubmissionGate> {
        self.gate.clone()
    }

    fn carry_out(&mut self, actions: Vec<RelayAction>, ctx: &mut Context<Self>) {
        for action in actions {
            match action {
                RelayAction::Request { to, ids } => {
                    self.deliveries.push(to_peer(to, MempoolMessage::Request { ids: to_wire(&ids) }))
                }
                RelayAction::Announce { to, ids } => {
                    self.deliveries.push(to_peer(to, MempoolMessage::Announce { ids: to_wire(&ids) }))
                }
                RelayAction::Retry { from, transaction } => {
                    self.pre_check(transaction, Source::Peer(from), None);
                    self.check_signatures(ctx);
                }
            }
        }
    }

    fn on_transactions(&mut self, peer: PublicKey, transactions: Vec<Bytes>) {
        for bytes in transactions {
            let Ok(transaction) = self.rules.parse(bytes) else {
                self.undecodable += 1;
                self.network.penalize.do_send(Penalize { peer, offence: Offence::UndecodableBody });
                return;
            };
            match self.relay.on_received(&peer, &transaction.facts.full_id) {
                Receipt::Wanted => {
                    let weight = timed_mempool::weight(transaction.facts.size_bytes, transaction.facts.signatures);
                    self.usual_weight = (self.usual_weight * 15 + weight) / 16;
                    self.pre_check(Arc::new(transaction), Source::Peer(peer), None);
                }
                Receipt::Unwanted => {}
            }
        }
    }

    /// Sends what was asked for, each once and at most [`ANSWER_BYTES_MAX`] of it; the rest is asked from others.
    fn answer_request(&mut self, peer: PublicKey, ids: Vec<TxFullId>) {
        let ids: BTreeSet<TxFullId> = ids.into_iter().collect();
        let (mut transactions, mut size, mut left) = (Vec::new(), 0, ANSWER_BYTES_MAX);
        for transaction in ids.iter().filter_map(|id| self.pool.transaction_by_full_id(id)) {
            let bytes = &transaction.bytes;
            let Some(rest) = left.checked_sub(bytes.len()) else { break };
            left = rest;
            if size + bytes.len() > timed_wire::TRANSACTIONS_BYTES_MAX && !transactions.is_empty() {
                let transactions = std::mem::take(&mut transactions);
                self.deliveries.push(to_peer(peer, MempoolMessage::Transactions { transactions }));
                size = 0;
            }
            size += bytes.len();
            transactions.push(bytes.clone());
        }
        if !transactions.is_empty() {
            self.deliveries.push(to_peer(peer, MempoolMessage::Transactions { transactions }));
        }
    }

    /// What follows after events: report to consensus, answer payload requests, publish, send, keep the one timer.
    fn after(&mut self, ctx: &mut Context<Self>) {
        let payload = Payload::of(self.pool.bytes() as u64);
        if self.reported_payload != Some(payload) {
            self.reported_payload = Some(payload);
            for listener in &self.listeners {
                listener.do_send(PayloadWaiting(payload));
            }
        }
        self.answer_payloads();
        self.feed.publish(&mut self.pool);
        self.publish_budget();
        self.ask_for_more(ctx);
        let now = self.clock.now();
        if self.relay.next_wake().is_some_and(|at| at <= now) {
            let actions = self.relay.on_wake(now);
            self.carry_out(actions, ctx);
        }
        self.status.send_replace(Some(MempoolStatus {
            pool: self.pool.info(now),
            relay: self.relay.stats(),
            finality: self.summary,
            dropped: self.dropped,
            abandoned: self.abandoned,
            undecodable: self.undecodable,
            keeping: self.keeping.status(self.restoring.len()),
        }));
        self.network.send_all(std::mem::take(&mut self.deliveries));
        self.keep(ctx);
        self.arm(ctx);
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let wakes = [self.relay.next_wake(), self.pool.next_wake(), self.keeping.next_wake()];
        self.timer.arm(wakes.into_iter().flatten().min(), self.clock.now(), Self::on_wake, ctx);
    }

    fn on_wake(&mut self, ctx: &mut Context<Self>) {
        if !self.timer.goes_off(ctx) {
            return;
        }
        let now = self.clock.now();
        self.keeping.on_wake(now);
        let expired = self.pool.on_wake(now);
        self.on_left(&expired);
        let actions = self.relay.on_wake(now);
        self.carry_out(actions, ctx);
        self.after(ctx);
    }
}

fn to_peer(to: PublicKey, message: MempoolMessage) -> Delivery {
    Delivery::ToOne(SendTo { to, message: message.into(), height: None })
}

fn to_wire(ids: &[TxFullId]) -> Vec<timed_wire::WireHash> {
    ids.iter().map(|id| id.0.0).collect()
}

fn from_wire(ids: Vec<timed_wire::WireHash>) -> Vec<TxFullId> {
    ids.into_iter().map(|id| TxFullId(timed_primitives::Hash(id))).collect()
}

impl Actor for MempoolActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(inbox) = self.inbox.take() {
            ctx.add_stream(crate::inbox_stream(inbox));
        }
        self.restore(ctx);
        self.after(ctx);
    }
}

impl StreamHandler<Vec<Inbound<MempoolMessage>>> for MempoolActor {
    fn handle(&mut self, messages: Vec<Inbound<MempoolMessage>>, ctx: &mut Self::Context) {
        for Inbound { peer, message, .. } in messages {
            match message {
                MempoolMessage::Announce { ids } => {
                    let now = self.clock.now();
                    let pool = &self.pool;
                    let actions = self.relay.on_announce(now, peer, &from_wire(ids), |id| pool.is_known(now, id));
                    self.carry_out(actions, ctx);
                }
                MempoolMessage::Request { ids } => self.answer_request(peer, from_wire(ids)),
                MempoolMessage::Transactions { transactions } => self.on_transactions(peer, transactions),
            }
        }
        self.check_signatures(ctx);
        self.after(ctx);
    }

    fn finished(&mut self, _ctx: &mut Self::Context) {
        // The peers are gone first at shutdown; the pool still answers its last questions.
    }
}

impl Handler<PeerUp> for MempoolActor {
    type Result = ();

    fn handle(&mut self, up: PeerUp, ctx: &mut Self::Context) {
        let actions = self.relay.on_peer_up(up.peer, self.pool.full_ids());
        self.carry_out(actions, ctx);
        self.after(ctx);
    }
}

impl Handler<PeerDown> for MempoolActor {
    type Result = ();

    fn handle(&mut self, down: PeerDown, ctx: &mut Self::Context) {
        let actions = self.relay.on_peer_down(self.clock.now(), &down.peer);
        self.carry_out(actions, ctx);
        self.after(ctx);
    }
}

impl Handler<Submit> for MempoolActor {
    type Result = ();

    fn handle(&mut self, submit: Submit, ctx: &mut Self::Context) {
        self.on_submit(submit, ctx);
    }
}

impl Handler<Accuse> for MempoolActor {
    type Result = ();

    fn handle(&mut self, accuse: Accuse, ctx: &mut Self::Context) {
        let statement = Evidence::DoubleSign(accuse.0);
        if let Some(transaction) = self.rules.statement(&statement)
            && self.pre_check(Arc::new(transaction), Source::Local, None)
        {
            self.publish_budget();
            self.check_signatures(ctx);
        }
    }
}

impl Handler<TestAccept> for MempoolActor {
    type Result = ResponseFuture<Vec<Result<Amount, SubmitError>>>;

    fn handle(&mut self, test: TestAccept, _ctx: &mut Self::Context) -> Self::Result {
        let now = self.clock.now();
        let TestAccept { transactions, fee_rate_max } = test;
        let checked: Vec<Result<Candidate, Reject>> =
            transactions.into_iter().map(|tx| self.pool.check(now, tx, Source::Local, &self.rules)).collect();
        let threads = self.threads.clone();
        Box::pin(async move {
            let work = move || {
                checked
                    .into_iter()
                    .map(|outcome| match outcome {
                        Ok(candidate) if verify_batch(candidate.signed_items()) => {
                            check_fee(&candidate, fee_rate_max).map(|()| candidate.fee())
                        }
                        Ok(_) => Err(SubmitError::BadSignature),
                        Err(reject) => Err(reject.into()),
                    })
                    .collect()
            };
            threads.compute(work).await.unwrap_or_default()
        })
    }
}

impl Handler<Proposed> for MempoolActor {
    type Result = ();

    fn handle(&mut self, proposed: Proposed, ctx: &mut Self::Context) {
        self.pool.on_proposed(proposed.block, proposed.height, proposed.transactions);
        self.after(ctx);
    }
}

impl Handler<Revalidate> for MempoolActor {
    type Result = ();

    fn handle(&mut self, _revalidate: Revalidate, ctx: &mut Self::Context) {
        self.begin_revalidation(ctx);
    }
}

impl Handler<Committed> for MempoolActor {
    type Result = ();

    fn handle(&mut self, Committed(committed): Committed, ctx: &mut Self::Context) {
        self.threads.occupy(Work::Remove(committed.transactions.len()), ctx);
        self.begin_commit(committed, ctx);
    }
}

impl Handler<SubscribePayload> for MempoolActor {
    type Result = ();

    fn handle(&mut self, subscribe: SubscribePayload, _ctx: &mut Self::Context) {
        if let Some(payload) = self.reported_payload.filter(|payload| *payload != Payload::Nothing) {
            subscribe.0.do_send(PayloadWaiting(payload));
        }
        self.listeners.push(subscribe.0);
    }
}
