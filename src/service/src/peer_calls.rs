//! What an operator does with peers, and why sessions ended.

use crate::Service;
use crate::failures::gone;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::messages::{Connect, Disconnect, KnownAddresses, LiftAllBans, LiftBan, ListAddresses, Ping, SetBan};
use timed_actors::peer::PostMortem;
use timed_peer::addresses::KeptAddress;
use timed_peer::{AddressClass, Direction};
use timed_primitives::PublicKey;
use timed_rpc::result::{BanInfo, EndInfo, LastMessageInfo, PingInfo, QueueInfo};
use timed_rpc::{KnownAddress, RpcError};
use timed_wire::Lane;

/// Fewest digits by which a connected peer's key is recognised.
const KEY_DIGITS_MIN: usize = 8;

/// How often the address book is kept, if it changed. A node that is killed forgets what it learned since.
const ADDRESSES_EVERY: Duration = Duration::from_secs(120);
/// How long the peer manager may take to list it.
const ADDRESSES_WITHIN: Duration = Duration::from_secs(1);

impl Service {
    /// The node key of the peer that an operator names. A whole key names also one that is absent.
    fn peer_key(&self, name: &str) -> Result<PublicKey, RpcError> {
        if let Ok(key) = name.parse() {
            return Ok(key);
        }
        let view = self.peers();
        let digits = name.to_ascii_lowercase();
        let mut meant = view.peers.iter().filter(|peer| {
            let is_prefix = digits.len() >= KEY_DIGITS_MIN && peer.key.to_string().starts_with(&digits);
            is_prefix || peer.address == name || peer.observed.to_string() == name || peer.session.to_string() == name
        });
        match (meant.next(), meant.next()) {
            (Some(peer), None) => Ok(peer.key),
            (Some(one), Some(other)) => Err(RpcError::InvalidParameter(format!(
                "{name:?} may be {} or {}: give the whole node key",
                one.key, other.key
            ))),
            _ => Err(RpcError::PeerUnknown(name.chars().take(80).collect())),
        }
    }

    /// Ends of sessions, the newest first, those of earlier runs last. An absent peer may also be named by the address of an end.
    pub(crate) fn ends(&self, peer: Option<&str>, count: usize) -> Result<Vec<EndInfo>, RpcError> {
        let view = self.peers();
        let all =
            || view.ended.iter().rev().map(|end| self.end_row(end)).chain(self.earlier_ends.iter().rev().cloned());
        let key = match peer {
            Some(name) if !all().any(|end| end.addr == name) => Some(self.peer_key(name)?),
            _ => None,
        };
        let is_meant = |end: &EndInfo| match (key, peer) {
            (Some(key), _) => end.node_key.as_ref().is_some_and(|found| found.0 == key),
            (None, Some(address)) => end.addr == address,
            (None, None) => true,
        };
        Ok(all().filter(is_meant).take(count).collect())
    }

    /// Keeps bans and ends of sessions on disk, as they change, until the node ends.
    pub async fn keep_peer_files(&self) {
        let mut peers = self.handles.peers.clone();
        // It is closed when the node has ended.
        while peers.changed().await.is_ok() {
            self.save_peers().await;
        }
    }

    /// Keeps the address book on disk now and then, until the node ends.
    pub async fn keep_addresses_now_and_then(&self) {
        while self.handles.peer_manager.connected() {
            tokio::time::sleep(ADDRESSES_EVERY).await;
            self.save_addresses().await;
        }
    }

    /// Nothing more is written about peers: the data folder is gone, and what stands in its place is not ours.
    pub fn leave_folder(&self) {
        self.files.leave();
    }

    /// Writes the address book when it changed since the last time.
    pub async fn save_addresses(&self) {
        let mut saved = self.saved.clone().lock_owned().await;
        let asked = self.handles.peer_manager.send(ListAddresses { since: saved.address_changes });
        let Ok(Ok(Some(KnownAddresses { changes, kept }))) = tokio::time::timeout(ADDRESSES_WITHIN, asked).await else {
            return;
        };
        let files = self.files.clone();
        let write = move || match files.keep_addresses(&kept) {
            Ok(()) => saved.address_changes = changes,
            Err(error) => tracing::warn!(%error, "the address book is not kept: after a restart it is that of before"),
        };
        write_aside(write).await;
    }

    /// Writes what changed since the last time. A disk that refuses costs the record and not the node; one that hangs holds up those who wait
    /// for the record.
    pub async fn save_peers(&self) {
        let mut saved = self.saved.clone().lock_owned().await;
        let view = self.peers();
        let ended = &view.ended;
        let known = saved.last_end.as_ref();
        let from = known.and_then(|last| ended.iter().rposition(|end| Arc::ptr_eq(end, last))).map_or(0, |at| at + 1);
        let news: Vec<_> = ended.iter().skip(from).map(|end| self.end_row(end)).collect();
        if news.is_empty() && view.bans == saved.bans {
            return;
        }
        let (files, clock) = (self.files.clone(), self.clock.clone());
        let write = move || {
            if !news.is_empty() {
                saved.last_end = view.ended.last().cloned();
                if let Err(error) = files.add_history(&news) {
                    tracing::warn!(%error, "ends of sessions are not kept");
                }
            }
            if view.bans != saved.bans {
                if let Err(error) = files.keep_bans(&view.bans, &*clock) {
                    tracing::warn!(%error, "bans are not kept: after a restart they are forgotten");
                }
                saved.bans.clone_from(&view.bans);
            }
        };
        write_aside(write).await;
    }

    pub(crate) fn end_row(&self, end: &PostMortem) -> EndInfo {
        let queues = Lane::ALL.into_iter().zip(end.queued_bytes.iter().zip(&end.queue_age));
        let last = end.last.iter().map(|message| LastMessageInfo {
            before_end: end.ended_at.since(message.at).as_secs_f64(),
            sent: message.is_sent,
            kind: message.kind.map_or("unknown", |kind| kind.name()).into(),
            bytes: message.bytes as u64,
        });
        EndInfo {
            node_key: end.key.map(Into::into),
            addr: end.address.clone(),
            inbound: end.direction == Direction::Inbound,
            reason: end.end.reason.name().into(),
            by: end.end.by.name().into(),
            why: end.end.to_string(),
            ended: self.unix_seconds(end.ended_at),
            uptime: end.up_for.as_secs_f64(),
            silent: end.silent_for.as_secs_f64(),
            rtt: end.rtt.iter().map(Duration::as_secs_f64).collect(),
            queues: queues
                .map(|(lane, (bytes, age))| QueueInfo {
                    lane: lane.name().into(),
                    bytes: *bytes as u64,
                    age: age.as_secs_f64(),
                })
                .collect(),
            last_messages: last.collect(),
        }
    }

    pub(crate) async fn ping_peers(&self, peer: Option<&str>) -> Result<Vec<PingInfo>, RpcError> {
        let peer = peer.map(|name| self.peer_key(name)).transpose()?;
        let answers = self.handles.peer_manager.send(Ping { peer }).await.map_err(gone)?;
        if let (Some(key), true) = (peer, answers.is_empty()) {
            return Err(RpcError::PeerUnknown(key.to_string()));
        }
        let view = self.peers();
        let address =
            |key: &PublicKey| view.peers.iter().find(|peer| peer.key == *key).map(|peer| peer.address.clone());
        let rows = answers.into_iter().map(|answer| PingInfo {
            node_key: answer.peer.into(),
            addr: address(&answer.peer).unwrap_or_default(),
            rtt: answer.rtt.map(|rtt| rtt.as_secs_f64()),
        });
        Ok(rows.collect())
    }

    /// What the address book holds.
    pub(crate) async fn book_addresses(&self) -> Result<Vec<KnownAddress>, RpcError> {
        // No book has had so many changes: the answer is never "nothing new".
        let known = self.handles.peer_manager.send(ListAddresses { since: u64::MAX }).await.map_err(gone)?;
        let kept = known.map(|known| known.kept).unwrap_or_default();
        let address = |kept: KeptAddress| KnownAddress {
            address: kept.record.address,
            time: kept.reached.map_or(0, |at| at.seconds()),
        };
        Ok(kept.into_iter().map(address).collect())
    }

    pub(crate) async fn add_peer(&self, address: String) -> Result<(), RpcError> {
        // The same rule as for addresses that peers announce.
        if let Err(error) = AddressClass::of_address(&address) {
            let given: String = address.chars().take(80).collect();
            return Err(RpcError::InvalidParameter(format!("addnode: expected host:port, got {given:?}: {error}")));
        }
        self.handles.peer_manager.send(Connect { address }).await.map_err(gone)
    }

    pub(crate) async fn disconnect_peer(&self, name: &str) -> Result<(), RpcError> {
        let peer = self.peer_key(name)?;
        if !self.handles.peer_manager.send(Disconnect { peer }).await.map_err(gone)? {
            return Err(RpcError::PeerUnknown(peer.to_string()));
        }
        Ok(())
    }

    pub(crate) async fn ban_peer(&self, name: &str, length: Duration) -> Result<(), RpcError> {
        let peer = self.peer_key(name)?;
        if peer == self.identity.node_key {
            return Err(RpcError::InvalidParameter("setban: this is our own node key".into()));
        }
        if length.is_zero() {
            return Err(RpcError::InvalidParameter("setban: bantime: expected at least 1 second, got 0".into()));
        }
        self.handles.peer_manager.send(SetBan { peer, length }).await.map_err(gone)?;
        // Kept before it is promised: a kill must not forget it.
        self.save_peers().await;
        Ok(())
    }

    pub(crate) async fn lift_peer_ban(&self, name: &str) -> Result<(), RpcError> {
        let peer = self.peer_key(name)?;
        if !self.handles.peer_manager.send(LiftBan { peer }).await.map_err(gone)? {
            return Err(RpcError::InvalidParameter(format!("setban: {peer} is not banned; `listbanned` shows who is")));
        }
        self.save_peers().await;
        Ok(())
    }

    pub(crate) async fn lift_bans(&self) -> Result<usize, RpcError> {
        let lifted = self.handles.peer_manager.send(LiftAllBans).await.map_err(gone)?;
        self.save_peers().await;
        Ok(lifted)
    }

    pub(crate) fn ban_rows(&self) -> Vec<BanInfo> {
        let (now, unix) = (self.clock.now(), self.clock.unix());
        let view = self.peers();
        let rows = view.bans.iter().filter(|ban| ban.until > now).map(|ban| {
            let left = ban.until.since(now);
            BanInfo {
                node_key: ban.key.into(),
                banned_until: unix.plus(left).seconds(),
                time_remaining: left.as_secs(),
                reason: ban.offence.map_or("operator", |offence| offence.name()).into(),
            }
        });
        rows.collect()
    }
}

/// Writes files on a thread that no client waits for. What locks it took go with it, since who asked may go away before the disk answers.
async fn write_aside(write: impl FnOnce() + Send + 'static) {
    if let Err(error) = tokio::task::spawn_blocking(write).await {
        tracing::error!(%error, "files about peers are not written");
    }
}
