//! `subscribe`: events as they happen, one line each, for as long as somebody reads them. A connection that ends is made again, and what is final
//! is not missed.

mod command;
mod follow;
mod shown;

pub(crate) use command::{SUBSCRIBE, command};
pub(crate) use follow::run;
