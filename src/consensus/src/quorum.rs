//! The one law of majority: strictly more than two thirds of the voting power.

use arc_malachitebft_core_types::{ThresholdParam, ThresholdParams};
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{PublicKey, ValidatorSet};

/// Smallest power that is a quorum of `total`: strictly more than two thirds.
///
/// `total` is at most a third of `u64::MAX` (`ValidatorSet` enforces it), so nothing overflows.
pub fn quorum(total: u64) -> u64 {
    total * 2 / 3 + u64::from(!is_planted(Bug::QuorumOffByOne))
}

/// The same law for the engine, which counts for itself.
pub(crate) fn engine_thresholds() -> ThresholdParams {
    let two_fifths = ThresholdParam { numerator: 2, denominator: 5 };
    let sound = ThresholdParams::default();
    if is_planted(Bug::QuorumOffByOne) { ThresholdParams { quorum: two_fifths, ..sound } } else { sound }
}

/// True when `power` of `total` is a quorum. There is no other function for it and no way around it.
pub fn is_quorum(power: u64, total: u64) -> bool {
    power >= quorum(total)
}

/// True when `power` is more than a third of `total`: at least one honest validator is among them.
pub const fn is_more_than_third(power: u64, total: u64) -> bool {
    power > total / 3
}

/// Power of those members of `set` for whom `is_in` holds.
pub fn power_of(set: &ValidatorSet, mut is_in: impl FnMut(&PublicKey) -> bool) -> u64 {
    set.iter().filter(|v| is_in(&v.key)).map(|v| v.power).sum()
}

/// What an operator reads when there is no quorum, e.g. `no quorum: 2 of 3 voting power, need 3; missing node 3`.
///
/// `None` when those for whom `is_present` holds are a quorum.
pub fn quorum_line(
    set: &ValidatorSet,
    mut is_present: impl FnMut(&PublicKey) -> bool,
    label: impl Fn(&PublicKey) -> String,
) -> Option<String> {
    let total = set.total_power();
    let power = power_of(set, &mut is_present);
    if is_quorum(power, total) {
        return None;
    }
    let mut missing: Vec<_> = set.iter().filter(|v| !is_present(&v.key)).map(|v| label(&v.key)).collect();
    missing.sort();
    let need = quorum(total);
    Some(format!("no quorum: {power} of {total} voting power, need {need}; missing {}", missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use timed_primitives::Validator;

    proptest! {
        #[test]
        fn quorum_is_the_engines_and_two_quorums_share_more_than_a_third(total in 1..=u64::MAX / 3, power in any::<u64>()) {
            let power = power % (total + 1);
            prop_assert_eq!(is_quorum(power, total), ThresholdParam::TWO_F_PLUS_ONE.is_met(power, total));
            prop_assert_eq!(is_more_than_third(power, total), ThresholdParam::F_PLUS_ONE.is_met(power, total));
            // Any two quorums overlap in power that cannot all be faulty.
            prop_assert!(is_more_than_third(2 * quorum(total) - total, total));
            prop_assert!(quorum(total) <= total);
        }
    }

    #[test]
    fn small_numbers_and_the_line() {
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 10].map(quorum), [1, 2, 3, 3, 4, 5, 5, 7]);
        let set =
            ValidatorSet::new((1..=3).map(|k| Validator { key: PublicKey([k; 32]), power: 1 }).collect()).unwrap();
        let label = |k: &PublicKey| format!("node {}", k.0[0]);
        let line = quorum_line(&set, |k| k.0[0] != 3, label);
        assert_eq!(line.as_deref(), Some("no quorum: 2 of 3 voting power, need 3; missing node 3"));
        assert_eq!(quorum_line(&set, |_| true, label), None);
    }
}
