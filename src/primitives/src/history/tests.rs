//! Against the plainest way to the same root: the whole list, split at the largest power of two.

use super::*;
use crate::{decode, encode};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// As many blocks as small histories are tried with, and more than a thousand of them by their roots.
const SMALL: u64 = 130;
const LARGE: u64 = 4_100;

fn id(height: u64) -> BlockId {
    BlockId(Hash::of(Domain::BlockId, &height.to_be_bytes()))
}

/// A chain whose nodes are all kept.
#[derive(Default)]
struct Chain {
    peaks: HistoryPeaks,
    nodes: BTreeMap<HistoryNode, Hash>,
}

impl Chain {
    fn of(count: u64) -> Self {
        let mut chain = Self::default();
        (1..=count).for_each(|height| chain.append(id(height)));
        chain
    }

    fn append(&mut self, id: BlockId) {
        let made = self.peaks.append(&id);
        let last = Height(self.peaks.count());
        self.nodes.extend((0..).zip(made).map(|(level, hash)| (HistoryNode { last, level }, hash)));
    }

    fn node(&self, at: HistoryNode) -> Result<Hash, Infallible> {
        Ok(self.nodes[&at])
    }

    fn path(&self, count: u64, height: u64) -> Option<HistoryPath> {
        HistoryPath::from_nodes(count, Height(height), |at| self.node(at)).unwrap()
    }

    fn peaks_at(&self, count: u64) -> HistoryPeaks {
        HistoryPeaks::from_nodes(count, |at| self.node(at)).unwrap()
    }
}

/// The root by the definition of the tree, of blocks `first` to `last`.
fn plain_top(first: u64, last: u64) -> Hash {
    if first == last {
        return leaf(Height(first), &id(first));
    }
    let split = (last - first + 1).next_power_of_two() / 2;
    node(&plain_top(first, first + split - 1), &plain_top(first + split, last))
}

fn plain_root(count: u64) -> Hash {
    root(count, (count > 0).then(|| plain_top(1, count)))
}

#[test]
fn each_root_is_that_of_the_whole_list_whichever_way_it_was_reached() {
    let mut chain = Chain::default();
    for count in 0..=SMALL {
        assert_eq!(chain.peaks.root(), plain_root(count), "{count} blocks");
        chain.append(id(count + 1));
    }
    for count in 0..=SMALL {
        assert_eq!(chain.peaks_at(count).root(), plain_root(count), "{count} blocks, by their nodes");
    }
    assert_eq!(chain.peaks_at(SMALL + 1), chain.peaks);
}

#[test]
fn two_nodes_a_block_are_made_and_the_peaks_are_as_many_as_bits_are_set() {
    let mut peaks = HistoryPeaks::default();
    let mut made = 0;
    for count in 1..=LARGE {
        made += peaks.append(&id(count)).len() as u64;
        assert_eq!(peaks.peaks.len() as u32, count.count_ones());
        assert!(made < 2 * count, "{made} nodes of {count} blocks");
    }
}

#[test]
fn every_block_of_every_small_history_proves_itself_and_nothing_else() {
    let chain = Chain::of(SMALL);
    for count in 0..=SMALL {
        let root = chain.peaks_at(count).root();
        for height in 1..=count {
            let path = chain.path(count, height).unwrap();
            assert!(path.proves(&root, count, Height(height), &id(height)), "{height} of {count}");
            assert!(!path.proves(&root, count, Height(height), &id(height + 1)), "{height} of {count}");
            for other in [0, 1, height - 1, height + 1, count, count + 1, u64::MAX].into_iter().filter(|h| *h != height)
            {
                assert!(!path.proves(&root, count, Height(other), &id(height)), "{height} of {count} as {other}");
                assert!(!path.proves(&root, count, Height(other), &id(other)), "{height} of {count} as {other}");
            }
            for other in [0, 1, count - 1, count + 1, 2 * count, u64::MAX].into_iter().filter(|n| *n != count) {
                assert!(!path.proves(&root, other, Height(height), &id(height)), "{height} of {count}, not {other}");
            }
        }
        for height in [0, count + 1, u64::MAX] {
            assert!(chain.path(count, height).is_none(), "{height} of {count}");
        }
    }
}

#[test]
fn a_path_with_any_bit_turned_any_hash_too_many_or_too_few_proves_nothing() {
    let chain = Chain::of(SMALL);
    for count in [1, 2, 3, 4, 7, 8, 21, 63, 64, 65, SMALL] {
        let root = chain.peaks_at(count).root();
        for height in 1..=count {
            let path = chain.path(count, height).unwrap();
            let proves = |hashes: Vec<Hash>| HistoryPath(hashes).proves(&root, count, Height(height), &id(height));
            for at in 0..path.0.len() {
                let mut turned = path.0.clone();
                turned[at].0[at % 32] ^= 1;
                assert!(!proves(turned), "{height} of {count}: hash {at}");
                let mut shorter = path.0.clone();
                shorter.remove(at);
                assert!(!proves(shorter), "{height} of {count}: without hash {at}");
            }
            let mut longer = path.0.clone();
            longer.push(root);
            assert!(!proves(longer), "{height} of {count}: one more");
        }
    }
}

/// The bound that is stated above, and that it is reached: no smaller one holds.
#[test]
fn no_path_is_longer_than_the_logarithm_rounded_up() {
    for count in 1..=LARGE {
        let lengths = (1..=count).map(|height| steps(count, Height(height)).unwrap().len());
        let longest = u32::try_from(lengths.max().unwrap()).unwrap();
        assert_eq!(longest, history_path_max(count), "{count} blocks");
        assert!(2_u64.pow(longest) >= count && (longest == 0 || 2_u64.pow(longest - 1) < count), "{count} blocks");
    }
}

#[test]
fn the_largest_numbers_are_bounded_too() {
    for count in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 1, 0x5555_5555_5555_5555] {
        for height in [1, 2, count / 2, count - 1, count] {
            let length = steps(count, Height(height)).unwrap().len();
            assert!(length <= HISTORY_PATH_MAX && length <= history_path_max(count) as usize, "{height} of {count}");
        }
        assert!(peaks_of(count).count() <= HISTORY_PATH_MAX);
        assert!(steps(count, Height(0)).is_none());
    }
    let mut full = HistoryPeaks { count: u64::MAX, peaks: vec![Hash::ZERO; 64] };
    assert_eq!((full.append(&id(1)), full.count()), (Vec::new(), u64::MAX));
}

#[test]
fn histories_differ_by_number_order_and_ids() {
    let of = |ids: &[BlockId]| {
        let mut peaks = HistoryPeaks::default();
        ids.iter().for_each(|id| drop(peaks.append(id)));
        peaks.root()
    };
    let [a, b] = [id(1), id(2)];
    let all = [of(&[]), of(&[a]), of(&[b]), of(&[a, a]), of(&[a, b]), of(&[b, a]), of(&[a, b, a]), of(&[a, a, b])];
    let mut sorted = all.to_vec();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), all.len());
}

#[test]
fn a_path_of_more_than_64_hashes_is_refused_before_they_are_read() {
    let of = |length: usize| HistoryPath(vec![Hash([7; 32]); length]);
    for length in [0, 1, HISTORY_PATH_MAX] {
        assert_eq!(decode::<HistoryPath>(&encode(&of(length))).unwrap(), of(length));
    }
    let error = decode::<HistoryPath>(&encode(&of(65))).unwrap_err().to_string();
    assert!(error.contains("a path of 65 hashes: at most 64"), "{error}");
    let error = decode::<HistoryPath>(&u32::MAX.to_le_bytes()).unwrap_err().to_string();
    assert!(error.contains("a path of 4294967295 hashes"), "{error}");
    assert!(decode::<HistoryPath>(&encode(&of(3))[..90]).is_err());
}
