//! The life of a height: started, held, led, decided, committed.

use crate::blocks::{BlockValidity, Rank};
use crate::certificate::commit_votes;
use crate::consensus::{Consensus, Phase, Previous};
use crate::engine;
use crate::guard::{Memory, SignedRecord};
use crate::idle::{IdleRule, ParentCommit};
use crate::journal::JournalEntry;
use crate::leaders::LeaderRecord;
use crate::messages::{CommittedBlocks, FatalError, Gossip, Output};
use crate::quorum::{is_more_than_third, is_quorum, power_of};
use crate::signing::SigningOff;
use crate::timers::Timer;
use crate::vote_gossip::TICK;
use crate::votes::Votes;
use std::sync::Arc;
use std::time::Duration;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Block, CommitCertificate, Height, PublicKey, Round, Tip, UnixTime};

/// How long the first height waits to hear from a quorum. After it the node goes on with those it hears: links may be cut. It
/// never signs while it hears nobody, or before it has caught up with those it hears: what it forgot may be there.
pub(crate) const START_WAIT: Duration = Duration::from_secs(3);

/// The same for who was away: those it hears must be more than a third then, so that an honest one is among them.
pub(crate) const AWAY_WAIT: Duration = Duration::from_secs(10);

/// How long it listens after that before it signs: neighbours that hold something it signed and forgot send that back meanwhile.
pub(crate) const LISTEN_TIME: Duration = Duration::from_millis(300);

/// The same for a copy, and after another node with our key went: what was on its way to the neighbours when they were asked first is
/// asked for again at a tick.
pub(crate) const LISTEN_LONG: Duration = TICK.saturating_add(LISTEN_TIME);

/// Round 0 before anything happens: what begins when the hold ends. See [`crate::idle`].
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// The propose time-out.
    pub(crate) is_waiting: bool,
    /// Building a block.
    pub(crate) is_building: bool,
}

impl Consensus {
    pub(crate) fn on_start(&mut self) -> Result<(), FatalError> {
        if self.phase != Phase::Opened {
            return Ok(());
        }
        self.phase = Phase::Waiting;
        self.signing.on_start(self.unix);
        self.timers.set(Timer::Tick, self.now + TICK);
        self.started = self.now;
        Ok(())
    }

    /// True when nobody else is needed, or nothing is ever signed.
    fn is_alone(&self) -> bool {
        let power = self.me.and_then(|me| self.set.get(&me)).map(|v| v.power);
        power.is_none_or(|power| is_quorum(power, self.set.total_power()))
    }

    /// While the first height waits: a quorum may have reported its heights, and the time to listen may be over.
    pub(crate) fn on_waiting(&mut self) -> Result<(), FatalError> {
        if self.is_alone() {
            return self.begin_height();
        }
        if self.signing.is_waiting_for_other() {
            self.listens_until = Some(self.now + LISTEN_LONG);
            return Ok(());
        }
        if !self.has_heard_enough() {
            self.listens_until = None;
            return Ok(());
        }
        let time = if self.signing.is_copy() { LISTEN_LONG } else { LISTEN_TIME };
        let until = *self.listens_until.get_or_insert(self.now + time);
        if self.now >= until {
            if !self.has_quorum_reported() {
                // Nobody who was heard is above us.
                self.signing.on_enough_reported(self.tip.height, self.tip.height);
            }
            return self.begin_height();
        }
        self.timers.set(Timer::Start, until);
        Ok(())
    }

    /// A copy whose newest height was decided by others asks what neighbours hold of the next. Once: with another block it is an old copy.
    fn listen_again(&mut self) {
        if self.signing.is_copy() && self.signing.off().is_none() {
            self.listens_until = None;
            self.peers.validators().into_iter().for_each(|peer| self.send_known_votes(peer));
        }
    }

    /// True when a quorum, ourselves included, reported its height; or, after a while, when somebody did, and nobody is above us. Who was
    /// away waits longer, and for more than a third: only that ends the absence, and who begins a height without signing may be missing
    /// in it.
    fn has_heard_enough(&self) -> bool {
        if self.has_quorum_reported() {
            return true;
        }
        let is_away = matches!(self.signing.off(), Some(SigningOff::Away { .. }));
        let reported = power_of(&self.set, |key| Some(*key) != self.me && self.has_reported_since(key));
        let (wait, is_enough) = match is_away {
            true => (AWAY_WAIT, is_more_than_third(reported, self.set.total_power())),
            false => (START_WAIT, reported > 0),
        };
        let highest = self.peers.reported_height(&self.set, self.me);
        is_enough && self.now >= self.started + wait && highest.is_some_and(|highest| highest <= self.tip.height)
    }

    /// Who is in doubt and never hears a quorum takes what it hears, when it has waited long for others.
    pub(crate) fn hear_few(&mut self) {
        let reported = power_of(&self.set, |key| Some(*key) != self.me && self.peers.has_reported_height(key));
        let is_due = self.signing.is_memory_in_doubt() && self.now >= self.started + AWAY_WAIT;
        if is_due
            && is_more_than_third(reported, self.set.total_power())
            && let Some(highest) = self.peers.reported_height(&self.set, self.me)
        {
            self.signing.on_few_reported(highest.max(self.height_hint));
        }
    }

    pub(crate) fn has_quorum_reported(&self) -> bool {
        let power = power_of(&self.set, |key| Some(*key) == self.me || self.has_reported_since(key));
        is_quorum(power, self.set.total_power())
    }

    /// True when a validator reported its height and, where our memory is unsure, also whether our key is live elsewhere.
    fn has_reported_since(&self, key: &PublicKey) -> bool {
        let has_reported = !self.signing.is_memory_unsure() || self.peers.has_reported_key(key);
        has_reported && self.peers.has_reported_height(key)
    }

    /// Starts the height after the tip.
    pub(crate) fn begin_height(&mut self) -> Result<(), FatalError> {
        let height = self.height();
        self.phase = Phase::Running;
        self.timers.cancel_height();
        self.decided = None;
        self.building = None;
        self.active_since = None;
        self.began = self.now;
        if self.tip.height == Height::GENESIS {
            self.parent = ParentCommit::Genesis;
        }
        self.polkas.clear();
        self.hold = Some(Hold::default());
        self.evidence_reported = 0;
        self.known_since.clear();
        self.proposed_at.clear();
        self.overdue = None;
        self.timeouts.on_height(&self.set);
        self.block_size.on_height();
        self.votes = Votes::new(height, self.set.clone());
        self.order = self.leaders.order(height);
        if self.journal.height() != height {
            self.journal.begin(height);
        }
        let is_validator = self.me.is_some_and(|me| self.set.get(&me).is_some());
        self.refuse_behind_guard();
        let signs = is_validator && self.signing.off().is_none();
        self.engine.set_enabled(signs);
        if signs {
            self.engine.guard().adopt();
            self.signing.on_signing(self.now);
        }
        let members = self.leaders.members(height);
        let actions = self.engine.start(height, self.set.clone(), members)?;
        self.apply(actions);
        let entries = std::mem::take(&mut self.replay);
        if !entries.is_empty() {
            self.recover(&entries);
            let actions = self.engine.replay(height, &entries)?;
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
        let Some(last) = self.engine.guard().last().filter(|last| last.height >= self.height()) else { return };
        if self.signing.off().is_none() && self.engine.guard().remembers(&last) != Memory::Ours {
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
                    self.votes.insert_vote(vote);
                }
                JournalEntry::Proposal(proposal) => {
                    self.engine.note_verified_proposal(proposal);
                    self.votes.insert_proposal(proposal);
                }
                JournalEntry::Polka(polka) => {
                    for vote in crate::certificate::polka_votes(polka) {
                        self.engine.note_verified_vote(&vote);
                        self.votes.insert_vote(&vote);
                    }
                }
                JournalEntry::Block(block) => {
                    let id = block.id();
                    self.blocks.insert(id, Arc::new((**block).clone()), |_| Rank::Needed);
                    if let Some(held) = self.blocks.get_mut(&id) {
                        held.is_journaled = true;
                        held.validity = BlockValidity::Reported(true);
                    }
                }
                JournalEntry::Validated { block, valid, .. } => {
                    if let Some(held) = self.blocks.get_mut(block) {
                        held.validity = BlockValidity::Reported(*valid);
                    }
                }
                JournalEntry::Timeout { .. } => {}
            }
        }
    }

    /// The engine publishes our votes again, but not our proposal; and it asked for a block before that one was reported to it.
    fn after_replay(&mut self) {
        let Some(round) = self.engine.round() else { return };
        let mine = self.votes.proposals(round).iter().find(|p| Some(p.proposer) == self.me).cloned();
        let is_open = self.engine.is_proposing() && mine.is_none();
        self.outputs.retain(|o| !matches!(o, Output::Build { round: asked, .. } if !is_open || *asked != round));
        if !is_open {
            self.building = None;
            if let Some(hold) = &mut self.hold {
                hold.is_building = false;
            }
        }
        if let Some(proposal) = mine.filter(|_| self.engine.is_enabled()) {
            let block = self.blocks.get(&proposal.block).map(|h| Output::Broadcast(Gossip::Block(h.block.clone())));
            self.make_durable();
            self.outputs.push(Output::Broadcast(Gossip::Proposal(proposal)));
            self.outputs.extend(block);
        }
    }

    /// The engine entered a round.
    pub(crate) fn on_round(&mut self, round: Round) {
        self.building = None;
        self.block_size.on_round(round);
        if round > Round::ZERO {
            self.hold = None;
            self.timers.cancel(Timer::Release);
            self.active_since.get_or_insert(self.now);
        }
    }

    /// Ends the hold of round 0 when it is time, or sets the timer for it.
    pub(crate) fn update_hold(&mut self) {
        let Some(hold) = self.hold.as_ref().filter(|_| self.phase == Phase::Running) else { return };
        let mut at = self.idle().release_at(self.payload_since, !self.votes.is_empty());
        if is_planted(Bug::HoldByWallClock) {
            at = at.max(self.now + self.tip.time.since(self.unix));
        }
        if at > self.now {
            self.timers.set(Timer::Release, at);
            return;
        }
        let (is_waiting, is_building) = (hold.is_waiting, hold.is_building);
        self.hold = None;
        self.timers.cancel(Timer::Release);
        self.active_since.get_or_insert(self.now);
        if is_waiting && self.engine.is_proposing() {
            self.await_proposal(Round::ZERO);
        }
        if is_building && self.engine.is_proposing() {
            self.build(Round::ZERO);
        }
    }

    fn idle(&self) -> IdleRule {
        IdleRule {
            began: self.began,
            parent: self.parent,
            min_interval: self.config.min_block_interval,
            empty_interval: self.config.empty_block_interval,
            is_leader: self.is_first_leader(),
            relay_grace: self.timeouts.relay_grace(),
        }
    }

    /// Whether we lead round 0.
    fn is_first_leader(&self) -> bool {
        self.me.is_some() && self.leader(Round::ZERO) == self.me
    }

    pub(crate) fn build(&mut self, round: Round) {
        self.building = Some(round);
        self.outputs.push(Output::Build {
            height: self.height(),
            round,
            parent: self.tip.id,
            time: self.block_time(),
            parent_certificate: self.tip.certificate.clone(),
            bytes_max: self.block_size.on_asked(self.now, round),
        });
    }

    /// The earliest time of a block on the tip.
    pub(crate) fn earliest_time(&self) -> UnixTime {
        self.tip.time.plus(Duration::from_millis(1))
    }

    /// Our clock's time for a block of ours, lowered to the network's when ours is ahead: others would refuse what is more than
    /// [`crate::idle::CLOCK_GRACE`] ahead of theirs, and each of our turns would cost a round. It is lowered only. Whoever falsified the
    /// measure could make us name an earlier time, down to the parent's, which every proposer may name anyway; a later one never.
    fn block_time(&self) -> UnixTime {
        let ahead_ms = self.network_offset_ms.map_or(0, |offset| offset.min(0).unsigned_abs());
        UnixTime(self.unix.0.saturating_sub(ahead_ms)).max(self.earliest_time())
    }

    pub(crate) fn on_built(&mut self, height: Height, round: Round, block: Arc<Block>) {
        let header = &block.header;
        let is_asked = self.phase == Phase::Running
            && height == self.height()
            && self.building == Some(round)
            && self.engine.round() == Some(round);
        let is_ours = Some(header.proposer) == self.me && header.height == height && header.first_round == round;
        if !is_asked || !is_ours || header.parent != self.tip.id {
            return;
        }
        let id = block.id();
        if self.blocks.insert(id, block.clone(), |_| Rank::Needed) {
            if let Some(held) = self.blocks.get_mut(&id) {
                held.validity = BlockValidity::Reported(true);
                self.block_size.on_built(held.size_bytes);
            }
            self.building = None;
            self.push(engine::propose(height, round, id));
        }
    }

    /// The engine decided.
    pub(crate) fn on_decided(&mut self, certificate: CommitCertificate) {
        if let Some(since) = self.active_since {
            self.timeouts.on_decided(self.now.since(since));
        }
        if let Some(since) = self.payload_since.filter(|_| !self.is_first_leader()) {
            // Before the shortest interval is over no leader builds, however early it hears of the payload.
            let since = since.max(self.idle().earliest());
            self.timeouts.on_relayed(self.now.since(since));
        }
        let proposer = self.blocks.get(&certificate.block).map(|held| held.block.header.proposer);
        self.block_size.on_decided(self.now, self.me.is_some() && proposer == self.me);
        self.phase = Phase::Committing;
        self.signing.on_decided_here();
        self.timers.cancel_height();
        self.hold = None;
        self.decided = Some(certificate);
        self.commit_if_found();
    }

    /// Hands the decided block over, once it is here.
    pub(crate) fn commit_if_found(&mut self) {
        let Some(certificate) = &self.decided else { return };
        let Some(held) = self.blocks.get(&certificate.block) else { return };
        let output = Output::Commit { block: held.block.clone(), certificate: certificate.clone() };
        self.decided = None;
        self.make_durable();
        self.outputs.push(output);
    }

    pub(crate) fn on_committed(&mut self, committed: CommittedBlocks) -> Result<(), FatalError> {
        let CommittedBlocks { blocks, certificate, decided_by, validators } = committed;
        let blocks: Vec<_> = blocks.into_iter().filter(|b| b.header.height > self.tip.height).collect();
        let mut expected = self.tip.height.next();
        let parents = blocks.iter().filter_map(|block| block.parent_certificate.as_ref());
        self.check_certificates(parents.chain([&certificate]));
        for block in &blocks {
            if block.header.height != expected {
                return Err(FatalError::Gap { expected, got: block.header.height });
            }
            expected = expected.next();
            self.leaders.push(LeaderRecord::of(block));
            let is_before = matches!(self.phase, Phase::Opened | Phase::Waiting);
            if is_before && (self.signing.is_copy() || !self.has_quorum_reported()) {
                self.signing.on_proof(block.header.height);
            }
            self.signing.on_committed(block.header.height, block.header.time);
        }
        self.apply_signing();
        let Some(last) = blocks.last() else { return Ok(()) };
        self.parent = self.parent_commit(blocks.len());
        let certificate = self.with_all_precommits(certificate);
        self.remember_previous(last, &certificate, &decided_by);
        let header = &last.header;
        let (height, time, state_commitment) = (header.height, header.time, header.state_commitment);
        self.tip = Tip { height, id: last.id(), time, state_commitment, certificate: Some(certificate) };
        self.tip_set = decided_by;
        self.set = validators;
        self.leaders.set_validators(&self.set);
        self.height_hint = self.height_hint.max(self.tip.height);
        self.behind_reported = self.behind_reported.max(self.tip.height);
        self.behind_since_tick = false;
        self.blocks.on_committed(self.tip.height);
        self.future.on_committed(self.tip.height);
        self.replay.clear();
        self.pass_in_guard();
        match self.phase {
            Phase::Opened => Ok(()),
            Phase::Waiting => {
                self.listen_again();
                Ok(())
            }
            Phase::Running | Phase::Committing => self.begin_height(),
        }
    }

    /// When the last of these blocks was committed, as far as a monotonic clock can say: decided here, now; by sync after we saw
    /// something of its height, then or later.
    fn parent_commit(&self, blocks: usize) -> ParentCommit {
        match (self.phase, self.active_since) {
            (Phase::Committing, _) => ParentCommit::At(self.now),
            (Phase::Running, Some(seen)) if blocks == 1 => ParentCommit::At(seen),
            _ => ParentCommit::Unknown,
        }
    }

    /// What we signed and forgot, or a twin signed, may stand in a certificate. The blocks are certified, so what they carry is genuine.
    fn check_certificates<'a>(&mut self, certificates: impl Iterator<Item = &'a CommitCertificate>) {
        let Some(me) = self.me else { return };
        for vote in certificates.flat_map(commit_votes).filter(|vote| vote.validator == me) {
            self.check_memory(None, &me, SignedRecord::of_vote(&vote), |_| true);
        }
    }

    /// To be called when signing may have been switched off, also by [`Self::apply_others`]. It is switched on only where a height begins.
    pub(crate) fn apply_signing(&mut self) {
        if self.signing.off().is_some() {
            self.engine.set_enabled(false);
        }
        if self.signing.is_memory_in_doubt() {
            self.engine.guard().disown();
            self.make_durable();
        }
    }

    /// Notes that a height is behind us which we did not sign, so that the guard stays as new as the chain.
    fn pass_in_guard(&mut self) {
        let (height, id) = (self.tip.height, self.tip.id);
        let is_older = self.engine.guard().last().is_none_or(|last| last.height < height);
        if self.me.is_some() && is_older && !self.signing.is_memory_in_doubt() {
            self.engine.guard().note(SignedRecord::decided(height, id));
            self.make_durable();
        }
    }

    /// The certificate with all precommits for it that are held here.
    fn with_all_precommits(&self, mut certificate: CommitCertificate) -> CommitCertificate {
        if self.votes.height() == certificate.height {
            let more = self.votes.precommits_for(certificate.round, certificate.block);
            let is_new = |key: &PublicKey| certificate.signatures.iter().all(|s| s.validator != *key);
            let more: Vec<_> = more.into_iter().filter(|s| is_new(&s.validator)).collect();
            certificate.signatures.extend(more);
            certificate.signatures.sort();
        }
        certificate
    }

    fn remember_previous(
        &mut self,
        block: &Arc<Block>,
        certificate: &CommitCertificate,
        set: &timed_primitives::ValidatorSet,
    ) {
        let fresh = Votes::new(block.header.height, set.clone());
        let mut votes = match self.votes.height() == block.header.height {
            true => std::mem::replace(&mut self.votes, fresh),
            false => fresh,
        };
        commit_votes(certificate).for_each(|vote| votes.insert_vote(&vote));
        self.previous = Some(Previous { votes, block: block.clone(), since: self.now });
    }
}
