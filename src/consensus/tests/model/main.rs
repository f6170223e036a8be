//! A model of the embedding: four validators, explored by the model checker `stateright`, over the real [`timed_consensus::Consensus`].
//!
//! **What it shows.** Whatever is heard late, in part or never, whichever time-outs come early, and wherever in its order of writing
//! (journal write, journal sync, guard write, publish, commit, guard sync) a validator loses power, once each, with its unsynced writes
//! lost, kept or torn in each file, or then finds a page of its journal spoiled, or its journal's files gone: no validator signs two contradicting statements for one height, round and step; no
//! two blocks are decided at one height; a loss of power alone leaves nobody in doubt of what it signed; and no core stops. And that the
//! model can fail: without the guard, without the journal's sync, and with publishing before syncing it finds a counterexample.
//!
//! **Why this form.** An abstract voter written for the model would prove the order of writing for itself, not for what runs. The core
//! is deterministic and keeps its whole life in inputs, disk and chain, so the real one can be driven instead. What would make that slow is
//! that it can be neither cloned nor hashed, and checks signatures. But a validator sees of the network only what it hears: so states of
//! *one* validator are kept in a table with a step to the next ([`table`]), computed once with the real core, and a state of the *network*
//! is four numbers and the set of published statements ([`network`]), of which the checker handles hundreds of thousands.
//!
//! ```text
//!  network   4 states of validators + published statements     explored: Pass, Take(step), Lose(step, which way)
//!  table     state of a validator × step ─► state, published   each pair once, by replay of its life
//!  life      Consensus::handle, answers of mempool and ledger, the order of writing and publishing
//!  disk      what was written and synced, and each way in which a loss of power may leave it
//! ```
//!
//! **Bounds.** Heights, rounds, losses and surprises: an event is a surprise when it would not happen in a network where all is heard at
//! once ([`network`]). All within the bounds is explored, breadth first. Without a bound on surprises one round of one height alone has
//! 600,000 states; with it two heights of three rounds are feasible, and each further surprise or loss costs about ten times as much. What is left
//! out: validators that lie, block sync, and a whole folder lost or restored from an old copy, which nothing but listening in time can find out
//! (`safety.rs` has those). Clocks stand still, and of two time-outs that wait the earlier comes first.
//!
//! **By hand**, with bounds as heights, rounds, surprises, losses (here 452,204 states of the network, 39,983 steps of the core, 51 s in the
//! profile of tests):
//!
//! ```text
//! MODEL_BOUNDS=2,3,2,1 cargo test -p timed-consensus --test model -- --nocapture bounds_from_the_environment
//! ```

#![allow(clippy::unwrap_used, reason = "a test")]

mod disk;
mod life;
mod network;
mod table;

use network::{Bounds, CONTRADICTION, DECIDED, DOUBT, LATER_ROUND, Network};
use stateright::{Checker, HasDiscoveries, Model};

/// A fault planted around the core, to show that the model can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    None,
    /// The guard is not there at a start.
    NoGuard,
    /// Syncs of the journal do nothing.
    NoJournalSync,
    /// What is signed leaves before it is written.
    PublishBeforeSync,
    /// One inside the core.
    #[cfg(feature = "planted")]
    Bug(timed_primitives::planted::Bug),
}

#[cfg(feature = "planted")]
impl Plant {
    /// Plants it in this thread, if it is one inside the core.
    pub(crate) fn sow(self) -> Option<timed_primitives::planted::Planted> {
        match self {
            Self::Bug(bug) => Some(timed_primitives::planted::plant(bug)),
            Self::None | Self::NoGuard | Self::NoJournalSync | Self::PublishBeforeSync => None,
        }
    }
}

const fn bounds(heights: usize, rounds: u32, surprises: u8, losses: usize) -> Bounds {
    Bounds { heights, rounds, surprises, losses }
}

/// Explores all within the bounds, and expects no counterexample.
fn check(bounds: Bounds) {
    let checker = Network::new(bounds, Plant::None).checker().spawn_bfs().join();
    let found: Vec<_> =
        checker.discoveries().into_iter().map(|(name, path)| (name, checker.model().describe(path))).collect();
    let (locals, steps) = checker.model().table.counts();
    println!(
        "{bounds:?}: {} states of the network, {locals} of a validator, {steps} steps of the core",
        checker.unique_state_count(),
    );
    for (name, path) in found {
        assert!([DECIDED, LATER_ROUND].contains(&name), "{name}, but:\n{path}");
    }
    checker.assert_properties();
    println!("{} steps compared", checker.model().table.compare_paths(100));
}

/// Expects a counterexample to `property`, the first to any.
fn check_finds(bounds: Bounds, plant: Plant, property: &'static str) {
    let checker = Network::new(bounds, plant).checker();
    let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let path = checker.discovery(property);
    let others = || checker.discoveries().into_iter().map(|(name, path)| (name, checker.model().describe(path)));
    let Some(path) = path else {
        panic!("{plant:?}: no counterexample to: {property}; but {:?}", others().collect::<Vec<_>>())
    };
    println!("{plant:?}, found after {} states: not true that {property}:", checker.unique_state_count());
    println!("{}", checker.model().describe(path));
}

#[test]
fn two_heights_of_three_rounds_with_two_surprises() {
    check(bounds(2, 3, 2, 0));
}

#[test]
fn two_heights_of_three_rounds_with_two_losses() {
    check(bounds(2, 3, 0, 2));
}

#[test]
fn two_heights_of_three_rounds_with_a_loss_and_a_surprise() {
    check(bounds(2, 3, 1, 1));
}

#[test]
fn one_height_where_each_loses_once() {
    check(bounds(1, 3, 0, 4));
}

#[test]
fn one_height_with_a_loss_amid_surprises() {
    check(bounds(1, 3, 2, 1));
}

#[test]
fn bounds_from_the_environment() {
    let text = std::env::var("MODEL_BOUNDS").unwrap_or_else(|_| "2,3,1,0".to_owned());
    let numbers: Vec<u8> = text.split(',').map(|number| number.trim().parse().unwrap()).collect();
    let [heights, rounds, surprises, losses] = numbers[..] else { panic!("MODEL_BOUNDS={text}: four numbers") };
    check(bounds(heights.into(), rounds.into(), surprises, losses.into()));
}

#[test]
fn without_the_guard_a_lost_journal_makes_it_contradict_itself() {
    check_finds(bounds(1, 2, 1, 1), Plant::NoGuard, CONTRADICTION);
}

/// The guard still knows the last thing signed, so nothing is signed twice; but whoever loses power stops signing, and two of four
/// that do so stop the network.
#[test]
fn without_the_journals_sync_a_loss_of_power_leaves_it_in_doubt() {
    check_finds(bounds(1, 2, 1, 1), Plant::NoJournalSync, DOUBT);
}

#[test]
fn publishing_before_syncing_makes_it_contradict_itself() {
    check_finds(bounds(1, 2, 1, 1), Plant::PublishBeforeSync, CONTRADICTION);
}

/// Bugs inside the core, found by the model.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use network::STOP;
    use timed_primitives::planted::Bug;

    #[test]
    fn no_guard() {
        check_finds(bounds(1, 2, 1, 1), Plant::Bug(Bug::NoGuard), CONTRADICTION);
    }

    /// What was written to the guard survives, and the journal's batch does not.
    #[test]
    fn guard_before_journal() {
        check_finds(bounds(1, 2, 1, 1), Plant::Bug(Bug::GuardBeforeJournal), DOUBT);
    }

    /// One page that is spoiled takes a vote that left. Here the guard still has it; after the next height has begun it would not.
    #[test]
    fn journal_stands_once() {
        check_finds(bounds(1, 2, 1, 1), Plant::Bug(Bug::JournalStandsOnce), DOUBT);
    }

    #[test]
    fn lock_ignored() {
        // The engine sees that its replay diverges.
        check_finds(bounds(1, 2, 4, 1), Plant::Bug(Bug::LockIgnored), STOP);
    }
}
