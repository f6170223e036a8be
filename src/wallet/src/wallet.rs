//! A few keys, the coins they own, and payments with them.

use crate::addresses::DerivedAddresses;
use crate::derive::WalletKeys;
use crate::key_ring::{KeyRing, KeyState, KeyUse, WalletError};
use crate::select::{Coin, CoinTarget, Fees, InsufficientFunds, Selection, WITNESS_BYTES, select};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use timed_ledger::{
    Address, KeyHash, OutPoint, TextSignature, Transaction, TransactionBody, TransactionPayload, TxInput, TxOutput,
    Witness,
};
use timed_primitives::{Amount, ChainId, Network, SecretKey, encode};

/// A payment to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Who gets how much, in this order.
    pub outputs: Vec<(Address, Amount)>,
    /// Positions in `outputs` from which the fee is taken, in equal parts; the first of them also pays what cannot be divided. Without any the
    /// fee comes on top.
    pub fee_from: BTreeSet<usize>,
    /// Coins that are spent whatever else is.
    pub given: Vec<Coin>,
    /// What the chain demands, at the rate the sender is willing to pay.
    pub fees: Fees,
    /// Where change goes. `None`: to a fresh address, and in a development wallet to its first.
    pub change: Option<Address>,
    /// What it does beside paying. With one, nobody need be paid: all but the fee comes back then.
    pub payload: TransactionPayload,
}

impl Payment {
    /// To one, who gets the whole amount.
    pub fn to(address: Address, amount: Amount, fees: Fees) -> Self {
        let (fee_from, given, payload) = (BTreeSet::new(), Vec::new(), TransactionPayload::Transfer);
        Self { outputs: vec![(address, amount)], fee_from, given, fees, change: None, payload }
    }
}

/// A transaction that pays for itself and is not signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funded {
    /// What it says.
    pub body: TransactionBody,
    /// What it spends, in the order of its inputs.
    pub coins: Vec<Coin>,
    /// What it leaves to the network.
    pub fee: Amount,
    /// Whether its last output is change.
    pub has_change: bool,
}

/// A payment cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Nothing would be paid.
    #[error("the amount is zero")]
    AmountZero,
    /// The chain refuses outputs this small.
    #[error("{amount} TIME is less than {dust_min} TIME, the smallest output the chain allows")]
    Dust {
        /// What was to be paid.
        amount: Amount,
        /// The limit.
        dust_min: Amount,
    },
    /// Nobody would be paid.
    #[error("nobody is paid")]
    Nobody,
    /// Who is to pay the fee gets too little for that.
    #[error(
        "{amount} TIME is too little to take a part of the fee of {fee} TIME from: pay more, or let the fee come on top"
    )]
    FeeTooLarge {
        /// What was to be paid.
        amount: Amount,
        /// The whole fee.
        fee: Amount,
    },
    /// The address belongs to another network.
    #[error("address {address} belongs to {}, this wallet to {expected}", .address.network)]
    WrongNetwork {
        /// The address.
        address: Address,
        /// Our network.
        expected: Network,
    },
    /// There is not enough.
    #[error("{shortage}; {locked} TIME more is held for payments under way")]
    InsufficientFunds {
        /// What there is and what it would take.
        #[source]
        shortage: InsufficientFunds,
        /// Sum of the coins that wait for earlier payments.
        locked: Amount,
    },
    /// See there.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// Too many small coins for one transaction.
    #[error(
        "the payment needs {inputs} coins and {bytes} bytes, at most {bytes_max} are allowed: pay smaller sums, or first pay yourself"
    )]
    TooLarge {
        /// Coins it would spend.
        inputs: usize,
        /// Bytes it would have.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
}

/// Distinguishes one time that a coin was reserved from the next, so that what was learned of the first does not end the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation(u64);

/// Keys, the inputs of payments under way, and how payments are made. The keys are either those of a development wallet, where whoever has the
/// first has all of them, or come from a phrase and are at hand only while the wallet is open.
pub struct Wallet {
    network: Network,
    chain_id: ChainId,
    keys: KeyRing,
    /// Inputs of payments under way, each with the number of its reservation. Bound: the wallet's own coins.
    locked: BTreeMap<OutPoint, Reservation>,
    reservations: u64,
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wallet")
            .field("network", &self.network)
            .field("keys", &self.keys.all().len())
            .field("state", &self.keys.state())
            .field("locked", &self.locked.len())
            .finish_non_exhaustive()
    }
}

impl Wallet {
    /// The development wallet of this key and those derived from it, for devnets and tests.
    pub fn from_key(key: SecretKey, network: Network, chain_id: ChainId) -> Self {
        Self { network, chain_id, keys: KeyRing::development(key), locked: BTreeMap::new(), reservations: 0 }
    }

    /// A wallet with a phrase, locked, with the addresses that are known of it.
    pub fn derived(addresses: DerivedAddresses, network: Network, chain_id: ChainId) -> Self {
        Self { network, chain_id, keys: KeyRing::derived(addresses), locked: BTreeMap::new(), reservations: 0 }
    }

    const fn of(&self, key_hash: KeyHash) -> Address {
        Address { network: self.network, key_hash }
    }

    /// Every address handed out so far to receive money, in order.
    pub fn addresses(&self) -> Vec<Address> {
        self.keys.handed_out().into_iter().map(|key_hash| self.of(key_hash)).collect()
    }

    /// Hands out the next address to receive money. The same wallet always makes the same ones, so a restarted node finds its coins again after as
    /// many calls.
    ///
    /// # Errors
    /// [`WalletError::TooManyKeys`] after [`crate::KEYS_MAX`] keys; [`WalletError::NoAddress`] when all that a locked wallet knows are handed out.
    pub fn next_address(&mut self) -> Result<Address, WalletError> {
        self.keys.next().map(|key_hash| self.of(key_hash))
    }

    /// Hands out the next address for change, which payments do by themselves.
    ///
    /// # Errors
    /// As [`Self::next_address`].
    pub fn next_change_address(&mut self) -> Result<Address, WalletError> {
        self.keys.next_change().map(|key_hash| self.of(key_hash))
    }

    /// Whether one of its keys spends outputs with this hash.
    pub fn owns(&self, key_hash: &KeyHash) -> bool {
        self.keys.owns(key_hash)
    }

    /// Whether it is an address for change.
    pub fn is_change(&self, key_hash: &KeyHash) -> bool {
        self.keys.is_change(key_hash)
    }

    /// The hashes to look for coins by, those of addresses that are not handed out yet among them.
    pub fn key_hashes(&self) -> Vec<KeyHash> {
        self.keys.all()
    }

    /// Whether it can sign.
    pub const fn key_state(&self) -> KeyState {
        self.keys.state()
    }

    /// Brings the keys of its phrase, which stay until [`Self::close_keys`]. Whether more addresses are known now.
    ///
    /// # Errors
    /// [`WalletError::OtherKeys`] when its known addresses are of another phrase; [`WalletError::AlwaysOpen`].
    pub fn open_keys(&mut self, keys: WalletKeys, to: KeyUse) -> Result<bool, WalletError> {
        self.keys.derived_ring_mut().ok_or(WalletError::AlwaysOpen)?.open(keys, to)
    }

    /// Ends a use of the keys of its phrase. With the last one they are forgotten.
    pub fn close_keys(&mut self, of: KeyUse) {
        if let Some(ring) = self.keys.derived_ring_mut() {
            ring.close(of);
        }
    }

    /// What is known of the addresses of a wallet with a phrase.
    pub fn derived_addresses(&self) -> Option<&DerivedAddresses> {
        self.keys.derived_ring().map(|ring| ring.addresses())
    }

    /// Derives as many addresses ahead of those handed out, now and while the process runs. Whether more are known now.
    ///
    /// # Errors
    /// [`WalletError::Locked`] without the keys.
    pub fn derive_ahead(&mut self, ahead: u32) -> Result<bool, WalletError> {
        match self.keys.derived_ring_mut() {
            None => Ok(false),
            Some(ring) if ring.has_keys() => Ok(ring.derive_ahead(ahead)),
            Some(_) => Err(WalletError::Locked),
        }
    }

    /// Something was paid to this address, or spent from it: the next one comes after it. Whether that is news.
    pub fn mark_used(&mut self, key_hash: &KeyHash) -> bool {
        self.keys.mark_used(key_hash)
    }

    /// Builds and signs a payment and locks its inputs, so that the next payment spends other coins. If the node refuses the
    /// transaction, give them back with [`Wallet::unlock`]. Coins of foreign keys and locked ones are passed over; see
    /// [`mod@crate::select`] for the choice among the rest.
    ///
    /// # Errors
    /// [`BuildError`] says what is missing.
    pub fn build(&mut self, coins: &[Coin], payment: &Payment) -> Result<Transaction, BuildError> {
        if self.key_state() == KeyState::Locked {
            return Err(WalletError::Locked.into());
        }
        let funded = self.fund(coins, payment)?;
        let mut keys = Vec::with_capacity(funded.coins.len());
        for coin in &funded.coins {
            keys.extend(self.keys.key(&coin.key_hash)?);
        }
        let change = funded.body.outputs.last().and_then(|output| output.lock.key_hash());
        if let Some(change) = change.filter(|_| funded.has_change && payment.change.is_none()) {
            self.keys.mark_used(&change);
        }
        let transaction = funded.body.sign(&keys.iter().collect::<Vec<_>>());
        self.lock_outputs(funded.coins.iter().map(|c| c.outpoint));
        Ok(transaction)
    }

    /// As [`Wallet::build`], and neither signs nor locks anything.
    ///
    /// # Errors
    /// [`BuildError`] says what is missing.
    pub fn fund(&self, coins: &[Coin], payment: &Payment) -> Result<Funded, BuildError> {
        let change_to = match payment.change {
            Some(change) => change,
            None => self.of(self.keys.change()?),
        };
        let amount = self.check(payment, &change_to)?;
        let (locked, free): (Vec<Coin>, Vec<Coin>) =
            coins.iter().filter(|c| self.owns(&c.key_hash)).partition(|c| self.locked.contains_key(&c.outpoint));
        let pays_nobody = payment.outputs.is_empty();
        let target = CoinTarget {
            amount,
            // A transaction makes an output at least: here what comes back.
            outputs: as_u64(payment.outputs.len()).max(1),
            has_fee_inside: !payment.fee_from.is_empty(),
            given: &payment.given,
        };
        let fees = with_payload(&payment.fees, &payment.payload);
        let selection = select(&free, &target, &fees).map_err(|shortage| {
            let locked = Amount::sum(locked.iter().map(|c| c.amount)).unwrap_or(Amount(u64::MAX));
            BuildError::InsufficientFunds { shortage, locked }
        })?;
        let mut outputs = paid(payment, amount, &selection)?;
        let back = match selection.change {
            Some(change) if pays_nobody => change.plus(amount),
            None if pays_nobody => Some(amount),
            change => change,
        };
        outputs.extend(back.map(|amount| TxOutput { amount, lock: change_to.lock() }));
        let inputs = selection.coins.len();
        let bytes = fees.size_bytes(as_u64(inputs), as_u64(outputs.len()));
        if bytes > payment.fees.transaction_bytes_max {
            return Err(BuildError::TooLarge { inputs, bytes, bytes_max: payment.fees.transaction_bytes_max });
        }
        let inputs = selection.coins.iter().map(|c| TxInput { previous: c.outpoint }).collect();
        let body = TransactionBody::transfer(self.chain_id, inputs, outputs);
        let body = TransactionBody { payload: payment.payload.clone(), ..body };
        Ok(Funded { body, coins: selection.coins, fee: selection.fee, has_change: back.is_some() })
    }

    /// The signature of a body by the key with this hash; `None` when it is not one of ours.
    ///
    /// # Errors
    /// [`WalletError::Locked`] when it is one of ours.
    pub fn witness(&self, body: &TransactionBody, owner: &KeyHash) -> Result<Option<Witness>, WalletError> {
        let witness = |key: SecretKey| Witness::Key { key: key.public(), signature: key.sign(&body.signing_message()) };
        Ok(self.keys.key(owner)?.map(witness))
    }

    /// The signature of a text by the key with this hash; `None` when it is not one of ours.
    ///
    /// # Errors
    /// [`WalletError::Locked`] when it is one of ours.
    pub fn sign_text(&self, owner: &KeyHash, text: &str) -> Result<Option<TextSignature>, WalletError> {
        Ok(self.keys.key(owner)?.map(|key| TextSignature::new(&key, text)))
    }

    /// The transaction was refused: its inputs can be spent again, and its change address is a fresh one.
    pub fn unlock(&mut self, transaction: &Transaction) {
        if let Some(change) = transaction.body.outputs.last().and_then(|output| output.lock.key_hash()) {
            self.keys.give_back_change(&change);
        }
        for input in &transaction.body.inputs {
            self.locked.remove(&input.previous);
        }
    }

    /// These outputs are spent by payments under way, ours or by somebody else with the same key: they are not chosen.
    pub fn lock_outputs(&mut self, outpoints: impl IntoIterator<Item = OutPoint>) {
        self.reservations += 1;
        let reservation = Reservation(self.reservations);
        for outpoint in outpoints {
            self.locked.entry(outpoint).or_insert(reservation);
        }
    }

    /// This output is not spent after all: it can be chosen again, unless it was reserved anew since.
    pub fn unlock_output(&mut self, outpoint: &OutPoint, reservation: Reservation) {
        if self.locked.get(outpoint) == Some(&reservation) {
            self.locked.remove(outpoint);
        }
    }

    /// Forgets the locks of outputs that are spent for good.
    pub fn forget_spent(&mut self, is_unspent: impl Fn(&OutPoint) -> bool) {
        self.locked.retain(|outpoint, _| is_unspent(outpoint));
    }

    /// Inputs of payments under way.
    pub fn locked(&self) -> impl ExactSizeIterator<Item = (&OutPoint, Reservation)> {
        self.locked.iter().map(|(outpoint, reservation)| (outpoint, *reservation))
    }

    /// The sum of what is paid, if all of it can be.
    fn check(&self, payment: &Payment, change_to: &Address) -> Result<Amount, BuildError> {
        for address in payment.outputs.iter().map(|(address, _)| address).chain([change_to]) {
            if address.network != self.network {
                return Err(BuildError::WrongNetwork { address: *address, expected: self.network });
            }
        }
        for (_, amount) in &payment.outputs {
            if *amount == Amount::ZERO {
                return Err(BuildError::AmountZero);
            }
            if *amount < payment.fees.dust_min {
                return Err(BuildError::Dust { amount: *amount, dust_min: payment.fees.dust_min });
            }
        }
        if payment.outputs.is_empty() {
            // The least that can come back.
            let least = payment.fees.dust_min.max(Amount(1));
            let does_something = payment.payload != TransactionPayload::Transfer;
            return if does_something { Ok(least) } else { Err(BuildError::Nobody) };
        }
        // What no chain holds is never there to be spent.
        Ok(Amount::sum(payment.outputs.iter().map(|(_, amount)| *amount)).unwrap_or(Amount(u64::MAX)))
    }
}

/// The outputs of a payment of this sum, change not among them. What the coins do not bring of the fee is taken from those who are to pay it.
fn paid(payment: &Payment, amount: Amount, selection: &Selection) -> Result<Vec<TxOutput>, BuildError> {
    let brought = Amount::sum(selection.coins.iter().map(|c| c.amount)).unwrap_or(Amount(u64::MAX));
    let spent = [amount, selection.fee, selection.change.unwrap_or_default()];
    let missing = Amount::sum(spent).and_then(|spent| spent.minus(brought)).unwrap_or_default().0;
    let payers = as_u64(payment.fee_from.len()).max(1);
    let first = payment.fee_from.first();
    let output = |(position, (address, amount)): (usize, &(Address, Amount))| {
        let part = match payment.fee_from.contains(&position) {
            true if first == Some(&position) => missing / payers + missing % payers,
            true => missing / payers,
            false => 0,
        };
        let left = amount.minus(Amount(part)).filter(|left| *left >= payment.fees.dust_min && *left > Amount::ZERO);
        let amount = left.ok_or(BuildError::FeeTooLarge { amount: *amount, fee: selection.fee })?;
        Ok(TxOutput { amount, lock: address.lock() })
    };
    payment.outputs.iter().enumerate().map(output).collect()
}

/// The fees of a transaction with this payload, each of whose signers has one key.
fn with_payload(fees: &Fees, payload: &TransactionPayload) -> Fees {
    let none = as_u64(encode(&TransactionPayload::Transfer).len());
    let signatures = as_u64(payload.signers()).saturating_mul(WITNESS_BYTES);
    Fees { payload_bytes: (as_u64(encode(payload).len()) - none).saturating_add(signatures), ..*fees }
}

fn as_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use timed_ledger::{LockOwner, Payouts, RegisterPayload, RegistrationId, Tier};
    use timed_primitives::{Hash, TxId};

    const FEES: Fees = Fees { per_byte: 1, dust_min: Amount(100), transaction_bytes_max: 65_536, payload_bytes: 0 };

    fn wallet(id: u64) -> Wallet {
        Wallet::from_key(SecretKey::development("wallet", id), Network::Devnet, ChainId(9))
    }

    impl Wallet {
        fn address(&self) -> Address {
            self.addresses()[0]
        }
    }

    fn coin(n: u32, amount: u64, owner: &Address) -> Coin {
        let outpoint = OutPoint { txid: TxId(Hash([1; 32])), index: n };
        Coin { outpoint, amount: Amount(amount), key_hash: owner.key_hash }
    }

    fn pay(to: Address, amount: u64) -> Payment {
        Payment::to(to, Amount(amount), FEES)
    }

    /// The transaction spends these coins rightly: known inputs, right keys, valid signatures; gives its fee.
    fn check(transaction: &Transaction, coins: &[Coin]) -> u64 {
        let spent: Vec<&Coin> = transaction
            .body
            .inputs
            .iter()
            .map(|i| coins.iter().find(|c| c.outpoint == i.previous).expect("spends what it was given"))
            .collect();
        assert_eq!(spent.len(), transaction.witnesses.len());
        for (coin, witness) in spent.iter().zip(&transaction.witnesses) {
            assert_eq!(witness.owner(), LockOwner::KeyHash(coin.key_hash));
        }
        assert!(transaction.signed_items().all(|i| i.key.verify(&i.message, &i.signature)));
        let outputs = transaction.body.outputs.iter().map(|o| o.amount.0).sum::<u64>();
        spent.iter().map(|c| c.amount.0).sum::<u64>() - outputs
    }

    #[test]
    fn addresses_are_the_same_each_time_and_all_differ() {
        let (mut one, mut same, mut other) = (wallet(1), wallet(1), wallet(2));
        let made: Vec<Address> = (0..20).map(|_| one.next_address().unwrap()).collect();
        assert_eq!(made, (0..20).map(|_| same.next_address().unwrap()).collect::<Vec<_>>());
        let mut all: BTreeSet<Address> = one.addresses().into_iter().chain([other.address()]).collect();
        all.extend((0..20).map(|_| other.next_address().unwrap()));
        assert_eq!(all.len(), 42);
        assert_eq!(one.addresses().first().copied(), Some(one.address()));
        assert_eq!(one.key_hashes().len(), 21);
        assert!(made.iter().all(|a| one.owns(&a.key_hash) && !other.owns(&a.key_hash)));
        while one.next_address().is_ok() {}
        assert_eq!(one.addresses().len(), 10_000);
    }

    #[test]
    fn a_payment_spends_coins_of_several_keys_and_returns_the_change() {
        let (mut ours, to) = (wallet(1), wallet(2).address());
        let second = ours.next_address().unwrap();
        let coins = [coin(1, 5_000, &ours.address()), coin(2, 4_000, &second), coin(3, 90_000, &to)];
        let transaction = ours.build(&coins, &Payment { change: Some(second), ..pay(to, 8_000) }).unwrap();
        assert_eq!(check(&transaction, &coins), transaction.size_bytes() as u64);
        let outputs = &transaction.body.outputs;
        assert_eq!((outputs[0].amount, outputs[0].lock), (Amount(8_000), to.lock()));
        assert_eq!((outputs[1].amount.0, outputs[1].lock), (1_000 - transaction.size_bytes() as u64, second.lock()));
        assert_eq!(transaction.body.chain_id, ChainId(9));
    }

    #[test]
    fn the_fee_is_taken_from_those_who_are_to_pay_it() {
        let (mut ours, to) = (wallet(1), wallet(2).address());
        let third = wallet(3).address();
        let coins = [coin(1, 5_000, &ours.address())];
        let payment = |amounts: [u64; 3], fee_from: &[usize]| Payment {
            outputs: [to, third, to].into_iter().zip(amounts.map(Amount)).collect(),
            fee_from: fee_from.iter().copied().collect(),
            ..pay(to, 1)
        };
        let amounts =
            |transaction: &Transaction| transaction.body.outputs.iter().map(|o| o.amount.0).collect::<Vec<_>>();
        // 27 + 133 + 4 * 41 = 324 bytes.
        let shared = ours.fund(&coins, &payment([1_000, 1_000, 1_000], &[0, 2])).unwrap();
        assert_eq!((shared.fee, shared.has_change), (Amount(324), true));
        assert_eq!(shared.body.outputs.iter().map(|o| o.amount.0).collect::<Vec<_>>(), [838, 1_000, 838, 2_000]);
        assert_eq!(ours.locked().len(), 0, "nothing is reserved by looking");
        let all = ours.build(&coins, &payment([1_000, 1_000, 3_000], &[0, 1, 2])).unwrap();
        // 283 bytes: one of the three pays what cannot be divided.
        assert_eq!(amounts(&all), [1_000 - 95, 1_000 - 94, 3_000 - 94]);
        assert_eq!(check(&all, &coins), 283);
        ours.unlock(&all);
        let little = ours.build(&coins, &payment([300, 1_000, 3_000], &[0])).unwrap_err();
        assert_eq!(little, BuildError::FeeTooLarge { amount: Amount(300), fee: Amount(324) });
        let nobody = Payment { outputs: Vec::new(), ..pay(to, 1) };
        assert_eq!(ours.build(&coins, &nobody), Err(BuildError::Nobody));
    }

    #[test]
    fn payments_in_a_row_never_spend_a_coin_twice() {
        let (mut ours, to) = (wallet(1), wallet(2).address());
        let coins: Vec<Coin> = (0..3).map(|n| coin(n, 2_000, &ours.address())).collect();
        let made: Vec<Transaction> = (0..3).map(|_| ours.build(&coins, &pay(to, 1_000)).unwrap()).collect();
        let spent: BTreeSet<OutPoint> = made.iter().flat_map(|t| &t.body.inputs).map(|i| i.previous).collect();
        assert_eq!(spent.len(), 3);
        let refused = ours.build(&coins, &pay(to, 1_000)).unwrap_err();
        assert!(matches!(refused, BuildError::InsufficientFunds { locked: Amount(6_000), .. }), "{refused}");
        ours.unlock(&made[1]);
        let again = ours.build(&coins, &pay(to, 1_000)).unwrap();
        assert_eq!(again.body.inputs, made[1].body.inputs);
        ours.forget_spent(|o| o.index == 0);
        assert_eq!(ours.locked().len(), 1);
        // What was learned of an earlier reservation does not end a later one.
        let (coin, earlier) = ours.locked().map(|(outpoint, reservation)| (*outpoint, reservation)).next().unwrap();
        ours.unlock_output(&coin, earlier);
        assert_eq!(ours.locked().len(), 0);
        ours.lock_outputs([coin]);
        ours.unlock_output(&coin, earlier);
        assert_eq!(ours.locked().len(), 1);
    }

    #[test]
    fn refusals_say_why_and_lock_nothing() {
        let (mut ours, to) = (wallet(1), wallet(2).address());
        let coins = [coin(1, 5_000, &ours.address())];
        let mainnet = Address { network: Network::Mainnet, ..to };
        let wrong = BuildError::WrongNetwork { address: mainnet, expected: Network::Devnet };
        assert_eq!(ours.build(&coins, &pay(mainnet, 500)), Err(wrong.clone()));
        assert_eq!(ours.build(&coins, &Payment { change: Some(mainnet), ..pay(to, 500) }), Err(wrong));
        assert_eq!(ours.build(&coins, &pay(to, 0)), Err(BuildError::AmountZero));
        let dust = BuildError::Dust { amount: Amount(99), dust_min: Amount(100) };
        assert_eq!(ours.build(&coins, &pay(to, 99)), Err(dust));
        let shortage = InsufficientFunds { available: Amount(5_000), needed: Amount(5_201), fee: Amount(201) };
        let short = BuildError::InsufficientFunds { shortage, locked: Amount::ZERO };
        assert_eq!(ours.build(&coins, &pay(to, 5_000)), Err(short));
        let many: Vec<Coin> = (0..600).map(|n| coin(n, 1_000, &ours.address())).collect();
        let large = ours.build(&many, &pay(to, 500_000)).unwrap_err();
        assert!(matches!(large, BuildError::TooLarge { inputs: 577, bytes_max: 65_536, .. }), "{large}");
        assert_eq!(ours.locked().len(), 0);
        let shown = format!("{ours:?}");
        assert!(!shown.contains("seed") && shown.contains("Devnet"), "{shown}");
    }

    #[test]
    fn a_payload_pays_for_its_bytes_and_signatures_and_nobody_need_be_paid() {
        let ours = wallet(1);
        let coins = [coin(1, 5_000, &ours.address())];
        let key = |purpose| SecretKey::development(purpose, 1);
        let registration = RegistrationId(Hash([2; 32]));
        let payload = TransactionPayload::Pause { registration, previous: TxId(Hash([3; 32])) };
        let change = Payment { outputs: Vec::new(), payload: payload.clone(), ..pay(ours.address(), 1) };
        let funded = ours.fund(&coins, &change).unwrap();
        assert_eq!((funded.has_change, funded.body.outputs.len(), &funded.body.payload), (true, 1, &payload));
        let signed = funded.body.sign(&[&key("wallet"), &key("consensus")]);
        let size = signed.size_bytes() as u64;
        // One output is paid for that was joined with another.
        assert_eq!((check_sums(&signed, &coins), funded.fee.0), (size + 41, size + 41));
        // A collateral comes first, and all of it is there.
        let register = TransactionPayload::Register(RegisterPayload {
            tier: Tier::Bronze,
            owner: key("owner").public(),
            operator: key("consensus").public(),
            service: "203.0.113.7:7000".parse().unwrap(),
            payouts: Payouts::one(LockOwner::KeyHash(ours.address().key_hash)),
        });
        let funded = ours.fund(&coins, &Payment { payload: register, ..pay(ours.address(), 1_000) }).unwrap();
        let signed = funded.body.sign(&[&key("wallet"), &key("owner"), &key("consensus")]);
        assert_eq!(signed.body.outputs[0].amount, Amount(1_000));
        assert_eq!(check_sums(&signed, &coins), signed.size_bytes() as u64);
        assert_eq!(
            ours.fund(&coins, &Payment { payload: TransactionPayload::Transfer, ..change }),
            Err(BuildError::Nobody)
        );
    }

    /// What a transaction leaves of the coins that it spends.
    fn check_sums(transaction: &Transaction, coins: &[Coin]) -> u64 {
        let is_spent = |coin: &&Coin| transaction.body.inputs.iter().any(|input| input.previous == coin.outpoint);
        let spent: u64 = coins.iter().filter(is_spent).map(|coin| coin.amount.0).sum();
        spent - transaction.body.outputs.iter().map(|output| output.amount.0).sum::<u64>()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn inputs_are_outputs_plus_a_fee_that_fits_the_size(
            held in proptest::collection::vec((1u64..50_000, 0usize..3), 1..12), amount in 100u64..60_000, per_byte in 0u64..8,
        ) {
            let (mut ours, to) = (wallet(1), wallet(2).address());
            let owners = [ours.address(), ours.next_address().unwrap(), to];
            let coins: Vec<Coin> = (0..).zip(&held).map(|(n, (a, o))| coin(n, *a, &owners[*o])).collect();
            let fees = Fees { per_byte, ..FEES };
            let Ok(transaction) = ours.build(&coins, &Payment { fees, ..pay(to, amount) }) else { return Ok(()) };
            let (fee, size) = (check(&transaction, &coins), transaction.size_bytes() as u64);
            prop_assert!(fee >= per_byte * size);
            // Change that was too small to make would have cost one more output.
            let unmade = if transaction.body.outputs.len() == 1 { per_byte * 41 } else { 0 };
            prop_assert!(fee < per_byte * size + unmade + FEES.dust_min.0);
            prop_assert_eq!(transaction.body.outputs[0].amount, Amount(amount));
            prop_assert!(transaction.body.outputs.iter().all(|o| o.amount >= FEES.dust_min));
            let inputs = transaction.body.inputs.len() as u64;
            prop_assert_eq!(size, fees.size_bytes(inputs, transaction.body.outputs.len() as u64));
        }
    }
}
