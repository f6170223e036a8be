//! How a node is asked to end.

use crate::harness::{Network, Stopwatch, cli, wait_for};
use serde_json::json;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

/// An orderly end takes no longer.
const STOP_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn sigterm_ends_a_node_in_time_even_while_a_client_waits() {
    let mut network = Network::start(3, 0);
    let client = network.node(1).client();
    std::thread::scope(|scope| {
        // A client that waits for the next block holds nothing up; it is cut off.
        let waiting = scope.spawn(move || client.call("waitfornewblock", json!({ "timeout": 30_000 })));
        let watch = Stopwatch::start();
        network.node(1).ask("uptime", json!([]));
        network.node_mut(1).process().signal("TERM");
        let status = network.node_mut(1).wait_end();
        assert_eq!(status.code(), Some(0), "{status}");
        assert!(watch.elapsed() < STOP_WITHIN, "{:?}", watch.elapsed());
        let _ = waiting.join().unwrap();
    });
    let log = network.node(1).log();
    assert!(log.contains("stopping: asked by a signal") && log.trim_end().ends_with("stopped"), "{log}");
    assert_eq!(network.node(1).errors(), "");
    // Clients find nobody, and say so; the node starts again where it was.
    let mut asked = cli();
    let output = asked.arg("--data-dir").arg(&network.node(1).folder).arg("getblockcount").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    network.node_mut(1).start();
    network.wait_height(1);
    let txid = network.node(1).pay().unwrap();
    network.wait_final(&txid);
}

/// It hangs in its start: where its wallet's file is there is a pipe that nobody writes to.
#[test]
fn a_node_that_is_asked_to_end_while_it_starts_has_not_failed() {
    let mut network = Network::prepare(1, 0);
    let folder = network.node(1).folder.clone();
    fs::create_dir(&folder).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("wallet.addresses")).status().unwrap().success());
    network.node_mut(1).start();
    let port = network.node(1).rpc_port;
    wait_for("a port that is taken", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
    let watch = Stopwatch::start();
    network.node_mut(1).process().signal("TERM");
    let status = network.node_mut(1).wait_end();
    assert_eq!((status.code(), watch.elapsed() < STOP_WITHIN), (Some(0), true), "{status}, {:?}", watch.elapsed());
    assert!(network.node(1).log().contains("asked by a signal while starting"), "{}", network.node(1).log());
    assert_eq!(network.node(1).errors(), "");
}

#[test]
fn a_second_signal_ends_a_node_at_once() {
    let mut network = Network::start(1, 0);
    let process = network.node_mut(1).process();
    // Asleep it takes notice of neither, so that the second is there before it has dealt with the first.
    for signal in ["STOP", "TERM", "INT", "CONT"] {
        process.signal(signal);
    }
    let status = network.node_mut(1).wait_end();
    assert_eq!(status.code(), Some(130), "{status}");
    assert_eq!(network.node(1).errors(), "timed: second signal, ending at once\n");
    network.node_mut(1).start();
    network.wait_height(1);
}

#[test]
fn a_client_and_the_end_of_standard_input_end_a_node() {
    let mut network = Network::start(1, 0);
    let mut command = cli();
    let output = command.arg("--data-dir").arg(&network.node(1).folder).arg("stop").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(network.node_mut(1).wait_end().code(), Some(0));
    assert!(network.node(1).log().contains("stopping: asked by a client"), "{}", network.node(1).log());

    network.node_mut(1).start();
    wait_for("the node again", || network.node(1).height());
    network.node_mut(1).process().close_stdin();
    assert_eq!(network.node_mut(1).wait_end().code(), Some(0));
    assert!(network.node(1).log().contains("stopping: standard input has ended"), "{}", network.node(1).log());
    assert_eq!(network.node(1).errors(), "");
}
