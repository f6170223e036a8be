//! The simulator: networks of real nodes in one process and in virtual time, one seed, every fault we know, and a checker of all of it.
//!
//! Knows: the nodes' actors and cores as the daemon wires them, and the seams: transport, disk, store, clock, randomness. Must not know:
//! real time, sockets, files, threads.
//!
//! ```text
//!  World ── Node ── life: LocalSet with the real actors
//!    │        │         │ everything it does to the outside
//!    │        │         ▼
//!    │        │       Gate ── counts events, crashes at one, holds back what a slow disk delays
//!    │        ▼         │
//!    │      Kept: files and store ◄┤
//!    ▼                             ▼
//!  Checker ◄── journal, guard, tips, peers      MemoryNetwork: latency, rate, cuts
//!    └──► Trace: one line for each event, and the hash of all
//! ```
//!
//! Start reading in [`world`] and [`node`]; `check` holds what must never be.

mod adversary;
pub mod application;
mod change_times;
mod changes;
pub mod check;
pub mod clients;
pub mod clock;
pub mod command;
mod cost;
pub mod crash_points;
mod disk;
mod driver;
pub mod fault_kind;
pub mod faults;
pub mod gate;
pub mod heartbeats;
mod kept;
mod kinds;
mod life;
mod links;
pub mod node;
pub mod overload;
pub mod payments;
mod readers;
pub mod regions;
pub mod report;
pub mod run;
pub mod scenarios;
pub mod schedule;
pub mod service;
pub mod setting;
pub mod shrink;
mod start;
pub mod trace;
mod unknown_peer;
mod upsets;
pub mod world;

pub use adversary::{Lie, Lies};
pub use application::{SimulatedApplication, Workload};
pub use check::{Checker, SharedChecker, Violation};
pub use clock::Skew;
pub use cost::Machines;
pub use crash_points::{CrashPoint, CrashReport};
pub use fault_kind::{FaultKind, FaultSet};
pub use gate::{Crash, CrashPlan, DiskPace};
pub use kept::KeptState;
pub use node::{Node, StartError, WaitTimeout};
pub use overload::{OverloadConfig, OverloadReport};
pub use payments::SimulatedPayments;
pub use regions::{City, Latency};
pub use report::Report;
pub use run::{RunConfig, run};
pub use trace::{Trace, TraceCounts};
pub use unknown_peer::{Channel, UnknownPeer, UnknownPeerError};
pub use world::{World, WorldConfig, play};
