//! Frames: how messages become bytes on a connection, and how bytes become messages again.
//!
//! ```text
//! frame  = length of body (4 bytes, big endian) | kind (1 byte) | body
//! chunk  = a frame of kind 0x0f, body [lane, kind, remaining, bytes]
//! ```
//!
//! No frame is longer than [`FRAME_BODY_MAX`], so control frames never wait long behind another frame; what is larger travels as
//! chunks, between which frames of other lanes pass. In each lane one large message is on its way at a time. `remaining` counts
//! the bytes of the message from this chunk on, so the first chunk announces the size and each further one must agree.
//!
//! # Security
//! A length is checked against its kind's bound before a byte of the body is kept, and memory grows only as bytes arrive: a sender
//! holds at most one frame and, per lane, one message of its kind's bound. Chunks but the last carry at least [`CHUNK_BYTES_MIN`],
//! so a life event always stands for progress.

use crate::body::{self, BodyError};
use crate::message::{Kind, Lane, Message};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io;
use tokio_util::codec::{Decoder, Encoder};

/// Bytes ahead of a body: length and kind.
pub const HEADER_BYTES: usize = 5;
/// Largest payload of one chunk. Unit: bytes.
pub const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Smallest payload of a chunk that is not the last of its message. Unit: bytes.
pub const CHUNK_BYTES_MIN: usize = 4 * 1024;
/// Bytes of a chunk's body beside its payload, as written here: array 1, lane 1, kind 1, remaining 5, length 5.
const CHUNK_HEAD_BYTES: usize = 13;
/// Largest body of any one frame. Unit: bytes.
pub const FRAME_BODY_MAX: usize = CHUNK_BYTES_MAX + 16;
/// Room in a frame to be written before its size is known. Unit: bytes.
const SMALL_FRAME_BYTES: usize = 256;
/// Largest message of a kind this version does not know; more is refused. Unit: bytes.
pub const UNKNOWN_BYTES_MAX: usize = 64 * 1024;

// The largest chunk must pass the bound of its kind and the bound of all frames.
const _: () = assert!(CHUNK_BYTES_MAX + CHUNK_HEAD_BYTES <= FRAME_BODY_MAX && FRAME_BODY_MAX <= Kind::Chunk.body_max());

/// A message that cannot be written. Our own fault, never a peer's.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Larger than receivers accept: they would close the connection.
    #[error("a {} of {bytes} bytes: receivers accept at most {max}", .kind.name())]
    Oversized {
        /// Which message.
        kind: Kind,
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The serializer refused.
    #[error("a {} that cannot be written: {source}", .kind.name())]
    Body {
        /// Which message.
        kind: Kind,
        /// Why.
        source: rmp_serde::encode::Error,
    },
}

/// A message encoded once, to be sent to any number of peers. Clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    kind: Kind,
    /// The whole frame, header first, also when the message is too large for one frame.
    frame: Bytes,
}

impl Encoded {
    /// Encodes a message.
    ///
    /// # Errors
    /// [`EncodeError::Oversized`] when no receiver would accept it.
    pub fn new(message: &Message) -> Result<Self, EncodeError> {
        let kind = message.kind();
        // Votes, the most frequent messages, fit without growing.
        let mut frame = Vec::with_capacity(SMALL_FRAME_BYTES);
        frame.extend([0, 0, 0, 0, kind.number()]);
        body::write(message, &mut frame).map_err(|source| EncodeError::Body { kind, source })?;
        let bytes = frame.len() - HEADER_BYTES;
        let max = kind.body_max();
        let length = u32::try_from(bytes).ok().filter(|_| bytes <= max);
        let length = length.ok_or(EncodeError::Oversized { kind, bytes, max })?;
        (&mut frame[..]).put_u32(length);
        Ok(Self { kind, frame: frame.into() })
    }

    /// Which message it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The lane it waits in.
    pub const fn lane(&self) -> Lane {
        self.kind.lane()
    }

    /// Size of the frame: what it costs in a queue.
    #[allow(clippy::len_without_is_empty, reason = "a frame always has a header")]
    pub fn len(&self) -> usize {
        self.frame.len()
    }

    /// The frame, when the message fits in one of at most `chunk_bytes` of body; else it must go in chunks.
    pub fn whole(&self, chunk_bytes: usize) -> Option<&Bytes> {
        let body_bytes = self.frame.len() - HEADER_BYTES;
        (body_bytes <= chunk_bytes.min(CHUNK_BYTES_MAX)).then_some(&self.frame)
    }

    /// Appends the chunk that starts at byte `offset` of the body and carries up to `chunk_bytes`, and returns the offset of the
    /// next one; `None` after the last. The sizes are kept within the bounds that receivers demand.
    pub fn put_chunk(&self, offset: usize, chunk_bytes: usize, out: &mut BytesMut) -> Option<usize> {
        let rest = self.frame.get(HEADER_BYTES + offset..).filter(|rest| !rest.is_empty())?;
        let size = chunk_bytes.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX).min(rest.len());
        let (payload, later) = rest.split_at(size);
        let fits = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        // MessagePack by hand, so that the payload is copied once: array of four, two small integers, u32, bytes with u32 length.
        out.put_u32(fits(CHUNK_HEAD_BYTES + payload.len()));
        out.put_u8(Kind::Chunk.number());
        out.put_slice(&[0x94, self.lane().number(), self.kind.number(), 0xce]);
        out.put_u32(fits(rest.len()));
        out.put_u8(0xc6);
        out.put_u32(fits(payload.len()));
        out.put_slice(payload);
        (!later.is_empty()).then_some(offset + size)
    }
}

/// Bytes that are no frame of ours.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A length above the kind's bound. Nothing was allocated for it.
    #[error("a frame of kind {kind:#04x} announces {bytes} bytes, at most {max} are allowed")]
    Oversized {
        /// The kind's number.
        kind: u8,
        /// What was announced.
        bytes: u64,
        /// The bound.
        max: usize,
    },
    /// A frame or a joined message whose body is not what its kind says.
    #[error("the body of a {} cannot be read: {source}", .kind.name())]
    Body {
        /// Which message.
        kind: Kind,
        /// Why.
        source: BodyError,
    },
    /// A chunk that belongs to no lane or in the wrong one.
    #[error("a chunk of kind {kind:#04x} in lane {lane}")]
    ChunkLane {
        /// The message's kind.
        kind: u8,
        /// The lane it names.
        lane: u8,
    },
    /// A chunk too small to be progress, or larger than what remains.
    #[error("a chunk of {bytes} bytes where {remaining} remain")]
    ChunkSize {
        /// Its payload.
        bytes: usize,
        /// What remains of its message, itself included.
        remaining: u32,
    },
    /// A chunk that does not continue the message of its lane.
    #[error("a chunk of kind {kind:#04x} with {remaining} bytes to come, expected {expected}")]
    ChunkOrder {
        /// The message's kind.
        kind: u8,
        /// What it says remains.
        remaining: u32,
        /// What remains by the chunks before.
        expected: u32,
    },
    /// The connection ended inside a frame.
    #[error("the connection ended inside a frame, {bytes} bytes after its start")]
    Truncated {
        /// How much of it had come.
        bytes: usize,
    },
}

/// What a completed frame stands for. Each is a sign of life.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// A whole message.
    Message {
        /// The message.
        message: Message,
        /// What it took on the wire, chunks' headers included.
        bytes: usize,
    },
    /// A part of a large message.
    Progress {
        /// Of which kind.
        kind: u8,
        /// Size of the frame.
        bytes: usize,
    },
    /// A message of a kind this version does not know. It was skipped.
    Unknown {
        /// Its number.
        kind: u8,
        /// What it took on the wire.
        bytes: usize,
    },
}

/// A large message on its way.
#[derive(Debug)]
struct PartialMessage {
    kind: u8,
    /// Bytes still to come.
    expected: u32,
    /// What has come; stays empty for unknown kinds.
    joined: Vec<u8>,
    /// Bytes on the wire so far, headers included.
    wire_bytes: usize,
}

/// Reads frames from a stream and joins chunks. One per connection and direction.
#[derive(Debug, Default)]
pub struct FrameCodec {
    partial: [Option<PartialMessage>; Lane::ALL.len()],
}

/// The body of a chunk.
type ChunkFields<'a> = (u8, u8, u32, &'a serde_bytes::Bytes);

impl FrameCodec {
    /// A codec at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of unfinished messages held.
    pub fn held_bytes(&self) -> usize {
        self.partial.iter().flatten().map(|p| p.joined.len()).sum()
    }

    fn on_frame(&mut self, number: u8, body: &[u8]) -> Result<Incoming, FrameError> {
        let bytes = HEADER_BYTES + body.len();
        match Kind::from_number(number) {
            None => Ok(Incoming::Unknown { kind: number, bytes }),
            Some(Kind::Chunk) => self.on_chunk(body),
            Some(kind) => decode_body(kind, body, bytes),
        }
    }

    fn on_chunk(&mut self, body: &[u8]) -> Result<Incoming, FrameError> {
        let frame_bytes = HEADER_BYTES + body.len();
        let (lane, number, remaining, payload): ChunkFields<'_> =
            body::get(body).map_err(|source| FrameError::Body { kind: Kind::Chunk, source })?;
        let kind = Kind::from_number(number);
        let slot = Lane::from_number(lane)
            .filter(|lane| kind.is_none_or(|k| k != Kind::Chunk && k.lane() == *lane))
            .and_then(|_| self.partial.get_mut(usize::from(lane)))
            .ok_or(FrameError::ChunkLane { kind: number, lane })?;
        let size = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        if size == 0 || size > remaining || (size < remaining && payload.len() < CHUNK_BYTES_MIN) {
            return Err(FrameError::ChunkSize { bytes: payload.len(), remaining });
        }
        let mut partial = match slot.take() {
            Some(partial) if partial.kind != number || partial.expected != remaining => {
                return Err(FrameError::ChunkOrder { kind: number, remaining, expected: partial.expected });
            }
            Some(partial) => partial,
            None => {
                check_bound(number, u64::from(remaining), kind.map_or(UNKNOWN_BYTES_MAX, Kind::body_max))?;
                PartialMessage { kind: number, expected: remaining, joined: Vec::new(), wire_bytes: 0 }
            }
        };
        if kind.is_some() {
            partial.joined.extend_from_slice(payload);
        }
        partial.wire_bytes += frame_bytes;
        partial.expected = remaining - size;
        if partial.expected > 0 {
            *slot = Some(partial);
            return Ok(Incoming::Progress { kind: number, bytes: frame_bytes });
        }
        match kind {
            Some(kind) => decode_body(kind, &partial.joined, partial.wire_bytes),
            None => Ok(Incoming::Unknown { kind: number, bytes: partial.wire_bytes }),
        }
    }
}

fn decode_body(kind: Kind, body: &[u8], bytes: usize) -> Result<Incoming, FrameError> {
    match body::read(kind, body) {
        Ok(Some(message)) => Ok(Incoming::Message { message, bytes }),
        Ok(None) => Err(FrameError::ChunkLane { kind: kind.number(), lane: kind.lane().number() }),
        Err(source) => Err(FrameError::Body { kind, source }),
    }
}

fn check_bound(kind: u8, bytes: u64, max: usize) -> Result<(), FrameError> {
    if usize::try_from(bytes).is_ok_and(|n| n <= max) {
        Ok(())
    } else {
        Err(FrameError::Oversized { kind, bytes, max })
    }
}

impl Decoder for FrameCodec {
    type Item = Incoming;
    type Error = FrameError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Incoming>, FrameError> {
        let mut header = &source[..];
        if header.remaining() < HEADER_BYTES {
            return Ok(None);
        }
        let length = header.get_u32();
        let number = header.get_u8();
        let max = Kind::from_number(number).map_or(UNKNOWN_BYTES_MAX, |k| k.body_max().min(FRAME_BODY_MAX));
        check_bound(number, u64::from(length), max)?;
        let total = HEADER_BYTES + usize::try_from(length).unwrap_or(max);
        if source.len() < total {
            return Ok(None);
        }
        let frame = source.split_to(total);
        let incoming = self.on_frame(number, frame.get(HEADER_BYTES..).unwrap_or_default())?;
        Ok(Some(incoming))
    }

    fn decode_eof(&mut self, source: &mut BytesMut) -> Result<Option<Incoming>, FrameError> {
        match self.decode(source)? {
            Some(incoming) => Ok(Some(incoming)),
            None if source.is_empty() => Ok(None),
            None => Err(FrameError::Truncated { bytes: source.len() }),
        }
    }
}

impl Encoder<&Encoded> for FrameCodec {
    type Error = FrameError;

    /// Writes the whole message, in chunks of the largest size when it needs them. Nothing passes between those chunks: a writer
    /// with lanes uses [`Encoded::put_chunk`] instead.
    fn encode(&mut self, message: &Encoded, out: &mut BytesMut) -> Result<(), FrameError> {
        if let Some(frame) = message.whole(CHUNK_BYTES_MAX) {
            out.put_slice(frame);
            return Ok(());
        }
        let mut next = Some(0);
        while let Some(offset) = next {
            next = message.put_chunk(offset, CHUNK_BYTES_MAX, out);
        }
        Ok(())
    }
}
