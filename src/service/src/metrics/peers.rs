//! Metrics of the peers: those that are up, those on their way, what sessions carried, and how long things took.

use super::labels::{Flow, Label};
use crate::Service;
use crate::peers::{lane_bytes, median_rtt};
use prometheus_client::encoding::EncodeLabelSet;
use timed_actors::peer::{DroppedMessages, PeerSnapshot, Traffic, TrafficTally};
use timed_peer::{Direction, EndReason, Side};
use timed_rpc::metric_set;
use timed_rpc::metrics::{ConstCounter, ConstGauge, Histogram, OptionalMetric, Registry, Series, counter, level};
use timed_wire::{Kind, Lane};

metric_set! {
    /// Sessions with other nodes.
    struct PeerMetrics, "timed_peer" {
        /// Peers that are up.
        connections: Series<DirectionLabels, ConstGauge<u64>>,
        /// Inbound handshakes under way.
        handshakes: ConstGauge<u64>,
        /// Inbound handshakes begun.
        handshakes_begun: ConstCounter<u64>,
        /// Inbound handshakes broken off because their places were needed.
        handshakes_gave_way: ConstCounter<u64>,
        /// Connections closed at once because too many came from their address or subnet.
        connections_refused: ConstCounter<u64>,
        /// Sessions that ended, by reason and by who closed.
        sessions_ended: Series<EndLabels, ConstCounter<u64>>,
        /// Dials that led to no session, by reason.
        dials_failed: Series<DialLabels, ConstCounter<u64>>,
        /// Bytes of all sessions before encryption, by lane.
        lane_bytes: Series<LaneFlowLabels, ConstCounter<u64>>,
        /// Bytes of all sessions before encryption, by kind of message.
        kind_bytes: Series<KindFlowLabels, ConstCounter<u64>>,
        /// Messages of all sessions, by kind.
        kind_messages: Series<KindFlowLabels, ConstCounter<u64>>,
        /// Messages of peers that were not handled, by cause.
        dropped: Series<CauseLabels, ConstCounter<u64>>,
        /// Messages that full lanes dropped.
        dropped_outbound: ConstCounter<u64>,
        /// Round trips of pings.
        round_trip_seconds: Histogram,
        /// Time a message waited in its lane until the system took its end.
        queue_wait_seconds: Series<LaneLabels, Histogram>,
        /// Bytes that wait to be sent to all peers, by lane.
        queue_bytes: Series<LaneLabels, ConstGauge<u64>>,
        /// How long the oldest message of any peer has waited, by lane.
        queue_age_max_seconds: Series<LaneLabels, ConstGauge<f64>>,
        /// Bans in force.
        bans: ConstGauge<u64>,
        /// Longest silence of a peer that is up, as a share of what it may be silent.
        silence_max_ratio: ConstGauge<f64>,
        /// Median of the validators' clocks by voting power minus ours; absent while fewer than a quorum are measured.
        clock_offset_seconds: OptionalMetric<ConstGauge<f64>>,
        /// Median of the peers' smoothed round trips.
        rtt_median_seconds: OptionalMetric<ConstGauge<f64>>,
    }
}

/// Who dialled.
#[derive(Debug, EncodeLabelSet)]
struct DirectionLabels {
    direction: Label<Direction>,
}

/// How a session ended.
#[derive(Debug, EncodeLabelSet)]
struct EndLabels {
    reason: Label<EndReason>,
    by: Label<Side>,
}

/// Why a dial failed.
#[derive(Debug, EncodeLabelSet)]
struct DialLabels {
    reason: Label<EndReason>,
}

/// A lane.
#[derive(Debug, EncodeLabelSet)]
struct LaneLabels {
    lane: Label<Lane>,
}

/// A lane in one direction.
#[derive(Debug, EncodeLabelSet)]
struct LaneFlowLabels {
    lane: Label<Lane>,
    way: Label<Flow>,
}

/// A kind of message in one direction.
#[derive(Debug, EncodeLabelSet)]
struct KindFlowLabels {
    kind: Label<Kind>,
    way: Label<Flow>,
}

/// Why a message was not handled: one of the names that [`DroppedMessages`] gives its counts.
#[derive(Debug, EncodeLabelSet)]
struct CauseLabels {
    cause: &'static str,
}

impl Service {
    pub(crate) fn register_peer_metrics(&self, registry: &mut Registry) {
        let view = self.peers();
        let (peers, totals, times) = (&view.peers, &view.totals, &self.handles.times);
        let tally = &totals.tally;
        let waits = Lane::ALL.into_iter().zip(&times.waits);
        let metrics = PeerMetrics {
            connections: [Direction::Inbound, Direction::Outbound]
                .into_iter()
                .map(|direction| (DirectionLabels { direction: Label(direction) }, level(view.count(direction))))
                .collect(),
            handshakes: level(view.handshakes.under_way),
            handshakes_begun: counter(view.handshakes.begun),
            handshakes_gave_way: counter(view.handshakes.gave_way),
            connections_refused: counter(view.handshakes.refused),
            sessions_ended: totals
                .ended
                .iter()
                .map(|((reason, by), count)| (EndLabels { reason: Label(*reason), by: Label(*by) }, counter(*count)))
                .collect(),
            dials_failed: totals
                .failed_dials
                .iter()
                .map(|(reason, count)| (DialLabels { reason: Label(*reason) }, counter(*count)))
                .collect(),
            lane_bytes: by_lane(tally),
            kind_bytes: by_kind(tally, |traffic| traffic.bytes),
            kind_messages: by_kind(tally, |traffic| traffic.messages),
            dropped: causes(tally.dropped),
            dropped_outbound: counter(tally.dropped_outbound),
            round_trip_seconds: times.round_trips.clone(),
            queue_wait_seconds: waits.map(|(lane, waits)| (LaneLabels { lane: Label(lane) }, waits.clone())).collect(),
            queue_bytes: lanes(|place| {
                let waiting = peers.iter().filter_map(|peer| peer.queued_bytes.get(place)).sum::<usize>();
                level(waiting)
            }),
            queue_age_max_seconds: lanes(|place| {
                let oldest = peers.iter().filter_map(|peer| peer.queue_age.get(place)).max().copied();
                ConstGauge::new(oldest.unwrap_or_default().as_secs_f64())
            }),
            bans: level(view.bans.len()),
            silence_max_ratio: ConstGauge::new(silence_max_ratio(peers)),
            clock_offset_seconds: OptionalMetric(view.clock_offset_ms.map(|ms| ConstGauge::new(ms as f64 / 1_000.0))),
            rtt_median_seconds: OptionalMetric(median_rtt(peers).map(|rtt| ConstGauge::new(rtt.as_secs_f64()))),
        };
        metrics.register(registry);
    }
}

/// The nearest that a peer which is up has come to being given up.
fn silence_max_ratio(peers: &[PeerSnapshot]) -> f64 {
    peers
        .iter()
        .map(|peer| peer.longest_silence.as_secs_f64() / peer.deadline.as_secs_f64().max(1e-9))
        .fold(0.0, f64::max)
}

/// A sample for each lane, of what stands in its place.
fn lanes<M>(of: impl Fn(usize) -> M) -> Series<LaneLabels, M> {
    Lane::ALL.into_iter().enumerate().map(|(place, lane)| (LaneLabels { lane: Label(lane) }, of(place))).collect()
}

fn by_lane(tally: &TrafficTally) -> Series<LaneFlowLabels, ConstCounter<u64>> {
    let flows = [(Flow::Sent, &tally.sent), (Flow::Received, &tally.received)];
    let samples = Lane::ALL.into_iter().flat_map(|lane| {
        flows.map(|(flow, traffic)| {
            (LaneFlowLabels { lane: Label(lane), way: Label(flow) }, counter(lane_bytes(traffic, lane)))
        })
    });
    samples.collect()
}

fn by_kind(tally: &TrafficTally, of: fn(&Traffic) -> u64) -> Series<KindFlowLabels, ConstCounter<u64>> {
    let flows = [(Flow::Sent, &tally.sent), (Flow::Received, &tally.received)];
    let samples = flows.into_iter().flat_map(|(flow, traffic)| {
        traffic
            .iter()
            .map(move |(kind, traffic)| (KindFlowLabels { kind: Label(*kind), way: Label(flow) }, counter(of(traffic))))
    });
    samples.collect()
}

fn causes(dropped: DroppedMessages) -> Series<CauseLabels, ConstCounter<u64>> {
    dropped.named().into_iter().map(|(cause, count)| (CauseLabels { cause }, counter(count))).collect()
}
