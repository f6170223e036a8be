//! Metrics of the chain: what is final, what is fetched, what is being decided.

use crate::Service;
use timed_actors::block_sync::SyncStatus;
use timed_consensus::{ConsensusStatus, SigningStatus};
use timed_rpc::metric_set;
use timed_rpc::metrics::{ConstCounter, ConstGauge, Registry, counter, flag, level};

metric_set! {
    /// What is final.
    struct LedgerMetrics, "timed_ledger" {
        /// Height of the last final block.
        height_blocks: ConstGauge<u64>,
        /// Unspent outputs.
        unspent_outputs: ConstGauge<u64>,
        /// Transactions of all final blocks.
        transactions: ConstCounter<u64>,
        /// Size of the block log.
        log_bytes: ConstGauge<u64>,
        /// Final blocks that the store does not hold yet.
        overlay_blocks: ConstGauge<u64>,
    }
}

metric_set! {
    /// What is fetched from peers; nothing until block sync has said something.
    struct SyncMetrics, "timed_sync" {
        /// 1 while blocks are fetched from peers.
        leads: ConstGauge<u64>,
        /// Height that is aimed at.
        target_blocks: ConstGauge<u64>,
        /// Fetched blocks waiting for their turn.
        held_bytes: ConstGauge<u64>,
        /// Requests for blocks sent.
        requests: ConstCounter<u64>,
        /// Requests for blocks that were late.
        late_requests: ConstCounter<u64>,
    }
}

metric_set! {
    /// What is being decided; nothing until consensus has said something.
    struct ConsensusMetrics, "timed_consensus" {
        /// The height being decided.
        height_blocks: ConstGauge<u64>,
        /// Attempt at that height, from 0.
        round: ConstGauge<u64>,
        /// 1 while connected validators are a quorum.
        has_quorum: ConstGauge<u64>,
        /// 1 while this node signs.
        signing: ConstGauge<u64>,
        /// 1 while another node is known to have our consensus key.
        twin: ConstGauge<u64>,
        /// Blocks held that are not decided.
        undecided_bytes: ConstGauge<u64>,
        /// Wait for a proposal in round 0.
        propose_timeout_seconds: ConstGauge<f64>,
    }
}

impl LedgerMetrics {
    fn of(service: &Service) -> Self {
        let (stats, totals) = (service.chain.stats(), service.chain.summary().2);
        Self {
            height_blocks: level(stats.height.0),
            unspent_outputs: level(totals.outputs),
            transactions: counter(totals.transactions),
            log_bytes: level(stats.log_bytes),
            overlay_blocks: level(stats.overlay_blocks),
        }
    }
}

impl SyncMetrics {
    fn of(status: &SyncStatus) -> Self {
        Self {
            leads: flag(status.progress.leads),
            target_blocks: level(status.progress.target.0),
            held_bytes: level(status.progress.held_bytes),
            requests: counter(status.stats.requests),
            late_requests: counter(status.stats.timed_out),
        }
    }
}

impl ConsensusMetrics {
    fn of(status: &ConsensusStatus) -> Self {
        let has_twin = matches!(status.signing, SigningStatus::Off { reason, .. } if reason.is_twin());
        Self {
            height_blocks: level(status.height.0),
            round: level(status.round.unwrap_or_default().0),
            has_quorum: flag(status.quorum_line.is_none()),
            signing: flag(status.signing == SigningStatus::On),
            twin: flag(has_twin),
            undecided_bytes: level(status.undecided_bytes),
            propose_timeout_seconds: ConstGauge::new(status.propose_timeout.as_secs_f64()),
        }
    }
}

impl Service {
    pub(crate) fn register_chain_metrics(&self, registry: &mut Registry) {
        LedgerMetrics::of(self).register(registry);
        if let Some(status) = &*self.handles.sync.borrow() {
            SyncMetrics::of(status).register(registry);
        }
        if let Some(status) = &*self.handles.consensus.borrow() {
            ConsensusMetrics::of(status).register(registry);
        }
    }
}
