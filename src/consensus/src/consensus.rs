//! The core: its state, and the loop that turns one input into outputs.

use crate::block_size::BlockSize;
use crate::blocks::{BlockValidity, Blocks};
use crate::engine::{self, Engine, EngineAction, EngineInput};
use crate::guard::{Guard, SignedRecord};
use crate::heights::Hold;
use crate::idle::ParentCommit;
use crate::inbound::Future;
use crate::journal::{Journal, JournalEntry, TimeoutStep};
use crate::key_use::KeyUses;
use crate::leaders::LeaderOrder;
use crate::messages::{ChainStart, CoreConfig, CoreOpenError, FatalError, Gossip, Input, Output, Payload};
use crate::peers::Peers;
use crate::quorum::quorum_line;
use crate::quorum_watch::QuorumWatch;
use crate::signing::{Signing, SigningOff, SigningStatus};
use crate::timeouts::Timeouts;
use crate::timers::{Timer, Timers};
use crate::too_early;
use crate::votes::Votes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{
    Block, BlockId, CommitCertificate, Disk, Height, Instant, PublicKey, Round, Tip, UnixTime, VoteKind,
};

/// Free bytes of the journal below which nothing more is signed at this height: one step writes at most a block and some votes.
const JOURNAL_RESERVE: u64 = 4 << 20;

/// What the core is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before [`Input::Start`].
    Opened,
    /// Started; waits to hear the heights of a quorum before it signs anything.
    Waiting,
    /// A height is being decided.
    Running,
    /// It is decided; the chain has not reported that it is committed.
    Committing,
}

/// The height before the one being decided, kept to help neighbours that are one behind.
pub(crate) struct Previous {
    pub(crate) votes: Votes,
    pub(crate) block: Arc<Block>,
    /// When it was decided here.
    pub(crate) since: Instant,
}

/// The consensus core of one node. See the crate's documentation.
pub struct Consensus {
    pub(crate) config: CoreConfig,
    pub(crate) me: Option<PublicKey>,
    pub(crate) tip: Tip,
    pub(crate) set: timed_primitives::ValidatorSet,
    pub(crate) tip_set: timed_primitives::ValidatorSet,
    pub(crate) leaders: LeaderOrder,
    pub(crate) order: Arc<[usize]>,
    pub(crate) engine: Engine,
    pub(crate) signing: Signing,
    pub(crate) journal: Journal,
    pub(crate) replay: Vec<JournalEntry>,
    pub(crate) votes: Votes,
    pub(crate) previous: Option<Previous>,
    pub(crate) future: Future,
    pub(crate) blocks: Blocks,
    pub(crate) decided: Option<CommitCertificate>,
    pub(crate) timers: Timers,
    pub(crate) timeouts: Timeouts,
    pub(crate) block_size: BlockSize,
    /// When proposals of this height came, until their blocks do.
    pub(crate) proposed_at: BTreeMap<BlockId, Instant>,
    /// The round whose propose time-out is over and waits for our own validation.
    pub(crate) overdue: Option<Round>,
    /// Since when the current round waits for its proposal.
    pub(crate) proposing_since: Instant,
    pub(crate) peers: Peers,
    pub(crate) key_uses: KeyUses,
    pub(crate) phase: Phase,
    /// When the first height began to wait.
    pub(crate) started: Instant,
    /// While heights are known, and only what neighbours hold of ours is still listened for: until when.
    pub(crate) listens_until: Option<Instant>,
    pub(crate) hold: Option<Hold>,
    pub(crate) building: Option<Round>,
    pub(crate) payload_since: Option<Instant>,
    pub(crate) active_since: Option<Instant>,
    /// When the height began here.
    pub(crate) began: Instant,
    /// When its parent was committed.
    pub(crate) parent: ParentCommit,
    /// Blocks for which a peer proved a quorum of prevotes at this height; the votes themselves may contradict some that are held. At
    /// most one a round.
    pub(crate) polkas: BTreeSet<BlockId>,
    /// How far other validators' clocks are from ours. Unit: milliseconds, negative when ours is ahead.
    pub(crate) network_offset_ms: Option<i64>,
    pub(crate) height_hint: Height,
    pub(crate) behind_reported: Height,
    pub(crate) behind_since_tick: bool,
    pub(crate) evidence_reported: usize,
    pub(crate) too_early: too_early::Reports,
    /// When votes of this height came, to distinguish a cut link from a slow one.
    pub(crate) known_since: BTreeMap<(Round, VoteKind, PublicKey), Instant>,
    pub(crate) ticks: usize,
    pub(crate) now: Instant,
    pub(crate) unix: UnixTime,
    pub(crate) outputs: Vec<Output>,
    queue: VecDeque<EngineInput>,
    is_visible: bool,
    quorum_watch: QuorumWatch,
    signing_reported: Option<SigningOff>,
    is_stopped: bool,
}

impl Consensus {
    /// Opens journal and guard over the chain as it is.
    ///
    /// # Errors
    /// [`CoreOpenError`] when the disk refuses, or the journal is damaged; nothing is overwritten then.
    pub fn open(config: CoreConfig, disk: &dyn Disk, chain: ChainStart) -> Result<Self, CoreOpenError> {
        let (journal, recovered) =
            Journal::open(disk, config.journal_step_bytes, config.journal_bytes_max, config.payload_format)?;
        let mut guard = Guard::open(disk)?;
        let ChainStart { tip, validators: set, tip_validators: tip_set, recent } = chain;
        let height = tip.height.next();
        let me = config.key.as_ref().map(|k| k.public());
        // Also of a height that is decided by now.
        let signed: Vec<_> = recovered.iter().flat_map(|r| &r.entries).filter_map(|e| signed_by(e, me)).collect();
        let replay = recovered.filter(|r| r.height == height).map_or_else(Vec::new, |r| r.entries);
        let last = guard.last();
        let is_explained = last.is_none_or(|g| g.height < height || (g.height == height && signed.contains(&g)));
        // The journal is synced before the guard, so it may be one step ahead.
        signed.into_iter().for_each(|record| guard.note_signed(record));
        guard.secure()?;
        let signing = Signing::new(last.and(guard.last()), is_explained, guard.is_original(), guard.stop());
        let leaders = LeaderOrder::new(set.clone(), recent);
        let order = leaders.order(height);
        let members = leaders.members(height);
        Ok(Self {
            me,
            engine: Engine::new(config.chain_id, config.key.clone(), guard, height, set.clone(), members),
            signing,
            votes: Votes::new(height, set.clone()),
            blocks: Blocks::new(config.undecided_bytes_max),
            timeouts: Timeouts::new(config.timeouts),
            block_size: BlockSize::new(config.block_bytes_max, config.block_bytes_first),
            proposed_at: BTreeMap::new(),
            overdue: None,
            proposing_since: Instant::START,
            height_hint: tip.height,
            behind_reported: tip.height,
            tip,
            set,
            tip_set,
            leaders,
            order,
            journal,
            replay,
            previous: None,
            future: Future::default(),
            decided: None,
            timers: Timers::default(),
            peers: Peers::default(),
            key_uses: KeyUses::default(),
            phase: Phase::Opened,
            started: Instant::START,
            listens_until: None,
            hold: None,
            building: None,
            payload_since: None,
            active_since: None,
            began: Instant::START,
            parent: ParentCommit::Unknown,
            polkas: BTreeSet::new(),
            network_offset_ms: None,
            behind_since_tick: false,
            evidence_reported: 0,
            too_early: too_early::Reports::default(),
            known_since: BTreeMap::new(),
            ticks: 0,
            now: Instant::START,
            unix: UnixTime(0),
            outputs: Vec::new(),
            queue: VecDeque::new(),
            is_visible: false,
            quorum_watch: QuorumWatch::default(),
            signing_reported: None,
            is_stopped: false,
            config,
        })
    }

    /// Takes one input and gives what must be done, in order. All that must be durable before, is.
    ///
    /// # Errors
    /// [`FatalError`]: nothing may be carried out, and the process must end. Every later call fails too.
    pub fn handle(&mut self, now: Instant, unix: UnixTime, input: Input) -> Result<Vec<Output>, FatalError> {
        if self.is_stopped {
            return Err(FatalError::Stopped);
        }
        self.now = now;
        self.unix = unix;
        self.quorum_watch.is_stale |= input.may_change_quorum();
        let result = self.on_input(input).and_then(|()| self.settle());
        if result.is_err() {
            self.is_stopped = true;
            self.outputs.clear();
        }
        result.map(|()| std::mem::take(&mut self.outputs))
    }

    /// When [`Input::Wake`] is wanted next.
    pub fn next_wake(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn on_input(&mut self, input: Input) -> Result<(), FatalError> {
        match input {
            Input::Start => self.on_start()?,
            Input::Wake => self.on_wake()?,
            Input::Gossip { from, message } => self.on_gossip(from, message),
            Input::PeerUp { peer, validator, instance, address } => {
                self.on_peer_up(peer, validator, instance, address);
            }
            Input::PeerDown { peer, is_gone } => self.on_peer_down(&peer, is_gone),
            Input::PeerHeight { peer, height } => self.on_peer_height(peer, height),
            Input::PayloadWaiting(payload) => {
                let waits = payload != Payload::Nothing;
                self.payload_since = waits.then(|| self.payload_since.unwrap_or(self.now));
                self.timeouts.on_payload(payload);
            }
            Input::Built { height, round, block } => self.on_built(height, round, block),
            Input::Validated { id, valid } => self.on_validated(id, valid),
            Input::Committed(committed) => self.on_committed(committed)?,
            Input::NetworkTime { offset_ms } => self.network_offset_ms = offset_ms,
        }
        if self.phase == Phase::Waiting {
            self.on_waiting()?;
        }
        Ok(())
    }

    fn on_wake(&mut self) -> Result<(), FatalError> {
        while let Some(timer) = self.timers.take_due(self.now) {
            match timer {
                Timer::Tick => self.on_tick(),
                // `on_waiting` looks at the start, `settle` at holds.
                Timer::Start | Timer::Release => {}
                Timer::Propose(round) => self.on_propose_timer(round),
                Timer::Prevote(round) => self.push(engine::timeout(TimeoutStep::Prevote, round)),
                Timer::Precommit(round) => self.push(engine::timeout(TimeoutStep::Precommit, round)),
            }
            self.run()?;
        }
        Ok(())
    }

    /// The time for a proposal is over, unless it turned out to be longer meanwhile, or our own ledger still validates one.
    fn on_propose_timer(&mut self, round: Round) {
        let enough = self.proposing_since + self.timeouts.duration(TimeoutStep::Propose, round);
        if enough > self.now {
            self.timers.set(Timer::Propose(round), enough);
        } else if let Some(until) = self.validates_until(round) {
            self.overdue = Some(round);
            self.timers.set(Timer::Propose(round), until);
        } else {
            self.push(engine::timeout(TimeoutStep::Propose, round));
        }
    }

    /// A round waits for its proposal from now.
    pub(crate) fn await_proposal(&mut self, round: Round) {
        self.proposing_since = self.now;
        self.timers.set(Timer::Propose(round), self.now + self.timeouts.duration(TimeoutStep::Propose, round));
    }

    /// Gives the engine an input, later in this call.
    pub(crate) fn push(&mut self, input: EngineInput) {
        self.queue.push_back(input);
    }

    /// Steps until nothing is left to do, then makes it durable.
    fn settle(&mut self) -> Result<(), FatalError> {
        self.run()?;
        self.report_quorum();
        self.report_signing();
        if self.is_visible && !is_planted(Bug::PublishBeforeSync) {
            self.journal.flush()?;
            self.engine.guard().flush()?;
            self.is_visible = false;
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), FatalError> {
        loop {
            while let Some(input) = self.queue.pop_front() {
                if self.phase != Phase::Running {
                    continue;
                }
                self.keep_journal_room()?;
                let actions = self.engine.step(input)?;
                self.apply(actions);
            }
            self.leave_nil_round();
            self.update_hold();
            self.check_blocks();
            if self.queue.is_empty() {
                return Ok(());
            }
        }
    }

    /// Before a step, since a refusal within one would leave it half done.
    fn keep_journal_room(&mut self) -> Result<(), FatalError> {
        let reserve = JOURNAL_RESERVE.min(self.config.journal_bytes_max / 4);
        if !self.engine.is_enabled() || self.journal.room() >= reserve {
            return Ok(());
        }
        let needed = self.needed_blocks();
        self.journal.compact(|id| needed.contains(id))?;
        if self.journal.room() < reserve {
            self.signing.switch_off(SigningOff::JournalFull { height: self.height() });
            self.engine.set_enabled(false);
        }
        Ok(())
    }

    /// Makes what is pending durable before this call returns.
    pub(crate) fn make_durable(&mut self) {
        self.is_visible = true;
    }

    pub(crate) fn apply(&mut self, actions: Vec<EngineAction>) {
        for action in actions {
            match action {
                EngineAction::Journal(entry) => self.keep(&entry),
                EngineAction::Publish(message) => self.publish(message),
                EngineAction::Schedule(timer) => self.schedule(timer),
                EngineAction::Cancel(timer) => {
                    self.timers.cancel(timer);
                    if let (Timer::Propose(_), Some(hold)) = (timer, &mut self.hold) {
                        hold.is_waiting = false;
                    }
                }
                EngineAction::CancelRound => self.timers.cancel_round(),
                EngineAction::StartRound(round) => self.on_round(round),
                EngineAction::GetValue(round) => match &mut self.hold {
                    Some(hold) => hold.is_building = true,
                    None => self.build(round),
                },
                EngineAction::Decide(certificate) => self.on_decided(certificate),
            }
        }
    }

    /// Only who signs needs to remember.
    fn keep(&mut self, entry: &JournalEntry) {
        if !self.engine.is_enabled() {
            return;
        }
        if let JournalEntry::Validated { block, valid: true, .. } = entry
            && let Some(held) = self.blocks.get_mut(block)
            && !held.is_journaled
        {
            held.is_journaled = true;
            self.journal.push(&JournalEntry::Block(Box::new((*held.block).clone())));
        }
        self.journal.push(entry);
    }

    fn publish(&mut self, message: Gossip) {
        self.make_durable();
        let mut block = None;
        match &message {
            Gossip::Vote(vote) => {
                self.known_since.insert((vote.round, vote.kind, vote.validator), self.now);
                self.votes.insert_vote(vote)
            }
            Gossip::Proposal(proposal) => {
                self.votes.insert_proposal(proposal);
                block = self.blocks.get(&proposal.block).filter(|_| proposal.valid_round.is_none());
            }
            Gossip::Polka(_)
            | Gossip::RoundCertificate(_)
            | Gossip::KnownVotes(_)
            | Gossip::Block(_)
            | Gossip::GetBlock { .. }
            | Gossip::KeyReport(_) => {}
        }
        let block = block.map(|held| Output::Broadcast(Gossip::Block(held.block.clone())));
        self.outputs.push(Output::Broadcast(message));
        self.outputs.extend(block);
    }

    fn schedule(&mut self, timer: Timer) {
        let (step, round) = match timer {
            Timer::Propose(round) => (TimeoutStep::Propose, round),
            Timer::Prevote(round) => (TimeoutStep::Prevote, round),
            Timer::Precommit(round) => (TimeoutStep::Precommit, round),
            Timer::Start | Timer::Release | Timer::Tick => return,
        };
        match &mut self.hold {
            Some(hold) if step == TimeoutStep::Propose => hold.is_waiting = true,
            None if step == TimeoutStep::Propose => self.await_proposal(round),
            _ => self.timers.set(timer, self.now + self.timeouts.duration(step, round)),
        }
    }

    /// A quorum of nil precommits ends the round at once: no vote that may still come can decide it.
    fn leave_nil_round(&mut self) {
        if let Some(round) = self.engine.round().filter(|_| self.phase == Phase::Running)
            && self.votes.is_nil_quorum(round)
            && self.timers.cancel(Timer::Precommit(round))
        {
            self.push(engine::timeout(TimeoutStep::Precommit, round));
        }
    }

    /// Height being decided.
    pub(crate) fn height(&self) -> Height {
        self.tip.height.next()
    }

    /// Who leads `round` of the current height.
    pub(crate) fn leader(&self, round: Round) -> Option<PublicKey> {
        crate::leaders::leader(&self.set, &self.order, round)
    }

    /// A block under decision, or the one just decided.
    pub(crate) fn find_block(&self, id: &BlockId) -> Option<Arc<Block>> {
        let invalid = [BlockValidity::Validated(false), BlockValidity::Reported(false)];
        let held = self.blocks.get(id).filter(|h| !invalid.contains(&h.validity)).map(|h| h.block.clone());
        held.or_else(|| self.previous.as_ref().filter(|_| self.tip.id == *id).map(|p| p.block.clone()))
    }

    /// Name of a validator for people.
    pub(crate) fn label(&self, key: &PublicKey) -> String {
        self.config.labels.get(key).cloned().unwrap_or_else(|| key.short())
    }

    /// Words for the operator when the connected validators are no quorum.
    pub(crate) fn current_quorum_line(&self) -> Option<String> {
        let is_present = |key: &PublicKey| Some(*key) == self.me || self.peers.is_connected(key);
        quorum_line(&self.set, is_present, |key| self.label(key))
    }

    fn report_quorum(&mut self) {
        if self.phase == Phase::Opened {
            return;
        }
        let line = self.quorum_watch.is_stale.then(|| self.current_quorum_line());
        self.outputs.extend(self.quorum_watch.look(self.now, line));
    }

    fn report_signing(&mut self) {
        let off = self.me.and_then(|_| self.signing.off());
        let kind = |off: SigningOff| (std::mem::discriminant(&off), off.is_twin());
        if off.map(kind) != self.signing_reported.map(kind) {
            self.outputs.push(Output::SigningChanged { line: self.signing_status().to_string(), is_on: off.is_none() });
            self.signing_reported = off;
        }
    }

    pub(crate) fn signing_status(&self) -> SigningStatus {
        match (self.me, self.signing.off()) {
            (None, _) => SigningStatus::Observer,
            (Some(me), _) if self.set.get(&me).is_none() => SigningStatus::NotValidator,
            (Some(_), Some(reason)) => SigningStatus::Off { reason, passed: self.signing.passed() },
            (Some(_), None) => SigningStatus::On,
        }
    }
}

/// What `me` signed, if this entry is it.
fn signed_by(entry: &JournalEntry, me: Option<PublicKey>) -> Option<SignedRecord> {
    match entry {
        JournalEntry::Vote(vote) if Some(vote.validator) == me => Some(SignedRecord::of_vote(vote)),
        JournalEntry::Proposal(proposal) if Some(proposal.proposer) == me => Some(SignedRecord::of_proposal(proposal)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_core_can_live_on_any_thread() {
        const fn is_send<T: Send>() {}
        is_send::<super::Consensus>();
        is_send::<crate::FatalError>();
        is_send::<crate::Output>();
    }
}
