//! The last thing this node signed, in a file of its own: a second memory beside the journal.
//!
//! Two slots of 4 KiB. The one that is not known to be durable is written, again and again until a sync, so that a torn write leaves the
//! other. Order before anything signed leaves the node: journal sync, guard write, publish. The guard is synced once for each height, when
//! nothing waits for it, and at the latest before the journal begins the next height. So after a loss of power the journal may be ahead of
//! the guard, by what was signed at one height and the next, and never behind it. Synced before anything leaves are the first record of all,
//! the first that names another file than the one before, and the first after heights that others decided.
//!
//! Each slot names the file that it was written to ([`DiskFile::identity`]), so that a copy is distinguished from the original: until the node
//! that runs on the copy signs, and not while its memory is in doubt.
//!
//! A third slot is empty until another node was found to sign with our key ([`TwinFound`]). Once it is written nothing is signed, over
//! every restart, until the operator clears it.

use crate::signing::TwinFound;
use crate::statement::{SignedRecord, SignedStep};
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Disk, DiskFile, rewrite_and_sync};

/// Name of the file.
pub const GUARD_FILE: &str = "guard";

const SLOT: u64 = 4096;
const MAGIC: [u8; 8] = *b"TIMEgrd2";
/// Where the stop lies, behind the two slots.
const STOP_AT: u64 = 2 * SLOT;
const STOP_MAGIC: [u8; 8] = *b"TIMEstp1";
/// Statements of ours that are remembered one by one. At the bound the oldest goes, and nothing is concluded from what is not above it.
const OWN_MAX: usize = 1024;

/// The guard cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("guard: {source}; check the disk and its permissions")]
pub struct GuardError {
    /// What the system says.
    pub source: io::Error,
}

#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub(crate) struct GuardSlot {
    magic: [u8; 8],
    pub(crate) sequence: u64,
    pub(crate) record: SignedRecord,
    /// Of the file.
    identity: Option<u128>,
}

#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
struct StopMark {
    magic: [u8; 8],
    found: TwinFound,
}

/// Whether a statement that bears our signature is one that this process made, or found in its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// It is.
    Ours,
    /// It is not. It may be of an earlier start.
    NotOurs,
    /// Too long ago to say.
    Forgotten,
}

pub(crate) struct Guard {
    file: Arc<dyn DiskFile>,
    /// The newest slot that is durable.
    durable: Option<GuardSlot>,
    /// The other one, while it is written and not synced.
    written: Option<GuardSlot>,
    last: Option<SignedRecord>,
    /// Whether the record is not written as it is.
    is_dirty: bool,
    /// Whether what is written must be synced before anything leaves.
    is_sync_due: bool,
    /// What this process signed, in order.
    own: VecDeque<SignedRecord>,
    /// The newest that was dropped of them.
    dropped: Option<SignedRecord>,
    stop: Option<TwinFound>,
    is_stop_dirty: bool,
    identity: Option<u128>,
    is_original: bool,
    /// What the next slot names as its file.
    stamp: Option<u128>,
}

impl Guard {
    pub(crate) fn open(disk: &dyn Disk) -> Result<Self, GuardError> {
        Self::read(disk).map_err(|source| GuardError { source })
    }

    fn read(disk: &dyn Disk) -> io::Result<Self> {
        let file = disk.open(GUARD_FILE)?;
        let (size, whole) = (file.len()?, STOP_AT + SLOT);
        if size < whole {
            file.write_at(size, &vec![0; usize::try_from(whole - size).map_err(io::Error::other)?])?;
            file.sync()?;
        }
        let stop = stop_in(&*file)?;
        let newest = read_slots(&*file)?.into_iter().flatten().max_by_key(|slot| slot.sequence);
        let newest = newest.filter(|_| !is_planted(Bug::NoGuard));
        let identity = file.identity()?;
        let stamp = newest.as_ref().and_then(|slot| slot.identity);
        let is_original = identity.is_some() && stamp == identity;
        Ok(Self {
            file,
            last: newest.as_ref().map(|slot| slot.record),
            durable: newest,
            written: None,
            is_dirty: false,
            is_sync_due: false,
            own: VecDeque::new(),
            dropped: None,
            stop,
            is_stop_dirty: false,
            identity,
            is_original,
            stamp,
        })
    }

    /// Who was found to sign with our key, until the operator clears it.
    pub(crate) fn stop(&self) -> Option<TwinFound> {
        self.stop
    }

    /// Another node signs with our key. [`Guard::flush`] makes it durable.
    pub(crate) fn set_stop(&mut self, found: TwinFound) {
        self.stop = Some(found);
        self.is_stop_dirty = true;
    }

    /// Whether this process made the statement.
    pub(crate) fn remembers(&self, record: &SignedRecord) -> Memory {
        match self.own.contains(record) {
            true => Memory::Ours,
            false if self.dropped.is_some_and(|dropped| !record.is_after(&dropped)) => Memory::Forgotten,
            false => Memory::NotOurs,
        }
    }

    /// Remembers what is signed now, or what the journal holds of us.
    pub(crate) fn note_signed(&mut self, record: SignedRecord) {
        if !self.own.contains(&record) {
            self.own.push_back(record);
        }
        if self.own.len() > OWN_MAX {
            self.dropped = self.own.pop_front().into_iter().chain(self.dropped).max_by_key(SignedRecord::place);
        }
        self.set_last(record);
    }

    /// True when what was found at open had been written to this very file, and not to one that this is a copy of.
    pub(crate) fn is_original(&self) -> bool {
        self.is_original
    }

    /// The last thing signed, as far as this file knows.
    pub(crate) fn last(&self) -> Option<SignedRecord> {
        self.last
    }

    /// This node signs from here on: what is written from now on is this file's.
    pub(crate) fn adopt(&mut self) {
        self.stamp = self.identity;
    }

    /// Memory is in doubt: nobody shall take this file for an original. [`Guard::flush`] makes it durable.
    pub(crate) fn disown(&mut self) {
        if self.stamp.take().is_some() {
            self.is_dirty = true;
            self.is_sync_due = true;
        }
    }

    /// True when signing `record` contradicts nothing: it comes after the last one, or is the last one again.
    pub(crate) fn allows(&self, record: &SignedRecord) -> bool {
        self.last.is_none_or(|last| record.is_after(&last) || *record == last)
    }

    /// Remembers `record`, if it comes after the last one; [`Guard::flush`] makes it durable.
    pub(crate) fn note(&mut self, record: SignedRecord) {
        self.is_sync_due |= self.set_last(record);
    }

    fn set_last(&mut self, record: SignedRecord) -> bool {
        let is_newer = self.last.is_none_or(|last| record.is_after(&last));
        if is_newer {
            self.last = Some(record);
            self.is_dirty = true;
        }
        is_newer
    }

    /// Makes durable what was found at open, as it was found: a torn write leaves the other slot, which is durable if this one is not. What
    /// the journal added goes there then.
    pub(crate) fn secure(&mut self) -> Result<(), GuardError> {
        if is_planted(Bug::FoundIsDurable) {
            return Ok(());
        }
        let rewrite = |at: u64| rewrite_and_sync(&*self.file, at..at + SLOT).map_err(|source| GuardError { source });
        if self.stop.is_some() {
            rewrite(STOP_AT)?;
        }
        if let Some(slot) = &self.durable {
            rewrite(slot.sequence % 2 * SLOT)?;
        }
        self.is_sync_due = self.is_dirty;
        self.flush()
    }

    /// Writes the last record and the stop, if they changed, and syncs what must be durable before anything leaves.
    pub(crate) fn flush(&mut self) -> Result<(), GuardError> {
        self.write().map_err(|source| GuardError { source })?;
        let is_first = self.written.as_ref().is_some_and(|written| match &self.durable {
            // A record of what was decided by others says nothing of the journal.
            Some(durable) => durable.identity != written.identity || durable.record.step == SignedStep::Decided,
            None => true,
        });
        if std::mem::take(&mut self.is_sync_due) || is_first { self.sync() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        if let Some(found) = self.stop.filter(|_| self.is_stop_dirty) {
            self.file.write_at(STOP_AT, &sealed(&StopMark { magic: STOP_MAGIC, found }))?;
            self.is_stop_dirty = false;
            self.is_sync_due = true;
        }
        if let Some(record) = self.last.filter(|_| self.is_dirty) {
            let sequence = self.durable.as_ref().map_or(0, |slot| slot.sequence) + 1;
            let slot = GuardSlot { magic: MAGIC, sequence, record, identity: self.stamp };
            self.file.write_at(sequence % 2 * SLOT, &sealed(&slot))?;
            self.is_dirty = false;
            self.written = Some(slot);
        }
        Ok(())
    }

    /// Makes durable what is written and was not due.
    pub(crate) fn sync_written(&mut self) -> Result<(), GuardError> {
        if self.written.is_some() { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), GuardError> {
        if is_planted(Bug::NoGuardSync) {
            return Ok(());
        }
        self.file.sync().map_err(|source| GuardError { source })?;
        self.durable = self.written.take().or_else(|| self.durable.take());
        Ok(())
    }
}

/// The canonical bytes with their checksum.
fn sealed(record: &impl BorshSerialize) -> Vec<u8> {
    let mut bytes = timed_primitives::encode(record);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// What [`sealed`] made, if it is whole.
fn unsealed<T: BorshDeserialize>(bytes: &[u8]) -> Option<T> {
    let mut rest = bytes;
    let record = T::deserialize(&mut rest).ok()?;
    let length = bytes.len() - rest.len();
    let stored = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
    (crc32fast::hash(bytes.get(..length)?) == stored).then_some(record)
}

/// The stop in a guard file. One that began to be written counts, though what it says is lost.
fn stop_in(file: &dyn DiskFile) -> io::Result<Option<TwinFound>> {
    if file.len()? < STOP_AT + SLOT {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(SLOT).map_err(io::Error::other)?];
    file.read_at(STOP_AT, &mut bytes)?;
    let is_written = bytes.starts_with(&STOP_MAGIC);
    Ok(is_written.then(|| unsealed::<StopMark>(&bytes).map_or(TwinFound::UNREADABLE, |stop| stop.found)))
}

/// Why signing is stopped for good in this folder, if it is. Nothing is changed. The file must exist.
///
/// # Errors
/// [`GuardError`] when the disk refuses.
pub fn read_stop(disk: &dyn Disk) -> Result<Option<TwinFound>, GuardError> {
    disk.open(GUARD_FILE).and_then(|file| stop_in(&*file)).map_err(|source| GuardError { source })
}

/// Lifts the stop, durably, and says what it was. Not while the node runs.
///
/// # Errors
/// [`GuardError`] when the disk refuses; the stop may then be in force or not.
pub fn clear_stop(disk: &dyn Disk) -> Result<Option<TwinFound>, GuardError> {
    let clear = || {
        let file = disk.open(GUARD_FILE)?;
        let found = stop_in(&*file)?;
        if found.is_some() {
            file.write_at(STOP_AT, &vec![0; usize::try_from(SLOT).map_err(io::Error::other)?])?;
            file.sync()?;
        }
        Ok(found)
    };
    clear().map_err(|source| GuardError { source })
}

/// Both slots; `None` for one that is empty or torn.
pub(crate) fn read_slots(file: &dyn DiskFile) -> io::Result<[Option<GuardSlot>; 2]> {
    let mut slots = [None, None];
    for (position, slot) in (0..).step_by(usize::try_from(SLOT).map_err(io::Error::other)?).zip(&mut slots) {
        let mut bytes = vec![0; usize::try_from(SLOT).map_err(io::Error::other)?];
        file.read_at(position, &mut bytes)?;
        *slot = decode_slot(&bytes);
    }
    Ok(slots)
}

pub(crate) fn decode_slot(bytes: &[u8]) -> Option<GuardSlot> {
    unsealed::<GuardSlot>(bytes).filter(|slot| slot.magic == MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::{BlockId, Hash, Height, MemoryDisk, Round};

    fn record(height: u64, round: u32, step: SignedStep, block: Option<u8>) -> SignedRecord {
        let block = block.map(|b| BlockId(Hash([b; 32])));
        SignedRecord { height: Height(height), round: Round(round), step, block, valid_round: None }
    }

    #[test]
    fn allows_what_comes_after_and_the_identical_thing_again() {
        let mut guard = Guard::open(&MemoryDisk::default()).unwrap();
        let last = record(5, 1, SignedStep::Prevote, Some(1));
        assert!(guard.allows(&last));
        guard.note(last);
        assert!(guard.allows(&last));
        assert!(!guard.allows(&record(5, 1, SignedStep::Prevote, Some(2))));
        assert!(!guard.allows(&record(5, 1, SignedStep::Prevote, None)));
        assert!(!guard.allows(&record(5, 1, SignedStep::Proposal, Some(1))));
        assert!(!guard.allows(&record(5, 0, SignedStep::Precommit, None)));
        assert!(guard.allows(&record(5, 1, SignedStep::Precommit, None)));
        assert!(guard.allows(&record(6, 0, SignedStep::Proposal, Some(3))));
    }

    #[test]
    fn survives_a_crash_and_a_torn_slot() {
        let disk = MemoryDisk::default();
        let mut guard = Guard::open(&disk).unwrap();
        guard.note(record(1, 0, SignedStep::Prevote, None));
        guard.flush().unwrap();
        guard.note(record(1, 0, SignedStep::Precommit, None));
        guard.flush().unwrap();
        guard.note(record(2, 0, SignedStep::Prevote, None));
        disk.crash();
        let last = Guard::open(&disk).unwrap().last().unwrap();
        assert_eq!(last, record(1, 0, SignedStep::Precommit, None));
        disk.damage(GUARD_FILE, |bytes| bytes[10] ^= 1).unwrap();
        assert_eq!(Guard::open(&disk).unwrap().last(), Some(record(1, 0, SignedStep::Prevote, None)));
    }

    #[test]
    fn what_was_found_is_durable_once_it_is_secured_whatever_became_of_its_sync() {
        for is_failed in [false, true] {
            let disk = MemoryDisk::default();
            let mut guard = Guard::open(&disk).unwrap();
            guard.secure().unwrap();
            assert_eq!(guard.last(), None, "who never signed has nothing to keep");
            let made = disk.copy_of_durable();
            guard.adopt();
            guard.note(record(1, 0, SignedStep::Prevote, None));
            guard.set_stop(found(7));
            guard.flush().unwrap();
            // The process ends between the writes and their sync, or because that failed.
            let written = disk.open(GUARD_FILE).unwrap();
            let mut bytes = vec![0; usize::try_from(written.len().unwrap()).unwrap()];
            written.read_at(0, &mut bytes).unwrap();
            let disk = made;
            let file = disk.open(GUARD_FILE).unwrap();
            file.write_at(0, &bytes).unwrap();
            if is_failed {
                disk.fail_syncs(GUARD_FILE);
                assert!(file.sync().is_err());
                disk.allow_syncs(GUARD_FILE);
            }
            let mut guard = Guard::open(&disk).unwrap();
            guard.secure().unwrap();
            let known = (guard.last(), guard.stop());
            disk.crash();
            let guard = Guard::open(&disk).unwrap();
            assert!(known.0.is_some() && known.1.is_some());
            assert_eq!((guard.last(), guard.stop()), known, "after a sync that failed: {is_failed}");
        }
    }

    fn found(height: u64) -> TwinFound {
        TwinFound { statement: Some(record(height, 0, SignedStep::Prevote, None)), ..TwinFound::UNREADABLE }
    }

    #[test]
    fn a_stop_survives_everything_but_being_cleared() {
        let disk = MemoryDisk::default();
        assert_eq!(read_stop(&disk).unwrap(), None);
        let mut guard = Guard::open(&disk).unwrap();
        assert_eq!(guard.stop(), None);
        guard.set_stop(found(7));
        guard.flush().unwrap();
        disk.crash();
        for disk in [disk.clone(), disk.copy_of_durable(), disk.snapshot_of_durable()] {
            assert_eq!(Guard::open(&disk).unwrap().stop(), Some(found(7)));
        }
        // What was signed is written beside it.
        guard.note(record(8, 0, SignedStep::Prevote, None));
        guard.flush().unwrap();
        assert_eq!(read_stop(&disk).unwrap(), Some(found(7)));
        disk.damage(GUARD_FILE, |bytes| bytes[usize::try_from(STOP_AT).unwrap() + 12] ^= 1).unwrap();
        assert_eq!(Guard::open(&disk).unwrap().stop(), Some(TwinFound::UNREADABLE));
        assert_eq!(clear_stop(&disk).unwrap(), Some(TwinFound::UNREADABLE));
        assert_eq!(clear_stop(&disk).unwrap(), None);
        let guard = Guard::open(&disk).unwrap();
        assert_eq!((guard.stop(), guard.last()), (None, Some(record(8, 0, SignedStep::Prevote, None))));
    }

    #[test]
    fn own_statements_are_remembered_one_by_one_up_to_a_bound() {
        let mut guard = Guard::open(&MemoryDisk::default()).unwrap();
        let at = |height| record(height, 0, SignedStep::Prevote, Some(1));
        for height in 1..=OWN_MAX as u64 + 10 {
            guard.note_signed(at(height));
            guard.note_signed(at(height));
        }
        assert_eq!([1, 10].map(|height| guard.remembers(&at(height))), [Memory::Forgotten; 2]);
        assert_eq!([11, 12].map(|height| guard.remembers(&at(height))), [Memory::Ours; 2]);
        assert_eq!(guard.remembers(&record(12, 0, SignedStep::Prevote, None)), Memory::NotOurs);
        assert_eq!(guard.remembers(&record(12, 0, SignedStep::Precommit, Some(1))), Memory::NotOurs);
        assert_eq!(guard.remembers(&at(1_000_000)), Memory::NotOurs);
    }

    #[test]
    fn a_copy_differs_from_the_original_until_it_is_written() {
        let disk = MemoryDisk::default();
        assert!(!Guard::open(&disk).unwrap().is_original(), "it holds nothing");
        let mut guard = Guard::open(&disk).unwrap();
        guard.adopt();
        guard.note(record(1, 0, SignedStep::Prevote, None));
        guard.flush().unwrap();
        assert!(Guard::open(&disk).unwrap().is_original());
        let copy = disk.copy_of_durable();
        let mut guard = Guard::open(&copy).unwrap();
        assert!(!guard.is_original() && guard.last().is_some());
        guard.note(record(2, 0, SignedStep::Prevote, None));
        guard.flush().unwrap();
        assert!(!Guard::open(&copy).unwrap().is_original(), "what the journal knew was added, and nothing signed");
        guard.adopt();
        guard.note(record(3, 0, SignedStep::Prevote, None));
        guard.flush().unwrap();
        assert!(Guard::open(&copy).unwrap().is_original());
        guard.disown();
        guard.flush().unwrap();
        assert!(!Guard::open(&copy).unwrap().is_original());
        guard.adopt();
        guard.note(record(4, 0, SignedStep::Prevote, None));
        guard.flush().unwrap();
        assert!(!Guard::open(&copy.copy_of_durable()).unwrap().is_original());
        assert!(Guard::open(&copy.snapshot_of_durable()).unwrap().is_original());
    }

    /// Each bug makes a test fail that passes without it.
    #[cfg(feature = "planted")]
    mod planted {
        use super::*;
        use timed_primitives::planted::is_caught;

        #[test]
        fn found_is_durable() {
            let test = what_was_found_is_durable_once_it_is_secured_whatever_became_of_its_sync;
            assert!(is_caught(Bug::FoundIsDurable, test));
        }
    }
}
