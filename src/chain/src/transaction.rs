//! Transactions as everything but their application sees them: bytes, names, what they consume and produce.

use crate::application_error::CheckError;
use crate::error::ReadError;
use crate::evidence::Evidence;
use crate::resource::Resource;
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use std::any::Any;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use timed_primitives::{
    Amount, BlockPayload, DecodeError, Domain, Hash, PayloadFormat, SignedItem, TxFullId, TxId, decode, encode, merkle,
};

/// What the chain must know of a transaction of an application. Its canonical bytes are its borsh encoding: no maps, nothing skipped.
pub trait ApplicationTransaction:
    BorshSerialize + BorshDeserialize + Clone + fmt::Debug + PartialEq + Send + Sync + 'static
{
    /// Its name. It must not cover signatures that another than their author could change.
    fn id(&self) -> TxId {
        TxId(Hash::of(Domain::TransactionId, &encode(self)))
    }

    /// What it consumes: it conflicts with every other transaction that consumes one of these.
    fn consumes(&self) -> Vec<Resource> {
        Vec::new()
    }

    /// What others can consume once it is decided. Those depend on it.
    fn produces(&self, _id: TxId) -> Vec<Resource> {
        Vec::new()
    }

    /// Signatures to be verified.
    fn signed_items(&self) -> Vec<SignedItem> {
        Vec::new()
    }

    /// How many they are.
    fn signature_count(&self) -> usize {
        self.signed_items().len()
    }

    /// Whether it is a statement about somebody's behaviour: those of a block are under the evidence root of its header. None is, unless it
    /// is replaced.
    fn is_statement(&self) -> bool {
        false
    }
}

/// What is known of a transaction without its application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionFacts {
    /// Its name.
    pub id: TxId,
    /// Its name with exactly these signatures.
    pub full_id: TxFullId,
    /// Length of its canonical bytes.
    pub size_bytes: usize,
    /// How many signatures it has.
    pub signatures: usize,
    /// Whether it is under the evidence root of its block's header.
    pub is_statement: bool,
    /// What it consumes.
    pub consumes: Arc<[Resource]>,
    /// What it produces.
    pub produces: Arc<[Resource]>,
}

impl TransactionFacts {
    /// Of a transaction and its canonical bytes.
    pub fn of<T: ApplicationTransaction>(transaction: &T, bytes: &[u8]) -> Self {
        let id = transaction.id();
        Self {
            id,
            full_id: TxFullId(Hash::of(Domain::TransactionFullId, bytes)),
            size_bytes: bytes.len(),
            signatures: transaction.signature_count(),
            is_statement: transaction.is_statement(),
            consumes: transaction.consumes().into(),
            produces: transaction.produces(id).into(),
        }
    }
}

/// A transaction that is not decided, as pool and peers carry it.
#[derive(Clone)]
pub struct PoolTransaction {
    /// Its canonical bytes.
    pub bytes: Bytes,
    /// What is known of it.
    pub facts: TransactionFacts,
    /// What the bytes mean to the application, so that they are decoded once.
    pub(crate) decoded: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for PoolTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolTransaction").field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// What is known of them follows from the bytes.
impl PartialEq for PoolTransaction {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.facts == other.facts
    }
}

impl Eq for PoolTransaction {}

impl PoolTransaction {
    /// Of bytes and what is known of them.
    pub const fn new(bytes: Bytes, facts: TransactionFacts) -> Self {
        Self { bytes, facts, decoded: None }
    }

    /// Of an application's transaction.
    pub fn of<T: ApplicationTransaction>(transaction: &T) -> Self {
        let bytes = Bytes::from(encode(transaction).into_boxed_slice());
        let facts = TransactionFacts::of(transaction, &bytes);
        Self { facts, bytes, decoded: Some(Arc::new(transaction.clone())) }
    }

    /// The application's transaction, decoded only when that was not done before.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not one.
    pub fn decoded<T: ApplicationTransaction>(&self) -> Result<Arc<T>, DecodeError> {
        match self.decoded.clone().map(Arc::downcast) {
            Some(Ok(decoded)) => Ok(decoded),
            Some(Err(_)) | None => Ok(Arc::new(decode(&self.bytes)?)),
        }
    }

    /// Reads one from its canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not one.
    pub fn parse<T: ApplicationTransaction>(bytes: Bytes) -> Result<Self, DecodeError> {
        let transaction: T = decode(&bytes)?;
        Ok(Self { facts: TransactionFacts::of(&transaction, &bytes), bytes, decoded: Some(Arc::new(transaction)) })
    }
}

/// Transactions that wait, for a check of one that depends on them.
pub trait Pending {
    /// The canonical bytes of the one that produces this.
    fn producer(&self, of: &Resource) -> Option<Bytes>;
}

/// A checked transaction.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it pays.
    pub fee: Amount,
    /// Its signatures, still to be verified.
    pub signed_items: Vec<SignedItem>,
}

/// Seam: what a pool must ask about transactions of whatever application, at the newest tip. Implemented by [`crate::ChainReader`].
pub trait TransactionRules: Send + Sync {
    /// Reads a transaction from its canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not one.
    fn parse(&self, bytes: Bytes) -> Result<PoolTransaction, DecodeError>;

    /// Everything but signatures, and whether what it consumes is there.
    ///
    /// # Errors
    /// [`CheckError`].
    fn check(&self, transaction: &PoolTransaction, pending: &dyn Pending) -> Result<Checked, CheckError>;

    /// Whether what a transaction would consume is there.
    ///
    /// # Errors
    /// [`ReadError`].
    fn is_available(&self, resource: &Resource) -> Result<bool, ReadError>;

    /// Whether a transaction is in a final block.
    ///
    /// # Errors
    /// [`ReadError`].
    fn is_confirmed(&self, id: &TxId) -> Result<bool, ReadError>;

    /// The transaction that holds somebody's behaviour against it; `None` when the chain has it already, or has no use for it.
    fn statement(&self, _statement: &Evidence) -> Option<PoolTransaction> {
        None
    }
}

/// A transaction and where its canonical bytes are.
type Placed<T> = (T, Range<usize>);

/// Reads the transactions that these bytes begin with one after the other, and says where their list ends. `None` when they begin with no list of
/// them.
fn read_each<T: BorshDeserialize>(bytes: &[u8], mut take: impl FnMut(T, Range<usize>)) -> Option<usize> {
    let mut rest = bytes;
    let count = u32::deserialize_reader(&mut rest).ok()?;
    for _ in 0..count {
        let start = bytes.len() - rest.len();
        let transaction = T::deserialize_reader(&mut rest).ok()?;
        let end = bytes.len() - rest.len();
        // One without bytes would let a few bytes claim four billion of them.
        if end == start {
            return None;
        }
        take(transaction, start..end);
    }
    Some(bytes.len() - rest.len())
}

/// The transactions of a payload, each with where its canonical bytes are. `None` when the payload is no list of them.
pub(crate) fn split<T: BorshDeserialize>(payload: &BlockPayload) -> Option<Vec<Placed<T>>> {
    let mut transactions = Vec::new();
    let end = read_each(&payload.0, |transaction, range| transactions.push((transaction, range)))?;
    (end == payload.0.len()).then_some(transactions)
}

/// The canonical bytes of each of a payload's transactions, of which all is known.
pub(crate) fn bytes_of<'a>(
    payload: &'a BlockPayload,
    transactions: &'a [TransactionFacts],
) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = payload.0.get(4..).unwrap_or_default();
    transactions.iter().map_while(move |facts| rest.split_off(..facts.size_bytes))
}

/// What is known of the transactions of a payload.
pub(crate) fn facts_of<T: ApplicationTransaction>(payload: &BlockPayload) -> Option<Vec<TransactionFacts>> {
    let facts = |(transaction, range): Placed<T>| Some(TransactionFacts::of(&transaction, payload.0.get(range)?));
    split(payload)?.into_iter().map(facts).collect()
}

/// The transactions of a payload.
///
/// # Errors
/// [`DecodeError`] when the payload is no list of them.
pub fn transactions<T: ApplicationTransaction>(payload: &BlockPayload) -> Result<Vec<T>, DecodeError> {
    decode(&payload.0)
}

/// The payload of these transactions.
pub fn payload<T: ApplicationTransaction>(transactions: &[T]) -> BlockPayload {
    BlockPayload(encode(&transactions))
}

/// The payload of transactions that are given as their canonical bytes.
pub(crate) fn join<'a>(count: usize, transactions: impl Iterator<Item = &'a Bytes>) -> io::Result<BlockPayload> {
    let mut bytes = Vec::new();
    u32::try_from(count).map_err(io::Error::other)?.serialize(&mut bytes)?;
    transactions.for_each(|transaction| bytes.extend_from_slice(transaction));
    Ok(BlockPayload(bytes))
}

/// How the payloads of an application are read without it.
pub const fn payload_format<T: ApplicationTransaction>() -> PayloadFormat {
    PayloadFormat { root: payload_root::<T>, length: |bytes| read_each::<T>(bytes, |_, _| ()) }
}

/// Root (RFC 6962 shape) of the full ids of a payload's transactions.
fn payload_root<T: ApplicationTransaction>(payload: &BlockPayload) -> Option<Hash> {
    // No transaction is kept: they take several times the memory of their bytes.
    let mut full_ids = Vec::new();
    let mut add = |range| full_ids.extend(payload.0.get(range).map(|bytes| Hash::of(Domain::TransactionFullId, bytes)));
    let end = read_each::<T>(&payload.0, |_, range| add(range))?;
    (end == payload.0.len()).then(|| merkle::root(&full_ids))
}
