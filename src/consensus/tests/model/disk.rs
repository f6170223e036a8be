//! A disk that records what was done to it, and all that may be left of it when the power fails.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use timed_consensus::journal::JOURNAL_FILES;
use timed_primitives::{Disk, DiskFile};

/// Contents of all files.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// One thing done to the disk.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Write { file: String, offset: usize, bytes: Vec<u8> },
    Sync { file: String },
}

/// What is durable, and what was written since.
#[derive(Clone, Default)]
pub(crate) struct Surface {
    pub(crate) durable: Image,
    unsynced: Vec<Operation>,
    /// Where the journal was written last.
    newest: Option<(String, usize)>,
    /// A planted fault: syncs of the journal do nothing.
    is_journal_lying: bool,
}

impl Surface {
    pub(crate) fn new(durable: Image, is_journal_lying: bool) -> Self {
        Self { durable, unsynced: vec![], newest: None, is_journal_lying }
    }

    pub(crate) fn apply(&mut self, operation: &Operation) {
        let Operation::Sync { file: synced } = operation else {
            if let Operation::Write { file, offset, .. } = operation
                && JOURNAL_FILES.contains(&file.as_str())
            {
                self.newest = Some((file.clone(), *offset));
            }
            return self.unsynced.push(operation.clone());
        };
        if self.is_journal_lying && JOURNAL_FILES.contains(&synced.as_str()) {
            return;
        }
        for operation in std::mem::take(&mut self.unsynced) {
            match &operation {
                Operation::Write { file, .. } if file == synced => write(&mut self.durable, &operation),
                _ => self.unsynced.push(operation),
            }
        }
    }

    /// What is durable, but for the page with which the newest batch of the journal begins.
    pub(crate) fn spoiled(&self) -> Option<Image> {
        let (file, offset) = self.newest.clone()?;
        let mut image = self.durable.clone();
        image.get_mut(&file)?.get_mut(offset..offset + 4096)?.fill(0x5a);
        Some(image)
    }

    /// Each way in which a loss of power may leave it: of each file the writes since its last sync are lost or kept, and the last write of
    /// all is whole, or either half of it is lost.
    pub(crate) fn survivors(&self) -> BTreeSet<Image> {
        let files: BTreeSet<_> = self.unsynced.iter().map(Operation::file).collect();
        let mut images = BTreeSet::new();
        for kept in 0..1_u32 << files.len() {
            let is_kept = |file: &str| files.iter().position(|one| *one == file).is_some_and(|at| kept >> at & 1 == 1);
            for half in [None, Some(0), Some(1)] {
                let mut image = self.durable.clone();
                let last = self.unsynced.len().saturating_sub(1);
                for (index, operation) in self.unsynced.iter().enumerate().filter(|(_, o)| is_kept(o.file())) {
                    write(&mut image, &operation.torn(half.filter(|_| index == last)));
                }
                images.insert(image);
            }
        }
        images
    }
}

impl Operation {
    fn file(&self) -> &str {
        match self {
            Self::Write { file, .. } | Self::Sync { file } => file,
        }
    }

    /// One half of a write; all of it without a number.
    fn torn(&self, half: Option<usize>) -> Self {
        match (self, half) {
            (Self::Write { file, offset, bytes }, Some(half)) => {
                let (first, second) = bytes.split_at(bytes.len() / 2);
                let (offset, bytes) = if half == 0 { (*offset, first) } else { (offset + first.len(), second) };
                Self::Write { file: file.clone(), offset, bytes: bytes.to_vec() }
            }
            (whole, _) => whole.clone(),
        }
    }
}

fn write(image: &mut Image, operation: &Operation) {
    let Operation::Write { file, offset, bytes } = operation else { return };
    let content = image.entry(file.clone()).or_default();
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[*offset..end].copy_from_slice(bytes);
}

#[derive(Default)]
struct State {
    current: Image,
    log: Vec<Operation>,
}

/// The disk of one life of a validator. Clones share the files.
#[derive(Clone)]
pub(crate) struct LoggedDisk(Arc<Mutex<State>>);

impl LoggedDisk {
    pub(crate) fn new(current: Image) -> Self {
        Self(Arc::new(Mutex::new(State { current, log: vec![] })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// What was done since the last call.
    pub(crate) fn take_log(&self) -> Vec<Operation> {
        std::mem::take(&mut self.state().log)
    }
}

impl Disk for LoggedDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.state().current.entry(name.to_owned()).or_default();
        Ok(Arc::new(LoggedFile { disk: self.clone(), name: name.to_owned() }))
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

struct LoggedFile {
    disk: LoggedDisk,
    name: String,
}

impl DiskFile for LoggedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().current[&self.name].len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.disk.state();
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let found = state.current[&self.name].get(start..start + buffer.len());
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let operation = Operation::Write { file: self.name.clone(), offset, bytes: bytes.to_vec() };
        let mut state = self.disk.state();
        write(&mut state.current, &operation);
        state.log.push(operation);
        Ok(())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Never copied: only the power is lost.
    fn identity(&self) -> io::Result<Option<u128>> {
        Ok(Some(0))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.state().log.push(Operation::Sync { file: self.name.clone() });
        Ok(())
    }
}
