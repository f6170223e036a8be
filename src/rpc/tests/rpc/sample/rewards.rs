//! What the sample says of rewards: interval 1 is paid by the second block, 2 waits, 3 is open.

use super::masternodes::{chain_masternodes, masternode_id};
use super::{Sample, TIME_MS, consensus_key};
use async_trait::async_trait;
use std::sync::Arc;
use timed_ledger::{
    BlockEnd, Closing, Drawn, DrawnWitness, IntervalPayment, Parameters, RewardReport, RewardState, Supply,
    VotingMasternodes, payout_id,
};
use timed_primitives::{
    Amount, BlockId, CommitCertificate, CommitSignature, Hash, Height, Network, Round, Signature, TxId, UnixTime,
};
use timed_rpc::{ChainRewards, RewardsApi, RpcError};

const INTERVAL_MS: u64 = 60_000;
/// What `genesis` of the sample says.
const GENESIS: Hash = Hash([9; 32]);
const MONEY: Amount = Amount::whole(1_000_000);

struct Made {
    state: RewardState,
    paid: IntervalPayment,
}

fn drawn(stated: usize) -> Vec<Drawn> {
    let witness = |(position, n)| DrawnWitness { registration: masternode_id(n), has_stated: position < stated };
    vec![Drawn { free: masternode_id(5), witnesses: [1, 2, 3, 4].into_iter().enumerate().map(witness).collect() }]
}

/// Final by these.
fn certificate(height: u64, signers: &[u64]) -> CommitCertificate {
    let signature = |n: &u64| CommitSignature { validator: consensus_key(*n), signature: Signature([1; 64]) };
    let signatures = signers.iter().map(signature).collect();
    CommitCertificate { height: Height(height), round: Round::ZERO, block: BlockId(Hash([3; 32])), signatures }
}

fn made() -> Made {
    let (list, mut parameters) = (chain_masternodes().list, Parameters::of(Network::Devnet));
    parameters.reward_interval_ms = INTERVAL_MS;
    let voters: VotingMasternodes = list.voters().unwrap();
    let mut state = RewardState::genesis();
    let end = |state: &mut RewardState, height, interval: u64, fees| {
        let time = UnixTime(TIME_MS + interval * INTERVAL_MS);
        let (height, parameters, list, voters) = (Height(height), &parameters, &*list, &voters);
        state.end_block(BlockEnd { height, time, fees: Amount(fees), voters, list, money: MONEY, parameters }).unwrap()
    };
    assert_eq!(end(&mut state, 1, 0, 0), Closing::Closed(None));
    state.set_drawn(drawn(3));
    state.record(&certificate(1, &[1, 2]), &voters);
    state.record(&certificate(2, &[1]), &voters);
    assert_eq!(end(&mut state, 2, 1, 5_000), Closing::Closed(None));
    state.set_drawn(drawn(2));
    state.record(&certificate(3, &[1, 2]), &voters);
    let Closing::Closed(Some(paid)) = end(&mut state, 2, 2, 700) else { panic!("interval 1 is paid") };
    state.set_drawn(drawn(1));
    state.record(&certificate(4, &[2]), &voters);
    Made { state, paid }
}

/// The id of what the second block pays.
pub(crate) fn payouts() -> TxId {
    payout_id(GENESIS, Height(2))
}

#[async_trait]
impl RewardsApi for Sample {
    async fn chain_rewards(&self) -> Result<ChainRewards, RpcError> {
        let (Made { state, paid }, all) = (made(), chain_masternodes());
        let mut parameters = Parameters::of(Network::Devnet);
        parameters.reward_interval_ms = INTERVAL_MS;
        let supply = Supply {
            unspent: Amount(MONEY.0 + paid.report.emission.0 - paid.report.treasury.0),
            fees: Amount(700),
            treasury: paid.report.treasury,
            issued: paid.report.emission,
        };
        Ok(ChainRewards {
            genesis: GENESIS,
            genesis_supply: MONEY,
            height: Height(2),
            time: UnixTime(TIME_MS + 2 * INTERVAL_MS),
            expected: state.expected_payment(&all.list, MONEY, &parameters),
            list: all.list,
            rewards: Arc::new(state),
            supply,
            interval_ms: INTERVAL_MS,
            participation_min_bp: parameters.participation_min_bp,
            dust_min: parameters.dust_min,
            free_deposit: all.free_deposit,
            unbonding_ms: all.unbonding_ms,
            kept: Some((1, 1)),
        })
    }

    async fn reward_reports(&self, first: u64, last: u64) -> Result<Vec<RewardReport>, RpcError> {
        Ok((first..=last).contains(&1).then(|| made().paid.report).into_iter().collect())
    }

    async fn payments(&self, first: Height, last: Height) -> Result<Vec<RewardReport>, RpcError> {
        Ok((first..=last).contains(&Height(2)).then(|| made().paid.report).into_iter().collect())
    }

    async fn payment_of(&self, txid: TxId) -> Result<Option<RewardReport>, RpcError> {
        Ok((txid == payouts()).then(|| made().paid.report))
    }
}
