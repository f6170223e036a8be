//! Blocks and payments taken apart once for all subscriptions.

use super::node_event::FinalBlock;
use super::topic::{BlockDetail, EventFilter};
use std::sync::{Arc, OnceLock};
use timed_ledger::{KeyHash, LockOwner, OutPoint, Transaction, TxOutput, payout_id, transactions_of};
use timed_primitives::{Amount, Block, BlockId, CommitCertificate, Hash, Height, Network, TxId};

/// The text of an event: an object, without what its subscription says.
pub(crate) type EventBody = Arc<str>;

/// Whether the node's wallet has the key of this owner.
pub(crate) type IsMine<'a> = &'a dyn Fn(&KeyHash) -> bool;

/// An output that a payment spends.
#[derive(Clone, Debug)]
pub(crate) struct SpentPart {
    pub(crate) outpoint: OutPoint,
    /// By the key that signs; `None` for what has no address.
    pub(crate) owner: Option<KeyHash>,
    pub(crate) is_mine: bool,
}

/// An output that a payment makes.
#[derive(Clone, Debug)]
pub(crate) struct MadePart {
    pub(crate) outpoint: OutPoint,
    /// `None` for what has no address: it needs more than one signature, or cannot be spent yet.
    pub(crate) owner: Option<KeyHash>,
    pub(crate) is_mine: bool,
    pub(crate) amount: Amount,
}

/// A payment, or what a block pays to masternodes, as far as subscriptions are concerned.
#[derive(Clone, Debug)]
pub(crate) struct PaymentParts {
    pub(crate) txid: TxId,
    pub(crate) inputs: Vec<SpentPart>,
    pub(crate) outputs: Vec<MadePart>,
    /// What an interval pays to masternodes: no transaction made it.
    pub(crate) is_payout: bool,
}

impl PaymentParts {
    pub(crate) fn of(transaction: &Transaction, is_mine: IsMine<'_>) -> Self {
        let owners = transaction.witnesses.iter().map(|witness| match witness.owner() {
            LockOwner::KeyHash(owner) => Some(owner),
            LockOwner::KeySet(_) => None,
        });
        let inputs = transaction.body.inputs.iter().zip(owners.chain(std::iter::repeat(None)));
        let inputs = inputs.map(|(input, owner)| SpentPart {
            outpoint: input.previous,
            owner,
            is_mine: owner.is_some_and(|owner| is_mine(&owner)),
        });
        let txid = transaction.id();
        Self {
            txid,
            inputs: inputs.collect(),
            outputs: made(txid, &transaction.body.outputs, is_mine),
            is_payout: false,
        }
    }

    /// Whether it concerns a subscription.
    pub(crate) fn concerns(&self, filter: &EventFilter) -> bool {
        self.inputs.iter().any(|input| input.concerns(filter))
            || self.outputs.iter().any(|output| output.concerns(filter))
    }

    /// Everybody whom it concerns, with doubles.
    pub(crate) fn owners(&self) -> impl Iterator<Item = KeyHash> + '_ {
        self.inputs.iter().filter_map(|input| input.owner).chain(self.outputs.iter().filter_map(|output| output.owner))
    }

    /// Whether the node's wallet has a key of it.
    pub(crate) fn is_mine(&self) -> bool {
        self.inputs.iter().any(|input| input.is_mine) || self.outputs.iter().any(|output| output.is_mine)
    }

    /// How many outputs change their state by it.
    fn changes(&self) -> u32 {
        u32::try_from(self.inputs.len() + self.outputs.len()).unwrap_or(u32::MAX)
    }
}

impl SpentPart {
    pub(crate) fn concerns(&self, filter: &EventFilter) -> bool {
        filter.has_owner(self.owner, self.is_mine) || filter.outpoints.contains(&self.outpoint)
    }
}

impl MadePart {
    pub(crate) fn concerns(&self, filter: &EventFilter) -> bool {
        filter.has_owner(self.owner, self.is_mine) || filter.outpoints.contains(&self.outpoint)
    }
}

fn made(txid: TxId, outputs: &[TxOutput], is_mine: IsMine<'_>) -> Vec<MadePart> {
    let part = |(index, output): (u32, &TxOutput)| {
        let owner = output.lock.key_hash();
        let is_mine = owner.is_some_and(|owner| is_mine(&owner));
        MadePart { outpoint: OutPoint { txid, index }, owner, is_mine, amount: output.amount }
    };
    (0..).zip(outputs).map(part).collect()
}

/// A final block with its payments.
pub(crate) struct PreparedBlock {
    pub(crate) block: Arc<Block>,
    pub(crate) certificate: Arc<CommitCertificate>,
    pub(crate) network: Network,
    pub(crate) id: BlockId,
    /// Its payments, in order, with the position of the first change of an output that each makes; empty when only the block is wanted.
    payments: Vec<(u32, PaymentParts)>,
    /// By how much of it is shown.
    bodies: [OnceLock<EventBody>; 3],
}

impl PreparedBlock {
    /// `with_payments` is false when nobody wants to know of them.
    pub(crate) fn new(
        found: FinalBlock,
        network: Network,
        genesis: Hash,
        with_payments: bool,
        is_mine: IsMine<'_>,
    ) -> Self {
        let FinalBlock { block, certificate, payouts } = found;
        let height = block.header.height;
        let mut next = 1u32;
        let mut payments = Vec::new();
        if with_payments {
            let transactions = transactions_of(&block.payload);
            let of_block = transactions.iter().map(|transaction| PaymentParts::of(transaction, is_mine));
            let paid = payouts.filter(|report| report.paid_at == height).map(|report| {
                let txid = payout_id(genesis, height);
                PaymentParts {
                    txid,
                    inputs: Vec::new(),
                    outputs: made(txid, &report.outputs, is_mine),
                    is_payout: true,
                }
            });
            for parts in of_block.chain(paid) {
                let changes = parts.changes();
                payments.push((next, parts));
                next = next.saturating_add(changes);
            }
        }
        let id = block.id();
        Self { block, certificate, network, id, payments, bodies: Default::default() }
    }

    pub(crate) fn height(&self) -> Height {
        self.block.header.height
    }

    /// Its payments, in order.
    pub(crate) fn payments(&self) -> impl ExactSizeIterator<Item = &PaymentParts> {
        self.payments.iter().map(|(_, parts)| parts)
    }

    /// One of its payments, with the position of the first change of an output that it makes.
    pub(crate) fn payment(&self, position: usize) -> Option<(u32, &PaymentParts)> {
        self.payments.get(position).map(|(first, parts)| (*first, parts))
    }

    /// The text of the block, which `make` makes once.
    pub(crate) fn body(&self, detail: BlockDetail, make: impl FnOnce() -> EventBody) -> EventBody {
        let made = match detail {
            BlockDetail::Header => &self.bodies[0],
            BlockDetail::Ids => &self.bodies[1],
            BlockDetail::Full => &self.bodies[2],
        };
        made.get_or_init(make).clone()
    }
}
