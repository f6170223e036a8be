//! The command line of the audit.

use clap::{Arg, Command, ValueHint};
use std::path::PathBuf;

pub(crate) const AUDIT: &str = "audit";
pub(super) const GENESIS: &str = "genesis-file";

/// `program` is how help calls it.
pub(crate) fn command(program: &str) -> Command {
    Command::new(AUDIT)
        .about("Audits the chain of a node: money, masternodes, rewards, penalties")
        .long_about(
            "Reads every block of the node and derives all of it again by rules of its own: who owns what, masternodes, votes, rewards, \
             penalties, treasury. Names the first block that says something else. Signatures of payments and of certificates are not checked.",
        )
        .arg(
            Arg::new(GENESIS)
                .long("genesis")
                .value_name("FILE")
                .help("The network's genesis file; development networks need none")
                .value_hint(ValueHint::FilePath)
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .after_help(format!(
            "Examples:\n  {program} {AUDIT}\n  {program} {AUDIT} --genesis genesis.json\n\nExit status: 1 when something differs."
        ))
}
