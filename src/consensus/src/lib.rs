//! Agreement on one block per height: Tendermint, by Malachite's core as a library, and what we guarantee around it.
//!
//! Knows: leaders, quorum, the journal and the guard, time-outs, vote-set gossip, undecided blocks. Must not know: the
//! wire, the ledger's rules, a runtime, a clock, a socket. No type of the engine leaves this crate.
//!
//! ```text
//!  Input ─► Consensus::handle ─► [ checks: height, signature, seen? ] ─► engine step ─► actions
//!                                                                                        │
//!  Output ◄─ after journal sync, then guard sync ◄──────────── timers, votes held, blocks ┘
//! ```
//!
//! The shell feeds [`Input`]s, carries out [`Output`]s in order, and keeps one timer at [`Consensus::next_wake`]. Start reading in
//! [`messages`], then `consensus.rs`; [`mod@quorum`], [`leaders`], [`timeouts`], [`idle`], [`signing`] and [`key_use`] each hold one rule.

pub mod block_size;
pub mod blocks;
pub mod certificate;
mod chain_view;
mod clock;
mod config;
mod consensus;
mod context;
mod convert;
mod durable;
mod engine;
mod error;
mod future;
pub mod guard;
mod height_state;
mod heights_elsewhere;
pub mod idle;
pub mod inspect;
pub mod journal;
pub mod key_use;
mod late_precommits;
pub mod leaders;
pub mod messages;
mod operator_reports;
mod peers;
pub mod quorum;
mod quorum_watch;
pub mod signing;
mod startup_wait;
pub mod statement;
pub mod status;
pub mod timeouts;
mod timers;
mod tip_reports;
mod too_early;
pub mod votes;

pub use certificate::{CertificateError, verify_certificate};
pub use config::{ChainStart, CoreConfig};
pub use consensus::Consensus;
pub use engine::{EngineError, InnerError};
pub use error::{CoreOpenError, FatalError};
pub use key_use::{KeyReport, OtherSession};
pub use leaders::{LeaderOrder, LeaderRecord};
pub use messages::{CommittedBlocks, Gossip, GossipOffence, Input, KnownVotes, Output, Payload};
pub use quorum::{is_quorum, quorum, quorum_line};
pub use signing::{OtherNode, SigningOff, SigningStatus, TwinFound};
pub use statement::{SignedRecord, SignedStep, Statement};
pub use status::ConsensusStatus;
pub use timeouts::TimeoutDefaults;
pub use too_early::TooEarly;
