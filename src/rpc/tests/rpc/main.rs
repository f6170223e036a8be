//! The server over real loopback sockets, asked by hand-written HTTP, with a node of fixed answers behind it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod calls;
mod dialect;
mod events;
mod fuzz;
mod hanging;
mod http;
mod long;
mod methods;
mod requests;
mod sample;
mod unread;
mod wallet;
