//! What happens on the node, for clients that follow it: from published state, the feed of the mempool, and the chain.

use crate::Service;
use crate::failures::unreadable;
use crate::rewards::payments;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;
use timed_actors::mempool::{ListEntries, PoolNews, PoolNewsBatch};
use timed_actors::peer_manager::PeersView;
use timed_consensus::ConsensusStatus;
use timed_ledger::{KeyHash, MasternodeList, payment_of};
use timed_mempool::{LossReason, PoolEvent, RemovalReason, ResourceState};
use timed_peer::Direction;
use timed_primitives::{Height, PublicKey};
use timed_rpc::{
    ChainMasternodes, ConsensusStep, DeclinedPayment, EventsApi, FinalBlock, MasternodeState, NodeEvent, PeerEnd,
    PeerUpState, PoolChange, RpcError, Topic, TopicSet, WaitingPayment,
};
use tokio::sync::{broadcast, watch};

/// Takes what happened.
type EventReport<'a> = &'a (dyn Fn(NodeEvent) + Send + Sync);

/// Batches of the mempool that are taken before a block is reported: as many as can wait. They happened before it.
const BATCHES_BEFORE_BLOCK: usize = 1_024;

#[async_trait]
impl EventsApi for Service {
    fn heights(&self) -> (Height, Height) {
        // The block log keeps all.
        (Height::FIRST, self.chain.tip().height)
    }

    fn final_blocks(&self, first: Height, count_max: usize, bytes_max: usize) -> Result<Vec<FinalBlock>, RpcError> {
        let view = self.chain.view();
        let (mut blocks, mut bytes, mut height) = (Vec::new(), 0, first);
        while blocks.len() < count_max
            && bytes < bytes_max
            && let Some(decided) = view.decided(height).map_err(unreadable)?
        {
            bytes += decided.block.payload.0.len();
            blocks.push(FinalBlock { block: decided.block, certificate: decided.certificate, payouts: None });
            height = height.next();
        }
        if let Some(last) = blocks.last().map(|last| last.block.header.height) {
            for report in payments(&view, first, last)? {
                let paid = blocks.iter_mut().find(|block| block.block.header.height == report.paid_at);
                if let Some(block) = paid {
                    block.payouts = Some(report);
                }
            }
        }
        Ok(blocks)
    }

    fn is_owner_mine(&self, owner: &KeyHash) -> bool {
        self.wallets.has_owner(owner)
    }

    async fn follow(&self, mut wanted: watch::Receiver<TopicSet>, report: EventReport<'_>) {
        let (mut tip, mut peers, mut consensus) =
            (self.handles.tip.clone(), self.handles.peers.clone(), self.handles.consensus.clone());
        let mut followed = Followed::default();
        report(NodeEvent::Tip(tip.borrow_and_update().height));
        loop {
            let now = *wanted.borrow_and_update();
            if self.adopt(now, &mut followed, report).await.is_none() {
                return;
            }
            let is_open = tokio::select! {
                biased;
                changed = wanted.changed() => changed.is_ok(),
                changed = tip.changed() => {
                    followed.pool.take_waiting(report);
                    report(NodeEvent::Tip(tip.borrow_and_update().height));
                    self.report_masternodes(&mut followed, report);
                    changed.is_ok()
                }
                batch = followed.pool.next() => match batch {
                    Some(batch) => {
                        report(NodeEvent::PoolChanges(changes_of(&batch)));
                        true
                    }
                    // Some were lost: all there is comes again.
                    None => self.report_pool(report).await.is_some(),
                },
                changed = peers.changed(), if now.contains(Topic::Peers) => {
                    let view = peers.borrow_and_update().clone();
                    self.report_peers(&view, &mut followed, report);
                    changed.is_ok()
                }
                changed = consensus.changed(), if now.contains(Topic::Consensus) => {
                    report_consensus(consensus.borrow_and_update().as_ref(), report);
                    changed.is_ok()
                }
            };
            if !is_open {
                // The node has ended.
                return;
            }
        }
    }
}

/// What is followed, and what of it was reported last.
#[derive(Default)]
struct Followed {
    topics: TopicSet,
    pool: FollowedPool,
    /// Who was up, by the number of the session.
    peers: BTreeMap<u64, PublicKey>,
    masternodes: Option<Arc<MasternodeList>>,
}

/// The mempool's news, while somebody wants them.
#[derive(Default)]
struct FollowedPool {
    news: Option<broadcast::Receiver<PoolNewsBatch>>,
    /// Some were lost.
    is_behind: bool,
}

impl FollowedPool {
    /// The next batch; `None` when some were lost. Never ready while nobody wants any.
    async fn next(&mut self) -> Option<PoolNewsBatch> {
        if std::mem::take(&mut self.is_behind) {
            return None;
        }
        match &mut self.news {
            // Nothing comes any more once the mempool has ended: then the node ends.
            Some(news) => match news.recv().await {
                Ok(batch) => Some(batch),
                Err(broadcast::error::RecvError::Lagged(_)) => None,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    /// Reports what has happened so far.
    fn take_waiting(&mut self, report: EventReport<'_>) {
        let Some(news) = &mut self.news else { return };
        for _ in 0..BATCHES_BEFORE_BLOCK {
            match news.try_recv() {
                Ok(batch) => report(NodeEvent::PoolChanges(changes_of(&batch))),
                Err(broadcast::error::TryRecvError::Lagged(_)) => self.is_behind = true,
                Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => return,
            }
        }
    }
}

impl Service {
    /// Begins with what is wanted newly, and ends with what is not wanted any more. `None` when the node has ended.
    async fn adopt(&self, wanted: TopicSet, followed: &mut Followed, report: EventReport<'_>) -> Option<()> {
        let before = std::mem::replace(&mut followed.topics, wanted);
        match (before.needs_pool(), wanted.needs_pool()) {
            (false, true) => {
                followed.pool = FollowedPool { news: Some(self.handles.pool_feed.subscribe()), is_behind: false };
                self.report_pool(report).await?;
            }
            (true, false) => {
                followed.pool = FollowedPool::default();
                report(NodeEvent::NotFollowed(Topic::Payments));
            }
            (true, true) | (false, false) => {}
        }
        for topic in [Topic::Peers, Topic::Consensus, Topic::Masternodes] {
            match (before.contains(topic), wanted.contains(topic)) {
                (false, true) => match topic {
                    Topic::Peers => self.report_peers(&self.peers(), followed, report),
                    Topic::Consensus => report_consensus(self.handles.consensus.borrow().as_ref(), report),
                    Topic::Masternodes => self.report_masternodes(followed, report),
                    Topic::Blocks | Topic::Payments | Topic::Outputs => {}
                },
                (true, false) => {
                    if topic == Topic::Masternodes {
                        followed.masternodes = None;
                    }
                    report(NodeEvent::NotFollowed(topic));
                }
                (true, true) | (false, false) => {}
            }
        }
        Some(())
    }

    /// All that waits in the mempool. `None` when it has ended.
    async fn report_pool(&self, report: EventReport<'_>) -> Option<()> {
        let entries = self.handles.mempool.send(ListEntries).await.ok()?;
        let waiting = entries.iter().filter_map(|entry| {
            let transaction = Arc::new(payment_of(&entry.transaction).ok()?);
            Some(WaitingPayment { transaction, block: entry.block })
        });
        report(NodeEvent::Pool(waiting.collect()));
        Some(())
    }

    fn report_peers(&self, view: &PeersView, followed: &mut Followed, report: EventReport<'_>) {
        let up: BTreeMap<u64, PublicKey> = view.peers.iter().map(|peer| (peer.session, peer.key)).collect();
        let gone = followed.peers.iter().filter(|(session, _)| !up.contains_key(session));
        let ended = gone.filter_map(|(session, key)| {
            let row = self.end_row(view.ended.iter().rev().find(|end| end.key.as_ref() == Some(key))?);
            Some((*session, PeerEnd { reason: row.reason, why: row.why }))
        });
        let ended = ended.collect();
        followed.peers = up;
        let up = view.peers.iter().map(|peer| PeerUpState {
            session: peer.session,
            address: peer.address.clone(),
            key: peer.key,
            validator: peer.validator,
            is_inbound: peer.direction == Direction::Inbound,
        });
        report(NodeEvent::Peers { up: up.collect(), ended });
    }

    /// Nothing is reported when the list is the one that was reported last.
    fn report_masternodes(&self, followed: &mut Followed, report: EventReport<'_>) {
        if !followed.topics.contains(Topic::Masternodes) {
            return;
        }
        let rewards = self.rewards_now();
        if followed.masternodes.as_ref().is_some_and(|known| Arc::ptr_eq(known, &rewards.list)) {
            return;
        }
        let all = ChainMasternodes {
            list: rewards.list.clone(),
            height: rewards.height,
            time: rewards.time,
            free_deposit: rewards.free_deposit,
            unbonding_ms: rewards.unbonding_ms,
        };
        // Rows have the order of the list.
        let rows = rewards.list.iter().zip(all.rows(self.chain.genesis().network));
        let states = rows.map(|(one, row)| MasternodeState {
            id: one.id,
            status: row.status,
            operator: one.operator,
            service: row.service,
            last_change: one.last_change,
        });
        report(NodeEvent::Masternodes(states.collect()));
        followed.masternodes = Some(rewards.list);
    }
}

fn report_consensus(status: Option<&ConsensusStatus>, report: EventReport<'_>) {
    let Some(status) = status else { return };
    report(NodeEvent::Consensus(ConsensusStep {
        height: status.height,
        round: status.round.unwrap_or_default().0,
        step: if status.is_idle { "idle" } else { status.step },
        proposer: status.proposer,
        proposal: status.proposal,
    }));
}

/// What a batch means for payments.
fn changes_of(batch: &[PoolNews]) -> Vec<PoolChange> {
    batch.iter().filter_map(change_of).collect()
}

fn change_of(news: &PoolNews) -> Option<PoolChange> {
    match &news.event {
        PoolEvent::Accepted { .. } => {
            let transaction = payment_of(news.transaction.as_deref()?).ok()?;
            Some(PoolChange::Entered(Arc::new(transaction)))
        }
        PoolEvent::Removed(removed) => {
            let txid = removed.txid;
            let Some(reason) = LossReason::of_removal(removed.reason) else {
                return Some(PoolChange::Included(txid));
            };
            let gone = match removed.reason {
                RemovalReason::Conflict { resource, .. } | RemovalReason::InputGone { resource } => {
                    Some(resource.into())
                }
                RemovalReason::Included { .. }
                | RemovalReason::Evicted
                | RemovalReason::Expired
                | RemovalReason::Invalid
                | RemovalReason::AncestorRemoved { .. } => None,
            };
            let (name, why, by) = (reason.name(), reason.to_string(), reason.because_of());
            Some(PoolChange::Declined(DeclinedPayment { txid, reason: name, why, by, gone }))
        }
        PoolEvent::Resource { state: ResourceState::Proposed { by, block }, .. } => {
            Some(PoolChange::Proposed { txid: *by, block: *block })
        }
        PoolEvent::Resource { state: ResourceState::Locked { by }, .. } => Some(PoolChange::WaitsAgain(*by)),
        PoolEvent::Resource {
            state: ResourceState::Available | ResourceState::Decided { .. } | ResourceState::Confirmed { .. },
            ..
        }
        | PoolEvent::Conflict(_) => None,
    }
}
