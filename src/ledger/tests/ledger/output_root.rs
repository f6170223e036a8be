//! The output root of headers against the plainest computation of it, through crashes, restarts and stores left behind.

use crate::chain::{block, certify, draft};
use crate::properties::{LOCKED, Model, payment};
use proptest::prelude::*;
use std::sync::Arc;
use timed_chain::{BlockError, CommitError, History as _, Store as _, ValidationError};
use timed_ledger::{Genesis, Ledger, OUTPUT_ROOTS, OutPoint, OutputEntry, output_leaf};
use timed_primitives::{Block, CommitCertificate, Hash, Height, MemoryDisk, merkle};
use timed_test_support::MemoryStore;

fn genesis(interval: u64) -> Genesis {
    let mut genesis = crate::chain::genesis();
    genesis.parameters.output_root_interval = interval;
    genesis
}

fn open(interval: u64, disk: &MemoryDisk, store: &MemoryStore) -> Ledger {
    timed_ledger::open(genesis(interval), disk, Arc::new(store.clone())).unwrap()
}

/// Leaves of all outputs, in order.
pub(crate) fn leaves(model: &Model) -> Vec<(OutPoint, Hash)> {
    let leaf = |(outpoint, (output, _, height)): (&OutPoint, &(_, u64, _))| {
        (*outpoint, output_leaf(outpoint, &OutputEntry { output: *output, height: *height }))
    };
    model.iter().map(leaf).collect()
}

/// A block and why it is final.
type Certified = (Arc<Block>, CommitCertificate);

/// The root over a model, as plainly as can be.
fn root(model: &Model) -> Hash {
    let leaves: Vec<_> = leaves(model).into_iter().map(|(_, leaf)| leaf).collect();
    merkle::root(&leaves)
}

/// A node, and what was unspent after each height.
pub(crate) struct Modelled {
    interval: u64,
    disk: MemoryDisk,
    store: MemoryStore,
    ledger: Ledger,
    /// By height.
    pub(crate) models: Vec<Model>,
}

impl Modelled {
    pub(crate) fn new(interval: u64) -> Self {
        let (disk, store) = (MemoryDisk::default(), MemoryStore::default());
        let ledger = open(interval, &disk, &store);
        let (genesis, coins) = (genesis(interval), genesis(interval).coins().count());
        let owner = |n: usize| if n < coins { 0 } else { LOCKED };
        let all = genesis.unspent().enumerate();
        let start: Model = all.map(|(n, (at, output))| (at, (output, owner(n), Height(0)))).collect();
        Self { interval, disk, store, ledger, models: vec![start] }
    }

    fn model(&self) -> &Model {
        self.models.last().unwrap()
    }

    /// What the header of a height must say.
    fn due(&self, height: Height) -> Hash {
        let boundary = height.0.checked_sub(self.interval).filter(|_| height.0.is_multiple_of(self.interval));
        boundary.map_or(Hash::ZERO, |boundary| root(&self.models[usize::try_from(boundary).unwrap()]))
    }

    /// One more block with these payments.
    #[track_caller]
    pub(crate) fn add(&mut self, picks: &[u16]) -> Certified {
        let (mut model, height) = (self.model().clone(), self.ledger.tip().height.next());
        let payments = picks.iter().filter_map(|pick| payment(&mut model, *pick, height)).collect();
        let block = block(&mut self.ledger, payments);
        assert_eq!(block.header.output_root, self.due(height), "height {height}");
        self.models.push(model);
        let certificate = certify(&block);
        self.ledger.commit(block.clone(), certificate.clone()).unwrap();
        (block, certificate)
    }

    /// As after a kill; with another store where one is given.
    fn restart(&mut self, store: Option<MemoryStore>) {
        self.disk = self.disk.copy_of_durable();
        self.store = store.unwrap_or_else(|| self.store.copy());
        let tip = self.ledger.tip();
        self.ledger = open(self.interval, &self.disk, &self.store);
        assert_eq!(self.ledger.tip(), tip);
    }

    /// The boundaries whose roots the store has; each is right, and none is of a height that the store does not have.
    fn stored_boundaries(&self) -> Vec<u64> {
        let rows = self.store.snapshot().unwrap().scan(OUTPUT_ROOTS, &[], None, usize::MAX).unwrap();
        let boundary = |(key, value): (Vec<u8>, Vec<u8>)| {
            let boundary = u64::from_be_bytes(key.try_into().unwrap());
            assert_eq!(value, root(&self.models[usize::try_from(boundary).unwrap()]).0, "boundary {boundary}");
            boundary
        };
        let stored = self.ledger.reader().stats().stored_height;
        rows.into_iter().map(boundary).inspect(|boundary| assert!(*boundary <= stored.0)).collect()
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// Blocks of payments.
    Blocks(Vec<Vec<u16>>),
    /// The store catches up.
    Flush,
    /// A kill.
    Kill,
    /// A loss of power takes so many of the store's newest batches.
    Power(usize),
    /// The store is lost.
    LoseStore,
}

fn step() -> impl Strategy<Value = Step> {
    let picks = || proptest::collection::vec(any::<u16>(), 0..5);
    prop_oneof![
        6 => proptest::collection::vec(picks(), 1..6).prop_map(Step::Blocks),
        3 => Just(Step::Flush),
        3 => Just(Step::Kill),
        1 => (0usize..3).prop_map(Step::Power),
        1 => Just(Step::LoseStore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_history_has_the_roots_of_the_plain_model(
        interval in 4u64..12,
        steps in proptest::collection::vec(step(), 1..24),
        at_once in 1usize..40,
    ) {
        let mut node = Modelled::new(interval);
        node.store.keep_undo(8);
        let mut all = Vec::new();
        for step in steps {
            match step {
                Step::Blocks(blocks) => all.extend(blocks.iter().map(|picks| node.add(picks))),
                Step::Flush => node.ledger.flush().unwrap(),
                Step::Kill => node.restart(None),
                Step::Power(batches) => {
                    let store = node.store.clone();
                    store.lose(batches);
                    node.restart(Some(store));
                }
                Step::LoseStore => node.restart(Some(MemoryStore::default())),
            }
            node.stored_boundaries();
        }
        // Who fetches the blocks many at once finds the same roots, and refuses another.
        let mut other = open(interval, &MemoryDisk::default(), &MemoryStore::default());
        for chunk in all.chunks(at_once) {
            prop_assert_eq!(other.commit_batch(chunk.to_vec()).unwrap().len(), chunk.len());
        }
        prop_assert_eq!(other.tip(), node.ledger.tip());
    }
}

/// Some payments of a block, other ones for each height.
pub(crate) fn picks(height: u64) -> Vec<u16> {
    (0..3).map(|n| u16::try_from(height * 7 + n * 11).unwrap()).collect()
}

/// Three intervals; after each height the files and the store; and the blocks.
fn three_intervals(interval: u64) -> (Modelled, Vec<(MemoryDisk, MemoryStore)>, Vec<Certified>) {
    let mut node = Modelled::new(interval);
    let (mut saved, mut blocks) = (vec![(node.disk.copy_of_durable(), node.store.copy())], Vec::new());
    for height in 1..=3 * interval {
        blocks.push(node.add(&picks(height)));
        node.ledger.flush().unwrap();
        saved.push((node.disk.copy_of_durable(), node.store.copy()));
    }
    (node, saved, blocks)
}

#[test]
fn a_restart_at_any_height_with_a_store_of_any_height_loses_no_root() {
    for interval in [4, 7] {
        let (node, saved, blocks) = three_intervals(interval);
        for (height, (disk, _)) in saved.iter().enumerate() {
            let lost = (MemoryDisk::default(), MemoryStore::default());
            for (behind, (_, store)) in saved[..=height].iter().chain([&lost]).enumerate() {
                let mut again = open(interval, &disk.copy_of_durable(), &store.copy());
                assert_eq!(again.tip().height.0, height as u64);
                for (at, (block, certificate)) in blocks.iter().enumerate().skip(height) {
                    let made = again.assemble(draft(&again, vec![])).unwrap().block;
                    let due = node.due(Height(at as u64 + 1));
                    assert_eq!(made.header.output_root, due, "restart at {height}, store {behind}, at {at}");
                    again.commit(block.clone(), certificate.clone()).unwrap();
                }
                assert_eq!(again.tip(), node.ledger.tip());
            }
        }
    }
}

#[test]
fn a_node_that_starts_at_every_height_goes_on() {
    let mut node = Modelled::new(8);
    for height in 1..=40 {
        node.add(&picks(height));
        if height % 2 == 0 {
            node.ledger.flush().unwrap();
        }
        node.restart(None);
    }
    // The store is lost each time: all slices of all intervals are done at each start.
    let mut node = Modelled::new(8);
    for height in 1..=40 {
        node.add(&picks(height));
        node.restart(Some(MemoryStore::default()));
    }
}

/// With eight outputs and more at each boundary, and an interval of 20, no slice has all of them.
#[test]
fn the_work_is_spread_over_half_of_the_interval_and_then_kept() {
    let interval = 20;
    let mut node = Modelled::new(interval);
    for height in 1..=3 * interval {
        node.add(&picks(height));
        node.ledger.flush().unwrap();
        let (boundary, past) = (height - height % interval, height % interval);
        let is_there = node.stored_boundaries().contains(&boundary);
        if past < 2 {
            assert!(!is_there, "the root of {boundary} was done at once at {height}");
        }
        if past >= interval / 2 {
            assert!(is_there, "half of the interval is over at {height}, and the root of {boundary} is not there");
        }
    }
    assert_eq!(node.stored_boundaries(), [0, 20, 40]);
    // Started again in every interval, just after the boundary: what was spent since is found in the log.
    let mut node = Modelled::new(interval);
    for height in 1..=3 * interval {
        node.add(&picks(height));
        node.ledger.flush().unwrap();
        if height % interval == 3 {
            node.restart(None);
        }
        let boundary = height - height % interval;
        let is_there = node.stored_boundaries().contains(&boundary);
        assert!(!is_there || height % interval > 4, "the work of {boundary} survived the start before {height}");
        assert!(is_there || height % interval < 18, "the root of {boundary} is not there at {height}");
    }
    // Started again after each of the first blocks: the slices that were missed do not come all at once.
    let mut node = Modelled::new(interval);
    for height in 1..interval {
        node.add(&picks(height));
        node.ledger.flush().unwrap();
        if height < interval / 2 {
            node.restart(None);
        }
        // At the first block after the last start 10 are left, of which three quarters are taken; how much a slice holds depends on the names.
        let is_there = node.stored_boundaries().contains(&0);
        assert!(is_there || height < 18, "at {height}");
        assert!(!is_there || height >= 16, "at {height}");
    }
}

/// What began to be written to the store before the boundary was committed holds nothing of its root.
#[test]
fn a_batch_that_ends_below_the_boundary_has_no_row_of_it() {
    let mut node = Modelled::new(4);
    (1..4).for_each(|height| drop(node.add(&picks(height))));
    let job = node.ledger.begin_flush().unwrap();
    (4..8).for_each(|height| drop(node.add(&picks(height))));
    job.run().unwrap();
    node.ledger.finish_flush().unwrap();
    assert_eq!(node.ledger.reader().stats().stored_height, Height(3));
    assert!(node.stored_boundaries().is_empty());
    node.ledger.flush().unwrap();
    assert_eq!(node.stored_boundaries(), [4]);
    node.restart(None);
    node.add(&picks(8));
}

/// Blocks that the store does not hold: those before the boundary count, those after it do not.
#[test]
fn the_store_may_lag_the_tip() {
    let mut node = Modelled::new(25);
    for height in 1..=160 {
        node.add(&picks(height));
        // Never by hand: the overlay fills up to its 64 blocks, and more than one boundary is in it.
    }
    assert!(node.ledger.reader().stats().overlay_blocks > 25);
    assert!(node.ledger.reader().stats().stored_height > Height(50));
}

#[test]
pub(crate) fn another_root_is_refused_where_one_is_due_and_where_none_is() {
    let mut node = Modelled::new(4);
    for height in 1..=12 {
        let good = block(&mut node.ledger, vec![]);
        let expected = node.due(Height(height));
        let mut turned = expected;
        turned.0[31] ^= 1;
        for root in [turned, root(node.model()), node.due(Height(4)), Hash::ZERO] {
            let mut other = (*good).clone();
            other.header.output_root = root;
            let other = Arc::new(other);
            let found = node.ledger.validate(&other);
            if root == expected {
                found.unwrap();
                continue;
            }
            let named = BlockError::OutputRoot { found: root, expected, height: Height(height) };
            assert!(matches!(found, Err(ValidationError::Invalid(error)) if error == named));
            // Certified elsewhere: this node ends, and says why.
            let error = node.ledger.commit(other.clone(), certify(&other)).unwrap_err();
            assert!(matches!(&error, CommitError::Invalid { source, .. } if **source == named) && error.is_fatal());
        }
        node.add(&picks(height));
    }
}

#[test]
fn a_header_proves_each_output_of_its_boundary_and_no_other() {
    let (node, ..) = three_intervals(4);
    let reader = node.ledger.reader();
    for height in [4, 8, 12] {
        let header = &reader.block(Height(height)).unwrap().unwrap().header;
        let all = leaves(&node.models[height as usize - 4]);
        let hashes: Vec<_> = all.iter().map(|(_, leaf)| *leaf).collect();
        for (index, (outpoint, leaf)) in all.iter().enumerate() {
            let path = merkle::path(&hashes, index).unwrap();
            let proves = |leaf: &Hash| merkle::verify_path(leaf, index, all.len(), &path, &header.output_root);
            assert!(proves(leaf));
            // The same output with another amount, or of another height.
            let (mut output, _, of) = node.models[height as usize - 4][outpoint];
            assert!(!proves(&output_leaf(outpoint, &OutputEntry { output, height: of.next() })));
            output.amount.0 += 1;
            assert!(!proves(&output_leaf(outpoint, &OutputEntry { output, height: of })));
        }
    }
}

#[test]
fn two_nodes_agree_though_one_is_restarted_all_the_time() {
    let (mut steady, mut restarted) = (Modelled::new(6), Modelled::new(6));
    for height in 1..=30 {
        // They propose in turn, and each validates what the other made.
        let (block, certificate) = steady.add(&picks(height));
        if height % 2 == 0 {
            let made = restarted.add(&picks(height));
            assert_eq!(made.0, block);
        } else {
            restarted.ledger.validate(&block).unwrap();
            restarted.ledger.commit(block, certificate).unwrap();
            restarted.models = steady.models.clone();
        }
        if height % 4 == 1 {
            restarted.ledger.flush().unwrap();
        }
        restarted.restart(None);
        assert_eq!(restarted.ledger.tip(), steady.ledger.tip());
    }
}
