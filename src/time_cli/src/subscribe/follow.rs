//! Follows a node, over as many connections as it takes.

use super::command::{WantedTopic, count, has_past};
use super::shown::shown;
use crate::connect::{Failure, NodeConnection};
use crate::printed::{self, fit_to_show};
use clap::ArgMatches;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;
use tungstenite::client::client_with_config;
use tungstenite::error::Error as SocketError;
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::generate_key;
use tungstenite::http::Request;
use tungstenite::http::header::{AUTHORIZATION, CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

/// Longest time to reach the node, and for it to answer the request for a WebSocket.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// A node that sends nothing for so long is gone: it sends a ping every 15 s.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// Shortest and longest time before a connection is made again.
const AGAIN_MIN: Duration = Duration::from_millis(200);
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// Largest event: a full block with all transactions has some six times its own size. Unit: bytes.
const EVENT_BYTES_MAX: usize = 64 << 20;

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
    let mut wanted = WantedTopic::all(sub);
    let mut left = count(sub);
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
    wanted: &mut [WantedTopic],
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_the_usual_port_when_none_is_named() {
        assert_eq!([with_port("a:7100"), with_port("a"), with_port("[::1]:7")], ["a:7100", "a:80", "[::1]:7"]);
    }
}
