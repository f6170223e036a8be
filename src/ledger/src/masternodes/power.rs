//! Voting power as it counts: tier powers, capped so that nobody can stop or decide alone.

/// Most masternodes that vote; others wait for a place. Bounds the size of certificates.
pub const VOTERS_MAX: usize = 150;

/// Fewest voters that a pause or an exit may leave: with fewer than four, one that fails stops the chain.
pub const VOTERS_MIN: usize = 4;

/// The powers of these voters, each capped at the largest c for which nobody holds a third or more of the capped sum.
///
/// Such a c exists whenever there are four or more: at c = 1 each holds the same. With fewer, powers are as they are. The order is kept.
pub fn effective_powers(powers: &[u64]) -> Vec<u64> {
    let largest = powers.iter().copied().max().unwrap_or_default();
    if powers.len() < VOTERS_MIN {
        return powers.to_vec();
    }
    let cap = (1..=largest).rev().find(|cap| is_fair(powers, largest, *cap)).unwrap_or(1);
    powers.iter().map(|power| *power.min(&cap)).collect()
}

/// Whether nobody holds a third when powers are capped at `cap`.
fn is_fair(powers: &[u64], largest: u64, cap: u64) -> bool {
    let total: u128 = powers.iter().map(|power| u128::from(*power.min(&cap))).sum();
    3 * u128::from(largest.min(cap)) < total
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_gold_among_bronzes_does_not_decide_alone() {
        assert_eq!(effective_powers(&[100, 1, 1, 1]), [1, 1, 1, 1]);
        // 2 of 7 is below a third, 3 of 9 is a third.
        assert_eq!(effective_powers(&[100, 1, 1, 1, 1, 1]), [2, 1, 1, 1, 1, 1]);
        assert_eq!(effective_powers(&[100, 100, 100, 100]), [100; 4]);
        // 14 of 44 is below a third, 15 of 45 is a third.
        assert_eq!(effective_powers(&[100, 10, 10, 10]), [14, 10, 10, 10]);
        assert_eq!(effective_powers(&[100, 10, 10, 1, 1, 1]), [11, 10, 10, 1, 1, 1]);
    }

    #[test]
    fn fewer_than_four_keep_the_power_of_their_tier() {
        assert_eq!(effective_powers(&[]), Vec::<u64>::new());
        assert_eq!(effective_powers(&[100]), [100]);
        assert_eq!(effective_powers(&[100, 1, 1]), [100, 1, 1]);
    }

    fn powers() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(proptest::sample::select(vec![1_u64, 10, 100]), 4..=150)
    }

    proptest! {
        #[test]
        fn nobody_holds_a_third_and_the_cap_is_the_largest(powers in powers()) {
            let effective = effective_powers(&powers);
            let share = |powers: &[u64]| {
                let (most, total) = (powers.iter().max().copied().unwrap_or(0), powers.iter().sum::<u64>());
                3 * most < total
            };
            prop_assert!(share(&effective), "{effective:?}");
            let cap = effective.iter().max().copied().unwrap_or(0);
            prop_assert!(effective.iter().zip(&powers).all(|(now, before)| *now == *before.min(&cap)));
            let largest = powers.iter().max().copied().unwrap_or(0);
            for more in cap + 1..=largest {
                let capped: Vec<u64> = powers.iter().map(|power| *power.min(&more)).collect();
                prop_assert!(!share(&capped), "{more} would do as well");
            }
        }
    }
}
