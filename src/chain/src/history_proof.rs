//! What is proved by the nodes of the history.

use crate::application::Application;
use crate::error::{HistoryProofFault, ReadError, StoreError};
use crate::history_row::{node_in, row_key};
use crate::state_view::StateView;
use crate::store::Table;
use timed_primitives::{Hash, Height, HistoryNode, HistoryPath, HistoryPeaks, HistoryProof};

const fn damaged() -> ReadError {
    ReadError::Undecodable { table: Table::HISTORY.name() }
}

impl<A: Application> StateView<A> {
    /// That an old block is part of the chain, by the header of a later one, or by the tip's.
    ///
    /// # Errors
    /// [`HistoryProofFault`].
    pub fn history_proof(&self, height: Height, at: Option<Height>) -> Result<HistoryProof, HistoryProofFault> {
        let tip = self.height();
        let at = at.unwrap_or(tip);
        if let Some(height) = [height, at].into_iter().find(|height| *height < Height::FIRST || *height > tip) {
            return Err(HistoryProofFault::NoBlock { height, tip });
        }
        if height >= at {
            return Err(HistoryProofFault::NotBefore { height, at });
        }
        let (Some(block), Some(later)) = (self.decided(height)?, self.decided(at)?) else {
            return Err(ReadError::Undecodable { table: Table::BLOCKS.name() }.into());
        };
        let (block, at) = (block.block.header.clone(), later.block.header.clone());
        let path = HistoryPath::from_nodes(at.blocks_before(), height, |node| self.history_node(node))?;
        let path = path.ok_or_else(damaged)?;
        let proof = HistoryProof { block, at, certificate: (*later.certificate).clone(), path };
        // The headers are those of the log, whose checksums hold: what does not fit is a node of the store.
        proof.check().map_err(|_| damaged())?;
        Ok(proof)
    }

    /// All up to a block, by the nodes of the store.
    pub(crate) fn stored_history(&self, height: Height) -> Result<HistoryPeaks, ReadError> {
        HistoryPeaks::from_nodes(height.0, |node| self.history_node(node))
    }

    /// A node of the blocks up to the tip.
    fn history_node(&self, at: HistoryNode) -> Result<Hash, ReadError> {
        let found = match self.layer(at.last) {
            Some(layer) => {
                usize::try_from(at.level).ok().and_then(|level| layer.effects.history_nodes.get(level)).copied()
            }
            None => node_in(&self.stored_row(at.last)?, at.level),
        };
        found.ok_or_else(damaged)
    }

    /// The row of a block in the store; empty when there is none.
    pub(crate) fn stored_row(&self, height: Height) -> Result<Vec<u8>, ReadError> {
        let row = self.snapshot.get(Table::HISTORY, &row_key(height)).map_err(StoreError::from)?;
        Ok(row.unwrap_or_default())
    }
}
