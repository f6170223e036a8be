//! One connection with one peer, dialled by either side: the same actor, so that neither direction can lack a handler.
//!
//! ```text
//!   Handshaking ──their hello, accepted by the manager──► Up ──any end──► Ended
//!      └───────────────── 5 s, bad hello, refused ─────────────────────►┘
//! ```
//!
//! The reader is a stream of this actor and never stops; the writer is a task with lanes (`outbound`, `writer`). What to do is decided by the
//! cores of `timed_peer`; this file carries it out. However the actor ends, also by a panic, `stopped` reports it exactly once.

mod ending;
mod heartbeat_log;
mod inbound_router;
mod outbound_queue;
mod pings;
mod shared_stream;
mod stats;
mod supervisor;
mod under_way;
mod user_pings;
mod writer;

pub use heartbeat_log::{HEARTBEAT_TARGET, HeartbeatLevel, log_heartbeat};
pub(crate) use outbound_queue::{HeldBytes, OutboundQueue};
pub(crate) use stats::SharedStats;
pub use stats::{DroppedMessages, LastMessage, PeerSnapshot, PostMortem, Traffic, TrafficTally};
pub use supervisor::{
    AddressesLearned, ClosePeer, ConnectionEstablished, PeerAdmission, PeerEnded, PeerParts, PeerStats, Supervisor,
    UserPing,
};

use crate::wake_timer::WakeTimer;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Running, StreamHandler, WrapFuture};
use ending::end_of;
use futures_util::StreamExt as _;
use inbound_router::{DeliveryOutcome, InboundChannel, InboundRouter};
use outbound_queue::HeartbeatFrame;
use rand::Rng;
use rand::rngs::StdRng;
use shared_stream::SharedStream;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use timed_peer::addresses::join_address;
use timed_peer::rate::RateVerdict;
use timed_peer::{
    Direction, EndReason, Handshake, HandshakeAction, HeartbeatAction, HeartbeatLine, Pong, RateLimit, SessionEnd,
};
use timed_primitives::{Clock, Instant, PublicKey, UnixTime};
use timed_wire::{BlockSyncMessage, ControlMessage, Encoded, FrameCodec, FrameError, Incoming, Message};
use tokio::sync::mpsc;
use tokio_util::codec::FramedRead;
use user_pings::UserPings;
use writer::{BytesWritten, Writer, WriterEnded};

/// Frames that are handled together when so many have come: they share one look at the clock and one lock of the counters.
const FRAMES_AT_ONCE: usize = 16;
/// How long to go on reading after writing has failed.
const LAST_WORDS: Duration = Duration::from_secs(1);

enum PeerStage {
    Handshaking(Box<Handshake>),
    Up(Box<Live>),
    Ended,
}

struct Live {
    user_pings: UserPings,
    rate: RateLimit,
}

/// One session with one peer.
pub struct PeerActor {
    session: u64,
    key: PublicKey,
    direction: Direction,
    observed: SocketAddr,
    /// As people know the peer: the observed IP with the announced port.
    address: String,
    stage: PeerStage,
    /// Given to the tasks when the actor starts.
    stream: Option<SharedStream>,
    alive: mpsc::Sender<()>,
    /// Our handshake, or why there is none. Taken at the start.
    opening: Option<Result<Message, EndReason>>,
    outbound: OutboundQueue,
    stats: SharedStats,
    router: InboundRouter,
    supervisor: Supervisor,
    clock: Arc<dyn Clock>,
    rng: StdRng,
    heartbeat_level: HeartbeatLevel,
    timer: WakeTimer,
    up_since: Option<Instant>,
    /// What came together with the handshake, while the manager is asked. Bound: [`FRAMES_AT_ONCE`].
    early: Vec<ReadFrame>,
    is_asking: bool,
    end: Option<SessionEnd>,
}

/// What the reader gives.
type ReadFrame = Result<Incoming, FrameError>;

impl PeerActor {
    /// A session at its beginning: its time limit for the handshake runs from now.
    pub fn new(parts: PeerParts) -> Self {
        let now = parts.clock.now();
        let (handshake, mut hello) = Handshake::begin(now, parts.local, parts.key, parts.direction, parts.exporter);
        hello.time_ms = parts.clock.unix().0;
        Self {
            session: parts.session,
            key: parts.key,
            direction: parts.direction,
            observed: parts.observed,
            address: parts.observed.to_string(),
            stage: PeerStage::Handshaking(Box::new(handshake)),
            stream: Some(SharedStream::new(parts.stream)),
            alive: parts.alive,
            opening: Some(parts.refused.map_or_else(|| Ok(ControlMessage::Hello(Box::new(hello)).into()), Err)),
            outbound: OutboundQueue::new(parts.lane_limits, parts.held_bytes),
            stats: SharedStats::new(parts.times),
            router: InboundRouter::new(parts.key, parts.inboxes),
            supervisor: parts.supervisor,
            clock: parts.clock,
            rng: parts.rng,
            heartbeat_level: parts.heartbeat_level,
            timer: WakeTimer::default(),
            up_since: None,
            early: Vec::new(),
            is_asking: false,
            end: None,
        }
    }

    pub(crate) fn outbound(&self) -> OutboundQueue {
        self.outbound.clone()
    }

    pub(crate) fn stats(&self) -> SharedStats {
        self.stats.clone()
    }

    /// After the end, and while a panic unwinds (when actix still runs handlers), nothing is done any more.
    fn is_over(&self) -> bool {
        matches!(self.stage, PeerStage::Ended) || std::thread::panicking()
    }

    /// Ends the session. The first call counts.
    fn finish(&mut self, end: SessionEnd, ctx: &mut Context<Self>) {
        if self.end.is_none() {
            self.end = Some(end);
        }
        self.stage = PeerStage::Ended;
        ctx.stop();
    }

    fn send(&mut self, message: impl Into<Message>, heartbeat: Option<HeartbeatFrame>, ctx: &mut Context<Self>) {
        let message = message.into();
        let now = self.clock.now();
        let queued = match (Encoded::new(&message), heartbeat) {
            (Ok(encoded), Some(heartbeat)) => self.outbound.push_heartbeat(now, encoded, heartbeat),
            (Ok(encoded), None) => self.outbound.push(now, encoded),
            (Err(error), _) => {
                tracing::error!(peer = %self.key.short(), %error, "a message of ours cannot be encoded");
                return;
            }
        };
        if let Err(overflow) = queued {
            tracing::debug!(peer = %self.key.short(), %overflow, "peer does not read");
            self.finish(SessionEnd::ours(overflow.reason()), ctx);
        }
    }

    fn log(&self, line: &HeartbeatLine<'_>) {
        log_heartbeat(self.heartbeat_level, line);
    }

    /// Keeps the one timer at the earliest wake that the current core asks for.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        let wake = match &self.stage {
            PeerStage::Handshaking(handshake) => handshake.next_wake(),
            PeerStage::Up(_) => self.stats.heartbeat(|heartbeat| heartbeat.next_wake()).flatten(),
            PeerStage::Ended => None,
        };
        self.timer.arm(wake, self.clock.now(), Self::on_timer, ctx);
    }

    fn on_timer(&mut self, ctx: &mut Context<Self>) {
        if !self.timer.goes_off(ctx) {
            return;
        }
        self.tick(ctx);
    }

    /// What is due now, and the timer for what comes next.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        match &mut self.stage {
            PeerStage::Handshaking(handshake) => {
                let action = handshake.on_tick(now);
                self.on_handshake(action, ctx);
            }
            PeerStage::Up(_) => {
                let draw = self.rng.next_u64();
                let action = self.stats.heartbeat(|heartbeat| heartbeat.on_tick(now, draw));
                self.on_heartbeat(action.unwrap_or(HeartbeatAction::Wait), ctx);
            }
            PeerStage::Ended => {}
        }
        self.arm(ctx);
    }

    fn on_handshake(&mut self, action: HandshakeAction, ctx: &mut Context<Self>) {
        match action {
            HandshakeAction::Wait => {}
            HandshakeAction::Goodbye(reason) => self.finish(SessionEnd::theirs(reason), ctx),
            HandshakeAction::Fail(error) => {
                tracing::debug!(peer = %self.key.short(), addr = %self.observed, %error, "handshake refused");
                self.finish(SessionEnd::ours(error.reason()), ctx);
            }
            HandshakeAction::Up(info) => {
                if info.listen_port != 0 {
                    self.address = join_address(self.observed.ip(), info.listen_port);
                }
                self.stats.lock().on_hello(self.clock.now(), info.height, info.time);
                let interval = info.interval;
                let asked = self.supervisor.established.send(ConnectionEstablished { session: self.session, info });
                self.is_asking = true;
                // Nothing is read meanwhile. The manager never asks a peer, so this wait always ends.
                ctx.wait(asked.into_actor(self).map(move |answer, actor, ctx| {
                    actor.is_asking = false;
                    match answer {
                        Ok(PeerAdmission::Accepted) => actor.on_accepted(interval, ctx),
                        Ok(PeerAdmission::Refused(reason)) => actor.finish(SessionEnd::ours(reason), ctx),
                        Err(_) => actor.finish(SessionEnd::ours(EndReason::Shutdown), ctx),
                    }
                }));
            }
        }
    }

    fn on_accepted(&mut self, interval: Duration, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        self.up_since = Some(now);
        self.stats.lock().on_up(now, interval);
        let live = Live { user_pings: UserPings::default(), rate: RateLimit::new(now) };
        self.stage = PeerStage::Up(Box::new(live));
        self.send(ControlMessage::GetAddr, None, ctx);
        self.tick(ctx);
        for frame in std::mem::take(&mut self.early) {
            self.on_frame(now, frame, ctx);
        }
    }

    fn on_frame(&mut self, now: Instant, frame: ReadFrame, ctx: &mut Context<Self>) {
        let incoming = match frame {
            Ok(incoming) => incoming,
            Err(error) => {
                if !self.is_over() {
                    tracing::debug!(peer = %self.key.short(), addr = %self.observed, %error, "connection ended");
                    self.finish(end_of(&error), ctx);
                }
                return;
            }
        };
        match (&mut self.stage, incoming) {
            (PeerStage::Handshaking(handshake), Incoming::Message { message, .. }) => {
                let action = handshake.on_message(&message);
                self.on_handshake(action, ctx);
            }
            (PeerStage::Handshaking(_), Incoming::Progress { .. } | Incoming::Unknown { .. }) => {
                self.finish(SessionEnd::ours(EndReason::HandshakeOrder), ctx);
            }
            (PeerStage::Up(live), incoming) => {
                self.stats.heartbeat(|heartbeat| heartbeat.on_life(now));
                match incoming {
                    Incoming::Message { message, bytes } => self.on_message(message, bytes, ctx),
                    Incoming::Progress { .. } => {}
                    Incoming::Unknown { kind, bytes } => {
                        self.stats.lock().tally.dropped.unknown += 1;
                        if live.rate.on_unknown_kind(now) == RateVerdict::Handle {
                            tracing::debug!(peer = %self.key.short(), kind, bytes, "message of an unknown kind skipped");
                        }
                    }
                }
            }
            (PeerStage::Ended, _) => {}
        }
    }

    fn on_message(&mut self, message: Message, bytes: usize, ctx: &mut Context<Self>) {
        let delivery = match message {
            Message::Control(message) => return self.on_control(message, ctx),
            Message::Consensus(message) => (self.router.consensus(message, bytes), InboundChannel::Consensus),
            Message::Mempool(message) => (self.router.mempool(message, bytes), InboundChannel::Mempool),
            Message::Application(message) => (self.router.application(message, bytes), InboundChannel::Application),
            Message::BlockSync(message) => {
                if let BlockSyncMessage::Status { height, .. } = message {
                    self.stats.lock().height = height;
                }
                let delivery = match self.outbound.is_asked_for(&message) {
                    true => self.router.block_sync(message, bytes),
                    false => DeliveryOutcome::Unasked,
                };
                (delivery, InboundChannel::BlockSync)
            }
        };
        match delivery {
            (DeliveryOutcome::Delivered, _) => {}
            (DeliveryOutcome::Unasked, _) => self.stats.lock().tally.dropped.unasked += 1,
            (DeliveryOutcome::Full, channel) => *self.stats.lock().tally.dropped.of(channel) += 1,
        }
    }

    fn on_control(&mut self, message: ControlMessage, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let PeerStage::Up(live) = &mut self.stage else { return };
        match message {
            ControlMessage::Hello(_) => self.finish(SessionEnd::ours(EndReason::HandshakeOrder), ctx),
            ControlMessage::Goodbye { code } => self.finish(SessionEnd::theirs(EndReason::from_code(code)), ctx),
            ControlMessage::Ping { nonce } => match live.rate.on_ping(now) {
                RateVerdict::Handle => {
                    let time_ms = self.clock.unix().0;
                    self.send(ControlMessage::Pong { nonce, time_ms }, Some(HeartbeatFrame::Pong(nonce)), ctx);
                }
                RateVerdict::Ignore => self.stats.lock().tally.dropped.pings += 1,
            },
            ControlMessage::Pong { nonce, time_ms } => self.on_pong(now, nonce, UnixTime(time_ms)),
            ControlMessage::GetAddr => match live.rate.on_get_addr() {
                RateVerdict::Handle => {
                    self.supervisor.addresses.do_send(AddressesLearned::Wanted { session: self.session })
                }
                RateVerdict::Ignore => {}
            },
            ControlMessage::Addr { mut records } => {
                records.retain(|_| live.rate.on_record(now) == RateVerdict::Handle);
                if !records.is_empty() {
                    self.supervisor.addresses.do_send(AddressesLearned::Received { session: self.session, records });
                }
            }
        }
    }

    fn on_pong(&mut self, now: Instant, nonce: u64, theirs: UnixTime) {
        let PeerStage::Up(live) = &mut self.stage else { return };
        let Some(pong) = self.stats.heartbeat(|heartbeat| heartbeat.on_pong(now, nonce)) else { return };
        let rtt = match pong {
            Pong::KeepAlive { rtt } => rtt,
            Pong::User { rtt } => {
                live.user_pings.answer(nonce, rtt);
                rtt
            }
            // A flood of invented pongs must not flood the log.
            Pong::Unknown => {
                tracing::debug!(peer = %self.key.short(), nonce, "pong answers no ping of ours");
                return;
            }
        };
        let srtt = self.stats.lock().on_pong(now, rtt, theirs);
        let (direction, address) = (self.direction, &self.address[..]);
        self.log(&HeartbeatLine::PongReceived { direction, address, nonce });
        self.log(&HeartbeatLine::PongMatches { direction, address, nonce, rtt });
        if let Some(srtt) = srtt {
            self.supervisor.measured.do_send(PeerStats { session: self.session, srtt });
        }
    }
}

impl Actor for PeerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(stream) = self.stream.take() else { return };
        self.stats.lock().last_received = self.clock.now();
        let address = ctx.address();
        let writer = Writer {
            stream: stream.clone(),
            outbound: self.outbound.clone(),
            stats: self.stats.clone(),
            clock: self.clock.clone(),
            left: address.clone().recipient(),
            ended: address.recipient(),
            _alive: self.alive.clone(),
        };
        // Its own task, so that the goodbye still leaves when the actor has ended.
        actix_rt::spawn(writer.run());
        match self.opening.take() {
            Some(Ok(hello)) => self.send(hello, None, ctx),
            // An unknown peer learns nothing of us but why.
            Some(Err(reason)) => return self.finish(SessionEnd::ours(reason), ctx),
            None => {}
        }
        Self::add_stream(FramedRead::new(stream, FrameCodec::new()).ready_chunks(FRAMES_AT_ONCE), ctx);
        self.arm(ctx);
    }

    fn stopping(&mut self, _ctx: &mut Self::Context) -> Running {
        Running::Stop
    }

    /// Runs on every end, also while a panic unwinds. Reports only.
    fn stopped(&mut self, _ctx: &mut Self::Context) {
        let end = self.end.unwrap_or(SessionEnd::ours(EndReason::Internal));
        let says_goodbye = end == SessionEnd::ours(end.reason) && end.reason.says_goodbye();
        let goodbye = Message::from(ControlMessage::Goodbye { code: end.reason.code() });
        let now = self.clock.now();
        let post_mortem = self.post_mortem(now);
        self.outbound.close(now, says_goodbye.then(|| Encoded::new(&goodbye).ok()).flatten());
        self.supervisor.ended.do_send(PeerEnded { session: self.session, post_mortem });
    }
}

impl StreamHandler<Vec<ReadFrame>> for PeerActor {
    fn handle(&mut self, frames: Vec<ReadFrame>, ctx: &mut Self::Context) {
        if self.is_over() {
            return;
        }
        let now = self.clock.now();
        self.stats.lock().on_frames(now, &frames);
        for frame in frames {
            if self.is_asking {
                self.early.push(frame);
            } else {
                self.on_frame(now, frame, ctx);
            }
        }
        self.arm(ctx);
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.finish(SessionEnd::theirs(EndReason::ConnectionClosed), ctx);
    }
}

impl Handler<BytesWritten> for PeerActor {
    type Result = ();

    fn handle(&mut self, left: BytesWritten, ctx: &mut Self::Context) {
        if self.is_over() {
            return;
        }
        for heartbeat in left.heartbeats {
            let (direction, address) = (self.direction, &self.address[..]);
            match heartbeat {
                HeartbeatFrame::Ping(nonce) => {
                    self.log(&HeartbeatLine::PingSent { direction, address, nonce });
                    self.stats.heartbeat(|heartbeat| heartbeat.on_ping_sent(left.at, nonce));
                }
                HeartbeatFrame::Pong(nonce) => self.log(&HeartbeatLine::PongSent { direction, address, nonce }),
            }
        }
        self.arm(ctx);
    }
}

impl Handler<WriterEnded> for PeerActor {
    type Result = ();

    fn handle(&mut self, ended: WriterEnded, ctx: &mut Self::Context) {
        if self.is_over() {
            return;
        }
        match ended.0 {
            // What the other side said last may still wait to be read, and says more than a broken pipe.
            EndReason::ConnectionFailed => {
                ctx.run_later(LAST_WORDS, |actor, ctx| {
                    actor.finish(SessionEnd::theirs(EndReason::ConnectionFailed), ctx)
                });
            }
            reason => self.finish(SessionEnd::ours(reason), ctx),
        }
    }
}

impl Handler<ClosePeer> for PeerActor {
    type Result = ();

    fn handle(&mut self, ClosePeer(reason): ClosePeer, ctx: &mut Self::Context) {
        if !self.is_over() {
            self.finish(SessionEnd::ours(reason), ctx);
        }
    }
}
