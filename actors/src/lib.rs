//! The actors: thin actix shells around the cores. Each feeds its core what happened, with the time, and carries out what the core wants
//! done, by an exhaustive match.
//!
//! Knows: mailboxes, timers, channels, and the seams [`transport::Transport`], `Clock`, [`Threads`], `Disk`, `Store`. Must not know: a rule
//! of a protocol, RPC, the wallet.
//!
//! ```text
//!  socket ─► peer ──bounded channel──► consensus ──commit──► ledger ──Committed──► consensus, mempool, block_sync
//!              │                   ├──► mempool                 ▲
//!              │                   └──► block_sync ──CommitMany─┘
//!              └──► peer_manager ◄── SendTo, Broadcast, Penalize ── all actors
//! ```
//!
//! Start reading in [`node`], which wires them; [`messages`] holds what they say to each other.

pub mod block_sync;
pub mod clock;
pub mod consensus;
mod credit;
pub mod fatal;
pub mod finality;
pub mod ledger;
pub mod mempool;
pub mod messages;
pub mod network;
pub mod node;
pub mod peer;
pub mod peer_manager;
pub mod probe;
pub mod pulse;
pub mod threads;
pub mod times;
pub mod tls;
pub mod transport;
mod wake_timer;

pub use clock::{SystemClock, TokioClock};
pub use fatal::{FatalHandle, FatalReason, FatalReporter};
pub use node::{Handles, NodeOpenError, NodeParts, OpenNode, chain_start, start};
pub use pulse::{Component, Hung, Pulses};
pub use threads::{Priority, Threads, Work, WorkCost};
pub use times::NodeTimes;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

/// Messages from peers that an actor handles together when so many wait: what follows from them is done once.
const INBOUND_AT_ONCE: usize = 16;

/// The bounded channel of an actor as its stream, which takes turns with timers and messages.
fn inbox_stream<M>(mut inbox: mpsc::Receiver<M>) -> impl Stream<Item = Vec<M>> {
    futures_util::stream::poll_fn(move |context| inbox.poll_recv(context)).ready_chunks(INBOUND_AT_ONCE)
}
