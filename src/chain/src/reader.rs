//! Reading a chain beside its writer, without ever waiting for it.

use crate::application::Application;
use crate::application_error::{CheckError, QueryError};
use crate::block_log::{DecidedBytes, LogError};
use crate::decided::DecidedBlock;
use crate::error::{HistoryProofFault, ReadError};
use crate::evidence::Evidence;
use crate::genesis::ChainGenesis;
use crate::resource::Resource;
use crate::state_view::StateView;
use crate::transaction::{
    ApplicationTransaction as _, Checked, Pending, PoolTransaction, TransactionFacts, TransactionRules, facts_of,
    payload_format,
};
use bytes::Bytes;
use std::sync::{Arc, PoisonError, RwLock};
use timed_primitives::{
    Block, BlockId, BlockPayload, CommitCertificate, DecodeError, Height, HistoryProof, PayloadFormat, Tip, TxId,
    ValidatorSet,
};

/// What the writer publishes. The lock is held for the time of copying or swapping one pointer.
pub(crate) struct Published<A: Application>(RwLock<Arc<StateView<A>>>);

impl<A: Application> Published<A> {
    pub(crate) fn new(view: Arc<StateView<A>>) -> Self {
        Self(RwLock::new(view))
    }

    pub(crate) fn publish(&self, view: Arc<StateView<A>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = view;
    }

    fn current(&self) -> Arc<StateView<A>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How much there is, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainStats {
    /// Height of the tip.
    pub height: Height,
    /// Size of the block log. Unit: bytes.
    pub log_bytes: u64,
    /// Blocks in memory that the store does not hold yet.
    pub overlay_blocks: usize,
    /// Height of the store.
    pub stored_height: Height,
}

/// Seam: the decided blocks of whatever application, at the newest tip. Implemented by [`ChainReader`].
pub trait History: Send + Sync {
    /// How the chain starts.
    fn chain_genesis(&self) -> ChainGenesis;

    /// The last final block.
    fn tip(&self) -> Tip;

    /// Who decides a height: the tip's own, or one of the two after it.
    fn validators(&self, height: Height) -> ValidatorSet;

    /// The final block of a height with its certificate; `None` above the tip and at genesis.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    fn decided(&self, height: Height) -> Result<Option<DecidedBlock>, ReadError>;

    /// The same as canonical bytes, straight from the log: what a peer is sent.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    fn decided_bytes(&self, height: Height) -> Result<Option<DecidedBytes>, ReadError>;

    /// The id of the block of a height.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    fn block_id(&self, height: Height) -> Result<Option<BlockId>, ReadError>;

    /// The height of a final block.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    fn height_of(&self, id: &BlockId) -> Result<Option<Height>, ReadError>;

    /// Whether a transaction is in a final block; cheaper than reading it.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    fn is_confirmed(&self, txid: &TxId) -> Result<bool, ReadError>;

    /// That an old block is part of the chain, by the header of a later one, or by the tip's.
    ///
    /// # Errors
    /// [`HistoryProofFault`].
    fn history_proof(&self, height: Height, at: Option<Height>) -> Result<HistoryProof, HistoryProofFault>;

    /// Asks the application.
    ///
    /// # Errors
    /// [`QueryError`].
    fn query(&self, request: &[u8]) -> Result<Vec<u8>, QueryError>;

    /// How much there is.
    fn stats(&self) -> ChainStats;

    /// Reads the whole block log and checks every record up to the tip, which is returned. Takes seconds per gigabyte.
    ///
    /// # Errors
    /// [`LogError::Damaged`] names the first bad record.
    fn verify_log(&self) -> Result<Height, LogError>;

    /// How the application's payloads are read without it.
    fn payload_format(&self) -> PayloadFormat;

    /// The transactions of a block; `None` when its payload is no list of them.
    fn transactions(&self, payload: &BlockPayload) -> Option<Vec<TransactionFacts>>;

    /// The final block of a height without its certificate.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    fn block(&self, height: Height) -> Result<Option<Arc<Block>>, ReadError> {
        Ok(self.decided(height)?.map(|decided| decided.block))
    }

    /// Why the block of a height is final.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    fn certificate(&self, height: Height) -> Result<Option<CommitCertificate>, ReadError> {
        Ok(self.decided(height)?.map(|decided| (*decided.certificate).clone()))
    }
}

/// Gives the newest state. Cheap to clone, for any thread.
///
/// Each method reads the newest tip; take [`Self::view`] to ask several questions of one tip.
pub struct ChainReader<A: Application> {
    published: Arc<Published<A>>,
}

impl<A: Application> Clone for ChainReader<A> {
    fn clone(&self) -> Self {
        Self { published: self.published.clone() }
    }
}

impl<A: Application> ChainReader<A> {
    pub(crate) const fn new(published: Arc<Published<A>>) -> Self {
        Self { published }
    }

    /// The state at the newest tip.
    pub fn view(&self) -> Arc<StateView<A>> {
        self.published.current()
    }
}

impl<A: Application> History for ChainReader<A> {
    fn chain_genesis(&self) -> ChainGenesis {
        self.view().application().genesis().clone()
    }

    fn tip(&self) -> Tip {
        self.view().tip().clone()
    }

    fn validators(&self, height: Height) -> ValidatorSet {
        self.view().validators(height)
    }

    fn decided(&self, height: Height) -> Result<Option<DecidedBlock>, ReadError> {
        self.view().decided(height)
    }

    fn decided_bytes(&self, height: Height) -> Result<Option<DecidedBytes>, ReadError> {
        self.view().decided_bytes(height)
    }

    fn block_id(&self, height: Height) -> Result<Option<BlockId>, ReadError> {
        self.view().block_id(height)
    }

    fn height_of(&self, id: &BlockId) -> Result<Option<Height>, ReadError> {
        self.view().height_of(id)
    }

    fn is_confirmed(&self, txid: &TxId) -> Result<bool, ReadError> {
        Ok(self.view().location(txid)?.is_some())
    }

    fn history_proof(&self, height: Height, at: Option<Height>) -> Result<HistoryProof, HistoryProofFault> {
        self.view().history_proof(height, at)
    }

    fn query(&self, request: &[u8]) -> Result<Vec<u8>, QueryError> {
        let view = self.view();
        view.application().query(&view, request)
    }

    fn stats(&self) -> ChainStats {
        let view = self.view();
        ChainStats {
            height: view.height(),
            log_bytes: view.log_end,
            overlay_blocks: view.layers.len(),
            stored_height: view.applied,
        }
    }

    fn verify_log(&self) -> Result<Height, LogError> {
        let view = self.view();
        view.fixed.log.verify_from_start(view.height())?;
        Ok(view.height())
    }

    fn payload_format(&self) -> PayloadFormat {
        payload_format::<A::Transaction>()
    }

    fn transactions(&self, payload: &BlockPayload) -> Option<Vec<TransactionFacts>> {
        facts_of::<A::Transaction>(payload)
    }
}

impl<A: Application> TransactionRules for ChainReader<A> {
    fn parse(&self, bytes: Bytes) -> Result<PoolTransaction, DecodeError> {
        PoolTransaction::parse::<A::Transaction>(bytes)
    }

    fn check(&self, transaction: &PoolTransaction, pending: &dyn Pending) -> Result<Checked, CheckError> {
        let view = self.view();
        let decoded = transaction.decoded::<A::Transaction>().map_err(CheckError::Undecodable)?;
        let fee = view.application().check(&view, &decoded, &transaction.facts, pending)?;
        Ok(Checked { fee, signed_items: decoded.signed_items() })
    }

    fn is_available(&self, resource: &Resource) -> Result<bool, ReadError> {
        let view = self.view();
        view.application().is_available(&view, resource)
    }

    fn is_confirmed(&self, id: &TxId) -> Result<bool, ReadError> {
        History::is_confirmed(self, id)
    }

    fn statement(&self, statement: &Evidence) -> Option<PoolTransaction> {
        let view = self.view();
        view.application().statement(&view, statement).map(|made| PoolTransaction::of(&made))
    }
}
