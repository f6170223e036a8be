//! One node that dials nobody, for measurements of what others do to it: nothing is decided, so that they are all it has to do.

use super::chain::{VALIDATORS, make_chain};
use super::report::float;
use super::usage;
use anyhow::Context as _;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use timed_devnet::local_nodes::{NodeProcess, Ports, Setup, choose};

/// How long the node has to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// After it answers, before it counts as idle.
const SETTLE: Duration = Duration::from_secs(2);

/// A node of its own process, which ends with this value.
pub(super) struct LoneNode(NodeProcess);

/// What the node holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct NodeUsage {
    pub(super) memory_mib: f64,
    pub(super) files: f64,
}

impl LoneNode {
    /// Starts it, with a chain of so many full blocks in its data folder or none, and waits until it answers and is idle.
    ///
    /// # Errors
    /// When it cannot be started, or does not answer in time.
    pub(super) fn start(
        program: &Path,
        folder: &Path,
        environment: Vec<(&'static str, String)>,
        blocks: Option<u32>,
    ) -> anyhow::Result<Self> {
        let (ports, _) = choose(Ports::Free, 1)?;
        let ports = *ports.first().context("this machine has no free ports on 127.0.0.1")?;
        let setup = Setup {
            program,
            id: VALIDATORS + 1,
            validators: VALIDATORS,
            folder,
            ports,
            peers: Vec::new(),
            environment,
        };
        if let Some(blocks) = blocks {
            make_chain(&setup.data(), blocks)?;
        }
        let node = setup.start()?;
        let start = Instant::now();
        while super::ask(&node.folder, "getpeerinfo", json!([])).is_err() {
            let (waited, log) = (start.elapsed(), node.log.display());
            anyhow::ensure!(waited < PATIENCE, "node {} does not answer; its log is {log}", node.id);
            std::thread::sleep(super::LOOK_EVERY);
        }
        std::thread::sleep(SETTLE);
        Ok(Self(node))
    }

    /// Where peers connect.
    pub(super) fn port(&self) -> u16 {
        self.0.p2p_port
    }

    /// Where its data is.
    pub(super) fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Where its metrics are.
    pub(super) fn rpc_port(&self) -> u16 {
        self.0.rpc_port
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Memory and open files.
    ///
    /// # Errors
    /// Where the system does not say.
    pub(super) fn usage(&self) -> anyhow::Result<NodeUsage> {
        usage(self.pid())
    }

    /// Processor time so far.
    ///
    /// # Errors
    /// Where the system does not say.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        usage::cpu_time(self.pid()).context("the system does not show a process's processor time")
    }
}

/// Memory and open files of a process.
///
/// # Errors
/// Where the system does not say, or when it has ended.
pub(super) fn usage(pid: u32) -> anyhow::Result<NodeUsage> {
    let (memory_mib, _) = usage::memory_mib(pid).context("the system does not show a process's memory")?;
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).context("the system does not show open files")?;
    Ok(NodeUsage { memory_mib, files: float(files.count() as u64) })
}
