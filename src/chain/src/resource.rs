//! What transactions consume and produce.

use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use timed_primitives::Hash;

/// Something that exists once and can be consumed once, by name: an output, the next number of an account. Two transactions that consume
/// the same one cannot both be decided. Names must not let transactions form circles, in which each waits for what another produces: one that is
/// the hash of who produces it, or a number that grows, cannot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Resource {
    /// What it comes from: the transaction that made it, an account.
    pub origin: Hash,
    /// Which of those that come from there.
    pub index: u32,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.origin, self.index)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.origin.short(), self.index)
    }
}
