//! Payments as an application of the chain.

use crate::check::{TransactionError, check_transaction};
use crate::delta::OutputChanges;
use crate::error::{LedgerOpenError, SupplyError};
use crate::genesis::{Genesis, GenesisError};
use crate::masternodes::{Change, MasternodeError, RegistrationId, RuleContext, VotingMasternodes};
use crate::output_root::OutputRoots;
use crate::payload::TransactionPayload;
use crate::queries::{LedgerQueries as _, LedgerQuery};
use crate::recent::Recent;
use crate::rewards::{BlockEnd, Closing, REWARD_REPORTS_MAX, StatementError, draw, payout_id};
use crate::state::{OutputEntry, Supply, output_key, owner_key};
use crate::tables::{OUTPUT_ROOTS, OUTPUTS, OUTPUTS_BY_KEY, REWARD_REPORTS, SPENT_PAYOUTS};
use crate::totals::Totals;
use crate::transaction::{
    CHANGE_INDEX, DOUBLE_SIGN_INDEX, OutPoint, REACHABILITY_INDEX, Transaction, TransactionBody, TxOutput, Witness,
};
use std::sync::Arc;
use timed_chain::{
    Application, ApplyError, Chain, ChainGenesis, ChainReader, CheckError, Evidence, Layer, Pending, QueryError,
    ReadError, Refusal, Resource, StateView, Store, StoreBatch, Table, TransactionFacts, WorkingState,
};
use timed_primitives::{Amount, CommitCertificate, Disk, Hash, Height, ValidatorSet, decode, encode, encode_compact};

/// Payments: unspent outputs, and transactions that spend them.
pub struct PaymentApplication {
    genesis: Arc<Genesis>,
    chain: ChainGenesis,
    /// All money there is.
    supply: Amount,
    /// Who decides the first two blocks.
    voters: VotingMasternodes,
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
        let (chain, supply, voters) = (genesis.chain(), genesis.supply()?, genesis.voters()?);
        let output_roots = OutputRoots::new(genesis.parameters.output_root_interval);
        Ok(Self { genesis: Arc::new(genesis), chain, supply, voters, recent: Recent::default(), output_roots })
    }

    /// How it started.
    pub const fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }

    /// Whether no money was made or lost.
    fn adds_up(&self, state: &Totals) -> bool {
        let supply = state.supply();
        let made = self.supply.plus(supply.issued);
        made.is_some() && supply.total() == made
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

    const TABLES: &'static [Table] = &[OUTPUTS, OUTPUTS_BY_KEY, OUTPUT_ROOTS, REWARD_REPORTS, SPENT_PAYOUTS];

    fn genesis(&self) -> &ChainGenesis {
        &self.chain
    }

    fn genesis_state(&self, batch: &mut StoreBatch) -> Totals {
        for (outpoint, output) in self.genesis.unspent() {
            put_output(batch, &outpoint, &OutputEntry { output, height: Height::GENESIS });
        }
        Totals::genesis(&self.genesis, self.supply, self.voters.clone())
    }

    fn validators(&self, state: &Totals, tip: Height, height: Height) -> ValidatorSet {
        state.schedule.at(height.above(tip)).validators().clone()
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

    fn begin(&self, view: &LedgerView, work: &mut WorkingState<Self>, certificate: Option<&CommitCertificate>) {
        if let Some(certificate) = certificate {
            Arc::make_mut(&mut work.state.rewards).record(certificate, view.state().schedule.at(0));
        }
    }

    fn statement(&self, view: &LedgerView, statement: &Evidence) -> Option<Transaction> {
        let payload = match statement {
            Evidence::LatePrecommits(late) => {
                TransactionPayload::LatePrecommits(view.state().rewards.missing_of(late)?)
            }
            Evidence::DoubleSign(proof) => {
                let registration = view.state().masternodes.accused(proof, view.tip().time)?;
                TransactionPayload::DoubleSign { registration, proof: proof.clone() }
            }
        };
        Some(TransactionBody::statement(self.genesis.chain_id, payload).sign(&[]))
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
        let penalty = work.state.masternodes.penalty_of(transaction);
        let chain = (self.genesis.chain_id, parameters, height);
        let checked = work.changes.check(view, chain, transaction, facts, penalty)?;
        let rules = RuleContext { parameters, height, time, voters: view.state().schedule.at(2) };
        let refused = |error: TransactionError| ApplyError::refused(error);
        let change =
            work.state.masternodes.plan(facts.id, transaction, rules).map_err(|error| refused(error.into()))?;
        match &transaction.body.payload {
            TransactionPayload::LatePrecommits(late) => {
                let voters = work.state.rewards.check_late(late).map_err(|error| refused(error.into()))?;
                Arc::make_mut(&mut work.state.rewards).add_late(late, &voters);
            }
            TransactionPayload::Reachability { interval, free, witness } => {
                check_reachability(&work.state, transaction, (*interval, *free, *witness))
                    .map_err(|error| refused(error.into()))?;
                Arc::make_mut(&mut work.state.rewards).add_reached(*interval, *free, *witness);
            }
            _ => {}
        }
        work.changes.apply(transaction, facts.id, checked);
        if change != Change::Nothing {
            Arc::make_mut(&mut work.state.masternodes).carry_out(change, rules);
        }
        Ok(())
    }

    fn finish(&self, view: &LedgerView, mut work: WorkingState<Self>) -> Result<(Totals, OutputChanges), Refusal> {
        let (height, time) = (work.block.height, work.block.time);
        let (parameters, before) = (&self.genesis.parameters, &view.state().schedule);
        let impossible = |supply: Supply| Refusal::new(SupplyError { supply, genesis: self.supply });
        let end = BlockEnd {
            height,
            time,
            fees: work.changes.fees,
            voters: before.at(1),
            list: &work.state.masternodes,
            money: work.state.supply.total().ok_or_else(|| impossible(work.state.supply))?,
            parameters,
        };
        let closing = Arc::make_mut(&mut work.state.rewards).end_block(end);
        let closing = closing.ok_or_else(|| impossible(work.state.supply))?;
        let missing = match &closing {
            Closing::Closed(Some(payment)) => payment.report.missing.clone(),
            Closing::Closed(None) | Closing::None => Vec::new(),
        };
        let rules = RuleContext { parameters, height, time, voters: before.at(2) };
        let exits = work.state.masternodes.exits(rules, &missing);
        if !exits.is_empty() {
            Arc::make_mut(&mut work.state.masternodes).carry_out_exits(&exits, rules);
            Arc::make_mut(&mut work.state.rewards).forget(exits.iter().map(|exit| exit.registration));
        }
        let forgotten = work.state.masternodes.forgettable(rules);
        if !forgotten.is_empty() {
            Arc::make_mut(&mut work.state.masternodes).forget(&forgotten);
        }
        let is_changed = !Arc::ptr_eq(&work.state.masternodes, &view.state().masternodes);
        work.state.schedule = match is_changed {
            true => {
                let list = Arc::make_mut(&mut work.state.masternodes);
                list.seal();
                work.state.schedule.after(list.voters().map_err(Refusal::new)?)
            }
            false => work.state.schedule.unchanged(),
        };
        if let Closing::Closed(payment) = closing {
            let drawn = draw(view.tip().id, &work.state.masternodes, work.state.schedule.at(2));
            Arc::make_mut(&mut work.state.rewards).set_drawn(drawn);
            work.changes.pay(payment, payout_id(self.chain.hash, height));
        }
        work.changes.finish();
        let after = work.state.after(height, &work.changes).ok_or_else(|| impossible(work.state.supply))?;
        if self.adds_up(&after) { Ok((after, work.changes)) } else { Err(impossible(after.supply())) }
    }

    fn is_sound(&self, state: &Totals) -> bool {
        self.adds_up(state) && state.masternodes.voters().as_ref() == Ok(state.schedule.at(2))
    }

    fn make_room(changes: &mut OutputChanges, consumed: usize, produced: usize) {
        changes.make_room(consumed, produced);
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
        let spent = layer.changes().spent_payouts(self.chain.hash);
        if !spent.is_empty() {
            batch.put(SPENT_PAYOUTS, layer.height().0.to_be_bytes().to_vec(), encode(&spent));
        }
        let kept = self.genesis.parameters.output_root_interval.saturating_mul(2);
        if let Some(old) = layer.height().0.checked_sub(kept) {
            batch.delete(SPENT_PAYOUTS, old.to_be_bytes().to_vec());
        }
        for (outpoint, output) in &layer.changes().created {
            put_output(batch, outpoint, &OutputEntry { output: *output, height: layer.height() });
        }
        self.output_roots.write(layer.height(), batch);
        if let Some(report) = layer.changes().payment.as_ref().map(|payment| &payment.report) {
            batch.put(REWARD_REPORTS, report.interval.to_be_bytes().to_vec(), encode_compact(report));
            if let Some(old) = report.interval.checked_sub(REWARD_REPORTS_MAX) {
                batch.delete(REWARD_REPORTS, old.to_be_bytes().to_vec());
            }
        }
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
        if let TransactionPayload::LatePrecommits(_) = transaction.body.payload {
            return Err(refused(StatementError::OnlyInBlocks.into()));
        }
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
        let penalty = view.state().masternodes.penalty_of(transaction);
        let fee = check_transaction(transaction, facts.size_bytes, chain_id, parameters, height, &spent, penalty);
        let fee = fee.map_err(refused)?;
        // The next block is not older than the tip: what waits for a time and may be in a block of the tip's may be in it.
        let rules = RuleContext { parameters, height, time, voters: view.state().schedule.at(2) };
        let planned = view.state().masternodes.plan(facts.id, transaction, rules);
        planned.map_err(|error| refused(error.into()))?;
        if let TransactionPayload::Reachability { interval, free, witness } = transaction.body.payload {
            let stated = check_reachability(view.state(), transaction, (interval, free, witness));
            stated.map_err(|error| refused(error.into()))?;
        }
        Ok(fee)
    }

    fn is_available(&self, view: &LedgerView, resource: &Resource) -> Result<bool, ReadError> {
        let list = &view.state().masternodes;
        match resource.index {
            CHANGE_INDEX => Ok(list.iter().any(|one| one.last_change.0 == resource.origin)),
            DOUBLE_SIGN_INDEX => Ok(list.get(&RegistrationId(resource.origin)).is_some_and(|one| !one.is_ended())),
            REACHABILITY_INDEX => Ok(view.state().rewards.is_stateable(resource)),
            _ => Ok(view.output(&OutPoint::from(*resource))?.is_some()),
        }
    }

    fn query(&self, view: &LedgerView, request: &[u8]) -> Result<Vec<u8>, QueryError> {
        match decode(request).map_err(|_| QueryError::Unknown)? {
            LedgerQuery::Balance(key) => {
                let outputs = view.outputs_of(&key, None, usize::MAX)?;
                Ok(encode(&Amount::sum(outputs.iter().map(|(_, entry)| entry.output.amount)).unwrap_or_default()))
            }
            LedgerQuery::Supply => Ok(encode(&view.supply())),
            LedgerQuery::Masternodes => Ok(encode(&**view.state().masternodes())),
        }
    }
}

/// Whether a witness that was drawn says now that it reached a free masternode.
fn check_reachability(
    state: &Totals,
    transaction: &Transaction,
    (interval, free, witness): (u64, RegistrationId, RegistrationId),
) -> Result<(), StatementError> {
    state.rewards.check_reached(interval, free, witness)?;
    let Some(expected) = state.masternodes.get(&witness).map(|one| one.operator) else {
        return Err(StatementError::NotDrawn { interval, free, witness });
    };
    match transaction.witnesses.first() {
        Some(Witness::Key { key, .. }) if *key == expected => Ok(()),
        _ => Err(StatementError::NotSigned { witness, expected }),
    }
}

/// Writes an unspent output into both tables.
fn put_output(batch: &mut StoreBatch, outpoint: &OutPoint, entry: &OutputEntry) {
    let value = encode_compact(entry);
    batch.put(OUTPUTS, output_key(outpoint), value.clone());
    batch.put(OUTPUTS_BY_KEY, owner_key(&entry.output.lock.owner_hash(), outpoint), value);
}
