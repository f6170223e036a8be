//! The texts of events: what all subscriptions of one kind get alike.

use super::node_event::{ConsensusStep, DeclinedPayment, MasternodeState, PeerEnd, PeerUpState};
use super::parts::{EventBody, PaymentParts, PreparedBlock};
use super::topic::{BlockDetail, EventFilter, Topic};
use crate::chain::{BlockInfo, TransactionInfo};
use crate::node::BlockFacts;
use crate::text::{JsonAmount, Text};
use serde_json::{Map, Value, json};
use timed_ledger::{Address, KeyHash, OutPoint};
use timed_primitives::{Amount, BlockId, Height, Network, TxId, UnixTime};

fn body(topic: Topic, height: Height, rest: Value) -> EventBody {
    let mut whole = Map::new();
    whole.insert("topic".into(), topic.name().into());
    whole.insert("height".into(), height.0.into());
    if let Value::Object(rest) = rest {
        whole.extend(rest);
    }
    Value::Object(whole).to_string().into()
}

/// That all of the past and of the present was sent.
pub(crate) fn caught_up(topic: Topic, height: Height) -> EventBody {
    body(topic, height, json!({ "state": "caught_up" }))
}

/// A final block.
pub(crate) fn block(block: &PreparedBlock, detail: BlockDetail) -> EventBody {
    let facts = BlockFacts {
        block: block.block.clone(),
        certificate: (detail == BlockDetail::Full).then(|| (*block.certificate).clone()),
        confirmations: 1,
        next: None,
    };
    let shown = match detail {
        BlockDetail::Header | BlockDetail::Ids => serde_json::to_value(BlockInfo::of(&facts, |tx| Text(tx.id()))),
        BlockDetail::Full => {
            serde_json::to_value(BlockInfo::of(&facts, |tx| TransactionInfo::in_block(tx, 1, block.network)))
        }
    };
    // Keys are text and values are finite, so it always is JSON.
    let mut shown = shown.unwrap_or_default();
    if let (BlockDetail::Header, Some(fields)) = (detail, shown.as_object_mut()) {
        fields.shift_remove("tx");
    }
    body(Topic::Blocks, block.height(), json!({ "state": "final", "block": shown }))
}

/// How far a payment has come.
#[derive(Clone, Debug)]
pub(crate) enum PaymentStage<'a> {
    Mempool,
    Proposed(BlockId),
    Final(BlockId, UnixTime),
    Declined(&'a DeclinedPayment),
}

/// A payment, as far as it concerns a subscription.
pub(crate) fn payment(
    network: Network,
    height: Height,
    parts: &PaymentParts,
    filter: &EventFilter,
    stage: &PaymentStage<'_>,
) -> EventBody {
    let shown = |owner: Option<KeyHash>| owner.map(|key_hash| Text(Address { network, key_hash }));
    let received: Vec<_> =
        parts.outputs.iter().filter(|output| filter.has_owner(output.owner, output.is_mine)).collect();
    let amount = Amount::sum(received.iter().map(|output| output.amount)).unwrap_or(Amount(u64::MAX));
    let received: Vec<Value> = received
        .iter()
        .map(|output| json!({ "address": shown(output.owner), "vout": output.outpoint.index, "amount": JsonAmount(output.amount) }))
        .collect();
    let spent = parts.inputs.iter().filter(|input| filter.has_owner(input.owner, input.is_mine));
    let spent: Vec<Value> = spent
        .map(|input| json!({ "address": shown(input.owner), "txid": Text(input.outpoint.txid), "vout": input.outpoint.index }))
        .collect();
    let mut rest = json!({ "state": "mempool", "txid": Text(parts.txid), "amount": JsonAmount(amount), "received": received, "spent": spent });
    match stage {
        PaymentStage::Mempool => {}
        PaymentStage::Proposed(block) => {
            rest["state"] = "proposed".into();
            rest["block"] = json!(Text(*block));
        }
        PaymentStage::Final(block, time) => {
            rest["state"] = "final".into();
            rest["block"] = json!(Text(*block));
            rest["time_ms"] = time.0.into();
        }
        PaymentStage::Declined(DeclinedPayment { reason, why, by, .. }) => {
            rest["state"] = "declined".into();
            rest["reason"] = (*reason).into();
            rest["why"] = why.as_str().into();
            rest["by"] = json!(by.map(Text));
        }
    }
    if parts.is_payout {
        rest["payout"] = true.into();
    }
    body(Topic::Payments, height, rest)
}

/// The states of an output, by the names of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputState {
    Unspent,
    /// A payment in the mempool spends it.
    Locked(TxId),
    /// A proposed block spends it.
    SpentPending(TxId, BlockId),
    /// A final block spends it, and is applied.
    Confirmed(TxId, BlockId),
}

/// An output has another state.
pub(crate) fn output(
    network: Network,
    height: Height,
    outpoint: OutPoint,
    owner: Option<KeyHash>,
    amount: Option<Amount>,
    state: OutputState,
) -> EventBody {
    let (name, by, block) = match state {
        OutputState::Unspent => ("Unspent", None, None),
        OutputState::Locked(by) => ("Locked", Some(by), None),
        OutputState::SpentPending(by, block) => ("SpentPending", Some(by), Some(block)),
        OutputState::Confirmed(by, block) => ("Confirmed", Some(by), Some(block)),
    };
    let mut rest = json!({ "state": name, "txid": Text(outpoint.txid), "vout": outpoint.index });
    if let Some(key_hash) = owner {
        rest["address"] = json!(Text(Address { network, key_hash }));
    }
    if let Some(amount) = amount {
        rest["amount"] = json!(JsonAmount(amount));
    }
    if let Some(by) = by {
        rest["by"] = json!(Text(by));
    }
    if let Some(block) = block {
        rest["block"] = json!(Text(block));
    }
    body(Topic::Outputs, height, rest)
}

/// A peer is up.
pub(crate) fn peer_up(height: Height, peer: &PeerUpState) -> EventBody {
    body(Topic::Peers, height, peer_fields("up", peer))
}

/// A peer is gone.
pub(crate) fn peer_down(height: Height, peer: &PeerUpState, end: Option<&PeerEnd>) -> EventBody {
    let mut rest = peer_fields("down", peer);
    rest["reason"] = end.map_or("unknown", |end| &end.reason).into();
    rest["why"] = end.map_or("its end is not among those that are kept", |end| &end.why).into();
    body(Topic::Peers, height, rest)
}

fn peer_fields(state: &str, peer: &PeerUpState) -> Value {
    json!({
        "state": state,
        "id": peer.session,
        "addr": peer.address,
        "node_key": Text(peer.key),
        "validator": peer.validator.map(Text),
        "inbound": peer.is_inbound,
    })
}

/// A step of consensus.
pub(crate) fn consensus(step: &ConsensusStep) -> EventBody {
    let rest = json!({
        "state": step.step,
        "round": step.round,
        "proposer": step.proposer.map(Text),
        "proposal": step.proposal.map(Text),
    });
    body(Topic::Consensus, step.height, rest)
}

/// A masternode, as it is now; `None`: nothing of it is left on the chain.
pub(crate) fn masternode(height: Height, before: Option<&MasternodeState>, now: Option<&MasternodeState>) -> EventBody {
    let shown = now.or(before);
    let rest = json!({
        "state": now.map_or("released", |now| &now.status),
        "before": before.map(|before| &before.status),
        "registration": shown.map(|one| Text(one.id)),
        "key": shown.map(|one| Text(one.operator)),
        "service": shown.map(|one| &one.service),
        "last_change": shown.map(|one| Text(one.last_change)),
    });
    body(Topic::Masternodes, height, rest)
}
