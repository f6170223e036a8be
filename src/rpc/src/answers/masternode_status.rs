//! What a masternode does, and what to do about it.

use super::rewards::participation;
use super::shape::with_fields;
use super::standing::{Standing, own};
use crate::error::RpcError;
use crate::masternodes::ChainMasternodes;
use crate::node::NodeApi;
use crate::text::Text;
use serde_json::{Value, json as value_of};
use timed_ledger::{Masternode, MasternodeStatus, RegistrationId, Tier, VOTERS_MAX, VOTERS_MIN};
use timed_primitives::{Amount, PublicKey};

/// `masternodestatus`.
pub(super) async fn status(node: &dyn NodeApi, named: Option<RegistrationId>) -> Result<Value, RpcError> {
    let all = node.chain_masternodes().await?;
    let id = match named {
        Some(id) => id,
        None => own(node, &all.list)?,
    };
    let one = all.list.get(&id).ok_or(RpcError::MasternodeUnknown(id))?;
    let rows = node.masternodes().await?;
    let row = rows.into_iter().find(|row| row.registration.0 == id).ok_or(RpcError::MasternodeUnknown(id))?;
    let places = all.places();
    let place = places.get(&id).copied();
    let effective = effective_power(&all, &one.operator);
    let fields = value_of!({
        "tier_power": one.tier.power(),
        "effective_power": effective,
        "place": place,
        "candidates": places.len(),
        "last_change": Text(one.last_change),
        "changed_height": one.changed_at.0,
        "expires": (one.tier == Tier::Free).then(|| one.expires.seconds()),
        "advice": advice(&all, one, row.power, (place, places.len())),
    });
    let participation = participation(node, &Standing { one, place }).await?;
    with_fields(with_fields(row, fields)?, participation)
}

/// The power that a key has two heights after the last block.
fn effective_power(all: &ChainMasternodes, key: &PublicKey) -> u64 {
    let voters = all.list.voters();
    voters.ok().and_then(|voters| voters.validators().get(key).map(|voter| voter.power)).unwrap_or_default()
}

/// What to do about a masternode, in words.
fn advice(all: &ChainMasternodes, one: &Masternode, power: u64, (place, candidates): (Option<usize>, usize)) -> String {
    let id = one.id;
    match one.status {
        MasternodeStatus::Active if !one.tier.votes() => format!(
            "it is free: it relays and serves, and does not vote; it ends in {} unless `protx update_service {id}` renews it",
            span(one.expires.seconds().saturating_sub(all.time.seconds()))
        ),
        MasternodeStatus::Active => match place {
            Some(place) if place > VOTERS_MAX => format!(
                "it waits for one of {VOTERS_MAX} places: {} are ahead of it; it moves up when one of them leaves or pauses",
                place - 1
            ),
            _ if power == 0 => format!(
                "it votes from height {} on: what a block changes acts two heights later; keep the machine running",
                one.changed_at.0.saturating_add(2)
            ),
            _ => {
                format!("it votes: keep the machine running, and announce by `protx pause {id}` when it has to be away")
            }
        },
        MasternodeStatus::Paused => {
            format!("it has no power and no penalty: `protx resume {id}` ends that when the machine is back")
        }
        MasternodeStatus::Leaving { asked_at } => format!(
            "it asked to leave at height {asked_at} and votes until more than {VOTERS_MIN} can vote (now {candidates}): keep the machine \
             running until then"
        ),
        MasternodeStatus::Jailed { at } => format!(
            "it was jailed at height {at}, since it missed too many heights, and has no power; it lost no money: mend the machine, then \
             `protx resume {id}`"
        ),
        MasternodeStatus::Ended { at } => format!(
            "it signed two things for one place, which the chain has the proof of since height {at}: it has ended for good, and {} TIME of its \
             collateral are charged; it votes on, without pay, until others may lose their power with it",
            one.penalty
        ),
        MasternodeStatus::Left { at, .. } if one.penalty > Amount::ZERO => format!(
            "it signed two things for one place and has ended for good; {} TIME of its collateral go to the treasury when it is released; {}",
            one.penalty,
            left_advice(all, one, at.0.saturating_add(2))
        ),
        MasternodeStatus::Left { at, .. } => left_advice(all, one, at.0.saturating_add(2)),
    }
}

fn left_advice(all: &ChainMasternodes, one: &Masternode, exit: u64) -> String {
    let release = all.release_time(one.status).unwrap_or_default();
    let (id, now) = (one.id, all.time.seconds());
    if all.height.0.saturating_add(1) < exit {
        return format!("it left and votes until height {}: keep the machine running until then", exit - 1);
    }
    if now >= release {
        return format!("it left, and its collateral is free: `protx release {id}`");
    }
    let when = span(release - now);
    format!("it left, and its machine can go; its collateral can be released in {when}: `protx release {id}`")
}

/// A time of so many seconds in words.
pub(super) fn span(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
