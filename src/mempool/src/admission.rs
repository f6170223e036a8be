//! Admission by delay: a transaction is taken while what waits is about a second of work, as measured.
//!
//! Without it, a pool that takes all it has room for holds tens of seconds of work under overload: everybody waits for all of it, and the
//! machine is busy with what will be final long after its sender has given up.

use crate::drain::{Backlog, Drain};
use std::time::Duration;
use timed_primitives::Instant;
use timed_primitives::planted::{Bug, is_planted};

/// What checking one signature costs, in bytes that are received, hashed and stored.
const SIGNATURE_WEIGHT: u64 = 128;
/// What a transaction costs until it is final, in checks of its signatures: about eight (assembling, validating, applying, taking it out),
/// and as much again for what other nodes take meanwhile, of which nothing is known before it comes.
const WORK_PER_CHECK: u64 = 16;
/// Smallest backlog that counts as old. Below it a single transaction that no block takes would make a light load look like a slow drain.
const OLD_WEIGHT_MIN: u64 = 8 << 10;
/// Longest time to wait in an answer to a client.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Shortest time to wait in an answer to a client: a block should come in between.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Time to wait in an answer to a client while no drain is known.
const RETRY_UNKNOWN: Duration = Duration::from_secs(1);
/// An episode of refusals ends after so long without one.
const EPISODE_GAP: Duration = Duration::from_secs(2);

/// What a transaction costs to check, to decide and to store. Unit: about that of one byte.
pub fn weight(size: usize, signatures: usize) -> u64 {
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    number(size).saturating_add(number(signatures).saturating_mul(SIGNATURE_WEIGHT))
}

/// Bounds of admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// What waits may take so long to become final. Peers' transactions get half of it at most, clients' at least half, so that in all
    /// one and a half times this can wait.
    pub delay: Duration,
    /// What waits for its signatures to be checked may take so long, for clients and for peers each.
    pub check_delay: Duration,
    /// What may wait while it was never seen how fast the pool drains under load: at the start, and on a chain without a quorum. About a
    /// block of the largest size. Unit: weight; an ordinary payment has about 364.
    pub allowance: u64,
    /// What may always wait, however slow the drain is. Unit: weight.
    pub floor: u64,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(400),
            check_delay: Duration::from_millis(150),
            allowance: 1 << 20,
            floor: 32 << 10,
        }
    }
}

/// What waits here. Unit: weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Clients' transactions in the pool.
    pub pool_clients: u64,
    /// Peers' transactions in the pool.
    pub pool_peers: u64,
    /// Clients' transactions whose signatures wait to be checked.
    pub queue_clients: u64,
    /// The same of peers.
    pub queue_peers: u64,
}

impl Load {
    /// All of it.
    pub fn total(&self) -> u64 {
        [self.pool_clients, self.pool_peers, self.queue_clients, self.queue_peers]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// What may still come in. Unit of all weights: see [`weight`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// From clients.
    pub clients: u64,
    /// From peers, what they were asked for and did not deliver yet included.
    pub peers: u64,
    /// Weight that leaves the pool by blocks each second; 0 when unknown.
    pub drain: u64,
    /// Weight whose signatures are checked each second; 0 when unknown.
    pub checked: u64,
    /// How long what waits now will take.
    pub delay: Duration,
}

impl Budget {
    /// How long a client should wait whose transaction finds no room, with `excess` more weight waiting than may.
    ///
    /// A quarter of the delay longer than needed: else all who were refused would come back to the first free place.
    pub fn retry_after(&self, excess: u64) -> Duration {
        let micros = u128::from(excess).saturating_mul(1_000_000).checked_div(u128::from(self.drain));
        let free =
            micros.map_or(RETRY_UNKNOWN, |micros| Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)));
        free.saturating_add(self.delay / 4).clamp(RETRY_MIN, RETRY_MAX)
    }
}

/// Decides how much may come in, from how fast work was done until now.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    limits: AdmissionLimits,
    pool: Drain,
    checks: Drain,
    last_block: Instant,
}

impl Admission {
    /// Nothing is measured yet.
    pub fn new(limits: AdmissionLimits) -> Self {
        Self { limits, checks: Drain::rough_first(), ..Self::default() }
    }

    /// Something is in the pool.
    pub fn on_pooled(&mut self, now: Instant) {
        self.pool.on_work(now);
    }

    /// When the last block before now was applied: what came earlier and is still there is an old backlog.
    pub fn last_block(&self) -> Instant {
        self.last_block
    }

    /// So much that is older than the last block counts as an old backlog, when the next one took `weight`.
    pub fn old_weight(weight: u64) -> u64 {
        OLD_WEIGHT_MIN.max(weight / 2)
    }

    /// A block is applied. It took `weight` out of the pool; `old` of what is left was there when the block before it was applied, and
    /// `left` is all that is left.
    pub fn on_block(&mut self, now: Instant, weight: u64, old: u64, left: u64) {
        let backlog = match left {
            0 => Backlog::Empty,
            _ if old >= Self::old_weight(weight) => Backlog::Old,
            _ => Backlog::Fresh,
        };
        self.pool.on_done(now, weight, backlog);
        self.last_block = now;
    }

    /// Signatures begin to be checked.
    pub fn on_check(&mut self, now: Instant) {
        self.checks.on_work(now);
    }

    /// Signatures of transactions of this weight are checked. `is_full`: more could not have been checked together.
    pub fn on_checked(&mut self, now: Instant, weight: u64, is_full: bool) {
        self.checks.on_done(now, weight, if is_full { Backlog::Old } else { Backlog::Fresh });
        self.checks.rest();
    }

    /// What may come in on top of what waits.
    pub fn budget(&self, load: &Load) -> Budget {
        let limits = &self.limits;
        let check_room = room(&self.checks, limits.check_delay, limits.allowance, limits.floor);
        let checked = self.checks.weight_in(limits.delay).map(|most| most / WORK_PER_CHECK);
        let allowance = checked.map_or(limits.allowance, |most| most.min(limits.allowance));
        let room = room(&self.pool, limits.delay, allowance.max(limits.floor), limits.floor);
        let clients = load.pool_clients.saturating_add(load.queue_clients);
        let peers = load.pool_peers.saturating_add(load.queue_peers);
        let free = room.saturating_sub(load.total()).max((room / 2).saturating_sub(clients));
        let clients_free = match is_planted(Bug::AdmissionIgnoresDelay) {
            true => u64::MAX,
            false => free.min(check_room.saturating_sub(load.queue_clients)),
        };
        let peers_free = (room / 2).saturating_sub(peers).min(check_room.saturating_sub(load.queue_peers));
        let to_check = load.queue_clients.saturating_add(load.queue_peers);
        let delay = self.pool.time_for(load.total()).unwrap_or_default();
        Budget {
            clients: clients_free,
            peers: peers_free,
            drain: self.pool.rate().unwrap_or(0),
            checked: self.checks.rate().unwrap_or(0),
            delay: delay.saturating_add(self.checks.time_for(to_check).unwrap_or_default()),
        }
    }
}

/// What may wait for work to be done within `delay`: so much at least, before and after that is measured.
fn room(drain: &Drain, delay: Duration, allowance: u64, floor: u64) -> u64 {
    let least = if drain.is_measured() { floor } else { allowance };
    drain.weight_in(delay).unwrap_or(0).max(least)
}

/// Since when transactions are refused for lack of room, with pauses below two seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusalEpisode {
    first_and_last: Option<(Instant, Instant)>,
}

impl RefusalEpisode {
    /// One is refused.
    pub fn on_refused(&mut self, now: Instant) {
        self.first_and_last = match self.first_and_last {
            Some((first, last)) if now.since(last) < EPISODE_GAP => Some((first, now.max(last))),
            _ => Some((now, now)),
        };
    }

    /// How long it has lasted; `None` when it is over.
    pub fn lasts(&self, now: Instant) -> Option<Duration> {
        let (first, last) = self.first_and_last?;
        (now.since(last) < EPISODE_GAP).then(|| now.since(first))
    }
}
