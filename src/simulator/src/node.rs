//! One node of the world: what survives it, and its lives, one after another.
//!
//! Each life is the real actors on a `LocalSet` of its own, polled by the world: not at all while the node is paused, not before its disk
//! has answered, and never again after its end, which drops the set wherever it was.

use crate::adversary::{Lies, SharedByzantine};
use crate::clock::Skew;
use crate::disk::lose_power;
use crate::gate::{Crash, CrashPlan, DiskPace, NodeGate};
use crate::kept::KeptState;
use crate::life::Life;
use crate::setting::WorldSetting;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use timed_actors::mempool::SubmitError;
use timed_actors::{FatalReason, Handles};
use timed_chain::PoolTransaction;
use timed_primitives::{BlockId, Height, SecretKey, TxId};

/// A node of the world. Clones are the same node.
#[derive(Clone)]
pub struct Node(pub(crate) Rc<NodeInner>);

pub(crate) struct NodeInner {
    pub(crate) id: u64,
    /// Whose consensus key it has: its own, or for a twin that of another.
    pub(crate) signs_as: u64,
    pub(crate) setting: Rc<WorldSetting>,
    /// Whom it dials.
    pub(crate) dials: RefCell<Vec<u64>>,
    /// Whether it accepts connections.
    pub(crate) accepts: Cell<bool>,
    pub(crate) skew: Arc<Skew>,
    pub(crate) kept: RefCell<KeptState>,
    pub(crate) life: RefCell<Option<Rc<Life>>>,
    pub(crate) starts: Cell<u64>,
    /// See [`Node::upsets`].
    pub(crate) upsets: Cell<u64>,
    pub(crate) rng: RefCell<StdRng>,
    /// Why the last life ended by itself.
    pub(crate) fatal: RefCell<Option<FatalReason>>,
    /// Who speaks for it, when it lies.
    pub(crate) byzantine: RefCell<Option<SharedByzantine>>,
    /// What the next crash tears and loses is drawn from this instead of the world's seed.
    pub(crate) fate: Cell<Option<u64>>,
}

/// A node could not be opened. It says why, as its operator would read it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {node} does not start: {text}")]
pub struct StartError {
    /// Which.
    pub node: u64,
    /// Why.
    pub text: String,
}

/// Something did not happen in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitTimeout {
    /// A block.
    #[error("node {node} is at height {found} and did not reach {height} in {} s: {why}", .limit.as_secs())]
    Height {
        /// Where.
        node: u64,
        /// Its tip.
        found: Height,
        /// What was waited for.
        height: Height,
        /// For how long.
        limit: Duration,
        /// What its consensus waits for.
        why: String,
    },
    /// A payment.
    #[error("payment {txid} did not become final on node {node} in {} s: {why}", .limit.as_secs())]
    Payment {
        /// Where.
        node: u64,
        /// Which.
        txid: TxId,
        /// For how long it was waited for.
        limit: Duration,
        /// What its consensus waits for.
        why: String,
    },
}

impl Node {
    pub(crate) fn new(id: u64, signs_as: u64, setting: Rc<WorldSetting>, dials: Vec<u64>, skew: Skew) -> Self {
        let rng = RefCell::new(StdRng::seed_from_u64(setting.seed ^ id.rotate_left(32)));
        Self(Rc::new(NodeInner {
            id,
            signs_as,
            setting,
            dials: RefCell::new(dials),
            accepts: Cell::new(true),
            skew: Arc::new(skew),
            kept: RefCell::default(),
            life: RefCell::default(),
            starts: Cell::new(0),
            upsets: Cell::new(0),
            rng,
            fatal: RefCell::default(),
            byzantine: RefCell::default(),
            fate: Cell::default(),
        }))
    }

    /// Its number, from 1.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Its host.
    pub fn ip(&self) -> IpAddr {
        self.0.setting.ip(self.0.id)
    }

    /// Whether it has a consensus key.
    pub fn votes(&self) -> bool {
        self.0.signs_as <= self.0.setting.voters + self.0.setting.candidates
    }

    /// From its next life on it can dial and not be dialled, as behind a router that translates addresses.
    pub fn hide(&self) {
        self.0.accepts.set(false);
    }

    /// From its next life on it sends these lies in the name of its consensus key. The checker holds nothing against that key any more.
    pub fn lie(&self, lies: Lies) {
        let (inner, setting) = (&*self.0, &self.0.setting);
        setting.checker.lock().set_byzantine(inner.id);
        let key = SecretKey::development("consensus", inner.signs_as);
        let (chain, format) = (setting.genesis.chain_id, setting.application.payload_format());
        inner.byzantine.replace(Some(SharedByzantine::new(key, chain, format, lies, self.split_rng())));
    }

    /// Whether it lies.
    pub fn lies(&self) -> bool {
        self.0.byzantine.borrow().is_some()
    }

    /// How often it sent each lie.
    pub fn lies_counted(&self) -> BTreeMap<&'static str, u64> {
        self.0.byzantine.borrow().as_ref().map(SharedByzantine::counts).unwrap_or_default()
    }

    pub(crate) fn life(&self) -> Option<Rc<Life>> {
        self.0.life.borrow().clone()
    }

    /// Whether it lives, paused or not.
    pub fn is_running(&self) -> bool {
        self.0.life.borrow().is_some()
    }

    /// Whether it lives and is paused.
    pub fn is_paused(&self) -> bool {
        self.life().is_some_and(|life| life.is_paused.get())
    }

    /// To ask it. `None` when it is not running.
    pub fn try_handles(&self) -> Option<Handles> {
        self.life().map(|life| life.handles.clone())
    }

    /// To ask it.
    ///
    /// # Panics
    /// When it is not running.
    #[allow(clippy::expect_used, reason = "for tests, which know whether the node runs")]
    pub fn handles(&self) -> Handles {
        self.try_handles().expect("the node is running")
    }

    /// Height of its last final block; 0 when it is not running.
    pub fn height(&self) -> Height {
        self.life().map_or(Height::GENESIS, |life| life.handles.history.tip().height)
    }

    /// The final block of a height.
    pub fn block_id(&self, height: Height) -> Option<BlockId> {
        self.life().and_then(|life| life.handles.history.block_id(height).ok()?)
    }

    /// Whether a transaction is final here.
    pub fn is_final(&self, txid: &TxId) -> bool {
        self.life().is_some_and(|life| life.handles.history.is_confirmed(txid).unwrap_or(false))
    }

    /// Why it stopped by itself, if it did.
    pub fn fatal(&self) -> Option<FatalReason> {
        self.0.fatal.borrow().clone()
    }

    /// Whether it may sign; `None` when it is not running, or has not said yet.
    pub fn signing(&self) -> Option<timed_consensus::SigningStatus> {
        self.life().and_then(|life| life.handles.consensus.borrow().as_ref().map(|status| status.signing))
    }

    /// What its consensus waits for.
    pub fn why(&self) -> String {
        let Some(life) = self.life() else { return "it is not running".into() };
        let status = life.handles.consensus.borrow();
        status.as_ref().map_or_else(|| "consensus has not started".into(), |s| s.why.clone())
    }

    /// Events of this life so far: calls of the disk and the store, dials, and writes to connections.
    pub fn events(&self) -> u64 {
        self.life().map_or(0, |life| life.gate.events())
    }

    /// Submits a transaction as its operator would.
    ///
    /// # Errors
    /// Why it is not taken; [`SubmitError::Closing`] when the node does not answer.
    pub async fn submit(&self, transaction: impl Into<Arc<PoolTransaction>>) -> Result<TxId, SubmitError> {
        let Some(handles) = self.try_handles() else { return Err(SubmitError::Closing) };
        handles.submissions.submit(transaction.into(), None).await
    }

    /// Starts it on what it kept.
    ///
    /// # Errors
    /// [`StartError`] when it refuses what it finds. A crash that was planned for the start is no error.
    pub fn start(&self) -> Result<(), StartError> {
        self.start_with(None)
    }

    /// The same, with a crash to come, perhaps while it starts.
    ///
    /// # Errors
    /// [`StartError`] as before.
    pub fn start_with(&self, plan: Option<CrashPlan>) -> Result<(), StartError> {
        if self.is_running() {
            return Ok(());
        }
        let (inner, setting) = (&*self.0, &self.0.setting);
        inner.starts.set(inner.starts.get() + 1);
        setting.links.power_on(self.ip());
        setting.trace.node(inner.id, format_args!("starts, life {}", inner.starts.get()));
        let drawn = self.split_rng();
        let rng = self.fate().map_or(drawn, StdRng::seed_from_u64);
        let gate = NodeGate::new(inner.id, setting.trace.clone(), rng, &setting.disk);
        if let Some(plan) = plan {
            gate.plan(plan);
        }
        match self.open(&gate) {
            Ok(life) => {
                self.begin(Rc::new(life));
                Ok(())
            }
            Err(_) if gate.is_shut() => {
                if gate.crashed() == Some(Crash::Power) {
                    setting.links.power_off(self.ip());
                }
                self.leave_behind(gate.crashed());
                Ok(())
            }
            Err(text) => {
                setting.trace.node(inner.id, format_args!("does not start: {text}"));
                Err(StartError { node: inner.id, text })
            }
        }
    }

    pub(crate) fn split_rng(&self) -> StdRng {
        StdRng::from_rng(&mut *self.0.rng.borrow_mut())
    }

    /// From its next life on, what its crashes tear and lose follows this seed and no longer the world's: the same life can end in many ways.
    pub fn set_fate(&self, seed: u64) {
        self.0.fate.set(Some(seed));
    }

    /// That of this life.
    fn fate(&self) -> Option<u64> {
        self.0.fate.get().map(|fate| fate.wrapping_add(self.0.starts.get()))
    }

    /// What it does to the outside in this life.
    pub(crate) fn gate(&self) -> Option<Arc<NodeGate>> {
        self.life().map(|life| life.gate.clone())
    }

    /// Plans a crash of this life.
    pub fn plan_crash(&self, plan: CrashPlan) {
        if let Some(life) = self.life() {
            life.gate.plan(plan);
        }
    }

    /// A planned crash does not come, unless it came.
    pub fn cancel_crash(&self) {
        if let Some(life) = self.life() {
            life.gate.cancel_plan();
        }
    }

    /// Ends it now, wherever it is.
    pub fn kill(&self, crash: Crash) {
        if let Some(life) = self.life() {
            life.gate.shut();
            self.end(&life, Some(crash));
        }
    }

    /// Ends it with the world: the trace does not show it.
    pub(crate) fn abandon(&self) {
        if let Some(life) = self.0.life.replace(None) {
            life.gate.shut();
            let local = life.local.borrow_mut().take();
            drop(local);
        }
    }

    /// Ends it in order, as SIGTERM does: peers hear a goodbye.
    pub async fn stop(&self) {
        let Some(life) = self.life() else { return };
        self.0.setting.trace.node(self.0.id, format_args!("is asked to stop"));
        life.handles.stop().await;
        life.gate.shut();
        self.end(&life, None);
    }

    /// Drops a life whose gate is shut.
    pub(crate) fn end(&self, life: &Rc<Life>, crash: Option<Crash>) {
        if !self.0.life.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, life)) {
            return;
        }
        self.0.life.replace(None);
        if crash == Some(Crash::Power) {
            self.0.setting.links.power_off(self.ip());
        }
        let local = life.local.borrow_mut().take();
        drop(local);
        if let Some(waker) = life.waker.borrow_mut().take() {
            waker.wake();
        }
        if let Some(reason) = life.fatal.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.0.setting.trace.node(self.0.id, format_args!("gives up in {}: {}", reason.component, reason.text));
            self.0.fatal.replace(Some(reason));
        }
        self.leave_behind(crash);
    }

    /// What the end of a life does to what survives it.
    fn leave_behind(&self, crash: Option<Crash>) {
        let (inner, setting) = (&*self.0, &self.0.setting);
        setting.checker.lock().quiet().on_off(inner.id);
        if crash == Some(Crash::Power) {
            self.upset();
            let kept = inner.kept.borrow();
            match self.fate() {
                Some(fate) => lose_power(&kept.files, &kept.store, &mut StdRng::seed_from_u64(!fate)),
                None => lose_power(&kept.files, &kept.store, &mut inner.rng.borrow_mut()),
            }
        }
        setting.trace.node(inner.id, format_args!("{}", crash.map_or("ends", Crash::name)));
    }

    /// Lets it do nothing until [`Self::resume`], as SIGSTOP does. Its connections stay.
    pub fn pause(&self) {
        if let Some(life) = self.life().filter(|life| !life.is_paused.replace(true)) {
            self.upset();
            life.gate.trace.node(self.0.id, format_args!("is paused"));
            self.0.setting.checker.lock().quiet().on_off(self.0.id);
        }
    }

    /// Undoes [`Self::pause`].
    pub fn resume(&self) {
        if let Some(life) = self.life().filter(|life| life.is_paused.replace(false)) {
            self.upset();
            life.gate.trace.node(self.0.id, format_args!("goes on"));
            self.0.setting.checker.lock().quiet().on_on(self.0.id);
            if let Some(waker) = life.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// How fast and how full its disk is, for the rest of this life.
    pub fn set_disk(&self, disk: &DiskPace) {
        self.upset();
        if let Some(life) = self.life() {
            life.gate.set_disk(disk);
        }
    }

    /// Moves its civil clock.
    pub fn move_clock(&self, by_ms: i64) {
        self.0.skew.offset_ms.fetch_add(by_ms, Ordering::Relaxed);
        self.0.setting.trace.node(self.0.id, format_args!("has its clock moved by {by_ms} ms"));
    }

    /// What would survive it now.
    pub fn kept(&self) -> KeptState {
        self.0.kept.borrow().clone()
    }

    /// Takes its disk away and gives it another, while it is down: an empty one by default.
    ///
    /// Whatever it signed or called final may be forgotten; see DESIGN.md for how many nodes a network may suffer that from.
    pub fn replace_disk(&self, kept: KeptState) {
        debug_assert!(!self.is_running(), "a disk is replaced while the node is down");
        self.upset();
        self.0.kept.replace(kept);
        self.0.setting.checker.lock().forget_published(self.0.id);
        self.0.setting.trace.node(self.0.id, format_args!("gets another disk"));
    }

    /// Turns one bit of a file while the node is down, and says which, counted from the file's beginning; `None` when it has no such file,
    /// or an empty one.
    pub fn rot(&self, file: &str, draw: u64) -> Option<u64> {
        debug_assert!(!self.is_running(), "a bit rots while the node is down");
        let mut turned = None;
        self.0.kept.borrow().files.damage(file, |bytes| {
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
            if let Some(bit) = draw.checked_rem(8 * used) {
                if let Some(byte) = usize::try_from(bit / 8).ok().and_then(|at| bytes.get_mut(at)) {
                    *byte ^= 1 << (bit % 8);
                }
                turned = Some(bit);
            }
        });
        if let Some(bit) = turned {
            self.0.setting.trace.node(self.0.id, format_args!("has bit {bit} of {file} turned"));
        }
        turned
    }

    /// Waits, in virtual time, until a height is final here.
    ///
    /// # Errors
    /// [`WaitTimeout`] when that takes longer than `limit`, or the node is not running.
    pub async fn wait_for_height(&self, height: Height, limit: Duration) -> Result<(), WaitTimeout> {
        let reached = match self.try_handles() {
            Some(mut handles) => tokio::time::timeout(limit, handles.tip.wait_for(|tip| tip.height >= height))
                .await
                .is_ok_and(|tip| tip.is_ok()),
            None => false,
        };
        let late = || WaitTimeout::Height { node: self.id(), found: self.height(), height, limit, why: self.why() };
        if reached { Ok(()) } else { Err(late()) }
    }

    /// Waits until a transaction is final here or this life ends.
    pub(crate) async fn becomes_final(&self, txid: &TxId) {
        if let Some(Handles { mut tip, .. }) = self.try_handles() {
            while !self.is_final(txid) && tip.changed().await.is_ok() {}
        }
    }

    /// Waits until a transaction is final here.
    ///
    /// # Errors
    /// [`WaitTimeout`] when that takes longer than `limit`, or the node is not running.
    pub async fn wait_for_payment(&self, txid: TxId, limit: Duration) -> Result<(), WaitTimeout> {
        // Whether it came in time is asked below.
        let _ = tokio::time::timeout(limit, self.becomes_final(&txid)).await;
        let late = || WaitTimeout::Payment { node: self.id(), txid, limit, why: self.why() };
        if self.is_final(&txid) { Ok(()) } else { Err(late()) }
    }

    /// The same as [`Self::wait_for_height`], for tests.
    ///
    /// # Panics
    /// When it is late.
    pub async fn reaches(&self, height: Height, limit: Duration) {
        let reached = self.wait_for_height(height, limit).await;
        assert!(reached.is_ok(), "{}", reached.err().map(|late| late.to_string()).unwrap_or_default());
    }

    /// The same as [`Self::wait_for_payment`], for tests.
    ///
    /// # Panics
    /// When it is late.
    pub async fn finalises(&self, txid: TxId, limit: Duration) {
        let found = self.wait_for_payment(txid, limit).await;
        assert!(found.is_ok(), "{}", found.err().map(|late| late.to_string()).unwrap_or_default());
    }
}
