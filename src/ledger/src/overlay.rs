//! The newest blocks in memory over a snapshot of the store: together the whole state at the tip, immutable once published.

use crate::delta::Delta;
use crate::error::{ReadError, StoreError};
use crate::recent::Recent;
use crate::state::{Applied, ChainState, LedgerTip, OutputEntry, outpoint_of_owner_key, output_key, owner, owner_key};
use crate::store::{StoreBatch, StoreView, Table};
use std::collections::BTreeMap;
use std::sync::Arc;
use timed_primitives::{Block, BlockId, CommitCertificate, Height, KeyHash, OutPoint, TxId, decode, encode};

/// Most blocks that are not in the store yet. At the bound, a commit first writes them to the store.
pub const OVERLAY_BLOCKS_MAX: usize = 64;

/// Most outputs that those blocks make or spend, a block above it alone excepted; at the bound as above. Some ten full blocks. In memory
/// each costs about half a kilobyte, the batch for the store included.
pub const OVERLAY_CHANGES_MAX: usize = 1 << 17;

/// A final block and its effect, not yet in the store.
pub(crate) struct Layer {
    pub(crate) block: Arc<Block>,
    pub(crate) certificate: Arc<CommitCertificate>,
    pub(crate) delta: Arc<Delta>,
    pub(crate) state: Arc<ChainState>,
    /// Where its record starts in the log.
    pub(crate) position: u64,
    /// Where it ends.
    pub(crate) log_end: u64,
}

/// The state at one tip.
#[derive(Clone)]
pub(crate) struct StateView {
    pub(crate) snapshot: Arc<dyn StoreView>,
    /// The state the snapshot holds.
    pub(crate) applied: Arc<ChainState>,
    pub(crate) recent: Arc<Recent>,
    /// Blocks after it, in order of height without gap.
    pub(crate) layers: Vec<Arc<Layer>>,
    pub(crate) state: Arc<ChainState>,
    pub(crate) certificate: Option<Arc<CommitCertificate>>,
    pub(crate) log_end: u64,
}

/// Where a transaction is.
pub(crate) enum Location {
    Layer(Arc<Layer>, u32),
    Stored(Height, u32),
}

impl StateView {
    pub(crate) fn tip(&self) -> LedgerTip {
        LedgerTip {
            height: self.state.height,
            id: self.state.id,
            time: self.state.time,
            state_commitment: self.state.commitment(),
            certificate: self.certificate.as_deref().cloned(),
        }
    }

    /// The same with one more block.
    pub(crate) fn with(&self, layer: Arc<Layer>) -> Self {
        let mut next = self.clone();
        next.state = layer.state.clone();
        next.certificate = Some(layer.certificate.clone());
        next.log_end = layer.log_end;
        next.layers.push(layer);
        next
    }

    /// The same over a newer snapshot, which holds the first `count` blocks of the overlay.
    pub(crate) fn flushed(&self, count: usize, snapshot: Arc<dyn StoreView>) -> Self {
        let mut next = self.clone();
        let count = count.min(self.layers.len());
        self.recent.absorb(&self.layers[..count]);
        if let Some(last) = next.layers.drain(..count).next_back() {
            next.applied = last.state.clone();
        }
        next.snapshot = snapshot;
        next
    }

    /// How many of these blocks fit into the overlay now; one at least into an empty one.
    pub(crate) fn room_for<'a>(&self, blocks: impl Iterator<Item = &'a Block>) -> usize {
        let held: usize = self.layers.iter().map(|layer| layer.delta.changes()).sum();
        let mut left = OVERLAY_CHANGES_MAX.saturating_sub(held);
        let fits = |block: &&Block| {
            let changes: usize = block.transactions.iter().map(|t| t.body.inputs.len() + t.body.outputs.len()).sum();
            let is_room = changes <= left;
            left = left.saturating_sub(changes);
            is_room
        };
        let count = blocks.take(OVERLAY_BLOCKS_MAX.saturating_sub(self.layers.len())).take_while(fits).count();
        count.max(usize::from(self.layers.is_empty()))
    }

    /// The layer of a height, when it is not in the store yet.
    pub(crate) fn layer(&self, height: Height) -> Option<&Arc<Layer>> {
        let index = height.above(self.applied.height).checked_sub(1)?;
        self.layers.get(usize::try_from(index).ok()?)
    }

    pub(crate) fn output(&self, outpoint: &OutPoint) -> Result<Option<OutputEntry>, ReadError> {
        for layer in self.layers.iter().rev().filter(|layer| layer.delta.touched.may_hold(&outpoint.txid)) {
            if let Some(output) = layer.delta.created.get(outpoint) {
                return Ok(Some(OutputEntry { output: *output, height: layer.state.height }));
            }
            if layer.delta.spent.contains_key(outpoint) {
                return Ok(None);
            }
        }
        match self.recent.get(outpoint, self.applied.height) {
            Some(entry) => Ok(Some(entry)),
            None => self.stored(Table::Outputs, &output_key(outpoint)),
        }
    }

    /// Unspent outputs of an owner in order of outpoint, those above `after` only when it is given.
    pub(crate) fn outputs_of(
        &self,
        key: &KeyHash,
        after: Option<&OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, OutputEntry)>, ReadError> {
        let mut changes: BTreeMap<OutPoint, Option<OutputEntry>> = BTreeMap::new();
        for layer in &self.layers {
            let spent = layer.delta.spent.iter().filter(|(_, entry)| owner(&entry.output.lock) == *key);
            changes.extend(spent.map(|(outpoint, _)| (*outpoint, None)));
            let owners = &layer.delta.owners;
            let first = owners.partition_point(|(owner, _)| owner < key);
            for (_, outpoint) in owners.iter().skip(first).take_while(|(owner, _)| owner == key) {
                let output = layer.delta.created.get(outpoint);
                changes.insert(*outpoint, output.map(|o| OutputEntry { output: *o, height: layer.state.height }));
            }
        }
        let start = after.map(|outpoint| owner_key(key, outpoint));
        let enough = limit.saturating_add(changes.len());
        let stored = self.snapshot.scan(Table::OutputsByKey, &key.0.0, start.as_deref(), enough);
        let mut found = BTreeMap::new();
        for (stored_key, value) in stored.map_err(StoreError::from)? {
            let outpoint = outpoint_of_owner_key(&stored_key);
            let outpoint = outpoint.ok_or(ReadError::Undecodable { table: Table::OutputsByKey.name() })?;
            found.insert(outpoint, read(Table::OutputsByKey, &value)?);
        }
        for (outpoint, change) in changes {
            match change {
                Some(entry) if after.is_none_or(|after| outpoint > *after) => drop(found.insert(outpoint, entry)),
                _ => drop(found.remove(&outpoint)),
            }
        }
        Ok(found.into_iter().take(limit).collect())
    }

    pub(crate) fn location(&self, txid: &TxId) -> Result<Option<Location>, ReadError> {
        for layer in self.layers.iter().rev().filter(|layer| layer.delta.touched.may_hold(txid)) {
            if let Some(index) = layer.delta.transactions.get(txid) {
                return Ok(Some(Location::Layer(layer.clone(), *index)));
            }
        }
        let stored: Option<(Height, u32)> = self.stored(Table::Transactions, &txid.0.0)?;
        Ok(stored.map(|(height, index)| Location::Stored(height, index)))
    }

    pub(crate) fn height_of(&self, id: &BlockId) -> Result<Option<Height>, ReadError> {
        match self.layers.iter().rev().find(|layer| layer.state.id == *id) {
            Some(layer) => Ok(Some(layer.state.height)),
            None => self.stored(Table::BlockIds, &id.0.0),
        }
    }

    /// Where the record of a height starts in the log.
    pub(crate) fn position(&self, height: Height) -> Result<Option<u64>, ReadError> {
        match self.layer(height) {
            Some(layer) => Ok(Some(layer.position)),
            None => self.stored(Table::Blocks, &height.0.to_be_bytes()),
        }
    }

    fn stored<T: borsh::BorshDeserialize>(&self, table: Table, key: &[u8]) -> Result<Option<T>, ReadError> {
        let value = self.snapshot.get(table, key).map_err(StoreError::from)?;
        value.map(|bytes| read(table, &bytes)).transpose()
    }
}

fn read<T: borsh::BorshDeserialize>(table: Table, bytes: &[u8]) -> Result<T, ReadError> {
    decode(bytes).map_err(|_| ReadError::Undecodable { table: table.name() })
}

/// What brings the store from before the first of these blocks to after the last.
pub(crate) fn batch_of(layers: &[Arc<Layer>]) -> StoreBatch {
    let mut batch = StoreBatch::default();
    for layer in layers {
        let height = layer.state.height;
        for (outpoint, entry) in &layer.delta.spent {
            batch.delete(Table::Outputs, output_key(outpoint));
            batch.delete(Table::OutputsByKey, owner_key(&owner(&entry.output.lock), outpoint));
        }
        for (outpoint, output) in &layer.delta.created {
            put_output(&mut batch, outpoint, &OutputEntry { output: *output, height });
        }
        for (txid, index) in &layer.delta.transactions {
            batch.put(Table::Transactions, txid.0.0.to_vec(), encode(&(height, *index)));
        }
        batch.put(Table::Blocks, height.0.to_be_bytes().to_vec(), encode(&layer.position));
        batch.put(Table::BlockIds, layer.state.id.0.0.to_vec(), encode(&height));
    }
    if let Some(last) = layers.last() {
        let applied = Applied { state: (*last.state).clone(), log_end: last.log_end };
        batch.put(Table::Meta, Applied::KEY.to_vec(), applied.to_bytes());
    }
    batch
}

/// Writes an unspent output into both tables.
pub(crate) fn put_output(batch: &mut StoreBatch, outpoint: &OutPoint, entry: &OutputEntry) {
    batch.put(Table::Outputs, output_key(outpoint), encode(entry));
    batch.put(Table::OutputsByKey, owner_key(&owner(&entry.output.lock), outpoint), encode(entry));
}
