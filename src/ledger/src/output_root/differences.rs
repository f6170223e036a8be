//! How the outputs of a boundary differ from the rows of a store.

use crate::output_root::source::RootSource;
use crate::state::OutputEntry;
use crate::transaction::OutPoint;
use std::collections::BTreeMap;
use timed_primitives::Height;

/// Outputs of the boundary that the store's rows do not show (`Some`), and rows of outputs that were spent by then (`None`).
pub(crate) type Differences = BTreeMap<OutPoint, Option<OutputEntry>>;

/// By the blocks in memory up to the boundary; none, when the store holds them.
pub(crate) fn differences(view: &impl RootSource, boundary: Height) -> Differences {
    let mut differences = Differences::new();
    for (height, changes) in view.newest_changes().take_while(|(height, _)| *height <= boundary) {
        // One that an earlier block of these made has no row yet, but has one while the store holds that block and not this one.
        differences.extend(changes.spent.keys().map(|outpoint| (*outpoint, None)));
        let made = changes.created.iter();
        differences.extend(made.map(|(outpoint, output)| (*outpoint, Some(OutputEntry { output: *output, height }))));
    }
    differences
}
