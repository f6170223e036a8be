//! How much money an interval makes.

use timed_primitives::Amount;

/// Binary digits behind the point of the logarithms below.
const SCALE: u32 = 60;

/// ⌊100·(1 + ln n)·10⁸⌋ units for n masternodes that vote; nothing for none.
///
/// The logarithm is a series in fixed point, ln n = k·ln 2 + 2·artanh((n − 2^k) / (n + 2^k)), with an error below 2⁻⁵³. So the amount is off by
/// less than 0.000002 units before it is rounded down; a test compares it with fifty digits for every n that can be.
pub fn emission(voters: u32) -> Amount {
    let Some(exponent) = voters.checked_ilog2() else { return Amount::ZERO };
    let (n, power) = (u128::from(voters), 1u128 << exponent);
    let logarithm = u128::from(exponent) * twice_artanh(1, 3) + twice_artanh(n - power, n + power);
    let per_unit = 100 * u128::from(Amount::ONE.0);
    let units = (per_unit * ((1 << SCALE) + logarithm)) >> SCALE;
    Amount(u64::try_from(units).unwrap_or(u64::MAX))
}

/// 2·artanh(p/q) = 2·(z + z³/3 + z⁵/5 + …) for z = p/q ≤ 1/3, in fixed point.
fn twice_artanh(p: u128, q: u128) -> u128 {
    let z = (p << SCALE) / q;
    let square = (z * z) >> SCALE;
    let (mut power, mut sum, mut divisor) = (z, 0, 1);
    while power > 0 {
        sum += power / divisor;
        power = (power * square) >> SCALE;
        divisor += 2;
    }
    2 * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with fifty decimal digits: `int(100 * 10**8 * (1 + Decimal(n).ln()))` for n from 1 on.
    const EXACT: &str = include_str!("../../tests/golden/emission.txt");

    #[test]
    fn every_number_of_voters_gives_the_exact_amount() {
        let exact: Vec<u64> = EXACT.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(exact.len(), 1_000);
        for (voters, expected) in (1..).zip(exact) {
            assert_eq!(emission(voters), Amount(expected), "{voters} voters");
        }
        assert_eq!(emission(0), Amount::ZERO);
        assert!(emission(u32::MAX) > emission(1_000));
    }
}
