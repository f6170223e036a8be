//! Questions about the mempool.

use super::{Service, gone};
use std::sync::Arc;
use timed_actors::mempool::{ListEntries, MempoolStatus, SubmitError, TestAccept};
use timed_mempool::Reject;
use timed_primitives::{Amount, Transaction, TxId, UnixTime};
use timed_rpc::result::{MempoolAcceptance, MempoolEntry, MempoolInfo};
use timed_rpc::{RpcError, Trouble};

impl Service {
    pub(super) fn mempool_status(&self) -> Result<MempoolStatus, RpcError> {
        let status = self.handles.mempool_status.borrow().clone();
        status.ok_or_else(|| RpcError::Warmup("the mempool is starting; try again in a moment".into()))
    }

    /// That what waits would not survive this process.
    pub(super) fn keeping_trouble(&self) -> Option<Trouble> {
        let status = self.handles.mempool_status.borrow();
        let problem = status.as_ref()?.keeping.failed.clone()?;
        let line = format!(
            "the mempool's file cannot be written ({problem}): payments that wait are lost if this process ends; check the disk"
        );
        Some(Trouble::PoolNotKept { line })
    }

    pub(super) async fn submit_transaction(&self, transaction: Transaction) -> Result<TxId, RpcError> {
        match self.handles.submissions.submit(Arc::new(transaction)).await {
            Ok(txid) => Ok(txid),
            // The sender's wish is fulfilled already, unless it is in a block.
            Err(SubmitError::Refused(Reject::AlreadyKnown { txid })) => {
                if self.handles.reader.is_confirmed(&txid).map_err(super::unreadable)? {
                    Err(RpcError::AlreadyInChain(txid))
                } else {
                    Ok(txid)
                }
            }
            Err(error) => Err(refusal(&error)),
        }
    }

    /// Inputs less outputs. Inputs from transactions of the mempool are known to the mempool alone, which is asked only for these.
    pub(super) async fn fee_of(&self, transaction: &Transaction) -> Result<Option<Amount>, RpcError> {
        let view = self.handles.reader.view();
        let mut inputs = Some(Amount::ZERO);
        for input in &transaction.body.inputs {
            let Some(entry) = view.output(&input.previous).map_err(super::unreadable)? else {
                let test = TestAccept(vec![Arc::new(transaction.clone())]);
                let outcome = self.handles.mempool.send(test).await.map_err(gone)?.pop();
                return Ok(outcome.and_then(Result::ok));
            };
            inputs = inputs.and_then(|sum| sum.plus(entry.output.amount));
        }
        let outputs = Amount::sum(transaction.body.outputs.iter().map(|output| output.amount));
        // Impossible sums are refused by the mempool, which says what is wrong with them.
        Ok(inputs.zip(outputs).and_then(|(inputs, outputs)| inputs.minus(outputs)))
    }

    pub(super) async fn test_accept(&self, transactions: Vec<Transaction>) -> Result<Vec<MempoolAcceptance>, RpcError> {
        let transactions: Vec<_> = transactions.into_iter().map(Arc::new).collect();
        let outcomes = self.handles.mempool.send(TestAccept(transactions.clone())).await.map_err(gone)?;
        let rows = transactions.iter().zip(outcomes).map(|(transaction, outcome)| {
            let (fee, reject_reason) = match outcome {
                Ok(fee) => (Some(fee.into()), None),
                Err(error) => (None, Some(error.to_string())),
            };
            MempoolAcceptance {
                txid: transaction.id().into(),
                allowed: fee.is_some(),
                size: number(transaction.size_bytes()),
                fee,
                reject_reason,
            }
        });
        Ok(rows.collect())
    }

    pub(super) fn pool_summary(&self) -> Result<MempoolInfo, RpcError> {
        let pool = self.mempool_status()?.pool;
        Ok(MempoolInfo {
            size: number(pool.count),
            bytes: number(pool.bytes),
            maxmempool: number(pool.bytes_max),
            total_fee: pool.fees.into(),
            mempoolminfee: pool.fee_floor.into(),
            minrelaytxfee: self.relay_fee().into(),
        })
    }

    /// Least fee for 1,000 bytes.
    pub(super) fn relay_fee(&self) -> Amount {
        self.handles.reader.genesis().parameters.fee_min(1_000)
    }

    pub(super) async fn pool_rows(&self) -> Result<Vec<MempoolEntry>, RpcError> {
        let entries = self.handles.mempool.send(ListEntries).await.map_err(gone)?;
        let (now, unix) = (self.clock.now(), self.clock.unix());
        let held: std::collections::BTreeSet<TxId> = entries.iter().map(|entry| entry.txid).collect();
        let rows = entries.iter().map(|entry| {
            let age = u64::try_from(now.since(entry.arrived).as_millis()).unwrap_or(u64::MAX);
            let parents = entry.transaction.body.inputs.iter().map(|input| input.previous.txid);
            MempoolEntry {
                txid: entry.txid.into(),
                fullid: entry.full_id.into(),
                size: entry.size,
                fee: entry.fee.into(),
                time: UnixTime(unix.0.saturating_sub(age)).seconds(),
                depends: parents.filter(|parent| held.contains(parent)).map(Into::into).collect(),
            }
        });
        Ok(rows.collect())
    }
}

/// The error a client gets for a refused transaction.
pub(super) fn refusal(error: &SubmitError) -> RpcError {
    match error {
        SubmitError::Refused(Reject::UnknownInput { outpoint }) => RpcError::MissingInput(*outpoint),
        SubmitError::Refused(Reject::Conflict { with, outpoint }) => {
            RpcError::Conflict { output: *outpoint, by: *with }
        }
        SubmitError::Busy { waiting, delay, retry_after } => {
            RpcError::Overloaded { waiting: *waiting, delay: *delay, retry_after: *retry_after }
        }
        SubmitError::Closing => RpcError::Warmup(error.to_string()),
        SubmitError::Refused(_) | SubmitError::BadSignature => RpcError::Rejected(error.to_string()),
    }
}

/// A size as JSON shows it.
pub(super) fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
