//! Reading the ledger beside its writer, without ever waiting for it.

use crate::block_log::{DecidedBytes, LogError, LogReader};
use crate::error::ReadError;
use crate::genesis::Genesis;
use crate::overlay::{Location, StateView};
use crate::state::{LedgerTip, OutputEntry, Supply};
use std::sync::{Arc, PoisonError, RwLock};
use timed_primitives::{
    Block, BlockId, CommitCertificate, Hash, Header, Height, KeyHash, OutPoint, Transaction, TxId, ValidatorSet,
};

/// What writer and readers share.
pub(crate) struct LedgerShared {
    pub(crate) genesis: Genesis,
    pub(crate) genesis_hash: Hash,
    pub(crate) validators: ValidatorSet,
    pub(crate) log: LogReader,
    /// The published state. The lock is held for the time of copying or swapping one pointer.
    current: RwLock<Arc<StateView>>,
}

impl LedgerShared {
    pub(crate) fn new(genesis: Genesis, validators: ValidatorSet, log: LogReader, view: Arc<StateView>) -> Self {
        Self { genesis_hash: genesis.hash(), genesis, validators, log, current: RwLock::new(view) }
    }

    pub(crate) fn publish(&self, view: Arc<StateView>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = view;
    }

    fn current(&self) -> Arc<StateView> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A transaction of a final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmedTransaction {
    /// The transaction.
    pub transaction: Transaction,
    /// Height of its block.
    pub height: Height,
    /// Position in the block.
    pub index: u32,
}

/// A final block and why it is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its certificate.
    pub certificate: Arc<CommitCertificate>,
}

/// Totals at a tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainStats {
    /// Height of the tip.
    pub height: Height,
    /// Transactions of all blocks.
    pub transactions: u64,
    /// Unspent outputs.
    pub outputs: u64,
    /// Size of the block log. Unit: bytes.
    pub log_bytes: u64,
    /// Blocks in memory that the store does not hold yet.
    pub overlay_blocks: usize,
    /// Height of the store.
    pub stored_height: Height,
}

/// Gives the newest state. Cheap to clone, for any thread.
///
/// Each method reads the newest tip; take [`Self::view`] to ask several questions of one tip.
#[derive(Clone)]
pub struct LedgerReader {
    pub(crate) shared: Arc<LedgerShared>,
}

/// The state at one tip; it does not change while it is held. It holds back the store's clean-up, so drop it soon.
#[derive(Clone)]
pub struct LedgerView {
    shared: Arc<LedgerShared>,
    view: Arc<StateView>,
}

impl LedgerReader {
    /// The state at the newest tip.
    pub fn view(&self) -> LedgerView {
        LedgerView { shared: self.shared.clone(), view: self.shared.current() }
    }

    /// The genesis of the chain.
    pub fn genesis(&self) -> &Genesis {
        &self.shared.genesis
    }

    /// Its hash, computed once.
    pub fn genesis_hash(&self) -> Hash {
        self.shared.genesis_hash
    }

    /// The last final block.
    pub fn tip(&self) -> LedgerTip {
        self.shared.current().tip()
    }

    /// Who decides a height. In this version the same for all heights.
    pub fn validators(&self, _height: Height) -> ValidatorSet {
        self.shared.validators.clone()
    }

    /// As [`LedgerView::block`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn block(&self, height: Height) -> Result<Option<Arc<Block>>, ReadError> {
        self.view().block(height)
    }

    /// As [`LedgerView::decided`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn decided(&self, height: Height) -> Result<Option<DecidedBlock>, ReadError> {
        self.view().decided(height)
    }

    /// As [`LedgerView::decided_bytes`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn decided_bytes(&self, height: Height) -> Result<Option<DecidedBytes>, ReadError> {
        self.view().decided_bytes(height)
    }

    /// As [`LedgerView::certificate`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn certificate(&self, height: Height) -> Result<Option<CommitCertificate>, ReadError> {
        self.view().certificate(height)
    }

    /// As [`LedgerView::block_id`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn block_id(&self, height: Height) -> Result<Option<BlockId>, ReadError> {
        self.view().block_id(height)
    }

    /// As [`LedgerView::height_of`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn height_of(&self, id: &BlockId) -> Result<Option<Height>, ReadError> {
        self.view().height_of(id)
    }

    /// As [`LedgerView::output`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn output(&self, outpoint: &OutPoint) -> Result<Option<OutputEntry>, ReadError> {
        self.view().output(outpoint)
    }

    /// As [`LedgerView::transaction`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn transaction(&self, txid: &TxId) -> Result<Option<ConfirmedTransaction>, ReadError> {
        self.view().transaction(txid)
    }

    /// As [`LedgerView::is_confirmed`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn is_confirmed(&self, txid: &TxId) -> Result<bool, ReadError> {
        self.view().is_confirmed(txid)
    }

    /// As [`LedgerView::outputs_of`], from the start.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn outputs_of(&self, key: &KeyHash, limit: usize) -> Result<Vec<(OutPoint, OutputEntry)>, ReadError> {
        self.view().outputs_of(key, None, limit)
    }

    /// Reads the whole block log and checks every record up to the tip, which is returned. Takes seconds per gigabyte.
    ///
    /// # Errors
    /// [`LogError::Damaged`] names the first bad record.
    pub fn verify_log(&self) -> Result<Height, LogError> {
        let tip = self.shared.current().state.height;
        self.shared.log.verify_from_start(tip)?;
        Ok(tip)
    }

    /// As [`LedgerView::supply`].
    pub fn supply(&self) -> Supply {
        self.view().supply()
    }

    /// As [`LedgerView::stats`].
    pub fn stats(&self) -> ChainStats {
        self.view().stats()
    }

    /// As [`LedgerView::recent`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn recent(&self, count: u64) -> Result<Vec<(Header, CommitCertificate)>, ReadError> {
        self.view().recent(count)
    }
}

impl LedgerView {
    /// The last final block.
    pub fn tip(&self) -> LedgerTip {
        self.view.tip()
    }

    /// The final block of a height; `None` above the tip and at genesis.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    pub fn block(&self, height: Height) -> Result<Option<Arc<Block>>, ReadError> {
        Ok(self.decided(height)?.map(|decided| decided.block))
    }

    /// The final block of a height with its certificate.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    pub fn decided(&self, height: Height) -> Result<Option<DecidedBlock>, ReadError> {
        if let Some(layer) = self.view.layer(height) {
            return Ok(Some(DecidedBlock { block: layer.block.clone(), certificate: layer.certificate.clone() }));
        }
        let Some(position) = self.view.position(height)? else { return Ok(None) };
        let record = self.shared.log.read(position, height)?;
        Ok(Some(DecidedBlock { block: Arc::new(record.block), certificate: Arc::new(record.certificate) }))
    }

    /// The same as canonical bytes, straight from the log: what a peer is sent.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    pub fn decided_bytes(&self, height: Height) -> Result<Option<DecidedBytes>, ReadError> {
        let Some(position) = self.view.position(height)? else { return Ok(None) };
        Ok(Some(self.shared.log.read_bytes(position, height)?))
    }

    /// Why the block of a height is final.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    pub fn certificate(&self, height: Height) -> Result<Option<CommitCertificate>, ReadError> {
        Ok(self.decided(height)?.map(|decided| (*decided.certificate).clone()))
    }

    /// The id of the block of a height.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    pub fn block_id(&self, height: Height) -> Result<Option<BlockId>, ReadError> {
        match self.view.layer(height) {
            Some(layer) => Ok(Some(layer.state.id)),
            None => Ok(self.decided(height)?.map(|decided| decided.certificate.block)),
        }
    }

    /// The height of a final block.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub fn height_of(&self, id: &BlockId) -> Result<Option<Height>, ReadError> {
        self.view.height_of(id)
    }

    /// An unspent output; `None` when it was never made or is spent.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub fn output(&self, outpoint: &OutPoint) -> Result<Option<OutputEntry>, ReadError> {
        self.view.output(outpoint)
    }

    /// A transaction of a final block.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    pub fn transaction(&self, txid: &TxId) -> Result<Option<ConfirmedTransaction>, ReadError> {
        let (block, height, index) = match self.view.location(txid)? {
            None => return Ok(None),
            Some(Location::Layer(layer, index)) => (Some(layer.block.clone()), layer.state.height, index),
            Some(Location::Stored(height, index)) => (self.block(height)?, height, index),
        };
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        match block.as_deref().and_then(|block| block.transactions.get(at)) {
            Some(found) => Ok(Some(ConfirmedTransaction { transaction: found.clone(), height, index })),
            None => Err(ReadError::Undecodable { table: crate::Table::Transactions.name() }),
        }
    }

    /// Whether a transaction is in a final block; cheaper than reading it.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub fn is_confirmed(&self, txid: &TxId) -> Result<bool, ReadError> {
        Ok(self.view.location(txid)?.is_some())
    }

    /// At most `limit` unspent outputs locked to a key, in order of outpoint, those above `after` only when it is given.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub fn outputs_of(
        &self,
        key: &KeyHash,
        after: Option<&OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, OutputEntry)>, ReadError> {
        self.view.outputs_of(key, after, limit)
    }

    /// Where all money is.
    pub fn supply(&self) -> Supply {
        self.view.state.supply()
    }

    /// Totals.
    pub fn stats(&self) -> ChainStats {
        let state = &self.view.state;
        ChainStats {
            height: state.height,
            transactions: state.transactions,
            outputs: state.outputs,
            log_bytes: self.view.log_end,
            overlay_blocks: self.view.layers.len(),
            stored_height: self.view.applied.height,
        }
    }

    /// Headers and certificates of the last `count` blocks, oldest first: what the order of leaders follows from.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    pub fn recent(&self, count: u64) -> Result<Vec<(Header, CommitCertificate)>, ReadError> {
        let tip = self.view.state.height.0;
        let mut found = Vec::new();
        for height in tip.saturating_sub(count) + 1..=tip {
            if let Some(decided) = self.decided(Height(height))? {
                found.push((decided.block.header.clone(), (*decided.certificate).clone()));
            }
        }
        Ok(found)
    }
}
