//! More than the nodes can do, in virtual time: clients that offer a multiple of what these machines carry for a while, in an open loop,
//! and what becomes of it. Nothing else happens to the nodes.
//!
//! | when | what is offered |
//! |---|---|
//! | before | a light load for `LIGHT_TIME` |
//! | then | so many times what is carried, for the length of the run |
//! | [`REST`] later | the light load again |
//! | then | nothing, until all that was accepted is final where it was, [`SETTLE_MAX`] at the most |
//!
//! A payment that is refused is offered again later, signed once; one that is final makes its coin ready for the next. So no payment depends
//! on a refused one.

mod report;
mod setting;

pub use report::{CompactBlocks, OverloadReport, P99_MAX};
pub use setting::OverloadConfig;

use crate::application::{SimulatedApplication as _, Workload};
use crate::gate::DiskPace;
use crate::node::{Node, StartError};
use crate::payments::SimulatedPayments;
use crate::regions::Latency;
use crate::trace::Print;
use crate::world::{World, WorldConfig, play};
use report::{AcceptedSample, LoadStretch};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::mempool::{GetEntry, SubmitError};
use timed_chain::PoolTransaction;
use timed_primitives::{Height, TxId};
use tokio::time::Instant;

/// How often what is due leaves.
const STEP: Duration = Duration::from_millis(5);
/// A light load. Unit: payments per second.
const LIGHT_RATE: u64 = 20;
/// How long it lasts.
const LIGHT_TIME: Duration = Duration::from_secs(5);
/// From the end of the load to the light one.
pub const REST: Duration = Duration::from_secs(3);
/// How long what was accepted may need after that to become final.
pub const SETTLE_MAX: Duration = Duration::from_secs(60);
/// More coins than payments that can wait.
const COINS: usize = 20_000;
/// The first block must be final within this time.
const FIRST_BLOCK_WITHIN: Duration = Duration::from_secs(60);

/// Plays a run to its end.
///
/// # Errors
/// A node that does not start.
pub fn run(mut config: OverloadConfig) -> Result<OverloadReport, StartError> {
    let print = config.print.take();
    play(async move {
        let mut clients = OverloadClients::new(&config, print)?;
        let height = clients.warm_up().await;
        let begun = Instant::now();
        clients.offer(LoadStretch::Load, config.carries * config.times, config.length).await;
        clients.offer(LoadStretch::Load, 0, REST).await;
        let rounds: Vec<_> = clients.world.checker().lock().rounds_above(height).collect();
        clients.offer(LoadStretch::After, LIGHT_RATE, LIGHT_TIME).await;
        clients.settle().await;
        let (lost, waiting) = clients.look_for_lost().await;
        let mut figures = OverloadReport::new(&config, &clients.samples, &waiting, &rounds);
        (figures.busy, figures.refused, figures.unsent) = (clients.busy, clients.refused, clients.unsent);
        figures.busy_after(&mut clients.busy_after);
        figures.final_between(&config, begun, &clients.became_final);
        figures.lost = lost;
        let handles = clients.nodes.iter().filter_map(|node| node.try_handles());
        figures.compact = handles.map(|handles| CompactBlocks::from(*handles.block_relay.borrow())).collect();
        let checker = clients.world.checker().lock();
        figures.kinds = checker.violations().iter().map(crate::Violation::kind).collect();
        figures.trace_hash = clients.world.trace().hash();
        Ok(figures)
    })
}

/// A payment that was offered to a node and not refused.
struct OfferedPayment {
    transaction: Arc<PoolTransaction>,
    node: u64,
    due: Instant,
    stretch: LoadStretch,
    is_accepted: bool,
    /// Of the block that holds it, and when the first node called that final.
    decided: Option<(Height, Instant)>,
}

type SubmissionAnswers = Rc<RefCell<Vec<(TxId, Result<TxId, SubmitError>)>>>;

/// All clients together.
struct OverloadClients {
    world: World,
    nodes: Vec<Node>,
    /// Whose turn it is.
    turn: usize,
    payments: Box<dyn Workload>,
    /// To be offered again.
    again: VecDeque<Arc<PoolTransaction>>,
    offered: BTreeMap<TxId, OfferedPayment>,
    answers: SubmissionAnswers,
    samples: Vec<AcceptedSample>,
    busy: u64,
    busy_after: Vec<Duration>,
    refused: u64,
    unsent: u64,
    became_final: Vec<Instant>,
}

impl OverloadClients {
    fn new(config: &OverloadConfig, print: Option<Print>) -> Result<Self, StartError> {
        let payments = SimulatedPayments::with_coins(config.nodes, COINS);
        let workload = payments.workload();
        let mut world = World::new(WorldConfig {
            application: Arc::new(payments),
            first_blocks_full: config.first_blocks_full,
            plain: config.plain,
            latency: Latency::Lan,
            disk: DiskPace::GOOD,
            machines: config.machines,
            cost: config.cost,
            print,
            ..WorldConfig::instant(config.nodes, config.seed)
        });
        let nodes = (1..=config.nodes).map(|id| world.start(id)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            payments: workload,
            world,
            nodes,
            turn: 0,
            again: VecDeque::new(),
            offered: BTreeMap::new(),
            answers: Rc::default(),
            samples: Vec::new(),
            busy: 0,
            busy_after: Vec::new(),
            refused: 0,
            unsent: 0,
            became_final: Vec::new(),
        })
    }

    /// Waits for the first block and offers a light load. Gives the height then.
    async fn warm_up(&mut self) -> Height {
        for node in self.nodes.clone() {
            // A run without a first block has nothing final, which its figures say.
            let _ = node.wait_for_height(Height(1), FIRST_BLOCK_WITHIN).await;
        }
        self.offer(LoadStretch::Before, LIGHT_RATE, LIGHT_TIME).await;
        self.world.checker().lock().height()
    }

    /// Offers so many payments per second for a time.
    async fn offer(&mut self, stretch: LoadStretch, rate: u64, length: Duration) {
        let (begun, mut sent) = (Instant::now(), 0);
        while begun.elapsed() < length {
            tokio::time::sleep(STEP).await;
            self.look();
            let due = rate * u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX) / 1_000;
            while sent < due {
                self.offer_one(stretch);
                sent += 1;
            }
        }
    }

    fn offer_one(&mut self, stretch: LoadStretch) {
        let Some(node) = self.nodes.get(self.turn % self.nodes.len().max(1)) else { return };
        self.turn += 1;
        let Some(handles) = node.try_handles() else {
            self.unsent += 1;
            return;
        };
        let Some(transaction) = self.again.pop_front().or_else(|| self.payments.next().map(Arc::new)) else {
            self.unsent += 1;
            return;
        };
        if handles.submissions.check_room(transaction.facts.size_bytes).is_err() {
            self.busy += 1;
            self.busy_after.push(Duration::ZERO);
            self.again.push_back(transaction);
            return;
        }
        let (txid, due, answers) = (transaction.facts.id, Instant::now(), self.answers.clone());
        let handed_in = transaction.clone();
        let offered = OfferedPayment { transaction, node: node.id(), due, stretch, is_accepted: false, decided: None };
        self.offered.insert(txid, offered);
        tokio::task::spawn_local(async move {
            let answer = handles.submissions.submit(handed_in, None).await;
            answers.borrow_mut().push((txid, answer));
        });
    }

    /// Takes what was answered and what became final since the last call.
    fn look(&mut self) {
        let answers = self.answers.take();
        for (txid, answer) in answers {
            self.on_answer(txid, &answer);
        }
        for done in self.world.checker().lock().take_newly_final() {
            self.payments.on_final(&done.txid);
            self.became_final.push(done.at);
            if let Some(offered) = self.offered.get_mut(&done.txid) {
                offered.decided = Some((done.height, done.at));
            }
        }
        let heights: BTreeMap<u64, Height> = self.nodes.iter().map(|node| (node.id(), node.height())).collect();
        let is_done = |offered: &OfferedPayment| {
            let tip = heights.get(&offered.node).copied().unwrap_or_default();
            offered.is_accepted && offered.decided.is_some_and(|(height, _)| height <= tip)
        };
        let done = self.offered.extract_if(.., |_, offered| is_done(offered));
        self.samples.extend(done.map(|(_, offered)| offered.sample()));
    }

    fn on_answer(&mut self, txid: TxId, answer: &Result<TxId, SubmitError>) {
        match answer {
            Ok(_) => {
                if let Some(offered) = self.offered.get_mut(&txid) {
                    offered.is_accepted = true;
                }
            }
            Err(error) => {
                if let Some(offered) = self.offered.remove(&txid) {
                    if matches!(error, SubmitError::Busy { .. } | SubmitError::Behind { .. }) {
                        self.busy += 1;
                        self.busy_after.push(offered.due.elapsed());
                    } else {
                        self.refused += 1;
                    }
                    self.again.push_back(offered.transaction);
                }
            }
        }
    }

    async fn settle(&mut self) {
        let begun = Instant::now();
        while !self.offered.is_empty() && begun.elapsed() < SETTLE_MAX {
            self.offer(LoadStretch::After, 0, STEP).await;
        }
    }

    /// How many that were accepted are neither final nor in the pool where they were; and those that still wait.
    async fn look_for_lost(&self) -> (usize, Vec<AcceptedSample>) {
        let (mut lost, mut waiting) = (0, Vec::new());
        for (txid, offered) in self.offered.iter().filter(|(_, offered)| offered.is_accepted) {
            waiting.push(offered.sample());
            let Some(handles) = self.world.node(offered.node).and_then(|node| node.try_handles()) else { continue };
            let is_gone = matches!(handles.mempool.send(GetEntry(*txid)).await, Ok(None));
            if is_gone && !handles.history.is_confirmed(txid).unwrap_or(false) {
                lost += 1;
            }
        }
        (lost, waiting)
    }
}

impl OfferedPayment {
    fn sample(&self) -> AcceptedSample {
        let took = self.due.elapsed();
        let decided = self.decided.map_or(took, |(_, at)| at.saturating_duration_since(self.due));
        AcceptedSample { stretch: self.stretch, node: self.node, took, decided }
    }
}
