//! `/metrics`: the published state in Prometheus' text format. Names are `timed_<room>_<noun>_<unit>`; labels come from closed sets only,
//! never an address, a key or a text.

use super::Service;
use super::peers::{lane_bytes, median_rtt};
use std::fmt::Write as _;
use timed_actors::finality::{BOUNDS_MS, FinalitySummary};
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

    fn counter(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, "counter", help);
        self.line(name, "", value);
    }
}

impl Service {
    pub(super) fn metrics_text(&self) -> String {
        let mut page = Page::default();
        self.chain_metrics(&mut page);
        self.consensus_metrics(&mut page);
        self.peer_metrics(&mut page);
        self.pool_metrics(&mut page);
        page.0
    }

    fn chain_metrics(&self, page: &mut Page) {
        let stats = self.handles.reader.stats();
        page.gauge("timed_ledger_height_blocks", "Height of the last final block.", stats.height.0);
        page.gauge("timed_ledger_unspent_outputs", "Unspent outputs.", stats.outputs);
        page.counter("timed_ledger_transactions_total", "Transactions of all final blocks.", stats.transactions);
        page.gauge("timed_ledger_log_bytes", "Size of the block log.", stats.log_bytes);
        page.gauge(
            "timed_ledger_overlay_blocks",
            "Final blocks that the store does not hold yet.",
            stats.overlay_blocks,
        );
        if let Some(sync) = self.handles.sync.borrow().as_ref() {
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
        let consensus = self.handles.consensus.borrow();
        let Some(status) = consensus.as_ref() else { return };
        page.gauge("timed_consensus_height_blocks", "The height being decided.", status.height.0);
        page.gauge("timed_consensus_round", "Attempt at that height, from 0.", status.round.unwrap_or_default().0);
        page.gauge(
            "timed_consensus_has_quorum",
            "1 while connected validators are a quorum.",
            u8::from(status.quorum_line.is_none()),
        );
        page.gauge("timed_consensus_undecided_bytes", "Blocks held that are not decided.", status.undecided_bytes);
        page.gauge(
            "timed_consensus_propose_timeout_seconds",
            "Wait for a proposal in round 0.",
            status.propose_timeout.as_secs_f64(),
        );
    }

    fn peer_metrics(&self, page: &mut Page) {
        let view = self.handles.peers.borrow();
        let peers = &view.peers;
        page.head("timed_peer_connections", "gauge", "Peers that are up.");
        for direction in [timed_peer::Direction::Inbound, timed_peer::Direction::Outbound] {
            let count = peers.iter().filter(|peer| peer.direction == direction).count();
            page.line("timed_peer_connections", &format!("{{direction=\"{}\"}}", direction.name()), count);
        }
        page.head("timed_peer_bytes", "gauge", "Bytes sent and received over the sessions that are up, by lane.");
        for lane in Lane::ALL {
            let (sent, received) = lane_bytes(peers, lane);
            for (way, bytes) in [("sent", sent), ("received", received)] {
                page.line("timed_peer_bytes", &format!("{{lane=\"{}\",way=\"{way}\"}}", lane.name()), bytes);
            }
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
        page.counter(
            "timed_mempool_dropped_total",
            "Transactions from peers dropped unchecked because too many waited.",
            status.dropped,
        );
        finality(page, &status.finality);
    }
}

fn finality(page: &mut Page, finality: &FinalitySummary) {
    const NAME: &str = "timed_payment_finality_seconds";
    page.head(NAME, "histogram", "Time from acceptance of a payment by this node to its finality on this node.");
    let mut below = 0;
    for (bound, count) in BOUNDS_MS.iter().zip(&finality.buckets) {
        below += count;
        page.line(&format!("{NAME}_bucket"), &format!("{{le=\"{}\"}}", seconds(*bound)), below);
    }
    page.line(&format!("{NAME}_bucket"), "{le=\"+Inf\"}", finality.count);
    page.line(&format!("{NAME}_sum"), "", finality.sum.as_secs_f64());
    page.line(&format!("{NAME}_count"), "", finality.count);
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}
