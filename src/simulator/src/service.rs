//! Service bounds: how long a payment may take from its acceptance until the node that accepted it calls it final.
//!
//! Each bound is a number of the longest round trips between two nodes, for what the protocol says, and a time beside, for what it waits.

use crate::fault_kind::FaultKind;
use crate::regions::Latency;
use crate::schedule::{Condition, FaultSchedule};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// A payment that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// By whom.
    pub node: u64,
    /// When the client heard so.
    pub accepted: Instant,
    /// When that node called it final, or until when it did not.
    pub until: Instant,
}

/// A bound and its reason.
pub struct Bound {
    /// The longest round trips between two nodes that it has time for.
    pub round_trips: u32,
    /// Time beside. Unit: milliseconds.
    pub beside_ms: u64,
    /// The reason.
    pub why: &'static str,
}

const fn bound(round_trips: u32, beside_ms: u64, why: &'static str) -> Option<Bound> {
    Some(Bound { round_trips, beside_ms, why })
}

/// The bound of p99 under a condition; `None` where only [`crate::run::LIVE_WITHIN`] after the heal holds.
pub const fn service_bound(condition: Condition) -> Option<Bound> {
    use FaultKind as K;
    match condition {
        Condition::Mixed | Condition::Alone(K::RestartAll) => None,
        Condition::Quiet => bound(4, 500, "relay, the rest of a height, and a whole one"),
        Condition::Alone(K::Kill | K::PowerLoss | K::CrashPoint | K::Pause | K::FullDisk | K::FailedSync) => {
            bound(6, 2_500, "a dead leader costs one time-out, longer after rounds that failed, and a second round")
        }
        Condition::Alone(K::DiskLoss | K::OldCopy) => {
            bound(6, 2_500, "who may have forgotten does not sign: as a dead leader")
        }
        Condition::Alone(K::Partition | K::OneWay) => {
            bound(8, 3_000, "a quorum lives on, and of seven leaders two in succession may be away")
        }
        Condition::Alone(K::CutLink | K::SlowLink | K::Reset) => {
            bound(6, 2_500, "what one link does not carry comes by the others, at worst after a time-out")
        }
        Condition::Alone(K::SlowDisk) => bound(6, 3_500, "a slow leader is as a dead one, or takes two syncs"),
        Condition::Alone(K::ClockJump) => bound(4, 500, "as in quiet: nothing waits for a wall clock"),
        Condition::Alone(K::Stuck) => bound(6, 2_500, "who hears nothing is as a dead leader"),
        Condition::Alone(K::Twin | K::Byzantine) => {
            bound(8, 3_000, "a leader who lies wastes its rounds; of seven two may do so in succession")
        }
    }
}

/// What is said of one condition.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ServiceFigures {
    /// Payments.
    pub payments: usize,
    /// Half of them took no longer. Unit: milliseconds.
    pub half_ms: u64,
    /// 99 of 100 took no longer. Unit: milliseconds.
    pub p99_ms: u64,
    /// The longest. Unit: milliseconds.
    pub longest_ms: u64,
    /// The bound of p99; `None` for none. Unit: milliseconds.
    pub bound_ms: Option<u64>,
}

/// Samples of a run by condition.
pub struct Samples {
    took: BTreeMap<Condition, Vec<Duration>>,
    /// Without it nothing is promised, only measured.
    is_bound: bool,
}

impl Samples {
    /// Sorts the samples by what went on while each was on its way. Those that are not final count with the time they waited.
    pub fn new(schedule: &FaultSchedule, served: impl IntoIterator<Item = Served>, is_bound: bool) -> Self {
        let mut by_condition = BTreeMap::<_, Vec<Duration>>::new();
        for Served { node, accepted, until } in served {
            let condition = schedule.condition(accepted, until, node);
            by_condition.entry(condition).or_default().push(until.duration_since(accepted));
        }
        by_condition.values_mut().for_each(|took| took.sort_unstable());
        Self { took: by_condition, is_bound }
    }

    /// What is said of each condition, when the longest round trip between two nodes takes so long.
    pub fn services(&self, round_trip: Duration) -> BTreeMap<&'static str, ServiceFigures> {
        let service = |(condition, took): (&Condition, &Vec<Duration>)| {
            let percentile = |percent| percentile_ms(took, percent);
            let bound = service_bound(*condition).filter(|_| self.is_bound).map(|bound| bound.time(round_trip));
            let service = ServiceFigures {
                payments: took.len(),
                half_ms: percentile(50),
                p99_ms: percentile(99),
                longest_ms: percentile(100),
                bound_ms: bound.map(milliseconds),
            };
            (condition.name(), service)
        };
        self.took.iter().map(service).collect()
    }
}

impl Bound {
    /// Where the longest round trip takes so long.
    pub fn time(&self, round_trip: Duration) -> Duration {
        round_trip * self.round_trips + Duration::from_millis(self.beside_ms)
    }
}

impl ServiceFigures {
    /// Whether p99 is within the bound.
    pub fn is_kept(&self) -> bool {
        self.bound_ms.is_none_or(|bound| self.p99_ms <= bound)
    }
}

impl std::fmt::Display for ServiceFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { payments, half_ms, p99_ms, longest_ms, .. } = self;
        write!(f, "{payments} payments, half within {half_ms} ms, 99 % within {p99_ms}, all within {longest_ms}")?;
        self.bound_ms.map_or(Ok(()), |bound| write!(f, "; the bound of 99 % is {bound}"))
    }
}

/// So many of a hundred took no longer; 0 of none. Unit: milliseconds.
pub(crate) fn percentile_ms(sorted: &[Duration], percent: usize) -> u64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).map_or(0, |took| milliseconds(*took))
}

pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The longest round trip between two of so many nodes, arrivals on multiples of the tick.
pub fn longest_round_trip(latency: &Latency, nodes: u64, tick: Duration) -> Duration {
    let links = (1..=nodes).flat_map(|a| (1..a).map(move |b| (a, b)));
    let trip = links.map(|(a, b)| latency.between(a, b)).map(|link| 2 * (link.latency + link.jitter + tick)).max();
    trip.unwrap_or(2 * tick)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred payments of which so many took two seconds between nodes on one switch, the others none.
    async fn quiet(late: u32) -> ServiceFigures {
        let accepted = Instant::now();
        let schedule = FaultSchedule::default();
        let served = (0..100).map(|number| {
            let took = if number < late { Duration::from_secs(2) } else { Duration::ZERO };
            Served { node: 1, accepted, until: accepted + took }
        });
        let round_trip = longest_round_trip(&Latency::Lan, 4, Duration::from_millis(1));
        Samples::new(&schedule, served, true).services(round_trip)["quiet"].clone()
    }

    #[tokio::test(start_paused = true)]
    async fn one_payment_of_a_hundred_may_be_late_and_two_may_not() {
        assert!(quiet(1).await.is_kept());
        let two = quiet(2).await;
        assert_eq!((two.p99_ms, two.half_ms, two.bound_ms), (2_000, 0, Some(510)));
        assert!(!two.is_kept());
    }

    #[test]
    fn every_fault_alone_has_a_bound_with_a_reason_but_for_one() {
        let bounds = FaultKind::ALL.iter().map(|kind| (kind.name(), service_bound(Condition::Alone(*kind))));
        let without: Vec<_> = bounds.filter(|(_, bound)| bound.as_ref().is_none_or(|b| b.why.is_empty())).collect();
        let without: Vec<_> = without.into_iter().map(|(name, _)| name).collect();
        assert_eq!(without, ["restart-all"]);
        assert_eq!(longest_round_trip(&Latency::None, 1, Duration::from_millis(1)), Duration::from_millis(2));
    }
}
