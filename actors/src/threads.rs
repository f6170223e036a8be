//! Seam: which thread an actor lives on, and where heavy computing goes.
//!
//! In the daemon consensus, ledger, pool and peers have arbiters of their own, so that an fsync or a full block on one never delays a
//! pong on another. In tests and simulations all share the caller's `LocalSet`, and computing is done in place: then virtual time
//! reaches everything and one seed gives one trace.

use actix::{Actor, Addr, Context};
use actix_rt::{Arbiter, ArbiterHandle};
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Groups of actors that share a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The peer manager and the peers.
    Peers,
    /// Consensus: blocks its thread on journal syncs.
    Consensus,
    /// The ledger: blocks its thread on log syncs.
    Ledger,
    /// Mempool and block sync.
    Pool,
}

/// Where actors are started.
#[derive(Clone)]
pub struct Threads {
    arbiters: Option<Arbiters>,
}

#[derive(Clone)]
struct Arbiters {
    peers: ArbiterHandle,
    consensus: ArbiterHandle,
    ledger: ArbiterHandle,
    pool: ArbiterHandle,
    /// Heavy work at one time: as much as there are processors, so that votes find one soon.
    slots: Arc<Semaphore>,
}

impl Threads {
    /// Everything on the current `LocalSet`.
    pub const fn inline() -> Self {
        Self { arbiters: None }
    }

    /// One thread for each [`Room`]. Must be called where an actix `System` runs.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn arbiters() -> io::Result<Self> {
        let arbiter = || Arbiter::try_new().map(|a| a.handle());
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            arbiters: Some(Arbiters {
                peers: arbiter()?,
                consensus: arbiter()?,
                ledger: arbiter()?,
                pool: arbiter()?,
                slots: Arc::new(Semaphore::new(processors)),
            }),
        })
    }

    /// Starts an actor in its room.
    pub fn start<A>(&self, room: Room, make: impl FnOnce(&mut Context<A>) -> A + Send + 'static) -> Addr<A>
    where
        A: Actor<Context = Context<A>>,
    {
        match &self.arbiters {
            None => A::create(make),
            Some(arbiters) => {
                let home = match room {
                    Room::Peers => &arbiters.peers,
                    Room::Consensus => &arbiters.consensus,
                    Room::Ledger => &arbiters.ledger,
                    Room::Pool => &arbiters.pool,
                };
                A::start_in_arbiter(home, make)
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
}
