//! Clients that hang: whoever works is served meanwhile, and those who hang are gone by their deadline.

use crate::http::{Running, start};
use crate::sample::{Sample, transaction};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use timed_rpc::RpcLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const COUNT: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getblockcount"}"#;
/// For what happens at once; a machine may be slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn head(running: &Running, rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n{rest}", running.cookie.header())
}

/// Limits that no client of a test reaches.
pub(crate) fn patient() -> RpcLimits {
    let long = Duration::from_secs(3_600);
    RpcLimits {
        head_time: long,
        body_time: long,
        idle_time: long,
        write_time: long,
        call_time: long,
        ..RpcLimits::default()
    }
}

pub(crate) async fn hanging(running: &Running, count: usize, bytes: &str) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        // It may have given way already.
        let _ = stream.write_all(bytes.as_bytes()).await;
        streams.push(stream);
    }
    streams
}

/// The other side closed it, with or without an error.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    timeout(PATIENCE, async { while matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {} }).await.is_ok()
}

/// Waits until a figure of `/metrics`, which may be a moment old, is this one.
async fn metric_becomes(running: &Running, sample: &str, expected: u64) {
    let becomes = async {
        loop {
            let page = running.get("/metrics", "localhost").await.body;
            let line = page.lines().find_map(|line| line.strip_prefix(sample));
            if line.unwrap_or_else(|| panic!("no {sample}: {page}")).trim() == expected.to_string() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, becomes).await.unwrap_or_else(|_| panic!("{sample} never is {expected}"));
}

#[tokio::test]
async fn those_who_hang_keep_nobody_out() {
    // With no deadline at all, only giving way can serve the others.
    let half_body = "Content-Length: 100\r\n\r\n{";
    for bytes in ["", "GET /health HTTP/1.1\r\nHos", &format!("POST / HTTP/1.1\r\nHost: localhost\r\n{half_body}")] {
        let running = start(Sample::default(), patient()).await;
        let streams = hanging(&running, 300, bytes).await;
        let served = timeout(PATIENCE, async {
            for path in ["/health", "/ready"] {
                assert_eq!(running.get(path, "localhost").await.status, 200, "{bytes}");
            }
            assert_eq!(running.post(COUNT).await.json()["result"], 2, "{bytes}");
        });
        served.await.unwrap_or_else(|_| panic!("not served: {bytes:?}"));
        drop(streams);
    }
}

#[tokio::test]
async fn clients_with_credentials_who_hang_leave_room_for_probes_and_one_another() {
    let running = start(Sample::default(), patient()).await;
    let slow = head(&running, "Content-Length: 100\r\n\r\n{");
    let mut streams = hanging(&running, 300, &slow).await;
    let served = timeout(PATIENCE, async {
        assert_eq!(running.get("/health", "localhost").await.status, 200);
        assert_eq!(running.post(COUNT).await.json()["result"], 2);
    });
    served.await.unwrap();
    metric_becomes(&running, "timed_rpc_connections{authenticated=\"yes\"}", 223).await;
    assert!(is_closed(&mut streams[0]).await, "the first gave way");
}

#[tokio::test]
async fn calls_in_progress_leave_room_for_probes_and_give_way_to_nobody() {
    let limits = RpcLimits { connections_max: 6, connections_reserved: 2, ..patient() };
    let running = start(Sample { hangs: true.into(), ..Sample::default() }, limits).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"masternodelist"}"#;
    let slow = head(&running, &format!("Content-Length: {}\r\n\r\n{call}", call.len()));
    let streams = hanging(&running, 4, &slow).await;
    let refused = async {
        loop {
            let answer = running.post(COUNT).await;
            if answer.status != 200 {
                break answer;
            }
        }
    };
    let refused = timeout(PATIENCE, refused).await.unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.starts_with("busy: "), "{refused:?}");
    let idle = hanging(&running, 10, "").await;
    assert_eq!(timeout(PATIENCE, running.get("/health", "localhost")).await.unwrap().status, 200);
    metric_becomes(&running, "timed_rpc_connections{authenticated=\"yes\"}", 4).await;
    drop((streams, idle));
}

#[tokio::test]
async fn heads_bodies_and_idle_ones_have_deadlines() {
    let short = Duration::from_millis(50);
    let closed = |reason| format!("timed_rpc_connections_closed_total{{reason=\"{reason}\"}}");
    let running = start(Sample::default(), RpcLimits { head_time: short, ..patient() }).await;
    for stream in &mut hanging(&running, 2, "POST / HTT").await {
        assert!(is_closed(stream).await, "half a head");
    }
    assert!(is_closed(&mut hanging(&running, 1, "").await[0]).await, "nothing at all");
    metric_becomes(&running, &closed("head_late"), 3).await;

    let running = start(Sample::default(), RpcLimits { body_time: short, ..patient() }).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(head(&running, "Connection: close\r\nContent-Length: 10000\r\n\r\n").as_bytes()).await.unwrap();
    // Each byte comes in time, all of them do not.
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let drip = async {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(short / 10).await;
        }
        std::future::pending().await
    };
    tokio::select! {
        read = timeout(PATIENCE, read.read_to_end(&mut answer)) => drop(read.unwrap()),
        () = drip => {}
    }
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 408 "), "{answer:?}");

    let running = start(Sample::default(), RpcLimits { idle_time: short, ..patient() }).await;
    let kept = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(is_closed(&mut hanging(&running, 1, kept).await[0]).await, "idle after an answer");
    metric_becomes(&running, &closed("idle"), 1).await;
}

#[tokio::test]
async fn who_never_reads_is_cut() {
    let running = start(Sample::default(), RpcLimits { write_time: Duration::from_millis(100), ..patient() }).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let question = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
    // The server reads no further questions while its answers wait, so that this stands still until it gives up.
    let asked = timeout(PATIENCE, async { while stream.write_all(question.as_bytes()).await.is_ok() {} }).await;
    assert!(asked.is_ok(), "never cut");
    metric_becomes(&running, "timed_rpc_connections_closed_total{reason=\"not_read\"}", 1).await;
}

#[tokio::test]
async fn calls_of_a_batch_count_one_by_one() {
    let submission = |id: u64| {
        let hex = hex::encode(timed_primitives::encode(&transaction()));
        json!({ "jsonrpc": "2.0", "id": id, "method": "sendrawtransaction", "params": [hex] })
    };
    let batch = |count: u64| Value::Array((0..count).map(submission).collect()).to_string();
    let codes = |answers: Value| -> Vec<i64> {
        answers.as_array().unwrap().iter().map(|answer| answer["error"]["code"].as_i64().unwrap()).collect()
    };
    let limits =
        RpcLimits { submissions_max: 3, calls_max: 1, call_time: Duration::from_secs(3_600), ..RpcLimits::default() };
    let running = start(Sample::default(), limits).await;
    // More than there are slots for: three at a time.
    assert_eq!(codes(running.post(&batch(8)).await.json()), [-27; 8]);
    let hang = async |calls: u64, all: usize| {
        running.node.hangs.store(true, Ordering::SeqCst);
        let body = batch(calls);
        let request = head(&running, &format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let stream = hanging(&running, 1, &request).await;
        while running.node.hanging.load(Ordering::SeqCst) < all {
            tokio::task::yield_now().await;
        }
        running.node.hangs.store(false, Ordering::SeqCst);
        stream
    };
    let _two = hang(2, 2).await;
    assert_eq!(codes(running.post(&batch(4)).await.json()), [-27; 4], "one slot is left, which they take in turn");
    let _third = hang(1, 3).await;
    assert_eq!(codes(running.post(&batch(2)).await.json()), [-32005; 2], "none is left");
    assert_eq!(running.post(&submission(1).to_string()).await.code(), Some(-32005));
    assert_eq!(running.post(COUNT).await.json()["result"], 2, "other calls have slots of their own");
}
