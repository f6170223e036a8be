//! Bodies of frames: each is a MessagePack array of the message's fields, by position.
//!
//! Lists are counted while they are read, so that a body of its kind's size cannot ask for many times its size in memory.

use crate::message::{
    ApplicationMessage, BlockSyncMessage, ConsensusMessage, ControlMessage, Kind, MempoolMessage, Message, Opaque,
    VoteSetBits, WireBlockPart,
};
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_bytes::ByteArray;
use std::fmt;
use std::io::ErrorKind;
use std::marker::PhantomData;

/// Most ids in one announcement or request.
pub const IDS_MAX: usize = 1024;
/// Most address records in one answer.
pub const RECORDS_MAX: usize = 100;
/// Most bytes of one address record.
pub const RECORD_BYTES_MAX: usize = 256;
/// Most transactions in one answer: none is smaller than 64 bytes.
pub const TRANSACTIONS_MAX: usize = 16 * 1024;
/// Most transactions of a block that are asked for by their positions: who lacks more asks for the block.
pub const POSITIONS_MAX: usize = 4 * 1024;
/// Deepest nesting of any body: array, list or structure, element.
const DEPTH_MAX: usize = 8;

/// What is wrong with a body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Not the array of fields that the kind has.
    #[error("fields do not match: {0}")]
    Fields(#[from] rmp_serde::decode::Error),
    /// Something follows the last field.
    #[error("bytes follow the last field")]
    Trailing,
    /// A record is larger than any can be.
    #[error("an address record of {bytes} bytes, at most {RECORD_BYTES_MAX} are allowed")]
    Record {
        /// Its size.
        bytes: usize,
    },
}

/// Writes a message's fields behind what `out` holds.
pub(crate) fn write(message: &Message, out: &mut Vec<u8>) -> Result<(), rmp_serde::encode::Error> {
    match message {
        Message::Control(m) => match m {
            ControlMessage::Hello(hello) => put(out, hello),
            ControlMessage::Ping { nonce } => put(out, &(nonce,)),
            ControlMessage::Pong { nonce, time_ms } => put(out, &(nonce, time_ms)),
            ControlMessage::Goodbye { code } => put(out, &(code,)),
            ControlMessage::GetAddr => put::<[u8; 0]>(out, &[]),
            ControlMessage::Addr { records } => put(out, &(records,)),
        },
        Message::Consensus(m) => match m {
            ConsensusMessage::Vote(bytes)
            | ConsensusMessage::Proposal(bytes)
            | ConsensusMessage::Polka(bytes)
            | ConsensusMessage::RoundCertificate(bytes)
            | ConsensusMessage::Block(bytes)
            | ConsensusMessage::CompactBlock(bytes) => put(out, &(bytes,)),
            ConsensusMessage::VoteSetBits(bits) => put(out, bits),
            ConsensusMessage::GetBlock { height, id } => put(out, &(height, ByteArray::new(*id))),
            ConsensusMessage::KeyReport(report) => put(out, report),
            ConsensusMessage::GetBlockTransactions(WireBlockPart { height, id, positions }) => {
                put(out, &(height, ByteArray::new(*id), positions))
            }
            ConsensusMessage::BlockTransactions { id, transactions } => put(out, &(ByteArray::new(*id), transactions)),
        },
        Message::Mempool(m) => match m {
            MempoolMessage::Announce { ids } | MempoolMessage::Request { ids } => {
                let ids: Vec<_> = ids.iter().map(|id| ByteArray::new(*id)).collect();
                put(out, &(ids,))
            }
            MempoolMessage::Transactions { transactions } => put(out, &(transactions,)),
        },
        Message::BlockSync(m) => match m {
            BlockSyncMessage::Status { height, earliest } => put(out, &(height, earliest)),
            BlockSyncMessage::GetBlocks { request, from, count } => put(out, &(request, from, count)),
            BlockSyncMessage::Decided { request, height, certificate, block } => {
                put(out, &(request, height, certificate, block))
            }
            BlockSyncMessage::End { request, sent } => put(out, &(request, sent)),
        },
        Message::Application(ApplicationMessage(bytes)) => put(out, &(bytes,)),
    }
}

/// Reads a message of one kind; `None` for chunks, which are no message.
pub(crate) fn read(kind: Kind, body: &[u8]) -> Result<Option<Message>, BodyError> {
    Ok(Some(match kind {
        Kind::Chunk => return Ok(None),
        Kind::Hello => ControlMessage::Hello(get(body)?).into(),
        Kind::Ping => ControlMessage::Ping { nonce: one(body)? }.into(),
        Kind::Pong => {
            let (nonce, time_ms) = get(body)?;
            ControlMessage::Pong { nonce, time_ms }.into()
        }
        Kind::Goodbye => ControlMessage::Goodbye { code: one(body)? }.into(),
        Kind::GetAddr => {
            let _: [u8; 0] = get(body)?;
            ControlMessage::GetAddr.into()
        }
        Kind::Addr => {
            let records: AtMost<Opaque, RECORDS_MAX> = one(body)?;
            match records.0.iter().find(|r| r.len() > RECORD_BYTES_MAX) {
                Some(record) => return Err(BodyError::Record { bytes: record.len() }),
                None => ControlMessage::Addr { records: records.0 }.into(),
            }
        }
        Kind::Vote => ConsensusMessage::Vote(one(body)?).into(),
        Kind::Proposal => ConsensusMessage::Proposal(one(body)?).into(),
        Kind::Polka => ConsensusMessage::Polka(one(body)?).into(),
        Kind::RoundCertificate => ConsensusMessage::RoundCertificate(one(body)?).into(),
        Kind::VoteSetBits => ConsensusMessage::VoteSetBits(get::<VoteSetBits>(body)?).into(),
        Kind::Block => ConsensusMessage::Block(one(body)?).into(),
        Kind::GetBlock => {
            let (height, id): (u64, ByteArray<32>) = get(body)?;
            ConsensusMessage::GetBlock { height, id: id.into_array() }.into()
        }
        Kind::KeyReport => ConsensusMessage::KeyReport(get(body)?).into(),
        Kind::CompactBlock => ConsensusMessage::CompactBlock(one(body)?).into(),
        Kind::GetBlockTransactions => {
            let (height, id, positions): (u64, ByteArray<32>, AtMost<u32, POSITIONS_MAX>) = get(body)?;
            let part = WireBlockPart { height, id: id.into_array(), positions: positions.0 };
            ConsensusMessage::GetBlockTransactions(part).into()
        }
        Kind::BlockTransactions => {
            let (id, transactions): (ByteArray<32>, AtMost<Opaque, POSITIONS_MAX>) = get(body)?;
            ConsensusMessage::BlockTransactions { id: id.into_array(), transactions: transactions.0 }.into()
        }
        Kind::Announce => MempoolMessage::Announce { ids: ids(body)? }.into(),
        Kind::Request => MempoolMessage::Request { ids: ids(body)? }.into(),
        Kind::Transactions => {
            let transactions: AtMost<Opaque, TRANSACTIONS_MAX> = one(body)?;
            MempoolMessage::Transactions { transactions: transactions.0 }.into()
        }
        Kind::Status => {
            let (height, earliest) = get(body)?;
            BlockSyncMessage::Status { height, earliest }.into()
        }
        Kind::GetBlocks => {
            let (request, from, count) = get(body)?;
            BlockSyncMessage::GetBlocks { request, from, count }.into()
        }
        Kind::Decided => {
            let (request, height, certificate, block) = get(body)?;
            BlockSyncMessage::Decided { request, height, certificate, block }.into()
        }
        Kind::End => {
            let (request, sent) = get(body)?;
            BlockSyncMessage::End { request, sent }.into()
        }
        Kind::Application => ApplicationMessage(one(body)?).into(),
    }))
}

pub(crate) fn put<T: Serialize>(out: &mut Vec<u8>, fields: &T) -> Result<(), rmp_serde::encode::Error> {
    rmp_serde::encode::write(out, fields)
}

pub(crate) fn get<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, BodyError> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(body);
    reader.set_max_depth(DEPTH_MAX);
    let fields = T::deserialize(&mut reader)?;
    match IgnoredAny::deserialize(&mut reader) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(e)) if e.kind() == ErrorKind::UnexpectedEof => Ok(fields),
        _ => Err(BodyError::Trailing),
    }
}

fn one<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    get::<(T,)>(body).map(|(field,)| field)
}

fn ids(body: &[u8]) -> Result<Vec<[u8; 32]>, BodyError> {
    let ids: AtMost<ByteArray<32>, IDS_MAX> = one(body)?;
    Ok(ids.0.into_iter().map(ByteArray::into_array).collect())
}

/// A list that refuses to grow past `MAX` elements while it is read.
struct AtMost<T, const MAX: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for AtMost<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counted<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Counted<T, MAX> {
            type Value = AtMost<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX} elements")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = seq.next_element()? {
                    if list.len() == MAX {
                        return Err(A::Error::invalid_length(MAX + 1, &self));
                    }
                    list.push(element);
                }
                Ok(AtMost(list))
            }
        }

        deserializer.deserialize_seq(Counted(PhantomData))
    }
}
