//! The fault schedule: which faults were under way when, and so under which conditions a payment was on its way.

use crate::fault_kind::FaultKind;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How long after its end the effects of one fault alone may last: peers dial again and what was missed is fetched.
pub const SETTLES_WITHIN: Duration = Duration::from_secs(20);

/// What went on while a payment was on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// No fault, and the effects of the last one were over.
    Quiet,
    /// One fault, which hurt neither the node that had accepted the payment nor more validators than the network can bear.
    Alone(FaultKind),
    /// Anything else.
    Mixed,
}

impl Condition {
    /// As in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Alone(kind) => kind.name(),
            Self::Mixed => "mixed",
        }
    }
}

/// One fault.
struct FaultEpisode {
    kind: FaultKind,
    /// Nodes of which nothing is promised while it lasts.
    hurt: BTreeSet<u64>,
    began: Instant,
    /// `None` while it lasts.
    ended: Option<Instant>,
    /// What must be undone before it ends.
    open: usize,
    /// It ends no sooner than the network was seen to live with every fault undone.
    until_live: bool,
}

impl FaultEpisode {
    /// Whether it, or its effects, fell into this time.
    fn touches(&self, from: Instant, until: Instant) -> bool {
        self.began <= until && self.ended.is_none_or(|ended| ended + SETTLES_WITHIN >= from)
    }
}

/// When a fault is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// When so many parts of it are undone.
    Undone(usize),
    /// Not in this run.
    Never,
}

/// All faults of a run, and the times when there were more of them than one bound could speak of.
#[derive(Default)]
pub struct FaultSchedule {
    episodes: BTreeMap<u64, FaultEpisode>,
    next: u64,
    /// From the first moment with two faults at once, or too many nodes hurt, until the network was seen to live without any.
    storms: Vec<(Instant, Option<Instant>)>,
}

impl FaultSchedule {
    /// Nodes begin that nobody is connected to: nothing is promised until the network was seen to live.
    pub fn begin(&mut self) {
        self.storm(Instant::now());
    }

    /// The number of the next fault.
    pub const fn next_id(&self) -> u64 {
        self.next
    }

    /// The next fault begins, which hurts these nodes and lasts until so many parts of it are undone. `is_bearable`: those nodes are few
    /// enough for the network to live on.
    pub fn on_strike(&mut self, kind: FaultKind, hurt: BTreeSet<u64>, is_bearable: bool, parts: Parts) {
        let now = Instant::now();
        let is_second = self.episodes.values().any(|other| other.touches(now, now));
        if is_second || !is_bearable {
            self.storm(now);
        }
        let until_live = matches!(kind, FaultKind::CrashPoint | FaultKind::DiskLoss | FaultKind::OldCopy);
        let (open, ended) = match parts {
            Parts::Never => (usize::MAX, None),
            Parts::Undone(0) => (0, Some(now)),
            Parts::Undone(parts) => (parts, None),
        };
        self.episodes.insert(self.next, FaultEpisode { kind, hurt, began: now, ended, open, until_live });
        self.next += 1;
    }

    fn storm(&mut self, now: Instant) {
        if self.storms.last().is_none_or(|(_, ended)| ended.is_some()) {
            self.storms.push((now, None));
        }
    }

    /// A part of a fault is undone.
    pub fn on_undone(&mut self, id: u64) {
        if let Some(episode) = self.episodes.get_mut(&id) {
            episode.open = episode.open.saturating_sub(1);
            if episode.open == 0 && !episode.until_live {
                episode.ended = Some(Instant::now());
            }
        }
    }

    /// With every fault undone the network lives.
    pub fn on_live(&mut self) {
        let now = Instant::now();
        for episode in self.episodes.values_mut().filter(|episode| episode.until_live && episode.open == 0) {
            episode.ended.get_or_insert(now);
        }
        if let Some((_, ended)) = self.storms.last_mut() {
            ended.get_or_insert(now);
        }
    }

    /// Whether there is no fault now, nor the effects of one.
    pub fn is_quiet(&self) -> bool {
        self.condition(Instant::now(), Instant::now(), 0) == Condition::Quiet
    }

    /// Under which conditions a payment was on its way that this node had accepted.
    pub fn condition(&self, from: Instant, until: Instant, node: u64) -> Condition {
        let is_storm = |(began, ended): &(Instant, Option<Instant>)| {
            *began <= until && ended.is_none_or(|ended| ended + SETTLES_WITHIN >= from)
        };
        if self.storms.iter().any(is_storm) {
            return Condition::Mixed;
        }
        let mut touching = self.episodes.values().filter(|episode| episode.touches(from, until));
        match (touching.next(), touching.next()) {
            (None, _) => Condition::Quiet,
            (Some(one), None) if !one.hurt.contains(&node) => Condition::Alone(one.kind),
            _ => Condition::Mixed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn pass(seconds: u32) -> Instant {
        tokio::time::sleep(seconds * SECOND).await;
        Instant::now()
    }

    fn strike(schedule: &mut FaultSchedule, kind: FaultKind, hurt: &[u64], parts: usize) -> u64 {
        let id = schedule.next_id();
        schedule.on_strike(kind, hurt.iter().copied().collect(), hurt.len() <= 1, Parts::Undone(parts));
        id
    }

    #[tokio::test(start_paused = true)]
    async fn one_fault_is_alone_until_its_effects_are_over_and_two_are_a_storm_until_the_network_lives() {
        let mut schedule = FaultSchedule::default();
        let start = Instant::now();
        let kill = strike(&mut schedule, FaultKind::Kill, &[2], 1);
        let struck = pass(5).await;
        assert_eq!(schedule.condition(start, struck, 1), Condition::Alone(FaultKind::Kill));
        assert_eq!(schedule.condition(start, struck, 2), Condition::Mixed, "who was killed promised nothing");
        schedule.on_undone(kill);
        let over = pass(21).await;
        assert!(schedule.is_quiet());
        assert_eq!(schedule.condition(struck, over, 1), Condition::Alone(FaultKind::Kill));
        assert_eq!(schedule.condition(over, over, 1), Condition::Quiet);

        strike(&mut schedule, FaultKind::Reset, &[], 0);
        let second = pass(5).await;
        let cut = strike(&mut schedule, FaultKind::CutLink, &[], 1);
        schedule.on_undone(cut);
        let later = pass(60).await;
        assert_eq!(schedule.condition(over, second - SECOND, 1), Condition::Alone(FaultKind::Reset));
        assert_eq!(schedule.condition(later, later, 1), Condition::Mixed, "nobody saw the network live yet");
        schedule.on_live();
        let quiet = pass(21).await;
        assert_eq!(schedule.condition(quiet, quiet, 1), Condition::Quiet);
    }

    #[tokio::test(start_paused = true)]
    async fn more_nodes_than_the_network_can_bear_are_a_storm_and_a_forgetful_one_lasts_until_the_network_lives() {
        let mut schedule = FaultSchedule::default();
        schedule.begin();
        schedule.on_live();
        let quiet = pass(21).await;
        assert_eq!(schedule.condition(quiet, quiet, 1), Condition::Quiet);
        let lost = strike(&mut schedule, FaultKind::DiskLoss, &[3], 1);
        schedule.on_undone(lost);
        let later = pass(100).await;
        assert_eq!(schedule.condition(later, later, 1), Condition::Alone(FaultKind::DiskLoss));
        schedule.on_live();
        let quiet = pass(21).await;
        assert_eq!(schedule.condition(quiet, quiet, 1), Condition::Quiet);
        strike(&mut schedule, FaultKind::Partition, &[3, 4, 5], 1);
        assert_eq!(schedule.condition(quiet, quiet, 1), Condition::Mixed);
    }
}
