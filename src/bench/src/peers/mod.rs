//! What the peer actors cost: messages between two nodes on loopback, by peer managers and peer actors as in the daemon, and by plain tasks
//! over the same TLS and the same frames, in turns in the same run. Each node has one thread.

pub(super) mod path;

use super::report::{self, Percentiles, float, median, rounded};
use super::usage::process_cpu_time;
use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use path::{BenchEnd, BenchSide};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use timed_wire::ConsensusMessage;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::LocalSet;

/// Longest wait for messages under way: far more than they take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Flags of `timed-bench peers`.
#[derive(Clone, Debug, Args)]
pub(super) struct PeersArgs {
    /// How often each thing is measured, in turns; the medians are shown.
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    repetitions: u16,
    /// How long messages are sent in one repetition, such as 300ms.
    #[arg(long, default_value = "300ms", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    time: Duration,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(arguments: &PeersArgs) -> anyhow::Result<()> {
    let (mut actors, mut plain) = (PathFigures::default(), PathFigures::default());
    like_a_node_that_has_seen_a_block();
    on_one_thread(async {
        let far = FarNode::start()?;
        let addresses = far.addresses.await.context("the far node has ended")?;
        let near_actors = path::actors(BenchSide::Near, None, Some(addresses.actors)).await?;
        let near_plain = path::plain(BenchSide::Near, None, Some(addresses.plain)).await?;
        let mut both = [(near_actors, &far.actors, &mut actors), (near_plain, &far.plain, &mut plain)];
        report::progress(format!("measuring {} repetitions ...", arguments.repetitions));
        for repetition in 0..=arguments.repetitions {
            // The other order each time, so that neither always comes first.
            both.reverse();
            for (end, far, figures) in &mut both {
                let taken = measure(end, far, arguments.time).await?;
                // The first is for warming up.
                if repetition > 0 {
                    figures.push(taken);
                }
            }
        }
        drop(both);
        far.stop.send(()).ok();
        far.thread.join().map_err(|_| anyhow::anyhow!("the far node has panicked"))?
    })?;
    match arguments.json {
        true => report::print_json(&as_json(&actors, &plain, arguments)),
        false => print(&actors, &plain),
    }
    Ok(())
}

/// The allocator of the system returns memory at once until something larger than that has been freed. A node has freed blocks of 1 MiB
/// soon after its start; without this, most of what is measured on either way would be memory coming and going.
pub(super) fn like_a_node_that_has_seen_a_block() {
    drop(std::hint::black_box(vec![1_u8; 4 << 20]));
}

/// Runs a node on the calling thread.
pub(super) fn on_one_thread<T>(node: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, node)
}

/// Sizes of messages, and how many may be under way: enough to keep both nodes busy, and less than any queue holds.
#[derive(Clone, Copy)]
struct MessageLoad {
    message: fn() -> ConsensusMessage,
    window: usize,
    /// After so many arrivals the sender gets a report.
    report_after: usize,
}

/// A vote, 200 bytes as a frame.
const SMALL: MessageLoad =
    MessageLoad { message: || ConsensusMessage::Vote(Bytes::from_static(&[7; 193])), window: 512, report_after: 128 };
/// A block, 64 KiB as a frame.
const LARGE: MessageLoad = MessageLoad {
    message: || ConsensusMessage::Block(Bytes::from_static(&[7; 64 * 1024 - 8])),
    window: 32,
    report_after: 8,
};

/// What the far node does with what arrives on one path.
struct Answering {
    /// Arrivals after which the sender gets a report; 0 sends every message back.
    report_after: AtomicUsize,
    arrived: Semaphore,
}

impl Answering {
    fn new() -> Arc<Self> {
        Arc::new(Self { report_after: AtomicUsize::new(0), arrived: Semaphore::new(0) })
    }

    async fn run(&self, mut end: BenchEnd) {
        let mut unreported = 0;
        while let Some(inbound) = end.arrivals.recv().await {
            match self.report_after.load(Ordering::Acquire) {
                0 => end.sender.send(inbound.message),
                report_after => {
                    unreported += 1;
                    if unreported >= report_after {
                        self.arrived.add_permits(unreported);
                        unreported = 0;
                    }
                }
            }
        }
    }
}

/// Where the far node listens for each path.
struct Addresses {
    actors: SocketAddr,
    plain: SocketAddr,
}

/// The node at the other end, on a thread of its own.
struct FarNode {
    addresses: oneshot::Receiver<Addresses>,
    actors: Arc<Answering>,
    plain: Arc<Answering>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl FarNode {
    fn start() -> anyhow::Result<Self> {
        let (sender, addresses) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let (actors, plain) = (Answering::new(), Answering::new());
        let (for_actors, for_plain) = (actors.clone(), plain.clone());
        let node = move || {
            on_one_thread(async move {
                let (by_actors, actors) = path::listen().await?;
                let (by_tasks, plain) = path::listen().await?;
                sender.send(Addresses { actors, plain }).ok().context("nobody dials")?;
                let end = path::actors(BenchSide::Far, Some(by_actors), None).await?;
                tokio::task::spawn_local(async move { for_actors.run(end).await });
                let end = path::plain(BenchSide::Far, Some(by_tasks), None).await?;
                tokio::task::spawn_local(async move { for_plain.run(end).await });
                let _ = stopped.await;
                Ok(())
            })
        };
        let thread = std::thread::Builder::new().name("far node".into()).spawn(node)?;
        Ok(Self { addresses, actors, plain, stop, thread })
    }
}

/// One repetition on one path.
struct PathRun {
    small: MessageRate,
    large: MessageRate,
    round_trip: Percentiles,
}

#[derive(Clone, Copy)]
struct MessageRate {
    per_second: f64,
    /// Processor time of both nodes together for one message. Unit: µs.
    cpu_us: f64,
}

async fn measure(end: &mut BenchEnd, far: &Answering, time: Duration) -> anyhow::Result<PathRun> {
    let small = one_way(end, far, SMALL, time).await?;
    let large = one_way(end, far, LARGE, time).await?;
    far.report_after.store(0, Ordering::Release);
    let round_trip = round_trips(end, time).await?;
    Ok(PathRun { small, large, round_trip })
}

/// Sends for so long, waits until all has arrived.
async fn one_way(end: &BenchEnd, far: &Answering, load: MessageLoad, time: Duration) -> anyhow::Result<MessageRate> {
    far.report_after.store(load.report_after, Ordering::Release);
    far.arrived.add_permits(load.window);
    let room = async |count: usize| {
        let count = u32::try_from(count)?;
        let room = tokio::time::timeout(PATIENCE, far.arrived.acquire_many(count));
        room.await.context("messages were lost")??.forget();
        anyhow::Ok(())
    };
    let (start, cpu, mut sent) = (Instant::now(), process_cpu_time(), 0);
    while start.elapsed() < time {
        room(load.report_after).await?;
        for _ in 0..load.report_after {
            end.sender.send((load.message)());
        }
        sent += load.report_after as u64;
    }
    room(load.window).await?;
    let (elapsed, cpu) = (start.elapsed(), process_cpu_time().saturating_sub(cpu));
    Ok(MessageRate { per_second: float(sent) / elapsed.as_secs_f64(), cpu_us: 1e6 * cpu.as_secs_f64() / float(sent) })
}

/// One message there and back at a time.
async fn round_trips(end: &mut BenchEnd, time: Duration) -> anyhow::Result<Percentiles> {
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < time || times.is_empty() {
        let sent = Instant::now();
        end.sender.send((SMALL.message)());
        let back = tokio::time::timeout(PATIENCE, end.arrivals.recv()).await;
        back.context("a message was lost")?.context("the connection has ended")?;
        times.push(1e6 * sent.elapsed().as_secs_f64());
    }
    Ok(Percentiles::of(times))
}

/// All repetitions on one path.
#[derive(Default)]
struct PathFigures {
    small: Vec<MessageRate>,
    large: Vec<MessageRate>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl PathFigures {
    fn push(&mut self, taken: PathRun) {
        self.small.push(taken.small);
        self.large.push(taken.large);
        self.p50.push(taken.round_trip.p50);
        self.p99.push(taken.round_trip.p99);
    }

    fn median(&self, of: Of) -> f64 {
        let rates = |rates: &[MessageRate], of: fn(&MessageRate) -> f64| median(rates.iter().map(of).collect());
        match of {
            Of::Small => rates(&self.small, |rate| rate.per_second),
            Of::SmallCpu => rates(&self.small, |rate| rate.cpu_us),
            Of::Large => rates(&self.large, |rate| rate.per_second),
            Of::LargeCpu => rates(&self.large, |rate| rate.cpu_us),
            Of::P50 => median(self.p50.clone()),
            Of::P99 => median(self.p99.clone()),
        }
    }
}

/// What is compared.
#[derive(Clone, Copy)]
enum Of {
    Small,
    SmallCpu,
    Large,
    LargeCpu,
    P50,
    P99,
}

impl Of {
    const ALL: [Self; 6] = [Self::Small, Self::SmallCpu, Self::Large, Self::LargeCpu, Self::P50, Self::P99];

    /// Key in JSON, name for people, digits after the point.
    const fn shown(self) -> (&'static str, &'static str, i32) {
        match self {
            Self::Small => ("messages_200b_per_second", "200 B, one direction, messages/s", 0),
            Self::SmallCpu => ("messages_200b_cpu_us", "200 B, processor time of both, µs each", 2),
            Self::Large => ("messages_64kib_per_second", "64 KiB, one direction, messages/s", 0),
            Self::LargeCpu => ("messages_64kib_cpu_us", "64 KiB, processor time of both, µs each", 1),
            Self::P50 => ("round_trip_p50_us", "200 B, round trip, p50, µs", 1),
            Self::P99 => ("round_trip_p99_us", "200 B, round trip, p99, µs", 1),
        }
    }
}

fn as_json(actors: &PathFigures, plain: &PathFigures, arguments: &PeersArgs) -> Value {
    let all = |value: &dyn Fn(Of) -> f64, digits: Option<i32>| -> Value {
        Of::ALL
            .into_iter()
            .map(|of| (of.shown().0.to_owned(), json!(rounded(value(of), digits.unwrap_or(of.shown().2)))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    json!({
        "benchmark": "peers",
        "setting": report::setting(),
        "repetitions": arguments.repetitions,
        "peer_actors": all(&|of| actors.median(of), None),
        "plain_tasks": all(&|of| plain.median(of), None),
        "actors_to_plain": all(&|of| actors.median(of) / plain.median(of).max(1e-9), Some(3)),
    })
}

fn print(actors: &PathFigures, plain: &PathFigures) {
    let rows: Vec<_> = Of::ALL
        .into_iter()
        .map(|of| {
            let (_, name, digits) = of.shown();
            let digits = usize::try_from(digits).unwrap_or(0);
            let (by_actors, by_tasks) = (actors.median(of), plain.median(of));
            let value = format!("{by_actors:.digits$}");
            (name, value, format!("plain tasks {by_tasks:.digits$}, ratio {:.2}", by_actors / by_tasks.max(1e-9)))
        })
        .collect();
    let rows: Vec<_> = rows.iter().map(|(name, value, remark)| (*name, value.clone(), &remark[..])).collect();
    report::print_rows(&rows);
}
