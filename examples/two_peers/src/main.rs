//! The peer layer alone: two nodes find each other over TCP and TLS, keep the connection with pings, and send each other notes of a type
//! of their own. No chain, no consensus.
//!
//! `cargo run -p timed-example-two-peers`

use actix::Addr;
use borsh::{BorshDeserialize, BorshSerialize};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use timed_actors::messages::{Inbound, Inboxes, Outlets, Ping, SendTo};
use timed_actors::peer::HeartbeatLevel;
use timed_actors::peer_manager::{ConfiguredPeer, PeerManager, PeerManagerParts, PeersConfig, PeersView};
use timed_actors::transport::{TcpTransport, Transport as _};
use timed_actors::{Component, NodeTimes, SystemClock, Threads};
use timed_peer::LocalNode;
use timed_primitives::{ChainId, Hash, PublicKey, SecretKey, decode, encode};
use timed_wire::ApplicationMessage;
use tokio::sync::watch;
use uuid::Uuid;

/// A message type of our own. It travels as canonical bytes, up to 64 KiB.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
enum Note {
    /// Asks for an answer.
    Question { text: String },
    /// Answers it.
    Answer { text: String },
}

/// One node.
struct Node {
    key: PublicKey,
    address: SocketAddr,
    manager: Addr<PeerManager>,
    view: watch::Receiver<Arc<PeersView>>,
    outlets: Outlets,
}

impl Node {
    /// Listens on a free port and dials these addresses for ever.
    async fn start(id: u64, dials: &[SocketAddr]) -> Result<Self, Box<dyn Error>> {
        let node_key = SecretKey::development("node", id);
        let listener = TcpTransport.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let (key, address) = (node_key.public(), listener.local_addr()?);
        // Peers of another chain or genesis are refused.
        let instance = Uuid::from_u128(rand::random());
        let local = LocalNode::new(key, ChainId(1), Hash::ZERO, "two-peers/1", instance);
        let local = LocalNode { listen_port: address.port(), ..local };
        let peer =
            |dialled: &SocketAddr| ConfiguredPeer { address: dialled.to_string(), key: None, is_validator: false };
        let configured = dials.iter().map(peer).collect();
        let config = PeersConfig { configured, heartbeat_level: HeartbeatLevel::Info, ..PeersConfig::new(local) };
        let (inboxes, outlets) = Inboxes::bounded();
        let (sender, view) = watch::channel(Arc::default());
        let threads = Threads::inline();
        let manager = PeerManager::new(PeerManagerParts {
            config,
            node_key,
            transport: Arc::new(TcpTransport),
            listener: Some(listener),
            inboxes,
            clock: Arc::new(SystemClock::start()),
            rng: StdRng::from_seed(rand::random()),
            view: sender,
            times: NodeTimes::default(),
            pulses: threads.pulses().clone(),
        })?;
        let manager = threads.start(Component::PeerManager, move |_| manager);
        Ok(Self { key, address, manager, view, outlets })
    }

    fn send(&self, to: PublicKey, note: &Note) {
        self.manager.do_send(SendTo { to, message: ApplicationMessage(encode(note).into()).into(), height: None });
    }

    /// The next note, and who sent it, as the TLS handshake proved.
    async fn receive(&mut self) -> Result<(PublicKey, Note), Box<dyn Error>> {
        let Inbound { peer, message, .. } = self.outlets.application.recv().await.ok_or("the node has ended")?;
        Ok((peer, decode(&message.0)?))
    }
}

#[actix_rt::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut first = Node::start(1, &[]).await?;
    let mut second = Node::start(2, &[first.address]).await?;
    second.view.wait_for(|view| view.peers.iter().any(|peer| peer.key == first.key)).await?;
    second.send(first.key, &Note::Question { text: "who is there?".into() });
    let (from, note) = first.receive().await?;
    println!("{} asks: {note:?}", from.short());
    first.send(from, &Note::Answer { text: "the first".into() });
    println!("the answer: {:?}", second.receive().await?.1);
    for pinged in first.manager.send(Ping { peer: None }).await? {
        println!("a ping to {} took {:?}", pinged.peer.short(), pinged.rtt.ok_or("no pong came")?);
    }
    Ok(())
}
