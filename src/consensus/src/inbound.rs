//! Messages from peers: what is let through to the engine.
//!
//! Everything is checked here before it is kept or given on: place, membership, already held, signature. So nothing unverified is ever
//! buffered. Votes and proposals of the next two heights are kept, rounds below [`FUTURE_ROUNDS`] only, one of each kind per validator
//! and round, the first staying: at most 2 × 4 × 2 votes and as many proposals per validator, whoever sends them. What is dropped is
//! sent again by vote-set gossip. Rounds more than [`ROUNDS_AHEAD`] above ours enter by certificate only.

use crate::blocks::{BlockValidity, Rank};
use crate::certificate::{polka_votes, round_votes, verify_commit, verify_polka, verify_round};
use crate::consensus::{Consensus, Phase};
use crate::engine;
use crate::guard::SignedRecord;
use crate::inspect::Statement;
use crate::journal::TimeoutStep;
use crate::messages::{Evidence, Gossip, GossipOffence, Output};
use crate::timeouts::OWN_WORK_MAX;
use crate::timers::Timer;
use crate::votes::Seen;
use std::collections::BTreeMap;
use std::sync::Arc;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{
    Block, BlockId, ChainId, Height, Instant, PolkaCertificate, Proposal, PublicKey, Round, RoundCertificate, Vote,
    VoteKind,
};

/// Heights after the one being decided of which votes are kept.
pub(crate) const FUTURE_HEIGHTS: u64 = 2;
/// Rounds of those heights that are kept.
pub(crate) const FUTURE_ROUNDS: u32 = 4;
/// Rounds above ours of which single votes are taken; the engine's own bound.
pub(crate) const ROUNDS_AHEAD: u32 = 10;
/// Contradictions reported per height. More teach nothing.
const EVIDENCE_MAX: usize = 32;

/// Verified messages of heights that are not yet decided upon.
#[derive(Default)]
pub(crate) struct Future {
    votes: BTreeMap<(Height, Round, VoteKind, PublicKey), Vote>,
    proposals: BTreeMap<(Height, Round, PublicKey), Proposal>,
}

impl Future {
    pub(crate) fn take(&mut self, height: Height) -> (Vec<Vote>, Vec<Proposal>) {
        let votes = self.votes.extract_if(.., |key, _| key.0 == height).map(|(_, v)| v).collect();
        let proposals = self.proposals.extract_if(.., |key, _| key.0 == height).map(|(_, p)| p).collect();
        (votes, proposals)
    }

    pub(crate) fn on_committed(&mut self, height: Height) {
        self.votes.retain(|key, _| key.0 > height);
        self.proposals.retain(|key, _| key.0 > height);
    }

    /// All that is held of what a validator signed.
    pub(crate) fn signed_by(&self, signer: &PublicKey) -> impl Iterator<Item = Statement> {
        let votes = self.votes.values().filter(|vote| vote.validator == *signer).cloned();
        let proposals = self.proposals.values().filter(|proposal| proposal.proposer == *signer).cloned();
        votes.map(Statement::Vote).chain(proposals.map(Statement::Proposal))
    }

    pub(crate) fn len(&self) -> usize {
        self.votes.len() + self.proposals.len()
    }
}

/// Where a message belongs.
enum HeightClass {
    Current,
    Previous,
    Future,
    /// Too high to keep.
    Far,
    Past,
}

impl Consensus {
    pub(crate) fn on_gossip(&mut self, from: PublicKey, message: Gossip) {
        if self.phase == Phase::Opened {
            return;
        }
        match message {
            Gossip::Vote(vote) => self.on_vote(from, vote),
            Gossip::Proposal(proposal) => self.on_proposal(from, proposal),
            Gossip::Polka(polka) => self.on_polka(from, polka),
            Gossip::RoundCertificate(certificate) => self.on_round_certificate(from, certificate),
            Gossip::KnownVotes(known) => self.on_known_votes(from, &known),
            Gossip::Block(block) => self.on_block(from, block),
            Gossip::GetBlock { height, id } => self.on_get_block(from, height, id),
            Gossip::KeyReport(report) => self.on_key_report(from, report),
        }
    }

    fn class(&self, height: Height) -> HeightClass {
        let current = self.height();
        match height.above(current) {
            0 if height == current && self.phase == Phase::Waiting => HeightClass::Future,
            0 if height == current => HeightClass::Current,
            0 if height == self.tip.height => HeightClass::Previous,
            0 => HeightClass::Past,
            1..=FUTURE_HEIGHTS => HeightClass::Future,
            _ => HeightClass::Far,
        }
    }

    fn refuse(&mut self, from: PublicKey, offence: GossipOffence) {
        self.outputs.push(Output::Invalid { from, offence });
    }

    fn is_too_far_ahead(&self, round: Round) -> bool {
        round.0 > self.engine.round().unwrap_or_default().0.saturating_add(ROUNDS_AHEAD)
    }

    fn on_vote(&mut self, from: PublicKey, vote: Vote) {
        self.check_memory(Some(from), &vote.validator, SignedRecord::of_vote(&vote), |chain| vote.is_signed(chain));
        match self.class(vote.height) {
            HeightClass::Past => {}
            HeightClass::Previous => self.on_late_vote(from, vote),
            HeightClass::Future => self.on_future_vote(from, vote),
            HeightClass::Far => self.on_far(from, vote.height, &vote.validator, |chain| vote.is_signed(chain)),
            HeightClass::Current => {
                if self.set.get(&vote.validator).is_none() || self.is_too_far_ahead(vote.round) {
                    return;
                }
                let seen = self.votes.seen_vote(&vote);
                if seen == Seen::Same || (seen != Seen::No && self.evidence_reported >= EVIDENCE_MAX) {
                    return;
                }
                if !vote.is_signed(self.config.chain_id) {
                    return self.refuse(from, GossipOffence::BadSignature);
                }
                self.note_key_signs(&from, &vote.validator);
                match seen {
                    Seen::Conflict(held) => self.accuse(Evidence::Votes(Box::new(held), Box::new(vote))),
                    Seen::No | Seen::Same => self.accept_vote(vote),
                }
            }
        }
    }

    /// A verified vote of the current height, not held yet.
    pub(crate) fn accept_vote(&mut self, vote: Vote) {
        if self.set.get(&vote.validator).is_none() || self.votes.seen_vote(&vote) != Seen::No {
            return;
        }
        self.check_memory(None, &vote.validator, SignedRecord::of_vote(&vote), |_| true);
        self.engine.note_verified_vote(&vote);
        self.votes.insert_vote(&vote);
        self.known_since.insert((vote.round, vote.kind, vote.validator), self.now);
        self.active_since.get_or_insert(self.now);
        self.push(engine::vote(&vote));
        self.relay(&vote.validator, &Gossip::Vote(vote.clone()));
    }

    /// A precommit for the decided block enriches the certificate that the next block includes.
    fn on_late_vote(&mut self, from: PublicKey, vote: Vote) {
        let Some(certificate) = &self.tip.certificate else { return };
        let is_wanted = vote.kind == VoteKind::Precommit
            && vote.round == certificate.round
            && vote.block == Some(certificate.block)
            && self.tip_set.get(&vote.validator).is_some()
            && certificate.signatures.iter().all(|s| s.validator != vote.validator);
        if !is_wanted {
            return;
        }
        if !vote.is_signed(self.config.chain_id) {
            return self.refuse(from, GossipOffence::BadSignature);
        }
        if let Some(certificate) = &mut self.tip.certificate {
            let signature = timed_primitives::CommitSignature { validator: vote.validator, signature: vote.signature };
            certificate.signatures.push(signature);
            certificate.signatures.sort();
        }
        if let Some(previous) = &mut self.previous {
            previous.votes.insert_vote(&vote);
        }
    }

    fn on_future_vote(&mut self, from: PublicKey, vote: Vote) {
        let key = (vote.height, vote.round, vote.kind, vote.validator);
        let is_room = vote.round.0 < FUTURE_ROUNDS && self.set.get(&vote.validator).is_some();
        if !is_room || self.future.votes.contains_key(&key) {
            return;
        }
        if !vote.is_signed(self.config.chain_id) {
            return self.refuse(from, GossipOffence::BadSignature);
        }
        self.hint(vote.height);
        self.future.votes.insert(key, vote);
    }

    /// A message from far above says only how high others are.
    fn on_far(&mut self, from: PublicKey, height: Height, signer: &PublicKey, is_signed: impl FnOnce(ChainId) -> bool) {
        if self.set.get(signer).is_none() || height <= self.height_hint.next() {
            return;
        }
        match is_signed(self.config.chain_id) {
            true => self.hint(height),
            false => self.refuse(from, GossipOffence::BadSignature),
        }
    }

    /// Somebody votes at `height`, so the one before is decided.
    fn hint(&mut self, height: Height) {
        self.on_height_elsewhere(height.previous().unwrap_or_default());
    }

    fn on_proposal(&mut self, from: PublicKey, proposal: Proposal) {
        if proposal.valid_round.is_some_and(|valid| valid >= proposal.round) {
            return;
        }
        let record = SignedRecord::of_proposal(&proposal);
        self.check_memory(Some(from), &proposal.proposer, record, |chain| proposal.is_signed(chain));
        match self.class(proposal.height) {
            HeightClass::Past | HeightClass::Previous => {}
            HeightClass::Far => {
                self.on_far(from, proposal.height, &proposal.proposer, |chain| proposal.is_signed(chain));
            }
            HeightClass::Future => {
                let key = (proposal.height, proposal.round, proposal.proposer);
                let is_room = proposal.round.0 < FUTURE_ROUNDS && self.set.get(&proposal.proposer).is_some();
                if !is_room || self.future.proposals.contains_key(&key) {
                    return;
                }
                if !proposal.is_signed(self.config.chain_id) {
                    return self.refuse(from, GossipOffence::BadSignature);
                }
                self.hint(proposal.height);
                self.future.proposals.insert(key, proposal);
            }
            HeightClass::Current => self.on_current_proposal(from, proposal),
        }
    }

    fn on_current_proposal(&mut self, from: PublicKey, proposal: Proposal) {
        if self.leader(proposal.round) != Some(proposal.proposer) || self.is_too_far_ahead(proposal.round) {
            return;
        }
        let seen = self.votes.seen_proposal(&proposal);
        if seen == Seen::Same || (seen != Seen::No && self.evidence_reported >= EVIDENCE_MAX) {
            return;
        }
        if !proposal.is_signed(self.config.chain_id) {
            return self.refuse(from, GossipOffence::BadSignature);
        }
        if let Seen::Conflict(held) = seen {
            self.accuse(Evidence::Proposals(Box::new(held), Box::new(proposal.clone())));
        }
        let (id, proposer) = (proposal.block, proposal.proposer);
        self.accept_proposal(proposal);
        // A proposer sends its block behind its proposal; who only relays the proposal is asked for it.
        let is_direct = self.peers.get(&from).is_some_and(|p| p.validator == Some(proposer));
        if !is_direct && !self.blocks.contains(&id) {
            self.ask_for_block(from, id);
        }
    }

    /// A verified proposal of the current height. A second one of a round is kept too: a quorum may go for it.
    pub(crate) fn accept_proposal(&mut self, proposal: Proposal) {
        let is_leader = self.leader(proposal.round) == Some(proposal.proposer);
        if !is_leader || self.votes.seen_proposal(&proposal) == Seen::Same {
            return;
        }
        self.check_memory(None, &proposal.proposer, SignedRecord::of_proposal(&proposal), |_| true);
        self.engine.note_verified_proposal(&proposal);
        if self.votes.insert_proposal(&proposal) {
            self.active_since.get_or_insert(self.now);
            self.proposed_at.entry(proposal.block).or_insert(self.now);
            self.push(engine::proposal(&proposal));
            self.relay(&proposal.proposer, &Gossip::Proposal(proposal.clone()));
        }
    }

    fn accuse(&mut self, evidence: Evidence) {
        self.evidence_reported += 1;
        self.show_to_signer(&evidence);
        self.outputs.push(Output::Evidence(evidence));
    }

    fn on_polka(&mut self, from: PublicKey, polka: PolkaCertificate) {
        let is_current = self.phase == Phase::Running && polka.height == self.height();
        if !is_current || self.votes.quorum_block(polka.round, VoteKind::Prevote) == Some(polka.block) {
            return;
        }
        let check = verify_polka(self.config.chain_id, &polka, &self.set, |v| self.engine.is_verified_vote(v));
        if check.is_err() {
            return self.refuse(from, GossipOffence::BadCertificate);
        }
        // Whole first, since it counts even where a vote in it contradicts one that is held.
        self.polkas.insert(polka.block);
        self.push(engine::polka(&polka));
        polka_votes(&polka).for_each(|vote| self.accept_vote(vote));
    }

    fn on_round_certificate(&mut self, from: PublicKey, certificate: RoundCertificate) {
        let is_current = self.phase == Phase::Running && certificate.height == self.height();
        let is_held = || round_votes(&certificate).all(|v| self.votes.seen_vote(&v) != Seen::No);
        if !is_current || self.engine.round().is_none_or(|ours| certificate.round < ours) || is_held() {
            return;
        }
        let chain = self.config.chain_id;
        if verify_round(chain, &certificate, &self.set, |v| self.engine.is_verified_vote(v)).is_err() {
            return self.refuse(from, GossipOffence::BadCertificate);
        }
        if self.is_too_far_ahead(certificate.round) {
            self.push(engine::round_certificate(&certificate));
        }
        round_votes(&certificate).for_each(|vote| self.accept_vote(vote));
    }

    fn on_block(&mut self, from: PublicKey, block: Arc<Block>) {
        let header = &block.header;
        let id = block.id();
        let is_near = (1..=2).contains(&header.height.above(self.tip.height));
        let is_possible =
            is_near && header.chain_id == self.config.chain_id && self.set.get(&header.proposer).is_some();
        if !is_possible || self.blocks.contains(&id) {
            return;
        }
        if !block.is_whole(self.config.payload_format) {
            return self.refuse(from, GossipOffence::BadBlock);
        }
        let named = self.votes.named_blocks();
        let needed = self.needed_blocks();
        let rank = |id: &BlockId| match (needed.contains(id), named.contains(id)) {
            (true, _) => Rank::Needed,
            (false, true) => Rank::Named,
            (false, false) => Rank::Unnamed,
        };
        if self.blocks.insert(id, block.clone(), rank) && needed.contains(&id) | named.contains(&id) {
            self.relay(&block.header.proposer, &Gossip::Block(block.clone()));
        }
        if let Some(at) = self.proposed_at.remove(&id).filter(|_| self.blocks.contains(&id)) {
            self.timeouts.on_received(block.header.proposer, self.now.since(at));
        }
        self.commit_if_found();
    }

    /// Blocks that must not be pushed out: those with a quorum of prevotes, the decided one, and ours.
    pub(crate) fn needed_blocks(&self) -> Vec<BlockId> {
        let rounds = self.engine.round().and_then(|round| self.votes.highest_polka_round(round));
        let polka = rounds.and_then(|round| self.votes.quorum_block(round, VoteKind::Prevote));
        let ours = self.votes.all_proposals().filter(|p| Some(p.proposer) == self.me).map(|p| p.block);
        polka.into_iter().chain(ours).chain(self.decided.as_ref().map(|c| c.block)).collect()
    }

    /// Asks the ledger to validate named blocks, and reports to the engine what was validated.
    pub(crate) fn check_blocks(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        let height = self.height();
        let open = |v: &BlockValidity| matches!(v, BlockValidity::Unknown | BlockValidity::Validated(_));
        let waiting: Vec<_> = self
            .blocks
            .iter()
            .filter(|(_, h)| h.block.header.height == height && open(&h.validity))
            .map(|(id, h)| (*id, h.block.clone(), h.validity))
            .collect();
        if waiting.is_empty() {
            return;
        }
        let named = self.votes.named_blocks();
        for (id, block, validity) in waiting.into_iter().filter(|(id, ..)| named.contains(id)) {
            let next = match validity {
                BlockValidity::Validated(_) if self.is_too_early(&id, &block) => {
                    self.report_too_early(&id);
                    self.end_proposing(&id);
                    continue;
                }
                BlockValidity::Validated(valid) => {
                    self.push(engine::validated(height, id, block.header.first_round, block.header.proposer, valid));
                    BlockValidity::Reported(valid)
                }
                BlockValidity::Unknown if self.is_possible_block(&block) => {
                    self.outputs.push(Output::Validate { block });
                    BlockValidity::Asked
                }
                BlockValidity::Unknown => {
                    self.push(engine::validated(height, id, block.header.first_round, block.header.proposer, false));
                    BlockValidity::Reported(false)
                }
                other => other,
            };
            if let Some(held) = self.blocks.get_mut(&id) {
                held.validity = next;
                held.asked.get_or_insert(self.now);
            }
        }
    }

    /// Until when the propose time-out of a round waits for our own ledger, which validates a block that is proposed in it. Nobody else
    /// can stretch this.
    pub(crate) fn validates_until(&self, round: Round) -> Option<Instant> {
        let held = self.votes.proposals(round).iter().filter_map(|proposal| self.blocks.get(&proposal.block));
        let asked = held.filter(|held| held.validity == BlockValidity::Asked).filter_map(|held| held.asked).max();
        let until = asked.map(|asked| asked + OWN_WORK_MAX);
        until.filter(|until| *until > self.now && !is_planted(Bug::OwnWorkIgnored))
    }

    /// What the core itself can check of a block on our tip. Its proposer is the leader of the round in which it was first proposed,
    /// whoever proposes it now.
    fn is_possible_block(&self, block: &Block) -> bool {
        let header = &block.header;
        header.parent == self.tip.id
            && header.time > self.tip.time
            && self.leader(header.first_round) == Some(header.proposer)
            && self.is_parent_certificate(block)
    }

    fn is_parent_certificate(&self, block: &Block) -> bool {
        let Some(certificate) = &block.parent_certificate else { return self.tip.height == Height::GENESIS };
        if self.tip.certificate.as_ref() == Some(certificate) {
            return true;
        }
        certificate.height == self.tip.height
            && certificate.block == self.tip.id
            && self.tip.height > Height::GENESIS
            && verify_commit(self.config.chain_id, certificate, &self.tip_set, |_| false).is_ok()
    }

    /// Nobody waits until a clock has passed a block's time: the round of a block that comes too early is given up at once.
    fn end_proposing(&mut self, id: &BlockId) {
        let Some(round) = self.engine.round().filter(|_| self.engine.is_proposing()) else { return };
        let is_proposed = self.votes.proposals(round).iter().any(|p| p.block == *id);
        if is_proposed && self.timers.cancel(Timer::Propose(round)) {
            self.push(engine::timeout(TimeoutStep::Propose, round));
        }
    }

    pub(crate) fn on_validated(&mut self, id: BlockId, valid: bool) {
        let Some(held) = self.blocks.get_mut(&id).filter(|h| h.validity == BlockValidity::Asked) else { return };
        held.validity = BlockValidity::Validated(valid);
        if let Some(asked) = held.asked {
            self.timeouts.on_validated(self.now.since(asked));
        }
        // What the time-out waited for is here; unless it waits for another block, it goes off now.
        if let Some(round) = self.overdue.take()
            && self.timers.cancel(Timer::Propose(round))
        {
            self.timers.set(Timer::Propose(round), self.now);
        }
    }
}
