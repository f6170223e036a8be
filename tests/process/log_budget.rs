//! The log stays readable: a line for a block, a few for a peer, and unknown peers cannot fill it.

use crate::harness::Network;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Connections of unknown peers, of three sorts.
const UNKNOWN: usize = 300;
/// Lines of a start, of four peers that come, and of the ends of sessions.
const LINES_AT_START: usize = 80;

/// A line without its time and numbers: what a reader sees as the same line again.
fn sort_of(line: &str) -> String {
    let words = line.split_whitespace().skip(1).filter(|word| !word.chars().any(|c| c.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_node_logs_a_line_for_a_block_and_unknown_peers_do_not_fill_its_log() {
    let network = Network::start(4, 0);
    let node = network.node(1);
    let mut unknown = Vec::new();
    for number in 0..UNKNOWN {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, node.p2p_port)).unwrap();
        match number % 3 {
            // The node may close while we still write.
            0 => drop(stream.write_all(b"GET / HTTP/1.1\r\n\r\n")),
            1 => drop(stream.write_all(&[0xff; 2_000])),
            _ => {}
        }
        unknown.push(stream);
    }
    for stream in &mut unknown[..20] {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // Until the node has closed.
        while stream.read(&mut [0; 512]).is_ok_and(|read| read > 0) {}
    }
    for _ in 0..20 {
        let txid = node.pay().unwrap();
        network.wait_final(&txid);
    }
    let height = usize::try_from(node.height().unwrap()).unwrap();
    let log = node.log();
    // The heartbeat's own lines are what operators asked for.
    let lines: Vec<_> = log.lines().filter(|line| !line.contains("BOUND] ")).collect();
    let mut sorts: BTreeMap<String, usize> = BTreeMap::new();
    lines.iter().for_each(|line| *sorts.entry(sort_of(line)).or_default() += 1);
    assert!(lines.len() <= height + LINES_AT_START, "{} lines for {height} blocks: {sorts:#?}", lines.len());
    let blocks = lines.iter().filter(|line| line.contains("final") && line.contains("height")).count();
    assert!(blocks >= height - 1, "each block has its line: {blocks} of {height}\n{log}");
    assert!(sorts.values().all(|count| *count <= height + 20), "{sorts:#?}");
    assert_eq!(node.errors(), "");
}
