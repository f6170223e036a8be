//! What the sample says of the mempool.

use super::{FEE, FEE_INPUT, Sample, SecondBlock, transaction};
use async_trait::async_trait;
use std::sync::atomic::Ordering;
use std::time::Duration;
use timed_ledger::{Transaction, TxInput};
use timed_primitives::{Amount, Hash, TxId};
use timed_rpc::result::{MempoolAcceptance, MempoolEntry, MempoolInfo};
use timed_rpc::{PoolApi, RpcError};

/// As the mempool does it.
fn check_fee(transaction: &Transaction, rate_max: Option<Amount>) -> Result<(), RpcError> {
    let pays = |input: &TxInput| if input.previous.index == FEE_INPUT { FEE } else { Amount::ZERO };
    let fee = transaction.body.inputs.first().map_or(Amount::ZERO, pays);
    let Some(rate_max) = rate_max else { return Ok(()) };
    let max = Amount((rate_max.0 * transaction.size_bytes() as u64).div_ceil(1_000));
    if fee > max { Err(RpcError::FeeAboveMaximum { fee, max, rate_max }) } else { Ok(()) }
}

#[async_trait]
impl PoolApi for Sample {
    fn check_room(&self, bytes: usize) -> Result<(), RpcError> {
        match bytes > self.room.load(Ordering::SeqCst) {
            true => Err(RpcError::Overloaded {
                waiting: 2_300,
                delay: Duration::from_millis(1_004),
                retry_after: Duration::from_millis(251),
            }),
            false => Ok(()),
        }
    }

    async fn submit(&self, transaction: Transaction, fee_rate_max: Option<Amount>) -> Result<TxId, RpcError> {
        check_fee(&transaction, fee_rate_max)?;
        if self.hangs.load(Ordering::SeqCst) {
            self.hanging.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        if transaction == super::transaction() {
            return Err(RpcError::AlreadyInChain(transaction.id()));
        }
        match transaction.body.inputs.first() {
            None => Err(RpcError::Rejected("it spends nothing".into())),
            Some(input) if input.previous.index == 9 => Err(RpcError::MissingInput(input.previous)),
            Some(input) if input.previous.index == 8 => Err(RpcError::Conflict {
                what: format!("output {} is spent", input.previous),
                by: TxId(Hash([0xcd; 32])),
            }),
            Some(_) => Ok(transaction.id()),
        }
    }

    async fn test_mempool_accept(
        &self,
        transactions: Vec<Transaction>,
        fee_rate_max: Option<Amount>,
    ) -> Result<Vec<MempoolAcceptance>, RpcError> {
        let answer = |t: &Transaction| {
            let allowed = *t != transaction() && check_fee(t, fee_rate_max).is_ok();
            MempoolAcceptance {
                txid: t.id().into(),
                allowed,
                size: t.size_bytes() as u64,
                fee: allowed.then(|| Amount(1_000).into()),
                reject_reason: (!allowed).then(|| "already in a block".into()),
            }
        };
        Ok(transactions.iter().map(answer).collect())
    }

    async fn mempool_info(&self) -> Result<MempoolInfo, RpcError> {
        Ok(MempoolInfo {
            size: 1,
            bytes: 300,
            maxmempool: 67_108_864,
            total_fee: Amount(1_000).into(),
            mempoolminfee: Amount(2_000).into(),
            minrelaytxfee: Amount(1_000).into(),
        })
    }

    async fn raw_mempool(&self) -> Result<Vec<MempoolEntry>, RpcError> {
        if self.comes(SecondBlock::BeforeMempool) {
            return Ok(Vec::new());
        }
        Ok(vec![MempoolEntry {
            txid: transaction().id().into(),
            fullid: transaction().full_id().into(),
            size: 300,
            fee: Amount(1_000).into(),
            time: 1_700_000_000,
            depends: vec![TxId(Hash([0xab; 32])).into()],
        }])
    }
}
