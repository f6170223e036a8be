//! The flags that say how to run a node.

use clap::{Args, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;

/// What to do with a configuration.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ConfigAction {
    /// Say whether a node would start with it, and if not, which key is wrong.
    Check,
    /// Show every key, its value and where that came from.
    Print,
}

/// Flags of one node. A flag wins over the environment (TIMED__P2P__PORT), which wins over the file, which wins over the preset.
#[derive(Clone, Debug, Default, Args)]
pub struct NodeArgs {
    /// Development node: 1..N have fixed keys and vote, a higher id observes.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub node_id: Option<u64>,
    /// How many development nodes vote [default: 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub dev_nodes: Option<u64>,
    /// Port for other nodes [default: 6999 + node id].
    #[arg(long, value_name = "PORT")]
    pub p2p_port: Option<u16>,
    /// Address to accept other nodes on [default: 127.0.0.1].
    #[arg(long, value_name = "IP")]
    pub p2p_listen: Option<IpAddr>,
    /// A node to connect to; repeatable; replaces the default peers.
    #[arg(long = "peer", value_name = "HOST:PORT")]
    pub peers: Vec<String>,
    /// Port for clients, on loopback [default: 7099 + node id].
    #[arg(long, value_name = "PORT")]
    pub rpc_port: Option<u16>,
    /// Folder for everything the node keeps [default: ~/.timed/devnet-GENESIS/node-ID].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to log: a level, or directives such as info,heartbeat=debug.
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Allow development keys, which anybody can compute, on an address that others reach.
    #[arg(long)]
    pub dev_public_keys_ok: bool,
    /// End when standard input ends: how localnet's nodes notice that their parent is gone.
    #[arg(long, hide = true)]
    pub exit_with_stdin: bool,
}
