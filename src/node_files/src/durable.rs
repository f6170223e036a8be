//! Writing so that a kill or a loss of power at any moment leaves what was there, or what was to be there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// What the name of a file ends with that is not written to the end.
const UNFINISHED: &str = ".unfinished";

/// Asked before each step on the disk. Tests end there, as a kill or a full disk would.
pub(crate) type StepGate<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// No step is held up.
pub(crate) fn go_on() -> io::Result<()> {
    Ok(())
}

/// Makes a file that must not be there, readable by its owner only, and syncs it. Its name is durable when its folder is synced.
pub(crate) fn write_new(file: &Path, bytes: &[u8], gate: StepGate<'_>) -> io::Result<()> {
    gate()?;
    let mut handle = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    gate()?;
    handle.write_all(first)?;
    gate()?;
    handle.write_all(second)?;
    gate()?;
    handle.sync_all()
}

/// Puts these bytes in place of a file.
pub(crate) fn replace(file: &Path, bytes: &[u8], gate: StepGate<'_>) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(UNFINISHED);
    let beside = Path::new(&beside);
    // Left by a write that did not come to its end.
    remove_file(beside, gate)?;
    write_new(beside, bytes, gate)?;
    gate()?;
    fs::rename(beside, file)?;
    sync_parent(file, gate)
}

/// Removes a file that may not be there.
fn remove_file(file: &Path, gate: StepGate<'_>) -> io::Result<()> {
    gate()?;
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a folder that may not be there, with all that is in it.
pub(crate) fn remove_folder(folder: &Path, gate: StepGate<'_>) -> io::Result<()> {
    gate()?;
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a folder for its owner only, unless it is there.
pub(crate) fn make_folder(folder: &Path, gate: StepGate<'_>) -> io::Result<()> {
    gate()?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_parent(folder, gate),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path, gate: StepGate<'_>) -> io::Result<()> {
    gate()?;
    File::open(folder)?.sync_all()
}

pub(crate) fn sync_parent(file: &Path, gate: StepGate<'_>) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_folder(parent.unwrap_or(Path::new(".")), gate)
}
