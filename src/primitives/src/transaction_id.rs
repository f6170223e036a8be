//! Names of transactions, whatever they do.

use crate::hash_newtype;

hash_newtype! {
    /// Name of a transaction: what its author alone can change.
    TxId
}
hash_newtype! {
    /// Name of a transaction with exactly these signatures.
    TxFullId
}
