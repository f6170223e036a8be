//! The block log read beside a node at rest, from its first record on: nothing is made, changed or cut.

use crate::block_log::{BlockLog, FILE_HEADER_BYTES, LogError, LogReader, LogScan};
use crate::genesis::{Genesis, GenesisError};
use crate::reader::DecidedBlock;
use crate::state::Supply;
use std::collections::BTreeMap;
use std::sync::Arc;
use timed_primitives::{Amount, Block, Disk, Hash, Height, OutPoint};

/// Walks a block log. While the node runs, the end is where its last sync was, and may be asked for again later.
pub struct LogWalk {
    reader: LogReader,
    genesis: Hash,
    position: u64,
    next: Height,
}

impl LogWalk {
    /// At the first record.
    ///
    /// # Errors
    /// [`LogError::Io`] when there is no file or the disk refuses, [`LogError::NoLog`] when it does not start as block logs do.
    pub fn open(disk: &dyn Disk) -> Result<Self, LogError> {
        let (reader, genesis) = BlockLog::open_read_only(disk)?;
        Ok(Self { reader, genesis, position: FILE_HEADER_BYTES, next: Height::FIRST })
    }

    /// Hash of the genesis that it belongs to.
    pub const fn genesis(&self) -> Hash {
        self.genesis
    }

    /// The next block and its certificate, their checksum verified; `None` at the end, where a torn tail may follow.
    ///
    /// # Errors
    /// [`LogError::Damaged`] names the bad record; this walk gets no further.
    pub fn step(&mut self) -> Result<Option<DecidedBlock>, LogError> {
        let LogScan::Record(record) = self.reader.scan(self.position, self.next)? else { return Ok(None) };
        self.position = record.end;
        self.next = self.next.next();
        Ok(Some(DecidedBlock { block: Arc::new(record.block), certificate: Arc::new(record.certificate) }))
    }

    /// Where the next record goes. Unit: bytes.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Bytes from there to the end of the file: at the end of the walk, what a crash left behind.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn bytes_left(&self) -> Result<u64, LogError> {
        Ok(self.reader.len()?.saturating_sub(self.position))
    }
}

/// Where the money is, followed from genesis by the bodies of the blocks alone. Holds what is unspent in memory.
#[derive(Clone, Debug)]
pub struct MoneyTally {
    unspent: BTreeMap<OutPoint, Amount>,
    supply: Supply,
}

/// A block spends what is not there, or makes more than it spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "block {0} spends what is not there, or makes money: it is of another chain, or the log was made by faulty software"
)]
pub struct TallyError(pub Height);

impl MoneyTally {
    /// At genesis.
    ///
    /// # Errors
    /// [`GenesisError::SupplyOverflow`].
    pub fn new(genesis: &Genesis) -> Result<Self, GenesisError> {
        let unspent = genesis.unspent().map(|(outpoint, output)| (outpoint, output.amount)).collect();
        Ok(Self { unspent, supply: Supply { unspent: genesis.supply()?, fees: Amount::ZERO } })
    }

    /// Applies the next block.
    ///
    /// # Errors
    /// [`TallyError`]; what is counted afterwards means nothing.
    pub fn apply(&mut self, block: &Block) -> Result<(), TallyError> {
        self.try_apply(block).ok_or(TallyError(block.height()))
    }

    fn try_apply(&mut self, block: &Block) -> Option<()> {
        for transaction in &block.transactions {
            let mut spent = Amount::ZERO;
            for input in &transaction.body.inputs {
                spent = spent.plus(self.unspent.remove(&input.previous)?)?;
            }
            let mut made = Amount::ZERO;
            for (outpoint, output) in transaction.outputs() {
                made = made.plus(output.amount)?;
                self.unspent.insert(outpoint, output.amount);
            }
            let fee = spent.minus(made)?;
            self.supply = Supply { unspent: self.supply.unspent.minus(fee)?, fees: self.supply.fees.plus(fee)? };
        }
        Some(())
    }

    /// Where all money is. `unspent + fees` is the supply of genesis.
    pub const fn supply(&self) -> Supply {
        self.supply
    }

    /// How many outputs are unspent.
    pub fn outputs(&self) -> usize {
        self.unspent.len()
    }
}
