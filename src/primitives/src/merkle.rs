//! Merkle trees of the shape of RFC 6962, section 2.1, with BLAKE3 domains in place of prefix bytes.

use crate::hash::{Domain, Hash};

/// Root over the leaves in order. The empty tree has a root of its own.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(Domain::MerkleEmpty, &[]),
        [leaf] => Hash::of(Domain::MerkleLeaf, &leaf.0),
        _ => {
            let (left, right) = leaves.split_at(split_point(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// The hashes beside the path from leaf `index` to the root, from the leaf upward; `None` when there is no such leaf.
pub fn path(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let mut beside = Vec::new();
    collect_path(leaves, index, &mut beside);
    Some(beside)
}

/// True when `leaf` is at `index` of a tree of `size` leaves with this root.
pub fn verify_path(leaf: &Hash, index: usize, size: usize, beside: &[Hash], expected: &Hash) -> bool {
    index < size && fold_path(leaf, index, size, beside).is_some_and(|found| found == *expected)
}

/// The root over leaves that come one after the other: as [`root`], in memory for the logarithm of their number.
#[derive(Clone, Debug, Default)]
pub struct RootBuilder {
    leaves: u64,
    /// Roots of perfect trees over the leaves so far, one for each bit of `leaves` that is set, the largest first. Bound: 64.
    perfect: Vec<Hash>,
}

impl RootBuilder {
    /// Adds the next leaf.
    pub fn push(&mut self, leaf: &Hash) {
        let mut right = Hash::of(Domain::MerkleLeaf, &leaf.0);
        for _ in 0..self.leaves.trailing_ones() {
            let Some(left) = self.perfect.pop() else { break };
            right = node(&left, &right);
        }
        self.perfect.push(right);
        self.leaves = self.leaves.saturating_add(1);
    }

    /// How many leaves there are.
    pub const fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The root over all leaves so far.
    pub fn root(&self) -> Hash {
        let top = self.perfect.iter().rev().copied().reduce(|right, left| node(&left, &right));
        top.unwrap_or_else(|| root(&[]))
    }
}

fn collect_path(leaves: &[Hash], index: usize, beside: &mut Vec<Hash>) {
    if leaves.len() < 2 {
        return;
    }
    let split = split_point(leaves.len());
    let (left, right) = leaves.split_at(split);
    if index < split {
        collect_path(left, index, beside);
        beside.push(root(right));
    } else {
        collect_path(right, index - split, beside);
        beside.push(root(left));
    }
}

fn fold_path(leaf: &Hash, index: usize, size: usize, beside: &[Hash]) -> Option<Hash> {
    if size == 1 {
        return beside.is_empty().then(|| Hash::of(Domain::MerkleLeaf, &leaf.0));
    }
    let (top, rest) = beside.split_last()?;
    let split = split_point(size);
    if index < split {
        Some(node(&fold_path(leaf, index, split, rest)?, top))
    } else {
        Some(node(top, &fold_path(leaf, index - split, size - split, rest)?))
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Domain::MerkleNode.hasher();
    hasher.update(&left.0).update(&right.0);
    Hash(hasher.finalize().into())
}

/// The largest power of two below `n`, for `n` of 2 and more.
fn split_point(n: usize) -> usize {
    n.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_proves_itself_and_no_other() {
        for size in 0..20usize {
            let leaves: Vec<_> = (0..size).map(|i| Hash([u8::try_from(i).unwrap(); 32])).collect();
            let top = root(&leaves);
            assert!(path(&leaves, size).is_none());
            for (i, leaf) in leaves.iter().enumerate() {
                let beside = path(&leaves, i).unwrap();
                assert!(verify_path(leaf, i, size, &beside, &top));
                assert!(!verify_path(&Hash([99; 32]), i, size, &beside, &top));
                assert!(!verify_path(leaf, i + 1, size, &beside, &top) || size == 1);
            }
        }
    }

    #[test]
    fn leaves_one_after_the_other_give_the_same_root() {
        let (mut builder, mut leaves) = (RootBuilder::default(), Vec::new());
        for size in 0..70u8 {
            assert_eq!((builder.root(), builder.leaves()), (root(&leaves), size.into()));
            assert_eq!(builder.perfect.len(), size.count_ones() as usize, "no more than the logarithm is kept");
            leaves.push(Hash([size; 32]));
            builder.push(&Hash([size; 32]));
        }
    }

    #[test]
    fn order_and_number_change_the_root() {
        let [a, b] = [Hash([1; 32]), Hash([2; 32])];
        assert_ne!(root(&[a, b]), root(&[b, a]));
        assert_ne!(root(&[a]), root(&[a, a]));
        assert_ne!(root(&[]), root(&[Hash::ZERO]));
    }
}
