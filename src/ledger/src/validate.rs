//! Validating and making blocks: both apply transactions to the state at the tip and end with the same delta.

use crate::check::TransactionError;
use crate::check_block::{
    BlockError, Context, certificate_hash, check_header, check_size, check_transaction_root, no_evidence,
    size_without_transactions,
};
use crate::delta::{ApplyError, Delta, DeltaBuilder, TransactionIds};
use crate::error::{AssembleError, ValidationError};
use crate::overlay::StateView;
use crate::parameters::Parameters;
use crate::state::ChainState;
use crate::verified::VerifiedSignatures;
use std::sync::Arc;
use timed_primitives::block::BLOCK_VERSION;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{
    Amount, Block, BlockId, ChainId, CommitCertificate, Hash, Header, PublicKey, Round, SignedItem, Transaction, TxId,
    UnixTime, ValidatorSet, merkle, verify_batch,
};

/// What never changes in this version of the chain.
pub(crate) struct Rules {
    pub(crate) chain_id: ChainId,
    pub(crate) parameters: Parameters,
    pub(crate) validators: ValidatorSet,
    /// All money there is.
    pub(crate) supply: Amount,
}

/// A block that is valid on top of the tip, and what it does.
pub(crate) struct ValidatedBlock {
    pub(crate) id: BlockId,
    pub(crate) block: Arc<Block>,
    pub(crate) delta: Arc<Delta>,
    pub(crate) state: Arc<ChainState>,
}

/// What to do about signatures.
#[derive(Clone, Copy)]
pub(crate) enum Signatures<'a> {
    /// Check those that are not known to be good.
    Check(&'a VerifiedSignatures),
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
    /// What to put in, parents before children.
    pub transactions: Vec<Arc<Transaction>>,
}

/// A block ready to be proposed.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// Valid on top of the tip.
    pub block: Arc<Block>,
    /// Transactions that did not go in, and why; all but those that did not fit are worth dropping from the pool.
    pub left_out: Vec<(TxId, TransactionError)>,
}

impl Rules {
    /// Validates a block on top of a view from the chain alone.
    pub(crate) fn validate(
        &self,
        view: &StateView,
        block: &Arc<Block>,
        signatures: Signatures<'_>,
    ) -> Result<ValidatedBlock, ValidationError> {
        let height = block.height();
        if height != view.state.height.next() {
            return Err(ValidationError::NotNext { height, tip: view.state.height });
        }
        self.check_header(view, block)?;
        let measured: Vec<_> = block.transactions.iter().map(TransactionIds::of).collect();
        check_size(block, measured.iter().map(|m| m.size_bytes).sum(), &self.parameters)?;
        check_transaction_root(&block.header, &measured.iter().map(|m| m.full_id.0).collect::<Vec<_>>())?;
        let mut builder = DeltaBuilder::new(view, self.chain_id, &self.parameters);
        for (index, (transaction, measured)) in block.transactions.iter().zip(&measured).enumerate() {
            builder.apply(transaction, measured).map_err(|error| match error {
                ApplyError::Invalid(reason) => BlockError::Transaction { index, txid: measured.txid, reason }.into(),
                ApplyError::Read(error) => ValidationError::Read(error),
            })?;
        }
        if let Signatures::Check(verified) = signatures {
            check_signatures(block, &measured, verified)?;
        }
        let delta = builder.finish();
        let state = self.state_after(view, block, &delta)?;
        let id = block.id();
        let state = Arc::new(state.with_block_id(id, block));
        Ok(ValidatedBlock { id, block: block.clone(), delta: Arc::new(delta), state })
    }

    fn check_header(&self, view: &StateView, block: &Block) -> Result<(), BlockError> {
        let context = Context {
            chain_id: self.chain_id,
            parameters: &self.parameters,
            tip: &view.tip(),
            validators: &self.validators,
            next_validators: &self.validators,
            parent_validators: &self.validators,
        };
        check_header(block, &context)
    }

    /// The state after the block, if no money came or went and the header commits to it.
    fn state_after(&self, view: &StateView, block: &Block, delta: &Delta) -> Result<ChainState, BlockError> {
        let height = block.height();
        let supply = self.supply;
        let state = view.state.after(height, delta);
        let state = state.ok_or(BlockError::Supply { unspent: view.state.unspent, fees: view.state.fees, supply })?;
        if state.unspent.plus(state.fees) != Some(supply) {
            return Err(BlockError::Supply { unspent: state.unspent, fees: state.fees, supply });
        }
        let ours = state.commitment();
        let theirs = block.header.state_commitment;
        if ours == theirs || is_planted(Bug::StateCommitmentUnchecked) {
            Ok(state)
        } else {
            Err(BlockError::StateCommitment { height, ours, theirs })
        }
    }

    /// Makes a block of what applies and fits. It passes [`Self::validate`] on the same view.
    pub(crate) fn assemble(
        &self,
        view: &StateView,
        draft: Draft,
        verified: &VerifiedSignatures,
    ) -> Result<(ValidatedBlock, Vec<(TxId, TransactionError)>), AssembleError> {
        let mut header = self.header(view, &draft);
        let room = usize::try_from(self.parameters.block_bytes_max).unwrap_or(usize::MAX);
        let room = room.saturating_sub(size_without_transactions(&header, draft.parent_certificate.as_ref()));
        let (transactions, full_ids, delta, left_out) = self.fill(view, &draft.transactions, room, verified)?;
        let broken = AssembleError::BrokenState { height: header.height };
        let Some(state) = view.state.after(header.height, &delta) else { return Err(broken) };
        if state.unspent.plus(state.fees) != Some(self.supply) {
            return Err(broken);
        }
        header.tx_root = merkle::root(&full_ids);
        header.state_commitment = state.commitment();
        let block = Arc::new(Block { header, parent_certificate: draft.parent_certificate, transactions });
        self.check_header(view, &block).map_err(AssembleError::Header)?;
        check_size(&block, 0, &self.parameters).map_err(AssembleError::Header)?;
        let id = block.id();
        let state = Arc::new(state.with_block_id(id, &block));
        Ok((ValidatedBlock { id, block, delta: Arc::new(delta), state }, left_out))
    }

    fn header(&self, view: &StateView, draft: &Draft) -> Header {
        Header {
            version: BLOCK_VERSION,
            chain_id: self.chain_id,
            height: view.state.height.next(),
            time: draft.time,
            parent: view.state.id,
            proposer: draft.proposer,
            first_round: draft.first_round,
            tx_root: Hash::ZERO,
            state_commitment: Hash::ZERO,
            validators_hash: self.validators.hash(),
            next_validators_hash: self.validators.hash(),
            parent_certificate_hash: certificate_hash(draft.parent_certificate.as_ref()),
            evidence_root: no_evidence(),
            parameters_hash: self.parameters.hash(),
        }
    }

    /// Takes in order what applies and fits into `room` bytes, and names the rest.
    fn fill(
        &self,
        view: &StateView,
        candidates: &[Arc<Transaction>],
        mut room: usize,
        verified: &VerifiedSignatures,
    ) -> Result<FilledPayload, AssembleError> {
        let mut builder = DeltaBuilder::new(view, self.chain_id, &self.parameters);
        let (mut transactions, mut full_ids, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for transaction in candidates {
            let measured = TransactionIds::of(transaction);
            let outcome = if measured.size_bytes > room {
                Err(TransactionError::NoRoom { size_bytes: measured.size_bytes })
            } else if let Some(index) = bad_signature(transaction, &measured, verified) {
                Err(TransactionError::BadSignature { index })
            } else {
                match builder.apply(transaction, &measured) {
                    Ok(()) => Ok(()),
                    Err(ApplyError::Invalid(reason)) => Err(reason),
                    Err(ApplyError::Read(error)) => return Err(error.into()),
                }
            };
            match outcome {
                Ok(()) => {
                    room -= measured.size_bytes;
                    full_ids.push(measured.full_id.0);
                    transactions.push((**transaction).clone());
                }
                Err(reason) => left_out.push((measured.txid, reason)),
            }
        }
        Ok((transactions, full_ids, builder.finish(), left_out))
    }
}

/// Transactions taken, their full ids, what they do, and those left out.
type FilledPayload = (Vec<Transaction>, Vec<Hash>, Delta, Vec<(TxId, TransactionError)>);

/// Checks all signatures that are not known to be good in one batch, and remembers them.
fn check_signatures(
    block: &Block,
    measured: &[TransactionIds],
    verified: &VerifiedSignatures,
) -> Result<(), BlockError> {
    let unknown: Vec<_> = block
        .transactions
        .iter()
        .zip(measured)
        .enumerate()
        .filter(|(_, (_, measured))| !verified.contains(&measured.full_id))
        .collect();
    let items: Vec<SignedItem> = unknown.iter().flat_map(|(_, (transaction, _))| transaction.signed_items()).collect();
    if !verify_batch(&items) {
        for (index, (transaction, measured)) in unknown {
            if let Some(input) = first_bad_signature(transaction) {
                let reason = TransactionError::BadSignature { index: input };
                return Err(BlockError::Transaction { index, txid: measured.txid, reason });
            }
        }
        // Batch and single verification agree (ZIP 215), so one was found.
        return Ok(());
    }
    verified.insert(unknown.into_iter().map(|(_, (_, measured))| measured.full_id));
    Ok(())
}

/// Which input's signature is bad, unless all are known or found to be good; those found are remembered.
fn bad_signature(transaction: &Transaction, measured: &TransactionIds, verified: &VerifiedSignatures) -> Option<usize> {
    if verified.contains(&measured.full_id) {
        return None;
    }
    let bad = first_bad_signature(transaction);
    if bad.is_none() {
        verified.insert([measured.full_id]);
    }
    bad
}

fn first_bad_signature(transaction: &Transaction) -> Option<usize> {
    transaction.signed_items().position(|item| !item.key.verify(&item.message, &item.signature))
}
