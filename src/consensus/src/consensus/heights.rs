//! The life of a height: started, held, led, decided, committed.

use super::{Consensus, Phase};
use crate::chain_view::NewTip;
use crate::engine;
use crate::error::FatalError;
use crate::guard::Memory;
use crate::height_state::{HeightPace, HeightStart, HeightState};
use crate::idle::{IdleRule, ParentCommit};
use crate::journal::JournalEntry;
use crate::messages::{CommittedBlocks, Gossip, Output};
use crate::signing::SigningOff;
use crate::statement::SignedRecord;
use crate::timers::Timer;
use std::sync::Arc;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Block, BlockId, CommitCertificate, Height, Round};

impl Consensus {
    /// Starts the height after the tip.
    pub(super) fn begin_height(&mut self, parent: ParentCommit) -> Result<(), FatalError> {
        let (height, now) = (self.chain.height(), self.clock.now());
        let (set, order) = (self.chain.set().clone(), self.chain.order());
        let parent = if self.chain.tip().height == Height::GENESIS { ParentCommit::Genesis } else { parent };
        self.phase = Phase::Running;
        self.height = HeightState::new(HeightStart { height, set: set.clone(), order, parent, now });
        self.timers.cancel_height();
        self.timeouts.on_height(&set);
        self.block_size.on_height();
        self.durable.begin(height);
        let is_validator = self.me.is_some_and(|me| set.get(&me).is_some());
        self.refuse_behind_guard();
        let signs = is_validator && self.signing.off().is_none();
        self.engine.set_enabled(signs);
        if signs {
            self.durable.adopt();
            let is_quorum_heard = self.has_quorum_reported();
            self.signing.on_signing(now, height, is_quorum_heard);
        }
        let members = self.chain.members();
        let actions = self.engine.start(self.durable.guard_mut(), height, set, members)?;
        self.apply(actions);
        let entries = self.durable.take_replay();
        if !entries.is_empty() {
            self.recover(&entries);
            let actions = self.engine.replay(self.durable.guard_mut(), height, &entries)?;
            self.apply(actions);
            self.after_replay();
        }
        let (votes, proposals) = self.future.take(height);
        proposals.into_iter().for_each(|p| self.accept_proposal(p));
        votes.into_iter().for_each(|v| self.accept_vote(v));
        Ok(())
    }

    /// What the guard holds of this height or a later one, and this process did not sign, would refuse a signature in the middle of a step.
    fn refuse_behind_guard(&mut self) {
        let height = self.chain.height();
        let Some(last) = self.durable.last_signed().filter(|last| last.height >= height) else { return };
        if self.signing.off().is_none() && self.durable.remembers(&last) != Memory::Ours {
            self.signing.on_foreign(last.height);
            self.signing.switch_off(SigningOff::Forgotten { height: last.height, round: last.round });
        }
    }

    /// Fills the stores with what the journal holds; the engine gets it next. The journal held verified messages only.
    fn recover(&mut self, entries: &[JournalEntry]) {
        for entry in entries {
            match entry {
                JournalEntry::Vote(vote) => {
                    self.engine.note_verified_vote(vote);
                    self.height.recover_vote(vote);
                }
                JournalEntry::Proposal(proposal) => {
                    self.engine.note_verified_proposal(proposal);
                    self.height.insert_own_proposal(proposal);
                }
                JournalEntry::Polka(polka) => {
                    for vote in crate::certificate::polka_votes(polka) {
                        self.engine.note_verified_vote(&vote);
                        self.height.recover_vote(&vote);
                    }
                    self.height.on_polka(polka.clone());
                }
                JournalEntry::Block(block) => self.blocks.recover(Arc::new((**block).clone())),
                JournalEntry::Validated { block, valid, .. } => self.blocks.recover_validity(block, *valid),
                JournalEntry::Timeout { .. } => {}
            }
        }
    }

    /// The engine publishes our votes again, but not our proposal; and it asked for a block before that one was reported to it.
    fn after_replay(&mut self) {
        let Some(round) = self.engine.round() else { return };
        let mine = self.height.votes().proposals(round).iter().find(|p| Some(p.proposer) == self.me).cloned();
        let is_open = self.engine.is_proposing() && mine.is_none();
        self.outputs.retain(|o| !matches!(o, Output::Build { round: asked, .. } if !is_open || *asked != round));
        if !is_open {
            self.height.stop_building();
        }
        if let Some(proposal) = mine.filter(|_| self.engine.is_enabled()) {
            let block = self.blocks.get(&proposal.block).map(|block| Output::Broadcast(Gossip::Block(block.clone())));
            self.durable.flush_before_return();
            self.outputs.push(Output::Broadcast(Gossip::Proposal(proposal)));
            self.outputs.extend(block);
        }
    }

    /// The engine entered a round.
    pub(super) fn on_round(&mut self, round: Round) {
        self.height.on_round(round, self.clock.now());
        self.block_size.on_round(round);
        if round > Round::ZERO {
            self.timers.cancel(Timer::Release);
        }
    }

    /// Ends the hold of round 0 when it is time, or sets the timer for it.
    pub(super) fn update_hold(&mut self) {
        if self.phase != Phase::Running || !self.height.is_held() {
            return;
        }
        let now = self.clock.now();
        let mut at = self.idle().release_at(self.payload_since, !self.height.votes().is_empty());
        if is_planted(Bug::HoldByWallClock) {
            at = at.max(now + self.chain.tip().time.since(self.clock.unix()));
        }
        if at > now {
            self.timers.set(Timer::Release, at);
            return;
        }
        let held = self.height.release(now);
        self.timers.cancel(Timer::Release);
        if held.is_waiting && self.engine.is_proposing() {
            self.await_proposal(Round::ZERO);
        }
        if held.is_building && self.engine.is_proposing() {
            self.build(Round::ZERO);
        }
    }

    fn idle(&self) -> IdleRule {
        self.height.idle(HeightPace {
            min_interval: self.config.min_block_interval,
            empty_interval: self.config.empty_block_interval,
            relay_grace: self.timeouts.relay_grace(),
            is_leader: self.is_first_leader(),
        })
    }

    /// Whether we lead round 0.
    fn is_first_leader(&self) -> bool {
        self.me.is_some() && self.height.leader(Round::ZERO) == self.me
    }

    pub(super) fn build(&mut self, round: Round) {
        let tip = self.chain.tip();
        self.height.on_build(round, self.clock.now());
        self.outputs.push(Output::Build {
            height: self.chain.height(),
            round,
            parent: tip.id,
            time: self.clock.block_time(self.chain.earliest_time()),
            parent_certificate: tip.certificate.clone(),
            late_precommits: self.late.certificates().collect(),
            bytes_max: self.block_size.on_asked(self.clock.now(), round),
        });
    }

    /// Leads with a block that a quorum is known to have prevoted in an earlier round, rather than with a new one, though the engine knows
    /// no valid value: it takes a quorum of prevotes for that in the round alone where it came about. Who is locked on the block prevotes
    /// no other, and where as many lie as may, nothing is decided without it. To propose it anew, without naming the round, is what
    /// any leader may do, and who is locked on it prevotes it (line 24 of the algorithm in arXiv:1807.04938).
    pub(super) fn lead_with_polka(&mut self) {
        let Some(round) = self
            .engine
            .round()
            .filter(|round| self.phase == Phase::Running && self.height.building_since(*round).is_some())
        else {
            return;
        };
        let is_known = |id: &BlockId| self.blocks.is_valid(id) && !is_planted(Bug::LockIgnored);
        let Some((_, block)) = self.height.highest_polka(round).filter(|(_, id)| is_known(id)) else { return };
        self.height.stop_building();
        self.outputs.retain(|output| !matches!(output, Output::Build { .. }));
        self.push(engine::propose(self.chain.height(), round, block));
    }

    pub(super) fn on_built(&mut self, height: Height, round: Round, block: Arc<Block>) {
        let header = &block.header;
        let is_asked = self.phase == Phase::Running
            && height == self.chain.height()
            && self.height.building_since(round).is_some()
            && self.engine.round() == Some(round);
        let is_ours = Some(header.proposer) == self.me && header.height == height && header.first_round == round;
        if !is_asked || !is_ours || header.parent != self.chain.tip().id {
            return;
        }
        let id = block.id();
        if let Some(size_bytes) = self.blocks.insert_own(id, block) {
            self.block_size.on_built(size_bytes);
            self.height.on_built();
            self.push(engine::propose(height, round, id));
        }
    }

    /// The engine decided.
    pub(super) fn on_decided(&mut self, certificate: CommitCertificate) {
        let now = self.clock.now();
        if let Some(since) = self.height.active_since() {
            self.timeouts.on_decided(now.since(since));
        }
        if let Some(since) = self.payload_since.filter(|_| !self.is_first_leader()) {
            // Before the shortest interval is over no leader builds, however early it hears of the payload.
            let since = since.max(self.idle().earliest());
            self.timeouts.on_relayed(now.since(since));
        }
        let proposer = self.blocks.get(&certificate.block).map(|block| block.header.proposer);
        self.block_size.on_decided(now, self.me.is_some() && proposer == self.me);
        self.phase = Phase::Committing;
        self.signing.on_decided_here();
        self.timers.cancel_height();
        self.height.on_decided(certificate);
        self.commit_if_found();
    }

    /// Hands the decided block over, once it is here. Nobody hears of it yet, so the journal need not hold why it is decided: the block log
    /// will, with the certificate, before anybody does. After a crash in between, the votes come again.
    pub(super) fn commit_if_found(&mut self) {
        let Some(certificate) = self.height.decided() else { return };
        let Some(block) = self.blocks.get(&certificate.block) else { return };
        self.outputs.push(Output::Commit { block: block.clone(), certificate: certificate.clone() });
        self.height.on_handed_over();
    }

    pub(super) fn on_committed(&mut self, committed: CommittedBlocks) -> Result<(), FatalError> {
        let CommittedBlocks { blocks, certificate, decided_by, validators, next_validators } = committed;
        let old_tip = self.chain.tip().height;
        let blocks: Vec<_> = blocks.into_iter().filter(|b| b.header.height > old_tip).collect();
        let parents = blocks.iter().filter_map(|block| block.parent_certificate.as_ref());
        self.check_certificates(parents.clone().chain([&certificate]));
        parents.chain([&certificate]).for_each(|certificate| self.compare_certificate(certificate));
        let mut expected = old_tip.next();
        for block in &blocks {
            if block.header.height != expected {
                return Err(FatalError::Gap { expected, got: block.header.height });
            }
            expected = expected.next();
            self.on_committed_block(block);
        }
        self.apply_signing();
        let count = blocks.len();
        let Some(block) = blocks.into_iter().next_back() else { return Ok(()) };
        let parent = self.parent_commit(count);
        if let Some(included) = &block.parent_certificate {
            self.late.on_included(included, self.chain.tip().certificate.as_ref(), self.chain.tip_set());
        }
        let certificate = self.height.with_all_precommits(certificate);
        let votes = self.height.take_votes(block.header.height, &decided_by);
        let tip = NewTip { block, certificate, decided_by, validators, next_validators };
        self.chain.on_tip(tip, votes, self.clock.now());
        let tip = self.chain.tip().height;
        self.elsewhere.on_committed(tip);
        self.blocks.on_committed(tip);
        self.future.on_committed(tip);
        self.durable.on_committed();
        self.advance_guard();
        match self.phase {
            Phase::Opened => Ok(()),
            Phase::Waiting => {
                self.listen_again();
                Ok(())
            }
            Phase::Running | Phase::Committing if self.must_listen_first() => {
                self.listen_first();
                Ok(())
            }
            Phase::Running | Phase::Committing => self.begin_height(parent),
        }
    }

    fn on_committed_block(&mut self, block: &Block) {
        let height = block.header.height;
        self.chain.on_block(block);
        let is_before = matches!(self.phase, Phase::Opened | Phase::Waiting);
        if is_before && (self.signing.is_copy() || !self.has_quorum_reported()) {
            self.signing.on_proof(height);
        }
        self.signing.on_committed(height, block.header.time);
    }

    /// When the last of these blocks was committed, as far as a monotonic clock can say: decided here, now; by sync after we saw
    /// something of its height, then or later.
    fn parent_commit(&self, blocks: usize) -> ParentCommit {
        match (self.phase, self.height.active_since()) {
            (Phase::Committing, _) => ParentCommit::At(self.clock.now()),
            (Phase::Running, Some(seen)) if blocks == 1 => ParentCommit::At(seen),
            _ => ParentCommit::Unknown,
        }
    }

    /// What we signed and forgot, or a twin signed, may stand in a certificate. The blocks are certified, so what they carry is genuine.
    fn check_certificates<'a>(&mut self, certificates: impl Iterator<Item = &'a CommitCertificate>) {
        let Some(me) = self.me else { return };
        for vote in certificates.flat_map(CommitCertificate::votes).filter(|vote| vote.validator == me) {
            self.check_memory(None, &me, SignedRecord::of_vote(&vote), |_| true);
        }
    }

    /// To be called when signing may have been switched off, also by [`Self::apply_others`]. It is switched on only where a height begins.
    pub(super) fn apply_signing(&mut self) {
        if self.signing.off().is_some() {
            self.engine.set_enabled(false);
        }
        if self.signing.is_memory_in_doubt() {
            self.durable.disown();
        }
    }

    /// Notes that a height is behind us which we did not sign, so that the guard stays as new as the chain.
    fn advance_guard(&mut self) {
        let (height, id) = (self.chain.tip().height, self.chain.tip().id);
        let is_older = self.durable.last_signed().is_none_or(|last| last.height < height);
        if self.me.is_some() && is_older && !self.signing.is_memory_in_doubt() {
            self.durable.note(SignedRecord::decided(height, id));
        }
    }
}
