//! The block log: every final block with its certificate, in order, append-only and checksummed. It is the truth; its sync is finality.
//!
//! ```text
//! file    = header record* zero*
//! header  = "TIMEBLK2" genesis-hash(32) crc(4)                       crc over the 40 bytes before
//! record  = "BLKR" length(4) crc(4) height(8) batch(8) payload       crc over length, height, batch, payload
//! payload = certificate-length(4) certificate block                  numbers big endian, the rest borsh
//! ```
//!
//! Records that are written together, with one sync, share a batch: the height of its first record. A crash before the sync may leave
//! any part of the last batch, later parts without earlier ones included. So at open, a bad record is a torn tail, which is cut, unless
//! a valid record of a **later** batch follows: that one was written after this one's sync, and the bad record is damage. A last batch
//! that is whole may have been in the system's memory only; it is made durable before it counts as final.
//!
//! The zeros are preallocated: a record that is written into them changes neither the file's size nor where it lies, so its sync has only
//! the record to write. Nothing but zeros up to the end of the file is the end of the log.

use crate::log_header::{FILE_HEADER_BYTES, file_header, genesis_of, other_format};
use borsh::BorshSerialize as _;
use std::io;
use std::sync::Arc;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Block, CommitCertificate, Disk, DiskFile, Hash, Height, decode, encode, rewrite_and_sync};

/// Name of the file on the disk seam.
pub const FILE: &str = "blocks.log";

const RECORD_MAGIC: &[u8; 4] = b"BLKR";
const RECORD_HEADER_BYTES: usize = 28;
/// Largest payload: a block of 1 MiB with the certificate of its parent, and its own certificate by 10,000 validators, fit twice.
const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much is read at once in search of a record. Unit: bytes.
const SEARCH_BYTES: usize = 1024 * 1024;
/// How far the file is made to reach beyond a batch that did not fit: some hundred small blocks. Unit: bytes.
const PREALLOCATED_BYTES: u64 = 256 * 1024;
/// A larger batch that does not fit just makes the file longer: its own bytes cost more than the file's new size, and under load zeros
/// would double what is written. Unit: bytes.
const SMALL_BATCH_BYTES: usize = 32 * 1024;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The file ends inside it.
    Incomplete,
    /// It does not start as records do.
    Magic,
    /// It claims more bytes than any record has.
    Length,
    /// Its checksum does not match.
    Checksum,
    /// It is whole but of another height than is due there.
    Height,
    /// It is whole but does not hold a certificate and its block.
    Content,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Incomplete => "the file ends inside it",
            Self::Magic => "it does not start as records do",
            Self::Length => "its length is impossible",
            Self::Checksum => "its checksum does not match",
            Self::Height => "it is of another height",
            Self::Content => "it does not hold a certificate and its block",
        })
    }
}

/// The block log cannot be used. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused.
    #[error("{FILE}: {action} at byte {offset}: {source}; check the disk and its free space, then start again")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where. Unit: bytes.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not start as a block log does, though it should hold blocks.
    #[error(
        "{FILE}: byte 0: the file is missing, is no block log, or its start is damaged. Bring it back from a backup; without one, move \
         {FILE} and `state/` aside together, and the node fetches all blocks again from its peers"
    )]
    NoLog,
    /// The log of other software.
    #[error(
        "{FILE}: format {found}, this software reads and writes format {expected} only and converts nothing: start with an empty data folder \
         (--data-dir), into which the `*.key` files of this one may be copied, or start the software that wrote it"
    )]
    OtherFormat {
        /// What the file says.
        found: char,
        /// Ours.
        expected: char,
    },
    /// The log of another chain.
    #[error(
        "{FILE}: belongs to genesis {found}, this node runs genesis {expected}: start with the data folder of this network, or \
         move the old one aside"
    )]
    OtherGenesis {
        /// What the file says.
        found: Hash,
        /// Ours.
        expected: Hash,
    },
    /// A record of a final block is damaged.
    #[error(
        "{FILE}: byte {offset}: the record of height {height} is damaged: {damage}. It held a final block, so nothing was cut. Bring \
         {FILE} back from a backup; without one, move {FILE} and `state/` aside together, and the node fetches all blocks again \
         from its peers"
    )]
    Damaged {
        /// Where its record starts. Unit: bytes.
        offset: u64,
        /// Which block was due there.
        height: Height,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A block is larger than a record may be; the chain's parameters exclude it.
    #[error("{FILE}: a record of {bytes} bytes is larger than {PAYLOAD_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// A final block as it is in the log.
#[derive(Clone, Debug)]
pub(crate) struct LogRecord {
    pub(crate) certificate: CommitCertificate,
    pub(crate) block: Block,
    /// Where the next record starts.
    pub(crate) end: u64,
}

/// A final block as its canonical bytes, for peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedBytes {
    /// Encoded [`CommitCertificate`].
    pub certificate: Vec<u8>,
    /// Encoded [`Block`].
    pub block: Vec<u8>,
}

/// Reads records at known positions; any number of readers beside the one writer.
#[derive(Clone)]
pub(crate) struct LogReader {
    file: Arc<dyn DiskFile>,
}

/// The one writer.
pub(crate) struct BlockLog {
    reader: LogReader,
    /// Where the next record goes.
    end: u64,
    /// Size of the file.
    size: u64,
}

/// What is at a position.
pub(crate) enum LogScan {
    /// A valid record.
    Record(Box<LogRecord>),
    /// The end of the file, or of what is in it.
    End,
    /// A part of a batch that was never synced.
    Torn,
}

/// A record whose checksum holds.
struct Raw {
    height: Height,
    batch: Height,
    payload: Vec<u8>,
    end: u64,
}

fn io_error(action: &'static str, offset: u64) -> impl FnOnce(io::Error) -> LogError {
    move |source| LogError::Io { action, offset, source }
}

impl LogReader {
    /// The record of `height` at `position`.
    pub(crate) fn read(&self, position: u64, height: Height) -> Result<LogRecord, LogError> {
        let damaged = |damage| LogError::Damaged { offset: position, height, damage };
        let raw = self.raw_of(position, height)?;
        record(&raw).ok_or_else(|| damaged(Damage::Content))
    }

    /// The same, undecoded.
    pub(crate) fn read_bytes(&self, position: u64, height: Height) -> Result<DecidedBytes, LogError> {
        let raw = self.raw_of(position, height)?;
        let (certificate, block) =
            split(&raw.payload).ok_or(LogError::Damaged { offset: position, height, damage: Damage::Content })?;
        Ok(DecidedBytes { certificate: certificate.to_vec(), block: block.to_vec() })
    }

    /// Checks the record of `height` at `position` by its checksum, and says where the next one starts.
    pub(crate) fn verify(&self, position: u64, height: Height) -> Result<u64, LogError> {
        self.raw_of(position, height).map(|raw| raw.end)
    }

    /// Checks every record from the first to that of `height`.
    pub(crate) fn verify_from_start(&self, height: Height) -> Result<(), LogError> {
        let (mut at, mut next) = (FILE_HEADER_BYTES, Height::FIRST);
        while next <= height {
            at = self.verify(at, next)?;
            next = next.next();
        }
        Ok(())
    }

    fn raw_of(&self, position: u64, height: Height) -> Result<Raw, LogError> {
        let damaged = |damage| LogError::Damaged { offset: position, height, damage };
        let raw = self.raw(position, self.len()?)?.map_err(damaged)?;
        if raw.height == height { Ok(raw) } else { Err(damaged(Damage::Height)) }
    }

    /// Size of the file. Unit: bytes.
    pub(crate) fn len(&self) -> Result<u64, LogError> {
        self.file.len().map_err(io_error("cannot learn its size", 0))
    }

    /// The bytes of the record at `position` of a file of `len` bytes, if their checksum holds.
    fn raw(&self, position: u64, len: u64) -> Result<Result<Raw, Damage>, LogError> {
        let left = len.saturating_sub(position);
        if left < RECORD_HEADER_BYTES as u64 {
            return Ok(Err(Damage::Incomplete));
        }
        let mut header = [0; RECORD_HEADER_BYTES];
        self.file.read_at(position, &mut header).map_err(io_error("cannot read", position))?;
        let [magic, length, crc] = [0, 4, 8].map(|at| [header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if magic != *RECORD_MAGIC {
            return Ok(Err(Damage::Magic));
        }
        let length = u32::from_be_bytes(length);
        let Some(size) = usize::try_from(length).ok().filter(|size| *size <= PAYLOAD_BYTES_MAX) else {
            return Ok(Err(Damage::Length));
        };
        let start = RECORD_HEADER_BYTES as u64;
        if left - start < u64::from(length) {
            return Ok(Err(Damage::Incomplete));
        }
        let mut payload = vec![0; size];
        self.file.read_at(position + start, &mut payload).map_err(io_error("cannot read", position))?;
        let number = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        let (height, batch) = (Height(number(12)), Height(number(20)));
        if checksum(length, height, batch, &payload) != u32::from_be_bytes(crc) {
            return Ok(Err(Damage::Checksum));
        }
        Ok(Ok(Raw { height, batch, payload, end: position + start + u64::from(length) }))
    }

    /// What is at `position`, where the record of `height` is due.
    pub(crate) fn scan(&self, position: u64, height: Height) -> Result<LogScan, LogError> {
        let len = self.len()?;
        if position >= len {
            return Ok(LogScan::End);
        }
        let damaged = |damage| LogError::Damaged { offset: position, height, damage };
        match self.raw(position, len)? {
            Ok(raw) if raw.height != height => Err(damaged(Damage::Height)),
            Ok(raw) => match record(&raw) {
                Some(record) => Ok(LogScan::Record(Box::new(record))),
                None => Err(damaged(Damage::Content)),
            },
            Err(_) if self.is_end(position)? => Ok(LogScan::End),
            Err(damage) if self.is_followed_by_later_batch(position + 1, len, height)? => Err(damaged(damage)),
            Err(_) => Ok(LogScan::Torn),
        }
    }

    /// True when nothing but zeros is in the file from `position` on.
    pub(crate) fn is_end(&self, position: u64) -> Result<bool, LogError> {
        let first = self.used_from(position)?.next();
        first.transpose().map(|used| used.is_none())
    }

    /// Where what is not zero ends in the file, at `position` or behind it.
    pub(crate) fn used_end(&self, position: u64) -> Result<u64, LogError> {
        self.used_from(position)?.last().unwrap_or(Ok(position))
    }

    /// Where what is not zero ends in each piece of the file from `position` on that has any.
    fn used_from(&self, position: u64) -> Result<impl Iterator<Item = Result<u64, LogError>>, LogError> {
        let len = self.len()?;
        let pieces = (position..len).step_by(SEARCH_BYTES);
        Ok(pieces.filter_map(move |at| {
            let mut piece = vec![0; usize::try_from(len - at).map_or(SEARCH_BYTES, |left| left.min(SEARCH_BYTES))];
            if let Err(error) = self.file.read_at(at, &mut piece).map_err(io_error("cannot read", at)) {
                return Some(Err(error));
            }
            piece.iter().rposition(|byte| *byte != 0).map(|last| Ok(at + last as u64 + 1))
        }))
    }

    /// True when a whole record of a batch that starts above `height` is anywhere from `position` on.
    fn is_followed_by_later_batch(&self, position: u64, len: u64, height: Height) -> Result<bool, LogError> {
        let mut window_start = position;
        while window_start < len {
            let left = len - window_start;
            let size = usize::try_from(left).map_or(SEARCH_BYTES, |left| left.min(SEARCH_BYTES));
            let mut window = vec![0; size];
            self.file.read_at(window_start, &mut window).map_err(io_error("cannot read", window_start))?;
            let starts = window.windows(RECORD_MAGIC.len()).enumerate().filter(|(_, bytes)| bytes == RECORD_MAGIC);
            for (at, _) in starts {
                if let Ok(raw) = self.raw(window_start + at as u64, len)?
                    && raw.height >= raw.batch
                    && raw.batch > height
                    && record(&raw).is_some()
                {
                    return Ok(true);
                }
            }
            // Windows overlap, so that a magic across their border is seen.
            window_start += if left > size as u64 { (size - (RECORD_MAGIC.len() - 1)) as u64 } else { left };
        }
        Ok(false)
    }
}

impl BlockLog {
    /// Opens the log of this genesis, or starts one. `may_start` is false when the store already holds blocks of it.
    pub(crate) fn open(disk: &dyn Disk, genesis: Hash, may_start: bool) -> Result<Self, LogError> {
        let file = disk.open(FILE).map_err(io_error("cannot open", 0))?;
        let reader = LogReader { file };
        let len = reader.len()?;
        let expected = file_header(genesis);
        let mut found = vec![0; usize::try_from(len.min(FILE_HEADER_BYTES)).unwrap_or(0)];
        reader.file.read_at(0, &mut found).map_err(io_error("cannot read", 0))?;
        if found != expected {
            if let Some(found) = genesis_of(&found) {
                return Err(LogError::OtherGenesis { found, expected: genesis });
            }
            refuse_other_format(&found)?;
            // A start that was cut short by a crash holds no record yet.
            if len > FILE_HEADER_BYTES || !may_start {
                return Err(LogError::NoLog);
            }
            reader.file.set_len(0).map_err(io_error("cannot start", 0))?;
            reader.file.write_at(0, &expected).map_err(io_error("cannot start", 0))?;
            reader.file.sync().map_err(io_error("cannot sync", 0))?;
        }
        let size = reader.len()?;
        Ok(Self { reader, end: FILE_HEADER_BYTES, size })
    }

    /// Opens a log to read, of whatever genesis.
    pub(crate) fn open_read_only(disk: &dyn Disk) -> Result<(LogReader, Hash), LogError> {
        let reader = LogReader { file: disk.open(FILE).map_err(io_error("cannot open", 0))? };
        if reader.len()? < FILE_HEADER_BYTES {
            return Err(LogError::NoLog);
        }
        let mut found = [0; FILE_HEADER_BYTES as usize];
        reader.file.read_at(0, &mut found).map_err(io_error("cannot read", 0))?;
        let genesis = genesis_of(&found);
        if genesis.is_none() {
            refuse_other_format(&found)?;
        }
        Ok((reader, genesis.ok_or(LogError::NoLog)?))
    }

    pub(crate) fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// Makes the last batch from `position` on durable, where the record of `height` is due: the sync of every batch before it has returned.
    /// Without a record it is the file's header.
    pub(crate) fn secure_last_batch(&self, position: u64, mut height: Height) -> Result<(), LogError> {
        let len = self.reader.len()?;
        let (mut start, mut end) = (position, position);
        while let Ok(raw) = self.reader.raw(end, len)?
            && raw.height == height
        {
            if raw.batch == height {
                start = end;
            }
            (end, height) = (raw.end, height.next());
        }
        let is_first = start == FILE_HEADER_BYTES;
        if end == position && !is_first {
            return Ok(());
        }
        let range = if is_first { 0 } else { start }..end;
        rewrite_and_sync(&*self.reader.file, range).map_err(io_error("cannot write the last record again", start))
    }

    /// Says where the next record goes, and cuts what a crash left behind it.
    pub(crate) fn set_end(&mut self, end: u64) -> Result<(), LogError> {
        self.end = end;
        if !self.reader.is_end(end)? {
            self.reader.file.set_len(end).map_err(io_error("cannot cut the torn tail", end))?;
            self.reader.file.sync().map_err(io_error("cannot sync", end))?;
        }
        self.size = self.reader.len()?;
        Ok(())
    }

    /// Appends blocks of consecutive heights as one batch with one sync. They are final on this node when this returns. Gives for each
    /// where its record starts and ends. After an error nothing may be appended any more: what is on disk is unknown.
    pub(crate) fn append(&mut self, blocks: &[(&Block, &CommitCertificate)]) -> Result<Vec<(u64, u64)>, LogError> {
        let Some(batch) = blocks.first().map(|(block, _)| block.height()) else { return Ok(Vec::new()) };
        let mut bytes = Vec::new();
        let mut spans = Vec::with_capacity(blocks.len());
        for (block, certificate) in blocks {
            let start = self.end + bytes.len() as u64;
            write_record(&mut bytes, batch, block, certificate)?;
            spans.push((start, self.end + bytes.len() as u64));
        }
        self.reader.file.write_at(self.end, &bytes).map_err(io_error("cannot append", self.end))?;
        let end = self.end + bytes.len() as u64;
        if end > self.size {
            self.size = end;
            if bytes.len() <= SMALL_BATCH_BYTES {
                self.size += PREALLOCATED_BYTES;
                self.reader.file.preallocate(end..self.size).map_err(io_error("cannot preallocate", end))?;
            }
        }
        if !is_planted(Bug::CommitBeforeSync) {
            self.reader.file.sync().map_err(io_error("cannot sync", self.end))?;
        }
        self.end = end;
        Ok(spans)
    }
}

fn write_record(
    bytes: &mut Vec<u8>,
    batch: Height,
    block: &Block,
    certificate: &CommitCertificate,
) -> Result<(), LogError> {
    let certificate = encode(certificate);
    let certificate_length = u32::try_from(certificate.len());
    let certificate_length = certificate_length.map_err(|_| LogError::TooLarge { bytes: certificate.len() })?;
    // The payload stands where it goes to, and the header that counts it is filled in afterwards: blocks are large, and not copied twice.
    let start = bytes.len();
    bytes.extend([0; RECORD_HEADER_BYTES]);
    bytes.extend(certificate_length.to_be_bytes());
    bytes.extend(certificate);
    bytes.reserve(block.payload.0.len());
    block.serialize(bytes).map_err(io_error("cannot encode the block", 0))?;
    let (header, payload) = bytes[start..].split_at_mut(RECORD_HEADER_BYTES);
    let size = payload.len();
    let length = u32::try_from(size).ok().filter(|_| size <= PAYLOAD_BYTES_MAX);
    let length = length.ok_or(LogError::TooLarge { bytes: size })?;
    let height = block.height();
    let crc = checksum(length, height, batch, payload);
    let fields: [&[u8]; 5] =
        [RECORD_MAGIC, &length.to_be_bytes(), &crc.to_be_bytes(), &height.0.to_be_bytes(), &batch.0.to_be_bytes()];
    for (place, byte) in header.iter_mut().zip(fields.concat()) {
        *place = byte;
    }
    Ok(())
}

fn checksum(length: u32, height: Height, batch: Height, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_be_bytes());
    hasher.update(&height.0.to_be_bytes());
    hasher.update(&batch.0.to_be_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Certificate and block of a payload.
fn split(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = payload.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Decodes, and checks that heights and id agree.
fn record(raw: &Raw) -> Option<LogRecord> {
    let (certificate, block) = split(&raw.payload)?;
    let certificate: CommitCertificate = decode(certificate).ok()?;
    let block: Block = decode(block).ok()?;
    let agree = block.height() == raw.height && certificate.height == raw.height && certificate.block == block.id();
    agree.then_some(LogRecord { certificate, block, end: raw.end })
}

fn refuse_other_format(header: &[u8]) -> Result<(), LogError> {
    other_format(header).map_or(Ok(()), |(found, expected)| Err(LogError::OtherFormat { found, expected }))
}
