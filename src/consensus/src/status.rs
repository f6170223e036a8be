//! Why is this height not decided? The answer at any moment, for people.

use crate::signing::SigningStatus;
use crate::too_early::TooEarly;
use std::time::Duration;
use timed_primitives::{BlockId, Height, PublicKey, Round};

/// One validator at the current height and round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorStatus {
    /// Its consensus key.
    pub key: PublicKey,
    /// Its name for people.
    pub label: String,
    /// Its voting power.
    pub power: u64,
    /// Whether it is this node or a connected peer.
    pub is_connected: bool,
    /// Its prevote of this round: outer `None` when there is none, inner for nil.
    pub prevote: Option<Option<BlockId>>,
    /// Its precommit of this round, likewise.
    pub precommit: Option<Option<BlockId>>,
}

/// What the core is doing and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsensusStatus {
    /// The height being decided.
    pub height: Height,
    /// Its round; `None` before it is started.
    pub round: Option<Round>,
    /// Step of the round, lower case.
    pub step: &'static str,
    /// True while nothing happens because there is nothing to decide.
    pub is_idle: bool,
    /// Who leads the round.
    pub proposer: Option<PublicKey>,
    /// The proposed block, when a proposal is here.
    pub proposal: Option<BlockId>,
    /// The block proposed in this round, when it is refused because its time is too far ahead of our clock.
    pub too_early: Option<TooEarly>,
    /// Everyone who may vote, sorted by key.
    pub validators: Vec<ValidatorStatus>,
    /// Set when the connected validators are no quorum.
    pub quorum_line: Option<String>,
    /// Whether this node signs, and if not, why.
    pub signing: SigningStatus,
    /// Height that is decided elsewhere, when above ours.
    pub decided_elsewhere: Option<Height>,
    /// Wait for a proposal in round 0 at present.
    pub propose_timeout: Duration,
    /// Bytes of undecided blocks held.
    pub undecided_bytes: u64,
    /// Verified messages held for later heights.
    pub future_messages: usize,
    /// What it waits for, in one sentence.
    pub why: String,
}
