//! Puts the layers on top of each other.

use crate::error::ConfigError;
use crate::layer::{KEYS, SettingOrigin, Settings, SettingsLayer, as_toml, origin};
use crate::sections::{
    Config, ConsensusSection, DEVNET_NODES_MAX, DEVNET_P2P_PORT, DEVNET_RPC_PORT, LogSection, MempoolSection,
    NodeSection, P2pSection, RpcSection,
};
use config::ValueKind;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use timed_primitives::{KeyError, Network, PublicKey};

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
    /// Every key that is set, in the order of the presets: its value as TOML and the text of its [`SettingOrigin`]. The password is hidden.
    pub settings: Vec<(String, String, String)>,
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
    let file = file.map(|(path, text)| SettingsLayer::file(path, text)).transpose()?.unwrap_or_default();
    let above = [file, SettingsLayer::environment(environment)?, overrides.layer()?];

    let network = network(&Settings::of(above.clone())?)?;
    let mut layers = vec![SettingsLayer::preset(network)?];
    if network == Network::Devnet {
        let settings = Settings::of(layers.iter().chain(&above).cloned())?;
        if let Some(id) = settings.option("node.id")? {
            layers.push(development_defaults(id, settings.get("node.dev_nodes")?)?);
        }
    }
    layers.extend(above);
    let settings = Settings::of(layers)?;
    let config = read(&settings, network)?;
    config.validate()?;
    let shown = |key: &str, value| if key == "rpc.password" { "\"…\"".into() } else { as_toml(value).to_string() };
    let settings = KEYS.iter().filter_map(|key| settings.find(key).map(|value| (key, value)));
    let settings = settings.map(|(key, value)| ((*key).into(), shown(key, value), origin(value).into())).collect();
    Ok(Loaded { config, settings })
}

/// The network that file, environment or flags name: it decides which preset lies below them.
fn network(above: &Settings) -> Result<Network, ConfigError> {
    let Some(value) = above.find("network") else { return Ok(Network::Devnet) };
    let name: String = above.get("network")?;
    name.parse().map_err(|source| ConfigError::Network { origin: origin(value).into(), source })
}

/// What follows from the number of a development node. Numbers out of bounds set nothing; validation refuses them.
fn development_defaults(id: u64, nodes: u64) -> Result<SettingsLayer, ConfigError> {
    let mut layer = SettingsLayer::default();
    let offset = |id: u64| id.checked_sub(1).filter(|n| *n < DEVNET_NODES_MAX).and_then(|n| u16::try_from(n).ok());
    let Some(own) = offset(id) else { return Ok(layer) };
    let origin = SettingOrigin::NodeId(id);
    layer.set("p2p.port", i64::from(DEVNET_P2P_PORT + own), &origin)?;
    layer.set("rpc.port", i64::from(DEVNET_RPC_PORT + own), &origin)?;
    let others = (1..=nodes.min(DEVNET_NODES_MAX)).filter(|other| *other != id).filter_map(offset);
    let peers: Vec<_> = others.map(|n| format!("127.0.0.1:{}", DEVNET_P2P_PORT + n)).collect();
    layer.set("p2p.peers", peers, &origin)?;
    Ok(layer)
}

impl Overrides {
    fn layer(&self) -> Result<SettingsLayer, ConfigError> {
        let mut layer = SettingsLayer::default();
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let mut set = |key: &str, value: Option<ValueKind>| match value {
            Some(value) => layer.set(key, value, &SettingOrigin::Flag),
            None => Ok(()),
        };
        let number = |n: u64| ValueKind::I64(i64::try_from(n).unwrap_or(i64::MAX));
        let port = |port: u16| i64::from(port).into();
        set("network", self.network.map(|n| n.name().into()))?;
        set("node.id", self.node_id.map(number))?;
        set("node.dev_nodes", self.dev_nodes.map(number))?;
        set("node.dev_public_keys_ok", self.dev_public_keys_ok.map(ValueKind::from))?;
        set("node.data_dir", self.data_dir.as_ref().map(text).map(ValueKind::from))?;
        set("node.genesis", self.genesis.as_ref().map(text).map(ValueKind::from))?;
        set("p2p.listen", self.p2p_listen.map(|ip| ip.to_string().into()))?;
        set("p2p.port", self.p2p_port.map(port))?;
        set("p2p.peers", (!self.peers.is_empty()).then(|| self.peers.clone().into()))?;
        set("p2p.external", self.external.clone().map(ValueKind::from))?;
        set("rpc.listen", self.rpc_listen.map(|ip| ip.to_string().into()))?;
        set("rpc.port", self.rpc_port.map(port))?;
        set("consensus.sign", self.sign.map(ValueKind::from))?;
        set("log.level", self.log_level.clone().map(ValueKind::from))?;
        set("log.format", self.log_format.clone().map(ValueKind::from))?;
        Ok(layer)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A value that no key takes.
    #[test]
    fn every_known_key_is_read() {
        for key in KEYS {
            let text = format!("{key} = [[0]]");
            match load_text(Some((Path::new("timed.toml"), &text)), [], &Overrides::default()) {
                Err(ConfigError::Value { key: refused, .. }) => assert_eq!(refused, key),
                other => panic!("{key} is not read: {other:?}"),
            }
        }
    }
}
