//! A replicated counter: everybody who has a key has a counter of their own and adds to it.
//!
//! All that an application of its own needs: a transaction, a state, and [`Application::apply`]. `docs/building-an-application.md` goes
//! through this file; `tests/` runs it on real nodes and in the simulator.

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;
use timed_chain::{
    Application, ApplicationTransaction, ApplyError, ChainGenesis, QueryError, ReadError, Resource, StateView,
    StoreBatch, TransactionFacts, WorkingState,
};
use timed_primitives::{
    ChainId, Domain, Hash, Height, PublicKey, SecretKey, Signature, SignedItem, TxId, UnixTime, ValidatorSet, decode,
    encode,
};

/// Adds to the counter of a key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Add {
    /// What is added.
    pub body: AddBody,
    /// By its key, over the hash of the body.
    pub signature: Signature,
}

/// What the signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AddBody {
    /// The chain it is for: what was signed for one cannot be used on another.
    pub chain_id: ChainId,
    /// Whose counter.
    pub key: PublicKey,
    /// How often its owner has added before: each number counts once, in order.
    pub number: u32,
    /// How much; more than 0.
    pub amount: u32,
}

impl AddBody {
    fn message(&self) -> [u8; 32] {
        Hash::of(Domain::TransactionSignature, &encode(self)).0
    }

    /// Signs it.
    pub fn sign(self, key: &SecretKey) -> Add {
        Add { body: self, signature: key.sign(&self.message()) }
    }

    /// The right to be the addition of this number. It is there once the one before is decided.
    fn turn(&self, number: u32) -> Resource {
        Resource { origin: Hash(self.key.0), index: number }
    }
}

impl ApplicationTransaction for Add {
    /// Without the signature, which others could replace by another valid one.
    fn id(&self) -> TxId {
        TxId(Hash::of(Domain::TransactionId, &encode(&self.body)))
    }

    fn consumes(&self) -> Vec<Resource> {
        vec![self.body.turn(self.body.number)]
    }

    fn produces(&self, _id: TxId) -> Vec<Resource> {
        self.body.number.checked_add(1).map(|next| self.body.turn(next)).into_iter().collect()
    }

    fn signed_items(&self) -> Vec<SignedItem> {
        let AddBody { key, .. } = self.body;
        vec![SignedItem { key, message: self.body.message().to_vec(), signature: self.signature }]
    }
}

/// One counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Count {
    /// How often was added.
    pub additions: u32,
    /// What it amounts to.
    pub sum: u64,
}

/// All counters by key. Small enough to be kept whole; a large state belongs into tables of the store, as payments do it.
pub type Counts = BTreeMap<PublicKey, Count>;

/// Why an addition is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// It is signed for another chain.
    #[error("the addition is for chain {found}, this is chain {expected}")]
    WrongChain {
        /// What it says.
        found: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// It adds nothing.
    #[error("an addition of 0 would fill blocks for nothing")]
    Nothing,
    /// Its number was used, or it comes too early.
    #[error("addition number {found} cannot follow: number {due} is due")]
    Number {
        /// What it says.
        found: u32,
        /// What would be next.
        due: u32,
    },
}

/// The application.
pub struct Counter {
    genesis: ChainGenesis,
    validators: ValidatorSet,
}

impl Counter {
    /// Of a chain that these validators decide.
    pub fn new(chain_id: ChainId, validators: ValidatorSet) -> Self {
        let parameters_hash = Hash::of(Domain::Parameters, b"counter 1");
        // Everything that all nodes must agree on is in the genesis hash.
        let hash = Hash::of(Domain::Genesis, &encode(&(chain_id, parameters_hash, validators.as_slice())));
        let (time, block_bytes_max) = (UnixTime(1_735_689_600_000), 1 << 18);
        Self { genesis: ChainGenesis { hash, chain_id, time, block_bytes_max, parameters_hash }, validators }
    }

    fn check_form(&self, body: &AddBody) -> Result<(), AddError> {
        let expected = self.genesis.chain_id;
        if body.chain_id != expected {
            return Err(AddError::WrongChain { found: body.chain_id, expected });
        }
        if body.amount == 0 { Err(AddError::Nothing) } else { Ok(()) }
    }
}

impl Application for Counter {
    type Transaction = Add;
    type State = Counts;
    type Changes = ();

    fn genesis(&self) -> &ChainGenesis {
        &self.genesis
    }

    fn genesis_state(&self, _batch: &mut StoreBatch) -> Counts {
        Counts::new()
    }

    fn validators(&self, _state: &Counts, _tip: Height, _height: Height) -> ValidatorSet {
        self.validators.clone()
    }

    fn commitment(&self, state: &Counts, height: Height) -> Hash {
        Hash::of(Domain::StateCommitment, &encode(&(height, state)))
    }

    fn apply(
        &self,
        _view: &StateView<Self>,
        work: &mut WorkingState<Self>,
        transaction: &Add,
        _facts: &TransactionFacts,
    ) -> Result<(), ApplyError> {
        let body = &transaction.body;
        self.check_form(body).map_err(ApplyError::refused)?;
        let count = work.state.get(&body.key).copied().unwrap_or_default();
        if body.number != count.additions {
            return Err(ApplyError::refused(AddError::Number { found: body.number, due: count.additions }));
        }
        let (additions, sum) = (count.additions.saturating_add(1), count.sum.saturating_add(body.amount.into()));
        work.state.insert(body.key, Count { additions, sum });
        Ok(())
    }

    fn is_available(&self, view: &StateView<Self>, resource: &Resource) -> Result<bool, ReadError> {
        let count = view.state().get(&PublicKey(resource.origin.0)).copied().unwrap_or_default();
        Ok(resource.index == count.additions)
    }

    /// The sum of a key's counter.
    fn query(&self, view: &StateView<Self>, request: &[u8]) -> Result<Vec<u8>, QueryError> {
        let key: PublicKey = decode(request).map_err(|_| QueryError::Unknown)?;
        Ok(encode(&view.state().get(&key).map_or(0, |count| count.sum)))
    }
}
