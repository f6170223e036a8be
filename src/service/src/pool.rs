//! Questions about the mempool.

use crate::Service;
use crate::failures::{gone, unreadable};
use async_trait::async_trait;
use std::sync::Arc;
use timed_actors::mempool::{ListEntries, MempoolStatus, SubmitError, TestAccept};
use timed_chain::PoolTransaction;
use timed_ledger::{Transaction, resource_in_words};
use timed_mempool::Reject;
use timed_primitives::{Amount, TxId, UnixTime};
use timed_rpc::result::{MempoolAcceptance, MempoolEntry, MempoolInfo};
use timed_rpc::{PoolApi, RpcError, Trouble};

#[async_trait]
impl PoolApi for Service {
    fn check_room(&self, bytes: usize) -> Result<(), RpcError> {
        self.handles.submissions.check_room(bytes).map_err(|error| refusal(&error))
    }

    async fn submit(&self, transaction: Transaction, fee_rate_max: Option<Amount>) -> Result<TxId, RpcError> {
        match self.handles.submissions.submit(Arc::new(PoolTransaction::of(&transaction)), fee_rate_max).await {
            Ok(txid) => Ok(txid),
            // The sender's wish is fulfilled already, unless it is in a block.
            Err(SubmitError::Refused(Reject::AlreadyKnown { txid })) => {
                if self.chain.read(move |view| view.location(&txid).map_err(unreadable)).await?.is_some() {
                    Err(RpcError::AlreadyInChain(txid))
                } else {
                    Ok(txid)
                }
            }
            Err(error) => Err(refusal(&error)),
        }
    }

    async fn test_mempool_accept(
        &self,
        transactions: Vec<Transaction>,
        fee_rate_max: Option<Amount>,
    ) -> Result<Vec<MempoolAcceptance>, RpcError> {
        let transactions: Vec<_> =
            transactions.iter().map(|transaction| Arc::new(PoolTransaction::of(transaction))).collect();
        let test = TestAccept { transactions: transactions.clone(), fee_rate_max };
        let outcomes = self.handles.mempool.send(test).await.map_err(gone)?;
        let rows = transactions.iter().zip(outcomes).map(|(transaction, outcome)| {
            let (fee, reject_reason) = match outcome {
                Ok(fee) => (Some(fee.into()), None),
                Err(error @ SubmitError::FeeAboveMaximum { .. }) => {
                    (None, Some(format!("max-fee-exceeded: {}", refusal(&error))))
                }
                Err(error) => (None, Some(error.to_string())),
            };
            MempoolAcceptance {
                txid: transaction.facts.id.into(),
                allowed: fee.is_some(),
                size: number(transaction.facts.size_bytes),
                fee,
                reject_reason,
            }
        });
        Ok(rows.collect())
    }

    async fn mempool_info(&self) -> Result<MempoolInfo, RpcError> {
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

    async fn raw_mempool(&self) -> Result<Vec<MempoolEntry>, RpcError> {
        let entries = self.handles.mempool.send(ListEntries).await.map_err(gone)?;
        let (now, unix) = (self.clock.now(), self.clock.unix());
        let rows = entries.iter().map(|entry| {
            let age = u64::try_from(now.since(entry.arrived).as_millis()).unwrap_or(u64::MAX);
            MempoolEntry {
                txid: entry.txid.into(),
                fullid: entry.full_id.into(),
                size: entry.size,
                fee: entry.fee.into(),
                time: UnixTime(unix.0.saturating_sub(age)).seconds(),
                depends: entry.depends.iter().map(|parent| (*parent).into()).collect(),
            }
        });
        Ok(rows.collect())
    }
}

impl Service {
    pub(crate) fn mempool_status(&self) -> Result<MempoolStatus, RpcError> {
        let status = self.handles.mempool_status.borrow().clone();
        status.ok_or_else(|| RpcError::Warmup("the mempool is starting; try again in a moment".into()))
    }

    /// That what waits would not survive this process.
    pub(crate) fn keeping_trouble(&self) -> Option<Trouble> {
        let problem = self.handles.mempool_status.borrow().as_ref()?.keeping.problem()?;
        let line = format!(
            "the mempool's file does not have all that waits ({problem}): the rest is lost if this process ends; check the disk"
        );
        Some(Trouble::PoolNotKept { line })
    }

    /// Least fee for 1,000 bytes.
    pub(crate) fn relay_fee(&self) -> Amount {
        self.chain.genesis().parameters.fee_min(1_000)
    }
}

/// The error a client gets for a refused transaction.
pub(crate) fn refusal(error: &SubmitError) -> RpcError {
    match error {
        SubmitError::Refused(Reject::UnknownInput { resource }) => RpcError::MissingInput((*resource).into()),
        SubmitError::Refused(Reject::Conflict { with, resource }) => {
            RpcError::Conflict { what: resource_in_words(resource), by: *with }
        }
        SubmitError::FeeAboveMaximum { fee, max, rate_max } => {
            RpcError::FeeAboveMaximum { fee: *fee, max: *max, rate_max: *rate_max }
        }
        SubmitError::Busy { waiting, delay, retry_after } => {
            RpcError::Overloaded { waiting: *waiting, delay: *delay, retry_after: *retry_after }
        }
        SubmitError::Behind { blocks, retry_after } => RpcError::Behind { blocks: *blocks, retry_after: *retry_after },
        SubmitError::Closing => RpcError::Warmup(error.to_string()),
        SubmitError::Refused(_) | SubmitError::BadSignature => RpcError::Rejected(error.to_string()),
    }
}

/// A size as JSON shows it.
pub(crate) fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
