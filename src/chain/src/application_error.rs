//! Why an application does not do what it is asked.

use crate::error::ReadError;
use crate::refusal::Refusal;
use crate::resource::Resource;
use std::error::Error;
use timed_primitives::DecodeError;

/// Why a transaction was not applied. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It breaks a rule.
    #[error(transparent)]
    Refused(Refusal),
    /// Our own state could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl ApplyError {
    /// It breaks this rule.
    pub fn refused(reason: impl Error + Send + Sync + 'static) -> Self {
        Self::Refused(Refusal::new(reason))
    }
}

/// Why a transaction cannot wait for a block.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// What it consumes is neither here nor made by a transaction that waits.
    #[error("{0} does not exist or is consumed already")]
    Missing(Resource),
    /// Its bytes are no transaction of this application.
    #[error(transparent)]
    Undecodable(DecodeError),
    /// It breaks a rule.
    #[error(transparent)]
    Refused(Refusal),
    /// Our own state could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<ApplyError> for CheckError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Refused(reason) => Self::Refused(reason),
            ApplyError::Read(error) => Self::Read(error),
        }
    }
}

/// A question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It is no question of this application.
    #[error("the query is not one that this application answers")]
    Unknown,
    /// Our own state could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}
