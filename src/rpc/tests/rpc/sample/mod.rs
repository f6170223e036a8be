//! A node made of fixed answers, behind the real server on a real loopback socket.

mod chain;
mod consensus;
pub(crate) mod masternodes;
mod peers;
mod pool;
pub(crate) mod rewards;
mod wallet;
mod wallets;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use timed_ledger::{Address, KeyHash, OutPoint, Transaction, TransactionBody, TxInput, TxOutput};
use timed_primitives::block::BLOCK_VERSION;
use timed_primitives::{
    Amount, Block, BlockId, ChainId, CommitCertificate, CommitSignature, Hash, Header, Height, HistoryPath,
    HistoryPeaks, HistoryProof, Network, PublicKey, Round, SecretKey, TxId, UnixTime,
};
use timed_rpc::metrics::{Registry, level};
use timed_rpc::{NodeApi, PaymentOrder, Trouble, Unspent};
use tokio::sync::watch;

/// How long a thread is kept at most.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// A transaction that spends this output pays [`FEE`].
pub(crate) const FEE_INPUT: u32 = 7;
pub(crate) const FEE: Amount = Amount(5_000_000);

pub(crate) const TIME_MS: u64 = 1_700_000_000_250;

/// When the block comes that holds the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecondBlock {
    /// Before the mempool is listed, which has lost it then.
    BeforeMempool,
    /// When it was seen in the mempool.
    AfterMempool,
}

/// Fixed answers, and switches for what tests need.
pub(crate) struct Sample {
    /// Calls of `masternodelist` and `sendrawtransaction` never end.
    pub(crate) hangs: AtomicBool,
    /// While it is set, whoever reads a block or the outputs of addresses keeps its thread.
    pub(crate) keeps_threads: Arc<(Mutex<bool>, Condvar)>,
    /// Reads of blocks never end, and keep no thread.
    pub(crate) holds_blocks: AtomicBool,
    /// The second block comes at a bad moment.
    pub(crate) second_block: Mutex<Option<SecondBlock>>,
    /// Blocks up to the tip are as the second one.
    pub(crate) repeats_blocks: AtomicBool,
    /// The fee of the transaction is known.
    pub(crate) knows_fee: AtomicBool,
    /// What is held back.
    pub(crate) held: Mutex<Vec<OutPoint>>,
    /// How many transactions the chain has.
    pub(crate) transactions: AtomicU64,
    /// How many of `sendrawtransaction` did so, and how many keep a thread.
    pub(crate) hanging: AtomicUsize,
    /// Larger submissions are answered "busy". Unit: bytes.
    pub(crate) room: AtomicUsize,
    /// What is wrong.
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) stopped: AtomicBool,
    pub(crate) tip: watch::Sender<u64>,
    /// What was paid and funded.
    pub(crate) orders: Mutex<Vec<PaymentOrder>>,
    pub(crate) labels: Mutex<BTreeMap<Address, String>>,
}

impl Default for Sample {
    fn default() -> Self {
        let (tip, _) = watch::channel(2);
        Self {
            hangs: AtomicBool::new(false),
            keeps_threads: Arc::default(),
            holds_blocks: AtomicBool::new(false),
            second_block: Mutex::default(),
            repeats_blocks: AtomicBool::new(false),
            knows_fee: AtomicBool::new(true),
            held: Mutex::default(),
            transactions: AtomicU64::new(1),
            hanging: AtomicUsize::new(0),
            room: AtomicUsize::new(usize::MAX),
            troubles: Vec::new(),
            stopped: AtomicBool::new(false),
            tip,
            orders: Mutex::default(),
            labels: Mutex::new(BTreeMap::from([(address(2), "supplier".to_owned()), (address(3), "shop".to_owned())])),
        }
    }
}

impl Sample {
    /// The second block comes now if it comes at this moment.
    fn comes(&self, moment: SecondBlock) -> bool {
        let comes = self.second_block.lock().unwrap().take_if(|when| *when == moment).is_some();
        if comes {
            self.tip.send_replace(2);
        }
        comes
    }

    fn keep_thread(&self) {
        let (is_kept, changed) = &*self.keeps_threads;
        let is_kept = is_kept.lock().unwrap();
        if *is_kept {
            self.hanging.fetch_add(1, Ordering::SeqCst);
            drop(changed.wait_timeout_while(is_kept, KEPT_FOR, |is_kept| *is_kept).unwrap());
            self.hanging.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

pub(crate) fn consensus_key(id: u64) -> PublicKey {
    SecretKey::development("consensus", id).public()
}

pub(crate) fn node_key(id: u64) -> PublicKey {
    SecretKey::development("node", id).public()
}

pub(crate) fn address(id: u64) -> Address {
    Address { network: Network::Devnet, key_hash: KeyHash::of(&SecretKey::development("wallet", id).public()) }
}

/// Spends an output that does not exist anywhere but here.
pub(crate) fn transaction() -> Transaction {
    let output = |id, units| TxOutput { amount: Amount(units), lock: address(id).lock() };
    let inputs = vec![TxInput { previous: OutPoint { txid: TxId(Hash([0xab; 32])), index: 3 } }];
    let outputs = vec![output(1, 1_250_000_000), output(2, 9_007_199_254_740_993)];
    let body = TransactionBody::transfer(ChainId(7), inputs, outputs);
    body.sign(&[&SecretKey::development("wallet", 1)])
}

pub(crate) fn block(height: u64) -> Block {
    let header = Header {
        version: BLOCK_VERSION,
        chain_id: ChainId(7),
        height: Height(height),
        time: UnixTime(TIME_MS + height),
        parent: if height == 1 { BlockId::default() } else { block(height - 1).id() },
        proposer: consensus_key(height),
        first_round: Round(0),
        tx_root: Hash([1; 32]),
        state_commitment: Hash([2; 32]),
        history_root: history(height - 1).root(),
        masternode_root: Hash([4; 32]),
        output_root: Hash::ZERO,
        validators_hash: Hash([3; 32]),
        next_validators_hash: Hash([3; 32]),
        parent_certificate_hash: Hash([4; 32]),
        evidence_root: Hash([5; 32]),
        parameters_hash: Hash([6; 32]),
    };
    let transactions = if height == 2 { vec![transaction()] } else { vec![] };
    Block {
        header,
        parent_certificate: None,
        payload: timed_primitives::BlockPayload(timed_primitives::encode(&transactions)),
    }
}

/// Of the blocks up to a height.
pub(crate) fn history(height: u64) -> HistoryPeaks {
    let mut history = HistoryPeaks::default();
    (1..=height).for_each(|height| drop(history.append(&block(height).id())));
    history
}

fn certificate(height: u64) -> CommitCertificate {
    let signatures = (1..=3).map(|id| CommitSignature {
        validator: consensus_key(id),
        signature: SecretKey::development("consensus", id).sign(b"precommit"),
    });
    let (height, block) = (Height(height), block(height).id());
    CommitCertificate { height, round: Round(0), block, signatures: signatures.collect() }
}

/// Of the first block by the second, before which there is no other.
pub(crate) fn history_proof() -> HistoryProof {
    let path = HistoryPath::from_nodes(1, Height(1), |_| Err(())).unwrap().unwrap();
    HistoryProof { block: block(1).header, at: block(2).header, certificate: certificate(2), path }
}

fn unspent(index: u32, confirmations: u64, spent_by: Option<TxId>) -> Unspent {
    Unspent {
        outpoint: OutPoint { txid: transaction().id(), index },
        output: transaction().body.outputs[index as usize],
        height: (confirmations > 0).then_some(Height(2)),
        confirmations,
        spent_by,
        collateral: None,
    }
}

impl NodeApi for Sample {
    fn network(&self) -> Network {
        Network::Devnet
    }

    fn unix_time(&self) -> UnixTime {
        UnixTime(TIME_MS + 500)
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(3_723)
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.troubles.clone()
    }

    fn metrics(&self, registry: &mut Registry) {
        registry.register("timed_ledger_height", "Height", level(2_u64));
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
}
