//! The open loop: whatever became of the calls before, each is sent when it is due, as long as one of the node's connections is free.

use super::follow::NodeBlock;
use super::http::HttpClient;
use super::load::{DuePayment, LoadKind, PaymentLoad};
use super::slots::{CallOutcome, CallSlot, SeenBlock};
use crate::report::float;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// What is due gathers this long before it is sent together.
const TICK: Duration = Duration::from_millis(5);
/// Most calls of one request if nothing else is asked, so that a refusal waits for few others.
pub(crate) const CALLS_EACH: usize = 20;
/// Most bytes of calls in one request: a node reads 2 MiB.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Most connections to each node.
const CONNECTIONS_MAX: usize = 60;
/// A client gives up what could not be sent for so long.
pub(crate) const UNSENT_AFTER: Duration = Duration::from_secs(3);
/// And a call that was not answered for so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Code of "busy" in a JSON-RPC error.
const BUSY: i64 = -32005;

/// A stretch of time with a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) from: Duration,
    pub(crate) length: Duration,
    /// Unit: calls per second.
    pub(crate) rate: f64,
}

/// When everything is due, in order.
pub(crate) fn dues(stretches: &[Stretch], is_paired: bool) -> Vec<Duration> {
    let mut dues = Vec::new();
    for stretch in stretches {
        // Pairs are due together, at half the rate.
        let (together, rate) = if is_paired { (2, stretch.rate / 2.0) } else { (1, stretch.rate) };
        let all = (0u64..).map(|n| Duration::from_secs_f64(float(n) / rate)).take_while(|due| *due < stretch.length);
        dues.extend(all.flat_map(|due| std::iter::repeat_n(stretch.from + due, together)));
    }
    dues
}

/// A call that is due.
struct DueCall {
    slot: usize,
    /// What to send, when that is decided already: a rival.
    offer: Option<DuePayment>,
}

/// A request that has ended.
struct FinishedRequest {
    node: usize,
    client: HttpClient,
    /// Slot and coin of each call; no coin for a forgery.
    calls: Vec<(usize, Option<usize>)>,
    answers: Option<Vec<CallAnswer>>,
}

#[derive(Deserialize)]
struct CallAnswer {
    #[serde(default)]
    error: Option<AnswerError>,
    #[serde(default)]
    #[allow(dead_code, reason = "read past")]
    result: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct AnswerError {
    code: i64,
    message: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Batch(Vec<CallAnswer>),
    Whole(CallAnswer),
}

struct NodeLane {
    backlog: VecDeque<DueCall>,
    idle: Vec<HttpClient>,
}

/// Sends and records.
pub(crate) struct Generator<'a> {
    kind: LoadKind,
    load: &'a mut PaymentLoad,
    batch_max: usize,
    start: Instant,
    lanes: Vec<NodeLane>,
    requests: FuturesUnordered<LocalBoxFuture<'static, FinishedRequest>>,
    slots: Vec<CallSlot>,
    /// The next that is due.
    next: usize,
    /// By transaction: its slot, its coin, and whether it is the coin's payment and not a rival.
    sent: HashMap<[u8; 32], (usize, usize, bool)>,
    blocks: Vec<SeenBlock>,
    reasons: BTreeMap<String, usize>,
}

/// What a run left.
pub(crate) struct Recorded {
    pub(crate) slots: Vec<CallSlot>,
    pub(crate) blocks: Vec<SeenBlock>,
    /// Why calls were refused that were not too many, with their number.
    pub(crate) reasons: BTreeMap<String, usize>,
}

impl<'a> Generator<'a> {
    /// `nodes`: address and authorization of each. A request holds at most `batch_max` calls.
    pub(crate) fn new(
        kind: LoadKind,
        load: &'a mut PaymentLoad,
        nodes: &[(SocketAddr, String)],
        dues: Vec<Duration>,
        batch_max: usize,
    ) -> Self {
        let clients = |(address, authorization): &(SocketAddr, String)| {
            (0..CONNECTIONS_MAX).map(|_| HttpClient::new(*address, authorization)).collect()
        };
        Self {
            kind,
            load,
            batch_max,
            start: Instant::now(),
            lanes: nodes.iter().map(|node| NodeLane { backlog: VecDeque::new(), idle: clients(node) }).collect(),
            requests: FuturesUnordered::new(),
            slots: dues.into_iter().map(|due| CallSlot { due, ..CallSlot::default() }).collect(),
            next: 0,
            sent: HashMap::new(),
            blocks: Vec::new(),
            reasons: BTreeMap::new(),
        }
    }

    /// Runs until everything that was taken is final, or `settle` after the last was due. `look` is called at every tick with the time
    /// since the start.
    pub(crate) async fn run(
        mut self,
        blocks: &mut mpsc::UnboundedReceiver<NodeBlock>,
        settle: Duration,
        mut look: impl FnMut(Duration),
    ) -> Recorded {
        let last = self.slots.last().map_or(Duration::ZERO, |slot| slot.due);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let now = self.start.elapsed();
                    look(now);
                    self.schedule(now);
                    self.send_all(now);
                    let is_over = now > last && self.next == self.slots.len() && self.requests.is_empty();
                    if is_over && (!self.is_waiting() || now > last + settle) {
                        break;
                    }
                }
                Some(done) = self.requests.next(), if !self.requests.is_empty() => self.on_done(done),
                Some(block) = blocks.recv() => self.on_block(&block),
            }
        }
        for slot in 0..self.slots.len() {
            if self.has_lost(slot) {
                self.slots[slot].outcome = CallOutcome::Refused;
                *self.reasons.entry("accepted, and the other spend became final".into()).or_default() += 1;
            }
        }
        Recorded { slots: self.slots, blocks: self.blocks, reasons: self.reasons }
    }

    /// Whether something that was taken is not final yet.
    fn is_waiting(&self) -> bool {
        let is_open = |(n, slot): (usize, &CallSlot)| {
            slot.outcome == CallOutcome::Accepted && slot.finalized.is_none() && !self.has_lost(n)
        };
        self.slots.iter().enumerate().any(is_open)
    }

    /// Whether a call was taken, and the other spend of its coin became final.
    fn has_lost(&self, slot: usize) -> bool {
        self.kind == LoadKind::Conflicts
            && self.slots[slot].outcome == CallOutcome::Accepted
            && self.slots[slot].finalized.is_none()
            && self.slots.get(slot ^ 1).is_some_and(|other| other.finalized.is_some())
    }

    /// Puts what is due into the lanes of the nodes, in turn.
    fn schedule(&mut self, now: Duration) {
        let together = if self.kind.is_paired() { 2 } else { 1 };
        while self.slots.get(self.next).is_some_and(|slot| slot.due <= now) {
            let node = self.next / together % self.lanes.len();
            for slot in self.next..(self.next + together).min(self.slots.len()) {
                // A rival follows its payment.
                if self.kind != LoadKind::Conflicts || slot == self.next {
                    self.lanes[node].backlog.push_back(DueCall { slot, offer: None });
                }
            }
            self.next += together;
        }
        self.next = self.next.min(self.slots.len());
    }

    fn send_all(&mut self, now: Duration) {
        for node in 0..self.lanes.len() {
            while self.lanes[node].backlog.front().is_some_and(|c| now > self.slots[c.slot].due + UNSENT_AFTER) {
                self.lanes[node].backlog.pop_front();
            }
            while !self.lanes[node].backlog.is_empty() && !self.lanes[node].idle.is_empty() {
                self.send(node);
            }
        }
    }

    /// One request of calls that are due.
    fn send(&mut self, node: usize) {
        let (mut body, mut calls) = (vec![b'['], Vec::new());
        while calls.len() < self.batch_max
            && body.len() < BATCH_BYTES_MAX
            && let Some(call) = self.lanes[node].backlog.pop_front()
        {
            let Some((place, bytes)) = self.what(node, call.slot, call.offer) else { continue };
            if !calls.is_empty() {
                body.push(b',');
            }
            let head = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"sendrawtransaction","params":[""#, calls.len());
            body.extend_from_slice(head.as_bytes());
            let at = body.len();
            body.resize(at + 2 * bytes.len(), 0);
            // The capacity is exact.
            let _ = hex::encode_to_slice(&bytes, &mut body[at..]);
            body.extend_from_slice(br#""]}"#);
            calls.push((call.slot, place));
        }
        body.push(b']');
        if calls.is_empty() {
            return;
        }
        let Some(mut client) = self.lanes[node].idle.pop() else { return };
        self.requests.push(Box::pin(async move {
            let answer = timeout(ANSWER_WITHIN, client.post(&body)).await;
            let answers = answer.ok().and_then(Result::ok).and_then(|body| answers(&body, calls.len()));
            FinishedRequest { node, client, calls, answers }
        }));
    }

    /// The coin and the bytes of a call; `None` when no coin is ready.
    fn what(&mut self, node: usize, slot: usize, offer: Option<DuePayment>) -> Option<(Option<usize>, Vec<u8>)> {
        if self.kind == LoadKind::Invalid && slot % 2 == 1 {
            return Some((None, self.load.forged()));
        }
        let is_rival = offer.is_some();
        let offer = match offer {
            Some(rival) => rival,
            None => self.load.next(node)?,
        };
        self.sent.insert(offer.id, (slot, offer.place, !is_rival));
        if !is_rival && let Some(rival) = self.load.rival(offer.place) {
            let other = (node + 1) % self.lanes.len();
            self.lanes[other].backlog.push_back(DueCall { slot: slot + 1, offer: Some(rival) });
        }
        Some((Some(offer.place), offer.bytes))
    }

    fn on_done(&mut self, done: FinishedRequest) {
        let now = self.start.elapsed();
        let FinishedRequest { node, client, calls, answers } = done;
        self.lanes[node].idle.push(client);
        let mut answers = answers.map(Vec::into_iter);
        for (slot, place) in calls {
            let outcome = match answers.as_mut().and_then(Iterator::next) {
                None => CallOutcome::Unanswered,
                Some(CallAnswer { error: None, .. }) => CallOutcome::Accepted,
                Some(CallAnswer { error: Some(error), .. }) if error.code == BUSY => CallOutcome::Busy,
                Some(CallAnswer { error: Some(error), .. }) => {
                    *self.reasons.entry(reason(&error)).or_default() += 1;
                    CallOutcome::Refused
                }
            };
            self.slots[slot].outcome = outcome;
            self.slots[slot].answered = Some(now);
            let is_payment = self.kind != LoadKind::Conflicts || slot % 2 == 0;
            if let (CallOutcome::Busy, Some(place), true) = (outcome, place, is_payment) {
                self.load.offer_again(node, place);
            }
        }
    }

    fn on_block(&mut self, block: &NodeBlock) {
        let at = block.at.saturating_duration_since(self.start);
        if block.node == 0 {
            self.blocks.push(SeenBlock { at, round: block.round, transactions: block.ids.len() });
        }
        for id in &block.ids {
            let Some((slot, place, is_payment)) = self.sent.get(id).copied() else { continue };
            // Where it was sent, a client sees it.
            let node = place % self.lanes.len();
            let seen_at = if is_payment { node } else { (node + 1) % self.lanes.len() };
            if block.node != seen_at {
                continue;
            }
            self.sent.remove(id);
            self.slots[slot].finalized = Some(at);
            if is_payment {
                self.load.paid(node, place);
            }
        }
    }
}

/// One answer for each call, however the node said it.
fn answers(body: &[u8], count: usize) -> Option<Vec<CallAnswer>> {
    match serde_json::from_slice(body).ok()? {
        Body::Batch(answers) => (answers.len() == count).then_some(answers),
        Body::Whole(CallAnswer { error: Some(AnswerError { code, message }), .. }) => {
            let one = || CallAnswer { error: Some(AnswerError { code, message: message.clone() }), result: None };
            Some((0..count).map(|_| one()).collect())
        }
        Body::Whole(_) => None,
    }
}

/// The kind of a refusal: code and first words, without ids.
fn reason(error: &AnswerError) -> String {
    let words: Vec<&str> = error.message.split_whitespace().filter(|word| word.len() < 24).take(8).collect();
    format!("{} ({})", words.join(" "), error.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_due_at_equal_distances_and_pairs_together() {
        let stretch =
            |from, length, rate| Stretch { from: Duration::from_secs(from), length: Duration::from_secs(length), rate };
        let due = dues(&[stretch(0, 2, 4.0), stretch(5, 1, 2.0)], false);
        let millis: Vec<u128> = due.iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750, 5_000, 5_500]);
        let pairs: Vec<u128> = dues(&[stretch(1, 1, 4.0)], true).iter().map(Duration::as_millis).collect();
        assert_eq!(pairs, [1_000, 1_000, 1_500, 1_500]);
    }

    #[test]
    fn a_refusal_of_the_whole_request_is_one_of_each_call() {
        let error =
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"busy","data":{"retry_after_ms":7}}}"#;
        let all = answers(error.as_bytes(), 3).unwrap();
        assert!(all.len() == 3 && all.iter().all(|answer| answer.error.as_ref().is_some_and(|e| e.code == BUSY)));
        let batch = r#"[{"jsonrpc":"2.0","id":0,"result":"aa"},{"id":1,"error":{"code":-26,"message":"no fee"}}]"#;
        let each: Vec<bool> =
            answers(batch.as_bytes(), 2).unwrap().iter().map(|answer| answer.error.is_none()).collect();
        assert_eq!(each, [true, false]);
        assert!(answers(batch.as_bytes(), 3).is_none() && answers(b"busy", 1).is_none());
    }
}
