//! Decides on submissions before they reach the actor's mailbox, so that "busy" is said at once however long that is.

use super::checking::Asker;
use super::{MempoolActor, Submit, SubmitError};
use crate::block_sync::SyncStatus;
use actix::Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timed_block_sync::Progress;
use timed_chain::PoolTransaction;
use timed_mempool::{Budget, RefusalEpisode};
use timed_primitives::{Amount, Clock, TxId};
use tokio::sync::{oneshot, watch};

/// A node that will not have the blocks it misses within this time takes no transactions: it proposes none, and whether another node has them
/// it learns late. So what it took would wait for as long as it is behind.
const BEHIND_FROM: Duration = Duration::from_millis(500);
/// When to try again while nobody knows when it has caught up.
const BEHIND_RETRY: Duration = Duration::from_secs(1);
/// Longest such time: it may be faster than it was.
const BEHIND_RETRY_MAX: Duration = Duration::from_secs(5);

/// What the actor published last of how much may come in, and what has entered since. All weights: see [`timed_mempool::weight`].
#[derive(Debug, Default)]
struct PublishedBudget {
    clients: AtomicU64,
    drain: AtomicU64,
    checked: AtomicU64,
    delay_us: AtomicU64,
    transactions: AtomicU64,
    /// Of submissions on their way to the actor.
    entering: AtomicU64,
    entering_transactions: AtomicU64,
    refused: AtomicU64,
}

/// Read by whoever submits, written by the actor. Single values are atomic; that two of them are of different moments does no harm.
pub struct SubmissionGate {
    published: PublishedBudget,
    episode: Mutex<RefusalEpisode>,
    clock: Arc<dyn Clock>,
}

/// How admission stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdmissionView {
    /// How long what waits will take, as far as measured.
    pub delay: Duration,
    /// Weight that leaves the pool by blocks each second; 0 when unknown.
    pub drain: u64,
    /// Weight whose signatures are checked each second; 0 when unknown.
    pub checked: u64,
    /// Weight that clients may still hand in.
    pub room: u64,
    /// Submissions refused for want of room, or because the node was behind, since the start.
    pub refused: u64,
    /// For how long submissions have been refused, with pauses below two seconds.
    pub refusing: Option<Duration>,
}

impl SubmissionGate {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { published: PublishedBudget::default(), episode: Mutex::default(), clock }
    }

    /// What may come in from now, beside what is on its way already; `transactions` wait.
    pub(super) fn publish(&self, budget: &Budget, transactions: usize) {
        let to = &self.published;
        to.clients.store(budget.clients, Ordering::Relaxed);
        to.drain.store(budget.drain, Ordering::Relaxed);
        to.checked.store(budget.checked, Ordering::Relaxed);
        to.delay_us.store(u64::try_from(budget.delay.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        to.transactions.store(u64::try_from(transactions).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Lets a submission through, or says how long to wait. The ticket is kept until the actor has taken the submission over.
    fn enter(self: &Arc<Self>, weight: u64) -> Result<Ticket, SubmitError> {
        let before = self.published.entering.fetch_add(weight, Ordering::Relaxed);
        self.published.entering_transactions.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket { gate: self.clone(), weight };
        let Some(excess) = self.excess(before, weight) else { return Ok(ticket) };
        drop(ticket);
        Err(self.busy(excess))
    }

    /// Refuses what finds no room, and counts it. Nothing is taken up.
    fn check_room(&self, weight: u64) -> Result<(), SubmitError> {
        let before = self.published.entering.load(Ordering::Relaxed);
        self.excess(before, weight).map_or(Ok(()), |excess| Err(self.busy(excess)))
    }

    /// How much more would wait than may, when `before` is on its way already; `None` when there is room.
    fn excess(&self, before: u64, weight: u64) -> Option<u64> {
        let over = before.checked_sub(self.published.clients.load(Ordering::Relaxed))?;
        Some(weight.saturating_add(over))
    }

    /// The answer to a submission that finds no room: `excess` more weight waits than may.
    pub(super) fn busy(&self, excess: u64) -> SubmitError {
        self.published.refused.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.now();
        self.episode.lock().unwrap_or_else(PoisonError::into_inner).on_refused(now);
        let delay = Duration::from_micros(self.published.delay_us.load(Ordering::Relaxed));
        let drain = self.published.drain.load(Ordering::Relaxed);
        let budget = Budget { delay, drain, ..Budget::default() };
        SubmitError::Busy {
            waiting: [&self.published.transactions, &self.published.entering_transactions]
                .map(|count| count.load(Ordering::Relaxed))
                .into_iter()
                .sum(),
            delay,
            retry_after: budget.retry_after(excess),
        }
    }

    fn view(&self) -> AdmissionView {
        let load = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let from = &self.published;
        let episode = *self.episode.lock().unwrap_or_else(PoisonError::into_inner);
        AdmissionView {
            delay: Duration::from_micros(load(&from.delay_us)),
            drain: load(&from.drain),
            checked: load(&from.checked),
            room: load(&from.clients).saturating_sub(load(&from.entering)),
            refused: load(&from.refused),
            refusing: episode.lasts(self.clock.now()),
        }
    }
}

/// A submission on its way to the actor.
pub(super) struct Ticket {
    gate: Arc<SubmissionGate>,
    weight: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gate.published.entering.fetch_sub(self.weight, Ordering::Relaxed);
        self.gate.published.entering_transactions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answer of a node that is behind, if it is.
fn behind(progress: &Progress) -> Option<SubmitError> {
    progress.is_behind(BEHIND_FROM).then(|| SubmitError::Behind {
        blocks: progress.target.above(progress.tip),
        retry_after: progress.remaining.unwrap_or(BEHIND_RETRY).min(BEHIND_RETRY_MAX),
    })
}

/// Where clients hand in transactions. Cheap to clone.
#[derive(Clone)]
pub struct Submissions {
    mempool: Addr<MempoolActor>,
    gate: Arc<SubmissionGate>,
    sync: watch::Receiver<Option<SyncStatus>>,
}

impl Submissions {
    /// Hands in to this actor through its gate, while `sync` does not say that the node is behind.
    pub fn new(
        mempool: Addr<MempoolActor>,
        gate: Arc<SubmissionGate>,
        sync: watch::Receiver<Option<SyncStatus>>,
    ) -> Self {
        Self { mempool, gate, sync }
    }

    /// Refuses everything while the node is behind, and counts it.
    fn check_tip(&self) -> Result<(), SubmitError> {
        let Some(error) = self.sync.borrow().as_ref().and_then(|sync| behind(&sync.progress)) else { return Ok(()) };
        self.gate.published.refused.fetch_add(1, Ordering::Relaxed);
        Err(error)
    }

    /// Whether a submission of so many bytes would find room now, its signatures left out. Asked before it is decoded, so that whoever
    /// is refused costs next to nothing.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] or [`SubmitError::Behind`].
    pub fn check_room(&self, bytes: usize) -> Result<(), SubmitError> {
        self.check_tip()?;
        self.gate.check_room(timed_mempool::weight(bytes, 0))
    }

    /// Hands in a transaction of this node's operator, which is refused when it pays more than `fee_rate_max` for 1,000 bytes. Answer: its id, or why it is not taken. Whoever drops the future gives up: the
    /// transaction is then left unchecked, unless its check has begun.
    ///
    /// # Errors
    /// [`SubmitError`]; [`SubmitError::Busy`] and [`SubmitError::Behind`] at once, before the transaction is inspected.
    pub async fn submit(
        &self,
        transaction: Arc<PoolTransaction>,
        fee_rate_max: Option<Amount>,
    ) -> Result<TxId, SubmitError> {
        let weight = timed_mempool::weight(transaction.facts.size_bytes, transaction.facts.signatures);
        self.check_tip()?;
        let ticket = self.gate.enter(weight)?;
        let (outcome, answered) = oneshot::channel();
        // The gate bounds what is on its way, so the mailbox need not.
        self.mempool.do_send(Submit { transaction, answer: Asker { outcome, fee_rate_max }, ticket });
        answered.await.unwrap_or(Err(SubmitError::Closing))
    }

    /// How admission stands.
    pub fn view(&self) -> AdmissionView {
        self.gate.view()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::Height;

    #[test]
    fn who_is_behind_says_by_how_much_and_when_to_come_again() {
        let progress = |leads, remaining_ms: Option<u64>| Progress {
            tip: Height(8),
            target: Height(20),
            leads,
            percent: 40.0,
            blocks_per_second: None,
            remaining: remaining_ms.map(Duration::from_millis),
            held: 0,
            held_bytes: 0,
            in_flight: 0,
            peers: 3,
            stall: None,
        };
        let answer = |leads, remaining_ms| match behind(&progress(leads, remaining_ms)) {
            Some(SubmitError::Behind { blocks, retry_after }) => Some((blocks, retry_after.as_millis())),
            Some(other) => panic!("{other}"),
            None => None,
        };
        assert_eq!(answer(false, None), None, "consensus leads");
        assert_eq!(answer(true, Some(499)), None, "in a moment it is not");
        assert_eq!(answer(true, Some(800)), Some((12, 800)));
        assert_eq!(answer(true, Some(60_000)), Some((12, 5_000)));
        assert_eq!(answer(true, None), Some((12, 1_000)), "nothing is known of the rate");
    }
}
