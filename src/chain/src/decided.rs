//! A block and why it is final.

use std::sync::Arc;
use timed_primitives::{Block, CommitCertificate};

/// A final block and why it is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its certificate.
    pub certificate: Arc<CommitCertificate>,
}
