//! Who waits for what becomes of a transaction.

use super::submit_error::SubmitError;
use timed_mempool::{Candidate, FeeRate, Waiter};
use timed_primitives::{Amount, TxId};
use tokio::sync::oneshot;

/// The client that waits for the outcome.
pub(super) struct Asker {
    pub(super) outcome: oneshot::Sender<Result<TxId, SubmitError>>,
    /// For 1,000 bytes: what pays more is not meant, and refused.
    pub(super) fee_rate_max: Option<Amount>,
}

impl Waiter for Asker {
    fn is_gone(&self) -> bool {
        self.outcome.is_closed()
    }
}

impl Asker {
    /// Sends the outcome; the client may have given up.
    pub(super) fn send(self, outcome: Result<TxId, SubmitError>) {
        let _ = self.outcome.send(outcome);
    }
}

/// Refuses a fee above so much for 1,000 bytes. What a rate allows for a size is rounded up.
pub(super) fn check_fee(candidate: &Candidate, rate_max: Option<Amount>) -> Result<(), SubmitError> {
    let Some(rate_max) = rate_max else { return Ok(()) };
    let (fee, max) = (candidate.fee(), FeeRate::per_kilobyte(rate_max).fee_for(candidate.size()));
    if fee > max { Err(SubmitError::FeeAboveMaximum { fee, max, rate_max }) } else { Ok(()) }
}

/// Sends the outcome to the client, if there is one.
pub(super) fn reply(answer: Option<Asker>, outcome: Result<TxId, SubmitError>) {
    if let Some(answer) = answer {
        answer.send(outcome);
    }
}
