//! Payments in the background: accounts that each have at most one payment on its way, and insist until it is final.

use crate::node::Node;
use crate::service::Served;
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use timed_actors::mempool::GetEntry;
use timed_ledger::Genesis;
use timed_primitives::transaction::TRANSACTION_VERSION;
use timed_primitives::{
    Amount, ChainId, KeyHash, Lock, OutPoint, SecretKey, Transaction, TransactionBody, TxId, TxInput, TxOutput,
};
use tokio::time::Instant;

/// What one payment pays, and its fee.
const PAID: Amount = Amount(10_000);
const FEE: Amount = Amount(4_000);
/// A payment that is not final after this is handed to another node.
const INSIST_AFTER: Duration = Duration::from_secs(20);
/// How long a sender waits for a node's answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often a sender looks whether a node is back.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after its start a node may take until it has again what it kept.
const RECALLS_WITHIN: Duration = Duration::from_secs(5);

/// So many keys are paid, in turn. They never pay.
pub(crate) const PAYEES: u64 = 16;

/// One of them.
pub(crate) fn payee(number: u64) -> SecretKey {
    SecretKey::development("payee", number)
}

/// A coin that can pay.
#[derive(Clone, Copy)]
struct Account {
    outpoint: OutPoint,
    amount: Amount,
}

struct SentPayment {
    transaction: Transaction,
    change: Account,
    sent: Instant,
    tried: Instant,
}

/// All accounts of the simulator.
pub struct Payments {
    chain_id: ChainId,
    key: SecretKey,
    free: VecDeque<Account>,
    in_flight: BTreeMap<TxId, SentPayment>,
    sent: u64,
    took: Vec<Duration>,
    clients: Rc<RefCell<Clients>>,
}

/// What clients saw of payments that were accepted.
#[derive(Default)]
struct Clients {
    /// Those that the node which accepted them calls final now.
    served: Vec<Served>,
    /// Those it does not: by whom, and when.
    waiting: BTreeMap<TxId, (u64, Instant)>,
    /// Those of which it knows nothing since its process ended: by whom.
    lost: Vec<(TxId, u64)>,
}

impl Payments {
    /// One account for each output of genesis.
    pub fn new(genesis: &Genesis) -> Self {
        let account = |(outpoint, output): (OutPoint, TxOutput)| Account { outpoint, amount: output.amount };
        Self {
            chain_id: genesis.chain_id,
            key: SecretKey::development("wallet", 0),
            free: genesis.unspent().map(account).collect(),
            in_flight: BTreeMap::new(),
            sent: 0,
            took: Vec::new(),
            clients: Rc::default(),
        }
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

    /// Payments that were accepted, as their clients saw them, those that still wait included.
    pub fn served(&self) -> Vec<Served> {
        let (clients, until) = (self.clients.borrow(), Instant::now());
        let waiting =
            clients.waiting.values().map(|(node, accepted)| Served { node: *node, accepted: *accepted, until });
        clients.served.iter().copied().chain(waiting).collect()
    }

    /// Payments that were accepted and are not final where they were, while that node lived on.
    pub(crate) fn accepted(&self) -> Vec<(TxId, u64)> {
        self.clients.borrow().waiting.iter().map(|(txid, (node, _))| (*txid, *node)).collect()
    }

    /// The next payment of an account that is free; `None` when all wait.
    pub fn next_payment(&mut self) -> Option<Transaction> {
        let account = self.free.pop_front()?;
        let change = account.amount.minus(PAID)?.minus(FEE)?;
        self.sent += 1;
        let lock = |key: &SecretKey| Lock::KeyHash(KeyHash::of(&key.public()));
        let payee = payee(self.sent % PAYEES);
        let body = TransactionBody {
            version: TRANSACTION_VERSION,
            chain_id: self.chain_id,
            inputs: vec![TxInput { previous: account.outpoint }],
            outputs: vec![
                TxOutput { amount: PAID, lock: lock(&payee) },
                TxOutput { amount: change, lock: lock(&self.key) },
            ],
        };
        let transaction = body.sign(&[&self.key]);
        let change = Account { outpoint: OutPoint { txid: transaction.id(), index: 1 }, amount: change };
        let now = Instant::now();
        let waiting = SentPayment { transaction: transaction.clone(), change, sent: now, tried: now };
        self.in_flight.insert(transaction.id(), waiting);
        Some(transaction)
    }

    /// A payment is final somewhere, and so everywhere: its account can pay again.
    pub fn on_final(&mut self, txid: &TxId, at: Instant) {
        if let Some(done) = self.in_flight.remove(txid) {
            self.took.push(at.duration_since(done.sent));
            self.free.push_back(done.change);
        }
    }

    /// Payments that wait for too long: they are to be handed in again.
    pub fn overdue(&mut self) -> Vec<Transaction> {
        let overdue = self.in_flight.values_mut().filter(|waiting| waiting.tried.elapsed() >= INSIST_AFTER);
        overdue
            .map(|waiting| {
                waiting.tried = Instant::now();
                waiting.transaction.clone()
            })
            .collect()
    }

    /// Hands a payment to one of the nodes, in the background, and sees what becomes of it there.
    pub(crate) fn submit(&self, nodes: &[Node], rng: &mut StdRng, transaction: Transaction) {
        let Some(node) = nodes.get(rng.random_range(0..nodes.len().max(1))).cloned() else { return };
        tokio::task::spawn_local(client(self.clients.clone(), node, transaction));
    }

    /// Payments that a node had accepted and knows nothing of after its process had ended, since the last call.
    pub(crate) fn take_lost(&self) -> Vec<(TxId, u64)> {
        std::mem::take(&mut self.clients.borrow_mut().lost)
    }
}

/// Hands in a payment, and looks for it as long as it is not final where it was accepted.
async fn client(clients: Rc<RefCell<Clients>>, node: Node, transaction: Transaction) {
    let upsets = node.upsets();
    let answer = tokio::time::timeout(ANSWER_WITHIN, node.submit(transaction)).await;
    // What a node says in the moment of its death nobody hears.
    let Some(txid) = answer.ok().and_then(Result::ok).filter(|_| node.is_running()) else { return };
    clients.borrow_mut().waiting.entry(txid).or_insert((node.id(), Instant::now()));
    node.becomes_final(&txid).await;
    clients.borrow_mut().on_end(node.id(), &txid, node.is_final(&txid));
    while !node.is_final(&txid) {
        while !node.is_running() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let starts = node.starts();
        tokio::time::sleep(RECALLS_WITHIN).await;
        if node.upsets() != upsets {
            return;
        }
        let Some(handles) = node.try_handles().filter(|_| node.starts() == starts) else { continue };
        let is_gone = matches!(handles.mempool.send(GetEntry(txid)).await, Ok(None));
        if is_gone && node.starts() == starts && node.is_running() && !node.is_final(&txid) {
            clients.borrow_mut().lost.push((txid, node.id()));
            return;
        }
        node.becomes_final(&txid).await;
    }
}

impl Clients {
    /// A node calls a payment final, or its life ended before.
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

    #[tokio::test(start_paused = true)]
    async fn an_account_pays_again_with_its_change_and_insists_until_then() {
        let mut payments = Payments::new(&Genesis::devnet(4));
        let first = payments.next_payment().unwrap();
        for _ in 1..1_000 {
            payments.next_payment().unwrap();
        }
        assert!(payments.next_payment().is_none(), "all accounts wait");
        assert!(payments.overdue().is_empty());
        tokio::time::sleep(INSIST_AFTER).await;
        payments.on_final(&first.id(), Instant::now());
        assert_eq!((payments.overdue().len(), payments.overdue().len()), (999, 0));
        assert_eq!((payments.waiting(), payments.took()), (999, vec![INSIST_AFTER]));
        let second = payments.next_payment().unwrap();
        assert_eq!(second.body.inputs[0].previous, OutPoint { txid: first.id(), index: 1 });
        assert_eq!(payments.sent(), 1_001);
    }
}
