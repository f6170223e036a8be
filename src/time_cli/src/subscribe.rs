//! `subscribe`: events as they happen, one line each, for as long as somebody reads them. A connection that ends is made again, and what is final
//! is not missed.

use crate::connect::{Failure, NodeConnection};
use crate::printed::{self, fit_to_show};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;
use timed_rpc::Topic;
use tungstenite::client::client_with_config;
use tungstenite::error::Error as SocketError;
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::generate_key;
use tungstenite::http::Request;
use tungstenite::http::header::{AUTHORIZATION, CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

pub(crate) const SUBSCRIBE: &str = "subscribe";
const TOPIC: &str = "topic";
const ADDRESS: &str = "--address";
const WALLET: &str = "--wallet";
const OUTPUT: &str = "--output";
const DETAIL: &str = "--verbosity";
const AFTER: &str = "--after";
const COUNT: &str = "--count";

/// Longest time to reach the node, and for it to answer the request for a WebSocket.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// A node that sends nothing for so long is gone: it sends a ping every 15 s.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// Shortest and longest time before a connection is made again.
const AGAIN_MIN: Duration = Duration::from_millis(200);
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// Largest event: a full block with all transactions has some six times its own size. Unit: bytes.
const EVENT_BYTES_MAX: usize = 64 << 20;

/// `program` is how help calls it.
pub(crate) fn command(program: &str) -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name.trim_start_matches('-')).value_name(value).help(help)
    };
    Command::new(SUBSCRIBE)
        .visible_alias("events")
        .about("Shows events as they happen, until it is ended")
        .long_about(
            "Shows events as they happen, one line each; with --json, one object each. A connection that ends is made again, and goes on after the \
             last final event. Payments are those of the node's wallet unless addresses are given. docs/events.md explains each field.",
        )
        .arg(
            Arg::new(TOPIC)
                .value_name("TOPIC")
                .required(true)
                .num_args(1..)
                .value_parser(Topic::ALL.map(Topic::name))
                .help("What to follow"),
        )
        .arg(option(ADDRESS, "ADDRESS", "Payments and outputs of this address; may be repeated").action(ArgAction::Append))
        .arg(
            option(WALLET, "", "Payments and outputs of the node's wallet, beside those")
                .action(ArgAction::SetTrue)
                .num_args(0),
        )
        .arg(option(OUTPUT, "TXID:N", "The states of this output; may be repeated").action(ArgAction::Append))
        .arg(
            option(DETAIL, "N", "Of blocks: 0 the header, 1 with ids, 2 with transactions")
                .value_parser(clap::value_parser!(u64).range(0..=2))
                .default_value("0"),
        )
        .arg(option(AFTER, "CURSOR", "Begin after this height, or the cursor of an event"))
        .arg(option(COUNT, "N", "End after so many events").value_parser(clap::value_parser!(u64).range(1..)))
        .after_help(format!(
            "Examples:\n  {program} {SUBSCRIBE} payments\n  {program} {SUBSCRIBE} blocks --after 0\n  \
             {program} --json {SUBSCRIBE} payments --address ADDRESS | jq .state"
        ))
}

/// A subscription as it is asked for, and how far it has come.
struct Wanted {
    topic: Topic,
    options: Map<String, Value>,
    /// Of the last event.
    cursor: Option<String>,
}

impl Wanted {
    fn all(sub: &ArgMatches) -> Vec<Self> {
        let list = |name: &str| sub.get_many::<String>(name).into_iter().flatten().cloned().collect::<Vec<_>>();
        let topics: Vec<Topic> = list(TOPIC).iter().filter_map(|name| Topic::find(name)).collect();
        let (addresses, outputs) = (list(ADDRESS), list(OUTPUT));
        let of_wallet = |topic: Topic| {
            let has_others = !addresses.is_empty() || (topic == Topic::Outputs && !outputs.is_empty());
            sub.get_flag(WALLET) || !has_others
        };
        let wanted = topics.into_iter().map(|topic| {
            let mut options = Map::new();
            if matches!(topic, Topic::Payments | Topic::Outputs) {
                options.insert("addresses".into(), json!(addresses));
                options.insert("wallet".into(), of_wallet(topic).into());
            }
            if topic == Topic::Outputs {
                options.insert("outputs".into(), json!(outputs));
            }
            if topic == Topic::Blocks {
                options.insert("verbosity".into(), json!(sub.get_one::<u64>(DETAIL)));
            }
            let cursor = sub.get_one::<String>(AFTER).filter(|_| has_past(topic)).cloned();
            Self { topic, options, cursor }
        });
        wanted.collect()
    }

    fn call(&self, id: usize) -> String {
        let mut options = self.options.clone();
        if let Some(cursor) = &self.cursor {
            options.insert("after".into(), cursor.as_str().into());
        }
        let params = json!([self.topic.name(), options]);
        json!({ "jsonrpc": "2.0", "id": id, "method": "subscribe", "params": params }).to_string()
    }
}

const fn has_past(topic: Topic) -> bool {
    matches!(topic, Topic::Blocks | Topic::Payments | Topic::Outputs)
}

/// Why a connection ended.
enum FollowEnd {
    /// All was shown that was asked for, or nobody reads any more.
    Done,
    /// It can be made again.
    Lost(String),
    /// Making it again helps nobody.
    Failed(Failure),
}

impl From<SocketError> for FollowEnd {
    fn from(error: SocketError) -> Self {
        Self::Lost(error.to_string())
    }
}

/// Follows, and prints, until somebody ends it.
///
/// # Errors
/// When the node cannot be reached at the beginning, or refuses.
#[allow(clippy::disallowed_methods, reason = "a program at the edge: nothing announces a node that comes back")]
pub(crate) fn run(matches: &ArgMatches, sub: &ArgMatches, as_json: bool) -> Result<(), Failure> {
    let mut wanted = Wanted::all(sub);
    let mut left = sub.get_one::<u64>(COUNT).copied().unwrap_or(u64::MAX);
    let (mut was_there, mut again) = (false, AGAIN_MIN);
    loop {
        let mut has_answered = false;
        let end = match NodeConnection::open(matches) {
            Ok(node) => follow(&node, &mut wanted, as_json, &mut left, &mut has_answered),
            Err(failure) => FollowEnd::Failed(failure),
        };
        was_there |= has_answered;
        let why = match end {
            FollowEnd::Done => return Ok(()),
            // A node that was there comes back, perhaps with another cookie, and perhaps behind for a moment.
            FollowEnd::Failed(Failure::Unreachable(why) | Failure::Silent(why) | Failure::Refused(why))
                if was_there =>
            {
                why
            }
            FollowEnd::Failed(failure) => match failure.retry_after() {
                Some(_) if was_there => failure.to_string(),
                _ => return Err(failure),
            },
            FollowEnd::Lost(why) => why,
        };
        again = if has_answered { AGAIN_MIN } else { (again * 2).min(AGAIN_MAX) };
        eprintln!("connection lost: {}; again in {} ms", printed::one_line(&why), again.as_millis());
        std::thread::sleep(again);
    }
}

/// One connection.
fn follow(
    node: &NodeConnection,
    wanted: &mut [Wanted],
    as_json: bool,
    left: &mut u64,
    has_answered: &mut bool,
) -> FollowEnd {
    let mut socket = match connect(node) {
        Ok(socket) => socket,
        Err(failure) => return FollowEnd::Failed(failure),
    };
    for (id, one) in wanted.iter().enumerate() {
        if let Err(error) = socket.send(Message::text(one.call(id))) {
            return error.into();
        }
    }
    let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
    loop {
        let text = match socket.read() {
            Ok(Message::Text(text)) => text,
            Ok(Message::Close(close)) => {
                let why = close.map(|close| close.reason.to_string()).unwrap_or_default();
                return FollowEnd::Lost(why);
            }
            Ok(_) => continue,
            Err(error) => return error.into(),
        };
        let Ok(mut message) = serde_json::from_str::<Value>(&text) else {
            return FollowEnd::Failed(Failure::Refused("what the node sends is not JSON".into()));
        };
        if message.get("method").is_none() {
            match subscribed(&message) {
                Ok((number, position)) => drop(numbers.insert(number, position)),
                Err(end) => return end,
            }
            *has_answered = true;
            continue;
        }
        let event = message["params"].take();
        let cursor = event["cursor"].as_str().map(str::to_owned);
        let position = event["subscription"].as_u64().and_then(|number| numbers.get(&number));
        if let Some(one) = position.and_then(|position| wanted.get_mut(*position)).filter(|one| has_past(one.topic)) {
            one.cursor = cursor;
        }
        let line = if as_json { printed::line(&event) } else { shown(&fit_to_show(event)) };
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            return FollowEnd::Done;
        }
        *left -= 1;
        if *left == 0 {
            // The node need not wait for an answer to this.
            let _ = socket.close(None);
            return FollowEnd::Done;
        }
    }
}

/// The number of a subscription and which it is, or why there is none.
fn subscribed(answer: &Value) -> Result<(u64, usize), FollowEnd> {
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let failure = Failure::Rpc {
            code: error["code"].as_i64().unwrap_or_default(),
            message: error["message"].as_str().unwrap_or("no message").to_owned(),
            retry_after: error.pointer("/data/retry_after_ms").and_then(Value::as_u64).map(Duration::from_millis),
        };
        return Err(FollowEnd::Failed(failure));
    }
    let number = answer.pointer("/result/subscription").and_then(Value::as_u64);
    let position = answer.get("id").and_then(Value::as_u64).and_then(|id| usize::try_from(id).ok());
    number.zip(position).ok_or_else(|| {
        FollowEnd::Failed(Failure::Refused("this is no timed node: its answer has no subscription".into()))
    })
}

fn connect(node: &NodeConnection) -> Result<WebSocket<TcpStream>, Failure> {
    let host = node.host();
    let unreachable = |error: std::io::Error| Failure::Unreachable(format!("cannot reach a node at {host}: {error}"));
    let mut addresses = with_port(host).to_socket_addrs().map_err(unreachable)?;
    let address = addresses.next().ok_or_else(|| Failure::Unreachable(format!("{host} has no address")))?;
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIME).map_err(unreachable)?;
    stream
        .set_read_timeout(Some(CONNECT_TIME))
        .and_then(|()| stream.set_write_timeout(Some(CONNECT_TIME)))
        .map_err(unreachable)?;
    let mut request = Request::get(format!("ws://{host}/ws"))
        .header(HOST, host)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, generate_key());
    if let Some(authorization) = node.authorization() {
        request = request.header(AUTHORIZATION, authorization);
    }
    let request =
        request.body(()).map_err(|error| Failure::Usage(format!("{host} is no address of a node: {error}")))?;
    let config =
        WebSocketConfig::default().max_message_size(Some(EVENT_BYTES_MAX)).max_frame_size(Some(EVENT_BYTES_MAX));
    match client_with_config(request, stream, Some(config)) {
        Ok((socket, _)) => {
            socket.get_ref().set_read_timeout(Some(SILENT_MAX)).map_err(unreachable)?;
            Ok(socket)
        }
        Err(HandshakeError::Failure(SocketError::Http(response))) => {
            let status = response.status().as_u16();
            let text = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            Err(match status {
                401 => Failure::Refused(format!(
                    "{host} refused the credentials: use --data-dir, --cookie FILE, or --rpc-user and --rpc-password"
                )),
                404 => Failure::Refused(format!("{host} has no events: it is older than this program, or no node")),
                _ => Failure::Refused(format!("{host} answered with status {status}: {}", text.trim())),
            })
        }
        Err(HandshakeError::Failure(error)) => Err(Failure::Silent(format!("{host} gave no WebSocket: {error}"))),
        Err(HandshakeError::Interrupted(_)) => {
            Err(Failure::Silent(format!("{host} listens and did not answer in time")))
        }
    }
}

/// The address of a server whose URL may have left out the usual port.
fn with_port(host: &str) -> String {
    let has_port =
        host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty());
    if has_port { host.to_owned() } else { format!("{host}:80") }
}

/// An event for people.
fn shown(event: &Value) -> String {
    let text = |name: &str| match &event[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (height, topic, state) = (text("height"), text("topic"), text("state"));
    let rest = match (topic.as_str(), state.as_str()) {
        (_, "caught_up") => return format!("{height}  {topic}  all that was and is there has been shown"),
        ("blocks", _) => {
            let block = &event["block"];
            let count = block["nTx"].as_u64().unwrap_or_default();
            format!(
                "{}  {count} transaction{}",
                block["hash"].as_str().unwrap_or_default(),
                if count == 1 { "" } else { "s" }
            )
        }
        ("payments", _) => {
            let addresses = |name: &str| {
                let all = event[name].as_array().into_iter().flatten().filter_map(|one| one["address"].as_str());
                all.collect::<Vec<_>>().join(", ")
            };
            let (to, from, why) = (addresses("received"), addresses("spent"), text("why"));
            let mut rest = format!("{}  {} TIME", text("txid"), text("amount"));
            for (word, what) in [("to", to), ("from", from), ("because", why)] {
                if !what.is_empty() {
                    rest.push_str(&format!("  {word} {what}"));
                }
            }
            rest
        }
        ("outputs", _) => {
            let by = text("by");
            let by = if by.is_empty() { by } else { format!("  by {by}") };
            format!("{}:{}{by}", text("txid"), text("vout"))
        }
        ("peers", "down") => format!("{}  {}", text("addr"), text("why")),
        ("peers", _) => text("addr"),
        ("consensus", _) => format!("round {}", text("round")),
        ("masternodes", _) => format!("{}  {}", text("registration"), text("service")),
        _ => String::new(),
    };
    format!("{height}  {topic}  {state}  {rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_one_line() {
        for (event, expected) in [
            (
                json!({ "topic": "blocks", "height": 7, "state": "final", "block": { "hash": "ab", "nTx": 1 } }),
                "7  blocks  final  ab  1 transaction",
            ),
            (
                json!({ "topic": "blocks", "height": 7, "state": "caught_up" }),
                "7  blocks  all that was and is there has been shown",
            ),
            (
                json!({ "topic": "payments", "height": 7, "state": "final", "txid": "cd", "amount": 1.5, "received": [{ "address": "x" }, { "address": "y" }], "spent": [] }),
                "7  payments  final  cd  1.5 TIME  to x, y",
            ),
            (
                json!({ "topic": "payments", "height": 7, "state": "declined", "txid": "cd", "amount": 0, "received": [], "spent": [{ "address": "x" }], "why": "expired" }),
                "7  payments  declined  cd  0 TIME  from x  because expired",
            ),
            (
                json!({ "topic": "outputs", "height": 7, "state": "Locked", "txid": "cd", "vout": 1, "by": "ef" }),
                "7  outputs  Locked  cd:1  by ef",
            ),
            (
                json!({ "topic": "peers", "height": 7, "state": "down", "addr": "a:1", "why": "it left" }),
                "7  peers  down  a:1  it left",
            ),
            (
                json!({ "topic": "consensus", "height": 8, "state": "prevote", "round": 0 }),
                "8  consensus  prevote  round 0",
            ),
        ] {
            assert_eq!(shown(&event), expected);
        }
    }

    #[test]
    fn payments_are_those_of_the_wallet_unless_others_are_named() {
        let wanted = |words: &[&str]| {
            let matches = command("time-cli").try_get_matches_from(std::iter::once(&SUBSCRIBE).chain(words)).unwrap();
            let calls = Wanted::all(&matches)
                .iter()
                .map(|one| serde_json::from_str::<Value>(&one.call(0)).unwrap()["params"].clone())
                .collect();
            Value::Array(calls)
        };
        assert_eq!(wanted(&["payments"]), json!([["payments", { "addresses": [], "wallet": true }]]));
        assert_eq!(
            wanted(&["payments", "blocks", "--address", "x", "--after", "12-3", "--verbosity", "1"]),
            json!([
                ["payments", { "addresses": ["x"], "wallet": false, "after": "12-3" }],
                ["blocks", { "verbosity": 1, "after": "12-3" }],
            ])
        );
        assert_eq!(
            wanted(&["outputs", "peers", "--output", "t:1", "--after", "7"]),
            json!([["outputs", { "addresses": [], "wallet": false, "outputs": ["t:1"], "after": "7" }], ["peers", {}]])
        );
        assert_eq!([with_port("a:7100"), with_port("a"), with_port("[::1]:7")], ["a:7100", "a:80", "[::1]:7"]);
    }
}
