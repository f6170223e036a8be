//! Seam: files that must survive a crash (block log, journal, guard).
//!
//! A write is durable after [`DiskFile::sync`] returns, and not before: [`MemoryDisk::crash`] and [`MemoryDisk::crash_keeping`] show what
//! that means.

use crate::planted::{Bug, is_planted};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A folder of files.
pub trait Disk: Send + Sync {
    /// Opens a file for reading and writing, and makes it, empty and durable by name, when there is none.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, and takes that name from the file that has it. Durable when this returns; after a crash in between
    /// either both names are as before or both are as wanted. Open files stay what they are. What was written and not synced may be
    /// lost under either name.
    ///
    /// # Errors
    /// `NotFound` when no file is called `from`; else what the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
}

/// One open file. Positions are bytes from its start.
pub trait DiskFile: Send + Sync {
    /// Size in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// True when the file holds nothing.
    ///
    /// # Errors
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills the whole buffer from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before the buffer is full.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all bytes at `offset`; a gap is filled with zeros.
    ///
    /// # Errors
    /// What the system says; the file's content is then unknown until it is read again.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Writes zeros there, so that what is written into them later changes neither the file's size nor where it lies, and its sync has
    /// less to do.
    ///
    /// # Errors
    /// As [`Self::write_at`].
    fn preallocate(&self, range: Range<u64>) -> io::Result<()> {
        let length = range.end.saturating_sub(range.start);
        self.write_at(range.start, &vec![0; usize::try_from(length).map_err(io::Error::other)?])
    }

    /// Cuts or extends the file to `size` bytes; new bytes are zero.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, size: u64) -> io::Result<()>;

    /// Names this very file: a copy of it has another, also when it is put in its place. `None` when the system cannot say.
    ///
    /// # Errors
    /// What the system says.
    fn identity(&self) -> io::Result<Option<u128>>;

    /// Returns when all written so far would survive a loss of power (`fdatasync`).
    ///
    /// # Errors
    /// What the system says; nothing written since the last good sync may be relied on, and the caller must stop.
    fn sync(&self) -> io::Result<()>;
}

/// How much of a file is written again at once. Unit: bytes.
const REWRITE_BYTES: u64 = 1 << 20;

/// Makes durable what was found in a file at a start, before anything is built on it.
///
/// Whoever finds a record cannot know whether the sync after its write ever returned: the last process may have ended in between, and what
/// the system shows may be in its memory only. After a sync that failed the system may even take such bytes for written, and then another
/// sync does nothing. So they are written again as they are, and synced.
///
/// # Errors
/// What the system says; nothing that was found may be relied on.
pub fn rewrite_and_sync(file: &dyn DiskFile, range: Range<u64>) -> io::Result<()> {
    if is_planted(Bug::FoundIsDurable) {
        return Ok(());
    }
    let mut at = range.start;
    while at < range.end {
        let length = REWRITE_BYTES.min(range.end - at);
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_at(at, &mut bytes)?;
        file.write_at(at, &bytes)?;
        at += length;
    }
    file.sync()
}

/// What a loss of power leaves of a write that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Nothing. When a later write is left, the two were written in another order.
    Lost,
    /// All of it.
    Whole,
    /// So many bytes from its start.
    Prefix(usize),
    /// Sectors of [`SECTOR_BYTES`]: number n, counted from the write's start, is left when bit n mod 64 is set. The file grows by all.
    Sectors(u64),
}

/// What a disk writes whole or not at all. Unit: bytes.
pub const SECTOR_BYTES: usize = 512;

/// A disk in memory, for tests and simulation. Clones share the files.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    files: Arc<Mutex<BTreeMap<String, Arc<MemoryFile>>>>,
    /// Distinguishes the files of copies.
    copies: Arc<AtomicU64>,
    number: u64,
}

impl MemoryDisk {
    /// Forgets every write that was not synced, as a loss of power may.
    pub fn crash(&self) {
        self.crash_keeping(|_| Survival::Lost);
    }

    /// Keeps of each write that was not synced what `survives` says, as a loss of power may. It is asked in order of files and writes,
    /// with the file's name. What is left is durable.
    pub fn crash_keeping(&self, mut survives: impl FnMut(&str) -> Survival) {
        for (name, file) in lock(&self.files).iter() {
            let mut state = lock(&file.state);
            for change in std::mem::take(&mut state.unsynced) {
                change.apply_in_part(survives(name), &mut state.durable);
            }
            state.current = state.durable.clone();
        }
    }

    /// Bytes of all files as they are now.
    pub fn bytes(&self) -> u64 {
        lock(&self.files).values().map(|file| lock(&file.state).current.len() as u64).sum()
    }

    /// How often a file was synced here.
    pub fn syncs(&self, name: &str) -> u64 {
        lock(&self.files).get(name).map_or(0, |file| lock(&file.state).syncs)
    }

    /// An independent copy of what is durable now, as a backup would hold it.
    pub fn copy_of_durable(&self) -> Self {
        self.copy_as(self.copies.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The same as a snapshot of the whole volume would hold it: its files cannot be distinguished from the originals.
    pub fn snapshot_of_durable(&self) -> Self {
        self.copy_as(self.number)
    }

    fn copy_as(&self, number: u64) -> Self {
        let copy = Self { files: Arc::default(), copies: self.copies.clone(), number };
        for (name, file) in lock(&self.files).iter() {
            let durable = lock(&file.state).durable.clone();
            let state = Mutex::new(MemoryState { current: durable.clone(), durable, ..MemoryState::default() });
            lock(&copy.files).insert(name.clone(), Arc::new(MemoryFile { state, number }));
        }
        copy
    }

    /// Makes every later sync of the file fail, as a broken disk does. What was written and not synced stays readable until a crash, and no
    /// later sync makes it durable: systems take pages that they failed to write for clean.
    pub fn fail_syncs(&self, name: &str) {
        self.set_fail_syncs(name, true);
    }

    /// Undoes [`Self::fail_syncs`].
    pub fn allow_syncs(&self, name: &str) {
        self.set_fail_syncs(name, false);
    }

    fn set_fail_syncs(&self, name: &str, fail_sync: bool) {
        if let Some(file) = lock(&self.files).get(name) {
            lock(&file.state).fail_sync = fail_sync;
        }
    }

    /// Changes bytes behind the owner's back, durable at once: damage for tests. `None` when there is no such file.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Option<()> {
        let file = lock(&self.files).get(name).cloned()?;
        let mut state = lock(&file.state);
        change(&mut state.current);
        state.durable = state.current.clone();
        state.unsynced.clear();
        Some(())
    }
}

impl Disk for MemoryDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let fresh = || Arc::new(MemoryFile { state: Mutex::default(), number: self.number });
        let file = lock(&self.files).entry(name.to_owned()).or_insert_with(fresh).clone();
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = lock(&self.files);
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }
}

struct MemoryFile {
    state: Mutex<MemoryState>,
    /// That of its disk.
    number: u64,
}

#[derive(Default)]
struct MemoryState {
    current: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<DiskChange>,
    fail_sync: bool,
    syncs: u64,
}

enum DiskChange {
    Write(usize, Vec<u8>),
    Resize(usize),
}

impl DiskChange {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(start, bytes) => {
                let end = start + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*start..end].copy_from_slice(bytes);
            }
            Self::Resize(size) => content.resize(*size, 0),
        }
    }

    fn apply_in_part(&self, survival: Survival, content: &mut Vec<u8>) {
        match (survival, self) {
            (Survival::Lost, _) => {}
            (Survival::Whole, change) | (_, change @ Self::Resize(_)) => change.apply(content),
            (Survival::Prefix(length), Self::Write(start, bytes)) => {
                Self::Write(*start, bytes[..length.min(bytes.len())].to_vec()).apply(content);
            }
            (Survival::Sectors(mask), Self::Write(start, bytes)) => {
                let grown = content.len().max(start + bytes.len());
                content.resize(grown, 0);
                for (number, sector) in
                    bytes.chunks(SECTOR_BYTES).enumerate().filter(|(n, _)| mask >> (n % 64) & 1 == 1)
                {
                    let from = start + number * SECTOR_BYTES;
                    content[from..from + sector.len()].copy_from_slice(sector);
                }
            }
        }
    }
}

impl MemoryState {
    fn change(&mut self, change: DiskChange) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.state).current.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = position(offset)?;
        let state = lock(&self.state);
        let found = start.checked_add(buffer.len()).and_then(|end| state.current.get(start..end));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = position(offset)?;
        start.checked_add(bytes.len()).ok_or(io::ErrorKind::InvalidInput)?;
        lock(&self.state).change(DiskChange::Write(start, bytes.to_vec()));
        Ok(())
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        lock(&self.state).change(DiskChange::Resize(position(size)?));
        Ok(())
    }

    fn identity(&self) -> io::Result<Option<u128>> {
        Ok(Some(self.number.into()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        if state.fail_sync {
            state.unsynced.clear();
            return Err(io::Error::other("injected sync failure"));
        }
        let state = &mut *state;
        state.syncs += 1;
        for change in state.unsynced.drain(..) {
            change.apply(&mut state.durable);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_keeps_what_was_synced_and_nothing_else() {
        let disk = MemoryDisk::default();
        let file = disk.open("a").unwrap();
        file.write_at(0, b"one").unwrap();
        file.sync().unwrap();
        file.write_at(3, b"two").unwrap();
        assert_eq!(file.len().unwrap(), 6);
        disk.crash();
        let mut bytes = [0; 3];
        file.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"one");
        assert!(file.read_at(1, &mut bytes).is_err());
        disk.fail_syncs("a");
        assert!(file.sync().is_err());
    }

    #[test]
    fn what_is_written_again_as_it_was_found_is_durable_whatever_became_of_the_first_sync() {
        let found_after = |end_of_first: &dyn Fn(&MemoryDisk)| {
            let disk = MemoryDisk::default();
            let file = disk.open("a").unwrap();
            let bytes: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
            file.write_at(0, &bytes).unwrap();
            end_of_first(&disk);
            rewrite_and_sync(&*file, 1..file.len().unwrap()).unwrap();
            disk.crash();
            let mut found = vec![0; bytes.len()];
            file.read_at(0, &mut found).unwrap();
            found[1..] == bytes[1..]
        };
        assert!(found_after(&|_| ()), "it was never synced");
        let fails = |disk: &MemoryDisk| {
            disk.fail_syncs("a");
            assert!(disk.open("a").unwrap().sync().is_err());
            disk.allow_syncs("a");
            disk.open("a").unwrap().sync().unwrap();
        };
        assert!(found_after(&fails), "a sync failed, and the next had nothing to do");
    }

    #[test]
    fn a_renamed_file_takes_the_place_of_the_other() {
        let disk = MemoryDisk::default();
        let (old, new) = (disk.open("a").unwrap(), disk.open("b").unwrap());
        for (file, bytes) in [(&old, b"old"), (&new, b"new")] {
            file.write_at(0, bytes).unwrap();
            file.sync().unwrap();
        }
        disk.rename("b", "a").unwrap();
        disk.crash();
        let mut bytes = [0; 3];
        disk.open("a").unwrap().read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"new");
        old.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"old", "an open file stays what it is");
        assert_eq!(disk.rename("b", "a").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_crash_tears_writes_as_planned() {
        let left = |survivals: &[Survival]| {
            let disk = MemoryDisk::default();
            let file = disk.open("a").unwrap();
            file.write_at(0, &[1; 600]).unwrap();
            file.sync().unwrap();
            file.write_at(0, &[2; 1300]).unwrap();
            file.write_at(100, &[3; 10]).unwrap();
            let mut survivals = survivals.iter();
            disk.crash_keeping(|name| {
                assert_eq!(name, "a");
                *survivals.next().unwrap()
            });
            assert_eq!(survivals.len(), 0);
            assert_eq!(disk.bytes(), file.len().unwrap());
            let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
            file.read_at(0, &mut bytes).unwrap();
            let found = [0, 100, 512, 700, 1299].map(|at| bytes.get(at).copied());
            disk.crash();
            assert_eq!(file.len().unwrap(), bytes.len() as u64, "what is left is durable");
            found
        };
        use Survival::{Lost, Prefix, Sectors, Whole};
        assert_eq!(left(&[Lost, Lost]), [Some(1), Some(1), Some(1), None, None]);
        assert_eq!(left(&[Lost, Whole]), [Some(1), Some(3), Some(1), None, None]);
        assert_eq!(left(&[Whole, Lost]), [Some(2), Some(2), Some(2), Some(2), Some(2)]);
        assert_eq!(left(&[Prefix(600), Lost]), [Some(2), Some(2), Some(2), None, None]);
        assert_eq!(left(&[Sectors(0b101), Prefix(0)]), [Some(2), Some(2), Some(1), Some(0), Some(2)]);
    }
}
