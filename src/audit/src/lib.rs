//! The audit: the rules of money, masternodes, rewards and penalties, written a second time, from `docs/adr` alone.
//!
//! Knows: blocks, their certificates, the genesis, and the types of transactions with their canonical bytes. Must not know: how the ledger
//! applies a block. It shares no rule with it, so that a mistake in one of the two shows as a difference.
//!
//! ```text
//!  genesis ─► Audit ◄─ block, certificate      header: what the block says
//!               │                              state:  what the audit finds
//!               └─► the first difference, or a Summary
//! ```
//!
//! Found anew for each block: unspent outputs and the hash over them, the list of masternodes, voters and powers, participation, payouts,
//! warnings, jailings, charges, draws, treasury, fees, and what was issued. What is not checked: signatures of payments and of
//! certificates, sizes of blocks, and the history root, which the chain's own tools check. Signatures of statements about behaviour are,
//! since they cost somebody money.
//!
//! Start reading in [`Audit::apply`].

mod changes;
mod double_sign;
mod draw;
mod emission;
mod error;
mod flow;
mod genesis;
mod header;
mod list;
mod money;
mod output_hash;
mod participation;
mod payment;
mod penalties;
mod place;
mod power;
mod state;
mod statements;
mod summary;
#[cfg(test)]
mod tampered;
mod transactions;

pub use draw::{AuditedDraw, AuditedWitness, draw_of};
pub use emission::emission;
pub use error::{AuditError, AuditFault, BrokenRule, Commitment, StateParts};
pub use flow::Audit;
pub use output_hash::OutputHash;
pub use power::effective_powers;
pub use summary::Summary;

#[cfg(test)]
extern crate self as timed_audit;
#[cfg(test)]
#[path = "../tests/histories/mod.rs"]
mod histories;
