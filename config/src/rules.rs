//! Bounds of single values and rules between them.

use crate::error::RuleError;
use crate::{Config, DEVNET_NODES_MAX, Rpc};
use std::fmt::Display;
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
        self.validate_identity()?;
        within("p2p.inbound_max", self.p2p.inbound_max, 1..=1_000)?;
        within("p2p.outbound_max", self.p2p.outbound_max, 1..=1_000)?;
        within("p2p.peers", self.p2p.peers.len(), 0..=1_000)?;
        for peer in &self.p2p.peers {
            host_port("p2p.peers", peer)?;
        }
        within("p2p.allowed", self.p2p.allowed.len(), 0..=1_000)?;
        if let Some(external) = &self.p2p.external {
            host_port("p2p.external", external)?;
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

impl Rpc {
    fn validate(&self) -> Result<(), RuleError> {
        within("rpc.calls_max", self.calls_max, 1..=1_000)?;
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

/// `host:port` with a port above 0; an IPv6 host stands in brackets.
fn host_port(key: &'static str, value: &str) -> Result<(), RuleError> {
    let is_host = |host: &str| match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.len() <= 253
                && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
        }
    };
    match value.rsplit_once(':') {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|p| p > 0) => Ok(()),
        _ => Err(RuleError::HostPort { key, value: value.chars().take(80).collect() }),
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
