//! Bounds of single values and rules between them.

use crate::error::RuleError;
use crate::sections::{Config, DEVNET_NODES_MAX, NodeSection, RpcSection};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;
use timed_primitives::Network;

/// Shortest password. At a million guesses a second, 16 random hex digits last half a million years.
const PASSWORD_CHARS_MIN: usize = 16;

impl Config {
    /// Checks every bound and every rule between keys. [`crate::load`] has done so.
    ///
    /// # Errors
    /// The first [`RuleError`], which says what to change.
    pub fn validate(&self) -> Result<(), RuleError> {
        self.node.validate_paths()?;
        self.validate_identity()?;
        within("p2p.inbound_max", self.p2p.inbound_max, 1..=1_000)?;
        within("p2p.outbound_max", self.p2p.outbound_max, 1..=1_000)?;
        within("p2p.peers", self.p2p.peers.len(), 0..=1_000)?;
        for peer in &self.p2p.peers {
            host_port("p2p.peers", peer, "write the address or name of the peer itself")?;
        }
        within("p2p.allowed", self.p2p.allowed.len(), 0..=1_000)?;
        if let Some(external) = &self.p2p.external {
            host_port("p2p.external", external, "write the address or name under which other nodes reach this one")?;
        }
        for (key, listen) in [("p2p.listen", self.p2p.listen), ("rpc.listen", self.rpc.listen)] {
            if let Some(kind) = unreachable(listen).filter(|kind| *kind != UNSPECIFIED) {
                let advice = "write 127.0.0.1, 0.0.0.0 or an address of this machine";
                return Err(RuleError::Unreachable { key, value: listen.to_string(), kind, advice });
            }
        }
        if self.p2p.port == self.rpc.port && self.p2p.port != 0 {
            return Err(RuleError::SamePort(self.p2p.port));
        }
        self.rpc.validate()?;
        within("mempool.transactions_max", self.mempool.transactions_max, 1..=1_000_000)?;
        within("mempool.bytes_max", self.mempool.bytes_max, 1 << 20..=4 << 30)?;
        let expiry = self.mempool.expiry;
        if !(Duration::from_secs(60)..=Duration::from_secs(30 * 86_400)).contains(&expiry) {
            let value = format!("{} s", expiry.as_secs());
            return Err(RuleError::Bounds { key: "mempool.expiry", value, min: "1m".into(), max: "30d".into() });
        }
        log_level(&self.log.level)
    }

    fn validate_identity(&self) -> Result<(), RuleError> {
        let node = &self.node;
        if self.network != Network::Devnet {
            return match node {
                node if node.id.is_some() => Err(RuleError::DevnetOnly("node.id")),
                node if node.dev_nodes != 0 => Err(RuleError::DevnetOnly("node.dev_nodes")),
                node if node.dev_public_keys_ok => Err(RuleError::DevnetOnly("node.dev_public_keys_ok")),
                _ => Ok(()),
            };
        }
        within("node.dev_nodes", node.dev_nodes, 1..=DEVNET_NODES_MAX)?;
        let id = node.id.ok_or(RuleError::NodeIdMissing)?;
        within("node.id", id, 1..=DEVNET_NODES_MAX)?;
        // A key file of one's own is no development key, whatever the number says.
        let has_own_keys = node.node_key.is_some() && node.consensus_key.is_some();
        if !self.p2p.listen.is_loopback() && !node.dev_public_keys_ok && !has_own_keys {
            return Err(RuleError::DevelopmentKeysOpen(self.p2p.listen, id));
        }
        Ok(())
    }
}

impl NodeSection {
    /// An empty text, such as a variable that a script forgot to set, is no path: the current folder is not meant.
    fn validate_paths(&self) -> Result<(), RuleError> {
        let Self { data_dir, genesis, node_key, consensus_key, wallet_key, .. } = self;
        let all = [
            ("node.data_dir", data_dir),
            ("node.genesis", genesis),
            ("node.node_key", node_key),
            ("node.consensus_key", consensus_key),
            ("node.wallet_key", wallet_key),
        ];
        let empty = all.iter().find(|(_, path)| path.as_ref().is_some_and(|path| path.as_os_str().is_empty()));
        empty.map_or(Ok(()), |(key, _)| Err(RuleError::EmptyPath(key)))
    }
}

impl RpcSection {
    fn validate(&self) -> Result<(), RuleError> {
        within("rpc.calls_max", self.calls_max, 1..=1_000)?;
        within("rpc.hosts", self.hosts.len(), 0..=100)?;
        for host in &self.hosts {
            let is_ip = host.parse::<IpAddr>().is_ok();
            if host != "*" && !is_ip && !is_host_name(host) {
                return Err(RuleError::HostName(host.chars().take(80).collect()));
            }
        }
        match (&self.user, &self.password) {
            (Some(user), _) if user.is_empty() || user.contains(':') || user == "__cookie__" => Err(RuleError::User),
            (Some(_), Some(password)) if password.chars().count() < PASSWORD_CHARS_MIN => {
                Err(RuleError::WeakPassword(password.chars().count()))
            }
            (Some(_), Some(_)) => Ok(()),
            (None, None) if self.listen.is_loopback() => Ok(()),
            (None, None) => Err(RuleError::RpcOpen(self.listen)),
            (Some(_), None) | (None, Some(_)) => Err(RuleError::HalfCredential),
        }
    }
}

fn within<T: PartialOrd + Display>(key: &'static str, value: T, bounds: RangeInclusive<T>) -> Result<(), RuleError> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let (min, max) = bounds.into_inner();
    Err(RuleError::Bounds { key, value: value.to_string(), min: min.to_string(), max: max.to_string() })
}

/// `host:port` with a port above 0, at which somebody can be; an IPv6 host stands in brackets.
fn host_port(key: &'static str, value: &str, advice: &'static str) -> Result<(), RuleError> {
    let shown = || value.chars().take(80).collect();
    let form = || RuleError::HostPort { key, value: shown() };
    let (host, port) = value.rsplit_once(':').ok_or_else(form)?;
    let is_port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let ip = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inner) => Some(IpAddr::V6(inner.parse().map_err(|_| form())?)),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    };
    if !is_port || (ip.is_none() && !is_host_name(host)) {
        return Err(form());
    }
    match ip.and_then(unreachable) {
        Some(kind) => Err(RuleError::Unreachable { key, value: shown(), kind, advice }),
        None => Ok(()),
    }
}

/// A name of the domain name system (RFC 1123, and the underscore that container engines use). A last part of digits is an address that is
/// none, such as 1.2.3.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    name.len() <= 253 && name.split('.').all(is_label) && !name.rsplit('.').next().is_some_and(is_number)
}

const UNSPECIFIED: &str = "unspecified";

/// The kind of an address at which nobody can be reached.
fn unreachable(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        ip if ip.is_unspecified() => Some(UNSPECIFIED),
        ip if ip.is_multicast() => Some("multicast"),
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some("broadcast"),
        _ => None,
    }
}

/// A level, or `target=level` directives, with commas between.
fn log_level(text: &str) -> Result<(), RuleError> {
    let is_level = |level: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&level);
    let is_directive = |directive: &str| match directive.trim().rsplit_once('=') {
        Some((target, level)) => !target.is_empty() && is_level(level),
        None => is_level(directive.trim()),
    };
    if text.split(',').all(is_directive) { Ok(()) } else { Err(RuleError::LogLevel(text.chars().take(80).collect())) }
}
