//! How far a long walk is.

use console::Term;
use std::time::{Duration, Instant};
use timed_primitives::counted;

/// From one line to the next.
const EVERY: Duration = Duration::from_millis(250);

/// Shows how far a walk over blocks is, on a terminal; nothing elsewhere.
pub struct WalkProgress {
    terminal: Option<Term>,
    /// How far the end is, in whatever unit.
    total: u64,
    started: Instant,
    shown: Instant,
}

impl WalkProgress {
    /// Of a walk so long, in whatever unit. It goes to standard error, so the result can go elsewhere.
    #[allow(clippy::disallowed_methods, reason = "a program at the edge: it shows people how long something takes")]
    pub fn new(total: u64) -> Self {
        let terminal = Some(Term::stderr()).filter(Term::is_term);
        let now = Instant::now();
        Self { terminal, total, started: now, shown: now }
    }

    /// So far it came, by so many blocks.
    #[allow(clippy::disallowed_methods, reason = "a program at the edge: it shows people how long something takes")]
    pub fn at(&mut self, done: u64, blocks: u64) {
        let Some(terminal) = &self.terminal else { return };
        let now = Instant::now();
        if now.duration_since(self.shown) < EVERY {
            return;
        }
        self.shown = now;
        // A terminal that is gone sees nothing.
        let _ = terminal.clear_line();
        let _ = terminal.write_str(&line(done, self.total, blocks, now.duration_since(self.started)));
    }

    /// It is over: what was shown goes.
    pub fn end(&self) {
        if let Some(terminal) = &self.terminal {
            let _ = terminal.clear_line();
        }
    }
}

/// Percent, rate and time left.
fn line(done: u64, total: u64, blocks: u64, taken: Duration) -> String {
    let (done, total) = (u128::from(done), u128::from(total.max(1)));
    let milliseconds = taken.as_millis().max(1);
    let rate = u128::from(blocks) * 1_000 / milliseconds;
    let left = milliseconds * total.saturating_sub(done) / done.max(1) / 1_000;
    let left = match left {
        0..=99 => format!("{left} s"),
        _ => format!("{} min", left.div_ceil(60)),
    };
    let blocks = counted(usize::try_from(blocks).unwrap_or(usize::MAX), "block");
    format!("{} %, {blocks}, {rate} a second, about {left} left", (done * 100 / total).min(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_rate_and_time_left_are_those_so_far() {
        let line = |done, blocks, seconds| line(done, 1_000, blocks, Duration::from_secs(seconds));
        assert_eq!(line(0, 0, 0), "0 %, 0 blocks, 0 a second, about 1 s left");
        assert_eq!(line(250, 1, 10), "25 %, 1 block, 0 a second, about 30 s left");
        assert_eq!(line(100, 5_000, 20), "10 %, 5000 blocks, 250 a second, about 3 min left");
        assert_eq!(line(1_200, 9, 1), "100 %, 9 blocks, 9 a second, about 0 s left");
    }
}
