//! `/health` and `/ready` of a whole node whose parts are real, with a disk and peers that do what a test wants.

mod masternodes;
mod rewards;
mod wallets;
mod witness;

use super::*;
use rand::SeedableRng as _;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicI64, Ordering};
use timed_actors::peer_manager::{ConfiguredPeer, PeersConfig};
use timed_actors::pulse::{BEAT_EVERY, HUNG_AFTER, Monitor};
use timed_actors::transport::{Listener, TcpTransport, Transport as _};
use timed_actors::{FatalReporter, NodeParts, OpenNode, SystemClock, Threads};
use timed_consensus::SigningStatus;
use timed_ledger::{Genesis, KeyHash, Lock, OutPoint, PAYLOAD_FORMAT, Transaction, TransactionBody, TxInput, TxOutput};
use timed_mempool::{KeptRecord, Loss, LossReason, POOL_FILE, PoolFile};
use timed_peer::LocalNode;
use timed_primitives::{
    Amount, Disk as _, Height, HistoryNode, HistoryPath, HistoryPeaks, MemoryDisk, SecretKey, UnixTime,
};
use timed_process::LogWriter;
use timed_rpc::{Auth, BlockAt, DiskReads, ReadLimits, RpcError, RpcServer};
use timed_rpc::{ChainApi as _, ConsensusApi as _, PeersApi as _, PoolApi as _, Severity, WalletApi as _};
use timed_test_support::{HeldDisk, HeldOperations, MemoryStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long clients wait for a read here.
const READ_TIME: Duration = Duration::from_millis(200);

/// A clock that somebody has set. Unit: milliseconds ahead.
#[derive(Clone)]
struct SetClock(SystemClock, Arc<AtomicI64>);

impl SetClock {
    fn ahead(ms: i64) -> Self {
        Self(SystemClock::start(), Arc::new(AtomicI64::new(ms)))
    }
}

impl Clock for SetClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn unix(&self) -> UnixTime {
        UnixTime(self.0.unix().0.saturating_add_signed(self.1.load(Ordering::Relaxed)))
    }
}

/// The first validator of so many, alone, in memory.
fn service(disk: Arc<HeldDisk>, validators: u64) -> Service {
    node(1, disk, validators, SetClock::ahead(0), None, Vec::new())
}

/// A validator of so many, in memory.
fn node(
    id: u64,
    disk: Arc<HeldDisk>,
    validators: u64,
    clock: SetClock,
    listener: Option<Box<dyn Listener>>,
    configured: Vec<ConfiguredPeer>,
) -> Service {
    node_of(Genesis::devnet(validators), id, disk, clock, listener, configured)
}

/// A validator of a genesis, in memory, with the wallet that owns its money.
fn node_of(
    genesis: Genesis,
    id: u64,
    disk: Arc<HeldDisk>,
    clock: SetClock,
    listener: Option<Box<dyn Listener>>,
    configured: Vec<ConfiguredPeer>,
) -> Service {
    let key = |domain| SecretKey::development(domain, id);
    let ledger = timed_ledger::open(genesis.clone(), &*disk, Arc::new(MemoryStore::default())).unwrap();
    let mut config = timed_consensus::CoreConfig::new(genesis.chain_id, Some(key("consensus")), PAYLOAD_FORMAT);
    config.journal_step_bytes = 1 << 16;
    config.empty_block_interval = Duration::from_millis(50);
    let reader = ledger.reader();
    let files = OpenNode::open(Box::new(ledger), disk, config, timed_mempool::PoolLimits::default()).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let local = LocalNode {
        consensus_key: Some(key("consensus")),
        ping_interval: Duration::from_secs(1),
        ..LocalNode::new(
            key("node").public(),
            genesis.chain_id,
            genesis.hash(),
            "timed/test",
            uuid::Uuid::from_u128(id.into()),
        )
    };
    let handles = timed_actors::start(NodeParts {
        application: None,
        peers: PeersConfig { configured, discovers: false, ..PeersConfig::new(local) },
        node_key: key("node"),
        transport: Arc::new(TcpTransport),
        listener,
        rng: rand::rngs::StdRng::seed_from_u64(id),
        files,
        clock: clock.clone(),
        threads: Threads::arbiters().unwrap(),
        fatal: FatalReporter::new(|reason| panic!("{reason:?}")),
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap().keep();
    Service::new(ServiceParts {
        handles,
        chain: ChainReads::new(reader, DiskReads::new(ReadLimits { time: READ_TIME, ..ReadLimits::default() })),
        identity: Identity {
            node_key: key("node").public(),
            validator: Some(key("consensus").public()),
            listen: String::new(),
            external: None,
            agent: String::new(),
            inbound_max: 1,
            outbound_max: 1,
            labels: BTreeMap::new(),
        },
        consensus_key: Some(key("consensus")),
        wallets: Arc::new(wallets(&folder, &genesis)),
        clock,
        stop: Stop::default(),
        log: LogWriter::start(io::sink()).unwrap(),
        files: PeerFiles::new(&folder),
        earlier_ends: Vec::new(),
        bans: Vec::new(),
        noticed: Noticed::default(),
    })
}

/// The wallet that owns a devnet's money, and those of the folder. "Random" bytes count up, so that every run makes the same.
fn wallets(folder: &std::path::Path, genesis: &Genesis) -> Wallets {
    fn count_up(bytes: &mut [u8]) {
        bytes.iter_mut().zip(1..).for_each(|(byte, n)| *byte = n);
    }
    let own = NodeWallet::open(folder, SecretKey::development("wallet", 0), genesis).unwrap();
    let secrets = WalletSecrets { fill_random: count_up, cost: timed_wallet::KdfCost::LEAST };
    Wallets::open(folder, Arc::new(own), genesis, secrets)
}

/// Waits really, as the actors' threads are real, until it is so.
async fn until(service: &Service, what: &str, is_so: impl Fn(&Service) -> bool) {
    for _ in 0..3_000 {
        if is_so(service) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: {:?}", service.troubles());
}

fn is_hung(service: &Service, who: &str) -> bool {
    let mut hung = service.troubles().into_iter().filter(|trouble| trouble.severity() == Severity::Dead);
    hung.next().is_some_and(|trouble| matches!(trouble, Trouble::Hung { who: named, .. } if named == who))
        && hung.next().is_none()
}

fn metrics_of(service: &Service) -> String {
    let mut registry = Registry::default();
    service.metrics(&mut registry);
    timed_rpc::metrics::page(&registry)
}

#[test]
fn whoever_a_disk_holds_up_is_named_and_clients_are_answered_meanwhile() {
    for (file, who) in [("blocks.log", "ledger"), ("journal", "consensus")] {
        actix_rt::System::new().block_on(async {
            let disk = HeldDisk::new(file);
            let service = service(disk.clone(), 1);
            until(&service, "a node alone is ready", |service| service.troubles().is_empty()).await;
            disk.hold(HeldOperations::Syncs);
            let height = service.handles.history.tip().height;
            // Looks a real second apart, each of which counts as one that the clock of the looks says.
            let (mut monitor, mut now) = (Monitor::default(), Instant::START);
            let limit = HUNG_AFTER + BEAT_EVERY * 5;
            while service.handles.pulses.hung().is_empty() && now.since(Instant::START) < limit {
                now += BEAT_EVERY;
                monitor.look(now, &service.handles.pulses);
                tokio::time::sleep(BEAT_EVERY).await;
            }
            assert!(is_hung(&service, who), "{who}: {:?}", service.troubles());
            let text = metrics_of(&service);
            assert!(
                text.contains("timed_node_trouble{reason=\"hung\"} 1") && text.contains("timed_node_ready 0"),
                "{text}"
            );
            assert!(
                service.warnings()[0].starts_with(&format!("{who} has not answered for 1")),
                "{:?}",
                service.warnings()
            );
            assert!(service.blockchain_info().await.is_ok() && service.network_info().await.is_ok());
            disk.hold(HeldOperations::Nothing);
            until(&service, "it goes on", |service| service.handles.history.tip().height.0 > height.0 + 1).await;
            monitor.look(now + BEAT_EVERY, &service.handles.pulses);
            assert!(service.troubles().is_empty(), "{:?}", service.troubles());
        });
    }
}

#[test]
fn an_old_block_is_proved_by_the_last_and_no_changed_proof_holds() {
    actix_rt::System::new().block_on(async {
        let service = service(HeldDisk::new("none"), 1);
        until(&service, "some blocks", |service| service.chain.tip().height.0 > 4).await;
        let refused = async |proof| match service.verify_history_proof(proof).await {
            Err(RpcError::HistoryProof(reason)) => reason,
            other => panic!("{other:?}"),
        };
        for (height, at) in [(1, None), (1, Some(2)), (2, Some(5)), (4, Some(5))] {
            let proof = service.history_proof(Height(height), at.map(Height)).await.unwrap();
            assert_eq!(service.block_id(Height(height)).await, Ok(proof.block.id()));
            assert_eq!(service.verify_history_proof(proof.clone()).await, Ok(()));
            let mut forged = proof.clone();
            forged.certificate.signatures[0].signature.0[0] ^= 1;
            assert!(refused(forged).await.contains("is invalid"));
            let mut unsigned = proof.clone();
            unsigned.certificate.signatures.clear();
            assert!(refused(unsigned).await.contains("signed by 0 of 1 voting power"));
            let mut other = proof.clone();
            other.block.time.0 += 1;
            assert!(refused(other).await.contains("the path does not lead"));
            // Of a chain that goes on otherwise: whoever may have signed it.
            let mut elsewhere = proof.clone();
            elsewhere.at.time.0 += 1;
            elsewhere.certificate.block = elsewhere.at.id();
            assert!(refused(elsewhere).await.contains("this chain has"));
        }
        let mut later = service.history_proof(Height(1), Some(Height(2))).await.unwrap();
        (later.at.height, later.certificate.height) = (Height(u64::MAX), Height(u64::MAX));
        later.certificate.block = later.at.id();
        assert!(refused(later).await.contains("the path does not lead"), "its history is not that of so many");
        // Far above what this node makes meanwhile.
        let (mut peaks, mut nodes) = (HistoryPeaks::default(), BTreeMap::new());
        let mut ahead = service.history_proof(Height(1), Some(Height(2))).await.unwrap();
        for last in (1..=8_192).map(Height) {
            let made = (0..).zip(peaks.append(&ahead.block.id()));
            nodes.extend(made.map(|(level, hash)| (HistoryNode { last, level }, hash)));
        }
        let path = HistoryPath::from_nodes(8_192, Height(1), |at| Ok::<_, Infallible>(nodes[&at])).unwrap();
        (ahead.at.height, ahead.at.history_root, ahead.path) = (Height(8_193), peaks.root(), path.unwrap());
        (ahead.certificate.height, ahead.certificate.block) = (Height(8_193), ahead.at.id());
        assert!(refused(ahead).await.contains("ask again when this node has caught up"));
        assert!(matches!(
            service.history_proof(Height(2), Some(Height(2))).await,
            Err(RpcError::InvalidParameter(text)) if text.contains("says nothing of block 2")
        ));
        let far = Height(u64::MAX);
        for (height, at) in [(far, None), (Height(1), Some(far)), (Height(0), None), (Height(1), Some(Height(0)))] {
            assert!(matches!(service.history_proof(height, at).await, Err(RpcError::HeightUnknown { .. })), "{height}");
        }
    });
}

/// What `/health` or `/ready` answers.
async fn probe(address: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The server runs on this one thread, as all clients' calls do.
#[test]
fn a_disk_that_hangs_on_reads_holds_up_those_who_read_and_is_named() {
    actix_rt::System::new().block_on(async {
        let disk = HeldDisk::new("blocks.log");
        let service = Arc::new(service(disk.clone(), 1));
        // Those that the store does not have yet are in memory.
        until(&service, "stored blocks", |service| service.chain.stats().stored_height.0 > 1).await;
        let server = RpcServer::new(service.clone(), Auth::default());
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        actix_rt::spawn(server.serve(listener, std::future::pending()));
        let at = BlockAt::Height(Height(1));
        let id = service.block(at).await.unwrap().block.id();
        assert!(probe(address, "/ready").await.starts_with("HTTP/1.1 200"));
        disk.hold(HeldOperations::Reads);
        let reading = actix_rt::spawn({
            let service = service.clone();
            async move { service.block(at).await.err() }
        });
        tokio::task::yield_now().await;
        assert!(probe(address, "/health").await.starts_with("HTTP/1.1 200"), "answered beside the read");
        assert_eq!(reading.await.unwrap(), Some(RpcError::DiskSilent { silent: READ_TIME }));
        let ready = probe(address, "/ready").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("the disk of the data folder"), "{ready}");
        assert!(metrics_of(&service).contains("timed_node_trouble{reason=\"disk_silent\"} 1"));
        // Whoever else reads the log; in the end no place is left, and none is waited for.
        for _ in 0..4 {
            assert!(matches!(service.block(BlockAt::Id(id)).await, Err(RpcError::DiskSilent { .. })));
        }
        assert!(matches!(service.masternodes().await, Err(RpcError::DiskSilent { .. })));
        assert!(matches!(service.balance(None).await, Err(RpcError::DiskSilent { .. })), "all reads share the places");
        assert!(service.blockchain_info().await.is_ok() && service.network_info().await.is_ok());
        disk.hold(HeldOperations::Nothing);
        until(&service, "it answers again", |service| service.troubles().is_empty()).await;
        assert_eq!(service.block_id(Height(1)).await, Ok(id));
        assert!(probe(address, "/ready").await.starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn a_validator_without_a_quorum_says_so() {
    actix_rt::System::new().block_on(async {
        let service = service(HeldDisk::new("nothing"), 4);
        until(&service, "no quorum", |service| {
            service
                .troubles()
                .iter()
                .any(|trouble| matches!(trouble, Trouble::NoQuorum { line } if line.contains("1 of 4")))
        })
        .await;
        assert!(service.troubles().iter().all(|trouble| trouble.severity() < Severity::Dead));
    });
}

/// Four validators over TCP, of which three say that it is later than the first one thinks.
#[test]
fn a_node_whose_clock_is_wrong_says_so_until_it_is_set() {
    actix_rt::System::new().block_on(async {
        let disk = HeldDisk::new("nothing");
        let clock = SetClock::ahead(0);
        let listener = TcpTransport.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let first = ConfiguredPeer {
            address: listener.local_addr().unwrap().to_string(),
            key: Some(SecretKey::development("node", 1).public()),
            is_validator: true,
        };
        let service = node(1, disk.clone(), 4, clock.clone(), Some(listener), Vec::new());
        let others: Vec<_> = (2..=4)
            .map(|id| node(id, HeldDisk::new("nothing"), 4, SetClock::ahead(2_500), None, vec![first.clone()]))
            .collect();
        let line = |service: &Service| {
            service.troubles().into_iter().find_map(|trouble| match trouble {
                Trouble::ClockOff { line } => Some(line),
                _ => None,
            })
        };
        until(&service, "our clock is wrong", |service| line(service).is_some()).await;
        let text = line(&service).unwrap();
        // A round trip's error this way or that.
        let is_near = text.contains("is 2.4 s behind") || text.contains("is 2.5 s behind");
        assert!(is_near && text.contains("the other validators': set it"), "{text}");
        assert!(service.warnings().contains(&text), "{:?}", service.warnings());
        let metrics = metrics_of(&service);
        assert!(metrics.contains("timed_node_trouble{reason=\"clock_off\"} 1\n"), "{metrics}");
        assert!(metrics.contains("timed_node_ready 0\n"), "{metrics}");
        assert!(service.troubles().iter().all(|trouble| trouble.severity() < Severity::Dead));
        // Nobody else is a quorum with others, so that nobody else knows whose clock it is.
        assert!(others.iter().all(|other| line(other).is_none()));
        clock.1.store(2_500, Ordering::Relaxed);
        until(&service, "it is set", |service| line(service).is_none()).await;
    });
}

#[test]
fn what_sync_and_consensus_publish_becomes_troubles() {
    let off = SigningStatus::Off { reason: timed_consensus::SigningOff::JournalFull { height: Height(7) }, passed: 0 };
    let found = timed_consensus::TwinFound { statement: None, brought_by: None, other: None };
    let twin = SigningStatus::Off { reason: timed_consensus::SigningOff::Twin(found), passed: 0 };
    let behind = Trouble::Behind { tip: Height(3), target: Height(9) };
    let no_quorum = Trouble::NoQuorum { line: "no quorum".into() };
    let signing_off = Trouble::SigningOff { reason: off.to_string() };
    let status = |quorum_line: Option<&str>, signing| Some((quorum_line.map(str::to_owned), signing));
    let cases = [
        (None, None, true, vec![Trouble::Starting]),
        (None, status(None, SigningStatus::On), true, vec![]),
        (Some((Height(3), Height(9))), status(None, SigningStatus::On), true, vec![behind]),
        (None, status(Some("no quorum"), SigningStatus::On), true, vec![no_quorum]),
        (None, status(None, off), true, vec![signing_off]),
        (None, status(None, twin), true, vec![Trouble::Twin { line: twin.to_string() }]),
        // Its key is no masternode's yet.
        (None, status(None, SigningStatus::NotValidator), true, vec![]),
        // An observer need not sign.
        (None, status(None, off), false, vec![]),
    ];
    for (sync, consensus, is_validator, expected) in cases {
        assert_eq!(troubles::of_chain(sync, consensus, is_validator), expected);
    }
}

#[test]
fn what_threads_notice_is_shown_once_and_goes() {
    let noticed = Noticed::default();
    noticed.set(Trouble::LogDropped { lines: 1, refusal: None });
    noticed.set(Trouble::LogDropped { lines: 2, refusal: None });
    noticed.set(Trouble::FewFiles { allowed: 1, needed: 2 });
    assert_eq!(
        noticed.all(),
        [Trouble::LogDropped { lines: 2, refusal: None }, Trouble::FewFiles { allowed: 1, needed: 2 }]
    );
    noticed.clear("log_dropped");
    assert_eq!(noticed.all(), [Trouble::FewFiles { allowed: 1, needed: 2 }]);
}

/// The pool knows what a payment pays, also one that spends what is not in a block yet, so nobody has to look it up beforehand.
#[test]
fn a_fee_that_nobody_means_is_refused_before_a_signature_is_checked() {
    actix_rt::System::new().block_on(async {
        // No quorum, so nothing leaves the pool.
        let service = service(HeldDisk::new("nothing"), 4);
        let genesis = Genesis::devnet(4);
        let owner = SecretKey::development("wallet", 0);
        let (previous, coin) = genesis.unspent().find(|(_, output)| output.lock == lock_of(&owner)).unwrap();
        let parent = payment(&genesis, previous, coin.amount.minus(Amount(10_000)).unwrap());
        let kept = parent.body.outputs[0].amount;
        let outpoint = OutPoint { txid: parent.id(), index: 0 };
        let dear = payment(&genesis, outpoint, kept.minus(Amount::whole(1)).unwrap());
        let mut unsigned = dear.clone();
        unsigned.witnesses[0].first_signature_mut().unwrap().0[5] ^= 1;
        let limit = Some(Amount::whole(1));
        assert_eq!(service.submit(parent.clone(), limit).await, Ok(parent.id()));
        let size = dear.size_bytes() as u64;
        let max = Amount((Amount::ONE.0 * size).div_ceil(1_000));
        let refused = RpcError::FeeAboveMaximum { fee: Amount::ONE, max, rate_max: Amount::ONE };
        assert_eq!(service.submit(unsigned, limit).await, Err(refused.clone()));
        assert_eq!(service.submit(dear.clone(), limit).await, Err(refused));
        let test = async |limit| service.test_mempool_accept(vec![dear.clone()], limit).await.unwrap().remove(0);
        let row = test(limit).await;
        assert!((row.allowed, row.fee) == (false, None), "{row:?}");
        assert!(row.reject_reason.unwrap().starts_with("max-fee-exceeded: transaction refused: it pays a fee of 1."));
        assert!(test(None).await.allowed);
        assert_eq!(service.submit(dear.clone(), None).await, Ok(dear.id()));
    });
}

/// What waits in the pool spends outputs of the chain and its own, and both are shown as spent by whom.
#[test]
fn what_waits_in_the_pool_is_shown_as_spent_by_it() {
    actix_rt::System::new().block_on(async {
        // No quorum, so nothing leaves the pool.
        let service = service(HeldDisk::new("nothing"), 4);
        let genesis = Genesis::devnet(4);
        let owner = SecretKey::development("wallet", 0);
        let (previous, coin) = genesis.unspent().find(|(_, output)| output.lock == lock_of(&owner)).unwrap();
        let parent = payment(&genesis, previous, coin.amount.minus(Amount(10_000)).unwrap());
        let outpoint = OutPoint { txid: parent.id(), index: 0 };
        let child = payment(&genesis, outpoint, parent.body.outputs[0].amount.minus(Amount(10_000)).unwrap());
        for transaction in [&parent, &child] {
            assert_eq!(service.submit(transaction.clone(), None).await, Ok(transaction.id()));
        }
        let address = timed_ledger::Address { network: genesis.network, key_hash: KeyHash::of(&owner.public()) };
        let rows = service.unspent(vec![address]).await.unwrap();
        let spent_by = |outpoint: OutPoint| rows.iter().find(|row| row.outpoint == outpoint).unwrap().spent_by;
        assert_eq!(spent_by(previous), Some(parent.id()));
        assert_eq!(spent_by(outpoint), Some(child.id()));
        assert_eq!(spent_by(OutPoint { txid: child.id(), index: 0 }), None);
    });
}

/// What the last process appended may be in the system's memory only, and with nothing that waits this one does not write the file.
#[test]
fn what_is_found_in_the_mempools_file_is_synced_soon() {
    actix_rt::System::new().block_on(async {
        let (disk, genesis) = (HeldDisk::new("nothing"), Genesis::devnet(4));
        let length = |disk: &MemoryDisk| disk.open(POOL_FILE).unwrap().len().unwrap();
        let (limits, parse) = (timed_mempool::PoolLimits::default(), |_| panic!("nothing waits"));
        let (mut last, _) = PoolFile::open(disk.clone(), genesis.hash(), &limits, &parse);
        last.rewrite(std::iter::empty()).unwrap();
        let loss = Loss {
            txid: timed_primitives::TxId(timed_primitives::Hash([1; 32])),
            reason: LossReason::Evicted,
            at: SystemClock::start().unix(),
        };
        last.append(&[KeptRecord::Lost(loss)]).unwrap();
        drop(last);
        let all = length(&disk.files);
        assert!(length(&disk.files.copy_of_durable()) < all);
        let service = service(disk.clone(), 4);
        until(&service, "a sync", |_| length(&disk.files.copy_of_durable()) == all).await;
    });
}

fn lock_of(key: &SecretKey) -> Lock {
    Lock::KeyHash(KeyHash::of(&key.public()))
}

fn payment(genesis: &Genesis, previous: OutPoint, amount: Amount) -> Transaction {
    let owner = SecretKey::development("wallet", 0);
    let outputs = vec![TxOutput { amount, lock: lock_of(&owner) }];
    TransactionBody::transfer(genesis.chain_id, vec![TxInput { previous }], outputs).sign(&[&owner])
}
