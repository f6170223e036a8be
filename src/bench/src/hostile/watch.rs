//! Looks at the node from a thread of its own while it is attacked, so that nothing waits for the look.

use super::super::lone_node::{LoneNode, NodeUsage, usage};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use ureq::Agent;

/// Time between two looks at memory and files.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The metrics are asked for at each so many looks; the node publishes them once a second, and when a peer comes or goes.
const METRICS_EVERY: u32 = 5;
/// Longest answer read. Unit: bytes.
const PAGE_BYTES_MAX: u64 = 1 << 20;
/// Longest wait for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What the node reports of those who are no peers yet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct HandshakeFigures {
    pub(super) under_way: f64,
    pub(super) begun: f64,
    pub(super) gave_way: f64,
    pub(super) refused: f64,
}

/// What its metrics say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct NodeMetrics {
    /// Waiting to be sent, to all peers.
    pub(super) queued_bytes: f64,
    pub(super) handshakes: HandshakeFigures,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WatchFigures {
    /// The most of each, not all at one time.
    pub(super) peak: NodeUsage,
    /// Most bytes queued and most handshakes under way, and the last sums.
    pub(super) metrics: NodeMetrics,
}

/// Looks until it is stopped.
pub(super) struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<anyhow::Result<WatchFigures>>,
}

impl Watch {
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn start(node: &LoneNode) -> anyhow::Result<Self> {
        let (pid, rpc_port) = (node.pid(), node.rpc_port());
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("watch".into()).spawn(move || look(pid, rpc_port, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// # Errors
    /// When the node has ended, or does not answer.
    pub(super) fn stop(self) -> anyhow::Result<WatchFigures> {
        // It may have ended with an error, which the thread reports.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| anyhow::anyhow!("the watch has panicked"))?
    }
}

fn look(pid: u32, rpc_port: u16, stopped: &Receiver<()>) -> anyhow::Result<WatchFigures> {
    let mut seen = WatchFigures::default();
    for number in 0_u32.. {
        let is_last = stopped.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout);
        let now = usage(pid)?;
        seen.peak.memory_mib = seen.peak.memory_mib.max(now.memory_mib);
        seen.peak.files = seen.peak.files.max(now.files);
        if is_last || number % METRICS_EVERY == 0 {
            let now = metrics(rpc_port)?;
            let under_way = now.handshakes.under_way.max(seen.metrics.handshakes.under_way);
            seen.metrics = NodeMetrics {
                queued_bytes: now.queued_bytes.max(seen.metrics.queued_bytes),
                handshakes: HandshakeFigures { under_way, ..now.handshakes },
            };
        }
        if is_last {
            break;
        }
    }
    Ok(seen)
}

/// Asks the node.
fn metrics(rpc_port: u16) -> anyhow::Result<NodeMetrics> {
    let agent: Agent = Agent::config_builder().timeout_global(Some(ANSWER_WITHIN)).proxy(None).build().into();
    let mut answer = agent.get(format!("http://127.0.0.1:{rpc_port}/metrics")).call()?;
    let page = answer.body_mut().with_config().limit(PAGE_BYTES_MAX).read_to_string()?;
    Ok(read(&page))
}

/// What the page says; 0 of what it does not.
fn read(page: &str) -> NodeMetrics {
    let values = |name: &str| {
        let is_meant =
            |series: &str| series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        let samples = page.lines().filter_map(|line| line.rsplit_once(' ')).filter(|(series, _)| is_meant(series));
        samples.filter_map(|(_, value)| value.parse::<f64>().ok()).sum::<f64>()
    };
    let handshakes = HandshakeFigures {
        under_way: values("timed_peer_handshakes"),
        begun: values("timed_peer_handshakes_begun_total"),
        gave_way: values("timed_peer_handshakes_gave_way_total"),
        refused: values("timed_peer_connections_refused_total"),
    };
    NodeMetrics { queued_bytes: values("timed_peer_queue_bytes"), handshakes }
}
