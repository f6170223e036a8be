//! One row of the store for each block: the nodes of the history that come to be with it.

use timed_primitives::{Hash, Height};

/// Bytes of one node.
const NODE_BYTES: usize = 32;

/// The row of a block: its nodes by level from 0 on, two on average, 64 at most.
pub(crate) fn row(nodes: &[Hash]) -> Vec<u8> {
    nodes.iter().flat_map(|node| node.0).collect()
}

/// The key of that row.
pub(crate) fn row_key(height: Height) -> Vec<u8> {
    height.0.to_be_bytes().to_vec()
}

/// The node of a level; `None` when the row is no whole number of nodes, or has none of this level.
pub(crate) fn node_in(row: &[u8], level: u32) -> Option<Hash> {
    let (nodes, rest) = row.as_chunks::<NODE_BYTES>();
    let node = nodes.get(usize::try_from(level).ok()?)?;
    rest.is_empty().then_some(Hash(*node))
}
