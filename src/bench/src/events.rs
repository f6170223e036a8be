//! How soon clients that follow by events hear of a final block: from the node's own log line to the event at the client, on the clock that both
//! share, for few and for many clients, on a node that is nearly idle and on one under full load.

use super::light_load::LightLoad;
use super::report::{self, Percentiles, ms, rounded};
use super::rpc_load::RpcNetwork;
use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, SystemTime};
use timed_ledger::{Address, KeyHash};
use timed_primitives::{Network, SecretKey};
use tungstenite::handshake::client::generate_key;
use tungstenite::http::Request;
use tungstenite::http::header::{AUTHORIZATION, CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use tungstenite::{Message, WebSocket};

/// Payments per second on a node that is nearly idle.
const LIGHT_RATE: f64 = 5.0;
/// Longest time without an event: a devnet makes a block every 10 s at least.
const EVENT_TIME: Duration = Duration::from_secs(30);
/// Between two runs.
const REST: Duration = Duration::from_secs(1);
/// To this many addresses the light load pays.
const PAYEES: u64 = 100;

/// Flags of `timed-bench events`.
#[derive(Clone, Debug, Args)]
pub(super) struct EventsArgs {
    /// How many masternodes to run. The first of them is followed.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20))]
    nodes: u64,
    /// Numbers of clients that follow, one after the other.
    #[arg(long, value_delimiter = ',', value_name = "N,...", default_values_t = [1, 100], value_parser = clap::value_parser!(u16).range(1..=120))]
    subscribers: Vec<u16>,
    /// How long each run takes, such as 10s.
    #[arg(long, default_value = "20s", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    time: Duration,
    /// Payments per second that count as full load.
    #[arg(long, default_value_t = 1_000, value_name = "R", value_parser = clap::value_parser!(u16).range(1..=20_000))]
    full_rate: u16,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Folder for the nodes' data and logs, kept afterwards [default: one below ~/.timed that is removed].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Measures and prints.
pub(super) fn run(arguments: &EventsArgs, program: &Path) -> anyhow::Result<()> {
    let rows = match &arguments.data_dir {
        Some(folder) => measure(arguments, program, folder)?,
        None => super::in_temporary_folder(|folder| measure(arguments, program, folder))?,
    };
    if arguments.json {
        let rows: Vec<Value> = rows.iter().map(EventsRow::as_json).collect();
        report::print_json(&json!({
            "what": "events",
            "setting": report::setting(),
            "nodes": arguments.nodes,
            "seconds": arguments.time.as_secs_f64(),
            "runs": rows,
        }));
        return Ok(());
    }
    for row in &rows {
        row.print();
    }
    Ok(())
}

/// What one run came to.
struct EventsRow {
    load: &'static str,
    rate: f64,
    subscribers: u16,
    blocks: usize,
    transactions: u64,
    /// From the node's log line that the block is final to the event at a client. Unit: milliseconds.
    blocks_ms: Percentiles,
    /// The same for payments of the light load; none under full load, whose payments concern nobody who follows.
    payments_ms: Option<Percentiles>,
}

impl EventsRow {
    fn as_json(&self) -> Value {
        json!({
            "load": self.load,
            "payments_per_second": self.rate,
            "subscribers": self.subscribers,
            "blocks": self.blocks,
            "transactions": self.transactions,
            "final_to_client_ms": self.blocks_ms,
            "payment_final_to_client_ms": self.payments_ms,
        })
    }

    fn print(&self) {
        let shown = |all: &Percentiles| format!("{:.2} / {:.2} / {:.2}", all.p50, all.p99, all.max);
        report::print_text(&format!(
            "{} ({} payments/s), {} subscribers, {} blocks: p50 / p99 / max {} ms{}",
            self.load,
            self.rate,
            self.subscribers,
            self.blocks,
            shown(&self.blocks_ms),
            self.payments_ms.as_ref().map(|all| format!("; payments {} ms", shown(all))).unwrap_or_default(),
        ));
    }
}

fn measure(arguments: &EventsArgs, program: &Path, folder: &Path) -> anyhow::Result<Vec<EventsRow>> {
    let mut network = RpcNetwork::with_outputs(arguments.nodes, 1, program, folder)?;
    let outcome = measure_all(arguments, &mut network);
    network.stop();
    outcome
}

fn measure_all(arguments: &EventsArgs, network: &mut RpcNetwork) -> anyhow::Result<Vec<EventsRow>> {
    let (mut rows, (folder, _)) = (Vec::new(), network.first()?);
    for subscribers in &arguments.subscribers {
        report::progress(format!("{subscribers} subscribers, nearly idle ..."));
        rows.push(one_run(network, *subscribers, ("light", LIGHT_RATE), |_| {
            let load = LightLoad::start(&folder, LIGHT_RATE);
            sleep(arguments.time);
            anyhow::ensure!(load.accepted() > 0, "the node took no payment");
            Ok(())
        })?);
        let rate = f64::from(arguments.full_rate);
        report::progress(format!("{subscribers} subscribers, {rate} payments per second ..."));
        rows.push(one_run(network, *subscribers, ("full", rate), |network| network.load(rate, arguments.time))?);
    }
    Ok(rows)
}

fn one_run(
    network: &mut RpcNetwork,
    subscribers: u16,
    (load, rate): (&'static str, f64),
    meanwhile: impl FnOnce(&mut RpcNetwork) -> anyhow::Result<()>,
) -> anyhow::Result<EventsRow> {
    let (folder, log) = network.first()?;
    let followers = EventFollowers::start(&folder, subscribers)?;
    let outcome = meanwhile(network);
    sleep(REST);
    let seen = followers.stop()?;
    outcome?;
    let finals = finals_of(&log)?;
    let latency = |(height, at): &(u64, SystemTime)| {
        let (final_at, _) = finals.get(height)?;
        // The line may be written a moment after the event was read, when both happen at once.
        Some(rounded(ms(at.duration_since(*final_at).unwrap_or_default()), 3))
    };
    let (blocks, payments): (Vec<_>, Vec<_>) = seen.into_iter().partition(|seen| seen.is_block);
    let of = |seen: &[SeenEvent]| seen.iter().filter_map(|seen| latency(&(seen.height, seen.at))).collect::<Vec<f64>>();
    let heights: BTreeMap<u64, u64> =
        blocks.iter().filter_map(|seen| Some((seen.height, finals.get(&seen.height)?.1))).collect();
    let payments = of(&payments);
    Ok(EventsRow {
        load,
        rate,
        subscribers,
        blocks: heights.len(),
        transactions: heights.values().sum(),
        blocks_ms: Percentiles::of(of(&blocks)),
        payments_ms: (!payments.is_empty()).then(|| Percentiles::of(payments)),
    })
}

/// An event that a client has read.
struct SeenEvent {
    is_block: bool,
    height: u64,
    at: SystemTime,
}

/// Clients that follow final blocks and payments of [`PAYEES`] addresses.
struct EventFollowers {
    is_over: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<SeenEvent>>>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl EventFollowers {
    fn start(folder: &Path, count: u16) -> anyhow::Result<Self> {
        let (cookie, address) = timed_rpc::read_cookie(folder).context("the node has no cookie")?;
        let mut followers = Self { is_over: Arc::default(), seen: Arc::default(), threads: Vec::new() };
        for _ in 0..count {
            let socket = subscribed(address, &cookie.header())?;
            let (is_over, seen) = (followers.is_over.clone(), followers.seen.clone());
            followers.threads.push(std::thread::spawn(move || follow(socket, &is_over, &seen)));
        }
        Ok(followers)
    }

    fn stop(self) -> anyhow::Result<Vec<SeenEvent>> {
        self.is_over.store(true, Ordering::Release);
        for thread in self.threads {
            match thread.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a client panicked"),
            }
        }
        Ok(std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// A client that has been sent all there was.
fn subscribed(address: SocketAddr, authorization: &str) -> anyhow::Result<WebSocket<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(EVENT_TIME))?;
    let request = Request::get(format!("ws://{address}/ws"))
        .header(HOST, address.to_string())
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, generate_key())
        .header(AUTHORIZATION, authorization)
        .body(())?;
    let (mut socket, _) =
        tungstenite::client(request, stream).map_err(|error| anyhow::anyhow!("no WebSocket: {error}"))?;
    let addresses: Vec<String> = (0..PAYEES)
        .map(|n| KeyHash::of(&SecretKey::development("payee", n).public()))
        .map(|key_hash| Address { network: Network::Devnet, key_hash }.to_string())
        .collect();
    for params in [json!(["blocks"]), json!(["payments", { "addresses": addresses }])] {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params });
        socket.send(Message::text(call.to_string()))?;
    }
    let mut caught_up = 0;
    while caught_up < 2 {
        let message: Value = serde_json::from_str(socket.read()?.to_text()?).unwrap_or_default();
        anyhow::ensure!(message.get("error").is_none(), "the node refuses: {message}");
        caught_up += u32::from(message["params"]["state"] == "caught_up");
    }
    Ok(socket)
}

fn follow(mut socket: WebSocket<TcpStream>, is_over: &AtomicBool, seen: &Mutex<Vec<SeenEvent>>) -> anyhow::Result<()> {
    socket.get_ref().set_read_timeout(Some(Duration::from_millis(200)))?;
    while !is_over.load(Ordering::Acquire) {
        let message = match socket.read() {
            Ok(message) => message,
            Err(tungstenite::Error::Io(error))
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                continue;
            }
            Err(error) => bail!("a client lost its connection: {error}"),
        };
        let at = SystemTime::now();
        if let Message::Close(close) = &message {
            bail!("a client was closed: {close:?}");
        }
        let Ok(message) = serde_json::from_str::<Value>(message.to_text().unwrap_or_default()) else { continue };
        let event = &message["params"];
        if event["state"] != "final" {
            continue;
        }
        let is_block = event["topic"] == "blocks";
        if let Some(height) = event["height"].as_u64() {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(SeenEvent { is_block, height, at });
        }
    }
    Ok(())
}

/// When each block was final by the node's log, and how many transactions it had.
fn finals_of(log: &Path) -> anyhow::Result<BTreeMap<u64, (SystemTime, u64)>> {
    let text = std::fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    let finals: BTreeMap<u64, (SystemTime, u64)> = text.lines().filter_map(final_line).collect();
    anyhow::ensure!(!finals.is_empty(), "{} names no final block", log.display());
    Ok(finals)
}

/// `2026-11-30T20:15:58.123456Z  INFO … block final height=12 … transactions=3 …`
fn final_line(line: &str) -> Option<(u64, (SystemTime, u64))> {
    let (time, rest) = line.split_once(' ')?;
    let (_, fields) = rest.split_once("block final ")?;
    let field = |name: &str| {
        fields.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok())
    };
    Some((field("height")?, (humantime::parse_rfc3339(time).ok()?, field("transactions")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_block_is_read_from_its_line() {
        let line = "2026-11-30T20:15:58.123456Z  INFO timed_actors::ledger: block final height=12 block=\"ab\" transactions=3 round=0";
        let (height, (at, transactions)) = final_line(line).unwrap();
        assert_eq!((height, transactions), (12, 3));
        assert_eq!(at.duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_micros(), 123_456);
        assert!(final_line("2026-11-30T20:15:58.123456Z  INFO something else").is_none());
    }
}
