//! What an application is: a state, transactions that change it, and how they are checked. Everything else is the chain's.

use crate::application_error::{ApplyError, CheckError, QueryError};
use crate::error::ReadError;
use crate::evidence::Evidence;
use crate::genesis::ChainGenesis;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::state_view::{Layer, StateView};
use crate::store::{StoreBatch, Table};
use crate::transaction::{ApplicationTransaction, Pending, TransactionFacts};
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use std::sync::Arc;
use timed_primitives::{Amount, CommitCertificate, Hash, Height, PublicKey, UnixTime, ValidatorSet, merkle};

/// The block under way, as far as its transactions may depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockContext {
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time: UnixTime,
    /// Who proposes it.
    pub proposer: PublicKey,
}

/// What the transactions of a block under way have done so far.
pub struct WorkingState<A: Application> {
    /// The block.
    pub block: BlockContext,
    /// The state; that of the parent at first.
    pub state: A::State,
    /// Other changes; none at first.
    pub changes: A::Changes,
}

/// A replicated state machine: what is decided, while the chain sees to it that it is decided, kept and the same everywhere.
///
/// A small application keeps all of its state in [`Self::State`], implements [`Self::apply`] and is done: proposing, validating, checking
/// for the pool, replay and storage follow from it. One with more than fits into memory keeps it in tables of the store, by
/// [`Self::Changes`] and [`Self::write_changes`], and reads it through the [`StateView`].
///
/// Rules that keep all nodes alike: every method is a function of its arguments alone. No clock, no randomness, no floating point, no order
/// of a hash map, no file.
pub trait Application: Send + Sync + Sized + 'static {
    /// A transaction.
    type Transaction: ApplicationTransaction;

    /// What is cloned for each block, and kept with its height: totals, or all there is. Bound: some kilobytes, or blocks become slow.
    type State: Clone + fmt::Debug + PartialEq + BorshSerialize + BorshDeserialize + Send + Sync + 'static;

    /// What a block changes beside [`Self::State`], in memory until it is in the store; `()` when there is nothing else.
    type Changes: Default + Send + Sync + 'static;

    /// Tables of the store beside those of the chain.
    const TABLES: &'static [Table] = &[];

    /// How the chain starts.
    fn genesis(&self) -> &ChainGenesis;

    /// The state before the first block, and what of it belongs into the store.
    fn genesis_state(&self, batch: &mut StoreBatch) -> Self::State;

    /// Who decides a height, by the state at the tip. Asked for the tip's own height and the two after it: what a block changes can act two
    /// heights later at the earliest. For heights above, what is known now.
    fn validators(&self, state: &Self::State, tip: Height, height: Height) -> ValidatorSet;

    /// What the header of a block of this height says of the state after it: equal states give equal commitments, others never.
    fn commitment(&self, state: &Self::State, height: Height) -> Hash;

    /// What the header of a block says of the masternodes after it: a root over a list that others can be shown entries of. Unless it is
    /// replaced, that of the empty list.
    fn masternode_root(&self, _state: &Self::State) -> Hash {
        merkle::root(&[])
    }

    /// What [`timed_primitives::Header::output_root`] of the next block, of this height, must be: a commitment to an earlier state whose
    /// parts can be proved one by one. `view` is the state before that block; it may hold final blocks that are not committed yet.
    /// Unless it is replaced: zero at all heights.
    ///
    /// # Errors
    /// [`ReadError`] when our own state cannot be read.
    fn output_root(&self, _view: &StateView<Self>, _height: Height) -> Result<Hash, ReadError> {
        Ok(Hash::ZERO)
    }

    /// Blocks up to the view's tip are committed: the moment for a slice of work that [`Self::output_root`] would have to do at once
    /// otherwise. Called on the path of the next vote, so it must take some milliseconds for each block at most. Nothing by default.
    ///
    /// # Errors
    /// [`ReadError`] when our own state cannot be read: the node stops.
    fn on_committed(&self, _view: &StateView<Self>) -> Result<(), ReadError> {
        Ok(())
    }

    /// Begins a block: by this certificate, which it carries, its parent is final; `None` for block 1. Nothing unless it is replaced.
    fn begin(
        &self,
        _view: &StateView<Self>,
        _work: &mut WorkingState<Self>,
        _parent_certificate: Option<&CommitCertificate>,
    ) {
    }

    /// The transaction that holds somebody's behaviour against it, or for it, in the next block; `None` when the chain has it already, or
    /// has no use for it. None unless it is replaced.
    fn statement(&self, _view: &StateView<Self>, _statement: &Evidence) -> Option<Self::Transaction> {
        None
    }

    /// Applies one more transaction to the block under way. Its signatures are checked apart, and it is not in the block yet.
    ///
    /// # Errors
    /// [`ApplyError`]; `work` is then as it was.
    fn apply(
        &self,
        view: &StateView<Self>,
        work: &mut WorkingState<Self>,
        transaction: &Self::Transaction,
        facts: &TransactionFacts,
    ) -> Result<(), ApplyError>;

    /// After the last transaction of a block: the state it leads to.
    ///
    /// # Errors
    /// When that state is impossible: the block is not valid.
    fn finish(
        &self,
        _view: &StateView<Self>,
        work: WorkingState<Self>,
    ) -> Result<(Self::State, Self::Changes), Refusal> {
        Ok((work.state, work.changes))
    }

    /// Whether a state read from the store can be; the header of its block commits to it already.
    fn is_sound(&self, _state: &Self::State) -> bool {
        true
    }

    /// Transactions that consume and produce at most so much are applied next: room for it is made at once, where the changes are a table of it.
    fn make_room(_changes: &mut Self::Changes, _consumed: usize, _produced: usize) {}

    /// How much memory the changes take, in entries. All that wait for the store together are bounded by [`crate::OVERLAY_CHANGES_MAX`].
    fn changes_len(_changes: &Self::Changes) -> usize {
        0
    }

    /// Writes what a block changes into the store.
    fn write_changes(&self, _layer: &Layer<Self>, _batch: &mut StoreBatch) {}

    /// The store holds these blocks now. Called before a view over that store is published.
    fn on_stored(&self, _layers: &[Arc<Layer<Self>>]) {}

    /// Checks a transaction that wants to wait for a block, signatures apart, and says what it pays: the pool prefers who pays more.
    ///
    /// Unless it is replaced: what it consumes is there or produced by transactions that wait, which `pending` finds; it applies on top of
    /// the tip unless it must wait for one of those; and it pays nothing.
    ///
    /// # Errors
    /// [`CheckError`].
    fn check(
        &self,
        view: &StateView<Self>,
        transaction: &Self::Transaction,
        facts: &TransactionFacts,
        pending: &dyn Pending,
    ) -> Result<Amount, CheckError> {
        let mut must_wait = false;
        for resource in facts.consumes.iter() {
            let is_pending = pending.producer(resource).is_some();
            must_wait |= is_pending;
            if !is_pending && !self.is_available(view, resource)? {
                return Err(CheckError::Missing(*resource));
            }
        }
        if !must_wait {
            let tip = view.tip();
            // Nobody has proposed the next block.
            let block = BlockContext { height: tip.height.next(), time: tip.time, proposer: PublicKey([0; 32]) };
            let mut work = WorkingState { block, state: view.state().clone(), changes: Self::Changes::default() };
            self.apply(view, &mut work, transaction, facts)?;
        }
        Ok(Amount::ZERO)
    }

    /// Whether what a transaction would consume is there at the tip. Unless it is replaced: yes, and [`Self::apply`] decides.
    ///
    /// # Errors
    /// [`ReadError`] when our own state cannot be read.
    fn is_available(&self, _view: &StateView<Self>, _resource: &Resource) -> Result<bool, ReadError> {
        Ok(true)
    }

    /// Answers a question about the state at a tip, in canonical bytes.
    ///
    /// # Errors
    /// [`QueryError`].
    fn query(&self, view: &StateView<Self>, request: &[u8]) -> Result<Vec<u8>, QueryError>;
}

/// All tables that the store of an application's chain needs.
pub fn tables_of<A: Application>() -> Vec<Table> {
    A::TABLES.iter().chain(&Table::OF_CHAIN).copied().collect()
}
