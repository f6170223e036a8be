//! What the pool must know of the decided chain.

use timed_primitives::{Amount, OutPoint, Transaction, TxId, TxOutput};

/// Seam: the decided chain, as far as the pool needs it. The daemon answers from the ledger's reader, tests from a map.
pub trait Chain {
    /// Why a transaction breaks a rule.
    type Refusal;

    /// The output, if it exists and is unspent at the tip.
    fn output(&self, outpoint: &OutPoint) -> Option<TxOutput>;

    /// Every rule but signatures and the existence of inputs, given the spent outputs in the order of the inputs. Returns the fee.
    ///
    /// # Errors
    /// The broken rule.
    fn check(&self, transaction: &Transaction, spent: &[TxOutput]) -> Result<Amount, Self::Refusal>;

    /// True when the transaction is in a decided block.
    fn is_known(&self, txid: &TxId) -> bool;
}
