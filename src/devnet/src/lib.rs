//! Networks for development: several nodes on this machine as processes ([`localnet`], [`local_nodes`]), and test networks with keys of their
//! own, written for containers or processes ([`testnet`]).
//!
//! Knows: the daemon's command line, ports and folders of this machine. Must not know: how a node is wired; it is a program that is started.

pub mod local_nodes;
pub mod localnet;
pub mod testnet;

use std::time::Duration;

/// A time on the command line: seconds, or a number with a unit.
///
/// # Errors
/// What was expected instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text).map_err(|e| format!("{e}; expected a time such as 60s or 10m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse() {
        assert_eq!(parse_duration("60"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert!(parse_duration("soon").is_err());
    }
}
