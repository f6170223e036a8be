//! Moving blocks from the overlay to the store, on whatever thread the caller has for it.

use crate::error::StoreError;
use crate::overlay::{Layer, batch_of};
use crate::store::{Store, StoreView};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Writes some blocks of the overlay to the store. Cheap to clone; whoever runs it first does the work, others wait for it.
///
/// Made by [`crate::Ledger::begin_flush`]; the ledger sees by itself when it is done.
#[derive(Clone)]
pub struct FlushJob {
    shared: Arc<FlushShared>,
}

struct FlushShared {
    store: Arc<dyn Store>,
    layers: Vec<Arc<Layer>>,
    outcome: Mutex<Option<FlushOutcome>>,
}

type FlushOutcome = Result<Arc<dyn StoreView>, StoreError>;

impl FlushJob {
    pub(crate) fn new(store: Arc<dyn Store>, layers: Vec<Arc<Layer>>) -> Self {
        Self { shared: Arc::new(FlushShared { store, layers, outcome: Mutex::new(None) }) }
    }

    /// Does the work, unless it is done. May take long when the store compacts.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; the ledger learns of it too, and the node must stop.
    pub fn run(&self) -> Result<(), StoreError> {
        self.snapshot().map(|_| ())
    }

    /// Does the work, unless it is done, and gives what the store holds after it.
    pub(crate) fn snapshot(&self) -> FlushOutcome {
        self.lock().get_or_insert_with(|| self.write()).clone()
    }

    /// The outcome, when the work is done. Does not wait for it.
    pub(crate) fn outcome(&self) -> Option<FlushOutcome> {
        self.shared.outcome.try_lock().ok()?.clone()
    }

    /// How many blocks it writes.
    pub fn blocks(&self) -> usize {
        self.shared.layers.len()
    }

    fn write(&self) -> FlushOutcome {
        self.shared.store.write(batch_of(&self.shared.layers))?;
        Ok(self.shared.store.snapshot()?)
    }

    fn lock(&self) -> MutexGuard<'_, Option<FlushOutcome>> {
        self.shared.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
