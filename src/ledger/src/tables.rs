//! The tables of the store that hold who owns what.

use timed_chain::Table;

/// Outpoint (transaction id, index big endian) → [`crate::OutputEntry`].
pub const OUTPUTS: Table = Table("outputs");
/// Key hash, then outpoint → [`crate::OutputEntry`].
pub const OUTPUTS_BY_KEY: Table = Table("outputs_by_key");
