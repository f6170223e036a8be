//! Seam: which thread an actor lives on, and where heavy computing goes.
//!
//! In the daemon consensus, ledger, pool and peers have arbiters of their own, so that an fsync or a full block on one never delays a
//! pong on another. Threads that vote run before threads that serve: see [`Priority`]. In tests and simulations all share the caller's `LocalSet`, and computing is done in place: then virtual time
//! reaches everything and one seed gives one trace.

use crate::pulse::{self, Component, Pulses};
use actix::dev::channel::{AddressReceiver, channel};
use actix::{Actor, Addr, AsyncContext as _, Context};
use actix_rt::{Arbiter, ArbiterHandle};
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
#[cfg(target_os = "linux")]
use tracing::debug;

/// Messages by `send` and `try_send` that wait in an actor's mailbox; senders of more wait. As many as actix takes by itself.
const MAILBOX: usize = 16;

/// Who runs first when threads outnumber processors, on Linux; elsewhere all are equal.
///
/// A thread's niceness only says who gives way, so it needs no right, and none starves: with 5 more a thread gets about a third of the
/// time of the other when both want all. A new thread takes over the niceness of the one that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Consensus, the ledger with its writes to the store, and the peers: who waits for them is the whole network.
    Voting,
    /// The mempool, which chooses what goes into a block, and block sync.
    Choosing,
    /// RPC and everything else on the main thread.
    Serving,
    /// Heavy work off the actors' threads (signatures of the mempool), and the store's own threads.
    Background,
    /// Answers to clients that hold whole blocks, or go through many blocks or outputs: on a full machine they have a thirtieth of what a thread that votes has.
    Scanning,
}

impl Priority {
    /// Unit: niceness, from 0 to 19; what the process was started with is the least.
    pub const fn niceness(self) -> i32 {
        match self {
            Self::Voting => 0,
            Self::Choosing => 3,
            Self::Serving => 5,
            Self::Background => 8,
            Self::Scanning => 15,
        }
    }

    /// Gives it to the calling thread and to those that it makes from now on. It cannot be taken back.
    pub fn apply(self) {
        #[cfg(target_os = "linux")]
        {
            let more = || {
                let now = rustix::process::getpriority_process(None)?;
                rustix::process::setpriority_process(None, now.max(self.niceness()))
            };
            if let Err(error) = more() {
                debug!(%error, priority = ?self, "threads that serve do not give way to threads that vote");
            }
        }
    }
}

/// A runtime for one thread, whose helpers do background work.
fn runtime(priority: Priority) -> io::Result<tokio::runtime::Runtime> {
    priority.apply();
    tokio::runtime::Builder::new_current_thread().enable_all().on_thread_start(|| Priority::Background.apply()).build()
}

/// Work that takes time in proportion to its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Checking so many signatures together.
    Signatures(usize),
    /// Validating a block of so many transactions.
    Validate(usize),
    /// Assembling such a block.
    Assemble(usize),
    /// Taking over decided blocks with so many transactions together.
    Commit(usize),
    /// Taking so many transactions into the pool.
    Admit(usize),
    /// Taking those of a decided block out of the pool.
    Remove(usize),
    /// Writing or syncing the mempool's file.
    Keep,
}

impl Work {
    /// Whether it is done before another thread would have been woken and had woken this one for the answer. Measured: one signature takes
    /// 50 µs.
    const fn is_short(self) -> bool {
        matches!(self, Self::Signatures(..=2))
    }
}

/// What work costs where time is simulated.
pub trait WorkCost: Send + Sync {
    /// How long this work keeps its thread busy, in virtual time.
    fn time(&self, work: Work) -> Duration;
}

/// Where actors are started.
#[derive(Clone)]
pub struct Threads {
    arbiters: Option<Arbiters>,
    pulses: Pulses,
    simulated: Option<Simulated>,
}

/// Threads that exist in virtual time only.
#[derive(Clone)]
struct Simulated {
    cost: Arc<dyn WorkCost>,
    slots: Arc<Semaphore>,
}

#[derive(Clone)]
struct Arbiters {
    peers: ArbiterHandle,
    consensus: ArbiterHandle,
    ledger: ArbiterHandle,
    pool: ArbiterHandle,
    /// Does [`Threads::write`].
    store: ArbiterHandle,
    /// Heavy work at one time: as much as there are processors, so that votes find one soon.
    slots: Arc<Semaphore>,
}

impl Arbiters {
    /// Where a part lives; parts that are no actors of ours live where they are started.
    fn home(&self, component: Component) -> Option<&ArbiterHandle> {
        match component {
            Component::PeerManager | Component::Peers => Some(&self.peers),
            Component::Consensus => Some(&self.consensus),
            Component::Ledger => Some(&self.ledger),
            Component::Mempool | Component::BlockSync => Some(&self.pool),
            Component::Runtime | Component::Rpc | Component::DataFolder => None,
        }
    }
}

/// The mailbox of an actor that is not started yet: what is sent to its address waits here.
pub struct Mailbox<A: Actor>(AddressReceiver<A>);

/// The address of an actor to be started by [`Threads::start_at`]. Who is to hear of everything that another does is made known to it before
/// that one starts.
pub fn mailbox<A: Actor>() -> (Addr<A>, Mailbox<A>) {
    let (sender, receiver) = channel(MAILBOX);
    (Addr::new(sender), Mailbox(receiver))
}

impl Threads {
    /// Everything on the current `LocalSet`.
    pub fn inline() -> Self {
        Self { arbiters: None, pulses: Pulses::default(), simulated: None }
    }

    /// The same, where work takes virtual time: an actor that works hears nothing meanwhile, as on a thread of its own, and so many
    /// processors do heavy work.
    pub fn simulated(cost: Arc<dyn WorkCost>, processors: usize) -> Self {
        let slots = Arc::new(Semaphore::new(processors));
        Self { arbiters: None, pulses: Pulses::default(), simulated: Some(Simulated { cost, slots }) }
    }

    /// One thread each for peers, consensus (it blocks on journal syncs), ledger (on log syncs), and mempool with block sync. Must be called where an actix `System` runs.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn arbiters() -> io::Result<Self> {
        let arbiter =
            |priority: Priority| Arbiter::try_with_tokio_rt(move || runtime(priority)).map(|arbiter| arbiter.handle());
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            arbiters: Some(Arbiters {
                peers: arbiter(Priority::Voting)?,
                consensus: arbiter(Priority::Voting)?,
                ledger: arbiter(Priority::Voting)?,
                pool: arbiter(Priority::Choosing)?,
                store: arbiter(Priority::Voting)?,
                slots: Arc::new(Semaphore::new(processors)),
            }),
            pulses: Pulses::default(),
            simulated: None,
        })
    }

    /// Ends the threads, and with them all actors that live there, soon: for a program that goes on without its node. Stop the node before, by
    /// [`crate::Handles::stop`]. Nothing where everything is inline, since those actors end with their `LocalSet`.
    pub fn stop(&self) {
        let Some(Arbiters { peers, consensus, ledger, pool, store, slots: _ }) = &self.arbiters else { return };
        for arbiter in [peers, consensus, ledger, pool, store] {
            // False when it has ended already.
            arbiter.stop();
        }
    }

    /// The heartbeats of the actors started here.
    pub fn pulses(&self) -> &Pulses {
        &self.pulses
    }

    /// Starts an actor on its thread, with a heartbeat.
    pub fn start<A>(&self, component: Component, make: impl FnOnce(&mut Context<A>) -> A + Send + 'static) -> Addr<A>
    where
        A: Actor<Context = Context<A>>,
    {
        let (address, mailbox) = mailbox();
        self.start_at(component, mailbox, make);
        address
    }

    /// The same for one whose address others have already.
    pub fn start_at<A>(
        &self,
        component: Component,
        Mailbox(receiver): Mailbox<A>,
        make: impl FnOnce(&mut Context<A>) -> A + Send + 'static,
    ) where
        A: Actor<Context = Context<A>>,
    {
        let pulses = self.pulses.clone();
        let begin = move || pulse::run(&pulses, component, Context::with_receiver(receiver), make);
        match self.arbiters.as_ref().and_then(|arbiters| arbiters.home(component)) {
            None => begin(),
            Some(home) => {
                // Refused only when the process is ending; then the address is one of nobody.
                home.spawn_fn(begin);
            }
        }
    }

    /// Does heavy work, such as checking signatures, off the actor's thread, or in place when everything is inline.
    ///
    /// Callers bound how much they have in flight. Waits while as much is under way as there are processors. `None` when the
    /// work panicked or the process is ending: our own fault, and nobody else's.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        match &self.arbiters {
            None => Some(work()),
            Some(arbiters) => {
                let _slot = arbiters.slots.acquire().await.ok()?;
                tokio::task::spawn_blocking(work).await.ok()
            }
        }
    }

    /// The same as [`Self::compute`], for work that takes virtual time where time is simulated. Short work is done in place.
    pub async fn compute_work<T: Send + 'static>(
        &self,
        work: Work,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if let Some(simulated) = &self.simulated {
            let _slot = simulated.slots.acquire().await.ok()?;
            self.spend(work).await;
            return Some(run());
        }
        if work.is_short() {
            return Some(run());
        }
        self.compute(run).await
    }

    /// Writes final blocks to the store, on a thread for this alone that gives way no more than the ledger's: once the ledger has as much in
    /// memory as it may, it waits for this. In place when everything is inline. `None` when the work panicked or the process is ending.
    pub async fn write<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let Some(arbiters) = &self.arbiters else { return Some(work()) };
        let (done, outcome) = oneshot::channel();
        arbiters.store.spawn_fn(move || {
            let _ = done.send(work());
        });
        outcome.await.ok()
    }

    /// Does work that may wait for a disk while no vote waits for it, such as the mempool's file; in place when everything is inline. It
    /// takes no slot of [`Self::compute`], so a disk that hangs keeps no signature from being checked.
    ///
    /// Callers have one or two under way. `None` when the work panicked or the process is ending.
    pub async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        match &self.arbiters {
            None => {
                self.spend(Work::Keep).await;
                Some(work())
            }
            Some(_) => tokio::task::spawn_blocking(work).await.ok(),
        }
    }

    /// Passes when this work would be done. At once in the daemon, where the work itself took the time.
    pub fn spend(&self, work: Work) -> impl Future<Output = ()> + 'static {
        let time = self.time(work);
        async move {
            if let Some(time) = time {
                tokio::time::sleep(time).await;
            }
        }
    }

    /// This actor did such work: it hears nothing until its thread would be free again. Nothing in the daemon.
    pub fn occupy<A: Actor<Context = Context<A>>>(&self, work: Work, ctx: &mut Context<A>) {
        if let Some(time) = self.time(work) {
            ctx.wait(actix::fut::wrap_future::<_, A>(tokio::time::sleep(time)));
        }
    }

    fn time(&self, work: Work) -> Option<Duration> {
        self.simulated.as_ref().map(|simulated| simulated.cost.time(work)).filter(|time| !time.is_zero())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use actix::{Handler, Message};

    struct Asked;

    impl Actor for Asked {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "i32")]
    struct Niceness;

    fn niceness() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    impl Handler<Niceness> for Asked {
        type Result = i32;

        fn handle(&mut self, _: Niceness, _ctx: &mut Self::Context) -> i32 {
            niceness()
        }
    }

    #[test]
    fn threads_that_vote_come_before_threads_that_serve_and_all_before_background_work() {
        let before = niceness();
        actix_rt::System::new().block_on(async move {
            let threads = Threads::arbiters().unwrap();
            let mut found = Vec::new();
            for part in [Component::PeerManager, Component::Consensus, Component::Ledger, Component::Mempool] {
                found.push(threads.start(part, |_| Asked).send(Niceness).await.unwrap());
            }
            Priority::Serving.apply();
            found.push(niceness());
            // Work that an actor gives away starts from its thread; here from a thread of the same kind.
            let (answer, answered) = oneshot::channel();
            let helper = Arbiter::try_with_tokio_rt(|| runtime(Priority::Voting)).unwrap();
            helper.spawn(async move {
                let _ = answer.send(tokio::task::spawn_blocking(niceness).await.unwrap());
            });
            found.push(answered.await.unwrap());
            found.push(threads.write(niceness).await.unwrap());
            let wanted = [0, 0, 0, 3, 5, 8, 0].map(|more: i32| before.max(more));
            assert_eq!(found, wanted);
        });
    }
}
