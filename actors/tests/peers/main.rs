//! Peers over a network in memory, in virtual time: what well-meaning nodes do, and what hostile ones achieve.

mod clocks;
mod common;
mod defects;
mod friendly;
mod hostile;
mod liveness;
mod quorum;
mod unknown_peers;
