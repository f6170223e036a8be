//! Outputs of a boundary that were spent since, out of the block log: what blocks spend, and which transactions made that. Payouts, which none
//! made, out of the store.

use crate::output_root::differences::Differences;
use crate::output_root::source::RootSource;
use crate::state::OutputEntry;
use crate::transaction::OutPoint;
use std::collections::{BTreeMap, BTreeSet};
use timed_chain::{Location, ReadError, Table};
use timed_primitives::{Height, TxId};

/// The search. It reads each block since the boundary once, of which there are fewer than the interval, and in each step every block once
/// that made something of what those of the step spend.
pub(crate) struct SpentSince {
    boundary: Height,
    /// The next block to look through.
    next: Height,
    /// The last.
    last: Height,
}

impl SpentSince {
    /// By the blocks after the boundary up to the last. None, when the last is not above the boundary.
    pub(crate) const fn new(boundary: Height, last: Height) -> Self {
        Self { boundary, next: boundary.next(), last }
    }

    /// How many blocks are to be looked through still.
    pub(crate) const fn blocks_left(&self) -> u64 {
        self.last.next().above(self.next)
    }

    /// Looks through so many more blocks. The outputs of the boundary that they spend go into `found`.
    pub(crate) fn step(
        &mut self,
        view: &impl RootSource,
        blocks: u64,
        found: &mut Differences,
    ) -> Result<(), ReadError> {
        let end = self.next.plus(blocks).min(self.last.next());
        let mut spent: BTreeMap<TxId, BTreeSet<u32>> = BTreeMap::new();
        while self.next < end {
            let payouts: BTreeMap<OutPoint, OutputEntry> = view.spent_payouts(self.next)?.into_iter().collect();
            let of_boundary = payouts.iter().filter(|(_, entry)| entry.height <= self.boundary);
            found.extend(of_boundary.map(|(outpoint, entry)| (*outpoint, Some(*entry))));
            for transaction in view.payments(self.next)? {
                for input in transaction.body.inputs {
                    if payouts.contains_key(&input.previous) {
                        continue;
                    }
                    spent.entry(input.previous.txid).or_default().insert(input.previous.index);
                }
            }
            self.next = self.next.next();
        }
        let mut by_height: BTreeMap<Height, Vec<Maker>> = BTreeMap::new();
        for (txid, outputs) in spent {
            let (height, index) = match view.location_of(&txid)? {
                Some(Location { height, index }) => (height, index),
                // No transaction made the outputs of genesis.
                None => (Height::GENESIS, 0),
            };
            if height <= self.boundary {
                by_height.entry(height).or_default().push((txid, index, outputs));
            }
        }
        for (height, makers) in by_height {
            if height == Height::GENESIS {
                found_in_genesis(view, makers, found)?;
            } else {
                found_in_block(view, height, makers, found)?;
            }
        }
        Ok(())
    }
}

/// A transaction, its position in its block, and which of its outputs are spent.
type Maker = (TxId, u32, BTreeSet<u32>);

/// Outputs of transactions, by their position in the block.
fn found_in_block(
    view: &impl RootSource,
    height: Height,
    makers: Vec<Maker>,
    found: &mut Differences,
) -> Result<(), ReadError> {
    let all = view.payments(height)?;
    for (txid, index, outputs) in makers {
        let maker = usize::try_from(index).ok().and_then(|index| all.get(index)).ok_or_else(damaged)?;
        for index in outputs {
            let output = usize::try_from(index).ok().and_then(|index| maker.body.outputs.get(index));
            let output = *output.ok_or_else(damaged)?;
            found.insert(OutPoint { txid, index }, Some(OutputEntry { output, height }));
        }
    }
    Ok(())
}

/// Outputs that were there from the start.
fn found_in_genesis(view: &impl RootSource, makers: Vec<Maker>, found: &mut Differences) -> Result<(), ReadError> {
    for (txid, _, outputs) in makers {
        for outpoint in outputs.into_iter().map(|index| OutPoint { txid, index }) {
            let output = view.genesis_output(&outpoint).ok_or_else(damaged)?;
            found.insert(outpoint, Some(OutputEntry { output, height: Height::GENESIS }));
        }
    }
    Ok(())
}

fn damaged() -> ReadError {
    ReadError::Undecodable { table: Table::TRANSACTIONS.name() }
}
