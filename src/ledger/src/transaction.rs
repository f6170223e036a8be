//! Transactions: spend outputs, make outputs.
//!
//! The id covers the body only, so nobody can change it by changing a signature; Merkle leaves, announcements and reject caches
//! use the full id, which covers the witnesses too.

use crate::lock::{KEY_SET_MAX, KeyHash, KeySet, Lock, LockOwner};
use crate::masternodes::RegistrationId;
use crate::payload::{Memo, TransactionPayload};
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use std::io;
use timed_chain::{ApplicationTransaction, PoolTransaction, Resource};
use timed_primitives::{
    Amount, BlockPayload, ChainId, DecodeError, Domain, Hash, PayloadFormat, PublicKey, SecretKey, Signature,
    SignedItem, TxFullId, TxId, decode, encode,
};

/// Names an output: the transaction that made it and its position there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct OutPoint {
    /// The transaction that made the output.
    pub txid: TxId,
    /// Position among its outputs, from 0.
    pub index: u32,
}

impl OutPoint {
    /// The output as the chain names it.
    pub const fn resource(&self) -> Resource {
        Resource { origin: self.txid.0, index: self.index }
    }
}

impl From<Resource> for OutPoint {
    fn from(resource: Resource) -> Self {
        Self { txid: TxId(resource.origin), index: resource.index }
    }
}

impl fmt::Display for OutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.txid, self.index)
    }
}

impl fmt::Debug for OutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.txid.short(), self.index)
    }
}

/// An amount and who may spend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct TxOutput {
    /// How much.
    pub amount: Amount,
    /// Who may spend it.
    pub lock: Lock,
}

/// Spends an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct TxInput {
    /// The output that is spent.
    pub previous: OutPoint,
}

/// Index of the resource that stands for the last change of a masternode. No transaction has that many outputs.
pub(crate) const CHANGE_INDEX: u32 = u32::MAX;
/// Index of the resource that stands for the one double sign a masternode can be punished for.
pub(crate) const DOUBLE_SIGN_INDEX: u32 = u32::MAX - 1;
/// Index of the resource that stands for what a witness can state once.
pub(crate) const REACHABILITY_INDEX: u32 = u32::MAX - 2;

/// What only one transaction can have, in words: an output, or what stands for it with statements and changes of masternodes.
pub fn resource_in_words(resource: &Resource) -> String {
    let name = RegistrationId(resource.origin);
    match resource.index {
        CHANGE_INDEX => format!("the state after change {name} of a masternode is changed"),
        DOUBLE_SIGN_INDEX => format!("a double sign of masternode {name} is shown"),
        REACHABILITY_INDEX => "what this witness has to say of that free masternode is said".to_owned(),
        _ => format!("output {} is spent", OutPoint::from(*resource)),
    }
}

/// The resource that stands for what a witness can state of a free masternode in an interval.
pub(crate) fn reachability_resource(interval: u64, free: RegistrationId, witness: RegistrationId) -> Resource {
    let origin = Hash::of(Domain::Reachability, &encode(&(interval, free, witness)));
    Resource { origin, index: REACHABILITY_INDEX }
}

/// Everything of a transaction that its id and its signatures cover.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TransactionBody {
    /// Format: [`TRANSACTION_VERSION`]. Version 1 had neither payload nor memo, and locks to one key only.
    pub version: u16,
    /// The chain it is for.
    pub chain_id: ChainId,
    /// What it does beside moving money.
    pub payload: TransactionPayload,
    /// What it says. Bound: 80 bytes.
    pub memo: Memo,
    /// What it spends: at least one, but none of a statement about behaviour.
    pub inputs: Vec<TxInput>,
    /// What it makes: at least one, but none of a statement about behaviour.
    pub outputs: Vec<TxOutput>,
}

/// The format this software writes and accepts.
pub const TRANSACTION_VERSION: u16 = 2;

impl TransactionBody {
    /// Moves money and says nothing.
    pub fn transfer(chain_id: ChainId, inputs: Vec<TxInput>, outputs: Vec<TxOutput>) -> Self {
        let (payload, memo) = (TransactionPayload::Transfer, Memo::default());
        Self { version: TRANSACTION_VERSION, chain_id, payload, memo, inputs, outputs }
    }

    /// Says something about somebody's behaviour, and moves no money.
    pub fn statement(chain_id: ChainId, payload: TransactionPayload) -> Self {
        Self { payload, ..Self::transfer(chain_id, Vec::new(), Vec::new()) }
    }

    /// The transaction's id.
    pub fn id(&self) -> TxId {
        TxId(Hash::of(Domain::TransactionId, &encode(self)))
    }

    /// What the owner of each spent output signs. It commits to the chain through the body.
    pub fn signing_message(&self) -> [u8; 32] {
        Hash::of(Domain::TransactionSignature, &encode(self)).0
    }

    /// Signs the body with one key per input, in order, then with one for each signature of the payload.
    pub fn sign(self, keys: &[&SecretKey]) -> Transaction {
        let message = self.signing_message();
        let witnesses =
            keys.iter().map(|key| Witness::Key { key: key.public(), signature: key.sign(&message) }).collect();
        Transaction { body: self, witnesses }
    }
}

/// Proof of the right to spend one input: signatures over [`TransactionBody::signing_message`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum Witness {
    /// 0: by the key whose hash is in the lock.
    Key {
        /// The key.
        key: PublicKey,
        /// Its signature.
        signature: Signature,
    },
    /// 1: by keys of the set whose hash is in the lock.
    KeySet {
        /// The set.
        set: KeySet,
        /// As many signatures as the set demands, ascending by the position of their keys.
        signatures: SetSignatures,
    },
}

/// A signature by a key of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct SetSignature {
    /// Position of the key in the set, from 0.
    pub position: u8,
    /// Its signature.
    pub signature: Signature,
}

/// Signatures by keys of a set. Bound when read: [`KEY_SET_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, BorshSerialize)]
pub struct SetSignatures(pub Vec<SetSignature>);

/// Refuses more than a set has keys before they are read.
impl BorshDeserialize for SetSignatures {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let count = usize::try_from(u32::deserialize_reader(reader)?).unwrap_or(usize::MAX);
        if count > KEY_SET_MAX {
            let text = format!("{count} signatures by keys of one set: it has at most {KEY_SET_MAX} keys");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        (0..count).map(|_| SetSignature::deserialize_reader(reader)).collect::<io::Result<_>>().map(Self)
    }
}

impl Witness {
    /// Which locks it opens, if its signatures are good.
    pub fn owner(&self) -> LockOwner {
        match self {
            Self::Key { key, .. } => LockOwner::KeyHash(KeyHash::of(key)),
            Self::KeySet { set, .. } => LockOwner::KeySet(set.hash()),
        }
    }

    /// Its signatures with their keys. One by no key of its set is left out, and [`crate::check_spend`] refuses it.
    pub fn signatures(&self) -> Vec<(PublicKey, Signature)> {
        match self {
            Self::Key { key, signature } => vec![(*key, *signature)],
            Self::KeySet { set, signatures } => {
                let key_of = |one: &SetSignature| Some((*set.keys().get(usize::from(one.position))?, one.signature));
                signatures.0.iter().filter_map(key_of).collect()
            }
        }
    }

    /// To change its first signature, as tests do.
    pub fn first_signature_mut(&mut self) -> Option<&mut Signature> {
        match self {
            Self::Key { signature, .. } => Some(signature),
            Self::KeySet { signatures, .. } => signatures.0.first_mut().map(|one| &mut one.signature),
        }
    }
}

/// A body with one witness per input, and one per signature of the payload.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Transaction {
    /// What is done.
    pub body: TransactionBody,
    /// Why it may be done: one per input, in order, then those of the payload.
    pub witnesses: Vec<Witness>,
}

impl Transaction {
    /// The id, which witnesses cannot change.
    pub fn id(&self) -> TxId {
        self.body.id()
    }

    /// The id with witnesses.
    pub fn full_id(&self) -> TxFullId {
        TxFullId(Hash::of(Domain::TransactionFullId, &encode(self)))
    }

    /// Size of the canonical encoding. Unit: bytes.
    pub fn size_bytes(&self) -> usize {
        encode(self).len()
    }

    /// The signatures to check: those in a statement, then those of the witnesses, in order.
    pub fn signed_items(&self) -> impl Iterator<Item = SignedItem> + '_ {
        let message = self.body.signing_message();
        let item = move |(key, signature)| SignedItem { key, message: message.to_vec(), signature };
        let chain = self.body.chain_id;
        let stated = match &self.body.payload {
            TransactionPayload::DoubleSign { proof, .. } => proof.signed_items(chain).into(),
            TransactionPayload::LatePrecommits(late) => late.votes().map(|vote| vote.signed_item(chain)).collect(),
            _ => Vec::new(),
        };
        stated.into_iter().chain(self.witnesses.iter().flat_map(Witness::signatures).map(item))
    }

    /// The outputs it makes, with their names.
    pub fn outputs(&self) -> impl Iterator<Item = (OutPoint, TxOutput)> + '_ {
        let txid = self.id();
        (0u32..).zip(&self.body.outputs).map(move |(index, output)| (OutPoint { txid, index }, *output))
    }
}

impl ApplicationTransaction for Transaction {
    fn id(&self) -> TxId {
        self.body.id()
    }

    /// Its inputs, and what else only one can have: the last change of the masternode that it changes, or what it states. Of two, one is for
    /// nothing.
    fn consumes(&self) -> Vec<Resource> {
        let inputs = self.body.inputs.iter().map(|input| input.previous.resource());
        let other = match &self.body.payload {
            TransactionPayload::DoubleSign { registration, .. } => {
                Some(Resource { origin: registration.0, index: DOUBLE_SIGN_INDEX })
            }
            TransactionPayload::Reachability { interval, free, witness } => {
                Some(reachability_resource(*interval, *free, *witness))
            }
            payload => payload.previous().map(|TxId(origin)| Resource { origin, index: CHANGE_INDEX }),
        };
        inputs.chain(other).collect()
    }

    fn produces(&self, id: TxId) -> Vec<Resource> {
        (0u32..).zip(&self.body.outputs).map(|(index, _)| Resource { origin: id.0, index }).collect()
    }

    fn signed_items(&self) -> Vec<SignedItem> {
        Self::signed_items(self).collect()
    }

    fn signature_count(&self) -> usize {
        let count = |witness: &Witness| match witness {
            Witness::Key { .. } => 1,
            Witness::KeySet { signatures, .. } => signatures.0.len(),
        };
        let stated = match &self.body.payload {
            TransactionPayload::DoubleSign { .. } => 2,
            TransactionPayload::LatePrecommits(late) => late.signatures.len(),
            _ => 0,
        };
        self.witnesses.iter().map(count).sum::<usize>() + stated
    }

    fn is_statement(&self) -> bool {
        self.body.payload.is_statement()
    }
}

/// What a header must name for these transactions.
pub fn transaction_root<'a>(transactions: impl IntoIterator<Item = &'a Transaction>) -> Hash {
    timed_primitives::merkle::root(&transactions.into_iter().map(|t| t.full_id().0).collect::<Vec<_>>())
}

/// How the payloads of payments are read without this crate.
pub const PAYLOAD_FORMAT: PayloadFormat = timed_chain::payload_format::<Transaction>();

/// The payment behind a transaction of the pool.
///
/// # Errors
/// [`DecodeError`] when it is one of another application.
pub fn payment_of(transaction: &PoolTransaction) -> Result<Transaction, DecodeError> {
    decode(&transaction.bytes)
}

/// The transactions of a block of this application. A block that was validated always has them.
pub fn transactions_of(payload: &BlockPayload) -> Vec<Transaction> {
    timed_chain::transactions(payload).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn witnesses_change_the_full_id_only() {
        let key = SecretKey::development("test", 1);
        let inputs = vec![TxInput { previous: OutPoint { txid: TxId::default(), index: 3 } }];
        let outputs = vec![TxOutput { amount: Amount::ONE, lock: Lock::KeyHash(KeyHash::of(&key.public())) }];
        let body = TransactionBody::transfer(ChainId(7), inputs, outputs);
        let good = body.clone().sign(&[&key]);
        let mut other = good.clone();
        other.witnesses[0].first_signature_mut().unwrap().0[0] ^= 1;
        assert_eq!(good.id(), other.id());
        assert_ne!(good.full_id(), other.full_id());
        assert!(good.signed_items().all(|i| i.key.verify(&i.message, &i.signature)));
        let elsewhere = TransactionBody { chain_id: ChainId(8), ..body };
        assert_ne!(elsewhere.signing_message(), good.body.signing_message());
        assert_eq!(decode::<Transaction>(&encode(&good)).unwrap(), good);
    }
}
