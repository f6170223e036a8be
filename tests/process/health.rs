//! A log that nobody reads, a data folder that goes, signals and limits that other daemons take in their stride.

use crate::harness::{Network, Process, Stopwatch, pause, timed, wait_for};
use crate::metrics::Metrics;
use serde_json::json;
use socket2::SockRef;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// An orderly end takes no longer.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// What becomes of a data folder is noticed by then.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);

/// Lines that were lost so far.
fn lines_lost(network: &Network, id: u64) -> f64 {
    Metrics::read(&network.node(id).page("/metrics").1).get("timed_log_dropped_lines_total")
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up_and_what_it_lost_is_said() {
    let mut network = Network::prepare(3, 0);
    network.node_mut(1).start_unread(&["--log", "trace"]);
    network.node_mut(2).start();
    network.node_mut(3).start();
    network.wait_height(1);
    // Each connection that becomes no peer is a line: far more than a pipe and the memory for lines hold.
    let port = network.node(1).p2p_port;
    wait_for("lines that are lost", || {
        for _ in 0..2_000 {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            // Gone at once, so that the system has ports for all of them.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        (lines_lost(&network, 1) > 0.0).then_some(())
    });
    // It votes, decides and answers: three validators decide nothing without each of them.
    for _ in 0..3 {
        let txid = network.node(2).pay().unwrap();
        network.wait_final(&txid);
    }
    assert_eq!(network.node(1).page("/health").0, 200);
    wait_for("the warning", || {
        let info = network.node(1).ask("getnetworkinfo", json!([]));
        info["warnings"].to_string().contains("lines of the log are lost").then_some(())
    });
    // Read again, it says how many were lost, and then goes on.
    let output = network.node_mut(1).process().take_output();
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let said = lines.find(|line| line.contains("lines of the log are lost: standard output was not read fast enough"));
    let said = said.expect("the report");
    let count = said.split("lines=").nth(1).and_then(|rest| rest.trim().parse::<f64>().ok()).expect(&said);
    assert!(count > 0.0 && count <= lines_lost(&network, 1), "{said}");
    // Not read again, it ends in time all the same.
    let watch = Stopwatch::start();
    network.node_mut(1).process().signal("TERM");
    let status = network.node_mut(1).wait_end();
    assert_eq!((status.code(), watch.elapsed() < STOP_WITHIN), (Some(0), true), "{status}, {:?}", watch.elapsed());
    drop(lines);
}

#[test]
fn a_data_folder_that_goes_ends_the_node_with_one_line() {
    type Change = fn(&std::path::Path);
    let changes: [(Change, &str); 3] = [
        (|folder| fs::remove_dir_all(folder).unwrap(), "has been removed under the running node"),
        (
            |folder| {
                fs::rename(folder, folder.with_extension("away")).unwrap();
                fs::create_dir(folder).unwrap();
            },
            "another folder has taken the place of the data folder",
        ),
        (
            |folder| {
                fs::rename(folder, folder.with_extension("away")).unwrap();
                fs::create_dir(folder).unwrap();
                fs::write(folder.join("lock"), "").unwrap();
            },
            "another folder has taken the place of the data folder",
        ),
    ];
    for (change, expected) in changes {
        // With a peer, whose session has an end that would be kept.
        let mut network = Network::start(1, 1);
        let folder = network.node(1).folder.clone();
        let watch = Stopwatch::start();
        change(&folder);
        let status = network.node_mut(1).wait_end();
        assert_eq!((status.code(), watch.elapsed() < NOTICED_WITHIN), (Some(1), true), "{:?}", watch.elapsed());
        let errors = network.node(1).errors();
        assert!(errors.starts_with("timed: data folder: ") && errors.contains(expected), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        // Nothing was written to what is in its place.
        let left = fs::read_dir(&folder).map_or(0, |entries| entries.count());
        assert!(left <= 1, "{left} files");
    }
}

/// What is written for a client may wait for the disk. Where it writes there is a pipe that nobody reads, as a disk that hangs.
#[test]
fn a_disk_that_hangs_under_what_a_client_asked_for_holds_up_nobody_else() {
    const LIMIT: Duration = Duration::from_secs(5);
    let network = Network::start(1, 1);
    let node = network.node(1);
    let key = network.node(2).ask("getnetworkinfo", json!([]))["node_key"].clone();
    let address = node.ask("getnewaddress", json!([]));
    let pipes = ["wallet.new", "bans.new"].map(|name| node.folder.join(name));
    assert!(std::process::Command::new("mkfifo").args(&pipes).status().unwrap().success());
    std::thread::scope(|scope| {
        let asked = [("getnewaddress", json!([])), ("setban", json!([key, "add"]))];
        let waiting = asked.map(|(method, params)| scope.spawn(move || node.call(method, params)));
        // The ban is in force before it is kept.
        wait_for("the ban", || (node.ask("listbanned", json!([])) != json!([])).then_some(()));
        let watch = Stopwatch::start();
        assert_eq!((node.page("/health").0, node.page("/metrics").0), (200, 200));
        node.ask("getbalance", json!([]));
        let txid = node.ask("sendtoaddress", json!([address, "0.5"]));
        wait_for("a final payment", || node.block_of(txid.as_str().unwrap()));
        assert!(watch.elapsed() < LIMIT, "{:?}", watch.elapsed());
        // Nor the main thread, which keeps bans as well. It beats once a second.
        let silent = || Metrics::read(&node.page("/metrics").1).get("timed_node_silent_seconds{component=\"runtime\"}");
        while watch.elapsed() < Duration::from_secs(4) {
            assert!(silent() < 2.5, "{} s", silent());
            pause();
        }
        let is_waiting = waiting.each_ref().map(|call| !call.is_finished());
        // Read, it refuses to be synced, and says so.
        let readers = pipes.each_ref().map(|pipe| fs::File::open(pipe).unwrap());
        let [new_address, ban] = waiting.map(|call| call.join().unwrap());
        assert_eq!(is_waiting, [true; 2], "{new_address:?}, {ban:?}");
        assert!(new_address.unwrap_err().to_string().contains("wallet.addresses"));
        ban.unwrap();
        drop(readers);
    });
    assert!(node.log().contains("bans are not kept"), "{}", node.log());
}

#[test]
fn signals_without_a_meaning_end_nobody() {
    let mut network = Network::start(1, 0);
    let count = |network: &Network, words: &str| network.node(1).log().matches(words).count();
    for name in ["HUP", "USR1", "USR2", "ALRM", "PIPE", "XFSZ", "HUP"] {
        network.node_mut(1).process().signal(name);
        let txid = network.node(1).pay().unwrap();
        network.wait_final(&txid);
    }
    wait_for("the lines", || (count(&network, "SIGHUP: nothing is read again") == 2).then_some(()));
    wait_for("the lines", || (count(&network, "a signal without a meaning here") == 3).then_some(()));
    network.node_mut(1).process().signal("QUIT");
    assert_eq!(network.node_mut(1).wait_end().code(), Some(0));
    let log = network.node(1).log();
    assert!(log.contains("stopping: asked by a signal") && log.trim_end().ends_with("stopped"), "{log}");
    assert!(!network.node(1).folder.join(".cookie").exists(), "the cookie is left");
}

#[test]
fn the_limit_of_open_files_is_raised_and_one_that_is_too_low_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for (limits, allowed) in [("ulimit -Sn 24; ulimit -Hn 4000", 4_000), ("ulimit -n 300", 300)] {
        let data = folder.path().join(allowed.to_string());
        let program = timed();
        let mut command = std::process::Command::new("sh");
        let words = format!(
            "{limits}; exec \"$0\" --node-id 1 --dev-nodes 1 --p2p-port 0 --rpc-port 0 --exit-with-stdin --data-dir \"$1\""
        );
        command.args(["-c", &words]).arg(program.get_program()).arg(&data);
        let node = Process::start(command, folder.path(), &allowed.to_string());
        let client = crate::harness::client_of(1, data);
        wait_for("the node", || client.height());
        let limits = fs::read_to_string(format!("/proc/{}/limits", node.pid())).unwrap();
        let soft = limits
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .and_then(|line| line.split_whitespace().nth(3));
        assert_eq!(soft, Some(allowed.to_string().as_str()), "{limits}");
        let warnings = client.ask("getnetworkinfo", json!([]))["warnings"].to_string();
        let log = fs::read_to_string(&node.log).unwrap();
        let said = ["the system allows 300 open files, ", "raise the limit"];
        for text in [&warnings, &log] {
            assert!(said.iter().all(|words| text.contains(words) == (allowed == 300)), "{allowed}: {text}");
        }
    }
}
