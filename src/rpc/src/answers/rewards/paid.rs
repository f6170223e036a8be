//! Who was paid of late, and what one was paid.

use super::names::{AskedReports, Names, last_intervals};
use super::reasons::{why_free, why_less};
use crate::answers::shape::{json, total};
use crate::error::RpcError;
use crate::node::NodeApi;
use crate::params::Args;
use crate::rewards::ChainRewards;
use crate::text::{JsonAmount, Text};
use serde::Serialize;
use serde_json::{Value, json as value_of};
use timed_ledger::{REWARD_REPORTS_MAX, RegistrationId, RewardReport, payout_id};
use timed_primitives::{Amount, TxId};

/// Most intervals of `masternodewinners`.
const WINNERS_MAX: u64 = 100;

/// What a masternode has of an interval.
#[derive(Serialize)]
pub(super) struct PaidInfo {
    pub(super) interval: u64,
    /// Of the block that paid.
    pub(super) height: u64,
    pub(super) time: u64,
    pub(super) tier: &'static str,
    /// None for a free one, whose heights nobody counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expected: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signed: Option<u32>,
    /// Of a free one: how many witnesses reached it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reached: Option<u32>,
    pub(super) earned: JsonAmount,
    pub(super) paid: JsonAmount,
    pub(super) txid: Text<TxId>,
    /// Positions of the payouts among the outputs.
    pub(super) vout: Vec<u32>,
    /// Why it is less than could be.
    pub(super) why: Option<String>,
}

/// What a masternode has of a report, if it is in it.
pub(super) fn paid_to(id: &RegistrationId, report: &RewardReport, facts: &ChainRewards) -> Option<PaidInfo> {
    let common = |tier, earned: Amount, paid: Amount, first: u32, count: u32| PaidInfo {
        interval: report.interval,
        height: report.paid_at.0,
        time: report.time.seconds(),
        tier,
        expected: None,
        signed: None,
        reached: None,
        earned: earned.into(),
        paid: paid.into(),
        txid: payout_id(facts.genesis, report.paid_at).into(),
        vout: (first..first.saturating_add(count)).collect(),
        why: None,
    };
    let before = |position: usize| report.masternodes.iter().take(position).map(|row| row.payouts).sum::<u32>();
    if let Some(position) = report.masternodes.iter().position(|row| row.registration == *id) {
        let row = report.masternodes.get(position)?;
        let info = common(row.tier.name(), row.earned, row.paid, before(position), row.payouts);
        return Some(PaidInfo {
            expected: Some(row.expected),
            signed: Some(row.signed),
            why: why_less(row, facts),
            ..info
        });
    }
    let position = report.free.iter().position(|row| row.registration == *id)?;
    let row = report.free.get(position)?;
    let first = before(usize::MAX) + report.free.iter().take(position).map(|row| row.payouts).sum::<u32>();
    let info = common("free", row.paid, row.paid, first, row.payouts);
    Some(PaidInfo { reached: Some(row.reached), why: why_free(row, facts), ..info })
}

/// `masternodewinners`: the newest interval first.
pub(in crate::answers) async fn winners(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let count = args.integer_or("count", 10)?.min(WINNERS_MAX);
    let (facts, names) = (node.chain_rewards().await?, Names::of(node).await?);
    let Some((first, last)) = last_intervals(&facts, count) else { return Ok(Value::Array(Vec::new())) };
    let reports = node.reward_reports(first, last).await?;
    let rows = reports.iter().rev().map(|report| {
        let ids = report.masternodes.iter().filter(|row| row.payouts > 0).map(|row| row.registration);
        let ids = ids.chain(report.free.iter().filter(|row| row.payouts > 0).map(|row| row.registration));
        let winners = ids.filter_map(|id| {
            let paid = paid_to(&id, report, &facts)?;
            Some(value_of!({
                "registration": Text(id), "name": names.get(&id), "tier": paid.tier, "paid": paid.paid, "why": paid.why,
            }))
        });
        value_of!({
            "interval": report.interval,
            "height": report.paid_at.0,
            "time": report.time.seconds(),
            "txid": Text(payout_id(facts.genesis, report.paid_at)),
            "emission": JsonAmount(report.emission),
            "fees": JsonAmount(report.fees),
            "treasury": JsonAmount(report.treasury),
            "paid": total(report.outputs.iter().map(|output| output.amount)),
            "winners": winners.collect::<Vec<_>>(),
        })
    });
    Ok(rows.collect())
}

/// `masternoderewards`: the newest interval first.
pub(in crate::answers) async fn rewards(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let count = args.integer_or("count", 20)?.min(REWARD_REPORTS_MAX);
    let AskedReports { facts, id, names, range, reports } = AskedReports::of(node, args, count).await?;
    let rows: Vec<PaidInfo> = reports.iter().rev().filter_map(|report| paid_to(&id, report, &facts)).collect();
    if rows.is_empty() && facts.list.get(&id).is_none() {
        return Err(RpcError::MasternodeUnknown(id));
    }
    let sum = total(rows.iter().map(|row| row.paid.0));
    json(value_of!({
        "registration": Text(id),
        "name": names.get(&id),
        "first_interval": range.map(|(first, _)| first),
        "last_interval": range.map(|(_, last)| last),
        "paid": sum,
        "rewards": json(rows)?,
    }))
}
