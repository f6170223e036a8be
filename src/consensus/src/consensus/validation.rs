//! Undecided blocks: which are kept, who validates them, and what the engine hears of it.

use super::{Consensus, Phase};
use crate::blocks::{BlockValidity, Rank};
use crate::engine;
use crate::messages::{Gossip, GossipOffence, Output};
use crate::timeouts::OWN_WORK_MAX;
use crate::timers::{TimeoutStep, Timer};
use std::sync::Arc;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Block, BlockId, Header, Instant, PublicKey, Round};

impl Consensus {
    pub(super) fn on_block(&mut self, from: PublicKey, block: Arc<Block>) {
        let id = block.id();
        if !self.is_lacking(&id, &block.header) {
            return;
        }
        if !block.is_whole(self.config.payload_format) {
            return self.refuse(from, GossipOffence::BadBlock);
        }
        self.take_block(id, block);
    }

    /// A block that is known to be whole.
    pub(super) fn on_rebuilt_block(&mut self, block: Arc<Block>) {
        let id = block.id();
        if self.phase != Phase::Opened && self.is_lacking(&id, &block.header) {
            self.take_block(id, block);
        }
    }

    /// Whether a block with this header would be taken from a peer: it can be decided soon, and is not here.
    pub fn lacks_block(&self, header: &Header) -> bool {
        self.phase != Phase::Opened && self.is_lacking(&header.id(), header)
    }

    fn is_lacking(&self, id: &BlockId, header: &Header) -> bool {
        let is_near = (1..=2).contains(&header.height.above(self.chain.tip().height));
        let is_by_validator = self.chain.is_or_will_be_validator(&header.proposer);
        is_near && header.chain_id == self.config.chain_id && is_by_validator && !self.blocks.contains(id)
    }

    fn take_block(&mut self, id: BlockId, block: Arc<Block>) {
        let named = self.height.votes().named_blocks();
        let needed = self.needed_blocks();
        let rank = |id: &BlockId| match (needed.contains(id), named.contains(id)) {
            (true, _) => Rank::Needed,
            (false, true) => Rank::Named,
            (false, false) => Rank::Unnamed,
        };
        if self.blocks.insert(id, block.clone(), rank) && needed.contains(&id) | named.contains(&id) {
            self.relay(&block.header.proposer, &Gossip::Block(block.clone()));
        }
        if let Some(at) = self.height.take_proposed_at(&id).filter(|_| self.blocks.contains(&id)) {
            self.timeouts.on_received(block.header.proposer, self.clock.now().since(at));
        }
        self.commit_if_found();
    }

    /// Blocks that must not be pushed out.
    pub(super) fn needed_blocks(&self) -> Vec<BlockId> {
        self.height.needed_blocks(self.engine.round(), self.me)
    }

    /// Asks the ledger to validate named blocks, and reports to the engine what was validated.
    pub(super) fn check_blocks(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        let height = self.chain.height();
        let waiting = self.blocks.open(height);
        if waiting.is_empty() {
            return;
        }
        let named = self.height.votes().named_blocks();
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
            self.blocks.advance(&id, next, self.clock.now());
        }
    }

    /// Until when the propose time-out of a round waits for our own ledger, which validates a block that is proposed in it or makes ours.
    /// Nobody else can stretch this.
    pub(super) fn works_until(&self, round: Round) -> Option<Instant> {
        let proposed = self.height.votes().proposals(round).iter();
        let validates = proposed.filter_map(|proposal| self.blocks.asked_since(&proposal.block));
        let asked = validates.chain(self.height.building_since(round)).max();
        let until = asked.map(|asked| asked + OWN_WORK_MAX);
        until.filter(|until| *until > self.clock.now() && !is_planted(Bug::OwnWorkIgnored))
    }

    /// What the core itself can check of a block on our tip. Its proposer is the leader of the round in which it was first proposed,
    /// whoever proposes it now.
    fn is_possible_block(&self, block: &Block) -> bool {
        self.height.leader(block.header.first_round) == Some(block.header.proposer)
            && self.chain.is_possible_child(self.config.chain_id, block)
    }

    /// The clock rule: a block from the future is not accepted while it is freshly proposed, unless a quorum found it acceptable. It is
    /// withheld from the engine and not called invalid, since others may accept it.
    fn is_too_early(&self, id: &BlockId, block: &Block) -> bool {
        block.header.time > self.clock.latest_block_time(self.chain.earliest_time()) && !self.height.has_quorum_for(id)
    }

    /// Reports a block that is refused, once, and not too often.
    fn report_too_early(&mut self, id: &BlockId) {
        let Some(refused) = self.blocks.on_too_early(id, self.clock.unix()) else { return };
        if let Some(others) = self.reports.on_too_early(self.clock.now()) {
            let more = if others > 0 { format!(" ({others} more since the last such line)") } else { String::new() };
            let line = format!("{}; check the clocks of both machines{more}", self.too_early_line(&refused));
            self.outputs.push(Output::BlockTooEarly { line });
        }
    }

    /// Nobody waits until a clock has passed a block's time: the round of a block that comes too early is given up at once.
    fn end_proposing(&mut self, id: &BlockId) {
        let Some(round) = self.engine.round().filter(|_| self.engine.is_proposing()) else { return };
        let is_proposed = self.height.votes().proposals(round).iter().any(|p| p.block == *id);
        if is_proposed && self.timers.cancel(Timer::Propose(round)) {
            self.push(engine::timeout(TimeoutStep::Propose, round));
        }
    }

    pub(super) fn on_validated(&mut self, id: BlockId, valid: bool) {
        let Some(asked) = self.blocks.on_validated(&id, valid) else { return };
        self.timeouts.on_validated(self.clock.now().since(asked));
        // What the time-out waited for is here; unless it waits for another block, it goes off now.
        if let Some(round) = self.height.take_overdue()
            && self.timers.cancel(Timer::Propose(round))
        {
            self.timers.set(Timer::Propose(round), self.clock.now());
        }
    }
}
