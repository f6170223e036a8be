//! Why a masternode is not paid, or less than it could be, in words.

use crate::answers::standing::Standing;
use crate::rewards::ChainRewards;
use timed_ledger::{
    FreeRow, Masternode, MasternodeStatus, PAYOUTS_MAX, REACHED_MIN, RegistrationId, RewardRow, VOTERS_MAX,
};

/// Why one that voted was paid less than it could have been; `None` when it was not.
pub(super) fn why_less(row: &RewardRow, facts: &ChainRewards) -> Option<String> {
    let mut reasons = Vec::new();
    let missed = row.expected.saturating_sub(row.signed);
    if missed > 0 {
        reasons.push(format!("it missed {missed} of {} heights", row.expected));
    }
    // Rounding down costs less than one unit for each payee.
    let lost = row.earned.minus(row.paid).unwrap_or_default();
    if lost.0 > u64::try_from(PAYOUTS_MAX).unwrap_or(u64::MAX) {
        reasons.push(why_lost(&row.registration, row.payouts == 0 && row.earned >= facts.dust_min, facts));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Why what was earned was not paid, or not all of it.
fn why_lost(id: &RegistrationId, is_whole: bool, facts: &ChainRewards) -> String {
    let dust = || format!("a share of a payee below {} TIME is not paid", facts.dust_min);
    match facts.list.get(id) {
        None if is_whole => "it was gone from the list when the interval was paid".into(),
        Some(one) if is_whole && one.is_ended() => "it signed two things for one place, which ends all pay".into(),
        _ => dust(),
    }
}

/// Why a free one that was drawn was not paid; `None` when it was.
pub(super) fn why_free(row: &FreeRow, facts: &ChainRewards) -> Option<String> {
    if usize::try_from(row.reached).is_ok_and(|reached| reached < REACHED_MIN) {
        return Some(reached_by(row.reached, row.witnesses));
    }
    (row.payouts == 0).then(|| {
        format!("it was not active when the interval was paid, or what it earned is below {} TIME", facts.dust_min)
    })
}

fn reached_by(reached: u32, witnesses: u32) -> String {
    format!("{reached} of {witnesses} witnesses reached it, and {REACHED_MIN} must")
}

/// Why a masternode earns nothing now, or less than it could; `None` when it earns all it can.
pub(super) fn why_not_now(standing: &Standing<'_>, last: Option<&RewardRow>, facts: &ChainRewards) -> Option<String> {
    let one = standing.one;
    match one.status {
        _ if one.is_ended() => Some("it signed two things for one place, which ends all pay".into()),
        MasternodeStatus::Paused => Some("it is paused: it earns from two heights after `resume` on".into()),
        MasternodeStatus::Jailed { at } => Some(format!(
            "it was jailed at height {at}, since it missed too many heights: it earns from two heights after `resume` on"
        )),
        MasternodeStatus::Left { .. } => Some("it has left: heights until its exit are paid, and nothing after".into()),
        _ if !one.tier.votes() => why_free_now(one, facts),
        _ => match standing.place {
            Some(place) if place > VOTERS_MAX => {
                Some(format!("it waits for one of {VOTERS_MAX} places: {} are ahead of it", place - 1))
            }
            _ => why_voter_now(one, last, facts),
        },
    }
}

fn why_free_now(one: &Masternode, facts: &ChainRewards) -> Option<String> {
    let rewards = &facts.rewards;
    let waiting = facts.expected.iter().flat_map(|payment| &payment.report.free);
    if let Some(row) = waiting.into_iter().find(|row| row.registration == one.id) {
        return why_free(row, facts).map(|why| format!("interval {}: {why}", rewards.open().number.saturating_sub(1)));
    }
    match rewards.open().drawn.iter().find(|drawn| drawn.free == one.id) {
        Some(_) => None,
        None => Some(format!(
            "it was not drawn for interval {}: of all free ones ten are, at random, for each interval",
            rewards.open().number
        )),
    }
}

fn why_voter_now(one: &Masternode, last: Option<&RewardRow>, facts: &ChainRewards) -> Option<String> {
    let waiting = facts.expected.iter().flat_map(|payment| &payment.report.masternodes);
    if let Some(row) = waiting.into_iter().find(|row| row.registration == one.id).or(last) {
        return why_less(row, facts);
    }
    match facts.open_tally(&one.id) {
        Some(tally) => {
            let row = RewardRow {
                registration: one.id,
                tier: tally.tier,
                expected: tally.expected,
                signed: tally.signed,
                earned: Default::default(),
                paid: Default::default(),
                payouts: 0,
            };
            why_less(&row, facts)
        }
        None => Some(format!("none of its heights counts yet: it votes from height {} on", one.votes_from())),
    }
}
