//! What stands in for the outside in tests and in the simulator.
//!
//! Knows: the seams that it stands behind: `Transport` of the actors (with the feature `transport`), [`Store`](timed_chain::Store) and
//! [`Disk`](timed_primitives::Disk). Must not know: who is tested. No program that
//! people run depends on it, but `timed simulate`.

mod held_disk;
#[cfg(feature = "transport")]
mod memory_network;
mod memory_store;

pub use held_disk::{HeldDisk, HeldOperations};
#[cfg(feature = "transport")]
pub use memory_network::{LinkQuality, MemoryNetwork, MemoryTransport};
pub use memory_store::MemoryStore;
