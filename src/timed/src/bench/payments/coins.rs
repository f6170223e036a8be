//! Coins that pay, and payments signed before the run.

use std::collections::BTreeSet;
use std::thread;
use timed_ledger::Genesis;
use timed_primitives::transaction::TRANSACTION_VERSION;
use timed_primitives::{
    Amount, ChainId, KeyHash, Lock, OutPoint, SecretKey, Transaction, TransactionBody, TxId, TxInput, TxOutput, encode,
};

/// How many keys own the coins. Many, since signatures of one key are cheaper to verify together.
const KEYS: u64 = 4_096;
/// Coins made from one coin of genesis. Bound: the outputs of one transaction.
const SPLIT_INTO: u64 = 40;
/// What one payment pays.
const PAID: Amount = Amount(10_000);
/// Fee of every transaction: above the least for the largest made here (2 KiB at 1 unit per byte).
const FEE: Amount = Amount(4_000);

/// A coin and its owner.
#[derive(Clone, Copy)]
struct Coin {
    outpoint: OutPoint,
    amount: Amount,
    /// Index into the keys.
    owner: usize,
}

/// A signed transaction, ready to be sent.
#[derive(Clone)]
pub(super) struct Signed {
    pub(super) id: TxId,
    /// Canonical encoding as hex.
    pub(super) hex: String,
    /// The place of the coin that pays; `None` for a split.
    pub(super) place: Option<usize>,
}

/// All coins of the benchmark. Each pays in turn and gets its change back as the next coin of its place.
pub(super) struct Coins {
    chain_id: ChainId,
    keys: Vec<SecretKey>,
    genesis_key: SecretKey,
    genesis: Vec<(OutPoint, TxOutput)>,
    coins: Vec<Coin>,
    next: usize,
    paid: u64,
}

impl Coins {
    /// Those of a development network of so many nodes.
    pub(super) fn of_devnet(nodes: u64) -> Self {
        let genesis = Genesis::devnet(nodes);
        Self {
            chain_id: genesis.chain_id,
            keys: (0..KEYS).map(|id| SecretKey::development("benchmark", id)).collect(),
            genesis_key: SecretKey::development("wallet", 0),
            genesis: genesis.unspent().collect(),
            coins: Vec::new(),
            next: 0,
            paid: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.coins.len()
    }

    /// Transactions that must be final before so many coins can pay; nothing when there are enough. Each splits one coin of genesis.
    pub(super) fn split(&mut self, wanted: usize) -> Vec<Signed> {
        let mut splits = Vec::new();
        while self.coins.len() < wanted
            && let Some((outpoint, output)) = self.genesis.pop()
        {
            let each = Amount((output.amount.0 - FEE.0) / SPLIT_INTO);
            let first = self.coins.len();
            let outputs = (0..SPLIT_INTO).map(|n| {
                let owner = (first + usize::try_from(n).unwrap_or_default()) % self.keys.len();
                TxOutput { amount: each, lock: self.lock(owner) }
            });
            let body = self.body(outpoint, outputs.collect());
            let transaction = body.sign(&[&self.genesis_key]);
            let txid = transaction.id();
            for n in 0..SPLIT_INTO {
                let owner = self.coins.len() % self.keys.len();
                let outpoint = OutPoint { txid, index: u32::try_from(n).unwrap_or_default() };
                self.coins.push(Coin { outpoint, amount: each, owner });
            }
            splits.push(signed(&transaction, None));
        }
        splits
    }

    /// Gives up coins whose payments did not all become final: their change may not exist.
    pub(super) fn forget(&mut self, places: &BTreeSet<usize>) {
        let mut place = 0;
        self.coins.retain(|_| {
            place += 1;
            !places.contains(&(place - 1))
        });
    }

    /// So many payments in the order in which they can be sent: each coin in turn pays somebody and gets the rest back.
    pub(super) fn payments(&mut self, count: usize) -> Vec<Signed> {
        let mut bodies = Vec::with_capacity(count);
        for _ in 0..count {
            let place = self.next % self.coins.len().max(1);
            self.next += 1;
            self.paid += 1;
            let Some(coin) = self.coins.get(place).copied() else { break };
            let change = Amount(coin.amount.0.saturating_sub(PAID.0 + FEE.0));
            let payee = usize::try_from(self.paid.wrapping_mul(0x9e37_79b9) % KEYS).unwrap_or_default();
            let outputs = vec![
                TxOutput { amount: PAID, lock: self.lock(payee) },
                TxOutput { amount: change, lock: self.lock(coin.owner) },
            ];
            let body = self.body(coin.outpoint, outputs);
            self.coins[place] = Coin { outpoint: OutPoint { txid: body.id(), index: 1 }, amount: change, ..coin };
            bodies.push((body, coin.owner, place));
        }
        // Signing takes longest, so on every core.
        let share = bodies.len().div_ceil(thread::available_parallelism().map_or(1, usize::from)).max(1);
        let keys = &self.keys;
        thread::scope(|scope| {
            let parts: Vec<_> = bodies
                .chunks(share)
                .map(|part| {
                    scope.spawn(move || {
                        part.iter()
                            .map(|(body, owner, place)| signed(&body.clone().sign(&[&keys[*owner]]), Some(*place)))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
        })
    }

    fn lock(&self, owner: usize) -> Lock {
        Lock::KeyHash(KeyHash::of(&self.keys[owner].public()))
    }

    fn body(&self, previous: OutPoint, outputs: Vec<TxOutput>) -> TransactionBody {
        let inputs = vec![TxInput { previous }];
        TransactionBody { version: TRANSACTION_VERSION, chain_id: self.chain_id, inputs, outputs }
    }
}

fn signed(transaction: &Transaction, place: Option<usize>) -> Signed {
    Signed { id: transaction.id(), hex: hex::encode(encode(transaction)), place }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::decode;

    #[test]
    fn payments_spend_what_earlier_ones_made_and_no_coin_twice() {
        let mut coins = Coins::of_devnet(4);
        let splits = coins.split(100);
        assert_eq!((splits.len(), coins.len()), (3, 120));
        let payments = coins.payments(500);
        let (mut made, mut spent) = (BTreeSet::new(), BTreeSet::new());
        for signed in splits.iter().chain(&payments) {
            let transaction: Transaction = decode(&hex::decode(&signed.hex).unwrap()).unwrap();
            assert_eq!(transaction.id(), signed.id);
            let previous = transaction.body.inputs[0].previous;
            assert!(spent.insert(previous));
            assert!(previous.txid.0 == Genesis::devnet(4).hash() || made.contains(&previous));
            for index in 0..u32::try_from(transaction.body.outputs.len()).unwrap() {
                made.insert(OutPoint { txid: signed.id, index });
            }
            let items: Vec<_> = transaction.signed_items().collect();
            assert!(timed_primitives::verify_batch(&items));
        }
        coins.forget(&BTreeSet::from([0, 7]));
        assert_eq!(coins.len(), 118);
        let lost = [&payments[0], &payments[7]].map(|signed| signed.place);
        assert_eq!(lost, [Some(0), Some(7)]);
        for signed in coins.payments(200) {
            let transaction: Transaction = decode(&hex::decode(&signed.hex).unwrap()).unwrap();
            let previous = transaction.body.inputs[0].previous;
            let of_lost = payments.iter().filter(|payment| [Some(0), Some(7)].contains(&payment.place));
            assert!(of_lost.clone().all(|payment| payment.id != previous.txid), "a lost coin pays again");
        }
    }
}
