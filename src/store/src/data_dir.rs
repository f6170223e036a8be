//! A node's folder: one process, one genesis.

use crate::file_disk::{FileDisk, sync_folder};
use crate::fjall_store::{FjallStore, StoreOpenError};
use crate::folder_watch::{FolderWatch, LOCK};
use crate::remedy::remedy;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use timed_chain::Table;
use timed_primitives::Hash;

/// Name of the file that says which genesis the folder belongs to.
const GENESIS: &str = "genesis";
/// Name of the folder of the derived state.
const STATE: &str = "state";

/// A node's folder, locked for this process while this value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The system frees the lock when the file is closed, also by a kill.
    lock: File,
}

/// The data folder cannot be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It could not be made.
    #[error("cannot make the data folder {}: {source}; choose another with --data-dir", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is there but cannot be written to.
    #[error("data folder {} is not writable: {source}; {}, or choose another with --data-dir", path.display(), remedy(source))]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process works in it.
    #[error(
        "data folder {} is in use by another timed process ({}); stop that one, or choose another folder with --data-dir",
        path.display(), pid.map_or_else(|| "pid unknown".to_owned(), |pid| format!("pid {pid}"))
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process, if it has said so.
        pid: Option<u32>,
    },
    /// It holds another chain.
    #[error(
        "data folder {} belongs to genesis {found}, this node runs genesis {expected}; start with that network's folder, or choose \
         another with --data-dir", path.display()
    )]
    OtherGenesis {
        /// The folder.
        path: PathBuf,
        /// What the folder says.
        found: Hash,
        /// Ours.
        expected: Hash,
    },
    /// The marker is not one.
    #[error("{} does not hold a genesis hash; if the folder is this network's, remove that file and start again", path.display())]
    Marker {
        /// The marker file.
        path: PathBuf,
    },
    /// The system refused something else.
    #[error("{}: {source}; {}, or choose another folder with --data-dir", path.display(), remedy(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the folder (0700) if there is none, locks it for this process and binds it to a genesis.
    ///
    /// # Errors
    /// [`DataDirError`] says why the folder cannot be used and what to do.
    pub fn open(path: impl Into<PathBuf>, genesis: Hash) -> Result<Self, DataDirError> {
        let path = path.into();
        create(&path).map_err(|source| DataDirError::Create { path: path.clone(), source })?;
        let lock = lock(&path)?;
        bind(&path, genesis)?;
        Ok(Self { path, lock })
    }

    /// Locks a folder that a node has used, whatever its genesis.
    ///
    /// # Errors
    /// [`DataDirError`] says why the folder cannot be used and what to do.
    pub fn open_existing(path: impl Into<PathBuf>) -> Result<Self, DataDirError> {
        let path = path.into();
        let marker = path.join(GENESIS);
        fs::metadata(&marker).map_err(|source| DataDirError::Io { path: marker, source })?;
        let lock = lock(&path)?;
        Ok(Self { path, lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files of the cores: block log, journal, guard.
    pub fn disk(&self) -> FileDisk {
        FileDisk::new(&self.path)
    }

    /// To see whether the folder stays what it is. Of these files and folders in it, those that are there now must stay as well.
    ///
    /// # Errors
    /// When the system refuses another descriptor.
    pub fn watch(&self, names: &[&'static str]) -> io::Result<FolderWatch> {
        let names: Vec<_> = names.iter().copied().chain([GENESIS, STATE]).collect();
        Ok(FolderWatch::new(&self.path, self.lock.try_clone()?, &names))
    }

    /// Opens the derived state in `state/` (made with 0700) with these tables. Use it no longer than the folder is locked.
    ///
    /// # Errors
    /// As [`FjallStore::open`].
    pub fn open_store(&self, tables: &[Table]) -> Result<FjallStore, StoreOpenError> {
        let folder = self.path.join(STATE);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| StoreOpenError::Io { path: folder.clone(), source })?;
        FjallStore::open(folder, tables)
    }
}

/// Makes the folder and those above it, and makes their names durable: a folder that vanishes in a loss of power takes what is
/// final with it.
fn create(folder: &Path) -> io::Result<()> {
    let made: Vec<_> = folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for path in made {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<File, DataDirError> {
    let not_writable = |source| DataDirError::NotWritable { path: folder.to_owned(), source };
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(|source| match source.kind() {
        // Something stands in its place.
        io::ErrorKind::IsADirectory | io::ErrorKind::NotFound => DataDirError::Io { path, source },
        _ => not_writable(source),
    })?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = file.take(20).read_to_string(&mut text);
            let pid = read.ok().and_then(|_| text.trim().parse().ok());
            return Err(DataDirError::InUse { path: folder.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(not_writable(source)),
    }
    file.set_len(0).map_err(not_writable)?;
    writeln!(file, "{}", std::process::id()).map_err(not_writable)?;
    Ok(file)
}

/// As much of a marker as is read. Unit: bytes.
const MARKER_BYTES_MAX: u64 = 256;

fn bind(folder: &Path, expected: Hash) -> Result<(), DataDirError> {
    let path = folder.join(GENESIS);
    let io_error = |source| DataDirError::Io { path: path.clone(), source };
    let mut text = String::new();
    // No longer than this: whatever lies there, a marker is short.
    let read = File::open(&path).and_then(|file| file.take(MARKER_BYTES_MAX).read_to_string(&mut text));
    match read.map(|_| text) {
        Ok(text) => match text.trim().parse::<Hash>() {
            Ok(found) if found == expected => Ok(()),
            Ok(found) => Err(DataDirError::OtherGenesis { path: folder.to_owned(), found, expected }),
            Err(_) => Err(DataDirError::Marker { path: path.clone() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Written aside and renamed, so that the marker is whole or absent after a crash.
            let aside = folder.join("genesis.new");
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&aside).map_err(io_error)?;
            writeln!(file, "{expected}").and_then(|()| file.sync_all()).map_err(io_error)?;
            fs::rename(&aside, &path).and_then(|()| sync_folder(folder)).map_err(io_error)
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(DataDirError::Marker { path: path.clone() }),
        Err(error) => Err(io_error(error)),
    }
}
