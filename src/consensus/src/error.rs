//! Why the core cannot open, or must not go on.

use crate::engine::EngineError;
use crate::guard::GuardError;
use crate::journal::JournalError;
use timed_primitives::Height;

/// The core cannot open.
#[derive(Debug, thiserror::Error)]
pub enum CoreOpenError {
    /// See there.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// See there.
    #[error(transparent)]
    Guard(#[from] GuardError),
}

/// The core must not go on: the process ends and starts again.
#[derive(Debug, thiserror::Error)]
pub enum FatalError {
    /// What was signed could not be made durable.
    #[error("journal: {0}")]
    Journal(#[from] JournalError),
    /// As above.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The engine stopped.
    #[error("consensus engine: {0}; restart the node, and report this if it comes again")]
    Engine(#[from] EngineError),
    /// The chain was reported to us with a hole.
    #[error("the committed block has height {got}, expected {expected}; restart the node")]
    Gap {
        /// Height after our tip.
        expected: Height,
        /// Height that was reported.
        got: Height,
    },
    /// An earlier error was fatal already.
    #[error("consensus has stopped after an earlier error; restart the node")]
    Stopped,
}
