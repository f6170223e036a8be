//! Who plays a chain, and what is tried on it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod dice;
pub(crate) mod genesis;
pub(crate) mod play;
mod tries;
