//! The chain as clients read it. What is in memory is answered at once; whatever may wait for the disk leaves the thread that answers.

use crate::witness::{Duty, duties};
use std::sync::Arc;
use timed_chain::{ChainStats, History as _};
use timed_ledger::{Genesis, LedgerQueries as _, LedgerReader, LedgerTotals, LedgerView, Supply};
use timed_primitives::{PublicKey, Tip};
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

    /// What the masternode with this operator key is asked.
    pub(crate) fn duties(&self, key: &PublicKey) -> Vec<Duty> {
        let view = self.reader.view();
        duties(view.state().masternodes(), view.state().rewards(), key)
    }

    /// Of which free masternodes the chain holds that a witness reached them.
    #[cfg(test)]
    pub(crate) fn stated(&self) -> Vec<timed_ledger::RegistrationId> {
        let view = self.reader.view();
        let drawn = view.state().rewards().drawn().filter(|(_, drawn)| drawn.stated() > 0);
        drawn.map(|(_, drawn)| drawn.free).collect()
    }

    /// The tip, and all money at it.
    pub(crate) fn summary(&self) -> (Tip, Supply, LedgerTotals) {
        let view = self.reader.view();
        (view.tip().clone(), view.supply(), view.totals())
    }

    pub(crate) fn stats(&self) -> ChainStats {
        self.reader.stats()
    }

    /// That the disk does not answer.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.reads.trouble()
    }
}
