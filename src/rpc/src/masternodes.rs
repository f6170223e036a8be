//! The list of masternodes, as clients see it.

use crate::payload::payees;
use crate::result::MasternodeInfo;
use std::collections::BTreeMap;
use std::sync::Arc;
use timed_ledger::{
    Masternode, MasternodeList, MasternodeProof, MasternodeStatus, OutPoint, RegistrationId, VOTERS_MAX,
};
use timed_primitives::{Amount, CommitCertificate, Header, Height, Network, UnixTime};

/// How many heights after a block what it changes acts.
const ACTS_AFTER: u64 = 2;

/// The masternodes of the chain after a block.
#[derive(Clone, Debug, Default)]
pub struct ChainMasternodes {
    /// All.
    pub list: Arc<MasternodeList>,
    /// The block's height.
    pub height: Height,
    /// Its time.
    pub time: UnixTime,
    /// What a free one locks.
    pub free_deposit: Amount,
    /// How long a collateral stays locked after its masternode has left. Unit: milliseconds.
    pub unbonding_ms: u64,
}

/// A masternode, the header whose list has it, and why that header is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvedMasternode {
    /// The entry and its path to the root in the header.
    pub proof: MasternodeProof,
    /// The header.
    pub header: Header,
    /// The precommits for it.
    pub certificate: CommitCertificate,
}

/// An output as Dash writes it.
pub(crate) fn dash_outpoint(outpoint: &OutPoint) -> String {
    format!("{}-{}", outpoint.txid, outpoint.index)
}

impl ChainMasternodes {
    /// Places of those with a claim to vote, from 1: the first 150 vote.
    pub(crate) fn places(&self) -> BTreeMap<RegistrationId, usize> {
        (1..).zip(self.list.candidates()).map(|(place, one)| (one.id, place)).collect()
    }

    /// When the collateral of one that has left can be released. Unit: seconds since 1970.
    pub(crate) fn release_time(&self, status: MasternodeStatus) -> Option<u64> {
        let MasternodeStatus::Left { time: UnixTime(left), .. } = status else { return None };
        Some(left.saturating_add(self.unbonding_ms).div_ceil(1_000))
    }

    /// All as clients see them, in order of their names, without what only connections and votes say.
    pub fn rows(&self, network: Network) -> Vec<MasternodeInfo> {
        let places = self.places();
        self.list.iter().map(|one| self.row(one, places.get(&one.id).copied(), network)).collect()
    }

    fn row(&self, one: &Masternode, place: Option<usize>, network: Network) -> MasternodeInfo {
        let exit_height = match one.status {
            MasternodeStatus::Left { at, .. } => Some(at.0.saturating_add(ACTS_AFTER)),
            MasternodeStatus::Active
            | MasternodeStatus::Paused
            | MasternodeStatus::Leaving { .. }
            | MasternodeStatus::Jailed { .. }
            | MasternodeStatus::Ended { .. } => None,
        };
        let status = match one.status {
            MasternodeStatus::Active if !one.tier.votes() => "not voting",
            MasternodeStatus::Active if place.is_some_and(|place| place <= VOTERS_MAX) => "voting",
            MasternodeStatus::Active => "waiting",
            MasternodeStatus::Paused
            | MasternodeStatus::Leaving { .. }
            | MasternodeStatus::Left { .. }
            | MasternodeStatus::Jailed { .. }
            | MasternodeStatus::Ended { .. } => one.status.name(),
        };
        MasternodeInfo {
            key: one.operator.into(),
            name: None,
            power: 0,
            power_percent: 0.0,
            is_self: false,
            connected: false,
            addr: None,
            node_key: None,
            last_signed: None,
            signed_percent: None,
            registration: one.id.into(),
            tier: one.tier.to_string(),
            status: status.into(),
            collateral: dash_outpoint(&one.collateral),
            service: one.service.to_string(),
            owner: one.owner.into(),
            payees: payees(&one.payouts, network),
            registered_height: one.registered_at.0,
            exit_height,
            release_time: self.release_time(one.status),
            penalty: one.penalty.into(),
        }
    }
}
