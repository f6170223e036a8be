//! The consensus actor: one input at a time into the core, its outputs carried out in order. The core has made durable what must be
//! durable before it returns, on this actor's own thread. It never waits: answers come back as messages that name what they answer.

mod block_relay;
mod convert;

use crate::block_sync::{Behind, Wanted};
use crate::fatal::FatalHandle;
use crate::ledger::{Assemble, Commit, Committed, Validate, Validity};
use crate::mempool::{Accuse, BuildPayload, PayloadWaiting, Proposed, Rebuild, Revalidate};
use crate::messages::{
    Audience, Broadcast, Delivery, Inbound, NetworkTime, PeerDown, PeerUp, Penalize, SendTo, ValidatorsChanged,
};
use crate::network::NetworkHandle;
use crate::wake_timer::WakeTimer;
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Recipient, StreamHandler, WrapFuture};
use convert::{from_wire, to_wire};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{Draft, Evidence, History, TransactionFacts, TransactionFault};
use timed_consensus::{Consensus, ConsensusStatus, FatalError, Gossip, GossipOffence, Input, Output, Payload, quorum};
use timed_mempool::{BlockRelay, BlockRelayStats};
use timed_peer::EndReason;
use timed_peer::handshake::COMPACT_BLOCKS;
use timed_primitives::{
    Block, BlockId, Clock, CommitCertificate, DecodeError, DoubleSign, Hash, Height, Instant, PublicKey, Round,
    UnixTime, ValidatorSet,
};
use timed_wire::ConsensusMessage;
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

/// How long changes gather before the status is published: it is for onlookers, and a vote should not pay for it.
const PUBLISH_AFTER: Duration = Duration::from_millis(20);

/// How many double signs are kept for own blocks.
const DOUBLE_SIGNS_MAX: usize = 64;

/// What the actor is made of.
pub struct ConsensusParts {
    /// The core, open and not started.
    pub core: Consensus,
    /// Our consensus key's public half, for blocks of ours.
    pub proposer: Option<PublicKey>,
    /// The decided chain.
    pub history: Arc<dyn History>,
    /// Validates blocks.
    pub validate: Recipient<Validate>,
    /// Makes blocks.
    pub assemble: Recipient<Assemble>,
    /// Takes over decided blocks.
    pub commit: Recipient<Commit>,
    /// Chooses transactions.
    pub payload: Recipient<BuildPayload>,
    /// Finds the transactions that compact blocks name.
    pub rebuild: Recipient<Rebuild>,
    /// Proofs of double signs are handed to it.
    pub accuse: Recipient<Accuse>,
    /// Gets [`crate::mempool::Revalidate`] when the pool holds what does not apply.
    pub revalidate: Recipient<Revalidate>,
    /// Proposed blocks are reported to it.
    pub proposed: Recipient<Proposed>,
    /// Missing blocks are reported to it.
    pub wanted: Recipient<Wanted>,
    /// Heights of others that we have not reached are reported to it.
    pub behind: Recipient<Behind>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The way to peers.
    pub network: NetworkHandle,
    /// Frames from peers.
    pub inbox: mpsc::Receiver<Inbound<ConsensusMessage>>,
    /// Where the status is published.
    pub status: watch::Sender<Option<ConsensusStatus>>,
    /// Where it is published how blocks travelled.
    pub block_relay: watch::Sender<BlockRelayStats>,
    /// Ends the process if this actor must not go on.
    pub fatal: FatalHandle,
}

/// Feeds the core.
pub struct ConsensusActor {
    parts: ConsensusParts,
    inbox: Option<mpsc::Receiver<Inbound<ConsensusMessage>>>,
    timer: WakeTimer,
    /// When the status is published, if it may have changed.
    publish_at: Option<Instant>,
    /// What is to be sent when all inputs that are here are handled.
    deliveries: Vec<Delivery>,
    /// The core refused to go on: the process is ending.
    has_failed: bool,
    /// The validators that were last announced to the peer manager.
    announced: Option<ValidatorSet>,
    /// The last double signs that we saw. Bound: [`DOUBLE_SIGNS_MAX`], the oldest goes.
    double_signs: VecDeque<DoubleSign>,
    relay: BlockRelay,
    /// Peers that take no compact blocks. Bound: the peers there are.
    plain: BTreeSet<PublicKey>,
    /// Consensus keys that peers have proved. Bound: the peers there are.
    keys: BTreeMap<PublicKey, PublicKey>,
}

/// What a block is to be built from.
struct Order {
    height: Height,
    round: Round,
    parent: BlockId,
    time: UnixTime,
    parent_certificate: Option<CommitCertificate>,
    bytes_max: u64,
    late_precommits: Vec<CommitCertificate>,
}

impl ConsensusActor {
    /// Not started before the actor is.
    pub fn new(mut parts: ConsensusParts) -> Self {
        let (_, closed) = mpsc::channel(1);
        let inbox = Some(std::mem::replace(&mut parts.inbox, closed));
        Self {
            parts,
            inbox,
            timer: WakeTimer::default(),
            publish_at: None,
            deliveries: Vec::new(),
            has_failed: false,
            announced: None,
            double_signs: VecDeque::new(),
            relay: BlockRelay::default(),
            plain: BTreeSet::new(),
            keys: BTreeMap::new(),
        }
    }

    /// The one entry into the core. [`Self::after`] follows once all inputs that are here are in.
    fn feed(&mut self, input: Input, ctx: &mut Context<Self>) {
        let (now, unix) = (self.parts.clock.now(), self.parts.clock.unix());
        self.publish_at.get_or_insert(now + PUBLISH_AFTER);
        match self.parts.core.handle(now, unix, input) {
            Ok(outputs) => {
                for output in outputs {
                    self.carry_out(output, ctx);
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &FatalError) {
        self.has_failed = true;
        self.parts.fatal.fail(error.to_string());
    }

    /// What follows after inputs: send, tell the core that all is on its way, keep the one timer.
    fn after(&mut self, ctx: &mut Context<Self>) {
        self.parts.network.send_all(std::mem::take(&mut self.deliveries));
        if !self.has_failed
            && let Err(error) = self.parts.core.on_carried_out()
        {
            self.fail(&error);
        }
        if self.has_failed {
            return;
        }
        let wake = [self.parts.core.next_wake(), self.publish_at].into_iter().flatten().min();
        self.timer.arm(wake, self.parts.clock.now(), Self::on_wake, ctx);
    }

    fn feed_one(&mut self, input: Input, ctx: &mut Context<Self>) {
        self.feed(input, ctx);
        self.after(ctx);
    }

    /// Announces to the peer manager who decides the next height, when that has changed.
    fn announce_validators(&mut self, validators: ValidatorSet) {
        if self.announced.as_ref() != Some(&validators) {
            let quorum = quorum(validators.total_power());
            self.announced = Some(validators.clone());
            self.parts.network.validators.do_send(ValidatorsChanged { validators, quorum });
        }
    }

    fn on_wake(&mut self, ctx: &mut Context<Self>) {
        if !self.timer.goes_off(ctx) {
            return;
        }
        let now = self.parts.clock.now();
        if self.publish_at.take_if(|at| *at <= now).is_some() {
            self.parts.status.send_replace(Some(self.parts.core.status()));
            self.parts.block_relay.send_replace(self.relay.stats());
        }
        if self.parts.core.next_wake().is_some_and(|at| at <= now) {
            self.feed(Input::Wake, ctx);
        }
        self.after(ctx);
    }

    fn carry_out(&mut self, output: Output, ctx: &mut Context<Self>) {
        match output {
            Output::Broadcast(Gossip::Block(block)) if self.send_compact(&block) => {}
            Output::Broadcast(gossip) => {
                let (message, height) = (to_wire(&gossip).into(), gossip.height());
                let broadcast = Broadcast { message, audience: Audience::All, except: None, height };
                self.deliveries.push(Delivery::ToMany(broadcast));
            }
            Output::Send { to, message: gossip } => {
                let (message, height) = (to_wire(&gossip).into(), gossip.height());
                self.deliveries.push(Delivery::ToOne(SendTo { to, message, height }));
            }
            Output::Build { height, round, parent, time, parent_certificate, late_precommits, bytes_max } => {
                let order = Order { height, round, parent, time, parent_certificate, late_precommits, bytes_max };
                self.build(order, ctx);
            }
            Output::Validate { block } => self.validate(block, ctx),
            Output::Commit { block, certificate } => self.parts.commit.do_send(Commit { block, certificate }),
            Output::Wanted { height, id } => {
                debug!(%height, block = id.short(), "a block is missing");
                self.parts.wanted.do_send(Wanted { height, id });
            }
            Output::Behind { height } => {
                debug!(%height, "others have decided more");
                self.parts.behind.do_send(Behind);
            }
            Output::DoubleSign(proof) => {
                let (key, height, round) = (proof.key(), proof.height(), proof.round());
                if self.parts.proposer == Some(key) {
                    warn!(%key, %height, %round, ?proof, "this key signs two things for one place: another machine has it too; end one of them");
                } else {
                    warn!(%key, %height, %round, ?proof, "a validator contradicted itself: the proof goes to the chain");
                    self.accuse(proof);
                }
            }
            Output::Invalid { from, offence } => {
                let offence = match offence {
                    GossipOffence::BadSignature => timed_peer::Offence::InvalidSignature,
                    GossipOffence::BadCertificate => timed_peer::Offence::InvalidCertificate,
                    GossipOffence::BadBlock => timed_peer::Offence::InvalidBlock,
                };
                self.penalize(from, offence);
            }
            Output::BlockTooEarly { line } | Output::QuorumLost { line } => warn!("{line}"),
            Output::QuorumBack => info!("quorum is connected again"),
            Output::SigningChanged { line, is_warning: false } => info!("{line}"),
            Output::SigningChanged { line, is_warning: true } => warn!("{line}"),
        }
    }

    fn take_in(
        &mut self,
        from: PublicKey,
        message: ConsensusMessage,
        ctx: &mut Context<Self>,
    ) -> Result<(), DecodeError> {
        match message {
            ConsensusMessage::CompactBlock(bytes) => return self.on_compact_block(from, &bytes, ctx),
            ConsensusMessage::GetBlockTransactions(part) => self.on_get_block_transactions(from, &part),
            ConsensusMessage::BlockTransactions { id, transactions } => {
                self.on_block_transactions(from, BlockId(Hash(id)), transactions, ctx);
            }
            other => {
                if let Some(message) = from_wire(other)? {
                    self.feed(Input::Gossip { from, message }, ctx);
                }
            }
        }
        Ok(())
    }

    /// Hands a proof to the pool, which passes it on, and keeps it for blocks of ours: it pays no fee, so a full pool may have no room for it.
    fn accuse(&mut self, proof: DoubleSign) {
        if self.double_signs.len() >= DOUBLE_SIGNS_MAX {
            self.double_signs.pop_front();
        }
        self.double_signs.push_back(proof.clone());
        self.parts.accuse.do_send(Accuse(proof));
    }

    fn penalize(&self, peer: PublicKey, offence: timed_peer::Offence) {
        self.parts.network.penalize.do_send(Penalize { peer, offence });
    }

    /// Transactions from the mempool, then the block from the ledger, then back into the core.
    fn build(&mut self, order: Order, ctx: &mut Context<Self>) {
        let Some(proposer) = self.parts.proposer else { return };
        let request = BuildPayload {
            parent: order.parent,
            parent_height: order.height.previous().unwrap_or_default(),
            bytes_max: usize::try_from(order.bytes_max).unwrap_or(usize::MAX),
            young_for: self.relay.named_after(),
        };
        let payload = self.parts.payload.send(request);
        let assemble = self.parts.assemble.clone();
        let (height, round) = (order.height, order.round);
        let double_signs = self.double_signs.iter().cloned().map(Evidence::DoubleSign);
        let statements = double_signs.chain(order.late_precommits.into_iter().map(Evidence::LatePrecommits)).collect();
        let made = async move {
            // Without an answer the height is over, or the process is ending.
            let chosen = payload.await.ok().flatten()?;
            let transactions = chosen.transactions;
            let draft = Draft {
                time: order.time,
                proposer,
                first_round: order.round,
                parent_certificate: order.parent_certificate,
                transactions,
                statements,
            };
            let assembled = assemble.send(Assemble { parent: order.parent, draft }).await.ok().flatten()?;
            Some((assembled, chosen.young))
        };
        ctx.spawn(made.into_actor(self).map(move |assembled, actor, ctx| {
            let Some((assembled, young)) = assembled else { return };
            for (txid, reason) in &assembled.left_out {
                debug!(%txid, %reason, "transaction left out of the block");
            }
            if assembled.left_out.iter().any(|(_, reason)| !matches!(reason, TransactionFault::NoRoom { .. })) {
                actor.parts.revalidate.do_send(Revalidate);
            }
            actor.report_proposed(&assembled.block, &assembled.transactions);
            actor.relay.on_built(assembled.block.clone(), assembled.transactions, &young);
            actor.feed_one(Input::Built { height, round, block: assembled.block }, ctx);
        }));
    }

    fn validate(&mut self, block: Arc<Block>, ctx: &mut Context<Self>) {
        let answer = self.parts.validate.send(Validate(block.clone()));
        ctx.spawn(answer.into_actor(self).map(move |validity, actor, ctx| {
            let id = block.id();
            match validity {
                Ok(Validity::Valid(transactions)) => {
                    actor.report_proposed(&block, &transactions);
                    actor.feed_one(Input::Validated { id, valid: true }, ctx);
                }
                Ok(Validity::Invalid(error)) => {
                    debug!(height = %block.height(), block = id.short(), %error, "proposed block is not valid");
                    actor.feed_one(Input::Validated { id, valid: false }, ctx);
                }
                // The tip has moved on, or the process is ending: nothing to say of this block.
                Ok(Validity::NotNext) | Err(_) => {}
            }
        }));
    }

    fn report_proposed(&self, block: &Block, transactions: &[TransactionFacts]) {
        let transactions = transactions.iter().map(|facts| facts.id).collect();
        self.parts.proposed.do_send(Proposed { block: block.id(), height: block.height(), transactions });
    }
}

impl Actor for ConsensusActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(inbox) = self.inbox.take() {
            ctx.add_stream(crate::inbox_stream(inbox));
        }
        let next = self.parts.history.tip().height.next();
        self.announce_validators(self.parts.history.validators(next));
        self.feed_one(Input::Start, ctx);
    }
}

impl StreamHandler<Vec<Inbound<ConsensusMessage>>> for ConsensusActor {
    fn handle(&mut self, messages: Vec<Inbound<ConsensusMessage>>, ctx: &mut Self::Context) {
        for inbound in messages {
            if let Err(error) = self.take_in(inbound.peer, inbound.message, ctx) {
                debug!(peer = inbound.peer.short(), %error, "undecodable body");
                self.penalize(inbound.peer, timed_peer::Offence::UndecodableBody);
            }
        }
        self.after(ctx);
    }

    fn finished(&mut self, _ctx: &mut Self::Context) {
        // The peers are gone first at shutdown; a block that is decided is still committed.
    }
}

impl Handler<PeerUp> for ConsensusActor {
    type Result = ();

    fn handle(&mut self, up: PeerUp, ctx: &mut Self::Context) {
        let PeerUp { peer, validator, height, instance, address, capabilities } = up;
        match validator {
            Some(key) => self.keys.insert(peer, key),
            None => self.keys.remove(&peer),
        };
        if capabilities & COMPACT_BLOCKS == 0 {
            self.plain.insert(peer);
        } else {
            self.plain.remove(&peer);
        }
        let (instance, address) = (instance.as_u128(), Some(address));
        self.feed(Input::PeerUp { peer, validator, instance, address }, ctx);
        self.feed_one(Input::PeerHeight { peer, height: Height(height) }, ctx);
    }
}

impl Handler<PeerDown> for ConsensusActor {
    type Result = ();

    fn handle(&mut self, down: PeerDown, ctx: &mut Self::Context) {
        self.plain.remove(&down.peer);
        self.keys.remove(&down.peer);
        // Any other end may leave a node that lives.
        let is_gone = matches!(down.reason, EndReason::Shutdown | EndReason::Silent | EndReason::PongsMissing);
        self.feed_one(Input::PeerDown { peer: down.peer, is_gone }, ctx);
    }
}

impl Handler<NetworkTime> for ConsensusActor {
    type Result = ();

    fn handle(&mut self, time: NetworkTime, ctx: &mut Self::Context) {
        self.feed_one(Input::NetworkTime { offset_ms: time.offset_ms }, ctx);
    }
}

impl Handler<PayloadWaiting> for ConsensusActor {
    type Result = ();

    fn handle(&mut self, waiting: PayloadWaiting, ctx: &mut Self::Context) {
        self.feed_one(Input::PayloadWaiting(waiting.0), ctx);
    }
}

impl Handler<Committed> for ConsensusActor {
    type Result = ();

    fn handle(&mut self, Committed(committed): Committed, ctx: &mut Self::Context) {
        let [decided_by, validators, next_validators] = committed.validators;
        self.relay.on_decided(committed.block.height());
        // What waited may be in this block; the mempool says again what still waits.
        self.feed(Input::PayloadWaiting(Payload::Nothing), ctx);
        let committed = timed_consensus::CommittedBlocks {
            blocks: vec![committed.block],
            certificate: (*committed.certificate).clone(),
            decided_by,
            validators: validators.clone(),
            next_validators,
        };
        self.feed_one(Input::Committed(committed), ctx);
        self.announce_validators(validators);
    }
}
