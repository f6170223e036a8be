//! What the sample says of the chain.

use super::rewards::payouts;
use super::{Sample, SecondBlock, TIME_MS, address, block, certificate, history_proof, transaction, unspent};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use timed_ledger::{KeyHash, OutPoint, TxOutput};
use timed_primitives::{Amount, Block, BlockId, ChainId, Hash, Height, HistoryProof, TxId, UnixTime};
use timed_rpc::result::{BlockchainInfo, SyncInfo};
use timed_rpc::{
    BlockAt, BlockFacts, ChainApi, ChainPosition, ChainTotals, GenesisFacts, RewardsApi as _, RpcError,
    TransactionRecord, TransactionState, Unspent,
};

/// As the second block, at another height.
fn repeated(height: u64) -> Block {
    let mut block = block(2);
    block.header.height = Height(height);
    block
}

#[async_trait]
impl ChainApi for Sample {
    async fn tip(&self) -> Result<(Height, BlockId), RpcError> {
        let height = *self.tip.borrow();
        if self.repeats_blocks.load(Ordering::SeqCst) {
            return Ok((Height(height), repeated(height).id()));
        }
        // Higher ones have no block.
        Ok((Height(height), block(height.min(2)).id()))
    }

    async fn blockchain_info(&self) -> Result<BlockchainInfo, RpcError> {
        Ok(BlockchainInfo {
            chain: "devnet".into(),
            chain_id: 7,
            genesis: Hash([9; 32]).into(),
            blocks: 2,
            headers: 8,
            bestblockhash: block(2).id().into(),
            time: TIME_MS / 1000,
            time_ms: TIME_MS + 2,
            verificationprogress: 0.25,
            initialblockdownload: true,
            sync: Some(SyncInfo {
                target: 8,
                percent: 25.0,
                blocks_per_second: 1.5,
                eta_seconds: Some(4),
                stalled: None,
            }),
            state_commitment: Hash([2; 32]).into(),
            supply: Amount(u64::MAX).into(),
            utxos: 5,
            warnings: vec!["no quorum: 2 of 3 voting power, need 3; missing node 3".into()],
        })
    }

    async fn block(&self, at: BlockAt) -> Result<BlockFacts, RpcError> {
        if self.holds_blocks.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.keep_thread();
        if self.repeats_blocks.load(Ordering::SeqCst) {
            let tip = *self.tip.borrow();
            let found = match at {
                BlockAt::Height(height) => repeated(height.0),
                BlockAt::Id(id) => (1..=tip).map(repeated).find(|block| block.id() == id).unwrap(),
            };
            let block = Arc::new(found);
            let confirmations = tip + 1 - block.header.height.0;
            return Ok(BlockFacts { block, certificate: None, confirmations, next: None });
        }
        let height = match at {
            BlockAt::Height(Height(height @ 1..=2)) => height,
            BlockAt::Height(height) => return Err(RpcError::HeightUnknown { height, tip: Height(2) }),
            BlockAt::Id(id) => (1..=2).find(|h| block(*h).id() == id).ok_or(RpcError::BlockUnknown(id))?,
        };
        Ok(BlockFacts {
            block: Arc::new(block(height)),
            certificate: Some(certificate(height)),
            confirmations: 3 - height,
            next: (height == 1).then(|| block(2).id()),
        })
    }

    async fn block_id(&self, height: Height) -> Result<BlockId, RpcError> {
        self.block(BlockAt::Height(height)).await.map(|facts| facts.block.id())
    }

    async fn history_proof(&self, height: Height, at: Option<Height>) -> Result<HistoryProof, RpcError> {
        match (height, at.unwrap_or(Height(2))) {
            (Height(1), Height(2)) => Ok(history_proof()),
            _ => Err(RpcError::HeightUnknown { height, tip: Height(2) }),
        }
    }

    async fn verify_history_proof(&self, proof: HistoryProof) -> Result<(), RpcError> {
        proof.check().map_err(|error| RpcError::HistoryProof(error.to_string()))
    }

    async fn output(&self, outpoint: OutPoint, include_mempool: bool) -> Result<Option<Unspent>, RpcError> {
        if outpoint.txid == payouts() {
            let output = self.payment_of(outpoint.txid).await?.unwrap().outputs.get(outpoint.index as usize).copied();
            let unspent = |output| Unspent { outpoint, output, ..unspent(0, 1, None) };
            return Ok(output.map(unspent));
        }
        let known = outpoint.txid == transaction().id() && outpoint.index < 2;
        let spent_by = (!include_mempool).then_some(TxId(Hash([0xcd; 32])));
        Ok(known.then(|| unspent(outpoint.index, 1, spent_by)))
    }

    async fn transaction(&self, txid: TxId) -> Result<TransactionRecord, RpcError> {
        if let Some(report) = self.payment_of(txid).await? {
            return Err(RpcError::payout_id(txid, &report));
        }
        if txid != transaction().id() {
            return Err(RpcError::TransactionUnknown(txid));
        }
        let place = ChainPosition {
            block: block(2).id(),
            height: Height(2),
            time: UnixTime(TIME_MS),
            index: 0,
            confirmations: 1,
        };
        let state = match self.comes(SecondBlock::AfterMempool) {
            true => TransactionState::Mempool,
            false => TransactionState::Final(place),
        };
        let fee = self.knows_fee.load(Ordering::SeqCst);
        Ok(TransactionRecord { transaction: Arc::new(transaction()), fee: fee.then_some(Amount(1_000)), state })
    }

    async fn genesis(&self) -> Result<GenesisFacts, RpcError> {
        Ok(GenesisFacts { hash: Hash([9; 32]), chain_id: ChainId(7), time: UnixTime(TIME_MS - 1_000) })
    }

    fn genesis_outputs(&self, owners: &BTreeSet<KeyHash>) -> Vec<(OutPoint, TxOutput)> {
        // The transaction of the sample spends it.
        let outpoint = transaction().body.inputs[0].previous;
        let output = TxOutput { amount: Amount::whole(90_100_000), lock: address(1).lock() };
        let is_asked = owners.contains(&address(1).key_hash);
        is_asked.then_some((outpoint, output)).into_iter().collect()
    }

    async fn totals(&self) -> Result<ChainTotals, RpcError> {
        Ok(ChainTotals { transactions: self.transactions.load(Ordering::SeqCst), bytes: 4_096 })
    }

    async fn spenders(&self, outputs: Vec<OutPoint>) -> Result<Vec<Option<TxId>>, RpcError> {
        Ok(outputs.iter().map(|output| (output.index == 1).then_some(TxId(Hash([0xcd; 32])))).collect())
    }

    async fn wait_for_new_block(
        &self,
        limit: Duration,
        current: Option<BlockId>,
    ) -> Result<(Height, BlockId), RpcError> {
        let now = self.tip().await?;
        if current.is_some_and(|current| current != now.1) {
            return Ok(now);
        }
        let mut tip = self.tip.subscribe();
        match tokio::time::timeout(limit, tip.changed()).await {
            Ok(_) | Err(_) => self.tip().await,
        }
    }
}
