//! The nouns of the network: hashes, keys, amounts, blocks, votes, certificates, and time.
//!
//! Knows: canonical bytes for everything that is hashed, signed or stored, and the traits by which cores reach a clock and a
//! disk. Must not know: frames, rules of validity, a runtime, a real clock, a socket. It imports nothing of ours.
//!
//! Start reading in [`block`] and [`vote`]; [`keys`] says how signatures are checked.

pub mod accept_errors;
pub mod amount;
pub mod block;
pub mod block_id;
pub mod disk;
pub mod double_sign;
pub mod hash;
pub mod history;
pub mod history_proof;
pub mod id_map;
pub mod keys;
pub mod merkle;
pub mod network;
pub mod number;
pub mod planted;
pub mod printable;
pub mod time;
pub mod transaction_id;
pub mod validator;
pub mod vote;

pub use accept_errors::{AcceptErrors, is_out_of_files};
pub use amount::{Amount, AmountError};
pub use block::{Block, BlockPayload, Header, PayloadFormat, Tip};
pub use block_id::BlockId;
pub use disk::{Disk, DiskFile, MemoryDisk, Survival, rewrite_and_sync};
pub use double_sign::DoubleSign;
pub use hash::{Domain, Hash};
pub use history::{HISTORY_PATH_MAX, HistoryNode, HistoryPath, HistoryPeaks, history_path_max};
pub use history_proof::{HistoryProof, HistoryProofError};
pub use id_map::{IdHashing, IdMap, IdSet};
pub use keys::{KeyError, PublicKey, SecretKey, Signature, SignedItem, verify_batch};
pub use network::{Network, NetworkError};
pub use number::{ChainId, Height, Round};
pub use printable::{counted, printable};
pub use time::{Clock, Instant, UnixTime};
pub use transaction_id::{TxFullId, TxId};
pub use validator::{Validator, ValidatorSet, ValidatorSetError};
pub use vote::{
    CommitCertificate, CommitSignature, PolkaCertificate, Proposal, RoundCertificate, RoundSignature, Vote, VoteKind,
};

/// Canonical bytes of a value: borsh, one encoding per value, no maps.
///
/// Panics: never; writing to memory cannot fail and every length of ours fits 32 bits by the size limits of its type.
pub fn encode<T: borsh::BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("writing to a vector cannot fail and lengths are bounded")
}

/// The same with little spare room, for small values of fixed size that are kept: [`encode`] takes a kilobyte for each.
pub fn encode_compact<T: borsh::BorshSerialize>(value: &T) -> Vec<u8> {
    // A few bytes more than the value has: each choice takes one, which may have found room between the fields.
    let mut bytes = Vec::with_capacity(size_of::<T>() + 8);
    borsh::to_writer(&mut bytes, value).expect("writing to a vector cannot fail and lengths are bounded");
    bytes
}

/// Reads a value from its canonical bytes; trailing bytes are an error.
///
/// # Errors
/// [`DecodeError`] when the bytes are not the canonical encoding of a `T`.
pub fn decode<T: borsh::BorshDeserialize>(bytes: &[u8]) -> Result<T, DecodeError> {
    borsh::from_slice(bytes).map_err(DecodeError)
}

/// The bytes are not the canonical encoding of the wanted type.
#[derive(Debug, thiserror::Error)]
#[error("not a canonical encoding: {0}")]
pub struct DecodeError(#[source] std::io::Error);
