//! What the server does with requests that are wrong, large, many, slow, or from somebody else.

use crate::http::{read, start};
use crate::sample::Sample;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use timed_rpc::auth::basic;
use timed_rpc::{RpcLimits, Trouble};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const COUNT: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getblockcount"}"#;

#[tokio::test]
async fn every_kind_of_bad_input_has_its_error() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let deep = "[".repeat(100_000);
    let cases: [(&str, i64, &str); 13] = [
        ("", -32700, "not JSON"),
        ("{", -32700, "not JSON"),
        ("{\"method\":\"getblockcount\"} x", -32700, "not JSON"),
        (&deep, -32700, "recursion limit"),
        ("\u{1}", -32700, "not JSON"),
        ("12", -32600, "expected an object, got 12"),
        ("{}", -32600, "method: expected text, got nothing"),
        (r#"{"method":1,"id":1}"#, -32600, "method: expected text, got 1"),
        (r#"{"method":"uptime","id":[]}"#, -32600, "id: expected text, a number or null"),
        (r#"{"jsonrpc":"3.0","method":"uptime","id":1}"#, -32600, "jsonrpc: expected \"2.0\""),
        (r#"{"jsonrpc":"2.0","method":"uptime","id":1,"params":5}"#, -32600, "params: expected a list or an object"),
        (r#"{"jsonrpc":"2.0","method":"getblokcount","id":1}"#, -32601, "did you mean \"getblockcount\"?"),
        (r#"{"jsonrpc":"2.0","method":"x","id":1}"#, -32601, "`help` lists all methods"),
    ];
    for (body, code, text) in cases {
        let answer = running.post(body).await;
        assert_eq!(answer.code(), Some(code), "{body:.60}: {answer:?}");
        assert!(answer.message().contains(text), "{body:.60}: {answer:?}");
    }
    let not_utf8 = [&b"POST / HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nAuthorization: "[..]]
        .concat()
        .into_iter()
        .chain(format!("{}\r\nContent-Length: 2\r\n\r\n", running.cookie.header()).into_bytes())
        .chain([0xff, 0xfe])
        .collect::<Vec<u8>>();
    assert_eq!(running.raw(&not_utf8).await.code(), Some(-32700));
    assert_eq!(running.post(COUNT).await.json()["result"], 2, "the server still answers");
}

#[tokio::test]
async fn both_forms_of_the_protocol_are_spoken() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let check = async |body: &str, status: u16, expected: Value| {
        let answer = running.post(body).await;
        assert_eq!((answer.status, answer.json()), (status, expected), "{body}");
    };
    check(r#"{"jsonrpc":"2.0","id":"a","method":"getblockcount"}"#, 200, json!({"jsonrpc":"2.0","id":"a","result":2}))
        .await;
    check(
        r#"{"jsonrpc":"2.0","id":null,"method":"getblockcount"}"#,
        200,
        json!({"jsonrpc":"2.0","id":null,"result":2}),
    )
    .await;
    check(r#"{"id":7,"method":"getblockcount","params":[]}"#, 200, json!({"id":7,"result":2,"error":null})).await;
    check(r#"{"jsonrpc":"1.0","method":"getblockcount"}"#, 200, json!({"id":null,"result":2,"error":null})).await;
    let unknown = running.post(r#"{"id":7,"method":"nothing"}"#).await;
    assert_eq!((unknown.status, unknown.code(), &unknown.json()["result"]), (404, Some(-32601), &Value::Null));
    let failed = running.post(r#"{"id":7,"method":"getblockhash","params":[9]}"#).await;
    assert_eq!((failed.status, failed.code()), (500, Some(-8)));
    let silent = running.post(r#"{"jsonrpc":"2.0","method":"stop"}"#).await;
    assert_eq!((silent.status, silent.body.as_str()), (204, ""), "a notification is carried out and not answered");
    assert!(running.node.stopped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn batches_are_answered_in_order_and_bounded() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"getblockcount"},5,{"jsonrpc":"2.0","method":"uptime"},
        {"jsonrpc":"2.0","id":"x","method":"no"},{"id":2,"method":"uptime"},{"jsonrpc":"2.0","id":3,"method":"waitfornewblock"}]"#;
    let answer = running.post(batch).await;
    let answers = answer.json();
    let ids: Vec<&Value> = answers.as_array().unwrap().iter().map(|a| &a["id"]).collect();
    assert_eq!(ids, [&json!(1), &Value::Null, &json!("x"), &json!(2), &json!(3)]);
    assert_eq!((&answers[0]["result"], &answers[3]["result"]), (&json!(2), &json!(3_723)));
    assert_eq!([1, 2, 4].map(|i| answers[i]["error"]["code"].as_i64()), [Some(-32600), Some(-32601), Some(-32600)]);

    let many = |n| format!("[{}]", vec![COUNT; n].join(","));
    assert_eq!(running.post(&many(1_000)).await.json().as_array().unwrap().len(), 1_000);
    let refused = running.post(&many(1_001)).await;
    assert_eq!((refused.status, refused.code()), (400, Some(-32600)));
    assert!(refused.message().contains("1001, at most 1000"), "{refused:?}");
    let silent = running.post(r#"[{"jsonrpc":"2.0","method":"uptime"}]"#).await;
    assert_eq!((silent.status, silent.body.as_str()), (204, ""));

    let running = start(Sample::default(), RpcLimits { answer_bytes_max: 100, ..RpcLimits::default() }).await;
    let answers = running.post(&many(5)).await.json();
    let refused = answers.as_array().unwrap().iter().filter(|a| a["error"]["code"] == -32600).count();
    assert_eq!(refused, 2, "three answers of 38 bytes pass 100 bytes: {answers}");
}

#[tokio::test]
async fn huge_bodies_are_refused_announced_or_not() {
    let running = start(Sample::default(), RpcLimits { body_bytes_max: 1_000, ..RpcLimits::default() }).await;
    let answer = running.post(&format!("{COUNT}{}", " ".repeat(1_000))).await;
    assert_eq!((answer.status, answer.code()), (413, Some(-32600)));
    assert!(answer.message().contains("at most 1000"), "{answer:?}");
    let head = format!(
        "POST / HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nAuthorization: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        running.cookie.header()
    );
    let answer = running.raw(format!("{head}7d0\r\n{}\r\n0\r\n\r\n", " ".repeat(2_000)).as_bytes()).await;
    assert_eq!((answer.status, answer.code()), (413, Some(-32600)));
    let answer = running.raw(format!("{head}size?\r\n{COUNT}\r\n0\r\n\r\n").as_bytes()).await;
    assert_eq!((answer.status, answer.code()), (400, Some(-32700)), "{answer:?}");
    let fits = format!("{COUNT}{}", " ".repeat(1_000 - COUNT.len()));
    assert_eq!(running.post(&fits).await.json()["result"], 2);
    assert_eq!(RpcLimits::default().body_bytes_max, 2 << 20);
}

#[tokio::test]
async fn only_callers_with_credentials_are_heard() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let check = async |header: Option<&str>, status| {
        let headers: Vec<_> = header.map(|value| ("Authorization", value)).into_iter().collect();
        let answer = running.post_with(&headers, r#"{"jsonrpc":"2.0","id":1,"method":"uptime"}"#).await;
        assert_eq!(answer.status, status, "{header:?}");
        answer
    };
    check(Some(&running.cookie.header()), 200).await;
    check(Some(&basic("operator", "correct horse battery")), 200).await;
    let refused = check(None, 401).await;
    assert!(refused.head.contains("www-authenticate: basic"), "{refused:?}");
    check(Some(&basic("operator", "wrong")), 401).await;
    check(Some(&basic("__cookie__", "wrong")), 401).await;
    check(Some("Bearer x"), 401).await;
    check(Some(""), 401).await;
}

#[tokio::test]
async fn pages_of_others_cannot_reach_it() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let port = running.address.port();
    for host in
        ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:7100", "node.example", "NODE.example:80", "192.0.2.1:5"]
    {
        assert_eq!(running.get("/health", host).await.status, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:7100", "node.example.evil", ""] {
        assert_eq!(running.get("/", host).await.status, 403, "{host}");
        assert_eq!(running.post_with(&[("Host", host)], COUNT).await.status, 401, "{host}");
        let origin = format!("http://{host}");
        let page = [("Host", host), ("Origin", &*origin), ("Authorization", &*running.cookie.header())];
        assert_eq!(running.post_with(&page, COUNT).await.status, 403, "{host}");
    }
    let from = async |origin: &str| {
        let host = format!("localhost:{port}");
        let headers = [("Host", &*host), ("Origin", origin), ("Authorization", &*running.cookie.header())];
        running.post_with(&headers, COUNT).await.status
    };
    assert_eq!(from(&format!("http://localhost:{port}")).await, 200);
    assert_eq!(from("http://evil.example").await, 403);
    assert_eq!(from("null").await, 403);
    assert_eq!(running.raw(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.status, 400, "no host at all");
}

#[tokio::test]
async fn ambiguous_headers_are_refused() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let cookie = running.cookie.header();
    let authorization = ("Authorization", &*cookie);
    let check = async |headers: &[(&str, &str)], part: &str| {
        let answer = running.post_with(&[&[authorization], headers].concat(), COUNT).await;
        assert_eq!(answer.status, 400, "{headers:?}: {answer:?}");
        assert!(answer.body.contains(part), "{headers:?}: {answer:?}");
    };
    check(&[("Host", "localhost"), ("Host", "evil.example")], "only one Host header").await;
    check(&[("Host", "localhost"), ("Host", "localhost")], "only one Host header").await;
    check(&[authorization], "only one Authorization header").await;
    check(
        &[("Host", "localhost"), ("Origin", "http://localhost"), ("Origin", "http://evil.example")],
        "only one Origin",
    )
    .await;
    check(&[("Content-Length", "1")], "").await;
    check(&[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], "only one Transfer-Encoding").await;
    let other_target = b"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(running.raw(other_target).await.status, 400, "the target names another host");
    let target = b"GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(running.raw(target).await.status, 200);
    let two = b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(running.raw(two).await.status, 400, "probes too");
}

#[tokio::test]
async fn probes_and_metrics() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    assert_eq!(running.get("/health", "localhost").await.body, "alive\n");
    assert_eq!(running.get("/ready", "localhost").await.body, "ready\n");
    let metrics = running.get("/metrics", "localhost").await;
    assert!(metrics.body.contains("timed_ledger_height 2\n") && metrics.body.ends_with("# EOF\n"), "{metrics:?}");
    assert!(metrics.head.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"), "{metrics:?}");
    assert_eq!(running.get("/", "localhost").await.status, 200);
    assert_eq!(running.get("/nothing", "localhost").await.status, 404);
    // What is only to be known troubles no probe, what hinders its part makes it not ready, what hangs makes it dead.
    let (dropped, hung) = (
        Trouble::LogDropped { lines: 3, refusal: None },
        Trouble::Hung { who: "ledger", silent: Duration::from_secs(12) },
    );
    let no_quorum = Trouble::NoQuorum { line: "no quorum: missing node 3".into() };
    let hung_line = format!("{hung}\n");
    let cases = [
        (vec![dropped.clone()], (200, "alive\n"), (200, "ready\n".to_owned())),
        (vec![no_quorum.clone(), dropped], (200, "alive\n"), (503, "no quorum: missing node 3\n".to_owned())),
        (vec![hung, no_quorum], (503, hung_line.as_str()), (503, format!("{hung_line}no quorum: missing node 3\n"))),
    ];
    for (troubles, health, ready) in cases {
        let running = start(Sample { troubles, ..Sample::default() }, RpcLimits::default()).await;
        let answer = running.get("/health", "localhost").await;
        assert_eq!((answer.status, answer.body.as_str()), health);
        let answer = running.get("/ready", "localhost").await;
        assert_eq!((answer.status, answer.body), ready);
    }
}

#[tokio::test]
async fn too_many_calls_are_refused_and_slow_ones_given_up() {
    let limits = RpcLimits { calls_max: 1, waits_max: 0, call_time: Duration::from_millis(30), ..RpcLimits::default() };
    let running = start(Sample { hangs: true.into(), ..Sample::default() }, limits).await;
    let slow = running.call("masternodelist", json!([]));
    let other = async {
        // The slow call holds the only place once the server has read it; until then this one is answered.
        loop {
            let answer = running.post(COUNT).await;
            if answer.code().is_some() {
                break answer;
            }
        }
    };
    let (slow, other) = tokio::join!(slow, other);
    assert_eq!(other.code(), Some(-32005), "{other:?}");
    assert!(other.message().contains("busy: 1 calls are in progress"), "{other:?}");
    assert_eq!(slow.code(), Some(-32004), "{slow:?}");
    assert_eq!(running.post(COUNT).await.json()["result"], 2, "the place is free again");
    assert_eq!(running.call("waitfornewblock", json!([])).await.code(), Some(-32005));
}

#[tokio::test]
async fn the_end_lets_answers_finish_and_frees_the_port() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"waitfornewblock","params":[600000]}"#;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\nContent-Length: {}\r\n\r\n{call}",
        running.cookie.header(),
        call.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    while running.node.tip.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    running.end.send(()).unwrap();
    tokio::task::yield_now().await;
    running.node.tip.send_replace(1);
    assert_eq!(read(&mut stream).await.json()["result"]["height"], 1);
    running.task.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens any more");
}
