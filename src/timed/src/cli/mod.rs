//! The client: `time-cli`, also `timed cli`. Asks a running node over JSON-RPC and shows the answer, for people unless `--json`.
//!
//! Its commands are the rows of [`timed_rpc::METHODS`]; a method that is added there is a command here at once.

mod command;
mod connect;
mod params;
pub(crate) mod table;
mod view;

pub use connect::{Connection, Failure};
pub(crate) use connect::{DATA_DIR_VARIABLE, no_answer, web_address};
use serde_json::{Value, json as value_of};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use timed_rpc::Method;

/// The node refused or failed the call; its message is on standard error.
const EXIT_ERROR: u8 = 1;
/// The command line is wrong.
const EXIT_USAGE: u8 = 2;
/// Nobody listens where the node should be.
const EXIT_UNREACHABLE: u8 = 3;
/// Something listens there and does not answer.
const EXIT_SILENT: u8 = 4;

/// Runs the client as `timed cli`, with the arguments behind these two words.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    run_as("timed cli", arguments)
}

/// Runs the client with the arguments behind the program's name. `program` is how help calls it.
pub fn run_as(program: &'static str, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let all = std::iter::once(OsString::from(program)).chain(arguments);
    let matches = match command::command(program).try_get_matches_from(all) {
        Ok(matches) => matches,
        Err(error) => {
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            // The terminal may be gone; then there is nobody to tell.
            let _ = error.print();
            return code.into();
        }
    };
    match execute(&matches) {
        Ok(text) => print(&text),
        Err(failure) => {
            eprintln!("error: {failure}");
            match failure {
                Failure::Usage(_) => EXIT_USAGE.into(),
                Failure::Unreachable(_) => EXIT_UNREACHABLE.into(),
                Failure::Silent(_) => EXIT_SILENT.into(),
                Failure::Rpc { .. } | Failure::Refused(_) => EXIT_ERROR.into(),
            }
        }
    }
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub(crate) fn print(text: &str) -> ExitCode {
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

/// Does what is asked and returns what to print.
fn execute(matches: &clap::ArgMatches) -> Result<String, Failure> {
    let (name, sub) = matches.subcommand().ok_or_else(|| Failure::Usage("name a command; --help lists them".into()))?;
    let as_json = matches.get_flag(command::JSON);
    let view = view::View { now: unix_seconds(), color: use_color(matches) };
    match name {
        command::STATUS => {
            let mut connection = Connection::open(matches)?;
            let answers = [
                ("getblockchaininfo", connection.call("getblockchaininfo", Value::Null)?),
                ("getnetworkinfo", connection.call("getnetworkinfo", Value::Null)?),
                ("getmempoolinfo", connection.call("getmempoolinfo", Value::Null)?),
                ("getconsensusinfo", connection.call("getconsensusinfo", Value::Null)?),
                ("uptime", connection.call("uptime", Value::Null)?),
            ];
            let whole = Value::Object(answers.into_iter().map(|(name, answer)| (name.to_owned(), answer)).collect());
            Ok(if as_json { json(&whole) } else { view.status(&whole) })
        }
        command::CONSENSUS => {
            let info = Connection::open(matches)?.call("getconsensusinfo", Value::Null)?;
            Ok(if as_json { json(&info) } else { view.consensus_why(&info) })
        }
        command::PEER => {
            let (what, sub) =
                sub.subcommand().ok_or_else(|| Failure::Usage("peer list, peer why or peer history".into()))?;
            let name = (what != command::PEER_LIST).then(|| sub.get_one::<String>(command::PEER_NAME)).flatten();
            let (method, params) = match what {
                command::PEER_LIST => ("getpeerinfo", value_of!([])),
                command::PEER_WHY => ("getpeerhistory", value_of!([name, 1])),
                _ => ("getpeerhistory", value_of!([name.map_or("", String::as_str)])),
            };
            let result = Connection::open(matches)?.call(method, params)?;
            Ok(match what {
                _ if as_json => json(&result),
                command::PEER_LIST => view.peers(&result),
                command::PEER_WHY => view.peer_why(&result),
                _ => view.peer_history(&result),
            })
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
            let mut connection = Connection::open(matches)?;
            let result = connection.call(method.name, params)?;
            Ok(if as_json { json(&result) } else { view.result(method.call, &result) })
        }
    }
}

/// The table of methods is the node's own, so no node is needed to explain it.
fn help(name: Option<&str>) -> Result<String, Failure> {
    match name {
        None => Ok(timed_rpc::method::help_all()),
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
pub(crate) fn shown(report: &Value, as_json: bool) -> String {
    if as_json { json(report) } else { view::View { now: unix_seconds(), color: false }.plain(report) }
}

fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Colour on a terminal, unless told otherwise by flag or by `NO_COLOR` (no-color.org).
fn use_color(matches: &clap::ArgMatches) -> bool {
    match matches.get_one::<String>(command::COLOR).map(String::as_str) {
        Some("always") => true,
        Some("never") => false,
        _ => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// The time now, against which ages are shown.
#[allow(clippy::disallowed_methods, reason = "a program at the edge: it shows people how long ago something was")]
fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}
