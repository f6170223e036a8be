//! The end of an interval: what the one before pays, and who missed too much.

use crate::emission::emission;
use crate::error::AuditFault;
use crate::list::Masternodes;
use crate::money::Money;
use crate::participation::{AuditedInterval, Participation};
use crate::place::AuditedBlock;
use crate::power::has_ended;
use timed_ledger::{Masternode, MasternodeStatus as Status, OutPoint, Parameters, RegistrationId, Tier, TxOutput};
use timed_primitives::{Amount, Domain, Hash, Height, TxId, encode};

/// Heights that are needed for a assessment.
const ASSESSED_MIN: u32 = 100;
/// Witnesses that must have reached a free masternode.
const REACHED_MIN: usize = 3;

/// What the end of an interval did.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditedPayment {
    /// New outputs, in order.
    pub(crate) outputs: Vec<TxOutput>,
    /// Who is to be jailed, in order of names.
    pub(crate) missing: Vec<RegistrationId>,
    /// How many were warned.
    pub(crate) warnings: u64,
}

impl Participation {
    /// Whether this block is the last of the open interval.
    pub(crate) fn is_over(&self, place: AuditedBlock<'_>) -> bool {
        place.time.0.saturating_sub(self.open.start.0) >= place.parameters.reward_interval_ms
    }

    /// Closes the open interval, with so many voters at this height, opens the next, and pays the one that waited.
    pub(crate) fn close(
        &mut self,
        place: AuditedBlock<'_>,
        voters: u32,
        masternodes: &Masternodes,
        money: &mut Money,
    ) -> Result<Option<AuditedPayment>, AuditFault> {
        let (number, start, first) = (self.open.number + 1, place.time, place.height.next());
        let next = AuditedInterval { number, start, first, ..AuditedInterval::default() };
        let closed = AuditedInterval { voters, ..std::mem::replace(&mut self.open, next) };
        let Some(due) = self.waiting.replace(closed) else { return Ok(None) };
        let outputs = pay(&due, place.parameters, masternodes, money)?;
        let (missing, warnings) = self.assess(&due, place.parameters, masternodes);
        Ok(Some(AuditedPayment { outputs, missing, warnings }))
    }

    fn assess(
        &mut self,
        paid: &AuditedInterval,
        parameters: &Parameters,
        masternodes: &Masternodes,
    ) -> (Vec<RegistrationId>, u64) {
        for (registration, tally) in &paid.tallies {
            let account = self.accounts.entry(*registration).or_default();
            account.expected = account.expected.saturating_add(tally.expected);
            account.signed = account.signed.saturating_add(tally.signed);
        }
        let is_there = |id: &RegistrationId| {
            let status = masternodes.list.get(id).map(|one| one.status);
            matches!(status, Some(Status::Active | Status::Leaving { .. }))
        };
        self.accounts.retain(|id, _| is_there(id));
        let (mut missing, mut warnings) = (Vec::new(), 0);
        for (id, account) in &mut self.accounts {
            if account.expected < ASSESSED_MIN {
                continue;
            }
            let (signed, due) = (u64::from(account.signed) * 10_000, u64::from(account.expected));
            let too_little = signed < u64::from(parameters.participation_min_bp) * due;
            if too_little && account.is_warned {
                missing.push(*id);
            } else if too_little {
                warnings += 1;
            }
            (account.expected, account.signed, account.is_warned) = (0, 0, too_little);
        }
        self.accounts.retain(|_, account| account.expected > 0 || account.is_warned);
        (missing, warnings)
    }
}

/// Makes the money of an interval and says to whom it goes; the rest is the treasury's.
fn pay(
    interval: &AuditedInterval,
    parameters: &Parameters,
    masternodes: &Masternodes,
    money: &mut Money,
) -> Result<Vec<TxOutput>, AuditFault> {
    let room = u64::MAX - money.total()?.0;
    let made = emission(interval.voters).ok_or(AuditFault::Emission(interval.voters))?.min(room);
    let drawn = u128::try_from(interval.drawn.len()).unwrap_or(u128::MAX);
    let (whole, for_each_free) = (u128::from(made), made / 200);
    let treasury = whole * 5 / 100;
    let pool = whole - treasury - u128::from(for_each_free) * drawn + u128::from(interval.fees.0);
    let weight = |tier| match tier {
        Tier::Free => 0_u128,
        Tier::Bronze => 1_000,
        Tier::Silver => 10_000,
        Tier::Gold => 100_000,
    };
    let expected: u128 = interval.tallies.values().map(|one| weight(one.tier) * u128::from(one.expected)).sum();
    let mut outputs = Vec::new();
    for (id, tally) in &interval.tallies {
        let earned = pool * weight(tally.tier) * u128::from(tally.signed) / expected.max(1);
        if let Some(one) = masternodes.list.get(id).filter(|one| !has_ended(one)) {
            split(one, earned, parameters.dust_min, &mut outputs);
        }
    }
    for drawn in &interval.drawn {
        let reached = drawn.witnesses.iter().filter(|witness| witness.has_stated).count();
        let one = masternodes.list.get(&drawn.free).filter(|one| one.status == Status::Active);
        if let Some(one) = one.filter(|_| reached >= REACHED_MIN) {
            split(one, for_each_free.into(), parameters.dust_min, &mut outputs);
        }
    }
    let paid: u128 = outputs.iter().map(|output| u128::from(output.amount.0)).sum();
    let rest = (whole + u128::from(interval.fees.0)).checked_sub(paid).ok_or(AuditFault::MoneyRange)?;
    let in_range = |amount: u128| u64::try_from(amount).map(Amount).map_err(|_| AuditFault::MoneyRange);
    money.treasury = in_range(u128::from(money.treasury.0) + rest)?;
    money.issued = in_range(u128::from(money.issued.0) + whole)?;
    money.fees = money.fees.minus(interval.fees).ok_or(AuditFault::MoneyRange)?;
    Ok(outputs)
}

/// What its payees get of what it earned.
fn split(one: &Masternode, earned: u128, dust_min: Amount, outputs: &mut Vec<TxOutput>) {
    for payee in one.payouts.as_slice() {
        let share = u64::try_from(earned * u128::from(payee.share) / 10_000).unwrap_or(u64::MAX);
        if share >= dust_min.0 {
            outputs.push(TxOutput { amount: Amount(share), lock: payee.to.lock() });
        }
    }
}

/// Names of the outputs that a payment makes.
pub(crate) fn outpoints(genesis: Hash, height: Height) -> impl Iterator<Item = OutPoint> {
    let txid = TxId(Hash::of(Domain::Payout, &encode(&(genesis, height))));
    (0..).map(move |index| OutPoint { txid, index })
}
