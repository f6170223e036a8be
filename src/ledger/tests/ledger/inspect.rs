//! The block log as it is read beside a node.

use crate::chain::{Node, commit, genesis, log_bytes};
use timed_chain::{BLOCK_LOG_FILE, Damage, History as _, LogError, LogWalk};
use timed_primitives::{Disk, Height, MemoryDisk};

#[test]
fn a_walk_gives_every_block_and_goes_on_when_there_are_more() {
    let mut node = Node::with_blocks(2);
    let mut walk = LogWalk::open(&node.disk).unwrap();
    assert_eq!(walk.genesis(), genesis().hash());
    let reader = node.ledger.reader();
    for height in [1, 2] {
        assert_eq!(walk.step().unwrap(), reader.decided(Height(height)).unwrap());
    }
    assert_eq!(walk.step().unwrap(), None);
    commit(&mut node.ledger, vec![]);
    assert_eq!(walk.step().unwrap(), reader.decided(Height(3)).unwrap());
    assert_eq!((walk.step().unwrap(), walk.bytes_left().unwrap()), (None, 0));
    assert_eq!(walk.position(), reader.stats().log_bytes);
}

#[test]
fn a_torn_tail_is_left_and_damage_is_named() {
    let node = Node::with_blocks(3);
    let mut walk = LogWalk::open(&node.disk).unwrap();
    let ends: Vec<_> =
        (0..3).map(|_| walk.step().map(|_| usize::try_from(walk.position()).unwrap()).unwrap()).collect();
    let whole = log_bytes(&node.disk);

    let torn = MemoryDisk::default();
    torn.open(BLOCK_LOG_FILE).unwrap().write_at(0, &whole[..ends[2] - 5]).unwrap();
    let mut walk = LogWalk::open(&torn).unwrap();
    let found = std::iter::from_fn(|| walk.step().unwrap()).count();
    assert_eq!((found, walk.position()), (2, ends[1] as u64));
    assert_eq!(walk.bytes_left().unwrap(), (ends[2] - 5 - ends[1]) as u64);
    assert_eq!(log_bytes(&torn), whole[..ends[2] - 5]);

    node.disk.damage(BLOCK_LOG_FILE, |bytes| bytes[ends[0] + 50] ^= 1).unwrap();
    let mut walk = LogWalk::open(&node.disk).unwrap();
    assert!(walk.step().unwrap().is_some());
    let error = walk.step().unwrap_err();
    let LogError::Damaged { offset, height: Height(2), damage: Damage::Checksum } = error else { panic!("{error}") };
    assert_eq!(offset, ends[0] as u64);

    node.disk.damage(BLOCK_LOG_FILE, |bytes| bytes[3] ^= 1).unwrap();
    assert!(matches!(LogWalk::open(&node.disk), Err(LogError::NoLog)));
}
