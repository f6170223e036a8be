//! The write-ahead log of the height being decided, with the undecided blocks it depends on.
//!
//! Two files, `journal-a` and `journal-b`; generation G lives in file G mod 2, from its start. A generation holds one height and
//! begins when the block before is committed, so nothing is ever cut away or rewritten that may still be needed. A batch is all entries since
//! the last one, written together. What follows from it leaves the node when it is **sealed**:
//!
//! | batch | written | sealed by | when a sector of it is spoiled later |
//! |---|---|---|---|
//! | small | twice, at once | one sync | the other copy counts |
//! | large: with a large block | once | a sync, then an empty small batch behind it, and a sync | damage: the empty one shows that it was synced |
//!
//! So a last batch that cannot be read was never sealed: it is torn, and nothing of it left. A last batch that is whole may not be durable: at
//! open it is written and synced again before anything follows from it.

mod first_format;
mod pages;

use crate::statement::Statement;
use crate::timers::TimeoutStep;
use borsh::{BorshDeserialize, BorshSerialize};
pub(crate) use pages::Batch;
use pages::BatchPlace;
use std::io;
use std::sync::Arc;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{
    Block, BlockId, Disk, DiskFile, Height, PayloadFormat, PolkaCertificate, Proposal, PublicKey, Round, Vote,
};

/// Names of the two files, by parity of the generation.
pub const JOURNAL_FILES: [&str; 2] = ["journal-a", "journal-b"];

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
    /// Whether a file was missing, or empty as one that was just made.
    is_new: bool,
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
            is_new: false,
            generation: 0,
            height: Height::GENESIS,
            sequence: 0,
            offset: 0,
            pending: Vec::new(),
            step_bytes: step_bytes.max(pages::PAGE as u64),
            bytes_max,
            format,
        };
        let mut contents = [Vec::new(), Vec::new()];
        for (index, content) in contents.iter_mut().enumerate() {
            *content = journal.prepare(index).map_err(refused(index))?;
        }
        let recovered = journal.recover(&contents)?;
        Ok((journal, recovered))
    }

    /// Reads a file, preallocating an empty one.
    fn prepare(&mut self, index: usize) -> io::Result<Vec<u8>> {
        let file = &self.files[index];
        let mut size = file.len()?;
        self.is_new |= size == 0;
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
        let Some(newest) = newest(contents, self.format)? else {
            self.zero_torn(contents)?;
            return Ok(None);
        };
        let Newest { index, generation, height, batches, is_first_format, entries } = newest;
        (self.generation, self.height) = (generation, height);
        self.sequence = batches.len() as u64;
        self.offset = batches.last().map_or(0, |last| last.end as u64);
        self.zero_torn(contents)?;
        if is_first_format {
            self.begin(height);
            entries.iter().for_each(|entry| self.push(entry));
            self.flush()?;
        } else if let Some(last) = batches.last() {
            self.secure(index, last).map_err(refused(index))?;
        }
        Ok(Some(Recovered { height, entries }))
    }

    /// Zeroes what a crash left of a batch that was not sealed, lest its remains be taken for something later.
    fn zero_torn(&self, contents: &[Vec<u8>; 2]) -> Result<(), JournalError> {
        let current = file_of(self.generation);
        for (index, content) in contents.iter().enumerate() {
            let is_torn = |page: &pages::Page| match index == current {
                true => page.generation == self.generation && page.offset as u64 >= self.offset,
                false => page.generation > self.generation,
            };
            let torn: Vec<_> = pages::scan(content).into_iter().filter(is_torn).collect();
            let zero = |page: &pages::Page| self.files[index].write_at(page.offset as u64, &[0; pages::PAGE]);
            if !torn.is_empty() {
                let zeroed = torn.iter().try_for_each(zero).and_then(|()| self.files[index].sync());
                zeroed.map_err(refused(index))?;
            }
        }
        Ok(())
    }

    /// Makes the last batch durable, whose sync may not have returned, and whole, of which a copy may be spoiled.
    fn secure(&self, index: usize, last: &Batch) -> io::Result<()> {
        if is_planted(Bug::FoundIsDurable) {
            return Ok(());
        }
        let place = BatchPlace { generation: last.generation, sequence: last.sequence, height: last.height };
        self.files[index].write_at(last.offset as u64, &pages::encode(place, &last.payload)?)?;
        self.files[index].sync()
    }

    /// Whether a file was missing at open, or empty.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// The height whose entries are written.
    pub(crate) fn height(&self) -> Height {
        self.height
    }

    /// Whether the next batch is the first of its generation, and so takes the place of what was signed at an earlier height.
    pub(crate) fn begins(&self) -> bool {
        self.sequence == 0 && !self.pending.is_empty()
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
        let pending = pages::size_of(self.pending.len()) + pages::size_of(0);
        self.bytes_max.saturating_sub(self.offset + pending as u64)
    }

    /// Makes room: writes this generation anew, in the other file, without blocks but those for which `is_needed` holds. The other
    /// file holds a decided height or an older form of this one. A block that is left out can be fetched again.
    pub(crate) fn compact(&mut self, is_needed: impl Fn(&BlockId) -> bool) -> Result<(), JournalError> {
        self.flush()?;
        let index = file_of(self.generation);
        let entries = self.read_all(index).map_err(refused(index))?;
        let height = self.height;
        self.begin(height);
        let is_kept = |e: &&JournalEntry| !matches!(e, JournalEntry::Block(b) if !is_needed(&b.id()));
        entries.iter().filter(is_kept).for_each(|entry| self.push(entry));
        self.flush()
    }

    fn read_all(&self, index: usize) -> io::Result<Vec<JournalEntry>> {
        let mut content = vec![0; usize::try_from(self.offset).map_err(io::Error::other)?];
        self.files[index].read_at(0, &mut content)?;
        let of_generation = batches(&content).into_iter().filter(|batch| batch.generation == self.generation);
        let batches: Vec<_> = of_generation.collect();
        let entries = batches.iter().map(|batch| decode_entries(&batch.payload, self.format));
        let entries: Option<Vec<_>> = entries.collect();
        let entries = entries.filter(|_| batches.len() as u64 == self.sequence);
        Ok(entries.ok_or(io::ErrorKind::InvalidData)?.into_iter().flatten().collect())
    }

    /// Writes what is pending as one batch, and seals it; nothing when nothing is.
    pub(crate) fn flush(&mut self) -> Result<(), JournalError> {
        let index = file_of(self.generation);
        self.write_pending(index).map_err(refused(index))
    }

    fn write_pending(&mut self, index: usize) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        self.write(index, &pending)?;
        if !pages::is_doubled(pending.len()) {
            self.write(index, &[])?;
        }
        self.pending = pending;
        self.pending.clear();
        Ok(())
    }

    /// Writes a batch and syncs.
    fn write(&mut self, index: usize, payload: &[u8]) -> io::Result<()> {
        let place = BatchPlace { generation: self.generation, sequence: self.sequence, height: self.height };
        let bytes = pages::encode(place, payload)?;
        let end = self.offset + pages::size_of(payload.len()) as u64;
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
        Ok(())
    }
}

/// Where a generation lies.
fn file_of(generation: u64) -> usize {
    usize::from(generation % 2 == 1)
}

fn refused(index: usize) -> impl FnOnce(io::Error) -> JournalError {
    move |source| JournalError::Io { file: JOURNAL_FILES[index], source }
}

/// The newest generation, read whole.
pub(crate) struct Newest {
    /// Of its file.
    index: usize,
    pub(crate) generation: u64,
    pub(crate) height: Height,
    batches: Vec<Batch>,
    is_first_format: bool,
    entries: Vec<JournalEntry>,
}

/// The newest generation in the contents of both files. A first batch that is torn counts for nothing: the generation before is the newest.
pub(crate) fn newest(contents: &[Vec<u8>; 2], format: PayloadFormat) -> Result<Option<Newest>, JournalError> {
    let found = [0, 1].map(|index| in_file(index, &contents[index]));
    let Some(InFile { index, batches, is_first_format, .. }) =
        found.into_iter().flatten().max_by_key(|found| found.generation)
    else {
        return Ok(None);
    };
    let batches = batches?;
    let Some(last) = batches.last() else { return Ok(None) };
    let (generation, height) = (last.generation, last.height);
    let mut entries = Vec::new();
    for batch in &batches {
        let decoded = decode_entries(&batch.payload, format);
        let offset = batch.offset as u64;
        entries.extend(decoded.ok_or(JournalError::Damaged { file: JOURNAL_FILES[index], offset })?);
    }
    Ok(Some(Newest { index, generation, height, batches, is_first_format, entries }))
}

/// The highest generation in a file.
struct InFile {
    index: usize,
    generation: u64,
    batches: Result<Vec<Batch>, JournalError>,
    is_first_format: bool,
}

fn in_file(index: usize, content: &[u8]) -> Option<InFile> {
    let pages = pages::scan(content);
    let is_first_format = pages.is_empty();
    let (generation, batches) = match is_first_format {
        true => first_format::newest(content)?,
        false => pages::newest(content, &pages)?,
    };
    let damaged = |offset| JournalError::Damaged { file: JOURNAL_FILES[index], offset: offset as u64 };
    Some(InFile { index, generation, batches: batches.map_err(damaged), is_first_format })
}

/// All whole batches of any generation in the content of a file, or in a piece of one that begins where a batch may.
pub(crate) fn batches(content: &[u8]) -> Vec<Batch> {
    let pages = pages::scan(content);
    if pages.is_empty() { first_format::batches(content) } else { pages::batches(content, &pages) }
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
mod tests;
