//! The commands below `masternode`, with an example each.

use clap::{Arg, ArgAction, Command, ValueHint};
use std::str::FromStr;
use timed_ledger::{ServiceAddress, Tier};

pub(crate) const MASTERNODE: &str = "masternode";

pub(super) const KEY: &str = "key";
pub(super) const PREPARE: &str = "prepare";
pub(super) const SIGN: &str = "sign";
pub(super) const SUBMIT: &str = "submit";
pub(super) const REGISTER: &str = "register";
pub(super) const UPDATE: &str = "update";
pub(super) const PAUSE: &str = "pause";
pub(super) const RESUME: &str = "resume";
pub(super) const REVOKE: &str = "revoke";
pub(super) const RELEASE: &str = "release";
pub(super) const LIST: &str = "list";
pub(super) const STATUS: &str = "status";
pub(super) const PROOF: &str = "proof";
pub(super) const WHY: &str = "why";
pub(super) const WINNERS: &str = "winners";
pub(super) const REWARDS: &str = "rewards";

/// Names of arguments, as they stand behind two dashes.
pub(super) const TIER: &str = "tier";
pub(super) const SERVICE: &str = "service";
pub(super) const OWNER: &str = "owner";
pub(super) const OPERATOR: &str = "operator";
pub(super) const PAYEE: &str = "payee";
pub(super) const COLLATERAL: &str = "collateral";
pub(super) const FUND_FROM: &str = "fund-from";
pub(super) const OUTPUT: &str = "output";
pub(super) const KEYS: &str = "keys";
pub(super) const OWNER_KEY: &str = "owner-key";
pub(super) const OPERATOR_KEY: &str = "operator-key";
pub(super) const COLLATERAL_KEY: &str = "collateral-key";
pub(super) const TO: &str = "to";
pub(super) const NETWORK: &str = "network";
pub(super) const FILE: &str = "file";
pub(super) const ID: &str = "id";
pub(super) const NAME: &str = "name";
pub(super) const COUNT: &str = "count";

/// The file of a draft, unless another is named.
pub(super) const DRAFT_FILE: &str = "masternode.json";

/// All of them. `program` is how help calls it.
pub(crate) fn command(program: &str) -> Command {
    let sub = |name: &'static str, about: &'static str, example: &str| {
        Command::new(name).about(about).after_help(format!("Example:\n  {program} {MASTERNODE} {example}"))
    };
    Command::new(MASTERNODE)
        .about("Joins, changes and leaves as a masternode; lists masternodes")
        .after_help(format!("Examples:\n  {program} {MASTERNODE} {LIST}\n  {program} {MASTERNODE} {STATUS}"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            sub(KEY, "Shows the public key of a key file, which is made if it is missing", "key owner.key")
                .arg(file("The key file"))
                .arg(option(NETWORK, "NAME", "Also its address on mainnet, testnet or devnet")),
            prepare(
                program,
                sub(
                    PREPARE,
                    "Writes a registration that nobody has signed, from what the node knows",
                    "prepare --tier bronze \\\n    --service 203.0.113.7:7000 --owner 4f1c…64 hex digits…09ab",
                ),
            ),
            sub(
                SIGN,
                "Signs a draft with key files, on a machine that needs no node",
                "sign masternode.json owner.key",
            )
            .arg(file("The draft"))
            .arg(Arg::new(KEYS).value_name("KEYFILE").required(true).num_args(1..).help("Files of keys that sign")),
            sub(SUBMIT, "Adds what this node's own keys sign, and sends a draft", "submit masternode.json")
                .arg(file("The draft")),
            register(sub(
                REGISTER,
                "All at once with this node's wallet, for a test network; key files are made if missing",
                "register --tier bronze --service 127.0.0.1:7005",
            )),
            update(sub(
                UPDATE,
                "Another address, or another operator key and payees",
                "update --service 203.0.113.8:7000",
            )),
            operated(sub(PAUSE, "Announces that the machine will be away: no power, no penalty", "pause")),
            operated(sub(RESUME, "Ends a pause", "resume")),
            sub(REVOKE, "Leaves, for good", "revoke 4f1c…09ab --owner-key owner.key").args([
                id(),
                key_file(OWNER_KEY, "File of the owner's key"),
                output(),
            ]),
            sub(RELEASE, "Gets the collateral back after the unbonding time", "release 4f1c…09ab").args([
                id(),
                key_file(
                    COLLATERAL_KEY,
                    "File of the key that the collateral is locked to; else the node's wallet signs",
                ),
                option(TO, "ADDRESS", "Who gets it; else the address that it is locked to"),
                output(),
            ]),
            sub(LIST, "All masternodes of the chain", "list"),
            sub(STATUS, "One masternode and what to do; without an id that of this node", "status").arg(id()),
            sub(
                WHY,
                "Each penalty and each reward that was missed, and why; without a name of this node",
                "why 'node 3'",
            )
            .args([name(), count("100")]),
            sub(WINNERS, "Who was paid in the last intervals", "winners 3").arg(count("10")),
            sub(REWARDS, "What one earned and was paid; without a name this node", "rewards 'node 3' 50")
                .args([name(), count("20")]),
            sub(PROOF, "A proof of what the chain says of one, for who has no node", "proof").arg(id()),
        ])
}

fn prepare(program: &str, command: Command) -> Command {
    // In two lines, since nobody breaks it.
    let required = format!("--{TIER} <TIER> --{SERVICE} <ADDRESS> --{OWNER} <KEY>");
    let usage = format!("{program} {MASTERNODE} {PREPARE} [OPTIONS]\n         {required}");
    command.override_usage(usage).args([
        tier(),
        service().required(true),
        option(OWNER, "KEY", "Public key of the owner: 64 hex digits").required(true),
        option(OPERATOR, "KEY", "Public key that votes; else this node's own consensus key"),
        payee(),
        option(COLLATERAL, "ADDRESS", "What is locked, and whose coins pay; else one of this node's wallet"),
        option(FUND_FROM, "WHOM", "What is missing there is paid by: wallet (this node's) or collateral (nobody else)")
            .value_parser(["wallet", "collateral"]),
        output(),
    ])
}

fn register(command: Command) -> Command {
    command.args([
        tier(),
        service().required(true),
        payee(),
        key_file(OWNER_KEY, "File of the owner's key").default_value("owner.key"),
        key_file(OPERATOR_KEY, "File of the key that votes").default_value("consensus.key"),
    ])
}

fn update(command: Command) -> Command {
    command.args([
        id(),
        service(),
        option(OPERATOR, "KEY", "Public key that votes from now on"),
        payee(),
        key_file(OWNER_KEY, "File of the owner's key, for --operator and --payee"),
        key_file(OPERATOR_KEY, "File of the operator's key: the new one with --operator; else the node signs"),
        output(),
    ])
}

fn operated(command: Command) -> Command {
    command.args([
        id(),
        key_file(OPERATOR_KEY, "File of the operator's key; else the node signs with its own"),
        output(),
    ])
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn key_file(name: &'static str, help: &'static str) -> Arg {
    option(name, "FILE", help).value_hint(ValueHint::FilePath)
}

/// Takes what the node takes, so that what it would refuse is refused before a key file is made.
fn is_text_of<T: FromStr>(text: &str) -> Result<String, T::Err> {
    text.parse::<T>().map(|_| text.to_owned())
}

fn tier() -> Arg {
    option(TIER, "TIER", "free, bronze, silver or gold").required(true).value_parser(is_text_of::<Tier>)
}

fn service() -> Arg {
    option(SERVICE, "ADDRESS", "Where it is reached: an IP address with a port")
        .value_parser(is_text_of::<ServiceAddress>)
}

fn payee() -> Arg {
    option(PAYEE, "ADDRESS[=SHARE]", "Who gets what it earns, up to eight; shares in basis points sum to 10000")
        .action(ArgAction::Append)
}

fn output() -> Arg {
    option(OUTPUT, "FILE", "Where the draft is written when others must sign; never over another file")
}

fn file(help: &'static str) -> Arg {
    Arg::new(FILE).value_name("FILE").required(true).help(help)
}

fn name() -> Arg {
    Arg::new(NAME).value_name("NAME|ID").help("Name or id of the masternode; else this node's")
}

fn count(default: &str) -> Arg {
    let help = format!("Of how many intervals [default: {default}]");
    Arg::new(COUNT).value_name("N").value_parser(clap::value_parser!(u64)).help(help)
}

fn id() -> Arg {
    Arg::new(ID).value_name("ID").help("Id of the masternode: its registration; else this node's")
}
