//! The pool over restarts: one file of what waits, and of what was lost.
//!
//! ```text
//! file    = header record*
//! header  = "TIMEPOL1" genesis-hash(32) crc(4)         crc over the 40 bytes before; the digit is the version
//! record  = "POLR" length(4) crc(4) payload            crc over length and payload
//! payload = 0 arrived is-ours transaction | 1 loss     borsh; numbers of header and record big endian
//! ```
//!
//! Records are appended; what a later one says of a transaction counts. Now and then the file is written anew beside, synced and renamed, so
//! that what left the pool leaves the file. A crash may tear the records behind the last sync: those that are whole are read, the others are
//! passed over, and nothing that is read is believed, since every transaction is checked again.

mod contents;
mod record;
mod summary;

pub use record::{KeptRecord, KeptTransaction, ParseTransaction};
pub use summary::PoolFileSummary;

use crate::limits::PoolLimits;
use crate::losses::{LOSSES_MAX, Losses};
use contents::Contents;
use record::{PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, RECORD_MAGIC, record_at};
use std::io;
use std::sync::Arc;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Disk, DiskFile, Hash};

/// Name of the file on the disk seam.
pub const POOL_FILE: &str = "mempool.log";
/// Where the file is written anew, before it is renamed.
pub const POOL_FILE_BESIDE: &str = "mempool.log.new";
/// Where a file goes that is damaged or of another chain. The one before it is overwritten.
pub const POOL_FILE_DAMAGED: &str = "mempool.log.damaged";

const FILE_MAGIC: &[u8; 8] = b"TIMEPOL1";
const HEADER_BYTES: usize = 44;
/// How much is read or written at once. More than a record has. Unit: bytes.
const CHUNK_BYTES: usize = 2 << 20;
/// Places at which a record is looked for behind a damaged one; then the rest is given up.
const SEARCHES_MAX: usize = 10_000;
/// Bytes of a record beside its transaction, and of a loss; an estimate for bounds.
const RECORD_OVERHEAD: usize = 256;
/// Bytes of appended records above which the file is written anew, when they are also more than what waits.
const REWRITE_BYTES: u64 = 8 << 20;

/// What is wrong with a file that was found. The node starts all the same.
#[derive(Debug, thiserror::Error)]
pub enum KeepTrouble {
    /// The system refused to read it, or to put it aside.
    #[error("it cannot be used: {0}")]
    Io(#[from] io::Error),
    /// It does not start as such a file does, or is of another version.
    #[error("it is no mempool file of this version")]
    Header,
    /// It is of another chain.
    #[error("it belongs to genesis {found}")]
    OtherGenesis {
        /// What the file says.
        found: Hash,
    },
    /// Records in its midst are unreadable; the others were read.
    #[error("records are damaged from byte {offset} on; those that are whole were read")]
    Damaged {
        /// The first damaged record. Unit: bytes.
        offset: u64,
    },
    /// It is longer than this node would make it; its beginning was read.
    #[error("it has {bytes} bytes, more than the {max} this node would write; its beginning was read")]
    TooLong {
        /// Its length. Unit: bytes.
        bytes: u64,
        /// The bound. Unit: bytes.
        max: u64,
    },
    /// Its end was torn by a crash; all before it was read. The file stays in use.
    #[error("its last {bytes} bytes were torn by a crash")]
    TornTail {
        /// How much. Unit: bytes.
        bytes: u64,
    },
}

/// What was in the file.
#[derive(Debug, Default)]
pub struct KeptContents {
    /// What waited: parents before children, each transaction once, and how many of them it depends on in a row: those of one depth may be
    /// checked together, after all of lesser depth.
    pub waiting: Vec<(usize, KeptTransaction)>,
    /// Transactions that were lost.
    pub losses: Losses,
    /// What was wrong.
    pub trouble: Option<KeepTrouble>,
    /// Whether the file was put aside as [`POOL_FILE_DAMAGED`].
    pub is_put_aside: bool,
}

/// The file. Its calls block; no thread that votes may make them.
pub struct PoolFile {
    disk: Arc<dyn Disk>,
    genesis: Hash,
    /// `None`: the next call must write the file anew.
    file: Option<Arc<dyn DiskFile>>,
    /// Where the next record goes.
    end: u64,
    /// How long it was when it was written anew.
    base: u64,
}

impl std::fmt::Debug for PoolFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolFile").field("end", &self.end).finish_non_exhaustive()
    }
}

impl PoolFile {
    /// Reads what an earlier run kept. Whatever is there, the node can start: see [`KeptContents::trouble`]. Nothing is written but the name of a
    /// damaged file.
    pub fn open(
        disk: Arc<dyn Disk>,
        genesis: Hash,
        limits: &PoolLimits,
        parse: ParseTransaction<'_>,
    ) -> (Self, KeptContents) {
        let mut file = Self { disk, genesis, file: None, end: 0, base: 0 };
        let mut found = KeptContents::default();
        if let Err(error) = file.read(bytes_max(limits), parse, &mut found) {
            found.trouble = Some(KeepTrouble::Io(error));
        }
        match found.trouble {
            None | Some(KeepTrouble::Io(_) | KeepTrouble::TornTail { .. }) => {}
            Some(
                KeepTrouble::Header
                | KeepTrouble::OtherGenesis { .. }
                | KeepTrouble::Damaged { .. }
                | KeepTrouble::TooLong { .. },
            ) => {
                file.file = None;
                match file.disk.rename(POOL_FILE, POOL_FILE_DAMAGED) {
                    Ok(()) => found.is_put_aside = true,
                    Err(error) => found.trouble = Some(KeepTrouble::Io(error)),
                }
            }
        }
        (file, found)
    }

    fn read(&mut self, bytes_max: u64, parse: ParseTransaction<'_>, found: &mut KeptContents) -> io::Result<()> {
        let file = self.disk.open(POOL_FILE)?;
        let mut contents = Contents::default();
        let reading = read_records(&*file, Some(self.genesis), bytes_max, parse, |record| contents.take(record))?;
        (found.waiting, found.losses) = contents.finish();
        found.trouble = reading.trouble;
        if reading.end > 0 {
            (self.end, self.base, self.file) = (reading.end, reading.end, Some(file));
        }
        Ok(())
    }

    /// Whether [`Self::rewrite`] must or should come before the next [`Self::append`]: there is no file, or it is mostly about what left.
    pub fn wants_rewrite(&self) -> bool {
        self.file.is_none() || self.end > self.base.saturating_mul(2).saturating_add(REWRITE_BYTES)
    }

    /// Adds records; the system has them when this returns, so that they survive the process, and the disk after a sync of
    /// [`Self::to_sync`].
    ///
    /// # Errors
    /// What the system says. The file must then be written anew.
    pub fn append(&mut self, records: &[KeptRecord]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for record in records {
            record.write(&mut bytes)?;
        }
        if is_planted(Bug::PoolForgotten) {
            return Ok(());
        }
        let Some(file) = self.file.take() else { return Err(io::ErrorKind::NotFound.into()) };
        if file.len()? > self.end {
            file.set_len(self.end)?;
        }
        file.write_at(self.end, &bytes)?;
        self.end += bytes.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    /// Writes the file anew with these records, in place of all before. Afterwards it survives a loss of power.
    ///
    /// # Errors
    /// What the system says; the old file is as it was, and must be written anew before the next [`Self::append`].
    pub fn rewrite(&mut self, records: impl Iterator<Item = KeptRecord>) -> io::Result<()> {
        if is_planted(Bug::PoolForgotten) {
            return Ok(());
        }
        self.file = None;
        let beside = self.disk.open(POOL_FILE_BESIDE)?;
        let written = self.write_beside(&*beside, records).and_then(|end| {
            self.disk.rename(POOL_FILE_BESIDE, POOL_FILE)?;
            Ok(end)
        });
        match written {
            Ok(end) => {
                (self.end, self.base, self.file) = (end, end, Some(beside));
                Ok(())
            }
            Err(error) => {
                // On a full disk the half that was written must not take the room that others need.
                let _ = beside.set_len(0);
                Err(error)
            }
        }
    }

    fn write_beside(&self, beside: &dyn DiskFile, records: impl Iterator<Item = KeptRecord>) -> io::Result<u64> {
        beside.set_len(0)?;
        let (mut bytes, mut end) = (file_header(self.genesis), 0);
        for record in records {
            record.write(&mut bytes)?;
            if bytes.len() >= CHUNK_BYTES {
                beside.write_at(end, &bytes)?;
                end += bytes.len() as u64;
                bytes.clear();
            }
        }
        beside.write_at(end, &bytes)?;
        beside.sync()?;
        Ok(end + bytes.len() as u64)
    }

    /// The file, to be synced beside later appends.
    pub fn to_sync(&self) -> Option<Arc<dyn DiskFile>> {
        self.file.clone()
    }
}

/// The longest file that this node writes: twice all that may wait, the losses, and what is appended before it is written anew.
fn bytes_max(limits: &PoolLimits) -> u64 {
    let waiting = limits.bytes_max.saturating_add(limits.count_max.saturating_mul(RECORD_OVERHEAD));
    let all = waiting.saturating_add(LOSSES_MAX * RECORD_OVERHEAD);
    // An append in between, and one that came while the file was written anew, may go beyond.
    (all as u64).saturating_mul(4).saturating_add(2 * REWRITE_BYTES)
}

fn file_header(genesis: Hash) -> Vec<u8> {
    let mut header = FILE_MAGIC.to_vec();
    header.extend(genesis.0);
    header.extend(crc32fast::hash(&header).to_be_bytes());
    header
}

/// The genesis a whole file header names.
fn genesis_of(header: &[u8]) -> Option<Hash> {
    let genesis = Hash(header.get(8..40)?.try_into().ok()?);
    (header == file_header(genesis)).then_some(genesis)
}

/// How far a file could be read.
struct PoolFileScan {
    /// Its length.
    length: u64,
    /// The genesis in its header, when that is whole.
    genesis: Option<Hash>,
    /// Where the last whole record ends; 0 when no record was looked for.
    end: u64,
    trouble: Option<KeepTrouble>,
}

/// Gives every whole record of a file, if it is of the expected genesis, or of any when none is expected.
fn read_records(
    file: &dyn DiskFile,
    expected: Option<Hash>,
    bytes_max: u64,
    parse: ParseTransaction<'_>,
    take: impl FnMut(KeptRecord),
) -> io::Result<PoolFileScan> {
    let length = file.len()?;
    let mut found = PoolFileScan { length, genesis: None, end: 0, trouble: None };
    if length == 0 {
        return Ok(found);
    }
    let mut header = vec![0; HEADER_BYTES.min(usize::try_from(length).unwrap_or(HEADER_BYTES))];
    file.read_at(0, &mut header)?;
    found.genesis = genesis_of(&header);
    found.trouble = match found.genesis {
        None => Some(KeepTrouble::Header),
        Some(genesis) if expected.is_some_and(|expected| expected != genesis) => {
            Some(KeepTrouble::OtherGenesis { found: genesis })
        }
        Some(_) => {
            let scanned = scan(file, length.min(bytes_max), parse, take)?;
            found.end = scanned.end;
            if length > bytes_max {
                Some(KeepTrouble::TooLong { bytes: length, max: bytes_max })
            } else if let Some(offset) = scanned.damaged {
                Some(KeepTrouble::Damaged { offset })
            } else {
                (scanned.end < length).then(|| KeepTrouble::TornTail { bytes: length - scanned.end })
            }
        }
    };
    Ok(found)
}

/// What was found between records.
struct KeptScan {
    /// Where the last whole record ends.
    end: u64,
    /// The first unreadable place that a whole record follows, or behind which the search was given up.
    damaged: Option<u64>,
}

/// Reads every whole record of the first `length` bytes, in order.
fn scan(
    file: &dyn DiskFile,
    length: u64,
    parse: ParseTransaction<'_>,
    mut take: impl FnMut(KeptRecord),
) -> io::Result<KeptScan> {
    let mut scanned = KeptScan { end: HEADER_BYTES as u64, damaged: None };
    let (mut start, mut at, mut searches) = (HEADER_BYTES as u64, 0, 0);
    let mut chunk = Vec::new();
    loop {
        let place = start + at as u64;
        let is_last = start + chunk.len() as u64 >= length;
        if place >= length || searches > SEARCHES_MAX {
            break;
        }
        // Near its end a chunk may cut a record, so it is read on from there.
        if chunk.len() - at < RECORD_HEADER_BYTES + PAYLOAD_BYTES_MAX && !is_last || chunk.is_empty() {
            let size = usize::try_from(length - place).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            chunk.resize(size, 0);
            file.read_at(place, &mut chunk)?;
            (start, at) = (place, 0);
        }
        let rest = chunk.get(at..).unwrap_or_default();
        if let Some((record, size)) = record_at(rest, parse) {
            if place > scanned.end {
                scanned.damaged.get_or_insert(scanned.end);
            }
            take(record);
            at += size;
            scanned.end = place + size as u64;
            continue;
        }
        searches += 1;
        let next = rest.windows(RECORD_MAGIC.len()).skip(1).position(|bytes| bytes == RECORD_MAGIC);
        // A magic may be cut by the chunk's end.
        at += next.map_or_else(|| rest.len().saturating_sub(RECORD_MAGIC.len() - 1).max(1), |next| next + 1);
    }
    if searches > SEARCHES_MAX {
        scanned.damaged.get_or_insert(scanned.end);
    }
    Ok(scanned)
}
