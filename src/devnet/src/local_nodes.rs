//! Nodes of a development network on this machine, each a process of the program `timed`: started, killed, frozen, started again.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{DirBuilder, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use timed_config::{DEVNET_P2P_PORT, DEVNET_RPC_PORT};

/// How long nodes have to end by themselves; one that takes longer is killed.
const STOP_WITHIN: Duration = Duration::from_secs(6);

/// One node.
pub struct NodeProcess {
    /// Its number.
    pub id: u64,
    /// Its data folder.
    pub folder: PathBuf,
    /// The file with what it says.
    pub log: PathBuf,
    /// Where peers connect.
    pub p2p_port: u16,
    /// Where clients do.
    pub rpc_port: u16,
    /// How it ended, if it did.
    pub ended: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    program: PathBuf,
    child: Child,
}

/// How a node is started.
pub struct Setup<'a> {
    /// The program `timed`.
    pub program: &'a Path,
    /// Its number: up to `validators` it votes, above it observes.
    pub id: u64,
    /// How many nodes vote.
    pub validators: u64,
    /// Where its data folder and its log are.
    pub folder: &'a Path,
    /// Ports for peers and for RPC.
    pub ports: (u16, u16),
    /// Ports of its peers.
    pub peers: Vec<u16>,
    /// What else its configuration says.
    pub environment: Vec<(&'static str, String)>,
}

impl Setup<'_> {
    /// The node's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join(format!("node-{}", self.id))
    }

    /// Starts the node with a new log.
    ///
    /// # Errors
    /// When the folder cannot be written, or the process cannot be started.
    pub fn start(&self) -> anyhow::Result<NodeProcess> {
        let (id, (p2p_port, rpc_port)) = (self.id, self.ports);
        let log = self.folder.join(format!("node-{id}.log"));
        let mut arguments: Vec<String> = vec!["--exit-with-stdin".into()];
        let mut flag = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        flag("--node-id", id.to_string());
        flag("--dev-nodes", self.validators.to_string());
        flag("--p2p-port", p2p_port.to_string());
        flag("--rpc-port", rpc_port.to_string());
        flag("--data-dir", self.data().display().to_string());
        // A log is of one run.
        File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let peers: Vec<_> = self.peers.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        // Also when there are none: a development node would dial the usual ports, where nodes of another network may be.
        let mut environment = self.environment.clone();
        environment.push(("TIMED__P2P__PEERS", peers.join(",")));
        let program = self.program.to_owned();
        let child =
            spawn(&program, &arguments, &environment, &log).with_context(|| format!("cannot start node {id}"))?;
        let folder = self.data();
        Ok(NodeProcess { id, folder, log, p2p_port, rpc_port, ended: None, arguments, environment, program, child })
    }
}

impl NodeProcess {
    fn start(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.program, &self.arguments, &self.environment, &self.log)?;
        self.ended = None;
        Ok(())
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal. A node that has just ended by itself does not mind.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw)
            && self.ended.is_none()
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// `kill -9`, waited for.
    pub fn kill(&mut self) {
        // Both fail only when it has just ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.ended = Some("killed".into());
    }

    /// Starts it again, after it has ended.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        if self.ended.is_none() {
            self.kill();
        }
        self.start()
    }
}

/// A frozen process would not notice that its pipe has ended.
impl Drop for NodeProcess {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
        }
    }
}

/// Which ports the nodes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// 7000.. and 7100.., or free ones when any of these is taken.
    Usual,
    /// Free ones, so that nothing else on this machine is disturbed.
    Free,
}

/// All nodes. Each reads a pipe of ours and ends when it does, so none outlives this process, however that ends.
pub struct Nodes {
    nodes: Vec<NodeProcess>,
    /// True when other ports than the usual are used.
    pub has_other_ports: bool,
}

impl Nodes {
    /// Starts `count` validators of this program with data and logs in `folder`.
    ///
    /// # Errors
    /// When there are no ports, the folder cannot be written, or a process cannot be started.
    pub fn start(program: &Path, count: u64, folder: &Path, ports: Ports) -> anyhow::Result<Self> {
        let (ports, has_other_ports) = choose(ports, count)?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| {
            format!("cannot make the folder {}; choose another with --data-dir DIR", folder.display())
        })?;
        let mut nodes = Vec::new();
        for (id, own) in (1..).zip(&ports) {
            let peers = ports.iter().map(|(peer, _)| *peer).filter(|peer| *peer != own.0).collect();
            nodes.push(
                Setup { program, id, validators: count, folder, ports: *own, peers, environment: Vec::new() }
                    .start()?,
            );
        }
        Ok(Self { nodes, has_other_ports })
    }

    /// All, in the order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &NodeProcess> {
        self.nodes.iter()
    }

    /// The same, to be disturbed.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut NodeProcess> {
        self.nodes.iter_mut()
    }

    /// The first node that runs.
    pub fn first_running(&self) -> Option<&NodeProcess> {
        self.nodes.iter().find(|node| node.ended.is_none())
    }

    /// Whether none runs any more.
    pub fn all_ended(&self) -> bool {
        self.first_running().is_none()
    }

    /// Looks which have ended by themselves, and why.
    pub fn notice_ends(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.ended.is_none()) {
            if let Ok(Some(status)) = node.child.try_wait() {
                node.ended = Some(format!("{status}: {}", last_line(&node.log)));
            }
        }
    }

    /// Closes the pipes and waits.
    pub async fn stop(&mut self) {
        for node in &mut self.nodes {
            drop(node.child.stdin.take());
        }
        let deadline = tokio::time::Instant::now() + STOP_WITHIN;
        while !self.all_ended() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.notice_ends();
        }
        for node in self.nodes.iter_mut().filter(|node| node.ended.is_none()) {
            eprintln!("timed: node {} did not end in time and is killed; its log is {}", node.id, node.log.display());
            node.kill();
        }
    }
}

fn spawn(
    program: &Path,
    arguments: &[String],
    environment: &[(&'static str, String)],
    log: &Path,
) -> anyhow::Result<Child> {
    let output = File::options().append(true).open(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(environment.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        // A group of its own: Ctrl-C of the terminal is for whoever started the nodes, who ends them when it has asked them for the last time.
        .process_group(0);
    Ok(command.spawn()?)
}

/// Ports for peers and for RPC, and whether they are others than the usual.
///
/// # Errors
/// When there are no ports.
pub fn choose(ports: Ports, count: u64) -> anyhow::Result<(Vec<(u16, u16)>, bool)> {
    let count = u16::try_from(count).context("too many nodes")?;
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if ports == Ports::Usual {
        let usual: Vec<_> = (0..count).map(|n| (DEVNET_P2P_PORT + n, DEVNET_RPC_PORT + n)).collect();
        if usual.iter().all(|(p2p, rpc)| bind(*p2p).is_ok() && bind(*rpc).is_ok()) {
            return Ok((usual, false));
        }
    }
    // Held together, so that no number comes twice.
    let held: Vec<_> = (0..count).map(|_| Ok((bind(0)?, bind(0)?))).collect::<std::io::Result<_>>()?;
    let free: std::io::Result<Vec<_>> =
        held.iter().map(|(p2p, rpc)| Ok((p2p.local_addr()?.port(), rpc.local_addr()?.port()))).collect();
    Ok((free.context("this machine has no free ports on 127.0.0.1")?, true))
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().next_back().unwrap_or("its log is empty").to_owned()
}
