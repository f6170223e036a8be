//! Clients in the background: each transaction is handed in again, to another node, until it is final.

use crate::application::Workload;
use crate::node::Node;
use crate::service::Served;
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::mempool::GetEntry;
use timed_chain::PoolTransaction;
use timed_primitives::TxId;
use tokio::time::Instant;

/// A transaction that is not final after this is handed to another node.
const INSIST_AFTER: Duration = Duration::from_secs(20);
/// How long a sender waits for a node's answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often a sender looks whether a node is back.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after its start a node may take until it has again what it kept.
const RECALLS_WITHIN: Duration = Duration::from_secs(5);

struct SentTransaction {
    transaction: Arc<PoolTransaction>,
    sent: Instant,
    tried: Instant,
}

/// All clients of a network.
pub struct Clients {
    workload: Box<dyn Workload>,
    in_flight: BTreeMap<TxId, SentTransaction>,
    sent: u64,
    took: Vec<Duration>,
    seen: Rc<RefCell<AcceptedTransactions>>,
}

/// What clients saw of transactions that were accepted.
#[derive(Default)]
struct AcceptedTransactions {
    /// Those that the node which accepted them calls final now.
    served: Vec<Served>,
    /// Those it does not: by whom, and when.
    waiting: BTreeMap<TxId, (u64, Instant)>,
    /// Those of which it knows nothing since its process ended: by whom.
    lost: Vec<(TxId, u64)>,
}

impl Clients {
    /// Who make these transactions.
    pub fn new(workload: Box<dyn Workload>) -> Self {
        Self { workload, in_flight: BTreeMap::new(), sent: 0, took: Vec::new(), seen: Rc::default() }
    }

    /// How many were made.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// How many are not final yet.
    pub fn waiting(&self) -> usize {
        self.in_flight.len()
    }

    /// How long those that are final took, from the first submission to the first node that called them final; sorted.
    pub fn took(&self) -> Vec<Duration> {
        let mut took = self.took.clone();
        took.sort_unstable();
        took
    }

    /// Transactions that were accepted, as their clients saw them, those that still wait included.
    pub fn served(&self) -> Vec<Served> {
        let (seen, until) = (self.seen.borrow(), Instant::now());
        let waiting = seen.waiting.values().map(|(node, accepted)| Served { node: *node, accepted: *accepted, until });
        seen.served.iter().copied().chain(waiting).collect()
    }

    /// Transactions that were accepted and are not final where they were, while that node lived on.
    pub(crate) fn accepted(&self) -> Vec<(TxId, u64)> {
        self.seen.borrow().waiting.iter().map(|(txid, (node, _))| (*txid, *node)).collect()
    }

    /// The next transaction of a client that is free; `None` when all wait.
    pub fn next_transaction(&mut self) -> Option<Arc<PoolTransaction>> {
        let transaction = Arc::new(self.workload.next()?);
        self.sent += 1;
        let now = Instant::now();
        let waiting = SentTransaction { transaction: transaction.clone(), sent: now, tried: now };
        self.in_flight.insert(transaction.facts.id, waiting);
        Some(transaction)
    }

    /// A transaction is final somewhere, and so everywhere: its account can pay again.
    pub fn on_final(&mut self, txid: &TxId, at: Instant) {
        if let Some(done) = self.in_flight.remove(txid) {
            self.took.push(at.duration_since(done.sent));
            self.workload.on_final(txid);
        }
    }

    /// Transactions that wait for too long: they are to be handed in again.
    pub fn overdue(&mut self) -> Vec<Arc<PoolTransaction>> {
        let overdue = self.in_flight.values_mut().filter(|waiting| waiting.tried.elapsed() >= INSIST_AFTER);
        overdue
            .map(|waiting| {
                waiting.tried = Instant::now();
                waiting.transaction.clone()
            })
            .collect()
    }

    /// Hands a transaction to one of the nodes, in the background, and sees what becomes of it there.
    pub(crate) fn submit(&self, nodes: &[Node], rng: &mut StdRng, transaction: Arc<PoolTransaction>) {
        let Some(node) = nodes.get(rng.random_range(0..nodes.len().max(1))).cloned() else { return };
        tokio::task::spawn_local(client(self.seen.clone(), node, transaction));
    }

    /// Transactions that a node had accepted and knows nothing of after its process had ended, since the last call.
    pub(crate) fn take_lost(&self) -> Vec<(TxId, u64)> {
        std::mem::take(&mut self.seen.borrow_mut().lost)
    }
}

/// Hands in a transaction, and looks for it as long as it is not final where it was accepted.
async fn client(seen: Rc<RefCell<AcceptedTransactions>>, node: Node, transaction: Arc<PoolTransaction>) {
    let upsets = node.upsets();
    let answer = tokio::time::timeout(ANSWER_WITHIN, node.submit(transaction)).await;
    // What a node says in the moment of its death nobody hears.
    let Some(txid) = answer.ok().and_then(Result::ok).filter(|_| node.is_running()) else { return };
    let is_kept = node.keeps_what_it_accepts();
    seen.borrow_mut().waiting.entry(txid).or_insert((node.id(), Instant::now()));
    node.becomes_final(&txid).await;
    seen.borrow_mut().on_end(node.id(), &txid, node.is_final(&txid));
    while !node.is_final(&txid) {
        while !node.is_running() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let starts = node.starts();
        tokio::time::sleep(RECALLS_WITHIN).await;
        if node.upsets() != upsets || !is_kept {
            return;
        }
        let Some(handles) = node.try_handles().filter(|_| node.starts() == starts) else { continue };
        let is_gone = matches!(handles.mempool.send(GetEntry(txid)).await, Ok(None));
        if is_gone && node.starts() == starts && node.is_running() && !node.is_final(&txid) {
            seen.borrow_mut().lost.push((txid, node.id()));
            return;
        }
        node.becomes_final(&txid).await;
    }
}

impl AcceptedTransactions {
    /// A node calls a transaction final, or its life ended before.
    fn on_end(&mut self, node: u64, txid: &TxId, is_final: bool) {
        if let Some((_, accepted)) = self.waiting.get(txid).copied().filter(|(by, _)| *by == node) {
            self.waiting.remove(txid);
            if is_final {
                self.served.push(Served { node, accepted, until: Instant::now() });
            }
        }
    }
}

impl Node {
    /// Something comes after which nobody can ask this node at once for what it had accepted.
    pub(crate) fn upset(&self) {
        self.0.upsets.set(self.0.upsets.get() + 1);
    }

    /// Whether it does not say that what it accepts now may be lost with its process.
    fn keeps_what_it_accepts(&self) -> bool {
        let status = self.try_handles().and_then(|handles| handles.mempool_status.borrow().clone());
        status.is_some_and(|status| status.keeping.problem().is_none())
    }

    /// How often that was so. The end of its process alone is none: what it had answered is kept.
    pub(crate) fn upsets(&self) -> u64 {
        self.0.upsets.get()
    }

    /// How often it was started.
    pub(crate) fn starts(&self) -> u64 {
        self.0.starts.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::SimulatedApplication as _;
    use crate::payments::SimulatedPayments;

    #[tokio::test(start_paused = true)]
    async fn a_client_goes_on_when_its_transaction_is_final_and_insists_until_then() {
        let mut clients = Clients::new(SimulatedPayments::devnet(4).workload());
        let first = clients.next_transaction().unwrap();
        for _ in 1..800 {
            clients.next_transaction().unwrap();
        }
        assert!(clients.next_transaction().is_none(), "all wait");
        assert!(clients.overdue().is_empty());
        tokio::time::sleep(INSIST_AFTER).await;
        clients.on_final(&first.facts.id, Instant::now());
        assert_eq!((clients.overdue().len(), clients.overdue().len()), (799, 0));
        assert_eq!((clients.waiting(), clients.took()), (799, vec![INSIST_AFTER]));
        clients.next_transaction().unwrap();
        assert_eq!(clients.sent(), 801);
    }
}
