//! Hash tables whose keys are ids.

use std::collections::{HashMap, HashSet};

/// Hashes ids, which are hashes already but may have been chosen so that their beginnings agree: keyed at random for each table, as the standard
/// library's, in a fraction of its time.
pub type IdHashing = foldhash::quality::RandomState;
/// A hash table by ids. Its order is that of nothing.
pub type IdMap<K, V> = HashMap<K, V, IdHashing>;
/// A set of ids. Its order is that of nothing.
pub type IdSet<K> = HashSet<K, IdHashing>;
