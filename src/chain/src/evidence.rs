//! What a node learned of others' behaviour and hands to the application when it proposes a block.

use timed_primitives::{CommitCertificate, DoubleSign};

/// Something that a block can hold against a validator, or for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Precommits for a decided block that the next block does not have; checked.
    LatePrecommits(CommitCertificate),
    /// Two statements of one validator for one place; checked.
    DoubleSign(DoubleSign),
}
