//! The network that is paid through while one of its nodes is read from.

use super::arguments::RpcLoadArgs;
use super::figures::PaymentsSeen;
use super::flood::FloodTargets;
use super::read_block::ReadBlock;
use super::readers::ReadPlan;
use crate::overload::follow::{Followers, NodeBlock};
use crate::overload::generator::{CALLS_EACH, Generator, Stretch, dues};
use crate::overload::load::{LoadKind, PaymentLoad};
use crate::payments::coins::{BenchCoins, Shape};
use crate::payments::run::{make_final, split_coins};
use crate::{report, usage};
use anyhow::Context as _;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use timed_cli::NodeConnection;
use timed_devnet::local_nodes::{NodeProcess, Nodes, Ports};
use timed_ledger::Address;
use timed_primitives::Network;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Outputs of one transaction of 64 KiB.
const PILE_PAYEES: u64 = 1_500;
/// How fast these are sent: so fast that several share a block. Unit: transactions per second.
const PILE_RATE: f64 = 40.0;
/// Outputs that `gettxout` asks for in turn.
const PILE_SHOWN: u32 = 1_000;
/// How long what was taken may need to become final.
const SETTLE_MAX: Duration = Duration::from_secs(20);
/// Payments are signed ahead for so many times what is due, since coins pay more than once.
const AHEAD: f64 = 1.4;

/// Running nodes, what pays, and what is seen of them.
pub(crate) struct RpcNetwork {
    runtime: Runtime,
    nodes: Nodes,
    load: PaymentLoad,
    addresses: Vec<(SocketAddr, String)>,
    blocks: mpsc::UnboundedReceiver<NodeBlock>,
    _followers: Followers,
    /// Outputs that nobody spends.
    pub(super) pile: Vec<(String, u32)>,
    pile_owner: Address,
}

impl RpcNetwork {
    /// Starts it and prepares coins and the address with many outputs.
    ///
    /// # Errors
    /// When a node does not start or work.
    pub(super) fn start(arguments: &RpcLoadArgs, program: &Path, folder: &Path) -> anyhow::Result<Self> {
        Self::with_outputs(arguments.nodes, arguments.outputs, program, folder)
    }

    /// The same with so many nodes, and an address with so many outputs.
    ///
    /// # Errors
    /// When a node does not start or work.
    pub(crate) fn with_outputs(nodes: u64, outputs: u32, program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut coins = BenchCoins::of_devnet(nodes);
        let nodes = Nodes::start(program, nodes, folder, Ports::Free)?;
        crate::wait_for_height(&nodes, 1)?;
        let kind = LoadKind::Normal;
        split_coins(&nodes, &mut coins, kind.coins(), kind.split_into())?;
        report::progress(format!("paying {outputs} outputs to one address"));
        let payees = u64::from(outputs).min(PILE_PAYEES);
        let count = u64::from(outputs).div_ceil(payees);
        let places: Vec<usize> = (1..=usize::try_from(count)?).collect();
        let piles = coins.spends(&places, Shape { payees, is_pile: true, ..Shape::SMALL });
        let piles: Vec<_> = piles.into_iter().map(|spend| spend.payment).collect();
        let txid = piles.first().context("nothing is paid")?.id.0.to_string();
        let shown = u32::try_from(payees)?.min(PILE_SHOWN);
        let pile = (0..shown).map(|index| (txid.clone(), index)).collect();
        let pile_owner = Address { network: Network::Devnet, key_hash: coins.pile_owner() };
        make_final(&nodes, piles, PILE_RATE)?;
        let address = |node: &NodeProcess| {
            let (cookie, address) = timed_rpc::read_cookie(&node.folder).context("a node has no cookie")?;
            anyhow::Ok((address, cookie.header()))
        };
        let addresses = nodes.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        let (sender, blocks) = mpsc::unbounded_channel();
        let followers = Followers::start(nodes.iter().map(|node| node.folder.as_path()), &sender)?;
        let load = PaymentLoad::new(kind, coins, addresses.len());
        Ok(Self { runtime, nodes, load, addresses, blocks, _followers: followers, pile, pile_owner })
    }

    /// Pays for so long, and waits until all that was taken is final.
    ///
    /// # Errors
    /// When no coin can pay.
    pub(super) fn play(&mut self, rate: f64, time: Duration) -> anyhow::Result<PaymentsSeen> {
        let due = dues(&[Stretch { from: Duration::ZERO, length: time, rate }], false);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the largest rate")]
        let expected = (rate * time.as_secs_f64() * AHEAD).ceil() as usize;
        self.load.sign_ahead(expected, due.len());
        anyhow::ensure!(self.load.ready() > 0, "no coin is left that can pay; the nodes' logs say why");
        // What was decided meanwhile is of no run.
        while self.blocks.try_recv().is_ok() {}
        let pids: Vec<u32> = self.nodes.iter().map(NodeProcess::pid).collect();
        let used = || pids.iter().map(|pid| usage::cpu_time(*pid)).collect::<Vec<_>>();
        let before = used();
        let generator = Generator::new(LoadKind::Normal, &mut self.load, &self.addresses, due, CALLS_EACH);
        let recorded = self.runtime.block_on(generator.run(&mut self.blocks, SETTLE_MAX, |_| {}));
        let spent = before.iter().zip(used()).map(|(before, after)| Some(after?.saturating_sub((*before)?)));
        let cpu = spent.collect::<Option<Vec<Duration>>>().unwrap_or_default();
        let memory = pids.first().and_then(|pid| usage::memory_mib(*pid)).map(|(_, most)| most);
        Ok(PaymentsSeen::of(&recorded.slots, &recorded.blocks, self.addresses.len(), time, cpu, memory))
    }

    /// As [`Self::play`], when only the load matters.
    ///
    /// # Errors
    /// When no coin can pay.
    pub(crate) fn load(&mut self, rate: f64, time: Duration) -> anyhow::Result<()> {
        self.play(rate, time)?;
        Ok(())
    }

    /// The data folder of the first node, and the file with its log.
    ///
    /// # Errors
    /// When none runs.
    pub(crate) fn first(&self) -> anyhow::Result<(PathBuf, PathBuf)> {
        let node = self.nodes.iter().next().context("no node runs")?;
        Ok((node.folder.clone(), node.log.clone()))
    }

    /// What so many clients ask of the first node.
    pub(super) fn plan(&self, bodies: Vec<Vec<u8>>, connections: usize) -> ReadPlan {
        let (address, authorization) =
            self.addresses.first().cloned().unwrap_or_else(|| (([127, 0, 0, 1], 1).into(), String::new()));
        ReadPlan { address, authorization, bodies: bodies.into(), connections, is_unread: false }
    }

    pub(super) fn targets(&self, height: u64) -> FloodTargets {
        FloodTargets { height, address: self.pile_owner.to_string() }
    }

    /// The block with the most bytes.
    ///
    /// # Errors
    /// When the first node does not answer.
    pub(super) fn largest_block(&self) -> anyhow::Result<ReadBlock> {
        let node = self.nodes.iter().next().context("no node runs")?;
        let mut connection = NodeConnection::of_data_dir(&node.folder)?;
        let tip = connection.call("getblockcount", json!([]))?.as_u64().unwrap_or_default();
        let mut largest = ReadBlock::ask(&mut connection, 1)?;
        for height in 2..=tip {
            let block = ReadBlock::ask(&mut connection, height)?;
            if block.bytes > largest.bytes {
                largest = block;
            }
        }
        Ok(largest)
    }

    /// Ends the nodes in good order.
    pub(crate) fn stop(&mut self) {
        self.runtime.block_on(self.nodes.stop());
    }
}
