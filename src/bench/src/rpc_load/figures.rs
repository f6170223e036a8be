//! What was measured, for people and for programs.

use super::arguments::RpcLoadArgs;
use super::flood::FloodKind;
use super::read_block::ReadBlock;
use super::readers::ReadFigures;
use crate::overload::slots::{CallSlot, LoadFigures, SeenBlock};
use crate::report::{self, Percentiles, median, rounded};
use serde_json::{Value, json};
use std::time::Duration;
use timed_cli::table::{left, right, table};

/// At most so much may a flood make payments of the other nodes' clients final later.
const FACTOR_GOAL: f64 = 1.5;

/// Payments of one run.
#[derive(Clone, Debug)]
pub(super) struct PaymentsSeen {
    /// Finality of those that were sent to nodes which nobody reads from. Unit: ms.
    pub(super) others: Percentiles,
    /// And of those that were sent to the node that is read from, whose clients wait for its answers as well. Unit: ms.
    own: Percentiles,
    offered: usize,
    finalized: usize,
    failed_rounds: u64,
    cpu: Vec<Duration>,
    /// The most that the node which is read from had so far. Unit: MiB.
    memory: Option<f64>,
}

impl PaymentsSeen {
    /// Payments go to the nodes in turn, the first to the node that is read from.
    pub(super) fn of(
        slots: &[CallSlot],
        blocks: &[SeenBlock],
        nodes: usize,
        time: Duration,
        cpu: Vec<Duration>,
        memory: Option<f64>,
    ) -> Self {
        let of_nodes = |is_meant: &dyn Fn(usize) -> bool| {
            let meant: Vec<CallSlot> = slots
                .iter()
                .enumerate()
                .filter(|(at, _)| is_meant(at % nodes.max(1)))
                .map(|(_, s)| s.clone())
                .collect();
            LoadFigures::of(&meant, blocks, Duration::ZERO, time)
        };
        // Of a network of one, there are no others.
        let (own, others) = (of_nodes(&|node| node == 0), of_nodes(&|node| node > 0 || nodes == 1));
        let all = of_nodes(&|_| true);
        Self {
            others: others.finality,
            own: own.finality,
            offered: all.offered,
            finalized: all.finalized,
            failed_rounds: all.failed_rounds,
            cpu,
            memory,
        }
    }
}

/// Small calls, by method.
pub(super) struct StateFigures(pub(super) Vec<(&'static str, ReadFigures)>);

/// A full block, and how long `getblock` with all of it takes one client. Unit: ms.
pub(super) struct BlockFigures {
    pub(super) block: ReadBlock,
    pub(super) times: Percentiles,
}

/// Runs with a flood, and without.
pub(super) struct FloodComparison {
    kind: FloodKind,
    runs: Vec<FloodRun>,
}

struct FloodRun {
    without: PaymentsSeen,
    with: PaymentsSeen,
    read: ReadFigures,
}

impl FloodComparison {
    pub(super) const fn new(kind: FloodKind) -> Self {
        Self { kind, runs: Vec::new() }
    }

    pub(super) fn add(&mut self, without: PaymentsSeen, with: PaymentsSeen, read: ReadFigures) {
        self.runs.push(FloodRun { without, with, read });
    }

    fn median_of(&self, of: impl Fn(&FloodRun) -> f64) -> f64 {
        rounded(median(self.runs.iter().map(of).collect()), 1)
    }

    /// Medians of the 99th percentile without and with the flood, and how many times the second is the first.
    fn factor(&self, of: impl Fn(&PaymentsSeen) -> Percentiles) -> (f64, f64, f64) {
        let (without, with) = (self.median_of(|run| of(&run.without).p99), self.median_of(|run| of(&run.with).p99));
        (without, with, rounded(with / without.max(f64::EPSILON), 2))
    }

    fn memory(&self) -> f64 {
        self.runs.iter().filter_map(|run| run.with.memory).fold(0.0, f64::max)
    }

    /// What the flood got: a factor beside nothing says little.
    fn answered(&self) -> u64 {
        self.runs.iter().map(|run| run.read.answered()).sum()
    }

    fn cpu(&self) -> f64 {
        self.median_of(|run| run.with.cpu.first().map_or(0.0, Duration::as_secs_f64))
    }

    fn last_failure(&self) -> Option<&str> {
        self.runs.iter().rev().find_map(|run| run.read.last_failure.as_deref())
    }

    fn as_json(&self) -> Value {
        let run = |run: &FloodRun| {
            let seen = |seen: &PaymentsSeen| {
                json!({
                    "offered": seen.offered, "finalized": seen.finalized, "failed_rounds": seen.failed_rounds,
                    "finality_ms": seen.others, "finality_at_read_node_ms": seen.own,
                    "cpu_s_per_node": seen.cpu.iter().map(|cpu| rounded(cpu.as_secs_f64(), 2)).collect::<Vec<_>>(),
                })
            };
            let read = &run.read;
            json!({
                "without": seen(&run.without), "with": seen(&run.with), "answered": read.answered(), "failed": read.failed,
                "sent_unread": read.unread, "answers_per_s": read.per_second(), "answer_ms": read.times(),
                "last_failure": read.last_failure,
            })
        };
        let (without, with, factor) = self.factor(|seen| seen.others);
        let (_, _, factor_own) = self.factor(|seen| seen.own);
        json!({
            "flood": self.kind.name(),
            "finality_p99_without_ms": without,
            "finality_p99_with_ms": with,
            "factor": factor,
            "answered": self.answered(),
            "is_goal_met": factor <= FACTOR_GOAL,
            "factor_at_read_node": factor_own,
            "rss_max_mib": rounded(self.memory(), 1),
            "runs": self.runs.iter().map(run).collect::<Vec<_>>(),
        })
    }

    fn row(&self) -> Vec<String> {
        let (without, with, factor) = self.factor(|seen| seen.others);
        let (_, own_with, factor_own) = self.factor(|seen| seen.own);
        vec![
            self.kind.name().to_owned(),
            self.answered().to_string(),
            format!("{:.0}", self.median_of(|run| run.read.per_second())),
            self.runs.iter().map(|run| run.read.failed).sum::<u64>().to_string(),
            without.to_string(),
            with.to_string(),
            factor.to_string(),
            format!("{own_with} ({factor_own})"),
            format!("{:.1}", self.cpu()),
            format!("{:.0}", self.memory()),
        ]
    }
}

/// All of it.
pub(super) struct RpcLoadFigures {
    pub(super) idle: StateFigures,
    pub(super) full: StateFigures,
    pub(super) block: BlockFigures,
    /// The block that floods ask for.
    pub(super) flood_block: ReadBlock,
    pub(super) floods: Vec<FloodComparison>,
}

impl RpcLoadFigures {
    fn states(&self) -> impl Iterator<Item = (&'static str, &'static str, &ReadFigures)> {
        [("idle", &self.idle), ("full load", &self.full)]
            .into_iter()
            .flat_map(|(state, figures)| figures.0.iter().map(move |(method, read)| (state, *method, read)))
    }

    pub(super) fn as_json(&self, arguments: &RpcLoadArgs) -> Value {
        let reads = self.states().map(|(state, method, read)| {
            json!({ "state": state, "method": method, "per_s": read.per_second(), "answer_ms": read.times(),
                    "failed": read.failed, "last_failure": read.last_failure })
        });
        let BlockFigures { block, times } = &self.block;
        json!({
            "benchmark": "rpc-load",
            "setting": report::setting(),
            "nodes": arguments.nodes,
            "connections": arguments.connections,
            "rate": arguments.rate,
            "full_rate": arguments.full_rate,
            "outputs": arguments.outputs,
            "reads": reads.collect::<Vec<_>>(),
            "full_block": { "bytes": block.bytes, "transactions": block.transactions, "getblock_2_ms": times },
            "flood_block": { "bytes": self.flood_block.bytes, "transactions": self.flood_block.transactions },
            "floods": self.floods.iter().map(FloodComparison::as_json).collect::<Vec<_>>(),
        })
    }

    pub(super) fn print(&self) {
        let columns = [left("nodes"), left("call"), right("answers/s"), right("p50 / p99, ms"), right("failed")];
        let row = |(state, method, read): (&str, &str, &ReadFigures)| {
            let times = format!("{:.2} / {:.2}", read.times().p50, read.times().p99);
            vec![state.to_owned(), method.to_owned(), read.per_second().to_string(), times, read.failed.to_string()]
        };
        let rows: Vec<_> = self.states().map(row).collect();
        report::print_text(&table(&columns, &rows, None, str::to_owned));
        let BlockFigures { block, times } = &self.block;
        report::print_text(&format!(
            "\ngetblock 2 of a full block ({} transactions, {} bytes): p50 {} ms, p99 {} ms\n\
             Floods ask for one of {} bytes.\n",
            block.transactions, block.bytes, times.p50, times.p99, self.flood_block.bytes
        ));
        let columns = [
            left("flood"),
            right("answered"),
            right("answers/s"),
            right("failed"),
            right("finality p99 without, ms"),
            right("with"),
            right("times"),
            right("at the node that is read (times)"),
            right("its cpu s"),
            right("its memory, MiB"),
        ];
        let rows: Vec<_> = self.floods.iter().map(FloodComparison::row).collect();
        report::print_text(&table(&columns, &rows, None, str::to_owned));
        for flood in &self.floods {
            if let Some(failure) = flood.last_failure() {
                report::print_text(&format!("{}: the last failure: {failure}", flood.kind.name()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overload::slots::CallOutcome;

    /// Payments that became final after so many ms, sent to two nodes in turn.
    fn seen(finality: &[u64]) -> PaymentsSeen {
        let slot = |after: &u64| CallSlot {
            due: Duration::from_millis(10),
            outcome: CallOutcome::Accepted,
            answered: None,
            finalized: Some(Duration::from_millis(10 + after)),
        };
        let slots: Vec<_> = finality.iter().map(slot).collect();
        PaymentsSeen::of(&slots, &[], 2, Duration::from_secs(1), Vec::new(), None)
    }

    #[test]
    fn payments_of_the_node_that_is_read_are_apart_and_runs_are_compared_by_medians() {
        let one = seen(&[100, 10, 300, 20]);
        assert!((one.own.p99 - 300.0).abs() < 0.1 && (one.others.p99 - 20.0).abs() < 0.1, "{one:?}");
        let mut comparison = FloodComparison::new(FloodKind::Blocks);
        for with in [30, 24, 900] {
            comparison.add(seen(&[1, 20]), seen(&[1, with]), ReadFigures::default());
        }
        let (without, with, factor) = comparison.factor(|seen| seen.others);
        assert!((without - 20.0).abs() < 0.1 && (with - 30.0).abs() < 0.1 && (factor - 1.5).abs() < 0.01);
        assert_eq!(comparison.as_json()["is_goal_met"], true);
        assert_eq!((&comparison.as_json()["answered"], comparison.row()[1].as_str()), (&json!(0), "0"));
    }
}
