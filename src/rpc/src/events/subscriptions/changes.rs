//! What happens on the node, and whom it concerns.

use super::{SubscriptionKey, SubscriptionPhase, Subscriptions};
use crate::events::bodies::{self, OutputState, PaymentStage};
use crate::events::cursor::EventCursor;
use crate::events::matching::{block_body, events_of_payment, events_of_stage, events_of_waiting};
use crate::events::node_event::{ConsensusStep, DeclinedPayment, MasternodeState, PeerEnd, PeerUpState};
use crate::events::parts::{EventBody, PaymentParts, PreparedBlock};
use crate::events::topic::{EventFilter, Topic};
use crate::events::waiting::PooledPayment;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use timed_ledger::OutPoint;
use timed_primitives::{BlockId, Height, TxId};

impl Subscriptions {
    /// The last final block has this height, and nobody wants to know what is in the blocks up to it.
    pub(crate) fn on_height(&mut self, height: Height) {
        self.height = self.height.max(height);
    }

    /// A block is final: the one after the last one.
    pub(crate) fn on_block(&mut self, block: &PreparedBlock) {
        let height = block.height();
        if height <= self.height {
            return;
        }
        self.height = height;
        for key in self.keys_of(Topic::Blocks) {
            let filter =
                self.subscription(key).filter(|one| one.phase != SubscriptionPhase::Replaying && one.next <= height);
            if let Some(detail) = filter.map(|one| one.filter.detail) {
                self.push(key, Some(EventCursor { height, index: 0 }), block_body(block, detail));
            }
        }
        for (position, parts) in block.payments().enumerate() {
            for key in self.concerned(parts) {
                let one = self
                    .subscription(key)
                    .filter(|one| one.phase != SubscriptionPhase::Replaying && one.next <= height);
                let Some(filter) = one.map(|one| one.filter.clone()) else { continue };
                for (cursor, body) in events_of_payment(block, position, &filter) {
                    self.push(key, Some(cursor), body);
                }
            }
        }
        if self.pool.is_known() {
            self.pool.on_block(height, block.payments().map(|parts| parts.txid).collect());
        }
        // What comes from now on is of a higher block, or of none.
        for topic in [Topic::Blocks, Topic::Payments, Topic::Outputs] {
            for key in self.keys_of(topic) {
                if let Some(one) = self.subscription(key).filter(|one| one.phase != SubscriptionPhase::Replaying) {
                    one.after = one.after.max(EventCursor::of_block(height));
                    one.next = one.next.max(height.next());
                }
            }
        }
    }

    /// All that waits in the mempool.
    pub(crate) fn on_pool(&mut self, waiting: Vec<(PaymentParts, Option<BlockId>)>) {
        let ids: HashSet<TxId> = waiting.iter().map(|(parts, _)| parts.txid).collect();
        for txid in self.pool.beside(&ids) {
            self.on_declined(&DeclinedPayment {
                txid,
                reason: "unseen",
                why: "it left the mempool in a moment in which the node could not follow it: `gettransaction` says what is known".into(),
                by: None,
                gone: None,
            });
        }
        for (parts, block) in waiting {
            self.on_entered(parts, block);
        }
        self.pool.set_known();
        self.advance_all(&[Topic::Payments, Topic::Outputs]);
    }

    /// A payment entered the mempool.
    pub(crate) fn on_entered(&mut self, parts: PaymentParts, block: Option<BlockId>) {
        let txid = parts.txid;
        match self.pool.insert(parts, block) {
            Some(payment) => self.report_stage(&payment),
            None => self.on_proposed(&txid, block),
        }
    }

    /// A proposed block holds a payment, or none any more.
    pub(crate) fn on_proposed(&mut self, txid: &TxId, block: Option<BlockId>) {
        if let Some(payment) = self.pool.set_block(txid, block) {
            self.report_stage(&payment);
        }
    }

    /// A payment left the mempool for a final block.
    pub(crate) fn on_included(&mut self, txid: &TxId) {
        self.pool.remove(txid);
    }

    /// A payment left the mempool and is not final.
    pub(crate) fn on_declined(&mut self, declined: &DeclinedPayment) {
        let Some(payment) = self.pool.remove(&declined.txid) else { return };
        let (network, height) = (self.network, self.height);
        for (key, filter) in self.live(&payment.parts) {
            let state_of = |outpoint: &OutPoint| (declined.gone != Some(*outpoint)).then_some(OutputState::Unspent);
            let stage = PaymentStage::Declined(declined);
            for body in events_of_stage(network, height, &payment.parts, &filter, &stage, state_of) {
                self.push(key, None, body);
            }
        }
    }

    /// The mempool is not followed any more: who is subscribed to it is sent all there is when it is followed again.
    pub(crate) fn on_pool_unknown(&mut self) {
        self.pool.forget();
        for topic in [Topic::Payments, Topic::Outputs] {
            for key in self.keys_of(topic) {
                if let Some(one) = self.subscription(key).filter(|one| one.phase == SubscriptionPhase::Live) {
                    one.phase = SubscriptionPhase::Awaiting;
                }
            }
        }
    }

    fn report_stage(&mut self, payment: &PooledPayment) {
        let (network, height) = (self.network, self.height);
        for (key, filter) in self.live(&payment.parts) {
            for body in events_of_waiting(network, height, payment, &filter) {
                self.push(key, None, body);
            }
        }
    }

    /// Whom a payment concerns.
    fn concerned(&self, parts: &PaymentParts) -> BTreeSet<SubscriptionKey> {
        let mut keys = BTreeSet::new();
        for owner in parts.owners() {
            keys.extend(self.owners.get(&owner).into_iter().flatten());
        }
        let spent = parts.inputs.iter().map(|input| &input.outpoint);
        for outpoint in spent.chain(parts.outputs.iter().map(|output| &output.outpoint)) {
            keys.extend(self.outpoints.get(outpoint).into_iter().flatten());
        }
        if parts.is_mine() {
            keys.extend(&self.of_wallet);
        }
        keys
    }

    /// Those of them that are live, and what they are about.
    fn live(&self, parts: &PaymentParts) -> Vec<(SubscriptionKey, Arc<EventFilter>)> {
        let of = |(id, number): SubscriptionKey| {
            let one = self.subscribers.get(&id)?.subscriptions.get(&number)?;
            (one.phase == SubscriptionPhase::Live).then(|| ((id, number), one.filter.clone()))
        };
        self.concerned(parts).into_iter().filter_map(of).collect()
    }

    /// All peers that are up.
    pub(crate) fn on_peers(&mut self, up: Vec<PeerUpState>, ended: &[(u64, PeerEnd)]) {
        let up: BTreeMap<u64, PeerUpState> = up.into_iter().map(|peer| (peer.session, peer)).collect();
        let (before, height) = (self.peers.replace(up.clone()), self.height);
        if let Some(before) = before {
            let gone = before.values().filter(|peer| !up.contains_key(&peer.session)).map(|peer| {
                let end = ended.iter().find(|(session, _)| *session == peer.session);
                bodies::peer_down(height, peer, end.map(|(_, end)| end))
            });
            let came = up.values().filter(|peer| !before.contains_key(&peer.session));
            let bodies: Vec<EventBody> = gone.chain(came.map(|peer| bodies::peer_up(height, peer))).collect();
            self.report(Topic::Peers, &bodies);
        }
        self.advance_all(&[Topic::Peers]);
    }

    /// A step of consensus.
    pub(crate) fn on_consensus(&mut self, step: ConsensusStep) {
        if self.consensus.as_ref() != Some(&step) {
            let body = bodies::consensus(&step);
            self.consensus = Some(step);
            self.report(Topic::Consensus, &[body]);
        }
        self.advance_all(&[Topic::Consensus]);
    }

    /// All masternodes.
    pub(crate) fn on_masternodes(&mut self, all: Vec<MasternodeState>) {
        let all: BTreeMap<_, _> = all.into_iter().map(|one| (one.id, one)).collect();
        let (before, height) = (self.masternodes.replace(all.clone()), self.height);
        if let Some(before) = before {
            let gone = before.values().filter(|one| !all.contains_key(&one.id));
            let gone = gone.map(|one| bodies::masternode(height, Some(one), None));
            let changed = all.values().filter(|one| before.get(&one.id) != Some(one));
            let changed = changed.map(|one| bodies::masternode(height, before.get(&one.id), Some(one)));
            let bodies: Vec<EventBody> = gone.chain(changed).collect();
            self.report(Topic::Masternodes, &bodies);
        }
        self.advance_all(&[Topic::Masternodes]);
    }

    /// A topic that has no past is not followed any more.
    pub(crate) fn on_unknown(&mut self, topic: Topic) {
        match topic {
            Topic::Blocks | Topic::Payments | Topic::Outputs => {}
            Topic::Peers => self.peers = None,
            Topic::Consensus => self.consensus = None,
            Topic::Masternodes => self.masternodes = None,
        }
        for key in self.keys_of(topic) {
            if let Some(one) = self.subscription(key).filter(|_| !topic.is_of_blocks()) {
                one.phase = SubscriptionPhase::Awaiting;
            }
        }
    }

    /// The same for all that are live.
    fn report(&mut self, topic: Topic, bodies: &[EventBody]) {
        for key in self.keys_of(topic) {
            if self.subscription(key).is_some_and(|one| one.phase == SubscriptionPhase::Live) {
                for body in bodies {
                    self.push(key, None, body.clone());
                }
            }
        }
    }

    fn advance_all(&mut self, topics: &[Topic]) {
        for topic in topics {
            for key in self.keys_of(*topic) {
                self.advance(key);
            }
        }
    }
}
