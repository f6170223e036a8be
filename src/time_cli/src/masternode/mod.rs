//! `time-cli masternode`: joins, changes and leaves, with keys that never leave their files.
//!
//! ```text
//!  prepare (node) ─► draft file ─► sign (cold machine, no node) ─► draft file ─► submit (node)
//! ```

mod actions;
mod command;
mod draft;
mod keys;

pub(crate) use actions::{ShownAs, run};
pub(crate) use command::{MASTERNODE, command};
