//! The one path from a node to the outside, for one of its lives: whatever it writes, syncs or sends is counted here, may be the point
//! of its crash, and is refused once the node is dead.

use crate::trace::Trace;
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// How a life ends against its will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Crash {
    /// The process is killed: what it wrote stays, its connections close.
    Process,
    /// The machine loses power: what was not synced is lost in part, and nobody hears of it.
    Power,
}

impl Crash {
    /// As people say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "is killed",
            Self::Power => "loses power",
        }
    }
}

/// A crash to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPlan {
    /// How.
    pub crash: Crash,
    /// Which event of the life does not happen any more, or only in part, counted from now.
    pub events: u64,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It happens.
    Open,
    /// It is the one in which the node dies: it may happen in part, and nobody lives to see it.
    Dying,
    /// The node is dead.
    Shut,
}

pub(crate) struct NodeGate {
    pub(crate) node: u64,
    pub(crate) trace: Trace,
    state: Mutex<GateState>,
}

struct GateState {
    events: u64,
    /// The event at which to crash.
    plan: Option<(u64, Crash)>,
    is_shut: bool,
    crashed: Option<Crash>,
    /// The node does nothing before: it waits for its disk.
    busy_until: Instant,
    /// How long a sync takes. Unit: microseconds.
    sync_micros: RangeInclusive<u64>,
    /// How much the disk still takes.
    room_bytes: Option<u64>,
    fails_syncs: bool,
    /// Who wants to send while the node is busy.
    waiting: Vec<Waker>,
    rng: StdRng,
}

/// What a dead node's call gets. Nobody sees it.
pub(crate) fn dead() -> io::Error {
    io::Error::other("this node is dead")
}

impl NodeGate {
    pub(crate) fn new(node: u64, trace: Trace, rng: StdRng, disk: &DiskPace) -> Arc<Self> {
        let state = GateState {
            events: 0,
            plan: None,
            is_shut: false,
            crashed: None,
            busy_until: Instant::now(),
            sync_micros: disk.sync_micros.clone(),
            room_bytes: disk.room_bytes,
            fails_syncs: false,
            waiting: Vec::new(),
            rng,
        };
        Arc::new(Self { node, trace, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an event and says what becomes of it.
    pub(crate) fn pass(&self) -> Passage {
        let mut state = self.state();
        if state.is_shut {
            return Passage::Shut;
        }
        state.events += 1;
        match state.plan {
            Some((at, crash)) if state.events >= at => {
                state.is_shut = true;
                state.crashed = Some(crash);
                Passage::Dying
            }
            _ => Passage::Open,
        }
    }

    /// From now on nothing passes.
    pub(crate) fn shut(&self) {
        self.state().is_shut = true;
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.state().is_shut
    }

    /// How the planned crash came, if it did.
    pub(crate) fn crashed(&self) -> Option<Crash> {
        self.state().crashed
    }

    pub(crate) fn plan(&self, plan: CrashPlan) {
        let mut state = self.state();
        state.plan = Some((state.events + plan.events.max(1), plan.crash));
    }

    pub(crate) fn events(&self) -> u64 {
        self.state().events
    }

    /// Whether the disk has a bound or fails: then the node may give up.
    pub(crate) fn may_give_up(&self) -> bool {
        let state = self.state();
        state.room_bytes.is_some() || state.fails_syncs
    }

    /// Until the disk is set anew no sync works.
    pub(crate) fn fail_syncs(&self) {
        self.state().fails_syncs = true;
    }

    pub(crate) fn fails_syncs(&self) -> bool {
        self.state().fails_syncs
    }

    /// The planned crash does not come, unless it came.
    pub(crate) fn cancel_plan(&self) {
        self.state().plan = None;
    }

    /// A draw of this life.
    pub(crate) fn draw(&self, range: RangeInclusive<u64>) -> u64 {
        self.state().rng.random_range(range)
    }

    /// A sync takes its time: what the node does next happens after it.
    pub(crate) fn take_sync_time(&self) {
        let mut state = self.state();
        let range = state.sync_micros.clone();
        let takes = Duration::from_micros(if *range.end() == 0 { 0 } else { state.rng.random_range(range) });
        state.busy_until = state.busy_until.max(Instant::now()) + takes;
    }

    /// Takes room on the disk; false when there is too little.
    pub(crate) fn take_room(&self, bytes: u64) -> bool {
        let mut state = self.state();
        let left = state.room_bytes.map(|room| room.checked_sub(bytes));
        match left {
            None => true,
            Some(None) => false,
            Some(left) => {
                state.room_bytes = left;
                true
            }
        }
    }

    pub(crate) fn set_disk(&self, disk: &DiskPace) {
        let mut state = self.state();
        state.sync_micros = disk.sync_micros.clone();
        state.room_bytes = disk.room_bytes;
        state.fails_syncs = false;
    }

    /// The node's present: ahead of the world's while the node waits for its disk.
    pub(crate) fn now(&self) -> Instant {
        self.state().busy_until.max(Instant::now())
    }

    /// Ready unless the node waits for its disk.
    pub(crate) fn poll_free(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.busy_until <= Instant::now() {
            return Poll::Ready(());
        }
        state.waiting.push(cx.waker().clone());
        Poll::Pending
    }

    /// The disk has answered: who wanted to send may.
    pub(crate) fn wake_senders(&self) {
        let waiting = std::mem::take(&mut self.state().waiting);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// How fast a node's disk is, and how full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskPace {
    /// How long a sync takes. Unit: microseconds.
    pub sync_micros: RangeInclusive<u64>,
    /// How many bytes files may still grow by; `None` for no bound.
    pub room_bytes: Option<u64>,
}

impl DiskPace {
    /// Syncs take no time.
    pub const INSTANT: Self = Self { sync_micros: 0..=0, room_bytes: None };
    /// As a good disk does.
    pub const GOOD: Self = Self { sync_micros: 100..=2_000, room_bytes: None };
}
