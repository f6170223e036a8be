//! Blocks that are not decided yet.
//!
//! Bound: 2 per (height, proposer) and a number of bytes in total. A block's maker is only what its header says, so an unknown peer can send
//! junk in a leader's name: when a place is needed, blocks that no signed message names go first, oldest first, then named ones without
//! a quorum of prevotes. A named block that was pushed out is asked for again.

use crate::too_early::TooEarly;
use std::collections::BTreeMap;
use std::sync::Arc;
use timed_primitives::{Block, BlockId, Height, Instant, PublicKey, UnixTime};

/// Undecided blocks per height and proposer.
pub const PER_PROPOSER_MAX: usize = 2;

/// How much a block matters when room is needed; higher stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// No signed message names it.
    Unnamed,
    /// A signed proposal or vote names it.
    Named,
    /// Ours, or a quorum prevoted it: never pushed out.
    Needed,
}

/// What is known of a block's validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockValidity {
    /// Not asked.
    Unknown,
    /// The ledger was asked to validate it.
    Asked,
    /// The ledger answered; not reported to the engine yet.
    Validated(bool),
    /// Reported to the engine.
    Reported(bool),
}

struct UndecidedBlock {
    block: Arc<Block>,
    validity: BlockValidity,
    /// When our ledger was asked.
    asked: Option<Instant>,
    is_journaled: bool,
    /// Set when it was refused because of its time.
    too_early: Option<TooEarly>,
    size_bytes: u64,
    sequence: u64,
}

pub(crate) struct Blocks {
    held: BTreeMap<BlockId, UndecidedBlock>,
    bytes: u64,
    bytes_max: u64,
    sequence: u64,
}

impl Blocks {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { held: BTreeMap::new(), bytes: 0, bytes_max, sequence: 0 }
    }

    pub(crate) fn get(&self, id: &BlockId) -> Option<&Arc<Block>> {
        self.held.get(id).map(|held| &held.block)
    }

    /// A block that is not known to be invalid.
    pub(crate) fn get_not_invalid(&self, id: &BlockId) -> Option<&Arc<Block>> {
        let invalid = [BlockValidity::Validated(false), BlockValidity::Reported(false)];
        self.held.get(id).filter(|held| !invalid.contains(&held.validity)).map(|held| &held.block)
    }

    /// Whether a block is held that is known to be valid, and of which the engine knows that.
    pub(crate) fn is_valid(&self, id: &BlockId) -> bool {
        self.held.get(id).is_some_and(|held| held.validity == BlockValidity::Reported(true))
    }

    pub(crate) fn contains(&self, id: &BlockId) -> bool {
        self.held.contains_key(id)
    }

    /// Blocks of a height about which ledger or engine do not know yet.
    pub(crate) fn open(&self, height: Height) -> Vec<(BlockId, Arc<Block>, BlockValidity)> {
        let is_open = |v: &BlockValidity| matches!(v, BlockValidity::Unknown | BlockValidity::Validated(_));
        let open = self.held.iter().filter(|(_, h)| h.block.header.height == height && is_open(&h.validity));
        open.map(|(id, h)| (*id, h.block.clone(), h.validity)).collect()
    }

    /// The ledger is asked, or the engine hears what came of it.
    pub(crate) fn advance(&mut self, id: &BlockId, validity: BlockValidity, now: Instant) {
        if let Some(held) = self.held.get_mut(id) {
            held.validity = validity;
            held.asked.get_or_insert(now);
        }
    }

    /// The ledger's answer. Gives when it was asked; `None` when it was not.
    pub(crate) fn on_validated(&mut self, id: &BlockId, valid: bool) -> Option<Instant> {
        let held = self.held.get_mut(id).filter(|held| held.validity == BlockValidity::Asked)?;
        held.validity = BlockValidity::Validated(valid);
        held.asked
    }

    /// When our ledger was asked to validate a block, while it does.
    pub(crate) fn asked_since(&self, id: &BlockId) -> Option<Instant> {
        self.held.get(id).filter(|held| held.validity == BlockValidity::Asked)?.asked
    }

    /// A block is refused because its time is ahead of our clock. Gives something the first time only.
    pub(crate) fn on_too_early(&mut self, id: &BlockId, unix: UnixTime) -> Option<TooEarly> {
        let held = self.held.get_mut(id).filter(|held| held.too_early.is_none())?;
        let header = &held.block.header;
        held.too_early = Some(TooEarly { block: *id, proposer: header.proposer, ahead: header.time.since(unix) });
        held.too_early
    }

    /// Why a block is withheld from the engine at present, if its time is the reason.
    pub(crate) fn too_early(&self, id: &BlockId) -> Option<TooEarly> {
        self.held.get(id).filter(|held| matches!(held.validity, BlockValidity::Validated(_)))?.too_early
    }

    /// The block, when it must stand in the journal and does not yet. It counts as written then.
    pub(crate) fn take_unjournaled(&mut self, id: &BlockId) -> Option<Arc<Block>> {
        let held = self.held.get_mut(id).filter(|held| !held.is_journaled)?;
        held.is_journaled = true;
        Some(held.block.clone())
    }

    /// Keeps a block that we built: its size in bytes, or `None` when there is no room for it.
    pub(crate) fn insert_own(&mut self, id: BlockId, block: Arc<Block>) -> Option<u64> {
        self.insert(id, block, |_| Rank::Needed);
        let held = self.held.get_mut(&id)?;
        held.validity = BlockValidity::Reported(true);
        Some(held.size_bytes)
    }

    /// Keeps a block that the journal holds: what stands there is valid.
    pub(crate) fn recover(&mut self, block: Arc<Block>) {
        let id = block.id();
        if self.insert_own(id, block).is_some()
            && let Some(held) = self.held.get_mut(&id)
        {
            held.is_journaled = true;
        }
    }

    /// The journal says what became of a block.
    pub(crate) fn recover_validity(&mut self, id: &BlockId, valid: bool) {
        if let Some(held) = self.held.get_mut(id) {
            held.validity = BlockValidity::Reported(valid);
        }
    }

    /// Keeps a block, pushing out blocks of lower `rank` if need be; false when there is no room for it.
    pub(crate) fn insert(&mut self, id: BlockId, block: Arc<Block>, rank: impl Fn(&BlockId) -> Rank) -> bool {
        if self.held.contains_key(&id) {
            return true;
        }
        let size_bytes = timed_primitives::encode(&*block).len() as u64;
        let place = (block.header.height, block.header.proposer);
        let mine = rank(&id);
        while self.count(place) >= PER_PROPOSER_MAX {
            if !self.push_out(mine, &rank, |b| (b.header.height, b.header.proposer) == place) {
                return false;
            }
        }
        while self.bytes + size_bytes > self.bytes_max {
            if !self.push_out(mine, &rank, |_| true) {
                return false;
            }
        }
        self.sequence += 1;
        self.bytes += size_bytes;
        let sequence = self.sequence;
        let (validity, asked, is_journaled, too_early) = (BlockValidity::Unknown, None, false, None);
        let held = UndecidedBlock { block, validity, asked, is_journaled, too_early, size_bytes, sequence };
        self.held.insert(id, held);
        true
    }

    fn count(&self, place: (Height, PublicKey)) -> usize {
        self.held.values().filter(|h| (h.block.header.height, h.block.header.proposer) == place).count()
    }

    /// Removes the least of those that are not needed and not above `mine`; among equals the oldest.
    fn push_out(&mut self, mine: Rank, rank: impl Fn(&BlockId) -> Rank, among: impl Fn(&Block) -> bool) -> bool {
        let candidates = self.held.iter().filter(|(_, h)| among(&h.block)).map(|(id, h)| (rank(id), h.sequence, *id));
        let least = candidates.filter(|(r, ..)| *r < Rank::Needed && *r <= mine).min();
        least.is_some_and(|(_, _, id)| self.remove(&id).is_some())
    }

    fn remove(&mut self, id: &BlockId) -> Option<UndecidedBlock> {
        let held = self.held.remove(id)?;
        self.bytes -= held.size_bytes;
        Some(held)
    }

    /// Forgets blocks up to `height`.
    pub(crate) fn on_committed(&mut self, height: Height) {
        self.held.retain(|_, h| h.block.header.height > height);
        self.bytes = self.held.values().map(|h| h.size_bytes).sum();
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use timed_primitives::block::BLOCK_VERSION;
    use timed_primitives::{ChainId, Hash, Header, Round};

    pub(crate) fn block(height: u64, proposer: u8, nonce: u64) -> (BlockId, Arc<Block>) {
        let header = Header {
            version: BLOCK_VERSION,
            chain_id: ChainId(1),
            height: Height(height),
            time: UnixTime(nonce),
            parent: BlockId::default(),
            proposer: PublicKey([proposer; 32]),
            first_round: Round(0),
            tx_root: Hash::ZERO,
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
        let block = Block { header, parent_certificate: None, payload: Default::default() };
        (block.id(), Arc::new(block))
    }

    #[test]
    fn junk_in_a_leaders_name_gives_way_to_what_is_named() {
        let mut blocks = Blocks::new(1 << 20);
        let all: Vec<_> = (0..4).map(|nonce| block(1, 1, nonce)).collect();
        let unnamed = |_: &BlockId| Rank::Unnamed;
        for (id, b) in &all[..3] {
            assert!(blocks.insert(*id, b.clone(), unnamed));
        }
        assert_eq!(all.iter().map(|(id, _)| blocks.contains(id)).collect::<Vec<_>>(), [false, true, true, false]);
        let named = all[3].0;
        let rank = |id: &BlockId| if *id == named { Rank::Needed } else { Rank::Unnamed };
        assert!(blocks.insert(named, all[3].1.clone(), rank));
        assert!(blocks.insert(all[0].0, all[0].1.clone(), rank));
        assert!(blocks.contains(&named));
        let all_needed = |_: &BlockId| Rank::Needed;
        assert!(!blocks.insert(all[1].0, all[1].1.clone(), all_needed));
        // Another proposer has places of his own.
        let (id, b) = block(1, 2, 9);
        assert!(blocks.insert(id, b, all_needed));
    }

    #[test]
    fn bytes_are_bounded_and_given_back() {
        let (id, b) = block(1, 1, 0);
        let size = timed_primitives::encode(&*b).len() as u64;
        let mut blocks = Blocks::new(size * 3);
        let unnamed = |_: &BlockId| Rank::Unnamed;
        assert!(blocks.insert(id, b, unnamed));
        for proposer in 2..9 {
            let (id, b) = block(2, proposer, 0);
            assert!(blocks.insert(id, b, unnamed));
        }
        assert_eq!(blocks.bytes(), size * 3);
        blocks.on_committed(Height(2));
        assert_eq!(blocks.bytes(), 0);
    }
}
