//! A run that fails, made smaller while it fails in the same way: fewer kinds of faults, fewer nodes, fewer payments, less time.

use crate::fault_kind::FaultSet;
use crate::report::Report;
use crate::run::{RunConfig, run};
use std::time::Duration;

/// Fewest validators of which one may be faulty.
const NODES_MIN: u64 = 4;

/// What came of trying a smaller case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShrinkOutcome {
    /// It still fails in the same way.
    Fails,
    /// It does not, or in another way.
    Passes,
    /// There is no time for it, nor for any other.
    Enough,
}

/// The smallest case found: from one that fails goes on to the first smaller one that fails, until none does.
pub fn smallest<T>(mut case: T, smaller: impl Fn(&T) -> Vec<T>, mut run: impl FnMut(&T) -> ShrinkOutcome) -> T {
    'smaller: loop {
        for candidate in smaller(&case) {
            match run(&candidate) {
                ShrinkOutcome::Fails => {
                    case = candidate;
                    continue 'smaller;
                }
                ShrinkOutcome::Passes => {}
                ShrinkOutcome::Enough => return case,
            }
        }
        return case;
    }
}

/// Runs that are smaller in one respect than this one, which draws exactly its kinds of faults; what saves most comes first.
fn smaller(config: &RunConfig) -> Vec<RunConfig> {
    let mut found = Vec::new();
    let mut add = |change: &dyn Fn(&mut RunConfig)| {
        let mut candidate = config.unseen();
        change(&mut candidate);
        found.push(candidate);
    };
    if config.nodes > NODES_MIN {
        add(&|candidate| candidate.nodes = NODES_MIN);
    }
    if config.observers > 0 {
        add(&|candidate| candidate.observers = 0);
    }
    for kind in &config.faults.0 {
        add(&|candidate| candidate.faults.0.retain(|other| other != kind));
    }
    if config.tps > 0 {
        add(&|candidate| candidate.tps /= 2);
    }
    found
}

/// Makes a run that failed smaller while its first violation is of the same kind. `may_try` is asked before each try, with the command of
/// the smallest run that failed so far. Gives the report of the smallest: its command is the shortest known.
///
/// `None` when the run is sound, or when it does not fail again.
pub fn shrink(failed: &RunConfig, report: &Report, mut may_try: impl FnMut(&str) -> bool) -> Option<Report> {
    let kind = *report.kinds.first()?;
    let faults: FaultSet = report.drawn.parse().ok()?;
    let mut best: Option<Report> = None;
    let mut run = |config: &RunConfig| {
        if !may_try(best.as_ref().map_or(&report.command, |best| &best.command)) {
            return ShrinkOutcome::Enough;
        }
        let found = run(config.unseen());
        if found.kinds.first() != Some(&kind) {
            return ShrinkOutcome::Passes;
        }
        best = Some(found);
        ShrinkOutcome::Fails
    };
    // In the minute in which it failed it fails again.
    let minutes = report.virtual_ms.div_ceil(60_000).max(1);
    let length = Duration::from_secs(60 * minutes).min(failed.length);
    let exact = RunConfig { faults, exactly: true, length, ..failed.unseen() };
    if run(&exact) == ShrinkOutcome::Fails {
        smallest(exact, smaller, run);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(faults: &str) -> RunConfig {
        let mut config = RunConfig { exactly: true, observers: 2, tps: 8, ..RunConfig::new(1) };
        config.faults = faults.parse().unwrap();
        config
    }

    /// What is left of a run of seven nodes, and after how many tries.
    fn left(faults: &str, tries: usize, fails: impl Fn(&RunConfig) -> bool) -> (String, usize) {
        let mut tried = 0;
        let found = smallest(config(faults), smaller, |candidate| {
            if tried == tries {
                return ShrinkOutcome::Enough;
            }
            tried += 1;
            if fails(candidate) { ShrinkOutcome::Fails } else { ShrinkOutcome::Passes }
        });
        (format!("{} {} {} {}", found.nodes, found.observers, found.tps, found.faults), tried)
    }

    #[test]
    fn what_a_failure_does_not_need_is_left_out() {
        let needs =
            |config: &RunConfig, faults: &str| faults.parse::<FaultSet>().unwrap().0.is_subset(&config.faults.0);
        assert_eq!(left("all", 1_000, |config| needs(config, "pause,reset")).0, "4 0 0 pause,reset");
        assert_eq!(left("all", 1_000, |config| needs(config, "kill") && config.tps > 1).0, "4 0 2 kill");
        assert_eq!(left("kill,pause", 1_000, |config| config.nodes == 7).0, "7 0 0 none");
        assert_eq!(left("kill,pause", 1_000, |_| false), ("7 2 8 kill,pause".to_owned(), 5), "each is tried once");
        assert_eq!(
            left("kill,pause", 2, |_| true),
            ("4 0 8 kill,pause".to_owned(), 2),
            "no more tries than there is time for"
        );
    }

    #[test]
    fn a_run_named_by_what_it_drew_is_the_same_run() {
        let play = |faults: &str, exactly| {
            let faults = faults.parse().unwrap();
            run(RunConfig { nodes: 4, length: Duration::from_secs(60), faults, exactly, ..RunConfig::new(2) })
        };
        let (drawn, named) = (play("all", false), play(&play("all", false).drawn, true));
        assert_eq!(drawn.trace_hash, named.trace_hash);
        assert_ne!(drawn.trace_hash, play("all", true).trace_hash);
    }
}
