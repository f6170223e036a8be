//! What is done to the node.

use clap::ValueEnum;

/// Full blocks of a node that is asked for blocks: more than its lane for blocks holds.
const BLOCKS: u32 = 16;
/// Most attackers that are peers: a node of a devnet has 64 inbound places, and other peers have up to 32.
const NEVER_READ_MAX: u16 = 32;
/// What is done to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum HostileScenario {
    /// Nothing: newcomers and peers alone.
    Quiet,
    /// Connections that never send a byte.
    HalfOpen,
    /// A byte of a TLS hello every 300 ms.
    SlowDrip,
    /// Connections that are closed at once.
    ConnectClose,
    /// A recorded TLS hello, closed when the node has answered it: the node computes, the attackers do not.
    RecordedHello,
    /// TLS completed with a new key, and then nothing.
    MuteTls,
    /// Peers, 32 at most, that ask for full blocks again and again and read nothing.
    NeverReads,
}

impl HostileScenario {
    /// Full blocks that the node has.
    pub(super) const fn blocks(self) -> Option<u32> {
        match self {
            Self::NeverReads => Some(BLOCKS),
            _ => None,
        }
    }

    /// How many of so many attackers take part.
    pub(super) fn attackers(self, all: u16) -> u16 {
        match self {
            Self::NeverReads => all.min(NEVER_READ_MAX),
            _ => all,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::HalfOpen => "half-open",
            Self::SlowDrip => "slow-drip",
            Self::ConnectClose => "connect-close",
            Self::RecordedHello => "recorded-hello",
            Self::MuteTls => "mute-tls",
            Self::NeverReads => "never-reads",
        }
    }
}
