//! Rewards, penalties and statements by the calls of clients, over a real ledger and a validator that decides alone.

use super::masternodes::{alone_with, becomes_final, call, refused, register};
use super::*;
use serde_json::{Value, json};
use timed_ledger::{Payouts, TransactionPayload};
use timed_primitives::vote::vote_signing_bytes;
use timed_primitives::{BlockId, CommitCertificate, CommitSignature, DoubleSign, Hash, Round, Vote, VoteKind, encode};

/// Pays the wallet for intervals of 100 ms.
fn paying(coins: u32) -> (Arc<Service>, SetClock) {
    alone_with(coins, |genesis| {
        genesis.parameters.reward_interval_ms = 100;
        let wallet = KeyHash::of(&SecretKey::development("wallet", 0).public());
        genesis.masternodes[0].payouts = Payouts::one(Lock::KeyHash(wallet).owner());
    })
}

/// The first interval that is paid.
async fn first_report(service: &Arc<Service>) -> Value {
    until(service, "a payment", |service| service.rewards_now().kept.is_some()).await;
    call(service, "getrewardreport", json!([1])).await.unwrap()
}

fn statement(service: &Service, payload: TransactionPayload, signers: &[&SecretKey]) -> Transaction {
    TransactionBody::statement(service.chain.genesis().chain_id, payload).sign(signers)
}

fn hex_of(transaction: &Transaction) -> String {
    super::masternodes::hex(&encode(transaction))
}

/// Two prevotes of key 9 at a height.
fn double_sign(service: &Service, height: u64) -> DoubleSign {
    let key = SecretKey::development("consensus", 9);
    let vote = |block| {
        let (height, block, validator) = (Height(height), Some(BlockId(Hash([block; 32]))), key.public());
        let chain = service.chain.genesis().chain_id;
        let bytes = vote_signing_bytes(chain, VoteKind::Prevote, height, Round::ZERO, block, &validator);
        let (kind, round) = (VoteKind::Prevote, Round::ZERO);
        Vote { kind, height, round, block, validator, signature: key.sign(&bytes) }
    };
    DoubleSign::of_votes(vote(1), vote(2))
}

#[test]
fn what_an_interval_pays_is_in_every_call() {
    actix_rt::System::new().block_on(async {
        let (service, _) = paying(3);
        let report = first_report(&service).await;
        let (txid, height, row) = (&report["txid"], &report["height"], &report["masternodes"][0]);
        assert_eq!((&row["vout"], &row["paid"], &row["why"]), (&json!([0]), &row["earned"], &Value::Null), "{report}");
        // It is an output that no transaction made.
        let output = call(&service, "gettxout", json!([txid, 0])).await.unwrap();
        assert_eq!((&output["coinbase"], &output["value"]), (&json!(true), &row["paid"]));
        let words = format!("it names the outputs that block {height} paid for interval 1");
        refused(&service, "gettransaction", json!([txid]), &words).await;
        let hash = call(&service, "getblockhash", json!([height])).await.unwrap();
        refused(&service, "getrawtransaction", json!([txid, 1, hash]), &words).await;
        let stats = call(&service, "getblockstats", json!([hash])).await.unwrap();
        assert_eq!(
            (&stats["subsidy"], &stats["outs"], &stats["totalfee"]),
            (&json!(10_000_000_000_u64), &json!(1), &json!(0))
        );
        // The wallet has it, and says where it came from.
        let is_it = |row: &&Value| row["txid"] == *txid;
        let coins = call(&service, "listunspent", json!([])).await.unwrap();
        let coin = coins.as_array().unwrap().iter().find(is_it).unwrap();
        assert_eq!((&coin["amount"], &coin["spendable"]), (&row["paid"], &json!(true)));
        let rows = call(&service, "listsinceblock", json!([])).await.unwrap()["transactions"].take();
        let payout = rows.as_array().unwrap().iter().find(is_it).unwrap();
        assert_eq!(
            (&payout["category"], &payout["amount"], &payout["interval"]),
            (&json!("generate"), &row["paid"], &json!(1))
        );
        // It is spent like any other, and its payment has a fee.
        let to = coin["address"].clone();
        let raw = json!([[{ "txid": txid, "vout": 0 }], { to.as_str().unwrap(): 94.9 }]);
        let raw = call(&service, "createrawtransaction", raw).await.unwrap();
        let signed = call(&service, "signrawtransactionwithwallet", json!([raw])).await.unwrap();
        let spent = call(&service, "sendrawtransaction", json!([signed["hex"], 0])).await.unwrap();
        becomes_final(&service, &spent).await;
        let shown = call(&service, "getrawtransaction", json!([spent, 1])).await.unwrap();
        assert_eq!(shown["fee"].to_string(), "0.10000000");
        let checked = call(&service, "checkcollateral", json!([txid, 0])).await.unwrap();
        assert_eq!(checked["state"], "spent", "{checked}");
        let deltas = call(&service, "getaddressdeltas", json!([to])).await.unwrap();
        let of_height = |row: &&Value| row["txid"] == *txid && row["height"] == *height;
        let came = deltas.as_array().unwrap().iter().find(of_height).unwrap();
        let went =
            deltas.as_array().unwrap().iter().find(|row| row["txid"] == spent && row["satoshis"].as_i64() < Some(0));
        assert_eq!(came["satoshis"].as_i64().unwrap(), -went.unwrap()["satoshis"].as_i64().unwrap());
        let ids = call(&service, "getaddresstxids", json!([to])).await.unwrap();
        assert!(ids.as_array().unwrap().contains(txid), "{ids}");
    });
}

#[test]
fn the_calls_about_rewards_say_the_same() {
    actix_rt::System::new().block_on(async {
        let (service, _) = paying(3);
        let report = first_report(&service).await;
        let own = report["masternodes"][0]["registration"].clone();
        let rewards = call(&service, "masternoderewards", json!(["", 1_024])).await.unwrap();
        let first = rewards["rewards"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&first["interval"], &first["txid"]), (&json!(1), &report["txid"]));
        let winners = call(&service, "masternodewinners", json!([100])).await.unwrap();
        let first = winners.as_array().unwrap().last().unwrap();
        assert_eq!((&first["winners"][0]["registration"], &first["treasury"]), (&own, &report["treasury"]));
        let history = call(&service, "masternodehistory", json!([own])).await.unwrap();
        assert_eq!((&history["events"], &history["status"]), (&json!([]), &json!("active")));
        let status = call(&service, "masternodestatus", json!([])).await.unwrap();
        assert_eq!((&status["not_paid_because"], &status["warned"]), (&Value::Null, &json!(false)));
        assert_eq!(status["participation"]["since_assessed"]["percent"], 100.0, "{status}");
        assert!(
            status["last_payment"]["interval"].is_u64() && status["next_payout"]["estimate"].is_number(),
            "{status}"
        );
        for (interval, state) in [("waiting", "waiting"), ("open", "open"), ("latest", "paid")] {
            assert_eq!(call(&service, "getrewardreport", json!([interval])).await.unwrap()["state"], state);
        }
        refused(&service, "getrewardreport", json!([999_999]), "there is no report of interval 999999: 1 to ").await;
        let supply = call(&service, "getsupply", json!([])).await.unwrap();
        let units = |name: &str| supply[name].as_number().unwrap().to_string().parse::<Amount>().unwrap().0;
        assert_eq!(units("total"), units("genesis") + units("issued"));
        assert_eq!(units("total"), units("unspent") + units("fees") + units("treasury"));
        assert_eq!((units("locked"), units("penalties")), (Amount::whole(100_000).0, 0));
        assert!(call(&service, "gettreasurybalance", json!([])).await.unwrap().as_f64() >= Some(5.0));
        let page = metrics_of(&service);
        let value = |name: &str| {
            page.lines().find_map(|line| line.strip_prefix(&format!("timed_{name} "))?.parse::<u64>().ok())
        };
        assert!(
            value("money_treasury_units") >= Some(units("treasury"))
                && value("money_issued_units") >= Some(units("issued")),
            "{page}"
        );
        assert!(
            value("masternode_signed_heights") > Some(0)
                && value("masternode_signed_heights") == value("masternode_expected_heights")
        );
        assert_eq!(
            (value("masternode_warned"), value("masternode_jailed"), value("masternode_penalty_units")),
            (Some(0), Some(0), Some(0))
        );
    });
}

#[test]
fn a_statement_that_does_not_count_is_refused_by_its_rule() {
    actix_rt::System::new().block_on(async {
        let (service, _) = paying(20);
        let id = register(&service, "bronze").await;
        let registration = id.as_str().unwrap().parse().unwrap();
        let operator = SecretKey::development("consensus", 9);
        let refusals = async |transaction: Transaction, part: &str| {
            let hex = hex_of(&transaction);
            let tested = call(&service, "testmempoolaccept", json!([[hex]])).await.unwrap();
            assert!(
                tested[0]["allowed"] == false && tested[0]["reject-reason"].as_str().unwrap().contains(part),
                "{tested}"
            );
            refused(&service, "sendrawtransaction", json!([hex]), part).await;
        };
        let reached = TransactionPayload::Reachability { interval: 9_999, free: registration, witness: registration };
        refusals(statement(&service, reached, &[&operator]), "was not drawn as a witness").await;
        let (height, block) = (Height(1), service.block_id(Height(1)).await.unwrap());
        let bytes = vote_signing_bytes(
            service.chain.genesis().chain_id,
            VoteKind::Precommit,
            height,
            Round::ZERO,
            Some(block),
            &operator.public(),
        );
        let signatures = vec![CommitSignature { validator: operator.public(), signature: operator.sign(&bytes) }];
        let late =
            TransactionPayload::LatePrecommits(CommitCertificate { height, round: Round::ZERO, block, signatures });
        refusals(statement(&service, late, &[]), "late precommits are added by proposers only").await;
        let early = TransactionPayload::DoubleSign { registration, proof: double_sign(&service, 1) };
        refusals(statement(&service, early, &[]), "at height 1").await;
        // One that counts is taken, and has no fee.
        let since = service.chain_masternodes().await.unwrap().list.get(&registration).unwrap().votes_from().0;
        let proof = TransactionPayload::DoubleSign { registration, proof: double_sign(&service, since) };
        let good = hex_of(&statement(&service, proof, &[]));
        let tested = call(&service, "testmempoolaccept", json!([[good]])).await.unwrap();
        assert_eq!(
            (&tested[0]["allowed"], tested[0]["fee"].to_string()),
            (&json!(true), "0.00000000".into()),
            "{tested}"
        );
        let sent = call(&service, "sendrawtransaction", json!([good])).await.unwrap();
        becomes_final(&service, &sent).await;
        let shown = call(&service, "gettransaction", json!([sent])).await.unwrap();
        assert_eq!((shown["fee"].to_string(), &shown["payload"]["type"]), ("0.00000000".into(), &json!("double sign")));
        // The block is shown, and has no fee of it.
        let stats = call(&service, "getblockstats", json!([shown["blockhash"]])).await.unwrap();
        assert_eq!((&stats["txs"], &stats["ins"], &stats["minfee"]), (&json!(1), &json!(0), &json!(0)));
        let block = call(&service, "getblock", json!([shown["blockhash"], 2])).await.unwrap();
        assert_eq!(block["tx"][0]["vin"], json!([]));
        let history = call(&service, "masternodehistory", json!([id])).await.unwrap();
        let event = &history["events"][0];
        assert_eq!(
            (&event["event"], &event["txid"], &event["height"]),
            (&json!("double sign"), &sent, &shown["blockheight"])
        );
        assert_eq!(event["charged"].to_string(), "50.00000000", "{history}");
    });
}

#[test]
fn what_a_double_sign_costs_is_shown_and_the_rest_is_locked_while_others_may_not_lose_it() {
    actix_rt::System::new().block_on(async {
        let (service, _) = paying(20);
        let id = register(&service, "bronze").await;
        let registration = id.as_str().unwrap().parse().unwrap();
        let since = service.chain_masternodes().await.unwrap().list.get(&registration).unwrap().votes_from().0;
        let proof = TransactionPayload::DoubleSign { registration, proof: double_sign(&service, since) };
        let evidence =
            call(&service, "sendrawtransaction", json!([hex_of(&statement(&service, proof, &[]))])).await.unwrap();
        becomes_final(&service, &evidence).await;
        let status = call(&service, "masternodestatus", json!([id])).await.unwrap();
        assert_eq!((&status["status"], status["penalty"].to_string()), (&json!("ended"), "50.00000000".into()));
        assert!(
            status["advice"].as_str().unwrap().contains("50.00000000 TIME of its collateral are charged"),
            "{status}"
        );
        let history = call(&service, "masternodehistory", json!([id])).await.unwrap();
        assert_eq!(history["events"][0]["txid"], evidence, "{history}");
        let supply = call(&service, "getsupply", json!([])).await.unwrap();
        assert_eq!(supply["penalties"].to_string(), "50.00000000");
        refused(&service, "protx", json!(["release", id]), "before it has left").await;
    });
}
