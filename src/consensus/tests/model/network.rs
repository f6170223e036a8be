//! Four validators and the statements between them, as `stateright` explores them.
//!
//! Events come in layers. In a layer each validator in turn does what it wants, and hears only what was published in earlier layers:
//! any history can be put into this form, since what one does changes another only by what it publishes. Expected is that each hears all
//! that is published at once, and that time-outs come when a layer published nothing. Everything else is a surprise, and surprises are
//! bounded: to hear only some of it (the rest comes later, or after further surprises never), to hear nothing though something is there, to
//! time out early. A loss is no surprise; it is bounded for itself.

use crate::Plant;
use crate::life::VALIDATORS;
use crate::table::{Facts, LocalId, Loss, Outcome, StatementId, Step, Table, is_conflict};
use stateright::{Model, Path, Property};
use std::collections::{BTreeMap, BTreeSet};
use timed_consensus::statement::{SignedRecord, SignedStep};

/// Power of a quorum of four equal validators, and of more than a third.
pub(crate) const QUORUM: usize = 3;
const MORE_THAN_THIRD: usize = 2;

/// What must always hold.
pub(crate) const CONTRADICTION: &str = "no validator signs two contradicting statements";
pub(crate) const FORK: &str = "no two blocks are decided at one height";
pub(crate) const DOUBT: &str = "a loss of power, and of a page besides, leaves no validator in doubt of what it signed";
pub(crate) const STOP: &str = "no core stops";
/// What must be reached, lest the rest say nothing.
pub(crate) const DECIDED: &str = "all decide the last height";
pub(crate) const LATER_ROUND: &str = "a round fails, if there are surprises";

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) heights: usize,
    pub(crate) rounds: u32,
    /// How often something happens that would not in a network where all is heard at once.
    pub(crate) surprises: u8,
    /// Validators that lose power or their journal, each once at most.
    pub(crate) losses: usize,
}

impl Bounds {
    /// Whether a validator has come to the end of what is explored.
    pub(crate) fn is_over(&self, facts: &Facts) -> bool {
        facts.decided.len() >= self.heights || facts.round >= self.rounds
    }
}

/// See the module.
pub(crate) struct Network {
    pub(crate) bounds: Bounds,
    pub(crate) table: Table,
}

/// One state of the network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    locals: [LocalId; VALIDATORS],
    /// All statements published before this layer, in order of their numbers.
    published: Vec<StatementId>,
    /// Those of this layer.
    next: Vec<StatementId>,
    /// Whose turn it is.
    turn: usize,
    /// Whether it did something already.
    is_moving: bool,
    /// Whether the last layer published nothing.
    is_quiet: bool,
    /// How many surprises are left.
    surprises: u8,
    lost: [Option<Loss>; VALIDATORS],
    is_contradicted: bool,
    is_forked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It does nothing more in this layer.
    Pass { cost: u8 },
    /// It does this.
    Take { step: Step, cost: u8 },
    /// It does this, loses what the outcome of this index says, and starts again.
    Lose { step: Step, cost: u8, outcome: usize },
}

impl Network {
    pub(crate) fn new(bounds: Bounds, plant: Plant) -> Self {
        Self { bounds, table: Table::new(bounds, plant) }
    }

    fn reported(&self, state: &State) -> [u64; VALIDATORS] {
        state.locals.map(|local| self.table.facts(local).decided.len() as u64)
    }

    /// What whose turn it is may do, and how many surprises that takes.
    fn steps(&self, state: &State) -> Vec<(Option<Step>, u8)> {
        let local = state.locals[state.turn];
        let facts = self.table.facts(local);
        if self.bounds.is_over(&facts) || facts.fatal.is_some() {
            return vec![(None, 0)];
        }
        if !facts.is_started {
            return vec![(Some(Step::Start), 0)];
        }
        let unheard = self.unheard(state, &facts);
        let is_due = !state.is_moving && state.is_quiet && unheard.is_empty();
        let may_time_out = (is_due || state.surprises > 0) && self.table.step(local, &Step::TimeOut).is_some();
        let is_expected = !state.is_moving && (!unheard.is_empty() || (is_due && may_time_out));
        let mut steps = vec![(None, u8::from(is_expected))];
        if may_time_out {
            steps.push((Some(Step::TimeOut), u8::from(!is_due)));
        }
        if state.surprises > 0 {
            let sets = self.informative(state, &facts).into_iter().filter(|set| *set != unheard || state.is_moving);
            steps.extend(sets.map(|set| (Some(Step::Hear(set)), 1)));
        }
        if !state.is_moving && !unheard.is_empty() {
            steps.push((Some(Step::Hear(unheard)), 0));
        }
        steps.retain(|(_, cost)| *cost <= state.surprises);
        steps
    }

    /// Published statements of its height that it has not heard.
    fn unheard(&self, state: &State, facts: &Facts) -> Vec<StatementId> {
        let height = facts.decided.len() as u64 + 1;
        let is_unheard = |id: &StatementId| {
            let record = self.table.record(*id).1;
            let is_near = record.height.0 == height && record.round.0 < self.bounds.rounds;
            is_near && !facts.known.contains(id) && !facts.own.contains(id)
        };
        state.published.iter().copied().filter(is_unheard).collect()
    }

    /// Sets of statements that change something when they are heard together: a proposal, votes that complete a quorum or show a
    /// higher round, and a statement of one's own that is not remembered. Fewer votes wait, unheard, until there are enough.
    fn informative(&self, state: &State, facts: &Facts) -> Vec<Vec<StatementId>> {
        let who = state.turn;
        let height = facts.decided.len() as u64 + 1;
        let mut alone = Vec::new();
        let (mut proposals, mut unheard_proposals) = (Vec::new(), Vec::new());
        let mut slots: BTreeMap<(u32, bool), (Vec<Voted>, Vec<Voted>)> = BTreeMap::new();
        for id in &state.published {
            let (signer, record) = self.table.record(*id);
            if record.height.0 != height || record.round.0 >= self.bounds.rounds {
                continue;
            }
            let is_known = facts.known.contains(id) || facts.own.contains(id);
            match record.step {
                _ if signer == who && !is_known => alone.push(vec![*id]),
                SignedStep::Prevote | SignedStep::Precommit => {
                    let slot = slots.entry((record.round.0, record.step == SignedStep::Prevote)).or_default();
                    let votes = if is_known { &mut slot.0 } else { &mut slot.1 };
                    votes.push(Voted { id: *id, record });
                }
                SignedStep::Proposal => {
                    proposals.push(record);
                    if !is_known {
                        unheard_proposals.push((*id, record));
                    }
                }
                SignedStep::Decided => {}
            }
        }
        let mut sets: BTreeSet<_> = alone.into_iter().collect();
        for (id, proposal) in unheard_proposals {
            let is_awaited = proposal.round.0 == facts.round && facts.step == "propose";
            let is_certified = [true, false].into_iter().any(|is_prevote| {
                let known = slots.get(&(proposal.round.0, is_prevote)).map_or(&[][..], |slot| &slot.0);
                known.iter().filter(|vote| vote.record.block == proposal.block).count() >= QUORUM
            });
            if is_awaited || is_certified {
                sets.insert(vec![id]);
            }
        }
        for ((round, is_prevote), (known, unheard)) in &slots {
            let is_open = match round.cmp(&facts.round) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => !is_prevote || facts.step != "precommit",
                std::cmp::Ordering::Greater => true,
            };
            if *round > facts.round && known.len() < MORE_THAN_THIRD {
                sets.extend(choices(unheard, MORE_THAN_THIRD - known.len()));
            }
            if is_open && known.len() < QUORUM {
                sets.extend(choices(unheard, QUORUM - known.len()));
            }
            let is_named =
                || proposals.iter().any(|p| p.round.0 == facts.round && p.valid_round.is_some_and(|v| v.0 == *round));
            if *round < facts.round && *is_prevote && !is_named() {
                continue;
            }
            for block in unheard.iter().filter_map(|vote| vote.record.block).collect::<BTreeSet<_>>() {
                let votes_for = |votes: &[Voted]| -> Vec<Voted> {
                    votes.iter().filter(|vote| vote.record.block == Some(block)).cloned().collect()
                };
                if let Some(needed) = QUORUM.checked_sub(votes_for(known).len()).filter(|needed| *needed > 0) {
                    sets.extend(choices(&votes_for(unheard), needed));
                }
            }
        }
        sets.into_iter().collect()
    }

    fn publish(&self, state: &mut State, published: &[StatementId]) {
        for id in published {
            if state.published.contains(id) || state.next.contains(id) {
                continue;
            }
            let (who, record) = self.table.record(*id);
            let others = state.published.iter().chain(&state.next).map(|other| self.table.record(*other));
            state.is_contradicted |= others.into_iter().any(|(w, other)| w == who && is_conflict(&other, &record));
            state.next.push(*id);
            state.next.sort_unstable();
            state.is_forked |= self.is_fork(state, &record);
        }
    }

    /// Whether a precommit gives a second block of its height a quorum in some round. Whoever hears such a quorum decides.
    fn is_fork(&self, state: &State, last: &SignedRecord) -> bool {
        let Some(block) = last.block.filter(|_| last.step == SignedStep::Precommit) else { return false };
        let mut voters: BTreeMap<_, BTreeSet<usize>> = BTreeMap::new();
        for (who, record) in state.published.iter().chain(&state.next).map(|id| self.table.record(*id)) {
            if let Some(block) = record.block.filter(|_| record.step == last.step && record.height == last.height) {
                voters.entry((block, record.round)).or_default().insert(who);
            }
        }
        let certified = voters.iter().filter(|(_, voters)| voters.len() >= QUORUM).map(|((block, _), _)| *block);
        let certified: BTreeSet<_> = certified.collect();
        certified.len() > 1 && certified.contains(&block)
    }

    fn follow(&self, state: &State, outcome: Outcome, cost: u8) -> State {
        let Outcome { local, published, loss } = outcome;
        let mut after = state.clone();
        after.locals[state.turn] = local;
        after.lost[state.turn] = after.lost[state.turn].or(loss);
        after.is_moving = true;
        after.surprises -= cost;
        self.publish(&mut after, &published);
        let chains = after.locals.map(|local| self.table.facts(local));
        let is_fork = |a: &Facts, b: &Facts| a.decided.iter().zip(&b.decided).any(|(a, b)| a != b);
        after.is_forked |= chains.iter().any(|a| chains.iter().any(|b| is_fork(a, b)));
        after
    }

    fn pass(&self, state: &State, cost: u8) -> Option<State> {
        let mut after = state.clone();
        after.surprises -= cost;
        after.turn = (state.turn + 1) % VALIDATORS;
        after.is_moving = false;
        if after.turn == 0 {
            after.is_quiet = after.next.is_empty();
            if state.is_quiet && after.is_quiet {
                return None;
            }
            after.published.append(&mut after.next);
            after.published.sort_unstable();
        }
        Some(after)
    }

    /// A path in words, up to the first contradiction or fork, without what does nothing.
    pub(crate) fn describe(&self, path: Path<State, Action>) -> String {
        let mut lines = Vec::new();
        for (state, action) in
            path.into_vec().into_iter().take_while(|(state, _)| !state.is_contradicted && !state.is_forked)
        {
            let (who, local) = (state.turn + 1, state.locals[state.turn]);
            let (does, outcome) = match &action {
                None | Some(Action::Pass { cost: 0 }) => continue,
                Some(Action::Pass { .. }) => ("hears nothing though something is there".to_owned(), None),
                Some(Action::Take { step, .. }) => (self.describe_step(step), self.table.step(local, step)),
                Some(Action::Lose { step, outcome, .. }) => (
                    self.describe_step(step),
                    self.table.losses(local, step, self.reported(&state)).get(*outcome).cloned(),
                ),
            };
            let loss = match outcome.as_ref().and_then(|outcome| outcome.loss) {
                None => "",
                Some(Loss::Power) => ", loses power meanwhile and starts again",
                Some(Loss::Page) => ", then loses power and a page of its journal and starts again",
                Some(Loss::Journal) => ", then ends, loses its journal and starts again",
            };
            let published = outcome.map_or_else(Vec::new, |outcome| outcome.published);
            let says =
                if published.is_empty() { String::new() } else { format!("; says {}", self.describe_all(&published)) };
            lines.push(format!("validator {who} {does}{loss}{says}"));
        }
        lines.join("\n")
    }

    fn describe_step(&self, step: &Step) -> String {
        match step {
            Step::Start => "starts".to_owned(),
            Step::TimeOut => "times out".to_owned(),
            Step::Hear(ids) => format!("hears {}", self.describe_all(ids)),
        }
    }

    fn describe_all(&self, ids: &[StatementId]) -> String {
        let describe = |id: &StatementId| {
            let (who, record) = self.table.record(*id);
            format!("{}'s {record} for {}", who + 1, record.block.map_or("nil".to_owned(), |block| block.short()))
        };
        ids.iter().map(describe).collect::<Vec<_>>().join(", ")
    }
}

#[derive(Clone)]
struct Voted {
    id: StatementId,
    record: SignedRecord,
}

/// Each choice of `count` votes, up to who signed them: of those with the same value the earliest come first.
fn choices(votes: &[Voted], count: usize) -> Vec<Vec<StatementId>> {
    let Some(value) = votes.first().map(|vote| vote.record.block) else {
        return if count == 0 { vec![vec![]] } else { vec![] };
    };
    let (same, others): (Vec<_>, Vec<_>) = votes.iter().cloned().partition(|vote| vote.record.block == value);
    let some = (0..=count.min(same.len())).flat_map(|taken| {
        let taken: Vec<_> = same[..taken].iter().map(|vote| vote.id).collect();
        let rest = choices(&others, count - taken.len()).into_iter();
        rest.map(move |rest| taken.iter().copied().chain(rest).collect()).collect::<Vec<_>>()
    });
    some.collect()
}

impl Model for Network {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            locals: std::array::from_fn(|who| self.table.unborn(who)),
            published: vec![],
            is_quiet: false,
            surprises: self.bounds.surprises,
            next: vec![],
            turn: 0,
            is_moving: false,
            lost: [None; VALIDATORS],
            is_contradicted: false,
            is_forked: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let who = state.turn;
        let may_lose = state.lost[who].is_none() && state.lost.iter().flatten().count() < self.bounds.losses;
        for (step, cost) in self.steps(state) {
            let Some(step) = step else {
                actions.push(Action::Pass { cost });
                continue;
            };
            if may_lose {
                let losses = self.table.losses(state.locals[who], &step, self.reported(state)).len();
                actions.extend((0..losses).map(|outcome| Action::Lose { step: step.clone(), cost, outcome }));
            }
            actions.push(Action::Take { step, cost });
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let local = state.locals[state.turn];
        match action {
            Action::Pass { cost } => self.pass(state, cost),
            Action::Take { step, cost } => Some(self.follow(state, self.table.step(local, &step)?, cost)),
            Action::Lose { step, cost, outcome } => {
                let outcome = self.table.losses(local, &step, self.reported(state)).get(outcome)?.clone();
                Some(self.follow(state, outcome, cost))
            }
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(CONTRADICTION, |_: &Self, state: &State| !state.is_contradicted),
            Property::always(FORK, |_: &Self, state: &State| !state.is_forked),
            Property::always(DOUBT, |network: &Self, state: &State| {
                let is_in_doubt = |local| network.table.facts(local).is_memory_in_doubt;
                let mut suspects = state.locals.into_iter().zip(state.lost);
                !suspects.any(|(local, lost)| lost != Some(Loss::Journal) && is_in_doubt(local))
            }),
            Property::always(STOP, |network: &Self, state: &State| {
                state.locals.iter().all(|local| network.table.facts(*local).fatal.is_none())
            }),
            Property::sometimes(DECIDED, |network: &Self, state: &State| {
                let is_there = |local: &LocalId| network.table.facts(*local).decided.len() >= network.bounds.heights;
                state.locals.iter().all(is_there)
            }),
            Property::sometimes(LATER_ROUND, |network: &Self, state: &State| {
                network.bounds.surprises == 0 || state.locals.iter().any(|local| network.table.facts(*local).round > 0)
            }),
        ]
    }
}
