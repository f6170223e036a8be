//! Whether a data folder is still the one that was opened: files that are open go on to take writes after their names are gone, so that nothing
//! else shows a running node that what it keeps will be lost with its end.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Name of the lock file.
pub(crate) const LOCK: &str = "lock";
/// Written and removed at each look.
const PROBE: &str = "write-probe";

/// A data folder that is in use, to be inspected now and then.
#[derive(Debug)]
pub struct FolderWatch {
    path: PathBuf,
    lock: File,
    /// Device and number of the folder itself; `None` when the system did not say.
    folder: Option<(u64, u64)>,
    /// Files and folders in it that must stay.
    kept: Vec<&'static str>,
}

/// The folder is not what it was. What was written to it since is lost, or will be.
#[derive(Debug, thiserror::Error)]
pub enum FolderLost {
    /// Something of it was removed.
    #[error(
        "{} has been removed under the running node: what was decided since is lost with it. Stop whatever removes files there and start the \
         node again; it fetches the chain from its peers", path.display()
    )]
    Removed {
        /// What is not there any more.
        path: PathBuf,
    },
    /// Another folder has its name.
    #[error(
        "another folder has taken the place of the data folder {} under the running node: put the first one back (mount its disk, if it had \
         one), or start the node again to work in this one", path.display()
    )]
    Replaced {
        /// The folder.
        path: PathBuf,
    },
    /// Nothing can be written to it.
    #[error("the data folder {} cannot be written to any more: {source}; mend the disk or the folder's rights and start the node again", path.display())]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be inspected, which may pass.
    #[error("the data folder {} cannot be inspected: {source}", path.display())]
    Unknown {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FolderLost {
    /// Whether it may come right by itself, such as a disk that is full or too many open files.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}

impl FolderWatch {
    /// Of a folder whose lock is held by this file. Of these names, those that are there must stay.
    pub(crate) fn new(path: &Path, lock: File, names: &[&'static str]) -> Self {
        let kept = names.iter().copied().filter(|name| path.join(name).exists()).collect();
        Self { path: path.to_owned(), lock, folder: identity(path), kept }
    }

    /// Compares the folder with the one that was opened, and writes a byte to it. May wait for the disk.
    ///
    /// # Errors
    /// [`FolderLost`] says what has become of it.
    pub fn look(&self) -> Result<(), FolderLost> {
        let lock = self.path.join(LOCK);
        let (held, found) = (self.lock.metadata().map_err(|e| self.unknown(e))?, fs::metadata(&lock));
        match found {
            Ok(found) if (found.dev(), found.ino()) == (held.dev(), held.ino()) => {}
            Ok(_) => return Err(FolderLost::Replaced { path: self.path.clone() }),
            Err(error) => {
                // Also where its disk was unmounted: the empty folder below is another one.
                let is_other = identity(&self.path).is_some_and(|found| self.folder.is_some_and(|own| own != found));
                if is_other {
                    return Err(FolderLost::Replaced { path: self.path.clone() });
                }
                let whole = if self.path.exists() { lock } else { self.path.clone() };
                return Err(self.explain(whole, error));
            }
        }
        for name in &self.kept {
            let path = self.path.join(name);
            if let Err(error) = fs::symlink_metadata(&path) {
                return Err(self.explain(path, error));
            }
        }
        self.write().map_err(|error| self.explain(self.path.clone(), error))
    }

    /// Room left on the disk for this process, when the system says it. Unit: bytes.
    pub fn free_bytes(&self) -> Option<u64> {
        let facts = rustix::fs::statvfs(&self.path).ok()?;
        Some(facts.f_bavail.saturating_mul(facts.f_frsize))
    }

    fn write(&self) -> io::Result<()> {
        let path = self.path.join(PROBE);
        File::create(&path)?.write_all(b"x")?;
        fs::remove_file(&path)
    }

    fn unknown(&self, source: io::Error) -> FolderLost {
        FolderLost::Unknown { path: self.path.clone(), source }
    }

    fn explain(&self, path: PathBuf, source: io::Error) -> FolderLost {
        match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => FolderLost::Removed { path },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                FolderLost::NotWritable { path: self.path.clone(), source }
            }
            // Linux: EIO has no kind of its own.
            _ if source.raw_os_error() == Some(5) => FolderLost::NotWritable { path: self.path.clone(), source },
            _ => self.unknown(source),
        }
    }
}

/// Device and number of a folder.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    fs::metadata(folder).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataDir;
    use timed_primitives::Hash;

    fn open(folder: &Path) -> (DataDir, FolderWatch) {
        let data = DataDir::open(folder, Hash([1; 32])).unwrap();
        fs::write(folder.join("guard"), "x").unwrap();
        let watch = data.watch(&["guard", "journal-a"]).unwrap();
        (data, watch)
    }

    #[test]
    fn a_folder_that_is_as_it_was_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (_data, watch) = open(folder.path());
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let before = names();
        watch.look().unwrap();
        // What comes and goes is none of its business.
        fs::write(folder.path().join("bans.json"), "x").unwrap();
        watch.look().unwrap();
        fs::remove_file(folder.path().join("bans.json")).unwrap();
        watch.look().unwrap();
        assert_eq!(names(), before);
        assert!(watch.free_bytes().unwrap() > 0);
    }

    #[test]
    fn what_becomes_of_a_folder_is_said() {
        type Change = fn(&Path) -> io::Result<()>;
        let changes: [(Change, &str); 5] = [
            (|folder| fs::remove_dir_all(folder), "node has been removed"),
            (|folder| fs::remove_file(folder.join("guard")), "node/guard has been removed"),
            (
                |folder| {
                    fs::rename(folder, folder.with_extension("away"))?;
                    fs::create_dir(folder)?;
                    fs::write(folder.join("lock"), "1")
                },
                "another folder has taken the place",
            ),
            (
                |folder| {
                    fs::rename(folder, folder.with_extension("away"))?;
                    fs::create_dir(folder)
                },
                "another folder has taken the place",
            ),
            (|folder| fs::rename(folder, folder.with_extension("away")), "node has been removed"),
        ];
        for (change, expected) in changes {
            let parent = tempfile::tempdir().unwrap();
            let folder = parent.path().join("node");
            let (_data, watch) = open(&folder);
            change(&folder).unwrap();
            let lost = watch.look().unwrap_err();
            assert!(lost.to_string().contains(expected) && !lost.may_pass(), "{lost}");
        }
    }

    #[test]
    fn only_what_may_pass_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (_data, watch) = open(folder.path());
        let explained = |code| watch.explain(folder.path().to_owned(), io::Error::from_raw_os_error(code));
        // Linux: EIO 5, EACCES 13, EMFILE 24, ENOSPC 28, EROFS 30.
        for (code, may_pass) in [(5, false), (13, false), (24, true), (28, true), (30, false)] {
            assert_eq!(explained(code).may_pass(), may_pass, "{}", explained(code));
        }
    }
}
