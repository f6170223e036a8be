//! Questions about the chain.

use crate::Service;
use crate::failures::{gone, unreadable};
use crate::rewards::SharedPayoutIds;
use crate::wallet::{collateral_of, collateral_to_be};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use timed_actors::mempool::{GetFate, TransactionFate};
use timed_chain::{HistoryProofFault, ReadError};
use timed_consensus::verify_certificate;
use timed_ledger::{
    ConfirmedTransaction, KeyHash, LedgerQueries as _, LedgerView, OutPoint, Transaction, TransactionPayload, TxOutput,
    payment_of,
};
use timed_primitives::{Amount, BlockId, CommitCertificate, Header, Height, HistoryProof, TxId};
use timed_rpc::result::{BlockchainInfo, SyncInfo};
use timed_rpc::{
    BlockAt, BlockFacts, ChainApi, ChainPosition, ChainTotals, GenesisFacts, RewardsApi as _, RpcError,
    TransactionRecord, TransactionState, Unspent,
};

/// Transactions that spend outputs of more others are shown without their fee, which would need as many look-ups.
const FEE_PARENTS_MAX: usize = 256;

#[async_trait]
impl ChainApi for Service {
    async fn tip(&self) -> Result<(Height, BlockId), RpcError> {
        let tip = self.chain.tip();
        Ok((tip.height, tip.id))
    }

    async fn blockchain_info(&self) -> Result<BlockchainInfo, RpcError> {
        let ((tip, supply, totals), genesis) = (self.chain.summary(), self.chain.genesis());
        let sync = self.handles.sync.borrow().clone();
        // What sync believes, not what a peer says.
        let best = sync.as_ref().map_or(0, |s| s.progress.target.0).max(tip.height.0);
        let leads = sync.as_ref().is_some_and(|s| s.progress.leads);
        let progress = sync.filter(|s| s.progress.leads).map(|s| s.progress);
        Ok(BlockchainInfo {
            chain: genesis.network.to_string(),
            chain_id: genesis.chain_id.0,
            genesis: self.genesis.hash.into(),
            blocks: tip.height.0,
            headers: best,
            bestblockhash: tip.id.into(),
            time: tip.time.seconds(),
            time_ms: tip.time.0,
            verificationprogress: if best == 0 { 1.0 } else { ratio(tip.height.0, best) },
            initialblockdownload: leads,
            sync: progress.map(|p| SyncInfo {
                target: p.target.0,
                percent: p.percent,
                blocks_per_second: p.blocks_per_second.unwrap_or_default(),
                eta_seconds: p.remaining.map(|left| left.as_secs()),
                stalled: p.stall.map(|stall| stall.to_string()),
            }),
            state_commitment: tip.state_commitment.into(),
            supply: supply.unspent.into(),
            utxos: totals.outputs,
            warnings: self.warnings(),
        })
    }

    async fn block(&self, at: BlockAt) -> Result<BlockFacts, RpcError> {
        self.chain.read(move |view| block_facts(view, at)).await
    }

    async fn block_id(&self, height: Height) -> Result<BlockId, RpcError> {
        let read = move |view: &LedgerView| {
            let found = view.block_id(height).map_err(unreadable)?;
            found.ok_or(RpcError::HeightUnknown { height, tip: view.tip().height })
        };
        self.chain.read(read).await
    }

    async fn history_proof(&self, height: Height, at: Option<Height>) -> Result<HistoryProof, RpcError> {
        let read = move |view: &LedgerView| {
            view.history_proof(height, at).map_err(|fault| match fault {
                HistoryProofFault::NoBlock { height, tip } => RpcError::HeightUnknown { height, tip },
                HistoryProofFault::NotBefore { .. } => RpcError::InvalidParameter(fault.to_string()),
                HistoryProofFault::Read(error) => unreadable(error),
            })
        };
        self.chain.read(read).await
    }

    async fn verify_history_proof(&self, proof: HistoryProof) -> Result<(), RpcError> {
        self.chain.read(move |view| verify_history_proof(view, &proof)).await
    }

    async fn output(&self, outpoint: OutPoint, include_mempool: bool) -> Result<Option<Unspent>, RpcError> {
        // The mempool first: what becomes final in between is then found on the chain.
        let (resource, pool) = (outpoint.resource(), &self.handles.mempool_index);
        if include_mempool && pool.consumer(&resource).is_some() {
            return Ok(None);
        }
        let waiting = if include_mempool { pool.producer(&resource) } else { None };
        let read = move |view: &LedgerView| {
            if let Some(entry) = view.output(&outpoint).map_err(unreadable)? {
                let confirmations = view.tip().height.above(entry.height) + 1;
                let (height, collateral) = (Some(entry.height), collateral_of(view, &outpoint));
                let output = entry.output;
                return Ok(Some(Unspent { outpoint, output, height, confirmations, spent_by: None, collateral }));
            }
            // Not unspent on the chain: if its transaction is final it was spent, else it waits.
            if view.location(&outpoint.txid).map_err(unreadable)?.is_some() {
                return Ok(None);
            }
            Ok(waiting.and_then(|producer| {
                let index = usize::try_from(outpoint.index).ok()?;
                let producer = payment_of(&producer).ok()?;
                let (output, collateral) = (*producer.body.outputs.get(index)?, collateral_to_be(&producer, &outpoint));
                Some(Unspent { outpoint, output, height: None, confirmations: 0, spent_by: None, collateral })
            }))
        };
        self.chain.read(read).await
    }

    async fn transaction(&self, txid: TxId) -> Result<TransactionRecord, RpcError> {
        // The mempool first: a transaction moves from there to the chain, never back.
        let fate = self.handles.mempool.send(GetFate(txid)).await.map_err(gone)?;
        let payouts = self.payouts.clone();
        let read = move |view: &LedgerView| {
            let found = view.transaction(&txid).map_err(unreadable)?;
            found.map(|found| final_facts(view, found, &payouts)).transpose()
        };
        if let Some(record) = self.chain.read(read).await? {
            return Ok(record);
        }
        let entry = match fate {
            TransactionFate::Waiting(entry) => entry,
            TransactionFate::Restoring => {
                return Err(RpcError::Warmup(
                    "the mempool of the last run is being checked; ask again in a moment".into(),
                ));
            }
            TransactionFate::Lost(loss) => {
                return Err(RpcError::TransactionLost {
                    txid,
                    reason: loss.reason.to_string(),
                    name: loss.reason.name(),
                    by: loss.reason.because_of(),
                    at: loss.at,
                });
            }
            TransactionFate::Unknown => {
                let paid = self.payment_of(txid).await?;
                return Err(
                    paid.map_or(RpcError::TransactionUnknown(txid), |report| RpcError::payout_id(txid, &report))
                );
            }
        };
        let transaction =
            Arc::new(payment_of(&entry.transaction).map_err(|error| RpcError::Internal(error.to_string()))?);
        let state = if entry.block.is_some() { TransactionState::Proposed } else { TransactionState::Mempool };
        Ok(TransactionRecord { transaction, fee: Some(entry.fee), state })
    }

    async fn genesis(&self) -> Result<GenesisFacts, RpcError> {
        Ok(self.genesis)
    }

    fn genesis_outputs(&self, owners: &BTreeSet<KeyHash>) -> Vec<(OutPoint, TxOutput)> {
        let is_theirs = |output: &TxOutput| output.lock.key_hash().is_some_and(|owner| owners.contains(&owner));
        self.chain.genesis().unspent().filter(|(_, output)| is_theirs(output)).collect()
    }

    async fn totals(&self) -> Result<ChainTotals, RpcError> {
        let (_, _, totals) = self.chain.summary();
        Ok(ChainTotals { transactions: totals.transactions, bytes: self.chain.stats().log_bytes })
    }

    async fn spenders(&self, outputs: Vec<OutPoint>) -> Result<Vec<Option<TxId>>, RpcError> {
        let pool = &self.handles.mempool_index;
        Ok(outputs.iter().map(|outpoint| pool.consumer(&outpoint.resource())).collect())
    }

    async fn wait_for_new_block(
        &self,
        limit: Duration,
        current: Option<BlockId>,
    ) -> Result<(Height, BlockId), RpcError> {
        let mut tip = self.handles.tip.clone();
        let current = current.unwrap_or_else(|| tip.borrow().id);
        // Either a block came, or the time is over: both answers are the tip.
        let _ = tokio::time::timeout(limit, tip.wait_for(|tip| tip.id != current)).await;
        let seen = *tip.borrow();
        Ok((seen.height, seen.id))
    }
}

fn block_facts(view: &LedgerView, at: BlockAt) -> Result<BlockFacts, RpcError> {
    let tip = view.tip().height;
    let height = match at {
        BlockAt::Height(height) => height,
        BlockAt::Id(id) => view.height_of(&id).map_err(unreadable)?.ok_or(RpcError::BlockUnknown(id))?,
    };
    let decided = view.decided(height).map_err(unreadable)?.ok_or(RpcError::HeightUnknown { height, tip })?;
    Ok(BlockFacts {
        block: decided.block,
        certificate: Some((*decided.certificate).clone()),
        confirmations: tip.above(height) + 1,
        next: view.block_id(height.next()).map_err(unreadable)?,
    })
}

/// The later block must be of this chain: another quorum of the same keys, such as one of another network, proves nothing here.
fn verify_history_proof(view: &LedgerView, proof: &HistoryProof) -> Result<(), RpcError> {
    proof.check().map_err(|error| RpcError::HistoryProof(error.to_string()))?;
    check_final(view, &proof.at, &proof.certificate).map_err(|fault| fault.of(RpcError::HistoryProof))
}

/// Why a header is not shown to be final.
pub(crate) enum NotFinal {
    /// What is wrong with it.
    Refused(String),
    /// It cannot be found out.
    Failed(RpcError),
}

impl NotFinal {
    /// As the error of a proof.
    pub(crate) fn of(self, refused: fn(String) -> RpcError) -> RpcError {
        match self {
            Self::Refused(reason) => refused(reason),
            Self::Failed(error) => error,
        }
    }
}

/// That a header is of this chain, and its certificate signed by the validators of its height.
pub(crate) fn check_final(view: &LedgerView, header: &Header, certificate: &CommitCertificate) -> Result<(), NotFinal> {
    let refused = NotFinal::Refused;
    let (height, id, tip) = (header.height, header.id(), view.tip().height);
    if (certificate.height, certificate.block) != (height, id) {
        return Err(refused(format!("its certificate is for block {}, its header is block {id}", certificate.block)));
    }
    match view.block_id(height).map_err(|error| NotFinal::Failed(unreadable(error)))? {
        Some(ours) if ours == id => {}
        Some(ours) => {
            return Err(refused(format!(
                "its certificate is for block {id} of height {height}, this chain has {ours} there"
            )));
        }
        None => {
            return Err(refused(format!(
                "its certificate is for height {height}, and the last block here is {tip}: ask again when this node has caught up"
            )));
        }
    }
    let validators = view.validators(tip);
    if validators.hash() != header.validators_hash {
        // Those of other heights are not kept. The certificates that this chain has were checked with them.
        return match is_of_chain(view, certificate).map_err(|error| NotFinal::Failed(unreadable(error)))? {
            true => Ok(()),
            false => Err(refused(format!(
                "this node no longer knows the validators of height {height}, and has no such certificate of it itself: ask the node that made the proof"
            ))),
        };
    }
    let chain = view.application().genesis().chain_id;
    verify_certificate(chain, certificate, &validators).map_err(|error| refused(error.to_string()))
}

/// Whether this is the certificate with which this node committed the block, or the one that the next block carries.
fn is_of_chain(view: &LedgerView, certificate: &CommitCertificate) -> Result<bool, ReadError> {
    let own = view.decided(certificate.height)?;
    if own.is_some_and(|decided| *decided.certificate == *certificate) {
        return Ok(true);
    }
    let next = view.decided(certificate.height.next())?;
    Ok(next.is_some_and(|decided| decided.block.parent_certificate.as_ref() == Some(certificate)))
}

fn final_facts(
    view: &LedgerView,
    found: ConfirmedTransaction,
    payouts: &SharedPayoutIds,
) -> Result<TransactionRecord, RpcError> {
    let ConfirmedTransaction { transaction, height, index } = found;
    let decided = view.decided(height).map_err(unreadable)?;
    let decided = decided.ok_or(RpcError::HeightUnknown { height, tip: view.tip().height })?;
    let place = ChainPosition {
        block: decided.block.id(),
        height,
        time: decided.block.header.time,
        index,
        confirmations: view.tip().height.above(height) + 1,
    };
    let fee = fee_of(view, &transaction, payouts)?;
    Ok(TransactionRecord { transaction: Arc::new(transaction), fee, state: TransactionState::Final(place) })
}

/// The fee of a final transaction: what its inputs held, less what its outputs hold. `None` when they are of too many transactions, are payouts whose
/// report is not kept any more, or when a penalty may be part of it.
fn fee_of(view: &LedgerView, transaction: &Transaction, payouts: &SharedPayoutIds) -> Result<Option<Amount>, RpcError> {
    let body = &transaction.body;
    let parents: BTreeSet<TxId> = body.inputs.iter().map(|input| input.previous.txid).collect();
    if parents.len() > FEE_PARENTS_MAX {
        return Ok(None);
    }
    let mut amounts = BTreeMap::new();
    for txid in parents {
        match view.transaction(&txid).map_err(unreadable)? {
            Some(parent) => {
                amounts.extend(parent.transaction.outputs().map(|(outpoint, made)| (outpoint, made.amount)))
            }
            None => {
                let genesis = view.application().genesis().unspent().filter(|(outpoint, _)| outpoint.txid == txid);
                amounts.extend(genesis.map(|(outpoint, made)| (outpoint, made.amount)));
                let paid = payouts.report(view, txid)?.into_iter().flat_map(|report| report.outputs);
                let paid = (0..).zip(paid).map(|(index, made)| (OutPoint { txid, index }, made.amount));
                amounts.extend(paid);
            }
        }
    }
    let inputs: Option<Vec<Amount>> = body.inputs.iter().map(|input| amounts.get(&input.previous).copied()).collect();
    let least = inputs.iter().flatten().min().copied().unwrap_or_default();
    let (inputs, outputs) = (inputs.and_then(Amount::sum), Amount::sum(body.outputs.iter().map(|o| o.amount)));
    let fee = inputs.zip(outputs).and_then(|(inputs, outputs)| inputs.minus(outputs));
    // The list has no penalty of a masternode that is gone. None is below a twentieth of what is released, which is one of the inputs.
    let is_release = matches!(body.payload, TransactionPayload::Release { .. });
    Ok(fee.filter(|fee| !is_release || fee.0 < least.0 / 20))
}

/// `part` of `whole`, from 0 to 1.
#[allow(clippy::cast_precision_loss, reason = "shown to people with a few digits")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
