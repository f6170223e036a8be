//! What stands in for the outside in tests and in the simulator.
//!
//! Knows: the seams that it stands behind ([`Transport`](timed_actors::transport::Transport)). Must not know: who is tested. No program that
//! people run depends on it, but `timed simulate`.

mod memory_network;

pub use memory_network::{LinkQuality, MemoryNetwork, MemoryTransport};
