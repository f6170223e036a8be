//! What a masternode did in the last intervals, and what it gets for that.

use super::names::last_intervals;
use super::paid::paid_to;
use super::reasons::why_not_now;
use crate::answers::shape::json;
use crate::answers::standing::Standing;
use crate::error::RpcError;
use crate::node::NodeApi;
use crate::rewards::{ChainRewards, ParticipationFigures};
use crate::text::JsonAmount;
use serde_json::{Value, json as value_of};
use timed_ledger::{ASSESSED_HEIGHTS_MIN, RegistrationId, RewardRow};

/// In so many intervals the last payment is looked for.
const LOOKED_BACK: u64 = 20;

fn shown(of: ParticipationFigures) -> Value {
    value_of!({ "expected": of.expected, "signed": of.signed, "percent": of.percent() })
}

/// What `masternodestatus` says of it.
pub(in crate::answers) async fn participation(node: &dyn NodeApi, standing: &Standing<'_>) -> Result<Value, RpcError> {
    let (facts, id) = (node.chain_rewards().await?, standing.one.id);
    let mut reports = match last_intervals(&facts, LOOKED_BACK) {
        Some((first, last)) => node.reward_reports(first, last).await?,
        None => Vec::new(),
    };
    reports.reverse();
    let row_of = |rows: &[RewardRow]| rows.iter().find(|row| row.registration == id).copied();
    let last_row = reports.first().and_then(|report| row_of(&report.masternodes));
    let last_payment = reports.iter().find_map(|report| paid_to(&id, report, &facts));
    let mut open = shown(ParticipationFigures::of(facts.open_tally(&id)));
    open["interval"] = facts.rewards.open().number.into();
    let mut assessed = shown(facts.since_assessed(&id));
    assessed["least_percent"] = (f64::from(facts.participation_min_bp) / 100.0).into();
    assessed["assessed_at"] = ASSESSED_HEIGHTS_MIN.into();
    Ok(value_of!({
        "participation": { "open": open, "since_assessed": assessed },
        "warned": facts.rewards.account(&id).is_warned,
        "last_payment": json(last_payment)?,
        "next_payout": next_payout(&id, &facts),
        "not_paid_because": why_not_now(standing, last_row.as_ref(), &facts),
    }))
}

/// The next interval that can pay it: the one that waits, or the open one.
fn next_payout(id: &RegistrationId, facts: &ChainRewards) -> Value {
    if let Some(report) = facts.expected.as_ref().map(|payment| &payment.report) {
        let voter = report.masternodes.iter().find(|row| row.registration == *id).map(|row| row.paid);
        let free = || report.free.iter().find(|row| row.registration == *id).map(|row| row.paid);
        if let Some(paid) = voter.or_else(free) {
            return value_of!({ "interval": report.interval, "time": facts.closes(), "estimate": JsonAmount(paid) });
        }
    }
    let open = facts.rewards.open();
    let is_drawn = open.drawn.iter().any(|drawn| drawn.free == *id);
    if is_drawn || open.tallies.contains_key(id) {
        return value_of!({ "interval": open.number, "time": facts.open_is_paid(), "estimate": null });
    }
    Value::Null
}
