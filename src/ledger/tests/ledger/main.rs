//! The ledger from outside: what a caller can see of it, through commits, crashes and damage.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod chain;
mod golden;
mod history;
mod incidents;
mod inspect;
mod locks;
mod masternode_histories;
mod masternodes;
mod output_root;
mod overlay;
mod penalties;
mod properties;
mod recovery;
mod reward_chain;
mod rewards;
mod rules;
mod waiting;
