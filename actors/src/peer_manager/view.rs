//! What onlookers see: published, so that nobody has to ask.

use super::{HandshakeCounts, PeerManager, PeerTotals};
use crate::peer::{PeerSnapshot, PostMortem};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use timed_peer::{Ban, Direction, EndReason, Heartbeat, Rtt, Twin};
use timed_primitives::{Instant, PublicKey, UnixTime};

/// Every peer, dial target, ban and recent end.
#[derive(Clone, Debug, Default)]
pub struct PeersView {
    /// Where we accept connections.
    pub listening: Option<SocketAddr>,
    /// Peers that are up, by key.
    pub peers: Vec<PeerSnapshot>,
    /// Addresses that are dialled when their peer is not connected.
    pub targets: Vec<TargetSnapshot>,
    /// Bans in force.
    pub bans: Vec<Ban>,
    /// Ended sessions and dials, oldest first. Bound: 256.
    pub ended: Vec<Arc<PostMortem>>,
    /// Node keys that two live nodes use, the newest report first. Bound: 16.
    pub twins: Vec<Twin>,
    /// Sums over all sessions since the start.
    pub totals: PeerTotals,
    /// Those who connected to us and are no peers yet.
    pub handshakes: HandshakeCounts,
    /// The median of the validators' clocks, by power, minus ours; `None` while fewer than a quorum are measured. Unit: milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Whether our own clock is the one that is wrong: see [`timed_peer::OwnClock`].
    pub is_clock_off: bool,
}

impl PeersView {
    /// Peers that dialled us, or that we dialled.
    pub fn count(&self, direction: Direction) -> usize {
        self.peers.iter().filter(|p| p.direction == direction).count()
    }

    /// The last end of a session with this peer: why it is not here.
    pub fn why(&self, key: &PublicKey) -> Option<&PostMortem> {
        self.ended.iter().rev().find(|p| p.key.as_ref() == Some(key)).map(|p| &**p)
    }
}

/// An address that is dialled when its peer is not connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSnapshot {
    /// `host:port`.
    pub address: String,
    /// Whether the operator named it.
    pub is_configured: bool,
    /// The node key found there last.
    pub key: Option<PublicKey>,
    /// Failures since the last session that was stable.
    pub failures: u32,
    /// Not dialled before.
    pub due: Instant,
    /// Whether a dial is under way.
    pub is_dialling: bool,
    /// How the last session or dial ended, and when.
    pub last_end: Option<(Instant, EndReason)>,
}

impl PeerManager {
    pub(super) fn publish(&mut self) {
        let (now, unix) = (self.clock.now(), self.clock.unix());
        self.compare_clocks(now, unix);
        let targets = self.book.targets().map(|t| TargetSnapshot {
            address: t.address.to_owned(),
            is_configured: t.is_configured,
            key: t.key,
            failures: t.failures,
            due: t.due,
            is_dialling: t.is_dialling,
            last_end: t.last_end,
        });
        self.view.send_replace(Arc::new(PeersView {
            listening: self.listening,
            peers: self.up.values().filter_map(|n| self.snapshot(now, unix, *n)).collect(),
            targets: targets.collect(),
            bans: self.misbehaviour.bans(now),
            ended: self.ended.iter().cloned().collect(),
            twins: self.twins.clone(),
            totals: self.totals(),
            handshakes: self.handshakes.counts(),
            clock_offset_ms: self.clocks.median_ms,
            is_clock_off: self.clocks.own.is_off(),
        }));
    }

    fn snapshot(&self, now: Instant, unix: UnixTime, number: u64) -> Option<PeerSnapshot> {
        let session = self.sessions.get(&number)?;
        let up = session.up()?;
        let stats = session.stats.lock();
        // There is none yet while the actor hears that its peer is up.
        let heartbeat = stats.heartbeat.as_ref();
        let rtt = heartbeat.map(Heartbeat::rtt);
        let deadline = timed_peer::heartbeat::deadline(up.info.interval);
        // The present silence counts as soon as it is the longest.
        let silence = heartbeat.map_or(Duration::ZERO, |h| h.longest_silence().max(now.since(h.last_life())));
        let address = up.info.address(session.observed.ip()).unwrap_or_else(|| session.observed.to_string());
        Some(PeerSnapshot {
            key: session.key,
            session: number,
            address,
            observed: session.observed,
            direction: session.direction,
            ping_time: rtt.and_then(Rtt::last),
            min_ping: rtt.and_then(Rtt::min),
            srtt: rtt.and_then(Rtt::srtt),
            rttvar: rtt.and_then(Rtt::rttvar),
            longest_silence: silence.min(deadline),
            deadline,
            ping_wait: heartbeat.and_then(Heartbeat::unanswered_since).map(|sent| now.since(sent)),
            last_sent: stats.last_sent,
            penalty: self.misbehaviour.points(now, &session.key),
            received: stats.tally.received.clone(),
            sent: stats.tally.sent.clone(),
            dropped: stats.tally.dropped,
            connected_since: up.since,
            last_received: stats.last_received,
            useful_at: self.book.session(&session.key).and_then(|session| session.useful_at),
            agent: up.info.agent.clone(),
            height: stats.height,
            clock_offset_ms: stats.clock.offset_ms(now, unix),
            validator: up.info.validator,
            instance: up.info.instance,
            interval: up.info.interval,
            queued_bytes: session.outbound.queued_bytes(),
            queue_age: session.outbound.queue_age(now),
            dropped_outbound: session.outbound.dropped(),
        })
    }
}
