//! Decides on submissions before they reach the actor's mailbox, so that "busy" is said at once however long that is.

use super::submit_error::SubmitError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timed_mempool::{Budget, RefusalEpisode};
use timed_primitives::Clock;

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
    pub(super) fn enter(self: &Arc<Self>, weight: u64) -> Result<Ticket, SubmitError> {
        let before = self.published.entering.fetch_add(weight, Ordering::Relaxed);
        self.published.entering_transactions.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket { gate: self.clone(), weight };
        let Some(excess) = self.excess(before, weight) else { return Ok(ticket) };
        drop(ticket);
        Err(self.busy(excess))
    }

    /// Refuses what finds no room, and counts it. Nothing is taken up.
    pub(super) fn check_room(&self, weight: u64) -> Result<(), SubmitError> {
        let before = self.published.entering.load(Ordering::Relaxed);
        self.excess(before, weight).map_or(Ok(()), |excess| Err(self.busy(excess)))
    }

    /// How much more would wait than may, when `before` is on its way already; `None` when there is room.
    fn excess(&self, before: u64, weight: u64) -> Option<u64> {
        let over = before.checked_sub(self.published.clients.load(Ordering::Relaxed))?;
        Some(weight.saturating_add(over))
    }

    /// A submission is refused because the node is behind.
    pub(super) fn on_behind(&self) {
        self.published.refused.fetch_add(1, Ordering::Relaxed);
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

    pub(super) fn view(&self) -> AdmissionView {
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
