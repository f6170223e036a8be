//! The daemon `timed` and the client `time-cli`.
//!
//! Knows: the command line, configuration, logging, and which part is wired to which. Must not know: a rule of the protocol.

mod address_file;
pub mod args;
pub mod bench;
pub mod cli;
#[cfg(test)]
mod damaged_files;
mod files;
pub mod healthcheck;
pub mod inspect;
mod keys;
mod local_nodes;
pub mod localnet;
mod logging;
pub mod node;
mod peer_files;
mod service;
mod signals;
#[cfg(feature = "simulate")]
pub mod simulate;
pub mod testnet;
