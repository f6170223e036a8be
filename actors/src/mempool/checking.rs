//! Transactions whose signatures wait to be checked.

use super::SubmitError;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use timed_mempool::{Candidate, Source};
use timed_primitives::{PublicKey, SignedItem, Transaction, TxId, verify_batch};
use tokio::sync::oneshot;

/// Most transactions that wait. Above a bound a peer's are dropped and counted, and RPC answers "busy".
const COUNT_MAX: usize = 20_000;
/// Most bytes that wait.
const BYTES_MAX: usize = 32 << 20;
/// Most bytes of one peer that wait: one peer leaves room for the others.
const PEER_BYTES_MAX: usize = 4 << 20;
/// Most transactions in one batch: larger ones gain little and delay the first.
const BATCH_COUNT_MAX: usize = 256;
/// Signatures after which a batch is closed.
const BATCH_SIGNATURES: usize = 1_024;

/// To whom the outcome is told.
pub(super) type Answer = oneshot::Sender<Result<TxId, SubmitError>>;

/// A candidate whose signatures are to be checked, and who waits for the outcome.
pub(super) struct Checking {
    pub(super) candidate: Candidate,
    pub(super) answer: Option<Answer>,
}

/// A client's transaction that spends from one that is not checked yet.
pub(super) struct Child {
    pub(super) id: TxId,
    pub(super) transaction: Arc<Transaction>,
    pub(super) answer: Option<Answer>,
}

/// First in, first out, within its bounds.
#[derive(Default)]
pub(super) struct CheckQueue {
    queue: VecDeque<Checking>,
    bytes: usize,
    /// Of each peer that has something waiting.
    peer_bytes: BTreeMap<PublicKey, usize>,
    /// Those in the queue, in the batch that is being checked, and those that wait for a parent.
    under_way: BTreeSet<TxId>,
    /// Clients' transactions by the parent they wait for.
    children: BTreeMap<TxId, Vec<Child>>,
    children_count: usize,
}

impl CheckQueue {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.children_count
    }

    /// Whether waiting would not make the next batch larger.
    pub(super) fn has_full_batch(&self) -> bool {
        self.queue.len() >= BATCH_COUNT_MAX
    }

    /// Whether this transaction is here, or being checked now.
    pub(super) fn is_under_way(&self, id: &TxId) -> bool {
        self.under_way.contains(id)
    }

    /// Keeps a child until [`Self::finished`] with its parent.
    pub(super) fn push_child(&mut self, parent: TxId, child: Child) {
        self.children_count += 1;
        self.bytes += child.transaction.size_bytes();
        self.under_way.insert(child.id);
        self.children.entry(parent).or_default().push(child);
    }

    /// A transaction is in the pool or refused: its children are to be looked at again.
    pub(super) fn finished(&mut self, id: &TxId) -> Vec<Child> {
        self.under_way.remove(id);
        let children = self.children.remove(id).unwrap_or_default();
        self.children_count -= children.len();
        self.bytes -= children.iter().map(|child| child.transaction.size_bytes()).sum::<usize>();
        children
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether something of this size from there may still wait here.
    pub(super) fn has_room(&self, size: usize, source: Source) -> bool {
        let is_fair = match source {
            Source::Local => true,
            Source::Peer(peer) => self.peer_bytes.get(&peer).copied().unwrap_or_default() + size <= PEER_BYTES_MAX,
        };
        self.len() < COUNT_MAX && self.bytes + size <= BYTES_MAX && is_fair
    }

    pub(super) fn push(&mut self, checking: Checking) {
        self.bytes += checking.candidate.size();
        self.under_way.insert(checking.candidate.txid());
        if let Source::Peer(peer) = checking.candidate.source() {
            *self.peer_bytes.entry(peer).or_default() += checking.candidate.size();
        }
        self.queue.push_back(checking);
    }

    fn release(&mut self, candidate: &Candidate) {
        self.bytes -= candidate.size();
        if let Source::Peer(peer) = candidate.source()
            && let Some(bytes) = self.peer_bytes.get_mut(&peer)
        {
            *bytes -= candidate.size();
            if *bytes == 0 {
                self.peer_bytes.remove(&peer);
            }
        }
    }

    /// The next batch with its signatures, in order.
    pub(super) fn take_batch(&mut self) -> (Vec<Checking>, Vec<Vec<SignedItem>>) {
        let (mut batch, mut items, mut signatures) = (Vec::new(), Vec::new(), 0);
        while batch.len() < BATCH_COUNT_MAX && signatures < BATCH_SIGNATURES {
            let Some(mut checking) = self.queue.pop_front() else { break };
            self.release(&checking.candidate);
            let own = checking.candidate.take_signed_items();
            signatures += own.len();
            items.push(own);
            batch.push(checking);
        }
        (batch, items)
    }
}

/// One batch over all; only when it fails, each transaction by itself.
pub(super) fn valid_ones(items: &[Vec<SignedItem>]) -> Vec<bool> {
    let all: Vec<SignedItem> = items.concat();
    if verify_batch(&all) {
        return vec![true; items.len()];
    }
    items.iter().map(|own| verify_batch(own)).collect()
}

/// Tells the outcome; the asker may have given up.
pub(super) fn reply(answer: Option<Answer>, outcome: Result<TxId, SubmitError>) {
    if let Some(answer) = answer {
        let _ = answer.send(outcome);
    }
}
