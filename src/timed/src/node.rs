//! `timed`: one node, from its command line to its end.

use crate::node_args::{ConfigAction, NodeArgs};
use crate::service_manager::ServiceManager;
use crate::watchdog::Watchdog;
use anyhow::{Context as _, bail};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use rand::{Rng as _, SeedableRng};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timed_actors::peer::HeartbeatLevel;
use timed_actors::peer_manager::{ConfiguredPeer, HANDSHAKES_MAX, PeersConfig};
use timed_actors::transport::{Listener, TcpTransport, Transport as _};
use timed_actors::{
    Component, FatalReason, FatalReporter, Handles, NodeParts, OpenNode, Priority, SystemClock, Threads,
};
use timed_chain::{History as _, tables_of};
use timed_config::{Config, Overrides};
use timed_consensus::TimeoutDefaults;
use timed_consensus::guard::GUARD_FILE;
use timed_consensus::journal::JOURNAL_FILES;
use timed_ledger::{Genesis, PaymentApplication};
use timed_node_files::{Keys, PeerFiles, read_genesis};
use timed_peer::addresses::KeptAddress;
use timed_peer::handshake::COMPACT_BLOCKS;
use timed_peer::heartbeat::wished_interval;
use timed_peer::{Ban, BookConfig, LocalNode};
use timed_primitives::{Clock, Network, PublicKey, SecretKey};
use timed_process::{LogWriter, Stop, StopCause, ThreadError};
use timed_rpc::{Auth, DiskReads, EventLimits, ReadLimits, RpcLimits, RpcServer, Trouble};
use timed_service::{ChainReads, Identity, NodeWallet, Noticed, Service, ServiceParts, WalletSecrets, Wallets};
use timed_store::{DataDir, FjallStore, SyncTimes, WatchedDisk};
use timed_wallet::KdfCost;
use tokio::sync::oneshot;
use tracing::{error, info};
use uuid::Uuid;

/// How long an orderly end may take; then the process ends anyway, which loses nothing final.
const STOP_WITHIN: Duration = Duration::from_secs(3);
/// Files of the store, the logs of the chain, and what else is open at one time beside connections.
const FILES: u64 = 256;
/// Files of the data folder that must stay while the node runs: what it decided and signed.
const KEPT_FILES: [&str; 4] = [timed_chain::BLOCK_LOG_FILE, GUARD_FILE, JOURNAL_FILES[0], JOURNAL_FILES[1]];

/// Runs a node until it is asked to end.
///
/// # Errors
/// When it cannot start, or must not go on.
pub fn run(arguments: &NodeArgs) -> anyhow::Result<()> {
    timed_process::private_files::keep_private();
    let config = timed_config::load(arguments.config.as_deref(), std::env::vars(), &overrides(arguments))?.config;
    // Before anything is opened.
    let needed = files_needed(&config);
    let few_files = timed_process::open_files::raise(needed)?;
    let (stop, logging) = (Stop::default(), timed_process::logging::start(&config.log)?);
    let noticed = Noticed::default();
    if let Some(allowed) = few_files {
        noticed.set_and_log(Trouble::FewFiles { allowed, needed });
    }
    timed_process::signals::watch(stop.clone(), logging.writer())?;
    let end = ProcessEnd { stop, log: logging.writer() };
    let genesis = genesis(&config)?;
    let folder = data_dir(&config, &genesis)?;
    let data = DataDir::open(&folder, genesis.hash())?;
    let keys = Keys::load(&config.node, data.path())?;
    let exit_with_stdin = arguments.exit_with_stdin;
    actix_rt::System::new().block_on(async move {
        let node = RunningNode::open(config, genesis, &data, keys, end, noticed).await?;
        node.run_to_end(data.path(), exit_with_stdin, few_files).await
    })
}

/// `timed config`: nothing is opened or written.
///
/// # Errors
/// The one that would keep a node from starting.
pub fn show_config(action: ConfigAction, arguments: &NodeArgs) -> anyhow::Result<()> {
    let loaded = timed_config::load(arguments.config.as_deref(), std::env::vars(), &overrides(arguments))?;
    let genesis = genesis(&loaded.config)?;
    let shown = match action {
        ConfigAction::Check => {
            Keys::check(&loaded.config.node)?;
            format!("good: {} with genesis {}\n", genesis.network, genesis.hash().short())
        }
        ConfigAction::Print => loaded.print(),
    };
    // A reader that has seen enough (`| head`) is no error.
    let _ = std::io::stdout().write_all(shown.as_bytes());
    Ok(())
}

/// The data folder of the node with these flags. Nothing is opened or written.
///
/// # Errors
/// The one that would keep the node from starting.
pub(crate) fn folder(arguments: &NodeArgs) -> anyhow::Result<PathBuf> {
    let config = timed_config::load(arguments.config.as_deref(), std::env::vars(), &overrides(arguments))?.config;
    data_dir(&config, &genesis(&config)?)
}

fn data_dir(config: &Config, genesis: &Genesis) -> anyhow::Result<PathBuf> {
    let folder = config.data_dir(&genesis.hash().short());
    folder.context("there is no home folder; say where to keep data with --data-dir DIR")
}

fn overrides(arguments: &NodeArgs) -> Overrides {
    Overrides {
        node_id: arguments.node_id,
        dev_nodes: arguments.dev_nodes,
        dev_public_keys_ok: arguments.dev_public_keys_ok.then_some(true),
        data_dir: arguments.data_dir.clone(),
        p2p_listen: arguments.p2p_listen,
        p2p_port: arguments.p2p_port,
        peers: arguments.peers.clone(),
        rpc_port: arguments.rpc_port,
        log_level: arguments.log.clone(),
        ..Overrides::default()
    }
}

fn genesis(config: &Config) -> anyhow::Result<Genesis> {
    if let Some(file) = &config.node.genesis {
        let genesis = read_genesis(file)?;
        if genesis.network != config.network {
            bail!("the genesis file {} is for {}, this node runs {}", file.display(), genesis.network, config.network);
        }
        return Ok(genesis);
    }
    match config.network {
        Network::Devnet => Ok(Genesis::devnet(config.node.dev_nodes)),
        network => {
            bail!("{network} has no genesis in this version: name its file with node.genesis in the configuration")
        }
    }
}

/// An open node, ready to run.
/// Most clients that wait to be accepted. With the 128 of the standard library, some hundred at once wait a second.
const RPC_WAITING_MAX: i32 = 4096;

struct RunningNode {
    handles: Handles,
    service: Arc<Service>,
    rpc_address: SocketAddr,
    rpc_listener: std::net::TcpListener,
    rpc: timed_config::RpcSection,
    end: ProcessEnd,
    fatal: oneshot::Receiver<FatalReason>,
}

/// How the process is asked to end, and where its last lines go.
#[derive(Clone)]
struct ProcessEnd {
    stop: Stop,
    log: LogWriter,
}

impl RunningNode {
    async fn open(
        config: Config,
        genesis: Genesis,
        data: &DataDir,
        keys: Keys,
        end: ProcessEnd,
        noticed: Noticed,
    ) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        // Ports first: a second node on the same machine is refused before anything is opened.
        let listener = bind_p2p(config.p2p_address()).await?;
        let rpc_listener = std::net::TcpListener::bind(config.rpc_address()).with_context(|| {
            format!("cannot listen for clients on {}; choose another port with --rpc-port PORT", config.rpc_address())
        })?;
        // Once more with a longer queue: a burst of connections must not keep a health check waiting for its packet to be sent again.
        socket2::SockRef::from(&rpc_listener).listen(RPC_WAITING_MAX)?;
        rpc_listener.set_nonblocking(true)?;
        let (listen, rpc_address) = (listener.local_addr()?, rpc_listener.local_addr()?);

        let store = Arc::new(open_store(data)?);
        let syncs = SyncTimes::new(clock.clone());
        let disk = WatchedDisk::new(data.disk(), syncs.clone());
        let ledger = timed_ledger::open(genesis.clone(), &disk, store)?;
        let reader = ledger.reader();
        let voting_key = keys.consensus.filter(|_| config.consensus.sign);
        let changes_key = voting_key.clone();
        let validator = voting_key.as_ref().map(SecretKey::public);
        let votes = validator.is_some_and(|key| reader.validators(ledger.tip().height.next()).get(&key).is_some());
        let core = consensus_config(&genesis, voting_key.clone(), &config);
        let height = ledger.tip().height.0;
        let limits = mempool_limits(&config, &genesis);
        let open = OpenNode::open(Box::new(ledger), Arc::new(disk), core, limits)?;
        let own_wallet = Arc::new(NodeWallet::open(data.path(), keys.wallet, &genesis)?);
        let secrets =
            WalletSecrets { fill_random: |bytes| UnwrapErr(SysRng).fill_bytes(bytes), cost: KdfCost::STANDARD };
        let wallets = Arc::new(Wallets::open(data.path(), own_wallet, &genesis, secrets));
        let agent = format!("timed/{}", env!("CARGO_PKG_VERSION"));
        let identity = Identity {
            node_key: keys.node.public(),
            validator,
            listen: listen.to_string(),
            external: config.p2p.external.clone(),
            agent: agent.clone(),
            inbound_max: config.p2p.inbound_max,
            outbound_max: config.p2p.outbound_max,
            labels: labels(&config),
        };
        announce((&config, &genesis, &identity), votes, data.path(), rpc_address, height);
        let local = LocalNode {
            key: keys.node.public(),
            consensus_key: voting_key,
            chain_id: genesis.chain_id,
            genesis: genesis.hash(),
            agent,
            instance: Uuid::from_u128(rand::random()),
            listen_port: listen.port(),
            external: config.p2p.external.clone(),
            height,
            capabilities: COMPACT_BLOCKS,
            ping_interval: wished_interval(validator.is_some()),
        };
        let files = PeerFiles::new(data.path());
        let (bans, earlier_ends) = (files.bans(&*clock)?, files.history()?);
        let known = files.addresses(genesis.chain_id)?.kept;
        let threads = Threads::arbiters().map_err(|source| ThreadError { name: "actors", source })?;
        // This thread serves clients from now on; those that vote have their own.
        Priority::Serving.apply();
        let (fatal, reason) = fatal(end.stop.clone());
        let handles = timed_actors::start(NodeParts {
            application: None,
            peers: peers_config(&config, local, bans.clone(), known),
            node_key: keys.node,
            transport: Arc::new(TcpTransport),
            listener: Some(listener),
            rng: rand::rngs::StdRng::from_seed(rand::random()),
            files: open,
            clock: clock.clone(),
            threads,
            fatal: fatal.clone(),
        })?;
        let watch = data.watch(&KEPT_FILES)?;
        crate::folder_guard::start(watch, handles.pulses.clone(), noticed.clone(), fatal)?;
        let watchdog = Watchdog {
            pulses: handles.pulses.clone(),
            clock: clock.clone(),
            stop: end.stop.clone(),
            log: end.log.clone(),
            folder: data.path().to_owned(),
            noticed: noticed.clone(),
            syncs,
        };
        watchdog.start()?;
        let parts = ServiceParts {
            handles: handles.clone(),
            chain: ChainReads::new(reader, DiskReads::new(ReadLimits::default())),
            identity,
            consensus_key: changes_key,
            wallets,
            clock,
            stop: end.stop.clone(),
            log: end.log.clone(),
            files,
            earlier_ends,
            bans,
            noticed,
        };
        let service = Arc::new(Service::new(parts));
        Ok(Self { handles, service, rpc_address, rpc_listener, rpc: config.rpc, end, fatal: reason })
    }

    async fn run_to_end(self, folder: &Path, exit_with_stdin: bool, few_files: Option<u64>) -> anyhow::Result<()> {
        let cookie = timed_rpc::write_cookie(folder, self.rpc_address)
            .with_context(|| format!("cannot write the clients' cookie into {}", folder.display()))?;
        let mut auth = Auth::default().with_cookie(&cookie);
        if let (Some(user), Some(password)) = (&self.rpc.user, &self.rpc.password) {
            auth = auth.with_password(user, password);
        }
        let limits = RpcLimits { calls_max: usize::try_from(self.rpc.calls_max)?, ..RpcLimits::default() };
        let limits = few_files.map_or(limits.clone(), |allowed| limits.with_few_files(allowed));
        let server = RpcServer::new(self.service.clone(), auth).with_hosts(self.rpc.hosts.clone()).with_limits(limits);
        let server = server.with_long_call_threads(|| Priority::Scanning.apply());
        let server = server.with_events(self.service.clone(), EventLimits::default());
        let (end_rpc, rpc_ended) = oneshot::channel::<()>();
        let (rpc_done, rpc_is_done) = oneshot::channel::<()>();
        let listener = self.rpc_listener;
        let pulses = &self.handles.pulses;
        actix_rt::spawn(pulses.clone().keep_beating(Component::Runtime));
        // A thread of its own: clients never delay a vote.
        let arbiter = actix_rt::Arbiter::try_new().map_err(|source| ThreadError { name: "clients", source })?;
        arbiter.spawn(pulses.clone().keep_beating(Component::Rpc));
        arbiter.spawn(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => server.serve(listener, async { drop(rpc_ended.await) }).await,
                Err(error) => error!(%error, "clients cannot be served"),
            }
            let _ = rpc_done.send(());
        });

        let service = self.service.clone();
        actix_rt::spawn(async move { service.keep_peer_files().await });
        let service = self.service.clone();
        actix_rt::spawn(async move { service.keep_addresses_now_and_then().await });
        let service = self.service.clone();
        actix_rt::spawn(async move { service.watch_own_masternode().await });
        let service = self.service.clone();
        let make_key = || SecretKey::generate(&mut UnwrapErr(rand::rngs::SysRng));
        actix_rt::spawn(async move { service.witness_now_and_then(Arc::new(TcpTransport), make_key).await });

        let (service, pulses, stop) = (self.service.clone(), self.handles.pulses.clone(), self.end.stop.clone());
        ServiceManager { service, pulses, stop }.start()?;

        if exit_with_stdin {
            self.end.stop.clone().ask_when_stdin_ends()?;
        }
        let reason = wait_for_end(&self.end.stop, self.fatal).await;
        // What would be written to a folder that is gone, or to another one in its place, helps nobody.
        let has_folder = reason.as_ref().is_none_or(|reason| reason.component != Component::DataFolder.name());
        if !has_folder {
            self.service.leave_folder();
        }
        let _ = end_rpc.send(());
        let stopped = tokio::time::timeout(STOP_WITHIN, async {
            if has_folder {
                self.handles.stop().await;
            } else {
                self.handles.stop_peers().await;
            }
            let _ = rpc_is_done.await;
        });
        let is_late = stopped.await.is_err();
        if has_folder {
            self.service.save_addresses().await;
            self.service.save_peers().await;
            timed_rpc::remove_cookie(folder);
        }
        info!("stopped");
        match reason {
            Some(FatalReason { component, text }) => bail!("{component}: {text}"),
            None if is_late => {
                let line = crate::watchdog::unfinished(&self.handles.pulses);
                error!("{line}");
                bail!(line)
            }
            None => Ok(()),
        }
    }
}

/// Ready when the node is to end; with the reason when it must.
async fn wait_for_end(stop: &Stop, fatal: oneshot::Receiver<FatalReason>) -> Option<FatalReason> {
    match stop.asked().await {
        StopCause::Signal => info!("stopping: asked by a signal"),
        StopCause::Client => info!("stopping: asked by a client"),
        StopCause::StdinEnded => info!("stopping: standard input has ended"),
        // It was given before the end was asked for.
        StopCause::Fatal => return fatal.await.ok(),
    }
    None
}

/// The first reason given wins.
fn fatal(stop: Stop) -> (FatalReporter, oneshot::Receiver<FatalReason>) {
    let (sender, receiver) = oneshot::channel();
    let sender = Mutex::new(Some(sender));
    let fatal = FatalReporter::new(move |reason| {
        if let Some(sender) = sender.lock().unwrap_or_else(PoisonError::into_inner).take() {
            error!(component = reason.component, "{}", reason.text);
            let _ = sender.send(reason);
            stop.ask(StopCause::Fatal);
        }
    });
    (fatal, receiver)
}

/// Opens the store from a thread of its own, so that the threads which the store makes give way to those that vote.
fn open_store(data: &DataDir) -> anyhow::Result<FjallStore> {
    let opened = std::thread::scope(|scope| {
        let opening = scope.spawn(|| {
            Priority::Background.apply();
            data.open_store(&tables_of::<PaymentApplication>())
        });
        opening.join()
    });
    Ok(opened.map_err(|_| anyhow::anyhow!("opening the store ended by a fault of its own"))??)
}

async fn bind_p2p(address: SocketAddr) -> anyhow::Result<Box<dyn Listener>> {
    TcpTransport
        .bind(address)
        .await
        .with_context(|| format!("cannot listen for nodes on {address}; choose another port with --p2p-port PORT"))
}

/// Files and sockets that may be open at one time.
fn files_needed(config: &Config) -> u64 {
    let connections = HANDSHAKES_MAX + RpcLimits::default().connections_max;
    u64::from(config.p2p.inbound_max) + u64::from(config.p2p.outbound_max) + connections as u64 + FILES
}

fn consensus_config(genesis: &Genesis, key: Option<SecretKey>, config: &Config) -> timed_consensus::CoreConfig {
    let parameters = &genesis.parameters;
    let ms = Duration::from_millis;
    timed_consensus::CoreConfig {
        labels: labels(config),
        min_block_interval: ms(parameters.min_block_interval_ms),
        empty_block_interval: ms(parameters.empty_block_interval_ms),
        timeouts: TimeoutDefaults {
            propose: ms(parameters.propose_timeout_ms),
            prevote: ms(parameters.prevote_timeout_ms),
            precommit: ms(parameters.precommit_timeout_ms),
        },
        block_bytes_max: parameters.block_bytes_max.into(),
        undecided_bytes_max: parameters.undecided_bytes_max,
        ..timed_consensus::CoreConfig::new(genesis.chain_id, key, timed_ledger::PAYLOAD_FORMAT)
    }
}

/// On a devnet validators are known by number.
fn labels(config: &Config) -> BTreeMap<PublicKey, String> {
    if config.network != Network::Devnet {
        return BTreeMap::new();
    }
    let label = |id| (SecretKey::development("consensus", id).public(), format!("node {id}"));
    (1..=config.node.dev_nodes).map(label).collect()
}

fn peers_config(config: &Config, local: LocalNode, banned: Vec<Ban>, known: Vec<KeptAddress>) -> PeersConfig {
    let book = BookConfig {
        inbound_max: usize::try_from(config.p2p.inbound_max).unwrap_or(usize::MAX),
        outbound_max: usize::try_from(config.p2p.outbound_max).unwrap_or(usize::MAX),
        ..BookConfig::new(local.key, local.consensus_key.is_some())
    };
    let is_devnet = config.network == Network::Devnet;
    PeersConfig {
        book,
        configured: config
            .p2p
            .peers
            .iter()
            .map(|address| ConfiguredPeer { address: address.clone(), key: None, is_validator: is_devnet })
            .collect(),
        banned,
        known,
        allowed: Some(&config.p2p.allowed).filter(|allowed| !allowed.is_empty()).cloned(),
        heartbeat_level: if is_devnet { HeartbeatLevel::Info } else { HeartbeatLevel::Debug },
        ..PeersConfig::new(local)
    }
}

fn mempool_limits(config: &Config, genesis: &Genesis) -> timed_mempool::PoolLimits {
    timed_mempool::PoolLimits {
        count_max: config.mempool.transactions_max,
        bytes_max: usize::try_from(config.mempool.bytes_max).unwrap_or(usize::MAX),
        expiry: config.mempool.expiry,
        transaction_bytes_max: usize::try_from(genesis.parameters.transaction_bytes_max).unwrap_or(usize::MAX),
        ..timed_mempool::PoolLimits::default()
    }
}

fn announce(
    (config, genesis, identity): (&Config, &Genesis, &Identity),
    votes: bool,
    folder: &Path,
    rpc: SocketAddr,
    height: u64,
) {
    let role = match (votes, identity.validator) {
        (true, _) => "masternode",
        (false, Some(_)) => "observer, until its consensus key is that of a masternode that votes,",
        (false, None) => "observer",
    };
    let id = config.node.id.map(|id| format!(" {id}")).unwrap_or_default();
    info!(
        "timed {} {role}{id} of {} (chain {}, genesis {}), height {height}, nodes on {}, clients on {rpc}, data in {}",
        env!("CARGO_PKG_VERSION"),
        genesis.network,
        genesis.chain_id,
        genesis.hash().short(),
        identity.listen,
        folder.display()
    );
    if !config.p2p.allowed.is_empty() {
        info!("a private network: only nodes with a key in p2p.allowed ({}) may be peers", config.p2p.allowed.len());
    }
}
