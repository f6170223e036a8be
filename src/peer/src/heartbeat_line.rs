//! The log lines of the heartbeat, which operators and their scripts read: written here and nowhere else.

use crate::Direction;
use std::fmt;
use std::time::Duration;

/// One line of the heartbeat, as people read it. `address` is the observed IP with the peer's announced port.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeartbeatLine<'a> {
    /// Our ping left.
    PingSent {
        /// Who dialled.
        direction: Direction,
        /// The peer's address.
        address: &'a str,
        /// The ping's.
        nonce: u64,
    },
    /// A pong came in, whatever its nonce.
    PongReceived {
        /// Who dialled.
        direction: Direction,
        /// The peer's address.
        address: &'a str,
        /// The pong's.
        nonce: u64,
    },
    /// The pong answers a ping of ours.
    PongMatches {
        /// Who dialled.
        direction: Direction,
        /// The peer's address.
        address: &'a str,
        /// The ping's.
        nonce: u64,
        /// Round-trip time.
        rtt: Duration,
    },
    /// Our pong left.
    PongSent {
        /// Who dialled.
        direction: Direction,
        /// The peer's address.
        address: &'a str,
        /// The ping's.
        nonce: u64,
    },
    /// The peer is given up: nothing came within the deadline.
    PingTimeout {
        /// Who dialled.
        direction: Direction,
        /// The peer's address.
        address: &'a str,
        /// How long nothing came.
        silent: Duration,
    },
}

/// Direction as the lines show it.
const fn tag(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "[INBOUND]",
        Direction::Outbound => "[OUTBOUND]",
    }
}

impl fmt::Display for HeartbeatLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::PingSent { direction, address, nonce } => {
                write!(f, "📤 {} Sent ping to {address} (nonce: {nonce})", tag(direction))
            }
            Self::PongReceived { direction, address, nonce } => {
                write!(f, "📨 {} Received pong from {address} (nonce: {nonce})", tag(direction))
            }
            Self::PongMatches { direction, address, nonce, rtt } => {
                let rtt_ms = rtt.as_secs_f64() * 1000.0;
                write!(f, "✅ {} Pong matches! {address} (nonce: {nonce}, RTT: {rtt_ms:.1}ms)", tag(direction))
            }
            Self::PongSent { direction, address, nonce } => {
                write!(f, "✅ {} Sent pong to {address} (nonce: {nonce})", tag(direction))
            }
            Self::PingTimeout { direction, address, silent } => {
                let silent_s = silent.as_secs_f64();
                write!(f, "⚠️ Ping timeout {} {address} (silent for {silent_s:.1}s)", tag(direction))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_a_contract() {
        let (direction, address, nonce) = (Direction::Outbound, "127.0.0.1:7001", 12345);
        let rtt = Duration::from_micros(400);
        let lines = [
            HeartbeatLine::PingSent { direction, address, nonce },
            HeartbeatLine::PongReceived { direction, address, nonce },
            HeartbeatLine::PongMatches { direction, address, nonce, rtt },
            HeartbeatLine::PongSent { direction: Direction::Inbound, address: "127.0.0.1:7002", nonce: 678 },
            HeartbeatLine::PingTimeout { direction, address, silent: Duration::from_secs(15) },
        ];
        let golden = [
            "📤 [OUTBOUND] Sent ping to 127.0.0.1:7001 (nonce: 12345)",
            "📨 [OUTBOUND] Received pong from 127.0.0.1:7001 (nonce: 12345)",
            "✅ [OUTBOUND] Pong matches! 127.0.0.1:7001 (nonce: 12345, RTT: 0.4ms)",
            "✅ [INBOUND] Sent pong to 127.0.0.1:7002 (nonce: 678)",
            "⚠️ Ping timeout [OUTBOUND] 127.0.0.1:7001 (silent for 15.0s)",
        ];
        assert_eq!(lines.map(|l| l.to_string()), golden.map(String::from));
    }
}
