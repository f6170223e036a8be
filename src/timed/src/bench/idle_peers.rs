//! One node with many peers that say nothing but pongs: what each costs, and whether any is lost.

use super::report::{self, float, rounded};
use super::usage;
use crate::local_nodes::{NodeProcess, Ports, Setup, choose};
use anyhow::Context as _;
use clap::Args;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use timed_actors::SystemClock;
use timed_actors::tls::{Secured, Tls};
use timed_actors::transport::{TcpTransport, Transport as _};
use timed_ledger::Genesis;
use timed_peer::{Direction, Handshake, HandshakeAction, LocalNode};
use timed_primitives::{Clock as _, SecretKey};
use timed_wire::{ControlMessage, Encoded, FrameCodec, Incoming, Message};
use tokio::io::AsyncWriteExt as _;
use tokio::task::LocalSet;
use tokio_util::codec::FramedRead;
use uuid::Uuid;

/// How long the node and its peers have to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Peers that connect at once.
const AT_ONCE: usize = 32;

/// Flags of `timed bench idle-peers`.
#[derive(Clone, Debug, Args)]
pub(super) struct IdlePeersArgs {
    /// How many.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    peers: u16,
    /// How long they stay, such as 10m.
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = crate::args::parse_duration)]
    time: Duration,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(arguments: &IdlePeersArgs) -> anyhow::Result<()> {
    let measured = super::in_temporary_folder(|folder| measure(arguments, folder))?;
    match arguments.json {
        true => report::print_json(&measured.as_json(arguments)),
        false => measured.print(),
    }
    Ok(())
}

/// What came out.
struct Measured {
    kib_per_peer: f64,
    cpu_percent: f64,
    files_per_peer: f64,
    pongs: u64,
    lost: u64,
}

/// What all peers did.
#[derive(Default)]
struct Told {
    pongs: AtomicU64,
    ended: AtomicU64,
}

fn measure(arguments: &IdlePeersArgs, folder: &Path) -> anyhow::Result<Measured> {
    let (ports, _) = choose(Ports::Free, 1)?;
    let own = *ports.first().context("this machine has no free ports on 127.0.0.1")?;
    let environment = vec![("TIMED__P2P__INBOUND_MAX", arguments.peers.to_string())];
    // An observer that dials nobody: nothing is decided, so that the peers are all it has to do.
    let node = Setup { id: 5, validators: 4, folder, ports: own, peers: Vec::new(), environment }.start()?;
    wait_until(&node, "answers", || super::ask(&node.folder, "getpeerinfo", json!([])).is_ok())?;
    std::thread::sleep(Duration::from_secs(2));
    let before = held(&node)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let told = Rc::new(Told::default());
        report::progress(format!("connecting {} peers ...", arguments.peers));
        connect_all(arguments.peers, own.0, &told).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        anyhow::ensure!(told.ended.load(Ordering::Relaxed) == 0, "the node did not take all of the peers");
        report::progress(format!("idle for {:?} ...", arguments.time));
        let (cpu, start, pongs) = (cpu(&node)?, Instant::now(), told.pongs.load(Ordering::Relaxed));
        tokio::time::sleep(arguments.time).await;
        let (cpu, elapsed) = (self::cpu(&node)?.saturating_sub(cpu), start.elapsed());
        let after = held(&node)?;
        let count = f64::from(arguments.peers);
        Ok(Measured {
            kib_per_peer: (after.0 - before.0) * 1_024.0 / count,
            cpu_percent: 100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64(),
            files_per_peer: (after.1 - before.1) / count,
            pongs: told.pongs.load(Ordering::Relaxed) - pongs,
            lost: told.ended.load(Ordering::Relaxed),
        })
    })
}

/// Memory in MiB and open files of the node.
fn held(node: &NodeProcess) -> anyhow::Result<(f64, f64)> {
    let (memory, _) = usage::memory_mib(node.pid()).context("the system does not tell a process's memory")?;
    let files = std::fs::read_dir(format!("/proc/{}/fd", node.pid())).context("the system does not tell open files")?;
    Ok((memory, float(files.count() as u64)))
}

fn cpu(node: &NodeProcess) -> anyhow::Result<Duration> {
    usage::cpu_time(node.pid()).context("the system does not tell a process's processor time")
}

fn wait_until(node: &NodeProcess, what: &str, is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !is_so() {
        anyhow::ensure!(start.elapsed() < PATIENCE, "node {} never {what}; its log is {}", node.id, node.log.display());
        std::thread::sleep(super::LOOK_EVERY);
    }
    Ok(())
}

async fn connect_all(count: u16, port: u16, told: &Rc<Told>) -> anyhow::Result<()> {
    let connecting = (0..u64::from(count)).map(|number| connect(number, port, told.clone()));
    let mut connecting = futures_util::stream::iter(connecting).buffer_unordered(AT_ONCE);
    let all = async {
        while let Some(connected) = connecting.next().await {
            connected?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, all).await.context("the peers do not all connect in time")?
}

/// Connects one peer, which then answers pings until the connection ends.
async fn connect(number: u64, port: u16, told: Rc<Told>) -> anyhow::Result<()> {
    let key = SecretKey::development("idle peer", number);
    let genesis = Genesis::devnet(4);
    let local = LocalNode {
        key: key.public(),
        consensus_key: None,
        chain_id: genesis.chain_id,
        genesis: genesis.hash(),
        agent: "bench".into(),
        instance: Uuid::from_u128(number.into()),
        listen_port: 0,
        external: None,
        height: 0,
        capabilities: 0,
        ping_interval: Duration::from_secs(15),
    };
    let (stream, _) = TcpTransport.connect(&format!("{}:{port}", Ipv4Addr::LOCALHOST)).await?;
    let Secured { stream, key, exporter } = Tls::new(&key)?.dial(stream, None).await?;
    let (mut handshake, hello) =
        Handshake::begin(SystemClock::start().now(), local, key, Direction::Outbound, exporter);
    let (read, mut write) = tokio::io::split(stream);
    send(&mut write, ControlMessage::Hello(Box::new(hello))).await?;
    let mut frames = FramedRead::new(read, FrameCodec::new());
    let greeting = frames.next().await.context("the node closed the connection before its greeting")??;
    let Incoming::Message { message, .. } = greeting else { anyhow::bail!("the node did not greet") };
    let action = handshake.on_message(&message);
    anyhow::ensure!(matches!(action, HandshakeAction::Up(_)), "the node's greeting: {action:?}");
    tokio::task::spawn_local(async move {
        while let Some(Ok(incoming)) = frames.next().await {
            if let Incoming::Message { message: Message::Control(ControlMessage::Ping { nonce }), .. } = incoming {
                if send(&mut write, ControlMessage::Pong { nonce }).await.is_err() {
                    break;
                }
                told.pongs.fetch_add(1, Ordering::Relaxed);
            }
        }
        told.ended.fetch_add(1, Ordering::Relaxed);
    });
    Ok(())
}

async fn send(stream: &mut (impl tokio::io::AsyncWrite + Unpin), message: ControlMessage) -> anyhow::Result<()> {
    let encoded = Encoded::new(&Message::Control(message))?;
    let frame = encoded.whole(usize::MAX).context("a control message fits in a frame")?;
    stream.write_all(frame).await?;
    Ok(stream.flush().await?)
}

impl Measured {
    fn as_json(&self, arguments: &IdlePeersArgs) -> Value {
        json!({
            "benchmark": "idle-peers",
            "setting": report::setting(),
            "peers": arguments.peers,
            "time_s": arguments.time.as_secs_f64(),
            "kib_per_peer": rounded(self.kib_per_peer, 1),
            "cpu_percent": rounded(self.cpu_percent, 2),
            "files_per_peer": rounded(self.files_per_peer, 3),
            "pongs": self.pongs,
            "lost": self.lost,
        })
    }

    fn print(&self) {
        report::print_rows(&[
            ("memory", format!("{:.1} KiB", self.kib_per_peer), "for each peer"),
            ("processor", format!("{:.2} %", self.cpu_percent), "of a core, for all"),
            ("open files", format!("{:.3}", self.files_per_peer), "for each peer"),
            ("pings answered", self.pongs.to_string(), ""),
            ("peers lost", self.lost.to_string(), ""),
        ]);
    }
}
