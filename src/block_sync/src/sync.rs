//! The core: what comes in, what is held, what goes out.

use crate::limits::SyncLimits;
use crate::peer::PeerRecord;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use timed_primitives::{BlockId, Height, Instant, PublicKey};

/// What the caller must do now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum SyncAction<B> {
    /// Send `GetBlocks`.
    Request {
        /// To this peer.
        to: PublicKey,
        /// Names the request in its replies.
        request: u64,
        /// First height.
        from: Height,
        /// How many.
        count: u16,
    },
    /// Commit these, in order: heights from `first` upward without a gap. The next ones come after [`BlockSync::on_committed`] of the
    /// last of these, or after [`BlockSync::on_refused`].
    Deliver {
        /// Height of the first item: the tip's plus 1.
        first: Height,
        /// The items.
        items: Vec<BlockDelivery<B>>,
    },
    /// The peer delivered something provably false: penalise it.
    Blame {
        /// The peer.
        peer: PublicKey,
        /// The height of what it delivered.
        height: Height,
    },
}

/// One block to be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDelivery<B> {
    /// Its height.
    pub height: Height,
    /// Who delivered it.
    pub from: PublicKey,
    /// What [`BlockSync::on_block`] was given.
    pub item: B,
}

/// Counters since the start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncStats {
    /// Requests sent.
    pub requests: u64,
    /// Requests that were late.
    pub timed_out: u64,
    /// Blocks received and kept.
    pub received: u64,
    /// Blocks that nobody had asked for, or no longer.
    pub unwanted: u64,
    /// Blocks dropped for lack of room, to be asked for again.
    pub dropped: u64,
    /// Provable faults.
    pub blamed: u64,
}

/// A request on its way.
#[derive(Clone, Debug)]
pub(crate) struct PendingRequest {
    pub(crate) peer: PublicKey,
    pub(crate) missing: BTreeSet<Height>,
    pub(crate) sent_at: Instant,
    pub(crate) deadline: Instant,
    /// Past its deadline: its heights may be asked from others, its answers are still welcome.
    pub(crate) is_late: bool,
    /// Sent to a peer of second choice, ahead of need: late as soon as anything waits for it.
    pub(crate) is_probe: bool,
    pub(crate) blocks: usize,
    pub(crate) bytes: usize,
}

impl PendingRequest {
    pub(crate) fn new(peer: PublicKey, missing: BTreeSet<Height>, sent_at: Instant) -> Self {
        Self { peer, missing, sent_at, deadline: sent_at, is_late: false, is_probe: false, blocks: 0, bytes: 0 }
    }
}

#[derive(Debug)]
pub(crate) struct FetchedBlock<B> {
    pub(crate) from: PublicKey,
    pub(crate) bytes: usize,
    pub(crate) item: B,
}

/// What was handed on and is not committed.
#[derive(Debug)]
pub(crate) struct DeliveredBatch {
    pub(crate) last: Height,
    pub(crate) from: BTreeMap<Height, PublicKey>,
    pub(crate) bytes: usize,
}

/// Fetches decided blocks in a window over several peers.
///
/// Invariants, each a property test: blocks are handed on in order, each once, the next batch after the last is committed; held
/// bytes and the window keep their bounds; no height is in two requests at once unless one of them is late; with one honest peer
/// that stays, the tip gets to its height, whatever the others do.
///
/// | a height is | until |
/// |---|---|
/// | missing | a peer that claims it has a free slot |
/// | in flight | it arrives, its request ends short or is late (then missing again), or its peer goes |
/// | held | all below it are there and no batch is out, or room is needed (then missing again) |
/// | handed on | committed, or refused (then missing again, its sender blamed) |
#[derive(Debug)]
pub struct BlockSync<B> {
    pub(crate) limits: SyncLimits,
    pub(crate) tip: Height,
    pub(crate) peers: BTreeMap<PublicKey, PeerRecord>,
    pub(crate) pending_requests: BTreeMap<u64, PendingRequest>,
    pub(crate) held: BTreeMap<Height, FetchedBlock<B>>,
    pub(crate) held_bytes: usize,
    pub(crate) batch: Option<DeliveredBatch>,
    pub(crate) wanted: Option<(Height, BlockId)>,
    /// Size expected of a block. Unit: bytes.
    pub(crate) block_bytes: u64,
    /// When a claim above the tip was first seen since the last commit.
    pub(crate) behind_since: Option<Instant>,
    /// When a block was last received or committed.
    pub(crate) progress_at: Instant,
    /// Recent commits, for the rate.
    pub(crate) commits: VecDeque<(Instant, Height)>,
    pub(crate) next_request: u64,
    pub(crate) stats: SyncStats,
    /// When requests were last planned; pauses that ended before need no wake.
    pub(crate) last_planned: Instant,
    remembered: VecDeque<(PublicKey, u32)>,
}

/// Expected size before any block was seen. Unit: bytes.
const BLOCK_BYTES_START: u64 = 16 << 10;
/// Commits kept for the rate.
const COMMITS_MAX: usize = 64;

impl<B> BlockSync<B> {
    /// Knows no peer; our chain ends at `tip`.
    pub fn new(limits: SyncLimits, tip: Height) -> Self {
        Self {
            limits,
            tip,
            peers: BTreeMap::new(),
            pending_requests: BTreeMap::new(),
            held: BTreeMap::new(),
            held_bytes: 0,
            batch: None,
            wanted: None,
            block_bytes: BLOCK_BYTES_START,
            behind_since: None,
            progress_at: Instant::START,
            commits: VecDeque::new(),
            next_request: 1,
            stats: SyncStats::default(),
            last_planned: Instant::START,
            remembered: VecDeque::new(),
        }
    }

    /// A peer says what it has: in its handshake and at each new tip.
    pub fn on_status(&mut self, now: Instant, peer: PublicKey, height: Height, earliest: Height) -> Vec<SyncAction<B>> {
        let remembered = &mut self.remembered;
        let record = self.peers.entry(peer).or_insert_with(|| {
            let place = remembered.iter().position(|(other, _)| *other == peer);
            let failures = place.and_then(|place| remembered.remove(place)).map_or(0, |(_, failures)| failures);
            PeerRecord { failures, ..PeerRecord::default() }
        });
        record.claimed = height;
        record.earliest = earliest.max(Height::FIRST);
        self.advance(now)
    }

    /// A peer is gone: what it was asked for is asked from others.
    pub fn on_peer_down(&mut self, now: Instant, peer: &PublicKey) -> Vec<SyncAction<B>> {
        self.pending_requests.retain(|_, pending| pending.peer != *peer);
        if let Some(record) = self.peers.remove(peer)
            && record.failures > 0
            && self.limits.remembered_max > 0
        {
            if self.remembered.len() >= self.limits.remembered_max {
                self.remembered.pop_front();
            }
            self.remembered.push_back((*peer, record.failures));
        }
        self.advance(now)
    }

    /// True when this reply was asked for: look before verifying anything. A reply that was not is dropped without blame, since it may
    /// only be late.
    pub fn is_expected(&self, peer: &PublicKey, request: u64, height: Height) -> bool {
        self.pending_requests
            .get(&request)
            .is_some_and(|pending| pending.peer == *peer && pending.missing.contains(&height))
    }

    /// A block arrived; the caller has verified what it can: the certificate, and that the block is the one it names.
    /// `bytes` is the size of both as received.
    pub fn on_block(
        &mut self,
        now: Instant,
        peer: PublicKey,
        request: u64,
        height: Height,
        bytes: usize,
        item: B,
    ) -> Vec<SyncAction<B>> {
        if !self.is_expected(&peer, request, height) {
            self.stats.unwanted += 1;
            return Vec::new();
        }
        self.stats.received += 1;
        self.progress_at = now;
        self.measure(now, &peer, request, height, bytes);
        for pending in self.pending_requests.values_mut() {
            pending.missing.remove(&height);
        }
        self.pending_requests.retain(|_, pending| !pending.missing.is_empty());
        self.hold(height, FetchedBlock { from: peer, bytes, item });
        self.extend_deadlines(now, &peer);
        self.advance(now)
    }

    /// A peer has sent all it will for a request. Whatever is missing is asked from others.
    pub fn on_end(&mut self, now: Instant, peer: &PublicKey, request: u64) -> Vec<SyncAction<B>> {
        if self.pending_requests.get(&request).is_none_or(|pending| pending.peer != *peer) {
            return Vec::new();
        }
        if let Some(pending) = self.pending_requests.remove(&request)
            && pending.blocks == 0
            && !pending.is_late
            && let Some(record) = self.peers.get_mut(peer)
        {
            record.on_failure(now, &self.limits);
        }
        self.advance(now)
    }

    /// What arrived is provably false: the certificate is invalid, or the block is not the one it names. Ends all dealings with the
    /// peer.
    pub fn on_invalid(&mut self, now: Instant, peer: PublicKey, request: u64, height: Height) -> Vec<SyncAction<B>> {
        if !self.is_expected(&peer, request, height) {
            return Vec::new();
        }
        let mut actions = vec![self.blame(peer, height)];
        actions.extend(self.advance(now));
        actions
    }

    /// Something that was handed on turned out to be provably false at `height` (a certificate that could only be checked after the
    /// block before). Its sender is blamed, what followed is asked for again. Not to be called when our own state differs from what a
    /// valid certificate says: that is no peer's fault.
    pub fn on_refused(&mut self, now: Instant, height: Height) -> Vec<SyncAction<B>> {
        let Some(batch) = self.batch.take_if(|batch| batch.from.contains_key(&height)) else { return Vec::new() };
        let mut actions = Vec::new();
        if let Some(peer) = batch.from.get(&height) {
            actions.push(self.blame(*peer, height));
        }
        actions.extend(self.advance(now));
        actions
    }

    /// The ledger is done with the batch whose last height is `last`, and our tip is at `tip` now. When it stopped short without a provable fault, the
    /// next block is asked for again after a pause of its sender; without this call a batch that stopped short would be waited for
    /// for ever.
    pub fn on_batch_done(&mut self, now: Instant, last: Height, tip: Height) -> Vec<SyncAction<B>> {
        let mut actions = self.on_committed(now, tip);
        if let Some(batch) = self.batch.take_if(|batch| batch.last == last) {
            if let Some(record) = batch.from.get(&self.tip.next()).and_then(|peer| self.peers.get_mut(peer)) {
                record.on_failure(now, &self.limits);
            }
            actions.extend(self.advance(now));
        }
        actions
    }

    /// Our chain has grown to `height`, by sync or by consensus.
    pub fn on_committed(&mut self, now: Instant, height: Height) -> Vec<SyncAction<B>> {
        if height <= self.tip {
            return Vec::new();
        }
        self.tip = height;
        self.progress_at = now;
        self.behind_since = None;
        if self.commits.len() >= COMMITS_MAX {
            self.commits.pop_front();
        }
        self.commits.push_back((now, height));
        self.batch.take_if(|batch| batch.last <= height);
        self.wanted.take_if(|(wanted, _)| *wanted <= height);
        let above = self.held.split_off(&height.next());
        let done = std::mem::replace(&mut self.held, above);
        self.held_bytes -= done.values().map(|held| held.bytes).sum::<usize>();
        for pending in self.pending_requests.values_mut() {
            pending.missing.retain(|missing| *missing > height);
        }
        self.pending_requests.retain(|_, pending| !pending.missing.is_empty());
        self.advance(now)
    }

    /// Consensus knows that this block is decided and does not have it: it is asked for without waiting for more signs of being
    /// behind. One at a time; a higher one replaces a lower one.
    pub fn on_wanted(&mut self, now: Instant, height: Height, id: BlockId) -> Vec<SyncAction<B>> {
        if height > self.tip && self.wanted.is_none_or(|(wanted, _)| wanted < height) {
            self.wanted = Some((height, id));
        }
        self.advance(now)
    }

    /// To be called at [`BlockSync::next_wake`]: late requests are asked from others, pauses end.
    pub fn on_tick(&mut self, now: Instant) -> Vec<SyncAction<B>> {
        let is_late = |pending: &PendingRequest| !pending.is_late && pending.deadline <= now;
        let late: Vec<u64> =
            self.pending_requests.iter().filter(|(_, f)| is_late(f)).map(|(request, _)| *request).collect();
        for request in late {
            self.give_up(now, request);
        }
        self.advance(now)
    }

    /// When [`BlockSync::on_tick`] has something to do.
    pub fn next_wake(&self) -> Option<Instant> {
        let deadlines =
            self.pending_requests.values().filter(|pending| !pending.is_late).map(|pending| pending.deadline);
        let ahead = self.peers.values().filter(|peer| !peer.is_blamed && peer.claimed > self.tip);
        let pauses = ahead.map(|peer| peer.ask_after).filter(|at| *at > self.last_planned);
        let grace = self.behind_since.map(|since| since + self.limits.grace).filter(|at| *at > self.last_planned);
        deadlines.chain(pauses).chain(grace).min()
    }

    /// True while sync should lead: a peer that has not failed us says it has at least two blocks more. Consensus stays alive all the
    /// time; a false claim counts until its first request fails.
    pub fn leads(&self) -> bool {
        self.peers.values().any(|peer| peer.plausible().above(self.tip) >= 2)
    }

    /// Height of our tip, as last reported.
    pub fn tip(&self) -> Height {
        self.tip
    }

    /// The block that consensus wants.
    pub fn wanted(&self) -> Option<(Height, BlockId)> {
        self.wanted
    }

    /// Counters.
    pub fn stats(&self) -> SyncStats {
        self.stats
    }
}
