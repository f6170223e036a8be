//! Why an application, or a block, refuses a transaction.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why an application refuses something: its own error, whole.
#[derive(Clone)]
pub struct Refusal(Arc<dyn Error + Send + Sync>);

impl Refusal {
    /// Of an application's error.
    pub fn new(reason: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(reason))
    }

    /// The error as the application's own type, if it is one.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// They are equal when they say the same.
impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Refusal {}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Why a transaction cannot be in a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionFault {
    /// The same transaction is earlier in the block.
    #[error("the same transaction is in the block already")]
    Duplicate,
    /// A signature that its key did not make over this transaction.
    #[error("signature {index} is not valid")]
    BadSignature {
        /// Which, counted from 0 over all that the transaction needs.
        index: usize,
    },
    /// The block has no room left; for a proposer only.
    #[error("the block has no room for {size_bytes} more bytes")]
    NoRoom {
        /// Its size.
        size_bytes: usize,
    },
    /// Its bytes are no transaction of this application; for a proposer only.
    #[error("it is no transaction of this application")]
    Undecodable,
    /// The application refuses it.
    #[error(transparent)]
    Refused(Refusal),
}
