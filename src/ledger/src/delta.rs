//! What a block changes, built transaction by transaction on top of what was before it.

use crate::check::{TransactionError, check_form, check_spend};
use crate::error::ReadError;
use crate::filter::Filter;
use crate::overlay::StateView;
use crate::parameters::Parameters;
use crate::state::{OutputEntry, owner};
use std::collections::BTreeMap;
use timed_primitives::{
    Amount, ChainId, Domain, Hash, KeyHash, OutPoint, Transaction, TxFullId, TxId, TxOutput, encode,
};

/// The changes of one block. Outputs that are made and spent inside the block are in neither map.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    /// New unspent outputs; their height is the block's.
    pub(crate) created: BTreeMap<OutPoint, TxOutput>,
    /// Outputs of earlier blocks that are gone.
    pub(crate) spent: BTreeMap<OutPoint, OutputEntry>,
    /// Position of each transaction.
    pub(crate) transactions: BTreeMap<TxId, u32>,
    /// Owners of `created`, sorted.
    pub(crate) owners: Vec<(KeyHash, OutPoint)>,
    /// Sum of the fees.
    pub(crate) fees: Amount,
    /// Ids in `transactions` and of outputs in `spent`; those of `created` are among the former.
    pub(crate) touched: Filter,
}

impl Delta {
    /// Outputs that it makes or spends.
    pub(crate) fn changes(&self) -> usize {
        self.created.len() + self.spent.len()
    }
}

/// Why a transaction was not applied.
#[derive(Debug)]
pub(crate) enum ApplyError {
    /// It breaks a rule; nothing was changed.
    Invalid(TransactionError),
    /// The state could not be read.
    Read(ReadError),
}

impl From<TransactionError> for ApplyError {
    fn from(error: TransactionError) -> Self {
        Self::Invalid(error)
    }
}

/// A transaction's names and size, computed once.
pub(crate) struct TransactionIds {
    pub(crate) txid: TxId,
    pub(crate) full_id: TxFullId,
    pub(crate) size_bytes: usize,
}

impl TransactionIds {
    pub(crate) fn of(transaction: &Transaction) -> Self {
        let bytes = encode(transaction);
        let full_id = TxFullId(Hash::of(Domain::TransactionFullId, &bytes));
        Self { txid: transaction.id(), full_id, size_bytes: bytes.len() }
    }
}

/// Applies transactions in order.
pub(crate) struct DeltaBuilder<'a> {
    view: &'a StateView,
    chain_id: ChainId,
    parameters: &'a Parameters,
    delta: Delta,
}

impl<'a> DeltaBuilder<'a> {
    pub(crate) fn new(view: &'a StateView, chain_id: ChainId, parameters: &'a Parameters) -> Self {
        Self { view, chain_id, parameters, delta: Delta::default() }
    }

    /// Applies one more transaction, signatures apart, or changes nothing.
    pub(crate) fn apply(&mut self, transaction: &Transaction, measured: &TransactionIds) -> Result<(), ApplyError> {
        check_form(transaction, measured.size_bytes, self.chain_id, self.parameters)?;
        if self.delta.transactions.contains_key(&measured.txid) {
            return Err(TransactionError::Duplicate.into());
        }
        let inputs = &transaction.body.inputs;
        let mut found = Vec::with_capacity(inputs.len());
        for input in inputs {
            found.push(self.find(&input.previous)?);
        }
        let outputs: Vec<_> = found.iter().map(SpentSource::output).collect();
        let fee = check_spend(transaction, measured.size_bytes, self.parameters, &outputs)?;
        let fees = self.delta.fees.plus(fee).ok_or(TransactionError::InputsOverflow)?;
        let position = u32::try_from(self.delta.transactions.len()).unwrap_or(u32::MAX);
        self.delta.fees = fees;
        self.delta.transactions.insert(measured.txid, position);
        for (input, found) in inputs.iter().zip(found) {
            match found {
                SpentSource::InBlock(_) => drop(self.delta.created.remove(&input.previous)),
                SpentSource::Before(entry) => drop(self.delta.spent.insert(input.previous, entry)),
            }
        }
        for (index, output) in (0u32..).zip(&transaction.body.outputs) {
            self.delta.created.insert(OutPoint { txid: measured.txid, index }, *output);
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Delta {
        self.delta.owners = self.delta.created.iter().map(|(at, output)| (owner(&output.lock), *at)).collect();
        self.delta.owners.sort_unstable();
        let Delta { transactions, spent, .. } = &self.delta;
        let ids = transactions.keys().chain(spent.keys().map(|outpoint| &outpoint.txid));
        self.delta.touched = Filter::of(transactions.len().saturating_add(spent.len()), ids);
        self.delta
    }

    fn find(&self, outpoint: &OutPoint) -> Result<SpentSource, ApplyError> {
        if let Some(output) = self.delta.created.get(outpoint) {
            return Ok(SpentSource::InBlock(*output));
        }
        if self.delta.spent.contains_key(outpoint) {
            return Err(TransactionError::SpentInBlock(*outpoint).into());
        }
        match self.view.output(outpoint).map_err(ApplyError::Read)? {
            Some(entry) => Ok(SpentSource::Before(entry)),
            None => Err(TransactionError::UnknownInput(*outpoint).into()),
        }
    }
}

/// Where a spent output comes from.
enum SpentSource {
    InBlock(TxOutput),
    Before(OutputEntry),
}

impl SpentSource {
    fn output(&self) -> TxOutput {
        match self {
            Self::InBlock(output) => *output,
            Self::Before(entry) => entry.output,
        }
    }
}
