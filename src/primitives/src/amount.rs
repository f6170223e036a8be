//! Money as integers.

use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use std::str::FromStr;

/// An amount of TIME. Unit: 10⁻⁸ TIME. Arithmetic is checked, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Amount(pub u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One TIME.
    pub const ONE: Self = Self(100_000_000);

    /// A whole number of TIME. Saturates at the largest amount.
    pub const fn whole(time: u64) -> Self {
        Self(time.saturating_mul(Self::ONE.0))
    }

    /// `self + other`, or `None` on overflow.
    pub const fn plus(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// `self - other`, or `None` when `other` is larger.
    pub const fn minus(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// The sum of all, or `None` on overflow.
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::plus)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:08}", self.0 / Self::ONE.0, self.0 % Self::ONE.0)
    }
}

/// The text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not of the form `12` or `12.5`.
    #[error("expected an amount such as 12 or 0.5, got {0:?}")]
    Form(String),
    /// More than eight digits behind the point.
    #[error("amounts have at most 8 decimals, got {0:?}")]
    Decimals(String),
    /// Larger than any amount can be.
    #[error("amount {0:?} is too large")]
    TooLarge(String),
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.chars().take(40).collect::<String>();
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(decimals) || (text.contains('.') && decimals.is_empty()) {
            return Err(AmountError::Form(shown()));
        }
        if decimals.len() > 8 {
            return Err(AmountError::Decimals(shown()));
        }
        let whole: u64 = whole.parse().map_err(|_| AmountError::TooLarge(shown()))?;
        let fraction: u64 = format!("{decimals:0<8}").parse().map_err(|_| AmountError::Form(shown()))?;
        whole
            .checked_mul(Self::ONE.0)
            .and_then(|n| n.checked_add(fraction))
            .map(Self)
            .ok_or_else(|| AmountError::TooLarge(shown()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_both_ways_and_its_errors() {
        for (text, units) in [("0", 0), ("1", 100_000_000), ("0.5", 50_000_000), ("12.00000001", 1_200_000_001)] {
            let amount: Amount = text.parse().unwrap();
            assert_eq!(amount.0, units);
            assert_eq!(amount.to_string().parse::<Amount>().unwrap(), amount);
        }
        assert!(matches!("1.".parse::<Amount>(), Err(AmountError::Form(_))));
        assert!(matches!("-1".parse::<Amount>(), Err(AmountError::Form(_))));
        assert!(matches!("".parse::<Amount>(), Err(AmountError::Form(_))));
        assert!(matches!("0.000000001".parse::<Amount>(), Err(AmountError::Decimals(_))));
        assert!(matches!("184467440738".parse::<Amount>(), Err(AmountError::TooLarge(_))));
        assert!(matches!("99999999999999999999999".parse::<Amount>(), Err(AmountError::TooLarge(_))));
    }
}
