//! What clients that others wrote for Bitcoin's server send, byte by byte, and what they must get.

use crate::http::{Answer, Running, start};
use crate::sample::{Sample, address, block, transaction};
use serde_json::{Value, json};
use timed_rpc::RpcLimits;

pub(crate) async fn running() -> Running {
    start(Sample::default(), RpcLimits::default()).await
}

impl Running {
    /// The result of a call in the form that most of Bitcoin's clients write.
    pub(crate) async fn result(&self, method: &str, params: &str) -> Value {
        let answer = self.legacy(method, params).await;
        assert_eq!((answer.status, answer.code()), (200, None), "{method} {params}: {answer:?}");
        answer.json()["result"].clone()
    }

    async fn legacy(&self, method: &str, params: &str) -> Answer {
        self.post(&format!(r#"{{"version":"1.1","method":"{method}","params":{params},"id":1}}"#)).await
    }

    pub(crate) async fn refused(&self, method: &str, params: &str, code: i64, part: &str) {
        let answer = self.legacy(method, params).await;
        assert_eq!((answer.status, answer.code()), (500, Some(code)), "{method} {params}: {answer:?}");
        assert!(answer.message().contains(part), "{method} {params}: {answer:?}");
    }
}

#[tokio::test]
async fn optional_parameters_of_bitcoin_are_taken() {
    let running = running().await;
    let (to, txid) = (address(1).to_string(), transaction().id().to_string());
    let raw = hex::encode(timed_primitives::encode(&transaction()));
    for (method, params) in [
        ("getnewaddress", "[null,null]".into()),
        ("getnewaddress", r#"["label","bech32m"]"#.into()),
        ("getnewaddress", r#"[""]"#.into()),
        ("sendtoaddress", format!(r#"["{to}",1,"",""]"#)),
        ("sendtoaddress", format!(r#"["{to}",1,"for tea","the shop",false,false,6,"economical",false]"#)),
        ("sendtoaddress", format!(r#"{{"address":"{to}","amount":0.1,"comment":"tea"}}"#)),
        ("getbalance", r#"["*",1]"#.into()),
        ("getbalance", r#"["*",6,false,false]"#.into()),
        ("getbalance", r#"["",0]"#.into()),
        ("getrawtransaction", format!(r#"["{txid}",1,null]"#)),
        ("getrawtransaction", format!(r#"["{txid}",true]"#)),
        ("getrawtransaction", format!(r#"["{txid}",2]"#)),
        ("gettransaction", format!(r#"["{txid}",true]"#)),
        ("gettransaction", format!(r#"["{txid}",null,true]"#)),
        ("addnode", r#"["masternode-5:7000","add"]"#.into()),
        ("disconnectnode", r#"["127.0.0.1:7001"]"#.into()),
        ("disconnectnode", r#"{"address":"127.0.0.1:7001"}"#.into()),
        ("listunspent", format!(r#"[1,9,["{to}"],true,{{}}]"#)),
        ("listunspent", r#"[0,9999999,[],null,{"minimumAmount":1,"maximumCount":1}]"#.into()),
        ("testmempoolaccept", format!(r#"[["{raw}"],null]"#)),
        ("getblock", r#"["X",true]"#.replace('X', &block(1).id().to_string())),
        ("getblock", r#"["X",3]"#.replace('X', &block(1).id().to_string())),
        ("getrawmempool", "[false,true]".into()),
        ("stop", "[0]".into()),
    ] {
        running.result(method, &params).await;
    }
    assert_eq!(running.result("listunspent", r#"[0,9,[],true,{"maximumCount":1}]"#).await.as_array().unwrap().len(), 1);
    assert_eq!(running.result("ping", "[]").await, Value::Null);
    assert_eq!(running.result("clearbanned", "[]").await, Value::Null);
    // By the number of a session alone, which this node does not know.
    running.refused("disconnectnode", r#"["",2]"#, -29, "no connected peer is called \"2\"").await;
}

#[tokio::test]
async fn what_would_change_the_meaning_is_refused_by_name() {
    let running = running().await;
    let to = address(1).to_string();
    running
        .refused("getnewaddress", r#"["","legacy"]"#, -8, "parameter address_type: \"legacy\" is not supported")
        .await;
    running.refused("sendtoaddress", &format!(r#"["{to}",1,"","",false,true]"#), -8, "parameter replaceable").await;
    running.refused("sendtoaddress", &format!(r#"{{"address":"{to}","amount":1,"fee_rate":5}}"#), -8, "fee_rate").await;
    running.refused("addnode", r#"["a:1","onetry"]"#, -8, "parameter command: \"onetry\" is not supported").await;
    running.refused("setnetworkactive", "[false]", -8, "false is not supported").await;
    running.refused("settxfee", "[0.1]", -8, "parameter amount: 0.1 is not supported").await;
    running.refused("listunspent", r#"[1,9,[],true,{"colour":1}]"#, -8, "there is no \"colour\"").await;
    running.refused("prioritisetransaction", &format!(r#"["{}",0,1]"#, "00".repeat(32)), -8, "by its fee alone").await;
}

#[tokio::test]
async fn parameters_come_by_name_by_position_and_mixed() {
    let running = running().await;
    let id = block(2).id().to_string();
    let hex = running.result("getblock", &format!(r#"["{id}",0]"#)).await;
    for params in [
        format!(r#"{{"blockhash":"{id}","verbosity":0}}"#),
        format!(r#"{{"blockhash":"{id}","verbose":false}}"#),
        format!(r#"{{"args":["{id}"],"verbosity":0}}"#),
        format!(r#"{{"args":["{id}",0]}}"#),
    ] {
        assert_eq!(running.result("getblock", &params).await, hex, "{params}");
    }
    running.refused("getblock", &format!(r#"{{"args":["{id}"],"blockhash":2}}"#), -8, "given once").await;
    running
        .refused("getblock", &format!(r#"{{"blockhash":"{id}","verbose":0,"verbosity":0}}"#), -8, "given once")
        .await;
    running.refused("getblock", r#"{"colour":1}"#, -8, "parameter colour").await;
    running.refused("getblock", "[]", -1, "parameter blockhash: expected").await;
    running.refused("getblock", &format!(r#"["{id}",1,1]"#), -1, "number 3").await;
    running.refused("getblock", &format!(r#"["{id}","one"]"#), -3, "parameter verbosity").await;
    running.refused("getblock", r#"["12"]"#, -8, "parameter blockhash").await;
    running.refused("gettransaction", &format!(r#"["{}"]"#, "00".repeat(32)), -5, "no transaction").await;
}

#[tokio::test]
async fn amounts_are_what_json_allows() {
    let running = running().await;
    let to = address(1).to_string();
    for amount in ["9e-05", "1e-8", "0.100000000", "\"0.1\"", "1E+1"] {
        running.result("sendtoaddress", &format!(r#"["{to}",{amount}]"#)).await;
    }
    for amount in ["0.123456789", "-1", "\"NaN\"", "1e-9", "1e30", "true", "[]"] {
        running.refused("sendtoaddress", &format!(r#"["{to}",{amount}]"#), -3, "parameter amount").await;
    }
}

#[tokio::test]
async fn the_chain_is_walked_from_height_0_and_back_to_it() {
    let running = running().await;
    let mut hash = running.result("getblockhash", "[0]").await;
    assert_eq!(hash, "09".repeat(32));
    let genesis = running.result("getblock", &format!("[{hash}]")).await;
    assert_eq!((&genesis["height"], &genesis["nTx"], &genesis["confirmations"]), (&json!(0), &json!(0), &json!(3)));
    for height in 0..=2 {
        let block = running.result("getblock", &format!("[{hash},2]")).await;
        assert_eq!(block["height"], height);
        assert_eq!(running.result("getblockheader", &format!("[{hash}]")).await["hash"], hash);
        assert_eq!(running.result("getblockstats", &format!("[{height}]")).await["height"], height);
        assert_eq!(running.result("getblockhash", &format!("[{height}]")).await, hash);
        hash = block["nextblockhash"].clone();
    }
    let mut back = running.result("getbestblockhash", "[]").await;
    for height in [2, 1, 0] {
        let header = running.result("getblockheader", &format!("[{back}]")).await;
        assert_eq!(header["height"], height);
        back = header["previousblockhash"].clone();
    }
    assert_eq!(back, Value::Null);
    let bytes = running.result("getblock", "[0,0]").await;
    let whole: timed_primitives::Block =
        timed_primitives::decode(&hex::decode(bytes.as_str().unwrap()).unwrap()).unwrap();
    assert_eq!((whole.header.height.0, timed_ledger::transactions_of(&whole.payload).len()), (0, 0));
    let header = running.result("getblockheader", "[0,false]").await;
    assert!(bytes.as_str().unwrap().starts_with(header.as_str().unwrap()));
}

#[tokio::test]
async fn each_form_of_the_protocol_has_its_shape() {
    let running = running().await;
    let check = async |body: &str, status: u16, expected: &str| {
        let answer = running.post(body).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, expected), "{body}");
        assert!(answer.head.contains("content-type: application/json"), "{answer:?}");
    };
    check(
        r#"{"jsonrpc":"1.0","id":"curl","method":"getblockcount","params":[]}"#,
        200,
        r#"{"result":2,"error":null,"id":"curl"}"#,
    )
    .await;
    check(r#"{"jsonrpc":1,"id":1,"method":"getblockcount"}"#, 200, r#"{"result":2,"error":null,"id":1}"#).await;
    check(r#"{"method":"getblockcount","params":null,"id":null}"#, 200, r#"{"result":2,"error":null,"id":null}"#).await;
    check(r#"{"jsonrpc":"2.0","id":1,"method":"getblockcount"}"#, 200, r#"{"jsonrpc":"2.0","result":2,"id":1}"#).await;
    let failed = |error: &str| format!(r#"{{"result":null,"error":{error},"id":7}}"#);
    let no_block = r#"{"code":-8,"message":"no block at height 9: blocks are 0 to 2"}"#;
    check(r#"{"id":7,"method":"getblockhash","params":[9]}"#, 500, &failed(no_block)).await;
    check(
        r#"{"jsonrpc":"2.0","id":7,"method":"getblockhash","params":[9]}"#,
        200,
        &format!(r#"{{"jsonrpc":"2.0","error":{no_block},"id":7}}"#),
    )
    .await;
    let shaped = async |body: &str, status: u16, code: i64, version: Value| {
        let answer = running.post(body).await;
        let found = answer.json();
        assert_eq!((answer.status, answer.code()), (status, Some(code)), "{body}: {answer:?}");
        assert_eq!(found["jsonrpc"], version, "{body}");
        assert_eq!(found.get("result").is_some(), version.is_null(), "{body}: the old form has both");
    };
    shaped(r#"{"id":7,"method":"nothing"}"#, 404, -32601, Value::Null).await;
    shaped(r#"{"jsonrpc":"2.0","id":7,"method":"nothing"}"#, 200, -32601, json!("2.0")).await;
    shaped(r#"{"id":7}"#, 400, -32600, Value::Null).await;
    shaped(r#"{"jsonrpc":"2.0","id":7}"#, 400, -32600, json!("2.0")).await;
    shaped(r#"{"jsonrpc":"3.0","id":7,"method":"uptime"}"#, 400, -32600, Value::Null).await;
    shaped("{", 500, -32700, Value::Null).await;
    let batch =
        r#"[{"id":1,"method":"getblockcount"},{"jsonrpc":"2.0","id":2,"method":"no"},{"id":3,"method":"no"},1]"#;
    let answers = running.post(batch).await;
    assert_eq!(answers.status, 200);
    let forms: Vec<bool> = answers.json().as_array().unwrap().iter().map(|a| a["jsonrpc"] == "2.0").collect();
    assert_eq!(forms, [false, true, false, false], "each call keeps its own form");
    let empty = running.post("[]").await;
    assert_eq!((empty.status, empty.body.as_str()), (200, "[]"));
}

#[tokio::test]
async fn methods_without_a_meaning_here_say_why() {
    let running = running().await;
    for (names, reason) in timed_rpc::REFUSED {
        for name in *names {
            let answer = running.legacy(name, "[]").await;
            assert_eq!((answer.status, answer.code()), (404, Some(-32601)), "{answer:?}");
            assert!(answer.message().contains(reason), "{answer:?}");
            assert!(timed_rpc::Method::find(name).is_none(), "{name} is in both lists");
        }
    }
}

#[tokio::test]
async fn a_wallet_is_named_in_the_path() {
    let running = running().await;
    let post = async |path: &str, method: &str| {
        let body = format!(r#"{{"method":"{method}","params":[],"id":1}}"#);
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let authorization = format!("Authorization: {}\r\n", running.cookie.header());
        running.raw(format!("{head}{authorization}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await
    };
    for path in ["/wallet/", "/wallet/wallet", "/wallet/wal%6Cet"] {
        assert_eq!(post(path, "getwalletinfo").await.status, 200, "{path}");
    }
    let other = post("/wallet/savings", "getwalletinfo").await;
    assert_eq!((other.status, other.code()), (500, Some(-18)), "{other:?}");
    assert_eq!(post("/wallet/savings", "getblockcount").await.status, 200, "what asks no wallet may name any");
    assert_eq!(post("/purse", "getblockcount").await.status, 404);
}

#[tokio::test]
async fn http_of_old_clients_and_of_people() {
    let running = running().await;
    let body = r#"{"method":"getblockcount","id":1}"#;
    let old = format!(
        "POST / HTTP/1.0\r\nAuthorization: {}\r\nContent-Length: {}\r\n\r\n{body}",
        running.cookie.header(),
        body.len()
    );
    assert_eq!(running.raw(old.as_bytes()).await.json()["result"], 2, "without a Host, as HTTP/1.0 allows");
    let start = running.get("/", "localhost").await;
    assert_eq!(start.status, 200);
    assert!(
        start.body.starts_with("timed: a node that answers JSON-RPC") && start.body.lines().count() == 1,
        "{start:?}"
    );
    let unknown = running.post_with(&[], body).await;
    assert_eq!((unknown.status, unknown.body.as_str()), (401, ""), "{unknown:?}");
    assert!(unknown.head.starts_with("http/1.1 401 credentials needed"), "{unknown:?}");
    let elsewhere = running.get("/", "evil.example").await;
    assert_eq!((elsewhere.status, elsewhere.body.as_str()), (403, ""), "{elsewhere:?}");
    assert!(elsewhere.head.starts_with("http/1.1 403 host name not allowed"), "{elsewhere:?}");
}

#[tokio::test]
async fn who_has_the_credentials_asks_by_any_name_and_a_page_by_none_but_ours() {
    let running = running().await;
    let cookie = running.cookie.header();
    let body = r#"{"method":"getblockcount","id":1}"#;
    let by_name = async |headers: &[(&str, &str)]| running.post_with(headers, body).await.status;
    assert_eq!(by_name(&[("Host", "masternode-1:7100"), ("Authorization", &cookie)]).await, 200);
    let page = [("Host", "evil.example"), ("Authorization", &*cookie), ("Origin", "http://evil.example")];
    assert_eq!(by_name(&page).await, 403, "what a page that reached us by rebinding would send");
    // Who shows none, or wrong ones, is asked for them: some clients show them only then.
    for credentials in [&[][..], &[("Authorization", "Basic eDp5")]] {
        let headers = [&[("Host", "masternode-1:7100")], credentials].concat();
        let asked = running.post_with(&headers, body).await;
        assert_eq!(asked.status, 401, "{asked:?}");
        assert!(asked.head.contains("www-authenticate: basic"), "{asked:?}");
        assert_eq!(by_name(&[&headers[..], &[("Origin", "http://masternode-1:7100")]].concat()).await, 403);
    }
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(running.get(path, "masternode-1:7100").await.status, 200, "{path}");
    }
    let any = timed_rpc::RpcServer::new(running.node.clone(), timed_rpc::Auth::default()).with_hosts(["*".to_owned()]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(any.serve(listener, std::future::pending()));
    let any = Running { address, ..self::running().await };
    assert_eq!(any.get("/", "whatever.example").await.status, 200);
}

/// Fields without which clients of Bitcoin's server fail to read an answer.
#[tokio::test]
async fn results_have_the_fields_that_clients_insist_on() {
    let running = running().await;
    let id = block(2).id().to_string();
    let txid = transaction().id().to_string();
    let cases: &[(&str, String, &[&str])] = &[
        (
            "getblockchaininfo",
            "[]".into(),
            &[
                "chain",
                "blocks",
                "headers",
                "bestblockhash",
                "bits",
                "target",
                "difficulty",
                "time",
                "mediantime",
                "verificationprogress",
                "initialblockdownload",
                "chainwork",
                "size_on_disk",
                "pruned",
                "warnings",
            ],
        ),
        (
            "getnetworkinfo",
            "[]".into(),
            &[
                "version",
                "subversion",
                "protocolversion",
                "localservices",
                "localservicesnames",
                "localrelay",
                "timeoffset",
                "networkactive",
                "connections",
                "connections_in",
                "connections_out",
                "networks",
                "relayfee",
                "incrementalfee",
                "localaddresses",
                "warnings",
            ],
        ),
        (
            "getpeerinfo",
            "[]".into(),
            &[
                "id",
                "addr",
                "addrbind",
                "network",
                "services",
                "servicesnames",
                "relaytxes",
                "lastsend",
                "lastrecv",
                "last_transaction",
                "last_block",
                "bytessent",
                "bytesrecv",
                "conntime",
                "timeoffset",
                "version",
                "subver",
                "inbound",
                "startingheight",
                "synced_headers",
                "synced_blocks",
                "inflight",
                "permissions",
                "minfeefilter",
                "bytessent_per_msg",
                "bytesrecv_per_msg",
                "connection_type",
            ],
        ),
        (
            "getmempoolinfo",
            "[]".into(),
            &[
                "loaded",
                "size",
                "bytes",
                "usage",
                "total_fee",
                "maxmempool",
                "mempoolminfee",
                "minrelaytxfee",
                "incrementalrelayfee",
                "unbroadcastcount",
                "fullrbf",
            ],
        ),
        (
            "getblock",
            format!(r#"["{id}",2]"#),
            &[
                "hash",
                "confirmations",
                "size",
                "strippedsize",
                "weight",
                "height",
                "version",
                "versionHex",
                "merkleroot",
                "tx",
                "time",
                "mediantime",
                "nonce",
                "bits",
                "target",
                "difficulty",
                "chainwork",
                "nTx",
                "previousblockhash",
            ],
        ),
        (
            "getrawtransaction",
            format!(r#"["{txid}",1]"#),
            &[
                "in_active_chain",
                "hex",
                "txid",
                "hash",
                "size",
                "vsize",
                "weight",
                "version",
                "locktime",
                "vin",
                "vout",
                "blockhash",
                "confirmations",
                "blocktime",
                "time",
            ],
        ),
        (
            "gettransaction",
            format!(r#"["{txid}"]"#),
            &[
                "amount",
                "confirmations",
                "blockhash",
                "blockheight",
                "blockindex",
                "blocktime",
                "txid",
                "walletconflicts",
                "time",
                "timereceived",
                "bip125-replaceable",
                "details",
                "hex",
            ],
        ),
        ("gettxout", format!(r#"["{txid}",1]"#), &["bestblock", "confirmations", "value", "scriptPubKey", "coinbase"]),
        (
            "listunspent",
            "[]".into(),
            &[
                "txid",
                "vout",
                "address",
                "label",
                "scriptPubKey",
                "amount",
                "confirmations",
                "spendable",
                "solvable",
                "safe",
            ],
        ),
        ("listbanned", "[]".into(), &["address", "ban_created", "banned_until", "ban_duration", "time_remaining"]),
        ("getmininginfo", "[]".into(), &["blocks", "difficulty", "networkhashps", "pooledtx", "chain", "warnings"]),
        ("getchaintxstats", "[]".into(), &["time", "txcount", "window_final_block_hash", "window_block_count"]),
    ];
    for (method, params, fields) in cases {
        let result = running.result(method, params).await;
        let result = if result.is_array() { &result[0] } else { &result };
        for field in *fields {
            assert!(result.get(field).is_some(), "{method}: {field} is missing: {result:#}");
        }
    }
    let info = running.result("getnetworkinfo", "[]").await;
    assert_eq!((&info["version"], &info["networkactive"]), (&json!(100), &json!(true)));
    let transaction = &running.result("getblock", &format!(r#"["{id}",2]"#)).await["tx"][0];
    for field in ["txid", "hash", "hex", "locktime", "vsize", "weight"] {
        assert!(transaction.get(field).is_some(), "{field}");
    }
    assert_eq!(transaction["vin"][0]["scriptSig"], json!({ "asm": "", "hex": "" }));
    assert_eq!(transaction["vin"][0]["sequence"], u32::MAX);
    let script = &transaction["vout"][0]["scriptPubKey"];
    assert_eq!(script["address"], address(1).to_string());
    let decoded = running.result("decodescript", &format!("[{}]", script["hex"])).await;
    assert_eq!(&decoded, script, "the script of an output can be read again");
}
