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
    /// Not of the form `12`, `12.5` or `1.25e1`.
    #[error("expected an amount such as 12 or 0.5, got {0:?}")]
    Form(String),
    /// More than eight digits behind the point that say something.
    #[error("amounts have at most 8 decimals, got {0:?}")]
    Decimals(String),
    /// Larger than any amount can be.
    #[error("amount {0:?} is too large")]
    TooLarge(String),
}

/// Decimals of an amount.
const DECIMALS: i64 = 8;

/// Reads digits as JSON writes numbers (RFC 8259): a fraction and an exponent are allowed, also zeros that say nothing. What counts is the
/// value: a whole number of units, not negative.
impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.chars().take(40).collect::<String>();
        let form = || AmountError::Form(shown());
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            None => (text, 0),
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent).ok_or_else(form)?),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return Err(form()),
            split => split.unwrap_or((mantissa, "")),
        };
        let is_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return Err(form());
        }
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_end_matches('0');
        let zeros = i64::try_from(digits.len() - significant.len()).map_err(|_| form())?;
        let significant = significant.trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Self::ZERO);
        }
        // The value is `significant` units with so many zeros behind.
        let fraction = i64::try_from(fraction.len()).map_err(|_| form())?;
        let shift = exponent.saturating_add(DECIMALS).saturating_add(zeros).saturating_sub(fraction);
        let too_large = || AmountError::TooLarge(shown());
        let shift = u32::try_from(shift).map_err(|_| match shift {
            ..0 => AmountError::Decimals(shown()),
            _ => too_large(),
        })?;
        let significant: u64 = significant.parse().map_err(|_| too_large())?;
        10u64.checked_pow(shift).and_then(|power| significant.checked_mul(power)).map(Self).ok_or_else(too_large)
    }
}

/// The number behind `e`: digits with or without a sign. One too large to be a number counts as the largest.
fn exponent_of(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) if text.starts_with('-') => (-1, digits),
        Some(digits) => (1, digits),
        None => (1, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Far above what any text of ours balances by its digits, far below where sums of it overflow.
    Some(sign * digits.parse::<i64>().unwrap_or(i64::MAX).min(i64::from(u32::MAX)))
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
        let json = [
            ("1e-05", 1_000),
            ("1e2", 10_000_000_000),
            ("0.123456780", 12_345_678),
            ("1.000000000", 100_000_000),
            ("1E+2", 10_000_000_000),
            ("12.5e-1", 125_000_000),
            ("100000000000000e-14", 100_000_000),
            ("0.00000000000001e14", 100_000_000),
            ("1e-8", 1),
            ("10e-9", 1),
            ("0e999999999999999999999", 0),
            ("0.0e-999", 0),
            ("184467440737.09551615", u64::MAX),
            ("1.8446744073709551615e11", u64::MAX),
        ];
        for (text, units) in json {
            assert_eq!(text.parse::<Amount>().unwrap().0, units, "{text}");
        }
        for text in
            ["1e", "e5", "1e+", "1e1.5", "1e--1", "1.e5", ".5", "+1", "-0", "NaN", "inf", "0x10", "1_000", " 1", "1,5"]
        {
            assert!(matches!(text.parse::<Amount>(), Err(AmountError::Form(_))), "{text}");
        }
        for text in ["1e-9", "0.123456789", "1.0000000001", "1e-99999999999999999999", "15e-9"] {
            assert!(matches!(text.parse::<Amount>(), Err(AmountError::Decimals(_))), "{text}");
        }
        for text in ["184467440737.09551616", "1e12", "1e19", "1e400", "1e99999999999999999999", "18446744073709551616"]
        {
            assert!(matches!(text.parse::<Amount>(), Err(AmountError::TooLarge(_))), "{text}");
        }
        assert!(matches!("1.".parse::<Amount>(), Err(AmountError::Form(_))));
        assert!(matches!("-1".parse::<Amount>(), Err(AmountError::Form(_))));
        assert!(matches!("".parse::<Amount>(), Err(AmountError::Form(_))));
        assert!(matches!("0.000000001".parse::<Amount>(), Err(AmountError::Decimals(_))));
        assert!(matches!("184467440738".parse::<Amount>(), Err(AmountError::TooLarge(_))));
        assert!(matches!("99999999999999999999999".parse::<Amount>(), Err(AmountError::TooLarge(_))));
    }
}
