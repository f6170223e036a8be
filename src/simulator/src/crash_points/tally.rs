//! What is said of all crash points together.

use super::outcome::{CrashOutcome, Lives, StoryTrouble};
use super::point::CrashPoint;
use crate::check::Violation;
use std::fmt;
use std::time::Duration;

/// Points whose violations are reported in words; the first ones say the most.
const FAILURES_MAX: usize = 20;

/// The report card of an enumeration.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CrashReport {
    /// The command that repeats it.
    pub command: String,
    /// Events of the two lives without a crash.
    pub events: [u64; 2],
    /// Crash points to play.
    pub points: u64,
    /// Crash points played.
    pub played: u64,
    /// Crashes that came: one at each point, and second ones during the recovery.
    pub crashes: u64,
    /// Second ones among them.
    pub second_crashes: u64,
    /// Starts after a crash.
    pub restarts: u64,
    /// Signatures of one key that contradict each other or its guard.
    pub contradictions: u64,
    /// Payments and blocks that were final and are not any more, or are others.
    pub lost: u64,
    /// Starts that were refused.
    pub not_opened: u64,
    /// Everything else that must never be.
    pub other_violations: u64,
    /// Points at which something was found.
    pub failed: u64,
    /// Virtual time of all. Unit: milliseconds.
    pub virtual_ms: u64,
    /// What was found at the first of these points, each with the command that repeats it.
    pub failures: Vec<String>,
}

impl CrashReport {
    pub(super) fn new(seed: u64, every: u64, lives: Lives, points: u64) -> Self {
        let every = if every > 1 { format!(" --every {every}") } else { String::new() };
        let command = format!("timed simulate --kill-anywhere --seed {seed}{every}");
        Self { command, events: lives.events, points, ..Self::default() }
    }

    /// The story fails without a crash.
    pub(super) fn without_points(seed: u64, every: u64, trouble: &StoryTrouble) -> Self {
        let lives = Lives { events: [0, 0], recovery: 0 };
        let mut report = Self::new(seed, every, lives, 0);
        report.other_violations = 1;
        report.failures.push(format!("without a crash: {trouble}"));
        report
    }

    pub(super) fn add(&mut self, seed: u64, point: CrashPoint, outcome: &CrashOutcome) {
        self.played += 1;
        self.second_crashes += u64::from(outcome.crashed_again);
        self.crashes += u64::from(outcome.has_crashed) + u64::from(outcome.crashed_again);
        self.restarts += outcome.restarts;
        self.lost += outcome.lost;
        self.not_opened += outcome.not_opened;
        self.virtual_ms += u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX);
        for violation in &outcome.violations {
            match violation {
                Violation::SignedTwice { .. } | Violation::GuardDiffers { .. } => self.contradictions += 1,
                Violation::OtherBlock { .. } | Violation::WentBack { .. } | Violation::Unreadable { .. } => {
                    self.lost += 1
                }
                Violation::Stopped { .. } if outcome.not_opened > 0 => {}
                _ => self.other_violations += 1,
            }
        }
        if outcome.is_sound() {
            return;
        }
        self.failed += 1;
        if self.failures.len() < FAILURES_MAX {
            let first = outcome.violations.first().map(ToString::to_string);
            let what = first.unwrap_or_else(|| format!("{} payments that were final are not any more", outcome.lost));
            self.failures
                .push(format!("{what}; repeat it with: timed simulate --kill-anywhere --seed {seed} --point {point}"));
        }
    }

    /// Whether nothing was found.
    pub const fn is_sound(&self) -> bool {
        self.contradictions + self.lost + self.not_opened + self.other_violations == 0
    }

    /// How far it is, in a line.
    pub fn progress(&self) -> String {
        let Self { played, points, crashes, restarts, failed, .. } = self;
        format!("{played} of {points} crash points, {crashes} crashes, {restarts} restarts, {failed} points failed")
    }
}

impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Duration::from_millis(self.virtual_ms);
        let [first, second] = self.events;
        writeln!(f, "{}", self.command)?;
        writeln!(f, "crash points            {} of lives with {first} and {second} events", self.played)?;
        writeln!(f, "crashes                 {}, {} of them during a recovery", self.crashes, self.second_crashes)?;
        writeln!(f, "restarts                {}", self.restarts)?;
        writeln!(f, "contradictory signatures {}", self.contradictions)?;
        writeln!(f, "lost final payments     {}", self.lost)?;
        writeln!(f, "stores that do not open {}", self.not_opened)?;
        writeln!(f, "other violations        {}", self.other_violations)?;
        for outcome in &self.failures {
            writeln!(f, "VIOLATION               {outcome}")?;
        }
        write!(f, "virtual time            {} min {} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}
