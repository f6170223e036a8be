//! What must never be, in words.

use std::time::Duration;
use timed_consensus::statement::SignedRecord;
use timed_peer::EndReason;
use timed_primitives::{BlockId, Hash, Height, TxId};

/// What must never be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two signatures of an honest key for one place.
    #[error(
        "the key of node {signer} signed two things for one place: {first:?} and {second:?}, found at node {found_at}"
    )]
    SignedTwice {
        /// Whose key.
        signer: u64,
        /// One.
        first: SignedRecord,
        /// The other.
        second: SignedRecord,
        /// In whose files the second one was.
        found_at: u64,
    },
    /// A signature that its alleged signer did not make.
    #[error("node {node} keeps a forged signature: {text}")]
    Forged {
        /// Who keeps it.
        node: u64,
        /// What is known.
        text: String,
    },
    /// The guard holds another thing for a place than was signed there.
    #[error("the guard of node {node} holds {guard:?}, but {signed:?} was signed")]
    GuardDiffers {
        /// Whose guard.
        node: u64,
        /// What it holds.
        guard: SignedRecord,
        /// What was signed.
        signed: SignedRecord,
    },
    /// Two blocks of one height.
    #[error("node {node} calls block {found} final at height {height}, elsewhere it is {other}")]
    OtherBlock {
        /// Who.
        node: u64,
        /// The height.
        height: Height,
        /// Its block.
        found: BlockId,
        /// The block of the node that was first.
        other: BlockId,
    },
    /// Something final is gone.
    #[error("node {node} called height {published} final and is at {found} now")]
    WentBack {
        /// Who.
        node: u64,
        /// What it called final before.
        published: Height,
        /// Its tip now.
        found: Height,
    },
    /// Two states after one block.
    #[error("after height {height} node {node} has state {found}, elsewhere it is {other}")]
    OtherState {
        /// Who.
        node: u64,
        /// The height.
        height: Height,
        /// Its state commitment.
        found: Hash,
        /// That of the node that was first.
        other: Hash,
    },
    /// A final block commits to another state than the one it leads to.
    #[error("the block of height {height} commits to state {committed}, node {node} has {found} after it")]
    FalseCommitment {
        /// Who.
        node: u64,
        /// The height.
        height: Height,
        /// What the header says.
        committed: Hash,
        /// What is so.
        found: Hash,
    },
    /// A final block commits to another history than the blocks before it.
    #[error(
        "the block of height {height} at node {node} names history {committed}, the final blocks before it are {found}"
    )]
    FalseHistory {
        /// Who.
        node: u64,
        /// The height.
        height: Height,
        /// What the header says.
        committed: Hash,
        /// What is so.
        found: Hash,
    },
    /// The application's state is one that cannot be.
    #[error("after height {height} the state of node {node} cannot be: {text}")]
    ImpossibleState {
        /// Who.
        node: u64,
        /// The height.
        height: Height,
        /// What is wrong with it.
        text: String,
    },
    /// A client was given an answer that another node contradicts, or a smaller number than before.
    #[error("after height {height} node {node} answers {found} to question {question}, the answer is {other}")]
    OtherAnswer {
        /// Who.
        node: u64,
        /// The height.
        height: Height,
        /// Which question.
        question: u64,
        /// What is said.
        found: u64,
        /// What was said before.
        other: u64,
    },
    /// A node cannot read what it keeps.
    #[error("node {node} cannot read height {height}: {text}")]
    Unreadable {
        /// Who.
        node: u64,
        /// Of which height.
        height: Height,
        /// What it says.
        text: String,
    },
    /// A node gave up without a reason that the world gave it.
    #[error("node {node} stopped: {text}")]
    Stopped {
        /// Who.
        node: u64,
        /// What it says.
        text: String,
    },
    /// Two sessions with one peer.
    #[error("node {node} has two sessions with node {peer}")]
    TwoSessions {
        /// Who.
        node: u64,
        /// With whom.
        peer: u64,
    },
    /// A peer is dialled though it is connected.
    #[error("node {node} is connected to node {peer} and had {times} more connections with it that came to nothing")]
    DialledAgain {
        /// Who.
        node: u64,
        /// Whom.
        peer: u64,
        /// How often since the session began.
        times: usize,
    },
    /// A session between two live, honest nodes ended though nothing disturbed them, or for misbehaviour.
    #[error("node {node} lost node {peer}, which lives, after {}: {reason:?}", .up_for.as_secs())]
    FalseDisconnect {
        /// Who.
        node: u64,
        /// Whom.
        peer: u64,
        /// The reason given.
        reason: EndReason,
        /// How long the session was up.
        up_for: Duration,
    },
    /// A peer that cannot be heard counts as connected past its deadline.
    #[error("node {node} keeps node {peer}, which is gone for {} s", .gone_for.as_secs())]
    DeadPeerKept {
        /// Who.
        node: u64,
        /// Whom.
        peer: u64,
        /// For how long nothing can have come.
        gone_for: Duration,
    },
    /// Something outgrew its bound.
    #[error("node {node} has {found} {what}, the bound is {bound}")]
    Unbounded {
        /// Who.
        node: u64,
        /// What.
        what: &'static str,
        /// How much.
        found: u64,
        /// How much is allowed.
        bound: u64,
    },
    /// After the last fault was healed, something did not happen in time.
    #[error("{} s after the heal {text}", .after.as_secs())]
    NotLive {
        /// How long was waited.
        after: Duration,
        /// What did not happen.
        text: String,
    },
    /// A payment was accepted, and the node that did so neither has it nor calls it final, though it was left in peace.
    #[error("node {node} accepted payment {txid} and knows nothing of it")]
    Lost {
        /// Who.
        node: u64,
        /// Which.
        txid: TxId,
    },
    /// Payments took longer to be final than is promised under a condition.
    #[error("under {condition} 99 % of {payments} payments took up to {p99_ms} ms, the bound is {bound_ms} ms")]
    Slow {
        /// Quiet, or the one kind of fault.
        condition: &'static str,
        /// How many were made under it.
        payments: usize,
        /// How long 99 % of them took at most. Unit: milliseconds.
        p99_ms: u64,
        /// What is allowed. Unit: milliseconds.
        bound_ms: u64,
    },
}

impl Violation {
    /// What kind it is, in a word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SignedTwice { .. } => "signed-twice",
            Self::Forged { .. } => "forged",
            Self::GuardDiffers { .. } => "guard-differs",
            Self::OtherBlock { .. } => "other-block",
            Self::WentBack { .. } => "went-back",
            Self::OtherState { .. } => "other-state",
            Self::FalseCommitment { .. } => "false-commitment",
            Self::FalseHistory { .. } => "false-history",
            Self::ImpossibleState { .. } => "impossible-state",
            Self::OtherAnswer { .. } => "other-answer",
            Self::Unreadable { .. } => "unreadable",
            Self::Stopped { .. } => "stopped",
            Self::TwoSessions { .. } => "two-sessions",
            Self::DialledAgain { .. } => "dialled-again",
            Self::FalseDisconnect { .. } => "false-disconnect",
            Self::DeadPeerKept { .. } => "dead-peer-kept",
            Self::Unbounded { .. } => "unbounded",
            Self::NotLive { .. } => "not-live",
            Self::Lost { .. } => "lost",
            Self::Slow { .. } => "slow",
        }
    }
}
