//! `getrewardreport`: what an interval pays, and why.

use super::names::Names;
use super::reasons::{why_free, why_less};
use crate::answers::shape::json;
use crate::error::RpcError;
use crate::node::NodeApi;
use crate::params::{Args, IntervalAt};
use crate::rewards::ChainRewards;
use crate::text::{JsonAmount, Text};
use serde::Serialize;
use serde_json::Value;
use timed_ledger::{Drawn, Interval, RegistrationId, RewardReport, payout_id};
use timed_primitives::TxId;

/// An interval. What is not known before it is paid is left out, and amounts of one that waits are what it would pay now.
#[derive(Default, Serialize)]
struct ReportInfo {
    interval: u64,
    /// `paid`, `waiting` (closed, for late precommits) or `open`.
    state: &'static str,
    first_height: u64,
    /// When it closes at the earliest. Unit: seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    closes: Option<u64>,
    /// When it is paid at the earliest. Unit: seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pays: Option<u64>,
    /// Height of the block that paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
    /// Its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    /// The id of the outputs, which no transaction made.
    #[serde(skip_serializing_if = "Option::is_none")]
    txid: Option<Text<TxId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voters: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emission: Option<JsonAmount>,
    fees: JsonAmount,
    /// Of both, what goes to the treasury.
    #[serde(skip_serializing_if = "Option::is_none")]
    treasury: Option<JsonAmount>,
    masternodes: Vec<RowInfo>,
    free: Vec<FreeInfo>,
    /// Who was warned, and who was to be jailed.
    warned: Vec<Text<RegistrationId>>,
    missing: Vec<Text<RegistrationId>>,
}

#[derive(Serialize)]
struct RowInfo {
    registration: Text<RegistrationId>,
    name: Option<String>,
    tier: &'static str,
    expected: u32,
    signed: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    earned: Option<JsonAmount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid: Option<JsonAmount>,
    /// Positions of its payouts among the outputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vout: Vec<u32>,
    /// Why it is less than could be.
    why: Option<String>,
}

#[derive(Serialize)]
struct FreeInfo {
    registration: Text<RegistrationId>,
    name: Option<String>,
    witnesses: u32,
    reached: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid: Option<JsonAmount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vout: Vec<u32>,
    why: Option<String>,
}

/// `getrewardreport`.
pub(in crate::answers) async fn report(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let wanted = args.interval("interval")?;
    let (facts, names) = (node.chain_rewards().await?, Names::of(node).await?);
    let (open, waiting) = (facts.rewards.open().number, facts.rewards.waiting().map(|waiting| waiting.number));
    let unknown = |interval| RpcError::IntervalUnknown { interval, kept: facts.kept, waiting, open };
    match wanted {
        IntervalAt::Open => json(of_open(&facts, &names)),
        IntervalAt::Waiting => json(of_waiting(&facts, &names).ok_or_else(|| unknown(None))?),
        IntervalAt::Number(number) if number == open => json(of_open(&facts, &names)),
        IntervalAt::Number(number) if Some(number) == waiting => {
            json(of_waiting(&facts, &names).ok_or_else(|| unknown(Some(number)))?)
        }
        IntervalAt::Latest | IntervalAt::Number(_) => {
            let latest = || facts.kept.map(|(_, newest)| newest).ok_or_else(|| unknown(None));
            let number = if let IntervalAt::Number(number) = wanted { number } else { latest()? };
            let found = node.reward_reports(number, number).await?.pop();
            json(of_paid(&found.ok_or_else(|| unknown(Some(number)))?, &facts, &names))
        }
    }
}

fn of_paid(report: &RewardReport, facts: &ChainRewards, names: &Names) -> ReportInfo {
    ReportInfo {
        state: "paid",
        height: Some(report.paid_at.0),
        time: Some(report.time.seconds()),
        txid: Some(payout_id(facts.genesis, report.paid_at).into()),
        warned: report.warned.iter().copied().map(Text).collect(),
        missing: report.missing.iter().copied().map(Text).collect(),
        ..amounts(report, facts, names)
    }
}

fn of_waiting(facts: &ChainRewards, names: &Names) -> Option<ReportInfo> {
    let report = &facts.expected.as_ref()?.report;
    Some(ReportInfo { state: "waiting", pays: Some(facts.closes()), ..amounts(report, facts, names) })
}

fn of_open(facts: &ChainRewards, names: &Names) -> ReportInfo {
    let open: &Interval = facts.rewards.open();
    let masternodes = open.tallies.iter().map(|(id, tally)| RowInfo {
        registration: (*id).into(),
        name: names.get(id),
        tier: tally.tier.name(),
        expected: tally.expected,
        signed: tally.signed,
        earned: None,
        paid: None,
        vout: Vec::new(),
        why: None,
    });
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let free = open.drawn.iter().map(|drawn: &Drawn| FreeInfo {
        registration: drawn.free.into(),
        name: names.get(&drawn.free),
        witnesses: count(drawn.witnesses.len()),
        reached: count(drawn.stated()),
        paid: None,
        vout: Vec::new(),
        why: None,
    });
    ReportInfo {
        interval: open.number,
        state: "open",
        first_height: open.first.0,
        closes: Some(facts.closes()),
        pays: Some(facts.open_is_paid()),
        fees: open.fees.into(),
        masternodes: masternodes.collect(),
        free: free.collect(),
        ..ReportInfo::default()
    }
}

/// What is the same before and after the payment.
fn amounts(report: &RewardReport, facts: &ChainRewards, names: &Names) -> ReportInfo {
    let mut next = 0;
    let mut vout = |count: u32| {
        let first = next;
        next += count;
        (first..next).collect::<Vec<u32>>()
    };
    let masternodes = report.masternodes.iter().map(|row| RowInfo {
        registration: row.registration.into(),
        name: names.get(&row.registration),
        tier: row.tier.name(),
        expected: row.expected,
        signed: row.signed,
        earned: Some(row.earned.into()),
        paid: Some(row.paid.into()),
        vout: vout(row.payouts),
        why: why_less(row, facts),
    });
    let masternodes = masternodes.collect();
    let free = report.free.iter().map(|row| FreeInfo {
        registration: row.registration.into(),
        name: names.get(&row.registration),
        witnesses: row.witnesses,
        reached: row.reached,
        paid: Some(row.paid.into()),
        vout: vout(row.payouts),
        why: why_free(row, facts),
    });
    ReportInfo {
        interval: report.interval,
        first_height: report.first.0,
        voters: Some(report.voters),
        emission: Some(report.emission.into()),
        fees: report.fees.into(),
        treasury: Some(report.treasury.into()),
        free: free.collect(),
        masternodes,
        ..ReportInfo::default()
    }
}
