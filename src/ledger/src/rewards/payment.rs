//! What an interval pays.

use crate::masternodes::{Masternode, MasternodeList, MasternodeStatus};
use crate::parameters::Parameters;
use crate::rewards::emission::emission;
use crate::rewards::interval::Interval;
use crate::rewards::report::{FreeRow, RewardReport, RewardRow};
use crate::transaction::TxOutput;
use timed_primitives::{Amount, Domain, Hash, Height, TxId, encode};

/// Percent of the emission that are the treasury's.
const TREASURY_PERCENT: u64 = 5;
/// Part of the emission that is reserved for each free masternode that is drawn.
const FREE_PART: u64 = 200;

/// What an interval pays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payment {
    /// What is paid and why. Outputs, emission, fees and treasury are there.
    pub report: RewardReport,
}

/// The transaction id of the payouts of a block: no transaction made them.
pub fn payout_id(genesis: Hash, height: Height) -> TxId {
    TxId(Hash::of(Domain::Payout, &encode(&(genesis, height))))
}

/// What an interval pays when there is so much money in all before it. `None` when amounts do not fit, which the supply excludes.
pub(super) fn pay(
    interval: &Interval,
    list: &MasternodeList,
    money: Amount,
    parameters: &Parameters,
) -> Option<Payment> {
    let most = Amount(u64::MAX).minus(money)?;
    let emission = emission(interval.voters).min(most);
    let for_free = Amount(emission.0 / FREE_PART);
    let reserved = for_free.0 * u64::try_from(interval.drawn.len()).ok()?;
    let treasury = u128::from(emission.0) * u128::from(TREASURY_PERCENT) / 100;
    let shared = u128::from(emission.0) - treasury - u128::from(reserved) + u128::from(interval.fees.0);
    let all = interval.tallies.values().map(|tally| u128::from(tally.weight()) * u128::from(tally.expected));
    let all = all.sum::<u128>().max(1);
    let mut payment = Payment::default();
    let mut masternodes = Vec::with_capacity(interval.tallies.len());
    for (id, tally) in &interval.tallies {
        // Weight 10^5, heights below 2^32 and money below 2^65: below 2^114.
        let earned = shared * u128::from(tally.weight()) * u128::from(tally.signed) / all;
        let earned = Amount(u64::try_from(earned).ok()?);
        let payee = list.get(id).filter(|one| !one.is_ended());
        let (paid, payouts) = payee.map(|one| payment.pay_payees(one, earned, parameters)).unwrap_or_default();
        let (registration, tier) = (*id, tally.tier);
        masternodes.push(RewardRow {
            registration,
            tier,
            expected: tally.expected,
            signed: tally.signed,
            earned,
            paid,
            payouts,
        });
    }
    let mut free = Vec::with_capacity(interval.drawn.len());
    for drawn in &interval.drawn {
        let is_active = |one: &&Masternode| one.status == MasternodeStatus::Active;
        let payee = list.get(&drawn.free).filter(is_active).filter(|_| drawn.is_reached());
        let (paid, payouts) = payee.map(|one| payment.pay_payees(one, for_free, parameters)).unwrap_or_default();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (witnesses, reached) = (count(drawn.witnesses.len()), count(drawn.stated()));
        free.push(FreeRow { registration: drawn.free, witnesses, reached, paid, payouts });
    }
    let paid = Amount::sum(payment.report.outputs.iter().map(|output| output.amount))?;
    payment.report = RewardReport {
        interval: interval.number,
        first: interval.first,
        voters: interval.voters,
        emission,
        fees: interval.fees,
        treasury: emission.plus(interval.fees)?.minus(paid)?,
        masternodes,
        free,
        ..payment.report
    };
    Some(payment)
}

impl Payment {
    /// Splits what was earned among the payees. What they get of it, and in how many outputs.
    fn pay_payees(&mut self, one: &Masternode, earned: Amount, parameters: &Parameters) -> (Amount, u32) {
        let (mut paid, mut payouts) = (0, 0);
        for payee in one.payouts.as_slice() {
            let share = u128::from(earned.0) * u128::from(payee.share) / 10_000;
            let amount = Amount(u64::try_from(share).unwrap_or_default());
            if amount >= parameters.dust_min {
                self.report.outputs.push(TxOutput { amount, lock: payee.to.lock() });
                (paid, payouts) = (paid + amount.0, payouts + 1);
            }
        }
        (Amount(paid), payouts)
    }
}
