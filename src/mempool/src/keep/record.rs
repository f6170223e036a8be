//! One record of the file: a transaction that waits, or one that was lost.

use crate::losses::Loss;
use borsh::BorshDeserialize;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use timed_chain::PoolTransaction;
use timed_primitives::{DecodeError, UnixTime, decode, encode};

pub(super) const RECORD_MAGIC: &[u8; 4] = b"POLR";
pub(super) const RECORD_HEADER_BYTES: usize = 12;
/// Longest payload; transactions are far shorter. Unit: bytes.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// A transaction that waits, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptTransaction {
    /// The transaction.
    pub transaction: Arc<PoolTransaction>,
    /// When it entered the pool.
    pub arrived: UnixTime,
    /// Whether it was acknowledged to a client.
    pub is_ours: bool,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptRecord {
    /// A transaction waits.
    Waiting(KeptTransaction),
    /// A transaction is lost.
    Lost(Loss),
}

/// Reads a transaction of the application from its canonical bytes: [`PoolTransaction::parse`] of its type, or the chain's rules.
pub type ParseTransaction<'a> = &'a dyn Fn(Bytes) -> Result<PoolTransaction, DecodeError>;

impl KeptRecord {
    fn payload(&self) -> Vec<u8> {
        match self {
            Self::Waiting(kept) => {
                let mut payload = encode(&(0u8, kept.arrived, kept.is_ours));
                payload.extend_from_slice(&kept.transaction.bytes);
                payload
            }
            Self::Lost(loss) => encode(&(1u8, *loss)),
        }
    }

    fn of_payload(payload: &[u8], parse: ParseTransaction<'_>) -> Option<Self> {
        let (kind, mut rest) = payload.split_first()?;
        match kind {
            0 => {
                let (arrived, is_ours) = <(UnixTime, bool)>::deserialize(&mut rest).ok()?;
                let transaction = Arc::new(parse(Bytes::copy_from_slice(rest)).ok()?);
                Some(Self::Waiting(KeptTransaction { transaction, arrived, is_ours }))
            }
            1 => decode(rest).ok().map(Self::Lost),
            _ => None,
        }
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let payload = self.payload();
        let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= PAYLOAD_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("a transaction is longer than a record may be"))?;
        bytes.extend(RECORD_MAGIC);
        bytes.extend(length.to_be_bytes());
        bytes.extend(checksum(length, &payload).to_be_bytes());
        bytes.extend(payload);
        Ok(())
    }
}

fn checksum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_be_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The record at the start of these bytes and its length; `None` when there is none that is whole.
pub(super) fn record_at(bytes: &[u8], parse: ParseTransaction<'_>) -> Option<(KeptRecord, usize)> {
    let head = bytes.get(..RECORD_HEADER_BYTES).filter(|head| head.starts_with(RECORD_MAGIC))?;
    let length = u32::from_be_bytes(head.get(4..8)?.try_into().ok()?);
    let sum = u32::from_be_bytes(head.get(8..12)?.try_into().ok()?);
    let size = usize::try_from(length).ok().filter(|size| *size <= PAYLOAD_BYTES_MAX)?;
    let payload = bytes.get(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + size)?;
    if checksum(length, payload) != sum {
        return None;
    }
    Some((KeptRecord::of_payload(payload, parse)?, RECORD_HEADER_BYTES + size))
}
