//! An unknown peer: a host of the world without a node, or another process on the host of one, that says what it likes: bytes that are no
//! handshake, a handshake of another chain, frames cut anywhere, and what a node would never say.
//!
//! It secures its connections with the real node's TLS, handshake and codec, under a node key of its own.

use crate::setting::{PORT, WorldSetting};
use bytes::BytesMut;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use timed_actors::tls::{Secured, Tls, TlsError};
use timed_actors::transport::{BoxStream, Listener, Transport as _};
use timed_peer::{Direction, EndReason, Handshake, HandshakeAction, LocalNode};
use timed_primitives::{Instant, PublicKey, SecretKey};
use timed_wire::{ControlMessage, EncodeError, Encoded, FrameCodec, FrameError, Incoming, Kind, Message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::codec::{Decoder as _, Encoder as _};
use uuid::Uuid;

/// An unknown peer could not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum UnknownPeerError {
    /// The connection.
    #[error("an unknown peer's connection failed: {0}")]
    Connection(#[from] io::Error),
    /// The secure channel.
    #[error("an unknown peer's channel failed: {0}")]
    Channel(#[from] TlsError),
    /// Its own message is too large.
    #[error("an unknown peer's message cannot be sent: {0}")]
    Encode(#[from] EncodeError),
    /// What the node says is no frame.
    #[error("an unknown peer cannot read what a node says: {0}")]
    Decode(#[from] FrameError),
    /// The node closed first.
    #[error("the node closed before a {} came: {reason:?}", .awaited.name())]
    Closed {
        /// What was waited for.
        awaited: Kind,
        /// The reason in its goodbye.
        reason: Option<EndReason>,
    },
    /// The node's handshake was refused.
    #[error("an unknown peer refuses the node's handshake")]
    Handshake,
}

/// Somebody without a node.
pub struct UnknownPeer {
    setting: Rc<WorldSetting>,
    ip: IpAddr,
    key: SecretKey,
    /// What its handshake says. It begins as a node of this chain that does not vote and accepts no connections.
    pub hello: LocalNode,
}

impl UnknownPeer {
    pub(crate) fn new(setting: Rc<WorldSetting>, host: u64, key: SecretKey) -> Self {
        let public = key.public();
        let hello = LocalNode {
            key: public,
            consensus_key: None,
            chain_id: setting.genesis.chain_id,
            genesis: setting.genesis.hash,
            agent: "stranger".into(),
            instance: Uuid::from_bytes(public.0.first_chunk().copied().unwrap_or_default()),
            listen_port: 0,
            external: None,
            height: 0,
            capabilities: 0,
            ping_interval: Duration::from_secs(5),
        };
        Self { ip: setting.ip(host), setting, key, hello }
    }

    /// Its node key.
    pub fn key(&self) -> PublicKey {
        self.key.public()
    }

    /// Its next connections are those of another process with the same key.
    pub fn restart(&mut self) {
        self.hello.instance = Uuid::from_u128(self.hello.instance.as_u128().wrapping_add(1));
    }

    /// Connects to a node and does nothing.
    ///
    /// # Errors
    /// When the node does not accept.
    pub async fn connect(&self, node: u64) -> Result<BoxStream, UnknownPeerError> {
        let target = SocketAddr::new(self.setting.ip(node), PORT);
        self.setting.trace.world(format_args!("an unknown peer at {} dials node {node}", self.ip));
        Ok(self.setting.links.host(self.ip).connect(&target.to_string()).await?.0)
    }

    /// Connects to a node, secures the connection, and says nothing.
    ///
    /// # Errors
    /// When the node does not accept, or refuses the key.
    pub async fn dial(&self, node: u64) -> Result<Channel, UnknownPeerError> {
        let stream = self.connect(node).await?;
        let secured = Tls::new(&self.key)?.dial(stream, None).await?;
        Ok(Channel::new(secured, Direction::Outbound))
    }

    /// Connects to a node, secures the connection and completes the handshake. The node may think better of it afterwards.
    ///
    /// # Errors
    /// When the node does not accept.
    pub async fn shake_hands(&self, node: u64) -> Result<Channel, UnknownPeerError> {
        let mut channel = self.dial(node).await?;
        channel.shake_hands(&self.hello).await?;
        Ok(channel)
    }

    /// Sends a node its `Hello`, and gives the reason with which it closes; `None` when it keeps the connection for a second.
    ///
    /// # Errors
    /// When the node does not accept at all.
    pub async fn knock(&self, node: u64) -> Result<Option<EndReason>, UnknownPeerError> {
        let mut channel = self.dial(node).await?;
        channel.say_hello(&self.hello).await?;
        channel.behave(Duration::from_secs(1)).await
    }

    /// Accepts connections from now on, where a node would.
    ///
    /// # Errors
    /// When somebody else listens there.
    pub async fn listen(&self) -> Result<Box<dyn Listener>, UnknownPeerError> {
        Ok(self.setting.links.host(self.ip).bind(SocketAddr::new(self.ip, PORT)).await?)
    }

    /// Takes the next connection and secures it.
    ///
    /// # Errors
    /// When the dialler breaks off.
    pub async fn accept(&self, listener: &mut dyn Listener) -> Result<Channel, UnknownPeerError> {
        let (stream, _) = listener.accept().await?;
        let secured = Tls::new(&self.key)?.accept(stream).await?;
        Ok(Channel::new(secured, Direction::Inbound))
    }
}

/// An unknown peer's end of a secured connection.
pub struct Channel {
    stream: BoxStream,
    theirs: PublicKey,
    exporter: [u8; 32],
    direction: Direction,
    codec: FrameCodec,
    /// What came and was not read as a frame yet. Bound: one frame and one read.
    buffer: BytesMut,
}

impl Channel {
    fn new(secured: Secured, direction: Direction) -> Self {
        let Secured { stream, key: theirs, exporter } = secured;
        Self { stream, theirs, exporter, direction, codec: FrameCodec::new(), buffer: BytesMut::new() }
    }

    /// Sends the `Hello` of `me`.
    ///
    /// # Errors
    /// When the node has closed.
    pub async fn say_hello(&mut self, me: &LocalNode) -> Result<Handshake, UnknownPeerError> {
        let (handshake, hello) =
            Handshake::begin(Instant::START, me.clone(), self.theirs, self.direction, self.exporter);
        self.send(ControlMessage::Hello(Box::new(hello))).await?;
        Ok(handshake)
    }

    /// Completes the handshake as `me`. The node may think better of it afterwards.
    ///
    /// # Errors
    /// [`UnknownPeerError::Closed`] when the node closes before, [`UnknownPeerError::Handshake`] when it is of another chain.
    pub async fn shake_hands(&mut self, me: &LocalNode) -> Result<(), UnknownPeerError> {
        let mut handshake = self.say_hello(me).await?;
        let theirs = self.expect(Kind::Hello).await?;
        match handshake.on_message(&theirs) {
            HandshakeAction::Up(_) => Ok(()),
            _ => Err(UnknownPeerError::Handshake),
        }
    }

    /// Says something, in chunks when it is large.
    ///
    /// # Errors
    /// When it cannot be encoded or the node has closed.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), UnknownPeerError> {
        let bytes = frames(&message.into())?;
        self.send_bytes(&bytes).await
    }

    /// Writes bytes, whatever they are.
    ///
    /// # Errors
    /// When the node has closed.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), UnknownPeerError> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// What comes next; `None` when the node has closed.
    ///
    /// # Errors
    /// When it is no frame.
    pub async fn next(&mut self) -> Result<Option<Incoming>, UnknownPeerError> {
        loop {
            if let Some(incoming) = self.codec.decode(&mut self.buffer)? {
                return Ok(Some(incoming));
            }
            // A reset is an end as well.
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return Ok(None);
            }
        }
    }

    /// The next message of a kind; others are passed over.
    ///
    /// # Errors
    /// [`UnknownPeerError::Closed`] when the node closes before.
    pub async fn expect(&mut self, kind: Kind) -> Result<Message, UnknownPeerError> {
        let mut reason = None;
        while let Some(incoming) = self.next().await? {
            if let Incoming::Message { message, .. } = incoming {
                if message.kind() == kind {
                    return Ok(message);
                }
                reason = reason.or(goodbye(&message));
            }
        }
        Err(UnknownPeerError::Closed { awaited: kind, reason })
    }

    /// Reads until the node closes, and gives the reason of its goodbye. Answers nothing.
    ///
    /// # Errors
    /// When something is no frame.
    pub async fn listen_to_the_end(&mut self) -> Result<Option<EndReason>, UnknownPeerError> {
        let mut reason = None;
        while let Some(incoming) = self.next().await? {
            if let Incoming::Message { message, .. } = incoming {
                reason = reason.or(goodbye(&message));
            }
        }
        Ok(reason)
    }

    /// Takes everything in and answers pings, until the node closes or the time is over. Gives the reason of its goodbye.
    ///
    /// # Errors
    /// When something is no frame.
    pub async fn behave(&mut self, time: Duration) -> Result<Option<EndReason>, UnknownPeerError> {
        tokio::time::timeout(time, self.behave_on()).await.unwrap_or(Ok(None))
    }

    async fn behave_on(&mut self) -> Result<Option<EndReason>, UnknownPeerError> {
        let mut reason = None;
        while let Some(message) = self.next_but_pings().await? {
            reason = reason.or(goodbye(&message));
        }
        Ok(reason)
    }

    /// The next message that is no ping; pings are answered. `None` when the node has closed.
    ///
    /// # Errors
    /// When something is no frame, or an answer does not get through.
    pub async fn next_but_pings(&mut self) -> Result<Option<Message>, UnknownPeerError> {
        while let Some(incoming) = self.next().await? {
            match incoming {
                Incoming::Message { message: Message::Control(ControlMessage::Ping { nonce }), .. } => {
                    self.send(ControlMessage::Pong { nonce, time_ms: 0 }).await?;
                }
                Incoming::Message { message, .. } => return Ok(Some(message)),
                Incoming::Progress { .. } | Incoming::Unknown { .. } => {}
            }
        }
        Ok(None)
    }
}

fn goodbye(message: &Message) -> Option<EndReason> {
    match message {
        Message::Control(ControlMessage::Goodbye { code }) => Some(EndReason::from_code(*code)),
        _ => None,
    }
}

/// A message as it travels: one frame, or chunks.
pub(crate) fn frames(message: &Message) -> Result<BytesMut, UnknownPeerError> {
    let mut bytes = BytesMut::new();
    FrameCodec::new().encode(&Encoded::new(message)?, &mut bytes)?;
    Ok(bytes)
}
