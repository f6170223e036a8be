//! Supervises the peers: accepts and dials, starts a fresh [`PeerActor`](crate::peer::PeerActor) for every connection, and gets the end of each exactly
//! once. Who stays and whom to dial when is decided by [`timed_peer::PeerBook`]; this carries it out.
//!
//! ```text
//!   accept ──┐ TLS                     ┌── SendTo, Broadcast, Penalize ◄── actors
//!            ├─────► PeerActor ──► PeerManager ──► PeerUp, PeerDown ──► actors
//!   dial  ───┘      Arrived, PeerEnded └──► watch of PeersView ──► RPC, dashboard, metrics
//! ```

mod addresses;
mod clocks;
mod connect;
mod handshakes;
mod post_mortems;
mod requests;
mod sessions;
mod totals;
mod turns;
mod view;

pub use handshakes::{HANDSHAKES_MAX, HandshakeCounts};
pub use totals::PeerTotals;
pub use view::{PeersView, TargetSnapshot};

use crate::fatal::FatalHandle;
use crate::messages::{Inboxes, PeerListener};
use crate::peer::{ClosePeer, HeartbeatLevel, HeldBytes};
use crate::pulse::Pulses;
use crate::times::NodeTimes;
use crate::tls::{Tls, TlsError};
use crate::transport::{Listener, Transport};
use crate::wake_timer::WakeTimer;
use actix::{Actor, AsyncContext, Context};
use clocks::Clocks;
use connect::accept_all;
use handshakes::InboundHandshakes;
use post_mortems::PostMortems;
use rand::rngs::StdRng;
use sessions::PeerSession;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use timed_peer::addresses::KeptAddress;
use timed_peer::{
    AddressBook, Ban, BookConfig, EndReason, LaneLimits, LocalNode, Misbehaviour, PeerBook, Twin, ValidatorPeers,
};
use timed_primitives::{Clock, PublicKey, SecretKey};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// How often the view is published when nothing happens.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);
/// A peer to dial for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredPeer {
    /// `host:port`, resolved at each dial.
    pub address: String,
    /// With it, anybody else's answer at the address is refused.
    pub key: Option<PublicKey>,
    /// Whether it is expected to vote: then it is redialled sooner.
    pub is_validator: bool,
}

/// Settings of the peer manager.
#[derive(Clone, Debug)]
pub struct PeersConfig {
    /// What we say of ourselves; its listen port is replaced by the listener's, unless it is announced otherwise.
    pub local: LocalNode,
    /// Limits.
    pub book: BookConfig,
    /// Peers to dial for ever.
    pub configured: Vec<ConfiguredPeer>,
    /// Bans that are in force already.
    pub banned: Vec<Ban>,
    /// Addresses that are known already.
    pub known: Vec<KeptAddress>,
    /// In private networks: the only keys that may be peers. `None`: anybody.
    pub allowed: Option<BTreeSet<PublicKey>>,
    /// Whether addresses are asked for, announced and dialled.
    pub discovers: bool,
    /// Bounds of what waits to be sent to one peer.
    pub lane_limits: LaneLimits,
    /// How loud the heartbeat is.
    pub heartbeat_level: HeartbeatLevel,
}

impl PeersConfig {
    /// Nobody configured, known or banned, anybody allowed, the usual limits, a silent heartbeat. Change what differs.
    pub fn new(local: LocalNode) -> Self {
        Self {
            book: BookConfig::new(local.key, local.consensus_key.is_some()),
            local,
            configured: Vec::new(),
            banned: Vec::new(),
            known: Vec::new(),
            allowed: None,
            discovers: true,
            lane_limits: LaneLimits::default(),
            heartbeat_level: HeartbeatLevel::Debug,
        }
    }

    /// Whether the holder of this node key may be a peer.
    fn allows(&self, key: &PublicKey) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(key))
    }
}

/// What the peer manager is made of.
pub struct PeerManagerParts {
    /// Settings.
    pub config: PeersConfig,
    /// The node's secret key: proves who we are.
    pub node_key: SecretKey,
    /// Makes connections.
    pub transport: Arc<dyn Transport>,
    /// Accepts connections; `None` for a node that only dials.
    pub listener: Option<Box<dyn Listener>>,
    /// Where messages for actors go.
    pub inboxes: Inboxes,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Nonces, jitter and back-off.
    pub rng: StdRng,
    /// Where the view is published.
    pub view: watch::Sender<Arc<PeersView>>,
    /// Where it is counted how long things take.
    pub times: NodeTimes,
    /// Where polls of peers are seen.
    pub pulses: Pulses,
}

/// The supervisor of all peers.
pub struct PeerManager {
    config: PeersConfig,
    node_key: SecretKey,
    tls: Tls,
    transport: Arc<dyn Transport>,
    listener: Option<Box<dyn Listener>>,
    listening: Option<std::net::SocketAddr>,
    accepting: Option<JoinHandle<()>>,
    handshakes: InboundHandshakes,
    inboxes: Inboxes,
    clock: Arc<dyn Clock>,
    rng: StdRng,
    view: watch::Sender<Arc<PeersView>>,
    times: NodeTimes,
    pulses: Pulses,
    book: PeerBook,
    misbehaviour: Misbehaviour,
    addresses: AddressBook,
    /// Keys that the operator demands at an address.
    demanded: BTreeMap<String, PublicKey>,
    sessions: BTreeMap<u64, PeerSession>,
    /// What waits for all of them to be sent.
    held_bytes: HeldBytes,
    /// The session of each peer that is up.
    up: BTreeMap<PublicKey, u64>,
    next_session: u64,
    listeners: Vec<PeerListener>,
    validators: ValidatorPeers,
    ended: PostMortems,
    /// Of sessions that are over.
    past: PeerTotals,
    /// The newest first.
    twins: Vec<Twin>,
    clocks: Clocks,
    fatal: Option<FatalHandle>,
    timer: WakeTimer,
    /// Both ends of a channel that closes when the last writer is done; taken by [`crate::messages::StopPeers`].
    alive: Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>,
}

impl PeerManager {
    /// A manager without peers. It accepts and dials once it is started.
    ///
    /// # Errors
    /// When the node key cannot be used for TLS, or the listener does not know its address.
    pub fn new(parts: PeerManagerParts) -> Result<Self, TlsError> {
        let mut config = parts.config;
        let tls = Tls::new(&parts.node_key)?;
        let listening = parts.listener.as_ref().and_then(|l| l.local_addr().ok());
        if config.local.listen_port == 0 {
            config.local.listen_port = listening.map_or(0, |address| address.port());
        }
        let validators = ValidatorPeers::new(config.local.consensus_key.as_ref().map(|key| key.public()));
        let now = parts.clock.now();
        let mut book = PeerBook::new(config.book);
        let mut demanded = BTreeMap::new();
        for peer in &config.configured {
            book.add_configured(now, &peer.address, peer.key, peer.is_validator);
            demanded.extend(peer.key.map(|key| (peer.address.clone(), key)));
        }
        let mut misbehaviour = Misbehaviour::default();
        for ban in &config.banned {
            misbehaviour.restore(now, *ban);
            book.hold(ban.key, ban.until);
        }
        let (unix, mut addresses) = (parts.clock.unix(), AddressBook::default());
        for known in std::mem::take(&mut config.known) {
            if known.record.key != config.local.key && config.allows(&known.record.key) {
                addresses.restore(unix, known);
            }
        }
        Ok(Self {
            config,
            node_key: parts.node_key,
            tls,
            transport: parts.transport,
            listener: parts.listener,
            listening,
            accepting: None,
            handshakes: InboundHandshakes::new(),
            inboxes: parts.inboxes,
            clock: parts.clock,
            rng: parts.rng,
            view: parts.view,
            times: parts.times,
            pulses: parts.pulses,
            book,
            misbehaviour,
            addresses,
            demanded,
            held_bytes: HeldBytes::default(),
            sessions: BTreeMap::new(),
            up: BTreeMap::new(),
            next_session: 1,
            listeners: Vec::new(),
            validators,
            ended: PostMortems::default(),
            past: PeerTotals::default(),
            twins: Vec::new(),
            clocks: Clocks::default(),
            fatal: None,
            timer: WakeTimer::default(),
            alive: Some(mpsc::channel(1)),
        })
    }

    /// From now on a panic of the manager ends the process: peers survive one another, and nobody survives without it.
    pub fn guard(&mut self, fatal: FatalHandle) {
        self.fatal = Some(fatal);
    }

    /// Dials what is due, and keeps the one timer at the book's next wake.
    fn dial_due(&mut self, ctx: &mut Context<Self>) {
        if self.alive.is_none() {
            return;
        }
        let now = self.clock.now();
        self.book.refill(now, &mut self.addresses, &mut self.rng);
        for dial in self.book.wants_dial(now, &mut self.rng) {
            self.dial(dial, ctx);
        }
        self.timer.arm(self.book.next_wake(), now, Self::on_timer, ctx);
    }

    fn on_timer(&mut self, ctx: &mut Context<Self>) {
        if !self.timer.goes_off(ctx) {
            return;
        }
        self.dial_due(ctx);
    }

    /// Accepts and dials no more.
    fn stop_connecting(&mut self) {
        self.listener = None;
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
    }
}

impl Actor for PeerManager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(listener) = self.listener.take() {
            let manager = ctx.address().recipient();
            let accepting =
                accept_all(listener, self.tls.clone(), self.handshakes.clone(), self.clock.clone(), manager);
            self.accepting = Some(actix_rt::spawn(accepting));
        }
        ctx.run_interval(PUBLISH_INTERVAL, |actor, _| actor.publish());
        self.publish();
        self.dial_due(ctx);
    }

    fn stopped(&mut self, _ctx: &mut Self::Context) {
        self.stop_connecting();
        for session in self.sessions.values() {
            session.actor.do_send(ClosePeer(EndReason::Shutdown));
        }
    }
}
