//! Starts nodes as processes, asks them, waits for them with a deadline, and leaves none behind.

pub(crate) use crate::client::Client;
use crate::client::{assert_same_blocks, wait_final};
use crate::programs::clean;
pub(crate) use crate::programs::run;
use crate::waiting::PATIENCE;
pub(crate) use crate::waiting::{Stopwatch, pause, wait_for};
use serde_json::json;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use tempfile::TempDir;
use timed_cli::NodeConnection;

/// How much of a log a failure shows. Unit: lines.
const LOG_LINES_SHOWN: usize = 25;

/// The program under test.
pub(crate) fn timed() -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_timed")))
}

/// The client, as the program under test has it.
pub(crate) fn cli() -> Command {
    let mut command = timed();
    command.arg("cli");
    command
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    free_ports(1)
}

/// The first of several ports in a row that nobody listens on. Below those that the system gives to outgoing connections, so that no node takes one as its own end
/// of a connection while the node that is to listen there is down. Processes that test start at different places.
pub(crate) fn free_ports(count: u16) -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 18_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..COUNT {
        let own = (std::process::id() % 600) * 30;
        let offset = u16::try_from(own).unwrap().wrapping_add(NEXT.fetch_add(count, Ordering::Relaxed)) % COUNT;
        let mut ports = FIRST + offset..FIRST + offset + count;
        if ports.all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()) {
            return FIRST + offset;
        }
    }
    panic!("no port is free");
}

/// A process with its output in files; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) log: PathBuf,
    pub(crate) errors: PathBuf,
}

impl Process {
    /// Output is appended to `<name>.log` and `<name>.err` in `folder`. Standard input is a pipe that ends with us.
    pub(crate) fn start(mut command: Command, folder: &Path, name: &str) -> Self {
        let append = |path: &Path| File::options().create(true).append(true).open(path).unwrap();
        let (log, errors) = (folder.join(format!("{name}.log")), folder.join(format!("{name}.err")));
        command.stdin(Stdio::piped()).stdout(append(&log)).stderr(append(&errors));
        Self { child: command.spawn().unwrap(), log, errors }
    }

    /// As [`Self::start`], but standard output is a pipe that nobody reads until somebody takes it.
    pub(crate) fn start_unread(mut command: Command, folder: &Path, name: &str) -> Self {
        let errors = folder.join(format!("{name}.err"));
        let error_file = File::options().create(true).append(true).open(&errors).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(error_file);
        Self { child: command.spawn().unwrap(), log: folder.join(format!("{name}.log")), errors }
    }

    /// The unread pipe.
    pub(crate) fn take_output(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("a process with an unread output")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name: `KILL`, `TERM`, `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(status.success(), "kill -{name} failed");
    }

    pub(crate) fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub(crate) fn wait_end(&mut self) -> ExitStatus {
        wait_for("the end of a process", || self.has_ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the node that runs in this data folder.
pub(crate) fn client_of(id: u64, folder: PathBuf) -> Client {
    Client::new(id, move || NodeConnection::of_data_dir(&folder))
}

/// A node, running or not, with its folder and ports, which stay its own over restarts.
pub(crate) struct Node {
    client: Client,
    pub(crate) folder: PathBuf,
    pub(crate) p2p_port: u16,
    pub(crate) rpc_port: u16,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Deref for Node {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Node {
    /// The command that starts it.
    pub(crate) fn command(&self) -> Command {
        let mut command = timed();
        command.args(&self.arguments);
        command
    }

    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "node {} runs already", self.id);
        let mut command = self.command();
        command.arg("--exit-with-stdin");
        self.process = Some(Process::start(command, self.folder.parent().unwrap(), &format!("node-{}", self.id)));
    }

    /// Starts it with an output that nobody reads, and with these words on its command line.
    pub(crate) fn start_unread(&mut self, words: &[&str]) {
        assert!(self.process.is_none(), "node {} runs already", self.id);
        let mut command = self.command();
        command.args(words);
        let folder = self.folder.parent().unwrap();
        self.process = Some(Process::start_unread(command, folder, &format!("node-{}", self.id)));
    }

    /// Its next lives read this configuration; the flags of all nodes lie above it.
    pub(crate) fn configure(&mut self, toml: &str) {
        let file = self.folder.with_extension("toml");
        fs::write(&file, toml).unwrap();
        if !self.arguments.iter().any(|word| word == "--config") {
            self.arguments.extend(["--config".to_owned(), file.display().to_string()]);
        }
    }

    /// Its next life dials this port only, and listens elsewhere: nobody else knows where.
    pub(crate) fn dial_only(&mut self, peer: u16) {
        let value = |flag: &str, arguments: &[String]| arguments.iter().position(|word| word == flag).unwrap() + 1;
        while let Some(at) = self.arguments.iter().position(|word| word == "--peer") {
            self.arguments.drain(at..at + 2);
        }
        self.arguments.extend(["--peer".to_owned(), format!("127.0.0.1:{peer}")]);
        self.p2p_port = free_port();
        let port = value("--p2p-port", &self.arguments);
        self.arguments[port] = self.p2p_port.to_string();
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the node runs")
    }

    /// `kill -9`; returns when it is dead.
    pub(crate) fn kill(&mut self) {
        drop(self.process.take().expect("the node runs"));
    }

    /// Waits for an end that something else brought about.
    pub(crate) fn wait_end(&mut self) -> ExitStatus {
        let status = self.process().wait_end();
        self.process = None;
        status
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Status and text of a page.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        page(self.rpc_port, path)
    }

    /// Everything it logged, over all its lives.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.with_extension("log")).unwrap_or_default()
    }

    /// The height that it had at its last start by its own data, before it had heard of anybody: it is in its first line.
    pub(crate) fn height_at_start(&self) -> u64 {
        let log = self.log();
        let line = log.lines().rfind(|line| line.contains(" of devnet (chain ")).expect("the first line of a node");
        let number = line.split("), height ").nth(1).and_then(|rest| rest.split(',').next());
        number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no height in: {line}"))
    }

    /// Everything on standard error, and every panic in the log.
    pub(crate) fn errors(&self) -> String {
        let panics: String =
            self.log().lines().filter(|line| line.contains("panicked: ")).map(|line| format!("{line}\n")).collect();
        fs::read_to_string(self.folder.with_extension("err")).unwrap_or_default() + &panics
    }

    /// What a failure shows of it.
    fn describe(&self) -> String {
        let mut text = format!("--- node {}: height {:?}", self.id, self.height());
        if let Ok(consensus) = self.call("getconsensusinfo", json!([])) {
            let (height, round) = (&consensus["height"], &consensus["round"]);
            let _ = write!(text, ", at height {height} round {round}: {}", consensus["why"]);
        }
        let (log, errors) = (self.log(), self.errors());
        let lines: Vec<_> = log.lines().filter(|line| !line.contains("BOUND] ")).collect();
        for line in lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].iter().copied().chain(errors.lines()) {
            let _ = write!(text, "\n    {line}");
        }
        text
    }
}

/// A page by HTTP from a local port: status and text.
pub(crate) fn page(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.trim().to_owned())
}

/// Development nodes that know each other, below one temporary folder.
pub(crate) struct Network {
    pub(crate) nodes: Vec<Node>,
    _folder: TempDir,
}

impl Network {
    /// `validators` that vote and `observers` with the ids above; none runs yet.
    pub(crate) fn prepare(validators: u64, observers: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports: Vec<_> = (0..validators + observers).map(|_| (free_port(), free_port())).collect();
        let node = |(id, &(p2p_port, rpc_port)): (u64, &(u16, u16))| {
            let data = folder.path().join(format!("node-{id}"));
            let mut arguments = Vec::new();
            let mut flag = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
            flag("--node-id", u64::to_string(&id));
            flag("--dev-nodes", validators.to_string());
            flag("--p2p-port", p2p_port.to_string());
            flag("--rpc-port", rpc_port.to_string());
            flag("--data-dir", data.display().to_string());
            for (peer, _) in ports.iter().filter(|(peer, _)| *peer != p2p_port) {
                flag("--peer", format!("127.0.0.1:{peer}"));
            }
            let client = client_of(id, data.clone());
            Node { client, folder: data, p2p_port, rpc_port, arguments, process: None }
        };
        let nodes = (1..).zip(&ports).map(node).collect();
        Self { nodes, _folder: folder }
    }

    /// As [`Self::prepare`], all running and at height 1 or above.
    pub(crate) fn start(validators: u64, observers: u64) -> Self {
        let mut network = Self::prepare(validators, observers);
        network.nodes.iter_mut().for_each(Node::start);
        network.wait_height(1);
        network
    }

    pub(crate) fn node(&self, id: u64) -> &Node {
        self.nodes.iter().find(|node| node.id == id).expect("a node of the network")
    }

    pub(crate) fn node_mut(&mut self, id: u64) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.id == id).expect("a node of the network")
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.process.is_some())
    }

    /// Waits until every node that runs has a height.
    pub(crate) fn wait_height(&self, height: u64) {
        wait_for(&format!("height {height} on every node"), || {
            self.running().all(|node| node.height() >= Some(height)).then_some(())
        });
    }

    /// Waits until a payment is final on every node that runs, in the same block; returns its height.
    pub(crate) fn wait_final(&self, txid: &str) -> u64 {
        wait_final(&self.clients(), txid)
    }

    /// Every block of every node that runs is the same, up to the lowest of their heights, which is returned.
    pub(crate) fn assert_same_blocks(&self) -> u64 {
        assert_same_blocks(&self.clients())
    }

    fn clients(&self) -> Vec<&Client> {
        self.running().map(|node| &node.client).collect()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in &self.nodes {
                eprintln!("{}", node.describe());
            }
        }
    }
}

/// True while a process works in a data folder. The system frees the lock when that process ends, however it ends.
pub(crate) fn is_in_use(folder: &Path) -> bool {
    File::open(folder.join("lock")).is_ok_and(|file| file.try_lock().is_err())
}
