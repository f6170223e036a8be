//! What became of everything that was due, and the figures made from it.

use crate::report::{Percentiles, float, ms, rounded};
use std::collections::BTreeMap;
use std::time::Duration;

/// The node's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    /// No coin was ready, or no connection was free for [`super::generator::UNSENT_AFTER`].
    #[default]
    Unsent,
    /// Taken.
    Accepted,
    /// Refused as too many: "busy".
    Busy,
    /// Refused for another reason.
    Refused,
    /// No answer, or none in time.
    Unanswered,
}

/// Something that was due. Times count from the start of the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallSlot {
    pub(crate) due: Duration,
    pub(crate) outcome: CallOutcome,
    pub(crate) answered: Option<Duration>,
    pub(crate) finalized: Option<Duration>,
}

/// A block that was decided while we looked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenBlock {
    pub(crate) at: Duration,
    /// The round that decided it: as many failed before.
    pub(crate) round: u64,
    pub(crate) transactions: usize,
}

/// Figures of one part of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadFigures {
    pub(crate) offered: usize,
    pub(crate) counts: BTreeMap<&'static str, usize>,
    pub(crate) finalized: usize,
    /// Accepted and not final at the end.
    pub(crate) waiting: usize,
    /// Made final per second, without the beginning.
    pub(crate) final_per_second: f64,
    /// From being due to being seen final. Unit: ms.
    pub(crate) finality: Percentiles,
    /// From being due to "busy". Unit: ms.
    pub(crate) refusals: Percentiles,
    /// From being due to being taken. Unit: ms.
    pub(crate) answers: Percentiles,
    pub(crate) blocks: usize,
    /// Transactions of its largest block.
    pub(crate) block_max: usize,
    pub(crate) failed_rounds: u64,
    /// Most failed rounds in a row.
    pub(crate) failed_in_row: u64,
}

impl LoadFigures {
    /// Of the slots due and the blocks seen between two moments. The first tenth, 5 s at most, is left out of the rate: nothing can be final
    /// before the first blocks.
    pub(crate) fn of(slots: &[CallSlot], blocks: &[SeenBlock], from: Duration, to: Duration) -> Self {
        let mine: Vec<&CallSlot> = slots.iter().filter(|slot| (from..to).contains(&slot.due)).collect();
        let mut figures = Self { offered: mine.len(), ..Self::default() };
        for slot in &mine {
            *figures.counts.entry(name(slot.outcome)).or_default() += 1;
        }
        let accepted = || mine.iter().filter(|slot| slot.outcome == CallOutcome::Accepted);
        figures.finalized = mine.iter().filter(|slot| slot.finalized.is_some()).count();
        figures.waiting = accepted().filter(|slot| slot.finalized.is_none()).count();
        let since_due = |slot: &CallSlot, then: Option<Duration>| then.map(|then| ms(then.saturating_sub(slot.due)));
        let all = |values: Vec<Option<f64>>| percentiles(values.into_iter().flatten().collect());
        figures.finality = all(mine.iter().map(|slot| since_due(slot, slot.finalized)).collect());
        figures.answers = all(accepted().map(|slot| since_due(slot, slot.answered)).collect());
        let busy = mine.iter().filter(|slot| slot.outcome == CallOutcome::Busy);
        figures.refusals = all(busy.map(|slot| since_due(slot, slot.answered)).collect());
        let start = from + (to.saturating_sub(from) / 10).min(Duration::from_secs(5));
        let finals = slots.iter().filter_map(|slot| slot.finalized).filter(|at| (start..to).contains(at)).count();
        figures.final_per_second = float(finals as u64) / to.saturating_sub(start).as_secs_f64().max(f64::EPSILON);
        let blocks = || blocks.iter().filter(|block| (from..to).contains(&block.at));
        figures.blocks = blocks().count();
        figures.block_max = blocks().map(|block| block.transactions).max().unwrap_or_default();
        figures.failed_rounds = blocks().map(|block| block.round).sum();
        figures.failed_in_row = blocks().map(|block| block.round).max().unwrap_or_default();
        figures
    }

    pub(crate) fn count(&self, outcome: CallOutcome) -> usize {
        self.counts.get(name(outcome)).copied().unwrap_or_default()
    }

    /// Failed rounds of all rounds. Unit: percent.
    pub(crate) fn failed_share(&self) -> f64 {
        let rounds = self.blocks as u64 + self.failed_rounds;
        rounded(100.0 * float(self.failed_rounds) / float(rounds.max(1)), 3)
    }
}

fn percentiles(values: Vec<f64>) -> Percentiles {
    let all = Percentiles::of(values);
    Percentiles {
        p50: rounded(all.p50, 1),
        p95: rounded(all.p95, 1),
        p99: rounded(all.p99, 1),
        max: rounded(all.max, 1),
    }
}

fn name(outcome: CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Unsent => "unsent",
        CallOutcome::Accepted => "accepted",
        CallOutcome::Busy => "busy",
        CallOutcome::Refused => "refused",
        CallOutcome::Unanswered => "unanswered",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_count_from_what_was_due_and_leave_the_beginning_out_of_the_rate() {
        let ms = Duration::from_millis;
        let mut slots: Vec<CallSlot> = (0..1_000)
            .map(|n| CallSlot {
                due: ms(n * 10),
                outcome: CallOutcome::Accepted,
                answered: Some(ms(n * 10 + 5)),
                finalized: Some(ms(n * 10 + 100)),
            })
            .collect();
        slots[500].finalized = None;
        slots[501] =
            CallSlot { due: ms(5_010), outcome: CallOutcome::Busy, answered: Some(ms(5_070)), finalized: None };
        slots.push(CallSlot { due: ms(12_000), ..CallSlot::default() });
        let block = |at, round| SeenBlock { at: ms(at), round, transactions: 7 };
        let blocks = [block(500, 0), block(700, 2), block(900, 1), block(11_000, 5)];
        let figures = LoadFigures::of(&slots, &blocks, Duration::ZERO, ms(10_000));
        assert_eq!((figures.offered, figures.finalized, figures.waiting), (1_000, 998, 1));
        assert_eq!(
            [CallOutcome::Accepted, CallOutcome::Busy, CallOutcome::Unsent].map(|o| figures.count(o)),
            [999, 1, 0]
        );
        assert!((figures.finality.p99 - 100.0).abs() < 1e-9 && (figures.refusals.p50 - 60.0).abs() < 1e-9);
        assert!((figures.final_per_second - 898.0 / 9.0).abs() < 1e-9, "{}", figures.final_per_second);
        assert_eq!((figures.blocks, figures.failed_rounds, figures.failed_in_row), (3, 3, 2));
        assert!((figures.failed_share() - 50.0).abs() < 1e-9);
    }
}
