//! Wallets with a phrase on a node whose parts are real: money comes back from the words alone, and nothing is signed without the passphrase.

use super::*;
use std::path::Path;
use timed_ledger::Address;
use timed_rpc::{
    LoadedWallet, NewWallet, NodeApi, PaymentOrder, SecretText, WalletFault, WalletSource, WalletsApi as _,
};

fn order(name: &str, source: WalletSource) -> NewWallet {
    let passphrase = match source {
        WalletSource::Backup(_) => "",
        WalletSource::Fresh | WalletSource::Phrase(..) => "open sesame",
    };
    NewWallet { name: name.into(), source, passphrase: SecretText::new(passphrase), load_on_startup: false }
}

fn chosen(service: &Service, name: &str) -> Arc<dyn NodeApi> {
    service.with_wallet(Some(name)).unwrap().unwrap()
}

fn to(address: Address, amount: Amount) -> PaymentOrder {
    PaymentOrder { outputs: vec![(address, amount)], ..PaymentOrder::default() }
}

async fn open(wallet: &Arc<dyn NodeApi>) {
    wallet.open_wallet(SecretText::new("open sesame"), Duration::from_secs(600)).await.unwrap();
}

/// Waits until a wallet can spend so much.
async fn has(wallet: &Arc<dyn NodeApi>, amount: Amount) {
    for _ in 0..3_000 {
        if wallet.balance(None).await.unwrap().spendable.0 == amount {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?} instead of {amount}", wallet.balance(None).await);
}

/// A node alone, ready.
async fn ready() -> Service {
    let service = service(HeldDisk::new("none"), 1);
    until(&service, "a node alone is ready", |service| service.troubles().is_empty()).await;
    service
}

#[test]
fn money_comes_back_from_the_words_alone_spent_or_not() {
    actix_rt::System::new().block_on(async {
        let service = ready().await;
        let made = service.make_wallet(order("savings", WalletSource::Fresh)).await.unwrap();
        let words = made.words.unwrap();
        assert_eq!((words.expose().split(' ').count(), made.warnings), (24, vec![]));
        let savings = chosen(&service, "savings");
        open(&savings).await;
        let mut given = Vec::new();
        for _ in 0..60 {
            given.push(savings.new_address(String::new()).await.unwrap());
        }
        // One far behind unused ones, whose money goes away again, and one whose money stays.
        service.pay(to(given[55], Amount::whole(3))).await.unwrap();
        has(&savings, Amount::whole(3)).await;
        let away = service.new_address(String::new()).await.unwrap();
        let spent = PaymentOrder { fee_from: [0].into(), ..to(away, Amount::whole(3)) };
        savings.pay(spent).await.unwrap();
        has(&savings, Amount::ZERO).await;
        service.pay(to(given[4], Amount::whole(5))).await.unwrap();
        has(&savings, Amount::whole(5)).await;

        let source = WalletSource::Phrase(SecretText::new(words.expose().to_uppercase()), 20);
        let restored = service.make_wallet(order("again", source)).await.unwrap();
        assert_eq!((restored.words, restored.warnings), (None, vec![]), "the words are shown once");
        let again = chosen(&service, "again");
        assert_eq!(again.addresses(), given[..56], "what is spent is found in the blocks");
        has(&again, Amount::whole(5)).await;
        assert_eq!(again.wallet_status().scan, None);
        // It signs when it is opened, and not before.
        let refused = again.pay(to(away, Amount::whole(1))).await.unwrap_err();
        assert_eq!((refused.code(), refused), (-13, WalletFault::Locked.into()));
        assert!(matches!(again.sign_text(given[4], "x".into()).await, Err(RpcError::Wallets(WalletFault::Locked))));
        open(&again).await;
        again.pay(to(away, Amount::whole(1))).await.unwrap();
        let unspent = again.unspent(Vec::new()).await.unwrap();
        let change = unspent.iter().find(|one| one.output.amount < Amount::whole(4)).unwrap();
        let change = Address { network: Network::Devnet, key_hash: change.output.lock.key_hash().unwrap() };
        assert!(again.is_change(&change) && again.is_mine(&change) && !again.addresses().contains(&change));
        again.lock_wallet().unwrap();
        assert_eq!(again.pay(to(away, Amount::whole(1))).await, Err(WalletFault::Locked.into()));
    });
}

#[test]
fn a_passphrase_opens_for_a_time_and_a_wrong_one_never() {
    actix_rt::System::new().block_on(async {
        let service = ready().await;
        service.make_wallet(order("savings", WalletSource::Fresh)).await.unwrap();
        let savings = chosen(&service, "savings");
        let wrong = savings.open_wallet(SecretText::new("open sesam"), Duration::from_secs(9)).await.unwrap_err();
        assert_eq!((wrong.code(), savings.wallet_status().open_until), (-14, Some(0)));
        open(&savings).await;
        assert!(savings.wallet_status().open_until.unwrap() > service.unix_time().seconds() + 500);
        let address = savings.new_address(String::new()).await.unwrap();
        assert!(savings.sign_text(address, "x".into()).await.is_ok());
        // The time is over at once, by the node's own clock.
        savings.open_wallet(SecretText::new("open sesame"), Duration::ZERO).await.unwrap();
        assert!(matches!(savings.sign_text(address, "x".into()).await, Err(RpcError::Wallets(WalletFault::Locked))));
        assert_eq!(savings.wallet_status().open_until, Some(0));
        savings.change_passphrase(SecretText::new("open sesame"), SecretText::new("new")).await.unwrap();
        let old = savings.open_wallet(SecretText::new("open sesame"), Duration::from_secs(9)).await.unwrap_err();
        let change = savings.change_passphrase(SecretText::new("open sesame"), SecretText::new("x")).await.unwrap_err();
        assert_eq!((old.code(), change.code()), (-14, -14));
        savings.open_wallet(SecretText::new("new"), Duration::from_secs(9)).await.unwrap();
        // The node's own wallet is not encrypted, and says so.
        let own = [
            service.open_wallet(SecretText::new("x"), Duration::ZERO).await.unwrap_err(),
            service.change_passphrase(SecretText::new("x"), SecretText::new("y")).await.unwrap_err(),
            service.lock_wallet().unwrap_err(),
        ];
        assert!(own.iter().all(|error| error.code() == -15), "{own:?}");
        assert_eq!(service.back_up_wallet("/tmp".into()).await.unwrap_err().code(), -4);
    });
}

#[test]
fn wallets_are_chosen_loaded_and_unloaded_by_name() {
    actix_rt::System::new().block_on(async {
        let service = ready().await;
        assert!(service.with_wallet(None).unwrap().is_none(), "the only one");
        service.make_wallet(order("savings", WalletSource::Fresh)).await.unwrap();
        assert_eq!(service.loaded_wallets(), ["", "savings"]);
        let choice = service.with_wallet(None).map(drop).unwrap_err();
        assert_eq!(choice.code(), -19);
        assert!(choice.to_string().contains("\"savings\"") && choice.to_string().contains("--wallet"), "{choice}");
        for own in ["", "wallet"] {
            assert!(service.with_wallet(Some(own)).unwrap().is_none());
        }
        assert_eq!(service.with_wallet(Some("other")).map(drop).unwrap_err().code(), -18);
        let code = |result: Result<LoadedWallet, RpcError>| result.unwrap_err().code();
        assert_eq!(code(service.make_wallet(order("savings", WalletSource::Fresh)).await), -36);
        assert_eq!(code(service.make_wallet(order("../savings", WalletSource::Fresh)).await), -8);
        assert_eq!(code(service.make_wallet(order("wallet", WalletSource::Fresh)).await), -8);
        assert_eq!(code(service.load_wallet("savings".into(), None).await), -35);
        assert_eq!(code(service.load_wallet("other".into(), None).await), -18);
        service.unload_wallet(String::new(), None).await.unwrap();
        assert_eq!(service.with_wallet(None).unwrap().unwrap().wallet_status().name, "savings");
        service.unload_wallet("savings".into(), Some(true)).await.unwrap();
        assert_eq!(service.with_wallet(None).map(drop), Err(WalletFault::NoneLoaded.into()));
        assert_eq!(service.stored_wallets().await.unwrap(), ["savings"]);
        service.load_wallet("savings".into(), None).await.unwrap();
        service.load_wallet("wallet".into(), None).await.unwrap();
        assert_eq!(service.loaded_wallets(), ["", "savings"]);
    });
}

#[test]
fn a_wallet_is_loaded_at_a_start_and_a_damaged_one_keeps_no_node_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = Genesis::devnet(1);
    actix_rt::System::new().block_on(async {
        let service = Service { wallets: Arc::new(wallets(folder.path(), &genesis)), ..ready().await };
        for name in ["damaged", "later", "savings"] {
            let at_startup = name != "later";
            service
                .make_wallet(NewWallet { load_on_startup: at_startup, ..order(name, WalletSource::Fresh) })
                .await
                .unwrap();
        }
        // Another process that has the same folder.
        let twin = wallets(folder.path(), &genesis);
        assert_eq!(Service { wallets: Arc::new(twin), ..service.clone() }.loaded_wallets(), [""], "all are in use");
    });
    let keys = folder.path().join("wallets/damaged/keys");
    let mut bytes = std::fs::read(&keys).unwrap();
    bytes[90] ^= 1;
    std::fs::write(&keys, &bytes).unwrap();
    actix_rt::System::new().block_on(async {
        let service = Service { wallets: Arc::new(wallets(folder.path(), &genesis)), ..ready().await };
        assert_eq!(service.loaded_wallets(), ["", "savings"]);
        let refused = service.load_wallet("damaged".into(), None).await.unwrap_err();
        assert!(refused.code() == -4 && refused.to_string().contains("checksum is wrong"), "{refused}");
        assert_eq!(std::fs::read(&keys).unwrap(), bytes, "it is left as it is");
    });
}

#[test]
fn a_backup_is_opened_by_its_passphrase_and_finds_what_it_had() {
    actix_rt::System::new().block_on(async {
        let (service, folder) = (ready().await, tempfile::tempdir().unwrap());
        let restore = |name: &'static str, file: &Path| {
            let source = WalletSource::Backup(file.display().to_string());
            let service = service.clone();
            async move { service.make_wallet(order(name, source)).await }
        };
        service.make_wallet(order("savings", WalletSource::Fresh)).await.unwrap();
        let savings = chosen(&service, "savings");
        let address = savings.new_address(String::new()).await.unwrap();
        service.pay(to(address, Amount::whole(7))).await.unwrap();
        has(&savings, Amount::whole(7)).await;
        let file = folder.path().join("savings.backup");
        savings.back_up_wallet(file.display().to_string()).await.unwrap();
        assert_eq!(savings.back_up_wallet(file.display().to_string()).await.unwrap_err().code(), -8, "never over another");

        let restored = restore("again", &file).await.unwrap();
        assert!(restored.warnings[0].contains("give its passphrase"), "{:?}", restored.warnings);
        let again = chosen(&service, "again");
        assert_eq!(again.new_address(String::new()).await, Err(WalletFault::NoAddress.into()));
        open(&again).await;
        assert_eq!(again.addresses(), [address]);
        has(&again, Amount::whole(7)).await;

        let bytes = std::fs::read(&file).unwrap();
        let (cut, foreign) = (folder.path().join("cut"), folder.path().join("foreign"));
        std::fs::write(&cut, &bytes[..100]).unwrap();
        std::fs::write(&foreign, "SQLite format 3").unwrap();
        for (file, words) in [(&cut, "cut off"), (&foreign, "no file of wallet keys"), (&folder.path().join("no"), "cannot use")] {
            let refused = restore("third", file).await.unwrap_err();
            assert!(refused.code() == -4 && refused.to_string().contains(words), "{refused}");
        }
        let phrase = |words: &str| service.make_wallet(order("third", WalletSource::Phrase(SecretText::new(words), 20)));
        let letter = "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless";
        let wrong = phrase(&letter.replacen("absurd", "absrud", 1)).await.unwrap_err();
        assert!(wrong.code() == -8 && wrong.to_string().contains("word 4 of 24"), "{wrong}");
        assert!(wrong.to_string().contains("near to it: absurd"), "{wrong}");
        assert!(phrase(&letter.replace("bless", "zoo")).await.unwrap_err().to_string().contains("checksum is wrong"));
        assert_eq!(service.stored_wallets().await.unwrap(), ["again", "savings"], "nothing was made");
    });
}
