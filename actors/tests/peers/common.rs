//! A world in memory for tests of peers: nodes with real managers and actors, raw peers that say what they like, one virtual clock.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use actix::{Actor, Addr, Context, Handler};
use bytes::{BufMut, BytesMut};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use timed_actors::clock::TokioClock;
use timed_actors::messages::{Inboxes, Outlets, PeerDown, PeerListener, PeerUp, SubscribePeers};
use timed_actors::peer::{HEARTBEAT_TARGET, HeartbeatLevel};
use timed_actors::peer_manager::{ConfiguredPeer, PeerManager, PeerManagerParts, PeersConfig, PeersView};
use timed_actors::tls::{Secured, Tls};
use timed_actors::transport::{BoxStream, Listener, Transport};
use timed_peer::{Direction, EndReason, Handshake, HandshakeAction, LocalNode};
use timed_primitives::{ChainId, Clock, Hash, Instant, PublicKey, SecretKey, UnixTime};
use timed_test_support::MemoryNetwork;
use timed_wire::{ControlMessage, Encoded, FrameCodec, Hello, Incoming, Kind, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio_util::codec::{Decoder, Encoder};
use tracing::field::{Field, Visit};
use uuid::Uuid;

pub(crate) const PORT: u16 = 7000;
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Runs a test on one thread, where time moves only when everybody waits.
pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// Everybody else acts until all wait, and this much time passes.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(crate) fn ip(id: u64) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(id).unwrap()))
}

pub(crate) fn address(id: u64) -> String {
    format!("{}:{PORT}", ip(id))
}

pub(crate) fn key(id: u64) -> PublicKey {
    node_key(id).public()
}

pub(crate) fn node_key(id: u64) -> SecretKey {
    SecretKey::development("node", id)
}

pub(crate) fn local(id: u64, instance: u128) -> LocalNode {
    LocalNode {
        consensus_key: Some(SecretKey::development("consensus", id)),
        listen_port: PORT,
        ..LocalNode::new(key(id), ChainId(7), Hash([7; 32]), format!("test/{id}"), Uuid::from_u128(instance))
    }
}

/// Panics once when asked to: whoever asks for the time next.
pub(crate) struct TestClock {
    inner: TokioClock,
    pub(crate) panics: Mutex<bool>,
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        let panics = std::mem::take(&mut *self.panics.lock().unwrap());
        assert!(!panics, "a panic that the test asked for");
        self.inner.now()
    }

    fn unix(&self) -> UnixTime {
        self.inner.unix()
    }
}

/// What actors would hear of peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Up(PublicKey),
    Down(PublicKey, EndReason),
}

struct PeerNews(Arc<Mutex<Vec<News>>>);

impl Actor for PeerNews {
    type Context = Context<Self>;
}

impl Handler<PeerUp> for PeerNews {
    type Result = ();

    fn handle(&mut self, up: PeerUp, _: &mut Self::Context) {
        self.0.lock().unwrap().push(News::Up(up.peer));
    }
}

impl Handler<PeerDown> for PeerNews {
    type Result = ();

    fn handle(&mut self, down: PeerDown, _: &mut Self::Context) {
        self.0.lock().unwrap().push(News::Down(down.peer, down.reason));
    }
}

/// Settings of a node before it starts.
pub(crate) struct Setup {
    pub(crate) id: u64,
    pub(crate) config: PeersConfig,
    pub(crate) listens: bool,
    pub(crate) seed: u64,
}

impl Setup {
    pub(crate) fn new(id: u64) -> Self {
        let local = local(id, u128::from(id));
        let config = PeersConfig { heartbeat_level: HeartbeatLevel::Info, ..PeersConfig::new(local) };
        Self { id, config, listens: true, seed: id }
    }

    pub(crate) fn dials(mut self, peers: &[u64]) -> Self {
        let peer = |id: &u64| ConfiguredPeer { address: address(*id), key: Some(key(*id)), is_validator: true };
        self.config.configured.extend(peers.iter().map(peer));
        self
    }

    pub(crate) async fn start(self, network: &MemoryNetwork) -> Node {
        let transport = network.host(ip(self.id));
        let listener = match self.listens {
            true => Some(transport.bind(SocketAddr::new(ip(self.id), PORT)).await.unwrap()),
            false => None,
        };
        start(self.id, self.config, Arc::new(transport), listener, self.seed)
    }
}

pub(crate) fn start(
    id: u64,
    config: PeersConfig,
    transport: Arc<dyn Transport>,
    listener: Option<Box<dyn timed_actors::transport::Listener>>,
    seed: u64,
) -> Node {
    let (inboxes, outlets) = Inboxes::bounded();
    let (view, views) = watch::channel(Arc::<PeersView>::default());
    let clock =
        Arc::new(TestClock { inner: TokioClock::starting_at(UnixTime(1_700_000_000_000)), panics: Mutex::new(false) });
    let parts = PeerManagerParts {
        config,
        node_key: node_key(id),
        transport,
        listener,
        inboxes,
        clock: clock.clone(),
        rng: StdRng::seed_from_u64(seed),
        view,
        times: timed_actors::NodeTimes::default(),
        pulses: timed_actors::Pulses::default(),
    };
    let manager = PeerManager::new(parts).unwrap().start();
    let news = Arc::new(Mutex::new(Vec::new()));
    let actor = PeerNews(news.clone()).start();
    manager.do_send(SubscribePeers(PeerListener { up: actor.clone().recipient(), down: actor.recipient() }));
    Node { manager, views, outlets, clock, news }
}

/// A node: a real manager with real peers.
pub(crate) struct Node {
    pub(crate) manager: Addr<PeerManager>,
    pub(crate) views: watch::Receiver<Arc<PeersView>>,
    pub(crate) outlets: Outlets,
    pub(crate) clock: Arc<TestClock>,
    news: Arc<Mutex<Vec<News>>>,
}

impl Node {
    pub(crate) fn view(&self) -> PeersView {
        PeersView::clone(&self.views.borrow())
    }

    pub(crate) fn is_up(&self, id: u64) -> bool {
        self.views.borrow().peers.iter().any(|p| p.key == key(id))
    }

    /// Why sessions with this peer ended, oldest first.
    pub(crate) fn ends(&self, id: u64) -> Vec<EndReason> {
        let view = self.views.borrow();
        view.ended.iter().filter(|p| p.key == Some(key(id))).map(|p| p.end.reason).collect()
    }

    pub(crate) fn news(&self) -> Vec<News> {
        self.news.lock().unwrap().clone()
    }
}

/// A peer that says what it likes.
pub(crate) struct Raw {
    pub(crate) stream: BoxStream,
    pub(crate) theirs: PublicKey,
    pub(crate) exporter: [u8; 32],
    direction: Direction,
    codec: FrameCodec,
    buffer: BytesMut,
}

impl Raw {
    /// Connects and secures, and says nothing.
    pub(crate) async fn dial(network: &MemoryNetwork, id: u64, to: u64) -> Self {
        let (stream, _) = network.host(ip(id)).connect(&address(to)).await.unwrap();
        Self::secure(stream, id, to).await
    }

    /// Secures a connection that was dialled.
    pub(crate) async fn secure(stream: BoxStream, id: u64, to: u64) -> Self {
        Self::over(Tls::new(&node_key(id)).unwrap().dial(stream, Some(key(to))).await.unwrap(), Direction::Outbound)
    }

    /// Takes the next connection and secures it.
    pub(crate) async fn accept(listener: &mut dyn Listener, id: u64) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        Self::over(Tls::new(&node_key(id)).unwrap().accept(stream).await.unwrap(), Direction::Inbound)
    }

    fn over(secured: Secured, direction: Direction) -> Self {
        Self {
            direction,
            stream: secured.stream,
            theirs: secured.key,
            exporter: secured.exporter,
            codec: FrameCodec::new(),
            buffer: BytesMut::new(),
        }
    }

    /// Connects and completes the handshake.
    pub(crate) async fn established(network: &MemoryNetwork, id: u64, to: u64, instance: u128) -> Self {
        let mut raw = Self::dial(network, id, to).await;
        raw.shake_hands(local(id, instance)).await;
        raw
    }

    /// Completes the handshake.
    pub(crate) async fn shake_hands(&mut self, me: LocalNode) {
        let (mut handshake, hello) = self.hello(me);
        self.send(ControlMessage::Hello(Box::new(hello))).await;
        let theirs = self.expect(Kind::Hello).await;
        assert!(matches!(handshake.on_message(&theirs), HandshakeAction::Up(_)));
    }

    pub(crate) fn hello(&self, local: LocalNode) -> (Handshake, Hello) {
        Handshake::begin(Instant(0), local, self.theirs, self.direction, self.exporter)
    }

    pub(crate) async fn send(&mut self, message: impl Into<Message>) {
        let mut bytes = BytesMut::new();
        FrameCodec::new().encode(&Encoded::new(&message.into()).unwrap(), &mut bytes).unwrap();
        self.send_bytes(&bytes).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// What comes next; `None` when the other side has closed.
    pub(crate) async fn next(&mut self) -> Option<Incoming> {
        loop {
            if let Some(incoming) = self.codec.decode(&mut self.buffer).unwrap() {
                return Some(incoming);
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next message of this kind; others are passed over.
    pub(crate) async fn expect(&mut self, kind: Kind) -> Message {
        loop {
            match self.next().await {
                Some(Incoming::Message { message, .. }) if message.kind() == kind => return message,
                Some(_) => {}
                None => panic!("closed before a {} came", kind.name()),
            }
        }
    }

    /// Reads to the end; gives the reason of the goodbye, if there was one.
    pub(crate) async fn goodbye(&mut self) -> Option<EndReason> {
        let mut reason = None;
        while let Some(incoming) = self.next().await {
            if let Incoming::Message { message: Message::Control(ControlMessage::Goodbye { code }), .. } = incoming {
                reason = Some(EndReason::from_code(code));
            }
        }
        reason
    }

    /// Answers pings for ever and takes everything in, until the other side closes.
    pub(crate) async fn behave(mut self) -> Option<EndReason> {
        let mut reason = None;
        while let Some(incoming) = self.next().await {
            match incoming {
                Incoming::Message { message: Message::Control(ControlMessage::Ping { nonce }), .. } => {
                    self.send(ControlMessage::Pong { nonce, time_ms: 0 }).await;
                }
                Incoming::Message { message: Message::Control(ControlMessage::Goodbye { code }), .. } => {
                    reason = Some(EndReason::from_code(code));
                }
                _ => {}
            }
        }
        reason
    }
}

/// Heartbeat lines written on this thread.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Begins to listen, until the guard is dropped.
    pub(crate) fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        let lines = Self::default();
        let guard = tracing::subscriber::set_default(lines.clone());
        (lines, guard)
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.all().iter().filter(|l| l.contains(part)).count()
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == HEARTBEAT_TARGET
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Everything that waits in an actor's channel.
pub(crate) fn drain<M>(outlet: &mut mpsc::Receiver<M>) -> Vec<M> {
    std::iter::from_fn(|| outlet.try_recv().ok()).collect()
}

/// A node, and a good peer whose connection must not suffer.
pub(crate) struct Scene {
    pub(crate) network: MemoryNetwork,
    pub(crate) node: Node,
    pub(crate) good: Node,
}

impl Scene {
    pub(crate) async fn begin() -> Self {
        Self::begin_with(|_| {}).await
    }

    /// With other settings of the node.
    pub(crate) async fn begin_with(change: impl FnOnce(&mut PeersConfig)) -> Self {
        let network = MemoryNetwork::new();
        let mut setup = Setup::new(1);
        change(&mut setup.config);
        let node = setup.start(&network).await;
        let good = Setup::new(2).dials(&[1]).start(&network).await;
        pass(SECOND).await;
        assert!(node.is_up(2));
        Self { network, node, good }
    }

    /// The good peer never noticed anything.
    pub(crate) async fn end(self) {
        pass(20 * SECOND).await;
        assert_eq!(self.node.news().iter().filter(|n| matches!(n, News::Down(k, _) if *k == key(2))).count(), 0);
        assert!(self.node.is_up(2) && self.good.is_up(1));
        assert!(self.good.ends(1).is_empty());
        assert!(self.node.view().peers.iter().any(|p| p.key == key(2) && p.ping_time.is_some()));
    }
}

/// The head of a frame.
pub(crate) fn header(length: u32, kind: u8) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u32(length);
    bytes.put_u8(kind);
    bytes
}
