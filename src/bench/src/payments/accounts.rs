//! What became of each payment: every one that was due is in one account, so that the accounts add up.

use timed_cli::Failure;
use timed_rpc::RpcError;

/// What a client knows of a payment after its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was never sent: too late.
    Unsent,
    /// The node took it.
    Accepted,
    /// The node said why not.
    Refused,
    /// No answer came in time, of the call or of the whole request: the node may have taken it.
    Unanswered,
}

impl Outcome {
    pub(super) fn of(answer: Result<(), &Failure>) -> Self {
        match answer {
            Ok(()) => Self::Accepted,
            Err(Failure::Rpc { code, .. }) if *code != i64::from(RpcError::Timeout(0).code()) => Self::Refused,
            Err(_) => Self::Unanswered,
        }
    }
}

/// How many payments had one outcome, and how many of them are final all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) count: usize,
    pub(super) finals: usize,
}

/// All payments by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PaymentAccounts {
    pub(super) unsent: Account,
    pub(super) accepted: Account,
    pub(super) refused: Account,
    pub(super) unanswered: Account,
}

impl PaymentAccounts {
    /// Of each payment's outcome, and whether it is final.
    pub(super) fn of(payments: impl Iterator<Item = (Outcome, bool)>) -> Self {
        let mut accounts = Self::default();
        for (outcome, is_final) in payments {
            let account = match outcome {
                Outcome::Unsent => &mut accounts.unsent,
                Outcome::Accepted => &mut accounts.accepted,
                Outcome::Refused => &mut accounts.refused,
                Outcome::Unanswered => &mut accounts.unanswered,
            };
            account.count += 1;
            account.finals += usize::from(is_final);
        }
        accounts
    }

    /// Accepted and not final.
    pub(super) fn lost(&self) -> usize {
        self.accepted.count - self.accepted.finals
    }

    /// Final, whatever the answer was.
    pub(super) fn finals(&self) -> usize {
        self.accepted.finals + self.unanswered.finals + self.refused.finals + self.unsent.finals
    }

    /// Final although the node had said no, or had never been asked: a fault of the node or of this program.
    pub(super) fn contradictions(&self) -> usize {
        self.refused.finals + self.unsent.finals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_is_no_refusal() {
        let rpc = |code| Failure::Rpc { code, message: String::new(), retry_after: None };
        let silent = Failure::Silent(String::new());
        let outcome = |failure: &Failure| Outcome::of(Err(failure));
        assert_eq!(Outcome::of(Ok(())), Outcome::Accepted);
        assert_eq!([rpc(-26), rpc(-32005)].map(|failure| outcome(&failure)), [Outcome::Refused; 2]);
        assert_eq!([rpc(-32004), silent].map(|failure| outcome(&failure)), [Outcome::Unanswered; 2]);
    }

    #[test]
    fn every_payment_is_in_one_account() {
        use Outcome::{Accepted, Refused, Unanswered, Unsent};
        let payments = [(Accepted, true), (Accepted, false), (Refused, false), (Unanswered, true), (Unsent, false)];
        let accounts = PaymentAccounts::of(payments.into_iter());
        let all = [accounts.unsent, accounts.accepted, accounts.refused, accounts.unanswered];
        assert_eq!(all.iter().map(|account| account.count).sum::<usize>(), payments.len());
        assert_eq!((accounts.finals(), accounts.lost(), accounts.contradictions()), (2, 1, 0));
        let contradiction = PaymentAccounts::of([(Refused, true), (Unsent, true)].into_iter());
        assert_eq!(contradiction.contradictions(), 2);
    }
}
