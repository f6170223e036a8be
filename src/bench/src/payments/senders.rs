//! Sends payments when they are due, whatever became of the ones before.

use super::accounts::{Outcome, PaymentAccounts};
use super::coins::Signed;
use crate::report::float;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use timed_cli::{Failure, NodeConnection};

/// Most payments of one request; the node takes as many calls in a batch.
const BATCH_MAX: usize = 100;
/// How long after the last payment was due the rest is still sent; what is left then was never submitted.
const LATE_MAX: Duration = Duration::from_secs(10);

/// The payments of one run and what became of them. Times are µs since the start, from 1; 0 means not yet.
pub(super) struct SendSchedule {
    pub(super) start: Instant,
    rate: f64,
    pub(super) payments: Vec<Signed>,
    /// Once for each; empty while it is not sent or under way.
    outcomes: Vec<OnceLock<Outcome>>,
    /// When it was accepted.
    answered: Vec<AtomicU64>,
    seen_final: Vec<AtomicU64>,
    last_refusal: Mutex<Option<String>>,
}

impl SendSchedule {
    /// All are due at equal distances from `start` on.
    pub(super) fn new(start: Instant, rate: f64, payments: Vec<Signed>) -> Self {
        let zeros = || (0..payments.len()).map(|_| AtomicU64::new(0)).collect();
        let (answered, seen_final) = (zeros(), zeros());
        let outcomes = payments.iter().map(|_| OnceLock::new()).collect();
        Self { start, rate, payments, outcomes, answered, seen_final, last_refusal: Mutex::default() }
    }

    fn due(&self, index: usize) -> Duration {
        Duration::from_secs_f64(float(index as u64) / self.rate)
    }

    /// When the last one is due.
    pub(super) fn ends(&self) -> Duration {
        self.due(self.payments.len())
    }

    /// The payment is final for the client that sent it.
    pub(super) fn set_final(&self, index: usize) {
        let now = self.micros();
        // The first time counts.
        let _ = self.seen_final[index].compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// Accepted ones that are not final.
    pub(super) fn waiting(&self) -> usize {
        let all = self.answered.iter().zip(&self.seen_final);
        all.filter(|(answered, seen)| answered.load(Ordering::Relaxed) > 0 && seen.load(Ordering::Relaxed) == 0).count()
    }

    /// Accepted, with the times from being due to the answer.
    pub(super) fn answers(&self) -> Vec<Duration> {
        self.since_due(&self.answered)
    }

    /// Final, with the times from being due to being seen final.
    pub(super) fn finals(&self) -> Vec<Duration> {
        self.since_due(&self.seen_final)
    }

    /// Those that are not final.
    pub(super) fn not_final(&self) -> Vec<Signed> {
        let all = self.payments.iter().zip(&self.seen_final);
        all.filter(|(_, seen)| seen.load(Ordering::Relaxed) == 0).map(|(payment, _)| payment.clone()).collect()
    }

    fn since_due(&self, times: &[AtomicU64]) -> Vec<Duration> {
        let times = times.iter().map(|time| time.load(Ordering::Relaxed)).enumerate();
        let happened = times.filter(|(_, micros)| *micros > 0);
        happened.map(|(index, micros)| Duration::from_micros(micros).saturating_sub(self.due(index))).collect()
    }

    /// When the last of them was seen final.
    pub(super) fn last_final(&self) -> Duration {
        let last = self.seen_final.iter().map(|time| time.load(Ordering::Relaxed)).max();
        Duration::from_micros(last.unwrap_or_default())
    }

    /// What became of each payment.
    pub(super) fn accounts(&self) -> PaymentAccounts {
        let outcomes = self.outcomes.iter().map(|outcome| outcome.get().copied().unwrap_or(Outcome::Unsent));
        let finals = self.seen_final.iter().map(|time| time.load(Ordering::Relaxed) > 0);
        PaymentAccounts::of(outcomes.zip(finals))
    }

    /// Why the last one was refused or has no answer.
    pub(super) fn last_refusal(&self) -> Option<String> {
        self.last_refusal.lock().ok().and_then(|last| last.clone())
    }

    fn take_answer(&self, index: usize, answer: Result<(), &Failure>) {
        let outcome = Outcome::of(answer);
        if outcome == Outcome::Accepted {
            self.answered[index].store(self.micros(), Ordering::Relaxed);
        }
        let _ = self.outcomes[index].set(outcome);
        if let (Err(failure), Ok(mut last)) = (answer, self.last_refusal.lock()) {
            *last = Some(first_line(failure));
        }
    }

    /// Sends every `stride`th payment from `first` on by this connection.
    pub(super) fn send(&self, connection: &mut NodeConnection, first: usize, stride: usize) {
        let mut mine = (first..self.payments.len()).step_by(stride).peekable();
        while let Some(next) = mine.peek() {
            let now = self.start.elapsed();
            if now > self.ends() + LATE_MAX {
                return;
            }
            if let Some(early) = self.due(*next).checked_sub(now) {
                std::thread::sleep(early);
                continue;
            }
            let mut due = Vec::new();
            while let Some(index) = mine.next_if(|index| due.len() < BATCH_MAX && self.due(*index) <= now) {
                due.push(index);
            }
            self.submit(connection, &due);
        }
    }

    fn submit(&self, connection: &mut NodeConnection, due: &[usize]) {
        let calls = due.iter().map(|index| ("sendrawtransaction", json!([self.payments[*index].hex()]))).collect();
        match connection.batch(calls) {
            Ok(answers) => {
                for (index, answer) in due.iter().zip(answers) {
                    self.take_answer(*index, answer.as_ref().map(|_| ()));
                }
            }
            Err(failure) => due.iter().for_each(|index| self.take_answer(*index, Err(&failure))),
        }
    }
}

fn first_line(failure: &Failure) -> String {
    failure.to_string().lines().next().unwrap_or_default().to_owned()
}
