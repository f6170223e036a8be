//! The core: its parts, and the loop that turns one input into outputs.
//!
//! What it does stands in the files below: `startup` until the first height begins, `heights` from there on, `inbound` what peers send,
//! `validation` undecided blocks, `vote_gossip` what neighbours lack, `own_messages` and `key_reports` other nodes with our key,
//! `explain` the words for people.

mod explain;
mod heights;
mod inbound;
mod key_reports;
mod own_messages;
mod startup;
mod validation;
mod vote_gossip;

use crate::block_size::BlockSize;
use crate::blocks::Blocks;
use crate::chain_view::ChainView;
use crate::clock::CoreClock;
use crate::config::{ChainStart, CoreConfig};
use crate::durable::{Durable, JournalSize};
use crate::engine::{self, Engine, EngineAction, EngineInput};
use crate::error::{CoreOpenError, FatalError};
use crate::future::Future;
use crate::height_state::{HeightStart, HeightState};
use crate::heights_elsewhere::HeightsElsewhere;
use crate::idle::ParentCommit;
use crate::journal::JournalEntry;
use crate::key_use::KeyUses;
use crate::late_precommits::LatePrecommits;
use crate::messages::{Gossip, Input, Output, Payload};
use crate::operator_reports::OperatorReports;
use crate::peers::Peers;
use crate::signing::{Signing, SigningOff};
use crate::startup_wait::StartupWait;
use crate::timeouts::Timeouts;
use crate::timers::{TimeoutStep, Timer, Timers};
use std::collections::VecDeque;
use timed_primitives::{Disk, Instant, PublicKey, Round, UnixTime};

/// What the core is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before [`Input::Start`].
    Opened,
    /// Started; waits to hear the heights of a quorum before it signs anything.
    Waiting,
    /// A height is being decided.
    Running,
    /// It is decided; the chain has not reported that it is committed.
    Committing,
}

/// The consensus core of one node. See the crate's documentation.
pub struct Consensus {
    config: CoreConfig,
    me: Option<PublicKey>,
    phase: Phase,
    clock: CoreClock,
    startup: StartupWait,
    chain: ChainView,
    height: HeightState,
    future: Future,
    blocks: Blocks,
    engine: Engine,
    durable: Durable,
    signing: Signing,
    key_uses: KeyUses,
    peers: Peers,
    elsewhere: HeightsElsewhere,
    /// Precommits that no certificate of the chain has.
    late: LatePrecommits,
    timers: Timers,
    timeouts: Timeouts,
    block_size: BlockSize,
    /// Since when something waits to be put into a block.
    payload_since: Option<Instant>,
    reports: OperatorReports,
    queue: VecDeque<EngineInput>,
    outputs: Vec<Output>,
    ticks: usize,
    is_stopped: bool,
}

impl Consensus {
    /// Opens journal and guard over the chain as it is.
    ///
    /// # Errors
    /// [`CoreOpenError`] when the disk refuses, or the journal is damaged; nothing is overwritten then.
    pub fn open(config: CoreConfig, disk: &dyn Disk, chain: ChainStart) -> Result<Self, CoreOpenError> {
        let chain = ChainView::new(chain);
        let height = chain.height();
        let me = config.key.as_ref().map(|k| k.public());
        let size = JournalSize { step_bytes: config.journal_step_bytes, bytes_max: config.journal_bytes_max };
        let (durable, found) = Durable::open(disk, size, config.payload_format, height, me)?;
        let now = Instant::START;
        let (set, order, parent) = (chain.set().clone(), chain.order(), ParentCommit::Unknown);
        Ok(Self {
            me,
            phase: Phase::Opened,
            clock: CoreClock::new(),
            startup: StartupWait::new(),
            engine: Engine::new(config.chain_id, config.key.clone(), height, set.clone(), chain.members()),
            signing: Signing::new(found.signed, found.is_explained, durable.is_original(), durable.twin()),
            height: HeightState::new(HeightStart { height, set, order, parent, now }),
            future: Future::default(),
            blocks: Blocks::new(config.undecided_bytes_max),
            durable,
            key_uses: KeyUses::default(),
            peers: Peers::default(),
            elsewhere: HeightsElsewhere::new(chain.tip().height),
            late: LatePrecommits::default(),
            timers: Timers::default(),
            timeouts: Timeouts::new(config.timeouts),
            block_size: BlockSize::new(config.block_bytes_max, config.block_bytes_first),
            payload_since: None,
            reports: OperatorReports::default(),
            queue: VecDeque::new(),
            outputs: Vec::new(),
            ticks: 0,
            is_stopped: false,
            chain,
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
        self.clock.set(now, unix);
        if input.may_change_quorum() {
            self.reports.on_change();
        }
        let result = self.on_input(input).and_then(|()| self.settle());
        if result.is_err() {
            self.is_stopped = true;
            self.outputs.clear();
        }
        result.map(|()| std::mem::take(&mut self.outputs))
    }

    /// To be called when the outputs of [`Self::handle`] are carried out: a decided block is on its way to the disk, so that the guard's
    /// sync, once for each height, costs no time beside. Without this call it comes before something is signed at the next height.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub fn on_carried_out(&mut self) -> Result<(), FatalError> {
        if self.is_stopped {
            return Err(FatalError::Stopped);
        }
        let result = if self.phase == Phase::Committing { self.durable.sync_guard() } else { Ok(()) };
        self.is_stopped = result.is_err();
        result
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
            Input::RebuiltBlock(block) => self.on_rebuilt_block(block),
            Input::PeerUp { peer, validator, instance, address } => {
                self.on_peer_up(peer, validator, instance, address);
            }
            Input::PeerDown { peer, is_gone } => self.on_peer_down(&peer, is_gone),
            Input::PeerHeight { peer, height } => self.on_peer_height(peer, height),
            Input::PayloadWaiting(payload) => {
                let waits = payload != Payload::Nothing;
                self.payload_since = waits.then(|| self.payload_since.unwrap_or(self.clock.now()));
                self.timeouts.on_payload(payload);
            }
            Input::Built { height, round, block } => self.on_built(height, round, block),
            Input::Validated { id, valid } => self.on_validated(id, valid),
            Input::Committed(committed) => self.on_committed(committed)?,
            Input::NetworkTime { offset_ms } => self.clock.set_network_offset(offset_ms),
        }
        if self.phase == Phase::Waiting {
            self.on_waiting()?;
        }
        Ok(())
    }

    fn on_wake(&mut self) -> Result<(), FatalError> {
        while let Some(timer) = self.timers.take_due(self.clock.now()) {
            match timer {
                Timer::Tick => self.on_tick(),
                // `on_waiting` looks at the start, `settle` at holds.
                Timer::Start | Timer::Release => {}
                Timer::Propose(round) => self.on_propose_timer(round),
                Timer::Prevote(_) | Timer::Precommit(_) => {
                    self.queue.extend(timer.timeout().map(|(step, round)| engine::timeout(step, round)))
                }
            }
            self.run()?;
        }
        Ok(())
    }

    /// The time for a proposal is over, unless it turned out to be longer meanwhile, or our own ledger still validates or makes one.
    fn on_propose_timer(&mut self, round: Round) {
        let deadline = self.height.proposal_deadline(self.timeouts.duration(TimeoutStep::Propose, round));
        if let Some(later) = deadline.filter(|deadline| *deadline > self.clock.now()) {
            self.timers.set(Timer::Propose(round), later);
        } else if let Some(until) = self.works_until(round) {
            self.height.on_overdue(round);
            self.timers.set(Timer::Propose(round), until);
        } else {
            self.push(engine::timeout(TimeoutStep::Propose, round));
        }
    }

    /// A round waits for its proposal from now.
    fn await_proposal(&mut self, round: Round) {
        let now = self.clock.now();
        self.height.on_proposing(now);
        self.timers.set(Timer::Propose(round), now + self.timeouts.duration(TimeoutStep::Propose, round));
    }

    /// Gives the engine an input, later in this call.
    fn push(&mut self, input: EngineInput) {
        self.queue.push_back(input);
    }

    /// Steps until nothing is left to do, then makes it durable.
    fn settle(&mut self) -> Result<(), FatalError> {
        self.run()?;
        self.report_quorum();
        self.report_signing();
        self.durable.flush_if_due()
    }

    fn run(&mut self) -> Result<(), FatalError> {
        loop {
            while let Some(input) = self.queue.pop_front() {
                if self.phase != Phase::Running {
                    continue;
                }
                self.keep_journal_room()?;
                let actions = self.engine.step(self.durable.guard_mut(), input)?;
                self.apply(actions);
            }
            self.leave_nil_round();
            self.update_hold();
            self.check_blocks();
            self.lead_with_polka();
            if self.queue.is_empty() {
                return Ok(());
            }
        }
    }

    /// Before a step, since a refusal within one would leave it half done.
    fn keep_journal_room(&mut self) -> Result<(), FatalError> {
        if !self.engine.is_enabled() || self.durable.has_room() {
            return Ok(());
        }
        let needed = self.needed_blocks();
        if !self.durable.make_room(|id| needed.contains(id))? {
            self.signing.switch_off(SigningOff::JournalFull { height: self.chain.height() });
            self.engine.set_enabled(false);
        }
        Ok(())
    }

    fn apply(&mut self, actions: Vec<EngineAction>) {
        for action in actions {
            match action {
                EngineAction::Journal(entry) => self.keep(&entry),
                EngineAction::Publish(message) => self.publish(message),
                EngineAction::Schedule(timer) => self.schedule(timer),
                EngineAction::Cancel(timer) => {
                    self.timers.cancel(timer);
                    if matches!(timer, Timer::Propose(_)) {
                        self.height.hold_waiting(false);
                    }
                }
                EngineAction::CancelRound => self.timers.cancel_round(),
                EngineAction::StartRound(round) => self.on_round(round),
                EngineAction::GetValue(round) => {
                    if !self.height.hold_building() {
                        self.build(round);
                    }
                }
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
            && let Some(block) = self.blocks.take_unjournaled(block)
        {
            self.durable.push(&JournalEntry::Block(Box::new((*block).clone())));
        }
        self.durable.push(entry);
    }

    fn publish(&mut self, message: Gossip) {
        self.durable.flush_before_return();
        let mut block = None;
        match &message {
            Gossip::Vote(vote) => self.height.insert_vote(vote, self.clock.now()),
            Gossip::Proposal(proposal) => {
                self.height.insert_own_proposal(proposal);
                // One that was proposed before is asked for by whoever lacks it.
                block = self.blocks.get(&proposal.block).filter(|block| block.header.first_round == proposal.round);
            }
            Gossip::Polka(_)
            | Gossip::RoundCertificate(_)
            | Gossip::KnownVotes(_)
            | Gossip::Block(_)
            | Gossip::GetBlock { .. }
            | Gossip::KeyReport(_) => {}
        }
        let block = block.map(|block| Output::Broadcast(Gossip::Block(block.clone())));
        self.outputs.push(Output::Broadcast(message));
        self.outputs.extend(block);
    }

    fn schedule(&mut self, timer: Timer) {
        let Some((step, round)) = timer.timeout() else { return };
        match step {
            TimeoutStep::Propose if self.height.hold_waiting(true) => {}
            TimeoutStep::Propose => self.await_proposal(round),
            TimeoutStep::Prevote | TimeoutStep::Precommit => {
                self.timers.set(timer, self.clock.now() + self.timeouts.duration(step, round));
            }
        }
    }

    /// A quorum of nil precommits ends the round at once: no vote that may still come can decide it.
    fn leave_nil_round(&mut self) {
        if let Some(round) = self.engine.round().filter(|_| self.phase == Phase::Running)
            && self.height.votes().is_nil_quorum(round)
            && self.timers.cancel(Timer::Precommit(round))
        {
            self.push(engine::timeout(TimeoutStep::Precommit, round));
        }
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
