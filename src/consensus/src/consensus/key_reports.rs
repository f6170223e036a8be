//! Reports to validators about other nodes with their key, and theirs about ours. See [`crate::key_use`].

use super::Consensus;
use crate::key_use::{HeardReport, KeyReport, OtherSession, OurUse};
use crate::messages::{Gossip, Output};
use crate::signing::OtherNode;
use core::net::SocketAddr;
use timed_primitives::PublicKey;
use timed_primitives::planted::{Bug, is_planted};

impl Consensus {
    /// A session with a consensus key began: who has the key hears of each other.
    pub(super) fn on_key_up(&mut self, node: PublicKey, key: PublicKey, instance: u128, address: Option<SocketAddr>) {
        self.key_uses.on_up(self.clock.now(), key, OtherNode { node, instance, address });
        self.report_key(&key);
        self.apply_others();
    }

    /// It ended; `is_gone` when the node said so itself, or was silent for long.
    pub(super) fn on_key_down(&mut self, node: &PublicKey, key: &PublicKey, is_gone: bool) {
        self.key_uses.on_down(self.clock.now(), key, node, is_gone);
        self.report_key(key);
        self.apply_others();
    }

    /// A message that bears a validator's signature came over its own session.
    pub(super) fn note_key_signs(&mut self, from: &PublicKey, signer: &PublicKey) {
        if self.peers.has_key(from, signer) {
            self.key_uses.on_signed(signer, from);
        }
    }

    /// Answers all peers with this key.
    fn report_key(&mut self, key: &PublicKey) {
        let now = self.clock.now();
        for (to, instance) in self.peers.with_validator(key) {
            let other = self.key_uses.other(now, key, Some(instance));
            if self.peers.is_report_due(&to, other.is_some(), now) {
                let report = KeyReport { height: self.chain.tip().height, other };
                self.outputs.push(Output::Send { to, message: Gossip::KeyReport(report) });
            }
        }
    }

    /// What was said of another node is said again, also that it is gone, and anything to who came just now: a message may be lost.
    pub(super) fn repeat_key_reports(&mut self) {
        let now = self.clock.now();
        self.key_uses.expire(now);
        for key in self.peers.validators_to_report_to(now) {
            self.report_key(&key);
        }
    }

    pub(super) fn on_key_report(&mut self, from: PublicKey, report: KeyReport) {
        let heard = HeardReport::new(self.clock.now(), report.other);
        let Some(validator) = self.peers.on_report(&from, heard) else { return };
        if let Some(validator) = validator.filter(|key| Some(*key) != self.me) {
            self.signing.on_tip_report(self.chain.set(), validator, report.height);
        }
        self.apply_others();
    }

    /// To be called when what is known of other nodes with our key, or of our own memory, may have changed.
    pub(super) fn apply_others(&mut self) {
        let Some(me) = self.me else { return };
        let now = self.clock.now();
        let ours = OurUse { now, is_unsure: self.signing.is_memory_unsure(), begun: self.signing.begun() };
        let direct = self.key_uses.other(now, &me, None);
        let mut said = self.peers.sessions_that_keep(&ours, self.chain.set(), &me);
        said.extend(direct.filter(|other| ours.is_kept_by(other, now)));
        if is_planted(Bug::TwinUnheard) {
            said.clear();
        }
        let most = said.into_iter().max_by_key(|other| (other.left.is_none(), other.left));
        self.signing.on_elsewhere(now, most);
        self.name_twin(direct);
        self.apply_signing();
    }

    /// Adds to a stop who the other is, once somebody says so.
    fn name_twin(&mut self, direct: Option<OtherSession>) {
        let Some(mut found) = self.signing.twin().filter(|found| found.other.is_none()) else { return };
        let Some(other) = direct.or_else(|| self.peers.any_report_of_other(self.chain.set())) else { return };
        found.other = Some(other.other);
        self.signing.stop(found);
        self.durable.stop(found);
    }
}
