//! How the transactions of a block under decision travel: its proposer names what others hold by now, and who lacks some asks for them once.
//!
//! What has waited for some time in the proposer's pool has reached the others; how long that takes is learned: who asks makes it longer,
//! and each block that nobody asks about makes it a little shorter. Whatever goes wrong ends with the block in full, and nobody's penalty.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{CompactBlock, CompactBlockFault, PartialBlock, TransactionFacts};
use timed_primitives::{Block, BlockId, Height, IdSet, PublicKey, TxFullId};

/// A block in which less could be named leaves in full: a lone payment is often faster with it than before it. Unit: bytes.
const NAMED_BYTES_MIN: usize = 8 << 10;
/// How long a transaction waits before it is named, at first.
const NAMED_AFTER_FIRST: Duration = Duration::from_millis(100);
/// And at least.
const NAMED_AFTER_MIN: Duration = Duration::from_millis(10);
/// And at most; then next to nothing is named.
const NAMED_AFTER_MAX: Duration = Duration::from_secs(5);
/// A block that nobody asked about shortens that time by one part in so many, whether it named something or everything was too young.
const SHORTER_BY: u32 = 64;
/// Blocks of ours that others may ask about; the oldest goes.
const OWN_MAX: usize = 2;
/// Blocks of others that are put together at a time; the oldest goes, and is asked for in full when it is still wanted.
const COMING_MAX: usize = 4;
/// Compact blocks of one peer that are looked up in the pool for each height that is decided: as many rounds as it may lead soon.
const LOOK_UPS_MAX: u32 = 4;
/// Most transactions that are asked for by their positions. The wire allows as many.
const ASKED_MAX: usize = 4 * 1024;

/// A block of ours.
#[derive(Debug)]
struct OwnBlock {
    id: BlockId,
    block: Arc<Block>,
    transactions: Arc<[TransactionFacts]>,
    compact: Option<CompactBlock>,
    /// Who asked. Bound: the peers there are.
    asked: BTreeSet<PublicKey>,
}

impl OwnBlock {
    /// Whether enough for a compact block could be named, were it not too young.
    fn is_large(&self) -> bool {
        self.block.payload.0.len() >= NAMED_BYTES_MIN
    }
}

/// A block of another, of which something is lacking.
#[derive(Debug)]
struct ComingBlock {
    from: PublicKey,
    block: PartialBlock,
}

/// What follows for a block that is put together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum BlockRelayAction {
    /// It is here, and whole.
    Whole(Arc<Block>),
    /// Ask for some of its transactions.
    AskSome {
        /// Whom.
        to: PublicKey,
        /// Its height.
        height: Height,
        /// Its id.
        id: BlockId,
        /// Positions, ascending. Bound: 4,096.
        positions: Vec<u32>,
    },
    /// Ask for all of it.
    AskAll {
        /// Whom.
        to: PublicKey,
        /// Its height.
        height: Height,
        /// Its id.
        id: BlockId,
        /// What is wrong with the compact one; `None` when only too much was lacking.
        fault: Option<CompactBlockFault>,
    },
}

/// Counters, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockRelayStats {
    /// Blocks of ours that left with names in place of transactions.
    pub compact_sent: u64,
    /// Transactions named in them.
    pub named: u64,
    /// Requests of peers that lacked some.
    pub asked: u64,
    /// Blocks of others that were put together here.
    pub rebuilt: u64,
    /// Transactions that had to be asked for.
    pub lacked: u64,
    /// Blocks that had to be asked for in full.
    pub in_full: u64,
}

/// Own blocks that others may ask about, and compact ones of others that are put together.
#[derive(Debug)]
pub struct BlockRelay {
    named_after: Duration,
    own: VecDeque<OwnBlock>,
    coming: VecDeque<ComingBlock>,
    /// How many were looked up, by sender, since the last decision. Bound: the validators that are connected.
    looked_up: BTreeMap<PublicKey, u32>,
    stats: BlockRelayStats,
}

impl Default for BlockRelay {
    fn default() -> Self {
        Self {
            named_after: NAMED_AFTER_FIRST,
            own: VecDeque::new(),
            coming: VecDeque::new(),
            looked_up: BTreeMap::new(),
            stats: BlockRelayStats::default(),
        }
    }
}

impl BlockRelay {
    /// Transactions that have waited for so long in our pool count as known to others.
    pub fn named_after(&self) -> Duration {
        self.named_after
    }

    /// A block of ours is about to leave. `young` are those of its transactions that have not waited long enough to be named; statements never
    /// are, since the proposer makes them.
    pub fn on_built(&mut self, block: Arc<Block>, transactions: Arc<[TransactionFacts]>, young: &IdSet<TxFullId>) {
        if self.own.back().is_some_and(|last| last.is_large() && last.asked.is_empty()) {
            self.named_after = (self.named_after - self.named_after / SHORTER_BY).max(NAMED_AFTER_MIN);
        }
        let is_held = |facts: &TransactionFacts| !facts.is_statement && !young.contains(&facts.full_id);
        let named_bytes: usize = transactions.iter().filter(|one| is_held(one)).map(|one| one.size_bytes).sum();
        let compact = (named_bytes >= NAMED_BYTES_MIN).then(|| CompactBlock::of(&block, &transactions, is_held));
        if let Some(compact) = &compact {
            self.stats.compact_sent += 1;
            self.stats.named += u64::try_from(compact.named()).unwrap_or(u64::MAX);
        }
        if self.own.len() >= OWN_MAX {
            self.own.pop_front();
        }
        self.own.push_back(OwnBlock { id: block.id(), block, transactions, compact, asked: BTreeSet::new() });
    }

    /// A block of ours as it leaves to peers that take names; `None` when it leaves in full.
    pub fn compact(&self, id: &BlockId) -> Option<&CompactBlock> {
        self.own.iter().find(|own| own.id == *id)?.compact.as_ref()
    }

    /// A peer lacks transactions of a block of ours: their bytes, in the order of `positions`. `None` for a block that is not ours, or of which it
    /// has asked before, and for positions that do not ascend within the block.
    pub fn on_asked(&mut self, from: PublicKey, id: &BlockId, positions: &[u32]) -> Option<Vec<Vec<u8>>> {
        let own = self.own.iter_mut().find(|own| own.id == *id && own.compact.is_some())?;
        let transactions = timed_chain::transactions_at(&own.block, &own.transactions, positions)?;
        let is_first = own.asked.is_empty();
        if !own.asked.insert(from) {
            return None;
        }
        if is_first {
            self.named_after = (self.named_after * 2).min(NAMED_AFTER_MAX);
        }
        self.stats.asked += 1;
        Some(transactions)
    }

    /// Whether a compact block of this peer may be looked up: each costs a walk through the pool.
    pub fn may_look_up(&mut self, from: PublicKey) -> bool {
        let count = self.looked_up.entry(from).or_default();
        *count += 1;
        *count <= LOOK_UPS_MAX
    }

    /// A compact block came, and was compared with what is here.
    pub fn on_compact(&mut self, from: PublicKey, block: PartialBlock) -> Option<BlockRelayAction> {
        let (id, height) = (block.id(), block.header().height);
        if self.coming.iter().any(|coming| coming.block.id() == id) {
            return None;
        }
        let positions = block.lacking();
        if positions.is_empty() {
            return Some(self.finish(from, block));
        }
        self.stats.lacked += u64::try_from(positions.len()).unwrap_or(u64::MAX);
        if positions.len() > ASKED_MAX {
            return Some(self.in_full(from, height, id, None));
        }
        if self.coming.len() >= COMING_MAX {
            self.coming.pop_front();
        }
        self.coming.push_back(ComingBlock { from, block });
        Some(BlockRelayAction::AskSome { to: from, height, id, positions })
    }

    /// A peer sent what was asked for. `None` when nothing was.
    pub fn on_transactions(
        &mut self,
        from: &PublicKey,
        id: &BlockId,
        transactions: Vec<bytes::Bytes>,
    ) -> Option<BlockRelayAction> {
        let place = self.coming.iter().position(|coming| coming.block.id() == *id && coming.from == *from)?;
        let ComingBlock { from, mut block } = self.coming.remove(place)?;
        Some(match block.fill(transactions) {
            Ok(()) => self.finish(from, block),
            Err(fault) => self.in_full(from, block.header().height, block.id(), Some(fault)),
        })
    }

    /// Blocks up to this height are decided.
    pub fn on_decided(&mut self, height: Height) {
        self.looked_up.clear();
        self.coming.retain(|coming| coming.block.header().height > height);
    }

    /// Counters.
    pub const fn stats(&self) -> BlockRelayStats {
        self.stats
    }

    fn finish(&mut self, from: PublicKey, block: PartialBlock) -> BlockRelayAction {
        let (height, id) = (block.header().height, block.id());
        match block.finish() {
            Ok(block) => {
                self.stats.rebuilt += 1;
                BlockRelayAction::Whole(Arc::new(block))
            }
            Err(fault) => self.in_full(from, height, id, Some(fault)),
        }
    }

    fn in_full(
        &mut self,
        to: PublicKey,
        height: Height,
        id: BlockId,
        fault: Option<CompactBlockFault>,
    ) -> BlockRelayAction {
        self.stats.in_full += 1;
        BlockRelayAction::AskAll { to, height, id, fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use timed_primitives::block::BLOCK_VERSION;
    use timed_primitives::{BlockPayload, ChainId, Domain, Hash, Header, Round, TxId, UnixTime, encode, merkle};

    const ALICE: PublicKey = PublicKey([1; 32]);
    const BOB: PublicKey = PublicKey([2; 32]);

    fn transaction(number: u64) -> (TransactionFacts, Bytes) {
        let bytes = Bytes::from(number.to_be_bytes().repeat(32));
        let full_id = TxFullId(Hash::of(Domain::TransactionFullId, &bytes));
        let (consumes, produces) = (Arc::default(), Arc::default());
        let (id, size_bytes) = (TxId(full_id.0), bytes.len());
        (TransactionFacts { id, full_id, size_bytes, signatures: 1, is_statement: false, consumes, produces }, bytes)
    }

    fn block(height: u64, numbers: std::ops::Range<u64>) -> (Arc<Block>, Arc<[TransactionFacts]>) {
        let (facts, parts): (Vec<_>, Vec<_>) = numbers.map(transaction).unzip();
        let header = Header {
            version: BLOCK_VERSION,
            chain_id: ChainId(1),
            height: Height(height),
            time: UnixTime(height),
            parent: BlockId::default(),
            proposer: ALICE,
            first_round: Round(0),
            tx_root: merkle::root(&facts.iter().map(|one| one.full_id.0).collect::<Vec<_>>()),
            state_commitment: Hash::ZERO,
            history_root: Hash::ZERO,
            masternode_root: Hash::ZERO,
            output_root: Hash::ZERO,
            validators_hash: Hash::ZERO,
            next_validators_hash: Hash::ZERO,
            parent_certificate_hash: Hash::ZERO,
            evidence_root: Hash::ZERO,
            parameters_hash: Hash::ZERO,
        };
        let count = u32::try_from(parts.len()).unwrap().to_le_bytes().to_vec();
        let payload = parts.iter().fold(count, |all, part| [&all[..], &part[..]].concat());
        (Arc::new(Block { header, parent_certificate: None, payload: BlockPayload(payload) }), facts.into())
    }

    /// What a receiver makes of it that holds these transactions.
    fn partial(compact: &CompactBlock, numbers: std::ops::Range<u64>) -> PartialBlock {
        PartialBlock::new(compact.clone(), numbers.map(transaction).map(|(facts, bytes)| (facts.full_id, bytes)))
            .unwrap()
    }

    #[test]
    fn small_blocks_young_transactions_and_statements_are_never_named() {
        let mut relay = BlockRelay::default();
        let (small, facts) = block(1, 0..31);
        relay.on_built(small.clone(), facts, &IdSet::default());
        assert_eq!(relay.compact(&small.id()), None);
        let (large, facts) = block(1, 0..100);
        let young: IdSet<TxFullId> = facts.iter().take(69).map(|one| one.full_id).collect();
        relay.on_built(large.clone(), facts.clone(), &young);
        assert_eq!(relay.compact(&large.id()), None, "31 of 256 bytes could be named");
        let mut with_statement = facts.to_vec();
        with_statement[99].is_statement = true;
        relay.on_built(large.clone(), with_statement.into(), &young.into_iter().take(60).collect());
        assert_eq!(relay.compact(&large.id()), None, "the older entry of that id counts");
        let (other, facts) = block(2, 0..100);
        let mut facts = facts.to_vec();
        facts[99].is_statement = true;
        relay.on_built(other.clone(), facts.into(), &IdSet::default());
        assert_eq!(relay.compact(&other.id()).unwrap().named(), 99);
        assert_eq!(relay.stats(), BlockRelayStats { compact_sent: 2, named: 138, ..BlockRelayStats::default() });
    }

    #[test]
    fn who_lacks_something_asks_once_and_gets_it() {
        let (mut alice, mut bob) = (BlockRelay::default(), BlockRelay::default());
        let (block, facts) = block(3, 0..100);
        alice.on_built(block.clone(), facts, &IdSet::default());
        let compact = alice.compact(&block.id()).unwrap().clone();
        assert_eq!(bob.on_compact(ALICE, partial(&compact, 0..100)), Some(BlockRelayAction::Whole(block.clone())));
        let ask = bob.on_compact(ALICE, partial(&compact, 0..98));
        let (height, id, positions) = (Height(3), block.id(), vec![98, 99]);
        assert_eq!(ask, Some(BlockRelayAction::AskSome { to: ALICE, height, id, positions: positions.clone() }));
        assert_eq!(bob.on_compact(ALICE, partial(&compact, 0..98)), None, "asked already");
        assert_eq!(alice.on_asked(BOB, &id, &[100]), None);
        assert_eq!(alice.on_asked(BOB, &BlockId::default(), &positions), None);
        let answer: Vec<Bytes> = alice.on_asked(BOB, &id, &positions).unwrap().into_iter().map(Bytes::from).collect();
        assert_eq!(alice.on_asked(BOB, &id, &positions), None, "one answer for each peer");
        assert_eq!(bob.on_transactions(&BOB, &id, answer.clone()), None, "not asked");
        assert_eq!(bob.on_transactions(&ALICE, &id, answer.clone()), Some(BlockRelayAction::Whole(block)));
        assert_eq!(bob.on_transactions(&ALICE, &id, answer), None);
        assert_eq!((bob.stats().rebuilt, bob.stats().lacked, alice.stats().asked), (2, 2, 1));
    }

    #[test]
    fn what_cannot_be_put_together_is_asked_for_in_full() {
        let mut bob = BlockRelay::default();
        let (large, facts) = block(4, 0..5000);
        let compact = CompactBlock::of(&large, &facts, |_| true);
        let (to, height, id) = (ALICE, Height(4), large.id());
        let all = Some(BlockRelayAction::AskAll { to, height, id, fault: None });
        assert_eq!(bob.on_compact(ALICE, partial(&compact, 0..1)), all, "more is lacking than a request names");
        let ask = bob.on_compact(ALICE, partial(&compact, 0..4999));
        assert!(matches!(ask, Some(BlockRelayAction::AskSome { .. })));
        let junk = vec![Bytes::from_static(b"junk")];
        let fault = Some(CompactBlockFault::OtherRoot);
        assert_eq!(bob.on_transactions(&ALICE, &id, junk), Some(BlockRelayAction::AskAll { to, height, id, fault }));
        let _ = bob.on_compact(ALICE, partial(&compact, 0..4999));
        let fault = Some(CompactBlockFault::Count { found: 0, asked: 1 });
        assert_eq!(bob.on_transactions(&ALICE, &id, vec![]), Some(BlockRelayAction::AskAll { to, height, id, fault }));
        assert_eq!(bob.stats().in_full, 3);
    }

    #[test]
    fn what_is_put_together_is_bounded_and_forgotten_with_its_height() {
        let mut bob = BlockRelay::default();
        let blocks: Vec<_> = (0..6).map(|n| block(5, n * 100..n * 100 + 100)).collect();
        for (block, facts) in &blocks {
            let compact = CompactBlock::of(block, facts, |_| true);
            assert!(matches!(bob.on_compact(ALICE, partial(&compact, 0..0)), Some(BlockRelayAction::AskSome { .. })));
        }
        assert_eq!(bob.coming.len(), COMING_MAX);
        let looked_up = |bob: &mut BlockRelay| (0..9).filter(|_| bob.may_look_up(ALICE)).count();
        assert_eq!((looked_up(&mut bob), bob.may_look_up(BOB)), (4, true));
        bob.on_decided(Height(4));
        assert_eq!(looked_up(&mut bob), 4);
        assert_eq!(bob.coming.len(), COMING_MAX);
        bob.on_decided(Height(5));
        assert_eq!(bob.coming.len(), 0);
        for (block, facts) in &blocks {
            bob.on_built(block.clone(), facts.clone(), &IdSet::default());
        }
        assert_eq!(bob.own.len(), OWN_MAX);
        assert!(encode(bob.compact(&blocks[5].0.id()).unwrap()).len() < 2_000);
    }

    #[test]
    fn how_long_transactions_take_to_reach_others_is_learned() {
        let mut alice = BlockRelay::default();
        let build = |alice: &mut BlockRelay, height| {
            let (block, facts) = block(height, 0..100);
            alice.on_built(block.clone(), facts, &IdSet::default());
            block.id()
        };
        let mut height = 0;
        while alice.named_after() > NAMED_AFTER_MIN {
            height += 1;
            build(&mut alice, height);
            assert!(height < 200);
        }
        let id = build(&mut alice, 200);
        for peer in [ALICE, BOB] {
            alice.on_asked(peer, &id, &[7]).unwrap();
        }
        assert_eq!(alice.named_after(), NAMED_AFTER_MIN * 2, "once for each block");
        for height in 201..220 {
            let id = build(&mut alice, height);
            alice.on_asked(BOB, &id, &[7]).unwrap();
        }
        assert_eq!(alice.named_after(), NAMED_AFTER_MAX);
    }
}
