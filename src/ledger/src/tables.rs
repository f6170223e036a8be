//! The tables of the store that hold who owns what, and what was computed over it.

use timed_chain::Table;

/// Outpoint (transaction id, index big endian) → [`crate::OutputEntry`].
pub const OUTPUTS: Table = Table("outputs");
/// Key hash, then outpoint → [`crate::OutputEntry`].
pub const OUTPUTS_BY_KEY: Table = Table("outputs_by_key");
/// Boundary (height, big endian) → root over all outputs that were unspent after it, 32 bytes.
pub const OUTPUT_ROOTS: Table = Table("output_roots");
/// Height, big endian → payouts that its block spends, each with its [`crate::OutputEntry`]: no block of the log has what they were. Kept for two
/// intervals of output roots.
pub const SPENT_PAYOUTS: Table = Table("spent_payouts");
/// Number of an interval, big endian → [`crate::RewardReport`].
pub const REWARD_REPORTS: Table = Table("reward_reports");
