//! The block sync actor: fetches decided blocks from peers, checks certificates off this thread, and serves those who are behind.

use crate::fatal::FatalHandle;
use crate::ledger::{CommitMany, CommitManyOutcome, Committed, SyncedBlock};
use crate::messages::{Delivery, Inbound, PeerDown, PeerUp, Penalize, SendTo, TipChanged};
use crate::network::NetworkHandle;
use crate::threads::Threads;
use crate::wake_timer::WakeTimer;
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, Recipient, StreamHandler, WrapFuture};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use timed_block_sync::{
    BlockDelivery, BlockReply, BlockServer, BlockSync, Progress, ServeDecision, ServerLimits, SyncAction, SyncLimits,
    SyncStats, TipAnnouncer,
};
use timed_chain::{History, ReadError};
use timed_consensus::verify_certificate;
use timed_peer::Offence;
use timed_primitives::{
    Block, BlockId, ChainId, Clock, CommitCertificate, Height, PayloadFormat, PublicKey, ValidatorSet, decode,
};
use timed_wire::BlockSyncMessage;
use tokio::sync::{mpsc, watch};
use tracing::{debug, info};

/// Consensus needs a decided block that it does not have.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wanted {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
}

/// Consensus heard that others have decided more than one height above ours.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Behind;

/// What onlookers see of block sync.
#[derive(Clone, Debug)]
pub struct SyncStatus {
    /// How far, how fast, and why it stands still.
    pub progress: Progress,
    /// Counters.
    pub stats: SyncStats,
}

/// What the actor is made of.
pub struct BlockSyncParts {
    /// The decided chain.
    pub history: Arc<dyn History>,
    /// Takes over what was fetched.
    pub ledger: Recipient<CommitMany>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where certificates are checked.
    pub threads: Threads,
    /// The way to peers.
    pub network: NetworkHandle,
    /// Frames from peers.
    pub inbox: mpsc::Receiver<Inbound<BlockSyncMessage>>,
    /// Where the status is published.
    pub status: watch::Sender<Option<SyncStatus>>,
    /// Ends the process if this actor panics or the log cannot be read.
    pub fatal: FatalHandle,
}

/// A block that is whole, with its certificate.
type Verified = SyncedBlock;

/// What of one request is being checked. Bounded by what was asked for.
#[derive(Default)]
struct RequestChecks {
    blocks: usize,
    is_ended: bool,
}

/// Fetches what is missing, serves what is asked for.
pub struct BlockSyncActor {
    sync: BlockSync<Verified>,
    server: BlockServer,
    history: Arc<dyn History>,
    ledger: Recipient<CommitMany>,
    clock: Arc<dyn Clock>,
    threads: Threads,
    network: NetworkHandle,
    inbox: Option<mpsc::Receiver<Inbound<BlockSyncMessage>>>,
    status: watch::Sender<Option<SyncStatus>>,
    /// Replies whose certificates are being checked, by peer and request, and whether the request's end has arrived.
    checking: BTreeMap<(PublicKey, u64), RequestChecks>,
    /// Peers that are connected.
    up: BTreeSet<PublicKey>,
    announcer: TipAnnouncer,
    /// How far the blocks go that are fetched.
    fetched_to: Option<Height>,
    timer: WakeTimer,
    fatal: FatalHandle,
}

impl BlockSyncActor {
    /// Starts at the chain's tip.
    pub fn new(parts: BlockSyncParts) -> Self {
        Self {
            sync: BlockSync::new(SyncLimits::default(), parts.history.tip().height),
            server: BlockServer::new(ServerLimits::default()),
            announcer: TipAnnouncer::new(parts.history.tip().height),
            history: parts.history,
            ledger: parts.ledger,
            clock: parts.clock,
            threads: parts.threads,
            network: parts.network,
            inbox: Some(parts.inbox),
            status: parts.status,
            checking: BTreeMap::new(),
            up: BTreeSet::new(),
            fetched_to: None,
            timer: WakeTimer::default(),
            fatal: parts.fatal,
        }
    }

    fn carry_out(&mut self, actions: Vec<SyncAction<Verified>>, ctx: &mut Context<Self>) {
        for action in actions {
            match action {
                SyncAction::Request { to, request, from, count } => {
                    self.network.send(to, BlockSyncMessage::GetBlocks { request, from: from.0, count });
                }
                SyncAction::Deliver { items, .. } => self.deliver(items, ctx),
                SyncAction::Blame { peer, height } => {
                    debug!(peer = peer.short(), %height, "peer delivered a block that is provably false");
                    self.penalize(peer, Offence::InvalidCertificate);
                }
            }
        }
    }

    fn penalize(&self, peer: PublicKey, offence: Offence) {
        self.network.penalize.do_send(Penalize { peer, offence });
    }

    /// Hands blocks to the ledger; the tip afterwards shows how far it came.
    fn deliver(&mut self, items: Vec<BlockDelivery<Verified>>, ctx: &mut Context<Self>) {
        let Some(last) = items.last().map(|delivery| delivery.height) else { return };
        let blocks = items.into_iter().map(|delivery| delivery.item).collect();
        let committed = self.ledger.send(CommitMany(blocks));
        ctx.spawn(committed.into_actor(self).map(move |outcome, actor, ctx| {
            // Without an answer the ledger is gone and the process is ending.
            if let Ok(CommitManyOutcome { tip, refused }) = outcome {
                let now = actor.clock.now();
                let mut actions = actor.sync.on_committed(now, tip);
                actions.extend(refused.into_iter().flat_map(|height| actor.sync.on_refused(now, height)));
                actions.extend(actor.sync.on_batch_done(now, last, tip));
                actor.carry_out(actions, ctx);
                actor.after(ctx);
            }
        }));
    }

    fn on_message(&mut self, peer: PublicKey, message: BlockSyncMessage, ctx: &mut Context<Self>) {
        match message {
            // What a peer said last may be read after its end, which must not bring it back.
            BlockSyncMessage::Status { .. } if !self.up.contains(&peer) => {}
            BlockSyncMessage::Status { height, earliest } => {
                if self.announcer.on_status(&peer, Height(height)) {
                    self.send_status([peer]);
                }
                let actions = self.sync.on_status(self.clock.now(), peer, Height(height), Height(earliest));
                self.carry_out(actions, ctx);
            }
            BlockSyncMessage::GetBlocks { request, from, count } => self.serve(peer, request, Height(from), count, ctx),
            BlockSyncMessage::Decided { request, height, certificate, block } => {
                self.on_decided(Received { peer, request, height: Height(height), certificate, block }, ctx);
            }
            BlockSyncMessage::End { request, .. } => self.on_end(peer, request, ctx),
        }
    }

    fn send_status(&self, to: impl IntoIterator<Item = PublicKey>) {
        let status = BlockSyncMessage::Status { height: self.history.tip().height.0, earliest: Height::FIRST.0 };
        let to_peer = |to| Delivery::ToOne(SendTo { to, message: status.clone().into(), height: None });
        self.network.send_all(to.into_iter().map(to_peer).collect());
    }

    fn on_decided(&mut self, decided: Received, ctx: &mut Context<Self>) {
        if !self.sync.is_expected(&decided.peer, decided.request, decided.height) {
            return;
        }
        let chain = self.history.chain_genesis().chain_id;
        let voters = KnownVoters::of(&*self.history, decided.height);
        let payload_format = self.history.payload_format();
        let threads = self.threads.clone();
        let Received { peer, request, height, .. } = decided;
        let size = decided.certificate.len() + decided.block.len();
        self.checking.entry((peer, request)).or_default().blocks += 1;
        let checked = async move { threads.compute(move || verify(chain, &voters, payload_format, &decided)).await };
        ctx.spawn(checked.into_actor(self).map(move |verified, actor, ctx| {
            let now = actor.clock.now();
            let actions = match verified {
                Some(Some(item)) => actor.sync.on_block(now, peer, request, height, size, item),
                Some(None) => actor.sync.on_invalid(now, peer, request, height),
                // Our own fault or our own end: the request runs into its time-out, and nobody is blamed.
                None => Vec::new(),
            };
            actor.carry_out(actions, ctx);
            actor.on_one_checked(peer, request, ctx);
            actor.after(ctx);
        }));
    }

    fn on_one_checked(&mut self, peer: PublicKey, request: u64, ctx: &mut Context<Self>) {
        let Some(checking) = self.checking.get_mut(&(peer, request)) else { return };
        checking.blocks -= 1;
        if checking.blocks == 0 {
            let is_ended = checking.is_ended;
            self.checking.remove(&(peer, request));
            if is_ended {
                self.on_end(peer, request, ctx);
            }
        }
    }

    /// The end of a request counts after the blocks that came before it.
    fn on_end(&mut self, peer: PublicKey, request: u64, ctx: &mut Context<Self>) {
        if let Some(checking) = self.checking.get_mut(&(peer, request)) {
            checking.is_ended = true;
            return;
        }
        let actions = self.sync.on_end(self.clock.now(), &peer, request);
        self.carry_out(actions, ctx);
    }

    fn serve(&mut self, peer: PublicKey, request: u64, from: Height, count: u16, ctx: &mut Context<Self>) {
        match self.server.on_request(peer, request, from, count, Height::FIRST, self.history.tip().height) {
            ServeDecision::Decline { request } => self.network.send(peer, BlockSyncMessage::End { request, sent: 0 }),
            ServeDecision::Serve(reply) => self.send_blocks(reply, ctx),
        }
    }

    /// Reads off this thread, then sends. The request counts as served when the peer manager has taken the last message, so that
    /// the bounds on open requests bound what waits there.
    fn send_blocks(&self, reply: BlockReply, ctx: &mut Context<Self>) {
        let (threads, history, network) = (self.threads.clone(), self.history.clone(), self.network.clone());
        let (peer, request) = (reply.to, reply.request);
        let served = async move {
            let read = threads.compute(move || read_blocks(&*history, reply)).await;
            let (blocks, error) = read.unwrap_or_default();
            let sent = u16::try_from(blocks.len()).unwrap_or(u16::MAX);
            for block in blocks {
                network.send(peer, block);
            }
            let end = SendTo { to: peer, message: BlockSyncMessage::End { request, sent }.into(), height: None };
            // Without an answer the peer manager is gone and the process is ending.
            let _ = network.send.send(end).await;
            error
        };
        ctx.spawn(served.into_actor(self).map(move |error, actor, _ctx| {
            actor.server.on_finished(&peer);
            if let Some(error) = error {
                actor.fatal.fail(error.to_string());
            }
        }));
    }

    /// What follows every event: publish, say who leads, set the one timer.
    fn after(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let progress = self.sync.progress(now);
        match FetchNews::of(self.fetched_to, &progress) {
            Some(FetchNews::Begun) => {
                info!(height = %progress.tip, target = %progress.target, "behind: fetching blocks");
            }
            Some(FetchNews::CaughtUp) => info!(height = %progress.tip, "caught up: consensus leads"),
            Some(FetchNews::Alone { target }) => {
                info!(height = %progress.tip, %target, "no peer is left that has more blocks: the rest comes from whoever connects next");
            }
            None => {}
        }
        self.fetched_to = progress.leads.then_some(progress.target);
        self.status.send_replace(Some(SyncStatus { progress, stats: self.sync.stats() }));
        let wake = [self.sync.next_wake(), self.announcer.next_wake()].into_iter().flatten().min();
        self.timer.arm(wake, now, Self::on_wake, ctx);
    }

    fn on_wake(&mut self, ctx: &mut Context<Self>) {
        if !self.timer.goes_off(ctx) {
            return;
        }
        let now = self.clock.now();
        let hearers = self.announcer.on_wake(now);
        self.send_status(hearers);
        let actions = self.sync.on_tick(now);
        self.carry_out(actions, ctx);
        self.after(ctx);
    }
}

/// What is said of fetching blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FetchNews {
    /// It begins.
    Begun,
    /// It is over: consensus leads, and gets the one block that may still be missing.
    CaughtUp,
    /// It is over since no peer has as much any more as some had.
    Alone { target: Height },
}

impl FetchNews {
    /// While blocks up to `before` were fetched, if any.
    fn of(before: Option<Height>, progress: &Progress) -> Option<Self> {
        match (before, progress.leads) {
            (None, true) => Some(Self::Begun),
            (Some(target), false) if progress.target < target => Some(Self::Alone { target }),
            (Some(_), false) => Some(Self::CaughtUp),
            (None, false) | (Some(_), true) => None,
        }
    }
}

/// A decided block as it arrived.
struct Received {
    peer: PublicKey,
    request: u64,
    height: Height,
    certificate: Bytes,
    block: Bytes,
}

/// Who decides a height, as far as it follows from our tip.
struct KnownVoters {
    set: ValidatorSet,
    /// Whether no others can be the right ones.
    is_exact: bool,
}

impl KnownVoters {
    /// They are known for the two heights above the tip, which may rise while this looks.
    fn of(history: &dyn History, height: Height) -> Self {
        let before = history.tip().height;
        let set = history.validators(height);
        let is_exact = height > history.tip().height && height <= before.next().next();
        Self { set, is_exact }
    }
}

/// The block is the one that its certificate names. Whether the right validators signed that is found out here when they are known, or when
/// the header names those that we know last: that it may name them is checked with the block. Otherwise the ledger finds out, once it has the
/// blocks before it.
fn verify(chain: ChainId, known: &KnownVoters, format: PayloadFormat, received: &Received) -> Option<Verified> {
    let certificate: CommitCertificate = decode(&received.certificate).ok()?;
    if certificate.height != received.height {
        return None;
    }
    let block: Block = decode(&received.block).ok()?;
    let is_named = block.id() == certificate.block && block.height() == received.height;
    // The certificate names the header only: the body must be the one that the header commits to.
    if !is_named || !block.is_whole(format) {
        return None;
    }
    let is_certified = known.is_exact || block.header.validators_hash == known.set.hash();
    if is_certified {
        verify_certificate(chain, &certificate, &known.set).ok()?;
    }
    Some(SyncedBlock { block: Arc::new(block), certificate, is_certified })
}

/// The blocks of a reply as messages, up to its bounds, and what kept it from reading more.
fn read_blocks(history: &dyn History, mut reply: BlockReply) -> (Vec<BlockSyncMessage>, Option<ReadError>) {
    let mut blocks = Vec::new();
    while let Some(height) = reply.next() {
        match history.decided_bytes(height) {
            Ok(Some(decided)) => {
                reply.on_sent(decided.certificate.len() + decided.block.len());
                blocks.push(BlockSyncMessage::Decided {
                    request: reply.request,
                    height: height.0,
                    certificate: decided.certificate.into(),
                    block: decided.block.into(),
                });
            }
            Ok(None) => break,
            Err(error) => return (blocks, Some(error)),
        }
    }
    (blocks, None)
}

impl Actor for BlockSyncActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(inbox) = self.inbox.take() {
            ctx.add_stream(crate::inbox_stream(inbox));
        }
        self.after(ctx);
    }
}

impl StreamHandler<Vec<Inbound<BlockSyncMessage>>> for BlockSyncActor {
    fn handle(&mut self, messages: Vec<Inbound<BlockSyncMessage>>, ctx: &mut Self::Context) {
        for inbound in messages {
            self.on_message(inbound.peer, inbound.message, ctx);
        }
        self.after(ctx);
    }

    fn finished(&mut self, _ctx: &mut Self::Context) {
        // The peers are gone first at shutdown.
    }
}

impl Handler<PeerUp> for BlockSyncActor {
    type Result = ();

    fn handle(&mut self, up: PeerUp, ctx: &mut Self::Context) {
        self.up.insert(up.peer);
        let actions = self.sync.on_status(self.clock.now(), up.peer, Height(up.height), Height::FIRST);
        self.carry_out(actions, ctx);
        self.announcer.on_peer_up(up.peer, Height(up.height));
        self.send_status([up.peer]);
        self.after(ctx);
    }
}

impl Handler<PeerDown> for BlockSyncActor {
    type Result = ();

    fn handle(&mut self, down: PeerDown, ctx: &mut Self::Context) {
        self.up.remove(&down.peer);
        self.announcer.on_peer_down(&down.peer);
        self.server.on_peer_down(&down.peer);
        let actions = self.sync.on_peer_down(self.clock.now(), &down.peer);
        self.carry_out(actions, ctx);
        self.after(ctx);
    }
}

impl Handler<Wanted> for BlockSyncActor {
    type Result = ();

    fn handle(&mut self, wanted: Wanted, ctx: &mut Self::Context) {
        let actions = self.sync.on_wanted(self.clock.now(), wanted.height, wanted.id);
        self.carry_out(actions, ctx);
        self.after(ctx);
    }
}

impl Handler<Behind> for BlockSyncActor {
    type Result = ();

    fn handle(&mut self, _behind: Behind, _ctx: &mut Self::Context) {
        let hearers = self.announcer.on_behind(self.clock.now());
        self.send_status(hearers);
    }
}

impl Handler<Committed> for BlockSyncActor {
    type Result = ();

    fn handle(&mut self, Committed(committed): Committed, ctx: &mut Self::Context) {
        let height = committed.block.height();
        let now = self.clock.now();
        let actions = self.sync.on_committed(now, height);
        self.carry_out(actions, ctx);
        self.network.tip.do_send(TipChanged { height });
        let hearers = self.announcer.on_tip(now, height);
        self.send_status(hearers);
        self.after(ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_chain::Draft;
    use timed_ledger::{Genesis, PAYLOAD_FORMAT};
    use timed_primitives::{CommitSignature, Instant, MemoryDisk, Round, SecretKey, VoteKind, encode, vote};
    use timed_test_support::MemoryStore;

    /// A decided block of a network of one, as a peer would send it.
    fn decided() -> (Genesis, Block, CommitCertificate) {
        let (genesis, key) = (Genesis::devnet(1), SecretKey::development("consensus", 1));
        let mut ledger =
            timed_ledger::open(genesis.clone(), &MemoryDisk::default(), Arc::new(MemoryStore::default())).unwrap();
        let time = genesis.time.plus(std::time::Duration::from_secs(1));
        let draft = Draft {
            time,
            proposer: key.public(),
            first_round: Round::ZERO,
            parent_certificate: None,
            transactions: vec![],
            statements: vec![],
        };
        let block = (*ledger.assemble(draft).unwrap().block).clone();
        let (height, id, validator) = (block.height(), block.id(), key.public());
        let bytes =
            vote::vote_signing_bytes(genesis.chain_id, VoteKind::Precommit, height, Round::ZERO, Some(id), &validator);
        let signatures = vec![CommitSignature { validator, signature: key.sign(&bytes) }];
        (genesis, block, CommitCertificate { height, round: Round::ZERO, block: id, signatures })
    }

    fn validated(genesis: &Genesis, block: &Block, certificate: &CommitCertificate, height: Height) -> bool {
        let received = Received {
            peer: PublicKey([1; 32]),
            request: 1,
            height,
            certificate: encode(certificate).into(),
            block: encode(block).into(),
        };
        let known = KnownVoters { set: genesis.validator_set().unwrap(), is_exact: true };
        verify(genesis.chain_id, &known, PAYLOAD_FORMAT, &received).is_some_and(|block| block.is_certified)
    }

    #[test]
    fn a_certificate_of_validators_that_are_not_known_yet_is_left_to_the_ledger() {
        let (genesis, block, certificate) = decided();
        let (others, own) = (Genesis::devnet(4).validator_set().unwrap(), genesis.validator_set().unwrap());
        let received = |certificate: &CommitCertificate| Received {
            peer: PublicKey([1; 32]),
            request: 1,
            height: Height(1),
            certificate: encode(certificate).into(),
            block: encode(&block).into(),
        };
        let mut forged = certificate.clone();
        forged.signatures[0].signature.0[9] ^= 1;
        let outcome = |set: &ValidatorSet, is_exact: bool, certificate: &CommitCertificate| {
            let known = KnownVoters { set: set.clone(), is_exact };
            verify(genesis.chain_id, &known, PAYLOAD_FORMAT, &received(certificate)).map(|block| block.is_certified)
        };
        assert_eq!([true, false].map(|is_exact| outcome(&own, is_exact, &certificate)), [Some(true); 2]);
        assert_eq!([true, false].map(|is_exact| outcome(&own, is_exact, &forged)), [None; 2]);
        assert_eq!([true, false].map(|is_exact| outcome(&others, is_exact, &certificate)), [None, Some(false)]);
    }

    #[test]
    fn only_the_very_block_that_was_decided_passes() {
        let (genesis, block, certificate) = decided();
        assert!(validated(&genesis, &block, &certificate, Height(1)));
        assert!(!validated(&genesis, &block, &certificate, Height(2)), "another height than the one asked for");
        let mut forged = certificate.clone();
        forged.signatures[0].signature.0[9] ^= 1;
        assert!(!validated(&genesis, &block, &forged, Height(1)), "a bad signature");
        // The same header, so the same id, with another body.
        let mut changed = block.clone();
        changed.parent_certificate = Some(certificate.clone());
        assert_eq!(changed.id(), block.id());
        assert!(!validated(&genesis, &changed, &certificate, Height(1)), "another parent certificate");
        let mut stuffed = block.clone();
        let (outpoint, output) = genesis.unspent().next().unwrap();
        let inputs = vec![timed_ledger::TxInput { previous: outpoint }];
        let body = timed_ledger::TransactionBody::transfer(genesis.chain_id, inputs, vec![output]);
        stuffed.payload = timed_chain::payload(&[body.sign(&[&SecretKey::development("wallet", 0)])]);
        assert_eq!(stuffed.id(), block.id());
        assert!(!validated(&genesis, &stuffed, &certificate, Height(1)), "a transaction slipped in");
    }

    #[test]
    fn who_lost_all_that_had_more_is_not_called_caught_up() {
        let limits = SyncLimits::default();
        let idle = BlockSync::<Verified>::new(limits, Height(0)).progress(Instant::START);
        let of = |before: Option<u64>, leads, tip, target| {
            let progress = Progress { leads, tip: Height(tip), target: Height(target), ..idle.clone() };
            FetchNews::of(before.map(Height), &progress)
        };
        let going = [of(None, true, 7, 9), of(Some(9), true, 7, 9), of(None, false, 9, 9)];
        assert_eq!(going, [Some(FetchNews::Begun), None, None]);
        assert_eq!([of(Some(9), false, 9, 9), of(Some(9), false, 10, 10)], [Some(FetchNews::CaughtUp); 2]);
        // One block is missing, and a peer has it: consensus gets that one.
        assert_eq!([of(Some(9), false, 8, 9), of(Some(9), false, 9, 10)], [Some(FetchNews::CaughtUp); 2]);
        assert_eq!(of(Some(9), false, 8, 8), Some(FetchNews::Alone { target: Height(9) }));
    }
}
