//! Clients that only read: each asks again as soon as it is answered, or never reads an answer. They run on a thread of their own that gives
//! way to all others, since clients of a real node have other machines.

use crate::overload::http::HttpClient;
use crate::report::{Percentiles, float, ms, rounded};
use serde_json::Value;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Niceness of the thread: what is left is for it.
const NICENESS: i32 = 15;
/// A client gives an answer up after so long: a node answers within 15 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Pause of a client whose connection failed.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Requests that a client which never reads sends on one connection, one after the other.
const UNREAD_REQUESTS: usize = 64;
/// Time between two of these.
const UNREAD_EVERY: Duration = Duration::from_millis(50);
/// How much of a refusal is kept.
const REASON_CHARS_MAX: usize = 100;

/// What readers ask of one node.
#[derive(Clone)]
pub(super) struct ReadPlan {
    pub(super) address: SocketAddr,
    pub(super) authorization: String,
    /// Bodies of requests, which clients send in turn.
    pub(super) bodies: Arc<[Vec<u8>]>,
    pub(super) connections: usize,
    pub(super) is_unread: bool,
}

/// What readers got.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadFigures {
    /// Times of results. Unit: ms.
    times: Vec<f64>,
    /// Refusals and connections that failed.
    pub(super) failed: u64,
    /// The last of these.
    pub(super) last_failure: Option<String>,
    /// Requests sent that nobody reads the answer of.
    pub(super) unread: u64,
    /// How long they asked.
    time: Duration,
}

impl ReadFigures {
    pub(super) fn answered(&self) -> u64 {
        self.times.len() as u64
    }

    pub(super) fn per_second(&self) -> f64 {
        rounded(float(self.answered()) / self.time.as_secs_f64().max(f64::EPSILON), 1)
    }

    pub(super) fn times(&self) -> Percentiles {
        let all = Percentiles::of(self.times.clone());
        Percentiles {
            p50: rounded(all.p50, 2),
            p95: rounded(all.p95, 2),
            p99: rounded(all.p99, 2),
            max: rounded(all.max, 2),
        }
    }

    fn note(&mut self, failure: String) {
        self.failed += 1;
        self.last_failure = Some(failure.chars().take(REASON_CHARS_MAX).collect());
    }
}

type SharedFigures = Arc<Mutex<ReadFigures>>;

fn with(figures: &SharedFigures, change: impl FnOnce(&mut ReadFigures)) {
    change(&mut figures.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Readers at work, until they are stopped or dropped.
pub(super) struct RpcReaders {
    end: watch::Sender<bool>,
    figures: SharedFigures,
    start: Instant,
    thread: Option<JoinHandle<()>>,
}

impl RpcReaders {
    /// Starts them.
    ///
    /// # Errors
    /// When the system gives no runtime.
    pub(super) fn start(plan: ReadPlan) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = watch::channel(false);
        let figures = SharedFigures::default();
        let shared = figures.clone();
        let thread = std::thread::spawn(move || {
            // Without it figures are worse, and no less true.
            let _ = rustix::process::setpriority_process(None, NICENESS);
            runtime.block_on(read_until(plan, ended, shared));
        });
        Ok(Self { end, figures, start: Instant::now(), thread: Some(thread) })
    }

    /// Results so far.
    pub(super) fn answered(&self) -> usize {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).times.len()
    }

    /// Stops them; what is under way is cut.
    pub(super) fn stop(mut self) -> ReadFigures {
        let time = self.start.elapsed();
        self.end();
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        figures.time = time;
        figures
    }

    fn end(&mut self) {
        self.end.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of it has been shown.
            let _ = thread.join();
        }
    }
}

impl Drop for RpcReaders {
    fn drop(&mut self) {
        self.end();
    }
}

async fn read_until(plan: ReadPlan, mut ended: watch::Receiver<bool>, figures: SharedFigures) {
    let mut clients = JoinSet::new();
    for first in 0..plan.connections {
        let (plan, figures) = (plan.clone(), figures.clone());
        clients.spawn(async move {
            match plan.is_unread {
                true => never_read(&plan, first, &figures).await,
                false => read(&plan, first, &figures).await,
            }
        });
    }
    // The sender lives as long as the readers.
    let _ = ended.wait_for(|ended| *ended).await;
    clients.shutdown().await;
}

/// Asks in turn, forever.
async fn read(plan: &ReadPlan, first: usize, figures: &SharedFigures) {
    let mut client = HttpClient::new(plan.address, &plan.authorization);
    for body in plan.bodies.iter().cycle().skip(first % plan.bodies.len().max(1)) {
        let start = Instant::now();
        let answer = timeout(ANSWER_WITHIN, client.post(body)).await;
        let time = ms(start.elapsed());
        match answer.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())).map(|answer| refusal(&answer)) {
            Ok(None) => with(figures, |figures| figures.times.push(time)),
            Ok(Some(refusal)) => {
                with(figures, |figures| figures.note(refusal));
                sleep(AGAIN_AFTER).await;
            }
            Err(error) => {
                with(figures, |figures| figures.note(error.to_string()));
                client = HttpClient::new(plan.address, &plan.authorization);
                sleep(AGAIN_AFTER).await;
            }
        }
    }
}

/// The error in an answer, by its first bytes: a result of many megabytes is not read for it.
fn refusal(answer: &[u8]) -> Option<String> {
    /// An error is shorter.
    const ERROR_BYTES_MAX: usize = 4 << 10;
    let answer = (answer.len() <= ERROR_BYTES_MAX).then_some(answer)?;
    let value: Value = serde_json::from_slice(answer).unwrap_or_default();
    match &value["error"] {
        Value::Null if value["result"].is_null() => Some("an answer without a result".into()),
        Value::Null => None,
        error => Some(error["message"].as_str().unwrap_or_default().to_owned()),
    }
}

/// Sends requests and reads nothing, on one connection after the other.
async fn never_read(plan: &ReadPlan, first: usize, figures: &SharedFigures) {
    let mut bodies = plan.bodies.iter().cycle().skip(first % plan.bodies.len().max(1));
    loop {
        if let Err(error) = send_unread(plan, &mut bodies, figures).await {
            with(figures, |figures| figures.note(error.to_string()));
        }
        sleep(AGAIN_AFTER).await;
    }
}

async fn send_unread(
    plan: &ReadPlan,
    bodies: &mut impl Iterator<Item = &Vec<u8>>,
    figures: &SharedFigures,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(plan.address).await?;
    for body in bodies.take(UNREAD_REQUESTS) {
        let head = HttpClient::head(plan.address, &plan.authorization, body.len());
        let written = timeout(ANSWER_WITHIN, stream.write_all(&[head.as_bytes(), body].concat())).await;
        written.map_err(|_| Error::from(ErrorKind::TimedOut))??;
        with(figures, |figures| figures.unread += 1);
        sleep(UNREAD_EVERY).await;
    }
    // Until the node closes it.
    let closed = timeout(ANSWER_WITHIN, stream.ready(tokio::io::Interest::ERROR)).await;
    closed.map(|ready| ready.map(drop)).unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_found_and_results_are_not() {
        assert_eq!(refusal(br#"{"result":2,"error":null,"id":1}"#), None);
        assert_eq!(refusal(&[b'['; 8 << 10]), None);
        assert_eq!(refusal(br#"{"result":null,"error":{"code":-32005,"message":"busy"},"id":1}"#), Some("busy".into()));
        assert_eq!(refusal(b"busy"), Some("an answer without a result".into()));
    }
}
