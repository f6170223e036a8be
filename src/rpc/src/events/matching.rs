//! What a final block, or the stage of a payment, means to a subscription.

use super::bodies::{self, OutputState, PaymentStage};
use super::cursor::EventCursor;
use super::parts::{EventBody, PaymentParts, PreparedBlock};
use super::topic::{BlockDetail, EventFilter, Topic};
use super::waiting::PooledPayment;
use timed_ledger::OutPoint;
use timed_primitives::{Height, Network};

/// The text of a block, made once for all.
pub(crate) fn block_body(block: &PreparedBlock, detail: BlockDetail) -> EventBody {
    block.body(detail, || bodies::block(block, detail))
}

/// What a block means to a subscription, in order.
pub(crate) fn events_of_block(block: &PreparedBlock, filter: &EventFilter) -> Vec<(EventCursor, EventBody)> {
    if filter.topic == Topic::Blocks {
        return vec![(EventCursor { height: block.height(), index: 0 }, block_body(block, filter.detail))];
    }
    (0..block.payments().len()).flat_map(|position| events_of_payment(block, position, filter)).collect()
}

/// What one of its payments means to a subscription, in order.
pub(crate) fn events_of_payment(
    block: &PreparedBlock,
    position: usize,
    filter: &EventFilter,
) -> Vec<(EventCursor, EventBody)> {
    let Some((first, parts)) = block.payment(position).filter(|(_, parts)| parts.concerns(filter)) else {
        return Vec::new();
    };
    let (height, network) = (block.height(), block.network);
    let at = |index: u32| EventCursor { height, index };
    match filter.topic {
        Topic::Payments => {
            let stage = PaymentStage::Final(block.id, block.block.header.time);
            let index = u32::try_from(position).unwrap_or(u32::MAX).saturating_add(1);
            vec![(at(index), bodies::payment(network, height, parts, filter, &stage))]
        }
        Topic::Outputs => {
            let spent = parts.inputs.iter().map(|input| {
                let state = OutputState::Confirmed(parts.txid, block.id);
                input
                    .concerns(filter)
                    .then(|| bodies::output(network, height, input.outpoint, input.owner, None, state))
            });
            let made = parts.outputs.iter().map(|output| {
                let (outpoint, amount) = (output.outpoint, Some(output.amount));
                let unspent = || bodies::output(network, height, outpoint, output.owner, amount, OutputState::Unspent);
                output.concerns(filter).then(unspent)
            });
            (first..).zip(spent.chain(made)).filter_map(|(index, event)| Some((at(index), event?))).collect()
        }
        Topic::Blocks | Topic::Peers | Topic::Consensus | Topic::Masternodes => Vec::new(),
    }
}

/// What the stage of a payment in the mempool means to a subscription.
pub(crate) fn events_of_waiting(
    network: Network,
    height: Height,
    payment: &PooledPayment,
    filter: &EventFilter,
) -> Vec<EventBody> {
    let txid = payment.parts.txid;
    let (stage, state) = match payment.block {
        None => (PaymentStage::Mempool, OutputState::Locked(txid)),
        Some(block) => (PaymentStage::Proposed(block), OutputState::SpentPending(txid, block)),
    };
    events_of_stage(network, height, &payment.parts, filter, &stage, |_| Some(state))
}

/// What the stage of a payment that is not final means to a subscription; `state_of` says the state of an output that it spends.
pub(crate) fn events_of_stage(
    network: Network,
    height: Height,
    parts: &PaymentParts,
    filter: &EventFilter,
    stage: &PaymentStage<'_>,
    state_of: impl Fn(&OutPoint) -> Option<OutputState>,
) -> Vec<EventBody> {
    if filter.topic == Topic::Payments {
        return vec![bodies::payment(network, height, parts, filter, stage)];
    }
    let spent = parts.inputs.iter().filter(|input| input.concerns(filter));
    let bodies = spent.filter_map(|input| {
        let state = state_of(&input.outpoint)?;
        Some(bodies::output(network, height, input.outpoint, input.owner, None, state))
    });
    bodies.collect()
}
