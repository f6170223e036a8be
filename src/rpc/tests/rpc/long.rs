//! Answers that take long to make: they are made beside the thread that serves, and those that wait for their turn leave room for others.

use crate::hanging::{PATIENCE, hanging, head};
use crate::http::{Answer, Running, start};
use crate::sample::{Sample, address};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use timed_rpc::RpcLimits;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Whoever reads blocks or outputs keeps its thread, or no longer.
fn keep_threads(running: &Running, is_kept: bool) {
    *running.node.keeps_threads.0.lock().unwrap() = is_kept;
    running.node.keeps_threads.1.notify_all();
}

async fn are_made(running: &Running, expected: usize) {
    let becomes = async {
        while running.node.hanging.load(Ordering::SeqCst) != expected {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, becomes).await.unwrap_or_else(|_| panic!("never {expected} at once"));
}

fn call_all(running: &Arc<Running>, count: usize, method: &'static str, params: &Value) -> JoinSet<Answer> {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let (running, params) = (running.clone(), params.clone());
        calls.spawn(async move { running.call(method, params).await });
    }
    calls
}

async fn next(calls: &mut JoinSet<Answer>) -> Answer {
    timeout(PATIENCE, calls.join_next()).await.expect("an answer").unwrap().unwrap()
}

fn scan() -> Value {
    json!(["start", [format!("addr({})", address(1))]])
}

#[tokio::test]
async fn short_calls_are_answered_while_long_ones_are_made() {
    let limits = RpcLimits { calls_max: 16, block_calls_max: 2, scans_max: 2, ..RpcLimits::default() };
    let small = [("getblock", json!([2])), ("getblockheader", json!([2]))];
    let large = [("getblock", json!([2, 2])), ("scantxoutset", scan())];
    // Of sixteen places, four are for small ones and half for large ones.
    let cases = small.map(|case| (case, 4)).into_iter().chain(large.map(|case| (case, 8)));
    for ((method, params), places) in cases {
        let running = Arc::new(start(Sample::default(), limits.clone()).await);
        keep_threads(&running, true);
        let mut long = call_all(&running, places + 1, method, &params);
        let refused = next(&mut long).await;
        assert_eq!(refused.code(), Some(-32005), "{method}: {refused:?}");
        assert!(refused.message().contains(&format!("busy: {places} calls")), "{method}: {refused:?}");
        are_made(&running, 2).await;
        assert_eq!(running.call("getblockcount", json!([])).await.json()["result"], 2, "{method}");
        assert_eq!(running.node.hanging.load(Ordering::SeqCst), 2, "{method}: two at a time");
        keep_threads(&running, false);
        while let Some(answer) = long.join_next().await {
            assert_eq!(answer.unwrap().json()["result"]["height"], 2, "{method}");
        }
        assert_eq!(running.node.hanging.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn scans_that_wait_leave_small_calls_their_places() {
    let limits = RpcLimits { calls_max: 16, block_calls_max: 2, scans_max: 1, ..RpcLimits::default() };
    let running = Arc::new(start(Sample::default(), limits).await);
    keep_threads(&running, true);
    let mut scans = call_all(&running, 9, "scantxoutset", &scan());
    assert_eq!(next(&mut scans).await.code(), Some(-32005), "as many wait as may");
    are_made(&running, 1).await;
    let raw = hex::encode(timed_primitives::encode(&crate::sample::transaction()));
    let decoded = timeout(PATIENCE, running.call("decoderawtransaction", json!([raw]))).await.unwrap();
    assert_eq!(decoded.code(), None, "{decoded:?}");
    keep_threads(&running, false);
    while let Some(answer) = scans.join_next().await {
        assert_eq!(answer.unwrap().json()["result"]["height"], 2);
    }
}

#[tokio::test]
async fn few_calls_at_once_still_leave_a_place_for_short_ones() {
    let limits = RpcLimits { calls_max: 4, block_calls_max: 4, scans_max: 4, ..RpcLimits::default() };
    let running = Arc::new(start(Sample::default(), limits).await);
    keep_threads(&running, true);
    let mut scans = call_all(&running, 4, "scantxoutset", &scan());
    assert_eq!(next(&mut scans).await.code(), Some(-32005), "half of four");
    assert_eq!(next(&mut scans).await.code(), Some(-32005));
    assert_eq!(running.call("getblockcount", json!([])).await.json()["result"], 2);
    keep_threads(&running, false);
    while let Some(answer) = scans.join_next().await {
        assert_eq!(answer.unwrap().json()["result"]["height"], 2);
    }
}

#[tokio::test]
async fn a_call_has_its_time_once_and_not_again_after_it_has_waited() {
    let call_time = Duration::from_secs(6);
    let running =
        Arc::new(start(Sample::default(), RpcLimits { block_calls_max: 1, call_time, ..RpcLimits::default() }).await);
    keep_threads(&running, true);
    let mut first = call_all(&running, 1, "getblock", &json!([2, 2]));
    are_made(&running, 1).await;
    let begun = Instant::now();
    let mut second = call_all(&running, 1, "getblock", &json!([2, 2]));
    tokio::time::sleep(call_time * 3 / 4).await;
    running.node.holds_blocks.store(true, Ordering::SeqCst);
    keep_threads(&running, false);
    let answer = next(&mut second).await;
    assert_eq!(answer.code(), Some(-32004), "{answer:?}");
    assert!(begun.elapsed() < call_time * 3 / 2, "{:?}", begun.elapsed());
    next(&mut first).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_the_place_of_its_long_call() {
    let limits = RpcLimits { calls_max: 4, block_calls_max: 1, ..RpcLimits::default() };
    let running = Arc::new(start(Sample::default(), limits).await);
    keep_threads(&running, true);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "getblock", "params": [2, 2] }).to_string();
    let request = head(&running, &format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let made = hanging(&running, 1, &request).await;
    are_made(&running, 1).await;
    // A second has the other place, and a third none.
    let mut waiting = call_all(&running, 2, "getblock", &json!([2, 2]));
    let refused = next(&mut waiting).await;
    assert_eq!(refused.code(), Some(-32005), "{refused:?}");
    drop(made);
    // It is made to its end, but its place is free.
    let finds_a_place = async {
        loop {
            let mut calls = call_all(&running, 1, "getblock", &json!([2, 2]));
            match timeout(Duration::from_millis(500), calls.join_next()).await {
                Ok(refused) => assert_eq!(refused.unwrap().unwrap().code(), Some(-32005)),
                Err(_) => break calls,
            }
        }
    };
    let mut last = timeout(Duration::from_secs(4), finds_a_place).await.expect("a place");
    assert_eq!(running.node.hanging.load(Ordering::SeqCst), 1, "one at a time all the same");
    keep_threads(&running, false);
    for calls in [&mut waiting, &mut last] {
        assert_eq!(next(calls).await.json()["result"]["height"], 2);
    }
}

#[tokio::test]
async fn a_balance_is_answered_without_received_where_that_takes_too_long() {
    let running = start(Sample::default(), RpcLimits::default()).await;
    let balance = async || running.call("getaddressbalance", json!([address(1).to_string()])).await.json();
    assert!(balance().await["result"]["received"].is_u64());
    running.node.transactions.store(200_001, Ordering::SeqCst);
    let answer = balance().await;
    assert!(answer["result"]["balance"].is_u64() && answer["result"].get("received").is_none(), "{answer}");
    // As many transactions as one call reads, of a disk that is slow.
    running.node.transactions.store(200_000, Ordering::SeqCst);
    running.node.holds_blocks.store(true, Ordering::SeqCst);
    let answer = balance().await;
    assert!(answer["result"]["balance"].is_u64() && answer["result"].get("received").is_none(), "{answer}");
}
