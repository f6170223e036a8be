//! The network that is paid through.

use super::coins::BenchCoins;
use anyhow::Context as _;
use std::path::Path;
use timed_cli::NodeConnection;
use timed_devnet::local_nodes::{Nodes, Ports};

/// Running nodes and the coins that pay.
pub(super) struct PaymentNetwork {
    pub(super) nodes: Nodes,
    pub(super) coins: BenchCoins,
}

impl PaymentNetwork {
    pub(super) fn start(program: &Path, count: u64, folder: &Path) -> anyhow::Result<Self> {
        let nodes = Nodes::start(program, count, folder, Ports::Free)?;
        crate::wait_for_height(&nodes, 1)?;
        let coins = BenchCoins::of_devnet(count);
        Ok(Self { nodes, coins })
    }
}

/// Connections to all nodes.
pub(super) fn connections(nodes: &Nodes) -> anyhow::Result<Vec<NodeConnection>> {
    nodes.iter().map(|node| NodeConnection::of_data_dir(&node.folder).context("a node does not answer")).collect()
}
