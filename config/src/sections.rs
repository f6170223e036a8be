//! Every setting, typed, with its unit and bounds.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use timed_primitives::{Network, PublicKey};

/// First port for peers of a devnet: node `id` has this plus id − 1.
pub const DEVNET_P2P_PORT: u16 = 7000;
/// First port for RPC of a devnet: node `id` has this plus id − 1.
pub const DEVNET_RPC_PORT: u16 = 7100;
/// Most development nodes, so that the ports for peers end where those for RPC begin.
pub const DEVNET_NODES_MAX: u64 = 100;

/// Every setting of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which preset lies underneath, and which genesis when no file names one.
    pub network: Network,
    /// Identity and files.
    pub node: NodeSection,
    /// Connections to other nodes.
    pub p2p: P2pSection,
    /// Where clients ask.
    pub rpc: RpcSection,
    /// Voting. Nothing here can weaken a quorum.
    pub consensus: ConsensusSection,
    /// Transactions that wait.
    pub mempool: MempoolSection,
    /// What is written down.
    pub log: LogSection,
}

/// Identity and files (`[node]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSection {
    /// Number of a development node, devnets only. Bound: 1 to [`DEVNET_NODES_MAX`].
    pub id: Option<u64>,
    /// How many development nodes validate, devnets only. Bound: 1 to [`DEVNET_NODES_MAX`].
    pub dev_nodes: u64,
    /// Lets a node with development keys listen beyond this machine, devnets only.
    pub dev_public_keys_ok: bool,
    /// Folder of this node; see [`Config::data_dir`] for the default.
    pub data_dir: Option<PathBuf>,
    /// Genesis file; without it the network's own.
    pub genesis: Option<PathBuf>,
    /// File of the key by which peers know this node.
    pub node_key: Option<PathBuf>,
    /// File of the key that votes.
    pub consensus_key: Option<PathBuf>,
    /// File of the key that owns money.
    pub wallet_key: Option<PathBuf>,
}

/// Connections to other nodes (`[p2p]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct P2pSection {
    /// Address on which peers may connect.
    pub listen: IpAddr,
    /// Its port; 0 lets the system choose.
    pub port: u16,
    /// Peers that are always dialled, as host:port. Bound: 1,000.
    pub peers: Vec<String>,
    /// Address that others learn, as host:port.
    pub external: Option<String>,
    /// Node keys that alone may be peers; empty: anybody may. Bound: 1,000.
    pub allowed: BTreeSet<PublicKey>,
    /// Most connections that others made. Bound: 1 to 1,000.
    pub inbound_max: u32,
    /// Most connections that we make. Bound: 1 to 1,000.
    pub outbound_max: u32,
}

/// Where clients ask (`[rpc]`).
#[derive(Clone, PartialEq, Eq)]
pub struct RpcSection {
    /// Address of the server. Beyond this machine it needs user and password.
    pub listen: IpAddr,
    /// Its port; 0 lets the system choose.
    pub port: u16,
    /// Name beside the cookie file.
    pub user: Option<String>,
    /// Password for that name. Bound: at least 16 characters.
    pub password: Option<String>,
    /// Host names under which requests are answered, beside localhost and IP addresses.
    pub hosts: Vec<String>,
    /// Most calls in progress. Bound: 1 to 1,000; above it calls are answered "busy".
    pub calls_max: u32,
}

/// Shows all but the password.
impl std::fmt::Debug for RpcSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { listen, port, user, password, hosts, calls_max } = self;
        f.debug_struct("RpcSection")
            .field("listen", listen)
            .field("port", port)
            .field("user", user)
            .field("password", &password.as_ref().map(|_| "…"))
            .field("hosts", hosts)
            .field("calls_max", calls_max)
            .finish()
    }
}

/// Voting (`[consensus]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsensusSection {
    /// Whether to vote when this node's consensus key is in the validator set.
    pub sign: bool,
}

/// Transactions that wait (`[mempool]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MempoolSection {
    /// Most transactions. Bound: 1 to 1,000,000.
    pub transactions_max: usize,
    /// Most bytes of them. Bound: 1 MiB to 4 GiB.
    pub bytes_max: u64,
    /// How long one may wait. Bound: 1 minute to 30 days.
    pub expiry: Duration,
}

/// What is written down (`[log]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSection {
    /// A level, or directives such as `info,heartbeat=debug`.
    pub level: String,
    /// For whom.
    pub format: LogFormat,
}

/// For whom the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people: one line each.
    Text,
    /// For programs: one JSON object per line.
    Json,
}

impl Config {
    /// Where peers connect.
    pub const fn p2p_address(&self) -> SocketAddr {
        SocketAddr::new(self.p2p.listen, self.p2p.port)
    }

    /// Where clients ask.
    pub const fn rpc_address(&self) -> SocketAddr {
        SocketAddr::new(self.rpc.listen, self.rpc.port)
    }

    /// The node's folder: the configured one, or `~/.timed/<network>-<prefix>[/node-<id>]`, so that a chain with another genesis
    /// never meets old data. `genesis_prefix` is the start of the genesis hash in hex. `None` without a home folder.
    pub fn data_dir(&self, genesis_prefix: &str) -> Option<PathBuf> {
        if let Some(dir) = &self.node.data_dir {
            return Some(dir.clone());
        }
        let chain = default_root()?.join(format!("{}-{genesis_prefix}", self.network));
        Some(match self.node.id {
            Some(id) => chain.join(format!("node-{id}")),
            None => chain,
        })
    }
}

/// The folder above all default data folders: `~/.timed`. `None` without a home folder.
pub fn default_root() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home != Path::new("")).map(|home| home.join(".timed"))
}
