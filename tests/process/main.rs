//! Real processes: nodes as an operator runs them, checked by what they answer, log and leave on disk.
//!
//! No test knows anything that a client could not: it asks over RPC, reads the log, sends signals. `harness.rs` starts and ends nodes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod async_client;
mod bad_starts;
mod catch_up;
mod checker;
mod client;
mod crash;
mod damage;
mod events;
mod hanging;
mod harness;
mod health;
mod inspect;
mod kill_loops;
mod localnet;
mod log_budget;
mod metrics;
mod network;
mod peers;
mod programs;
mod service_manager;
mod stock_clients;
mod stop;
mod survival;
mod testnet;
mod troubles;
mod twins;
mod typed_clients;
mod waiting;
mod wallets;
