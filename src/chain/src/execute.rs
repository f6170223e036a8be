//! Validating and making blocks: both apply transactions to the state at the tip, by the same function of the application.

use crate::application::{Application, BlockContext, WorkingState};
use crate::application_error::ApplyError;
use crate::block_transactions::{BlockTransaction, read_block};
use crate::check_block::{
    BlockError, Context, certificate_hash, check_evidence_root, check_header, check_output_root, check_size,
    check_transaction_root, size_without_payload,
};
use crate::error::{AssembleError, ReadError, ValidationError};
use crate::evidence::Evidence;
use crate::filter::Filter;
use crate::refusal::{Refusal, TransactionFault};
use crate::state_view::{BlockEffects, ChainState, StateView};
use crate::transaction::{ApplicationTransaction, PoolTransaction, TransactionFacts, join};
use crate::verified::VerifiedTransactions;
use std::sync::Arc;
use timed_primitives::block::BLOCK_VERSION;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{
    Block, BlockId, CommitCertificate, Hash, Header, Height, IdMap, PublicKey, Round, SignedItem, TxId, UnixTime,
    merkle, verify_batch,
};

/// A block that is valid on top of the tip, and what it does.
pub(crate) struct ValidatedBlock<A: Application> {
    pub(crate) id: BlockId,
    pub(crate) block: Arc<Block>,
    pub(crate) effects: Arc<BlockEffects<A>>,
}

/// What to do about signatures.
#[derive(Clone, Copy)]
pub(crate) enum Signatures<'a> {
    /// Check those that are not known to be good, and remember them: they may come in another block.
    Check(&'a VerifiedTransactions),
    /// Check those that are not known to be good; the block is decided.
    CheckOnce(&'a VerifiedTransactions),
    /// The block comes out of our own log: they were checked before it was written.
    Trusted,
}

/// What a proposer puts into a block.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Must be after the tip's time.
    pub time: UnixTime,
    /// Our consensus key.
    pub proposer: PublicKey,
    /// The round in which the block is proposed first.
    pub first_round: Round,
    /// Why the tip is final; `None` at height 1 only.
    pub parent_certificate: Option<CommitCertificate>,
    /// What to put in, those that produce before those that consume it.
    pub transactions: Vec<Arc<PoolTransaction>>,
    /// What we know of others' behaviour, the most urgent first. The first four that the chain has use for come before the
    /// transactions.
    pub statements: Vec<Evidence>,
}

/// Most statements that an own block adds by itself.
const STATEMENTS_MAX: usize = 4;

/// A block ready to be proposed.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// Valid on top of the tip.
    pub block: Arc<Block>,
    /// Its transactions.
    pub transactions: Arc<[TransactionFacts]>,
    /// Transactions that did not go in, and why; all but those that did not fit are worth dropping from the pool.
    pub left_out: Vec<(TxId, TransactionFault)>,
}

/// What a block has done so far.
struct Execution<A: Application> {
    work: WorkingState<A>,
    transactions: Vec<TransactionFacts>,
    positions: IdMap<TxId, u32>,
}

impl<A: Application> Execution<A> {
    /// Before the first of at most these transactions.
    fn new<'a>(
        view: &StateView<A>,
        block: BlockContext,
        parent_certificate: Option<&CommitCertificate>,
        expected: impl Iterator<Item = &'a TransactionFacts>,
    ) -> Self {
        let mut work = WorkingState { block, state: view.state().clone(), changes: A::Changes::default() };
        let (mut count, mut consumed, mut produced) = (0, 0, 0);
        for facts in expected {
            count += 1;
            consumed += facts.consumes.len();
            produced += facts.produces.len();
        }
        A::make_room(&mut work.changes, consumed, produced);
        view.application().begin(view, &mut work, parent_certificate);
        let positions = IdMap::with_capacity_and_hasher(count, Default::default());
        Self { work, transactions: Vec::with_capacity(count), positions }
    }

    /// Applies one more transaction, or changes nothing.
    fn apply(
        &mut self,
        view: &StateView<A>,
        transaction: &A::Transaction,
        facts: TransactionFacts,
    ) -> Result<(), ExecutionError> {
        if self.positions.contains_key(&facts.id) {
            return Err(ExecutionError::Fault(TransactionFault::Duplicate));
        }
        view.application().apply(view, &mut self.work, transaction, &facts)?;
        let position = u32::try_from(self.transactions.len()).unwrap_or(u32::MAX);
        self.positions.insert(facts.id, position);
        self.transactions.push(facts);
        Ok(())
    }

    fn full_ids(&self) -> Vec<Hash> {
        self.transactions.iter().map(|facts| facts.full_id.0).collect()
    }

    /// What the block does; its id is not known yet.
    fn finish(self, view: &StateView<A>) -> Result<BlockEffects<A>, Refusal> {
        let BlockContext { height, time, .. } = self.work.block;
        let (application, changes) = view.application().finish(view, self.work)?;
        let ids = Filter::of(self.positions.len(), self.positions.keys());
        let commitment = view.application().commitment(&application, height);
        let state = ChainState { height, id: BlockId::default(), time, application };
        let (history, history_nodes) = (view.history.clone(), Vec::new());
        let transactions = self.transactions.into();
        let positions = self.positions;
        Ok(BlockEffects { transactions, positions, ids, changes, state, commitment, history, history_nodes })
    }
}

enum ExecutionError {
    Fault(TransactionFault),
    Read(ReadError),
}

impl From<ApplyError> for ExecutionError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Refused(reason) => Self::Fault(TransactionFault::Refused(reason)),
            ApplyError::Read(error) => Self::Read(error),
        }
    }
}

/// The same when the block's id is known.
fn with_id<A: Application>(mut effects: BlockEffects<A>, id: BlockId) -> Arc<BlockEffects<A>> {
    effects.state.id = id;
    effects.history_nodes = Arc::make_mut(&mut effects.history).append(&id);
    Arc::new(effects)
}

/// Validates a block on top of a view from the chain alone.
pub(crate) fn validate<A: Application>(
    view: &StateView<A>,
    block: &Arc<Block>,
    signatures: Signatures<'_>,
) -> Result<ValidatedBlock<A>, ValidationError> {
    let (header, height) = (&block.header, block.height());
    if height != view.height().next() {
        return Err(ValidationError::NotNext { height, tip: view.height() });
    }
    check_against(view, block)?;
    check_size(block, view.application().genesis())?;
    check_output_root(header, view.application().output_root(view, height)?)?;
    let known = match signatures {
        Signatures::Check(verified) | Signatures::CheckOnce(verified) => Some(verified),
        Signatures::Trusted => None,
    };
    let transactions = read_block::<A::Transaction>(&block.payload, known);
    let transactions = transactions.ok_or(BlockError::Payload { size_bytes: block.payload.0.len() })?;
    let full_ids: Vec<_> = transactions.iter().map(|one| one.facts.full_id.0).collect();
    check_transaction_root(header, merkle::root(&full_ids))?;
    check_evidence_root(header, evidence_root(transactions.iter().map(|one| &one.facts)))?;
    let context = BlockContext { height, time: header.time, proposer: header.proposer };
    let facts = transactions.iter().map(|one| &one.facts);
    let mut execution = Execution::new(view, context, block.parent_certificate.as_ref(), facts);
    for (index, BlockTransaction { transaction, facts, .. }) in transactions.iter().enumerate() {
        let txid = facts.id;
        execution.apply(view, transaction, facts.clone()).map_err(|error| match error {
            ExecutionError::Fault(reason) => BlockError::Transaction { index, txid, reason }.into(),
            ExecutionError::Read(error) => ValidationError::Read(error),
        })?;
    }
    match signatures {
        Signatures::Check(verified) => {
            let checked = check_signatures(&transactions)?;
            verified.insert(checked.into_iter().filter_map(|one| one.to_pool(&block.payload)).map(Arc::new));
        }
        Signatures::CheckOnce(_) => check_signatures(&transactions).map(drop)?,
        Signatures::Trusted => {}
    }
    let effects = execution.finish(view).map_err(BlockError::State)?;
    let (ours, theirs) = (effects.commitment, header.state_commitment);
    if ours != theirs && !is_planted(Bug::StateCommitmentUnchecked) {
        return Err(BlockError::StateCommitment { height, ours, theirs }.into());
    }
    let (found, expected) = (header.masternode_root, view.application().masternode_root(&effects.state.application));
    if found != expected && !is_planted(Bug::MasternodeRootUnchecked) {
        return Err(BlockError::MasternodeRoot { height, found, expected }.into());
    }
    let id = block.id();
    Ok(ValidatedBlock { id, block: block.clone(), effects: with_id(effects, id) })
}

fn check_against<A: Application>(view: &StateView<A>, block: &Block) -> Result<(), BlockError> {
    let (tip, genesis) = (view.tip(), view.application().genesis());
    let of = |height: Height| view.validators(height);
    let next = tip.height.next();
    let context = Context {
        chain_id: genesis.chain_id,
        parameters_hash: genesis.parameters_hash,
        parent_validators: &of(tip.height),
        validators: &of(next),
        next_validators: &of(next.next()),
        tip,
        history: &view.history,
    };
    check_header(block, &context)
}

/// Transactions that did not go into a block, and why.
pub(crate) type LeftOut = Vec<(TxId, TransactionFault)>;

/// Makes a block of what applies and fits. It passes [`validate`] on the same view.
pub(crate) fn assemble<A: Application>(
    view: &StateView<A>,
    draft: Draft,
    verified: &VerifiedTransactions,
) -> Result<(ValidatedBlock<A>, LeftOut), AssembleError> {
    let genesis = view.application().genesis();
    let mut header = header(view, &draft)?;
    let height = header.height;
    // The payload of no transactions is the length of their list.
    let empty = size_without_payload(&header, draft.parent_certificate.as_ref()) + 4;
    let mut room = usize::try_from(genesis.block_bytes_max).unwrap_or(usize::MAX).saturating_sub(empty);
    let context = BlockContext { height, time: header.time, proposer: header.proposer };
    let candidates = draft.transactions.iter().map(|one| &one.facts);
    let mut execution = Execution::new(view, context, draft.parent_certificate.as_ref(), candidates);
    let (mut taken, mut left_out) = (Vec::new(), Vec::new());
    let statements = draft.statements.iter().filter_map(|one| view.application().statement(view, one));
    for statement in statements.map(|one| Arc::new(PoolTransaction::of(&one))) {
        if taken.len() >= STATEMENTS_MAX {
            break;
        }
        // One that does not apply is a statement too late, or one of two that say the same.
        if take(view, &mut execution, &statement, room, verified).is_ok() {
            room -= statement.facts.size_bytes;
            taken.push(statement.bytes.clone());
        }
    }
    for candidate in &draft.transactions {
        match take(view, &mut execution, candidate, room, verified) {
            Ok(()) => {
                room -= candidate.facts.size_bytes;
                taken.push(candidate.bytes.clone());
            }
            Err(ExecutionError::Fault(reason)) => left_out.push((candidate.facts.id, reason)),
            Err(ExecutionError::Read(error)) => return Err(error.into()),
        }
    }
    let broken = |reason| AssembleError::BrokenState { height, reason };
    header.tx_root = merkle::root(&execution.full_ids());
    header.evidence_root = evidence_root(execution.transactions.iter());
    let effects = execution.finish(view).map_err(broken)?;
    header.state_commitment = effects.commitment;
    header.masternode_root = view.application().masternode_root(&effects.state.application);
    let payload = join(taken.len(), taken.iter()).map_err(|error| broken(Refusal::new(error)))?;
    let block = Arc::new(Block { header, parent_certificate: draft.parent_certificate, payload });
    check_against(view, &block).map_err(AssembleError::Header)?;
    check_size(&block, genesis).map_err(AssembleError::Header)?;
    let id = block.id();
    Ok((ValidatedBlock { id, block, effects: with_id(effects, id) }, left_out))
}

/// Applies a candidate, if it fits into `room` and its signatures are good.
fn take<A: Application>(
    view: &StateView<A>,
    execution: &mut Execution<A>,
    candidate: &Arc<PoolTransaction>,
    room: usize,
    verified: &VerifiedTransactions,
) -> Result<(), ExecutionError> {
    let size_bytes = candidate.facts.size_bytes;
    if size_bytes > room {
        return Err(ExecutionError::Fault(TransactionFault::NoRoom { size_bytes }));
    }
    let transaction = candidate.decoded::<A::Transaction>();
    let transaction = transaction.map_err(|_| ExecutionError::Fault(TransactionFault::Undecodable))?;
    if let Some(index) = bad_signature(&*transaction, candidate, verified) {
        return Err(ExecutionError::Fault(TransactionFault::BadSignature { index }));
    }
    execution.apply(view, &transaction, candidate.facts.clone())
}

/// What a header says of the statements among these transactions.
fn evidence_root<'a>(transactions: impl Iterator<Item = &'a TransactionFacts>) -> Hash {
    let statements: Vec<_> = transactions.filter(|facts| facts.is_statement).map(|facts| facts.full_id.0).collect();
    merkle::root(&statements)
}

fn header<A: Application>(view: &StateView<A>, draft: &Draft) -> Result<Header, ReadError> {
    let genesis = view.application().genesis();
    let height = view.height().next();
    Ok(Header {
        version: BLOCK_VERSION,
        chain_id: genesis.chain_id,
        height,
        time: draft.time,
        parent: view.state.id,
        proposer: draft.proposer,
        first_round: draft.first_round,
        tx_root: Hash::ZERO,
        state_commitment: Hash::ZERO,
        history_root: view.history.root(),
        masternode_root: Hash::ZERO,
        output_root: view.application().output_root(view, height)?,
        validators_hash: view.validators(height).hash(),
        next_validators_hash: view.validators(height.next()).hash(),
        parent_certificate_hash: certificate_hash(draft.parent_certificate.as_ref()),
        evidence_root: Hash::ZERO,
        parameters_hash: genesis.parameters_hash,
    })
}

/// Checks all signatures that are not known to be good in one batch. Gives the transactions that had them.
fn check_signatures<T: ApplicationTransaction>(
    transactions: &[BlockTransaction<T>],
) -> Result<Vec<&BlockTransaction<T>>, BlockError> {
    let (indexes, unknown): (Vec<_>, Vec<_>) =
        transactions.iter().enumerate().filter(|(_, one)| !one.is_verified).unzip();
    let items: Vec<SignedItem> = unknown.iter().flat_map(|one| one.transaction.signed_items()).collect();
    if !verify_batch(&items) {
        for (index, one) in indexes.into_iter().zip(&unknown) {
            if let Some(input) = first_bad_signature(&*one.transaction) {
                let reason = TransactionFault::BadSignature { index: input };
                return Err(BlockError::Transaction { index, txid: one.facts.id, reason });
            }
        }
        // Batch and single verification agree (ZIP 215), so one was found.
        return Ok(Vec::new());
    }
    Ok(unknown)
}

/// Which signature is bad, unless all are known or found to be good; those found are remembered.
fn bad_signature<T: ApplicationTransaction>(
    transaction: &T,
    candidate: &Arc<PoolTransaction>,
    verified: &VerifiedTransactions,
) -> Option<usize> {
    if verified.contains(candidate) {
        return None;
    }
    let bad = first_bad_signature(transaction);
    if bad.is_none() {
        verified.insert([candidate.clone()]);
    }
    bad
}

fn first_bad_signature<T: ApplicationTransaction>(transaction: &T) -> Option<usize> {
    transaction.signed_items().iter().position(|item| !item.key.verify(&item.message, &item.signature))
}
