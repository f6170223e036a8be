//! The chain as clients read it. What is in memory is answered at once; whatever may wait for the disk leaves the thread that answers.

use std::sync::Arc;
use timed_chain::{ChainStats, History as _};
use timed_ledger::{Genesis, LedgerQueries as _, LedgerReader, LedgerTotals, LedgerView, Supply};
use timed_primitives::Tip;
use timed_rpc::{DiskReads, RpcError, Trouble};

/// The only way from a client's question to the chain.
pub struct ChainReads {
    reader: LedgerReader,
    reads: DiskReads,
}

impl ChainReads {
    /// Of a ledger, through these places for reads of its disk.
    pub const fn new(reader: LedgerReader, reads: DiskReads) -> Self {
        Self { reader, reads }
    }

    /// Asks one tip. Errors: see [`DiskReads::run`].
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&LedgerView) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let view = self.reader.view();
        self.reads.run(move || read(&view)).await
    }

    /// The state at the last final block. What is in memory may be read from it at once.
    pub(crate) fn view(&self) -> Arc<LedgerView> {
        self.reader.view()
    }

    /// The last final block.
    pub(crate) fn tip(&self) -> Tip {
        self.reader.tip()
    }

    pub(crate) fn genesis(&self) -> Arc<Genesis> {
        self.reader.genesis()
    }

    /// The tip, and all money at it.
    pub(crate) fn summary(&self) -> (Tip, Supply, LedgerTotals) {
        let view = self.reader.view();
        (view.tip(), view.supply(), view.totals())
    }

    pub(crate) fn stats(&self) -> ChainStats {
        self.reader.stats()
    }

    /// That the disk does not answer.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.reads.trouble()
    }
}
