//! The history of a chain under one hash: a Merkle mountain range over the ids of its blocks, so that the certificate of one recent block
//! proves any older one (as in ZIP-221 and FlyClient, without their sums over the blocks).
//!
//! ```text
//! leaf(h)    = H("history leaf", h as u64 little endian ‖ id of block h)
//! node(l, r) = H("history node", l ‖ r)
//! root of n  = H("history root", n as u64 little endian)                    n = 0
//!              H("history root", n as u64 little endian ‖ top)              else
//! top        = the peaks p1 … pk, bagged from the right: node(p1, node(p2, … node(pk-1, pk)))
//! ```
//!
//! The blocks 1 to n stand in perfect trees, one for each bit of n that is set, the largest first; their roots are the peaks. The number of blocks
//! is hashed with the top, so that one root is the root of one list: number and height determine the shape of the tree, the length of
//! a path and the side of each of its hashes.
//!
//! A path has at most ⌈log2 n⌉ hashes. Of a block below peak number k of height b there are b beside it in its tree, one for all peaks on the right
//! if there are any, and k - 1 for those on the left. Peaks fall in height, so b + k - 1 is at most ⌊log2 n⌋, the height of the first; and where there
//! are peaks on the right n is no power of two, and ⌈log2 n⌉ is one more.

use crate::block_id::BlockId;
use crate::hash::{Domain, Hash};
use crate::number::Height;
use borsh::{BorshDeserialize, BorshSerialize};
use std::io;

/// Most hashes of any [`HistoryPath`], and most peaks of any [`HistoryPeaks`]: as many as a number of blocks has bits.
pub const HISTORY_PATH_MAX: usize = 64;

/// Most hashes of a path in a history of so many blocks: the logarithm to base 2, rounded up.
pub const fn history_path_max(count: u64) -> u32 {
    if count < 2 { 0 } else { u64::BITS - (count - 1).leading_zeros() }
}

/// Names the root of a perfect tree over 2^`level` blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryNode {
    /// The last of the blocks, with which the node comes to be. A multiple of 2^`level`.
    pub last: Height,
    /// Height above the leaves. Bound: 63.
    pub level: u32,
}

/// The peaks over the first blocks of a chain: what it takes to add the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryPeaks {
    count: u64,
    /// The largest first, one for each bit of `count` that is set.
    peaks: Vec<Hash>,
}

impl HistoryPeaks {
    /// Of so many blocks, by their nodes.
    ///
    /// # Errors
    /// Those of `node`, which is asked for 64 nodes at most.
    pub fn from_nodes<E>(count: u64, node: impl FnMut(HistoryNode) -> Result<Hash, E>) -> Result<Self, E> {
        Ok(Self { count, peaks: peaks_of(count).map(node).collect::<Result<_, E>>()? })
    }

    /// How many blocks there are; also the height of the last.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Adds the next block. Gives the nodes that come to be with it, by level from 0 on: two on average, 64 at most.
    ///
    /// A history of `u64::MAX` blocks is full: it stays as it is, and nothing is given.
    pub fn append(&mut self, id: &BlockId) -> Vec<Hash> {
        let Some(count) = self.count.checked_add(1) else { return Vec::new() };
        let mut newest = leaf(Height(count), id);
        let mut made = vec![newest];
        for _ in 0..count.trailing_zeros() {
            let Some(left) = self.peaks.pop() else { break };
            newest = node(&left, &newest);
            made.push(newest);
        }
        self.peaks.push(newest);
        self.count = count;
        made
    }

    /// What the header of the next block says of all before it.
    pub fn root(&self) -> Hash {
        root(self.count, bag(self.peaks.iter().copied()))
    }
}

/// The hashes beside the way from a block to the root, from the block upward.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct HistoryPath(Vec<Hash>);

impl HistoryPath {
    /// Of the block of a height in the history of the first `count` blocks, by their nodes; `None` when that block is not one of them.
    ///
    /// # Errors
    /// Those of `node`, which is asked for 64 nodes at most, all of them of these blocks.
    pub fn from_nodes<E>(
        count: u64,
        height: Height,
        mut node: impl FnMut(HistoryNode) -> Result<Hash, E>,
    ) -> Result<Option<Self>, E> {
        let Some(steps) = steps(count, height) else { return Ok(None) };
        let mut beside = Vec::with_capacity(steps.len());
        for step in steps {
            match step {
                Beside::Left(at) | Beside::Right(at) => beside.push(node(at)?),
                Beside::LaterPeaks { above } => {
                    let later = peaks_of(count).filter(|peak| peak.last > above);
                    let later: Vec<_> = later.map(&mut node).collect::<Result<_, E>>()?;
                    beside.extend(bag(later.into_iter()));
                }
            }
        }
        Ok(Some(Self(beside)))
    }

    /// True when the block of this height has this id in the history of `count` blocks with this root.
    pub fn proves(&self, root_of_all: &Hash, count: u64, height: Height, id: &BlockId) -> bool {
        let Some(steps) = steps(count, height).filter(|steps| steps.len() == self.0.len()) else { return false };
        let climb = |below: Hash, (step, beside): (Beside, &Hash)| match step {
            Beside::Left(_) => node(beside, &below),
            Beside::Right(_) | Beside::LaterPeaks { .. } => node(&below, beside),
        };
        let top = steps.into_iter().zip(&self.0).fold(leaf(height, id), climb);
        root(count, Some(top)) == *root_of_all
    }

    /// The hashes, from the block upward. Bound: [`HISTORY_PATH_MAX`].
    pub fn hashes(&self) -> &[Hash] {
        &self.0
    }
}

/// Refuses more than [`HISTORY_PATH_MAX`] hashes before it reads them.
impl BorshDeserialize for HistoryPath {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let length = u32::deserialize_reader(reader)?;
        let fits = usize::try_from(length).ok().filter(|length| *length <= HISTORY_PATH_MAX);
        let Some(length) = fits else {
            let text = format!("a path of {length} hashes: at most {HISTORY_PATH_MAX} lead to the root of any history");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        (0..length).map(|_| Hash::deserialize_reader(reader)).collect::<io::Result<_>>().map(Self)
    }
}

/// What stands beside the way to the root at one step of it.
#[derive(Clone, Copy)]
enum Beside {
    Left(HistoryNode),
    Right(HistoryNode),
    /// All peaks behind the block of this height, bagged.
    LaterPeaks {
        above: Height,
    },
}

/// The steps from the block of a height upward; `None` when it is not one of the first `count`.
fn steps(count: u64, height: Height) -> Option<Vec<Beside>> {
    let index = height.0.checked_sub(1)?;
    let peak = peaks_of(count).find(|peak| height <= peak.last)?;
    let sibling = |level: u32| {
        let at = index >> level;
        let last = |index: u64| HistoryNode { last: Height((index + 1) << level), level };
        if at.is_multiple_of(2) { Beside::Right(last(at + 1)) } else { Beside::Left(last(at - 1)) }
    };
    let mut steps: Vec<_> = (0..peak.level).map(sibling).collect();
    if peak.last.0 < count {
        steps.push(Beside::LaterPeaks { above: peak.last });
    }
    let earlier: Vec<_> = peaks_of(count).take_while(|earlier| earlier.last < peak.last).collect();
    steps.extend(earlier.into_iter().rev().map(Beside::Left));
    Some(steps)
}

/// The peaks over the first `count` blocks, the largest first.
fn peaks_of(count: u64) -> impl Iterator<Item = HistoryNode> {
    let levels = (0..u64::BITS).rev().filter(move |level| count >> level & 1 == 1);
    levels.map(move |level| HistoryNode { last: Height(count >> level << level), level })
}

/// Peaks under one hash, from the right; `None` of none.
fn bag(peaks: impl DoubleEndedIterator<Item = Hash>) -> Option<Hash> {
    peaks.rev().reduce(|right, left| node(&left, &right))
}

fn leaf(height: Height, id: &BlockId) -> Hash {
    let mut hasher = Domain::HistoryLeaf.hasher();
    hasher.update(&height.0.to_le_bytes()).update(&id.0.0);
    Hash(hasher.finalize().into())
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Domain::HistoryNode.hasher();
    hasher.update(&left.0).update(&right.0);
    Hash(hasher.finalize().into())
}

fn root(count: u64, top: Option<Hash>) -> Hash {
    let mut hasher = Domain::HistoryRoot.hasher();
    hasher.update(&count.to_le_bytes());
    if let Some(top) = top {
        hasher.update(&top.0);
    }
    Hash(hasher.finalize().into())
}

#[cfg(test)]
mod tests;
