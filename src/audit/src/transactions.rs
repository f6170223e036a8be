//! What a transaction of a block may do, and what it does.

use crate::error::BrokenRule as Fault;
use crate::list::registration_of;
use crate::place::AuditedBlock;
use crate::state::State;
use timed_ledger::{Lock, LockOwner, OutPoint, Parameters, Transaction, TransactionPayload, TxOutput, Witness};
use timed_primitives::{Amount, TxId};

/// The one format.
const VERSION: u16 = 2;

impl State {
    /// Applies a transaction, whose encoding has so many bytes, and says what fee it pays. After an error the state is half changed.
    pub(crate) fn transaction(
        &mut self,
        place: AuditedBlock<'_>,
        txid: TxId,
        transaction: &Transaction,
        bytes: usize,
    ) -> Result<Amount, Fault> {
        let body = &transaction.body;
        if body.version != VERSION {
            return Err(Fault::Version(body.version));
        }
        if body.chain_id != place.chain {
            return Err(Fault::Chain(body.chain_id));
        }
        let (bytes, max) = (u64::try_from(bytes).unwrap_or(u64::MAX), place.parameters.transaction_bytes_max);
        if bytes > max.into() {
            return Err(Fault::TooLarge { bytes, max });
        }
        if is_statement(&body.payload) {
            self.statement(place, transaction)?;
            return Ok(Amount::ZERO);
        }
        if body.inputs.is_empty() || body.outputs.is_empty() {
            return Err(Fault::Empty);
        }
        let (found, needed) = (transaction.witnesses.len(), body.inputs.len() + signers(&body.payload));
        if found != needed {
            return Err(Fault::Witnesses { found, needed });
        }
        let outputs = made(&body.outputs, place.parameters)?;
        let inputs = self.spend(place, transaction)?;
        let penalty = self.change(place, txid, transaction)?;
        let left = inputs.checked_sub(outputs).and_then(|left| left.checked_sub(penalty.0.into()));
        let fee = left.ok_or_else(|| Fault::Uncovered { inputs: amount(inputs), outputs: amount(outputs), penalty })?;
        let (fee, min) = (amount(fee), Amount(place.parameters.fee_per_byte_min.saturating_mul(bytes)));
        if fee < min {
            return Err(Fault::Fee { fee, min });
        }
        for (index, output) in (0..).zip(&body.outputs) {
            self.money.make(OutPoint { txid, index }, *output, place.height);
        }
        self.money.fees = self.money.fees.plus(fee).ok_or(Fault::Range)?;
        self.money.treasury = self.money.treasury.plus(penalty).ok_or(Fault::Range)?;
        self.penalties_paid = self.penalties_paid.plus(penalty).ok_or(Fault::Range)?;
        self.participation.open.fees = self.participation.open.fees.plus(fee).ok_or(Fault::Range)?;
        Ok(fee)
    }

    /// Spends the inputs, each by its owner, and says how much they hold.
    fn spend(&mut self, place: AuditedBlock<'_>, transaction: &Transaction) -> Result<u128, Fault> {
        let mut sum = 0;
        for (position, (input, witness)) in transaction.body.inputs.iter().zip(&transaction.witnesses).enumerate() {
            let outpoint = input.previous;
            let output = self.money.output(&outpoint)?;
            if let Some(registration) = self.masternodes.collaterals.get(&outpoint).copied() {
                let released = match transaction.body.payload {
                    TransactionPayload::Release { registration } if position == 0 => Some(registration),
                    _ => None,
                };
                if released != Some(registration) {
                    return Err(Fault::Collateral { outpoint, registration });
                }
            }
            match output.lock {
                Lock::NotBefore { height, .. } if place.height < height => {
                    return Err(Fault::NotBefore { outpoint, height });
                }
                _ => {}
            }
            check_witness(position, witness)?;
            if owner(&output.lock) != witness.owner() {
                return Err(Fault::WrongOwner(position));
            }
            self.money.spend(&outpoint)?;
            sum += u128::from(output.amount.0);
        }
        Ok(sum)
    }

    fn change(&mut self, place: AuditedBlock<'_>, txid: TxId, transaction: &Transaction) -> Result<Amount, Fault> {
        let body = &transaction.body;
        let signers = transaction.witnesses.get(body.inputs.len()..).unwrap_or_default();
        let spenders = transaction.witnesses.get(..body.inputs.len()).unwrap_or_default();
        match &body.payload {
            TransactionPayload::Register(register) => {
                let output = *body.outputs.first().ok_or(Fault::Empty)?;
                let is_owner = spenders.iter().any(|one| one.owner() == owner(&output.lock));
                let collateral = (OutPoint { txid, index: 0 }, output);
                self.masternodes.add(place, (registration_of(txid), txid), register, collateral, is_owner, signers)?;
            }
            TransactionPayload::Release { registration } => {
                let spent = body.inputs.first().map(|input| input.previous);
                return self.masternodes.free(place, registration, spent);
            }
            other => self.masternodes.change(place, txid, other, signers)?,
        }
        Ok(Amount::ZERO)
    }
}

/// Whether it says something about somebody's behaviour.
pub(crate) const fn is_statement(payload: &TransactionPayload) -> bool {
    matches!(
        payload,
        TransactionPayload::DoubleSign { .. }
            | TransactionPayload::LatePrecommits(_)
            | TransactionPayload::Reachability { .. }
    )
}

/// How many signatures the payload has.
const fn signers(payload: &TransactionPayload) -> usize {
    use TransactionPayload as P;
    match payload {
        P::Transfer | P::Release { .. } | P::DoubleSign { .. } | P::LatePrecommits(_) => 0,
        P::UpdateService { .. } | P::Pause { .. } | P::Resume { .. } | P::Revoke { .. } | P::Reachability { .. } => 1,
        P::Register(_) | P::UpdateRegistrar { .. } => 2,
    }
}

/// What the outputs hold.
fn made(outputs: &[TxOutput], parameters: &Parameters) -> Result<u128, Fault> {
    let mut sum = 0;
    for (index, output) in outputs.iter().enumerate() {
        if output.amount < parameters.dust_min {
            return Err(Fault::Dust { index, amount: output.amount });
        }
        sum += u128::from(output.amount.0);
    }
    if sum > u64::MAX.into() { Err(Fault::Range) } else { Ok(sum) }
}

/// A set of keys has exactly as many signatures as it demands, by ascending positions.
fn check_witness(position: usize, witness: &Witness) -> Result<(), Fault> {
    let Witness::KeySet { set, signatures } = witness else { return Ok(()) };
    let positions: Vec<u8> = signatures.0.iter().map(|one| one.position).collect();
    let are_keys = positions.iter().all(|one| usize::from(*one) < set.keys().len());
    let is_count = positions.len() == usize::from(set.threshold());
    if are_keys && is_count && positions.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(Fault::KeySet(position)) }
}

/// Who may spend what has this lock.
const fn owner(lock: &Lock) -> LockOwner {
    match *lock {
        Lock::KeyHash(hash) => LockOwner::KeyHash(hash),
        Lock::KeySet(hash) => LockOwner::KeySet(hash),
        Lock::NotBefore { owner, .. } => owner,
    }
}

/// For people: what is out of range is the largest amount.
fn amount(sum: u128) -> Amount {
    Amount(u64::try_from(sum).unwrap_or(u64::MAX))
}
