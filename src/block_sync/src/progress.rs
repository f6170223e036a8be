//! How far sync has come, how fast it goes, and why it stands still.

use crate::sync::BlockSync;
use std::fmt;
use std::time::Duration;
use timed_primitives::{Height, Instant, PublicKey};

/// Why sync stands still, in words an operator can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// There is nobody to ask.
    NoPeers,
    /// No connected peer claims the next block.
    NoPeerHas {
        /// The next block.
        height: Height,
        /// How many peers are connected.
        peers: usize,
    },
    /// A peer was asked for the next block and has not delivered it.
    PeerSlow {
        /// The peer.
        peer: PublicKey,
        /// The next block.
        height: Height,
        /// Since when.
        waited: Duration,
    },
    /// Every peer that claims the next block has failed to deliver; asked again soon.
    PeersFailed {
        /// The next block.
        height: Height,
        /// When the first of them is asked again.
        retry_in: Duration,
    },
    /// Blocks were handed on and are not committed: it is our own ledger that is slow.
    Committing {
        /// The next block.
        height: Height,
        /// For how long.
        waited: Duration,
    },
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |waited: &Duration| format!("{:.1} s", waited.as_secs_f64());
        match self {
            Self::NoPeers => write!(f, "no peer is connected"),
            Self::NoPeerHas { height, peers } => write!(f, "no peer has block {height} ({peers} connected)"),
            Self::PeerSlow { peer, height, waited } => {
                write!(f, "peer {} is slow with block {height}, asked {} ago", peer.short(), seconds(waited))
            }
            Self::PeersFailed { height, retry_in } => {
                write!(f, "all peers that claim block {height} failed to deliver it, next try in {}", seconds(retry_in))
            }
            Self::Committing { height, waited } => {
                write!(f, "block {height} is here and waits for the ledger since {}", seconds(waited))
            }
        }
    }
}

/// How far sync has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Our tip.
    pub tip: Height,
    /// Highest height that a trusted claim names; our tip when nobody is ahead.
    pub target: Height,
    /// Whether sync leads.
    pub leads: bool,
    /// Tip of target. Unit: percent, 100 when caught up.
    pub percent: f64,
    /// Measured over the last commits; `None` before two of them.
    pub blocks_per_second: Option<f64>,
    /// Time left at this rate; `None` when it is not known.
    pub remaining: Option<Duration>,
    /// Blocks held.
    pub held: usize,
    /// Bytes held or handed on.
    pub held_bytes: usize,
    /// Blocks asked for.
    pub in_flight: usize,
    /// Peers that reported their height.
    pub peers: usize,
    /// Why it stands still, when it does.
    pub stall: Option<Stall>,
}

impl Progress {
    /// Whether sync leads and what is missing will not be here within `time`, at the rate that was measured.
    pub fn is_behind(&self, time: Duration) -> bool {
        let is_soon = self.stall.is_none() && self.remaining.is_some_and(|remaining| remaining < time);
        self.leads && !is_soon
    }
}

/// Commits older than this do not count for the rate.
const RATE_OVER: Duration = Duration::from_secs(30);

impl<B> BlockSync<B> {
    /// How far sync has come.
    pub fn progress(&self, now: Instant) -> Progress {
        let target = self.peers.values().map(|peer| peer.plausible()).max().unwrap_or_default().max(self.tip);
        let blocks_per_second = self.blocks_per_second(now);
        let left = target.above(self.tip);
        Progress {
            tip: self.tip,
            target,
            leads: self.leads(),
            percent: if left == 0 { 100.0 } else { ratio(self.tip.0, target.0) * 100.0 },
            blocks_per_second,
            remaining: match (left, blocks_per_second) {
                (0, _) => Some(Duration::ZERO),
                (_, Some(rate)) if rate > 0.0 => Duration::try_from_secs_f64(ratio(left, 1) / rate).ok(),
                _ => None,
            },
            held: self.held.len(),
            held_bytes: self.held_bytes + self.batch.as_ref().map_or(0, |batch| batch.bytes),
            in_flight: self
                .pending_requests
                .values()
                .filter(|pending| !pending.is_late)
                .map(|pending| pending.missing.len())
                .sum(),
            peers: self.peers.len(),
            stall: self.stall(now),
        }
    }

    fn blocks_per_second(&self, now: Instant) -> Option<f64> {
        let (first_at, first) = self.commits.iter().find(|(at, _)| now.since(*at) <= RATE_OVER)?;
        let (_, last) = self.commits.back()?;
        let blocks = last.above(*first);
        let elapsed = now.since(*first_at).as_secs_f64();
        (blocks > 0 && elapsed > 0.0).then(|| ratio(blocks, 1) / elapsed)
    }

    /// Why nothing has come for [`crate::SyncLimits::stall_after`] though somebody claims more than we have, or a block is wanted.
    fn stall(&self, now: Instant) -> Option<Stall> {
        let since = self.behind_since.or(self.wanted.map(|_| self.progress_at))?.max(self.progress_at);
        let waited = now.since(since);
        if waited < self.limits.stall_after {
            return None;
        }
        let height = self.tip.next();
        if self.batch.is_some() {
            return Some(Stall::Committing { height, waited });
        }
        if self.peers.is_empty() {
            return Some(Stall::NoPeers);
        }
        let asked = self.pending_requests.values().filter(|pending| pending.missing.contains(&height));
        if let Some(pending) = asked.max_by_key(|pending| (!pending.is_late, pending.sent_at)) {
            return Some(Stall::PeerSlow { peer: pending.peer, height, waited: now.since(pending.sent_at) });
        }
        let able = self.peers.values().filter(|peer| peer.claims(height));
        match able.map(|peer| peer.ask_after).min() {
            None => Some(Stall::NoPeerHas { height, peers: self.peers.len() }),
            Some(at) => Some(Stall::PeersFailed { height, retry_in: at.since(now) }),
        }
    }
}

/// For people only, so rounding is no harm.
#[allow(clippy::cast_precision_loss, clippy::as_conversions, reason = "shown to people, rounded anyway")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_will_be_there_in_a_moment_is_not_behind() {
        let progress = |leads, remaining: Option<u64>, stall| Progress {
            tip: Height(98),
            target: Height(100),
            leads,
            percent: 98.0,
            blocks_per_second: None,
            remaining: remaining.map(Duration::from_millis),
            held: 0,
            held_bytes: 0,
            in_flight: 0,
            peers: 3,
            stall,
        };
        let second = Duration::from_secs(1);
        assert!(!progress(true, Some(100), None).is_behind(second), "two blocks where twenty are decided each second");
        assert!(progress(true, Some(20_000), None).is_behind(second), "two blocks where one is decided in ten seconds");
        assert!(progress(true, Some(1_000), None).is_behind(second));
        assert!(progress(true, None, None).is_behind(second), "nothing is known of the rate");
        assert!(progress(true, Some(100), Some(Stall::NoPeers)).is_behind(second));
        assert!(!progress(false, None, None).is_behind(second), "consensus leads");
    }
}
