//! Metrics of the mempool: what waits, what is taken, what is refused or lost, and how long payments take.

use super::labels::{Label, Reason, UninspectedReason};
use crate::Service;
use prometheus_client::encoding::EncodeLabelSet;
use timed_rpc::metric_set;
use timed_rpc::metrics::{ConstCounter, ConstGauge, Histogram, Registry, Series, counter, level};

metric_set! {
    /// What waits, what is taken, what is refused or lost; nothing until the mempool has said something.
    struct MempoolMetrics, "timed_mempool" {
        /// Transactions that wait.
        transactions: ConstGauge<u64>,
        /// Their size.
        bytes: ConstGauge<u64>,
        /// Transactions evicted for better paying ones.
        evicted: ConstCounter<u64>,
        /// Transactions that waited too long.
        expired: ConstCounter<u64>,
        /// Second spends seen.
        conflicts: ConstCounter<u64>,
        /// Payments that were accepted from clients and will not become final, as far as is known, by reason.
        lost: Series<Reason, ConstCounter<u64>>,
        /// How long what waits will take, as far as measured.
        delay_seconds: ConstGauge<f64>,
        /// Weight that leaves by blocks while some waits: bytes, and 128 for each signature. 0 when unknown.
        drain_weight_per_second: ConstGauge<u64>,
        /// Weight whose signatures are checked while some waits. 0 when unknown.
        checked_weight_per_second: ConstGauge<u64>,
        /// Weight that clients may hand in now.
        room_weight: ConstGauge<u64>,
        /// Transactions of peers that are asked for when there is room.
        put_off_transactions: ConstGauge<u64>,
        /// Transactions not inspected: by admission (busy), because the queue of those to be checked was full (queue_full), or because the
        /// client had gone (abandoned).
        refused: Series<UninspectedLabels, ConstCounter<u64>>,
    }
}

metric_set! {
    /// What became of payments.
    struct PaymentMetrics, "timed_payment" {
        /// Time from acceptance of a payment by this node to its finality on this node.
        finality_seconds: Histogram,
    }
}

metric_set! {
    /// How the transactions of blocks under decision travelled.
    struct CompactBlockMetrics, "timed_compact_blocks" {
        /// Blocks of ours that left with names in place of transactions.
        sent: ConstCounter<u64>,
        /// Transactions named in them.
        named_transactions: ConstCounter<u64>,
        /// Requests of peers that lacked some of those.
        asked: ConstCounter<u64>,
        /// Blocks of others that were put together here.
        rebuilt: ConstCounter<u64>,
        /// Transactions of theirs that had to be asked for.
        lacked_transactions: ConstCounter<u64>,
        /// Blocks of theirs that had to be asked for in full.
        in_full: ConstCounter<u64>,
    }
}

/// Why a transaction was not inspected.
#[derive(Debug, EncodeLabelSet)]
struct UninspectedLabels {
    reason: Label<UninspectedReason>,
}

impl Service {
    pub(crate) fn register_mempool_metrics(&self, registry: &mut Registry) {
        let travelled = *self.handles.block_relay.borrow();
        let compact_blocks = CompactBlockMetrics {
            sent: counter(travelled.compact_sent),
            named_transactions: counter(travelled.named),
            asked: counter(travelled.asked),
            rebuilt: counter(travelled.rebuilt),
            lacked_transactions: counter(travelled.lacked),
            in_full: counter(travelled.in_full),
        };
        compact_blocks.register(registry);
        let Ok(status) = self.mempool_status() else { return };
        let view = self.handles.submissions.view();
        let refused = [
            (UninspectedReason::Busy, view.refused),
            (UninspectedReason::QueueFull, status.dropped),
            (UninspectedReason::Abandoned, status.abandoned),
        ];
        let lost = status.keeping.lost.named();
        let metrics = MempoolMetrics {
            transactions: level(status.pool.count),
            bytes: level(status.pool.bytes),
            evicted: counter(status.pool.evicted),
            expired: counter(status.pool.expired),
            conflicts: counter(status.pool.conflicts),
            lost: lost.map(|(reason, count)| (Reason { reason }, counter(count))).collect(),
            delay_seconds: ConstGauge::new(view.delay.as_secs_f64()),
            drain_weight_per_second: level(view.drain),
            checked_weight_per_second: level(view.checked),
            room_weight: level(view.room),
            put_off_transactions: level(status.relay.put_off),
            refused: refused
                .into_iter()
                .map(|(reason, count)| (UninspectedLabels { reason: Label(reason) }, counter(count)))
                .collect(),
        };
        metrics.register(registry);
        PaymentMetrics { finality_seconds: self.handles.times.finality.clone() }.register(registry);
    }
}
