//! `time-cli audit`: the blocks of a running node, audited here by a second implementation of the rules.

mod command;
mod progress;
mod report;
mod walk;

pub(crate) use command::{AUDIT, command};
pub use progress::WalkProgress;
pub use report::{audit_report, difference_report};
pub(crate) use walk::run;
