//! Transactions whose signatures wait to be checked: whose turn it is, how much of it, and what waits no longer.
//!
//! Checking itself is done elsewhere: the caller takes a batch, checks its signatures, and says when that is done.

use crate::event::Source;
use crate::pool::Candidate;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{PoolTransaction, Resource, TransactionFacts};
use timed_primitives::{IdMap, Instant, PublicKey, SignedItem, TxId, verify_batch};

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

/// Who waits for the outcome of a check.
pub trait Waiter {
    /// Whether nobody wants to know any more.
    fn is_gone(&self) -> bool;
}

/// A candidate whose signatures are to be checked, and who waits for the outcome.
pub struct PendingCheck<W> {
    /// The candidate.
    pub candidate: Candidate,
    /// Who waits; `None` for what a peer brought.
    pub answer: Option<W>,
    /// Since when.
    pub since: Instant,
}

impl<W: Waiter> PendingCheck<W> {
    /// Whether somebody wanted to know, and does no longer.
    fn is_abandoned(&self) -> bool {
        self.answer.as_ref().is_some_and(Waiter::is_gone)
    }

    fn is_late(&self, now: Instant) -> bool {
        self.answer.is_some() && now.since(self.since) > WAIT_MAX
    }
}

/// A client's transaction that depends on one that is not checked yet.
pub struct PendingChild<W> {
    /// The transaction.
    pub transaction: Arc<PoolTransaction>,
    /// Who waits.
    pub answer: Option<W>,
}

/// What is checked next.
pub struct SignatureBatch<W> {
    /// What is checked.
    pub checking: Vec<PendingCheck<W>>,
    /// The signatures of each.
    pub items: Vec<Vec<SignedItem>>,
    /// How many of them are checked together: the rest is under suspicion and last.
    pub together: usize,
    /// Clients' transactions that nobody waits for any more.
    pub abandoned: Vec<PendingCheck<W>>,
    /// Clients' transactions that waited too long.
    pub late: Vec<PendingCheck<W>>,
    signatures: usize,
    weights: Weights,
}

impl<W> SignatureBatch<W> {
    fn new() -> Self {
        let weights = Weights { clients: 0, peers: 0 };
        let (checking, items, abandoned, late) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { checking, items, together: 0, abandoned, late, signatures: 0, weights }
    }

    /// Moves those under suspicion to the end, each part in its order: they are not checked together with the others.
    fn suspects_last(&mut self, is_suspect: impl Fn(&Candidate) -> bool) {
        let all = self.checking.drain(..).zip(self.items.drain(..));
        let (suspects, others): (Vec<_>, Vec<_>) = all.partition(|(checking, _)| is_suspect(&checking.candidate));
        self.together = others.len();
        (self.checking, self.items) = others.into_iter().chain(suspects).unzip();
    }

    /// Leaves out the signatures of those that were checked since they came here: a proposed block may have brought them first.
    pub fn skip_checked(&mut self, is_checked: impl Fn(&PoolTransaction) -> bool) {
        for (checking, items) in self.checking.iter().zip(&mut self.items) {
            if is_checked(checking.candidate.transaction()) {
                items.clear();
            }
        }
    }

    fn has_room(&self, count: usize, signatures: usize) -> bool {
        self.checking.len() < count && self.signatures < signatures
    }

    fn push(&mut self, mut checking: PendingCheck<W>) {
        let own = checking.candidate.take_signed_items();
        self.signatures += own.len();
        self.items.push(own);
        self.weights.add(&checking.candidate);
        self.checking.push(checking);
    }
}

/// Of transactions from clients and from peers: see [`crate::weight`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// From clients.
    pub clients: u64,
    /// From peers.
    pub peers: u64,
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

    /// Of both.
    pub fn total(&self) -> u64 {
        self.clients.saturating_add(self.peers)
    }
}

/// Of one peer.
struct PeerQueue<W> {
    queue: VecDeque<PendingCheck<W>>,
    bytes: usize,
}

/// Clients first, then peers in turn; each first in, first out, within its bounds.
pub struct CheckQueue<W> {
    clients: VecDeque<PendingCheck<W>>,
    /// Only those that have something waiting.
    peers: BTreeMap<PublicKey, PeerQueue<W>>,
    /// The peer served last.
    turn: Option<PublicKey>,
    count: usize,
    bytes: usize,
    /// Of what waits, and of what is being checked.
    weights: Weights,
    /// What is produced by those in the queue, in the batch that is being checked, and those that wait for a parent.
    producers: IdMap<Resource, TxId>,
    /// Clients' transactions by the parent they wait for.
    children: IdMap<TxId, Vec<PendingChild<W>>>,
    children_count: usize,
}

impl<W> Default for CheckQueue<W> {
    fn default() -> Self {
        Self {
            clients: VecDeque::new(),
            peers: BTreeMap::new(),
            turn: None,
            count: 0,
            bytes: 0,
            weights: Weights::default(),
            producers: IdMap::default(),
            children: IdMap::default(),
            children_count: 0,
        }
    }
}

impl<W: Waiter> CheckQueue<W> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.count + self.children_count
    }

    /// Whether waiting would not make the next batch larger.
    pub fn has_full_batch(&self) -> bool {
        self.count >= BATCH_COUNT_MAX
    }

    /// Weight of what waits and of what is being checked; children that wait for a parent are left out, which has to be checked first.
    pub fn weights(&self) -> Weights {
        self.weights
    }

    /// The transaction that produces this, when it is here, or being checked now.
    pub fn producer(&self, of: &Resource) -> Option<TxId> {
        self.producers.get(of).copied()
    }

    fn add_produced(&mut self, facts: &TransactionFacts) {
        self.producers.extend(facts.produces.iter().map(|resource| (*resource, facts.id)));
    }

    /// Keeps a child until [`Self::finished`] with its parent.
    pub fn push_child(&mut self, parent: TxId, child: PendingChild<W>) {
        self.children_count += 1;
        self.bytes += child.transaction.facts.size_bytes;
        self.add_produced(&child.transaction.facts);
        self.children.entry(parent).or_default().push(child);
    }

    /// A transaction is in the pool or refused: its children are to be checked again.
    pub fn finished(&mut self, parent: &TransactionFacts) -> Vec<PendingChild<W>> {
        for resource in parent.produces.iter() {
            if self.producer(resource) == Some(parent.id) {
                self.producers.remove(resource);
            }
        }
        let children = self.children.remove(&parent.id).unwrap_or_default();
        self.children_count -= children.len();
        self.bytes -= children.iter().map(|child| child.transaction.facts.size_bytes).sum::<usize>();
        children
    }

    /// All that wait here, in no order that matters; not those of the batch that is being checked.
    pub fn transactions(&self) -> impl Iterator<Item = &Arc<PoolTransaction>> {
        let queued = self.clients.iter().chain(self.peers.values().flat_map(|own| &own.queue));
        let children = self.children.values().flatten().map(|child| &child.transaction);
        queued.map(|checking| checking.candidate.transaction()).chain(children)
    }

    /// Whether no candidate waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether something of this size from there may still wait here.
    pub fn has_room(&self, size: usize, source: Source) -> bool {
        let is_fair = match source {
            Source::Local => true,
            Source::Peer(peer) => self.peers.get(&peer).map_or(0, |own| own.bytes) + size <= PEER_BYTES_MAX,
        };
        self.len() < COUNT_MAX && self.bytes + size <= BYTES_MAX && is_fair
    }

    /// A candidate for which [`Self::has_room`].
    pub fn push(&mut self, checking: PendingCheck<W>) {
        let size = checking.candidate.size();
        self.count += 1;
        self.bytes += size;
        self.weights.add(&checking.candidate);
        self.add_produced(&checking.candidate.transaction().facts);
        match checking.candidate.source() {
            Source::Local => self.clients.push_back(checking),
            Source::Peer(peer) => {
                let own = self.peers.entry(peer).or_insert_with(|| PeerQueue { queue: VecDeque::new(), bytes: 0 });
                own.bytes += size;
                own.queue.push_back(checking);
            }
        }
    }

    /// The next batch with its signatures, in order: clients' transactions and, of those of peers, a fourth at least while some wait. Clients'
    /// transactions that nobody waits for any more, or that waited too long, are taken out beside it. Those under suspicion come last.
    pub fn take_batch(&mut self, now: Instant, is_suspect: impl Fn(&Candidate) -> bool) -> SignatureBatch<W> {
        let mut batch = SignatureBatch::new();
        let all = (BATCH_COUNT_MAX, BATCH_SIGNATURES);
        let but_a_part = |n: usize| n - n / PEERS_PART;
        let first = if self.peers.is_empty() { all } else { (but_a_part(all.0), but_a_part(all.1)) };
        self.take_clients(now, first, &mut batch);
        self.take_peers(all, &mut batch);
        self.take_clients(now, all, &mut batch);
        batch.suspects_last(is_suspect);
        batch
    }

    fn take_clients(&mut self, now: Instant, (count, signatures): (usize, usize), batch: &mut SignatureBatch<W>) {
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
    fn take_peers(&mut self, (count, signatures): (usize, usize), batch: &mut SignatureBatch<W>) {
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
    pub fn batch_done(&mut self, batch: &SignatureBatch<W>) -> u64 {
        self.weights.clients -= batch.weights.clients;
        self.weights.peers -= batch.weights.peers;
        batch.weights.total()
    }
}

/// One check over the first so many; only when it fails, over parts of them, and of those that fail each transaction by itself. So an invalid
/// one among many costs little more, and nothing but invalid ones three times as much as valid ones. The rest is checked one by one, which
/// costs the others nothing.
pub fn valid_ones(items: &[Vec<SignedItem>], together: usize) -> Vec<bool> {
    let (together, alone) = items.split_at(together.min(items.len()));
    let mut valid = valid_together(together);
    valid.extend(alone.iter().map(|own| verify_batch(own)));
    valid
}

fn valid_together(items: &[Vec<SignedItem>]) -> Vec<bool> {
    if verify_batch(&items.concat()) {
        return vec![true; items.len()];
    }
    let check_part = |part: &[Vec<SignedItem>]| match part.len() > 1 && verify_batch(&part.concat()) {
        true => vec![true; part.len()],
        false => part.iter().map(|own| verify_batch(own)).collect(),
    };
    items.chunks(items.len().div_ceil(PARTS).max(1)).flat_map(check_part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pool, PoolLimits};
    use bytes::Bytes;
    use std::cell::Cell;
    use std::rc::Rc;
    use timed_chain::{CheckError, Checked, Pending, ReadError, TransactionRules};
    use timed_primitives::{Amount, DecodeError, Hash, Height, SecretKey, TxFullId};

    /// Somebody who may give up.
    #[derive(Clone, Default)]
    struct Client(Rc<Cell<bool>>);

    impl Waiter for Client {
        fn is_gone(&self) -> bool {
            self.0.get()
        }
    }

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
        let resource = |index| Arc::from([Resource { origin: Hash([7; 32]), index }]);
        let bytes = Bytes::copy_from_slice(&[consumes.to_be_bytes(), produces.to_be_bytes()].concat());
        let mut id = [0; 32];
        id[..8].copy_from_slice(&bytes);
        let facts = TransactionFacts {
            id: TxId(Hash(id)),
            full_id: TxFullId(Hash(id)),
            size_bytes: bytes.len(),
            signatures: 1,
            is_statement: false,
            consumes: resource(consumes),
            produces: resource(produces),
        };
        Arc::new(PoolTransaction::new(bytes, facts))
    }

    fn checking(number: u32, source: Source, answer: Option<Client>) -> PendingCheck<Client> {
        let pool = Pool::new(PoolLimits::default(), Height::GENESIS);
        let candidate = pool.check(Instant(0), transaction(number, 10_000 + number), source, &Anything).unwrap();
        PendingCheck { candidate, answer, since: Instant(0) }
    }

    #[test]
    fn a_child_waits_for_who_produces_what_it_consumes() {
        let mut queue = CheckQueue::<Client>::default();
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
        let mut queue = CheckQueue::<Client>::default();
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
        let batch = queue.take_batch(Instant(0), |_| false);
        let count = |batch: &SignatureBatch<Client>, source| {
            batch.checking.iter().filter(|c| c.candidate.source() == source).count()
        };
        assert_eq!([Source::Local, peer(1), peer(2)].map(|source| count(&batch, source)), [192, 44, 20]);
        assert!(batch.checking[..192].iter().all(|c| c.candidate.source() == Source::Local));
        let before = queue.weights();
        let done = queue.batch_done(&batch);
        assert_eq!(queue.weights().total() + done, before.total());
        let batch = queue.take_batch(Instant(0), |_| false);
        assert_eq!([Source::Local, peer(1)].map(|source| count(&batch, source)), [108, 148], "what clients leave");
        queue.batch_done(&batch);
        let batch = queue.take_batch(Instant(0), |_| false);
        assert_eq!(batch.checking.len(), 58);
        queue.batch_done(&batch);
        assert_eq!((queue.len(), queue.bytes, queue.weights()), (0, 0, Weights::default()));
    }

    #[test]
    fn those_under_suspicion_are_last_and_apart() {
        let mut queue = CheckQueue::<Client>::default();
        let ids: Vec<_> = (0..6)
            .map(|number| {
                let checking = checking(number, if number == 5 { peer(1) } else { Source::Local }, None);
                let id = checking.candidate.full_id();
                queue.push(checking);
                id
            })
            .collect();
        let mut batch = queue.take_batch(Instant(0), |candidate| [ids[1], ids[3]].contains(&candidate.full_id()));
        let order: Vec<_> = batch.checking.iter().map(|checking| checking.candidate.full_id()).collect();
        assert_eq!((order, batch.together), ([0, 2, 4, 5, 1, 3].map(|place| ids[place]).to_vec(), 4));
        for place in 0..6 {
            let signature = &mut batch.items[place][0].signature.0[5];
            *signature ^= 1;
            let expected: Vec<_> = (0..6).map(|other| other != place).collect();
            assert_eq!(valid_ones(&batch.items, batch.together), expected);
            batch.items[place][0].signature.0[5] ^= 1;
        }
        queue.batch_done(&batch);
        assert_eq!((queue.len(), queue.weights()), (0, Weights::default()));
    }

    #[test]
    fn what_nobody_waits_for_and_what_waited_too_long_leaves_unchecked() {
        let mut queue = CheckQueue::<Client>::default();
        let clients: Vec<Client> = (0..4).map(|_| Client::default()).collect();
        for (number, client) in (0..).zip(&clients) {
            queue.push(checking(number, Source::Local, Some(client.clone())));
        }
        clients[1].0.set(true);
        queue.push(checking(4, Source::Local, None));
        let batch = queue.take_batch(Instant(6_000_000), |_| false);
        assert_eq!(
            (batch.abandoned.len(), batch.late.len(), batch.checking.len()),
            (1, 3, 1),
            "one never had a client"
        );
        queue.batch_done(&batch);
        assert_eq!((queue.len(), queue.bytes, queue.weights()), (0, 0, Weights::default()));
    }

    #[test]
    fn what_was_checked_meanwhile_is_not_checked_again() {
        let mut queue = CheckQueue::<Client>::default();
        for number in 0..3 {
            queue.push(checking(number, peer(1), None));
        }
        let mut batch = queue.take_batch(Instant(0), |_| false);
        let known = batch.checking[1].candidate.full_id();
        batch.skip_checked(|transaction| transaction.facts.full_id == known);
        assert_eq!(batch.items.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 1]);
        assert_eq!(valid_ones(&batch.items, batch.together), [true; 3]);
        batch.items[0][0].signature.0[5] ^= 1;
        assert_eq!(valid_ones(&batch.items, batch.together), [false, true, true]);
        queue.batch_done(&batch);
        assert_eq!(queue.weights(), Weights::default());
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
            let items: Vec<_> = items.collect();
            for together in [100, 50, 0] {
                let valid = valid_ones(&items, together);
                assert_eq!(valid, (0..100).map(|n| !bad.contains(&n)).collect::<Vec<_>>(), "{together} together");
            }
        }
        assert_eq!(valid_ones(&[], 0), Vec::<bool>::new());
    }
}
