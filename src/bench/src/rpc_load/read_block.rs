//! A block that is read.

use serde_json::json;
use timed_cli::NodeConnection;

/// Which block, and how large it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadBlock {
    pub(super) height: u64,
    pub(super) bytes: u64,
    pub(super) transactions: u64,
}

impl ReadBlock {
    /// As a node says.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn ask(connection: &mut NodeConnection, height: u64) -> anyhow::Result<Self> {
        let block = connection.call("getblock", json!([height, 1]))?;
        let number = |field: &str| block[field].as_u64().unwrap_or_default();
        Ok(Self { height, bytes: number("size"), transactions: number("nTx") })
    }
}
