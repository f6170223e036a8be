//! Bounds of the pool and of the relay.

use std::time::Duration;

/// Bounds of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Most transactions. When reached, the lowest fee rates make room, with their descendants.
    pub count_max: usize,
    /// Most bytes of transactions in canonical encoding. Unit: bytes. When reached, as above. Memory used is at most about this
    /// plus 1 KiB for each transaction.
    pub bytes_max: usize,
    /// Most bytes that came from one peer; above it, that peer's transactions are refused. Unit: bytes.
    pub peer_bytes_max: usize,
    /// Largest transaction; the chain may allow less. Unit: bytes.
    pub transaction_bytes_max: usize,
    /// Longest chain of transactions that wait for each other, the transaction itself included. Unit: transactions.
    pub ancestors_max: usize,
    /// How long a transaction waits before it is dropped, with its descendants.
    pub expiry: Duration,
    /// Lowest fee rate ever accepted; the chain may want more. Unit: 10⁻⁸ TIME for 1,000 bytes.
    pub fee_floor_min: u64,
    /// What a transaction must offer above the last one that was evicted. Unit: 10⁻⁸ TIME for 1,000 bytes.
    pub fee_floor_step: u64,
    /// Time after which a raised floor has halved.
    pub fee_floor_half_life: Duration,
    /// Most remembered refusals; at it the older half is forgotten.
    pub rejects_max: usize,
    /// How long a broken rule or signature is remembered.
    pub reject_invalid_for: Duration,
    /// How long a refusal that may pass is remembered: conflict, fee, no room. Short, so that the next announcement tries again.
    pub reject_passing_for: Duration,
    /// Most remembered conflicts; above it the oldest is forgotten.
    pub conflicts_max: usize,
    /// Most remembered resources that decided transactions consumed, for [`crate::ResourceState::Confirmed`], and ids of those transactions;
    /// at it the older half is forgotten. Seven eighths of a power of two fill their tables.
    pub confirmed_max: usize,
    /// Most remembered proposed blocks; above it the oldest is forgotten and its transactions count as waiting again.
    pub proposed_max: usize,
    /// Most events kept for [`crate::Pool::take_events`]; above it the oldest is dropped and counted.
    pub events_max: usize,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            count_max: 50_000,
            bytes_max: 64 << 20,
            peer_bytes_max: 32 << 20,
            transaction_bytes_max: 64 << 10,
            ancestors_max: 25,
            expiry: Duration::from_secs(72 * 3600),
            fee_floor_min: 0,
            fee_floor_step: 1_000,
            fee_floor_half_life: Duration::from_secs(60),
            rejects_max: 20_000,
            reject_invalid_for: Duration::from_secs(600),
            reject_passing_for: Duration::from_secs(5),
            conflicts_max: 256,
            confirmed_max: 57_344,
            proposed_max: 64,
            events_max: 65_536,
        }
    }
}

/// Bounds of the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayLimits {
    /// How long one announcer may take before the next one is asked.
    pub request_timeout: Duration,
    /// Most announcers remembered for one transaction; later ones are not asked.
    pub announcers_max: usize,
    /// Most transactions one peer may have announced and not delivered; further announcements are ignored and counted.
    pub wanted_per_peer_max: usize,
    /// Most transactions wanted at once from all peers; further announcements are ignored and counted.
    pub wanted_max: usize,
    /// Most ids for which we remember that a peer has them; above it the oldest is forgotten, which costs one idle announcement.
    pub known_per_peer_max: usize,
    /// Least time between announcements, in which others gather. One that comes later than that after those before waits for nobody.
    pub announce_delay: Duration,
    /// So many ids for one peer leave at once. Stays below [`Self::message_ids_max`].
    pub announce_batch: usize,
    /// Most ids in one message. The wire allows 1,024.
    pub message_ids_max: usize,
    /// Most children that wait for a parent; above it the oldest is dropped.
    pub waiting_max: usize,
    /// Most bytes of children that wait for a parent; above it the oldest is dropped. Unit: bytes.
    pub waiting_bytes_max: usize,
    /// How long a child waits for its parent.
    pub waiting_for: Duration,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_millis(500),
            announcers_max: 8,
            wanted_per_peer_max: 8_192,
            wanted_max: 65_536,
            known_per_peer_max: 8_192,
            announce_delay: Duration::from_millis(3),
            announce_batch: 256,
            message_ids_max: 1_024,
            waiting_max: 1_000,
            waiting_bytes_max: 4 << 20,
            waiting_for: Duration::from_secs(10),
        }
    }
}
