//! Metrics of money and of this node's own masternode. Amounts are in units of 10⁻⁸ TIME.

use crate::Service;
use timed_ledger::MasternodeStatus;
use timed_rpc::metric_set;
use timed_rpc::metrics::{ConstGauge, Registry, flag, level};

metric_set! {
    /// Where all money is.
    struct MoneyMetrics, "timed_money" {
        /// Money of the treasury.
        treasury_units: ConstGauge<u64>,
        /// Money made as rewards since the genesis.
        issued_units: ConstGauge<u64>,
        /// Fees that are not paid out yet.
        waiting_fees_units: ConstGauge<u64>,
        /// Number of the interval of rewards that is open.
        open_interval: ConstGauge<u64>,
    }
}

metric_set! {
    /// What the chain says of the masternode with this node's consensus key; nothing when there is none.
    struct OwnMasternodeMetrics, "timed_masternode" {
        /// Heights since it was assessed last at which it could sign.
        expected_heights: ConstGauge<u64>,
        /// Those of them that the chain holds its precommit for.
        signed_heights: ConstGauge<u64>,
        /// 1 while the next assessment of too little jails it.
        warned: ConstGauge<u64>,
        /// 1 while it is jailed.
        jailed: ConstGauge<u64>,
        /// Charged for a double sign.
        penalty_units: ConstGauge<u64>,
    }
}

impl Service {
    pub(super) fn register_reward_metrics(&self, registry: &mut Registry) {
        let facts = self.rewards_now();
        let money = MoneyMetrics {
            treasury_units: level(facts.supply.treasury.0),
            issued_units: level(facts.supply.issued.0),
            waiting_fees_units: level(facts.supply.fees.0),
            open_interval: level(facts.rewards.open().number),
        };
        money.register(registry);
        let Some(own) = self.identity.validator.as_ref().and_then(|key| facts.list.of_operator(key)) else { return };
        let heights = facts.since_assessed(&own.id);
        let metrics = OwnMasternodeMetrics {
            expected_heights: level(heights.expected),
            signed_heights: level(heights.signed),
            warned: flag(facts.rewards.account(&own.id).is_warned),
            jailed: flag(matches!(own.status, MasternodeStatus::Jailed { .. })),
            penalty_units: level(own.penalty.0),
        };
        metrics.register(registry);
    }
}
