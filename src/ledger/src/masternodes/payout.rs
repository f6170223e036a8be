//! Who gets what a masternode earns.

use crate::lock::LockOwner;
use borsh::{BorshDeserialize, BorshSerialize};
use std::io;

/// Most payees of a masternode.
pub const PAYOUTS_MAX: usize = 8;

/// All of it. Unit: basis points, hundredths of a percent.
const WHOLE: u32 = 10_000;

/// A payee and its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Payout {
    /// Who may spend it.
    pub to: LockOwner,
    /// Unit: basis points, 1 to 10,000.
    pub share: u16,
}

/// The payees of a masternode: 1 to 8, no payee twice, shares that sum to 10,000.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize)]
pub struct Payouts(Vec<Payout>);

/// The payees cannot be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayoutsError {
    /// None, or too many.
    #[error("a masternode has 1 to {PAYOUTS_MAX} payees, not {0}")]
    Number(usize),
    /// Shares that are not the whole.
    #[error("the shares of the payees sum to {0} and must sum to 10000 (basis points)")]
    Sum(u32),
    /// Somebody who gets nothing.
    #[error("payee {0} has a share of 0: leave it out")]
    Nothing(usize),
    /// Twice the same.
    #[error("payee {0} is there twice: give it one share")]
    Twice(usize),
}

impl Payouts {
    /// These payees.
    ///
    /// # Errors
    /// [`PayoutsError`] names the first rule that is broken; payees are counted from 0.
    pub fn new(payouts: Vec<Payout>) -> Result<Self, PayoutsError> {
        if payouts.is_empty() || payouts.len() > PAYOUTS_MAX {
            return Err(PayoutsError::Number(payouts.len()));
        }
        if let Some(position) = payouts.iter().position(|payout| payout.share == 0) {
            return Err(PayoutsError::Nothing(position));
        }
        let twice = (1..payouts.len()).find(|n| payouts[..*n].iter().any(|before| before.to == payouts[*n].to));
        if let Some(position) = twice {
            return Err(PayoutsError::Twice(position));
        }
        match payouts.iter().map(|payout| u32::from(payout.share)).sum() {
            WHOLE => Ok(Self(payouts)),
            sum => Err(PayoutsError::Sum(sum)),
        }
    }

    /// All to one.
    pub fn one(to: LockOwner) -> Self {
        Self(vec![Payout { to, share: 10_000 }])
    }

    /// In order.
    pub fn as_slice(&self) -> &[Payout] {
        &self.0
    }
}

/// Refuses payees that cannot be paid, before more than eight are read.
impl BorshDeserialize for Payouts {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let count = usize::try_from(u32::deserialize_reader(reader)?).unwrap_or(usize::MAX);
        let refused = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        if count > PAYOUTS_MAX {
            return Err(refused(PayoutsError::Number(count)));
        }
        let payouts = (0..count).map(|_| Payout::deserialize_reader(reader)).collect::<io::Result<_>>()?;
        Self::new(payouts).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::KeyHash;
    use timed_primitives::{Hash, decode, encode};

    fn payout(to: u8, share: u16) -> Payout {
        Payout { to: LockOwner::KeyHash(KeyHash(Hash([to; 32]))), share }
    }

    #[test]
    fn shares_are_the_whole_among_one_to_eight() {
        use PayoutsError as E;
        let eight: Vec<_> = (0..8).map(|n| payout(n, 1_250)).collect();
        for good in [vec![payout(1, 10_000)], vec![payout(1, 1), payout(2, 9_999)], eight.clone()] {
            let payouts = Payouts::new(good).unwrap();
            assert_eq!(decode::<Payouts>(&encode(&payouts)).unwrap(), payouts);
        }
        let nine: Vec<_> = eight.into_iter().chain([payout(9, 1)]).collect();
        let bad = [
            (vec![], E::Number(0)),
            (nine, E::Number(9)),
            (vec![payout(1, 9_999)], E::Sum(9_999)),
            (vec![payout(1, 9_999), payout(2, 2)], E::Sum(10_001)),
            (vec![payout(1, 10_000), payout(2, 0)], E::Nothing(1)),
            (vec![payout(1, 5_000), payout(1, 5_000)], E::Twice(1)),
        ];
        for (payouts, error) in bad {
            assert_eq!(Payouts::new(payouts.clone()), Err(error));
            assert!(decode::<Payouts>(&encode(&payouts)).unwrap_err().to_string().contains(&error.to_string()));
        }
        assert!(decode::<Payouts>(&u32::MAX.to_le_bytes()).unwrap_err().to_string().contains("not 4294967295"));
    }
}
