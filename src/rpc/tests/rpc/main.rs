//! The server over real loopback sockets, asked by hand-written HTTP, with a node of fixed answers behind it.

mod http;
mod methods;
mod requests;
mod sample;
