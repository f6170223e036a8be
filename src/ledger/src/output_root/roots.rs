//! Which root is due, and how far its computation is.

use crate::output_root::scan::OutputScan;
use crate::output_root::source::RootSource;
use crate::tables::OUTPUT_ROOTS;
use std::sync::{Mutex, MutexGuard, PoisonError};
use timed_chain::{ReadError, StoreBatch};
use timed_primitives::{Hash, Height, encode};

/// The root of the newest boundary, done or on the way. The lock is held for a slice by the chain's writer, and for moments by who writes to the
/// store; readers do not need it.
pub(crate) struct OutputRoots {
    /// Unit: blocks. Above 0: the parameters have been checked.
    interval: u64,
    progress: Mutex<RootProgress>,
}

#[derive(Default)]
struct RootProgress {
    /// `None` at first, and after a read that failed.
    stage: Option<RootStage>,
    /// The last block whose slice is done; `None` at first.
    worked_up_to: Option<Height>,
}

enum RootStage {
    Scanning(Box<OutputScan>),
    Done {
        boundary: Height,
        root: Hash,
        /// Whether its row is in the store, or in a batch on the way there.
        is_stored: bool,
    },
}

impl RootStage {
    fn boundary(&self) -> Height {
        match self {
            Self::Scanning(scan) => scan.boundary(),
            Self::Done { boundary, .. } => *boundary,
        }
    }

    /// Of this boundary, from the state at the view.
    fn of(view: &impl RootSource, boundary: Height, interval: u64) -> Result<Self, ReadError> {
        Ok(match view.stored_root(boundary)? {
            Some(root) => Self::Done { boundary, root, is_stored: true },
            None => Self::Scanning(Box::new(OutputScan::new(view, boundary, interval))),
        })
    }
}

impl OutputRoots {
    pub(crate) fn new(interval: u64) -> Self {
        Self { interval, progress: Mutex::default() }
    }

    /// What the header of the block of this height, on top of the view, must say. Where the root is not ready, it is finished now.
    pub(crate) fn due(&self, view: &impl RootSource, height: Height) -> Result<Hash, ReadError> {
        if height == Height::GENESIS || !height.0.is_multiple_of(self.interval) {
            return Ok(Hash::ZERO);
        }
        let boundary = Height(height.0 - self.interval);
        let mut progress = self.lock();
        let (root, is_stored) = match progress.take(view, boundary, self.interval)? {
            RootStage::Done { root, is_stored, .. } => (root, is_stored),
            RootStage::Scanning(mut scan) => (scan.finish(view)?, false),
        };
        progress.stage = Some(RootStage::Done { boundary, root, is_stored });
        Ok(root)
    }

    /// The slices of the blocks up to the view's tip.
    pub(crate) fn advance(&self, view: &impl RootSource) -> Result<(), ReadError> {
        let tip = view.tip_height();
        let boundary = Height(tip.0 - tip.0 % self.interval);
        let mut progress = self.lock();
        let mut stage = progress.take(view, boundary, self.interval)?;
        // Slices of blocks before the boundary were for another root. At a start, those that are missed do not come all at once.
        let first = progress.worked_up_to.map_or(tip, Height::next).max(boundary);
        for at in (first.0..=tip.0).map(Height) {
            let RootStage::Scanning(scan) = &mut stage else { break };
            if let Some(root) = scan.step(view, at)? {
                stage = RootStage::Done { boundary, root, is_stored: false };
            }
        }
        progress.worked_up_to = Some(tip);
        progress.stage = Some(stage);
        Ok(())
    }

    /// Adds the row of a root that is done to the batch that holds a block of this height, unless the store has it or does not reach its boundary.
    pub(crate) fn write(&self, height: Height, batch: &mut StoreBatch) {
        if let Some(RootStage::Done { boundary, root, is_stored }) = &mut self.lock().stage
            && !*is_stored
            && height >= *boundary
        {
            batch.put(OUTPUT_ROOTS, root_key(*boundary), encode(root));
            *is_stored = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, RootProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RootProgress {
    /// Takes out the stage of this boundary, made anew if it is of another one. An error leaves nothing behind: the next call begins again.
    fn take(&mut self, view: &impl RootSource, boundary: Height, interval: u64) -> Result<RootStage, ReadError> {
        match self.stage.take() {
            Some(stage) if stage.boundary() == boundary => Ok(stage),
            _ => RootStage::of(view, boundary, interval),
        }
    }
}

/// The key of a boundary's row in [`OUTPUT_ROOTS`].
pub(crate) fn root_key(boundary: Height) -> Vec<u8> {
    boundary.0.to_be_bytes().to_vec()
}
