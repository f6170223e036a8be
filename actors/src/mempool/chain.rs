//! The decided chain, as the pool sees it.

use crate::fatal::FatalHandle;
use timed_ledger::{LedgerReader, ReadError, TransactionError, check_transaction};
use timed_mempool::Chain;
use timed_primitives::{Amount, OutPoint, Transaction, TxId, TxOutput};

/// The decided chain, as the pool sees it. What cannot be read counts as absent, and ends the process.
pub(super) struct ChainView {
    pub(super) reader: LedgerReader,
    pub(super) fatal: FatalHandle,
}

impl ChainView {
    fn read<T>(&self, found: Result<T, ReadError>) -> Option<T> {
        found.map_err(|error| self.fatal.fail(error.to_string())).ok()
    }
}

impl Chain for ChainView {
    type Refusal = TransactionError;

    fn output(&self, outpoint: &OutPoint) -> Option<TxOutput> {
        self.read(self.reader.output(outpoint)).flatten().map(|entry| entry.output)
    }

    fn check(&self, transaction: &Transaction, spent: &[TxOutput]) -> Result<Amount, TransactionError> {
        let genesis = self.reader.genesis();
        check_transaction(transaction, genesis.chain_id, &genesis.parameters, spent)
    }

    fn is_known(&self, txid: &TxId) -> bool {
        self.read(self.reader.is_confirmed(txid)).unwrap_or(false)
    }
}
