//! Kill anywhere: one short story of four validators, played once for each event of one of them, which crashes there.
//!
//! The story: all start and payments are made, for some of them without another validator, so that rounds fail; then the one stops, is away
//! for some payments, starts again, and more payments are made in the same way. Played once without a crash the story says how many events
//! each of the two lives of that validator has. A *crash point* is one of these events and a
//! way to crash there, and perhaps an event of the life after it in which the node crashes again, in either way, while it recovers. At each point the
//! node must open, catch up, sign again, and take a payment that becomes final everywhere; the checker sees all of it.

mod outcome;
mod point;
mod tally;

pub use outcome::{CrashOutcome, Lives, StoryTrouble};
pub use point::{CrashPoint, UnknownPoint};
pub use tally::CrashReport;

use crate::check::Violation;
use crate::gate::{Crash, CrashPlan};
use crate::node::{Node, StartError};
use crate::trace::Print;
use crate::world::{World, WorldConfig, play};
use std::time::Duration;
use timed_consensus::SigningStatus;
use timed_primitives::TxId;
use tokio::time::Instant;

const VOTERS: u64 = 4;
const QUORUM: usize = 3;
/// Who crashes.
const VICTIM: u64 = 4;
/// Position among the nodes of who is away for the middle part of each of the victim's lives.
const ABSENT: usize = 0;
/// Payments in each part of a life and while the victim is away, one after the other: each makes a height at least.
const PAID: usize = 6;
/// Each step of the story, and each of the recovery, must be done within this time.
const STEP_WITHIN: Duration = Duration::from_secs(120);
/// How often the story looks whether a step is done.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Plays the story without a crash.
///
/// # Errors
/// [`StoryTrouble`]: then there is no sense in crashes.
pub fn without_crash(seed: u64) -> Result<Lives, StoryTrouble> {
    play(async {
        let mut story = Story::new(seed, None, None);
        story.play().await?;
        let found = story.world.checker().lock().violations().first().map(ToString::to_string);
        found.map_or(Ok(story.lives), |text| Err(StoryTrouble::Violated { text }))
    })
}

/// Plays the story with the crash of one point.
pub fn with_crash(seed: u64, point: CrashPoint, print: Option<Print>) -> CrashOutcome {
    play(async {
        let mut story = Story::new(seed, Some(point), print);
        if let Err(trouble) = story.play().await {
            story.world.checker().lock().report(trouble.into());
        }
        story.outcome.took = story.world.trace().elapsed();
        story.outcome.violations = story.world.checker().lock().violations().to_vec();
        story.outcome
    })
}

/// Plays the story for one of `every` crash points. `progress` is called after each.
pub fn enumerate(seed: u64, every: u64, mut progress: impl FnMut(&CrashReport)) -> CrashReport {
    let lives = match without_crash(seed) {
        Ok(lives) => lives,
        Err(trouble) => return CrashReport::without_points(seed, every, &trouble),
    };
    let points: Vec<CrashPoint> =
        lives.points(seed).step_by(usize::try_from(every.max(1)).unwrap_or(usize::MAX)).collect();
    let mut report = CrashReport::new(seed, every, lives, points.len() as u64);
    for point in points {
        report.add(seed, point, &with_crash(seed, point, None));
        progress(&report);
    }
    report
}

impl From<StoryTrouble> for Violation {
    fn from(trouble: StoryTrouble) -> Self {
        match trouble {
            StoryTrouble::DoesNotStart(StartError { node, text }) => Self::Stopped { node, text },
            StoryTrouble::TimedOut { text } | StoryTrouble::Violated { text } => {
                Self::NotLive { after: STEP_WITHIN, text }
            }
        }
    }
}

struct Story {
    seed: u64,
    world: World,
    nodes: Vec<Node>,
    point: Option<CrashPoint>,
    /// Payments made.
    made: usize,
    /// Those of them that were final on all nodes that ran.
    payments: Vec<TxId>,
    lives: Lives,
    outcome: CrashOutcome,
}

impl Story {
    fn new(seed: u64, point: Option<CrashPoint>, print: Option<Print>) -> Self {
        let mut world = World::new(WorldConfig { print, ..WorldConfig::instant(VOTERS, seed) });
        let nodes: Vec<Node> = (1..=VOTERS).map(|id| world.add(id)).collect();
        if let Some(point) = point {
            world.trace().world(format_args!("crash point {point}"));
            nodes.iter().filter(|node| node.id() == VICTIM).for_each(|node| node.set_fate(point.fate(seed)));
        }
        let lives = Lives { events: [0, 0], recovery: 0 };
        Self { seed, world, nodes, point, made: 0, payments: Vec::new(), lives, outcome: CrashOutcome::default() }
    }

    fn victim(&self) -> &Node {
        &self.nodes[self.nodes.len() - 1]
    }

    fn others(&self) -> &[Node] {
        &self.nodes[..self.nodes.len() - 1]
    }

    fn plan(&self, life: u8) -> Option<CrashPlan> {
        let point = self.point.filter(|point| point.life == life)?;
        Some(CrashPlan { crash: point.crash, events: point.event })
    }

    fn start(&mut self, plan: Option<CrashPlan>) -> Result<(), StoryTrouble> {
        let started = self.victim().start_with(plan);
        self.outcome.not_opened += u64::from(started.is_err());
        Ok(started?)
    }

    /// What else must never be, the checker has.
    async fn play(&mut self) -> Result<(), StoryTrouble> {
        for node in self.others() {
            node.start()?;
        }
        self.live(1).await?;
        self.pay(PAID).await?;
        if self.plan(1).is_none() {
            self.live(2).await?;
        }
        match self.point {
            Some(point) => self.recover(point).await,
            None => Ok(()),
        }
    }

    /// One life of the victim, or what its crash leaves of it.
    async fn live(&mut self, life: u8) -> Result<(), StoryTrouble> {
        self.start(self.plan(life))?;
        let gate = self.victim().gate();
        if life == 2 {
            self.catch_up().await?;
            self.lives.recovery = self.victim().events();
        }
        self.pay(PAID).await?;
        self.nodes[ABSENT].kill(Crash::Process);
        self.pay(PAID).await?;
        self.nodes[ABSENT].start()?;
        self.pay(PAID).await?;
        if life == 1 {
            self.victim().stop().await;
        }
        // One that crashed while it opened has no gate left.
        self.outcome.has_crashed |=
            self.plan(life).is_some() && gate.as_ref().is_none_or(|gate| gate.crashed().is_some());
        self.lives.events[usize::from(life - 1)] = gate.map_or(0, |gate| gate.events());
        Ok(())
    }

    /// Makes payments, each when the one before is final on all nodes that run. Without a quorum they are left waiting.
    async fn pay(&mut self, count: usize) -> Result<(), StoryTrouble> {
        for _ in 0..count {
            let payer = self.made % self.nodes.len();
            let txid = self.hand_in(&[payer, (payer + 1) % self.nodes.len()]).await?;
            let has_quorum = || self.nodes.iter().filter(|node| node.is_running()).count() >= QUORUM;
            let is_done = || !has_quorum() || self.late(txid).is_none();
            until(is_done).await.map_err(|()| self.too_late(txid))?;
            if has_quorum() {
                self.payments.push(txid);
            }
        }
        Ok(())
    }

    /// Hands the next payment to these nodes: one of them may die with it.
    async fn hand_in(&mut self, nodes: &[usize]) -> Result<TxId, StoryTrouble> {
        let payment = self.world.transaction(self.made, 7);
        let payment = payment.ok_or_else(|| late("genesis has no more outputs".to_owned()))?;
        self.made += 1;
        for node in nodes.iter().filter_map(|node| self.nodes.get(*node)) {
            let _ = tokio::time::timeout(STEP_WITHIN, node.submit(payment.clone())).await;
        }
        Ok(payment.facts.id)
    }

    /// A node that runs and does not have a payment.
    fn late(&self, txid: TxId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.is_running() && !node.is_final(&txid))
    }

    fn too_late(&self, txid: TxId) -> StoryTrouble {
        let who = self.late(txid).map(|node| format!("node {} does not have it: {}", node.id(), node.why()));
        late(format!("payment {txid} is not final everywhere; {}", who.unwrap_or_default()))
    }

    async fn catch_up(&self) -> Result<(), StoryTrouble> {
        let (victim, goal) = (self.victim(), self.others().iter().map(Node::height).max().unwrap_or_default());
        let has = || victim.height() >= goal && victim.signing() == Some(SigningStatus::On);
        until(|| has() || !victim.is_running()).await.map_err(|()| {
            let signing = victim.signing().map(|status| status.to_string()).unwrap_or_default();
            late(format!("node {VICTIM} is at {} of {goal}: {}; {signing}", victim.height(), victim.why()))
        })
    }

    /// Starts the victim after its crash, and looks at what it and the network still have and can.
    async fn recover(&mut self, point: CrashPoint) -> Result<(), StoryTrouble> {
        if !self.outcome.has_crashed {
            return Err(late(format!("the crash point {point} has not come: the story is another")));
        }
        self.outcome.restarts += 1;
        let again = point.again_at.map(|events| CrashPlan { crash: point.crash_again(self.seed), events });
        self.start(again)?;
        self.catch_up().await?;
        self.victim().cancel_crash();
        self.outcome.crashed_again = !self.victim().is_running();
        if self.outcome.crashed_again {
            self.outcome.restarts += 1;
            self.start(None)?;
            self.catch_up().await?;
        }
        let txid = self.hand_in(&[self.nodes.len() - 1]).await?;
        until(|| self.late(txid).is_none()).await.map_err(|()| self.too_late(txid))?;
        let lacks = |node: &Node| self.payments.iter().filter(|txid| !node.is_final(txid)).count() as u64;
        self.outcome.lost = self.nodes.iter().map(lacks).sum();
        Ok(())
    }
}

async fn until(is_done: impl Fn() -> bool) -> Result<(), ()> {
    let begun = Instant::now();
    while !is_done() {
        if begun.elapsed() > STEP_WITHIN {
            return Err(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn late(text: String) -> StoryTrouble {
    StoryTrouble::TimedOut { text }
}
