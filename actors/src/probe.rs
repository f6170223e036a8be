//! Dials an address once, as somebody whom nobody knows, to see who answers there.
//!
//! A connection of its own, under a key that is thrown away: sessions with the same peer are not touched, and it cannot know who asks. It
//! takes the connection for one of those by which nodes test addresses that were announced to them.

use crate::tls::{Tls, TlsError};
use crate::transport::{BoxStream, Transport};
use bytes::BytesMut;
use std::io;
use std::time::Duration;
use timed_peer::handshake::FEELER;
use timed_peer::{Direction, EndReason, Handshake, HandshakeAction, LocalNode};
use timed_primitives::{ChainId, Hash, Instant, PublicKey, SecretKey};
use timed_wire::{ControlMessage, EncodeError, Encoded, FrameCodec, FrameError, Incoming, Message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::codec::{Decoder as _, Encoder as _};
use uuid::Uuid;

/// How long the whole of it may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Nobody of this chain answered.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The connection.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The secure channel.
    #[error("{0}")]
    Channel(#[from] TlsError),
    /// What came is no frame.
    #[error("{0}")]
    Decode(#[from] FrameError),
    /// What we would say is too large, which it never is.
    #[error("{0}")]
    Encode(#[from] EncodeError),
    /// It is no node of this chain, or has no room.
    #[error("its handshake was refused, or it refused ours")]
    Refused,
    /// Too slow.
    #[error("no answer within {} s", PROBE_TIMEOUT.as_secs())]
    Timeout,
}

/// Who is asked, and for what chain.
#[derive(Clone, Copy, Debug)]
pub struct ProbeTarget<'a> {
    /// `host:port`.
    pub address: &'a str,
    /// The chain it must be of.
    pub chain_id: ChainId,
    /// Its genesis.
    pub genesis: Hash,
}

/// Connects, shakes hands, says goodbye. Answer: the consensus key that the node there proved to have, if it has one.
///
/// # Errors
/// [`ProbeError`] says why nobody was reached.
pub async fn probe(
    transport: &dyn Transport,
    key: &SecretKey,
    target: ProbeTarget<'_>,
) -> Result<Option<PublicKey>, ProbeError> {
    tokio::time::timeout(PROBE_TIMEOUT, shake_hands(transport, key, target)).await.unwrap_or(Err(ProbeError::Timeout))
}

async fn shake_hands(
    transport: &dyn Transport,
    key: &SecretKey,
    target: ProbeTarget<'_>,
) -> Result<Option<PublicKey>, ProbeError> {
    let (stream, _) = transport.connect(target.address).await?;
    let mut secured = Tls::new(key)?.dial(stream, None).await?;
    let instance = Uuid::from_bytes(key.public().0.first_chunk().copied().unwrap_or_default());
    let local = LocalNode {
        capabilities: FEELER,
        ..LocalNode::new(key.public(), target.chain_id, target.genesis, "timed probe", instance)
    };
    let (mut handshake, hello) =
        Handshake::begin(Instant::START, local, secured.key, Direction::Outbound, secured.exporter);
    send(&mut secured.stream, &ControlMessage::Hello(Box::new(hello)).into()).await?;
    let (mut codec, mut buffer) = (FrameCodec::new(), BytesMut::new());
    loop {
        while let Some(incoming) = codec.decode(&mut buffer)? {
            let Incoming::Message { message, .. } = incoming else { continue };
            return match handshake.on_message(&message) {
                HandshakeAction::Up(info) => {
                    // Whether it hears that changes nothing.
                    let code = EndReason::Tested.code();
                    let _ = send(&mut secured.stream, &ControlMessage::Goodbye { code }.into()).await;
                    Ok(info.validator)
                }
                _ => Err(ProbeError::Refused),
            };
        }
        if secured.stream.read_buf(&mut buffer).await? == 0 {
            return Err(ProbeError::Refused);
        }
    }
}

async fn send(stream: &mut BoxStream, message: &Message) -> Result<(), ProbeError> {
    let mut bytes = BytesMut::new();
    FrameCodec::new().encode(&Encoded::new(message)?, &mut bytes)?;
    stream.write_all(&bytes).await?;
    Ok(stream.flush().await?)
}
