//! What all nodes of a world share.

use crate::application::SimulatedApplication;
use crate::check::SharedChecker;
use crate::cost::Machines;
use crate::gate::DiskPace;
use crate::trace::Trace;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use timed_chain::ChainGenesis;
use timed_primitives::UnixTime;
use timed_test_support::MemoryNetwork;
use tokio::time::Instant;

/// The civil time when every world begins: long after genesis, as on a real devnet.
pub const STARTED: UnixTime = UnixTime(1_790_000_000_000);

/// What a devnet of payments says.
pub(crate) const EMPTY_BLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// Where every node listens.
pub(crate) const PORT: u16 = 7000;

/// What all nodes share.
pub(crate) struct WorldSetting {
    pub(crate) application: Arc<dyn SimulatedApplication>,
    pub(crate) genesis: ChainGenesis,
    pub(crate) voters: u64,
    pub(crate) candidates: u64,
    pub(crate) seed: u64,
    pub(crate) first_blocks_full: bool,
    /// The node that takes no compact blocks, as one of an earlier version.
    pub(crate) plain: Option<u64>,
    pub(crate) links: MemoryNetwork,
    pub(crate) disk: DiskPace,
    pub(crate) discovers: bool,
    pub(crate) machines: Machines,
    pub(crate) cost: u64,
    pub(crate) origin: Instant,
    pub(crate) trace: Trace,
    pub(crate) checker: SharedChecker,
}

impl WorldSetting {
    /// The host of a node.
    pub(crate) fn ip(&self, id: u64) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(id).unwrap_or(u8::MAX)))
    }
}
