//! Which masternode and which intervals a client asks about.

use crate::answers::standing::own;
use crate::error::RpcError;
use crate::node::NodeApi;
use crate::params::Args;
use crate::rewards::ChainRewards;
use std::collections::BTreeMap;
use timed_ledger::{RegistrationId, RewardReport};

/// What masternodes are called, by their ids.
pub(super) struct Names(BTreeMap<RegistrationId, String>);

impl Names {
    pub(super) async fn of(node: &dyn NodeApi) -> Result<Self, RpcError> {
        let rows = node.masternodes().await?.into_iter();
        Ok(Self(rows.filter_map(|row| row.name.map(|name| (row.registration.0, name))).collect()))
    }

    /// `None` for one that is not on the list any more.
    pub(super) fn get(&self, id: &RegistrationId) -> Option<String> {
        self.0.get(id).cloned()
    }
}

/// The masternode that the client names by its id or its name; without either, the one with this node's consensus key.
async fn named(node: &dyn NodeApi, args: &Args<'_>, facts: &ChainRewards) -> Result<RegistrationId, RpcError> {
    let text = args.text_or("masternode")?.unwrap_or_default();
    if text.is_empty() {
        return own(node, &facts.list);
    }
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let names = Names::of(node).await?.0.into_iter();
    let found: Vec<RegistrationId> = names.filter(|(_, name)| name == text).map(|(id, _)| id).collect();
    let shown: String = text.chars().take(80).collect();
    match found[..] {
        [id] => Ok(id),
        [] => Err(RpcError::InvalidParameter(format!(
            "no masternode is called {shown:?}: give a name of `masternodelist`, or an id (64 hex digits)"
        ))),
        _ => Err(RpcError::InvalidParameter(format!("{} masternodes are called {shown:?}: give an id", found.len()))),
    }
}

/// The last `count` intervals that are paid and whose reports are kept: the first and the last; `None` without any.
pub(super) fn last_intervals(facts: &ChainRewards, count: u64) -> Option<(u64, u64)> {
    let (oldest, newest) = facts.kept?;
    (count > 0).then(|| (oldest.max((newest + 1).saturating_sub(count)), newest))
}

/// The masternode that a client asks about, and what the last intervals paid.
pub(super) struct AskedReports {
    pub(super) facts: ChainRewards,
    pub(super) id: RegistrationId,
    pub(super) names: Names,
    /// The first and the last interval of the reports.
    pub(super) range: Option<(u64, u64)>,
    /// The oldest first.
    pub(super) reports: Vec<RewardReport>,
}

impl AskedReports {
    pub(super) async fn of(node: &dyn NodeApi, args: &Args<'_>, count: u64) -> Result<Self, RpcError> {
        let facts = node.chain_rewards().await?;
        let id = named(node, args, &facts).await?;
        let names = Names::of(node).await?;
        let range = last_intervals(&facts, count);
        let reports = match range {
            Some((first, last)) => node.reward_reports(first, last).await?,
            None => Vec::new(),
        };
        Ok(Self { facts, id, names, range, reports })
    }
}
