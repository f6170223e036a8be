//! Layers of settings: values by key (`p2p.port`), each with its origin. The crate `config` puts them on top of each other.
//!
//! Beside that crate stand three small pieces, for what it does not do: each value of a file knows its line ([`lines`]), a key that does not
//! exist is refused before it can hide under another layer ([`SettingsLayer::set`]), and a value is taken for what it is ([`Settings::option`]):
//! 2.7 is no port, and 1 is not true.

use crate::error::ConfigError;
use config::{Environment, File, FileFormat, Map, Source, Value, ValueKind};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use timed_primitives::Network;
use toml::de::DeTable;

/// Who set a value. Its text is the value's origin in every layer, error and listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingOrigin {
    /// The preset of a network.
    Preset(Network),
    /// A default that follows from the number of a development node.
    NodeId(u64),
    /// The configuration file.
    File {
        /// Which one.
        path: PathBuf,
        /// The line that sets it, from 1.
        line: usize,
    },
    /// This environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset(network) => write!(f, "preset {network}"),
            Self::NodeId(id) => write!(f, "default of development node {id}"),
            Self::File { path, line } => write!(f, "in {}, line {line}", path.display()),
            Self::Environment(variable) => write!(f, "from {variable}"),
            Self::Flag => f.write_str("from a flag"),
        }
    }
}

/// Every key there is. A test holds that each is read.
pub(crate) const KEYS: [&str; 28] = [
    "network",
    "node.id",
    "node.dev_nodes",
    "node.dev_public_keys_ok",
    "node.data_dir",
    "node.genesis",
    "node.node_key",
    "node.consensus_key",
    "node.wallet_key",
    "p2p.listen",
    "p2p.port",
    "p2p.peers",
    "p2p.external",
    "p2p.allowed",
    "p2p.inbound_max",
    "p2p.outbound_max",
    "rpc.listen",
    "rpc.port",
    "rpc.user",
    "rpc.password",
    "rpc.hosts",
    "rpc.calls_max",
    "consensus.sign",
    "mempool.transactions_max",
    "mempool.bytes_max",
    "mempool.expiry",
    "log.level",
    "log.format",
];

/// Keys that name a file or a folder.
const PATHS: [&str; 5] = ["node.data_dir", "node.genesis", "node.node_key", "node.consensus_key", "node.wallet_key"];

const PREFIX: &str = "TIMED";
const SEPARATOR: &str = "__";
/// How our variables begin. The crate would take lower case too.
const VARIABLES: &str = "TIMED__";

/// The environment variable of a key.
pub(crate) fn variable(key: &str) -> String {
    format!("{VARIABLES}{}", key.replace('.', SEPARATOR).to_uppercase())
}

/// One layer. Later layers win key by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingsLayer(Map<String, Value>);

impl Source for SettingsLayer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

impl SettingsLayer {
    /// Sets a key.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`], with the nearest key that there is.
    pub(crate) fn set(
        &mut self,
        key: &str,
        kind: impl Into<ValueKind>,
        origin: &SettingOrigin,
    ) -> Result<(), ConfigError> {
        let origin = origin.to_string();
        if !KEYS.contains(&key) {
            return Err(ConfigError::UnknownKey { key: key.into(), origin, nearest: nearest(key) });
        }
        self.0.insert(key.into(), Value::new(Some(&origin), kind));
        Ok(())
    }

    /// The preset of a network.
    pub(crate) fn preset(network: Network) -> Result<Self, ConfigError> {
        let text = match network {
            Network::Devnet => include_str!("../presets/devnet.toml"),
            Network::Testnet => include_str!("../presets/testnet.toml"),
            Network::Mainnet => include_str!("../presets/mainnet.toml"),
        };
        let table = File::from_str(text, FileFormat::Toml).collect().map_err(ConfigError::Layers)?;
        let mut layer = Self::default();
        layer.set_all("", table, &|_| SettingOrigin::Preset(network))?;
        Ok(layer)
    }

    /// A file's text. A relative path in it counts from the file's own folder, wherever the program was started.
    pub(crate) fn file(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let syntax = |source| ConfigError::Syntax { path: path.to_owned(), source };
        let lines = lines(text).map_err(syntax)?;
        // The crate does not say where a number is that is too large; the parser below it does.
        let table = File::from_str(text, FileFormat::Toml)
            .collect()
            .map_err(|error| text.parse::<toml::Table>().map_or_else(syntax, |_| ConfigError::Layers(error)))?;
        let mut layer = Self::default();
        let origin =
            |key: &str| SettingOrigin::File { path: path.to_owned(), line: lines.get(key).copied().unwrap_or(1) };
        layer.set_all("", table, &origin)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for key in PATHS {
            // An empty one names nothing, not the file's own folder.
            if let Some(Value { kind: ValueKind::String(named), .. }) = layer.0.get_mut(key)
                && !named.is_empty()
            {
                // An absolute path stays as it is.
                *named = folder.join(&*named).to_string_lossy().into_owned();
            }
        }
        Ok(layer)
    }

    fn set_all(
        &mut self,
        prefix: &str,
        table: Map<String, Value>,
        origin: &dyn Fn(&str) -> SettingOrigin,
    ) -> Result<(), ConfigError> {
        // In order of key, so that of several unknown ones always the same is named.
        for (name, value) in BTreeMap::from_iter(table) {
            let key = format!("{prefix}{name}");
            match value.kind {
                // An empty section stays visible as a key, so that a misspelt one is refused even when it holds nothing.
                ValueKind::Table(table) if !table.is_empty() => self.set_all(&format!("{key}."), table, origin)?,
                ValueKind::Table(_) if is_section(&key) => {}
                kind => {
                    let origin = origin(&key);
                    self.set(&key, kind, &origin)?;
                }
            }
        }
        Ok(())
    }

    /// The variables that begin with `TIMED__`; others are not ours.
    pub(crate) fn environment(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut layer = Self::default();
        for (variable, text) in variables.into_iter().filter(|(variable, _)| variable.starts_with(VARIABLES)) {
            // One at a time, because the crate's origin for all of them is "the environment", and an operator wants the name.
            let one = Map::from([(variable.clone(), text)]);
            let one = Environment::with_prefix(PREFIX).separator(SEPARATOR).source(Some(one)).collect();
            for (key, value) in one.map_err(ConfigError::Layers)? {
                layer.set(&key, value.kind, &SettingOrigin::Environment(variable.clone()))?;
            }
        }
        Ok(layer)
    }
}

/// In which line of a file each key is set, from 1.
fn lines(text: &str) -> Result<BTreeMap<String, usize>, toml::de::Error> {
    fn walk(prefix: &str, table: &DeTable<'_>, ends: &[usize], lines: &mut BTreeMap<String, usize>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            if let Some(table) = value.get_ref().as_table() {
                walk(&format!("{key}."), table, ends, lines);
            }
            lines.insert(key, 1 + ends.partition_point(|end| *end < name.span().start));
        }
    }
    let ends: Vec<usize> =
        text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(place, _)| place).collect();
    let mut lines = BTreeMap::new();
    walk("", DeTable::parse(text)?.get_ref(), &ends, &mut lines);
    Ok(lines)
}

/// The layers put together.
#[derive(Debug)]
pub(crate) struct Settings(config::Config);

impl Settings {
    /// Puts the layers on top of each other, the last one above all.
    pub(crate) fn of(layers: impl IntoIterator<Item = SettingsLayer>) -> Result<Self, ConfigError> {
        let builder = layers.into_iter().fold(config::Config::builder(), |builder, layer| builder.add_source(layer));
        builder.build().map(Self).map_err(ConfigError::Layers)
    }

    /// The value of a key, when it is set.
    pub(crate) fn find(&self, key: &str) -> Option<&Value> {
        key.split('.').try_fold(&self.0.cache, |value, name| match &value.kind {
            ValueKind::Table(table) => table.get(name),
            _ => None,
        })
    }

    /// The value of a key that may be absent, of exactly the type that is wanted.
    pub(crate) fn option<T: DeserializeOwned>(&self, key: &'static str) -> Result<Option<T>, ConfigError> {
        debug_assert!(KEYS.contains(&key), "{key} is no key");
        let Some(value) = self.find(key) else { return Ok(None) };
        read(value).map(Some).map_err(|reason| ConfigError::Value {
            key: key.into(),
            value: if key.contains("password") { "…".into() } else { as_toml(value).to_string() },
            origin: origin(value).into(),
            reason,
        })
    }

    /// The value of a key that every preset sets.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &'static str) -> Result<T, ConfigError> {
        self.option(key)?.ok_or_else(|| ConfigError::Missing { key: key.into(), variable: variable(key) })
    }
}

/// Which layer set a value, in words.
pub(crate) fn origin(value: &Value) -> &str {
    value.origin().unwrap_or_default()
}

/// The value as TOML, for readers and for strict reading.
pub(crate) fn as_toml(value: &Value) -> toml::Value {
    match &value.kind {
        ValueKind::Boolean(value) => (*value).into(),
        ValueKind::I64(number) => (*number).into(),
        ValueKind::Float(number) => (*number).into(),
        ValueKind::String(text) => text.as_str().into(),
        ValueKind::Array(values) => values.iter().map(as_toml).collect::<Vec<_>>().into(),
        ValueKind::Table(table) => {
            toml::Table::from_iter(table.iter().map(|(name, value)| (name.clone(), as_toml(value)))).into()
        }
        // No layer holds another kind: TOML has no others, and flags are made here.
        other => other.to_string().into(),
    }
}

/// Reads a value. Text from the environment stands for any type: it is taken as text, then as a TOML value, then as a list with
/// commas between.
fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    let as_written = as_toml(value).try_into::<T>();
    let is_variable = origin(value).strip_prefix("from ").is_some_and(|name| name.starts_with(VARIABLES));
    let (Err(error), true, ValueKind::String(text)) = (&as_written, is_variable, &value.kind) else {
        return as_written.map_err(|error| message(&error));
    };
    if let Ok(table) = format!("x = {text}").parse::<toml::Table>()
        && let Some(value) = table.get("x")
    {
        return value.clone().try_into().map_err(|error| message(&error));
    }
    let list = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    toml::Value::from(list.collect::<Vec<_>>()).try_into().map_err(|_| message(error))
}

fn message(error: &toml::de::Error) -> String {
    error.message().trim().to_owned()
}

/// Whether keys begin with it.
fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The key that is fewest edits away, when it is near enough to be what was meant. A long text is cut, since it is no near miss anyway.
fn nearest(key: &str) -> Option<String> {
    let short: String = key.chars().take(80).collect();
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    KEYS.into_iter()
        .map(|candidate| {
            let moved = last(candidate) == last(key);
            (if moved { 1 } else { strsim::levenshtein(&short, candidate) }, candidate)
        })
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len() / 3)
        .map(|(_, candidate)| candidate.to_owned())
}
