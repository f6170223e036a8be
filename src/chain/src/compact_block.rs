//! A block without the transactions that its receiver is taken to hold: short ids stand in their places, as in BIP 152.
//!
//! A short id is the first six bytes of SipHash-2-4 over a full id, keyed by the id of the block. So nobody who makes transactions knows
//! before the block which of them will look alike; two that do are both taken to be lacking.

use crate::transaction::{TransactionFacts, bytes_of, join};
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use siphasher::sip::SipHasher24;
use std::hash::Hasher as _;
use timed_primitives::{Block, BlockId, CommitCertificate, Domain, Hash, Header, IdMap, TxFullId, merkle};

/// Most transactions of a compact block: as many as a block of the largest size can hold that are of use to anybody.
const TRANSACTIONS_MAX: usize = 16 * 1024;
/// Of a short id. Unit: bytes.
const SHORT_ID_BYTES: usize = 6;

/// Stands for a full id within one block.
type ShortId = [u8; SHORT_ID_BYTES];

/// A transaction that stands in a compact block with all its bytes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct GivenTransaction {
    /// Among all transactions of the block, from 0.
    position: u32,
    bytes: Vec<u8>,
}

/// A block whose transactions are named where its receiver is taken to hold them, and given where not.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CompactBlock {
    header: Header,
    parent_certificate: Option<CommitCertificate>,
    /// Of those that are named, in the order of the block.
    short_ids: Vec<ShortId>,
    /// The others, in the order of the block.
    given: Vec<GivenTransaction>,
}

/// Why a compact block, or what came for one, is of no use. The block itself may be sound: its receiver asks for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactBlockFault {
    /// More transactions than a block has.
    #[error("{0} transactions, at most {TRANSACTIONS_MAX} are possible")]
    TooMany(usize),
    /// Positions that do not ascend, or are not in the block.
    #[error("a transaction is given for position {0}, which is not the next or not in the block")]
    Position(u32),
    /// Not as many transactions as were asked for.
    #[error("{found} transactions came, {asked} were asked for")]
    Count {
        /// How many came.
        found: usize,
        /// How many were asked for.
        asked: usize,
    },
    /// The whole is not what the header says: two transactions look alike, or somebody wants it so.
    #[error("the transactions are not those of the header")]
    OtherRoot,
}

/// Makes short ids for one block.
struct Shortener(SipHasher24);

impl Shortener {
    fn of(block: &BlockId) -> Self {
        let key = block.0.0.first_chunk().copied().unwrap_or_default();
        Self(SipHasher24::new_with_key(&key))
    }

    fn short(&self, id: &TxFullId) -> ShortId {
        let mut hasher = self.0;
        hasher.write(&id.0.0);
        hasher.finish().to_le_bytes().first_chunk().copied().unwrap_or_default()
    }
}

impl CompactBlock {
    /// A block whose transactions are these, those named for which `is_held`.
    pub fn of(block: &Block, transactions: &[TransactionFacts], is_held: impl Fn(&TransactionFacts) -> bool) -> Self {
        let shortener = Shortener::of(&block.id());
        let (mut short_ids, mut given) = (Vec::new(), Vec::new());
        let all = (0u32..).zip(transactions).zip(bytes_of(&block.payload, transactions));
        for ((position, facts), bytes) in all {
            if is_held(facts) {
                short_ids.push(shortener.short(&facts.full_id));
            } else {
                given.push(GivenTransaction { position, bytes: bytes.to_vec() });
            }
        }
        let (header, parent_certificate) = (block.header.clone(), block.parent_certificate.clone());
        Self { header, parent_certificate, short_ids, given }
    }

    /// The header of the block.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// How many transactions are named only.
    pub const fn named(&self) -> usize {
        self.short_ids.len()
    }
}

/// The canonical bytes of some transactions of a block, whose transactions are these. `None` when the positions do not ascend, or one is not in the
/// block.
pub fn transactions_at(block: &Block, transactions: &[TransactionFacts], positions: &[u32]) -> Option<Vec<Vec<u8>>> {
    let mut all = (0u32..).zip(bytes_of(&block.payload, transactions));
    positions
        .iter()
        .map(|wanted| all.find(|(position, _)| position == wanted).map(|(_, bytes)| bytes.to_vec()))
        .collect()
}

/// A transaction of a block that is put together.
#[derive(Clone, Debug)]
enum TransactionPlace {
    Filled { full_id: TxFullId, bytes: Bytes },
    Lacking,
}

/// A block that is put together from a compact one.
#[derive(Clone, Debug)]
pub struct PartialBlock {
    id: BlockId,
    header: Header,
    parent_certificate: Option<CommitCertificate>,
    places: Vec<TransactionPlace>,
}

impl PartialBlock {
    /// Finds the transactions that a compact block names among those that are here.
    ///
    /// # Errors
    /// [`CompactBlockFault`] when no block can look like that.
    pub fn new(
        compact: CompactBlock,
        here: impl Iterator<Item = (TxFullId, Bytes)>,
    ) -> Result<Self, CompactBlockFault> {
        let CompactBlock { header, parent_certificate, short_ids, given } = compact;
        let count = short_ids.len() + given.len();
        if count > TRANSACTIONS_MAX {
            return Err(CompactBlockFault::TooMany(count));
        }
        let id = header.id();
        let mut found = find(&Shortener::of(&id), &short_ids, here);
        let mut named = short_ids.iter().map(|short| match found.remove(short).flatten() {
            Some((full_id, bytes)) => TransactionPlace::Filled { full_id, bytes },
            None => TransactionPlace::Lacking,
        });
        let mut places = Vec::with_capacity(count);
        for GivenTransaction { position, bytes } in given {
            let before = usize::try_from(position).ok().and_then(|position| position.checked_sub(places.len()));
            let before = before.filter(|before| *before <= named.len()).ok_or(CompactBlockFault::Position(position))?;
            places.extend(named.by_ref().take(before));
            places.push(filled(bytes.into()));
        }
        places.extend(named);
        Ok(Self { id, header, parent_certificate, places })
    }

    /// The id of the block.
    pub const fn id(&self) -> BlockId {
        self.id
    }

    /// The header of the block.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Positions of what is lacking, ascending.
    pub fn lacking(&self) -> Vec<u32> {
        let places = (0u32..).zip(&self.places);
        places.filter(|(_, place)| matches!(place, TransactionPlace::Lacking)).map(|(position, _)| position).collect()
    }

    /// Takes in what was lacking, in the order of [`Self::lacking`].
    ///
    /// # Errors
    /// [`CompactBlockFault::Count`] when it is not as much.
    pub fn fill(&mut self, transactions: Vec<Bytes>) -> Result<(), CompactBlockFault> {
        let lacking =
            self.places.iter_mut().filter(|place| matches!(place, TransactionPlace::Lacking)).collect::<Vec<_>>();
        if lacking.len() != transactions.len() {
            return Err(CompactBlockFault::Count { found: transactions.len(), asked: lacking.len() });
        }
        for (place, bytes) in lacking.into_iter().zip(transactions) {
            *place = filled(bytes);
        }
        Ok(())
    }

    /// The block, once nothing is lacking. It is whole: payload and certificate are those of its header.
    ///
    /// # Errors
    /// [`CompactBlockFault::OtherRoot`] when they are not, [`CompactBlockFault::Count`] when something is lacking.
    pub fn finish(self) -> Result<Block, CompactBlockFault> {
        let Self { header, parent_certificate, places, .. } = self;
        let (mut full_ids, mut parts) = (Vec::with_capacity(places.len()), Vec::with_capacity(places.len()));
        for place in &places {
            let TransactionPlace::Filled { full_id, bytes } = place else { continue };
            full_ids.push(full_id.0);
            parts.push(bytes);
        }
        if parts.len() != places.len() {
            return Err(CompactBlockFault::Count { found: parts.len(), asked: places.len() });
        }
        let certificate = parent_certificate.as_ref().map_or(Hash::ZERO, CommitCertificate::hash);
        if header.tx_root != merkle::root(&full_ids) || header.parent_certificate_hash != certificate {
            return Err(CompactBlockFault::OtherRoot);
        }
        let payload = join(parts.len(), parts.into_iter());
        payload.map(|payload| Block { header, parent_certificate, payload }).map_err(|_| CompactBlockFault::OtherRoot)
    }
}

/// What was sent as a transaction's bytes. Whether they are one is seen when the block is validated.
fn filled(bytes: Bytes) -> TransactionPlace {
    TransactionPlace::Filled { full_id: TxFullId(Hash::of(Domain::TransactionFullId, &bytes)), bytes }
}

/// Whoever of these has one of the short ids; `None` for an id that two have, or that stands twice in the block.
fn find(
    shortener: &Shortener,
    short_ids: &[ShortId],
    here: impl Iterator<Item = (TxFullId, Bytes)>,
) -> IdMap<ShortId, Option<(TxFullId, Bytes)>> {
    let mut wanted: IdMap<ShortId, Option<(TxFullId, Bytes)>> = IdMap::default();
    let mut twice = Vec::new();
    for short in short_ids {
        if wanted.insert(*short, None).is_some() {
            twice.push(*short);
        }
    }
    for (full_id, bytes) in here {
        let short = shortener.short(&full_id);
        match wanted.get_mut(&short) {
            Some(place @ None) => *place = Some((full_id, bytes)),
            Some(Some((other, _))) if *other != full_id => twice.push(short),
            Some(Some(_)) | None => {}
        }
    }
    for short in twice {
        wanted.insert(short, None);
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::TransactionFacts;
    use timed_primitives::block::BLOCK_VERSION;
    use timed_primitives::{ChainId, Height, PublicKey, Round, TxId, UnixTime};

    /// One of a few hundred bytes that hold its number.
    fn transaction(number: u32) -> (TransactionFacts, Bytes) {
        let bytes = Bytes::from(number.to_be_bytes().repeat(60));
        let full_id = TxFullId(Hash::of(Domain::TransactionFullId, &bytes));
        let (consumes, produces) = (std::sync::Arc::default(), std::sync::Arc::default());
        let (id, size_bytes) = (TxId(full_id.0), bytes.len());
        (TransactionFacts { id, full_id, size_bytes, signatures: 1, is_statement: false, consumes, produces }, bytes)
    }

    fn block(numbers: std::ops::Range<u32>) -> (Block, Vec<TransactionFacts>) {
        let (facts, parts): (Vec<_>, Vec<_>) = numbers.map(transaction).unzip();
        let header = Header {
            version: BLOCK_VERSION,
            chain_id: ChainId(1),
            height: Height(7),
            time: UnixTime(9),
            parent: BlockId::default(),
            proposer: PublicKey([3; 32]),
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
        let payload = join(parts.len(), parts.iter()).unwrap();
        (Block { header, parent_certificate: None, payload }, facts)
    }

    fn here(numbers: impl Iterator<Item = u32>) -> impl Iterator<Item = (TxFullId, Bytes)> {
        numbers.map(transaction).map(|(facts, bytes)| (facts.full_id, bytes))
    }

    #[test]
    fn what_is_here_is_found_what_is_given_is_taken_and_the_rest_is_asked_for() {
        let (block, facts) = block(0..40);
        let given = |number: u32| [0, 1, 20, 39].contains(&number);
        let named = |one: &TransactionFacts| !(0..40).any(|n| given(n) && transaction(n).0.full_id == one.full_id);
        let compact = CompactBlock::of(&block, &facts, named);
        assert_eq!((compact.named(), compact.given.len()), (36, 4));
        let bytes = timed_primitives::encode(&compact);
        assert!(bytes.len() < timed_primitives::encode(&block).len() / 4, "{}", bytes.len());
        let read: CompactBlock = timed_primitives::decode(&bytes).unwrap();
        assert_eq!(read, compact);
        // In another order, with others among them.
        let all = PartialBlock::new(compact.clone(), here((0..900).rev())).unwrap();
        assert_eq!((all.id(), all.lacking()), (block.id(), vec![]));
        assert_eq!(all.finish().unwrap(), block);
        let mut some = PartialBlock::new(compact, here((0..30).filter(|n| n % 5 != 2))).unwrap();
        assert_eq!(some.lacking(), (0..39).filter(|n| !given(*n) && (*n >= 30 || n % 5 == 2)).collect::<Vec<_>>());
        assert!(matches!(some.clone().finish(), Err(CompactBlockFault::Count { found: 25, asked: 40 })));
        let answer = transactions_at(&block, &facts, &some.lacking()).unwrap();
        some.fill(answer.into_iter().map(Bytes::from).collect()).unwrap();
        assert_eq!(some.finish().unwrap(), block);
    }

    #[test]
    fn what_looks_alike_or_is_not_what_was_meant_never_makes_another_block() {
        let (block, facts) = block(0..10);
        let compact = CompactBlock::of(&block, &facts, |_| true);
        // Another transaction under the short id of one that is lacking: found, and the root differs.
        let mut alike = compact.clone();
        alike.short_ids[4] = Shortener::of(&block.id()).short(&transaction(77).0.full_id);
        let wrong = PartialBlock::new(alike.clone(), here((0..10).chain([77]))).unwrap();
        assert_eq!((wrong.lacking(), wrong.finish()), (vec![], Err(CompactBlockFault::OtherRoot)));
        // An id that stands twice is lacking in both places.
        alike.short_ids[5] = alike.short_ids[4];
        assert_eq!(PartialBlock::new(alike, here((0..10).chain([77]))).unwrap().lacking(), [4, 5]);
        // Two that are here and share an id.
        let short_ids = [[7; SHORT_ID_BYTES]];
        let one = find(&Shortener::of(&block.id()), &short_ids, here(0..1000));
        assert!(one.values().all(Option::is_none), "by chance");
        // Not as many as were asked for, and others than were meant.
        let mut short = PartialBlock::new(compact, here(0..8)).unwrap();
        assert_eq!(short.fill(vec![]), Err(CompactBlockFault::Count { found: 0, asked: 2 }));
        short.fill(here([9, 8].into_iter()).map(|(_, bytes)| bytes).collect()).unwrap();
        assert_eq!(short.finish(), Err(CompactBlockFault::OtherRoot));
    }

    #[test]
    fn positions_that_no_block_has_are_refused_and_nothing_grows_with_them() {
        let (block, facts) = block(0..3);
        let compact = CompactBlock::of(&block, &facts, |one| one.full_id != facts[1].full_id);
        for position in [0, 2] {
            let mut moved = compact.clone();
            moved.given[0].position = position;
            let built = PartialBlock::new(moved, here(0..3)).unwrap();
            assert_eq!(built.finish(), Err(CompactBlockFault::OtherRoot));
        }
        for position in [3, u32::MAX] {
            let mut moved = compact.clone();
            moved.given[0].position = position;
            let error = PartialBlock::new(moved, here(0..3)).unwrap_err();
            assert_eq!(error, CompactBlockFault::Position(position));
        }
        let mut twice = compact.clone();
        twice.given.push(twice.given[0].clone());
        assert_eq!(PartialBlock::new(twice, here(0..3)).unwrap_err(), CompactBlockFault::Position(1));
        let mut many = compact;
        many.short_ids = vec![[0; SHORT_ID_BYTES]; TRANSACTIONS_MAX];
        assert_eq!(PartialBlock::new(many, here(0..3)).unwrap_err(), CompactBlockFault::TooMany(TRANSACTIONS_MAX + 1));
        assert_eq!(transactions_at(&block, &facts, &[2, 1]), None, "not ascending");
        assert_eq!(transactions_at(&block, &facts, &[3]), None, "not in the block");
        assert_eq!(transactions_at(&block, &facts, &[]), Some(vec![]));
    }

    #[test]
    fn a_short_id_is_that_of_the_reference() {
        // SipHash-2-4 of bytes 0 to 31 under the key 0 to 15: the 33rd of the vectors that its authors publish.
        let ascending: Vec<u8> = (0..32).collect();
        let block = BlockId(Hash(ascending.clone().try_into().unwrap()));
        let id = TxFullId(Hash(ascending.try_into().unwrap()));
        assert_eq!(Shortener::of(&block).short(&id), [0xce, 0x7c, 0xf2, 0x72, 0x2f, 0x51]);
    }
}
