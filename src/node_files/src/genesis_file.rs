//! The file that describes how a network begins.

use anyhow::Context as _;
use std::path::Path;
use timed_ledger::Genesis;
use timed_store::read_text_bounded;

/// Longest genesis file: some hundred thousand outputs. Unit: bytes.
const GENESIS_BYTES_MAX: u64 = 64 << 20;

/// The genesis in a file.
///
/// # Errors
/// When the file cannot be read or holds no valid genesis.
pub fn read_genesis(file: &Path) -> anyhow::Result<Genesis> {
    let text = read_text_bounded(file, GENESIS_BYTES_MAX)
        .with_context(|| format!("cannot read the genesis file {}", file.display()))?;
    Genesis::from_json(&text).with_context(|| format!("the genesis file {} is not valid", file.display()))
}
