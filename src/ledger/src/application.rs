//! Payments as an application of the chain.

use crate::check::{TransactionError, check_transaction};
use crate::delta::OutputChanges;
use crate::error::{LedgerOpenError, SupplyError};
use crate::genesis::{Genesis, GenesisError};
use crate::masternodes::{Change, MasternodeError, RegistrationId, RuleContext};
use crate::output_root::OutputRoots;
use crate::payload::TransactionPayload;
use crate::queries::{LedgerQueries as _, LedgerQuery};
use crate::recent::Recent;
use crate::state::{OutputEntry, Supply, output_key, owner_key};
use crate::tables::{OUTPUT_ROOTS, OUTPUTS, OUTPUTS_BY_KEY};
use crate::totals::Totals;
use crate::transaction::{CHANGE_INDEX, OutPoint, Transaction, TxOutput};
use std::sync::Arc;
use timed_chain::{
    Application, ApplyError, Chain, ChainGenesis, ChainReader, CheckError, Layer, Pending, QueryError, ReadError,
    Refusal, Resource, StateView, Store, StoreBatch, Table, TransactionFacts, WorkingState,
};
use timed_primitives::{Amount, Disk, Hash, Height, ValidatorSet, decode, encode, encode_compact};

/// Payments: unspent outputs, and transactions that spend them.
pub struct PaymentApplication {
    genesis: Arc<Genesis>,
    chain: ChainGenesis,
    /// All money there is.
    supply: Amount,
    /// Who decides the first two blocks.
    validators: ValidatorSet,
    pub(crate) recent: Recent,
    output_roots: OutputRoots,
}

/// The chain of payments: its one writer.
pub type Ledger = Chain<PaymentApplication>;
/// Its readers; [`crate::LedgerQueries`] asks about money.
pub type LedgerReader = ChainReader<PaymentApplication>;
/// Its state at one tip.
pub type LedgerView = StateView<PaymentApplication>;

/// Opens the ledger of a genesis: see [`Chain::open`].
///
/// # Errors
/// [`LedgerOpenError`] says what is at fault, where, and what to do.
pub fn open(genesis: Genesis, disk: &dyn Disk, store: Arc<dyn Store>) -> Result<Ledger, LedgerOpenError> {
    Ok(Chain::open(PaymentApplication::new(genesis)?, disk, store)?)
}

impl PaymentApplication {
    /// Of a genesis.
    ///
    /// # Errors
    /// [`GenesisError`] when it is not valid.
    pub fn new(genesis: Genesis) -> Result<Self, GenesisError> {
        genesis.validate()?;
        let (chain, supply, validators) = (genesis.chain(), genesis.supply()?, genesis.validator_set()?);
        let output_roots = OutputRoots::new(genesis.parameters.output_root_interval);
        Ok(Self { genesis: Arc::new(genesis), chain, supply, validators, recent: Recent::default(), output_roots })
    }

    /// How it started.
    pub const fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }

    /// Whether no money was made or lost.
    fn adds_up(&self, state: &Totals) -> bool {
        state.unspent.plus(state.fees) == Some(self.supply)
    }

    /// The output, made by a block or by a transaction that waits.
    fn output(view: &LedgerView, outpoint: &OutPoint, pending: &dyn Pending) -> Result<Option<TxOutput>, ReadError> {
        if let Some(bytes) = pending.producer(&outpoint.resource()) {
            let index = usize::try_from(outpoint.index).unwrap_or(usize::MAX);
            let producer: Option<Transaction> = decode(&bytes).ok();
            return Ok(producer.and_then(|producer| producer.body.outputs.get(index).copied()));
        }
        Ok(view.output(outpoint)?.map(|entry| entry.output))
    }

    /// The registration that waits and whose collateral this is. Its release cannot wait beside it: that needs a masternode that left.
    fn waiting_registration(outpoint: &OutPoint, pending: &dyn Pending) -> Option<RegistrationId> {
        let bytes = pending.producer(&outpoint.resource()).filter(|_| outpoint.index == 0)?;
        let producer: Transaction = decode(&bytes).ok()?;
        matches!(producer.body.payload, TransactionPayload::Register(_)).then_some(RegistrationId(outpoint.txid.0))
    }
}

impl Application for PaymentApplication {
    type Transaction = Transaction;
    type State = Totals;
    type Changes = OutputChanges;

    const TABLES: &'static [Table] = &[OUTPUTS, OUTPUTS_BY_KEY, OUTPUT_ROOTS];

    fn genesis(&self) -> &ChainGenesis {
        &self.chain
    }

    fn genesis_state(&self, batch: &mut StoreBatch) -> Totals {
        for (outpoint, output) in self.genesis.unspent() {
            put_output(batch, &outpoint, &OutputEntry { output, height: Height::GENESIS });
        }
        Totals::genesis(&self.genesis, self.supply, self.validators.clone())
    }

    fn validators(&self, state: &Totals, tip: Height, height: Height) -> ValidatorSet {
        state.schedule.at(height.above(tip)).clone()
    }

    fn masternode_root(&self, state: &Totals) -> Hash {
        state.masternodes.root()
    }

    fn commitment(&self, state: &Totals, height: Height) -> Hash {
        state.commitment(height)
    }

    fn output_root(&self, view: &LedgerView, height: Height) -> Result<Hash, ReadError> {
        self.output_roots.due(view, height)
    }

    fn on_committed(&self, view: &LedgerView) -> Result<(), ReadError> {
        self.output_roots.advance(view)
    }

    fn apply(
        &self,
        view: &LedgerView,
        work: &mut WorkingState<Self>,
        transaction: &Transaction,
        facts: &TransactionFacts,
    ) -> Result<(), ApplyError> {
        let (height, time) = (work.block.height, work.block.time);
        let parameters = &self.genesis.parameters;
        let checked = work.changes.check(view, (self.genesis.chain_id, parameters, height), transaction, facts)?;
        let rules = RuleContext { parameters, height, time };
        let change = work.state.masternodes.plan(facts.id, transaction, rules);
        let change = change.map_err(|error| ApplyError::refused(TransactionError::from(error)))?;
        work.changes.apply(transaction, facts.id, checked);
        if change != Change::Nothing {
            Arc::make_mut(&mut work.state.masternodes).carry_out(change);
        }
        Ok(())
    }

    fn finish(&self, view: &LedgerView, mut work: WorkingState<Self>) -> Result<(Totals, OutputChanges), Refusal> {
        work.changes.finish();
        let (height, time) = (work.block.height, work.block.time);
        let gone = work.state.masternodes.departures(time);
        if !gone.is_empty() {
            Arc::make_mut(&mut work.state.masternodes).leave(&gone, height, time);
        }
        let is_changed = !Arc::ptr_eq(&work.state.masternodes, &view.state().masternodes);
        work.state.schedule = match is_changed {
            true => {
                let list = Arc::make_mut(&mut work.state.masternodes);
                list.seal();
                work.state.schedule.after(list.validators().map_err(Refusal::new)?)
            }
            false => work.state.schedule.unchanged(),
        };
        let before = work.state.supply();
        let after = work.state.after(height, &work.changes);
        let impossible = |supply: Supply| {
            Refusal::new(SupplyError { unspent: supply.unspent, fees: supply.fees, supply: self.supply })
        };
        let after = after.ok_or_else(|| impossible(before))?;
        if self.adds_up(&after) { Ok((after, work.changes)) } else { Err(impossible(after.supply())) }
    }

    fn is_sound(&self, state: &Totals) -> bool {
        self.adds_up(state) && state.masternodes.validators().as_ref() == Ok(state.schedule.at(2))
    }

    fn changes_len(changes: &OutputChanges) -> usize {
        changes.len()
    }

    fn write_changes(&self, layer: &Layer<Self>, batch: &mut StoreBatch) {
        // An output is made once, so one that the same batch makes is not in the store and need not get there.
        for (outpoint, entry) in &layer.changes().spent {
            batch.take_back(OUTPUTS, output_key(outpoint));
            batch.take_back(OUTPUTS_BY_KEY, owner_key(&entry.output.lock.owner_hash(), outpoint));
        }
        for (outpoint, output) in &layer.changes().created {
            put_output(batch, outpoint, &OutputEntry { output: *output, height: layer.height() });
        }
        self.output_roots.write(layer.height(), batch);
    }

    fn on_stored(&self, layers: &[Arc<Layer<Self>>]) {
        self.recent.absorb(layers.iter().map(|layer| (layer.height(), layer.changes())));
    }

    fn check(
        &self,
        view: &LedgerView,
        transaction: &Transaction,
        facts: &TransactionFacts,
        pending: &dyn Pending,
    ) -> Result<Amount, CheckError> {
        let refused = |error: TransactionError| CheckError::Refused(Refusal::new(error));
        let mut spent = Vec::with_capacity(transaction.body.inputs.len());
        for input in &transaction.body.inputs {
            let output = Self::output(view, &input.previous, pending)?;
            if let Some(registration) = Self::waiting_registration(&input.previous, pending) {
                let locked = MasternodeError::CollateralLocked { outpoint: input.previous, registration };
                return Err(refused(locked.into()));
            }
            spent.push(output.ok_or_else(|| CheckError::Missing(input.previous.resource()))?);
        }
        let (chain_id, parameters) = (self.genesis.chain_id, &self.genesis.parameters);
        // Nothing that waits may have to wait for a height: the next block must be able to take it.
        let (height, time) = (view.height().next(), view.tip().time);
        let fee = check_transaction(transaction, facts.size_bytes, chain_id, parameters, height, &spent);
        let fee = fee.map_err(refused)?;
        // The next block is not older than the tip: what waits for a time and may be in a block of the tip's may be in it.
        let planned = view.state().masternodes.plan(facts.id, transaction, RuleContext { parameters, height, time });
        planned.map(|_| fee).map_err(|error| refused(error.into()))
    }

    fn is_available(&self, view: &LedgerView, resource: &Resource) -> Result<bool, ReadError> {
        if resource.index == CHANGE_INDEX {
            return Ok(view.state().masternodes.iter().any(|one| one.last_change.0 == resource.origin));
        }
        Ok(view.output(&OutPoint::from(*resource))?.is_some())
    }

    fn query(&self, view: &LedgerView, request: &[u8]) -> Result<Vec<u8>, QueryError> {
        match decode(request).map_err(|_| QueryError::Unknown)? {
            LedgerQuery::Balance(key) => {
                let outputs = view.outputs_of(&key, None, usize::MAX)?;
                Ok(encode(&Amount::sum(outputs.iter().map(|(_, entry)| entry.output.amount)).unwrap_or_default()))
            }
            LedgerQuery::Supply => Ok(encode(&view.supply())),
        }
    }
}

/// Writes an unspent output into both tables.
fn put_output(batch: &mut StoreBatch, outpoint: &OutPoint, entry: &OutputEntry) {
    let value = encode_compact(entry);
    batch.put(OUTPUTS, output_key(outpoint), value.clone());
    batch.put(OUTPUTS_BY_KEY, owner_key(&entry.output.lock.owner_hash(), outpoint), value);
}
