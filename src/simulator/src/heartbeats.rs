//! Weeks of heartbeats in minutes: the cores of many connections without their actors, under restarts, losses of power, stalls, cut paths and
//! slow ones. How many live peers were dropped, and how many dead ones kept?
//!
//! Each pair of nodes is played alone (`link`) under what happens to its nodes and to the path between them, drawn beforehand
//! (`fault_schedule`). A checker that knows all of it names the true cause of every end that a heartbeat declared.

mod counts;
mod fault_schedule;
mod link;

use counts::{EndCause, HeartbeatCounts};
use fault_schedule::{NodeFaults, cuts, doubling, partitions};
use link::NodePair;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use timed_primitives::Instant;

/// Nodes that each node dials.
const DIALS: usize = 4;
/// Of ten nodes so many vote, and ping and redial sooner.
const VOTERS_OF_TEN: usize = 7;
/// The shortest way; the longest is a little longer than 400 ms.
const LATENCY_MIN: Duration = Duration::from_millis(1);
/// How often the shortest way doubles at most.
const LATENCY_DOUBLINGS: u32 = 9;
/// The longest way.
const LATENCY_MAX: Duration = Duration::from_millis(400);

/// What to play.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatConfig {
    /// How many nodes, at most 128; each dials four others.
    pub nodes: usize,
    /// How long. Unit: virtual time.
    pub length: Duration,
    /// What everything follows.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HeartbeatReport {
    /// Nodes.
    pub nodes: usize,
    /// Pairs of nodes of which one dials the other.
    pub links: usize,
    /// Virtual time. Unit: seconds.
    pub seconds: u64,
    /// What was drawn from.
    pub seed: u64,
    /// What happened: stalls, restarts, losses of power, cuts.
    pub faults: BTreeMap<&'static str, usize>,
    /// Connections that came up.
    pub sessions: u64,
    /// Dials, those that failed included.
    pub dials: u64,
    /// How long all sessions were up at both ends together. Unit: hours.
    pub session_hours: u64,
    /// Pings sent.
    pub pings: u64,
    /// Pongs that answered a known ping.
    pub pongs_matched: u64,
    /// Pongs that answered none: they belong to forgotten pings.
    pub pongs_unmatched: u64,
    /// Ends of sessions by their true cause, each end counted.
    pub ends: BTreeMap<&'static str, u64>,
    /// Live peers that were dropped.
    pub false_disconnects: u64,
    /// Silent peers that were kept past the deadline.
    pub kept_dead: u64,
    /// From the time at which nothing hindered it until a lost connection was up again: half within, 99 in 100 within, all within.
    /// Unit: milliseconds.
    pub reconnect_ms: (u64, u64, u64),
}

impl HeartbeatReport {
    /// Whether no live peer was dropped and no dead one kept.
    pub const fn is_sound(&self) -> bool {
        self.false_disconnects == 0 && self.kept_dead == 0
    }
}

/// Plays all pairs, one after the other; `progress` gets after each how many are done, of how many.
pub fn run(config: HeartbeatConfig, mut progress: impl FnMut(usize, usize)) -> HeartbeatReport {
    let until = Instant::START + config.length;
    let mut rng = StdRng::seed_from_u64(config.seed);
    let draw = |number: usize| NodeFaults::draw(&mut rng, until, number % 10 < VOTERS_OF_TEN);
    let fates: Vec<NodeFaults> = (0..config.nodes).map(draw).collect();
    let partitions = partitions(&mut rng, until);
    let mut faults = BTreeMap::from([("partitions", partitions.len())]);
    for node_faults in &fates {
        *faults.entry("stalls").or_default() += node_faults.stalls.len();
        *faults.entry("restarts").or_default() += node_faults.restarts.len();
        *faults.entry("losses of power").or_default() += node_faults.outages.len();
    }
    let links = links(config.nodes, &mut rng);
    let mut all = HeartbeatCounts::default();
    for (done, [dialler, acceptor]) in links.iter().copied().enumerate() {
        let mut rng = StdRng::from_rng(&mut rng);
        let cuts = cuts(&mut rng, until, &partitions, [dialler, acceptor]);
        *faults.entry("cut paths").or_default() += cuts.len();
        let latency = doubling(&mut rng, LATENCY_MIN, LATENCY_DOUBLINGS).min(LATENCY_MAX);
        let (Some(one), Some(other)) = (fates.get(dialler), fates.get(acceptor)) else { continue };
        all.add(NodePair::new([one, other], &cuts, latency, rng).play(until));
        progress(done + 1, links.len());
    }
    all.reconnects.sort_unstable();
    let part = |percent: usize| {
        let rank = (all.reconnects.len() * percent).div_ceil(100).max(1);
        all.reconnects.get(rank - 1).map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    };
    HeartbeatReport {
        nodes: config.nodes,
        links: links.len(),
        seconds: config.length.as_secs(),
        seed: config.seed,
        faults,
        sessions: all.sessions,
        dials: all.dials,
        session_hours: all.node_time.as_secs() / 3_600,
        pings: all.pings,
        pongs_matched: all.matched,
        pongs_unmatched: all.unmatched,
        ends: all.ends.iter().map(|(cause, count)| (cause.name(), *count)).collect(),
        false_disconnects: all.ends.get(&EndCause::False).copied().unwrap_or_default(),
        kept_dead: all.kept_dead,
        reconnect_ms: (part(50), part(99), part(100)),
    }
}

/// Each node dials others at random, no pair twice.
fn links(nodes: usize, rng: &mut StdRng) -> Vec<[usize; 2]> {
    let mut links: Vec<[usize; 2]> = Vec::new();
    for dialler in 0..nodes {
        let free = |links: &[[usize; 2]]| -> Vec<usize> {
            let is_free = |other: &usize| {
                *other != dialler && !links.contains(&[dialler, *other]) && !links.contains(&[*other, dialler])
            };
            (0..nodes).filter(is_free).collect()
        };
        for _ in 0..DIALS {
            let others = free(&links);
            let draw = rng.random_range(0..others.len().max(1));
            links.extend(others.get(draw).map(|other| [dialler, *other]));
        }
    }
    links
}

impl fmt::Display for HeartbeatReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
        };
        let faults = self.faults.iter().map(|(name, count)| (*name, *count as u64)).collect();
        let (half, most, all) = self.reconnect_ms;
        let days = self.seconds / 86_400;
        writeln!(
            f,
            "virtual time  {days} days {} h, {} nodes, {} links",
            self.seconds / 3_600 % 24,
            self.nodes,
            self.links
        )?;
        writeln!(f, "faults        {}", listed(&faults))?;
        writeln!(
            f,
            "sessions      {} after {} dials, {} hours at their ends",
            self.sessions, self.dials, self.session_hours
        )?;
        writeln!(
            f,
            "pings         {}, {} matched by a pong, {} pongs unknown",
            self.pings, self.pongs_matched, self.pongs_unmatched
        )?;
        writeln!(f, "ends          {}", listed(&self.ends))?;
        writeln!(f, "back again    half within {half} ms, 99 % within {most} ms, all within {all} ms of a clear way")?;
        writeln!(f, "live dropped  {}", self.false_disconnects)?;
        write!(f, "dead kept     {}", self.kept_dead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(nodes: usize, days: u64, seed: u64) -> HeartbeatReport {
        let length = Duration::from_secs(days * 86_400);
        run(HeartbeatConfig { nodes, length, seed }, |_, _| ())
    }

    #[test]
    fn no_live_peer_is_dropped_and_no_dead_one_kept() {
        let report = played(20, 2, 1);
        assert!(report.is_sound(), "{report}");
        for cause in
            [EndCause::PeerLost, EndCause::PathCut, EndCause::PeerFrozen, EndCause::ClosedByPeer, EndCause::Replaced]
        {
            assert!(report.ends.contains_key(cause.name()), "{report}");
        }
        assert!(report.pings > 1_000_000, "{report}");
        assert!(report.pongs_matched + 100 * report.sessions > report.pings, "{report}");
    }

    #[test]
    fn the_same_seed_plays_the_same() {
        assert_eq!(played(6, 1, 7), played(6, 1, 7));
        assert_ne!(played(6, 1, 7), played(6, 1, 8));
    }
}
