//! The inner heartbeat: whether each part of the node still runs, readable from any thread without asking that part.
//!
//! A part proves that it lives in one of two ways. Actors and runtimes *beat* once a second, from a timer of their own; an actor that
//! waits for something that never comes stops beating. And every poll of an actor *enters* and *leaves*, so that of two actors on one
//! thread the one that does not give it back is the one that is named.
//!
//! ```text
//!  actor, runtime, thread ──beat, enter, leave (atomics)──► Pulses ◄──look (once a second, a plain thread)── Monitor
//!                                                             └──hung──► /health, /ready, metrics, the watchdog
//! ```
//!
//! | state of a part | event | next state |
//! |---|---|---|
//! | silent for t | it beat, or was polled to an end, since the last look | silent for 0 |
//! | silent for t | it did neither | silent for t + time since the last look, of which [`LOOK_COUNTS_MAX`] counts |
//! | silent for [`HUNG_AFTER`] | any look | hung: it is named |

use actix::dev::ContextFut;
use actix::{Actor, Addr, AsyncContext, Context};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{self, Poll};
use std::time::Duration;
use timed_primitives::Instant;
use timed_primitives::planted::{Bug, is_planted};

/// Time between two beats.
pub const BEAT_EVERY: Duration = Duration::from_secs(1);
/// A part that has not beaten for so long hangs. Long against any fsync or block, short against what an operator would wait.
pub const HUNG_AFTER: Duration = Duration::from_secs(10);
/// How much of the time between two looks counts: a pause of the whole process (a stop signal, a suspended machine) is nobody's silence.
pub const LOOK_COUNTS_MAX: Duration = Duration::from_secs(2);

/// The parts of a node that have a heartbeat. Their names are labels of metrics, so the set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// Supervises the peers.
    PeerManager,
    /// The peers, on the peer manager's thread.
    Peers,
    /// Votes.
    Consensus,
    /// Writes the chain.
    Ledger,
    /// Keeps what waits.
    Mempool,
    /// Fetches blocks.
    BlockSync,
    /// The daemon's main thread.
    Runtime,
    /// The thread that answers clients.
    Rpc,
    /// The thread that looks after the data folder.
    DataFolder,
}

impl Component {
    /// All, in the order of their slots.
    pub const ALL: [Self; 9] = [
        Self::PeerManager,
        Self::Peers,
        Self::Consensus,
        Self::Ledger,
        Self::Mempool,
        Self::BlockSync,
        Self::Runtime,
        Self::Rpc,
        Self::DataFolder,
    ];

    /// For people and for labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PeerManager => "peer manager",
            Self::Peers => "peers",
            Self::Consensus => "consensus",
            Self::Ledger => "ledger",
            Self::Mempool => "mempool",
            Self::BlockSync => "block sync",
            Self::Runtime => "runtime",
            Self::Rpc => "rpc",
            Self::DataFolder => "data folder",
        }
    }

    /// Whether the other lives on the same thread, which one of them can hold.
    fn shares_thread_with(self, other: Self) -> bool {
        let group = |component| match component {
            Self::PeerManager | Self::Peers => 0,
            Self::Consensus => 1,
            Self::Ledger => 2,
            Self::Mempool | Self::BlockSync => 3,
            Self::Runtime => 4,
            Self::Rpc => 5,
            Self::DataFolder => 6,
        };
        group(self) == group(other)
    }
}

/// What one part says of itself, and what the last look made of it.
#[derive(Debug, Default)]
struct PulseSlot {
    /// Whether the part runs and is to be looked after. Parts that never beat are watched while they are polled only.
    beats_expected: AtomicBool,
    beats: AtomicU64,
    /// Polls begun.
    entered: AtomicU64,
    is_inside: AtomicBool,
    /// Written by the monitor. Unit: ms.
    silent_ms: AtomicU64,
    /// Written by the monitor: how long one poll lasts. Unit: ms.
    inside_ms: AtomicU64,
}

/// The heartbeats of one node. Cheap to clone; no call waits for anything.
#[derive(Clone, Debug, Default)]
pub struct Pulses(Arc<[PulseSlot; Component::ALL.len()]>);

/// A part that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hung {
    /// Which.
    pub component: Component,
    /// For how long.
    pub silent: Duration,
}

impl Pulses {
    #[allow(clippy::indexing_slicing, reason = "there is a slot for every component")]
    fn slot(&self, component: Component) -> &PulseSlot {
        &self.0[component as usize]
    }

    /// From now on the part is expected to beat.
    pub fn expect(&self, component: Component) {
        self.slot(component).beats_expected.store(true, Ordering::Relaxed);
    }

    /// The part ends in order: its silence means nothing.
    pub fn dismiss(&self, component: Component) {
        self.slot(component).beats_expected.store(false, Ordering::Relaxed);
    }

    /// The part lives.
    pub fn beat(&self, component: Component) {
        self.slot(component).beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Beats for a runtime, for as long as that runtime polls it. Never ready.
    pub async fn keep_beating(self, component: Component) {
        self.expect(component);
        loop {
            self.beat(component);
            tokio::time::sleep(BEAT_EVERY).await;
        }
    }

    /// The part has the thread until the answer is dropped.
    fn enter(&self, component: Component) -> Inside<'_> {
        let slot = self.slot(component);
        slot.entered.fetch_add(1, Ordering::Relaxed);
        slot.is_inside.store(true, Ordering::Relaxed);
        Inside(slot)
    }

    /// How long this part had given no sign at the last look.
    pub fn silence(&self, component: Component) -> Duration {
        let slot = self.slot(component);
        let longest = slot.silent_ms.load(Ordering::Relaxed).max(slot.inside_ms.load(Ordering::Relaxed));
        Duration::from_millis(longest)
    }

    /// Parts that have been silent for `limit` or longer. Those that only share a thread with one that holds it are not named.
    pub fn silent_for(&self, limit: Duration) -> Vec<Hung> {
        // Half, since a poll is known to last from its second look on only.
        let holds =
            |component| Duration::from_millis(self.slot(component).inside_ms.load(Ordering::Relaxed)) >= limit / 2;
        let is_held = |component: Component| {
            !holds(component)
                && Component::ALL.iter().any(|other| component.shares_thread_with(*other) && holds(*other))
        };
        let all = Component::ALL.into_iter().map(|component| Hung { component, silent: self.silence(component) });
        all.filter(|hung| hung.silent >= limit && !is_held(hung.component)).collect()
    }

    /// Parts that hang: silent for [`HUNG_AFTER`].
    pub fn hung(&self) -> Vec<Hung> {
        self.silent_for(HUNG_AFTER)
    }
}

/// Leaves when dropped, also while a panic unwinds.
struct Inside<'a>(&'a PulseSlot);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.is_inside.store(false, Ordering::Relaxed);
    }
}

/// What a look remembers of a part.
#[derive(Clone, Copy, Debug, Default)]
struct LastPulse {
    beats: u64,
    entered: u64,
    was_inside: bool,
}

/// Looks at the pulses about once a second and says how long each part has been silent. Looks by nobody, finds nobody hung.
#[derive(Debug, Default)]
pub struct Monitor {
    seen: [LastPulse; Component::ALL.len()],
    looked: Option<Instant>,
}

impl Monitor {
    /// Compares with the last look and writes the silences into the pulses.
    pub fn look(&mut self, now: Instant, pulses: &Pulses) {
        if is_planted(Bug::HeartbeatIgnored) {
            return;
        }
        let step = self.looked.map_or(Duration::ZERO, |at| now.since(at)).min(LOOK_COUNTS_MAX);
        let step = u64::try_from(step.as_millis()).unwrap_or(u64::MAX);
        self.looked = Some(now);
        for (slot, seen) in pulses.0.iter().zip(&mut self.seen) {
            let found = LastPulse {
                beats: slot.beats.load(Ordering::Relaxed),
                entered: slot.entered.load(Ordering::Relaxed),
                was_inside: slot.is_inside.load(Ordering::Relaxed),
            };
            let is_silent = slot.beats_expected.load(Ordering::Relaxed) && found.beats == seen.beats;
            let is_same_poll = found.was_inside && seen.was_inside && found.entered == seen.entered;
            let longer = |level: &AtomicU64, goes_on: bool| {
                let silent = if goes_on { level.load(Ordering::Relaxed).saturating_add(step) } else { 0 };
                level.store(silent, Ordering::Relaxed);
            };
            longer(&slot.silent_ms, is_silent);
            longer(&slot.inside_ms, is_same_poll);
            *seen = found;
        }
    }
}

/// Runs an actor on the current thread, with a heartbeat. An actor that nobody can reach any more stops beating, so that it ends.
pub(crate) fn run<A>(
    pulses: &Pulses,
    component: Component,
    mut ctx: Context<A>,
    make: impl FnOnce(&mut Context<A>) -> A,
) where
    A: Actor<Context = Context<A>>,
{
    let actor = make(&mut ctx);
    // Peers come and go by the hundred; a poll of one that does not end is noticed without a beat.
    if component != Component::Peers {
        pulses.expect(component);
        beat(&mut ctx, pulses.clone(), component);
    }
    actix_rt::spawn(WatchedActor { inner: ctx.into_future(actor), pulses: pulses.clone(), component });
}

/// Starts an actor on the current thread, where its polls are seen.
pub(crate) fn start_watched<A>(pulses: &Pulses, component: Component, actor: A) -> Addr<A>
where
    A: Actor<Context = Context<A>>,
{
    let ctx = Context::new();
    let address = ctx.address();
    run(pulses, component, ctx, |_| actor);
    address
}

fn beat<A>(ctx: &mut Context<A>, pulses: Pulses, component: Component)
where
    A: Actor<Context = Context<A>>,
{
    pulses.beat(component);
    ctx.run_later(BEAT_EVERY, move |_, ctx| {
        if ctx.connected() {
            beat(ctx, pulses, component);
        } else {
            pulses.dismiss(component);
        }
    });
}

/// An actor that is seen to be polled.
struct WatchedActor<A: Actor<Context = Context<A>>> {
    inner: ContextFut<A, Context<A>>,
    pulses: Pulses,
    component: Component,
}

impl<A: Actor<Context = Context<A>>> Future for WatchedActor<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let _inside = this.pulses.enter(this.component);
        Pin::new(&mut this.inner).poll(context)
    }
}

// The inner future is used through `Pin::new` only, as actix itself does.
impl<A: Actor<Context = Context<A>>> Unpin for WatchedActor<A> {}

#[cfg(test)]
mod tests;
