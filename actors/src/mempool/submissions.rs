//! Where clients hand in transactions.

use super::MempoolActor;
use super::asker::Asker;
use super::gate::{AdmissionView, SubmissionGate};
use super::messages::Submit;
use super::submit_error::SubmitError;
use crate::block_sync::SyncStatus;
use actix::Addr;
use std::sync::Arc;
use std::time::Duration;
use timed_block_sync::Progress;
use timed_chain::PoolTransaction;
use timed_primitives::{Amount, TxId};
use tokio::sync::{oneshot, watch};

/// A node that will not have the blocks it misses within this time takes no transactions: it proposes none, and whether another node has them
/// it learns late. So what it took would wait for as long as it is behind.
const BEHIND_FROM: Duration = Duration::from_millis(500);
/// When to try again while nobody knows when it has caught up.
const BEHIND_RETRY: Duration = Duration::from_secs(1);
/// Longest such time: it may be faster than it was.
const BEHIND_RETRY_MAX: Duration = Duration::from_secs(5);

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
        self.gate.on_behind();
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
