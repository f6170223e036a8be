//! `masternodehistory`: each penalty of a masternode, and each reward that it missed, with the reason.

use super::names::AskedReports;
use super::paid::{PaidInfo, paid_to};
use crate::answers::shape::json;
use crate::error::RpcError;
use crate::node::{BlockAt, NodeApi};
use crate::params::Args;
use crate::rewards::ChainRewards;
use crate::text::{JsonAmount, Text};
use serde::Serialize;
use serde_json::{Value, json as value_of};
use timed_ledger::{
    Masternode, MasternodeStatus, REWARD_REPORTS_MAX, RegistrationId, RewardReport, TransactionPayload, transactions_of,
};
use timed_primitives::{Amount, Height, TxId, UnixTime};

/// Blocks of one time in which evidence is looked for.
const BLOCKS_MAX: u64 = 16;

/// What happened to a masternode.
#[derive(Serialize)]
struct EventInfo {
    /// `double sign`, `jailed`, `warning`, `not paid` or `paid less`.
    event: &'static str,
    /// Of the block; none when it is not known any more.
    height: Option<u64>,
    time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<u64>,
    /// Of evidence: its transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    txid: Option<Text<TxId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid: Option<JsonAmount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charged: Option<JsonAmount>,
    reason: String,
}

/// `masternodehistory`: the newest first.
pub(in crate::answers) async fn history(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let count = args.integer_or("count", 100)?.min(REWARD_REPORTS_MAX);
    let AskedReports { facts, id, names, range, reports } = AskedReports::of(node, args, count).await?;
    let one = facts.list.get(&id);
    let is_known = one.is_some() || reports.iter().any(|report| paid_to(&id, report, &facts).is_some());
    if !is_known {
        return Err(RpcError::MasternodeUnknown(id));
    }
    let mut events: Vec<EventInfo> = reports.iter().rev().flat_map(|report| of_report(&id, report, &facts)).collect();
    if let Some(one) = one.filter(|one| one.is_ended()) {
        let event = double_sign(node, one, &facts).await?;
        let at = event.height;
        // Where the height is not known it was long ago.
        let before = at.map_or(events.len(), |at| events.iter().take_while(|event| event.height > Some(at)).count());
        events.insert(before, event);
    }
    Ok(value_of!({
        "registration": Text(id),
        "name": names.get(&id),
        "status": one.map(|one| one.status.name()),
        "penalty": JsonAmount(one.map(|one| one.penalty).unwrap_or_default()),
        "warned": facts.rewards.account(&id).is_warned,
        "first_interval": range.map(|(first, _)| first),
        "last_interval": range.map(|(_, last)| last),
        "events": json(events)?,
    }))
}

/// A assessment, and a payment that was less than could be: the later first.
fn of_report(id: &RegistrationId, report: &RewardReport, facts: &ChainRewards) -> Vec<EventInfo> {
    let paid = paid_to(id, report, facts);
    let of_interval = |event, reason| EventInfo {
        event,
        height: Some(report.paid_at.0),
        time: Some(report.time.seconds()),
        interval: Some(report.interval),
        txid: None,
        expected: paid.as_ref().and_then(|paid| paid.expected),
        signed: paid.as_ref().and_then(|paid| paid.signed),
        paid: None,
        charged: None,
        reason,
    };
    let least = f64::from(facts.participation_min_bp) / 100.0;
    let mut events = Vec::new();
    if report.missing.contains(id) {
        let is_jailed =
            facts.list.get(id).is_some_and(|one| one.status == MasternodeStatus::Jailed { at: report.paid_at });
        let then = match is_jailed {
            true => "it has no power until it resumes, and lost no money",
            false => "it lost its power and no money, unless too few would have been left",
        };
        events.push(of_interval("jailed", format!("after a warning it signed less than {least} % again: {then}")));
    }
    if report.warned.contains(id) {
        let reason = format!("it signed less than {least} % of its heights: the next time it is jailed");
        events.push(of_interval("warning", reason));
    }
    if let Some(PaidInfo { paid: amount, why: Some(why), .. }) = &paid {
        let event = if amount.0 == Amount::ZERO { "not paid" } else { "paid less" };
        events.push(EventInfo { paid: Some(*amount), ..of_interval(event, why.clone()) });
    }
    events
}

async fn double_sign(node: &dyn NodeApi, one: &Masternode, facts: &ChainRewards) -> Result<EventInfo, RpcError> {
    let place = evidence(node, one, facts).await?;
    let then = match one.status {
        MasternodeStatus::Ended { .. } => {
            "it votes on without pay until others may lose their power with it, and leaves then"
        }
        _ => "it has left for good",
    };
    Ok(EventInfo {
        event: "double sign",
        height: place.map(|(height, _, _)| height.0),
        time: place.map(|(_, time, _)| time.seconds()),
        interval: None,
        txid: place.and_then(|(_, _, txid)| txid).map(Text),
        expected: None,
        signed: None,
        paid: None,
        charged: Some(one.penalty.into()),
        reason: format!(
            "its key signed two things for one place; {} TIME of its collateral go to the treasury when it is released; {then}",
            one.penalty
        ),
    })
}

/// The block with the evidence against a masternode, and its transaction. It is known from the status, or from the time that the chain keeps of
/// an offence: by that the block is found by halving.
async fn evidence(
    node: &dyn NodeApi,
    one: &Masternode,
    facts: &ChainRewards,
) -> Result<Option<(Height, UnixTime, Option<TxId>)>, RpcError> {
    let known = match one.status {
        MasternodeStatus::Ended { at } => Some(at),
        _ => None,
    };
    let first = match known {
        Some(at) => at,
        None => {
            let offence = facts.list.penalties().offences.iter().find(|offence| offence.registration == one.id);
            let Some(offence) = offence else { return Ok(None) };
            let time = offence.until.0.saturating_sub(facts.unbonding_ms);
            let (mut low, mut high) = (Height::FIRST.0, facts.height.0);
            while low < high {
                let middle = low + (high - low) / 2;
                let block = node.block(BlockAt::Height(Height(middle))).await?.block;
                (low, high) = if block.header.time.0 < time { (middle + 1, high) } else { (low, middle) };
            }
            Height(low)
        }
    };
    let last = known.unwrap_or(Height(facts.height.0.min(first.0.saturating_add(BLOCKS_MAX))));
    for height in first.0..=last.0 {
        let block = node.block(BlockAt::Height(Height(height))).await?.block;
        let found = transactions_of(&block.payload).into_iter().find(|transaction| {
            matches!(transaction.body.payload, TransactionPayload::DoubleSign { registration, .. } if registration == one.id)
        });
        if found.is_some() || known.is_some() {
            return Ok(Some((Height(height), block.header.time, found.map(|found| found.id()))));
        }
    }
    Ok(None)
}
