//! The chain as clients read it. What is in memory is answered at once; whatever may wait for the disk leaves the thread that answers.

use std::sync::Arc;
use timed_chain::{ChainStats, History as _};
use timed_ledger::{Genesis, LedgerQueries as _, LedgerReader, LedgerTotals, LedgerView, Supply};
use timed_primitives::Tip;
use timed_rpc::{DiskReads, RpcError, Trouble};

/// The only way from a client's question to the chain.
pub(crate) struct ChainReads {
    reader: LedgerReader,
    reads: DiskReads,
}

impl ChainReads {
    pub(crate) const fn new(reader: LedgerReader, reads: DiskReads) -> Self {
        Self { reader, reads }
    }

    /// Asks one tip. Errors: see [`DiskReads::run`].
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&LedgerView) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let view = self.reader.view();
        self.reads.run(move || read(&view)).await
    }

    /// The last final block.
    pub(super) fn tip(&self) -> Tip {
        self.reader.tip()
    }

    pub(super) fn genesis(&self) -> Arc<Genesis> {
        self.reader.genesis()
    }

    /// The tip, and all money at it.
    pub(super) fn summary(&self) -> (Tip, Supply, LedgerTotals) {
        let view = self.reader.view();
        (view.tip(), view.supply(), view.totals())
    }

    pub(super) fn stats(&self) -> ChainStats {
        self.reader.stats()
    }

    /// That the disk does not answer.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.reads.trouble()
    }
}
