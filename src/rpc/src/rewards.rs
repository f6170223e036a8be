//! Rewards and money, as the server asks the daemon for them.

use crate::error::RpcError;
use async_trait::async_trait;
use std::sync::Arc;
use timed_ledger::{IntervalPayment, MasternodeList, RegistrationId, RewardReport, RewardState, Supply, Tally};
use timed_primitives::{Amount, Hash, Height, TxId, UnixTime};

/// What the last block says of rewards and money.
#[derive(Clone, Debug, Default)]
pub struct ChainRewards {
    /// Hash of the genesis, of which ids of payouts are made.
    pub genesis: Hash,
    /// Money that the genesis made.
    pub genesis_supply: Amount,
    /// Height of the block.
    pub height: Height,
    /// Its time.
    pub time: UnixTime,
    /// The masternodes after it.
    pub list: Arc<MasternodeList>,
    /// What rewards depend on.
    pub rewards: Arc<RewardState>,
    /// What the interval that waits would pay now, if one waits.
    pub expected: Option<IntervalPayment>,
    /// Where all money is.
    pub supply: Supply,
    /// How long an interval is. Unit: milliseconds.
    pub interval_ms: u64,
    /// How many of the heights a masternode must sign. Unit: basis points.
    pub participation_min_bp: u32,
    /// Least amount of an output.
    pub dust_min: Amount,
    /// What a free masternode locks.
    pub free_deposit: Amount,
    /// How long what penalties depend on is kept. Unit: milliseconds.
    pub unbonding_ms: u64,
    /// The oldest and the newest interval whose reports are kept; `None` when none was paid yet.
    pub kept: Option<(u64, u64)>,
}

/// Rewards, and where all money is.
#[async_trait]
pub trait RewardsApi: Send + Sync {
    /// What the last block says of them.
    async fn chain_rewards(&self) -> Result<ChainRewards, RpcError> {
        Err(RpcError::NotOffered)
    }

    /// The reports of these intervals that are kept, in order. Bound: as many as are kept.
    async fn reward_reports(&self, _first: u64, _last: u64) -> Result<Vec<RewardReport>, RpcError> {
        Err(RpcError::NotOffered)
    }

    /// What these heights paid, as far as reports are kept, in order of heights. Bound: as many as are kept.
    async fn payments(&self, _first: Height, _last: Height) -> Result<Vec<RewardReport>, RpcError> {
        Ok(Vec::new())
    }

    /// The report of the payment whose outputs have this id, as far as it is kept.
    async fn payment_of(&self, _txid: TxId) -> Result<Option<RewardReport>, RpcError> {
        Ok(None)
    }
}

/// How many of a masternode's heights count, and how many of them it signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParticipationFigures {
    /// Heights at which it voted.
    pub expected: u32,
    /// Those of them that the chain holds its precommit for.
    pub signed: u32,
}

impl ParticipationFigures {
    pub(crate) fn of(tally: Option<Tally>) -> Self {
        tally.map_or_else(Self::default, |tally| Self { expected: tally.expected, signed: tally.signed })
    }

    fn plus(self, other: Self) -> Self {
        let (expected, signed) =
            (self.expected.saturating_add(other.expected), self.signed.saturating_add(other.signed));
        Self { expected, signed }
    }

    /// Unit: percent; none of nothing.
    pub fn percent(self) -> Option<f64> {
        (self.expected > 0).then(|| f64::from(self.signed) * 100.0 / f64::from(self.expected))
    }
}

impl ChainRewards {
    /// All that a masternode did since it was assessed last, what waits to be paid and the open interval included.
    pub fn since_assessed(&self, id: &RegistrationId) -> ParticipationFigures {
        let account = self.rewards.account(id);
        let waiting = self.rewards.waiting().and_then(|waiting| waiting.tallies.get(id).copied());
        let assessed = ParticipationFigures { expected: account.expected, signed: account.signed };
        assessed.plus(ParticipationFigures::of(waiting)).plus(ParticipationFigures::of(self.open_tally(id)))
    }

    /// When the open interval closes at the earliest, and the one that waits is paid. Unit: seconds since 1970.
    pub(crate) fn closes(&self) -> u64 {
        let UnixTime(start) = self.rewards.open().start;
        start.saturating_add(self.interval_ms).div_ceil(1_000)
    }

    /// When the open interval is paid at the earliest. Unit: seconds since 1970.
    pub(crate) fn open_is_paid(&self) -> u64 {
        let UnixTime(start) = self.rewards.open().start;
        start.saturating_add(self.interval_ms.saturating_mul(2)).div_ceil(1_000)
    }

    /// What a masternode did in the open interval.
    pub(crate) fn open_tally(&self, id: &RegistrationId) -> Option<Tally> {
        self.rewards.open().tallies.get(id).copied()
    }

    /// Money that is locked for masternodes.
    pub(crate) fn locked(&self) -> Amount {
        let collaterals = self.list.iter().map(|one| one.tier.collateral(self.free_deposit));
        Amount::sum(collaterals).unwrap_or(Amount(u64::MAX))
    }

    /// Penalties that were charged and are not paid to the treasury yet.
    pub(crate) fn penalties(&self) -> Amount {
        Amount::sum(self.list.iter().map(|one| one.penalty)).unwrap_or(Amount(u64::MAX))
    }
}
