//! Writes the heartbeat lines that operators read. Their text comes from the crate of peers; level and fields are decided here, in one place.

use timed_peer::{Direction, HeartbeatLine};

/// Log target of the heartbeat lines.
pub const HEARTBEAT_TARGET: &str = "heartbeat";

/// How loud the heartbeat is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeartbeatLevel {
    /// On a devnet, where people watch it.
    Info,
    /// Elsewhere.
    #[default]
    Debug,
}

/// The fields of a line.
struct Fields<'a> {
    event: &'static str,
    direction: Direction,
    address: &'a str,
    nonce: Option<u64>,
    rtt_ms: Option<f64>,
}

impl<'a> Fields<'a> {
    fn of(line: &HeartbeatLine<'a>) -> Self {
        let (event, direction, address, nonce, rtt_ms) = match *line {
            HeartbeatLine::PingSent { direction, address, nonce } => {
                ("ping_sent", direction, address, Some(nonce), None)
            }
            HeartbeatLine::PongReceived { direction, address, nonce } => {
                ("pong_received", direction, address, Some(nonce), None)
            }
            HeartbeatLine::PongMatches { direction, address, nonce, rtt } => {
                ("pong_matches", direction, address, Some(nonce), Some(rtt.as_secs_f64() * 1000.0))
            }
            HeartbeatLine::PongSent { direction, address, nonce } => {
                ("pong_sent", direction, address, Some(nonce), None)
            }
            HeartbeatLine::PingTimeout { direction, address, silent: _ } => {
                ("ping_timeout", direction, address, None, None)
            }
        };
        Self { event, direction, address, nonce, rtt_ms }
    }
}

/// Writes one line, with its parts as fields.
pub fn log_heartbeat(level: HeartbeatLevel, line: &HeartbeatLine<'_>) {
    let Fields { event, direction, address, nonce, rtt_ms } = Fields::of(line);
    let direction = direction.name();
    // The level of an event is fixed where it is written, hence two.
    match level {
        HeartbeatLevel::Info => {
            tracing::info!(target: HEARTBEAT_TARGET, event, direction, addr = address, nonce, rtt_ms, "{line}");
        }
        HeartbeatLevel::Debug => {
            tracing::debug!(target: HEARTBEAT_TARGET, event, direction, addr = address, nonce, rtt_ms, "{line}");
        }
    }
}
