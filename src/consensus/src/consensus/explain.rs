//! Why is this height not decided? The answer for people, at any moment and on change.

use super::{Consensus, Phase};
use crate::idle::CLOCK_GRACE;
use crate::messages::Output;
use crate::quorum::quorum_line;
use crate::signing::SigningStatus;
use crate::status::{ConsensusStatus, ValidatorStatus};
use crate::timers::TimeoutStep;
use crate::too_early::TooEarly;
use timed_primitives::{PublicKey, Round, VoteKind};

/// For a node that signed, when the chain leaves its key out.
const NO_LONGER: &str =
    "signing is over: the consensus key is no longer among the voters of the chain; this node signs again when it is";

impl Consensus {
    /// What the core is doing and what it waits for.
    pub fn status(&self) -> ConsensusStatus {
        let round = self.engine.round().filter(|_| matches!(self.phase, Phase::Running | Phase::Committing));
        let at = round.unwrap_or_default();
        let vote = |kind, key| self.height.votes().vote(at, kind, key).map(|v| v.block);
        let validators = self.chain.set().iter().map(|v| ValidatorStatus {
            key: v.key,
            label: self.label(&v.key),
            power: v.power,
            is_connected: Some(v.key) == self.me || self.peers.is_connected(&v.key),
            prevote: vote(VoteKind::Prevote, &v.key),
            precommit: vote(VoteKind::Precommit, &v.key),
        });
        let validators: Vec<_> = validators.collect();
        let elsewhere =
            self.peers.height_max().max(Some(self.elsewhere.highest())).filter(|h| *h > self.chain.tip().height);
        ConsensusStatus {
            height: self.chain.height(),
            round,
            step: self.engine.step_name(),
            is_idle: self.phase == Phase::Running && self.height.is_idle(),
            proposer: self.height.leader(at),
            proposal: self.height.votes().proposals(at).first().map(|p| p.block),
            too_early: self.too_early_in(at),
            quorum_line: self.current_quorum_line(),
            signing: self.signing_status(),
            decided_elsewhere: elsewhere,
            propose_timeout: self.timeouts.duration(TimeoutStep::Propose, Round::ZERO),
            undecided_bytes: self.blocks.bytes(),
            future_messages: self.future.len(),
            why: self.why(at, &validators),
            validators,
        }
    }

    fn why(&self, round: Round, validators: &[ValidatorStatus]) -> String {
        let height = self.chain.height();
        match self.phase {
            Phase::Opened => return "not started".to_owned(),
            Phase::Waiting if self.signing.is_waiting_for_other() => return self.signing_status().to_string(),
            Phase::Waiting => return "waiting to hear the heights of a quorum of validators".to_owned(),
            Phase::Committing if self.height.decided().is_some() => {
                return format!("height {height} is decided, but its block is missing; asking for it");
            }
            Phase::Committing => return format!("height {height} is decided; the ledger is writing it"),
            Phase::Running if self.height.is_idle() => {
                return format!("height {height} is idle: nothing to decide, and the empty block is not due");
            }
            Phase::Running => {}
        }
        let missing = |kind: VoteKind| {
            let is_missing = |v: &&ValidatorStatus| match kind {
                VoteKind::Prevote => v.prevote.is_none(),
                VoteKind::Precommit => v.precommit.is_none(),
            };
            let name = |v: &ValidatorStatus| match v.is_connected {
                true => v.label.clone(),
                false => format!("{} (not connected)", v.label),
            };
            validators.iter().filter(is_missing).map(name).collect::<Vec<_>>().join(", ")
        };
        let leader = self.height.leader(round).map_or_else(String::new, |key| self.label(&key));
        let proposal = self.height.votes().proposals(round).first();
        let refused = self.too_early_in(round);
        let refused = refused.map_or_else(String::new, |refused| format!("; {}", self.too_early_line(&refused)));
        let waiting = match (self.engine.step_name(), proposal) {
            ("propose", None) => format!("waiting for the proposal of {leader} for height {height} round {round}"),
            ("propose", Some(p)) if !self.blocks.contains(&p.block) => {
                format!("waiting for block {} proposed by {leader}", p.block.short())
            }
            ("propose", Some(p)) => format!("validating block {} proposed by {leader}", p.block.short()),
            ("prevote", _) => format!("waiting for prevotes of {}", missing(VoteKind::Prevote)),
            _ => format!("waiting for precommits of {}", missing(VoteKind::Precommit)),
        };
        waiting + &refused
    }

    /// Name of a validator for people.
    fn label(&self, key: &PublicKey) -> String {
        self.config.labels.get(key).cloned().unwrap_or_else(|| key.short())
    }

    /// Words for the operator when the connected validators are no quorum.
    fn current_quorum_line(&self) -> Option<String> {
        let is_present = |key: &PublicKey| Some(*key) == self.me || self.peers.is_connected(key);
        quorum_line(self.chain.set(), is_present, |key| self.label(key))
    }

    pub(super) fn report_quorum(&mut self) {
        if self.phase == Phase::Opened {
            return;
        }
        let line = self.reports.is_quorum_stale().then(|| self.current_quorum_line());
        self.outputs.extend(self.reports.on_quorum(self.clock.now(), line));
    }

    pub(super) fn report_signing(&mut self) {
        let status = self.signing_status();
        if self.phase != Phase::Opened && self.reports.is_signing_news(&status) {
            // Who signed here and is left out by the chain was paused, replaced or has left; perhaps by somebody else than who runs this node.
            let (line, is_warning) = match status {
                SigningStatus::NotValidator if self.signing.has_begun() => (NO_LONGER.to_owned(), true),
                SigningStatus::Observer | SigningStatus::NotValidator | SigningStatus::On => {
                    (status.to_string(), false)
                }
                SigningStatus::Off { .. } => (status.to_string(), true),
            };
            self.outputs.push(Output::SigningChanged { line, is_warning });
        }
    }

    fn signing_status(&self) -> SigningStatus {
        match (self.me, self.signing.off()) {
            (None, _) => SigningStatus::Observer,
            (Some(me), _) if self.chain.set().get(&me).is_none() => SigningStatus::NotValidator,
            (Some(_), Some(reason)) => SigningStatus::Off { reason, passed: self.signing.passed() },
            (Some(_), None) => SigningStatus::On,
        }
    }

    /// The block proposed in `round` that is refused at present.
    fn too_early_in(&self, round: Round) -> Option<TooEarly> {
        self.height.votes().proposals(round).iter().find_map(|proposal| self.blocks.too_early(&proposal.block))
    }

    pub(super) fn too_early_line(&self, refused: &TooEarly) -> String {
        format!(
            "block {} proposed by {} is refused: its time is {:.1} s ahead of this node's clock, {} s are allowed",
            refused.block.short(),
            self.label(&refused.proposer),
            refused.ahead.as_secs_f64(),
            CLOCK_GRACE.as_secs()
        )
    }
}
