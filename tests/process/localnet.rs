//! `timed localnet`.

use crate::harness::{Process, is_in_use, page, timed, wait_for};
use crate::metrics::Metrics;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Takes the first of the usual ports, so that the network must do without; when it is taken already, that does as well.
fn take_usual_port() -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 7000)).ok()
}

fn start(folder: &Path, arguments: &[&str]) -> Process {
    let mut command = timed();
    command.arg("localnet").args(arguments).arg("--data-dir").arg(folder);
    // As a shell starts it.
    command.process_group(0);
    Process::start(command, folder, "localnet")
}

fn output(process: &Process) -> String {
    fs::read_to_string(&process.log).unwrap()
}

/// The client commands that it prints once all nodes answer.
fn printed_commands(process: &mut Process) -> Vec<String> {
    let text = wait_for("the client commands", || {
        assert!(process.has_ended().is_none(), "ended: {}", fs::read_to_string(&process.errors).unwrap());
        let text = output(process);
        text.contains("/metrics\n").then_some(text)
    });
    let commands = text.lines().skip_while(|line| !line.starts_with("try:"));
    commands.take(4).map(|line| line.trim_start_matches("try:").trim().to_owned()).collect()
}

fn folders(folder: &Path, count: u64) -> Vec<PathBuf> {
    (1..=count).map(|id| folder.join(format!("node-{id}"))).collect()
}

#[test]
fn localnet_pays_prints_commands_that_work_and_ends_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let _taken = take_usual_port();
    let mut process = start(folder.path(), &["--nodes", "4", "--tps", "10"]);
    let commands = printed_commands(&mut process);
    let shell = |command: &str| {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(shell(&commands[0]).contains("devnet"));
    assert!(shell(&commands[1]).contains("127.0.0.1:"));
    assert_eq!(shell(&commands[2]).trim().len(), 64, "a payment answers with its id");
    let url = commands[3].strip_prefix("curl http://127.0.0.1:").expect("a port").strip_suffix("/metrics").unwrap();
    let port: u16 = url.parse().unwrap();
    assert!(!(7100..7104).contains(&port), "other ports are used");
    assert_eq!(page(port, "/metrics").0, 200);

    // An idle network makes a block every 10 s, so these are of payments.
    let count = commands[0].replace("getblockchaininfo", "getblockcount");
    wait_for("payments in blocks", || (shell(&count).trim().parse::<u64>().unwrap() >= 8).then_some(()));
    // Sums are published once a second.
    let metrics = wait_for("sums of messages and answered pings", || {
        let metrics = Metrics::read(&page(port, "/metrics").1);
        let waits = metrics.get("timed_peer_queue_wait_seconds_count{lane=\"consensus\"}");
        (waits > 8.0 && metrics.get("timed_peer_round_trip_seconds_count") >= 3.0).then_some(metrics)
    });
    assert!(metrics.sum("timed_peer_connections") >= 3.0);
    let sent = metrics.get("timed_peer_lane_bytes_total{lane=\"consensus\",way=\"sent\"}");
    assert!(sent > 0.0 && sent <= metrics.sum("timed_peer_kind_bytes_total"));
    assert!(metrics.get("timed_payment_finality_seconds_count") > 0.0);

    // Ctrl-C in a terminal is for all of the group.
    shell(&format!("kill -INT -{}", process.pid()));
    let status = process.wait_end();
    let text = output(&process);
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(text.contains("some of the usual ports 7000.. and 7100.. are taken, so other ports are used"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("localnet ended after "), "{last}");
    let height = last.split(": 4 nodes, height ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    assert!(height.parse::<u64>().unwrap() >= 8 && !last.contains("p50 -"), "{last}");
    let accepted = last.split(" payments accepted").next().and_then(|text| text.rsplit(' ').next()).unwrap();
    assert!(accepted.parse::<u64>().unwrap() > 0, "{last}");
    assert!(!last.contains("refused"), "{last}");
    assert!(folders(folder.path(), 4).iter().all(|node| !is_in_use(node)), "a node outlived localnet");
    assert_eq!(fs::read_to_string(&process.errors).unwrap(), "");
}

#[test]
fn localnet_ends_by_itself_after_its_duration() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(folder.path(), &["--nodes", "1", "--duration", "2s"]);
    assert_eq!(process.wait_end().code(), Some(0), "{}", output(&process));
    assert!(folders(folder.path(), 1).iter().all(|node| !is_in_use(node)), "a node outlived localnet");
}

#[test]
fn no_node_outlives_a_localnet_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let _taken = take_usual_port();
    let mut process = start(folder.path(), &["--nodes", "3"]);
    printed_commands(&mut process);
    let nodes = folders(folder.path(), 3);
    assert!(nodes.iter().all(|node| is_in_use(node)), "the nodes hold their folders");
    drop(process);
    wait_for("the end of all nodes", || nodes.iter().all(|node| !is_in_use(node)).then_some(()));
    for node in nodes {
        let log = fs::read_to_string(node.with_extension("log")).unwrap();
        assert!(log.contains("stopping: standard input has ended"), "{log}");
    }
}
