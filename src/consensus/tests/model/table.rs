//! States of single validators, each known by a number, and what each step leads to.
//!
//! The core can neither be cloned nor hashed, but it is deterministic: a state is the beginning of a life and the steps since, and is
//! rebuilt by taking them again. Two of them are one state when they agree in their [`Facts`]; [`Table::compare_paths`] shows that such
//! states behave alike. A step is taken once for each state of one validator, however many states of the network contain it.

use crate::Plant;
use crate::disk::{Image, LoggedDisk};
use crate::life::{Birth, Event, Life, Link, VALIDATORS, owner};
use crate::network::{Bounds, QUORUM};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use timed_consensus::inspect::{read_guard, read_journal};
use timed_consensus::journal::JOURNAL_FILES;
use timed_consensus::statement::{SignedRecord, SignedStep, Statement};
use timed_consensus::{SigningOff, SigningStatus};
use timed_primitives::{Block, BlockId, CommitCertificate, PayloadFormat};

/// States reached in a second way that are kept for comparing.
const OTHERS_MAX: usize = 10_000;

/// Number of a state in the table.
pub(crate) type LocalId = u32;
/// Number of a published statement.
pub(crate) type StatementId = u16;

/// What a validator may do next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// Open, and listen until the core signs.
    Start,
    /// Hear these statements, in this order.
    Hear(Vec<StatementId>),
    /// Wait until the next time-out.
    TimeOut,
}

/// What the disk suffers beyond the loss of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Loss {
    /// The power fails: unsynced writes are lost, kept or torn.
    Power,
    /// The same, and a page of the journal's newest batch is spoiled.
    Page,
    /// The journal's files are gone.
    Journal,
}

/// Where a step leads.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) local: LocalId,
    pub(crate) published: Vec<StatementId>,
    pub(crate) loss: Option<Loss>,
}

/// All by which states differ. Sorted, so that the order of what commutes does not matter, and without what no longer does.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Facts {
    pub(crate) who: usize,
    pub(crate) lives: u8,
    pub(crate) is_started: bool,
    pub(crate) decided: Vec<BlockId>,
    /// Signers of the tip in the core's memory, which the next block names: those of its certificate, and others that were heard.
    certificate: BTreeSet<usize>,
    pub(crate) round: u32,
    pub(crate) step: &'static str,
    /// Statements of the current height that are known.
    pub(crate) known: BTreeSet<StatementId>,
    /// Its own statements of the current height that it remembers.
    pub(crate) own: BTreeSet<StatementId>,
    /// The newest round in which a proposal and a quorum of prevotes for it were known while that round went on.
    valid: Option<(u32, BlockId)>,
    /// What a loss of power would leave: signers of the tip's certificate, statements in the journal, the guard.
    stored: BTreeSet<usize>,
    durable: BTreeSet<StatementId>,
    guard: Option<String>,
    /// The guard as it is written, synced or not.
    written: Option<String>,
    /// Whether it signs, and if not, why, and how many heights have passed since.
    signing: String,
    pub(crate) is_memory_in_doubt: bool,
    pub(crate) fatal: Option<String>,
}

struct Local {
    facts: Arc<Facts>,
    birth: Birth,
    steps: Vec<Step>,
}

#[derive(Default)]
struct Inner {
    locals: Vec<Local>,
    by_facts: BTreeMap<Arc<Facts>, LocalId>,
    statements: Vec<(usize, Statement)>,
    by_bytes: BTreeMap<Vec<u8>, StatementId>,
    blocks: BTreeMap<BlockId, Arc<Block>>,
    steps: BTreeMap<(LocalId, Step), Option<Outcome>>,
    losses: BTreeMap<(LocalId, Step, [u64; VALIDATORS]), Vec<Outcome>>,
    /// States reached again by other steps, for the test that they behave alike.
    others: Vec<(LocalId, Birth, Vec<Step>)>,
}

/// See the module.
pub(crate) struct Table {
    plant: Plant,
    bounds: Bounds,
    inner: Mutex<Inner>,
}

impl Table {
    pub(crate) fn new(bounds: Bounds, plant: Plant) -> Self {
        Self { plant, bounds, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// A validator with an empty disk that has not started.
    pub(crate) fn unborn(&self, who: usize) -> LocalId {
        let birth = Birth { who, lives: 0, image: Arc::default(), chain: vec![], reported: [0; VALIDATORS] };
        let facts = Facts { who, ..Facts::default() };
        self.inner().intern(Local { facts: Arc::new(facts), birth, steps: vec![] })
    }

    pub(crate) fn facts(&self, local: LocalId) -> Arc<Facts> {
        self.inner().locals[local as usize].facts.clone()
    }

    /// Who signed it, and what.
    pub(crate) fn record(&self, id: StatementId) -> (usize, SignedRecord) {
        self.inner().record(id)
    }

    /// States of single validators, and steps taken from them with the real core.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let inner = self.inner();
        (inner.locals.len(), inner.steps.len() + inner.losses.len())
    }

    /// Takes a step; `None` when nothing comes of it.
    pub(crate) fn step(&self, local: LocalId, step: &Step) -> Option<Outcome> {
        let place = (local, step.clone());
        if let Some(known) = self.inner().steps.get(&place) {
            return known.clone();
        }
        let (birth, steps) = self.origin(local);
        let outcome =
            self.try_step(&birth, &steps, step).map(|(local, published)| Outcome { local, published, loss: None });
        self.inner().steps.insert(place, outcome.clone());
        outcome
    }

    fn origin(&self, local: LocalId) -> (Birth, Vec<Step>) {
        let inner = self.inner();
        let local = &inner.locals[local as usize];
        (local.birth.clone(), local.steps.clone())
    }

    fn try_step(&self, birth: &Birth, steps: &[Step], step: &Step) -> Option<(LocalId, Vec<StatementId>)> {
        let (mut life, mut facts) = self.replay(birth, steps);
        let events = self.take(&mut life, &mut facts, birth, step)?;
        let published = self.published(&events);
        let steps = steps.iter().chain([step]).cloned().collect();
        let local = self.inner().intern(Local { facts: Arc::new(facts), birth: birth.clone(), steps });
        Some((local, published))
    }

    /// Each way in which the power, or the journal, may be lost during a step or after it, and where the next life then begins.
    pub(crate) fn losses(&self, local: LocalId, step: &Step, reported: [u64; VALIDATORS]) -> Vec<Outcome> {
        let place = (local, step.clone(), reported);
        if let Some(known) = self.inner().losses.get(&place) {
            return known.clone();
        }
        let (birth, steps) = self.origin(local);
        let outcomes = self.try_losses(&birth, &steps, step, reported);
        self.inner().losses.insert(place, outcomes.clone());
        outcomes
    }

    fn try_losses(&self, birth: &Birth, steps: &[Step], step: &Step, reported: [u64; VALIDATORS]) -> Vec<Outcome> {
        let (mut life, facts) = self.replay(birth, steps);
        let (mut surface, mut chain) = match &life {
            Some(life) => (life.surface.clone(), life.chain.clone()),
            None => Default::default(),
        };
        let events = self.take(&mut life, &mut facts.clone(), birth, step).unwrap_or_default();
        let mut left: BTreeMap<(Image, usize, usize, Loss), Vec<Link>> = BTreeMap::new();
        let mut published = 0;
        for count in 0..=events.len() {
            for image in surface.survivors() {
                left.entry((image, published, chain.len(), Loss::Power)).or_insert_with(|| chain.clone());
            }
            match events.get(count) {
                Some(Event::Disk(operation)) => surface.apply(operation),
                Some(Event::Publish(_)) => published += 1,
                Some(Event::Commit(link)) => chain.push(link.clone()),
                None => {}
            }
        }
        if let Some(image) = surface.spoiled() {
            left.insert((image, published, chain.len(), Loss::Page), chain.clone());
        }
        let mut image = surface.durable.clone();
        JOURNAL_FILES.iter().for_each(|file| drop(image.remove(*file)));
        left.insert((image, published, chain.len(), Loss::Journal), chain);
        let published = self.published(&events);
        left.into_iter()
            .map(|((image, count, _, loss), chain)| {
                let birth = Birth { who: birth.who, lives: birth.lives + 1, image: Arc::new(image), chain, reported };
                let mut again = None;
                let mut facts = facts.clone();
                let events = self.take(&mut again, &mut facts, &birth, &Step::Start).unwrap_or_default();
                let published = published[..count].iter().copied().chain(self.published(&events)).collect();
                let local = self.inner().intern(Local { facts: Arc::new(facts), birth, steps: vec![Step::Start] });
                Outcome { local, published, loss: Some(loss) }
            })
            .collect()
    }

    fn replay(&self, birth: &Birth, steps: &[Step]) -> (Option<Life>, Facts) {
        let mut life = None;
        let mut facts = (*self.facts(self.unborn(birth.who))).clone();
        for step in steps {
            self.take(&mut life, &mut facts, birth, step);
        }
        (life, facts)
    }

    fn take(&self, life: &mut Option<Life>, facts: &mut Facts, birth: &Birth, step: &Step) -> Option<Vec<Event>> {
        let mut heard = Vec::new();
        let events = match (step, life.as_mut()) {
            (Step::Start, _) => {
                let (begun, events) = Life::begin(birth, self.plant);
                *life = Some(begun);
                events
            }
            (Step::TimeOut, Some(life)) => life.time_out()?,
            (Step::Hear(ids), Some(life)) => {
                heard.clone_from(ids);
                let reported: Vec<_> = ids.iter().map(|id| self.statement(*id)).collect();
                reported
                    .iter()
                    .flat_map(|(from, statement, block)| life.hear(*from, statement, block.clone()))
                    .collect()
            }
            (_, None) => return None,
        };
        let life = life.as_ref()?;
        life.built.iter().for_each(|block| drop(self.inner().blocks.insert(block.id(), block.clone())));
        heard.extend(self.published(&events));
        self.update(facts, life, birth, &heard);
        Some(events)
    }

    fn statement(&self, id: StatementId) -> (usize, Statement, Option<Arc<Block>>) {
        let inner = self.inner();
        let (who, statement) = inner.statements[usize::from(id)].clone();
        let block = match &statement {
            Statement::Proposal(proposal) => inner.blocks.get(&proposal.block).cloned(),
            Statement::Vote(_) => None,
        };
        (who, statement, block)
    }

    fn published(&self, events: &[Event]) -> Vec<StatementId> {
        let mut inner = self.inner();
        let published = events.iter().filter_map(|event| match event {
            Event::Publish(statement) => Some(inner.number(statement)),
            Event::Disk(_) | Event::Commit(_) => None,
        });
        published.collect()
    }

    fn update(&self, facts: &mut Facts, life: &Life, birth: &Birth, heard: &[StatementId]) {
        let status = life.status();
        let height = status.height;
        let disk = LoggedDisk::new(life.surface.durable.clone());
        let journal = read_journal(&disk, PayloadFormat::EMPTY).unwrap();
        let newest = journal.newest.filter(|(_, h)| *h == height).map(|(generation, _)| generation);
        let batches = journal.batches.iter().filter(|batch| Some(batch.generation) == newest);
        let mut inner = self.inner();
        let durable: BTreeSet<_> =
            batches.flat_map(|batch| &batch.statements).map(|statement| inner.number(statement)).collect();
        let reason = match status.signing {
            SigningStatus::Off { reason, .. } => Some(reason),
            _ => None,
        };
        let (is_reborn, has_decided) = (facts.lives != birth.lives, facts.decided.len() != life.chain.len());
        let may_lose = birth.lives == 0 && self.bounds.losses > 0;
        if let Some((_, certificate)) = life.chain.last().filter(|_| is_reborn || has_decided) {
            let heard = facts.known.iter().chain(heard).filter(|_| !is_reborn);
            facts.certificate = inner.signers(certificate, heard.copied());
        }
        if is_reborn || has_decided {
            facts.known.clear();
            facts.own.clear();
            facts.valid = None;
        }
        facts.lives = birth.lives;
        facts.is_started = true;
        facts.decided = life.chain.iter().map(|(block, _)| block.id()).collect();
        facts.round = status.round.map_or(0, |round| round.0);
        facts.step = status.step;
        facts.is_memory_in_doubt = matches!(reason, Some(SigningOff::GuardAhead { .. } | SigningOff::Forgotten { .. }));
        facts.signing = status.signing.to_string();
        facts.fatal.clone_from(&life.fatal);
        let is_over = self.bounds.is_over(facts);
        let of_height = heard.iter().chain(&durable).copied().filter(|id| inner.record(*id).1.height == height);
        let (own, known): (Vec<_>, Vec<_>) = of_height.partition(|id| inner.record(*id).0 == facts.who);
        facts.own.extend(own);
        facts.known.extend(known.iter().chain(&facts.own));
        if let Some(block) = inner.polka(&facts.known, facts.round).filter(|_| facts.step != "propose") {
            facts.valid = Some((facts.round, block));
        }
        if is_over {
            facts.known.clear();
        }
        facts.durable = if may_lose && !is_over { durable } else { BTreeSet::new() };
        let stored = life.chain.last().filter(|_| may_lose && !is_over);
        facts.stored = stored.map_or_else(BTreeSet::new, |(_, certificate)| inner.signers(certificate, [].into_iter()));
        facts.guard =
            read_guard(&disk).unwrap()[0].filter(|_| may_lose && !is_over).map(|record| format!("{record:?}"));
        facts.written = life.guard().filter(|_| may_lose && !is_over);
        if is_over {
            facts.certificate.clear();
            facts.valid = None;
            facts.step = "";
        }
    }

    /// Takes every known step again from states that were reached by two paths, by the other path. How many were compared; of the states
    /// at most `most`, spread over all.
    pub(crate) fn compare_paths(&self, most: usize) -> usize {
        let others = std::mem::take(&mut self.inner().others);
        let stride = others.len().div_ceil(most).max(1);
        let mut compared = 0;
        for (local, birth, steps) in others.into_iter().step_by(stride) {
            let (known, losses) = self.inner().from(local);
            let path = || format!("{steps:?} and {:?}", self.origin(local).1);
            compared += known.len() + losses.len();
            for (step, outcome) in known {
                let again = self.try_step(&birth, &steps, &step);
                let again = again.map(|(local, published)| (self.facts(local), published));
                let expected = outcome.map(|outcome| (self.facts(outcome.local), outcome.published));
                assert_eq!(again, expected, "{step:?} after {}", path());
            }
            for ((step, reported), outcomes) in losses {
                let describe = |outcome: Outcome| (self.facts(outcome.local), outcome.published, outcome.loss);
                let again: BTreeSet<_> =
                    self.try_losses(&birth, &steps, &step, reported).into_iter().map(describe).collect();
                let expected: BTreeSet<_> = outcomes.into_iter().map(describe).collect();
                assert_eq!(again, expected, "a loss during {step:?} after {}", path());
            }
        }
        compared
    }
}

/// Steps taken from one state, and losses during steps.
type Taken = (Vec<(Step, Option<Outcome>)>, Vec<((Step, [u64; VALIDATORS]), Vec<Outcome>)>);

impl Inner {
    fn intern(&mut self, local: Local) -> LocalId {
        if let Some(id) = self.by_facts.get(&local.facts).copied() {
            let known = &self.locals[id as usize];
            if known.steps != local.steps && self.others.len() < OTHERS_MAX {
                self.others.push((id, local.birth, local.steps));
            }
            return id;
        }
        let id = LocalId::try_from(self.locals.len()).unwrap();
        self.by_facts.insert(local.facts.clone(), id);
        self.locals.push(local);
        id
    }

    fn from(&self, local: LocalId) -> Taken {
        let steps = self.steps.range((local, Step::Start)..).take_while(|((from, _), _)| *from == local);
        let losses =
            self.losses.range((local, Step::Start, [0; VALIDATORS])..).take_while(|((from, ..), _)| *from == local);
        (
            steps.map(|((_, step), outcome)| (step.clone(), outcome.clone())).collect(),
            losses.map(|((_, step, reported), outcomes)| ((step.clone(), *reported), outcomes.clone())).collect(),
        )
    }

    fn record(&self, id: StatementId) -> (usize, SignedRecord) {
        let (who, statement) = &self.statements[usize::from(id)];
        (*who, statement.record())
    }

    /// Those of a certificate, and of precommits for it among what was heard.
    fn signers(&self, certificate: &CommitCertificate, heard: impl Iterator<Item = StatementId>) -> BTreeSet<usize> {
        let late = heard.map(|id| self.record(id)).filter(|(_, record)| {
            record.step == SignedStep::Precommit
                && (record.height, record.round) == (certificate.height, certificate.round)
                && record.block == Some(certificate.block)
        });
        let signed = certificate.signatures.iter().map(|signature| owner(signature.validator));
        signed.chain(late.map(|(who, _)| who)).collect()
    }

    /// The block for which `known` holds the proposal of a round and a quorum of prevotes.
    fn polka(&self, known: &BTreeSet<StatementId>, round: u32) -> Option<BlockId> {
        let records: Vec<_> =
            known.iter().map(|id| self.record(*id).1).filter(|record| record.round.0 == round).collect();
        let count = |step, block| records.iter().filter(|r| r.step == step && r.block == block).count();
        let proposed = records.iter().filter(|r| r.step == SignedStep::Proposal);
        proposed.map(|r| r.block).find(|block| count(SignedStep::Prevote, *block) >= QUORUM)?
    }

    fn number(&mut self, statement: &Statement) -> StatementId {
        let bytes = match statement {
            Statement::Vote(vote) => timed_primitives::encode(vote),
            Statement::Proposal(proposal) => timed_primitives::encode(proposal),
        };
        if let Some(id) = self.by_bytes.get(&bytes) {
            return *id;
        }
        let id = StatementId::try_from(self.statements.len()).unwrap();
        let who = owner(statement.signer());
        self.statements.push((who, statement.clone()));
        self.by_bytes.insert(bytes, id);
        id
    }
}

/// Whether two statements of one validator contradict each other.
pub(crate) fn is_conflict(a: &SignedRecord, b: &SignedRecord) -> bool {
    let place = |r: &SignedRecord| (r.height, r.round, r.step);
    place(a) == place(b) && a != b && a.step != SignedStep::Decided
}
