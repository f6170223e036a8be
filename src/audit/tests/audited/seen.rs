//! What happened in all histories together.

use crate::histories::play::Player;
use std::collections::BTreeMap;
use timed_audit::Summary;

/// What happened in histories: a test that nothing happens in proves nothing.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    blocks: u64,
    accepted: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
    #[allow(dead_code, reason = "shown")]
    summary: Vec<Summary>,
}

impl Seen {
    pub(crate) fn of(player: &Player) -> Self {
        let summary = player.audit.summary();
        let (accepted, refused) = (player.accepted.clone(), player.refused.clone());
        Self { blocks: summary.height.0, accepted, refused, summary: vec![summary] }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.blocks += other.blocks;
        for (name, count) in &other.accepted {
            *self.accepted.entry(name.clone()).or_default() += count;
        }
        for (name, count) in &other.refused {
            *self.refused.entry(name.clone()).or_default() += count;
        }
        self.sum(&other.summary);
    }

    fn sum(&mut self, others: &[Summary]) {
        for other in others {
            match self.summary.first_mut() {
                None => self.summary.push(other.clone()),
                Some(sum) => {
                    sum.warnings += other.warnings;
                    sum.jailings += other.jailings;
                    sum.double_signs += other.double_signs;
                    sum.intervals_paid += other.intervals_paid;
                    sum.transactions += other.transactions;
                    sum.penalties_paid.0 = sum.penalties_paid.0.saturating_add(other.penalties_paid.0);
                    for (status, count) in &other.masternodes {
                        *sum.masternodes.entry(status).or_default() += count;
                    }
                }
            }
        }
    }

    /// Everything happened, and everything was refused now and then.
    pub(crate) fn check(&self) {
        const ACCEPTED: [&str; 11] = [
            "transfer",
            "register",
            "update service",
            "update registrar",
            "pause",
            "resume",
            "revoke",
            "release",
            "double sign",
            "late precommits",
            "reachability",
        ];
        const REFUSED: [&str; 30] = [
            "double sign: NoConflict",
            "double sign: NoMasternode",
            "double sign: NotItsKey",
            "double sign: PunishedAlready",
            "late precommits: LateBlock",
            "late precommits: LateHeight",
            "late precommits: LateKey",
            "pause: ChangedTwice",
            "pause: NoOutput",
            "pause: Predecessor",
            "pause: Status",
            "pause: TooFewVoters",
            "reachability: NotAsked",
            "reachability: Signer",
            "register: CollateralNotSigned",
            "register: CollateralOutput",
            "register: OperatorTaken",
            "register: Signer",
            "release: Collateral",
            "release: Status",
            "release: Unbonding",
            "release: Uncovered",
            "resume: Signer",
            "transfer: Collateral",
            "transfer: Dust",
            "transfer: KeySet",
            "transfer: NotBefore",
            "update registrar: NoChange",
            "update registrar: OperatorTaken",
            "update registrar: TooManyKeys",
        ];
        let count = |counts: &BTreeMap<String, u64>, name: &str| counts.get(name).copied().unwrap_or_default();
        let never: Vec<_> = ACCEPTED.into_iter().filter(|name| count(&self.accepted, name) == 0).collect();
        assert!(never.is_empty(), "never accepted: {never:?}: {self:#?}");
        let never: Vec<_> = REFUSED.into_iter().filter(|name| count(&self.refused, name) == 0).collect();
        assert!(never.is_empty(), "never refused: {never:?}: {self:#?}");
        let Some(sum) = self.summary.first() else { panic!("no history") };
        for count in [sum.warnings, sum.jailings, sum.intervals_paid, sum.penalties_paid.0] {
            assert!(count > 0, "{self:#?}");
        }
    }
}
