//! Two ways to carry messages between two nodes over the same TLS and frames on loopback: by the peer actors, as the daemon does, and by
//! plain tasks, as one would write them without actors.

use anyhow::Context as _;
use bytes::BytesMut;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use rand::SeedableRng as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::messages::{Inbound, Inboxes, Outlets, Ping, SendTo};
use timed_actors::peer_manager::{ConfiguredPeer, PeerManager, PeerManagerParts, PeersConfig, PeersView};
use timed_actors::tls::{Secured, Tls};
use timed_actors::transport::{Listener, TcpTransport, Transport as _};
use timed_actors::{Component, NodeTimes, Pulses, SystemClock, Threads};
use timed_peer::LocalNode;
use timed_primitives::{ChainId, Hash, PublicKey, SecretKey};
use timed_wire::{ConsensusMessage, Encoded, FrameCodec, Incoming, Message};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio_util::codec::FramedRead;
use uuid::Uuid;

/// Bytes that a plain writer gathers before it writes: what the peers' writer takes at most.
const GATHERED_BYTES: usize = 64 * 1024;
/// Messages that may wait in a channel; never reached, since fewer are under way.
const WAITING_MAX: usize = 4_096;
/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// What has arrived.
pub(super) type Arrivals = mpsc::Receiver<Inbound<ConsensusMessage>>;

/// One node's end of a connection.
pub(super) struct BenchEnd {
    pub(super) sender: Sender,
    pub(super) arrivals: Arrivals,
}

/// Sends to the other end.
#[derive(Clone)]
pub(super) enum Sender {
    /// By the peer manager, as actors do.
    Actors(Rc<dyn Fn(Message)>),
    /// By the writer's channel.
    Plain(mpsc::Sender<Message>),
}

impl Sender {
    /// Never waits: fewer messages are under way than there is room for.
    pub(super) fn send(&self, message: ConsensusMessage) {
        match self {
            Self::Actors(send) => send(message.into()),
            // A loss shows as a run that does not end in time.
            Self::Plain(sender) => drop(sender.try_send(message.into())),
        }
    }
}

/// Which of the two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BenchSide {
    /// Dials and drives.
    Near,
    /// Listens and answers.
    Far,
}

impl BenchSide {
    fn id(self) -> u64 {
        match self {
            Self::Near => 1,
            Self::Far => 2,
        }
    }

    fn key(self) -> SecretKey {
        SecretKey::development("node", self.id())
    }

    fn other(self) -> PublicKey {
        match self {
            Self::Near => Self::Far.key().public(),
            Self::Far => Self::Near.key().public(),
        }
    }
}

/// A listener on a free port of loopback.
pub(super) async fn listen() -> anyhow::Result<(Box<dyn Listener>, SocketAddr)> {
    let listener = TcpTransport.bind((Ipv4Addr::LOCALHOST, 0).into()).await.context("cannot listen on 127.0.0.1")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A node with a real peer manager and peer actors, and one other node.
pub(crate) struct BenchNode {
    /// Sends to the other node.
    pub(crate) send: Rc<dyn Fn(Message)>,
    /// Pings the other node outside the heartbeat; `None` when no answer came in time.
    pub(crate) ping: Rc<dyn Fn() -> LocalBoxFuture<'static, Option<Duration>>>,
    pub(crate) outlets: Outlets,
    pub(crate) view: watch::Receiver<Arc<PeersView>>,
}

/// A node on the calling thread; ready when the other node is up.
pub(crate) async fn node(
    side: BenchSide,
    listener: Option<Box<dyn Listener>>,
    dial: Option<SocketAddr>,
) -> anyhow::Result<BenchNode> {
    let (inboxes, outlets) = Inboxes::bounded();
    let (view, mut seen) = watch::channel(Arc::<PeersView>::default());
    let peer = |address: SocketAddr| ConfiguredPeer { address: address.to_string(), key: None, is_validator: true };
    let manager = PeerManager::new(PeerManagerParts {
        config: PeersConfig {
            configured: dial.into_iter().map(peer).collect(),
            discovers: false,
            ..PeersConfig::new(local_node(side))
        },
        node_key: side.key(),
        transport: Arc::new(TcpTransport),
        listener,
        inboxes,
        clock: Arc::new(SystemClock::start()),
        rng: rand::rngs::StdRng::seed_from_u64(side.id()),
        view,
        times: NodeTimes::default(),
        pulses: Pulses::default(),
    })?;
    let manager = Threads::inline().start(Component::PeerManager, |_| manager);
    let up = seen.wait_for(|view| !view.peers.is_empty());
    tokio::time::timeout(CONNECT_WITHIN, up).await.context("the nodes do not connect")??;
    let (to, pinging) = (side.other(), manager.clone());
    let ping = move || {
        let asked = pinging.send(Ping { peer: Some(to) });
        async move { asked.await.ok()?.first()?.rtt }.boxed_local()
    };
    let send = move |message| manager.do_send(SendTo { to, message, height: None });
    Ok(BenchNode { send: Rc::new(send), ping: Rc::new(ping), outlets, view: seen })
}

/// A node of peer actors, seen as an end.
pub(super) async fn actors(
    side: BenchSide,
    listener: Option<Box<dyn Listener>>,
    dial: Option<SocketAddr>,
) -> anyhow::Result<BenchEnd> {
    let BenchNode { send, outlets, .. } = node(side, listener, dial).await?;
    Ok(BenchEnd { sender: Sender::Actors(send), arrivals: outlets.consensus })
}

fn local_node(side: BenchSide) -> LocalNode {
    let instance = Uuid::from_u128(side.id().into());
    LocalNode {
        consensus_key: Some(SecretKey::development("consensus", side.id())),
        ..LocalNode::new(side.key().public(), ChainId(1), Hash::ZERO, "bench", instance)
    }
}

/// A node of plain tasks on the calling thread.
pub(super) async fn plain(
    side: BenchSide,
    listener: Option<Box<dyn Listener>>,
    dial: Option<SocketAddr>,
) -> anyhow::Result<BenchEnd> {
    let tls = Tls::new(&side.key())?;
    let secured = async {
        match (listener, dial) {
            (Some(mut listener), _) => Ok(tls.accept(listener.accept().await?.0).await?),
            (None, Some(address)) => {
                let (stream, _) = TcpTransport.connect(&address.to_string()).await?;
                anyhow::Ok(tls.dial(stream, Some(side.other())).await?)
            }
            (None, None) => anyhow::bail!("a node neither listens nor dials"),
        }
    };
    let Secured { stream, key, .. } = tokio::time::timeout(CONNECT_WITHIN, secured).await??;
    let (read, write) = tokio::io::split(stream);
    let (sender, outgoing) = mpsc::channel(WAITING_MAX);
    let (inbox, arrivals) = mpsc::channel(WAITING_MAX);
    tokio::task::spawn_local(write_all(write, outgoing));
    tokio::task::spawn_local(read_all(read, key, inbox));
    Ok(BenchEnd { sender: Sender::Plain(sender), arrivals })
}

/// Writes what waits, gathered, until the channel or the connection ends.
async fn write_all<S: AsyncWrite>(
    mut stream: WriteHalf<S>,
    mut outgoing: mpsc::Receiver<Message>,
) -> anyhow::Result<()> {
    let mut gathered = BytesMut::new();
    while let Some(message) = outgoing.recv().await {
        put(&message, &mut gathered)?;
        while gathered.len() < GATHERED_BYTES
            && let Ok(message) = outgoing.try_recv()
        {
            put(&message, &mut gathered)?;
        }
        stream.write_all(&gathered).await?;
        stream.flush().await?;
        gathered.clear();
    }
    Ok(())
}

fn put(message: &Message, gathered: &mut BytesMut) -> anyhow::Result<()> {
    let encoded = Encoded::new(message)?;
    match encoded.whole(GATHERED_BYTES) {
        Some(frame) => gathered.extend_from_slice(frame),
        None => {
            let mut next = Some(0);
            while let Some(offset) = next {
                next = encoded.put_chunk(offset, GATHERED_BYTES, gathered);
            }
        }
    }
    Ok(())
}

/// Hands on what arrives until the connection ends.
async fn read_all<S: AsyncRead>(stream: ReadHalf<S>, peer: PublicKey, inbox: mpsc::Sender<Inbound<ConsensusMessage>>) {
    let mut frames = FramedRead::new(stream, FrameCodec::new());
    while let Some(Ok(incoming)) = frames.next().await {
        if let Incoming::Message { message: Message::Consensus(message), .. } = incoming {
            // A loss shows as a run that does not end in time.
            let _ = inbox.try_send(Inbound::new(peer, message));
        }
    }
}
