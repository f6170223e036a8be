//! Why is this height not decided? The answer at any moment, for people.

use crate::consensus::{Consensus, Phase};
use crate::signing::SigningStatus;
use crate::too_early::TooEarly;
use std::time::Duration;
use timed_primitives::{BlockId, Height, PublicKey, Round, VoteKind};

/// One validator at the current height and round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorStatus {
    /// Its consensus key.
    pub key: PublicKey,
    /// Its name for people.
    pub label: String,
    /// Its voting power.
    pub power: u64,
    /// Whether it is this node or a connected peer.
    pub is_connected: bool,
    /// Its prevote of this round: outer `None` when there is none, inner for nil.
    pub prevote: Option<Option<BlockId>>,
    /// Its precommit of this round, likewise.
    pub precommit: Option<Option<BlockId>>,
}

/// What the core is doing and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsensusStatus {
    /// The height being decided.
    pub height: Height,
    /// Its round; `None` before it is started.
    pub round: Option<Round>,
    /// Step of the round, lower case.
    pub step: &'static str,
    /// True while nothing happens because there is nothing to decide.
    pub is_idle: bool,
    /// Who leads the round.
    pub proposer: Option<PublicKey>,
    /// The proposed block, when a proposal is here.
    pub proposal: Option<BlockId>,
    /// The block proposed in this round, when it is refused because its time is too far ahead of our clock.
    pub too_early: Option<TooEarly>,
    /// Everyone who may vote, sorted by key.
    pub validators: Vec<ValidatorStatus>,
    /// Set when the connected validators are no quorum.
    pub quorum_line: Option<String>,
    /// Whether this node signs, and if not, why.
    pub signing: SigningStatus,
    /// Height that is decided elsewhere, when above ours.
    pub decided_elsewhere: Option<Height>,
    /// Wait for a proposal in round 0 at present.
    pub propose_timeout: Duration,
    /// Bytes of undecided blocks held.
    pub undecided_bytes: u64,
    /// Verified messages held for later heights.
    pub future_messages: usize,
    /// What it waits for, in one sentence.
    pub why: String,
}

impl Consensus {
    /// What the core is doing and what it waits for.
    pub fn status(&self) -> ConsensusStatus {
        let round = self.engine.round().filter(|_| matches!(self.phase, Phase::Running | Phase::Committing));
        let at = round.unwrap_or_default();
        let vote = |kind, key| self.votes.vote(at, kind, key).map(|v| v.block);
        let validators = self.set.iter().map(|v| ValidatorStatus {
            key: v.key,
            label: self.label(&v.key),
            power: v.power,
            is_connected: Some(v.key) == self.me || self.peers.is_connected(&v.key),
            prevote: vote(VoteKind::Prevote, &v.key),
            precommit: vote(VoteKind::Precommit, &v.key),
        });
        let validators: Vec<_> = validators.collect();
        let elsewhere = self.peers.height_max().max(Some(self.height_hint)).filter(|h| *h > self.tip.height);
        ConsensusStatus {
            height: self.height(),
            round,
            step: self.engine.step_name(),
            is_idle: self.hold.is_some() && self.votes.is_empty(),
            proposer: self.leader(at),
            proposal: self.votes.proposals(at).first().map(|p| p.block),
            too_early: self.too_early_in(at),
            quorum_line: self.current_quorum_line(),
            signing: self.signing_status(),
            decided_elsewhere: elsewhere,
            propose_timeout: self.timeouts.duration(crate::journal::TimeoutStep::Propose, Round::ZERO),
            undecided_bytes: self.blocks.bytes(),
            future_messages: self.future.len(),
            why: self.why(at, &validators),
            validators,
        }
    }

    fn why(&self, round: Round, validators: &[ValidatorStatus]) -> String {
        let height = self.height();
        match self.phase {
            Phase::Opened => return "not started".to_owned(),
            Phase::Waiting if self.signing.is_waiting_for_other() => return self.signing_status().to_string(),
            Phase::Waiting => return "waiting to hear the heights of a quorum of validators".to_owned(),
            Phase::Committing if self.decided.is_some() => {
                return format!("height {height} is decided, but its block is missing; asking for it");
            }
            Phase::Committing => return format!("height {height} is decided; the ledger is writing it"),
            Phase::Running if self.hold.is_some() && self.votes.is_empty() => {
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
        let leader = self.leader(round).map_or_else(String::new, |key| self.label(&key));
        let proposal = self.votes.proposals(round).first();
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
}
