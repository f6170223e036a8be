//! What the daemon reports, and what it is asked for.

use super::topic::{Topic, TopicSet};
use crate::error::RpcError;
use async_trait::async_trait;
use std::sync::Arc;
use timed_ledger::{KeyHash, OutPoint, RegistrationId, RewardReport, Transaction};
use timed_primitives::{Block, BlockId, CommitCertificate, Height, PublicKey, TxId};
use tokio::sync::watch;

/// A final block with what only the chain knows of it.
#[derive(Clone, Debug)]
pub struct FinalBlock {
    /// The block.
    pub block: Arc<Block>,
    /// The precommits that made it final.
    pub certificate: Arc<CommitCertificate>,
    /// What it paid to masternodes, as far as that is kept.
    pub payouts: Option<RewardReport>,
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum NodeEvent {
    /// The last final block has this height now. Blocks in between may not have been reported.
    Tip(Height),
    /// All that waits in the mempool. What waited before and does not now has left it unseen.
    Pool(Vec<WaitingPayment>),
    /// The mempool changed, in this order.
    PoolChanges(Vec<PoolChange>),
    /// All peers that are up, and of those that are gone since the last report why, as far as that is known.
    Peers {
        /// Who is up.
        up: Vec<PeerUpState>,
        /// Whose session ended, by the session's number.
        ended: Vec<(u64, PeerEnd)>,
    },
    /// What is being decided.
    Consensus(ConsensusStep),
    /// All masternodes after the last block.
    Masternodes(Vec<MasternodeState>),
    /// What this topic is about is not followed any more, since nobody wanted it. [`Topic::Payments`] stands for the mempool.
    NotFollowed(Topic),
}

/// A payment in the mempool.
#[derive(Clone, Debug)]
pub struct WaitingPayment {
    /// The payment.
    pub transaction: Arc<Transaction>,
    /// The proposed block that holds it.
    pub block: Option<BlockId>,
}

/// A change of the mempool.
#[derive(Clone, Debug)]
pub enum PoolChange {
    /// A payment entered.
    Entered(Arc<Transaction>),
    /// A proposed block holds it.
    Proposed {
        /// Which.
        txid: TxId,
        /// The block.
        block: BlockId,
    },
    /// The block that held it was not decided.
    WaitsAgain(TxId),
    /// It is in a final block, which is reported apart.
    Included(TxId),
    /// It will not become final, as far as is known.
    Declined(DeclinedPayment),
}

/// Why a payment will not become final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclinedPayment {
    /// Which.
    pub txid: TxId,
    /// Why, for programs: `conflict`, `full`, `expired`, `ancestor_lost` or `invalid`.
    pub reason: &'static str,
    /// Why, for people.
    pub why: String,
    /// The transaction on whose account it is declined, when that is known.
    pub by: Option<TxId>,
    /// The output that it spent and that does not come back: another transaction has it.
    pub gone: Option<OutPoint>,
}

/// A peer that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerUpState {
    /// Number of the session: `id` of `getpeerinfo`.
    pub session: u64,
    /// Where it is.
    pub address: String,
    /// Its node key.
    pub key: PublicKey,
    /// Its consensus key, when it has proved one.
    pub validator: Option<PublicKey>,
    /// Whether it dialled us.
    pub is_inbound: bool,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerEnd {
    /// Why, for programs.
    pub reason: String,
    /// Why and by whom, for people.
    pub why: String,
}

/// Where consensus stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsensusStep {
    /// The height that is decided.
    pub height: Height,
    /// Its round.
    pub round: u32,
    /// The step, in small letters; `idle` while there is nothing to decide.
    pub step: &'static str,
    /// Who leads the round.
    pub proposer: Option<PublicKey>,
    /// The proposed block, when it is here.
    pub proposal: Option<BlockId>,
}

/// A masternode, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasternodeState {
    /// Its name.
    pub id: RegistrationId,
    /// What it does: `status` of `masternodelist`.
    pub status: String,
    /// The key with which it votes.
    pub operator: PublicKey,
    /// Where it is reached.
    pub service: String,
    /// The transaction that changed it last.
    pub last_change: TxId,
}

/// Who knows what happens on the node, and what has happened.
#[async_trait]
pub trait EventsApi: Send + Sync {
    /// The lowest height that can be read, and that of the last block.
    fn heights(&self) -> (Height, Height);

    /// Final blocks from a height on, in order: one at least if there is one, at most `count_max`, and none further from `bytes_max` bytes on.
    /// Waits for the disk.
    ///
    /// # Errors
    /// When they cannot be read.
    fn final_blocks(&self, first: Height, count_max: usize, bytes_max: usize) -> Result<Vec<FinalBlock>, RpcError>;

    /// Whether the node's wallet can spend what this owner is paid.
    fn is_owner_mine(&self, owner: &KeyHash) -> bool;

    /// Reports what happens, until the node ends. Of the topics that are not wanted nothing need be reported but [`NodeEvent::Tip`]; when one is
    /// wanted again, all there is comes first.
    async fn follow(&self, wanted: watch::Receiver<TopicSet>, report: &(dyn Fn(NodeEvent) + Send + Sync));
}
