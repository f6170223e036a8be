//! What was taken is kept over a restart, or its loss is remembered with the reason.
//!
//! The file is written behind, by a thread of its own, one write at a time. What a client hands in is written before it is answered, unless
//! that takes longer than [`ANSWER_WITHIN`]; what peers bring, and what the disk itself must have, follows every [`KEEP_EACH`]. A disk that is
//! full or hangs costs only the file: answers stop waiting for it, one line says so, and the file is written anew when that works again.

use super::asker::{Asker, reply};
use super::{CloseAndKeep, GetFate, KeepStatus, MempoolActor, SubmitError, TransactionFate};
use actix::{ActorFutureExt, AsyncContext, Context, Handler, ResponseFuture, WrapFuture};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use timed_chain::PoolTransaction;
use timed_mempool::{
    KeptRecord, KeptTransaction, Loss, LossCounts, LossReason, Losses, POOL_FILE, PoolFile, RemovalReason, Removed,
};
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Instant, TxId, UnixTime};
use tokio::sync::oneshot;
use tracing::{debug, error, info, warn};

/// How long the answer to a client waits for the file. Measured: a write takes some ten microseconds, a file that is written anew a few
/// milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_millis(50);
/// How often transactions of peers are added to the file, and the file is synced: what a loss of power may take.
const KEEP_EACH: Duration = Duration::from_secs(2);
/// How long after a failure the file is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Most records that wait for the file; above it they are dropped, and the file is written anew from the pool.
const PENDING_MAX: usize = 16_384;
/// The same by size. Unit: bytes.
const PENDING_BYTES_MAX: usize = 16 << 20;
/// Most log lines about losses in one second; the others are counted.
const LOSS_LINES_MAX: u32 = 20;

/// Answers that wait until what they say is in the file.
type Answers = Vec<(Asker, Result<TxId, SubmitError>)>;

/// The file, what is to be written, who waits for that, and what is remembered.
pub(super) struct Keeping {
    /// `None` while a write is under way, and for good when its thread ended.
    file: Option<PoolFile>,
    is_writing: bool,
    /// Since when.
    write_began: Instant,
    pending: Vec<KeptRecord>,
    pending_bytes: usize,
    /// For what is pending.
    answers: Answers,
    /// For what is being written.
    answers_under_way: Answers,
    /// When the answers of the write under way wait no longer.
    late_at: Option<Instant>,
    /// A write takes too long, or failed: answers do not wait for it.
    is_late: bool,
    wants_rewrite: bool,
    retry_at: Instant,
    failed: Option<Arc<str>>,
    /// What was acknowledged to clients, and waits. Bound: the pool.
    ours: BTreeSet<TxId>,
    /// The pool's transactions from this number on are not in the file, unless they are ours.
    first: u64,
    losses: Losses,
    /// Since the start.
    lost: LossCounts,
    is_unsynced: bool,
    is_syncing: bool,
    is_tick_planned: bool,
    /// Nothing is taken any more.
    pub(super) is_closing: bool,
    closers: Vec<oneshot::Sender<()>>,
    lines: LossLines,
}

impl Keeping {
    pub(super) fn new(file: PoolFile, losses: Losses) -> Self {
        // The last process may have ended before its sync.
        let is_unsynced = file.to_sync().is_some();
        Self {
            file: Some(file),
            is_writing: false,
            write_began: Instant::START,
            pending: Vec::new(),
            pending_bytes: 0,
            answers: Vec::new(),
            answers_under_way: Vec::new(),
            late_at: None,
            is_late: false,
            wants_rewrite: false,
            retry_at: Instant::START,
            failed: None,
            ours: BTreeSet::new(),
            first: 0,
            losses,
            lost: LossCounts::default(),
            is_unsynced,
            is_syncing: false,
            is_tick_planned: false,
            is_closing: false,
            closers: Vec::new(),
            lines: LossLines::default(),
        }
    }

    pub(super) fn status(&self, restoring: usize) -> KeepStatus {
        let (failed, losses) = (self.failed.clone(), self.losses.len());
        KeepStatus { failed, is_late: self.is_late, losses, lost: self.lost, restoring }
    }

    /// What is in the pool is in the file only when that is written anew.
    pub(super) fn rewrite_soon(&mut self) {
        self.wants_rewrite = true;
    }

    fn push(&mut self, record: KeptRecord) {
        let size = match &record {
            KeptRecord::Waiting(kept) => kept.transaction.facts.size_bytes,
            KeptRecord::Lost(_) => 0,
        };
        if self.pending.len() >= PENDING_MAX || self.pending_bytes + size > PENDING_BYTES_MAX {
            self.pending.clear();
            self.pending_bytes = 0;
            self.wants_rewrite = true;
        }
        // A file that is written anew is written from the pool.
        if !self.wants_rewrite {
            self.pending_bytes += size;
            self.pending.push(record);
        }
    }

    /// A client's transaction is in the pool.
    fn on_waiting(&mut self, transaction: Arc<PoolTransaction>, txid: TxId, arrived: UnixTime) {
        self.losses.remove(&txid);
        if self.ours.insert(txid) {
            self.push(KeptRecord::Waiting(KeptTransaction { transaction, arrived, is_ours: true }));
        }
    }

    /// It was among ours when the last run ended and is in the pool again; the file has it.
    pub(super) fn on_restored(&mut self, txid: TxId) {
        self.ours.insert(txid);
    }

    /// What was acknowledged to a client is lost.
    pub(super) fn on_lost(&mut self, now: Instant, loss: Loss) {
        self.lines.say(now, &loss);
        self.lost.add(&loss.reason);
        self.losses.insert(loss);
        self.push(KeptRecord::Lost(loss));
    }

    /// When [`Self::on_wake`] has something to do.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.late_at
    }

    /// Clients whose answers waited too long for the file are answered without it.
    pub(super) fn on_wake(&mut self, now: Instant) {
        if self.late_at.take_if(|at| *at <= now).is_some() {
            self.is_late = true;
            self.release();
        }
    }

    fn release(&mut self) {
        for (answer, outcome) in self.answers_under_way.drain(..).chain(self.answers.drain(..)) {
            reply(Some(answer), outcome);
        }
    }

    fn fail(&mut self, now: Instant, problem: &str) {
        if self.failed.is_none() {
            warn!(
                file = POOL_FILE, %problem,
                "the mempool's file cannot be written: payments that wait are lost if this process ends; trying again"
            );
        }
        self.failed = Some(problem.into());
        self.retry_at = now + RETRY_AFTER;
        (self.is_late, self.wants_rewrite, self.is_unsynced) = (true, true, false);
        self.pending.clear();
        self.pending_bytes = 0;
        self.release();
    }

    /// All that can be kept is kept, or nothing can.
    fn is_settled(&self) -> bool {
        let is_kept = self.pending.is_empty() && !self.wants_rewrite && !self.is_unsynced && !self.is_syncing;
        !self.is_writing && (is_kept || self.failed.is_some())
    }

    fn close(&mut self) {
        if self.is_settled() {
            for closer in self.closers.drain(..) {
                let _ = closer.send(());
            }
        }
    }
}

/// Says which payments are lost, at most so many in a second.
#[derive(Default)]
struct LossLines {
    since: Instant,
    said: u32,
    unsaid: u64,
}

impl LossLines {
    fn say(&mut self, now: Instant, loss: &Loss) {
        if now.since(self.since) >= Duration::from_secs(1) {
            if self.unsaid > 0 {
                info!(count = self.unsaid, "more accepted payments are lost; `gettransaction` says why");
            }
            *self = Self { since: now, said: 0, unsaid: 0 };
        }
        if self.said < LOSS_LINES_MAX {
            self.said += 1;
            info!(txid = %loss.txid, reason = %loss.reason, "an accepted payment is lost");
        } else {
            self.unsaid += 1;
        }
    }
}

impl MempoolActor {
    /// Civil time of a moment of this process.
    pub(super) fn unix_at(&self, at: Instant) -> UnixTime {
        let age = u64::try_from(self.clock.now().since(at).as_millis()).unwrap_or(u64::MAX);
        UnixTime(self.clock.unix().0.saturating_sub(age))
    }

    /// A client's transaction is in the pool, now or since before: the client is answered when the file has it.
    pub(super) fn answer_when_kept(&mut self, txid: TxId, answer: Option<Asker>, outcome: Result<TxId, SubmitError>) {
        if let Some((transaction, arrived)) = self.pool.transaction_and_arrival(&txid) {
            let (transaction, arrived) = (Arc::clone(transaction), self.unix_at(arrived));
            self.keeping.on_waiting(transaction, txid, arrived);
        }
        match answer {
            Some(answer) if !self.keeping.is_late => self.keeping.answers.push((answer, outcome)),
            other => reply(other, outcome),
        }
    }

    /// A peer brought what was lost here: it waits again, and is ours again.
    pub(super) fn on_brought_again(&mut self, txid: TxId) {
        if self.keeping.losses.get(&txid).is_some() {
            self.answer_when_kept(txid, None, Ok(txid));
        }
    }

    /// What left the pool: of ours, all that is not final is a loss.
    pub(super) fn on_left(&mut self, removed: &[Removed]) {
        let now = self.clock.now();
        for Removed { txid, reason } in removed {
            let was_ours = self.keeping.ours.remove(txid);
            if matches!(reason, RemovalReason::Included { .. }) {
                self.keeping.losses.remove(txid);
                continue;
            }
            debug!(%txid, %reason, "transaction left the pool");
            if let (true, Some(reason)) = (was_ours, LossReason::of_removal(*reason)) {
                self.keeping.on_lost(now, Loss { txid: *txid, reason, at: self.clock.unix() });
            }
        }
    }

    /// Begins the next write when there is something to write, and plans the next tick.
    pub(super) fn keep(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let keeping = &mut self.keeping;
        let has_work = !keeping.pending.is_empty() || !keeping.answers.is_empty() || keeping.wants_rewrite;
        if !keeping.is_writing && has_work && (keeping.failed.is_none() || now >= keeping.retry_at) {
            self.write(ctx);
        }
        self.keeping.close();
        let is_behind = self.pool.next_number() > self.keeping.first;
        let Keeping { is_writing, is_unsynced, wants_rewrite, .. } = self.keeping;
        let has_more = is_behind || is_writing || is_unsynced || wants_rewrite;
        if has_more && !self.keeping.is_tick_planned {
            self.keeping.is_tick_planned = true;
            ctx.run_later(KEEP_EACH, |actor, ctx| {
                actor.keeping.is_tick_planned = false;
                actor.keep_all(ctx);
            });
        }
    }

    /// Adds what peers brought, and makes the file survive a loss of power.
    fn keep_all(&mut self, ctx: &mut Context<Self>) {
        let first = std::mem::replace(&mut self.keeping.first, self.pool.next_number());
        let of_peers: Vec<_> = self
            .pool
            .transactions_from(first)
            .filter(|(_, txid, _)| !self.keeping.ours.contains(txid))
            .map(|(transaction, _, arrived)| (Arc::clone(transaction), arrived))
            .collect();
        for (transaction, arrived) in of_peers {
            let arrived = self.unix_at(arrived);
            self.keeping.push(KeptRecord::Waiting(KeptTransaction { transaction, arrived, is_ours: false }));
        }
        let now = self.clock.now();
        if self.keeping.is_writing
            && self.keeping.failed.is_none()
            && now.since(self.keeping.write_began) >= RETRY_AFTER
        {
            self.keeping.fail(now, "a write has not returned for ten seconds");
        }
        self.sync(ctx);
        self.keep(ctx);
    }

    fn sync(&mut self, ctx: &mut Context<Self>) {
        let keeping = &mut self.keeping;
        if keeping.is_syncing || !keeping.is_unsynced {
            return;
        }
        let Some(file) = keeping.file.as_ref().and_then(PoolFile::to_sync) else { return };
        (keeping.is_unsynced, keeping.is_syncing) = (false, true);
        let threads = self.threads.clone();
        let synced = async move { threads.aside(move || file.sync()).await };
        ctx.spawn(synced.into_actor(self).map(|done, actor, ctx| {
            actor.keeping.is_syncing = false;
            if let Some(Err(problem)) = done {
                actor.keeping.fail(actor.clock.now(), &problem.to_string());
                return actor.after(ctx);
            }
            if actor.keeping.is_closing {
                actor.sync(ctx);
            }
            actor.keep(ctx);
        }));
    }

    fn write(&mut self, ctx: &mut Context<Self>) {
        let Some(mut file) = self.keeping.file.take() else {
            // Its thread ended: nothing can be written any more.
            return self.keeping.fail(self.clock.now(), "the thread that wrote it has ended");
        };
        let is_rewrite = self.keeping.wants_rewrite || file.wants_rewrite();
        let mut records = std::mem::take(&mut self.keeping.pending);
        self.keeping.pending_bytes = 0;
        if is_rewrite {
            records = self.all_records();
            self.keeping.first = self.pool.next_number();
            self.keeping.wants_rewrite = false;
        }
        (self.keeping.is_writing, self.keeping.write_began) = (true, self.clock.now());
        self.keeping.answers_under_way = std::mem::take(&mut self.keeping.answers);
        if !self.keeping.answers_under_way.is_empty() && !is_planted(Bug::AnswerWaitsForFile) {
            self.keeping.late_at = Some(self.keeping.write_began + ANSWER_WITHIN);
            self.arm(ctx);
        }
        let threads = self.threads.clone();
        let work = move || {
            let done = if is_rewrite { file.rewrite(records.into_iter()) } else { file.append(&records) };
            (file, done)
        };
        let written = async move { threads.aside(work).await };
        ctx.spawn(written.into_actor(self).map(move |outcome, actor, ctx| actor.on_written(outcome, !is_rewrite, ctx)));
    }

    fn on_written(&mut self, outcome: Option<(PoolFile, io::Result<()>)>, to_sync: bool, ctx: &mut Context<Self>) {
        let keeping = &mut self.keeping;
        keeping.is_writing = false;
        let before = (keeping.failed.is_some(), keeping.is_late);
        keeping.late_at = None;
        let problem = match outcome {
            Some((file, done)) => {
                keeping.file = Some(file);
                done.err().map(|problem| problem.to_string())
            }
            None => {
                error!("the thread that writes the mempool's file has ended");
                Some("the thread that wrote it has ended".to_owned())
            }
        };
        match problem {
            Some(problem) => keeping.fail(self.clock.now(), &problem),
            None => {
                if keeping.failed.take().is_some() {
                    info!(file = POOL_FILE, "the mempool's file is written again");
                }
                keeping.is_late = false;
                keeping.is_unsynced |= to_sync;
                for (answer, outcome) in std::mem::take(&mut keeping.answers_under_way) {
                    reply(Some(answer), outcome);
                }
            }
        }
        if self.keeping.is_closing {
            self.sync(ctx);
        }
        if before == (self.keeping.failed.is_some(), self.keeping.is_late) {
            self.keep(ctx);
        } else {
            // Onlookers see it.
            self.after(ctx);
        }
    }

    /// All that the file must say.
    fn all_records(&self) -> Vec<KeptRecord> {
        let losses = self.keeping.losses.iter().map(|loss| KeptRecord::Lost(*loss));
        let restoring = self.restoring.left().map(|kept| KeptRecord::Waiting(kept.clone()));
        let pool = self.pool.transactions_from(0).map(|(transaction, txid, arrived)| {
            let (transaction, arrived) = (Arc::clone(transaction), self.unix_at(arrived));
            KeptRecord::Waiting(KeptTransaction { transaction, arrived, is_ours: self.keeping.ours.contains(&txid) })
        });
        losses.chain(restoring).chain(pool).collect()
    }
}

impl Handler<CloseAndKeep> for MempoolActor {
    type Result = ResponseFuture<()>;

    /// Nothing is taken from here on, so that no payment is acknowledged which the file does not have.
    fn handle(&mut self, _close: CloseAndKeep, ctx: &mut Self::Context) -> Self::Result {
        let (closer, closed) = oneshot::channel();
        self.keeping.is_closing = true;
        self.keeping.closers.push(closer);
        self.keeping.retry_at = self.clock.now();
        self.keep_all(ctx);
        Box::pin(async move { drop(closed.await) })
    }
}

impl Handler<GetFate> for MempoolActor {
    type Result = TransactionFate;

    fn handle(&mut self, get: GetFate, _ctx: &mut Self::Context) -> Self::Result {
        match (self.pool.entry(&get.0), self.keeping.losses.get(&get.0)) {
            (Some(entry), _) => TransactionFate::Waiting(Box::new(entry)),
            (None, _) if self.restoring.has(&get.0) => TransactionFate::Restoring,
            (None, Some(loss)) => TransactionFate::Lost(*loss),
            (None, None) => TransactionFate::Unknown,
        }
    }
}
