//! Files of a folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use timed_primitives::{Disk, DiskFile};

/// What the system caches at once, at the least. Unit: bytes.
const PAGE_BYTES: usize = 4096;

/// The files of one folder, which must exist. Files are made with mode 0600.
#[derive(Clone, Debug)]
pub struct FileDisk {
    folder: PathBuf,
    is_read_only: bool,
}

impl FileDisk {
    /// The files of `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), is_read_only: false }
    }

    /// The same for reading only: no file is made, and writing fails.
    pub fn read_only(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), is_read_only: true }
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a file name, not a path, is expected"));
        }
        Ok(self.folder.join(name))
    }
}

impl Disk for FileDisk {
    /// A new file's name is made durable before this returns. For reading, a file must be there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path(name)?;
        if self.is_read_only {
            return Ok(Arc::new(OpenFile(File::open(path)?)));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        let file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = options.create(true).open(&path)?;
                file.sync_all()?;
                sync_folder(&self.folder)?;
                file
            }
            other => other?,
        };
        Ok(Arc::new(OpenFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if self.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        fs::rename(self.path(from)?, self.path(to)?)?;
        sync_folder(&self.folder)
    }
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

struct OpenFile(File);

impl DiskFile for OpenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    /// A page at a time: of one large write the system makes large pieces of its cache, each of which is then written as a whole for every
    /// small record in it.
    fn preallocate(&self, range: Range<u64>) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let end = (at + 1).next_multiple_of(PAGE_BYTES as u64).min(range.end);
            self.write_at(at, &[0; PAGE_BYTES][..usize::try_from(end - at).map_err(io::Error::other)?])?;
            at = end;
        }
        Ok(())
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    /// Inode and time of birth, which no copying tool can give to a copy. Not the device: its number may change with a restart of the
    /// machine. `None` on file systems without a time of birth.
    fn identity(&self) -> io::Result<Option<u128>> {
        let facts = self.0.metadata()?;
        let born = facts.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        // Nanoseconds since 1970 fit 64 bits until the year 2554.
        let nanoseconds = born.and_then(|born| u64::try_from(born.as_nanos()).ok());
        Ok(nanoseconds.map(|nanoseconds| u128::from(facts.ino()) << 64 | u128::from(nanoseconds)))
    }

    /// `fdatasync`: contents and size, not the times of the file.
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
