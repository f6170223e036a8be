//! The writer of a chain of whatever application, for a shell that must not know which.

use crate::application::Application;
use crate::chain::{Chain, CommittedBlock};
use crate::error::{AssembleError, CommitError, StoreError, ValidationError};
use crate::execute::{Assembled, Draft};
use crate::flush::FlushJob;
use crate::reader::History;
use crate::transaction::{TransactionFacts, TransactionRules};
use crate::verified::VerifiedTransactions;
use std::sync::Arc;
use timed_primitives::{Block, CommitCertificate, Tip};

/// Seam: what a node does with its chain. Implemented by [`Chain`], whose methods of the same names say more.
pub trait ChainWriter: Send {
    /// As [`Chain::tip`].
    fn tip(&self) -> Tip;

    /// The decided blocks.
    fn history(&self) -> Arc<dyn History>;

    /// What the pool asks about transactions.
    fn rules(&self) -> Arc<dyn TransactionRules>;

    /// As [`Chain::verified`].
    fn verified(&self) -> Arc<VerifiedTransactions>;

    /// As [`Chain::validate`].
    ///
    /// # Errors
    /// [`ValidationError`].
    fn validate(&mut self, block: &Arc<Block>) -> Result<Arc<[TransactionFacts]>, ValidationError>;

    /// As [`Chain::assemble`].
    ///
    /// # Errors
    /// [`AssembleError`].
    fn assemble(&mut self, draft: Draft) -> Result<Assembled, AssembleError>;

    /// As [`Chain::commit_batch`].
    ///
    /// # Errors
    /// [`CommitError`].
    fn commit_batch(
        &mut self,
        blocks: Vec<(Arc<Block>, CommitCertificate)>,
    ) -> Result<Vec<CommittedBlock>, CommitError>;

    /// As [`Chain::is_flush_due`].
    fn is_flush_due(&self) -> bool;

    /// As [`Chain::begin_flush`].
    fn begin_flush(&mut self) -> Option<FlushJob>;

    /// As [`Chain::finish_flush`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn finish_flush(&mut self) -> Result<(), StoreError>;

    /// As [`Chain::flush`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn flush(&mut self) -> Result<(), StoreError>;
}

impl<A: Application> ChainWriter for Chain<A> {
    fn tip(&self) -> Tip {
        Self::tip(self)
    }

    fn history(&self) -> Arc<dyn History> {
        Arc::new(self.reader())
    }

    fn rules(&self) -> Arc<dyn TransactionRules> {
        Arc::new(self.reader())
    }

    fn verified(&self) -> Arc<VerifiedTransactions> {
        Self::verified(self)
    }

    fn validate(&mut self, block: &Arc<Block>) -> Result<Arc<[TransactionFacts]>, ValidationError> {
        Self::validate(self, block)
    }

    fn assemble(&mut self, draft: Draft) -> Result<Assembled, AssembleError> {
        Self::assemble(self, draft)
    }

    fn commit_batch(
        &mut self,
        blocks: Vec<(Arc<Block>, CommitCertificate)>,
    ) -> Result<Vec<CommittedBlock>, CommitError> {
        Self::commit_batch(self, blocks)
    }

    fn is_flush_due(&self) -> bool {
        Self::is_flush_due(self)
    }

    fn begin_flush(&mut self) -> Option<FlushJob> {
        Self::begin_flush(self)
    }

    fn finish_flush(&mut self) -> Result<(), StoreError> {
        Self::finish_flush(self)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        Self::flush(self)
    }
}
