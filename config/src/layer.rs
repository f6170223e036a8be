//! Layers of settings: flat tables of keys, each value with its origin. Later layers win key by key.

use crate::error::ConfigError;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use timed_primitives::Network;
use toml::{Table, Value};

/// Who set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingOrigin {
    /// The preset of a network.
    Preset(Network),
    /// A default that follows from the number of a development node.
    NodeId(u64),
    /// The configuration file.
    File(PathBuf),
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
            Self::File(path) => write!(f, "in {}", path.display()),
            Self::Environment(variable) => write!(f, "from {variable}"),
            Self::Flag => f.write_str("from a flag"),
        }
    }
}

/// One value and who set it.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) value: Value,
    pub(crate) origin: SettingOrigin,
}

/// All settings by key (`p2p.port`), and which of them were read.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    values: BTreeMap<String, Setting>,
    known: RefCell<BTreeSet<&'static str>>,
}

/// The environment variable of a key.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', SEPARATOR).to_uppercase())
}

const PREFIX: &str = "TIMED__";
const SEPARATOR: &str = "__";

impl Settings {
    /// Puts one value over what is there.
    pub(crate) fn set(&mut self, key: impl Into<String>, value: impl Into<Value>, origin: SettingOrigin) {
        self.values.insert(key.into(), Setting { value: value.into(), origin });
    }

    /// Puts a whole table over what is there.
    pub(crate) fn overlay(&mut self, table: Table, origin: &SettingOrigin) {
        self.overlay_under("", table, origin);
    }

    fn overlay_under(&mut self, prefix: &str, table: Table, origin: &SettingOrigin) {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            match value {
                // An empty section stays visible as a key, so that a misspelt one is refused even when it holds nothing.
                Value::Table(table) if !table.is_empty() => self.overlay_under(&format!("{key}."), table, origin),
                Value::Table(_) if SECTIONS.contains(&key.as_str()) => {}
                value => self.set(key, value, origin.clone()),
            }
        }
    }

    /// Puts a file's text over what is there. A relative path in it counts from the file's own folder, wherever the program was started.
    pub(crate) fn overlay_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table = text.parse().map_err(|source| ConfigError::Syntax { path: path.to_owned(), source })?;
        self.overlay(table, &SettingOrigin::File(path.to_owned()));
        let folder = path.parent().unwrap_or(Path::new(""));
        for key in PATHS {
            // An empty one names nothing, not the file's own folder.
            if let Some(Setting { value: Value::String(named), .. }) = self.values.get_mut(key)
                && !named.is_empty()
            {
                // An absolute path stays as it is.
                *named = folder.join(&*named).to_string_lossy().into_owned();
            }
        }
        Ok(())
    }

    /// Puts the variables that begin with `TIMED__` over what is there; others are not ours.
    pub(crate) fn overlay_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        for (variable, text) in environment {
            if let Some(rest) = variable.strip_prefix(PREFIX) {
                let key = rest.to_lowercase().replace(SEPARATOR, ".");
                self.set(key, text, SettingOrigin::Environment(variable));
            }
        }
    }

    /// The setting of a key, which thereby is known to exist.
    pub(crate) fn find(&self, key: &'static str) -> Option<&Setting> {
        self.known.borrow_mut().insert(key);
        self.values.get(key)
    }

    /// The value of a key that may be absent.
    pub(crate) fn option<T: DeserializeOwned>(&self, key: &'static str) -> Result<Option<T>, ConfigError> {
        let Some(setting) = self.find(key) else { return Ok(None) };
        read(setting).map(Some).map_err(|reason| ConfigError::Value {
            key: key.into(),
            value: if key.contains("password") { "…".into() } else { setting.value.to_string() },
            origin: setting.origin.clone(),
            reason,
        })
    }

    /// The value of a key that every preset sets.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &'static str) -> Result<T, ConfigError> {
        self.option(key)?.ok_or_else(|| ConfigError::Missing { key: key.into(), variable: variable(key) })
    }

    /// Refuses keys that nobody asked for. To be called after all were read.
    pub(crate) fn refuse_unknown(&self) -> Result<(), ConfigError> {
        let known = self.known.borrow();
        match self.values.iter().find(|(key, _)| !known.contains(key.as_str())) {
            None => Ok(()),
            Some((key, setting)) => Err(ConfigError::UnknownKey {
                key: key.clone(),
                origin: setting.origin.clone(),
                nearest: nearest(key, known.iter().copied()),
            }),
        }
    }

    /// Every setting, in order of key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Setting)> {
        self.values.iter()
    }
}

/// Sections of the file.
const SECTIONS: [&str; 6] = ["node", "p2p", "rpc", "consensus", "mempool", "log"];

/// Keys that name a file or a folder.
const PATHS: [&str; 5] = ["node.data_dir", "node.genesis", "node.node_key", "node.consensus_key", "node.wallet_key"];

/// Reads a value. Text from the environment stands for any type: it is taken as text, then as a TOML value, then as a list with
/// commas between.
fn read<T: DeserializeOwned>(setting: &Setting) -> Result<T, String> {
    let as_written = setting.value.clone().try_into::<T>();
    let (Err(error), SettingOrigin::Environment(_), Value::String(text)) =
        (&as_written, &setting.origin, &setting.value)
    else {
        return as_written.map_err(|error| message(&error));
    };
    if let Ok(table) = format!("x = {text}").parse::<Table>()
        && let Some(value) = table.get("x")
    {
        return value.clone().try_into().map_err(|error| message(&error));
    }
    let list = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Value::Array(list.map(|item| Value::String(item.into())).collect()).try_into().map_err(|_| message(error))
}

fn message(error: &toml::de::Error) -> String {
    error.message().trim().to_owned()
}

/// The candidate that is fewest edits away, when it is near enough to be what was meant.
fn nearest<'a>(key: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    candidates
        .map(|candidate| {
            let moved = last(candidate) == last(key);
            (if moved { 1 } else { edits(key, candidate) }, candidate)
        })
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len() / 3)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Edit distance (Levenshtein, one row). Keys are short; a longer text is cut, since it is no near miss anyway.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(80).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(80).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX);
            let best = (diagonal + usize::from(x != *y)).min(left + 1).min(above + 1);
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            diagonal = above;
            left = best;
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}
