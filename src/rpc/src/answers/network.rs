//! Answers about peers.

use super::shape::{json, with_fields};
use crate::error::RpcError;
use crate::methods::NetworkCall;
use crate::node::NodeApi;
use crate::params::Args;
use crate::result::{BanInfo, PeerInfo};
use serde_json::{Value, json as value_of};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a ban lasts unless the operator says. Unit: seconds.
const BAN_SECONDS: u64 = 86_400;

pub(super) async fn answer(node: &dyn NodeApi, call: NetworkCall, args: &Args<'_>) -> Result<Value, RpcError> {
    match call {
        NetworkCall::GetNetworkInfo => network_info(node).await,
        NetworkCall::GetConnectionCount => json(node.network_info().await?.connections),
        NetworkCall::GetNetTotals => totals(node).await,
        NetworkCall::GetPeerInfo => {
            node.peer_info().await?.iter().map(peer).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        NetworkCall::GetPeerHistory => {
            let count = usize::try_from(args.integer_or("count", 20)?).unwrap_or(usize::MAX);
            json(node.peer_history(args.peer_or("node")?, count).await?)
        }
        NetworkCall::Ping => {
            node.ping(None).await?;
            Ok(Value::Null)
        }
        NetworkCall::PingPeer => json(node.ping(args.peer_or("node")?).await?),
        NetworkCall::AddNode => json(node.add_node(args.text("node")?.to_owned()).await?),
        NetworkCall::GetAddedNodeInfo => added_nodes(node, args.text_or("node")?.unwrap_or_default()).await,
        NetworkCall::GetNodeAddresses => addresses(node, args).await,
        NetworkCall::DisconnectNode => {
            let id = args.is_given("nodeid").then(|| args.integer("nodeid")).transpose()?;
            let peer = match (args.peer_or("node")?, id) {
                (Some(_), Some(_)) => {
                    return Err(RpcError::InvalidParameter("disconnectnode: give node or nodeid, not both".into()));
                }
                (None, Some(id)) => id.to_string(),
                (_, None) => args.peer("node")?,
            };
            json(node.disconnect(peer).await?)
        }
        NetworkCall::SetBan => set_ban(node, args).await,
        NetworkCall::ListBanned => {
            node.bans().await?.iter().map(ban).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        NetworkCall::ClearBanned => {
            node.lift_all_bans().await?;
            Ok(Value::Null)
        }
        NetworkCall::SetNetworkActive => {
            args.boolean("state")?.then_some(Value::Bool(true)).ok_or_else(|| {
                RpcError::InvalidParameter(
                    "setnetworkactive: false is not supported: a validator that hears nobody holds up the others; `stop` ends the node".into(),
                )
            })
        }
    }
}

async fn network_info(node: &dyn NodeApi) -> Result<Value, RpcError> {
    let info = node.network_info().await?;
    let networks = ["ipv4", "ipv6"].map(|name| {
        value_of!({ "name": name, "limited": false, "reachable": true, "proxy": "", "proxy_randomize_credentials": false })
    });
    let local = info.external.iter().filter_map(|address| {
        let (host, port) = address.rsplit_once(':')?;
        Some(value_of!({ "address": host.trim_matches(['[', ']']), "port": port.parse::<u16>().ok()?, "score": 1 }))
    });
    let fields = value_of!({
        "localservices": "0000000000000000",
        "localservicesnames": [],
        "localrelay": true,
        "timeoffset": info.time_offset_ms.map_or(0, |ms| ms.saturating_add(500).div_euclid(1_000)),
        "networkactive": true,
        "networks": networks,
        "incrementalfee": info.relayfee,
        "localaddresses": local.collect::<Vec<_>>(),
    });
    with_fields(info, fields)
}

async fn totals(node: &dyn NodeApi) -> Result<Value, RpcError> {
    let peers = node.peer_info().await?;
    let received: u64 = peers.iter().map(|peer| peer.bytesrecv).sum();
    let sent: u64 = peers.iter().map(|peer| peer.bytessent).sum();
    Ok(value_of!({
        "totalbytesrecv": received,
        "totalbytessent": sent,
        "timemillis": node.unix_time().0,
        "uploadtarget": {
            "timeframe": 86_400, "target": 0, "target_reached": false, "serve_historical_blocks": true,
            "bytes_left_in_cycle": 0, "time_left_in_cycle": 0,
        },
    }))
}

fn network_of(address: &str) -> &'static str {
    match address.parse::<SocketAddr>().map(|address| address.ip().to_canonical()) {
        Ok(IpAddr::V4(_)) => "ipv4",
        Ok(IpAddr::V6(_)) => "ipv6",
        Err(_) => "not_publicly_routable",
    }
}

fn peer(info: &PeerInfo) -> Result<Value, RpcError> {
    let fields = value_of!({
        "addrbind": "",
        "network": network_of(&info.addr),
        "services": "0000000000000000",
        "servicesnames": [],
        "relaytxes": true,
        "last_block": 0,
        "bip152_hb_to": false,
        "bip152_hb_from": false,
        "startingheight": info.height,
        "presynced_headers": -1,
        "synced_headers": info.height,
        "synced_blocks": info.height,
        "inflight": [],
        "addr_relay_enabled": true,
        "addr_processed": 0,
        "addr_rate_limited": 0,
        "permissions": [],
        "minfeefilter": 0,
        "connection_type": if info.inbound { "inbound" } else { "outbound-full-relay" },
        "transport_protocol_type": "tls",
        "session_id": "",
    });
    with_fields(info, fields)
}

async fn added_nodes(node: &dyn NodeApi, wanted: &str) -> Result<Value, RpcError> {
    let added = node.added_nodes().await?;
    if !wanted.is_empty() && added.iter().all(|added| added.address != wanted) {
        return Err(RpcError::NodeNotAdded(wanted.chars().take(80).collect()));
    }
    let rows = added.into_iter().filter(|added| wanted.is_empty() || added.address == wanted).map(|added| {
        let connection = |(address, inbound): &(String, bool)| {
            value_of!({ "address": address, "connected": if *inbound { "inbound" } else { "outbound" } })
        };
        let addresses: Vec<Value> = added.connected.iter().map(connection).collect();
        value_of!({ "addednode": added.address, "connected": added.connected.is_some(), "addresses": addresses })
    });
    Ok(rows.collect())
}

async fn addresses(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let (count, network) = (args.integer_or("count", 1)?, args.text_or("network")?.unwrap_or_default());
    if !["", "ipv4", "ipv6"].contains(&network) {
        let network: String = network.chars().take(40).collect();
        return Err(RpcError::InvalidParameter(format!(
            "getnodeaddresses: network: expected ipv4 or ipv6, got {network:?}"
        )));
    }
    let count = if count == 0 { usize::MAX } else { usize::try_from(count).unwrap_or(usize::MAX) };
    let known = node.known_addresses().await?;
    let meant = known.iter().filter(|known| network.is_empty() || network_of(&known.address) == network).take(count);
    let rows = meant.filter_map(|known| {
        let (host, port) = known.address.rsplit_once(':')?;
        Some(value_of!({
            "time": known.time, "services": 0, "address": host.trim_matches(['[', ']']), "port": port.parse::<u16>().ok()?,
            "network": network_of(&known.address),
        }))
    });
    Ok(rows.collect())
}

fn ban(info: &BanInfo) -> Result<Value, RpcError> {
    // Bans are by key, and nobody wrote down when they began.
    with_fields(info, value_of!({ "address": info.node_key, "ban_created": 0, "ban_duration": 0 }))
}

async fn set_ban(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let (peer, seconds) = (args.peer("node")?, args.integer_or("bantime", 0)?);
    let seconds = if seconds == 0 { BAN_SECONDS } else { seconds };
    match args.text("command")? {
        "add" => json(node.ban(peer, Duration::from_secs(seconds)).await?),
        "remove" => json(node.lift_ban(peer).await?),
        other => Err(RpcError::InvalidParameter(format!(
            "setban: command: expected add or remove, got {:?}",
            other.chars().take(60).collect::<String>()
        ))),
    }
}
