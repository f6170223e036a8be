//! Compact blocks under way: ours to those that take them, and those of others put together with what the mempool holds.

use super::ConsensusActor;
use crate::mempool::Rebuild;
use crate::messages::{Audience, Broadcast, Delivery, SendTo};
use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::Bytes;
use std::sync::Arc;
use timed_chain::CompactBlock;
use timed_consensus::Input;
use timed_mempool::BlockRelayAction;
use timed_peer::Offence;
use timed_peer::handshake::COMPACT_BLOCKS;
use timed_primitives::{Block, BlockId, DecodeError, Hash, Height, PublicKey, decode, encode};
use timed_wire::{ConsensusMessage, WireBlockPart};
use tracing::debug;

impl ConsensusActor {
    /// A block of ours in the form that each peer takes; false when it has only one form.
    pub(super) fn send_compact(&mut self, block: &Arc<Block>) -> bool {
        let Some(compact) = self.relay.compact(&block.id()) else { return false };
        let (message, height) = (ConsensusMessage::CompactBlock(encode(compact).into()).into(), Some(block.height()));
        let audience = Audience::Able(COMPACT_BLOCKS);
        self.deliveries.push(Delivery::ToMany(Broadcast { message, audience, except: None, height }));
        if !self.plain.is_empty() {
            let bytes = Bytes::from(encode(&**block));
            let to_each = self.plain.iter().map(|to| {
                let message = ConsensusMessage::Block(bytes.clone()).into();
                Delivery::ToOne(SendTo { to: *to, message, height })
            });
            self.deliveries.extend(to_each);
        }
        true
    }

    /// A peer proposes a block and names what it takes us to hold.
    pub(super) fn on_compact_block(
        &mut self,
        from: PublicKey,
        bytes: &[u8],
        ctx: &mut Context<Self>,
    ) -> Result<(), DecodeError> {
        let compact: CompactBlock = decode(bytes)?;
        // Only its proposer sends a block so, and not often: to find what it names is a walk through the pool.
        let is_proposer = self.keys.get(&from) == Some(&compact.header().proposer);
        if !is_proposer || !self.parts.core.lacks_block(compact.header()) || !self.relay.may_look_up(from) {
            return Ok(());
        }
        let rebuilt = self.parts.rebuild.send(Rebuild(compact));
        ctx.spawn(rebuilt.into_actor(self).map(move |rebuilt, actor, ctx| match rebuilt {
            Ok(Ok(block)) => {
                let action = actor.relay.on_compact(from, block);
                actor.follow(action, ctx);
            }
            Ok(Err(fault)) => {
                debug!(peer = from.short(), %fault, "no block looks like that");
                actor.penalize(from, Offence::InvalidBlock);
            }
            // The process is ending.
            Err(_) => {}
        }));
        Ok(())
    }

    /// A peer lacks what a block of ours names.
    pub(super) fn on_get_block_transactions(&mut self, from: PublicKey, part: &WireBlockPart) {
        let id = BlockId(Hash(part.id));
        let Some(transactions) = self.relay.on_asked(from, &id, &part.positions) else { return };
        debug!(
            height = part.height,
            block = id.short(),
            peer = from.short(),
            lacks = transactions.len(),
            "transactions of our block are asked for"
        );
        let transactions = transactions.into_iter().map(Bytes::from).collect();
        let message = ConsensusMessage::BlockTransactions { id: part.id, transactions }.into();
        self.deliveries.push(Delivery::ToOne(SendTo { to: from, message, height: Some(Height(part.height)) }));
    }

    /// What was lacking of a compact block.
    pub(super) fn on_block_transactions(
        &mut self,
        from: PublicKey,
        id: BlockId,
        transactions: Vec<Bytes>,
        ctx: &mut Context<Self>,
    ) {
        let action = self.relay.on_transactions(&from, &id, transactions);
        self.follow(action, ctx);
    }

    fn follow(&mut self, action: Option<BlockRelayAction>, ctx: &mut Context<Self>) {
        let (to, height, message) = match action {
            None => return,
            Some(BlockRelayAction::Whole(block)) => return self.feed_one(Input::RebuiltBlock(block), ctx),
            Some(BlockRelayAction::AskSome { to, height, id, positions }) => {
                debug!(%height, block = id.short(), lacks = positions.len(), "a compact block names what is not here");
                let part = WireBlockPart { height: height.0, id: id.0.0, positions };
                (to, height, ConsensusMessage::GetBlockTransactions(part))
            }
            Some(BlockRelayAction::AskAll { to, height, id, fault }) => {
                debug!(%height, block = id.short(), ?fault, "a compact block is asked for in full");
                (to, height, ConsensusMessage::GetBlock { height: height.0, id: id.0.0 })
            }
        };
        self.deliveries.push(Delivery::ToOne(SendTo { to, message: message.into(), height: Some(height) }));
        self.after(ctx);
    }
}
