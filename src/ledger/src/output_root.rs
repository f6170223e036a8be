//! The output root: a Merkle root over all unspent outputs of an earlier state, so that a header proves one of them, or a chunk of a
//! snapshot.
//!
//! ```text
//! boundary(k)  = height (k-1)·E                     E = Parameters::output_root_interval
//! header of k·E: the root (RFC 6962 shape) over output_leaf of every output that was unspent after boundary(k), in order of outpoint
//! ```
//!
//! It is computed in slices, one after each committed block, from a snapshot of the store that is taken at the boundary and held until half of the
//! interval is over. After a restart that snapshot is gone; the set is then made of a newer one:
//!
//! | state | event | next |
//! |---|---|---|
//! | idle, or of another boundary | a block is committed, or a header is due | *done* when the store has the row of the boundary, else *scanning* |
//! | scanning | a block is committed | a slice more; at the end *done* |
//! | scanning | a header is due | all the rest at once: *done* |
//! | done | the store writes a block of the boundary or above | *done*, and the row is part of the batch |
//!
//! All of it is a cache: the root is a function of the blocks alone, and a kill at any moment costs time and nothing else.

mod differences;
mod leaf;
mod roots;
mod scan;
mod source;
mod spent_since;

pub use leaf::output_leaf;
pub(crate) use roots::{OutputRoots, root_key};
pub(crate) use source::RootSource;
