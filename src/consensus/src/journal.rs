//! The write-ahead log of the height being decided, with the undecided blocks it depends on.
//!
//! Two files, `journal-a` and `journal-b`; generation G lives in file G mod 2, from its start. A generation holds one height and
//! begins when the block before is committed, so nothing is ever cut away or rewritten that may still be needed. A batch is written
//! and synced together, all entries since the last one, so only the last batch can be torn, or be whole and not durable: at open it is
//! written and synced again before anything follows from it.
//!
//! ```text
//! batch, at a multiple of 64 bytes:
//!   "TIMEjrnl" | generation u64 | sequence u64 | height u64 | payload length u32 | crc32 u32 | payload: entries, borsh | zeros
//! ```
//! Integers are little endian; the checksum covers generation to length, and the payload.

use crate::statement::Statement;
use crate::timers::TimeoutStep;
use borsh::{BorshDeserialize, BorshSerialize};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{
    Block, BlockId, Disk, DiskFile, Height, PayloadFormat, PolkaCertificate, Proposal, PublicKey, Round, Vote,
    rewrite_and_sync,
};

/// Names of the two files, by parity of the generation.
pub const JOURNAL_FILES: [&str; 2] = ["journal-a", "journal-b"];

const MAGIC: &[u8; 8] = b"TIMEjrnl";
const HEADER: usize = 40;
const ALIGNMENT: usize = 64;

/// Number of [`JournalEntry::Block`] in stored bytes.
const BLOCK_ENTRY: u8 = 5;

/// Something that the engine acted on, in order.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum JournalEntry {
    Vote(Vote),
    Proposal(Proposal),
    Polka(PolkaCertificate),
    Timeout {
        step: TimeoutStep,
        round: Round,
    },
    Validated {
        block: BlockId,
        round: Round,
        proposer: PublicKey,
        valid: bool,
    },
    /// Precedes the first `Validated` that calls it valid.
    Block(Box<Block>),
}

impl JournalEntry {
    /// The vote or proposal, if it is one.
    pub(crate) fn statement(&self) -> Option<Statement> {
        match self {
            Self::Vote(vote) => Some(Statement::Vote(vote.clone())),
            Self::Proposal(proposal) => Some(Statement::Proposal(proposal.clone())),
            Self::Polka(_) | Self::Timeout { .. } | Self::Validated { .. } | Self::Block(_) => None,
        }
    }
}

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused.
    #[error("{file}: {source}; check the disk and its permissions")]
    Io {
        /// The file.
        file: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A batch is unreadable though a later one is intact: not a torn tail, but damage. Nothing was overwritten.
    #[error(
        "{file} is damaged at byte {offset}: a later record of the same generation is intact. What this node signed is not fully \
         known; nothing was changed. Restore the file, or move journal-a, journal-b and guard away and start again: signing then \
         stays off until two heights were decided by others"
    )]
    Damaged {
        /// The file.
        file: &'static str,
        /// Position of the unreadable batch.
        offset: u64,
    },
}

/// Entries of the newest generation.
pub(crate) struct Recovered {
    pub(crate) height: Height,
    pub(crate) entries: Vec<JournalEntry>,
}

pub(crate) struct Journal {
    files: [Arc<dyn DiskFile>; 2],
    sizes: [u64; 2],
    generation: u64,
    height: Height,
    sequence: u64,
    offset: u64,
    pending: Vec<u8>,
    step_bytes: u64,
    bytes_max: u64,
    format: PayloadFormat,
}

impl Journal {
    /// Opens both files, makes and preallocates them if needed, and reads the newest generation.
    pub(crate) fn open(
        disk: &dyn Disk,
        step_bytes: u64,
        bytes_max: u64,
        format: PayloadFormat,
    ) -> Result<(Self, Option<Recovered>), JournalError> {
        let open = |file: &'static str| disk.open(file).map_err(|source| JournalError::Io { file, source });
        let files = [open(JOURNAL_FILES[0])?, open(JOURNAL_FILES[1])?];
        let mut journal = Self {
            files,
            sizes: [0; 2],
            generation: 0,
            height: Height::GENESIS,
            sequence: 0,
            offset: 0,
            pending: Vec::new(),
            step_bytes: step_bytes.max(4096),
            bytes_max,
            format,
        };
        let mut contents = [Vec::new(), Vec::new()];
        for (index, content) in contents.iter_mut().enumerate() {
            *content =
                journal.prepare(index).map_err(|source| JournalError::Io { file: JOURNAL_FILES[index], source })?;
        }
        let recovered = journal.recover(&contents)?;
        Ok((journal, recovered))
    }

    /// Reads a file, preallocating an empty one.
    fn prepare(&mut self, index: usize) -> io::Result<Vec<u8>> {
        let file = &self.files[index];
        let mut size = file.len()?;
        if size < self.step_bytes {
            file.preallocate(size..self.step_bytes)?;
            file.sync()?;
            size = self.step_bytes;
        }
        self.sizes[index] = size;
        let mut content = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        file.read_at(0, &mut content)?;
        Ok(content)
    }

    fn recover(&mut self, contents: &[Vec<u8>; 2]) -> Result<Option<Recovered>, JournalError> {
        let found = [scan(&contents[0]), scan(&contents[1])];
        let Some(newest) = newest(contents, &found, self.format)? else { return Ok(None) };
        let Newest { index, generation, height, sequence, last, end, entries } = newest;
        self.generation = generation;
        self.height = height;
        self.sequence = sequence;
        self.offset = end as u64;
        self.secure(index, &contents[index], last)
            .map_err(|source| JournalError::Io { file: JOURNAL_FILES[index], source })?;
        Ok(Some(Recovered { height, entries }))
    }

    /// Makes the last batch durable, whose sync may not have returned, and zeroes a torn one behind it, lest its remains be taken for
    /// something later.
    fn secure(&self, index: usize, content: &[u8], last: usize) -> io::Result<()> {
        self.cut_tail(index, content)?;
        rewrite_and_sync(&*self.files[index], last as u64..self.offset)
    }

    /// Zeroes a torn batch.
    fn cut_tail(&self, index: usize, content: &[u8]) -> io::Result<()> {
        let start = usize::try_from(self.offset).map_err(io::Error::other)?;
        let tail = content.get(start..).unwrap_or_default();
        let is_torn = tail.starts_with(MAGIC) && tail.get(8..16) == Some(&self.generation.to_le_bytes()[..]);
        let Some(last) = tail.iter().rposition(|b| *b != 0).filter(|_| is_torn) else { return Ok(()) };
        self.files[index].write_at(self.offset, &vec![0; last + 1])?;
        self.files[index].sync()
    }

    /// The height whose entries are written.
    pub(crate) fn height(&self) -> Height {
        self.height
    }

    /// Starts a generation for `height`; what was pending belongs to a decided height and is dropped. Writes nothing yet.
    pub(crate) fn begin(&mut self, height: Height) {
        self.generation += 1;
        self.height = height;
        self.sequence = 0;
        self.offset = 0;
        self.pending.clear();
    }

    /// Adds an entry to the next batch.
    pub(crate) fn push(&mut self, entry: &JournalEntry) {
        self.pending.extend(timed_primitives::encode(entry));
    }

    /// Bytes that may still be written in this generation.
    pub(crate) fn room(&self) -> u64 {
        self.bytes_max.saturating_sub(self.offset + self.pending.len() as u64 + HEADER as u64)
    }

    /// Makes room: writes this generation anew, in the other file, without blocks but those for which `is_needed` holds. The other
    /// file holds a decided height or an older form of this one. A block that is left out can be fetched again.
    pub(crate) fn compact(&mut self, is_needed: impl Fn(&BlockId) -> bool) -> Result<(), JournalError> {
        self.flush()?;
        let index = usize::from(self.generation % 2 == 1);
        let entries = self.read_all(index).map_err(|source| JournalError::Io { file: JOURNAL_FILES[index], source })?;
        let height = self.height;
        self.begin(height);
        let is_kept = |e: &&JournalEntry| !matches!(e, JournalEntry::Block(b) if !is_needed(&b.id()));
        entries.iter().filter(is_kept).for_each(|entry| self.push(entry));
        self.flush()
    }

    fn read_all(&self, index: usize) -> io::Result<Vec<JournalEntry>> {
        let mut content = vec![0; usize::try_from(self.offset).map_err(io::Error::other)?];
        self.files[index].read_at(0, &mut content)?;
        let payloads = scan(&content).into_iter().map(|batch| decode_entries(&content[batch.payload], self.format));
        let entries: Option<Vec<_>> = payloads.collect();
        Ok(entries.ok_or(io::ErrorKind::InvalidData)?.into_iter().flatten().collect())
    }

    /// Writes what is pending as one batch and syncs; nothing when nothing is.
    pub(crate) fn flush(&mut self) -> Result<(), JournalError> {
        let index = usize::from(self.generation % 2 == 1);
        self.write(index).map_err(|source| JournalError::Io { file: JOURNAL_FILES[index], source })
    }

    fn write(&mut self, index: usize) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes = batch_bytes(self.generation, self.sequence, self.height, &self.pending)?;
        let end = self.offset + bytes.len() as u64;
        if end > self.sizes[index] {
            let size = end.div_ceil(self.step_bytes) * self.step_bytes;
            self.files[index].preallocate(self.sizes[index]..size)?;
            self.sizes[index] = size;
        }
        self.files[index].write_at(self.offset, &bytes)?;
        if !is_planted(Bug::NoJournalSync) {
            self.files[index].sync()?;
        }
        self.offset = end;
        self.sequence += 1;
        self.pending.clear();
        Ok(())
    }
}

fn aligned(position: usize) -> usize {
    position.next_multiple_of(ALIGNMENT)
}

fn batch_bytes(generation: u64, sequence: u64, height: Height, payload: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(aligned(HEADER + payload.len()));
    bytes.extend(MAGIC);
    bytes.extend(generation.to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(height.0.to_le_bytes());
    bytes.extend(u32::try_from(payload.len()).map_err(io::Error::other)?.to_le_bytes());
    bytes.extend(checksum(&bytes[8..], payload).to_le_bytes());
    bytes.extend(payload);
    bytes.resize(aligned(bytes.len()), 0);
    Ok(bytes)
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}

/// An intact batch and where it lies.
pub(crate) struct IntactBatch {
    pub(crate) offset: usize,
    pub(crate) generation: u64,
    sequence: u64,
    pub(crate) height: Height,
    pub(crate) payload: Range<usize>,
}

/// The newest generation, read whole.
pub(crate) struct Newest {
    /// Of its file.
    index: usize,
    pub(crate) generation: u64,
    pub(crate) height: Height,
    /// Of the next batch.
    sequence: u64,
    /// Where the last batch starts.
    last: usize,
    /// Where the next batch goes.
    end: usize,
    entries: Vec<JournalEntry>,
}

/// The newest generation in the contents of both files, given their intact batches.
pub(crate) fn newest(
    contents: &[Vec<u8>; 2],
    found: &[Vec<IntactBatch>; 2],
    format: PayloadFormat,
) -> Result<Option<Newest>, JournalError> {
    let highest = |batches: &[IntactBatch]| batches.iter().map(|b| b.generation).max();
    let index = usize::from(highest(&found[1]) > highest(&found[0]));
    let Some(generation) = highest(&found[index]) else { return Ok(None) };
    let file = JOURNAL_FILES[index];
    let mut newest =
        Newest { index, generation, height: Height::GENESIS, sequence: 0, last: 0, end: 0, entries: Vec::new() };
    for batch in found[index].iter().filter(|b| b.generation == generation) {
        let readable = batch.offset == newest.end && batch.sequence == newest.sequence;
        let decoded = readable.then(|| decode_entries(&contents[index][batch.payload.clone()], format)).flatten();
        let Some(decoded) = decoded else { return Err(JournalError::Damaged { file, offset: newest.end as u64 }) };
        newest.entries.extend(decoded);
        newest.height = batch.height;
        newest.last = batch.offset;
        newest.end = aligned(batch.payload.end);
        newest.sequence += 1;
    }
    Ok(Some(newest))
}

/// All intact batches of any generation, in order of position. What lies inside an intact batch is not searched.
pub(crate) fn scan(content: &[u8]) -> Vec<IntactBatch> {
    let (mut found, mut offset) = (Vec::new(), 0);
    while offset + HEADER <= content.len() {
        match batch_at(content, offset) {
            Some(batch) => {
                offset = aligned(batch.payload.end);
                found.push(batch);
            }
            None => offset += ALIGNMENT,
        }
    }
    found
}

fn batch_at(content: &[u8], offset: usize) -> Option<IntactBatch> {
    let header = content.get(offset..offset + HEADER)?;
    if !header.starts_with(MAGIC) {
        return None;
    }
    let number = |at: usize| header.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let short = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let length = usize::try_from(short(32)?).ok()?;
    let start = offset + HEADER;
    let payload = start..start.checked_add(length)?;
    let intact = checksum(header.get(8..36)?, content.get(payload.clone())?) == short(36)?;
    intact.then_some(IntactBatch {
        offset,
        generation: number(8)?,
        sequence: number(16)?,
        height: Height(number(24)?),
        payload,
    })
}

pub(crate) fn decode_entries(mut payload: &[u8], format: PayloadFormat) -> Option<Vec<JournalEntry>> {
    let mut entries = Vec::new();
    while let Some((kind, mut rest)) = payload.split_first() {
        if *kind == BLOCK_ENTRY {
            // A block says where it ends only together with the format of its payload.
            entries.push(JournalEntry::Block(Box::new(Block::read_from(&mut rest, format).ok()?)));
            payload = rest;
        } else {
            entries.push(JournalEntry::deserialize(&mut payload).ok()?);
        }
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::MemoryDisk;

    const STEP: u64 = 8192;
    const MAX: u64 = 1 << 20;

    #[test]
    fn blocks_end_where_their_payload_does() {
        let block = |height| (*crate::blocks::tests::block(height, 1, 0).1).clone();
        let entries = vec![
            JournalEntry::Block(Box::new(block(1))),
            entry(1),
            JournalEntry::Block(Box::new(block(2))),
            JournalEntry::Block(Box::new(block(3))),
        ];
        let bytes: Vec<u8> = entries.iter().flat_map(timed_primitives::encode).collect();
        assert_eq!(bytes[0], BLOCK_ENTRY);
        assert_eq!(decode_entries(&bytes, PayloadFormat::EMPTY), Some(entries));
        assert_eq!(decode_entries(&bytes[..bytes.len() - 1], PayloadFormat::EMPTY), None);
    }

    fn entry(round: u32) -> JournalEntry {
        JournalEntry::Timeout { step: TimeoutStep::Propose, round: Round(round) }
    }

    fn open(disk: &MemoryDisk) -> Result<(Journal, Option<Recovered>), JournalError> {
        Journal::open(disk, STEP, MAX, PayloadFormat::EMPTY)
    }

    /// Three batches of one entry in generation 1 (`journal-b`), for height 5.
    fn written() -> MemoryDisk {
        let disk = MemoryDisk::default();
        let (mut journal, recovered) = open(&disk).unwrap();
        assert!(recovered.is_none());
        journal.begin(Height(5));
        for round in 0..3 {
            journal.push(&entry(round));
            journal.flush().unwrap();
        }
        disk
    }

    fn entries(disk: &MemoryDisk) -> Vec<JournalEntry> {
        open(disk).unwrap().1.unwrap().entries
    }

    #[test]
    fn what_was_flushed_is_found_again() {
        let disk = written();
        disk.crash();
        let (mut journal, recovered) = open(&disk).unwrap();
        let recovered = recovered.unwrap();
        assert_eq!((recovered.height, recovered.entries), (Height(5), vec![entry(0), entry(1), entry(2)]));
        journal.push(&entry(3));
        disk.crash();
        assert_eq!(entries(&disk).len(), 3);
        journal.flush().unwrap();
        assert_eq!(entries(&disk).len(), 4);
    }

    #[test]
    fn the_newest_generation_counts_and_an_old_one_is_kept_until_it_exists() {
        let disk = written();
        let (mut journal, _) = open(&disk).unwrap();
        journal.begin(Height(6));
        assert_eq!(open(&disk).unwrap().1.unwrap().height, Height(5));
        journal.push(&entry(7));
        journal.flush().unwrap();
        assert_eq!(entries(&disk), vec![entry(7)]);
        journal.begin(Height(7));
        journal.push(&entry(8));
        journal.flush().unwrap();
        // Generation 3 overwrote the first batch of generation 1 only; what remains of that one is ignored.
        assert_eq!(entries(&disk), vec![entry(8)]);
    }

    #[test]
    fn torn_journal_tail_is_cut() {
        for keep in [1, 20, 39, 41] {
            let disk = written();
            disk.damage(JOURNAL_FILES[1], |bytes| bytes[128 + keep..].fill(0)).unwrap();
            assert_eq!(entries(&disk), vec![entry(0), entry(1)], "third batch torn after {keep} bytes");
            let (mut journal, _) = open(&disk).unwrap();
            journal.push(&entry(9));
            journal.flush().unwrap();
            assert_eq!(entries(&disk), vec![entry(0), entry(1), entry(9)]);
        }
    }

    #[test]
    fn journal_damage_is_refused_and_nothing_overwritten() {
        for (at, offset) in [(3, 0), (64 + 41, 64)] {
            let disk = written();
            disk.damage(JOURNAL_FILES[1], |bytes| bytes[at] ^= 1).unwrap();
            let mut before = Vec::new();
            disk.damage(JOURNAL_FILES[1], |bytes| before.clone_from(bytes)).unwrap();
            let error = open(&disk).err().unwrap();
            assert!(matches!(error, JournalError::Damaged { file: "journal-b", offset: o } if o == offset), "{error}");
            assert!(error.to_string().contains("journal-b is damaged at byte"));
            disk.damage(JOURNAL_FILES[1], |bytes| assert_eq!(*bytes, before)).unwrap();
        }
    }

    #[test]
    fn it_grows_in_steps_and_says_how_much_room_is_left() {
        let disk = MemoryDisk::default();
        let (mut journal, _) = open(&disk).unwrap();
        journal.begin(Height(1));
        let before = journal.room();
        for round in 0..600 {
            journal.push(&entry(round));
            journal.flush().unwrap();
        }
        assert_eq!(disk.open(JOURNAL_FILES[1]).unwrap().len().unwrap() % STEP, 0);
        assert_eq!(before - journal.room(), 600 * 64);
        assert_eq!(entries(&disk).len(), 600);
    }

    #[test]
    fn what_was_found_is_durable_once_it_is_opened_whatever_became_of_its_sync() {
        let whole = content(&written());
        for is_failed in [false, true] {
            let disk = written();
            // The process ends between the write of the last batch and its sync, or because that failed.
            disk.damage(JOURNAL_FILES[1], |bytes| bytes[128..192].fill(0)).unwrap();
            let file = disk.open(JOURNAL_FILES[1]).unwrap();
            file.write_at(128, &whole[128..192]).unwrap();
            if is_failed {
                disk.fail_syncs(JOURNAL_FILES[1]);
                assert!(file.sync().is_err());
                disk.allow_syncs(JOURNAL_FILES[1]);
            }
            assert_eq!(entries(&disk).len(), 3);
            disk.crash();
            assert!(content(&disk) == whole, "after a sync that failed: {is_failed}");
        }
    }

    fn content(disk: &MemoryDisk) -> Vec<u8> {
        let mut content = Vec::new();
        disk.damage(JOURNAL_FILES[1], |bytes| content.clone_from(bytes)).unwrap();
        content
    }

    #[test]
    fn a_failed_sync_is_an_error() {
        let disk = MemoryDisk::default();
        let (mut journal, _) = open(&disk).unwrap();
        journal.begin(Height(1));
        journal.push(&entry(0));
        disk.fail_syncs(JOURNAL_FILES[1]);
        assert!(matches!(journal.flush(), Err(JournalError::Io { file: "journal-b", .. })));
    }

    /// Each bug makes a test fail that passes without it.
    #[cfg(feature = "planted")]
    mod planted {
        use super::*;
        use timed_primitives::planted::is_caught;

        #[test]
        fn found_is_durable() {
            let test = what_was_found_is_durable_once_it_is_opened_whatever_became_of_its_sync;
            assert!(is_caught(Bug::FoundIsDurable, test));
        }
    }
}
