//! What work costs a simulated node: virtual time in proportion to its size, on a processor that the seed draws.

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use timed_actors::{Work, WorkCost};

/// Processors of every node: so many batches of signatures are checked at one time.
pub(crate) const PROCESSORS: usize = 2;
/// The fastest and the slowest processor that is drawn, compared with the one of [`micros_each`]. Unit: percent of its times.
const TIMES_PERCENT: std::ops::RangeInclusive<u32> = 50..=800;

/// What one transaction or signature costs on a good processor: about a quarter of what was measured where four nodes shared two. Unit:
/// microseconds.
const fn micros_each(work: Work) -> (usize, u64) {
    match work {
        Work::Signatures(count) => (count, 40),
        Work::Validate(count) => (count, 110),
        Work::Assemble(count) => (count, 90),
        Work::Commit(count) => (count, 60),
        Work::Admit(count) => (count, 15),
        Work::Remove(count) => (count, 80),
        // Some ten microseconds whatever it writes.
        Work::Keep => (0, 0),
    }
}

/// Whether so many payments per second keep the ledger of the slowest node busy for less than half of the time.
pub(crate) fn is_light(tps: u64, times: u64) -> bool {
    let each = [Work::Validate(1), Work::Assemble(1), Work::Commit(1)].map(|work| micros_each(work).1);
    let slowest = each.iter().sum::<u64>() * u64::from(*TIMES_PERCENT.end()) / 100;
    tps * times * slowest < 500_000
}

/// How fast the nodes' processors are, compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machines {
    /// All good ones.
    Alike,
    /// The last validator's is half as fast as the others, which are good ones.
    OneAtHalfSpeed,
    /// The seed draws each: the fastest is sixteen times as fast as the slowest.
    Drawn,
}

/// No such kind of machines.
#[derive(Debug, thiserror::Error)]
#[error("machines are alike, half or drawn")]
pub struct MachinesError;

impl FromStr for Machines {
    type Err = MachinesError;

    fn from_str(text: &str) -> Result<Self, MachinesError> {
        match text {
            "alike" => Ok(Self::Alike),
            "half" => Ok(Self::OneAtHalfSpeed),
            "drawn" => Ok(Self::Drawn),
            _ => Err(MachinesError),
        }
    }
}

impl Machines {
    /// Of one node, where so many vote. Unit: percent of the times of a good processor.
    pub(crate) fn times_percent(self, seed: u64, node: u64, voters: u64) -> u64 {
        match self {
            Self::Alike => 100,
            Self::OneAtHalfSpeed => {
                if node == voters {
                    200
                } else {
                    100
                }
            }
            Self::Drawn => drawn_percent(seed, node),
        }
    }
}

/// As often twice as fast as twice as slow.
fn drawn_percent(seed: u64, node: u64) -> u64 {
    let mut rng = StdRng::seed_from_u64(seed.rotate_left(17) ^ node);
    let (low, high) = (f64::from(*TIMES_PERCENT.start()).ln(), f64::from(*TIMES_PERCENT.end()).ln());
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 50 and 800")]
    let percent = rng.random_range(low..=high).exp() as u64;
    percent
}

/// Which thread does it.
const fn thread(work: Work) -> usize {
    match work {
        Work::Signatures(_) => 0,
        Work::Validate(_) | Work::Assemble(_) | Work::Commit(_) => 1,
        Work::Admit(_) | Work::Remove(_) => 2,
        Work::Keep => FILE_WRITER,
    }
}

/// Threads of one node that work takes time on.
pub(crate) const THREADS: usize = 3;
/// The one behind them, which writes the mempool's file.
pub(crate) const FILE_WRITER: usize = THREADS;

/// The processors of one node.
#[derive(Debug)]
pub(crate) struct Processors {
    /// Unit: percent of the times of a good processor.
    times_percent: u64,
    /// Work that is too little for a timer yet, by thread. Unit: microseconds.
    owed: Mutex<[u64; THREADS + 1]>,
    /// How much longer the next work takes, by thread.
    stuck: Mutex<[Duration; THREADS + 1]>,
}

impl Processors {
    /// Those of a node, `times` as slow as its machine is.
    pub(crate) fn new(times_percent: u64, times: u64) -> Self {
        Self { times_percent: times_percent * times, owed: Mutex::default(), stuck: Mutex::default() }
    }

    /// The next work on this thread takes so much longer.
    pub(crate) fn stick(&self, thread: usize, time: Duration) {
        if let Some(stuck) = self.stuck.lock().unwrap_or_else(PoisonError::into_inner).get_mut(thread) {
            *stuck = time;
        }
    }

    /// No work is held up any more that has not begun yet.
    pub(crate) fn unstick(&self) {
        *self.stuck.lock().unwrap_or_else(PoisonError::into_inner) = [Duration::ZERO; THREADS + 1];
    }

    fn take_stuck(&self, thread: usize) -> Duration {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.get_mut(thread).map(std::mem::take).unwrap_or_default()
    }
}

impl WorkCost for Processors {
    fn time(&self, work: Work) -> Duration {
        let (count, each) = micros_each(work);
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(owed) = owed.get_mut(thread(work)) else { return Duration::ZERO };
        *owed += count as u64 * each * self.times_percent / 100;
        // Timers count in milliseconds.
        let whole_ms = *owed / 1_000;
        *owed %= 1_000;
        Duration::from_millis(whole_ms) + self.take_stuck(thread(work))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_in_proportion_and_what_is_too_little_for_a_timer_adds_up() {
        let with = |times_percent| Processors::new(times_percent, 1);
        let good = with(100);
        assert_eq!(good.time(Work::Validate(1_000)), Duration::from_millis(110));
        let small: Duration = (0..100).map(|_| good.time(Work::Signatures(1))).sum();
        assert_eq!(small, Duration::from_millis(4));
        assert_eq!(with(800).time(Work::Validate(1_000)), Duration::from_millis(880));
        good.stick(1, Duration::from_secs(5));
        assert_eq!(good.time(Work::Remove(100)), Duration::from_millis(8), "another thread");
        assert_eq!(good.time(Work::Commit(100)), Duration::from_millis(5_006));
        assert_eq!(good.time(Work::Commit(100)), Duration::from_millis(6));
        good.stick(0, Duration::from_secs(5));
        good.unstick();
        assert_eq!(good.time(Work::Signatures(100)), Duration::from_millis(4));
    }

    #[test]
    fn the_slowest_node_bears_two_hundred_payments_a_second_and_few_where_work_takes_longer() {
        assert_eq!(
            [(240, 1), (241, 1), (2, 100), (3, 100)].map(|(tps, times)| is_light(tps, times)),
            [true, false, true, false]
        );
        assert!(is_light(1_000, 0));
    }

    #[test]
    fn a_seed_gives_each_node_its_processor() {
        assert_eq!(Processors::new(drawn_percent(1, 2), 3).times_percent, 3 * drawn_percent(1, 2));
        let drawn: Vec<_> = (1..=200).map(|node| Machines::Drawn.times_percent(7, node, 4)).collect();
        assert!(drawn.iter().all(|percent| (50..=800).contains(percent)), "{drawn:?}");
        let fast = drawn.iter().filter(|percent| **percent < 200).count();
        assert!((70..130).contains(&fast), "{fast} of 200 are faster than the middle");
        let half = |node| Machines::OneAtHalfSpeed.times_percent(7, node, 4);
        assert_eq!([1, 2, 3, 4, 5].map(half), [100, 100, 100, 200, 100]);
    }
}
