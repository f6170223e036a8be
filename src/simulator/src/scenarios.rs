//! What once went wrong in a network of this kind, 43 incidents by number, each played again against real nodes or ruled out in a line.
//!
//! A scenario plays a world and says what it has shown; when a promise is not kept it gives a [`stage::Failed`] and does not panic. Whatever
//! it checks itself, the checker of each of its worlds must have found nothing.
//!
//! Start reading in [`table`], which has a row for each incident.

mod chain;
mod frames;
mod operations;
pub mod stage;
mod storage;
pub mod table;
mod transport;
mod trust;

pub use table::{INCIDENTS, INCIDENTS_MAX, Incident, IncidentRow, SCENARIOS, Scenario, named, near};

use crate::trace::Print;
use crate::world::play as play_world;
use stage::{Failed, Stage};
use std::fmt;
use std::time::Duration;

/// What came of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Played {
    /// Its name.
    pub name: &'static str,
    /// The incidents it stands for.
    pub incidents: &'static [u8],
    /// What it promises.
    pub promise: &'static str,
    /// What was seen.
    pub shown: Vec<String>,
    /// Virtual time, all worlds together. Unit: milliseconds.
    pub virtual_ms: u64,
    /// Comparisons that the checkers made.
    pub checks: u64,
    /// Why the promise is not kept.
    pub failed: Option<String>,
    /// BLAKE3 of the traces, one for each world.
    pub trace_hashes: Vec<String>,
}

impl Played {
    /// Whether the promise is kept.
    pub const fn is_kept(&self) -> bool {
        self.failed.is_none()
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Duration::from_millis(self.virtual_ms).as_secs();
        writeln!(f, "timed simulate --scenario {}", self.name)?;
        writeln!(f, "promise       {}", self.promise)?;
        for shown in &self.shown {
            writeln!(f, "shown         {shown}")?;
        }
        writeln!(f, "virtual time  {} h {} min {} s", time / 3600, time / 60 % 60, time % 60)?;
        writeln!(f, "checks        {}", self.checks)?;
        match &self.failed {
            None => writeln!(f, "outcome       kept")?,
            Some(why) => writeln!(f, "BROKEN        {why}")?,
        }
        write!(f, "trace hashes  {}", self.trace_hashes.join(" "))
    }
}

/// Plays a scenario. `print` sees every line of its traces.
pub fn play(scenario: &Scenario, print: Option<Print>) -> Played {
    let stage = Stage::new(print);
    let (outcome, virtual_ms) = play_world(async {
        let began = tokio::time::Instant::now();
        let outcome = (scenario.play)(&stage).await;
        (outcome, u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX))
    });
    let (worlds, shown) = stage.into_parts();
    let violation = worlds.iter().find_map(|(_, checker)| checker.lock().violations().first().cloned());
    // What the checker found says more than what did not happen because of it.
    let failed = violation.map(|violation| Failed::Violated(Box::new(violation))).or(outcome.err());
    Played {
        name: scenario.name,
        incidents: scenario.incidents,
        promise: scenario.promise,
        shown,
        virtual_ms,
        checks: worlds.iter().map(|(_, checker)| checker.lock().checks()).sum(),
        failed: failed.map(|failed| failed.to_string()),
        trace_hashes: worlds.iter().map(|(trace, _)| trace.hash()).collect(),
    }
}
