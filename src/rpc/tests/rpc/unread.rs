//! Answers that clients do not read: they take a bounded room, and nobody loses for it what a call has done.

use crate::hanging::{PATIENCE, head, patient};
use crate::http::{Running, start};
use crate::sample::{Sample, address};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use timed_rpc::RpcLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Far above what sockets hold. Unit: bytes.
const LABEL_BYTES: usize = 12 << 20;

/// A node of which `listlabels` is an answer of so many bytes.
fn with_label(bytes: usize) -> Sample {
    let labels = BTreeMap::from([(address(2), "x".repeat(bytes))]);
    Sample { labels: labels.into(), ..Sample::default() }
}

fn call(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// A client that asks, and reads no more than the first byte of the answer.
async fn unread(running: &Running, body: &Value) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut stream = socket.connect(running.address).await.unwrap();
    let body = body.to_string();
    let request = head(running, &format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).await.unwrap();
    timeout(PATIENCE, stream.read_u8()).await.expect("an answer").unwrap();
    stream
}

#[tokio::test]
async fn a_batch_of_payments_says_of_each_whether_it_was_made_also_when_there_is_no_room() {
    let limits = RpcLimits { unsent_bytes_max: 1 << 20, ..patient() };
    let running = start(with_label(LABEL_BYTES), limits).await;
    let _held = unread(&running, &call(1, "listlabels", json!([]))).await;
    let payment = |id| call(id, "sendtoaddress", json!([address(2).to_string(), 1]));
    let batch = Value::Array((0..1_000).map(payment).collect());
    let answer = running.post(&batch.to_string()).await;
    let answers = answer.json();
    let answers = answers.as_array().unwrap_or_else(|| panic!("{answer:?}"));
    let ids: Vec<_> = answers.iter().map(|answer| answer["id"].as_u64().unwrap()).collect();
    assert_eq!((answer.status, ids), (200, (0..1_000).collect()));
    let made = answers.iter().filter(|answer| answer["result"].is_string()).count();
    let refused = answers.iter().filter(|answer| answer["error"]["code"] == -32005).count();
    assert_eq!((made, refused), (running.node.orders.lock().unwrap().len(), 1_000 - made));
    assert!((500..1_000).contains(&made), "what fits in 64 KiB needs no room: {made}");
}

/// Its answer may be large, and says which outputs are held back.
#[tokio::test]
async fn what_a_call_has_done_is_answered_without_room() {
    let limits = RpcLimits { unsent_bytes_max: 1 << 20, ..patient() };
    let running = start(with_label(LABEL_BYTES), limits).await;
    let outputs: Vec<_> = (0..1_000).map(|id| json!({ address(id).to_string(): 1 })).collect();
    let raw = running.call("createrawtransaction", json!([[], outputs])).await.json()["result"].clone();
    let _held = unread(&running, &call(1, "listlabels", json!([]))).await;
    let funded = running.call("fundrawtransaction", json!([raw, { "lockUnspents": true }])).await;
    assert!(funded.body.len() > 64 << 10 && funded.json()["result"]["hex"].is_string(), "{:.200}", funded.body);
}

#[tokio::test]
async fn who_finds_no_room_is_answered_in_the_form_of_its_call() {
    let limits = RpcLimits { unsent_bytes_max: 16 << 20, ..patient() };
    let running = start(with_label(LABEL_BYTES), limits).await;
    let held = unread(&running, &call(1, "listlabels", json!([]))).await;
    let answer = running.post(&call(77, "listlabels", json!([])).to_string()).await;
    let json = answer.json();
    assert_eq!((answer.status, answer.code(), &json["id"]), (200, Some(-32005), &json!(77)), "{:.300}", answer.body);
    assert_eq!((&json["jsonrpc"], json.get("result")), (&json!("2.0"), None), "{:.300}", answer.body);
    assert!(answer.message().contains("answers that clients have not read"), "{:.300}", answer.body);
    let answer = running.post(r#"{"id":"a","method":"listlabels"}"#).await;
    let json = answer.json();
    assert_eq!((answer.status, answer.code(), &json["id"]), (503, Some(-32005), &json!("a")), "{:.300}", answer.body);
    assert_eq!((json.get("jsonrpc"), json.get("result")), (None, Some(&Value::Null)), "{:.300}", answer.body);
    drop(held);
    let is_free = async { while running.call("listlabels", json!([])).await.code().is_some() {} };
    timeout(PATIENCE, is_free).await.expect("room again");
}

#[tokio::test]
async fn a_batch_takes_room_as_it_grows_and_the_rest_is_refused_unasked() {
    let limits = RpcLimits { unsent_bytes_max: 17 << 20, ..patient() };
    let running = start(with_label(2 << 20), limits).await;
    let batch = |calls: u64| Value::Array((0..calls).map(|id| call(id, "listlabels", json!([]))).collect());
    let _held = unread(&running, &batch(6)).await;
    let mut calls = batch(4);
    // Room for two more answers of 2 MiB, and not for a third: whatever comes after it is not even asked.
    calls.as_array_mut().unwrap().push(call(4, "sendtoaddress", json!([address(2).to_string(), 1])));
    let answer = running.post(&calls.to_string()).await;
    let answers = answer.json();
    let answers = answers.as_array().unwrap_or_else(|| panic!("{:.300}", answer.body));
    let seen: Vec<_> = answers.iter().map(|answer| (answer["id"].clone(), answer["error"]["code"].as_i64())).collect();
    let expected = [None, None, Some(-32005), Some(-32005), Some(-32005)];
    let expected: Vec<_> = expected.into_iter().enumerate().map(|(id, code)| (json!(id), code)).collect();
    assert_eq!(seen, expected);
    assert!(running.node.orders.lock().unwrap().is_empty());
}
