//! What the two ends do: the far one asks for decided blocks and answers votes, the near one sends both and takes the times.

use super::super::peers::path::{self, BenchNode, BenchSide};
use super::super::report::ms;
use super::world::LinkSide;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use timed_actors::transport::{TcpTransport, Transport as _};
use timed_wire::{BlockSyncMessage, ConsensusMessage, Message};
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Where the far end listens.
const PORT: u16 = 7_000;
/// Body of a vote, so that its frame has 200 bytes.
const VOTE_BYTES: usize = 193;
/// A decided block. Unit: bytes.
const BLOCK_BYTES: usize = 256 * 1024;
/// Blocks for one request.
const BLOCKS: u16 = 8;
/// Requests under way: more blocks than the link holds at any rate.
const REQUESTS: u64 = 2;
/// Time between two votes: few enough to leave the link to the blocks.
const VOTE_EVERY: Duration = Duration::from_millis(50);
/// Time between two pings; peers answer ten per second.
const PING_EVERY: Duration = Duration::from_millis(250);
/// How long answers under way are waited for at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(6);

/// What the near end has measured in one phase. Times are round trips. Unit: ms.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct LanesPhase {
    pub(super) votes: Vec<f64>,
    pub(super) votes_sent: u64,
    /// Votes that arrived before blocks which were sent earlier.
    pub(super) votes_overtook: u64,
    pub(super) pings: Vec<f64>,
    pub(super) pings_sent: u64,
}

/// What the near end has measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct NearFigures {
    pub(super) idle: LanesPhase,
    pub(super) loaded: LanesPhase,
    /// Decided blocks that arrived at the far end.
    pub(super) blocks: u64,
    /// Between the first and the last of them. Unit: bytes per second.
    pub(super) bulk_rate: f64,
    /// Sessions that ended.
    pub(super) sessions_lost: usize,
}

/// What votes carry here, in the place of a signed vote.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Marks {
    number: u64,
    /// 1: ask for blocks from now on.
    asks: u64,
    /// Filled in by the far end: blocks that have come, and when the first and the last had. Unit: µs.
    blocks: u64,
    first_at: u64,
    last_at: u64,
}

impl Marks {
    fn message(self) -> Message {
        let mut body = vec![7; VOTE_BYTES];
        let fields = [self.number, self.asks, self.blocks, self.first_at, self.last_at];
        for (place, field) in body.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        ConsensusMessage::Vote(Bytes::from(body)).into()
    }

    fn read(message: &ConsensusMessage) -> Option<Self> {
        let ConsensusMessage::Vote(body) = message else { return None };
        let mut fields = body.chunks_exact(8).filter_map(|field| Some(u64::from_be_bytes(field.try_into().ok()?)));
        let mut field = || fields.next();
        Some(Self { number: field()?, asks: field()?, blocks: field()?, first_at: field()?, last_at: field()? })
    }
}

/// The far end: answers until its process is ended.
pub(super) async fn far() -> anyhow::Result<()> {
    let listener = TcpTransport.bind(SocketAddr::from((LinkSide::Far.address(), PORT))).await?;
    println!("listens");
    let mut node = path::node(BenchSide::Far, Some(listener), None).await?;
    let (start, mut seen, mut request) = (Instant::now(), Marks::default(), 0);
    let now = || u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let ask = |node: &BenchNode, request: &mut u64| {
        *request += 1;
        (node.send)(BlockSyncMessage::GetBlocks { request: *request, from: 1, count: BLOCKS }.into());
    };
    loop {
        tokio::select! {
            Some(inbound) = node.outlets.consensus.recv() => {
                let Some(vote) = Marks::read(&inbound.message) else { continue };
                if vote.asks == 1 && request == 0 {
                    (0..REQUESTS).for_each(|_| ask(&node, &mut request));
                }
                (node.send)(Marks { number: vote.number, asks: 0, ..seen }.message());
            }
            Some(inbound) = node.outlets.block_sync.recv() => match inbound.message {
                BlockSyncMessage::Decided { .. } => {
                    seen.blocks += 1;
                    seen.last_at = now();
                    if seen.blocks == 1 {
                        seen.first_at = seen.last_at;
                    }
                }
                BlockSyncMessage::End { .. } => ask(&node, &mut request),
                BlockSyncMessage::Status { .. } | BlockSyncMessage::GetBlocks { .. } => {}
            },
        }
    }
}

/// What is under way between the near end's tasks.
#[derive(Default)]
struct Measuring {
    phase: LanesPhase,
    votes: u64,
    /// Votes under way: number, when it was sent, blocks sent before it.
    open: std::collections::BTreeMap<u64, (Instant, u64)>,
    pings_open: u64,
    blocks_sent: u64,
    last_seen: Marks,
}

impl Measuring {
    fn on_answer(&mut self, seen: Marks) {
        self.last_seen = seen;
        if let Some((sent_at, blocks_sent)) = self.open.remove(&seen.number) {
            self.phase.votes.push(ms(sent_at.elapsed()));
            self.phase.votes_overtook += u64::from(seen.blocks < blocks_sent);
        }
    }
}

/// The near end: measures an idle link, then a busy one.
pub(super) async fn near(idle: Duration, loaded: Duration) -> anyhow::Result<NearFigures> {
    let address = SocketAddr::from((LinkSide::Far.address(), PORT));
    let BenchNode { send, ping, outlets, view } = path::node(BenchSide::Near, None, Some(address)).await?;
    let (mut consensus, mut block_sync) = (outlets.consensus, outlets.block_sync);
    let state = Rc::new(RefCell::new(Measuring::default()));
    let (for_votes, for_blocks) = (state.clone(), state.clone());
    spawn_local(async move {
        while let Some(inbound) = consensus.recv().await {
            Marks::read(&inbound.message).into_iter().for_each(|seen| for_votes.borrow_mut().on_answer(seen));
        }
    });
    let serving = send.clone();
    spawn_local(async move {
        let block = Bytes::from(vec![7; BLOCK_BYTES]);
        while let Some(inbound) = block_sync.recv().await {
            let BlockSyncMessage::GetBlocks { request, count, .. } = inbound.message else { continue };
            let certificate = Bytes::from_static(&[7; 200]);
            let answer = |height| BlockSyncMessage::Decided {
                request,
                height,
                certificate: certificate.clone(),
                block: block.clone(),
            };
            (0..count).for_each(|n| serving(answer(n.into()).into()));
            serving(BlockSyncMessage::End { request, sent: count }.into());
            for_blocks.borrow_mut().blocks_sent += u64::from(count);
        }
    });
    // The connection's own first messages go first.
    sleep(Duration::from_millis(500)).await;
    let idle = phase(&send, &ping, &state, idle, 0).await?;
    let loaded = phase(&send, &ping, &state, loaded, 1).await?;
    let seen = state.borrow().last_seen;
    let (bytes, micros) = (seen.blocks.saturating_sub(1) * BLOCK_BYTES as u64, seen.last_at - seen.first_at);
    let bulk_rate = super::super::report::float(bytes * 1_000_000 / micros.max(1));
    let sessions_lost = view.borrow().ended.len();
    Ok(NearFigures { idle, loaded, blocks: seen.blocks, bulk_rate, sessions_lost })
}

/// Sends votes and pings for so long, and waits for the last answers.
async fn phase(
    send: &Rc<dyn Fn(Message)>,
    ping: &Rc<dyn Fn() -> LocalBoxFuture<'static, Option<Duration>>>,
    state: &Rc<RefCell<Measuring>>,
    time: Duration,
    asks: u64,
) -> anyhow::Result<LanesPhase> {
    let start = Instant::now();
    let (mut votes, mut pings) = (interval(VOTE_EVERY), interval(PING_EVERY));
    votes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while start.elapsed() < time {
        tokio::select! {
            _ = votes.tick() => {
                let mut state = state.borrow_mut();
                state.votes += 1;
                state.phase.votes_sent += 1;
                let (number, blocks_sent) = (state.votes, state.blocks_sent);
                state.open.insert(number, (Instant::now(), blocks_sent));
                send(Marks { number, asks, ..Marks::default() }.message());
            }
            _ = pings.tick() => {
                let (asked, state) = (ping(), state.clone());
                state.borrow_mut().phase.pings_sent += 1;
                state.borrow_mut().pings_open += 1;
                spawn_local(async move {
                    // From the asking on: the peer actor's own figure begins when the ping has left.
                    let sent_at = Instant::now();
                    let answer = asked.await.map(|_| sent_at.elapsed());
                    let mut state = state.borrow_mut();
                    state.pings_open -= 1;
                    state.phase.pings.extend(answer.map(ms));
                });
            }
        }
    }
    let last = Instant::now();
    while last.elapsed() < LAST_ANSWERS && !(state.borrow().open.is_empty() && state.borrow().pings_open == 0) {
        sleep(Duration::from_millis(5)).await;
    }
    Ok(std::mem::take(&mut state.borrow_mut().phase))
}
