//! Bounds of asking and of serving.

use std::time::Duration;

/// Bounds of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncLimits {
    /// How far above the tip blocks are asked for. Unit: blocks.
    pub window: u64,
    /// Most bytes of blocks held here or handed on and not yet committed, never less than one block. When reached, the highest are
    /// dropped and asked for again later. Unit: bytes.
    pub bytes_max: usize,
    /// Most blocks in one request. The wire allows 64.
    pub request_blocks_max: u16,
    /// Most requests to one peer that are not late.
    pub requests_per_peer_max: usize,
    /// Most late requests to one peer whose answers are still welcome; older ones are forgotten.
    pub late_per_peer_max: usize,
    /// Most blocks handed on at once: they share one sync of the disk.
    pub batch_blocks_max: usize,
    /// Most bytes handed on at once, never less than one block. Unit: bytes.
    pub batch_bytes_max: usize,
    /// Time for a request to a peer whose speed is not known.
    pub timeout_start: Duration,
    /// Least time for a request.
    pub timeout_min: Duration,
    /// Most time for a request, whatever progress it makes.
    pub timeout_max: Duration,
    /// Time after a request without any block before the peer is asked again; doubles each time up to [`Self::pause_max`].
    pub pause_start: Duration,
    /// Longest such time.
    pub pause_max: Duration,
    /// How long one block more than ours is left to consensus before it is asked for.
    pub grace: Duration,
    /// Without progress for so long, the reason is reported.
    pub stall_after: Duration,
    /// Peers remembered after they went, with their failures, so that a new connection does not whitewash them.
    pub remembered_max: usize,
}

impl Default for SyncLimits {
    fn default() -> Self {
        Self {
            window: 256,
            bytes_max: 8 << 20,
            request_blocks_max: 16,
            requests_per_peer_max: 2,
            late_per_peer_max: 2,
            batch_blocks_max: 64,
            batch_bytes_max: 2 << 20,
            timeout_start: Duration::from_secs(2),
            timeout_min: Duration::from_secs(1),
            timeout_max: Duration::from_secs(20),
            pause_start: Duration::from_millis(500),
            pause_max: Duration::from_secs(10),
            grace: Duration::from_secs(1),
            stall_after: Duration::from_secs(2),
            remembered_max: 256,
        }
    }
}

/// Bounds of serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Most blocks for one request; the rest is left out. Unit: blocks.
    pub blocks_max: u16,
    /// Most bytes for one request, never less than one block. Unit: bytes.
    pub bytes_max: usize,
    /// Most requests of one peer served at once; others are answered with nothing. Above twice what an asker keeps open.
    pub per_peer_max: usize,
    /// Most requests served at once.
    pub total_max: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { blocks_max: 64, bytes_max: 4 << 20, per_peer_max: 4, total_max: 64 }
    }
}
