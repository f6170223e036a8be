//! Moving blocks from the overlay to the store, on whatever thread the caller has for it.

use crate::error::StoreError;
use crate::store::{Store, StoreBatch, StoreView};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Writes some blocks of the overlay to the store. Cheap to clone; whoever runs it first does the work, others wait for it.
///
/// Made by [`crate::Chain::begin_flush`]; the chain sees by itself when it is done.
#[derive(Clone)]
pub struct FlushJob {
    shared: Arc<FlushShared>,
}

struct FlushShared {
    store: Arc<dyn Store>,
    blocks: usize,
    batch: Box<dyn Fn() -> StoreBatch + Send + Sync>,
    outcome: Mutex<Option<FlushOutcome>>,
}

type FlushOutcome = Result<Arc<dyn StoreView>, StoreError>;

impl FlushJob {
    /// `batch` makes what is to be written, of so many blocks.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        blocks: usize,
        batch: impl Fn() -> StoreBatch + Send + Sync + 'static,
    ) -> Self {
        Self { shared: Arc::new(FlushShared { store, blocks, batch: Box::new(batch), outcome: Mutex::new(None) }) }
    }

    /// Does the work, unless it is done. May take long when the store compacts.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; the chain learns of it too, and the node must stop.
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
        self.shared.blocks
    }

    fn write(&self) -> FlushOutcome {
        self.shared.store.write((self.shared.batch)())?;
        Ok(self.shared.store.snapshot()?)
    }

    fn lock(&self) -> MutexGuard<'_, Option<FlushOutcome>> {
        self.shared.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
