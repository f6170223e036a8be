//! Questions about peers, and whether this node is well.

use crate::Service;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::peer::{PeerSnapshot, Traffic};
use timed_actors::peer_manager::PeersView;
use timed_peer::Direction;
use timed_primitives::Instant;
use timed_rpc::result::{BanInfo, EndInfo, LaneInfo, NetworkInfo, PeerInfo, PingInfo, version_number};
use timed_rpc::{AddedNode, KnownAddress, PeersApi, RpcError};
use timed_wire::{Kind, Lane};

#[async_trait]
impl PeersApi for Service {
    async fn network_info(&self) -> Result<NetworkInfo, RpcError> {
        let view = self.peers();
        let peers = &view.peers;
        let count = |of: &dyn Fn(&PeerSnapshot) -> bool| {
            u32::try_from(peers.iter().filter(|peer| of(peer)).count()).unwrap_or(u32::MAX)
        };
        Ok(NetworkInfo {
            subversion: self.identity.agent.clone(),
            version: version_number(env!("CARGO_PKG_VERSION")),
            protocolversion: timed_peer::handshake::PROTOCOL,
            node_key: self.identity.node_key.into(),
            listen: self.identity.listen.clone(),
            external: self.identity.external.clone(),
            connections: count(&|_| true),
            connections_in: count(&|peer| peer.direction == Direction::Inbound),
            connections_out: count(&|peer| peer.direction == Direction::Outbound),
            connections_validators: count(&|peer| peer.validator.is_some()),
            inbound_max: self.identity.inbound_max,
            outbound_max: self.identity.outbound_max,
            relayfee: self.relay_fee().into(),
            time_offset_ms: view.clock_offset_ms,
            warnings: self.warnings(),
        })
    }

    async fn peer_info(&self) -> Result<Vec<PeerInfo>, RpcError> {
        let mut rows: Vec<PeerInfo> = self.peers().peers.iter().map(|peer| self.peer_row(peer)).collect();
        rows.sort_by_key(|row| row.id);
        Ok(rows)
    }

    async fn peer_history(&self, peer: Option<String>, count: usize) -> Result<Vec<EndInfo>, RpcError> {
        self.ends(peer.as_deref(), count)
    }

    async fn ping(&self, peer: Option<String>) -> Result<Vec<PingInfo>, RpcError> {
        self.ping_peers(peer.as_deref()).await
    }

    async fn add_node(&self, address: String) -> Result<(), RpcError> {
        self.add_peer(address).await
    }

    async fn disconnect(&self, peer: String) -> Result<(), RpcError> {
        self.disconnect_peer(&peer).await
    }

    async fn ban(&self, peer: String, length: Duration) -> Result<(), RpcError> {
        self.ban_peer(&peer, length).await
    }

    async fn lift_ban(&self, peer: String) -> Result<(), RpcError> {
        self.lift_peer_ban(&peer).await
    }

    async fn bans(&self) -> Result<Vec<BanInfo>, RpcError> {
        Ok(self.ban_rows())
    }

    async fn added_nodes(&self) -> Result<Vec<AddedNode>, RpcError> {
        let view = self.peers();
        let added = view.targets.iter().filter(|target| target.is_configured).map(|target| {
            let is_it = |peer: &&PeerSnapshot| Some(peer.key) == target.key || peer.address == target.address;
            let peer = view.peers.iter().find(is_it);
            let connected = peer.map(|peer| (peer.observed.to_string(), peer.direction == Direction::Inbound));
            AddedNode { address: target.address.clone(), connected }
        });
        Ok(added.collect())
    }

    async fn known_addresses(&self) -> Result<Vec<KnownAddress>, RpcError> {
        self.book_addresses().await
    }

    async fn lift_all_bans(&self) -> Result<usize, RpcError> {
        self.lift_bans().await
    }
}

impl Service {
    /// The peers as they were last published. Nothing is held meanwhile: the peer manager never waits for who reads.
    pub(crate) fn peers(&self) -> Arc<PeersView> {
        self.handles.peers.borrow().clone()
    }

    fn peer_row(&self, peer: &PeerSnapshot) -> PeerInfo {
        PeerInfo {
            id: peer.session,
            addr: peer.address.clone(),
            node_key: peer.key.into(),
            validator: peer.validator.map(Into::into),
            inbound: peer.direction == Direction::Inbound,
            conntime: self.unix_seconds(peer.connected_since),
            subver: peer.agent.clone(),
            version: timed_peer::handshake::PROTOCOL,
            height: peer.height,
            timeoffset: peer.clock_offset_ms.map(whole_seconds),
            time_offset_ms: peer.clock_offset_ms,
            pingtime: peer.srtt.or(peer.ping_time).map(|rtt| rtt.as_secs_f64()),
            minping: peer.min_ping.map(|rtt| rtt.as_secs_f64()),
            pingwait: peer.ping_wait.map(|wait| wait.as_secs_f64()),
            pingdev: peer.rttvar.map(|deviation| deviation.as_secs_f64()),
            interval: peer.interval.as_secs_f64(),
            deadline: peer.deadline.as_secs_f64(),
            silencemax: peer.longest_silence.as_secs_f64(),
            lastsend: self.unix_seconds(peer.last_sent),
            lastrecv: self.unix_seconds(peer.last_received),
            last_transaction: peer.useful_at.map_or(0, |at| self.unix_seconds(at)),
            bytessent: peer.sent.values().map(|t| t.bytes).sum(),
            bytesrecv: peer.received.values().map(|t| t.bytes).sum(),
            lanes: lane_rows(peer),
            dropped: peer.dropped.named().into_iter().map(|(cause, count)| (cause.into(), count)).collect(),
            droppedsend: peer.dropped_outbound,
            bytessent_per_msg: peer.sent.iter().map(|(kind, t)| (kind.name().into(), t.bytes)).collect(),
            bytesrecv_per_msg: peer.received.iter().map(|(kind, t)| (kind.name().into(), t.bytes)).collect(),
            penalty: peer.penalty,
        }
    }

    /// Civil time of a moment of this process.
    pub(crate) fn unix_seconds(&self, at: Instant) -> u64 {
        let age = self.clock.now().since(at);
        self.clock.unix().0.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)) / 1_000
    }
}

/// Rounded to the nearest.
const fn whole_seconds(ms: i64) -> i64 {
    ms.saturating_add(500).div_euclid(1_000)
}

fn lane_rows(peer: &PeerSnapshot) -> Vec<LaneInfo> {
    let waiting = peer.queued_bytes.iter().zip(&peer.queue_age);
    let row = |(lane, (queued, age)): (Lane, (&usize, &Duration))| LaneInfo {
        lane: lane.name().into(),
        queued: *queued as u64,
        queueage: age.as_secs_f64(),
        bytessent: lane_bytes(&peer.sent, lane),
        bytesrecv: lane_bytes(&peer.received, lane),
    };
    Lane::ALL.into_iter().zip(waiting).map(row).collect()
}

/// Bytes of the kinds that travel in a lane.
pub(crate) fn lane_bytes(traffic: &BTreeMap<Kind, Traffic>, lane: Lane) -> u64 {
    traffic.iter().filter(|(kind, _)| kind.lane() == lane).map(|(_, traffic)| traffic.bytes).sum()
}

/// Median of the peers' round trips.
pub(crate) fn median_rtt(peers: &[PeerSnapshot]) -> Option<Duration> {
    let mut rtts: Vec<Duration> = peers.iter().filter_map(|peer| peer.srtt).collect();
    rtts.sort_unstable();
    rtts.get(rtts.len() / 2).copied()
}
