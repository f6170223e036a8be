//! Questions about rewards and money.

use crate::Service;
use crate::failures::unreadable;
use async_trait::async_trait;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use timed_ledger::{LedgerQueries as _, LedgerView, REWARD_REPORTS_MAX, RewardReport, payout_id};
use timed_primitives::{Amount, Hash, Height, TxId};
use timed_rpc::{ChainRewards, RewardsApi, RpcError};

#[async_trait]
impl RewardsApi for Service {
    async fn chain_rewards(&self) -> Result<ChainRewards, RpcError> {
        Ok(self.rewards_now())
    }

    async fn reward_reports(&self, first: u64, last: u64) -> Result<Vec<RewardReport>, RpcError> {
        self.chain.read(move |view| reports(view, first..=last)).await
    }

    async fn payments(&self, first: Height, last: Height) -> Result<Vec<RewardReport>, RpcError> {
        self.chain.read(move |view| payments(view, first, last)).await
    }

    async fn payment_of(&self, txid: TxId) -> Result<Option<RewardReport>, RpcError> {
        let payouts = self.payouts.clone();
        self.chain.read(move |view| payouts.report(view, txid)).await
    }
}

impl Service {
    /// From memory.
    pub(crate) fn rewards_now(&self) -> ChainRewards {
        let view = self.chain.view();
        let genesis = view.genesis();
        let (parameters, state, supply) = (&genesis.parameters, view.state(), view.supply());
        let (list, rewards) = (state.masternodes().clone(), state.rewards().clone());
        let money = supply.total().unwrap_or(Amount(u64::MAX));
        ChainRewards {
            genesis: self.genesis.hash,
            // What there is now, less what was made since.
            genesis_supply: money.minus(supply.issued).unwrap_or_default(),
            height: view.height(),
            time: view.tip().time,
            expected: rewards.expected_payment(&list, money, parameters),
            list,
            kept: kept(&view),
            rewards,
            supply,
            interval_ms: parameters.reward_interval_ms,
            participation_min_bp: parameters.participation_min_bp,
            dust_min: parameters.dust_min,
            free_deposit: parameters.free_deposit,
            unbonding_ms: parameters.unbonding_ms,
        }
    }
}

/// The oldest and the newest interval whose reports are kept.
fn kept(view: &LedgerView) -> Option<(u64, u64)> {
    // The one before the one that waits is paid.
    let last = view.state().rewards().waiting()?.number.checked_sub(1).filter(|last| *last > 0)?;
    Some(((last + 1).saturating_sub(REWARD_REPORTS_MAX).max(1), last))
}

fn reports(view: &LedgerView, wanted: RangeInclusive<u64>) -> Result<Vec<RewardReport>, RpcError> {
    let Some((first, last)) = kept(view) else { return Ok(Vec::new()) };
    let wanted = first.max(*wanted.start())..=last.min(*wanted.end());
    let found = wanted.filter_map(|interval| view.reward_report(interval).map_err(unreadable).transpose());
    found.collect()
}

/// Reports are in order of the heights that paid: the first one is found by halving.
pub(crate) fn payments(view: &LedgerView, first: Height, last: Height) -> Result<Vec<RewardReport>, RpcError> {
    let Some((oldest, newest)) = kept(view) else { return Ok(Vec::new()) };
    // Most who ask want to know of the last blocks, and few blocks pay.
    if view.reward_report(newest).map_err(unreadable)?.is_some_and(|last| last.paid_at < first) {
        return Ok(Vec::new());
    }
    let (mut low, mut high) = (oldest, newest + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let is_before = view.reward_report(middle).map_err(unreadable)?.is_none_or(|report| report.paid_at < first);
        (low, high) = if is_before { (middle + 1, high) } else { (low, middle) };
    }
    let mut found = Vec::new();
    for interval in low..=newest {
        match view.reward_report(interval).map_err(unreadable)? {
            Some(report) if report.paid_at <= last => found.push(report),
            _ => break,
        }
    }
    Ok(found)
}

/// Which interval the payouts of an id are of. Bound: as many as reports are kept.
#[derive(Debug, Default)]
struct PayoutIds {
    intervals: HashMap<TxId, u64>,
    /// Up to which interval they are known.
    last: u64,
}

impl PayoutIds {
    fn interval_of(&mut self, view: &LedgerView, genesis: Hash, txid: TxId) -> Result<Option<u64>, RpcError> {
        let Some((oldest, newest)) = kept(view) else { return Ok(None) };
        for report in reports(view, self.last + 1..=newest)? {
            self.intervals.insert(payout_id(genesis, report.paid_at), report.interval);
        }
        self.last = self.last.max(newest);
        self.intervals.retain(|_, interval| *interval >= oldest);
        Ok(self.intervals.get(&txid).copied())
    }
}

/// Shared with threads that read.
#[derive(Clone, Debug)]
pub(crate) struct SharedPayoutIds {
    /// Of the genesis.
    hash: Hash,
    ids: Arc<Mutex<PayoutIds>>,
}

impl SharedPayoutIds {
    /// Of the chain with a genesis of this hash.
    pub(crate) fn new(hash: Hash) -> Self {
        Self { hash, ids: Arc::default() }
    }

    /// The report of the payment whose outputs have this id, as far as it is kept.
    pub(crate) fn report(&self, view: &LedgerView, txid: TxId) -> Result<Option<RewardReport>, RpcError> {
        let found = self.ids.lock().unwrap_or_else(PoisonError::into_inner).interval_of(view, self.hash, txid)?;
        found.map_or(Ok(None), |interval| view.reward_report(interval).map_err(unreadable))
    }
}
