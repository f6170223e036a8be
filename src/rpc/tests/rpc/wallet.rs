//! What clients that others wrote for Bitcoin's server ask of its wallet: to make, sign and fund transactions, labels, and addresses.

use crate::dialect::running;
use crate::sample::{SecondBlock, address, transaction};
use serde_json::{Value, json};

#[tokio::test]
async fn a_transaction_is_made_signed_by_two_and_put_together() {
    let running = running().await;
    let id = transaction().id().to_string();
    let key = |n| hex::encode(timed_primitives::SecretKey::development("wallet", n).seed());
    let inputs = format!(r#"[{{"txid":"{id}","vout":0}},{{"txid":"{id}","vout":1}}]"#);
    let raw = running.result("createrawtransaction", &format!(r#"[{inputs},{{"{}":1.5}},0,false]"#, address(2))).await;
    let list = running.result("createrawtransaction", &format!(r#"[{inputs},[{{"{}":"1.5"}}]]"#, address(2))).await;
    assert_eq!(raw, list, "outputs as an object or as a list");
    let decoded = running.result("decoderawtransaction", &format!("[{raw}]")).await;
    assert_eq!((decoded["vin"].as_array().unwrap().len(), &decoded["vout"][0]["n"]), (2, &json!(0)));
    let one = running.result("signrawtransactionwithkey", &format!(r#"[{raw},["{}"]]"#, key(1))).await;
    let two = running.result("signrawtransactionwithkey", &format!(r#"[{raw},["{}"]]"#, key(2))).await;
    assert_eq!((&one["complete"], one["errors"].as_array().unwrap().len()), (&json!(false), 1));
    let whole = running.result("combinerawtransaction", &format!("[[{},{}]]", one["hex"], two["hex"])).await;
    let in_turn = running.result("signrawtransactionwithkey", &format!(r#"[{},["{}"]]"#, one["hex"], key(2))).await;
    assert_eq!((&in_turn["complete"], &in_turn["hex"]), (&json!(true), &whole));
    let by_wallet = running.result("signrawtransactionwithwallet", &format!("[{raw}]")).await;
    assert_eq!(by_wallet["hex"], one["hex"], "the wallet has the first key");
    running.refused("signrawtransactionwithkey", &format!(r#"[{raw},["secret"]]"#), -5, "64 hex digits").await;
    running
        .refused(
            "combinerawtransaction",
            &format!(r#"[[{raw},"{}"]]"#, hex::encode(timed_primitives::encode(&transaction()))),
            -8,
            "different transactions",
        )
        .await;
}

#[tokio::test]
async fn the_fee_is_taken_from_whom_the_payer_says() {
    let running = running().await;
    let (one, two) = (address(1).to_string(), address(2).to_string());
    let last = async |method: &str, params: String| {
        running.result(method, &params).await;
        let order = running.node.orders.lock().unwrap().pop().unwrap();
        (order.outputs.len(), order.fee_from.into_iter().collect::<Vec<_>>())
    };
    assert_eq!(last("sendtoaddress", format!(r#"["{one}",1]"#)).await, (1, vec![]));
    assert_eq!(last("sendtoaddress", format!(r#"["{one}",1,"","",true]"#)).await, (1, vec![0]));
    let both = format!(r#"{{"{one}":1,"{two}":0.5}}"#);
    assert_eq!(last("sendmany", format!(r#"["",{both}]"#)).await, (2, vec![]));
    assert_eq!(
        last("sendmany", format!(r#"["",{both},6,"tea",["{two}","{one}"],false,6,"unset"]"#)).await,
        (2, vec![0, 1])
    );
    assert_eq!(last("sendmany", format!(r#"{{"amounts":{both},"subtractfeefrom":["{two}"]}}"#)).await, (2, vec![1]));
    let other = address(3);
    running.refused("sendmany", &format!(r#"["",{both},1,"",["{other}"]]"#), -8, "is not among those paid").await;
    running.refused("sendmany", &format!(r#"["",{both},1,"",["{one}","{one}"]]"#), -8, "is there twice").await;
    running.refused("sendmany", r#"["",{}]"#, -8, "1 to 1000 payments").await;
    running.refused("sendmany", &format!(r#"["account",{both}]"#), -8, "parameter dummy").await;
}

#[tokio::test]
async fn a_transaction_is_funded_as_the_client_wants() {
    let running = running().await;
    let two = address(2).to_string();
    let raw = running.result("createrawtransaction", &format!(r#"[[],{{"{two}":1.5}}]"#)).await;
    let fund = async |options: &str| running.result("fundrawtransaction", &format!("[{raw},{options}]")).await;
    let funded = fund("{}").await;
    assert_eq!((&funded["fee"].to_string()[..], &funded["changepos"]), ("0.00000277", &json!(1)));
    let decoded = running.result("decoderawtransaction", &format!("[{}]", funded["hex"])).await;
    assert_eq!((decoded["vin"].as_array().unwrap().len(), &decoded["vout"][0]["address"]), (1, &json!(two)));
    let options = format!(
        r#"{{"changeAddress":"{two}","changePosition":1,"includeWatching":true,"lockUnspents":true,"replaceable":false,"subtractFeeFromOutputs":[0]}}"#
    );
    let funded = fund(&options).await;
    let decoded = running.result("decoderawtransaction", &format!("[{}]", funded["hex"])).await;
    assert_eq!(decoded["vout"][1]["address"], two);
    assert!(running.node.orders.lock().unwrap().pop().unwrap().fee_from.contains(&0));
    for (options, part) in [
        (r#"{"feeRate":0.1}"#, "feeRate is not supported"),
        (r#"{"changePosition":0}"#, "changePosition is not supported"),
        (r#"{"add_inputs":false}"#, "add_inputs is not supported"),
        (r#"{"subtractFeeFromOutputs":[1]}"#, "expected a list of positions"),
        (r#"{"lockUnspents":1}"#, "expected true or false"),
    ] {
        running.refused("fundrawtransaction", &format!("[{raw},{options}]"), -8, part).await;
    }
}

#[tokio::test]
async fn labels_are_kept_listed_and_filtered_by() {
    let running = running().await;
    let (one, two, three) = (address(1).to_string(), address(2).to_string(), address(3).to_string());
    assert_eq!(running.result("listlabels", "[]").await, json!(["", "shop", "supplier"]));
    assert_eq!(running.result("listlabels", r#"["send"]"#).await, json!(["supplier"]));
    assert_eq!(
        running.result("getaddressesbylabel", r#"[""]"#).await,
        json!({ one.clone(): { "purpose": "receive" } })
    );
    assert_eq!(running.result("getaddressesbylabel", r#"["supplier"]"#).await[&two]["purpose"], "send");
    running.result("getnewaddress", r#"["tea"]"#).await;
    assert_eq!(running.result("getaddressinfo", &format!(r#"["{one}"]"#)).await["labels"], json!(["tea"]));
    assert_eq!(running.result("getaddressinfo", &format!(r#"["{two}"]"#)).await["labels"], json!(["supplier"]));
    running.refused("getaddressesbylabel", r#"[""]"#, -11, "no address has the label \"\"").await;
    running.result("setlabel", &format!(r#"["{three}",""]"#)).await;
    assert_eq!(
        running.result("getaddressesbylabel", r#"[""]"#).await,
        json!({ three.clone(): { "purpose": "receive" } })
    );
    running.refused("setlabel", &format!(r#"["{one}","*"]"#), -11, "stands for all labels").await;
    running.refused("getnewaddress", r#"["*"]"#, -11, "stands for all labels").await;
    let labels = async |label: &str| {
        let rows = running.result("listtransactions", &format!(r#"["{label}"]"#)).await;
        rows.as_array().unwrap().iter().map(|row| row["label"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = labels("*").await;
    assert!(all.contains(&"supplier".to_owned()), "{all:?}");
    assert!(labels("supplier").await.iter().all(|label| label == "supplier"));
    assert_eq!(labels("nothing").await.len(), 0);
    assert!(running.result("listunspent", "[0]").await.as_array().unwrap().iter().any(|coin| coin["label"] == "tea"));
}

#[tokio::test]
async fn a_text_is_signed_by_the_key_of_an_address_of_the_wallet_alone() {
    let running = running().await;
    let (own, other) = (address(1).to_string(), address(2).to_string());
    let of = |address: &str, signature: &Value, text: &str| json!([address, signature, text]).to_string();
    let signed = running.result("signmessage", &json!([own, "my order is 17"]).to_string()).await;
    assert_eq!(running.result("verifymessage", &of(&own, &signed, "my order is 17")).await, true);
    assert_eq!(running.result("verifymessage", &of(&own, &signed, "my order is 18")).await, false);
    assert_eq!(running.result("verifymessage", &of(&other, &signed, "my order is 17")).await, false);
    let torn = of(&own, &json!("q83v"), "my order is 17");
    running.refused("verifymessage", &torn, -8, "expected the 96 bytes in base64").await;
    running.refused("signmessage", &json!([other, "my order is 17"]).to_string(), -4, "does not have the key").await;
}

#[tokio::test]
async fn what_is_held_back_is_not_listed_as_unspent() {
    let running = running().await;
    let coin = json!({ "txid": transaction().id().to_string(), "vout": 0 });
    let listed = async || running.result("listunspent", "[0]").await.as_array().unwrap().iter().any(|c| c["vout"] == 0);
    assert!(listed().await);
    running.result("lockunspent", &json!([false, [coin]]).to_string()).await;
    assert!(!listed().await);
    running.result("lockunspent", &json!([true, [coin]]).to_string()).await;
    assert!(listed().await);
}

#[tokio::test]
async fn what_becomes_final_while_the_history_is_read_is_shown_once() {
    let running = running().await;
    let txid = transaction().id().to_string();
    for moment in [None, Some(SecondBlock::BeforeMempool), Some(SecondBlock::AfterMempool)] {
        for (method, rows) in [("listtransactions", None), ("listsinceblock", Some("transactions"))] {
            running.node.tip.send_replace(if moment.is_some() { 1 } else { 2 });
            *running.node.second_block.lock().unwrap() = moment;
            let answer = running.result(method, "[]").await;
            let rows = rows.map_or(&answer, |rows| &answer[rows]).as_array().unwrap();
            let found: Vec<_> = rows.iter().filter(|row| row["txid"] == txid).collect();
            assert_eq!(found.len(), 1, "{method}, {moment:?}: {answer}");
            assert_eq!(found[0]["confirmations"], 1, "{method}, {moment:?}");
        }
    }
}

#[tokio::test]
async fn whoever_asks_for_more_than_an_answer_holds_goes_on_from_the_last_block_of_it() {
    let running = running().await;
    running.node.tip.send_replace(2_300);
    running.node.repeats_blocks.store(true, std::sync::atomic::Ordering::SeqCst);
    let (tip, mut since, mut rows, mut answers) = (running.result("getbestblockhash", "[]").await, None, 0, 0);
    while since.as_ref() != Some(&tip) {
        let params = since.map_or_else(|| "[]".into(), |since: serde_json::Value| json!([since]).to_string());
        let answer = running.result("listsinceblock", &params).await;
        rows += answer["transactions"].as_array().unwrap().len();
        since = Some(answer["lastblock"].clone());
        answers += 1;
        assert!(answers < 10);
    }
    assert_eq!((rows, answers), (2_303, 3), "each payment and each of three payouts once, 1,000 blocks at a time");
}

#[tokio::test]
async fn fees_that_are_not_all_known_are_no_statistic() {
    let running = running().await;
    assert_eq!(running.result("getblockstats", "[2]").await["totalfee"], 1_000);
    running.node.knows_fee.store(false, std::sync::atomic::Ordering::SeqCst);
    let stats = running.result("getblockstats", "[2]").await;
    assert!(stats["txs"] == 1 && stats.as_object().unwrap().keys().all(|name| !name.contains("fee")), "{stats}");
    running.refused("getblockstats", r#"[2,["txs","totalfee"]]"#, -8, "totalfee is not known here").await;
}

#[tokio::test]
async fn an_address_that_is_there_twice_pays_nobody() {
    let running = running().await;
    let one = address(1).to_string();
    let calls = [
        format!(r#"{{"id":1,"method":"sendmany","params":["",{{"{one}":1,"{one}":2}}]}}"#),
        format!(r#"{{"id":1,"method":"sendtoaddress","params":{{"address":"{one}","amount":1,"amount":2}}}}"#),
    ];
    for body in calls {
        let answer = running.post(&body).await;
        assert_eq!(answer.code(), Some(-32700), "{answer:?}");
        assert!(answer.message().contains("is there twice; give it once"), "{answer:?}");
    }
    assert!(running.node.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_addresses_had_is_read_from_blocks_within_bounds() {
    let running = running().await;
    let (one, two) = (address(1).to_string(), address(2).to_string());
    let rows = running.result("getaddressdeltas", &format!(r#"[{{"addresses":["{one}","{two}"]}}]"#)).await;
    let found: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["height"].as_u64().unwrap(), r["satoshis"].as_i64().unwrap()))
        .collect();
    assert_eq!(
        found,
        [(0, 9_010_000_000_000_000), (2, -9_010_000_000_000_000), (2, 1_250_000_000), (2, 9_007_199_254_740_993)]
            .into_iter()
            // Three quarters of what each of three masternodes was paid.
            .chain([(2, 4_957_972_782), (2, 2_478_986_391), (2, 78_697_960)])
            .collect::<Vec<_>>(),
        "what the genesis gave, what was spent of it, what came of that, and what an interval paid"
    );
    let within = async |bounds: &str| {
        let params = format!(r#"[{{"addresses":["{two}"],{bounds}}}]"#);
        running.result("getaddresstxids", &params).await.as_array().unwrap().len()
    };
    assert_eq!((within(r#""start":2,"end":2"#).await, within(r#""start":1,"end":1"#).await), (2, 0));
    assert_eq!(within(r#""start":2,"end":1"#).await, 0);
    let odd = format!(r#"[{{"addresses":["{two}"],"start":-1}}]"#);
    running.refused("getaddresstxids", &odd, -8, "start: expected a height").await;
    running.node.tip.send_replace(10_001);
    let all = format!(r#"["{two}"]"#);
    running.refused("getaddressdeltas", &all, -8, "heights 0 to 10001 are more than 10000 blocks").await;
    let part = format!(r#"[{{"addresses":["{two}"],"start":1,"end":2}}]"#);
    assert_eq!(running.result("getaddressdeltas", &part).await.as_array().unwrap().len(), 4);
}
