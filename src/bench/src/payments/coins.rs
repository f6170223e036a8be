//! Coins that pay, and payments signed before the run.

use std::collections::BTreeSet;
use std::thread;
use timed_ledger::{Genesis, KeyHash, Lock, OutPoint, Transaction, TransactionBody, TxInput, TxOutput, Witness};
use timed_primitives::{Amount, ChainId, SecretKey, Signature, TxId, encode};

/// How many keys own the coins. Many, since signatures of one key are cheaper to verify together.
const KEYS: u64 = 4_096;
/// What one payment pays to each payee.
const PAID: Amount = Amount(10_000);
/// Least fee of a transaction: far above what the node asks (1 unit per byte).
const FEE_MIN: u64 = 4_000;
/// Fee for each output: above the least for its 41 bytes.
const FEE_PER_OUTPUT: u64 = 50;

/// A coin and its owner.
#[derive(Clone, Copy)]
struct BenchCoin {
    outpoint: OutPoint,
    amount: Amount,
    /// Index into the keys.
    owner: usize,
}

/// A signed transaction, ready to be sent.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) id: TxId,
    /// Canonical encoding.
    pub(crate) bytes: Vec<u8>,
    /// The place of the coin that pays; `None` for a split.
    pub(crate) place: Option<usize>,
}

impl Signed {
    fn new(transaction: &Transaction, place: Option<usize>) -> Self {
        Self { id: transaction.id(), bytes: encode(transaction), place }
    }

    /// As RPC takes it.
    pub(crate) fn hex(&self) -> String {
        hex::encode(&self.bytes)
    }
}

/// What a payment looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// How many are paid, besides the change.
    pub(crate) payees: u64,
    /// Whether the coin is spent a second time, to somebody else.
    pub(crate) has_rival: bool,
    /// Whether all payees are the same: see [`BenchCoins::pile_owner`].
    pub(crate) is_pile: bool,
}

impl Shape {
    /// One payee and change: 248 bytes.
    pub(crate) const SMALL: Self = Self { payees: 1, has_rival: false, is_pile: false };
}

/// A payment, and the other spend of its coin if there is to be one. The coin's next payment spends the change of the first.
#[derive(Clone)]
pub(crate) struct Spend {
    pub(crate) payment: Signed,
    pub(crate) rival: Option<Signed>,
}

/// All coins of the benchmark. Each pays in turn and gets its change back as the next coin of its place.
pub(crate) struct BenchCoins {
    chain_id: ChainId,
    keys: Vec<SecretKey>,
    genesis_key: SecretKey,
    genesis: Vec<(OutPoint, TxOutput)>,
    coins: Vec<BenchCoin>,
    next: usize,
    paid: u64,
}

impl BenchCoins {
    /// Those of a development network of so many nodes.
    pub(crate) fn of_devnet(nodes: u64) -> Self {
        let genesis = Genesis::devnet(nodes);
        Self {
            chain_id: genesis.chain_id,
            keys: (0..KEYS).map(|id| SecretKey::development("benchmark", id)).collect(),
            genesis_key: SecretKey::development("wallet", 0),
            genesis: genesis.coins().collect(),
            coins: Vec::new(),
            next: 0,
            paid: 0,
        }
    }

    /// Who gets everything that payments with [`Shape::is_pile`] pay.
    pub(crate) fn pile_owner(&self) -> KeyHash {
        KeyHash::of(&self.keys[0].public())
    }

    pub(crate) fn len(&self) -> usize {
        self.coins.len()
    }

    /// Transactions that must be final before so many coins can pay; nothing when there are enough. Each splits one coin of genesis into
    /// `into`. Bound: the outputs of one transaction.
    pub(crate) fn split(&mut self, wanted: usize, into: u64) -> Vec<Signed> {
        let mut splits = Vec::new();
        while self.coins.len() < wanted
            && let Some((outpoint, output)) = self.genesis.pop()
        {
            let each = Amount((output.amount.0 - fee(into).0) / into);
            let first = self.coins.len();
            let outputs = (0..into).map(|n| {
                let owner = (first + usize::try_from(n).unwrap_or_default()) % self.keys.len();
                TxOutput { amount: each, lock: self.lock(owner) }
            });
            let body = self.body(outpoint, outputs.collect());
            let transaction = body.sign(&[&self.genesis_key]);
            let txid = transaction.id();
            for n in 0..into {
                let owner = self.coins.len() % self.keys.len();
                let outpoint = OutPoint { txid, index: u32::try_from(n).unwrap_or_default() };
                self.coins.push(BenchCoin { outpoint, amount: each, owner });
            }
            splits.push(Signed::new(&transaction, None));
        }
        splits
    }

    /// Gives up coins whose payments did not all become final: their change may not exist.
    pub(crate) fn forget(&mut self, places: &BTreeSet<usize>) {
        let mut place = 0;
        self.coins.retain(|_| {
            place += 1;
            !places.contains(&(place - 1))
        });
    }

    /// So many payments in the order in which they can be sent: each coin in turn pays somebody and gets the rest back.
    pub(crate) fn payments(&mut self, count: usize) -> Vec<Signed> {
        if self.coins.is_empty() {
            return Vec::new();
        }
        let places: Vec<usize> = (self.next..self.next + count).map(|next| next % self.coins.len()).collect();
        self.next += count;
        self.spends(&places, Shape::SMALL).into_iter().map(|spend| spend.payment).collect()
    }

    /// One spend for each place named, in this order. A place named again spends what it got back.
    pub(crate) fn spends(&mut self, places: &[usize], shape: Shape) -> Vec<Spend> {
        let mut bodies = Vec::with_capacity(places.len());
        for place in places {
            let Some(coin) = self.coins.get(*place).copied() else { continue };
            let body = self.pays(coin, shape);
            let rival = shape.has_rival.then(|| self.pays(coin, shape));
            let index = u32::try_from(body.outputs.len() - 1).unwrap_or_default();
            let amount = body.outputs.last().map_or(Amount(0), |change| change.amount);
            self.coins[*place] = BenchCoin { outpoint: OutPoint { txid: body.id(), index }, amount, ..coin };
            bodies.push((body, rival, coin.owner, *place));
        }
        // Signing takes longest, so on every core.
        let share = bodies.len().div_ceil(thread::available_parallelism().map_or(1, usize::from)).max(1);
        let keys = &self.keys;
        let sign = |body: &TransactionBody, owner: usize, place: usize| {
            Signed::new(&body.clone().sign(&[&keys[owner]]), Some(place))
        };
        thread::scope(|scope| {
            let parts: Vec<_> = bodies
                .chunks(share)
                .map(|part| {
                    scope.spawn(move || {
                        let spends = part.iter().map(|(body, rival, owner, place)| Spend {
                            payment: sign(body, *owner, *place),
                            rival: rival.as_ref().map(|rival| sign(rival, *owner, *place)),
                        });
                        spends.collect::<Vec<_>>()
                    })
                })
                .collect();
            parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
        })
    }

    /// A spend of `coin` whose signature fits nothing: another one for each `number`. It costs nothing to make.
    pub(crate) fn forged(&self, place: usize, number: u64) -> Vec<u8> {
        let Some(coin) = self.coins.get(place) else { return Vec::new() };
        let change = Amount(coin.amount.0.saturating_sub(PAID.0 + fee(2).0 + number % PAID.0));
        let outputs = vec![
            TxOutput { amount: Amount(PAID.0 + number / PAID.0), lock: self.lock(0) },
            TxOutput { amount: change, lock: self.lock(coin.owner) },
        ];
        let body = self.body(coin.outpoint, outputs);
        let mut signature = [0; 64];
        signature[..8].copy_from_slice(&number.to_le_bytes());
        let witness = Witness::Key { key: self.keys[coin.owner].public(), signature: Signature(signature) };
        encode(&Transaction { body, witnesses: vec![witness] })
    }

    /// The next payment of a coin: to somebody else each time, and what is left back to its owner.
    fn pays(&mut self, coin: BenchCoin, shape: Shape) -> TransactionBody {
        self.paid += 1;
        let paid = self.paid;
        let payee = |n: u64| match shape.is_pile {
            true => 0,
            false => usize::try_from((paid + n).wrapping_mul(0x9e37_79b9) % KEYS).unwrap_or_default(),
        };
        let mut outputs: Vec<_> =
            (0..shape.payees).map(|n| TxOutput { amount: PAID, lock: self.lock(payee(n)) }).collect();
        let cost = PAID.0 * shape.payees + fee(shape.payees + 1).0;
        outputs.push(TxOutput { amount: Amount(coin.amount.0.saturating_sub(cost)), lock: self.lock(coin.owner) });
        self.body(coin.outpoint, outputs)
    }

    fn lock(&self, owner: usize) -> Lock {
        Lock::KeyHash(KeyHash::of(&self.keys[owner].public()))
    }

    fn body(&self, previous: OutPoint, outputs: Vec<TxOutput>) -> TransactionBody {
        TransactionBody::transfer(self.chain_id, vec![TxInput { previous }], outputs)
    }
}

/// Fee of a transaction with so many outputs.
fn fee(outputs: u64) -> Amount {
    Amount((outputs * FEE_PER_OUTPUT).max(FEE_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::decode;

    #[test]
    fn payments_spend_what_earlier_ones_made_and_no_coin_twice() {
        let mut coins = BenchCoins::of_devnet(4);
        let splits = coins.split(100, 40);
        assert_eq!((splits.len(), coins.len()), (3, 120));
        let payments = coins.payments(500);
        let (mut made, mut spent) = (BTreeSet::new(), BTreeSet::new());
        for signed in splits.iter().chain(&payments) {
            let transaction: Transaction = decode(&signed.bytes).unwrap();
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
            let transaction: Transaction = decode(&signed.bytes).unwrap();
            let previous = transaction.body.inputs[0].previous;
            let of_lost = payments.iter().filter(|payment| [Some(0), Some(7)].contains(&payment.place));
            assert!(of_lost.clone().all(|payment| payment.id != previous.txid), "a lost coin pays again");
        }
    }
}
