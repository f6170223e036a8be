//! Why a statement about somebody's behaviour does not count.

use crate::masternodes::RegistrationId;
use timed_primitives::{BlockId, Height, PublicKey, Round};

/// Why late precommits or a statement of reachability cannot be in a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// It moves money, says something, or is signed by somebody.
    #[error("a statement about behaviour has no inputs, no outputs and no memo")]
    NotBare,
    /// Handed in by somebody who proposes no block.
    #[error("late precommits are added by proposers only: nobody needs to hand them in")]
    OnlyInBlocks,
    /// Of a height that is not open any more, or not yet.
    #[error("late precommits are for height {height}, those of {first} to {last} can still be added")]
    Height {
        /// What they are for.
        height: Height,
        /// First that is open.
        first: Height,
        /// Last that is open.
        last: Height,
    },
    /// For another block than the one that was decided, or of another round.
    #[error(
        "late precommits are for block {found} in round {round} of height {height}, decided was {block} in round {decided}"
    )]
    Block {
        /// The height.
        height: Height,
        /// What they are for.
        found: BlockId,
        /// In which round.
        round: Round,
        /// The block of that height.
        block: BlockId,
        /// The round of its certificate.
        decided: Round,
    },
    /// They are none.
    #[error("late precommits are at least one")]
    Nobody,
    /// Not in ascending order of keys.
    #[error("late precommits are in ascending order of keys, {0} is out of place")]
    Order(PublicKey),
    /// By somebody without a vote at that height.
    #[error("{key} did not vote at height {height}")]
    NoVoter {
        /// Who.
        key: PublicKey,
        /// When.
        height: Height,
    },
    /// The chain has it already.
    #[error("the precommit of {key} for height {height} is counted already")]
    Counted {
        /// Whose.
        key: PublicKey,
        /// For which height.
        height: Height,
    },
    /// Nobody was asked for this.
    #[error(
        "masternode {witness} was not drawn as a witness of {free} for interval {interval}, or that interval is paid"
    )]
    NotDrawn {
        /// The interval.
        interval: u64,
        /// Whose reachability.
        free: RegistrationId,
        /// Who says so.
        witness: RegistrationId,
    },
    /// Said before.
    #[error("masternode {witness} has stated already that it reached {free} in interval {interval}")]
    StatedAlready {
        /// The interval.
        interval: u64,
        /// Whose reachability.
        free: RegistrationId,
        /// Who says so.
        witness: RegistrationId,
    },
    /// Signed by somebody else.
    #[error("a statement of masternode {witness} is signed by its operator key {expected}")]
    NotSigned {
        /// Who is said to say it.
        witness: RegistrationId,
        /// Its key.
        expected: PublicKey,
    },
}
