//! The command line of the client, made from the table of methods.

use crate::{audit, masternode, params, subscribe, wallet_command};
use clap::{Arg, ArgAction, Command};
use timed_rpc::{METHODS, Method, ParamKind};

/// Help is no wider, on whatever terminal. Unit: columns.
const HELP_WIDTH: usize = 80;

/// Options are known by their dashes too, since a method may have a parameter of the same name (`timeout`).
pub(crate) const DATA_DIR: &str = "--data-dir";
pub(crate) const NODE: &str = "--node";
pub(crate) const RPC_URL: &str = "--rpc-url";
pub(crate) const RPC_USER: &str = "--rpc-user";
pub(crate) const RPC_PASSWORD: &str = "--rpc-password";
pub(crate) const COOKIE: &str = "--cookie";
pub(crate) const TIMEOUT: &str = "--timeout";
pub(crate) const JSON: &str = "--json";
pub(crate) const COLOR: &str = "--color";
pub(crate) const WAIT: &str = "--rpc-wait";
pub(crate) const WALLET_OF: &str = "--wallet";
pub(crate) const STATUS: &str = "status";
pub(crate) const CONSENSUS: &str = "consensus";
pub(crate) const PEER: &str = "peer";
pub(crate) const PEER_LIST: &str = "list";
pub(crate) const PEER_WHY: &str = "why";
pub(crate) const PEER_HISTORY: &str = "history";
/// Argument of the commands below `peer`.
pub(crate) const PEER_NAME: &str = "peer-name";

/// The whole command line. `program` is how help calls it.
pub(crate) fn command(program: &'static str) -> Command {
    let command = Command::new(program)
        .bin_name(program)
        .max_term_width(HELP_WIDTH)
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "Asks a running timed node and shows the answer.\n\nWithout --data-dir or --rpc-url it asks the first node that runs on \
             this machine. Parameters come in order or by name (verbosity=2). Methods may be written in any \
             case and with hyphens. Options of bitcoin-cli are taken too: -getinfo, -rpcconnect=HOST, -rpcport=PORT, -datadir=DIR, -rpcuser=NAME, \
             -rpcpassword=PASSWORD, -rpccookiefile=FILE, -rpcwallet=NAME, -named, -stdin, -rpcwait.",
        )
        .after_help(format!(
            "Examples:\n  {program} status\n  {program} getblock 12 verbosity=2\n  {program} --node 2 get-peer-info\n  \
             {program} --json getblockchaininfo | jq .blocks\n\nExit status: 0 answered, 1 the node refused, 2 wrong command line, 3 no \
             node answers."
        ))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .args(options());
    let status = Command::new(STATUS).visible_alias("getinfo").about("Everything that matters, on one page");
    let why = Command::new("why").about("Why the current height is not decided yet");
    let consensus = Command::new(CONSENSUS).about("Explains consensus").subcommand_required(true).subcommand(why);
    command
        .subcommands([status, consensus, peer(program), subscribe::command(program)])
        .subcommands([masternode::command(program), audit::command(program)])
        .subcommand(wallet_command::command(program))
        .subcommands(METHODS.iter().map(|method| subcommand(program, method)))
}

/// Who is connected, and why somebody is not.
fn peer(program: &str) -> Command {
    let name = || Arg::new(PEER_NAME).value_name("PEER").help(format!("The peer: {}", ParamKind::Peer.expected()));
    let list = Command::new(PEER_LIST).about("Each connected peer");
    let why = Command::new(PEER_WHY)
        .about("Why the last session with a peer ended, and what was going on")
        .arg(name().required(true));
    let history = Command::new(PEER_HISTORY).about("How the last sessions ended, of one peer or of all").arg(name());
    Command::new(PEER)
        .about("Explains peers: who is connected, and why a session ended")
        .after_help(format!("Examples:\n  {program} {PEER} {PEER_LIST}\n  {program} {PEER} {PEER_WHY} 127.0.0.1:7001"))
        .subcommand_required(true)
        .subcommands([list, why, history])
}

fn options() -> [Arg; 11] {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name.trim_start_matches('-'))
            .value_name(value)
            .help(help)
            .global(true)
            .help_heading("Options of every command")
    };
    [
        option(DATA_DIR, "DIR", "Ask the node with this data folder [env: TIMED__NODE__DATA_DIR]")
            .conflicts_with_all([RPC_URL, COOKIE]),
        option(NODE, "ID", "Ask development node ID of this machine")
            .value_parser(clap::value_parser!(u64))
            .conflicts_with(RPC_URL),
        option(RPC_URL, "URL", "Ask the node at this address, such as http://127.0.0.1:7100"),
        option(RPC_USER, "NAME", "Name for --rpc-url").env("TIMED__RPC__USER"),
        option(RPC_PASSWORD, "PASSWORD", "Password for --rpc-url").env("TIMED__RPC__PASSWORD").hide_env_values(true),
        option(COOKIE, "FILE", "Cookie file for --rpc-url"),
        option(WALLET_OF, "NAME", "The wallet that is meant, when several are loaded; \"\" is the node's own"),
        option(TIMEOUT, "SECONDS", "Longest time to wait for an answer, also of a node that is busy")
            .value_parser(clap::value_parser!(u64).range(1..=3600))
            .default_value("30"),
        option(COLOR, "WHEN", "Colours: auto, always or never")
            .value_parser(["auto", "always", "never"])
            .default_value("auto"),
        option(WAIT, "", "Wait until the node answers, for a minute at most").action(ArgAction::SetTrue).num_args(0),
        option(JSON, "", "Show the result as JSON, for programs").action(ArgAction::SetTrue).num_args(0),
    ]
}

fn subcommand(program: &str, method: &'static Method) -> Command {
    let example = format!("Returns {}.\n\nExample:\n  {program} {} {}", method.returns, method.name, method.example);
    let command = Command::new(method.name).about(method.summary).after_help(example.trim_end().to_owned());
    let command = match long_usage(program, method) {
        Some(usage) => command.override_usage(usage),
        None => command,
    };
    let command = if method.kebab == method.name { command } else { command.alias(method.kebab) };
    let last = method.params.len().saturating_sub(1);
    command.args(method.params.iter().enumerate().map(|(i, param)| {
        let help = match param.default {
            None | Some("") => format!("{} ({})", param.help, param.kind.expected()),
            Some(default) => format!("{} ({}) [default: {default}]", param.help, param.kind.expected()),
        };
        // A list takes all words without a name, so that what stands behind it is given by name.
        let has_list = method.params.iter().any(|p| params::takes_many(p.kind));
        let arg = Arg::new(param.name)
            .value_name(param.name)
            .help(help)
            .required(param.default.is_none())
            .allow_negative_numbers(true);
        if has_list && i == last { arg.num_args(1..) } else { arg }
    }))
}

/// The line of usage in parts that fit, when it does not: nobody else breaks that line.
fn long_usage(program: &str, method: &Method) -> Option<String> {
    const HEAD: usize = "Usage: ".len();
    let mut lines = vec![format!("{program} {} [OPTIONS]", method.name)];
    for word in method.usage().split(' ').skip(1) {
        match lines.last_mut().filter(|line| HEAD + line.len() + 1 + word.len() <= HELP_WIDTH) {
            Some(line) => line.extend([" ", word]),
            None => lines.push(format!("  {word}")),
        }
    }
    (lines.len() > 1).then(|| lines.join(&format!("\n{}", " ".repeat(HEAD))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_help_fits_a_terminal_and_no_example_is_broken() {
        fn check(command: &mut Command) -> usize {
            let [short, long] = [command.render_help(), command.render_long_help()].map(|text| text.to_string());
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = examples.lines().filter(|line| line.starts_with("  ")).map(str::to_owned);
            for line in short.lines().chain(long.lines()).map(str::to_owned).chain(examples) {
                assert!(line.chars().count() <= HELP_WIDTH, "{}: {line}", command.get_name());
            }
            1 + command.get_subcommands_mut().map(check).sum::<usize>()
        }
        for program in ["time-cli", "timed cli"] {
            let mut command = command(program);
            command.build();
            assert!(check(&mut command) > METHODS.len());
        }
    }

    /// Two of one name would be one with two meanings, which only the command that reads it notices, by a panic.
    #[test]
    fn no_command_has_an_option_of_every_command_as_its_own() {
        fn own(command: &Command, of_every: &[String], found: &mut Vec<String>) {
            let twice = command.get_arguments().filter(|arg| of_every.iter().any(|name| name == arg.get_id().as_str()));
            found.extend(twice.map(|arg| format!("{} {}", command.get_name(), arg.get_id())));
            command.get_subcommands().for_each(|below| own(below, of_every, found));
        }
        let whole = command("time-cli");
        let of_every: Vec<String> = options().iter().map(|option| option.get_id().to_string()).collect();
        let mut found = Vec::new();
        whole.get_subcommands().for_each(|below| own(below, &of_every, &mut found));
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn every_method_is_a_command_with_help_and_an_example() {
        command("time-cli").debug_assert();
        for method in METHODS {
            for name in [method.name, method.kebab] {
                let error = command("time-cli").try_get_matches_from(["time-cli", name, "--help"]).unwrap_err();
                // Lines are broken anywhere; the words count.
                let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(text.contains(method.summary) && text.contains("Example:"), "{text}");
                assert!(method.params.iter().all(|p| text.contains(p.help)), "{text}");
            }
        }
    }
}
