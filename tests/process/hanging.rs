//! Clients that hang, at the port of a real node.

use crate::harness::{Network, Stopwatch, cli, page};
use crate::metrics::Metrics;
use serde_json::json;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpStream};

/// More than a node has places for.
const HANGING: usize = 300;

/// Connections that have sent this much and hang.
fn hang(port: u16, bytes: &[u8]) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut sent = 0;
        // As much as it takes without waiting; it may have given way already.
        while sent < bytes.len() {
            match stream.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        stream
    };
    (0..HANGING).map(connect).collect()
}

#[test]
fn three_hundred_clients_who_hang_keep_nobody_from_a_node() {
    let network = Network::start(1, 0);
    let node = network.node(1);
    let port = node.rpc_port;
    let cookie = timed_rpc::read_cookie(&node.folder).unwrap().0.header();
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "getmempoolinfo" }).to_string();
    let whole = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {cookie}\r\nContent-Length: {}\r\n\r\n{call}",
        call.len()
    );
    let half_body = whole.replacen("Content-Length: ", "Content-Length: 9", 1);
    let unread = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2_000);
    let kinds: [(&str, &[u8]); 5] = [
        ("idle", b""),
        ("half a head", b"GET /health HTTP/1.1\r\nHos"),
        ("half a body", half_body.as_bytes()),
        ("never reading", unread.as_bytes()),
        ("idle with credentials", whole.as_bytes()),
    ];
    for (kind, bytes) in kinds {
        let streams = hang(port, bytes);
        let watch = Stopwatch::start();
        assert_eq!(page(port, "/health").0, 200, "{kind}");
        let health = watch.elapsed();
        let mut asked = cli();
        let output = asked.arg("--data-dir").arg(&node.folder).arg("getblockcount").output().unwrap();
        let call = watch.elapsed() - health;
        println!("{kind}: /health after {health:?}, a call after {call:?}");
        assert!(output.status.success(), "{kind}: {output:?} after {call:?}");
        drop(streams);
    }
    let metrics = Metrics::read(&page(port, "/metrics").1);
    let gave_way = metrics.get("timed_rpc_connections_closed_total{reason=\"gave_way\"}");
    assert!(gave_way > 0.0, "whoever asked got the place of one who hangs, before the deadline of those");
    assert!(metrics.sum("timed_rpc_connections") <= 256.0, "bounded");
}
