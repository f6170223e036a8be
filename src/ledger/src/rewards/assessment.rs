//! Who takes too little part.

use crate::masternodes::{MasternodeList, MasternodeStatus, RegistrationId};
use crate::rewards::interval::Interval;
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;

/// Over how many heights, at least, participation is assessed.
pub const ASSESSED_HEIGHTS_MIN: u32 = 100;

/// What a masternode did since it was assessed last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ParticipationAccount {
    /// At how many heights it voted.
    pub expected: u32,
    /// How many of them the chain holds its precommit for.
    pub signed: u32,
    /// Whether it was too little the last time.
    pub is_warned: bool,
}

/// Assessment at the payment of an interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Assessment {
    /// Whose participation was too little for the first time, in order of names.
    pub(super) warned: Vec<RegistrationId>,
    /// Who was warned before: to be jailed, as far as enough power stays. In order of names.
    pub(super) missing: Vec<RegistrationId>,
}

/// Adds an interval to the accounts, and assesses those with enough heights. Accounts of who is neither active nor about to leave, and empty ones,
/// are dropped.
pub(super) fn assess(
    accounts: &mut BTreeMap<RegistrationId, ParticipationAccount>,
    interval: &Interval,
    list: &MasternodeList,
    participation_min_bp: u32,
) -> Assessment {
    let mut assessment = Assessment::default();
    for (id, tally) in &interval.tallies {
        let account = accounts.entry(*id).or_default();
        account.expected = account.expected.saturating_add(tally.expected);
        account.signed = account.signed.saturating_add(tally.signed);
    }
    accounts.retain(|id, _| {
        let status = list.get(id).map(|one| one.status);
        matches!(status, Some(MasternodeStatus::Active | MasternodeStatus::Leaving { .. }))
    });
    for (id, account) in accounts.iter_mut().filter(|(_, account)| account.expected >= ASSESSED_HEIGHTS_MIN) {
        let is_too_little =
            u64::from(account.signed) * 10_000 < u64::from(participation_min_bp) * u64::from(account.expected);
        if is_too_little {
            if account.is_warned { &mut assessment.missing } else { &mut assessment.warned }.push(*id);
        }
        *account = ParticipationAccount { is_warned: is_too_little, ..ParticipationAccount::default() };
    }
    accounts.retain(|_, account| *account != ParticipationAccount::default());
    assessment
}
