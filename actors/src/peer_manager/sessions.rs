//! The life of sessions: opened, accepted or refused, ended.

use super::PeerManager;
use super::handshakes::{ConnectionOrigin, HandshakeSlot, Permit};
use crate::messages::{Disconnect, PeerDown, PeerUp};
use crate::peer::{
    ClosePeer, ConnectionEstablished, OutboundQueue, PeerActor, PeerAdmission, PeerEnded, PeerParts, PostMortem,
    SharedStats, Supervisor,
};
use crate::pulse::{Component, start_watched};
use crate::tls::Secured;
use actix::{ActorFutureExt as _, Addr, AsyncContext, Context, Handler, WrapFuture as _};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::SocketAddr;
use std::sync::Arc;
use timed_peer::book::Departure;
use timed_peer::handshake::FEELER;
use timed_peer::{
    CompletedHandshake, ConnectionStage, Dial, Direction, EndClass, EndReason, EndedConnection, HandshakeInfo,
    SessionDecision, SessionEnd, Twin,
};
use timed_primitives::{Instant, PublicKey};

/// Keys remembered that two live nodes use; the oldest report is forgotten at the bound.
const TWINS_MAX: usize = 16;

/// A connection and its actor.
pub(super) struct PeerSession {
    pub(super) actor: Addr<PeerActor>,
    pub(super) key: PublicKey,
    pub(super) direction: Direction,
    pub(super) observed: SocketAddr,
    pub(super) outbound: OutboundQueue,
    pub(super) stats: SharedStats,
    pub(super) state: SessionState,
    /// The dial it came from.
    pub(super) dialled: Option<Dial>,
    /// Its place among the handshakes under way.
    slot: Option<HandshakeSlot>,
}

/// Where a session stands.
pub(super) enum SessionState {
    /// Its handshake is not complete.
    Handshaking,
    /// The book refused it; it says goodbye.
    Refused,
    /// It was accepted, and may have been replaced since.
    Up(Box<UpState>),
}

pub(super) struct UpState {
    pub(super) info: HandshakeInfo,
    pub(super) generation: u64,
    pub(super) since: Instant,
}

impl SessionState {
    const fn stage(&self) -> ConnectionStage {
        match self {
            Self::Handshaking => ConnectionStage::Handshaking,
            Self::Refused => ConnectionStage::Refused,
            Self::Up(_) => ConnectionStage::Up,
        }
    }
}

impl PeerSession {
    pub(super) fn up(&self) -> Option<&UpState> {
        match &self.state {
            SessionState::Up(up) => Some(up),
            SessionState::Handshaking | SessionState::Refused => None,
        }
    }
}

impl PeerManager {
    /// Starts the actor of a secured connection.
    pub(super) fn open(
        &mut self,
        secured: Secured,
        observed: SocketAddr,
        origin: ConnectionOrigin,
        ctx: &mut Context<Self>,
    ) {
        let Some((alive, _)) = &self.alive else { return };
        let session = self.next_session;
        self.next_session += 1;
        let (direction, dialled, slot) = match origin {
            ConnectionOrigin::Accepted(Permit { slot, gives_way }) => {
                let gives_way = gives_way.into_actor(self).map(move |notice, actor, _| {
                    if notice.is_ok() {
                        actor.break_off(session);
                    }
                });
                ctx.spawn(gives_way);
                (Direction::Inbound, None, Some(slot))
            }
            ConnectionOrigin::Dialled(dial) => (Direction::Outbound, Some(dial), None),
        };
        let mut local = self.config.local.clone();
        if dialled.as_ref().is_some_and(|dial| dial.is_feeler) {
            local.capabilities |= FEELER;
        }
        let refused = (!self.config.allows(&secured.key)).then_some(EndReason::NotAllowed);
        match direction {
            Direction::Outbound if refused.is_some() => {
                tracing::warn!(peer = %secured.key, addr = %observed, "a node that we dialled is not in p2p.allowed: refused");
            }
            Direction::Inbound if refused.is_some() => {
                tracing::debug!(peer = %secured.key, addr = %observed, "not in p2p.allowed: refused");
            }
            Direction::Outbound | Direction::Inbound => {}
        }
        let address = ctx.address();
        let supervisor = Supervisor {
            established: address.clone().recipient(),
            ended: address.clone().recipient(),
            addresses: address.clone().recipient(),
            measured: address.recipient(),
        };
        let peer = PeerActor::new(PeerParts {
            session,
            stream: self.transport.secured(secured.stream, secured.key),
            key: secured.key,
            exporter: secured.exporter,
            direction,
            observed,
            local,
            inboxes: self.inboxes.clone(),
            supervisor,
            clock: self.clock.clone(),
            rng: StdRng::from_rng(&mut self.rng),
            lane_limits: self.config.lane_limits,
            held_bytes: self.held_bytes.clone(),
            heartbeat_level: self.config.heartbeat_level,
            times: self.times.clone(),
            alive: alive.clone(),
            refused,
        });
        let (outbound, stats) = (peer.outbound(), peer.stats());
        let actor = start_watched(&self.pulses, Component::Peers, peer);
        let (key, state) = (secured.key, SessionState::Handshaking);
        self.sessions
            .insert(session, PeerSession { actor, key, direction, observed, outbound, stats, state, dialled, slot });
    }

    /// A handshake under way gives its slot to another.
    fn break_off(&mut self, number: u64) {
        let session = self.sessions.get(&number).filter(|session| matches!(session.state, SessionState::Handshaking));
        if let Some(session) = session {
            session.actor.do_send(ClosePeer(EndReason::TooManyPeers));
        }
    }

    /// A peer completed its handshake: the book decides, and actors hear of it before its first message can be read.
    fn on_established(&mut self, number: u64, info: HandshakeInfo, ctx: &mut Context<Self>) -> PeerAdmission {
        let now = self.clock.now();
        let is_stopping = self.alive.is_none();
        let Some(session) = self.sessions.get_mut(&number) else { return PeerAdmission::Refused(EndReason::Internal) };
        let observed = session.observed;
        session.slot = None;
        if is_stopping {
            session.state = SessionState::Refused;
            return PeerAdmission::Refused(EndReason::Shutdown);
        }
        if info.is_feeler() {
            session.state = SessionState::Refused;
            return PeerAdmission::Refused(EndReason::Tested);
        }
        let is_validator = self.validators.is_validator(info.validator.as_ref());
        if let Some(dial) = &session.dialled {
            let found_at = session.observed.to_string();
            self.addresses.on_reached(self.clock.unix(), &info.key, &[&dial.address, &found_at], is_validator);
            if dial.is_feeler {
                session.state = SessionState::Refused;
                self.book.on_tested(&dial.address);
                return PeerAdmission::Refused(EndReason::Tested);
            }
        }
        let arrival = CompletedHandshake {
            key: info.key,
            direction: info.direction,
            instance: info.instance,
            is_validator,
            dialled: session.dialled.as_ref().map(|dial| dial.address.clone()),
            address: info.address(session.observed.ip()),
            observed: Some(session.observed.ip()),
        };
        self.validators.on_proof(info.key, info.validator);
        self.spare_if_needed(now, &info.key);
        let (generation, twin) = match self.book.on_up(now, arrival, &mut self.rng) {
            SessionDecision::Refuse { reason } => {
                if let Some(session) = self.sessions.get_mut(&number) {
                    session.state = SessionState::Refused;
                }
                return PeerAdmission::Refused(reason);
            }
            SessionDecision::Keep { generation, twin } => (generation, twin),
            SessionDecision::Replace { generation, reason, twin, victim, older: _ } => {
                self.take_down(info.key, reason);
                if let Some(victim) = victim {
                    self.take_down(victim, EndReason::Evicted);
                }
                (generation, twin)
            }
            SessionDecision::Evict { generation, victim, twin, victim_generation: _ } => {
                self.take_down(victim, EndReason::Evicted);
                (generation, twin)
            }
        };
        if let Some(twin) = twin {
            let Twin { key, returned, other } = twin;
            self.twins.retain(|known| known.key != key);
            self.twins.truncate(TWINS_MAX - 1);
            self.twins.insert(0, twin);
            tracing::error!(peer = %key, %returned, %other, "two live nodes use the same node key: give one another key");
        }
        let up = peer_up(&info, observed);
        self.up.insert(info.key, number);
        if let Some(session) = self.sessions.get_mut(&number) {
            tracing::info!(
                peer = %info.key.short(), addr = %session.observed, direction = info.direction.name(),
                agent = info.agent, height = info.height, is_validator = info.validator.is_some(), "peer is up"
            );
            session.outbound.on_decided(self.config.local.height);
            session.state = SessionState::Up(Box::new(UpState { info, generation, since: now }));
        }
        self.listeners.iter().for_each(|listener| listener.up.do_send(up.clone()));
        self.publish();
        self.dial_due(ctx);
        PeerAdmission::Accepted
    }

    /// Ends the session of a peer that is up, and reports it to actors at once; its actor's report changes nothing more for them.
    pub(super) fn take_down(&mut self, key: PublicKey, reason: EndReason) {
        let Some(session) = self.up.remove(&key).and_then(|number| self.sessions.get(&number)) else { return };
        session.actor.do_send(ClosePeer(reason));
        self.listeners.iter().for_each(|listener| listener.down.do_send(PeerDown { peer: key, reason }));
    }

    fn on_ended(&mut self, number: u64, post_mortem: PostMortem, ctx: &mut Context<Self>) {
        let tally = self.tally(number);
        let Some(session) = self.sessions.remove(&number) else { return };
        tally.iter().for_each(|tally| self.past.tally.add(tally));
        let now = self.clock.now();
        let (key, end) = (session.key, post_mortem.end);
        match (&session.state, &session.dialled) {
            (SessionState::Up(up), _) => {
                self.past.on_end(end);
                if self.up.get(&key) == Some(&number) {
                    self.up.remove(&key);
                    let down = PeerDown { peer: key, reason: end.reason };
                    self.listeners.iter().for_each(|listener| listener.down.do_send(down));
                }
                if let Some(dial) = &session.dialled {
                    let (found_at, is_validator) = (session.observed.to_string(), up.info.validator.is_some());
                    self.addresses.on_reached(self.clock.unix(), &key, &[&dial.address, &found_at], is_validator);
                }
                let departure = self.book.on_down(now, &key, up.generation, end, &mut self.rng);
                log_end(&post_mortem, departure);
            }
            (SessionState::Handshaking, Some(dial)) => {
                if !dial.is_feeler {
                    self.past.on_failed_dial(end.reason);
                }
                self.book.on_dial_failed(now, &dial.address, end.reason, &mut self.rng);
            }
            // The book knows of its refusal; nobody else knew of the session.
            (SessionState::Handshaking, None) | (SessionState::Refused, _) => {}
        }
        let ended = EndedConnection {
            stage: session.state.stage(),
            is_dialled: session.dialled.is_some(),
            is_feeler: session.dialled.as_ref().is_some_and(|dial| dial.is_feeler),
            is_peer: self.up.contains_key(&key),
            end,
        };
        let is_news = match ended.class() {
            EndClass::UnknownPeer => self.ended.add_unknown(now, post_mortem),
            EndClass::Test => true,
            EndClass::Session => {
                self.ended.add(post_mortem);
                true
            }
        };
        if let Some(offence) = ended.offence() {
            self.on_offence(key, offence);
        }
        // Of unknown peers that come and go there is nothing new to show.
        if is_news {
            self.publish();
        }
        self.dial_due(ctx);
    }

    /// A dial that led to no session is remembered once per reason in a row, so that an absent peer does not fill the memory.
    pub(super) fn note_failed_dial(&mut self, address: &str, reason: EndReason) {
        self.past.on_failed_dial(reason);
        let is_repeated = |p: &&Arc<PostMortem>| p.address == address;
        if self.ended.iter().rev().find(is_repeated).is_some_and(|p| p.end.reason == reason) {
            return;
        }
        tracing::info!(addr = address, reason = reason.name(), why = %reason, "cannot connect to peer");
        let (end, now) = (SessionEnd::theirs(reason), self.clock.now());
        self.ended.add(PostMortem::never_up(address.to_owned(), Direction::Outbound, end, now));
    }
}

/// What listeners get of a peer that is up.
pub(super) fn peer_up(info: &HandshakeInfo, observed: SocketAddr) -> PeerUp {
    let mut address = observed;
    if info.listen_port != 0 {
        address.set_port(info.listen_port);
    }
    PeerUp {
        peer: info.key,
        validator: info.validator,
        height: info.height,
        instance: info.instance,
        address,
        capabilities: info.capabilities,
    }
}

fn log_end(post_mortem: &PostMortem, departure: Departure) {
    let PostMortem { address, direction, end, up_for, .. } = post_mortem;
    let peer = post_mortem.key.map(|key| key.short()).unwrap_or_default();
    let (direction, reason, by, up_s) = (direction.name(), end.reason.name(), end.by.name(), up_for.as_secs());
    match departure {
        Departure::Down { .. } => {
            tracing::info!(peer, addr = address, direction, reason, by, up_s, why = %end, "peer is gone");
        }
        Departure::Stale => {
            tracing::debug!(peer, addr = address, direction, reason, by, up_s, why = %end, "old session ended")
        }
    }
}

impl Handler<ConnectionEstablished> for PeerManager {
    type Result = PeerAdmission;

    fn handle(&mut self, established: ConnectionEstablished, ctx: &mut Context<Self>) -> PeerAdmission {
        self.on_established(established.session, *established.info, ctx)
    }
}

impl Handler<PeerEnded> for PeerManager {
    type Result = ();

    fn handle(&mut self, ended: PeerEnded, ctx: &mut Context<Self>) {
        self.on_ended(ended.session, ended.post_mortem, ctx);
    }
}

impl Handler<Disconnect> for PeerManager {
    type Result = bool;

    fn handle(&mut self, disconnect: Disconnect, _ctx: &mut Context<Self>) -> bool {
        let session = self.up.get(&disconnect.peer).and_then(|number| self.sessions.get(number));
        session.inspect(|session| session.actor.do_send(ClosePeer(EndReason::Operator))).is_some()
    }
}
