//! A node made of fixed answers, behind the real server on a real loopback socket.

use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use timed_ledger::{Address, KeyHash, OutPoint, Transaction, TransactionBody, TxInput, TxOutput, Witness};
use timed_primitives::{
    Amount, Block, BlockId, ChainId, CommitCertificate, CommitSignature, Hash, Header, Height, Network, PublicKey,
    Round, SecretKey, TxId, UnixTime,
};
use timed_rpc::metrics::{Registry, level};
use timed_rpc::result::{
    Balance, BanInfo, BlockchainInfo, ConsensusInfo, EndInfo, LaneInfo, LastMessageInfo, MasternodeInfo,
    MempoolAcceptance, MempoolEntry, MempoolInfo, NetworkInfo, PeerInfo, PingInfo, QueueInfo, SyncInfo, ValidatorVotes,
};
use timed_rpc::{
    AddedNode, BlockAt, BlockFacts, ChainApi, ChainPosition, ChainTotals, ConsensusApi, Funding, GenesisFacts,
    JsonAmount, KnownAddress, NodeApi, PaymentOrder, PeersApi, PoolApi, RpcError, Text, TransactionRecord,
    TransactionState, Trouble, Unspent, WalletApi,
};
use tokio::sync::watch;

/// A transaction that spends this output pays [`FEE`].
pub(crate) const FEE_INPUT: u32 = 7;
pub(crate) const FEE: Amount = Amount(5_000_000);

pub(crate) const TIME_MS: u64 = 1_700_000_000_250;

/// Fixed answers, and switches for what tests need.
pub(crate) struct Sample {
    /// Calls of `masternodelist` and `sendrawtransaction` never end.
    pub(crate) hangs: AtomicBool,
    /// How many of `sendrawtransaction` did so.
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

/// As the mempool does it.
fn check_fee(transaction: &Transaction, rate_max: Option<Amount>) -> Result<(), RpcError> {
    let pays = |input: &TxInput| if input.previous.index == FEE_INPUT { FEE } else { Amount::ZERO };
    let fee = transaction.body.inputs.first().map_or(Amount::ZERO, pays);
    let Some(rate_max) = rate_max else { return Ok(()) };
    let max = Amount((rate_max.0 * transaction.size_bytes() as u64).div_ceil(1_000));
    if fee > max { Err(RpcError::FeeAboveMaximum { fee, max, rate_max }) } else { Ok(()) }
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
    let body = TransactionBody {
        version: 1,
        chain_id: ChainId(7),
        inputs: vec![TxInput { previous: OutPoint { txid: TxId(Hash([0xab; 32])), index: 3 } }],
        outputs: vec![output(1, 1_250_000_000), output(2, 9_007_199_254_740_993)],
    };
    body.sign(&[&SecretKey::development("wallet", 1)])
}

pub(crate) fn block(height: u64) -> Block {
    let header = Header {
        version: 1,
        chain_id: ChainId(7),
        height: Height(height),
        time: UnixTime(TIME_MS + height),
        parent: if height == 1 { BlockId::default() } else { block(height - 1).id() },
        proposer: consensus_key(height),
        first_round: Round(0),
        tx_root: Hash([1; 32]),
        state_commitment: Hash([2; 32]),
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

fn certificate(height: u64) -> CommitCertificate {
    let signatures = (1..=3).map(|id| CommitSignature {
        validator: consensus_key(id),
        signature: SecretKey::development("consensus", id).sign(b"precommit"),
    });
    let (height, block) = (Height(height), block(height).id());
    CommitCertificate { height, round: Round(0), block, signatures: signatures.collect() }
}

fn unspent(index: u32, confirmations: u64, spent_by: Option<TxId>) -> Unspent {
    Unspent {
        outpoint: OutPoint { txid: transaction().id(), index },
        output: transaction().body.outputs[index as usize],
        height: (confirmations > 0).then_some(Height(2)),
        confirmations,
        spent_by,
    }
}

/// The sample has one peer that can be named.
fn known(peer: String) -> Result<(), RpcError> {
    if peer == "127.0.0.1:7001" { Ok(()) } else { Err(RpcError::PeerUnknown(peer)) }
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

#[async_trait]
impl ChainApi for Sample {
    async fn tip(&self) -> Result<(Height, BlockId), RpcError> {
        let height = *self.tip.borrow();
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

    async fn output(&self, outpoint: OutPoint, include_mempool: bool) -> Result<Option<Unspent>, RpcError> {
        let known = outpoint.txid == transaction().id() && outpoint.index < 2;
        let spent_by = (!include_mempool).then_some(TxId(Hash([0xcd; 32])));
        Ok(known.then(|| unspent(outpoint.index, 1, spent_by)))
    }

    async fn transaction(&self, txid: TxId) -> Result<TransactionRecord, RpcError> {
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
        let state = TransactionState::Final(place);
        Ok(TransactionRecord { transaction: Arc::new(transaction()), fee: Some(Amount(1_000)), state })
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
        Ok(ChainTotals { transactions: 1, bytes: 4_096 })
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

#[async_trait]
impl PeersApi for Sample {
    async fn network_info(&self) -> Result<NetworkInfo, RpcError> {
        Ok(NetworkInfo {
            subversion: "/timed:0.1.0/".into(),
            version: 100,
            protocolversion: 1,
            node_key: node_key(1).into(),
            listen: "127.0.0.1:7000".into(),
            external: None,
            connections: 2,
            connections_in: 1,
            connections_out: 1,
            connections_validators: 2,
            inbound_max: 64,
            outbound_max: 32,
            relayfee: Amount(1_000).into(),
            time_offset_ms: Some(-12),
            warnings: vec![],
        })
    }

    async fn peer_info(&self) -> Result<Vec<PeerInfo>, RpcError> {
        let peer = |id: u64, inbound: bool| PeerInfo {
            id,
            addr: format!("127.0.0.1:{}", 6999 + id),
            node_key: node_key(id).into(),
            validator: (!inbound).then(|| consensus_key(id).into()),
            inbound,
            conntime: 1_699_999_000,
            subver: "/timed:0.1.0/".into(),
            version: 1,
            height: 2,
            timeoffset: inbound.then_some(-2),
            time_offset_ms: inbound.then_some(-1_980),
            pingtime: Some(0.000_4),
            minping: Some(0.000_25),
            pingwait: inbound.then_some(0.001),
            pingdev: Some(0.000_1),
            interval: 5.0,
            deadline: 15.0,
            silencemax: 5.4,
            lastsend: 1_700_000_000,
            lastrecv: 1_700_000_001,
            last_transaction: if inbound { 1_700_000_000 } else { 0 },
            bytessent: 4_096,
            bytesrecv: 1_234_567,
            bytessent_per_msg: [("ping".into(), 96), ("vote".into(), 4_000)].into(),
            bytesrecv_per_msg: [("pong".into(), 96)].into(),
            lanes: vec![LaneInfo {
                lane: "consensus".into(),
                queued: if inbound { 70_000 } else { 0 },
                queueage: if inbound { 0.25 } else { 0.0 },
                bytessent: 4_000,
                bytesrecv: 0,
            }],
            dropped: [("mempool".into(), u64::from(inbound))].into(),
            droppedsend: 0,
            penalty: 0,
        };
        Ok(vec![peer(2, true), peer(3, false)])
    }

    async fn peer_history(&self, peer: Option<String>, count: usize) -> Result<Vec<EndInfo>, RpcError> {
        if let Some(peer) = peer {
            known(peer)?;
        }
        let end = EndInfo {
            node_key: Some(node_key(2).into()),
            addr: "127.0.0.1:7001".into(),
            inbound: true,
            reason: "silent".into(),
            by: "us".into(),
            why: "closed by us: nothing came within the deadline".into(),
            ended: 1_700_000_002,
            uptime: 3_600.5,
            silent: 15.0,
            rtt: vec![0.000_4, 0.000_5],
            queues: vec![QueueInfo { lane: "control".into(), bytes: 13, age: 0.25 }],
            last_messages: vec![LastMessageInfo { before_end: 15.0, sent: false, kind: "pong".into(), bytes: 13 }],
        };
        Ok(vec![end; count.min(1)])
    }

    async fn ping(&self, peer: Option<String>) -> Result<Vec<PingInfo>, RpcError> {
        if let Some(peer) = peer {
            known(peer)?;
        }
        let row = |id, rtt| PingInfo { node_key: node_key(id).into(), addr: format!("127.0.0.1:{}", 6999 + id), rtt };
        Ok(vec![row(2, Some(0.000_4)), row(3, None)])
    }

    async fn add_node(&self, _address: String) -> Result<(), RpcError> {
        Ok(())
    }

    async fn disconnect(&self, peer: String) -> Result<(), RpcError> {
        known(peer)
    }

    async fn ban(&self, peer: String, _length: Duration) -> Result<(), RpcError> {
        known(peer)
    }

    async fn lift_ban(&self, peer: String) -> Result<(), RpcError> {
        known(peer)
    }

    async fn bans(&self) -> Result<Vec<BanInfo>, RpcError> {
        Ok(vec![BanInfo {
            node_key: node_key(4).into(),
            banned_until: 1_700_000_600,
            time_remaining: 599,
            reason: "invalid_signature".into(),
        }])
    }

    async fn added_nodes(&self) -> Result<Vec<AddedNode>, RpcError> {
        let node = |address: &str, connected| AddedNode { address: address.into(), connected };
        let up = Some(("127.0.0.1:7001".into(), true));
        Ok(vec![node("masternode-2:7000", up), node("masternode-5:7000", None)])
    }

    async fn known_addresses(&self) -> Result<Vec<KnownAddress>, RpcError> {
        let known = |address: &str, time| KnownAddress { address: address.into(), time };
        Ok(vec![known("192.0.2.1:7000", 1_700_000_000), known("[2001:db8::1]:7000", 0)])
    }

    async fn lift_all_bans(&self) -> Result<usize, RpcError> {
        Ok(1)
    }
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
        if transaction == self::transaction() {
            return Err(RpcError::AlreadyInChain(transaction.id()));
        }
        match transaction.body.inputs.first() {
            None => Err(RpcError::Rejected("it spends nothing".into())),
            Some(input) if input.previous.index == 9 => Err(RpcError::MissingInput(input.previous)),
            Some(input) if input.previous.index == 8 => {
                Err(RpcError::Conflict { output: input.previous, by: TxId(Hash([0xcd; 32])) })
            }
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

#[async_trait]
impl WalletApi for Sample {
    async fn balance(&self, of: Option<Address>) -> Result<Balance, RpcError> {
        let spendable = if of.is_some() { Amount::ONE } else { Amount(9_007_199_254_740_993) };
        Ok(Balance { spendable: spendable.into(), locked: JsonAmount::default(), pending: JsonAmount::default() })
    }

    async fn new_address(&self, label: String) -> Result<Address, RpcError> {
        self.set_label(address(1), label).await?;
        Ok(address(1))
    }

    fn addresses(&self) -> Vec<Address> {
        vec![address(1), address(3)]
    }

    fn labels(&self) -> Vec<(Address, String)> {
        self.labels.lock().unwrap().iter().map(|(address, label)| (*address, label.clone())).collect()
    }

    fn label(&self, of: &Address) -> String {
        self.labels.lock().unwrap().get(of).cloned().unwrap_or_default()
    }

    async fn set_label(&self, of: Address, label: String) -> Result<(), RpcError> {
        let mut labels = self.labels.lock().unwrap();
        if label.is_empty() {
            labels.remove(&of)
        } else {
            labels.insert(of, label)
        };
        Ok(())
    }

    async fn unspent(&self, of: Vec<Address>) -> Result<Vec<Unspent>, RpcError> {
        let all = [unspent(0, 1, None), unspent(1, 2, Some(TxId(Hash([0xcd; 32])))), unspent(1, 0, None)];
        Ok(all.into_iter().filter(|u| of.is_empty() || of.iter().any(|a| a.lock() == u.output.lock)).collect())
    }

    fn is_mine(&self, of: &Address) -> bool {
        [address(1), address(3)].contains(of)
    }

    async fn witnesses(
        &self,
        body: TransactionBody,
        owners: Vec<Option<KeyHash>>,
    ) -> Result<Vec<Option<Witness>>, RpcError> {
        let key = SecretKey::development("wallet", 1);
        let witness = Witness { key: key.public(), signature: key.sign(&body.signing_message()) };
        Ok(owners.iter().map(|owner| (*owner == Some(KeyHash::of(&key.public()))).then_some(witness)).collect())
    }

    async fn hold_back(&self, _outputs: Vec<OutPoint>, _is_held: bool) -> Result<(), RpcError> {
        Ok(())
    }

    async fn held_back(&self) -> Result<Vec<OutPoint>, RpcError> {
        Ok(vec![OutPoint { txid: transaction().id(), index: 0 }])
    }

    async fn pay(&self, order: PaymentOrder) -> Result<TxId, RpcError> {
        let (available, needed) = (Amount::whole(100), Amount::sum(order.outputs.iter().map(|(_, amount)| *amount)));
        let is_known = order.outputs.iter().all(|(to, _)| *to == address(1) || *to == address(2));
        if is_known && needed.is_some_and(|needed| needed <= available) {
            self.orders.lock().unwrap().push(order);
            Ok(transaction().id())
        } else {
            Err(RpcError::InsufficientFunds { needed: needed.unwrap(), available })
        }
    }

    async fn fund(
        &self,
        order: PaymentOrder,
        inputs: Vec<OutPoint>,
        change: Option<Address>,
    ) -> Result<Funding, RpcError> {
        let added = OutPoint { txid: transaction().id(), index: 1 };
        let change_at = Some(order.outputs.len());
        let outputs = order.outputs.iter().map(|(to, amount)| TxOutput { amount: *amount, lock: to.lock() });
        let left = TxOutput { amount: Amount::ONE, lock: change.unwrap_or(address(1)).lock() };
        let body = TransactionBody {
            version: 1,
            chain_id: ChainId(7),
            inputs: inputs.into_iter().chain([added]).map(|previous| TxInput { previous }).collect(),
            outputs: outputs.chain([left]).collect(),
        };
        self.orders.lock().unwrap().push(order);
        Ok(Funding { body, fee: Amount(277), change_at })
    }
}

#[async_trait]
impl ConsensusApi for Sample {
    async fn consensus_info(&self) -> Result<ConsensusInfo, RpcError> {
        let votes = |id: u64, prevote: Option<String>| ValidatorVotes {
            key: consensus_key(id).into(),
            name: Some(format!("node {id}")),
            power: 1,
            connected: id != 3,
            prevote,
            precommit: None,
        };
        let proposal = block(2).id();
        let validators = vec![votes(1, Some(proposal.to_string())), votes(2, Some("nil".into())), votes(3, None)];
        Ok(ConsensusInfo {
            height: 3,
            round: 1,
            step: "prevote".into(),
            proposer: Some(consensus_key(1).into()),
            proposal: Some(proposal.into()),
            why: "no quorum: 2 of 3 voting power, need 3; missing node 3".into(),
            voting_power: 3,
            quorum_power: 3,
            connected_power: 2,
            has_quorum: false,
            validators,
            validator: Some(consensus_key(1).into()),
            signing: true,
            signing_off_reason: None,
            finality_last_ms: Some(21.5),
            finality_p50_ms: Some(20.25),
            finality_p99_ms: None,
        })
    }

    async fn masternodes(&self) -> Result<Vec<MasternodeInfo>, RpcError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let row = |id: u64| MasternodeInfo {
            key: consensus_key(id).into(),
            name: Some(format!("node {id}")),
            power: 1,
            power_percent: 50.0,
            is_self: id == 1,
            connected: true,
            addr: (id != 1).then(|| format!("127.0.0.1:{}", 6999 + id)),
            node_key: (id != 1).then(|| Text(node_key(id))),
            last_signed: Some(2),
            signed_percent: Some(100.0),
        };
        Ok(vec![row(1), row(2)])
    }
}
