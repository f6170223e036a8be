//! One output in the tree.

use crate::state::OutputEntry;
use crate::transaction::OutPoint;
use timed_primitives::{Domain, Hash, encode};

/// The leaf of an unspent output in the tree of [`timed_primitives::Header::output_root`]: hash of the canonical bytes of outpoint, output
/// and height. The leaves stand in order of outpoint: bytes of the transaction id, then index.
///
/// ```text
/// header.output_root = merkle::root of all leaves      merkle::verify_path proves one by the number of leaves
/// ```
pub fn output_leaf(outpoint: &OutPoint, entry: &OutputEntry) -> Hash {
    Hash::of(Domain::OutputLeaf, &encode(&(outpoint, entry)))
}
