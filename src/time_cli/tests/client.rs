//! The built `time-cli` against a server with a node of fixed answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

#[path = "../../rpc/tests/rpc/sample/mod.rs"]
mod sample;

use sample::{Sample, address, transaction};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tempfile::TempDir;
use timed_primitives::SecretKey;
use timed_rpc::{Auth, RpcServer, write_cookie};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A server beside the test, and a home folder in which it looks like development node 1.
struct Node {
    address: SocketAddr,
    sample: Arc<Sample>,
    home: TempDir,
    // Dropped last: the server lives in it.
    _runtime: Runtime,
}

fn node() -> Node {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join(".timed/devnet-00c0ffee/node-1");
    std::fs::create_dir_all(&dir).unwrap();
    let auth = Auth::default().with_cookie(&write_cookie(&dir, address).unwrap());
    let auth = auth.with_password("operator", "correct horse battery");
    let sample = Arc::new(Sample::default());
    runtime.spawn(RpcServer::new(sample.clone(), auth).serve(listener, std::future::pending()));
    Node { address, sample, home, _runtime: runtime }
}

impl Node {
    fn data_dir(&self) -> String {
        self.home.path().join(".timed/devnet-00c0ffee/node-1").display().to_string()
    }

    /// Runs the client as somebody at home here would; what it prints, which must be a success.
    fn ask(&self, words: &[&str]) -> String {
        let output = run(self.home.path(), words, "");
        assert!(output.status.success(), "{words:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, words: &[&str], code: i32, part: &str) {
        refused(self.home.path(), words, code, part);
    }
}

fn run(home: &Path, words: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_time-cli"));
    command.args(words).env_clear().env("HOME", home).env("http_proxy", "http://127.0.0.1:1");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The client may end without reading.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn refused(home: &Path, words: &[&str], code: i32, part: &str) {
    let output = run(home, words, "");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
    assert!(text.contains(part), "{words:?}: {text}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn it_finds_the_local_node_and_answers_for_people_and_programs() {
    let node = node();
    assert_eq!(node.ask(&["getblockcount"]), "2\n");
    assert_eq!(node.ask(&["get-block-count"]), "2\n");
    assert_eq!(node.ask(&["uptime"]), "1 h 2 min\n");
    assert_eq!(node.ask(&["--json", "uptime"]), "3723\n");
    assert_eq!(node.ask(&["getbalance"]), "90071992.54740993\n");
    assert_eq!(node.ask(&["getnewaddress"]), format!("{}\n", address(1)));
    assert_eq!(node.ask(&["getnewaddress", "--json"]), format!("\"{}\"\n", address(1)));
    let peers = node.ask(&["getpeerinfo"]);
    assert!(
        peers.starts_with("ID  ADDRESS") && peers.contains("127.0.0.1:7001") && peers.contains("0.4 ms"),
        "{peers}"
    );
    assert!(!peers.contains('\u{1b}'), "no colours away from a terminal");
    assert!(node.ask(&["--color", "always", "getpeerinfo"]).contains('\u{1b}'));
    let peers: serde_json::Value = serde_json::from_str(&node.ask(&["--json", "getpeerinfo"])).unwrap();
    assert_eq!(peers[0]["bytessent_per_msg"]["vote"], 4_000);
    let status = node.ask(&["status"]);
    for part in
        ["devnet (id 7)", "2 of 8 (25.00 %)", "2 (1 in, 1 out, 2 validators)", "warning: no quorum", "missing node 3"]
    {
        assert!(status.contains(part), "{status}");
    }
    let status: serde_json::Value = serde_json::from_str(&node.ask(&["status", "--json"])).unwrap();
    assert_eq!(status["getblockchaininfo"]["blocks"], 2);
    let why = node.ask(&["consensus", "why"]);
    assert!(why.contains("missing node 3") && why.contains("prevotes missing: node 3 (not connected)"), "{why}");
    assert_eq!(node.ask(&["peer", "list"]), node.ask(&["getpeerinfo"]));
    let why = node.ask(&["peer", "why", "127.0.0.1:7001"]);
    assert!(why.contains("nothing came within the deadline") && why.contains("received pong, 13 B"), "{why}");
    assert!(node.ask(&["peer", "history"]).contains("closed by us"));
    node.refused(&["peer", "why", "nobody"], 1, "no connected peer is called \"nobody\"");
}

#[test]
fn parameters_come_in_order_by_name_or_from_standard_input() {
    let node = node();
    let txid = transaction().id().to_string();
    let block = node.ask(&["getblock", "2", "verbosity=2"]);
    assert!(block.contains("final by 3 precommits of round 0") && block.contains(&txid), "{block}");
    assert!(node.ask(&["getrawtransaction", &txid]).starts_with("0200"));
    let shown = node.ask(&["gettransaction", &txid]);
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["state", "final"])), "{shown}");
    assert!(node.ask(&["sendtoaddress", &address(1).to_string(), "0.1"]).contains(&txid));
    assert!(node.ask(&["gettxout", &txid, "n=2"]).contains("no such unspent output"));
    assert!(node.ask(&["listunspent", "0"]).contains("locked"));
    assert_eq!(node.ask(&["waitfornewblock", "1"]).lines().count(), 2);
    let raw = hex::encode(timed_primitives::encode(&transaction()));
    let output = run(node.home.path(), &["testmempoolaccept", "-"], &raw);
    assert!(String::from_utf8_lossy(&output.stdout).contains("already in a block"), "{output:?}");
    let output = run(node.home.path(), &["testmempoolaccept", &raw, &raw, &raw, "maxfeerate=0"], "");
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("already in a block").count(), 3, "{output:?}");
    assert_eq!(node.ask(&["stop"]), "timed is stopping\n");
    assert!(node.sample.stopped.load(Ordering::SeqCst));
}

#[test]
fn the_node_can_be_named() {
    let node = node();
    let elsewhere = tempfile::tempdir().unwrap();
    let (dir, url) = (node.data_dir(), format!("http://{}", node.address));
    let cookie = format!("{dir}/.cookie");
    let bare = node.address.to_string();
    let paths: [&[&str]; 5] = [
        &["--data-dir", &dir],
        &["--data-dir", Path::new(&dir).parent().unwrap().to_str().unwrap()],
        &["--rpc-url", &url, "--cookie", &cookie],
        &["--rpc-url", &url, "--rpc-user", "operator", "--rpc-password", "correct horse battery"],
        &["--rpc-url", &bare, "--cookie", &cookie],
    ];
    for path in paths {
        let output = run(elsewhere.path(), &[path, &["getblockcount"]].concat(), "");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "2\n", "{path:?}: {output:?}");
    }
    let by_environment = |words: &[&str], home: &Path, dir: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_time-cli"));
        command.args(words).env_clear().env("HOME", home).env("TIMED__NODE__DATA_DIR", dir);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(by_environment(&["getblockcount"], elsewhere.path(), &dir), "2\n");
    let found_by_number = by_environment(&["--node", "1", "getblockcount"], node.home.path(), "/nowhere");
    assert_eq!(found_by_number, "2\n", "that is another one than the environment's");
    assert_eq!(node.ask(&["--node", "1", "getblockcount"]), "2\n");
    node.refused(&["--node", "2", "getblockcount"], 3, "timed --node-id 2");
    node.refused(&["--rpc-url", &url, "getblockcount"], 1, "refused the credentials");
    node.refused(&["--rpc-url", "https://x", "getblockcount"], 2, "tunnel");
    node.refused(&["--rpc-url", &url, "--rpc-user", "u", "getblockcount"], 2, "--rpc-user needs --rpc-password");
    node.refused(&["--rpc-url", &url, "--data-dir", &dir, "getblockcount"], 2, "cannot be used with");
    node.refused(&["--cookie", &cookie, "getblockcount"], 2, "--cookie goes with --rpc-url");
}

#[test]
fn a_node_that_is_gone_is_passed_over() {
    let node = node();
    let gone = node.home.path().join(".timed/devnet-00000000/node-0");
    std::fs::create_dir_all(&gone).unwrap();
    // A port that was free a moment ago, with a cookie left behind by a crash.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    write_cookie(&gone, free).unwrap();
    assert_eq!(node.ask(&["getblockcount"]), "2\n");
    let gone = gone.display().to_string();
    node.refused(&["--data-dir", &gone, "getblockcount"], 3, &format!("timed --data-dir {gone}"));
    node.refused(&["--data-dir", &gone, "getblockcount"], 3, &format!("{free}, where nobody listens"));
    // Another server has the port now: it does not know the cookie.
    write_cookie(Path::new(&gone), node.address).unwrap();
    node.refused(&["--data-dir", &gone, "getblockcount"], 3, "no running node");
    node.refused(&["--data-dir", &gone, "getblockcount"], 3, "where another server answers");
}

/// A server that gives these answers to one connection each; what it was asked.
fn with_answers(answers: &[&str], ask: impl FnOnce(&str)) -> Vec<String> {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = server.local_addr().unwrap().to_string();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let answer = |body: &&str| {
                let (mut stream, _) = server.accept().unwrap();
                let mut asked = String::new();
                while !asked.contains("jsonrpc") {
                    let mut buffer = [0; 4096];
                    let read = std::io::Read::read(&mut stream, &mut buffer).unwrap();
                    asked.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
                }
                let length = body.len();
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
                    .unwrap();
                asked
            };
            answers.iter().map(answer).collect()
        });
        ask(&url);
        asked.join().unwrap()
    })
}

#[test]
fn a_node_that_is_busy_is_asked_again_while_there_is_time() {
    let nowhere = tempfile::tempdir().unwrap();
    let busy = r#"{"error":{"code":-9,"message":"busy: 64 calls are in progress","data":{"retry_after_ms":0}},"id":1}"#;
    let late = r#"{"error":{"code":-9,"message":"busy: for long","data":{"retry_after_ms":60000}},"id":1}"#;
    let asked = with_answers(&[busy, busy, r#"{"result":7,"id":1}"#], |url| {
        let output = run(nowhere.path(), &["--rpc-url", url, "getblockcount"], "");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "7", "{output:?}");
    });
    assert!(asked.iter().all(|asked| asked.contains("getblockcount")), "{asked:?}");
    with_answers(&[late], |url| refused(nowhere.path(), &["--rpc-url", url, "getblockcount"], 1, "busy: for long"));
}

#[test]
fn who_listens_and_does_not_answer_is_distinguished_from_nobody_and_from_what_is_no_node() {
    let nowhere = tempfile::tempdir().unwrap();
    let dir = nowhere.path().display().to_string();
    // The system takes the connection, and nobody ever looks at it.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap();
    write_cookie(nowhere.path(), address).unwrap();
    let words = ["--timeout", "1", "--data-dir", &dir, "getblockcount"];
    refused(
        nowhere.path(),
        &words,
        4,
        &format!("the node of {dir}: http://{address}/ listens and did not answer in time"),
    );
    let url = address.to_string();
    let words = ["--timeout", "1", "--rpc-url", &url, "getblockcount"];
    refused(nowhere.path(), &words, 4, "end it and start it again");

    let cases: [(&[u8], i32, &str); 4] = [
        (b"", 4, "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", 1, "is no timed node"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 1, "is no timed node"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 1, "answered with status 404"),
    ];
    for (answer, code, part) in cases {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = server.local_addr().unwrap().to_string();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = server.accept().unwrap();
                let mut buffer = [0; 4096];
                let _ = std::io::Read::read(&mut stream, &mut buffer);
                let _ = stream.write_all(answer);
            });
            refused(nowhere.path(), &["--rpc-url", &url, "getblockcount"], code, part);
        });
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    refused(nowhere.path(), &["--rpc-url", &free, "getblockcount"], 3, "nobody listens there");
}

#[test]
fn failures_have_their_exit_status() {
    let node = node();
    node.refused(&["getblockhash", "9"], 1, "error: no block at height 9: blocks are 0 to 2 (code -8)");
    node.refused(&["sendtoaddress", &address(1).to_string(), "1000"], 1, "insufficient funds");
    node.refused(&["getblockhash", "nine"], 2, "getblockhash: height: expected a whole number, got \"nine\"");
    node.refused(&["getblockhash", "-9"], 2, "expected a whole number");
    node.refused(&["getblockhash"], 2, "<height>");
    node.refused(&["getblokhash", "9"], 2, "getblockhash");
    node.refused(&["--no-such-flag"], 2, "--no-such-flag");
    node.refused(&["help", "getblokc"], 2, "did you mean \"getblock\"?");
    let nowhere = tempfile::tempdir().unwrap();
    refused(nowhere.path(), &["getblockcount"], 3, "Start one with: timed --node-id 1");
    refused(
        nowhere.path(),
        &["--rpc-url", "http://127.0.0.1:1", "getblockcount"],
        3,
        "cannot reach a node at http://127.0.0.1:1/",
    );
}

#[test]
fn help_needs_no_node() {
    let nowhere = tempfile::tempdir().unwrap();
    for words in [&["--help"][..], &["help"], &["help", "get-block"], &["getblock", "--help"], &["--version"]] {
        let output = run(nowhere.path(), words, "");
        assert!(output.status.success() && !output.stdout.is_empty(), "{words:?}: {output:?}");
    }
    let output = run(nowhere.path(), &["getblock", "--help"], "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("time-cli getblock 12 2") && text.contains("hash of the block, or its height"), "{text}");
}

/// Prepared on the node, signed with key files where no node is, sent by the node.
#[test]
fn a_registration_is_signed_where_no_node_is() {
    let (node, cold) = (node(), tempfile::tempdir().unwrap());
    let draft = cold.path().join("draft.json").display().to_string();
    let key = |purpose: &str, id: u64| SecretKey::development(purpose, id);
    let key_file = |name: &str, key: &SecretKey| {
        let file = cold.path().join(name);
        std::fs::write(&file, hex::encode(key.seed())).unwrap();
        file.display().to_string()
    };
    let owner = key("owner", 9).public().to_string();
    let collateral = address(1).to_string();
    let prepare = [
        "masternode",
        "prepare",
        "--tier",
        "bronze",
        "--service",
        "203.0.113.9:7000",
        "--owner",
        &owner,
        "--collateral",
        &collateral,
        "--output",
        &draft,
    ];
    let written = node.ask(&prepare);
    for part in [
        "what      registers a bronze masternode on devnet",
        "locks     1000.00000000 TIME of dtime1",
        "missing   owner",
    ] {
        assert!(written.contains(part), "{written}");
    }
    node.refused(&prepare, 2, "is there already");
    let other = key_file("other.key", &key("owner", 7));
    refused(cold.path(), &["masternode", "sign", &draft, &other], 2, "signs nothing here; missing: coin");
    refused(cold.path(), &["masternode", "sign", &draft, "/no/such.key"], 2, "the key file /no/such.key");
    let files = [("owner.key", key("owner", 9)), ("one.key", key("wallet", 1)), ("two.key", key("wallet", 2))];
    let files = files.map(|(name, key)| (key_file(name, &key), hex::encode(key.seed())));
    let words = ["masternode", "sign", &draft, &files[0].0, &files[1].0, &files[2].0];
    let output = run(cold.path(), &words, "");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success() && text.contains("signatures still missing: 1"), "{output:?}");
    for part in ["signed    owner", "signed    coin dtime1", "missing   operator", "payee     100.00 % to dtime1"] {
        assert!(text.contains(part), "{text}");
    }
    let whole = std::fs::read_to_string(&draft).unwrap();
    assert!(
        files.iter().all(|(_, secret)| !text.contains(secret) && !whole.contains(secret)),
        "no key leaves its file"
    );
    // The operator is this node, which signs when it sends.
    assert!(node.ask(&["masternode", "submit", &draft]).starts_with("sent: "));
    // Whoever changes what is signed changes its id, which the file names.
    let mut changed: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let hex = changed["hex"].as_str().unwrap().replacen("070000", "080000", 1);
    changed["hex"] = hex.into();
    std::fs::write(&draft, changed.to_string()).unwrap();
    refused(cold.path(), &words, 2, "this is no draft of a masternode");
}

#[test]
fn a_masternode_is_changed_with_key_files_and_no_key_file_is_written_over() {
    let (node, folder) = (node(), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (owner, operator) = (at("owner.key"), at("operator.key"));
    let made = node.ask(&["masternode", "key", &owner, "--network", "devnet"]);
    let secret = std::fs::read_to_string(&owner).unwrap();
    assert!(made.contains("dtime1") && !made.contains(secret.trim()), "{made}");
    let again = node.ask(&["--json", "masternode", "key", &owner]);
    assert!(again.contains("\"made\": false") && std::fs::read_to_string(&owner).unwrap() == secret, "{again}");
    // What is refused at first sight leaves no file behind.
    for (tier, service, why) in [("platinum", "127.0.0.1:7005", "is no tier"), ("bronze", "here", "'here'")] {
        let (owner, operator) = (at("early-owner.key"), at("early-operator.key"));
        let words = ["--tier", tier, "--service", service, "--owner-key", &owner, "--operator-key", &operator];
        node.refused(&[&["masternode", "register"][..], &words].concat(), 2, why);
        assert!(!Path::new(&owner).exists() && !Path::new(&operator).exists(), "{why}");
    }
    // The wallet of the sample has not all keys.
    let register = [
        "masternode",
        "register",
        "--tier",
        "bronze",
        "--service",
        "127.0.0.1:7005",
        "--owner-key",
        &owner,
        "--operator-key",
        &operator,
    ];
    node.refused(&register, 1, "signatures are missing: coin");
    let kept = std::fs::read_to_string(&operator).unwrap();
    node.refused(&register, 1, "signatures are missing: coin");
    assert_eq!((std::fs::read_to_string(&owner).unwrap(), std::fs::read_to_string(&operator).unwrap()), (secret, kept));
    let draft = at("leave.json");
    node.refused(&["masternode", "revoke"], 2, "signatures are missing: coin");
    let written = node.ask(&["masternode", "revoke", "--output", &draft]);
    assert!(written.contains("makes masternode 1111") && Path::new(&draft).exists(), "{written}");
    node.refused(&["masternode", "update"], 2, "name what changes");
    node.refused(&["masternode", "update", "--service", "1.2.3.4:5", "--payee", "x"], 2, "one change at a time");
    node.refused(&["masternode", "update", "--payee", "x=y"], 2, "a share is a number up to 10000");
    node.refused(&["masternode", "pause", &"00".repeat(32)], 1, "does not exist");
    assert!(node.ask(&["masternode", "list"]).starts_with("MASTERNODE  NAME"));
    assert!(node.ask(&["masternode", "status"]).contains("it votes: keep the machine running"));
    let proof: serde_json::Value = serde_json::from_str(&node.ask(&["--json", "masternode", "proof"])).unwrap();
    let proof = run(node.home.path(), &["verifymasternodeproof", "-"], proof["proof"].as_str().unwrap());
    assert!(String::from_utf8_lossy(&proof.stdout).contains("203.0.113.1:7000"), "{proof:?}");
}

#[test]
fn what_a_masternode_earned_and_lost_is_shown_by_its_name() {
    let node = node();
    let why = node.ask(&["masternode", "why", "node 2"]);
    assert!(why.starts_with("node 2, active, intervals 1 to 1\npaid less, 33.05315188 TIME: interval 1"), "{why}");
    let ended = node.ask(&["masternode", "why", &"17".repeat(32), "5"]);
    assert!(ended.contains("double sign, 50.00000000 TIME charged: height 2"), "{ended}");
    // This node's own, of so many intervals.
    assert!(node.ask(&["masternode", "why"]).ends_with("nothing was missed and nothing is charged\n"));
    let rewards = node.ask(&["masternode", "rewards", "7"]);
    assert!(rewards.starts_with("node 1: 66.10630376 TIME in intervals 1 to 1\nINTERVAL"), "{rewards}");
    let winners = node.ask(&["masternode", "winners", "3"]);
    assert!(winners.lines().count() == 4 && winners.lines().all(|line| line.chars().count() <= 80), "{winners}");
    let all: serde_json::Value = serde_json::from_str(&node.ask(&["--json", "masternode", "winners"])).unwrap();
    assert_eq!(all[0]["winners"][1]["name"], "node 2");
    node.refused(&["masternode", "why", "node 3"], 1, "no masternode is called \"node 3\"");
    node.refused(&["masternode", "rewards", &"00".repeat(32)], 1, "does not exist");
    node.refused(
        &["getrewardreport", "9"],
        1,
        "no report of interval 9: 1 to 1 are kept, 2 waits to be paid, 3 is open",
    );
    node.refused(&["getrewardreport", "soon"], 2, "the number of an interval, or latest, waiting or open");
    for name in ["why", "winners", "rewards"] {
        assert!(node.ask(&["masternode", name, "--help"]).contains(&format!("time-cli masternode {name} ")));
    }
}
