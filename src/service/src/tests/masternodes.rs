//! Masternodes by the calls of clients, over a real ledger and a validator that decides alone.

use super::*;
use serde_json::{Value, json};
use timed_ledger::{Tier, TransactionPayload};
use timed_primitives::encode;
use timed_rpc::{RpcLimits, answer_body};

/// The only voter, whose collateral is so large that one bronze beside it cannot stop it, and a wallet with so many coins of 1,000 TIME.
fn alone(coins: u32) -> (Arc<Service>, SetClock) {
    alone_with(coins, |_| {})
}

/// The same of a genesis that somebody has changed.
pub(super) fn alone_with(coins: u32, change: impl FnOnce(&mut Genesis)) -> (Arc<Service>, SetClock) {
    let mut genesis = Genesis::devnet_with_coins(1, coins);
    change(&mut genesis);
    let collateral = genesis.masternodes[0].collateral;
    genesis.outputs[collateral as usize].amount = Tier::Gold.collateral(Amount::ONE);
    let clock = SetClock::ahead(0);
    let service = node_of(genesis, 1, HeldDisk::new("nothing"), clock.clone(), None, Vec::new());
    (Arc::new(service), clock)
}

pub(super) async fn call(service: &Arc<Service>, method: &str, params: Value) -> Result<Value, String> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let (_, answer) = answer_body(service.clone(), RpcLimits::default(), body.as_bytes()).await;
    let mut answer: Value = serde_json::from_str(&answer.unwrap()).unwrap();
    match answer["error"]["message"].as_str() {
        Some(message) => Err(message.to_owned()),
        None => Ok(answer["result"].take()),
    }
}

pub(super) async fn refused(service: &Arc<Service>, method: &str, params: Value, part: &str) {
    let error = call(service, method, params).await.unwrap_err();
    assert!(error.contains(part), "{error}");
}

pub(super) fn secret(purpose: &str, id: u64) -> String {
    hex(&SecretKey::development(purpose, id).seed())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn public(purpose: &str, id: u64) -> String {
    SecretKey::development(purpose, id).public().to_string()
}

/// Waits until a transaction is final.
pub(super) async fn becomes_final(service: &Arc<Service>, txid: &Value) {
    for _ in 0..3_000 {
        let found = call(service, "gettransaction", json!([txid])).await.unwrap();
        if found["confirmations"].as_u64() > Some(0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{txid} is not final");
}

/// Registers a masternode with keys of number 9, signed apart from the node; its id.
pub(super) async fn register(service: &Arc<Service>, tier: &str) -> Value {
    let options = json!({
        "service": "203.0.113.9:7000", "owner": public("owner", 9), "operator": public("consensus", 9),
    });
    let draft = call(service, "protx", json!(["register_prepare", tier, options])).await.unwrap();
    assert_eq!(draft["complete"], false);
    refused(service, "protx", json!(["register_submit", draft["hex"]]), "signatures are missing: owner ").await;
    let keys = json!([secret("owner", 9), secret("consensus", 9)]);
    let signed = call(service, "signrawtransactionwithkey", json!([draft["hex"], keys])).await.unwrap();
    let txid = call(service, "protx", json!(["register_submit", signed["hex"]])).await.unwrap();
    assert_eq!(txid, draft["txid"], "signatures are not part of the id");
    becomes_final(service, &txid).await;
    txid
}

pub(super) async fn amounts(service: &Arc<Service>) -> (f64, f64) {
    let mine = call(service, "getbalances", json!([])).await.unwrap()["mine"].take();
    (mine["trusted"].as_f64().unwrap(), mine["collateral"].as_f64().unwrap())
}

#[test]
fn the_wallet_leaves_collateral_alone() {
    actix_rt::System::new().block_on(async {
        let (service, _) = alone(3);
        let id = register(&service, "bronze").await;
        let (spendable, collateral) = amounts(&service).await;
        assert!(spendable > 1_999.0 && spendable < 2_000.0 && collateral == 1_000.0, "{spendable} {collateral}");
        let info = call(&service, "getwalletinfo", json!([])).await.unwrap();
        assert_eq!((info["balance"].as_f64(), info["collateral"].as_f64()), (Some(spendable), Some(1_000.0)));
        let is_collateral = |coin: &Value| coin["txid"] == id && coin["vout"] == 0;
        let coins = call(&service, "listunspent", json!([0])).await.unwrap();
        assert!(
            coins.as_array().unwrap().len() == 2 && !coins.as_array().unwrap().iter().any(is_collateral),
            "{coins}"
        );
        let locked = call(&service, "listunspent", json!({ "query_options": { "coinType": 4 } })).await.unwrap();
        assert!(is_collateral(&locked[0]) && locked[0]["spendable"] == false && locked[0]["safe"] == false, "{locked}");
        assert_eq!((&locked[0]["masternode"], &locked[0]["state"]), (&id, &json!("collateral")));
        let rows = call(&service, "listlockedcollaterals", json!([])).await.unwrap();
        assert_eq!(
            (rows.as_array().unwrap().len(), &rows[0]["masternode"], &rows[0]["tier"]),
            (1, &id, &json!("bronze"))
        );
        // All that is left, and no more.
        let to = locked[0]["address"].clone();
        let paid = call(&service, "sendtoaddress", json!([to, 1_500])).await.unwrap();
        becomes_final(&service, &paid).await;
        refused(&service, "sendtoaddress", json!([to, 2_100]), "insufficient funds").await;
        let spending = json!([[{ "txid": id, "vout": 0 }], { to.as_str().unwrap(): 999.9 }]);
        let raw = call(&service, "createrawtransaction", spending).await.unwrap();
        refused(&service, "fundrawtransaction", json!([raw]), "is the collateral of masternode").await;
        let signed = call(&service, "signrawtransactionwithwallet", json!([raw])).await.unwrap();
        assert_eq!(signed["complete"], true);
        let words = "revoke it, and release the collateral after the unbonding time";
        refused(&service, "sendrawtransaction", json!([signed["hex"], 0]), words).await;
        let checked = call(&service, "checkcollateral", json!([id, 0])).await.unwrap();
        assert_eq!((&checked["state"], &checked["tier"]), (&json!("collateral"), &json!("bronze")));
        let change = call(&service, "checkcollateral", json!([id, 1])).await.unwrap();
        assert_eq!(change["state"], "spent", "{change}");
        // It votes, and with two nobody may go.
        let status = call(&service, "masternodestatus", json!([id])).await.unwrap();
        assert_eq!(
            (&status["status"], &status["effective_power"], &status["place"]),
            (&json!("voting"), &json!(1), &json!(2))
        );
        let pause = json!(["pause", id, { "operator_key": secret("consensus", 9) }]);
        refused(&service, "protx", pause, "1 masternodes would be left that vote").await;
    });
}

#[test]
fn a_masternode_comes_changes_and_goes_by_the_calls() {
    actix_rt::System::new().block_on(async {
        let (service, clock) = alone(20);
        let id = register(&service, "free").await;
        let status = async || call(&service, "masternodestatus", json!([id])).await.unwrap();
        assert_eq!(status().await["status"], "not voting");
        let shown = call(&service, "getrawtransaction", json!([id, 1])).await.unwrap();
        assert_eq!((&shown["payload"]["type"], &shown["payload"]["tier"]), (&json!("register"), &json!("free")));
        assert_eq!(shown["payload"]["signatures"].as_array().unwrap().len(), 2);
        let addresses = call(&service, "masternodelist", json!(["addr"])).await.unwrap();
        assert_eq!(addresses[format!("{}-0", id.as_str().unwrap())], "203.0.113.9:7000");
        let (owner, operator) = (secret("owner", 9), secret("consensus", 9));
        let change = async |command: &str, options: Value| {
            let sent = call(&service, "protx", json!([command, id, options])).await.unwrap();
            assert!(sent.is_string(), "{sent}");
            becomes_final(&service, &sent).await;
        };
        let before = status().await;
        assert!(before["name"].is_string(), "{before}");
        change("pause", json!({ "operator_key": operator })).await;
        let paused = status().await;
        assert_eq!((&paused["status"], &paused["name"]), (&json!("paused"), &before["name"]));
        refused(&service, "protx", json!(["pause", id, { "operator_key": operator }]), "is paused: it cannot pause").await;
        change("resume", json!({ "operator_key": operator })).await;
        change("update_service", json!({ "operator_key": operator, "service": "203.0.113.10:7001" })).await;
        let to = call(&service, "getnewaddress", json!([])).await.unwrap();
        let keys = json!({ "owner_key": owner, "operator": public("consensus", 10), "operator_key": secret("consensus", 10), "payees": to });
        change("update_registrar", keys).await;
        let row = status().await;
        assert_eq!((&row["service"], &row["key"]), (&json!("203.0.113.10:7001"), &json!(public("consensus", 10))));
        assert_eq!(row["payees"], json!([{ "address": to, "share": 10_000 }]));
        // Without the owner's key it is built, and not sent.
        let draft = call(&service, "protx", json!(["revoke", id])).await.unwrap();
        assert_eq!((&draft["complete"], &draft["signers"][1]["role"]), (&json!(false), &json!("owner")));
        change("revoke", json!({ "owner_key": owner })).await;
        let row = status().await;
        assert!(row["status"] == "left" && row["exit_height"].as_u64() > Some(2), "{row}");
        refused(&service, "protx", json!(["release", id]), "can be released from").await;
        // The deposit of a free one is a coin again by itself.
        let before = amounts(&service).await;
        clock.1.store(61_000, Ordering::Relaxed);
        let registration = id.as_str().unwrap().parse().unwrap();
        let is_gone = |service: &Service| service.chain.view().state().masternodes().get(&registration).is_none();
        until(&service, "the end of the unbonding time", is_gone).await;
        let after = amounts(&service).await;
        assert!(after.1 == before.1 - 1.0 && after.0 >= before.0 + 0.99, "{before:?} {after:?}");
        refused(&service, "masternodestatus", json!([id]), "does not exist").await;
        refused(&service, "protx", json!(["release", id]), "does not exist").await;
    });
}

#[test]
fn the_last_block_proves_what_the_list_says() {
    actix_rt::System::new().block_on(async {
        let (service, _) = alone(3);
        until(&service, "a block", |service| service.chain.tip().height.0 > 1).await;
        let own = call(&service, "masternodestatus", json!([])).await.unwrap();
        assert_eq!((&own["is_self"], &own["tier"]), (&json!(true), &json!("gold")));
        let proof = call(&service, "getmasternodeproof", json!([own["registration"]])).await.unwrap();
        let proved = call(&service, "verifymasternodeproof", json!([proof["proof"]])).await.unwrap();
        assert_eq!((&proved["operator"], &proved["blockhash"]), (&own["key"], &proof["blockhash"]));
        let id = own["registration"].as_str().unwrap().parse().unwrap();
        let good = service.masternode_proof(id).await.unwrap();
        let refused = async |proof| match service.verify_masternode_proof(proof).await {
            Err(RpcError::MasternodeProof(reason)) => reason,
            other => panic!("{other:?}"),
        };
        let mut forged = good.clone();
        forged.proof.entry.status = 1;
        assert!(refused(forged).await.contains("does not lead to masternode root"));
        let mut unsigned = good.clone();
        unsigned.certificate.signatures.clear();
        assert!(refused(unsigned).await.contains("signed by 0 of 100 voting power"));
        let mut elsewhere = good.clone();
        elsewhere.header.masternode_root = timed_primitives::Hash([7; 32]);
        assert!(refused(elsewhere.clone()).await.contains("its header is block"));
        elsewhere.certificate.block = elsewhere.header.id();
        assert!(refused(elsewhere).await.contains("this chain has"));
    });
}

/// The key that votes moves no money, whoever asks.
#[test]
fn the_consensus_key_signs_changes_only() {
    actix_rt::System::new().block_on(async {
        let service = service(HeldDisk::new("nothing"), 4);
        let one = service.chain_masternodes().await.unwrap().list.iter().next().unwrap().clone();
        let (registration, previous) = (one.id, one.last_change);
        let body = |payload| TransactionBody {
            payload,
            ..TransactionBody::transfer(Genesis::devnet(4).chain_id, Vec::new(), Vec::new())
        };
        assert!(service.operator_witness(&body(TransactionPayload::Pause { registration, previous })).is_some());
        for payload in [TransactionPayload::Transfer, TransactionPayload::Release { registration }] {
            assert!(service.operator_witness(&body(payload)).is_none());
        }
        assert_eq!(encode(&service.consensus_key()), encode(&service.identity.validator));
    });
}

#[test]
fn what_was_proved_before_the_voters_changed_is_proved_still() {
    actix_rt::System::new().block_on(async {
        let (service, _) = alone(3);
        until(&service, "two blocks", |service| service.chain.tip().height.0 >= 2).await;
        let one = call(&service, "masternodestatus", json!([])).await.unwrap()["registration"].take();
        let history = call(&service, "gethistoryproof", json!([1])).await.unwrap()["proof"].take();
        let masternode = call(&service, "getmasternodeproof", json!([one])).await.unwrap()["proof"].take();
        let first = service.history_proof(Height(1), Some(Height(2))).await.unwrap();
        register(&service, "bronze").await;
        let height = service.chain.tip().height.0;
        until(&service, "two voters", |service| service.chain.tip().height.0 >= height + 2).await;
        assert_eq!(call(&service, "verifyhistoryproof", json!([history])).await.unwrap()["height"], 1);
        assert_eq!(call(&service, "verifymasternodeproof", json!([masternode])).await.unwrap()["registration"], one);
        assert_eq!(service.verify_history_proof(first.clone()).await, Ok(()));
        // Other signatures than those that this chain has cannot be checked without the voters of then.
        let mut other = first;
        other.certificate.signatures[0].signature.0[0] ^= 1;
        let error = service.verify_history_proof(other).await.unwrap_err();
        assert!(error.to_string().contains("no longer knows the validators of height 2"), "{error}");
    });
}
