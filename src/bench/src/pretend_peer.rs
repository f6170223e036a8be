//! Peers without a node behind them: they complete the handshake, answer pings, and measure how soon theirs are answered.

use super::report::ms;
use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};
use timed_actors::SystemClock;
use timed_actors::tls::{Secured, Tls};
use timed_actors::transport::BoxStream;
use timed_ledger::Genesis;
use timed_peer::{Direction, Handshake, HandshakeAction, LocalNode};
use timed_primitives::{Clock as _, PublicKey, SecretKey};
use timed_wire::{ControlMessage, Encoded, FrameCodec, Incoming, Message};
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::codec::FramedRead;
use uuid::Uuid;

/// How long many have to connect.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many connect at once.
const AT_ONCE: usize = 32;

/// A peer whose handshake is over.
pub(super) struct PretendPeer {
    frames: FramedRead<ReadHalf<BoxStream>, FrameCodec>,
    write: WriteHalf<BoxStream>,
}

/// What many peers together have seen.
#[derive(Default)]
pub(super) struct PretendCounts {
    /// Pings of the node that were answered.
    pub(super) pongs: Cell<u64>,
    /// Connections that ended.
    pub(super) ended: Cell<u64>,
    /// Round trips of the peers' own pings. Unit: ms.
    pub(super) round_trips: RefCell<Vec<f64>>,
}

impl PretendPeer {
    /// Connects from an address of this machine to a node of it, and completes the handshake.
    ///
    /// # Errors
    /// When the node refuses, at any step. There is no time limit here.
    pub(super) async fn connect(key: &SecretKey, from: Ipv4Addr, port: u16) -> anyhow::Result<Self> {
        Self::shake_hands(connect(from, port).await?, key).await
    }

    /// Completes the handshake with a node over a connection with it.
    ///
    /// # Errors
    /// When the node refuses, at any step. There is no time limit here.
    pub(super) async fn shake_hands(stream: TcpStream, key: &SecretKey) -> anyhow::Result<Self> {
        let tls = Tls::new(key)?;
        stream.set_nodelay(true)?;
        let Secured { stream, key: node, exporter } = tls.dial(Box::new(stream), None).await?;
        let now = SystemClock::start().now();
        let (mut handshake, hello) =
            Handshake::begin(now, local_node(key.public()), node, Direction::Outbound, exporter);
        let (read, write) = tokio::io::split(stream);
        let mut peer = Self { frames: FramedRead::new(read, FrameCodec::new()), write };
        peer.send(ControlMessage::Hello(Box::new(hello))).await?;
        let hello = peer.next().await.context("the node closed the connection before its handshake")?;
        let action = handshake.on_message(&hello);
        anyhow::ensure!(matches!(action, HandshakeAction::Up(_)), "the node's handshake: {action:?}");
        Ok(peer)
    }

    /// Waits until the node answers a ping: it does so for its peers only.
    ///
    /// # Errors
    /// When the connection ends before.
    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        self.send(ControlMessage::Ping { nonce: 0 }).await?;
        loop {
            match self.next().await.context("the node closed the connection after its handshake")? {
                Message::Control(ControlMessage::Ping { nonce }) => {
                    self.send(ControlMessage::Pong { nonce, time_ms: 0 }).await?
                }
                Message::Control(ControlMessage::Pong { nonce: 0, .. }) => return Ok(()),
                _ => {}
            }
        }
    }

    /// Answers pings until the connection ends, and sends some of its own when given how often.
    pub(super) async fn stay(mut self, seen: Rc<PretendCounts>, ping_every: Option<Duration>) {
        let mut ticks = ping_every.map(|every| {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let mut tick = async || match &mut ticks {
            Some(ticks) => drop(ticks.tick().await),
            None => std::future::pending().await,
        };
        // Number and time of the ping that is not answered yet: one at a time, so that a late answer counts in full.
        let (mut nonce, mut sent) = (0, None);
        loop {
            let incoming = tokio::select! {
                incoming = self.next() => incoming,
                () = tick(), if sent.is_none() => {
                    nonce += 1;
                    sent = Some(Instant::now());
                    if self.send(ControlMessage::Ping { nonce }).await.is_err() {
                        break;
                    }
                    continue;
                }
            };
            match incoming {
                Some(Message::Control(ControlMessage::Ping { nonce })) => {
                    if self.send(ControlMessage::Pong { nonce, time_ms: 0 }).await.is_err() {
                        break;
                    }
                    seen.pongs.set(seen.pongs.get() + 1);
                }
                Some(Message::Control(ControlMessage::Pong { nonce: answered, .. })) if answered == nonce => {
                    seen.round_trips.borrow_mut().extend(sent.take().map(|sent| ms(sent.elapsed())));
                }
                Some(_) => {}
                None => break,
            }
        }
        seen.ended.set(seen.ended.get() + 1);
    }

    /// The next message; `None` when the connection has ended.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Incoming::Message { message, .. } = self.frames.next().await?.ok()? {
                return Some(message);
            }
        }
    }

    /// # Errors
    /// When the connection has ended, or the message does not fit into a frame.
    pub(super) async fn send(&mut self, message: impl Into<Message>) -> anyhow::Result<()> {
        let encoded = Encoded::new(&message.into())?;
        let frame = encoded.whole(usize::MAX).context("the message does not fit into a frame")?;
        self.write.write_all(frame).await?;
        Ok(self.write.flush().await?)
    }
}

/// Connects many, which stay.
///
/// # Errors
/// When one is refused, or they do not all connect in time.
pub(super) async fn connect_many(
    count: u16,
    port: u16,
    ping_every: Option<Duration>,
    seen: &Rc<PretendCounts>,
) -> anyhow::Result<()> {
    let connecting = (0..u64::from(count)).map(|number| async move {
        let key = SecretKey::development("pretend peer", number);
        let peer = PretendPeer::connect(&key, Ipv4Addr::LOCALHOST, port).await?;
        tokio::task::spawn_local(peer.stay(seen.clone(), ping_every));
        anyhow::Ok(())
    });
    let mut connecting = stream::iter(connecting).buffer_unordered(AT_ONCE);
    let all = async {
        while let Some(connected) = connecting.next().await {
            connected?;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, all).await.context("the peers do not all connect in time")?
}

/// A connection from an address of this machine to a port of 127.0.0.1. Closed by a reset, so that no trace of it keeps its port from being
/// used again.
///
/// # Errors
/// What the system says.
pub(super) async fn connect(from: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

fn local_node(key: PublicKey) -> LocalNode {
    let genesis = Genesis::devnet(4);
    LocalNode {
        key,
        consensus_key: None,
        chain_id: genesis.chain_id,
        genesis: genesis.hash(),
        agent: "bench".into(),
        instance: Uuid::from_slice(key.0.get(..16).unwrap_or_default()).unwrap_or_default(),
        listen_port: 0,
        external: None,
        height: 0,
        capabilities: 0,
        ping_interval: Duration::from_secs(15),
    }
}
