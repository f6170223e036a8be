//! `timed testnet` as processes of one machine, and `timed healthcheck` of its nodes.

use crate::bad_starts::{check, refusal};
use crate::client::{assert_same_blocks, wait_final};
use crate::harness::{Process, client_of, free_ports, run, timed, wait_for};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// No command here waits for a node.
const LIMIT: Duration = Duration::from_secs(15);
/// Nodes of the network that is written.
const NODES: [&str; 4] = ["masternode-1", "masternode-2", "masternode-3", "observer-1"];

fn write(output: &Path) -> (String, u16) {
    let ports = free_ports(8);
    let mut command = timed();
    command.args(["testnet", "--masternodes", "3", "--p2p-port", &ports.to_string()]);
    command.args(["--rpc-port", &(ports + 4).to_string(), "--output"]).arg(output);
    let output = run(command, LIMIT);
    assert!(output.status.success(), "{output:?}");
    (String::from_utf8(output.stdout).unwrap(), ports)
}

fn healthcheck(arguments: &[&str]) -> Command {
    let mut command = timed();
    command.arg("healthcheck").args(arguments);
    command
}

#[test]
fn a_written_network_runs_as_processes() {
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let (said, ports) = write(&network);
    check(
        &said,
        &["3 masternodes and 1 observer", "genesis.json", "compose.yaml", "masternode-3/", "go on while none is"],
    );

    let config = |name: &str| network.join(name).join("config.toml").display().to_string();
    let start = |name: &&str| {
        let mut command = timed();
        command.args(["--exit-with-stdin", "--config", &config(name)]);
        Process::start(command, folder.path(), name)
    };
    let mut nodes: Vec<_> = NODES.iter().map(start).collect();
    let data = |name: &str| network.join(name).join("data");
    let clients: Vec<_> = (1..).zip(NODES).map(|(id, name)| client_of(id, data(name))).collect();
    let clients: Vec<_> = clients.iter().collect();
    wait_for("height 1", || clients.iter().all(|node| node.height() >= Some(1)).then_some(()));
    // Every wallet has money, and all are connected to all.
    for client in &clients {
        let txid = client.pay().unwrap();
        wait_final(&clients, &txid);
        let peers = || client.ask("getpeerinfo", json!([])).as_array().map(Vec::len);
        wait_for("three connections", || (peers() == Some(3)).then_some(()));
        let observes = client.ask("getconsensusinfo", json!([]))["validator"].is_null();
        assert_eq!(observes, client.id == 4, "only the observer has no vote");
    }
    assert_same_blocks(&clients);
    assert_private(&data(NODES[0]));
    assert!(!folder.path().join("data").exists(), "data folders are beside their configuration");

    // Alive by its configuration, by its folder, by its address.
    let (own, by_folder, url) = (config(NODES[1]), data(NODES[1]), format!("http://127.0.0.1:{}", ports + 5));
    let paths = [["--config", &own], ["--data-dir", by_folder.to_str().unwrap()], ["--url", &url]];
    for path in paths {
        let output = run(healthcheck(&path), LIMIT);
        let line = format!("{url}/health: alive\n");
        assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap()), (Some(0), line), "{path:?}");
    }
    let mut by_environment = healthcheck(&[]);
    // As in a container, where this alone is no configuration that a node would start with.
    by_environment.env("TIMED__NODE__DATA_DIR", &by_folder).env("TIMED__P2P__LISTEN", "0.0.0.0");
    assert!(run(by_environment, LIMIT).status.success());
    // Killed, it leaves its address behind; ended in order, it does not.
    drop(nodes.remove(1));
    for path in paths {
        check(&refusal(healthcheck(&path)), &[&url, "nobody listens there"]);
    }
    nodes[0].signal("TERM");
    assert!(nodes[0].wait_end().success());
    check(&refusal(healthcheck(&["--config", &config(NODES[0])])), &["no node runs in", "masternode-1/data"]);
    check(&refusal(healthcheck(&["--url", "https://127.0.0.1"])), &["http only"]);
}

/// Everything that a node has made is for its user alone.
fn assert_private(folder: &Path) {
    let mut seen = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            // A file of the store may be gone by now.
            let Ok(facts) = fs::metadata(&path) else { continue };
            assert_eq!(facts.permissions().mode() & 0o077, 0, "{}", path.display());
            seen += 1;
            folders.extend(facts.is_dir().then_some(path));
        }
    }
    assert!(seen > 10, "only {seen} files and folders");
}

/// Texts of all files with this name.
fn texts(network: &Path, name: &str) -> Vec<String> {
    let files = NODES.iter().map(|node| network.join(node).join(name)).filter(|file| file.exists());
    files.map(|file| fs::read_to_string(file).unwrap()).collect()
}

#[test]
fn keys_are_fresh_and_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let networks = ["a", "b"].map(|name| folder.path().join(name));
    // One that is there and empty serves as well.
    fs::create_dir(&networks[1]).unwrap();
    for network in &networks {
        write(network);
    }
    let keys =
        |network: &PathBuf| ["node.key", "consensus.key", "wallet.key"].map(|name| texts(network, name)).concat();
    let all: Vec<_> = networks.iter().flat_map(keys).collect();
    assert_eq!(all.len(), 2 * (4 + 3 + 4));
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "a key comes twice");
    let passwords = |network: &PathBuf| {
        let lines = texts(network, "config.toml").concat();
        lines.lines().filter(|line| line.starts_with("password = ")).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(passwords(&networks[0]).len(), 1, "one for a network");
    assert_ne!(passwords(&networks[0]), passwords(&networks[1]), "another one for another");

    // Nobody but their owner reads keys and passwords, and a container runs as their owner.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for folder in [networks[1].clone(), networks[1].join(NODES[0]), networks[1].join(NODES[0]).join("data")] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    let compose = fs::read_to_string(networks[1].join("compose.yaml")).unwrap();
    for node in NODES {
        for file in fs::read_dir(networks[1].join(node)).unwrap().map(|entry| entry.unwrap().path()) {
            let facts = fs::metadata(&file).unwrap();
            assert!(facts.is_dir() || mode(&file) == 0o600, "{}", file.display());
            let user = format!("user: \"${{TIMED_USER:-{}:{}}}\"\n", facts.uid(), facts.gid());
            assert!(facts.uid() != 0 && compose.contains(&user), "{}: no {user:?} in {compose}", file.display());
        }
    }

    let again = |output: &Path, ports: &[&str]| {
        let mut command = timed();
        command.arg("testnet").args(ports).arg("--output").arg(output);
        command
    };
    let before = keys(&networks[0]);
    check(&refusal(again(&networks[0], &[])), &[networks[0].to_str().unwrap(), "not empty", "--output"]);
    assert_eq!(keys(&networks[0]), before);
    let new = folder.path().join("new");
    check(&refusal(again(&new, &["--rpc-port", "7004"])), &["overlap", "--p2p-port", "--rpc-port"]);
    check(&refusal(again(&new, &["--p2p-port", "65532"])), &["65532", "too many"]);
    assert!(!new.exists());
    check(&refusal(again(&networks[0].join("genesis.json"), &[])), &["genesis.json", "cannot use"]);
}
