//! What actors and operators ask of the manager.

use super::PeerManager;
use super::sessions::{PeerSession, peer_up};
use crate::messages::{
    Audience, Broadcast, Connect, Delivery, LiftAllBans, LiftBan, PING_WAIT, Penalize, Ping, Pinged, SendBatch, SendTo,
    SetBan, StopPeers, SubscribePeers, TipChanged, Useful, ValidatorsChanged,
};
use crate::peer::{ClosePeer, PeerStats, UserPing};
use actix::{Context, Handler, ResponseFuture};
use futures_util::future::join_all;
use std::time::Duration;
use timed_peer::misbehaviour::PenaltyVerdict;
use timed_peer::queue_budget::{Relief, SessionQueue, relieve};
use timed_peer::{EndReason, Offence};
use timed_primitives::{Height, Instant, PublicKey};
use timed_wire::{Encoded, Lane, Message};
use tokio::sync::oneshot;

/// For all goodbyes to leave when the node stops.
const STOP_TIMEOUT: Duration = Duration::from_millis(2500);
fn encode(message: &Message) -> Option<Encoded> {
    match Encoded::new(message) {
        Ok(encoded) => Some(encoded),
        Err(error) => {
            tracing::error!(%error, "a message of ours cannot be encoded");
            None
        }
    }
}

fn push(session: &PeerSession, now: Instant, message: &Message, encoded: Encoded, height: Option<Height>) {
    session.outbound.note_request(message);
    if let Err(overflow) = session.outbound.push_of_height(now, encoded, height) {
        tracing::debug!(peer = %session.key.short(), %overflow, "peer does not read");
        session.actor.do_send(ClosePeer(overflow.reason()));
    }
}

impl PeerManager {
    /// Counts a provable fault, and bans when it is enough, unless quorum needs the peer.
    pub(super) fn on_offence(&mut self, peer: PublicKey, offence: Offence) {
        let now = self.clock.now();
        let connectivity = self.validators.connectivity_without(&peer, self.proved_keys());
        match self.misbehaviour.on_offence(now, peer, offence, connectivity) {
            PenaltyVerdict::Noted { points } => {
                tracing::debug!(peer = %peer.short(), offence = offence.name(), points, "offence noted");
            }
            PenaltyVerdict::Spared { points } => {
                tracing::info!(
                    peer = %peer.short(), offence = offence.name(), points,
                    "offender is not banned: without it there would be no quorum"
                );
            }
            PenaltyVerdict::Banned { until } => {
                tracing::info!(
                    peer = %peer.short(), offence = offence.name(), ban_s = until.since(now).as_secs(), "peer is banned"
                );
                self.book.hold(peer, until);
                self.take_down(peer, EndReason::Misbehaviour);
            }
        }
    }

    fn send_to(&self, send: SendTo) {
        let Some(session) = self.up.get(&send.to).and_then(|number| self.sessions.get(number)) else { return };
        if let Some(encoded) = encode(&send.message) {
            push(session, self.clock.now(), &send.message, encoded, send.height);
        }
    }

    fn broadcast(&self, broadcast: Broadcast) {
        let Broadcast { message, audience, except, height } = broadcast;
        let Some(encoded) = encode(&message) else { return };
        let now = self.clock.now();
        for (key, number) in &self.up {
            let Some(session) = self.sessions.get(number).filter(|_| Some(*key) != except) else { continue };
            let hears = match audience {
                Audience::All => true,
                Audience::Able(bit) => session.up().is_some_and(|up| up.info.capabilities & bit != 0),
            };
            if hears {
                push(session, now, &message, encoded.clone(), height);
            }
        }
    }

    /// Keeps what waits for all peers together within its bound, after more was queued.
    fn keep_queue_budget(&self) {
        let bytes_max = self.config.lane_limits.all_peers;
        if self.held_bytes.get() <= bytes_max {
            return;
        }
        let held = self.sessions.iter().map(|(number, session)| SessionQueue {
            session: *number,
            is_validator: session.up().is_some_and(|up| self.validators.is_validator(up.info.validator.as_ref())),
            waiting: session.outbound.queued_bytes(),
            leaving: session.outbound.leaving_bytes(),
        });
        for relief in relieve(held.collect(), bytes_max) {
            let (Relief::DropBulk(number) | Relief::End(number)) = relief;
            let Some(session) = self.sessions.get(&number) else { continue };
            tracing::debug!(peer = %session.key.short(), ?relief, bytes_max, "too much waits for all peers together");
            match relief {
                Relief::DropBulk(_) => session.outbound.drop_for_others(&[Lane::Bulk]),
                Relief::End(_) => {
                    session.outbound.drop_for_others(&[Lane::Bulk, Lane::Consensus]);
                    session.actor.do_send(ClosePeer(EndReason::LaneOverflow));
                }
            }
        }
    }

    /// All peers that are up, with the consensus keys that they proved.
    fn proved_keys(&self) -> impl Iterator<Item = (PublicKey, Option<PublicKey>)> {
        self.up.iter().map(|(key, number)| {
            let up = self.sessions.get(number).and_then(PeerSession::up);
            (*key, up.and_then(|up| up.info.validator))
        })
    }

    /// A ban for faults gives way when others have gone since and quorum needs the validator that now comes back.
    pub(super) fn spare_if_needed(&mut self, now: Instant, peer: &PublicKey) {
        if self.validators.is_needed(peer, self.proved_keys()) && self.misbehaviour.spare(now, peer) {
            tracing::info!(peer = %peer.short(), "ban gives way: without the peer there is no quorum");
            self.book.release(now, peer);
        }
    }
}

impl Handler<SendTo> for PeerManager {
    type Result = ();

    fn handle(&mut self, send: SendTo, _ctx: &mut Context<Self>) {
        self.send_to(send);
        self.keep_queue_budget();
    }
}

impl Handler<Broadcast> for PeerManager {
    type Result = ();

    fn handle(&mut self, broadcast: Broadcast, _ctx: &mut Context<Self>) {
        self.broadcast(broadcast);
        self.keep_queue_budget();
    }
}

impl Handler<SendBatch> for PeerManager {
    type Result = ();

    fn handle(&mut self, SendBatch(deliveries): SendBatch, _ctx: &mut Context<Self>) {
        for delivery in deliveries {
            match delivery {
                Delivery::ToOne(send) => self.send_to(send),
                Delivery::ToMany(broadcast) => self.broadcast(broadcast),
            }
            self.keep_queue_budget();
        }
    }
}

impl Handler<Useful> for PeerManager {
    type Result = ();

    fn handle(&mut self, useful: Useful, _ctx: &mut Context<Self>) {
        self.book.on_useful(self.clock.now(), &useful.peer);
    }
}

impl Handler<Penalize> for PeerManager {
    type Result = ();

    fn handle(&mut self, penalize: Penalize, _ctx: &mut Context<Self>) {
        self.on_offence(penalize.peer, penalize.offence);
    }
}

impl Handler<TipChanged> for PeerManager {
    type Result = ();

    fn handle(&mut self, tip: TipChanged, _ctx: &mut Context<Self>) {
        self.config.local.height = tip.height.0;
        for session in self.sessions.values() {
            session.outbound.on_decided(tip.height.0);
        }
    }
}

impl Handler<ValidatorsChanged> for PeerManager {
    type Result = ();

    fn handle(&mut self, changed: ValidatorsChanged, _ctx: &mut Context<Self>) {
        let ValidatorsChanged { validators, quorum } = changed;
        self.validators.on_validators(validators, quorum);
        for (node, proved) in self.proved_keys().collect::<Vec<_>>() {
            self.book.on_role(&node, self.validators.is_validator(proved.as_ref()));
            self.validators.on_proof(node, proved);
        }
    }
}

impl Handler<SubscribePeers> for PeerManager {
    type Result = ();

    fn handle(&mut self, SubscribePeers(listener): SubscribePeers, _ctx: &mut Context<Self>) {
        for session in self.up.values().filter_map(|number| self.sessions.get(number)) {
            if let Some(up) = session.up() {
                listener.up.do_send(peer_up(&up.info, session.observed));
            }
        }
        self.listeners.push(listener);
    }
}

impl Handler<Connect> for PeerManager {
    type Result = ();

    fn handle(&mut self, connect: Connect, ctx: &mut Context<Self>) {
        self.book.add_configured(self.clock.now(), &connect.address, None, false);
        self.dial_due(ctx);
    }
}

impl Handler<PeerStats> for PeerManager {
    type Result = ();

    fn handle(&mut self, measured: PeerStats, _ctx: &mut Context<Self>) {
        let Some(session) = self.sessions.get(&measured.session) else { return };
        if let Some(up) = session.up() {
            self.book.on_measured(&session.key, up.generation, measured.srtt);
        }
    }
}

impl Handler<Ping> for PeerManager {
    type Result = ResponseFuture<Vec<Pinged>>;

    fn handle(&mut self, ping: Ping, _ctx: &mut Context<Self>) -> Self::Result {
        let meant = self.up.iter().filter(|(key, _)| ping.peer.is_none_or(|wanted| wanted == **key));
        let asked = meant.filter_map(|(key, number)| Some((*key, self.sessions.get(number)?)));
        let answers: Vec<_> = asked
            .map(|(peer, session)| {
                let (answer, rtt) = oneshot::channel();
                session.actor.do_send(UserPing { answer });
                async move { Pinged { peer, rtt: tokio::time::timeout(PING_WAIT, rtt).await.ok().and_then(Result::ok) } }
            })
            .collect();
        Box::pin(join_all(answers))
    }
}

impl Handler<SetBan> for PeerManager {
    type Result = ();

    fn handle(&mut self, set: SetBan, _ctx: &mut Context<Self>) {
        let ban = self.misbehaviour.ban(self.clock.now(), set.peer, set.length);
        self.book.hold(ban.key, ban.until);
        self.take_down(ban.key, EndReason::Banned);
        self.publish();
    }
}

impl Handler<LiftBan> for PeerManager {
    type Result = bool;

    fn handle(&mut self, lift: LiftBan, ctx: &mut Context<Self>) -> bool {
        let now = self.clock.now();
        self.book.release(now, &lift.peer);
        let was_banned = self.misbehaviour.lift(now, &lift.peer);
        self.publish();
        self.dial_due(ctx);
        was_banned
    }
}

impl Handler<LiftAllBans> for PeerManager {
    type Result = usize;

    fn handle(&mut self, _: LiftAllBans, ctx: &mut Context<Self>) -> usize {
        let now = self.clock.now();
        self.misbehaviour.bans(now).iter().for_each(|ban| self.book.release(now, &ban.key));
        let lifted = self.misbehaviour.lift_all(now);
        self.publish();
        self.dial_due(ctx);
        lifted
    }
}

impl Handler<StopPeers> for PeerManager {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopPeers, _ctx: &mut Context<Self>) -> Self::Result {
        self.stop_connecting();
        for session in self.sessions.values() {
            session.actor.do_send(ClosePeer(EndReason::Shutdown));
        }
        let alive = self.alive.take();
        Box::pin(async move {
            let Some((ours, mut last_writer)) = alive else { return };
            drop(ours);
            // Nobody sends: this ends when the last writer has dropped its end.
            let _ = tokio::time::timeout(STOP_TIMEOUT, last_writer.recv()).await;
        })
    }
}
