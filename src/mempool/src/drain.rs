//! How fast work is done, measured only while there was work.

use std::time::Duration;
use timed_primitives::Instant;

/// Work is counted over at least so much busy time before it changes the rate: single steps say little.
const WINDOW: Duration = Duration::from_millis(200);
/// The first rate of a [`Drain::rough_first`].
const ROUGH_WINDOW: Duration = Duration::from_millis(1);
/// The rate follows what is measured with this time constant, in busy time.
const SMOOTHING: Duration = Duration::from_secs(1);
/// Longest pause between two steps that counts as work: what an outage lasted says nothing about what comes after it.
const STEP_MAX: Duration = Duration::from_secs(10);

/// What was left when some work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// Nothing: the clock stops until there is work again.
    Empty,
    /// Only what came while that work was being done: it might have gone faster, had there been more.
    Fresh,
    /// Work that has waited for longer: it could not go faster.
    Old,
}

/// A smoothed rate of work, in units of weight each second.
///
/// | measured over a window | the rate |
/// |---|---|
/// | an old backlog all the time | follows up and down, and counts as measured from then on |
/// | else | rises to what was seen, never falls: it is only known that so much can be done |
/// | nothing to do | stays |
#[derive(Clone, Debug, Default)]
pub struct Drain {
    rate: Option<u64>,
    is_measured: bool,
    /// Since when there is work that is not counted yet.
    busy_from: Option<Instant>,
    time: Duration,
    weight: u64,
    /// Something in the window was done without an old backlog.
    is_slack: bool,
    is_rough_first: bool,
}

impl Drain {
    /// One that has a first rate very soon, where a rough one is better than none.
    pub fn rough_first() -> Self {
        Self { is_rough_first: true, ..Self::default() }
    }

    /// Weight done each second; `None` before the first window is over.
    pub fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// Whether the rate is what can be done; else it is only what was seen to be possible.
    pub fn is_measured(&self) -> bool {
        self.is_measured
    }

    /// There is work, from now at the latest.
    pub fn on_work(&mut self, now: Instant) {
        self.busy_from.get_or_insert(now);
    }

    /// Work is done. `weight` may be 0: time passed and nothing was done.
    pub fn on_done(&mut self, now: Instant, weight: u64, left: Backlog) {
        let step = self.busy_from.map_or(Duration::ZERO, |from| now.since(from).min(STEP_MAX));
        self.busy_from = (left != Backlog::Empty).then_some(now);
        self.time += step;
        self.weight = self.weight.saturating_add(weight);
        self.is_slack |= left != Backlog::Old;
        let window = if self.is_rough_first && self.rate.is_none() { ROUGH_WINDOW } else { WINDOW };
        if self.time < window {
            return;
        }
        let (time, done) = (std::mem::take(&mut self.time), std::mem::take(&mut self.weight));
        let is_slack = std::mem::take(&mut self.is_slack);
        let seen = per_second(done, time);
        let followed = self.rate.map_or(seen, |rate| blend(rate, seen, time));
        self.rate = Some(if is_slack { followed.max(self.rate.unwrap_or(0)) } else { followed });
        self.is_measured |= !is_slack;
    }

    /// The clock stops until there is work again.
    pub fn rest(&mut self) {
        self.busy_from = None;
    }

    /// How long `weight` takes; `None` when no rate is known, or nothing is done at all.
    pub fn time_for(&self, weight: u64) -> Option<Duration> {
        let rate = self.rate.filter(|rate| *rate > 0)?;
        let micros = u128::from(weight) * 1_000_000 / u128::from(rate);
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
    }

    /// What is done in `time`; `None` when no rate is known.
    pub fn weight_in(&self, time: Duration) -> Option<u64> {
        let weight = u128::from(self.rate?) * time.as_micros() / 1_000_000;
        Some(u64::try_from(weight).unwrap_or(u64::MAX))
    }
}

fn per_second(weight: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(weight) * 1_000_000 / time.as_micros().max(1)).unwrap_or(u64::MAX)
}

/// Moves from the old to what was seen by the share that `time` is of itself and the time constant.
fn blend(old: u64, seen: u64, time: Duration) -> u64 {
    let (time, constant) = (time.as_micros(), SMOOTHING.as_micros());
    let sum = u128::from(old) * constant + u128::from(seen) * time;
    u64::try_from(sum / (time + constant)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Instant {
        Instant(n * 1_000)
    }

    #[test]
    fn nothing_is_known_at_the_start_and_idle_time_does_not_count() {
        let mut drain = Drain::default();
        assert_eq!((drain.rate(), drain.time_for(1), drain.weight_in(SMOOTHING)), (None, None, None));
        drain.on_done(ms(50_000), 0, Backlog::Empty);
        assert_eq!(drain.rate(), None, "a block without our work says nothing");
        // One piece of work at a time, 20 ms each, one a second.
        for n in 0..11 {
            drain.on_work(ms(n * 1_000));
            drain.on_done(ms(n * 1_000 + 20), 100, Backlog::Empty);
        }
        assert_eq!((drain.rate(), drain.is_measured()), (Some(5_000), false));
        for n in 100..200 {
            drain.on_done(ms(n * 1_000), 0, Backlog::Empty);
        }
        assert_eq!(drain.rate(), Some(5_000), "empty blocks while nothing waits say nothing");
    }

    #[test]
    fn a_rough_rate_comes_with_the_first_millisecond() {
        let mut drain = Drain::rough_first();
        drain.on_work(Instant(0));
        drain.on_done(Instant(900), 90, Backlog::Empty);
        assert_eq!(drain.rate(), None);
        drain.on_work(Instant(5_000));
        drain.on_done(Instant(5_100), 110, Backlog::Fresh);
        assert_eq!((drain.rate(), drain.is_measured()), (Some(200_000), false));
        drain.on_done(Instant(105_100), 0, Backlog::Old);
        assert_eq!(drain.rate(), Some(200_000), "the next one takes a whole window");
    }

    #[test]
    fn follows_both_ways_only_with_an_old_backlog() {
        let mut drain = Drain::default();
        drain.on_work(ms(0));
        let run = |drain: &mut Drain, from: u64, weight, left| {
            for n in 1..=20 {
                drain.on_done(ms(from + n * 100), weight, left);
            }
        };
        run(&mut drain, 0, 100, Backlog::Fresh);
        assert_eq!((drain.rate(), drain.is_measured()), (Some(1_000), false));
        run(&mut drain, 2_000, 10, Backlog::Fresh);
        assert_eq!(drain.rate(), Some(1_000), "a light load is no slow drain");
        run(&mut drain, 4_000, 10, Backlog::Old);
        let slow = drain.rate().unwrap();
        assert!(slow < 300 && drain.is_measured(), "{slow}");
        run(&mut drain, 6_000, 0, Backlog::Old);
        assert!(drain.rate().unwrap() < 80, "blocks that bring nothing lower it");
        run(&mut drain, 8_000, 500, Backlog::Fresh);
        assert!(drain.rate().unwrap() > 3_500, "{:?}", drain.rate());
    }

    #[test]
    fn an_outage_counts_only_in_part() {
        let mut drain = Drain::default();
        drain.on_work(ms(0));
        drain.on_done(ms(1_000), 1_000, Backlog::Old);
        drain.on_done(ms(3_601_000), 1_000, Backlog::Old);
        assert_eq!(drain.rate(), Some(181), "(1000 + 10 * 100) / 11");
        assert_eq!(drain.time_for(181), Some(Duration::from_secs(1)));
        assert_eq!(drain.weight_in(Duration::from_secs(2)), Some(362));
    }
}
