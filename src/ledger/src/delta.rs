//! What a block changes, built transaction by transaction on top of what was before it.

use crate::check::{TransactionError, check_form, check_spend};
use crate::lock::KeyHash;
use crate::parameters::Parameters;
use crate::queries::LedgerQueries;
use crate::rewards::{IntervalPayment, payout_id};
use crate::state::OutputEntry;
use crate::transaction::{OutPoint, Transaction, TxOutput};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use timed_chain::{ApplyError, Filter, TransactionFacts};
use timed_primitives::{Amount, ChainId, Hash, Height, IdMap, TxId};

/// The changes of one block. Outputs that are made and spent inside the block are in neither map.
#[derive(Debug, Default)]
pub struct OutputChanges {
    /// New unspent outputs; their height is the block's.
    pub(crate) created: IdMap<OutPoint, TxOutput>,
    /// Outputs of earlier blocks that are gone.
    pub(crate) spent: IdMap<OutPoint, OutputEntry>,
    /// Owners of `created`, sorted when somebody asks for them first.
    owners: OnceLock<Vec<(KeyHash, OutPoint)>>,
    /// Sum of the fees.
    pub(crate) fees: Amount,
    /// What released collaterals pay to the treasury.
    pub(crate) penalties: Amount,
    /// How many transactions.
    pub(crate) transactions: u64,
    /// Ids in the names of `created` and `spent`.
    pub(crate) touched: Filter,
    /// What an interval paid, when the block closed one.
    pub(crate) payment: Option<IntervalPayment>,
}

/// Where a spent output comes from.
enum SpentSource {
    InBlock(TxOutput),
    Before(OutputEntry),
}

/// A transaction that may be applied: where what it spends comes from, and the fees with it.
pub(crate) struct CheckedSpend {
    found: Vec<SpentSource>,
    fees: Amount,
    penalties: Amount,
}

impl SpentSource {
    fn output(&self) -> TxOutput {
        match self {
            Self::InBlock(output) => *output,
            Self::Before(entry) => entry.output,
        }
    }
}

impl OutputChanges {
    /// Outputs that it makes or spends.
    pub(crate) fn len(&self) -> usize {
        self.created.len() + self.spent.len()
    }

    /// Checks one more transaction, signatures apart, and changes nothing.
    pub(crate) fn check(
        &self,
        view: &impl LedgerQueries,
        (chain_id, parameters, height): (ChainId, &Parameters, Height),
        transaction: &Transaction,
        facts: &TransactionFacts,
        penalty: Amount,
    ) -> Result<CheckedSpend, ApplyError> {
        check_form(transaction, facts.size_bytes, chain_id, parameters).map_err(ApplyError::refused)?;
        let inputs = &transaction.body.inputs;
        let mut found = Vec::with_capacity(inputs.len());
        for input in inputs {
            found.push(self.find(view, &input.previous)?);
        }
        let outputs: Vec<_> = found.iter().map(SpentSource::output).collect();
        let fee = check_spend(transaction, facts.size_bytes, parameters, height, &outputs, penalty);
        let fee = fee.map_err(ApplyError::refused)?;
        let fees = self.fees.plus(fee).ok_or_else(|| ApplyError::refused(TransactionError::InputsOverflow))?;
        let penalties =
            self.penalties.plus(penalty).ok_or_else(|| ApplyError::refused(TransactionError::InputsOverflow))?;
        Ok(CheckedSpend { found, fees, penalties })
    }

    /// Applies what was checked on the same state.
    pub(crate) fn apply(&mut self, transaction: &Transaction, id: TxId, checked: CheckedSpend) {
        let CheckedSpend { found, fees, penalties } = checked;
        (self.fees, self.penalties) = (fees, penalties);
        self.transactions += 1;
        for (input, found) in transaction.body.inputs.iter().zip(found) {
            match found {
                SpentSource::InBlock(_) => drop(self.created.remove(&input.previous)),
                SpentSource::Before(entry) => drop(self.spent.insert(input.previous, entry)),
            }
        }
        for (index, output) in (0u32..).zip(&transaction.body.outputs) {
            self.created.insert(OutPoint { txid: id, index }, *output);
        }
    }

    /// No more transactions follow.
    pub(crate) fn finish(&mut self) {
        let ids = self.created.keys().chain(self.spent.keys()).map(|outpoint| &outpoint.txid);
        self.touched = Filter::of(self.len(), ids);
    }

    /// New unspent outputs of an owner.
    pub(crate) fn created_of(&self, owner: &KeyHash) -> impl Iterator<Item = (OutPoint, TxOutput)> {
        let owners = self.owners.get_or_init(|| {
            let mut owners: Vec<_> = self.created.iter().map(|(at, output)| (output.lock.owner_hash(), *at)).collect();
            owners.sort_unstable();
            owners
        });
        let first = owners.partition_point(|(other, _)| other < owner);
        let of_owner = owners.iter().skip(first).take_while(move |(other, _)| other == owner);
        of_owner.filter_map(|(_, outpoint)| Some((*outpoint, *self.created.get(outpoint)?)))
    }

    /// Room for so many outputs that are spent and made.
    pub(crate) fn make_room(&mut self, spent: usize, created: usize) {
        self.spent.reserve(spent);
        self.created.reserve(created);
    }

    /// Those of the spent outputs that no transaction made, in order.
    pub(crate) fn spent_payouts(&self, genesis: Hash) -> Vec<(OutPoint, OutputEntry)> {
        let mut ids: BTreeMap<Height, TxId> = BTreeMap::new();
        let mut is_payout = |outpoint: &OutPoint, entry: &OutputEntry| {
            *ids.entry(entry.height).or_insert_with(|| payout_id(genesis, entry.height)) == outpoint.txid
        };
        let spent = self.spent.iter().filter(|(outpoint, entry)| is_payout(outpoint, entry));
        let mut spent: Vec<_> = spent.map(|(outpoint, entry)| (*outpoint, *entry)).collect();
        spent.sort_unstable_by_key(|(outpoint, _)| *outpoint);
        spent
    }

    /// An interval is paid: its payouts are outputs of this id.
    pub(crate) fn pay(&mut self, payment: Option<IntervalPayment>, id: TxId) {
        for (index, output) in (0u32..).zip(payment.iter().flat_map(|payment| &payment.report.outputs)) {
            self.created.insert(OutPoint { txid: id, index }, *output);
        }
        self.payment = payment;
    }

    fn find(&self, view: &impl LedgerQueries, outpoint: &OutPoint) -> Result<SpentSource, ApplyError> {
        if let Some(output) = self.created.get(outpoint) {
            return Ok(SpentSource::InBlock(*output));
        }
        if self.spent.contains_key(outpoint) {
            return Err(ApplyError::refused(TransactionError::SpentInBlock(*outpoint)));
        }
        match view.output(outpoint)? {
            Some(entry) => Ok(SpentSource::Before(entry)),
            None => Err(ApplyError::refused(TransactionError::UnknownInput(*outpoint))),
        }
    }
}
