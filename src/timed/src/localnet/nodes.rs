//! The processes of a local network.

use anyhow::Context as _;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use timed_config::{DEVNET_P2P_PORT, DEVNET_RPC_PORT};

/// How long nodes have to end by themselves; one that takes longer is killed.
const STOP_WITHIN: Duration = Duration::from_secs(6);

/// One node.
pub(super) struct NodeProcess {
    pub(super) id: u64,
    pub(super) folder: PathBuf,
    pub(super) log: PathBuf,
    pub(super) rpc_port: u16,
    /// How it ended, if it did.
    pub(super) ended: Option<String>,
    child: Child,
}

/// All nodes. Each reads a pipe of ours and ends when it does, so none outlives this process, however that ends.
pub(super) struct Nodes {
    nodes: Vec<NodeProcess>,
    /// True when other ports than the usual were taken.
    pub(super) has_other_ports: bool,
}

impl Nodes {
    pub(super) fn start(count: u64, folder: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let (ports, has_other_ports) = ports(count)?;
        std::fs::create_dir_all(folder).with_context(|| {
            format!("cannot make the folder {}; choose another with --data-dir DIR", folder.display())
        })?;
        let mut nodes = Vec::new();
        for (id, (p2p_port, rpc_port)) in (1..).zip(&ports) {
            let data = folder.join(format!("node-{id}"));
            let log = folder.join(format!("node-{id}.log"));
            let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
            let mut command = Command::new(&program);
            command
                .args(["--node-id", &id.to_string(), "--dev-nodes", &count.to_string(), "--exit-with-stdin"])
                .args(["--p2p-port", &p2p_port.to_string(), "--rpc-port", &rpc_port.to_string()])
                .arg("--data-dir")
                .arg(&data)
                .stdin(Stdio::piped())
                .stdout(output.try_clone()?)
                .stderr(output);
            for (peer, _) in ports.iter().filter(|(other, _)| other != p2p_port) {
                command.args(["--peer", &format!("127.0.0.1:{peer}")]);
            }
            let child = command.spawn().with_context(|| format!("cannot start node {id}"))?;
            nodes.push(NodeProcess { id, folder: data, log, rpc_port: *rpc_port, ended: None, child });
        }
        Ok(Self { nodes, has_other_ports })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &NodeProcess> {
        self.nodes.iter()
    }

    /// The first node that runs.
    pub(super) fn first_running(&self) -> Option<&NodeProcess> {
        self.nodes.iter().find(|node| node.ended.is_none())
    }

    pub(super) fn all_ended(&self) -> bool {
        self.first_running().is_none()
    }

    pub(super) fn notice_ends(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.ended.is_none()) {
            if let Ok(Some(status)) = node.child.try_wait() {
                node.ended = Some(format!("{status}: {}", last_line(&node.log)));
            }
        }
    }

    /// Closes the pipes and waits.
    pub(super) async fn stop(&mut self) {
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
            // Both fail only when it has just ended by itself.
            let _ = node.child.kill();
            let _ = node.child.wait();
        }
    }
}

/// Ports for peers and for RPC: the usual ones, or, if any of them is taken, free ones.
fn ports(count: u64) -> anyhow::Result<(Vec<(u16, u16)>, bool)> {
    let count = u16::try_from(count).context("too many nodes")?;
    let usual: Vec<_> = (0..count).map(|n| (DEVNET_P2P_PORT + n, DEVNET_RPC_PORT + n)).collect();
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if usual.iter().all(|(p2p, rpc)| bind(*p2p).is_ok() && bind(*rpc).is_ok()) {
        return Ok((usual, false));
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
