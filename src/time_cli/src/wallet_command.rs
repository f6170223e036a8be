//! The commands below `wallet`, with an example each.

use clap::{Arg, Command};

pub(crate) const WALLET: &str = "wallet";

pub(crate) const CREATE: &str = "create";
pub(crate) const RESTORE: &str = "restore";
pub(crate) const UNLOCK: &str = "unlock";
const PASSPHRASE: &str = "passphrase";

pub(crate) const NAME: &str = "name";
pub(crate) const FILE: &str = "file";
pub(crate) const SECONDS: &str = "seconds";
pub(crate) const GAP: &str = "gap";

/// All of them. `program` is how help calls it.
pub(crate) fn command(program: &str) -> Command {
    let sub = |name: &'static str, about: &'static str, example: &str| {
        Command::new(name).about(about).after_help(format!("Example:\n  {program} {example}"))
    };
    let name = || Arg::new(NAME).value_name("NAME").required(true).help("Name: letters, digits, - and _");
    Command::new(WALLET)
        .about("Makes, restores and unlocks wallets that come back from 24 words")
        .after_help(format!(
            "Secrets are asked for without being shown. Where no terminal is, each is a line of standard input: the passphrase; for restore \
             first the words; for passphrase first the old one.\n\nExamples:\n  {program} {WALLET} {CREATE} savings\n  {program} --wallet \
             savings {WALLET} {UNLOCK}"
        ))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            sub(CREATE, "Makes a wallet, shows its 24 words once, and asks some back", "wallet create savings").arg(name()),
            sub(RESTORE, "Makes a wallet from its 24 words, or from a backup", "wallet restore savings")
                .arg(name())
                .arg(Arg::new(FILE).long(FILE).value_name("FILE").help("A backup, on the node's machine; no words then"))
                .arg(
                    Arg::new(GAP)
                        .long(GAP)
                        .value_name("COUNT")
                        .value_parser(clap::value_parser!(u32).range(1..=10_000))
                        .conflicts_with(FILE)
                        .help("So many unused addresses end the search [default: 20]"),
                ),
            sub(UNLOCK, "Opens a wallet to sign for a while", "--wallet savings wallet unlock --seconds 60").arg(
                Arg::new(SECONDS)
                    .long(SECONDS)
                    .value_name("COUNT")
                    .default_value("60")
                    .value_parser(clap::value_parser!(u32))
                    .help("For how long"),
            ),
            sub(PASSPHRASE, "Changes the passphrase of a wallet", "--wallet savings wallet passphrase"),
        ])
}
