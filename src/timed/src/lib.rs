//! The daemon `timed`.
//!
//! Knows: the command line, configuration, logging, and which part is wired to which. Must not know: a rule of the protocol.

pub mod args;
mod folder_guard;
pub mod healthcheck;
pub mod node;
mod node_args;
pub mod resume_signing;
pub mod service_manager;
mod watchdog;
