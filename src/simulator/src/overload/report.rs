//! What is said of a run, and what it promises.

use super::setting::OverloadConfig;
use crate::service::percentile_ms;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use timed_mempool::BlockRelayStats;
use timed_primitives::Round;
use tokio::time::Instant;

/// Of 100 payments that were accepted under load 99 are final within this time where they were.
pub const P99_MAX: Duration = Duration::from_secs(2);
/// Of what is carried this much becomes final up to four times as much, and above. Unit: percent.
const SHARE_MIN: (u64, u64) = (90, 70);
/// At most one round in so many fails.
const ROUNDS_FAILED: u64 = 1_000;
/// After the load half of the payments take no longer than so many times what they took before, and [`AFTER_MORE_MS`] more.
const AFTER_TIMES: u64 = 2;
const AFTER_MORE_MS: u64 = 20;

/// When a payment was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadStretch {
    Before,
    Load,
    After,
}

/// A payment that was accepted.
pub(super) struct AcceptedSample {
    pub(super) stretch: LoadStretch,
    pub(super) node: u64,
    /// From the moment it was due until the node that accepted it called it final, or until now.
    pub(super) took: Duration,
    /// Until any node called it final, or until now.
    pub(super) decided: Duration,
}

/// What is said of a run. Counts are of the whole run, times of the load if nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct OverloadReport {
    /// So many times what is carried was offered.
    pub times: u64,
    /// Payments that were accepted.
    pub accepted: usize,
    /// SubmissionAnswers "busy".
    pub busy: u64,
    /// Other refusals.
    pub refused: u64,
    /// Payments that were due while every coin waited.
    pub unsent: u64,
    /// Payments that became final per second of the load, its first tenth left out.
    pub final_per_second: u64,
    /// The same in percent of what is carried.
    pub share_percent: u64,
    /// Half of what was accepted was final within this time where it was accepted. Unit: milliseconds.
    pub half_ms: u64,
    /// 99 of 100. Unit: milliseconds.
    pub p99_ms: u64,
    /// All. Unit: milliseconds.
    pub longest_ms: u64,
    /// 99 of 100, for each node by its number. Unit: milliseconds.
    pub p99_by_node_ms: BTreeMap<u64, u64>,
    /// The same until any node called it final: what is more, is the time by which the node itself is behind. Unit: milliseconds.
    pub p99_decided_by_node_ms: BTreeMap<u64, u64>,
    /// 99 of 100 answers "busy" came within this time. Unit: milliseconds.
    pub busy_p99_ms: u64,
    /// Half of a light load before. Unit: milliseconds.
    pub before_ms: u64,
    /// Half of the same three seconds after the load. Unit: milliseconds.
    pub after_ms: u64,
    /// Heights decided.
    pub heights: usize,
    /// Rounds that failed.
    pub failed_rounds: u64,
    /// Most of them in a row: at one height, or at heights that follow each other.
    pub failed_in_row: u64,
    /// Accepted and neither final nor waiting at the end.
    pub lost: usize,
    /// Accepted and not final at the end where they were.
    pub waiting: usize,
    /// How blocks under decision travelled, by each node in its order.
    pub compact: Vec<CompactBlocks>,
    /// What the checker found.
    pub kinds: Vec<&'static str>,
    /// BLAKE3 of the trace.
    pub trace_hash: String,
}

/// How blocks under decision travelled to and from a node, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CompactBlocks {
    /// Blocks that left with names in place of transactions.
    pub sent: u64,
    /// Transactions named in them.
    pub named: u64,
    /// Those that were put together.
    pub rebuilt: u64,
    /// Transactions that had to be asked for.
    pub lacked: u64,
    /// Those that had to be asked for in full.
    pub in_full: u64,
}

impl From<BlockRelayStats> for CompactBlocks {
    fn from(node: BlockRelayStats) -> Self {
        let BlockRelayStats { compact_sent: sent, named, rebuilt, lacked, in_full, asked: _ } = node;
        Self { sent, named, rebuilt, lacked, in_full }
    }
}

impl CompactBlocks {
    /// Of several nodes.
    pub fn sum(nodes: &[Self]) -> Self {
        nodes.iter().fold(Self::default(), |all, node| Self {
            sent: all.sent + node.sent,
            named: all.named + node.named,
            rebuilt: all.rebuilt + node.rebuilt,
            lacked: all.lacked + node.lacked,
            in_full: all.in_full + node.in_full,
        })
    }
}

impl OverloadReport {
    pub(super) fn new(
        config: &OverloadConfig,
        done: &[AcceptedSample],
        waiting: &[AcceptedSample],
        rounds: &[Round],
    ) -> Self {
        let took = |is_counted: &dyn Fn(&AcceptedSample) -> bool| {
            let mut took: Vec<_> = done.iter().chain(waiting).filter(|s| is_counted(s)).map(|s| s.took).collect();
            took.sort_unstable();
            took
        };
        let of = |stretch| took(&|sample: &AcceptedSample| sample.stretch == stretch);
        let load = of(LoadStretch::Load);
        let by_node = |node, of: &dyn Fn(&AcceptedSample) -> Duration| {
            let own = |s: &&AcceptedSample| s.stretch == LoadStretch::Load && s.node == node;
            let mut times: Vec<_> = done.iter().chain(waiting).filter(own).map(of).collect();
            times.sort_unstable();
            (node, percentile_ms(&times, 99))
        };
        Self {
            times: config.times,
            accepted: done.len() + waiting.len(),
            half_ms: percentile_ms(&load, 50),
            p99_ms: percentile_ms(&load, 99),
            longest_ms: percentile_ms(&load, 100),
            p99_by_node_ms: (1..=config.nodes).map(|node| by_node(node, &|sample| sample.took)).collect(),
            p99_decided_by_node_ms: (1..=config.nodes).map(|node| by_node(node, &|sample| sample.decided)).collect(),
            before_ms: percentile_ms(&of(LoadStretch::Before), 50),
            after_ms: percentile_ms(&of(LoadStretch::After), 50),
            heights: rounds.len(),
            failed_rounds: rounds.iter().map(|round| u64::from(round.0)).sum(),
            failed_in_row: longest_row(rounds),
            waiting: waiting.len(),
            ..Self::default()
        }
    }

    pub(super) fn busy_after(&mut self, answers: &mut [Duration]) {
        answers.sort_unstable();
        self.busy_p99_ms = percentile_ms(answers, 99);
    }

    /// Counts what became final under a load that began then.
    pub(super) fn final_between(&mut self, config: &OverloadConfig, begun: Instant, became_final: &[Instant]) {
        let (from, to) = (begun + config.length / 10, begun + config.length);
        let count = became_final.iter().filter(|at| (from..to).contains(at)).count() as u64;
        let ms = u64::try_from((to - from).as_millis()).unwrap_or(u64::MAX).max(1);
        self.final_per_second = count * 1_000 / ms;
        self.share_percent = 100 * self.final_per_second / config.carries.max(1);
    }

    /// The promises that are not kept, and what the checker found.
    pub fn broken(&self) -> Vec<&'static str> {
        let share_min = if self.times <= 4 { SHARE_MIN.0 } else { SHARE_MIN.1 };
        let rounds = self.heights as u64 + self.failed_rounds;
        let promises = [
            ("share", self.share_percent >= share_min),
            ("late", Duration::from_millis(self.p99_ms) <= P99_MAX),
            ("failed-rounds", self.failed_rounds * ROUNDS_FAILED <= rounds),
            ("failed-in-a-row", self.failed_in_row <= 1),
            ("lost", self.lost == 0),
            ("kept-waiting", self.waiting == 0),
            ("slow-after", self.after_ms <= AFTER_TIMES * self.before_ms + AFTER_MORE_MS),
        ];
        promises.into_iter().filter(|(_, is_kept)| !is_kept).map(|(name, _)| name).chain(self.kinds.clone()).collect()
    }
}

/// Failed rounds that nothing but decisions of later rounds lies between.
fn longest_row(rounds: &[Round]) -> u64 {
    let (mut row, mut longest) = (0, 0);
    for round in rounds {
        row = if round.0 == 0 { 0 } else { row + u64::from(round.0) };
        longest = longest.max(row);
    }
    longest
}

impl fmt::Display for OverloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { times, accepted, busy, refused, unsent, .. } = self;
        writeln!(f, "offered       {times} times what is carried")?;
        writeln!(f, "answers       {accepted} accepted, {busy} busy, {refused} refused, {unsent} not sent")?;
        writeln!(f, "final         {} per second, {} % of what is carried", self.final_per_second, self.share_percent)?;
        let Self { half_ms, p99_ms, longest_ms, .. } = self;
        writeln!(f, "accepted      half final within {half_ms} ms, 99 % within {p99_ms}, all within {longest_ms}")?;
        writeln!(f, "              99 % at each node: {:?}", self.p99_by_node_ms)?;
        writeln!(f, "              99 % anywhere, by the node that took it: {:?}", self.p99_decided_by_node_ms)?;
        writeln!(f, "busy          99 % of these answers within {} ms", self.busy_p99_ms)?;
        writeln!(f, "light load    half within {} ms before, {} after", self.before_ms, self.after_ms)?;
        let Self { heights, failed_rounds, failed_in_row, .. } = self;
        writeln!(f, "heights       {heights}, {failed_rounds} rounds failed, {failed_in_row} in a row")?;
        let CompactBlocks { sent, named, rebuilt, lacked, in_full } = CompactBlocks::sum(&self.compact);
        writeln!(
            f,
            "blocks        {sent} left with {named} names, {rebuilt} put together, {lacked} transactions asked for, {in_full} blocks in full"
        )?;
        writeln!(f, "at the end    {} lost, {} not final where they were accepted", self.lost, self.waiting)?;
        match self.broken().as_slice() {
            [] => writeln!(f, "outcome       kept")?,
            broken => writeln!(f, "BROKEN        {}", broken.join(", "))?,
        }
        write!(f, "trace hash    {}", self.trace_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_rounds_count_as_a_row_over_heights() {
        let rows = [&[0, 0][..], &[0, 1, 0], &[1, 1, 0, 1], &[0, 3, 0, 1, 1]];
        let longest = rows.map(|row| longest_row(&row.iter().map(|round| Round(*round)).collect::<Vec<_>>()));
        assert_eq!(longest, [0, 1, 2, 3]);
    }

    #[test]
    fn every_promise_is_checked() {
        let kept = OverloadReport {
            times: 10,
            share_percent: 70,
            p99_ms: 2_000,
            heights: 999,
            failed_rounds: 1,
            failed_in_row: 1,
            before_ms: 10,
            after_ms: 40,
            ..OverloadReport::default()
        };
        assert_eq!(kept.broken(), [""; 0]);
        let broken = OverloadReport {
            times: 4,
            p99_ms: 2_001,
            heights: 990,
            failed_in_row: 2,
            lost: 1,
            waiting: 1,
            after_ms: 41,
            kinds: vec!["supply"],
            ..kept
        };
        let all = ["share", "late", "failed-rounds", "failed-in-a-row", "lost", "kept-waiting", "slow-after", "supply"];
        assert_eq!(broken.broken(), all);
    }
}
