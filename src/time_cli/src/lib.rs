//! The client: `time-cli`, also `timed cli`. Asks a running node over JSON-RPC and shows the answer, for people unless `--json`.
//!
//! Its commands are the rows of [`timed_rpc::METHODS`]; a method that is added there is a command here at once.

mod audit;
mod command;
mod connect;
mod habits;
mod health;
mod masternode;
mod params;
mod printed;
mod subscribe;
pub mod table;
mod view;
mod wallet;
mod wallet_command;
mod wrap;

pub use audit::{WalkProgress, audit_report, difference_report};
pub use connect::{DATA_DIR_VARIABLE, Failure, NodeConnection, no_answer, web_address};
pub use health::health;
use printed::{fit_to_show, json, printable_lines};
use serde_json::{Value, json as value_of};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;
use timed_rpc::Method;

/// The node refused or failed the call; its message is on standard error.
const EXIT_ERROR: u8 = 1;
/// The command line is wrong.
const EXIT_USAGE: u8 = 2;
/// Nobody listens where the node should be.
const EXIT_UNREACHABLE: u8 = 3;
/// Something listens there and does not answer.
const EXIT_SILENT: u8 = 4;

/// How long `--rpc-wait` waits.
const WAIT_SECONDS: u32 = 60;
/// Bitcoin's number of the error of a node that is starting.
const WARMUP: i64 = -28;

/// Runs the client as `timed cli`, with the arguments behind these two words.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    run_as("timed cli", arguments)
}

/// Runs the client with the arguments behind the program's name. `program` is how help calls it.
pub fn run_as(program: &'static str, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match habits::translated(arguments, || params::from_stdin(&mut std::io::stdin())) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("error: {}", printable_lines(&wrong));
            return EXIT_USAGE.into();
        }
    };
    let all = std::iter::once(OsString::from(program)).chain(arguments);
    let matches = match command::command(program).try_get_matches_from(all) {
        Ok(matches) => matches,
        Err(error) => {
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            // The terminal may be gone; then nobody can read it.
            let _ = error.print();
            return code.into();
        }
    };
    match execute_when_ready(&matches) {
        Ok(text) => print(&text),
        Err(failure) => {
            eprintln!("error: {}", printable_lines(&failure.to_string()));
            match failure {
                Failure::Usage(_) => EXIT_USAGE.into(),
                Failure::Unreachable(_) => EXIT_UNREACHABLE.into(),
                Failure::Silent(_) => EXIT_SILENT.into(),
                Failure::Rpc { .. } | Failure::Refused(_) | Failure::Audit(_) => EXIT_ERROR.into(),
            }
        }
    }
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write the answer: {error}");
            EXIT_ERROR.into()
        }
    }
}

/// With `--rpc-wait`, tries again until a node is there and has started.
#[allow(clippy::disallowed_methods, reason = "a program at the edge: nothing announces a node that starts elsewhere")]
fn execute_when_ready(matches: &clap::ArgMatches) -> Result<String, Failure> {
    let tries = if matches.get_flag(command::WAIT) { WAIT_SECONDS } else { 0 };
    for _ in 0..tries {
        match execute(matches) {
            Err(Failure::Unreachable(_) | Failure::Rpc { code: WARMUP, .. }) => {
                std::thread::sleep(Duration::from_secs(1));
            }
            result => return result,
        }
    }
    execute(matches)
}

/// Does what is asked and returns what to print.
fn execute(matches: &clap::ArgMatches) -> Result<String, Failure> {
    let (name, sub) = matches.subcommand().ok_or_else(|| Failure::Usage("name a command; --help lists them".into()))?;
    let as_json = matches.get_flag(command::JSON);
    let width = terminal_width();
    let view = view::CliView { now: unix_seconds(), color: use_color(matches), width };
    let fitted = |text: String| wrap::wrapped(&text, width);
    match name {
        command::STATUS => {
            let mut connection = NodeConnection::open(matches)?;
            let answers = [
                ("getblockchaininfo", connection.call("getblockchaininfo", Value::Null)?),
                ("getnetworkinfo", connection.call("getnetworkinfo", Value::Null)?),
                ("getmempoolinfo", connection.call("getmempoolinfo", Value::Null)?),
                ("getconsensusinfo", connection.call("getconsensusinfo", Value::Null)?),
                ("uptime", connection.call("uptime", Value::Null)?),
            ];
            let whole = Value::Object(answers.into_iter().map(|(name, answer)| (name.to_owned(), answer)).collect());
            Ok(if as_json { json(&whole) } else { fitted(view.status(&fit_to_show(whole))) })
        }
        command::CONSENSUS => {
            let info = NodeConnection::open(matches)?.call("getconsensusinfo", Value::Null)?;
            Ok(if as_json { json(&info) } else { fitted(view.consensus_why(&fit_to_show(info))) })
        }
        subscribe::SUBSCRIBE => subscribe::run(matches, sub, as_json).map(|()| String::new()),
        audit::AUDIT => {
            let (report, difference) = audit::run(matches, sub)?;
            let text = shown(&report, as_json);
            match difference {
                None => Ok(text),
                Some(error) => {
                    print(&text);
                    Err(Failure::Audit(error))
                }
            }
        }
        masternode::MASTERNODE => {
            let text = masternode::run(matches, sub, &masternode::ShownAs { view: &view, as_json })?;
            Ok(if as_json { text } else { fitted(text) })
        }
        wallet_command::WALLET => Ok(fitted(wallet::run(matches, sub, as_json)?)),
        command::PEER => {
            let (what, sub) =
                sub.subcommand().ok_or_else(|| Failure::Usage("peer list, peer why or peer history".into()))?;
            let name = (what != command::PEER_LIST).then(|| sub.get_one::<String>(command::PEER_NAME)).flatten();
            let (method, params) = match what {
                command::PEER_LIST => ("getpeerinfo", value_of!([])),
                command::PEER_WHY => ("getpeerhistory", value_of!([name, 1])),
                _ => ("getpeerhistory", value_of!([name.map_or("", String::as_str)])),
            };
            let result = NodeConnection::open(matches)?.call(method, params)?;
            if as_json {
                return Ok(json(&result));
            }
            let result = fit_to_show(result);
            Ok(fitted(match what {
                command::PEER_LIST => view.peers(&result),
                command::PEER_WHY => view.peer_why(&result),
                _ => view.peer_history(&result),
            }))
        }
        name => {
            let method = Method::find(name).ok_or_else(|| Failure::Usage(format!("unknown command {name:?}")))?;
            if method.name == "help" {
                return help(sub.get_one::<String>("command").map(String::as_str));
            }
            let given: Vec<String> = method
                .params
                .iter()
                .filter_map(|param| sub.get_many::<String>(param.name))
                .flatten()
                .cloned()
                .collect();
            let params = params::read(method, given, &mut std::io::stdin()).map_err(Failure::Usage)?;
            let mut connection = NodeConnection::open(matches)?;
            let result = connection.call(method.name, params)?;
            Ok(if as_json { json(&result) } else { fitted(view.result(method.call, &fit_to_show(result))) })
        }
    }
}

/// The table of methods is the node's own, so no node is needed to explain it.
fn help(name: Option<&str>) -> Result<String, Failure> {
    match name {
        None => Ok(timed_rpc::help_all()),
        Some(name) => match Method::find(name) {
            Some(method) => Ok(method.help()),
            None => {
                let nearest = Method::nearest(name).map(|n| format!(", did you mean {n:?}?")).unwrap_or_default();
                Err(Failure::Usage(format!("unknown method {name:?}{nearest}")))
            }
        },
    }
}

/// A report, as the answer of a node would be shown.
pub fn shown(report: &Value, as_json: bool) -> String {
    if as_json {
        json(report)
    } else {
        view::CliView { now: unix_seconds(), color: false, width: None }.plain(&fit_to_show(report.clone()))
    }
}

/// Colour on a terminal, unless set otherwise by flag or by `NO_COLOR` (no-color.org).
fn use_color(matches: &clap::ArgMatches) -> bool {
    match matches.get_one::<String>(command::COLOR).map(String::as_str) {
        Some("always") => true,
        Some("never") => false,
        _ => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// How wide the terminal is that the output goes to. Unit: columns.
fn terminal_width() -> Option<usize> {
    let out = console::Term::stdout();
    out.is_term().then(|| out.size_checked()).flatten().map(|(_, columns)| usize::from(columns))
}

/// The time now, against which ages are shown.
#[allow(clippy::disallowed_methods, reason = "a program at the edge: it shows people how long ago something was")]
fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_others_forges_a_row_or_reaches_the_terminal() {
        let evil = "x\n9  127.0.0.1:1  forged\u{1b}[2J\u{9b}2J";
        let peers = value_of!([{ "id": 1, "addr": evil, "node_key": evil, "subver": evil, "conntime": 0, "lanes": [], "dropped": {} }]);
        let view = view::CliView { now: 10, color: false, width: None };
        let texts = [
            view.peers(&fit_to_show(peers.clone())),
            view.plain(&fit_to_show(value_of!({ evil: evil }))),
            shown(&peers, false),
            json(&peers),
        ];
        for text in texts {
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
            assert!(!text.lines().any(|line| line.trim_start().starts_with("9  127")), "{text}");
        }
        assert_eq!(serde_json::from_str::<Value>(&json(&peers)).unwrap(), peers, "programs read what was sent");
    }
}
