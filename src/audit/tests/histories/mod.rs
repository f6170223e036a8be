//! Who plays a chain, and what is tried on it.

mod dice;
pub(crate) mod genesis;
pub(crate) mod play;
mod tries;
