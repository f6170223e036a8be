//! Answers about what masternodes earn and lose, and where all money is.

mod history;
mod names;
mod paid;
mod participation;
mod reasons;
mod report;
mod supply;

pub(super) use history::history;
pub(super) use paid::{rewards, winners};
pub(super) use participation::participation;
pub(super) use report::report;
pub(super) use supply::{supply, treasury};
