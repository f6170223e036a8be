//! Admission by delay before a drain of a known speed.

use super::at;
use crate::{Admission, AdmissionLimits, Load, RefusalEpisode, weight};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;
use timed_primitives::Instant;

/// An ordinary payment.
fn payment() -> u64 {
    weight(236, 1)
}

/// A pool whose blocks come every `interval` and take at most what `speed` payments a second allow.
struct Server {
    admission: Admission,
    interval: u64,
    speed: u64,
    /// When each came, and whether from a client.
    pool: VecDeque<(Instant, bool)>,
    now: Instant,
    next_block: Instant,
    /// Payments offered and not yet counted, in millionths, by clients and by peers.
    owed: [u64; 2],
    waits: Vec<(Instant, Duration)>,
    refused: Vec<Instant>,
    done: u64,
}

const TICK: u64 = 1_000;

impl Server {
    fn new(interval_ms: u64, speed: u64) -> Self {
        Self {
            admission: Admission::new(AdmissionLimits::default()),
            interval: interval_ms * 1_000,
            speed,
            pool: VecDeque::new(),
            now: Instant(1_000_000),
            next_block: Instant(1_000_000 + interval_ms * 1_000),
            owed: [0, 0],
            waits: Vec::new(),
            refused: Vec::new(),
            done: 0,
        }
    }

    fn load(&self) -> Load {
        let count = |clients: bool| self.pool.iter().filter(|(_, is_client)| *is_client == clients).count();
        let weight_of = |clients| u64::try_from(count(clients)).unwrap() * payment();
        Load { pool_clients: weight_of(true), pool_peers: weight_of(false), ..Load::default() }
    }

    fn block(&mut self) {
        let room = usize::try_from(self.speed * self.interval / 1_000_000).unwrap().max(1);
        let taken = self.pool.drain(..room.min(self.pool.len()));
        let mut weight = 0;
        for (came, _) in taken {
            self.waits.push((came, self.now.since(came)));
            self.done += 1;
            weight += payment();
        }
        let old = self.pool.iter().take_while(|(came, _)| *came < self.admission.last_block()).count();
        let number = |n: usize| u64::try_from(n).unwrap() * payment();
        self.admission.on_block(self.now, weight, number(old), number(self.pool.len()));
        self.next_block = self.now + Duration::from_micros(self.interval);
    }

    /// Offers so many payments a second for a time.
    fn run(&mut self, clients: u64, peers: u64, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_micros(TICK);
            let mut load = self.load();
            for (owed, rate) in self.owed.iter_mut().zip([clients, peers]) {
                *owed += rate * TICK;
            }
            for (is_client, place) in [(true, 0), (false, 1)] {
                while self.owed[place] >= 1_000_000 {
                    self.owed[place] -= 1_000_000;
                    let budget = self.admission.budget(&load);
                    let free = if is_client { budget.clients } else { budget.peers };
                    if free > 0 {
                        self.pool.push_back((self.now, is_client));
                        let side = if is_client { &mut load.pool_clients } else { &mut load.pool_peers };
                        *side += payment();
                        self.admission.on_pooled(self.now);
                    } else if is_client {
                        self.refused.push(self.now);
                    }
                }
            }
            if self.now >= self.next_block {
                self.block();
            }
        }
    }

    /// The longest wait of what came after `from`.
    fn longest(&self, from: Instant) -> Duration {
        self.waits.iter().filter(|(came, _)| *came >= from).map(|(_, took)| *took).max().unwrap_or_default()
    }

    fn refused_since(&self, from: Instant) -> usize {
        self.refused.iter().filter(|at| **at >= from).count()
    }
}

/// Signatures are checked one by one, 64 of them, so many times as fast as blocks can take what they belong to.
fn check_faster(server: &mut Server, times: u64) {
    let each = 1_000_000 / (times * server.speed);
    for _ in 0..64 {
        server.admission.on_check(server.now);
        server.now += Duration::from_micros(each);
        server.admission.on_checked(server.now, payment(), false);
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What was admitted waits about a second, whatever is offered, and as much is done as can be.
fn overload_waits_a_second_and_loses_no_work() {
    for factor in [2, 4, 10] {
        let mut server = Server::new(50, 2_300);
        server.run(2_300 * factor, 0, seconds(10));
        let (from, done) = (server.now, server.done);
        server.run(2_300 * factor, 0, seconds(10));
        let longest = server.longest(from);
        assert!(longest <= Duration::from_millis(1_200), "{factor} times: {longest:?}");
        assert!(server.done - done >= 2_300 * 10 * 95 / 100, "{factor} times: {}", server.done - done);
    }
}

#[test]
fn overload() {
    overload_waits_a_second_and_loses_no_work();
}

#[test]
fn at_once_after_the_load_nothing_is_refused() {
    let mut server = Server::new(50, 2_300);
    server.run(9_200, 0, seconds(10));
    assert!(server.refused.len() > 40_000);
    server.run(1_000, 0, seconds(2));
    let from = server.now;
    server.run(1_000, 0, seconds(3));
    assert_eq!(server.refused_since(from), 0);
    assert!(server.longest(from) <= Duration::from_millis(100));
}

#[test]
fn a_node_that_was_slow_is_not_slow_for_ever() {
    let mut server = Server::new(50, 100);
    server.run(2_000, 0, seconds(20));
    server.speed = 2_300;
    server.run(2_000, 0, seconds(5));
    let from = server.now;
    server.run(2_000, 0, seconds(5));
    assert_eq!(server.refused_since(from), 0);
}

/// What is checked quickly is not done quickly.
#[test]
fn what_comes_first_waits_no_longer_than_what_comes_later() {
    for (speed, light) in [(200, 0), (200, 20), (850, 0), (850, 20), (2_300, 0), (2_300, 50)] {
        let mut server = Server::new(50, speed);
        check_faster(&mut server, 8);
        server.run(light, 0, seconds(5));
        let (from, done) = (server.now, server.done);
        server.run(speed * 10, 0, seconds(5));
        let longest = server.longest(from);
        assert!(longest <= Duration::from_millis(800), "{speed} after {light}: {longest:?}");
        let done = server.done - done;
        assert!(done >= speed * 5 * 90 / 100, "{speed} after {light}: {done} in 5 s");
    }
}

#[test]
fn without_a_block_a_small_allowance_is_taken_and_then_an_honest_no() {
    let mut admission = Admission::new(AdmissionLimits::default());
    let mut load = Load::default();
    let mut taken = 0;
    while admission.budget(&load).clients > 0 {
        admission.on_pooled(at(1));
        load.pool_clients += payment();
        taken += 1;
    }
    assert_eq!(taken, 2_881, "1 MiB of weight");
    let budget = admission.budget(&load);
    assert_eq!((budget.drain, budget.delay), (0, Duration::ZERO), "nothing is known");
    assert_eq!(budget.retry_after(1), seconds(1));
    // Blocks without any of ours, for an hour: what is in the pool does not lock it for ever.
    for n in 2..3_600 {
        admission.on_block(at(n), 0, load.total(), load.total());
    }
    assert_eq!(admission.budget(&load).clients, 0);
    admission.on_block(at(3_600), load.total(), 0, 0);
    assert!(admission.budget(&Load::default()).clients > 0);
}

#[test]
fn without_a_block_a_slow_machine_takes_no_more_than_it_checks_meanwhile() {
    let mut admission = Admission::new(AdmissionLimits::default());
    // 5,000 payments a second are checked, one at a time; what else they cost takes longer.
    for n in 0..200 {
        admission.on_check(Instant(n * 200));
        admission.on_checked(Instant((n + 1) * 200), payment(), false);
    }
    assert_eq!(
        admission.budget(&Load::default()).clients / payment(),
        125,
        "a sixteenth of what is checked in as long as what waits may take"
    );
    let mut slowest = Admission::new(AdmissionLimits::default());
    slowest.on_check(at(0));
    slowest.on_checked(at(60), payment(), true);
    assert_eq!(slowest.budget(&Load::default()).clients, 32 << 10, "the floor");
}

#[test]
fn clients_and_peers_have_half_each_at_least() {
    let mut server = Server::new(50, 2_300);
    server.run(0, 20_000, seconds(10));
    let from = server.now;
    server.run(500, 20_000, seconds(5));
    assert_eq!(server.refused_since(from), 0, "peers never keep clients out");
    server.run(20_000, 20_000, seconds(5));
    let load = server.load();
    let share = load.pool_peers * 100 / load.total();
    assert!((25..=60).contains(&share), "{share} % are of peers");
    assert!(server.longest(from) <= Duration::from_millis(2_000), "{:?}", server.longest(from));
}

#[test]
fn signatures_count_beside_bytes() {
    assert_eq!(weight(65_536, 480), 65_536 + 480 * 128);
    let mut admission = Admission::new(AdmissionLimits::default());
    // 1,000 payments a second are checked; the pool is known to be faster.
    for n in 0..40 {
        admission.on_pooled(Instant(n * 100_000));
        admission.on_block(Instant((n + 1) * 100_000), 10_000 * payment(), 1 << 40, 1 << 40);
        admission.on_check(Instant(n * 100_000));
        admission.on_checked(Instant((n + 1) * 100_000), 100 * payment(), true);
    }
    let waiting = Load { queue_clients: 100 * payment(), ..Load::default() };
    let budget = admission.budget(&waiting);
    assert!((45 * payment()..=55 * payment()).contains(&budget.clients), "0.15 s in all: {budget:?}");
    assert!((100..=105).contains(&budget.delay.as_millis()), "{budget:?}");
    assert!(budget.peers > 100 * payment(), "peers have a queue of their own");
}

#[test]
fn an_episode_of_refusals_has_pauses_below_two_seconds() {
    let mut episode = RefusalEpisode::default();
    assert_eq!(episode.lasts(at(5)), None);
    for n in 10..=20 {
        episode.on_refused(at(n));
    }
    assert_eq!((episode.lasts(at(21)), episode.lasts(at(22))), (Some(seconds(11)), None));
    episode.on_refused(at(22));
    assert_eq!(episode.lasts(at(23)), Some(seconds(1)), "another one");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the speed, the rhythm of blocks and the load: bounded waits, no idle drain, nobody refused below three quarters of it.
    #[test]
    fn whatever_the_speed(speed in 60..8_000u64, interval in 10..250u64, percent in 10..600u64) {
        let mut server = Server::new(interval, speed);
        let room = (speed * interval / 1_000).max(1) * 1_000 / interval;
        let offered = room * percent / 100;
        let allowance = Duration::from_millis(2_881 * 1_000 / room.max(1));
        server.run(offered, 0, seconds(5) + allowance);
        let (from, done) = (server.now, server.done);
        server.run(offered, 0, seconds(8));
        let longest = server.longest(from);
        prop_assert!(longest <= Duration::from_millis(2_000), "{:?}", longest);
        if percent <= 75 {
            prop_assert_eq!(server.refused_since(from), 0);
        } else if percent >= 120 {
            prop_assert!(server.done - done >= room * 8 * 9 / 10, "{} of {}", server.done - done, room * 8);
        }
    }
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn admission_ignores_delay() {
        assert!(is_caught(Bug::AdmissionIgnoresDelay, super::overload_waits_a_second_and_loses_no_work));
    }
}
