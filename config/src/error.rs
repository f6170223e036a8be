//! What is wrong with a configuration, and what to do about it.

use std::path::PathBuf;
use timed_primitives::NetworkError;

/// Why there is no configuration. Each text names the key and where it was set, as [`SettingOrigin`](crate::SettingOrigin) says it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named on the command line cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not valid TOML: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        source: toml::de::Error,
    },
    /// A key that does not exist, or does not in this network's preset.
    #[error("unknown key `{key}` ({origin}){}", nearest_text(nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it is set.
        origin: String,
        /// The known key that is closest.
        nearest: Option<String>,
    },
    /// A value of the wrong type, or that does not parse.
    #[error("`{key}` = {value} ({origin}): {reason}")]
    Value {
        /// The key.
        key: String,
        /// What it is set to.
        value: String,
        /// Where it is set.
        origin: String,
        /// What was expected.
        reason: String,
    },
    /// A key that must be set and is not.
    #[error("`{key}` is not set: set it in the configuration file or as {variable}")]
    Missing {
        /// The key.
        key: String,
        /// The environment variable that sets it.
        variable: String,
    },
    /// The network's name is none.
    #[error("`network` ({origin}): {source}")]
    Network {
        /// Where it is set.
        origin: String,
        /// Which names there are.
        source: NetworkError,
    },
    /// The values do not fit each other.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The layers do not go on top of each other, for a reason that none of the above names.
    #[error("the configuration cannot be put together: {0}")]
    Layers(config::ConfigError),
}

fn nearest_text(nearest: Option<&str>) -> String {
    nearest.map(|key| format!(", did you mean `{key}`?")).unwrap_or_default()
}

/// A value out of bounds, or values that do not fit each other: each text says which to change, and to what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A number outside its bounds.
    #[error("`{key}` is {value}: choose a value from {min} to {max}")]
    Bounds {
        /// The key.
        key: &'static str,
        /// What it is.
        value: String,
        /// The least.
        min: String,
        /// The most.
        max: String,
    },
    /// Development identity outside a devnet.
    #[error("`{0}` is for devnets only: remove it, or set `network = \"devnet\"`")]
    DevnetOnly(&'static str),
    /// A devnet node without a number and without key files.
    #[error("a devnet node needs `node.id` (1 is the first), because its keys follow from it")]
    NodeIdMissing,
    /// A path that names nothing.
    #[error("`{0}` is empty: write a path, or remove the key")]
    EmptyPath(&'static str),
    /// Both servers on one port.
    #[error("`p2p.port` and `rpc.port` are both {0}: choose two different ports")]
    SamePort(u16),
    /// RPC reachable from elsewhere without a password.
    #[error(
        "`rpc.listen` is {0}, reachable from other machines: set `rpc.user` and `rpc.password` (16 characters or more), or listen on 127.0.0.1"
    )]
    RpcOpen(std::net::IpAddr),
    /// Half a credential.
    #[error("`rpc.user` and `rpc.password` go together: set both or neither")]
    HalfCredential,
    /// A name that HTTP's basic authentication cannot carry.
    #[error("`rpc.user` may not contain a colon, nor be empty or `__cookie__`: choose another name")]
    User,
    /// A password that is found by trying.
    #[error("`rpc.password` has {0} characters: use 16 or more, `openssl rand -hex 16` makes some")]
    WeakPassword(usize),
    /// Known keys on a public address.
    #[error(
        "`p2p.listen` is {0}, but anybody can compute the keys of development node {1}: listen on 127.0.0.1, or allow it with --dev-public-keys-ok (`node.dev_public_keys_ok = true`)"
    )]
    DevelopmentKeysOpen(std::net::IpAddr, u64),
    /// Not an address to dial.
    #[error(
        "`{key}` has {value:?}: write host:port, such as 192.0.2.7:7000 or node.example.org:7000 ([2001:db8::7]:7000 for IPv6)"
    )]
    HostPort {
        /// The key.
        key: &'static str,
        /// The text.
        value: String,
    },
    /// An address at which nobody can be reached.
    #[error("`{key}` has {value:?}, where nobody can be reached ({kind}): {advice}")]
    Unreachable {
        /// The key.
        key: &'static str,
        /// The text.
        value: String,
        /// What kind of address it is.
        kind: &'static str,
        /// What to write instead.
        advice: &'static str,
    },
    /// Not the name of a host.
    #[error(
        "`rpc.hosts` has {0:?}: write the bare name under which clients ask, such as node.example.org, without scheme, port or path; * alone stands for every name"
    )]
    HostName(String),
    /// Not a level of the log.
    #[error(
        "`log.level` has {0:?}: use error, warn, info, debug or trace, or directives such as \"info,heartbeat=debug\""
    )]
    LogLevel(String),
}
