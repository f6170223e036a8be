//! What is offered: payments signed before the run. A payment that was refused as too many is offered again later; one that became final
//! makes its coin ready for the next. So refusals cost the generator no signature, and no payment depends on one that was refused.

use crate::payments::coins::{BenchCoins, Shape, Spend};
use clap::ValueEnum;
use std::collections::VecDeque;

/// Payees of a payment that fills a transaction: 64 KiB.
const LARGE_PAYEES: u64 = 1_580;

/// What kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LoadKind {
    /// Payments of 248 bytes.
    Normal,
    /// Transactions of 64 KiB.
    Large,
    /// Payments in pairs that spend the same coin, sent to two nodes at the same moment: one of each pair can become final.
    Conflicts,
    /// Every second one has a signature that fits nothing.
    Invalid,
}

impl LoadKind {
    fn shape(self) -> Shape {
        match self {
            Self::Normal | Self::Invalid => Shape::SMALL,
            Self::Large => Shape { payees: LARGE_PAYEES, ..Shape::SMALL },
            Self::Conflicts => Shape { has_rival: true, ..Shape::SMALL },
        }
    }

    /// Coins that take turns. Each waits while its payment is on its way, and a coin is lost when its rival wins.
    pub(crate) fn coins(self) -> usize {
        match self {
            Self::Normal | Self::Invalid => 40_000,
            Self::Large => 2_000,
            Self::Conflicts => 160_000,
        }
    }

    /// Coins from one coin of genesis.
    pub(crate) fn split_into(self) -> u64 {
        match self {
            // Each pays thousands of times less than it has, but needs enough for many payees.
            Self::Large => 10,
            Self::Normal | Self::Invalid => 100,
            Self::Conflicts => 200,
        }
    }

    /// A light load. Unit: calls per second.
    pub(super) fn light_rate(self) -> f64 {
        match self {
            Self::Normal | Self::Conflicts | Self::Invalid => 50.0,
            // About as many bytes and outputs as some thousand small ones.
            Self::Large => 4.0,
        }
    }

    /// Of what is offered, how much can become final.
    pub(crate) fn valid_share(self) -> f64 {
        match self {
            Self::Normal | Self::Large => 1.0,
            Self::Conflicts | Self::Invalid => 0.5,
        }
    }

    /// Whether every second one belongs to the one before it: a rival, or a forgery.
    pub(crate) fn is_paired(self) -> bool {
        matches!(self, Self::Conflicts | Self::Invalid)
    }
}

/// What can be sent now.
pub(crate) struct DuePayment {
    /// Which coin pays.
    pub(crate) place: usize,
    /// Id of the transaction.
    pub(crate) id: [u8; 32],
    /// Its encoding.
    pub(crate) bytes: Vec<u8>,
}

/// Coins, their signed payments, and which of them are ready at which node.
pub(crate) struct PaymentLoad {
    kind: LoadKind,
    coins: BenchCoins,
    /// Of each place: payments to come, the next first.
    stock: Vec<VecDeque<Spend>>,
    /// Of each node: coins whose last payment is final there.
    ready: Vec<VecDeque<usize>>,
    forged: u64,
}

impl PaymentLoad {
    /// The first coin is never spent: forgeries name it.
    pub(crate) fn new(kind: LoadKind, coins: BenchCoins, nodes: usize) -> Self {
        let mut ready = vec![VecDeque::new(); nodes.max(1)];
        for place in 1..coins.len() {
            ready[place % nodes.max(1)].push_back(place);
        }
        Self { kind, stock: vec![VecDeque::new(); coins.len()], coins, ready, forged: 0 }
    }

    /// Coins that can pay.
    pub(crate) fn ready(&self) -> usize {
        self.ready.iter().map(VecDeque::len).sum()
    }

    /// Signs ahead, so that `offered` can be offered, and about `payments` of them made, without a signature.
    pub(crate) fn sign_ahead(&mut self, payments: usize, offered: usize) {
        let each = offered / self.ready.len() + 1;
        let depth = payments / self.ready().min(offered).max(1) + 2;
        let missing = |place: &usize| depth.saturating_sub(self.stock[*place].len());
        let next = self.ready.iter().flat_map(|ready| ready.iter().take(each));
        let places: Vec<usize> = next.flat_map(|place| std::iter::repeat_n(*place, missing(place))).collect();
        for spend in self.coins.spends(&places, self.kind.shape()) {
            if let Some(place) = spend.payment.place {
                self.stock[place].push_back(spend);
            }
        }
    }

    /// The next payment at a node; `None` when no coin is ready there.
    pub(crate) fn next(&mut self, node: usize) -> Option<DuePayment> {
        let place = self.ready[node].pop_front()?;
        let Some(Spend { payment, .. }) = self.stock[place].front() else {
            self.ready[node].push_back(place);
            return None;
        };
        Some(DuePayment { place, id: payment.id.0.0, bytes: payment.bytes.clone() })
    }

    /// The other spend of the coin whose payment was offered last.
    pub(crate) fn rival(&self, place: usize) -> Option<DuePayment> {
        let rival = self.stock[place].front()?.rival.as_ref()?;
        Some(DuePayment { place, id: rival.id.0.0, bytes: rival.bytes.clone() })
    }

    /// Something that is refused when its signature is checked.
    pub(crate) fn forged(&mut self) -> Vec<u8> {
        self.forged += 1;
        self.coins.forged(0, self.forged)
    }

    /// The payment was not taken and may be offered again, behind the others.
    pub(crate) fn offer_again(&mut self, node: usize, place: usize) {
        self.ready[node].push_back(place);
    }

    /// The payment is final at its node: the coin's next can be made.
    pub(crate) fn paid(&mut self, node: usize, place: usize) {
        self.stock[place].pop_front();
        if !self.stock[place].is_empty() {
            self.ready[node].push_back(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_ledger::Transaction;
    use timed_primitives::decode;

    #[test]
    fn a_coin_pays_again_when_it_was_refused_or_paid_and_not_before() {
        let mut coins = BenchCoins::of_devnet(2);
        coins.split(5, 5);
        let mut load = PaymentLoad::new(LoadKind::Conflicts, coins, 2);
        load.sign_ahead(8, 4);
        assert_eq!(load.ready(), 4, "the first coin is for forgeries");
        let first = load.next(1).unwrap();
        let other = load.next(1).unwrap();
        assert_eq!([first.place, other.place], [1, 3]);
        assert!(load.next(1).is_none());
        load.offer_again(1, first.place);
        let again = load.next(1).unwrap();
        assert_eq!((again.id, &again.bytes), (first.id, &first.bytes));
        load.paid(1, first.place);
        let second: Transaction = decode(&load.next(1).unwrap().bytes).unwrap();
        assert_eq!(second.body.inputs[0].previous.txid.0.0, first.id);
        let rival: Transaction = decode(&load.rival(3).unwrap().bytes).unwrap();
        let payment: Transaction = decode(&other.bytes).unwrap();
        assert_eq!(rival.body.inputs, payment.body.inputs);
        assert_ne!(rival.id(), payment.id());
    }

    #[test]
    fn large_ones_fill_a_transaction_and_forgeries_differ() {
        let mut coins = BenchCoins::of_devnet(2);
        coins.split(10, 10);
        let mut load = PaymentLoad::new(LoadKind::Large, coins, 1);
        load.sign_ahead(1, 1);
        let size = load.next(0).unwrap().bytes.len();
        assert!((60_000..=65_536).contains(&size), "{size} bytes");
        let (one, two) = (load.forged(), load.forged());
        let [one, two]: [Transaction; 2] = [one, two].map(|bytes| decode(&bytes).unwrap());
        assert_ne!(one.id(), two.id());
        let items: Vec<_> = one.signed_items().collect();
        assert!(!timed_primitives::verify_batch(&items));
    }
}
