//! Puts the layers on top of each other.

use crate::error::ConfigError;
use crate::layer::{SettingOrigin, Settings};
use crate::{
    Config, ConsensusSection, DEVNET_NODES_MAX, DEVNET_P2P_PORT, DEVNET_RPC_PORT, LogSection, MempoolSection,
    NodeSection, P2pSection, RpcSection,
};
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use timed_primitives::{KeyError, Network, PublicKey};
use toml::Value;

/// What flags set. The default sets nothing.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "each field is the key of the same name")]
pub struct Overrides {
    pub network: Option<Network>,
    pub node_id: Option<u64>,
    pub dev_nodes: Option<u64>,
    pub dev_public_keys_ok: Option<bool>,
    pub data_dir: Option<PathBuf>,
    pub genesis: Option<PathBuf>,
    pub p2p_listen: Option<IpAddr>,
    pub p2p_port: Option<u16>,
    /// Replaces the peers of the layers below, when there are any.
    pub peers: Vec<String>,
    pub external: Option<String>,
    pub rpc_listen: Option<IpAddr>,
    pub rpc_port: Option<u16>,
    pub sign: Option<bool>,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
}

/// A configuration and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values, validated.
    pub config: Config,
    /// Every key that is set, in order: its value as TOML and its origin. The password is hidden.
    pub settings: Vec<(String, String, SettingOrigin)>,
}

impl Loaded {
    /// All settings as TOML, each with its origin: for `timed config print`.
    pub fn print(&self) -> String {
        let width = self.settings.iter().map(|(key, value, _)| key.len() + value.len() + 3).max().unwrap_or_default();
        self.settings
            .iter()
            .map(|(key, value, origin)| format!("{:<width$}  # {origin}\n", format!("{key} = {value}")))
            .collect()
    }
}

/// Loads preset, file, environment and flags, in rising order, and validates the result.
///
/// `environment` is usually `std::env::vars()`; variables that do not begin with `TIMED__` are left alone.
///
/// # Errors
/// [`ConfigError`], naming the key and who set it.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Loaded, ConfigError> {
    let read = |path: &Path| read_bounded(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source });
    let text = file.map(read).transpose()?;
    load_text(file.zip(text.as_deref()), environment, overrides)
}

/// Longest configuration file. Unit: bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let text = format!("it is longer than {FILE_BYTES_MAX} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, text));
    }
    Ok(text)
}

/// As [`load`], with the name and the text of a file that was read already.
///
/// # Errors
/// As [`load`].
pub fn load_text(
    file: Option<(&Path, &str)>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Loaded, ConfigError> {
    let mut above = Settings::default();
    if let Some((path, text)) = file {
        above.overlay_file(path, text)?;
    }
    above.overlay_environment(environment);
    overrides.overlay(&mut above);

    let network = match above.find("network") {
        None => Network::Devnet,
        Some(setting) => match &setting.value {
            Value::String(name) => {
                name.parse().map_err(|source| ConfigError::Network { origin: setting.origin.clone(), source })?
            }
            _ => above.get("network").map(|name: String| name.parse()).and_then(|parsed| {
                parsed.map_err(|source| ConfigError::Network { origin: setting.origin.clone(), source })
            })?,
        },
    };

    let mut settings = Settings::default();
    settings.overlay(preset(network), &SettingOrigin::Preset(network));
    if network == Network::Devnet {
        let id = above.option("node.id")?.map_or_else(|| settings.option("node.id"), |id: u64| Ok(Some(id)))?;
        let nodes = above.option("node.dev_nodes")?.map_or_else(|| settings.get("node.dev_nodes"), Ok)?;
        if let Some(id) = id {
            development_defaults(&mut settings, id, nodes);
        }
    }
    for (key, setting) in above.iter() {
        settings.set(key.clone(), setting.value.clone(), setting.origin.clone());
    }
    let config = read(&settings, network)?;
    settings.refuse_unknown()?;
    config.validate()?;
    let hidden = |key: &str, value: &Value| if key == "rpc.password" { "\"…\"".into() } else { value.to_string() };
    let settings = settings.iter().map(|(k, s)| (k.clone(), hidden(k, &s.value), s.origin.clone())).collect();
    Ok(Loaded { config, settings })
}

/// The preset of a network.
pub(crate) fn preset(network: Network) -> toml::Table {
    let text = match network {
        Network::Devnet => include_str!("../presets/devnet.toml"),
        Network::Testnet => include_str!("../presets/testnet.toml"),
        Network::Mainnet => include_str!("../presets/mainnet.toml"),
    };
    text.parse().expect("presets are part of the program and parsed by its tests")
}

/// What follows from the number of a development node. Numbers out of bounds set nothing; validation refuses them.
fn development_defaults(settings: &mut Settings, id: u64, nodes: u64) {
    let offset = |id: u64| id.checked_sub(1).filter(|n| *n < DEVNET_NODES_MAX).and_then(|n| u16::try_from(n).ok());
    let Some(own) = offset(id) else { return };
    let origin = SettingOrigin::NodeId(id);
    settings.set("p2p.port", i64::from(DEVNET_P2P_PORT + own), origin.clone());
    settings.set("rpc.port", i64::from(DEVNET_RPC_PORT + own), origin.clone());
    let others = (1..=nodes.min(DEVNET_NODES_MAX)).filter(|other| *other != id).filter_map(offset);
    let peers = others.map(|n| Value::String(format!("127.0.0.1:{}", DEVNET_P2P_PORT + n))).collect();
    settings.set("p2p.peers", Value::Array(peers), origin);
}

impl Overrides {
    fn overlay(&self, settings: &mut Settings) {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                settings.set(key, value, SettingOrigin::Flag);
            }
        };
        let number = |n: u64| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        set("network", self.network.map(|n| n.name().into()));
        set("node.id", self.node_id.map(number));
        set("node.dev_nodes", self.dev_nodes.map(number));
        set("node.dev_public_keys_ok", self.dev_public_keys_ok.map(Value::from));
        set("node.data_dir", self.data_dir.as_ref().map(text).map(Value::from));
        set("node.genesis", self.genesis.as_ref().map(text).map(Value::from));
        set("p2p.listen", self.p2p_listen.map(|ip| ip.to_string().into()));
        set("p2p.port", self.p2p_port.map(|p| i64::from(p).into()));
        set("p2p.peers", (!self.peers.is_empty()).then(|| self.peers.clone().into()));
        set("p2p.external", self.external.clone().map(Value::from));
        set("rpc.listen", self.rpc_listen.map(|ip| ip.to_string().into()));
        set("rpc.port", self.rpc_port.map(|p| i64::from(p).into()));
        set("consensus.sign", self.sign.map(Value::from));
        set("log.level", self.log_level.clone().map(Value::from));
        set("log.format", self.log_format.clone().map(Value::from));
    }
}

/// A duration as people write it.
#[derive(serde::Deserialize)]
struct Human(#[serde(with = "humantime_serde")] Duration);

/// A node key as `time-cli getnetworkinfo` shows it.
#[derive(serde::Deserialize)]
#[serde(try_from = "String")]
struct NodeKey(PublicKey);

impl TryFrom<String> for NodeKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse().map(Self)
    }
}

fn read(settings: &Settings, network: Network) -> Result<Config, ConfigError> {
    let s = settings;
    // Known to every network; its value was read before the preset could be chosen.
    s.get::<String>("network")?;
    Ok(Config {
        network,
        node: NodeSection {
            id: s.option("node.id")?,
            dev_nodes: s.option("node.dev_nodes")?.unwrap_or_default(),
            dev_public_keys_ok: s.option("node.dev_public_keys_ok")?.unwrap_or_default(),
            data_dir: s.option("node.data_dir")?,
            genesis: s.option("node.genesis")?,
            node_key: s.option("node.node_key")?,
            consensus_key: s.option("node.consensus_key")?,
            wallet_key: s.option("node.wallet_key")?,
        },
        p2p: P2pSection {
            listen: s.get("p2p.listen")?,
            port: s.get("p2p.port")?,
            peers: s.get("p2p.peers")?,
            external: s.option("p2p.external")?,
            allowed: s.get::<Vec<NodeKey>>("p2p.allowed")?.into_iter().map(|key| key.0).collect(),
            inbound_max: s.get("p2p.inbound_max")?,
            outbound_max: s.get("p2p.outbound_max")?,
        },
        rpc: RpcSection {
            listen: s.get("rpc.listen")?,
            port: s.get("rpc.port")?,
            user: s.option("rpc.user")?,
            password: s.option("rpc.password")?,
            hosts: s.get("rpc.hosts")?,
            calls_max: s.get("rpc.calls_max")?,
        },
        consensus: ConsensusSection { sign: s.get("consensus.sign")? },
        mempool: MempoolSection {
            transactions_max: s.get("mempool.transactions_max")?,
            bytes_max: s.get("mempool.bytes_max")?,
            expiry: s.get::<Human>("mempool.expiry")?.0,
        },
        log: LogSection { level: s.get("log.level")?, format: s.get("log.format")? },
    })
}
