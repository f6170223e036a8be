//! The name of a block, which votes and blocks alike use.

use crate::hash_newtype;

hash_newtype! {
    /// Name of a block: hash of its header.
    BlockId
}
