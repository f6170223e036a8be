//! What one story says: how long its lives are, and what came of a crash.

use super::point::CrashPoint;
use crate::check::Violation;
use crate::gate::Crash;
use crate::node::StartError;
use std::time::Duration;

/// One of so many crash points is played again with a second crash.
const SECOND_EVERY: u64 = 2;

/// How many events the lives of the victim have when nothing befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// From its first start to the end of an orderly stop, and from its second start to the end of the story.
    pub events: [u64; 2],
    /// Of the second, until it has caught up and signs.
    pub recovery: u64,
}

impl Lives {
    /// All crash points: each event with each kind of crash, and some of them again with a second crash at an event of the recovery.
    pub fn points(self, seed: u64) -> impl Iterator<Item = CrashPoint> {
        let lives = [(1, self.events[0]), (2, self.events[1])];
        let first = lives.into_iter().flat_map(|(life, events)| (1..=events).map(move |event| (life, event)));
        let kinds = [Crash::Process, Crash::Power];
        let first =
            first.flat_map(move |(life, event)| kinds.map(|crash| CrashPoint { life, event, crash, again_at: None }));
        (0..).zip(first).flat_map(move |(number, point)| {
            let again = CrashPoint { again_at: Some(point.fate(seed) % self.recovery.max(1) + 1), ..point };
            // Of two points that differ in the kind of crash alone, now the one, now the other.
            let is_taken = (number / 2 + number) % SECOND_EVERY == 0;
            [Some(point), is_taken.then_some(again)].into_iter().flatten()
        })
    }
}

/// What came of one story.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrashOutcome {
    /// Whether the crash came.
    pub has_crashed: bool,
    /// How often the victim was started after a crash.
    pub restarts: u64,
    /// Starts that were refused.
    pub not_opened: u64,
    /// Payments that were final and are not any more, on one node or another.
    pub lost: u64,
    /// Whether the second crash came; it does not when the recovery was over before.
    pub crashed_again: bool,
    /// Virtual time.
    pub took: Duration,
    /// What must never be, the first first.
    pub violations: Vec<Violation>,
}

impl CrashOutcome {
    /// Whether nothing was found.
    pub const fn is_sound(&self) -> bool {
        self.violations.is_empty() && self.lost == 0
    }
}

/// The story cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoryTrouble {
    /// A node does not open what it kept.
    #[error(transparent)]
    DoesNotStart(#[from] StartError),
    /// Something did not happen in time.
    #[error("{text}")]
    TimedOut {
        /// What, and why.
        text: String,
    },
    /// The checker found what must never be.
    #[error("{text}")]
    Violated {
        /// In words.
        text: String,
    },
}
