//! What a service manager is sent by a real node, over the socket that systemd would give it.

use crate::harness::{Network, Process};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// What was sent, one thing in each line.
fn sent(socket: &UnixDatagram) -> Vec<String> {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("the node reports something in time");
    std::str::from_utf8(&buffer[..length]).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_service_manager_hears_that_the_node_is_ready_lives_and_stops() {
    let mut network = Network::prepare(1, 0);
    let node = network.node_mut(1);
    let folder = node.folder.parent().unwrap().to_owned();
    let path = folder.join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = node.command();
    command.env("NOTIFY_SOCKET", &path);
    let mut process = Process::start(command, &folder, "node-1");
    let first = sent(&socket);
    assert!(first.contains(&"READY=1".to_owned()), "{first:?}");
    // Who is ready answers.
    assert!(node.client().height().is_some());
    let mut later: Vec<String> = Vec::new();
    while !later.iter().any(|line| line.starts_with("STATUS=signing: height"))
        || !later.contains(&"WATCHDOG=1".to_owned())
    {
        later.extend(sent(&socket));
        assert!(later.len() < 200 && !later.contains(&"READY=1".to_owned()), "{later:?}");
    }
    process.signal("TERM");
    let mut last = sent(&socket);
    while !last.contains(&"STOPPING=1".to_owned()) {
        last = sent(&socket);
    }
    assert!(process.wait_end().success());
}

#[test]
fn the_unit_is_printed_as_it_lies_in_the_repository() {
    let printed = crate::harness::timed().arg("systemd").output().unwrap();
    let unit = include_str!("../../docker/timed.service");
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), unit);
}
