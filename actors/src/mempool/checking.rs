//! Transactions whose signatures wait to be checked.

use super::SubmitError;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{PoolTransaction, Resource, TransactionFacts};
use timed_mempool::{Candidate, FeeRate, Source};
use timed_primitives::{Amount, Instant, PublicKey, SignedItem, TxId, verify_batch};
use tokio::sync::oneshot;

/// Most transactions that wait. Above a bound a peer's are dropped and counted, and RPC answers "busy". A bound for memory: admission by delay
/// and the relay's bound keep the queue far below it.
const COUNT_MAX: usize = 20_000;
/// Most bytes that wait.
const BYTES_MAX: usize = 32 << 20;
/// Most bytes of one peer that wait: one peer leaves room for the others.
const PEER_BYTES_MAX: usize = 4 << 20;
/// Most transactions in one batch: larger ones gain little and delay the first.
const BATCH_COUNT_MAX: usize = 256;
/// Signatures after which a batch is closed.
const BATCH_SIGNATURES: usize = 1_024;
/// Clients leave one part in so many of a batch to peers whose transactions wait.
const PEERS_PART: usize = 4;
/// A client's transaction that has waited so long is given back to it as "busy".
const WAIT_MAX: Duration = Duration::from_secs(5);
/// A batch with an invalid signature is checked again in so many parts, and only those that fail one by one.
const PARTS: usize = 8;

/// The client that waits for the outcome.
pub(super) struct Asker {
    pub(super) outcome: oneshot::Sender<Result<TxId, SubmitError>>,
    /// For 1,000 bytes: what pays more is not meant, and refused.
    pub(super) fee_rate_max: Option<Amount>,
}

impl Asker {
    pub(super) fn is_closed(&self) -> bool {
        self.outcome.is_closed()
    }

    /// Sends the outcome; the client may have given up.
    pub(super) fn send(self, outcome: Result<TxId, SubmitError>) {
        let _ = self.outcome.send(outcome);
    }
}

/// Refuses a fee above so much for 1,000 bytes. What a rate allows for a size is rounded up.
pub(super) fn check_fee(candidate: &Candidate, rate_max: Option<Amount>) -> Result<(), SubmitError> {
    let Some(rate_max) = rate_max else { return Ok(()) };
    let (fee, max) = (candidate.fee(), FeeRate::per_kilobyte(rate_max).fee_for(candidate.size()));
    if fee > max { Err(SubmitError::FeeAboveMaximum { fee, max, rate_max }) } else { Ok(()) }
}

/// A candidate whose signatures are to be checked, and who waits for the outcome.
pub(super) struct PendingCheck {
    pub(super) candidate: Candidate,
    pub(super) answer: Option<Asker>,
    /// Since when.
    pub(super) since: Instant,
}

impl PendingCheck {
    /// Whether somebody wanted to know, and does no longer.
    fn is_abandoned(&self) -> bool {
        self.answer.as_ref().is_some_and(Asker::is_closed)
    }

    fn is_late(&self, now: Instant) -> bool {
        self.answer.is_some() && now.since(self.since) > WAIT_MAX
    }
}

/// A client's transaction that depends on one that is not checked yet.
pub(super) struct PendingChild {
    pub(super) transaction: Arc<PoolTransaction>,
    pub(super) answer: Option<Asker>,
}

/// What is checked next.
#[derive(Default)]
pub(super) struct SignatureBatch {
    pub(super) checking: Vec<PendingCheck>,
    /// The signatures of each.
    pub(super) items: Vec<Vec<SignedItem>>,
    /// Clients' transactions that nobody waits for any more.
    pub(super) abandoned: Vec<PendingCheck>,
    /// Clients' transactions that waited too long.
    pub(super) late: Vec<PendingCheck>,
    signatures: usize,
    weights: Weights,
}

impl SignatureBatch {
    fn has_room(&self, count: usize, signatures: usize) -> bool {
        self.checking.len() < count && self.signatures < signatures
    }

    fn push(&mut self, mut checking: PendingCheck) {
        let own = checking.candidate.take_signed_items();
        self.signatures += own.len();
        self.items.push(own);
        self.weights.add(&checking.candidate);
        self.checking.push(checking);
    }
}

/// Of transactions from clients and from peers: see [`timed_mempool::weight`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weights {
    pub(super) clients: u64,
    pub(super) peers: u64,
}

impl Weights {
    fn of(&mut self, candidate: &Candidate) -> &mut u64 {
        match candidate.source() {
            Source::Local => &mut self.clients,
            Source::Peer(_) => &mut self.peers,
        }
    }

    fn add(&mut self, candidate: &Candidate) {
        *self.of(candidate) += candidate.weight();
    }

    fn remove(&mut self, candidate: &Candidate) {
        *self.of(candidate) -= candidate.weight();
    }

    pub(super) fn total(&self) -> u64 {
        self.clients.saturating_add(self.peers)
    }
}

/// Of one peer.
#[derive(Default)]
struct PeerQueue {
    queue: VecDeque<PendingCheck>,
    bytes: usize,
}

/// Clients first, then peers in turn; each first in, first out, within its bounds.
#[derive(Default)]
pub(super) struct CheckQueue {
    clients: VecDeque<PendingCheck>,
    /// Only those that have something waiting.
    peers: BTreeMap<PublicKey, PeerQueue>,
    /// The peer served last.
    turn: Option<PublicKey>,
    count: usize,
    bytes: usize,
    /// Of what waits, and of what is being checked.
    weights: Weights,
    /// What is produced by those in the queue, in the batch that is being checked, and those that wait for a parent.
    producers: BTreeMap<Resource, TxId>,
    /// Clients' transactions by the parent they wait for.
    children: BTreeMap<TxId, Vec<PendingChild>>,
    children_count: usize,
}

impl CheckQueue {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.count + self.children_count
    }

    /// Whether waiting would not make the next batch larger.
    pub(super) fn has_full_batch(&self) -> bool {
        self.count >= BATCH_COUNT_MAX
    }

    /// Weight of what waits and of what is being checked; children that wait for a parent are left out, which has to be checked first.
    pub(super) fn weights(&self) -> Weights {
        self.weights
    }

    /// The transaction that produces this, when it is here, or being checked now.
    pub(super) fn producer(&self, of: &Resource) -> Option<TxId> {
        self.producers.get(of).copied()
    }

    fn add_produced(&mut self, facts: &TransactionFacts) {
        self.producers.extend(facts.produces.iter().map(|resource| (*resource, facts.id)));
    }

    /// Keeps a child until [`Self::finished`] with its parent.
    pub(super) fn push_child(&mut self, parent: TxId, child: PendingChild) {
        self.children_count += 1;
        self.bytes += child.transaction.facts.size_bytes;
        self.add_produced(&child.transaction.facts);
        self.children.entry(parent).or_default().push(child);
    }

    /// A transaction is in the pool or refused: its children are to be checked again.
    pub(super) fn finished(&mut self, parent: &TransactionFacts) -> Vec<PendingChild> {
        for resource in &parent.produces {
            if self.producer(resource) == Some(parent.id) {
                self.producers.remove(resource);
            }
        }
        let children = self.children.remove(&parent.id).unwrap_or_default();
        self.children_count -= children.len();
        self.bytes -= children.iter().map(|child| child.transaction.facts.size_bytes).sum::<usize>();
        children
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether something of this size from there may still wait here.
    pub(super) fn has_room(&self, size: usize, source: Source) -> bool {
        let is_fair = match source {
            Source::Local => true,
            Source::Peer(peer) => self.peers.get(&peer).map_or(0, |own| own.bytes) + size <= PEER_BYTES_MAX,
        };
        self.len() < COUNT_MAX && self.bytes + size <= BYTES_MAX && is_fair
    }

    pub(super) fn push(&mut self, checking: PendingCheck) {
        let size = checking.candidate.size();
        self.count += 1;
        self.bytes += size;
        self.weights.add(&checking.candidate);
        self.add_produced(&checking.candidate.transaction().facts);
        match checking.candidate.source() {
            Source::Local => self.clients.push_back(checking),
            Source::Peer(peer) => {
                let own = self.peers.entry(peer).or_default();
                own.bytes += size;
                own.queue.push_back(checking);
            }
        }
    }

    /// The next batch with its signatures, in order: clients' transactions and, of those of peers, a fourth at least while some wait. Clients'
    /// transactions that nobody waits for any more, or that waited too long, are taken out beside it.
    pub(super) fn take_batch(&mut self, now: Instant) -> SignatureBatch {
        let mut batch = SignatureBatch::default();
        let all = (BATCH_COUNT_MAX, BATCH_SIGNATURES);
        let but_a_part = |n: usize| n - n / PEERS_PART;
        let first = if self.peers.is_empty() { all } else { (but_a_part(all.0), but_a_part(all.1)) };
        self.take_clients(now, first, &mut batch);
        self.take_peers(all, &mut batch);
        self.take_clients(now, all, &mut batch);
        batch
    }

    fn take_clients(&mut self, now: Instant, (count, signatures): (usize, usize), batch: &mut SignatureBatch) {
        while batch.has_room(count, signatures) {
            let Some(checking) = self.clients.pop_front() else { break };
            self.count -= 1;
            self.bytes -= checking.candidate.size();
            if checking.is_abandoned() {
                self.weights.remove(&checking.candidate);
                batch.abandoned.push(checking);
            } else if checking.is_late(now) {
                self.weights.remove(&checking.candidate);
                batch.late.push(checking);
            } else {
                batch.push(checking);
            }
        }
    }

    /// One of each peer in turn, so that none waits for all of another.
    fn take_peers(&mut self, (count, signatures): (usize, usize), batch: &mut SignatureBatch) {
        while batch.has_room(count, signatures) {
            let after = self.turn.map_or(Bound::Unbounded, Bound::Excluded);
            let next = self.peers.range((after, Bound::Unbounded)).next().or_else(|| self.peers.iter().next());
            let Some(peer) = next.map(|(peer, _)| *peer) else { break };
            self.turn = Some(peer);
            let Some(own) = self.peers.get_mut(&peer) else { break };
            if let Some(checking) = own.queue.pop_front() {
                self.count -= 1;
                self.bytes -= checking.candidate.size();
                own.bytes -= checking.candidate.size();
                batch.push(checking);
            }
            if own.queue.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }

    /// A batch is checked. Returns its weight.
    pub(super) fn batch_done(&mut self, batch: &SignatureBatch) -> u64 {
        self.weights.clients -= batch.weights.clients;
        self.weights.peers -= batch.weights.peers;
        batch.weights.total()
    }
}

/// One check over all; only when it fails, over parts of it, and of those that fail each transaction by itself. So an invalid one among many
/// costs little more, and nothing but invalid ones three times as much as valid ones.
pub(super) fn valid_ones(items: &[Vec<SignedItem>]) -> Vec<bool> {
    if verify_batch(&items.concat()) {
        return vec![true; items.len()];
    }
    let check_part = |part: &[Vec<SignedItem>]| match part.len() > 1 && verify_batch(&part.concat()) {
        true => vec![true; part.len()],
        false => part.iter().map(|own| verify_batch(own)).collect(),
    };
    items.chunks(items.len().div_ceil(PARTS).max(1)).flat_map(check_part).collect()
}

/// Sends the outcome to the client, if there is one.
pub(super) fn reply(answer: Option<Asker>, outcome: Result<TxId, SubmitError>) {
    if let Some(answer) = answer {
        answer.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use timed_chain::{CheckError, Checked, Pending, ReadError, TransactionRules};
    use timed_mempool::{Pool, PoolLimits};
    use timed_primitives::{DecodeError, Hash, Height, SecretKey, TxFullId};

    /// Everything exists, and no rule is broken.
    struct Anything;

    impl TransactionRules for Anything {
        fn parse(&self, bytes: Bytes) -> Result<PoolTransaction, DecodeError> {
            unreachable!("{bytes:?}")
        }

        fn check(&self, transaction: &PoolTransaction, _pending: &dyn Pending) -> Result<Checked, CheckError> {
            let (key, message) = (SecretKey::development("test", 1), transaction.bytes.to_vec());
            let item = SignedItem { key: key.public(), signature: key.sign(&message), message };
            Ok(Checked { fee: Amount(1_000), signed_items: vec![item] })
        }

        fn is_available(&self, _resource: &Resource) -> Result<bool, ReadError> {
            Ok(true)
        }

        fn is_confirmed(&self, _id: &TxId) -> Result<bool, ReadError> {
            Ok(false)
        }
    }

    /// Consumes one resource and produces one, of these numbers.
    fn transaction(consumes: u32, produces: u32) -> Arc<PoolTransaction> {
        let resource = |index| Box::from([Resource { origin: Hash([7; 32]), index }]);
        let bytes = Bytes::copy_from_slice(&[consumes.to_be_bytes(), produces.to_be_bytes()].concat());
        let mut id = [0; 32];
        id[..8].copy_from_slice(&bytes);
        let facts = TransactionFacts {
            id: TxId(Hash(id)),
            full_id: TxFullId(Hash(id)),
            size_bytes: bytes.len(),
            signatures: 1,
            consumes: resource(consumes),
            produces: resource(produces),
        };
        Arc::new(PoolTransaction { bytes, facts })
    }

    fn checking(number: u32, source: Source, answer: Option<Asker>) -> PendingCheck {
        let pool = Pool::new(PoolLimits::default(), Height::GENESIS);
        let candidate = pool.check(Instant(0), transaction(number, 10_000 + number), source, &Anything).unwrap();
        PendingCheck { candidate, answer, since: Instant(0) }
    }

    #[test]
    fn a_child_waits_for_who_produces_what_it_consumes() {
        let mut queue = CheckQueue::default();
        let parent = checking(1, Source::Local, None);
        let facts = parent.candidate.transaction().facts.clone();
        queue.push(parent);
        assert_eq!((queue.producer(&facts.produces[0]), queue.producer(&facts.consumes[0])), (Some(facts.id), None));
        let child = transaction(10_001, 10_002);
        queue.push_child(facts.id, PendingChild { transaction: child.clone(), answer: None });
        assert_eq!(queue.producer(&child.facts.produces[0]), Some(child.facts.id), "grandchildren wait for it");
        // Another that produces the same is checked last: who depends on it waits for that one.
        let other = transaction(2, 10_001);
        queue.push_child(facts.id, PendingChild { transaction: other.clone(), answer: None });
        let finished = queue.finished(&facts);
        assert_eq!(
            finished.iter().map(|child| child.transaction.facts.id).collect::<Vec<_>>(),
            [child.facts.id, other.facts.id]
        );
        assert_eq!(queue.producer(&facts.produces[0]), Some(other.facts.id));
        for child in [child, other] {
            assert!(queue.finished(&child.facts).is_empty());
        }
        assert!(queue.producers.is_empty() && queue.len() == 1);
    }

    fn peer(n: u64) -> Source {
        Source::Peer(SecretKey::development("node", n).public())
    }

    #[test]
    fn clients_go_first_and_leave_a_fourth_to_peers_in_turn() {
        let mut queue = CheckQueue::default();
        // One peer has sent a lot before anybody else came.
        for number in 0..250 {
            queue.push(checking(number, peer(1), None));
        }
        for number in 250..270 {
            queue.push(checking(number, peer(2), None));
        }
        for number in 300..600 {
            queue.push(checking(number, Source::Local, None));
        }
        let batch = queue.take_batch(Instant(0));
        let count =
            |batch: &SignatureBatch, source| batch.checking.iter().filter(|c| c.candidate.source() == source).count();
        assert_eq!([Source::Local, peer(1), peer(2)].map(|source| count(&batch, source)), [192, 44, 20]);
        assert!(batch.checking[..192].iter().all(|c| c.candidate.source() == Source::Local));
        let before = queue.weights();
        let done = queue.batch_done(&batch);
        assert_eq!(queue.weights().total() + done, before.total());
        let batch = queue.take_batch(Instant(0));
        assert_eq!([Source::Local, peer(1)].map(|source| count(&batch, source)), [108, 148], "what clients leave");
        queue.batch_done(&batch);
        let batch = queue.take_batch(Instant(0));
        assert_eq!(batch.checking.len(), 58);
        queue.batch_done(&batch);
        assert_eq!((queue.len(), queue.bytes, queue.weights()), (0, 0, Weights::default()));
    }

    #[test]
    fn what_nobody_waits_for_and_what_waited_too_long_leaves_unchecked() {
        let mut queue = CheckQueue::default();
        let mut answers = Vec::new();
        for number in 0..4 {
            let (answer, outcome) = oneshot::channel();
            let asker = Asker { outcome: answer, fee_rate_max: None };
            queue.push(checking(number, Source::Local, Some(asker)));
            answers.push(outcome);
        }
        answers.remove(1);
        queue.push(checking(4, Source::Local, None));
        let batch = queue.take_batch(Instant(6_000_000));
        assert_eq!(
            (batch.abandoned.len(), batch.late.len(), batch.checking.len()),
            (1, 3, 1),
            "one never had a client"
        );
        queue.batch_done(&batch);
        assert_eq!((queue.len(), queue.bytes, queue.weights()), (0, 0, Weights::default()));
    }

    #[test]
    fn an_invalid_one_is_found_among_many() {
        for bad in [vec![], vec![0], vec![17, 99], (0..100).collect::<Vec<usize>>()] {
            let items = (0..100u32).map(|number| {
                let mut own = checking(number, Source::Local, None).candidate.take_signed_items();
                if bad.contains(&usize::try_from(number).unwrap()) {
                    own[0].signature.0[5] ^= 1;
                }
                own
            });
            let valid = valid_ones(&items.collect::<Vec<_>>());
            assert_eq!(valid, (0..100).map(|n| !bad.contains(&n)).collect::<Vec<_>>());
        }
        assert_eq!(valid_ones(&[]), Vec::<bool>::new());
    }
}
