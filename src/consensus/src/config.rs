//! What the core is opened with.

use crate::leaders::LeaderRecord;
use crate::timeouts::TimeoutDefaults;
use std::collections::BTreeMap;
use std::time::Duration;
use timed_primitives::{ChainId, PayloadFormat, PublicKey, SecretKey, Tip, ValidatorSet};

/// What does not change while the node runs.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// The chain that every signature commits to.
    pub chain_id: ChainId,
    /// The consensus key; `None` for an observer.
    pub key: Option<SecretKey>,
    /// How the application's payloads are read without it.
    pub payload_format: PayloadFormat,
    /// Names of validators for people, by consensus key. A key without one is shown by its first bytes.
    pub labels: BTreeMap<PublicKey, String>,
    /// Shortest time from the commit of a block on this node to the next one of ours.
    pub min_block_interval: Duration,
    /// Time after which a block is made though nothing waits.
    pub empty_block_interval: Duration,
    /// Time-outs of round 0 while too little is measured, and their upper bounds.
    pub timeouts: TimeoutDefaults,
    /// Largest block that the chain allows. Unit: bytes.
    pub block_bytes_max: u64,
    /// What a block of ours may have before any turn of ours was measured; `None` for a quarter of the largest. Unit: bytes.
    pub block_bytes_first: Option<u64>,
    /// Bytes of undecided blocks kept, all heights together. At the bound see [`crate::blocks`].
    pub undecided_bytes_max: u64,
    /// The journal's files grow in steps of this size. Unit: bytes.
    pub journal_step_bytes: u64,
    /// Largest journal of one height. At the bound this node signs nothing more at that height. Unit: bytes.
    pub journal_bytes_max: u64,
}

impl CoreConfig {
    /// With the values of a devnet.
    pub fn new(chain_id: ChainId, key: Option<SecretKey>, payload_format: PayloadFormat) -> Self {
        Self {
            chain_id,
            key,
            payload_format,
            labels: BTreeMap::new(),
            min_block_interval: Duration::ZERO,
            empty_block_interval: Duration::from_secs(10),
            timeouts: TimeoutDefaults::default(),
            block_bytes_max: 1 << 20,
            block_bytes_first: None,
            undecided_bytes_max: 64 << 20,
            journal_step_bytes: 4 << 20,
            journal_bytes_max: 256 << 20,
        }
    }
}

/// The chain as it is when the core opens.
#[derive(Clone, Debug)]
pub struct ChainStart {
    /// The newest block.
    pub tip: Tip,
    /// Validators that decide the next height.
    pub validators: ValidatorSet,
    /// Validators that decide the height after that.
    pub next_validators: ValidatorSet,
    /// Validators that decided the tip; at genesis the same as `validators`.
    pub tip_validators: ValidatorSet,
    /// The newest blocks up to the tip in ascending order: all of the chain, or at least [`crate::leaders::MEMORY_HEIGHTS`].
    pub recent: Vec<LeaderRecord>,
}
