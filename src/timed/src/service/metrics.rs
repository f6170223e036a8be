//! `/metrics`: the published state in Prometheus' text format. Names are `timed_<component>_<noun>_<unit>`; labels come from closed sets only,
//! never an address, a key or a text.

use super::Service;
use super::peers::{lane_bytes, median_rtt};
use std::fmt::Write as _;
use timed_actors::Component;
use timed_actors::histogram::Histogram;
use timed_actors::mempool::MempoolStatus;
use timed_actors::peer::{PeerSnapshot, Traffic, TrafficTally};
use timed_actors::peer_manager::{HandshakeCounts, PeerTotals};
use timed_chain::History as _;
use timed_consensus::SigningStatus;
use timed_ledger::LedgerQueries as _;
use timed_rpc::{Severity, Trouble};
use timed_wire::Lane;

/// Builds the text. The format is lines of `name{labels} value` below a help and a type line (Prometheus, text exposition format 0.0.4).
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, "gauge", help);
        self.line(name, "", value);
    }

    /// The lines of one histogram, of which there may be several under one head. `labels` has neither braces nor a last comma.
    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let comma = if labels.is_empty() { "" } else { "," };
        for (bound, count) in histogram.cumulated() {
            self.line(&format!("{name}_bucket"), &format!("{{{labels}{comma}le=\"{}\"}}", bound.as_secs_f64()), count);
        }
        self.line(&format!("{name}_bucket"), &format!("{{{labels}{comma}le=\"+Inf\"}}"), histogram.count());
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        self.line(&format!("{name}_sum"), &labels, histogram.sum().as_secs_f64());
        self.line(&format!("{name}_count"), &labels, histogram.count());
    }

    fn counter(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, "counter", help);
        self.line(name, "", value);
    }
}

impl Service {
    pub(super) fn metrics_text(&self) -> String {
        let mut page = Page::default();
        self.trouble_metrics(&mut page);
        self.chain_metrics(&mut page);
        self.consensus_metrics(&mut page);
        self.peer_metrics(&mut page);
        self.pool_metrics(&mut page);
        page.0
    }

    fn trouble_metrics(&self, page: &mut Page) {
        let troubles = self.all_troubles();
        const TROUBLE: &str = "timed_node_trouble";
        page.head(TROUBLE, "gauge", "1 while it is so, as /health, /ready and the warnings say.");
        for name in Trouble::NAMES {
            let is_so = troubles.iter().any(|trouble| trouble.name() == name);
            page.line(TROUBLE, &format!("{{reason=\"{name}\"}}"), u8::from(is_so));
        }
        let is_ready = troubles.iter().all(|trouble| trouble.severity() < Severity::NotReady);
        page.gauge("timed_node_ready", "1 while /ready is 200.", u8::from(is_ready));
        page.counter(
            "timed_log_dropped_lines_total",
            "Lines of the log that were dropped because standard output was not read.",
            self.log.dropped().all,
        );
        const SILENT: &str = "timed_node_silent_seconds";
        page.head(SILENT, "gauge", "How long a part of the node has given no sign of life; above 10 it hangs.");
        for component in Component::ALL {
            let labels = format!("{{component=\"{}\"}}", component.name().replace(' ', "_"));
            page.line(SILENT, &labels, self.handles.pulses.silence(component).as_secs_f64());
        }
    }

    fn chain_metrics(&self, page: &mut Page) {
        let (stats, totals) = (self.reader.stats(), self.reader.totals());
        page.gauge("timed_ledger_height_blocks", "Height of the last final block.", stats.height.0);
        page.gauge("timed_ledger_unspent_outputs", "Unspent outputs.", totals.outputs);
        page.counter("timed_ledger_transactions_total", "Transactions of all final blocks.", totals.transactions);
        page.gauge("timed_ledger_log_bytes", "Size of the block log.", stats.log_bytes);
        page.gauge(
            "timed_ledger_overlay_blocks",
            "Final blocks that the store does not hold yet.",
            stats.overlay_blocks,
        );
        let sync = self.handles.sync.borrow().clone();
        if let Some(sync) = sync {
            page.gauge("timed_sync_leads", "1 while blocks are fetched from peers.", u8::from(sync.progress.leads));
            page.gauge("timed_sync_target_blocks", "Height that is aimed at.", sync.progress.target.0);
            page.gauge("timed_sync_held_bytes", "Fetched blocks waiting for their turn.", sync.progress.held_bytes);
            page.counter("timed_sync_requests_total", "Requests for blocks sent.", sync.stats.requests);
            page.counter("timed_sync_late_requests_total", "Requests for blocks that were late.", sync.stats.timed_out);
        }
        page.gauge(
            "timed_node_uptime_seconds",
            "Time since the start.",
            self.clock.now().since(self.started).as_secs(),
        );
    }

    fn consensus_metrics(&self, page: &mut Page) {
        let Ok(status) = self.consensus_status() else { return };
        page.gauge("timed_consensus_height_blocks", "The height being decided.", status.height.0);
        page.gauge("timed_consensus_round", "Attempt at that height, from 0.", status.round.unwrap_or_default().0);
        page.gauge(
            "timed_consensus_has_quorum",
            "1 while connected validators are a quorum.",
            u8::from(status.quorum_line.is_none()),
        );
        page.gauge(
            "timed_consensus_signing",
            "1 while this node signs.",
            u8::from(status.signing == SigningStatus::On),
        );
        let has_twin = matches!(status.signing, SigningStatus::Off { reason, .. } if reason.is_twin());
        page.gauge(
            "timed_consensus_twin",
            "1 while another node is known to have our consensus key.",
            u8::from(has_twin),
        );
        page.gauge("timed_consensus_undecided_bytes", "Blocks held that are not decided.", status.undecided_bytes);
        page.gauge(
            "timed_consensus_propose_timeout_seconds",
            "Wait for a proposal in round 0.",
            status.propose_timeout.as_secs_f64(),
        );
    }

    fn peer_metrics(&self, page: &mut Page) {
        let view = self.peers();
        let peers = &view.peers;
        page.head("timed_peer_connections", "gauge", "Peers that are up.");
        for direction in [timed_peer::Direction::Inbound, timed_peer::Direction::Outbound] {
            let count = peers.iter().filter(|peer| peer.direction == direction).count();
            page.line("timed_peer_connections", &format!("{{direction=\"{}\"}}", direction.name()), count);
        }
        handshake_metrics(page, view.handshakes);
        session_metrics(page, &view.totals);
        traffic_metrics(page, &view.totals.tally);
        queue_metrics(page, peers);
        page.gauge("timed_peer_bans", "Bans in force.", view.bans.len());
        // The nearest that a peer which is up has come to being given up.
        let quietest =
            peers.iter().map(|peer| peer.longest_silence.as_secs_f64() / peer.deadline.as_secs_f64().max(1e-9));
        page.gauge(
            "timed_peer_silence_max_ratio",
            "Longest silence of a peer that is up, as a share of what it may be silent.",
            quietest.fold(0.0, f64::max),
        );
        if let Some(offset_ms) = view.clock_offset_ms {
            page.gauge(
                "timed_peer_clock_offset_seconds",
                "Median of the validators' clocks by voting power minus ours; absent while fewer than a quorum are measured.",
                offset_ms as f64 / 1_000.0,
            );
        }
        if let Some(rtt) = median_rtt(peers) {
            page.gauge(
                "timed_peer_rtt_median_seconds",
                "Median of the peers' smoothed round trips.",
                rtt.as_secs_f64(),
            );
        }
    }

    fn pool_metrics(&self, page: &mut Page) {
        let Ok(status) = self.mempool_status() else { return };
        page.gauge("timed_mempool_transactions", "Transactions that wait.", status.pool.count);
        page.gauge("timed_mempool_bytes", "Their size.", status.pool.bytes);
        page.counter(
            "timed_mempool_evicted_total",
            "Transactions evicted for better paying ones.",
            status.pool.evicted,
        );
        page.counter("timed_mempool_expired_total", "Transactions that waited too long.", status.pool.expired);
        page.counter("timed_mempool_conflicts_total", "Second spends seen.", status.pool.conflicts);
        const LOST: &str = "timed_mempool_lost_total";
        page.head(
            LOST,
            "counter",
            "Payments that were accepted from clients and will not become final, as far as is known, by reason.",
        );
        for (reason, count) in status.keeping.lost.named() {
            page.line(LOST, &format!("{{reason=\"{reason}\"}}"), count);
        }
        self.admission_metrics(page, &status);
        const FINALITY: &str = "timed_payment_finality_seconds";
        page.head(
            FINALITY,
            "histogram",
            "Time from acceptance of a payment by this node to its finality on this node.",
        );
        page.histogram(FINALITY, "", &status.finality.all);
    }
}

impl Service {
    /// What is taken, what is refused, and why.
    fn admission_metrics(&self, page: &mut Page, status: &MempoolStatus) {
        const REFUSED: &str = "timed_mempool_refused_total";
        let view = self.handles.submissions.view();
        page.gauge(
            "timed_mempool_delay_seconds",
            "How long what waits will take, as far as measured.",
            view.delay.as_secs_f64(),
        );
        page.gauge(
            "timed_mempool_drain_weight_per_second",
            "Weight that leaves by blocks while some waits: bytes, and 128 for each signature. 0 when unknown.",
            view.drain,
        );
        page.gauge(
            "timed_mempool_checked_weight_per_second",
            "Weight whose signatures are checked while some waits. 0 when unknown.",
            view.checked,
        );
        page.gauge("timed_mempool_room_weight", "Weight that clients may hand in now.", view.room);
        page.gauge(
            "timed_mempool_put_off_transactions",
            "Transactions of peers that are asked for when there is room.",
            status.relay.put_off,
        );
        page.head(REFUSED, "counter", "Transactions not inspected: by admission (busy), because the queue of those to be checked was full (queue_full), or because the client had gone (abandoned).");
        for (reason, count) in [("busy", view.refused), ("queue_full", status.dropped), ("abandoned", status.abandoned)]
        {
            page.line(REFUSED, &format!("{{reason=\"{reason}\"}}"), count);
        }
    }
}

fn handshake_metrics(page: &mut Page, counts: HandshakeCounts) {
    page.gauge("timed_peer_handshakes", "Inbound handshakes under way.", counts.under_way);
    page.counter("timed_peer_handshakes_begun_total", "Inbound handshakes begun.", counts.begun);
    page.counter(
        "timed_peer_handshakes_gave_way_total",
        "Inbound handshakes broken off because their places were needed.",
        counts.gave_way,
    );
    page.counter(
        "timed_peer_connections_refused_total",
        "Connections closed at once because too many came from their address or subnet.",
        counts.refused,
    );
}

fn session_metrics(page: &mut Page, totals: &PeerTotals) {
    page.head("timed_peer_sessions_ended_total", "counter", "Sessions that ended, by reason and by who closed.");
    for ((reason, by), count) in &totals.ended {
        let labels = format!("{{reason=\"{}\",by=\"{}\"}}", reason.name(), by.name());
        page.line("timed_peer_sessions_ended_total", &labels, count);
    }
    page.head("timed_peer_dials_failed_total", "counter", "Dials that led to no session, by reason.");
    for (reason, count) in &totals.failed_dials {
        page.line("timed_peer_dials_failed_total", &format!("{{reason=\"{}\"}}", reason.name()), count);
    }
}

fn traffic_metrics(page: &mut Page, tally: &TrafficTally) {
    let directions = [("sent", &tally.sent), ("received", &tally.received)];
    page.head("timed_peer_lane_bytes_total", "counter", "Bytes of all sessions before encryption, by lane.");
    for lane in Lane::ALL {
        for (direction, traffic) in directions {
            let labels = format!("{{lane=\"{}\",way=\"{direction}\"}}", lane.name());
            page.line("timed_peer_lane_bytes_total", &labels, lane_bytes(traffic, lane));
        }
    }
    let mut by_kind = |name: &str, help: &str, of: fn(&Traffic) -> u64| {
        page.head(name, "counter", help);
        for (direction, traffic) in directions {
            for (kind, traffic) in traffic {
                page.line(name, &format!("{{kind=\"{}\",way=\"{direction}\"}}", kind.name()), of(traffic));
            }
        }
    };
    by_kind("timed_peer_kind_bytes_total", "Bytes of all sessions before encryption, by kind of message.", |t| t.bytes);
    by_kind("timed_peer_kind_messages_total", "Messages of all sessions, by kind.", |t| t.messages);
    page.head("timed_peer_dropped_total", "counter", "Messages of peers that were not handled, by cause.");
    for (cause, count) in tally.dropped.named() {
        page.line("timed_peer_dropped_total", &format!("{{cause=\"{cause}\"}}"), count);
    }
    page.counter("timed_peer_dropped_outbound_total", "Messages that full lanes dropped.", tally.dropped_outbound);
    page.head("timed_peer_round_trip_seconds", "histogram", "Round trips of pings.");
    page.histogram("timed_peer_round_trip_seconds", "", &tally.round_trips);
    page.head(
        "timed_peer_queue_wait_seconds",
        "histogram",
        "Time a message waited in its lane until the system took its end.",
    );
    for (lane, waits) in Lane::ALL.into_iter().zip(&tally.waits) {
        page.histogram("timed_peer_queue_wait_seconds", &format!("lane=\"{}\"", lane.name()), waits);
    }
}

fn queue_metrics(page: &mut Page, peers: &[PeerSnapshot]) {
    page.head("timed_peer_queue_bytes", "gauge", "Bytes that wait to be sent to all peers, by lane.");
    for (place, lane) in Lane::ALL.into_iter().enumerate() {
        let waiting: usize = peers.iter().filter_map(|peer| peer.queued_bytes.get(place)).sum();
        page.line("timed_peer_queue_bytes", &format!("{{lane=\"{}\"}}", lane.name()), waiting);
    }
    page.head(
        "timed_peer_queue_age_max_seconds",
        "gauge",
        "How long the oldest message of any peer has waited, by lane.",
    );
    for (place, lane) in Lane::ALL.into_iter().enumerate() {
        let oldest = peers.iter().filter_map(|peer| peer.queue_age.get(place)).max().copied().unwrap_or_default();
        page.line("timed_peer_queue_age_max_seconds", &format!("{{lane=\"{}\"}}", lane.name()), oldest.as_secs_f64());
    }
}
