//! Everything that rewards depend on, block by block.

use crate::masternodes::{MasternodeList, RegistrationId, VotingMasternode, VotingMasternodes};
use crate::parameters::Parameters;
use crate::rewards::assessment::{ParticipationAccount, assess};
use crate::rewards::draw::{Drawn, DrawnWitness};
use crate::rewards::error::StatementError;
use crate::rewards::heights::{HeightRecord, HeightWindow, Presence};
use crate::rewards::interval::Interval;
use crate::rewards::payment::{IntervalPayment, pay};
use crate::transaction::reachability_resource;
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;
use timed_chain::Resource;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Amount, CommitCertificate, Height, UnixTime};

/// Who took part in the last heights, in the open interval, and in the one that waits for its payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RewardState {
    window: HeightWindow,
    open: Interval,
    /// Closed, and paid when the open one closes.
    waiting: Option<Interval>,
    accounts: BTreeMap<RegistrationId, ParticipationAccount>,
}

/// The end of a block.
#[derive(Clone, Copy, Debug)]
pub struct BlockEnd<'a> {
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time: UnixTime,
    /// Fees of its transactions.
    pub fees: Amount,
    /// Who voted at its height.
    pub voters: &'a VotingMasternodes,
    /// The list after its transactions.
    pub list: &'a MasternodeList,
    /// All money there is before it.
    pub money: Amount,
    /// The chain's numbers.
    pub parameters: &'a Parameters,
}

/// What the end of a block did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The open interval goes on.
    None,
    /// A new interval opened, and has its draw to come. The payment of an earlier one, if one waited for it.
    Closed(Option<IntervalPayment>),
}

impl RewardState {
    /// Before block 1.
    pub fn genesis() -> Self {
        Self { open: Interval { number: 1, first: Height::FIRST, ..Interval::default() }, ..Self::default() }
    }

    /// The interval that is open.
    pub const fn open(&self) -> &Interval {
        &self.open
    }

    /// The interval that is closed and not paid yet.
    pub const fn waiting(&self) -> Option<&Interval> {
        self.waiting.as_ref()
    }

    /// What the interval that waits would pay if it were paid now, to those on this list and with so much money in all. Late precommits and
    /// statements that come until then change it.
    pub fn expected_payment(
        &self,
        list: &MasternodeList,
        money: Amount,
        parameters: &Parameters,
    ) -> Option<IntervalPayment> {
        pay(self.waiting.as_ref()?, list, money, parameters)
    }

    /// Who signed the last heights, the oldest first.
    pub fn heights(&self) -> impl DoubleEndedIterator<Item = &HeightRecord> + ExactSizeIterator {
        self.window.heights()
    }

    /// Of each that voted at some of the last heights: at how many, and which of them the chain holds its precommit for.
    pub fn presence(&self) -> BTreeMap<RegistrationId, Presence> {
        self.window.presence()
    }

    /// What a masternode did since it was assessed last.
    pub fn account(&self, registration: &RegistrationId) -> ParticipationAccount {
        self.accounts.get(registration).copied().unwrap_or_default()
    }

    /// The block before, of these voters, is final by this certificate.
    pub fn record(&mut self, certificate: &CommitCertificate, voters: &VotingMasternodes) {
        let record = self.window.record(certificate, voters);
        if let Some(interval) = self.interval_of(record.height) {
            interval.count(voters.as_slice(), record.signed);
        }
    }

    /// Whose precommits these are, when each of them counts. Signatures are checked apart.
    ///
    /// # Errors
    /// [`StatementError`] names the rule.
    pub fn check_late(&self, late: &CommitCertificate) -> Result<Vec<VotingMasternode>, StatementError> {
        self.window.check_late(late)
    }

    /// Precommits of these voters count from now on.
    pub fn add_late(&mut self, late: &CommitCertificate, voters: &[VotingMasternode]) {
        self.window.add_late(late);
        if let Some(interval) = self.interval_of(late.height) {
            interval.count_late(voters);
        }
    }

    /// Those of these precommits that would count; `None` when there are none.
    pub fn missing_of(&self, late: &CommitCertificate) -> Option<CommitCertificate> {
        self.window.missing_of(late)
    }

    /// The free ones drawn for intervals that are not paid, with the number of the interval.
    pub fn drawn(&self) -> impl Iterator<Item = (u64, &Drawn)> {
        let intervals = self.waiting.iter().chain([&self.open]);
        intervals.flat_map(|interval| interval.drawn.iter().map(|drawn| (interval.number, drawn)))
    }

    /// Whether a witness can state now that it reached a free one.
    ///
    /// # Errors
    /// [`StatementError`] names the rule.
    pub fn check_reached(
        &self,
        interval: u64,
        free: RegistrationId,
        witness: RegistrationId,
    ) -> Result<(), StatementError> {
        let drawn = self.drawn().find(|(number, drawn)| *number == interval && drawn.free == free);
        let drawn = drawn.and_then(|(_, drawn)| drawn.witnesses.iter().find(|one| one.registration == witness));
        match drawn {
            None => Err(StatementError::NotDrawn { interval, free, witness }),
            Some(DrawnWitness { has_stated: true, .. }) => {
                Err(StatementError::StatedAlready { interval, free, witness })
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether this resource stands for what a witness can state and has not.
    pub(crate) fn is_stateable(&self, resource: &Resource) -> bool {
        self.drawn().any(|(interval, drawn)| {
            let open = drawn.witnesses.iter().filter(|witness| !witness.has_stated);
            open.into_iter().any(|one| reachability_resource(interval, drawn.free, one.registration) == *resource)
        })
    }

    /// A witness reached a free one.
    pub fn add_reached(&mut self, interval: u64, free: RegistrationId, witness: RegistrationId) {
        let intervals = self.waiting.iter_mut().chain([&mut self.open]).filter(|one| one.number == interval);
        let drawn = intervals.flat_map(|one| &mut one.drawn).filter(|drawn| drawn.free == free);
        let witnesses = drawn.flat_map(|drawn| &mut drawn.witnesses).filter(|one| one.registration == witness);
        witnesses.for_each(|one| one.has_stated = true);
    }

    /// Ends a block: counts its fees, and closes the open interval when its time is over. `None` when amounts do not fit, which the supply
    /// excludes.
    pub fn end_block(&mut self, end: BlockEnd<'_>) -> Option<Closing> {
        self.open.fees = self.open.fees.plus(end.fees)?;
        if end.height == Height::FIRST {
            self.open.start = end.time;
            return Some(Closing::Closed(None));
        }
        let due = self.open.start.0.saturating_add(end.parameters.reward_interval_ms);
        if end.time.0 < due {
            return Some(Closing::None);
        }
        let payment = match &self.waiting {
            Some(waiting) => {
                let mut payment = pay(waiting, end.list, end.money, end.parameters)?;
                let assessment = assess(&mut self.accounts, waiting, end.list, end.parameters.participation_min_bp);
                payment.report.paid_at = end.height;
                payment.report.time = end.time;
                payment.report.warned = assessment.warned;
                payment.report.missing = assessment.missing;
                Some(payment)
            }
            None => None,
        };
        let next = Interval {
            number: self.open.number.saturating_add(1),
            start: end.time,
            first: end.height.next(),
            ..Interval::default()
        };
        let mut closed = std::mem::replace(&mut self.open, next);
        closed.voters = u32::try_from(end.voters.as_slice().len()).unwrap_or(u32::MAX);
        if self.waiting.is_none() || !is_planted(Bug::RewardPaidTwice) {
            self.waiting = Some(closed);
        }
        Some(Closing::Closed(payment))
    }

    /// Their participation is not assessed any more.
    pub fn forget(&mut self, gone: impl Iterator<Item = RegistrationId>) {
        for registration in gone {
            self.accounts.remove(&registration);
        }
    }

    /// What was drawn for the interval that opened.
    pub fn set_drawn(&mut self, drawn: Vec<Drawn>) {
        self.open.drawn = drawn;
    }

    /// The interval that a height counts for, as long as that is not paid.
    fn interval_of(&mut self, height: Height) -> Option<&mut Interval> {
        if height >= self.open.first {
            return Some(&mut self.open);
        }
        self.waiting.as_mut().filter(|waiting| height >= waiting.first)
    }
}
