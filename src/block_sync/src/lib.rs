//! Decided blocks from other nodes: who is ahead, what to ask whom, when to ask another, in which order to hand on.
//!
//! Knows: heights, peers' claims, request ids, deadlines, bounds. Must not know: blocks and certificates (it carries them as an opaque
//! `B` that the caller has verified), frames, sockets, the ledger.
//!
//! ```text
//!  Status ─► on_status ─► Request ─► peer ─► Decided ─► caller verifies certificate, then block ─► on_block ─► Deliver ─► ledger
//!                            ▲                                   └─► on_invalid ─► Blame            ▲              │
//!                            └────────── on_tick: late? ask another ──────────────── on_committed ◄─┴──────────────┘
//! ```
//!
//! Block sync is always alive next to consensus; [`BlockSync::leads`] says which of the two leads. Start reading in [`BlockSync`];
//! [`BlockServer`] is the other side: what we give to those who are behind; [`TipAnnouncer`] says who hears of our tips.

mod announcer;
mod limits;
mod peer;
mod plan;
mod progress;
mod server;
mod sync;
#[cfg(test)]
mod tests;

pub use announcer::TipAnnouncer;
pub use limits::{ServerLimits, SyncLimits};
pub use progress::{Progress, Stall};
pub use server::{BlockReply, BlockServer, ServeDecision};
pub use sync::{BlockDelivery, BlockSync, SyncAction, SyncStats};
