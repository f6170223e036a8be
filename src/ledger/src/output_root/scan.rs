//! The walk through all outputs of a boundary, in the store of that height or a later one.

use crate::output_root::differences::{Differences, differences};
use crate::output_root::leaf::output_leaf;
use crate::output_root::source::RootSource;
use crate::output_root::spent_since::SpentSince;
use crate::state::{outpoint_of_key, output_key};
use crate::tables::OUTPUTS;
use crate::transaction::OutPoint;
use std::sync::Arc;
use timed_chain::{ReadError, StoreError, StoreView};
use timed_primitives::merkle::RootBuilder;
use timed_primitives::{Hash, Height, decode};

/// Most outputs that are read from the store at once. Unit: outputs.
const AT_ONCE: usize = 4_096;
/// Blocks of the log that are looked through at once when a root is finished. Unit: blocks.
const BLOCKS_AT_ONCE: u64 = 16;
/// Where as many differences wait as are read at once, a slice goes through so many outputs at least for each one that blocks have spent ahead of it
/// since the slice before. So those make up a sixteenth of all outputs at most, however full the blocks are.
const PASSED_FOR_SPENT: usize = 4;

/// The root of a boundary while it is computed. Memory: the outputs that blocks in memory made and spent up to the boundary, those spent
/// since the boundary that the scan has not come to, and 64 hashes.
pub(crate) struct OutputScan {
    boundary: Height,
    /// The store's newest rows: those of the boundary would hold in memory all that was written since.
    rows: Arc<dyn StoreView>,
    /// What was spent since, where the rows were later from the start.
    spent_since: SpentSince,
    differences: Differences,
    /// What blocks up to this height spent is in `differences`, or found by `spent_since`.
    followed_to: Height,
    /// The last output that was passed.
    after: Option<OutPoint>,
    root: RootBuilder,
    /// The height at which what was spent since should be known.
    known_by: Height,
    /// So many outputs after each block.
    pace: usize,
}

/// What the newest blocks did ahead of a scan.
#[derive(Default)]
struct NewAhead {
    /// Outputs of the boundary that they spent.
    spent: usize,
    /// Outputs that they made.
    made: usize,
}

impl OutputScan {
    /// From the state at the view, which is that of the boundary or a later one. The header that needs the root is that of
    /// `boundary` + `interval`; at this pace it is ready at half of the blocks until then, or at three quarters when there is something to look for
    /// in the log first.
    pub(crate) fn new(view: &impl RootSource, boundary: Height, interval: u64) -> Self {
        let left = boundary.0.saturating_add(interval).saturating_sub(view.tip_height().0);
        // One more than would just do: the last slice must see that nothing follows.
        let outputs = view.unspent_count() / (left / 2).max(1) + 1;
        Self {
            boundary,
            rows: view.rows(),
            followed_to: boundary.max(view.rows_height()),
            spent_since: SpentSince::new(boundary, view.rows_height()),
            differences: differences(view, boundary),
            after: None,
            root: RootBuilder::default(),
            known_by: Height(view.tip_height().0.saturating_add(left / 4)),
            pace: usize::try_from(outputs).unwrap_or(usize::MAX),
        }
    }

    pub(crate) const fn boundary(&self) -> Height {
        self.boundary
    }

    /// The work of one block at this height of the view, whose blocks and indexes are read. The root, when that was the last of it.
    pub(crate) fn step(&mut self, view: &impl RootSource, at: Height) -> Result<Option<Hash>, ReadError> {
        let new = self.follow(view);
        let unread = self.spent_since.blocks_left();
        if unread > 0 {
            let steps_left = self.known_by.above(at).max(1);
            self.spent_since.step(view, unread.div_ceil(steps_left), &mut self.differences)?;
            return Ok(None);
        }
        let is_much = self.differences.len() >= AT_ONCE;
        let least = if is_much { new.spent.saturating_mul(PASSED_FOR_SPENT) } else { 0 };
        self.slice(self.pace.max(least).saturating_add(new.made))
    }

    /// Goes on with the rows of this view. What its newest blocks spent of what is ahead is missing there, and what they made is there beside the
    /// boundary's.
    fn follow(&mut self, view: &impl RootSource) -> NewAhead {
        let mut new = NewAhead::default();
        // Blocks that went to the store unseen: the rows before them are kept to the end.
        if view.rows_height() > self.followed_to {
            return new;
        }
        let (boundary, after) = (self.boundary, self.after);
        let is_ahead = |outpoint: &OutPoint| after.is_none_or(|after| *outpoint > after);
        for (_, changes) in view.newest_changes().filter(|(height, _)| *height > self.followed_to) {
            new.made += changes.created.keys().filter(|outpoint| is_ahead(outpoint)).count();
            for (outpoint, entry) in &changes.spent {
                if entry.height <= boundary && is_ahead(outpoint) {
                    self.differences.insert(*outpoint, Some(*entry));
                    new.spent += 1;
                }
            }
        }
        self.followed_to = self.followed_to.max(view.tip_height());
        self.rows = view.rows();
        new
    }

    /// So many outputs. The root, when there are no more.
    fn slice(&mut self, mut left: usize) -> Result<Option<Hash>, ReadError> {
        while left > 0 {
            let count = left.min(AT_ONCE);
            if let Some(root) = self.take(count)? {
                return Ok(Some(root));
            }
            left -= count;
        }
        Ok(None)
    }

    /// All that is left.
    pub(crate) fn finish(&mut self, view: &impl RootSource) -> Result<Hash, ReadError> {
        while self.spent_since.blocks_left() > 0 {
            self.spent_since.step(view, BLOCKS_AT_ONCE, &mut self.differences)?;
        }
        loop {
            if let Some(root) = self.take(AT_ONCE)? {
                return Ok(root);
            }
        }
    }

    /// Goes through so many more outputs. The root, when there are no more.
    fn take(&mut self, count: usize) -> Result<Option<Hash>, ReadError> {
        let after = self.after.as_ref().map(output_key);
        let rows = self.rows.scan(OUTPUTS, &[], after.as_deref(), count).map_err(StoreError::from)?;
        let mut rows = rows.into_iter().peekable();
        for _ in 0..count {
            let row = rows.peek().map(|(key, _)| outpoint_of_key(key).ok_or_else(damaged)).transpose()?;
            let difference = self.differences.first_key_value().map(|(outpoint, _)| *outpoint);
            let Some(outpoint) = [row, difference].into_iter().flatten().min() else {
                return Ok(Some(self.root.root()));
            };
            let stored = rows.next_if(|_| row == Some(outpoint));
            let entry = match self.differences.remove(&outpoint) {
                Some(entry) => entry,
                None => stored.as_ref().map(|(_, value)| decode(value).map_err(|_| damaged())).transpose()?,
            };
            self.after = Some(outpoint);
            if let Some(entry) = entry.filter(|entry| entry.height <= self.boundary) {
                self.root.push(&output_leaf(&outpoint, &entry));
            }
        }
        Ok(None)
    }
}

fn damaged() -> ReadError {
    ReadError::Undecodable { table: OUTPUTS.name() }
}

#[cfg(test)]
mod tests;
