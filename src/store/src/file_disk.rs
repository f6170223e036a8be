//! Files of a folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use timed_primitives::{Disk, DiskFile};

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

    /// The same to look at: no file is made, and writing fails.
    pub fn read_only(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), is_read_only: true }
    }
}

impl Disk for FileDisk {
    /// A new file's name is made durable before this returns. To look at, a file must be there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a file name, not a path, is expected"));
        }
        let path = self.folder.join(name);
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

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    /// `fdatasync`: contents and size, not the times of the file.
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
