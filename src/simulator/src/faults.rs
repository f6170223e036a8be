//! What is done to a world by the seed, and how it is undone.

use crate::adversary::{Lie, Lies};
use crate::fault_kind::{FaultKind, FaultSet};
use crate::gate::{Crash, CrashPlan, DiskPace};
use crate::kept::KeptState;
use crate::node::{Node, StartError};
use crate::schedule::{FaultSchedule, Parts};
use crate::world::World;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use timed_consensus::SigningStatus;
use timed_test_support::LinkQuality;
use tokio::time::Instant;

/// Kinds from this one on are drawn beside the others, so that those mean the same for a seed as before.
const DRAWN_BESIDE: FaultKind = FaultKind::Stuck;

/// What ends a fault.
enum Undo {
    Start(u64),
    Resume(u64),
    Heal(u64, u64),
    Disk(u64),
    Clock(u64, i64),
    Stuck(u64),
}

/// Faults under way.
pub struct Faults {
    rng: StdRng,
    /// How many validators may forget or lie at a time.
    faulty_max: u64,
    kinds: Vec<FaultKind>,
    undo: BTreeMap<(Instant, u64), (Undo, u64)>,
    next_undo: u64,
    /// Which faults were under way when.
    schedule: FaultSchedule,
    /// Validators that may have forgotten what they signed.
    in_doubt: BTreeSet<u64>,
    /// Validators that have a twin or lie: they never sign honestly again.
    dishonest: BTreeSet<u64>,
    /// Validators whose clocks are far off.
    far_off: BTreeSet<u64>,
    copies: BTreeMap<u64, KeptState>,
    /// How often each kind came.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Faults {
    /// A subset of these kinds, drawn: each run is troubled in its own way. With `exactly` the draw is all of them, and what was drawn
    /// without it gives the same run with it. Kinds that came later are drawn from `beside`. `voters_least` is how many vote at any time: fewer
    /// than a third of them forget or lie at a time.
    pub fn new(mut rng: StdRng, mut beside: StdRng, allowed: &FaultSet, exactly: bool, voters_least: u64) -> Self {
        let kinds = FaultKind::ALL.iter().copied().filter(|kind| {
            let is_drawn = if *kind < DRAWN_BESIDE { rng.random_bool(0.5) } else { beside.random_bool(0.5) };
            (is_drawn || exactly) && allowed.0.contains(kind)
        });
        let kinds = kinds.collect();
        Self {
            rng,
            faulty_max: voters_least.saturating_sub(1) / 3,
            kinds,
            undo: BTreeMap::new(),
            next_undo: 0,
            schedule: FaultSchedule::default(),
            in_doubt: BTreeSet::new(),
            dishonest: BTreeSet::new(),
            far_off: BTreeSet::new(),
            copies: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// The kinds that were drawn.
    pub fn kinds(&self) -> FaultSet {
        FaultSet(self.kinds.iter().copied().collect())
    }

    /// How many validators may be faulty from the start on beside a twin and those that are Byzantine.
    pub fn spare(&self) -> u64 {
        let twins = u64::from(self.kinds.contains(&FaultKind::Twin));
        if self.kinds.contains(&FaultKind::Byzantine) { 0 } else { self.faulty_max.saturating_sub(twins) }
    }

    /// The clocks of these nodes are far off from the start on.
    pub fn set_far_off(&mut self, nodes: BTreeSet<u64>) {
        self.far_off = nodes;
    }

    /// When the next fault ends.
    pub fn next_undo(&self) -> Option<Instant> {
        self.undo.keys().next().map(|(at, _)| *at)
    }

    fn undo_later(&mut self, undo: Undo) {
        let after = Duration::from_millis(self.rng.random_range(200..=40_000));
        self.next_undo += 1;
        self.undo.insert((Instant::now() + after, self.next_undo), (undo, self.schedule.next_id()));
    }

    /// Ends what is due.
    ///
    /// # Errors
    /// When a node does not start again.
    pub fn undo_due(&mut self, world: &World) -> Result<(), StartError> {
        while let Some(entry) = self.undo.first_entry().filter(|entry| entry.key().0 <= Instant::now()) {
            let (undo, fault) = entry.remove();
            self.end(undo, world)?;
            self.schedule.on_undone(fault);
        }
        Ok(())
    }

    /// Ends everything, and starts every node.
    ///
    /// # Errors
    /// When a node does not start again.
    pub fn undo_all(&mut self, world: &World) -> Result<(), StartError> {
        for (undo, fault) in std::mem::take(&mut self.undo).into_values() {
            self.end(undo, world)?;
            self.schedule.on_undone(fault);
        }
        world.nodes().for_each(Node::cancel_crash);
        world.nodes().try_for_each(Node::start)
    }

    fn end(&mut self, undo: Undo, world: &World) -> Result<(), StartError> {
        let node = |id| world.node(id);
        match undo {
            Undo::Start(id) => node(id).map_or(Ok(()), |node| node.start())?,
            Undo::Resume(id) => node(id).iter().for_each(Node::resume),
            Undo::Heal(a, b) => world.heal(a, b),
            Undo::Disk(id) => {
                if let Some(node) = node(id) {
                    node.set_disk(&DiskPace::GOOD);
                    node.start()?;
                }
            }
            Undo::Stuck(id) => node(id).iter().for_each(Node::unstick),
            Undo::Clock(id, by_ms) => {
                self.far_off.remove(&id);
                node(id).iter().for_each(|node| node.move_clock(-by_ms));
            }
        }
        Ok(())
    }

    /// The network lives: who signs again is no longer in doubt.
    pub fn on_live(&mut self, world: &World) {
        let is_sure = |id: u64| world.node(id).and_then(|node| node.signing()) == Some(SigningStatus::On);
        let dishonest = &self.dishonest;
        self.in_doubt.retain(|id| !is_sure(*id) || dishonest.contains(id));
        self.schedule.on_live();
    }

    /// Which faults were under way when.
    pub const fn schedule(&mut self) -> &mut FaultSchedule {
        &mut self.schedule
    }

    /// Gives a validator a twin with this number, when that kind was drawn and the network can bear it.
    pub fn add_twin(&mut self, world: &mut World, id: u64) -> Option<Node> {
        if !self.kinds.contains(&FaultKind::Twin) || self.faulty_max == 0 {
            return None;
        }
        let of = self.rng.random_range(1..=world.voters());
        self.in_doubt.insert(of);
        self.dishonest.insert(of);
        *self.counts.entry(FaultKind::Twin.name()).or_default() += 1;
        self.schedule.on_strike(FaultKind::Twin, BTreeSet::from([of, id]), true, Parts::Never);
        Some(world.add_twin(id, of))
    }

    /// Which validators lie, and how, when that kind was drawn: as many as the network can bear beside a twin. Called before they start.
    pub fn draw_byzantine(&mut self, world: &World) -> BTreeMap<u64, Lies> {
        let spare = self.faulty_max.saturating_sub(u64::from(self.kinds.contains(&FaultKind::Twin)));
        if !self.kinds.contains(&FaultKind::Byzantine) || spare == 0 {
            return BTreeMap::new();
        }
        let mut byzantine = BTreeMap::new();
        for _ in 0..self.rng.random_range(1..=spare) {
            let chosen: Vec<_> = Lie::ALL.iter().copied().filter(|_| self.rng.random_bool(0.3)).collect();
            let lies = chosen.into_iter().map(|lie| (lie, [20, 200, 1000][self.rng.random_range(0..3)])).collect();
            let id = self.rng.random_range(1..=world.voters());
            if byzantine.insert(id, lies).is_none() {
                self.in_doubt.insert(id);
                self.dishonest.insert(id);
                *self.counts.entry(FaultKind::Byzantine.name()).or_default() += 1;
            }
        }
        if !byzantine.is_empty() {
            self.schedule.on_strike(FaultKind::Byzantine, byzantine.keys().copied().collect(), true, Parts::Never);
        }
        byzantine
    }

    /// Does one thing of a kind that was drawn, if it can be done now.
    pub fn strike(&mut self, world: &World) {
        let Some(kind) = self.kinds.choose(&mut self.rng).copied() else { return };
        let running: Vec<Node> = world.nodes().filter(|node| node.is_running()).cloned().collect();
        let Some(node) = running.choose(&mut self.rng).cloned() else { return };
        let Some(hurt) = self.strike_with(kind, &node, &running, world) else { return };
        *self.counts.entry(kind.name()).or_default() += 1;
        let fault = self.schedule.next_id();
        let parts = self.undo.values().filter(|(_, of)| *of == fault).count();
        // A clock that is far behind refuses fresh blocks: its node is none that a quorum can do with.
        let hurt_voters = hurt.union(&self.far_off).filter(|id| **id <= world.voters()).count() as u64;
        self.schedule.on_strike(kind, hurt, hurt_voters <= self.faulty_max, Parts::Undone(parts));
    }

    /// Gives the nodes that are hurt: nothing is promised of them. `None` when it cannot be done now.
    fn strike_with(&mut self, kind: FaultKind, node: &Node, running: &[Node], world: &World) -> Option<BTreeSet<u64>> {
        let mut hurt = BTreeSet::from([node.id()]);
        match kind {
            FaultKind::Kill => self.kill(node, Crash::Process),
            FaultKind::PowerLoss => self.kill(node, Crash::Power),
            FaultKind::CrashPoint => {
                let crash = self.draw_crash();
                node.plan_crash(CrashPlan { crash, events: self.rng.random_range(1..=400) });
                self.undo_later(Undo::Start(node.id()));
            }
            FaultKind::RestartAll => {
                let crash = self.draw_crash();
                running.iter().for_each(|node| self.kill(node, crash));
                hurt = running.iter().map(Node::id).collect();
            }
            FaultKind::Pause => {
                node.pause();
                self.undo_later(Undo::Resume(node.id()));
            }
            FaultKind::Partition | FaultKind::OneWay => hurt = self.partition(kind == FaultKind::OneWay, world),
            FaultKind::CutLink | FaultKind::SlowLink | FaultKind::Reset => {
                let other = world.nodes().map(Node::id).filter(|id| *id != node.id()).collect::<Vec<_>>();
                let (a, b) = (node.id(), *other.choose(&mut self.rng)?);
                hurt.clear();
                match kind {
                    FaultKind::Reset => world.reset(a, b),
                    FaultKind::CutLink => world.cut(a, b),
                    _ => world.slow_down(a, b, self.draw_slow_link()),
                }
                if kind != FaultKind::Reset {
                    self.undo_later(Undo::Heal(a, b));
                }
            }
            FaultKind::SlowDisk | FaultKind::FullDisk => {
                let slow = DiskPace { sync_micros: 10_000..=self.rng.random_range(20_000..=900_000), room_bytes: None };
                let full = DiskPace { room_bytes: Some(self.rng.random_range(0..=20_000)), ..DiskPace::GOOD };
                node.set_disk(if kind == FaultKind::SlowDisk { &slow } else { &full });
                self.undo_later(Undo::Disk(node.id()));
            }
            FaultKind::FailedSync => {
                node.fail_syncs();
                self.undo_later(Undo::Disk(node.id()));
            }
            FaultKind::DiskLoss => {
                self.doubt(node)?;
                self.kill(node, Crash::Power);
                node.replace_disk(KeptState::default());
            }
            FaultKind::OldCopy => {
                let Some(copy) = self.copies.remove(&node.id()) else {
                    self.copies.insert(node.id(), node.kept().copy());
                    return None;
                };
                if self.doubt(node).is_none() {
                    self.copies.insert(node.id(), copy);
                    return None;
                }
                self.kill(node, Crash::Process);
                node.replace_disk(copy);
            }
            FaultKind::ClockJump => {
                if self.far_off.len() as u64 >= self.faulty_max || !self.far_off.insert(node.id()) {
                    return None;
                }
                let by_ms = self.rng.random_range(-120_000..=120_000);
                node.move_clock(by_ms);
                hurt.clear();
                self.undo_later(Undo::Clock(node.id(), by_ms));
            }
            FaultKind::Stuck => {
                let time = Duration::from_millis(self.rng.random_range(1_000..=20_000));
                node.stick(self.rng.random_range(0..crate::cost::THREADS), time)?;
                self.undo_later(Undo::Stuck(node.id()));
            }
            FaultKind::Twin | FaultKind::Byzantine => return None,
        }
        Some(hurt)
    }

    /// Far, or narrow.
    fn draw_slow_link(&mut self) -> LinkQuality {
        if self.rng.random() {
            let latency = Duration::from_millis(self.rng.random_range(500..=4_000));
            return LinkQuality { latency, jitter: latency / 2, bytes_per_second: None };
        }
        let latency = Duration::from_millis(self.rng.random_range(1..=200));
        let bytes_per_second = std::num::NonZeroU64::new(self.rng.random_range(2_000..=50_000));
        LinkQuality { latency, jitter: latency / 2, bytes_per_second }
    }

    fn draw_crash(&mut self) -> Crash {
        if self.rng.random() { Crash::Power } else { Crash::Process }
    }

    fn kill(&mut self, node: &Node, crash: Crash) {
        node.kill(crash);
        self.undo_later(Undo::Start(node.id()));
    }

    /// Counts a validator among those that may have forgotten; `None` when there are as many as the network can bear.
    fn doubt(&mut self, node: &Node) -> Option<()> {
        if !node.votes() || self.dishonest.contains(&node.id()) {
            return Some(());
        }
        let others = self.in_doubt.iter().filter(|id| **id != node.id()).count() as u64;
        (others < self.faulty_max).then(|| {
            self.in_doubt.insert(node.id());
        })
    }

    /// Two or three groups, of which links between different ones are cut, in one direction or both. Gives the nodes outside the largest.
    fn partition(&mut self, is_one_way: bool, world: &World) -> BTreeSet<u64> {
        let mut ids: Vec<u64> = world.nodes().map(Node::id).collect();
        ids.shuffle(&mut self.rng);
        let groups = self.rng.random_range(2..=3);
        let group: BTreeMap<u64, usize> = ids.iter().map(|id| (*id, self.rng.random_range(0..groups))).collect();
        for (position, a) in ids.iter().enumerate() {
            for b in &ids[..position] {
                let (first, second) = (group.get(a), group.get(b));
                if first == second {
                    continue;
                }
                match (is_one_way, first < second) {
                    (false, _) => world.cut(*a, *b),
                    (true, true) => world.cut_one_way(*a, *b),
                    (true, false) => world.cut_one_way(*b, *a),
                }
                self.undo_later(Undo::Heal(*a, *b));
            }
        }
        let is_voter = |id: &&u64| **id <= world.voters();
        let size = |of: usize| ids.iter().filter(is_voter).filter(|id| group.get(id) == Some(&of)).count();
        let largest = (0..groups).max_by_key(|of| size(*of));
        ids.iter().copied().filter(|id| group.get(id).copied() != largest).collect()
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_as_they_are_shown() {
        for text in ["all", "none", "kill,pause", "disk-loss"] {
            assert_eq!(text.parse::<FaultSet>().unwrap().to_string(), text);
        }
        assert!("flood".parse::<FaultSet>().unwrap_err().to_string().contains("kill, power-loss"));
    }
}
