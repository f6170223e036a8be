//! What such a run is made with.

use crate::cost::Machines;
use crate::trace::Print;
use std::time::Duration;

/// What such a run is made with.
pub struct OverloadConfig {
    /// Equal validators.
    pub nodes: u64,
    /// What everything follows.
    pub seed: u64,
    /// How fast they are, compared with each other.
    pub machines: Machines,
    /// How much longer work takes than on these machines.
    pub cost: u64,
    /// What they carry. Unit: payments per second.
    pub carries: u64,
    /// So many times as much is offered.
    pub times: u64,
    /// For so long.
    pub length: Duration,
    /// Whether leaders begin with the largest blocks that genesis allows.
    pub first_blocks_full: bool,
    /// The node that takes no compact blocks, as one of an earlier version.
    pub plain: Option<u64>,
    /// Sees every line of the trace.
    pub print: Option<Print>,
}

impl OverloadConfig {
    /// Four validators on good machines, where work takes four times as long.
    pub fn new(seed: u64, times: u64) -> Self {
        Self {
            nodes: 4,
            seed,
            machines: Machines::Alike,
            cost: 4,
            carries: 850,
            times,
            length: Duration::from_secs(6),
            first_blocks_full: false,
            plain: None,
            print: None,
        }
    }
}
