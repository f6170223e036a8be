//! What the sample says of peers.

use super::{Sample, consensus_key, node_key};
use async_trait::async_trait;
use std::time::Duration;
use timed_primitives::Amount;
use timed_rpc::result::{BanInfo, EndInfo, LaneInfo, LastMessageInfo, NetworkInfo, PeerInfo, PingInfo, QueueInfo};
use timed_rpc::{AddedNode, KnownAddress, PeersApi, RpcError};

/// The sample has one peer that can be named.
fn known(peer: String) -> Result<(), RpcError> {
    if peer == "127.0.0.1:7001" { Ok(()) } else { Err(RpcError::PeerUnknown(peer)) }
}

#[async_trait]
impl PeersApi for Sample {
    async fn network_info(&self) -> Result<NetworkInfo, RpcError> {
        Ok(NetworkInfo {
            subversion: "/timed:0.1.0/".into(),
            version: 100,
            protocolversion: 2,
            node_key: node_key(1).into(),
            listen: "127.0.0.1:7000".into(),
            external: None,
            connections: 2,
            connections_in: 1,
            connections_out: 1,
            connections_validators: 2,
            inbound_max: 64,
            outbound_max: 32,
            relayfee: Amount(1_000).into(),
            time_offset_ms: Some(-12),
            warnings: vec![],
        })
    }

    async fn peer_info(&self) -> Result<Vec<PeerInfo>, RpcError> {
        let peer = |id: u64, inbound: bool| PeerInfo {
            id,
            addr: format!("127.0.0.1:{}", 6999 + id),
            node_key: node_key(id).into(),
            validator: (!inbound).then(|| consensus_key(id).into()),
            inbound,
            conntime: 1_699_999_000,
            subver: "/timed:0.1.0/".into(),
            version: 1,
            height: 2,
            timeoffset: inbound.then_some(-2),
            time_offset_ms: inbound.then_some(-1_980),
            pingtime: Some(0.000_4),
            minping: Some(0.000_25),
            pingwait: inbound.then_some(0.001),
            pingdev: Some(0.000_1),
            interval: 5.0,
            deadline: 15.0,
            silencemax: 5.4,
            lastsend: 1_700_000_000,
            lastrecv: 1_700_000_001,
            last_transaction: if inbound { 1_700_000_000 } else { 0 },
            bytessent: 4_096,
            bytesrecv: 1_234_567,
            bytessent_per_msg: [("ping".into(), 96), ("vote".into(), 4_000)].into(),
            bytesrecv_per_msg: [("pong".into(), 96)].into(),
            lanes: vec![LaneInfo {
                lane: "consensus".into(),
                queued: if inbound { 70_000 } else { 0 },
                queueage: if inbound { 0.25 } else { 0.0 },
                bytessent: 4_000,
                bytesrecv: 0,
            }],
            dropped: [("mempool".into(), u64::from(inbound))].into(),
            droppedsend: 0,
            penalty: 0,
        };
        Ok(vec![peer(2, true), peer(3, false)])
    }

    async fn peer_history(&self, peer: Option<String>, count: usize) -> Result<Vec<EndInfo>, RpcError> {
        if let Some(peer) = peer {
            known(peer)?;
        }
        let end = EndInfo {
            node_key: Some(node_key(2).into()),
            addr: "127.0.0.1:7001".into(),
            inbound: true,
            reason: "silent".into(),
            by: "us".into(),
            why: "closed by us: nothing came within the deadline".into(),
            ended: 1_700_000_002,
            uptime: 3_600.5,
            silent: 15.0,
            rtt: vec![0.000_4, 0.000_5],
            queues: vec![QueueInfo { lane: "control".into(), bytes: 13, age: 0.25 }],
            last_messages: vec![LastMessageInfo { before_end: 15.0, sent: false, kind: "pong".into(), bytes: 13 }],
        };
        Ok(vec![end; count.min(1)])
    }

    async fn ping(&self, peer: Option<String>) -> Result<Vec<PingInfo>, RpcError> {
        if let Some(peer) = peer {
            known(peer)?;
        }
        let row = |id, rtt| PingInfo { node_key: node_key(id).into(), addr: format!("127.0.0.1:{}", 6999 + id), rtt };
        Ok(vec![row(2, Some(0.000_4)), row(3, None)])
    }

    async fn add_node(&self, _address: String) -> Result<(), RpcError> {
        Ok(())
    }

    async fn disconnect(&self, peer: String) -> Result<(), RpcError> {
        known(peer)
    }

    async fn ban(&self, peer: String, _length: Duration) -> Result<(), RpcError> {
        known(peer)
    }

    async fn lift_ban(&self, peer: String) -> Result<(), RpcError> {
        known(peer)
    }

    async fn bans(&self) -> Result<Vec<BanInfo>, RpcError> {
        Ok(vec![BanInfo {
            node_key: node_key(4).into(),
            banned_until: 1_700_000_600,
            time_remaining: 599,
            reason: "invalid_signature".into(),
        }])
    }

    async fn added_nodes(&self) -> Result<Vec<AddedNode>, RpcError> {
        let node = |address: &str, connected| AddedNode { address: address.into(), connected };
        let up = Some(("127.0.0.1:7001".into(), true));
        Ok(vec![node("masternode-2:7000", up), node("masternode-5:7000", None)])
    }

    async fn known_addresses(&self) -> Result<Vec<KnownAddress>, RpcError> {
        let known = |address: &str, time| KnownAddress { address: address.into(), time };
        Ok(vec![known("192.0.2.1:7000", 1_700_000_000), known("[2001:db8::1]:7000", 0)])
    }

    async fn lift_all_bans(&self) -> Result<usize, RpcError> {
        Ok(1)
    }
}
