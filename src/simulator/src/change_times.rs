//! When operators change who decides.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::time::Duration;
use tokio::time::Instant;

/// When the next change of who decides is due.
pub(crate) struct ChangeTimes {
    rng: StdRng,
    next: Option<Instant>,
    made: usize,
    /// Chance.
    word: u64,
}

impl ChangeTimes {
    /// Mean time between two. Changes pay from coins of their own, of which there are enough for an hour.
    const EVERY: Duration = Duration::from_secs(40);

    /// `are_made`: else none is ever due.
    pub(crate) fn new(seed: u64, are_made: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed.rotate_left(24) ^ 0x6d61_7374_6572_6e6f);
        // Eight seeds with changes, eight without: how long payments may take is bound where who decides stays the same.
        let next = (are_made && (seed / 8).is_multiple_of(2)).then(|| Instant::now() + Self::wait(&mut rng));
        Self { rng, next, made: 0, word: seed / 16 }
    }

    /// How many of these vote at any time, whatever operators do: all, or as few as vote anywhere.
    pub(crate) fn voters_least(&self, voters: u64) -> u64 {
        let least = u64::try_from(timed_ledger::VOTERS_MIN).unwrap_or(u64::MAX).min(voters);
        if self.next.is_some() && self.word.is_multiple_of(2) { least } else { voters }
    }

    /// Whether one was due so far.
    pub(crate) const fn are_made(&self) -> bool {
        self.made > 0
    }

    fn wait(rng: &mut StdRng) -> Duration {
        Duration::from_millis(rng.random_range(1..=2 * u64::try_from(Self::EVERY.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The number of the one that is due, what it is drawn from, and which node gets it.
    pub(crate) fn due(&mut self) -> Option<(usize, u64, usize)> {
        let due = self.next.filter(|at| *at <= Instant::now())?;
        self.next = Some(due + Self::wait(&mut self.rng));
        let number = self.made;
        self.made += 1;
        Some((number, self.rng.random(), self.rng.random_range(0..1_000)))
    }
}
