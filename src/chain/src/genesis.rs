//! How a chain starts, whatever runs on it.

use timed_primitives::{ChainId, Hash, UnixTime};

/// What all nodes of a chain agree on before its first block, as far as the chain itself must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainGenesis {
    /// Covers everything that genesis says. Peers with another one are refused, files of another one are not opened.
    pub hash: Hash,
    /// Every signature commits to it.
    pub chain_id: ChainId,
    /// Time of height 0; the first block is later.
    pub time: UnixTime,
    /// Largest canonical encoding of a block, with its parent's certificate. Unit: bytes. Bound: [`BLOCK_BYTES_LIMIT`].
    pub block_bytes_max: u32,
    /// Hash of the parameters of chain and application; every header names it.
    pub parameters_hash: Hash,
}

/// Largest block any chain may allow; wire frames and log records are sized for it. Unit: bytes.
pub const BLOCK_BYTES_LIMIT: u32 = 1024 * 1024;
