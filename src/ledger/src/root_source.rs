//! How a view of the chain gives what output roots are computed from.

use crate::application::LedgerView;
use crate::delta::OutputChanges;
use crate::output_root::{RootSource, root_key};
use crate::state::OutputEntry;
use crate::tables::{OUTPUT_ROOTS, SPENT_PAYOUTS};
use crate::transaction::{OutPoint, Transaction, TxOutput};
use std::sync::Arc;
use timed_chain::{Application, Location, ReadError, StoreView, Table, transactions};
use timed_primitives::{Hash, Height, TxId};

impl RootSource for LedgerView {
    fn tip_height(&self) -> Height {
        self.height()
    }

    fn rows_height(&self) -> Height {
        self.stored_height()
    }

    fn unspent_count(&self) -> u64 {
        self.state().outputs
    }

    fn rows(&self) -> Arc<dyn StoreView> {
        self.store_view()
    }

    fn stored_root(&self, boundary: Height) -> Result<Option<Hash>, ReadError> {
        self.stored(OUTPUT_ROOTS, &root_key(boundary))
    }

    fn newest_changes(&self) -> impl Iterator<Item = (Height, &OutputChanges)> {
        self.layers().map(|layer| (layer.height(), layer.changes()))
    }

    fn payments(&self, height: Height) -> Result<Vec<Transaction>, ReadError> {
        let damaged = || ReadError::Undecodable { table: Table::BLOCKS.name() };
        let decided = self.decided(height)?.ok_or_else(damaged)?;
        transactions(&decided.block.payload).map_err(|_| damaged())
    }

    fn spent_payouts(&self, height: Height) -> Result<Vec<(OutPoint, OutputEntry)>, ReadError> {
        Ok(self.stored(SPENT_PAYOUTS, &height.0.to_be_bytes())?.unwrap_or_default())
    }

    fn location_of(&self, txid: &TxId) -> Result<Option<Location>, ReadError> {
        self.location(txid)
    }

    fn genesis_output(&self, outpoint: &OutPoint) -> Option<TxOutput> {
        let application = self.application();
        let is_genesis = outpoint.txid.0 == Application::genesis(application).hash;
        application.genesis().output(outpoint.index).filter(|_| is_genesis)
    }
}
