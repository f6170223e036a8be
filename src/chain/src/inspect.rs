//! The block log read beside a node at rest, from its first record on: nothing is made, changed or cut.

use crate::block_log::{BlockLog, LogError, LogReader, LogScan};
use crate::decided::DecidedBlock;
use crate::log_header::FILE_HEADER_BYTES;
use std::sync::Arc;
use timed_primitives::{Disk, Hash, Height};

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

    /// Bytes from there to the end of what the file holds: at the end of the walk, what a crash left behind.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn bytes_left(&self) -> Result<u64, LogError> {
        Ok(self.reader.used_end(self.position)?.saturating_sub(self.position))
    }
}
