//! What clients ask: bodies of JSON-RPC requests, before a node that knows little.

use async_trait::async_trait;
use serde_json::Value;
use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;
use timed_ledger::{Address, KeyHash, OutPoint, Transaction};
use timed_primitives::{Amount, Block, BlockId, Hash, Header, Height, Network, PublicKey, TxId, UnixTime};
use timed_rpc::metrics::Registry;
use timed_rpc::result::{
    Balance, BanInfo, EndInfo, MasternodeInfo, MempoolAcceptance, MempoolEntry, PeerInfo, PingInfo,
};
use timed_rpc::{
    BlockAt, BlockFacts, ChainApi, ChainTotals, ConsensusApi, GenesisFacts, NodeApi, PaymentOrder, PeersApi, PoolApi,
    RewardsApi, RpcError, RpcLimits, TransactionRecord, TransactionState, Trouble, Unspent, WalletApi, WalletsApi,
    answer_body,
};
use tokio::runtime::{Builder, Runtime};

/// A node with one block, which takes every transaction for known.
struct Small;

impl NodeApi for Small {
    fn network(&self) -> Network {
        Network::Devnet
    }

    fn unix_time(&self) -> UnixTime {
        UnixTime(0)
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(9)
    }

    fn troubles(&self) -> Vec<Trouble> {
        Vec::new()
    }

    fn metrics(&self, _: &mut Registry) {}

    fn stop(&self) {}
}

#[async_trait]
impl ChainApi for Small {
    async fn tip(&self) -> Result<(Height, BlockId), RpcError> {
        Ok((Height(1), BlockId::default()))
    }

    async fn block(&self, at: BlockAt) -> Result<BlockFacts, RpcError> {
        match at {
            BlockAt::Height(Height(1)) => {
                let header = Header {
                    version: timed_primitives::block::BLOCK_VERSION,
                    chain_id: timed_primitives::ChainId(1),
                    height: Height(1),
                    time: timed_primitives::UnixTime(0),
                    parent: BlockId::default(),
                    proposer: PublicKey([0; 32]),
                    first_round: timed_primitives::Round(0),
                    tx_root: Hash([0; 32]),
                    state_commitment: Hash([0; 32]),
                    history_root: Hash([0; 32]),
                    masternode_root: Hash([0; 32]),
                    output_root: Hash::ZERO,
                    validators_hash: Hash([0; 32]),
                    next_validators_hash: Hash([0; 32]),
                    parent_certificate_hash: Hash([0; 32]),
                    evidence_root: Hash([0; 32]),
                    parameters_hash: Hash([0; 32]),
                };
                let block = Arc::new(Block { header, parent_certificate: None, payload: Default::default() });
                Ok(BlockFacts { block, certificate: None, confirmations: 1, next: None })
            }
            BlockAt::Height(height) => Err(RpcError::HeightUnknown { height, tip: Height(1) }),
            BlockAt::Id(id) => Err(RpcError::BlockUnknown(id)),
        }
    }

    async fn block_id(&self, height: Height) -> Result<BlockId, RpcError> {
        Err(RpcError::HeightUnknown { height, tip: Height(1) })
    }

    async fn output(&self, _outpoint: OutPoint, _include_mempool: bool) -> Result<Option<Unspent>, RpcError> {
        Ok(None)
    }

    async fn transaction(&self, txid: TxId) -> Result<TransactionRecord, RpcError> {
        Err(RpcError::TransactionUnknown(txid))
    }

    async fn genesis(&self) -> Result<GenesisFacts, RpcError> {
        Ok(GenesisFacts { hash: Hash([1; 32]), chain_id: timed_primitives::ChainId(1), time: UnixTime(0) })
    }

    async fn totals(&self) -> Result<ChainTotals, RpcError> {
        Ok(ChainTotals::default())
    }

    async fn spenders(&self, outputs: Vec<OutPoint>) -> Result<Vec<Option<TxId>>, RpcError> {
        Ok(vec![None; outputs.len()])
    }

    async fn wait_for_new_block(
        &self,
        _limit: Duration,
        _current: Option<BlockId>,
    ) -> Result<(Height, BlockId), RpcError> {
        self.tip().await
    }
}

#[async_trait]
impl PeersApi for Small {
    async fn peer_info(&self) -> Result<Vec<PeerInfo>, RpcError> {
        Ok(Vec::new())
    }

    async fn peer_history(&self, _peer: Option<String>, _count: usize) -> Result<Vec<EndInfo>, RpcError> {
        Ok(Vec::new())
    }

    async fn ping(&self, _peer: Option<String>) -> Result<Vec<PingInfo>, RpcError> {
        Ok(Vec::new())
    }

    async fn add_node(&self, _address: String) -> Result<(), RpcError> {
        Ok(())
    }

    async fn disconnect(&self, peer: String) -> Result<(), RpcError> {
        Err(RpcError::PeerUnknown(peer))
    }

    async fn ban(&self, _peer: String, _length: Duration) -> Result<(), RpcError> {
        Ok(())
    }

    async fn lift_ban(&self, peer: String) -> Result<(), RpcError> {
        Err(RpcError::PeerUnknown(peer))
    }

    async fn bans(&self) -> Result<Vec<BanInfo>, RpcError> {
        Ok(Vec::new())
    }

    async fn lift_all_bans(&self) -> Result<usize, RpcError> {
        Ok(0)
    }
}

#[async_trait]
impl PoolApi for Small {
    fn check_room(&self, _bytes: usize) -> Result<(), RpcError> {
        Ok(())
    }

    async fn submit(&self, transaction: Transaction, _fee_rate_max: Option<Amount>) -> Result<TxId, RpcError> {
        let facts = TransactionRecord {
            transaction: Arc::new(transaction),
            fee: Some(Amount(1)),
            state: TransactionState::Mempool,
        };
        // Shown as `gettransaction` would show it.
        let shown = timed_rpc::chain::TransactionInfo::of(&facts, Network::Devnet);
        assert!(serde_json::to_string(&shown).is_ok(), "it cannot be shown");
        Ok(facts.transaction.id())
    }

    async fn test_mempool_accept(
        &self,
        transactions: Vec<Transaction>,
        _fee_rate_max: Option<Amount>,
    ) -> Result<Vec<MempoolAcceptance>, RpcError> {
        let refused = |transaction: &Transaction| MempoolAcceptance {
            txid: transaction.id().into(),
            allowed: false,
            size: transaction.size_bytes() as u64,
            fee: None,
            reject_reason: Some("unknown".into()),
        };
        Ok(transactions.iter().map(refused).collect())
    }

    async fn raw_mempool(&self) -> Result<Vec<MempoolEntry>, RpcError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl WalletApi for Small {
    async fn balance(&self, _address: Option<Address>) -> Result<Balance, RpcError> {
        Ok(Balance::default())
    }

    async fn new_address(&self, _label: String) -> Result<Address, RpcError> {
        Ok(Address { network: Network::Devnet, key_hash: KeyHash::of(&PublicKey([0; 32])) })
    }

    async fn unspent(&self, _addresses: Vec<Address>) -> Result<Vec<Unspent>, RpcError> {
        Ok(Vec::new())
    }

    async fn pay(&self, order: PaymentOrder) -> Result<TxId, RpcError> {
        let needed = Amount::sum(order.outputs.iter().map(|(_, amount)| *amount)).unwrap_or(Amount(u64::MAX));
        Err(RpcError::InsufficientFunds { needed, available: Amount(0) })
    }
}

#[async_trait]
impl ConsensusApi for Small {
    async fn masternodes(&self) -> Result<Vec<MasternodeInfo>, RpcError> {
        Ok(Vec::new())
    }
}

impl RewardsApi for Small {}

impl WalletsApi for Small {}

thread_local! {
    /// Runs the calls; none of them waits.
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

/// The body of a request: an answer for each call that wants one, never a fault of our own.
pub(crate) fn rpc(bytes: &[u8]) {
    let (status, answer) = RUNTIME.with(|runtime| {
        let make = || Builder::new_current_thread().enable_time().build().expect("a runtime without sockets starts");
        runtime.get_or_init(make).block_on(answer_body(Arc::new(Small), RpcLimits::default(), bytes))
    });
    assert!(matches!(status, 200 | 204 | 400 | 404 | 500 | 503), "status {status}");
    assert_eq!(status == 204, answer.is_none(), "nothing to say is another status");
    let Some(answer) = answer else { return };
    let answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
    let asked: Option<Value> = serde_json::from_slice(bytes).ok();
    match (&asked, &answer) {
        (Some(Value::Array(calls)), Value::Array(answers)) => {
            assert!(answers.len() <= calls.len());
            answers.iter().for_each(check_answer);
        }
        (Some(Value::Object(call)), Value::Object(_)) => {
            check_answer(&answer);
            if let (200, Some(id @ (Value::String(_) | Value::Number(_)))) = (status, call.get("id")) {
                assert_eq!(answer.get("id"), Some(id), "answered to another");
            }
        }
        (_, Value::Object(_)) => check_answer(&answer),
        _ => panic!("{answer} answers what is no batch"),
    }
}

fn check_answer(answer: &Value) {
    let error = answer.get("error").filter(|error| !error.is_null());
    assert!(error.is_some() || answer.get("result").is_some(), "neither result nor error: {answer}");
    if let Some(error) = error {
        assert_ne!(error["code"], -32603, "an internal error: {answer}");
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "an error without words");
    }
}
