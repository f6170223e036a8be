//! Every method over a real socket: the shape of its answer is pinned, and wrong parameters are named.

use crate::calls::{calls, masternode_proof, register_options, registration, secret};
use crate::http::start;
use crate::sample::masternodes::masternode_id;
use crate::sample::{FEE, FEE_INPUT, Sample, address, block, transaction};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use timed_primitives::{Amount, SecretKey, encode};
use timed_rpc::{JsonAmount, METHODS, Param, ParamKind, RpcLimits};

/// What `protx` and the calls beside it refuse, in which words.
#[tokio::test]
async fn wrong_words_about_masternodes_are_named() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let (id, unknown) = (masternode_id(1).to_string(), "00".repeat(32));
    let mut forged = hex::decode(masternode_proof()).unwrap();
    forged[40] ^= 1;
    let prepare = |name: &str, value: Value| {
        let mut options = register_options();
        options[name] = value;
        json!(["register_prepare", "bronze", options])
    };
    let shares = json!({ address(2).to_string(): 1 });
    let cases = [
        ("masternodelist", json!(["rank"]), -8, "no mode \"rank\": choose json, full, status or addr"),
        ("masternodestatus", json!([unknown]), -5, "does not exist: it was never registered"),
        ("getmasternodeproof", json!([unknown]), -5, "does not exist"),
        ("verifymasternodeproof", json!(["zz"]), -22, "not a proof of getmasternodeproof: not hex"),
        ("verifymasternodeproof", json!(["00"]), -22, "not a proof of getmasternodeproof"),
        ("verifymasternodeproof", json!([hex::encode(forged)]), -25, "does not lead to masternode root"),
        ("listunspent", json!({ "query_options": { "coinType": 1 } }), -8, "expected 0 (all that can be spent) or 4"),
        ("protx", json!(["register"]), -8, "no command \"register\": choose list, info, register_prepare"),
        ("protx", json!(["list", "all"]), -8, "no \"all\": choose registered, valid or wallet"),
        ("protx", json!(["pause", "12"]), -8, "protx pause: target: expected the id of a masternode"),
        ("protx", json!(["pause", unknown]), -5, "does not exist"),
        ("protx", json!(["pause", id, { "reason": 1 }]), -8, "there is no \"reason\": it takes operator_key"),
        ("protx", json!(["info", id, { "reason": 1 }]), -8, "it takes none"),
        ("protx", json!(["revoke", id, { "owner_key": "12" }]), -5, "invalid secret key"),
        (
            "protx",
            json!(["register_prepare", "iron", {}]),
            -8,
            "\"iron\" is no tier: choose free, bronze, silver or gold",
        ),
        ("protx", json!(["register_prepare", "gold", {}]), -8, "service: where is the masternode reached?"),
        ("protx", prepare("service", json!("host:1")), -8, "no address with a port, such as 203.0.113.7:7000"),
        ("protx", prepare("owner", json!("12")), -8, "owner: expected a public key, 64 hex digits"),
        ("protx", prepare("owner", Value::Null), -8, "the public key of its owner is missing"),
        ("protx", prepare("payees", shares), -8, "shares of the payees sum to 1 and must sum to 10000"),
        ("protx", prepare("payees", json!({ "me": 10_000 })), -8, "payees: invalid address \"me\""),
        ("protx", prepare("payees", json!(5)), -8, "payees: expected an address, or an object of shares"),
        ("protx", prepare("fund_from", json!("bank")), -8, "expected \"wallet\" or \"collateral\""),
        ("protx", prepare("collateral", json!(address(3).to_string())), -4, "has no final coin, and its key must sign"),
        ("protx", json!(["register_submit", "zz"]), -22, "not hex"),
    ];
    for (method, params, code, text) in cases {
        let answer = running.call(method, params.clone()).await;
        assert_eq!(answer.code(), Some(code), "{params}: {answer:?}");
        assert!(answer.message().contains(text), "{params}: {answer:?}");
        assert!(!answer.message().contains(&secret("owner", 2)), "{answer:?}");
    }
    // Whose signatures are missing is said, and nothing is sent.
    let mut unsigned = registration();
    unsigned.witnesses.clear();
    let answer = running.call("protx", json!(["register_submit", hex::encode(encode(&unsigned))])).await;
    let owner = SecretKey::development("owner", 9).public();
    assert!(answer.message().contains(&format!("owner {owner}")) && answer.code() == Some(-8), "{answer:?}");
}

#[tokio::test]
async fn every_method_answers_in_its_golden_shape() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/rpc");
    let mut seen = BTreeSet::new();
    for (name, params) in calls() {
        let method = METHODS.iter().map(|m| m.name).find(|m| name == *m || name.starts_with(&format!("{m}."))).unwrap();
        seen.insert(method);
        let answer = running.call(method, params).await;
        assert_eq!((answer.status, answer.code()), (200, None), "{name}: {answer:?}");
        let answer = answer.json();
        assert_eq!((answer["jsonrpc"].as_str(), &answer["id"]), (Some("2.0"), &json!(1)));
        let shape = format!("{:#}\n", answer["result"]);
        let path = folder.join(format!("{name}.json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &shape).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(shape, expected, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
    }
    // It is always refused: its shape is that of its error.
    let always_refused = ["prioritisetransaction"];
    let refused = running.call(always_refused[0], json!([transaction().id().to_string(), 0, 1])).await;
    assert_eq!((refused.code(), refused.json()["error"]["data"].is_null()), (Some(-8), true), "{refused:?}");
    assert!(refused.message().contains("all nodes order by it"), "{refused:?}");
    let all = METHODS.iter().map(|m| m.name).filter(|name| !always_refused.contains(name));
    assert_eq!(seen, all.collect(), "each method has a golden answer");
    assert!(running.node.stopped.load(std::sync::atomic::Ordering::SeqCst));
}

#[test]
fn the_page_about_clients_lists_every_method() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rpc.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("-p timed-rpc -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end of methods -->").unwrap();
    let expected = format!("{before}-p timed-rpc -->\n{}<!-- end of methods -->{after}", timed_rpc::reference());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    assert_eq!(page, expected, "docs/rpc.md is not what the table says; UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn the_page_about_clients_has_a_bound_for_every_method() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rpc.md")).unwrap();
    let (_, section) = page.split_once("\n## What an answer is bounded by\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let named: BTreeSet<&str> = section.split('`').skip(1).step_by(2).collect();
    let missing: Vec<_> = METHODS.iter().map(|method| method.name).filter(|name| !named.contains(name)).collect();
    assert!(missing.is_empty(), "docs/rpc.md has no bound for {missing:?}");
}

/// A value that no parameter of this kind takes, and the number of the error.
fn wrong(kind: ParamKind) -> Option<(Value, i64)> {
    Some(match kind {
        ParamKind::Integer => (json!(-1), -8),
        ParamKind::Boolean | ParamKind::Verbosity => (json!("perhaps"), -3),
        ParamKind::Text | ParamKind::Hex | ParamKind::Address | ParamKind::Owners => (json!(12), -3),
        ParamKind::Hash | ParamKind::HashOrHeight | ParamKind::Interval => (json!("12"), -8),
        ParamKind::Amount => (json!("twelve"), -3),
        ParamKind::HexList | ParamKind::AddressList | ParamKind::TextList => (json!([1]), -3),
        ParamKind::OutPoints => (json!([{ "txid": 1 }]), -8),
        ParamKind::Outputs | ParamKind::Options => (json!(5), -3),
        ParamKind::Peer => (json!(true), -3),
        ParamKind::Only(_) => (json!("no such value"), -8),
        ParamKind::Ignored => return None,
    })
}

/// A value that is at least of the right kind.
fn right(param: &Param) -> Value {
    match param.kind {
        ParamKind::Integer | ParamKind::Verbosity => json!(1),
        ParamKind::Boolean => json!(true),
        ParamKind::Text if param.name == "action" => json!("start"),
        ParamKind::Text | ParamKind::Address | ParamKind::Owners => json!(address(1).to_string()),
        ParamKind::Hex => json!(hex::encode(encode(&transaction()))),
        ParamKind::Hash | ParamKind::HashOrHeight => json!(block(1).id().to_string()),
        ParamKind::Amount => json!(1),
        ParamKind::HexList => json!([hex::encode(encode(&transaction()))]),
        ParamKind::AddressList | ParamKind::TextList => json!([]),
        ParamKind::OutPoints => json!([{ "txid": block(1).id().to_string(), "vout": 0 }]),
        ParamKind::Outputs => json!({ address(1).to_string(): 1 }),
        ParamKind::Options => json!({}),
        ParamKind::Peer => json!("127.0.0.1:7001"),
        ParamKind::Interval => json!("open"),
        ParamKind::Only(values) => values.first().map_or(Value::Null, |value| value.parse().unwrap()),
        ParamKind::Ignored => Value::Null,
    }
}

/// Bytes of calls turned, lost and repeated: whatever comes of it is answered, by a result or an error, and the server goes on.
#[tokio::test]
async fn mutated_calls_are_answered() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let mut rng = StdRng::seed_from_u64(1);
    let calls: Vec<_> = calls().into_iter().filter(|(name, _)| !name.starts_with("wait") && *name != "stop").collect();
    let mut answered = BTreeMap::<u16, usize>::new();
    for number in 0..1_500 {
        let (name, params) = &calls[number % calls.len()];
        let method = METHODS.iter().map(|m| m.name).find(|m| name == m || name.starts_with(&format!("{m}."))).unwrap();
        let call = json!({ "jsonrpc": "2.0", "id": number, "method": method, "params": params });
        let mut body = call.to_string().into_bytes();
        for _ in 0..rng.random_range(1..=3) {
            let at = rng.random_range(0..body.len());
            let end = body.len().min(at + rng.random_range(1..=12));
            match rng.random_range(0..4) {
                0 => body[at] ^= 1 << rng.random_range(0..8),
                1 => body[at] = b"0\"{}[],:-e\\"[rng.random_range(0..11)],
                2 if body.len() > 20 => drop(body.drain(at..end)),
                _ => {
                    let again = body[at..end].to_vec();
                    body.splice(at..at, again);
                }
            }
        }
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: {}\r\nContent-Length: {}\r\n\r\n",
            running.cookie.header(),
            body.len()
        );
        let answer = running.raw(&[head.as_bytes(), &body].concat()).await;
        let text = String::from_utf8_lossy(&body);
        // A call that lost its id wants no answer.
        if answer.status != 204 && answer.body != "[]" {
            assert!(answer.json().is_object(), "{text}: {answer:?}");
            assert_ne!(answer.code(), Some(-32603), "an internal error: {text}: {answer:?}");
        }
        *answered.entry(answer.status).or_default() += 1;
    }
    assert!(answered[&200] > 300 && answered[&500] > 300, "{answered:?}");
    assert_eq!(running.call("getblockcount", json!([])).await.json()["result"], 2, "the server still answers");
}

/// Hosts and origins turned, cut and joined: whoever gets an answer has the cookie; a page also asked us by IP address or as `localhost`.
#[tokio::test]
async fn mutated_hosts_and_origins_let_nobody_in() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let mut rng = StdRng::seed_from_u64(1);
    let names =
        ["localhost:7100", "LOCALHOST", "127.0.0.1:7100", "[::1]:7100", "node.example.org:7100", "[::1].org", ":"];
    let (cookie, call) = (running.cookie.header(), json!({ "id": 1, "method": "getblockcount" }).to_string());
    let mut mutated = |prefix: &str| {
        let mut text = format!("{prefix}{}", names[rng.random_range(0..names.len())]).into_bytes();
        for _ in 0..rng.random_range(0..=2) {
            let at = rng.random_range(0..text.len());
            match rng.random_range(0..3) {
                0 => text[at] = rng.random_range(0x21..0x7f),
                1 if text.len() > 1 => drop(text.remove(at)),
                _ => text.extend_from_slice(&names[rng.random_range(0..names.len())].as_bytes()[..1]),
            }
        }
        (String::from_utf8(text).unwrap(), rng.random_range(0..4u8))
    };
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..600 {
        let ((host, cookies), (origin, origins)) = (mutated(""), mutated("http://"));
        let mut headers = vec![("Host", &*host)];
        headers.extend((cookies > 0).then_some(("Authorization", &*cookie)));
        headers.extend((origins == 0).then_some(("Origin", &*origin)));
        let answer = running.post_with(&headers, &call).await;
        if answer.status != 200 {
            refused += 1;
            continue;
        }
        answered += 1;
        let name =
            host.rsplit_once(':').filter(|(_, port)| port.parse::<u64>().is_ok()).map_or(&*host, |(name, _)| name);
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_ours = bare.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok();
        assert!(is_ours || origins > 0, "answered a page as {host}");
        assert!(cookies > 0, "answered without a cookie");
        assert!(
            origins > 0 || origin.eq_ignore_ascii_case(&format!("http://{host}")) || !origin.starts_with("http://")
        );
    }
    assert!(answered > 60 && refused > 100, "{answered} answered, {refused} refused");
}

#[tokio::test]
async fn each_wrong_parameter_is_named_with_what_was_expected() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    for method in METHODS {
        for (position, param) in method.params.iter().enumerate() {
            let Some((wrong, code)) = wrong(param.kind) else { continue };
            let mut params: Vec<Value> = method.params.iter().map(right).collect();
            params[position] = wrong;
            let answer = running.call(method.name, json!(params)).await;
            assert_eq!(answer.code(), Some(code), "{} {}: {answer:?}", method.name, param.name);
            let message = answer.message();
            assert!(message.contains(&format!("parameter {}: ", param.name)), "{message}");
        }
        if let Some(param) = method.params.iter().find(|p| p.default.is_none()) {
            let missing = running.call(method.name, json!([])).await;
            assert!(missing.message().contains(&format!("parameter {}: ", param.name)), "{missing:?}");
            assert!(missing.message().ends_with("got nothing") && missing.code() == Some(-1), "{missing:?}");
        }
        let many = vec![Value::Null; method.params.len() + 1];
        let many = running.call(method.name, json!(many)).await;
        assert!(many.code() == Some(-1) && many.message().contains(&method.usage()), "{many:?}");
        let unknown = running.call(method.name, json!({ "colour": 1 })).await;
        assert!(unknown.code() == Some(-8) && unknown.message().contains("parameter colour"), "{unknown:?}");
    }
}

#[tokio::test]
async fn fees_that_nobody_means_are_refused() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let mut dear = transaction();
    dear.body.inputs[0].previous.index = FEE_INPUT;
    let (raw, size) = (hex::encode(encode(&dear)), dear.size_bytes() as u64);
    let check = async |params: Value, expected: Result<(), (i64, &str)>| {
        let answer = running.call("sendrawtransaction", params.clone()).await;
        match expected {
            Ok(()) => assert_eq!(answer.json()["result"], dear.id().to_string(), "{params}"),
            Err((code, part)) => {
                assert_eq!(answer.code(), Some(code), "{params}: {answer:?}");
                assert!(answer.message().contains(part), "{params}: {answer:?}");
            }
        }
    };
    // 0.05 TIME for some 250 bytes are above a tenth for 1,000.
    assert!(FEE.0 * 1_000 / size > 10_000_000);
    check(json!([raw]), Err((-25, "a fee of 0.05000000 TIME, and maxfeerate 0.10000000 allows"))).await;
    check(json!([raw, null]), Err((-25, "maxfeerate 0.10000000"))).await;
    check(json!([raw, 0]), Ok(())).await;
    check(json!([raw, "0.9"]), Ok(())).await;
    check(json!([raw, 1]), Err((-8, "less than 1 TIME per 1,000 bytes"))).await;
    check(json!([raw, -1]), Err((-3, "parameter maxfeerate: expected an amount"))).await;
    // To the unit, as far as one of 1,000 bytes goes; what the rate allows is rounded up.
    let exact = FEE.0 * 1_000 / size;
    check(json!({ "hexstring": raw, "maxfeerate": JsonAmount(Amount(exact - 10)) }), Err((-25, "allows"))).await;
    check(json!({ "hexstring": raw, "maxfeerate": JsonAmount(Amount(exact + 1)) }), Ok(())).await;

    let test = async |params: Value| running.call("testmempoolaccept", params).await.json()["result"][0].clone();
    assert_eq!(test(json!([[raw]])).await["allowed"], false);
    assert_eq!(test(json!([[raw], "0.9"])).await["allowed"], true);
    let refused = test(json!([[raw], 0.000_001])).await;
    assert_eq!((&refused["allowed"], &refused["fee"]), (&json!(false), &Value::Null), "{refused}");
    assert_eq!(test(json!([[raw], 0])).await["allowed"], true);
}

/// Whoever is refused for want of room must cost next to nothing.
#[tokio::test]
async fn busy_is_said_before_a_transaction_is_decoded() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    running.node.room.store(100, Ordering::SeqCst);
    let no_transaction = |bytes: usize| json!(["zz".repeat(bytes)]);
    let busy = running.call("sendrawtransaction", no_transaction(101)).await;
    assert_eq!(busy.code(), Some(-32005), "{busy:?}");
    assert_eq!(busy.json()["error"]["data"]["retry_after_ms"], 251);
    assert_eq!(running.call("sendrawtransaction", no_transaction(100)).await.code(), Some(-22));
}

#[tokio::test]
async fn failures_have_the_numbers_that_bitcoins_clients_know() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let spending = |index| {
        let mut other = transaction();
        other.body.inputs[0].previous.index = index;
        json!([hex::encode(encode(&other))])
    };
    let cases = [
        ("gettransaction", json!(["00".repeat(32)]), -5, "no transaction 0000"),
        ("getblock", json!(["00".repeat(32)]), -5, "no block 0000"),
        ("getblock", json!([3]), -8, "no block at height 3: blocks are 0 to 2"),
        ("getblockhash", json!([9]), -8, "blocks are 0 to 2"),
        ("getmempoolentry", json!(["00".repeat(32)]), -5, "is not in the mempool"),
        ("getaddednodeinfo", json!(["nowhere:1"]), -24, "no node \"nowhere:1\" was added"),
        ("getbalance", json!(["nobody"]), -5, "invalid address \"nobody\""),
        ("sendtoaddress", json!([address(1).to_string(), 100.5]), -6, "100.50000000 TIME needed"),
        ("sendtoaddress", json!([format!("{}x", address(1)), 1]), -5, "the checksum does not match"),
        ("sendrawtransaction", json!(["zz"]), -22, "not hex"),
        ("sendrawtransaction", json!(["00"]), -22, "not a canonical encoding"),
        ("sendrawtransaction", json!([hex::encode(encode(&transaction()))]), -27, "already in a block"),
        ("sendrawtransaction", spending(9), -25, "does not exist or is already spent"),
        ("sendrawtransaction", spending(8), -26, "which waits in the mempool"),
        ("disconnectnode", json!([7]), -29, "no connected peer is called \"7\""),
        ("setban", json!(["127.0.0.1:7001", "lift"]), -8, "expected add or remove, got \"lift\""),
        ("help", json!(["getblokc"]), -32601, "did you mean \"getblock\"?"),
    ];
    for (method, params, code, text) in cases {
        let answer = running.call(method, params).await;
        assert_eq!((answer.status, answer.code()), (200, Some(code)), "{answer:?}");
        assert!(answer.message().contains(text), "{answer:?}");
    }
}

#[tokio::test]
async fn amounts_are_exact_however_large() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"getbalance"}"#;
    assert!(running.post(body).await.body.contains("\"result\":90071992.54740993,"), "the digits are the amount's");
    // Read as a floating-point number this would be 90071992547.40993.
    let pay = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"sendtoaddress","params":["{}",90071992547.40992701]}}"#,
        address(1)
    );
    assert!(running.post(&pay).await.message().contains("90071992547.40992701 TIME needed"));
}

#[tokio::test]
async fn waiting_ends_with_the_block_and_with_its_limit() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let waiting = running.call("waitfornewblock", json!([600_000]));
    let node = running.node.clone();
    let next = async {
        while node.tip.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        node.tip.send_replace(1);
    };
    let (answer, ()) = tokio::join!(waiting, next);
    assert_eq!(answer.json()["result"]["height"], 1);
    // A tip that is past already is no reason to wait.
    let passed = running.call("waitfornewblock", json!([600_000, "ab".repeat(32)])).await;
    assert_eq!(passed.json()["result"]["height"], 1);
    let unchanged = running.call("waitfornewblock", json!([1])).await;
    assert_eq!(unchanged.json()["result"]["height"], 1);
}
