//! Nodes in containers, as an operator runs them: started by compose, disturbed by the engine and by cut links, checked by RPC alone.
//!
//! Needs a Linux machine with a container engine, compose and root, since links are cut inside the containers' network namespaces.
//! Elsewhere each test says so in one line and passes. `engine.rs` knows the commands, `network.rs` starts networks and removes them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../process/client.rs"]
mod client;
mod engine;
mod faults;
mod network;
mod start;
#[path = "../process/waiting.rs"]
mod waiting;
