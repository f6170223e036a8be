//! A wallet with a phrase: what it does locked and open, and that its money comes back from the words alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, with the place")]

use timed_ledger::{Address, OutPoint};
use timed_primitives::{Amount, ChainId, Hash, Network, TxId};
use timed_wallet::{
    ADDRESSES_AHEAD, BuildError, Coin, DerivedAddresses, Fees, KeyState, KeyUse, Payment, Phrase, Wallet, WalletError,
    WalletKeys,
};

const FEES: Fees = Fees { per_byte: 1, dust_min: Amount(100), transaction_bytes_max: 65_536, payload_bytes: 0 };

fn keys(seed: u8) -> WalletKeys {
    WalletKeys::of(&Phrase::from_entropy([seed; 32]), Network::Devnet)
}

fn locked(seed: u8) -> Wallet {
    Wallet::derived(DerivedAddresses::of(&keys(seed)), Network::Devnet, ChainId(9))
}

fn open(seed: u8) -> Wallet {
    let mut wallet = locked(seed);
    wallet.open_keys(keys(seed), KeyUse::Sign).unwrap();
    wallet
}

fn coin(n: u32, amount: u64, owner: &Address) -> Coin {
    let outpoint = OutPoint { txid: TxId(Hash([1; 32])), index: n };
    Coin { outpoint, amount: Amount(amount), key_hash: owner.key_hash }
}

#[test]
fn a_locked_wallet_sees_and_hands_out_and_signs_nothing() {
    let mut wallet = locked(1);
    let address = wallet.next_address().unwrap();
    let coins = [coin(1, 9_000, &address)];
    let payment = Payment::to(open(2).next_address().unwrap(), Amount(500), FEES);
    assert_eq!(wallet.build(&coins, &payment), Err(BuildError::Wallet(WalletError::Locked)));
    assert_eq!(wallet.locked().len(), 0);
    let funded = wallet.fund(&coins, &payment).unwrap();
    assert_eq!(wallet.witness(&funded.body, &address.key_hash), Err(WalletError::Locked));
    assert_eq!(wallet.sign_text(&address.key_hash, "text"), Err(WalletError::Locked));
    assert_eq!(wallet.sign_text(&payment.outputs[0].0.key_hash, "text"), Ok(None), "the key of somebody else");
    for _ in 1..ADDRESSES_AHEAD {
        wallet.next_address().unwrap();
    }
    assert_eq!(wallet.next_address(), Err(WalletError::NoAddress));
    assert_eq!(wallet.derive_ahead(200), Err(WalletError::Locked));
    assert_eq!(wallet.open_keys(keys(2), KeyUse::Sign), Err(WalletError::OtherKeys));
    assert_eq!(wallet.key_state(), KeyState::Locked);
    assert_eq!(wallet.open_keys(keys(1), KeyUse::Sign), Ok(true));
    assert!(wallet.next_address().is_ok() && wallet.build(&coins, &payment).is_ok());
    wallet.close_keys(KeyUse::Sign);
    assert_eq!(wallet.sign_text(&address.key_hash, "text"), Err(WalletError::Locked));
}

#[test]
fn each_payment_has_change_of_its_own_and_a_refused_one_gives_it_back() {
    let mut wallet = open(1);
    let address = wallet.next_address().unwrap();
    let coins: Vec<Coin> = (0..4).map(|n| coin(n, 9_000, &address)).collect();
    let payment = Payment::to(open(2).next_address().unwrap(), Amount(500), FEES);
    let change = |transaction: &timed_ledger::Transaction| transaction.body.outputs[1].lock.key_hash().unwrap();
    let first = wallet.build(&coins, &payment).unwrap();
    let second = wallet.build(&coins, &payment).unwrap();
    assert_ne!(change(&first), change(&second));
    assert!(wallet.is_change(&change(&first)) && wallet.owns(&change(&first)) && !wallet.is_change(&address.key_hash));
    assert_eq!(wallet.derived_addresses().unwrap().change.handed_out, 2);
    wallet.unlock(&second);
    assert_eq!(wallet.derived_addresses().unwrap().change.handed_out, 1);
    let third = wallet.build(&coins, &payment).unwrap();
    assert_eq!(change(&third), change(&second));
    wallet.unlock(&first);
    assert_eq!(wallet.derived_addresses().unwrap().change.handed_out, 2, "a later one is in use");
    assert!(third.signed_items().all(|item| item.key.verify(&item.message, &item.signature)));
    assert_eq!(wallet.addresses(), [address], "change is not listed");
}

#[test]
fn what_was_used_is_found_from_the_words_alone_and_the_gap_moves_on() {
    let mut lost = open(3);
    let given: Vec<Address> = (0..250).map(|_| lost.next_address().unwrap()).collect();
    let mut back = open(3);
    assert!(!back.owns(&given[249].key_hash), "not derived yet");
    // In whatever order the chain shows them.
    for used in [given[90], given[180], given[17], given[249]] {
        assert_eq!(back.mark_used(&used.key_hash), used != given[17], "{used}");
    }
    assert!(given.iter().all(|address| back.owns(&address.key_hash)));
    assert_eq!(back.addresses(), given);
    assert_eq!(back.next_address().unwrap(), lost.next_address().unwrap());
    // A locked one marks what it knows and derives nothing.
    let mut blind = locked(3);
    assert!(blind.mark_used(&given[50].key_hash) && !blind.mark_used(&given[249].key_hash));
    assert_eq!(blind.open_keys(keys(3), KeyUse::Sign), Ok(true));
    assert!(blind.owns(&given[150].key_hash));
}

#[test]
fn a_wallet_without_addresses_says_that_it_must_be_opened() {
    let mut wallet = Wallet::derived(DerivedAddresses::default(), Network::Devnet, ChainId(9));
    assert_eq!(wallet.next_address(), Err(WalletError::NoAddress));
    let payment = Payment::to(open(2).next_address().unwrap(), Amount(500), FEES);
    assert_eq!(wallet.fund(&[], &payment), Err(BuildError::Wallet(WalletError::NoAddress)));
    assert_eq!(wallet.open_keys(keys(1), KeyUse::Sign), Ok(true));
    assert_eq!(wallet.next_address().unwrap(), open(1).next_address().unwrap());
    let mut development =
        Wallet::from_key(timed_primitives::SecretKey::from_seed([1; 32]), Network::Devnet, ChainId(9));
    assert_eq!(development.open_keys(keys(1), KeyUse::Sign), Err(WalletError::AlwaysOpen));
    assert_eq!(development.key_state(), KeyState::Plain);
}

#[test]
fn keys_that_are_there_to_derive_sign_nothing() {
    let mut wallet = locked(1);
    let address = wallet.next_address().unwrap();
    wallet.open_keys(keys(1), KeyUse::Derive).unwrap();
    assert_eq!((wallet.key_state(), wallet.derive_ahead(150)), (KeyState::Locked, Ok(true)));
    assert_eq!(wallet.sign_text(&address.key_hash, "text"), Err(WalletError::Locked));
    wallet.open_keys(keys(1), KeyUse::Sign).unwrap();
    assert!(wallet.sign_text(&address.key_hash, "text").unwrap().is_some());
    wallet.close_keys(KeyUse::Sign);
    assert_eq!((wallet.key_state(), wallet.derive_ahead(160)), (KeyState::Locked, Ok(true)), "the scan goes on");
    wallet.close_keys(KeyUse::Derive);
    assert_eq!(wallet.derive_ahead(170), Err(WalletError::Locked));
}
