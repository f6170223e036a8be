//! The newest blocks in memory over a snapshot of the store: together the whole state at the tip, immutable once published.

use crate::application::Application;
use crate::block_log::{DecidedBytes, LogReader};
use crate::decided::DecidedBlock;
use crate::error::{ReadError, StoreError};
use crate::filter::Filter;
use crate::history_row::{row, row_key};
use crate::store::{KeyValue, StoreBatch, StoreView, Table};
use crate::transaction::TransactionFacts;
use borsh::{BorshDeserialize, BorshSerialize};
use std::sync::Arc;
use timed_primitives::{
    Block, BlockId, CommitCertificate, Hash, Height, HistoryPeaks, IdMap, Tip, TxId, UnixTime, ValidatorSet, decode,
    encode, encode_compact,
};

/// Most blocks that are not in the store yet. At the bound, a commit first writes them to the store.
pub const OVERLAY_BLOCKS_MAX: usize = 64;

/// Most entries that those blocks change, by [`Application::changes_len`], the last of them excepted; at the bound as above. For payments these
/// are outputs, some three full blocks of them, or as many seconds of the highest rate; each costs about half a kilobyte, the batch for the
/// store included.
pub const OVERLAY_CHANGES_MAX: usize = 1 << 15;

/// Most entries that one batch for the store changes, or those of one block where these are more. A commit that finds no room waits for one
/// batch and not for all that waits, so that the store slows the chain down instead of stopping it for seconds.
pub const FLUSH_CHANGES_MAX: usize = OVERLAY_CHANGES_MAX / 2;

/// What the chain amounts to after a block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct ChainState<S> {
    pub(crate) height: Height,
    pub(crate) id: BlockId,
    pub(crate) time: UnixTime,
    pub(crate) application: S,
}

/// What the store says of itself, atomically with everything else in it.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub(crate) struct Applied<S> {
    pub(crate) state: ChainState<S>,
    /// Where the record of the applied block ends in the log.
    pub(crate) log_end: u64,
}

/// The store's key of [`Applied`].
pub(crate) const APPLIED_KEY: &[u8] = b"applied";
/// The store's key of the genesis hash.
pub(crate) const GENESIS_KEY: &[u8] = b"genesis";

/// What a valid block does.
pub(crate) struct BlockEffects<A: Application> {
    /// Of each transaction, in order.
    pub(crate) transactions: Arc<[TransactionFacts]>,
    /// Position of each transaction.
    pub(crate) positions: IdMap<TxId, u32>,
    pub(crate) ids: Filter,
    pub(crate) changes: A::Changes,
    pub(crate) state: ChainState<A::State>,
    /// What the header of the block must say of that state.
    pub(crate) commitment: Hash,
    /// All blocks up to this one.
    pub(crate) history: Arc<HistoryPeaks>,
    /// The nodes of the history that this block makes, by level from 0 on.
    pub(crate) history_nodes: Vec<Hash>,
}

/// A final block and what it changes, not yet in the store.
pub struct Layer<A: Application> {
    pub(crate) block: Arc<Block>,
    pub(crate) certificate: Arc<CommitCertificate>,
    pub(crate) effects: Arc<BlockEffects<A>>,
    /// Where its record starts in the log.
    pub(crate) position: u64,
    /// Where it ends.
    pub(crate) log_end: u64,
}

impl<A: Application> Layer<A> {
    /// The block's height.
    pub fn height(&self) -> Height {
        self.effects.state.height
    }

    /// What it changes beside the state.
    pub fn changes(&self) -> &A::Changes {
        &self.effects.changes
    }

    /// The state after it.
    pub fn state(&self) -> &A::State {
        &self.effects.state.application
    }
}

/// What never changes while a chain is open.
pub(crate) struct Fixed<A> {
    pub(crate) application: A,
    pub(crate) log: LogReader,
}

/// The state at one tip; it does not change while it is held. It holds back the store's clean-up, so drop it soon.
pub struct StateView<A: Application> {
    pub(crate) fixed: Arc<Fixed<A>>,
    pub(crate) snapshot: Arc<dyn StoreView>,
    /// Height of the snapshot.
    pub(crate) applied: Height,
    /// Blocks after it, in order of height without gap.
    pub(crate) layers: Vec<Arc<Layer<A>>>,
    pub(crate) state: Arc<ChainState<A::State>>,
    /// All blocks up to the tip.
    pub(crate) history: Arc<HistoryPeaks>,
    /// The last block of it. Kept, since a commitment is a hash over all that rewards depend on.
    pub(crate) tip: Arc<Tip>,
    pub(crate) log_end: u64,
}

impl<A: Application> Clone for StateView<A> {
    fn clone(&self) -> Self {
        Self {
            fixed: self.fixed.clone(),
            snapshot: self.snapshot.clone(),
            applied: self.applied,
            layers: self.layers.clone(),
            state: self.state.clone(),
            history: self.history.clone(),
            tip: self.tip.clone(),
            log_end: self.log_end,
        }
    }
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Height of its block.
    pub height: Height,
    /// Position in the block.
    pub index: u32,
}

impl<A: Application> StateView<A> {
    /// The last final block.
    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    /// The state at the tip.
    pub fn state(&self) -> &A::State {
        &self.state.application
    }

    /// The application.
    pub fn application(&self) -> &A {
        &self.fixed.application
    }

    /// Height of the tip.
    pub fn height(&self) -> Height {
        self.state.height
    }

    /// Height of what the store holds; blocks above it are in [`Self::layers`].
    pub fn stored_height(&self) -> Height {
        self.applied
    }

    /// Blocks that are not in the store yet, oldest first.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = &Layer<A>> + ExactSizeIterator {
        self.layers.iter().map(|layer| &**layer)
    }

    /// The store as it is under [`Self::layers`], for who reads it on after the view is gone. It holds back the store's clean-up as the
    /// view does.
    pub fn store_view(&self) -> Arc<dyn StoreView> {
        self.snapshot.clone()
    }

    /// A value of the store, without the layers above it.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read, or holds something else there.
    pub fn stored<T: BorshDeserialize>(&self, table: Table, key: &[u8]) -> Result<Option<T>, ReadError> {
        let value = self.snapshot.get(table, key).map_err(StoreError::from)?;
        value.map(|bytes| decode(&bytes).map_err(|_| ReadError::Undecodable { table: table.name() })).transpose()
    }

    /// Pairs of the store as [`StoreView::scan`] gives them, without the layers above it.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub fn scan_stored(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadError> {
        Ok(self.snapshot.scan(table, prefix, after, limit).map_err(StoreError::from)?)
    }

    /// Who decides a height from the tip's own to the one after the next.
    pub fn validators(&self, height: Height) -> ValidatorSet {
        self.application().validators(self.state(), self.state.height, height)
    }

    /// The same with one more block.
    pub(crate) fn with(&self, layer: Arc<Layer<A>>) -> Self {
        let mut next = self.clone();
        next.state = Arc::new(layer.effects.state.clone());
        next.history = layer.effects.history.clone();
        next.tip = Arc::new(Tip {
            height: next.state.height,
            id: next.state.id,
            time: next.state.time,
            state_commitment: layer.effects.commitment,
            certificate: Some((*layer.certificate).clone()),
        });
        next.log_end = layer.log_end;
        next.layers.push(layer);
        next
    }

    /// The same over a newer snapshot, which holds the first `count` blocks of the overlay.
    pub(crate) fn flushed(&self, count: usize, snapshot: Arc<dyn StoreView>) -> Self {
        let mut next = self.clone();
        let count = count.min(self.layers.len());
        self.application().on_stored(&self.layers[..count]);
        if let Some(last) = next.layers.drain(..count).next_back() {
            next.applied = last.height();
        }
        next.snapshot = snapshot;
        next
    }

    /// Whether the overlay has room for another block.
    pub(crate) fn has_room(&self) -> bool {
        self.layers.len() < OVERLAY_BLOCKS_MAX && self.changes_len() < OVERLAY_CHANGES_MAX
    }

    /// Whether at most half of that room is left.
    pub(crate) fn is_half_full(&self) -> bool {
        self.layers.len() >= OVERLAY_BLOCKS_MAX / 2 || self.changes_len() >= OVERLAY_CHANGES_MAX / 2
    }

    /// What the overlay changes.
    fn changes_len(&self) -> usize {
        self.layers.iter().map(|layer| A::changes_len(layer.changes())).sum()
    }

    /// The blocks that go to the store next: the oldest, one at least.
    pub(crate) fn next_for_store(&self) -> &[Arc<Layer<A>>] {
        let mut changes = 0;
        let fits = |layer: &&Arc<Layer<A>>| {
            changes += A::changes_len(layer.changes());
            changes <= FLUSH_CHANGES_MAX
        };
        let count = self.layers.iter().take_while(fits).count().max(1).min(self.layers.len());
        &self.layers[..count]
    }

    /// The layer of a height, when it is not in the store yet.
    pub(crate) fn layer(&self, height: Height) -> Option<&Arc<Layer<A>>> {
        let index = height.above(self.applied).checked_sub(1)?;
        self.layers.get(usize::try_from(index).ok()?)
    }

    /// The final block of a height with its certificate; `None` above the tip and at genesis.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    pub fn decided(&self, height: Height) -> Result<Option<DecidedBlock>, ReadError> {
        if let Some(layer) = self.layer(height) {
            return Ok(Some(DecidedBlock { block: layer.block.clone(), certificate: layer.certificate.clone() }));
        }
        let Some(position) = self.position(height)? else { return Ok(None) };
        let record = self.fixed.log.read(position, height)?;
        Ok(Some(DecidedBlock { block: Arc::new(record.block), certificate: Arc::new(record.certificate) }))
    }

    /// The same as canonical bytes, straight from the log: what a peer is sent.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    pub fn decided_bytes(&self, height: Height) -> Result<Option<DecidedBytes>, ReadError> {
        let Some(position) = self.position(height)? else { return Ok(None) };
        Ok(Some(self.fixed.log.read_bytes(position, height)?))
    }

    /// The id of the block of a height.
    ///
    /// # Errors
    /// [`ReadError`] when store or log cannot be read.
    pub fn block_id(&self, height: Height) -> Result<Option<BlockId>, ReadError> {
        match self.layer(height) {
            Some(layer) => Ok(Some(layer.effects.state.id)),
            None => Ok(self.decided(height)?.map(|decided| decided.certificate.block)),
        }
    }

    /// The height of a final block.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub fn height_of(&self, id: &BlockId) -> Result<Option<Height>, ReadError> {
        match self.layers.iter().rev().find(|layer| layer.effects.state.id == *id) {
            Some(layer) => Ok(Some(layer.height())),
            None => self.stored(Table::BLOCK_IDS, &id.0.0),
        }
    }

    /// Where a transaction is, when it is in a final block.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub fn location(&self, txid: &TxId) -> Result<Option<Location>, ReadError> {
        for layer in self.layers.iter().rev().filter(|layer| layer.effects.ids.may_hold(txid)) {
            if let Some(index) = layer.effects.positions.get(txid) {
                return Ok(Some(Location { height: layer.height(), index: *index }));
            }
        }
        let stored: Option<(Height, u32)> = self.stored(Table::TRANSACTIONS, &txid.0.0)?;
        Ok(stored.map(|(height, index)| Location { height, index }))
    }

    /// Where the record of a height starts in the log.
    pub(crate) fn position(&self, height: Height) -> Result<Option<u64>, ReadError> {
        match self.layer(height) {
            Some(layer) => Ok(Some(layer.position)),
            None => self.stored(Table::BLOCKS, &height.0.to_be_bytes()),
        }
    }
}

/// What brings the store from before the first of these blocks to after the last.
pub(crate) fn batch_of<A: Application>(application: &A, layers: &[Arc<Layer<A>>]) -> StoreBatch {
    let mut batch = StoreBatch::default();
    for layer in layers {
        let height = layer.height();
        application.write_changes(layer, &mut batch);
        for (index, facts) in (0u32..).zip(layer.effects.transactions.iter()) {
            batch.put(Table::TRANSACTIONS, facts.id.0.0.to_vec(), encode_compact(&(height, index)));
        }
        batch.put(Table::BLOCKS, height.0.to_be_bytes().to_vec(), encode(&layer.position));
        batch.put(Table::BLOCK_IDS, layer.effects.state.id.0.0.to_vec(), encode(&height));
        batch.put(Table::HISTORY, row_key(height), row(&layer.effects.history_nodes));
    }
    if let Some(last) = layers.last() {
        let applied = Applied { state: last.effects.state.clone(), log_end: last.log_end };
        batch.put(Table::META, APPLIED_KEY.to_vec(), encode(&applied));
    }
    batch
}
