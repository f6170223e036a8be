//! What is known of a session for onlookers, and what remains of it after its end.

use super::inbound_router::InboundChannel;
use crate::times::NodeTimes;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use timed_peer::{ClockOffset, Direction, Heartbeat, SessionEnd};
use timed_primitives::{Instant, PublicKey, UnixTime};
use timed_wire::{FrameError, Incoming, Kind, Lane};
use uuid::Uuid;

/// Last messages remembered of a session, in both directions together.
const LAST_MAX: usize = 16;

/// Messages and bytes of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many.
    pub messages: u64,
    /// Bytes on the wire, headers included, before encryption.
    pub bytes: u64,
}

/// One of the last messages of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastMessage {
    /// When.
    pub at: Instant,
    /// True for messages that we sent.
    pub is_sent: bool,
    /// Which; `None` for kinds we do not know.
    pub kind: Option<Kind>,
    /// Size on the wire.
    pub bytes: usize,
}

/// Messages of a peer that were not handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedMessages {
    /// For consensus: too many waiting.
    pub consensus: u64,
    /// For the mempool: too many waiting.
    pub mempool: u64,
    /// For block sync: too many waiting.
    pub block_sync: u64,
    /// For an application of its own: too many waiting, or nobody listens.
    pub application: u64,
    /// Replies that were not asked for.
    pub unasked: u64,
    /// Of kinds we do not know.
    pub unknown: u64,
    /// Pings beyond the rate that gets pongs.
    pub pings: u64,
}

impl DroppedMessages {
    /// Each count with its name for logs and metric labels.
    pub const fn named(&self) -> [(&'static str, u64); 7] {
        [
            ("consensus", self.consensus),
            ("mempool", self.mempool),
            ("block_sync", self.block_sync),
            ("application", self.application),
            ("unasked", self.unasked),
            ("unknown", self.unknown),
            ("pings", self.pings),
        ]
    }

    /// Those of which too many waited for a channel.
    pub(super) const fn of(&mut self, channel: InboundChannel) -> &mut u64 {
        match channel {
            InboundChannel::Consensus => &mut self.consensus,
            InboundChannel::Mempool => &mut self.mempool,
            InboundChannel::BlockSync => &mut self.block_sync,
            InboundChannel::Application => &mut self.application,
        }
    }

    const fn add(&mut self, other: Self) {
        self.consensus += other.consensus;
        self.mempool += other.mempool;
        self.block_sync += other.block_sync;
        self.application += other.application;
        self.unasked += other.unasked;
        self.unknown += other.unknown;
        self.pings += other.pings;
    }
}

/// What can be added up over sessions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrafficTally {
    /// Bytes and messages received, by kind.
    pub received: BTreeMap<Kind, Traffic>,
    /// Bytes and messages sent, by kind.
    pub sent: BTreeMap<Kind, Traffic>,
    /// What was received and not handled.
    pub dropped: DroppedMessages,
    /// Messages dropped from full lanes of our own.
    pub dropped_outbound: u64,
}

impl TrafficTally {
    /// Counts what another counted.
    pub fn add(&mut self, other: &Self) {
        for (all, more) in [(&mut self.received, &other.received), (&mut self.sent, &other.sent)] {
            for (kind, traffic) in more {
                let sum = all.entry(*kind).or_default();
                sum.messages += traffic.messages;
                sum.bytes += traffic.bytes;
            }
        }
        self.dropped.add(other.dropped);
        self.dropped_outbound += other.dropped_outbound;
    }
}

/// Counters of one session. Kept by its actor and its writer, read by the manager.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionStats {
    pub(crate) tally: TrafficTally,
    /// The node's, not the session's own.
    times: NodeTimes,
    /// Round trips and silence, once the peer is up; the actor feeds it.
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) clock: ClockOffset,
    pub(crate) height: u64,
    /// When something complete last came, pauses of ours or not.
    pub(crate) last_received: Instant,
    pub(crate) last_sent: Instant,
    last: VecDeque<LastMessage>,
}

impl SessionStats {
    /// Frames came: each is life, and each whole message is counted.
    pub(crate) fn on_frames(&mut self, at: Instant, frames: &[Result<Incoming, FrameError>]) {
        for incoming in frames.iter().flatten() {
            self.last_received = at;
            match incoming {
                Incoming::Message { message, bytes } => self.on_received(at, Some(message.kind()), *bytes),
                Incoming::Unknown { bytes, .. } => self.on_received(at, None, *bytes),
                Incoming::Progress { .. } => {}
            }
        }
    }

    /// The peer completed its handshake.
    pub(crate) fn on_hello(&mut self, at: Instant, height: u64, time: UnixTime) {
        self.height = height;
        if time != UnixTime::default() {
            self.clock.on_hello(at, time);
        }
    }

    /// The peer is up: its heartbeat begins.
    pub(super) fn on_up(&mut self, at: Instant, interval: Duration) {
        self.last_received = at;
        self.heartbeat = Some(Heartbeat::new(at, interval));
    }

    /// A ping was answered, and the answer carried the peer's time. Gives the smoothed round trip.
    pub(super) fn on_pong(&mut self, at: Instant, rtt: Duration, time: UnixTime) -> Option<Duration> {
        self.times.round_trips.observe(rtt.as_secs_f64());
        if time != UnixTime::default() {
            self.clock.on_pong(at, rtt, time);
        }
        self.heartbeat.as_ref()?.rtt().srtt()
    }

    fn on_received(&mut self, at: Instant, kind: Option<Kind>, bytes: usize) {
        if let Some(kind) = kind {
            count(self.tally.received.entry(kind).or_default(), bytes);
        }
        self.remember(LastMessage { at, is_sent: false, kind, bytes });
    }

    /// A message left that had been queued then.
    pub(crate) fn on_sent(&mut self, at: Instant, kind: Kind, bytes: usize, queued_at: Instant) {
        count(self.tally.sent.entry(kind).or_default(), bytes);
        let [control, consensus, bulk] = &self.times.waits;
        let waits = match kind.lane() {
            Lane::Control => control,
            Lane::Consensus => consensus,
            Lane::Bulk => bulk,
        };
        waits.observe(at.since(queued_at).as_secs_f64());
        self.last_sent = at;
        self.remember(LastMessage { at, is_sent: true, kind: Some(kind), bytes });
    }

    fn remember(&mut self, message: LastMessage) {
        if self.last.len() == LAST_MAX {
            self.last.pop_front();
        }
        self.last.push_back(message);
    }

    pub(crate) fn last(&self) -> Vec<LastMessage> {
        self.last.iter().copied().collect()
    }
}

fn count(traffic: &mut Traffic, bytes: usize) {
    traffic.messages += 1;
    traffic.bytes += bytes as u64;
}

/// [`SessionStats`] of one session, shared by those that count and those that look.
#[derive(Clone, Debug)]
pub(crate) struct SharedStats(Arc<Mutex<SessionStats>>);

impl SharedStats {
    /// Of a session that begins; how long things take is counted in the node's histograms.
    pub(crate) fn new(times: NodeTimes) -> Self {
        Self(Arc::new(Mutex::new(SessionStats { times, ..SessionStats::default() })))
    }

    /// Locked for a moment; a panic of another holder loses at most one count.
    pub(crate) fn lock(&self) -> MutexGuard<'_, SessionStats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Feeds the heartbeat; `None` before the peer is up.
    pub(super) fn heartbeat<R>(&self, feed: impl FnOnce(&mut Heartbeat) -> R) -> Option<R> {
        self.lock().heartbeat.as_mut().map(feed)
    }
}

/// What onlookers see of a peer that is up.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerSnapshot {
    /// Its node key.
    pub key: PublicKey,
    /// Number of the session, unique in this process.
    pub session: u64,
    /// Where it can be dialled, as `host:port`: the observed IP with the announced port, or what it wants to be known by.
    pub address: String,
    /// The other end of the connection.
    pub observed: SocketAddr,
    /// Who dialled.
    pub direction: Direction,
    /// The last round trip, as Bitcoin's `pingtime`.
    pub ping_time: Option<Duration>,
    /// The shortest round trip, as Bitcoin's `minping`.
    pub min_ping: Option<Duration>,
    /// Smoothed round trip (RFC 6298).
    pub srtt: Option<Duration>,
    /// Its smoothed deviation (RFC 6298).
    pub rttvar: Option<Duration>,
    /// The longest time without anything complete that the session survived, pauses of ours not counted.
    pub longest_silence: Duration,
    /// How long the peer may be silent.
    pub deadline: Duration,
    /// How long the oldest ping without a pong has waited, as Bitcoin's `pingwait`.
    pub ping_wait: Option<Duration>,
    /// When we last sent something.
    pub last_sent: Instant,
    /// Penalty points of its key now.
    pub penalty: u32,
    /// Bytes and messages received, by kind.
    pub received: BTreeMap<Kind, Traffic>,
    /// Bytes and messages sent, by kind.
    pub sent: BTreeMap<Kind, Traffic>,
    /// What was received and not handled.
    pub dropped: DroppedMessages,
    /// Since when it is up.
    pub connected_since: Instant,
    /// When something complete last came.
    pub last_received: Instant,
    /// When it last brought a transaction that we did not have.
    pub useful_at: Option<Instant>,
    /// Its software.
    pub agent: String,
    /// Height of its tip, as it last said.
    pub height: u64,
    /// Its clock minus ours, when it reported it. Unit: milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Its consensus key, proved.
    pub validator: Option<PublicKey>,
    /// Differs after each of its starts.
    pub instance: Uuid,
    /// Agreed time between pings.
    pub interval: Duration,
    /// Bytes that wait to be sent, by lane: control, consensus, bulk.
    pub queued_bytes: [usize; Lane::ALL.len()],
    /// How long the oldest message of each lane has waited.
    pub queue_age: [Duration; Lane::ALL.len()],
    /// Messages dropped from full lanes.
    pub dropped_outbound: u64,
}

/// What remains of a session: why it ended, and what was going on.
#[derive(Clone, Debug, PartialEq)]
pub struct PostMortem {
    /// The peer's node key, when the channel had proved one.
    pub key: Option<PublicKey>,
    /// Where it was dialled or where it came from.
    pub address: String,
    /// Who dialled.
    pub direction: Direction,
    /// Why it ended, and who closed.
    pub end: SessionEnd,
    /// When it ended.
    pub ended_at: Instant,
    /// How long it had been up; zero when its handshake never completed.
    pub up_for: Duration,
    /// The last round trips, oldest first.
    pub rtt: Vec<Duration>,
    /// How long before the end something complete last came.
    pub silent_for: Duration,
    /// How long the oldest message of each lane had waited: control, consensus, bulk.
    pub queue_age: [Duration; Lane::ALL.len()],
    /// Bytes that waited to be sent, by lane.
    pub queued_bytes: [usize; Lane::ALL.len()],
    /// The last messages, oldest first.
    pub last: Vec<LastMessage>,
}

impl PostMortem {
    /// Of a connection that never was up: nothing else is known.
    pub fn never_up(address: String, direction: Direction, end: SessionEnd, ended_at: Instant) -> Self {
        Self {
            key: None,
            address,
            direction,
            end,
            ended_at,
            up_for: Duration::ZERO,
            rtt: Vec::new(),
            silent_for: Duration::ZERO,
            queue_age: Default::default(),
            queued_bytes: Default::default(),
            last: Vec::new(),
        }
    }
}
