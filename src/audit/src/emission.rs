//! How much money an interval makes: the whole number whose exponential is asked for, found by comparing.
//!
//! E = ⌊10¹⁰·(1 + ln n)⌋ = 10¹⁰ + m, where m is the largest whole number with exp(m / 10¹⁰) ≤ n. The exponential is enclosed between two sums of
//! its series with 80 bits behind the point, one rounded down in every term and one up, so a comparison is right or is not made at all.

/// 100 TIME in units of 10⁻⁸.
const HUNDRED_TIME: u64 = 10_000_000_000;
/// Bits behind the point.
const FRACTION_BITS: u32 = 80;
/// Terms that are summed; the exponent is at most 8, so the rest is less than the last of them.
const TERMS: u128 = 80;
/// Largest number of voters for which every product has room; there are 150 at most.
const VOTERS_LIMIT: u32 = 2_900;

/// What an interval with so many voters makes, before anything is capped. Unit: 10⁻⁸ TIME. `None` for no voters, for more than 2,900, and
/// when the bounds are not close enough to tell, which no number of voters up to there causes.
pub fn emission(voters: u32) -> Option<u64> {
    if voters == 0 || voters > VOTERS_LIMIT {
        return None;
    }
    // exp(8) > 2,900.
    let (mut least, mut above) = (0, 8 * HUNDRED_TIME);
    while least + 1 < above {
        let middle = least + (above - least) / 2;
        if is_at_most(middle, voters)? { least = middle } else { above = middle }
    }
    Some(HUNDRED_TIME + least)
}

/// Whether exp(`numerator` / 10¹⁰) ≤ `voters`.
fn is_at_most(numerator: u64, voters: u32) -> Option<bool> {
    let (low, high) = exponential(numerator);
    let limit = u128::from(voters) << FRACTION_BITS;
    if high <= limit {
        Some(true)
    } else if low > limit {
        Some(false)
    } else {
        None
    }
}

/// Bounds of exp(`numerator` / 10¹⁰).
fn exponential(numerator: u64) -> (u128, u128) {
    let one = 1_u128 << FRACTION_BITS;
    let (mut low, mut high) = (one, one);
    let (mut low_term, mut high_term) = (one, one);
    for n in 1..=TERMS {
        let divisor = u128::from(HUNDRED_TIME) * n;
        low_term = low_term * u128::from(numerator) / divisor;
        high_term = (high_term * u128::from(numerator)).div_ceil(divisor);
        low += low_term;
        high += high_term;
    }
    (low, high + high_term)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emission_is_that_of_fifty_digits() {
        let golden = include_str!("../../ledger/tests/golden/emission.txt");
        let mut lines = 0;
        for (voters, line) in (1..).zip(golden.lines()) {
            assert_eq!(emission(voters), Some(line.parse().unwrap()), "{voters} voters");
            lines += 1;
        }
        assert!(lines >= 150, "{lines}");
        assert_eq!((emission(0), emission(2_901)), (None, None));
        assert!((1..=2_900).step_by(7).all(|voters| emission(voters).is_some()));
    }
}
