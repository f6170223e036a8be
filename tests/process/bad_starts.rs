//! Starts that cannot work: one clear line that says what to do, a failing exit code, and nothing touched.

use crate::harness::{Network, free_port, run, timed};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A start that cannot work says so sooner.
const REFUSED_WITHIN: Duration = Duration::from_secs(15);

/// Every file below a folder, apart from those of `except`. The lock's text is the last process that looked.
pub(crate) fn contents(folder: &Path, except: &[&str]) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == "lock" || except.contains(&name) {
            continue;
        }
        if path.is_dir() {
            found.extend(contents(&path, except));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

/// Runs a command that must fail, and returns what it says on standard error.
fn failure(command: Command) -> String {
    let described = format!("{command:?}");
    let output = run(command, REFUSED_WITHIN);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{described}: {}\n{errors}", output.status);
    errors
}

/// Runs a command that must fail, and returns its one line.
pub(crate) fn refusal(command: Command) -> String {
    let described = format!("{command:?}");
    let errors = failure(command);
    let line = errors.strip_prefix("timed: ").and_then(|rest| rest.strip_suffix('\n'));
    let line = line.unwrap_or_else(|| panic!("{described}: not a line of ours: {errors:?}"));
    assert!(!line.contains('\n'), "{described}: more than one line:\n{errors}");
    line.to_owned()
}

/// The refusal names all of this.
#[track_caller]
pub(crate) fn check(line: &str, names: &[&str]) {
    for name in names {
        assert!(line.contains(name), "{name:?} is not in: {line}");
    }
}

/// A node with its own ports and a folder below `folder`.
fn node(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = timed();
    command.args(["--node-id", "1", "--dev-nodes", "1", "--p2p-port"]).arg(free_port().to_string());
    command.arg("--rpc-port").arg(free_port().to_string());
    command.arg("--data-dir").arg(folder.join("data")).args(arguments);
    command
}

#[test]
fn a_limit_of_open_files_that_is_too_low_for_a_start_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for allowed in ["6", "12", "40", "63"] {
        let node = node(folder.path(), &[]);
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n \"$0\"; exec \"$@\"", allowed]).arg(node.get_program()).args(node.get_args());
        check(&refusal(command), &[&format!("allows this process {allowed} open files"), "ulimit -n", "LimitNOFILE"]);
        assert!(!folder.path().join("data").exists(), "a limit of {allowed} made the data folder");
    }
}

/// The kernel bounds the threads of a user who is not root alone.
#[test]
fn a_thread_that_the_system_refuses_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for allowed in ["1", "2"] {
        let node = node(folder.path(), &[]);
        let mut command = Command::new("prlimit");
        command.arg(format!("--nproc={allowed}"));
        if rustix::process::geteuid().is_root() {
            let program = folder.path().join("timed");
            fs::copy(node.get_program(), &program).unwrap();
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
            command.args(["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups"]).arg(program);
        } else {
            command.arg(node.get_program());
        }
        command.args(node.get_args());
        check(&refusal(command), &["the system refuses a thread", "ulimit -u"]);
    }
}

#[test]
fn wrong_settings_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], names: &[&str]| {
        check(&refusal(node(folder.path(), arguments)), names);
        assert!(!folder.path().join("data").exists(), "{arguments:?} made the data folder");
    };
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let unknown = file("unknown.toml", "[p2p]\nprot = 7000\n");
    refused(&["--config", &unknown], &["unknown key `p2p.prot`", &unknown, "port"]);
    let invalid = file("invalid.toml", "[p2p]\ninbound_max = \"many\"\n");
    refused(&["--config", &invalid], &["`p2p.inbound_max`", "many", &invalid]);
    let broken = file("broken.toml", "[p2p\n");
    let shown = failure(node(folder.path(), &["--config", &broken]));
    check(&shown, &[&format!("{broken} is not valid TOML"), "line 1, column 5"]);
    refused(&["--config", "/nowhere/timed.toml"], &["cannot read the configuration file /nowhere/timed.toml"]);
    refused(&["--peer", "nonsense"], &["nonsense", "host:port"]);
    refused(&["--peer", "127.0.0.1:0"], &["127.0.0.1:0", "host:port"]);
    refused(&["--log", "loud"], &["loud", "info"]);
    refused(&["--p2p-listen", "0.0.0.0"], &["0.0.0.0", "--dev-public-keys-ok"]);

    let mut command = node(folder.path(), &[]);
    command.env("TIMED__MEMPOOL__BYTES_MAX", "plenty");
    check(&refusal(command), &["`mempool.bytes_max`", "plenty", "TIMED__MEMPOOL__BYTES_MAX"]);
    let mut command = timed();
    command.args(["--p2p-port", "7000", "--rpc-port", "7000", "--data-dir"]).arg(folder.path().join("data"));
    check(&refusal(command), &["`p2p.port`", "`rpc.port`", "7000"]);
    assert!(!folder.path().join("data").exists());
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in ["--p2p-port", "--rpc-port"] {
        let mut command = timed();
        let other = if flag == "--p2p-port" { "--rpc-port" } else { "--p2p-port" };
        command.args(["--node-id", "1", flag, &port, other, &free_port().to_string(), "--data-dir"]);
        check(
            &refusal({
                command.arg(folder.path().join("data"));
                command
            }),
            &[&format!("127.0.0.1:{port}"), flag],
        );
        assert!(!folder.path().join("data/blocks.log").exists(), "a chain was begun");
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    // A folder below a file cannot be made, whoever runs this; in /proc not even by root.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data"), "a file").unwrap();
    let line = refusal(node(folder.path(), &[]));
    check(&line, &["data folder", &folder.path().join("data").display().to_string(), "--data-dir"]);
    assert_eq!(fs::read_to_string(folder.path().join("data")).unwrap(), "a file");
    check(&refusal(node(Path::new("/proc"), &[])), &["data folder /proc/data", "--data-dir"]);

    // In use: the folder is named, with the process that has it, which goes on.
    let mut network = Network::start(1, 0);
    let pid = network.node_mut(1).process().pid();
    let mut second = timed();
    second.args(["--node-id", "1", "--dev-nodes", "1", "--p2p-port", &free_port().to_string()]);
    second.args(["--rpc-port", &free_port().to_string(), "--data-dir"]).arg(&network.node(1).folder);
    let line = refusal(second);
    let folder = network.node(1).folder.display().to_string();
    check(&line, &[&folder, "in use", &format!("pid {pid}"), "--data-dir"]);
    let txid = network.node(1).pay().unwrap();
    network.wait_final(&txid);

    // Of another network.
    network.node_mut(1).process().signal("TERM");
    network.node_mut(1).wait_end();
    let before = contents(&network.node(1).folder, &[]);
    let mut other = timed();
    other.args(["--node-id", "1", "--dev-nodes", "4", "--p2p-port", &free_port().to_string()]);
    other.args(["--rpc-port", &free_port().to_string(), "--data-dir"]).arg(&network.node(1).folder);
    check(&refusal(other), &[&folder, "belongs to genesis", "--data-dir"]);
    assert!(contents(&network.node(1).folder, &[]) == before, "files were touched");
}

/// Where a file should be there is a folder: each says what to do.
#[test]
fn a_folder_in_place_of_a_file_is_named_with_what_to_do() {
    for name in ["lock", "genesis", "peers.json", "bans.json", "wallet.addresses"] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data").join(name)).unwrap();
        check(&refusal(node(folder.path(), &[])), &["data", "Is a directory", "move away what stands there"]);
    }
}

#[test]
fn a_key_file_without_a_key_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (key, config) = (folder.path().join("bad.key"), folder.path().join("timed.toml"));
    fs::write(&key, "no key\n").unwrap();
    let refused = |setting: String, names: &[&str]| {
        fs::write(&config, format!("[node]\n{setting}\n")).unwrap();
        check(&refusal(node(folder.path(), &["--config", config.to_str().unwrap()])), names);
        let mut command = timed();
        command.args(["config", "check", "--node-id", "1", "--config", config.to_str().unwrap()]);
        check(&refusal(command), names);
    };
    let file = key.display().to_string();
    for name in ["node_key", "consensus_key", "wallet_key"] {
        refused(format!("{name} = {file:?}"), &[&file, "64 hex digits"]);
    }
    refused("consensus_key = \"/nowhere/consensus.key\"".into(), &["/nowhere/consensus.key", "node.consensus_key"]);
    assert_eq!(fs::read_to_string(&key).unwrap(), "no key\n");
}
