//! Small files that must survive a loss of power.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes beside, syncs, renames, syncs the folder: the file holds the old or the new content, whatever happens. Readable by its owner
/// only.
///
/// # Errors
/// What the system says.
pub fn write_durably(file: &Path, text: &str) -> io::Result<()> {
    let beside = file.with_extension("new");
    let mut handle = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    handle.write_all(text.as_bytes())?;
    handle.sync_all()?;
    fs::rename(&beside, file)?;
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Reads a file that is never longer than this: one that is has been changed by somebody, or is no file at all, and must not fill the memory.
///
/// # Errors
/// What the system says; `FileTooLarge` above the bound.
pub fn read_bounded(file: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let text = format!("it is longer than {bytes_max} bytes, which it never is");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// As [`read_bounded`], for text.
///
/// # Errors
/// As there; `InvalidData` for what is not UTF-8.
pub fn read_text_bounded(file: &Path, bytes_max: u64) -> io::Result<String> {
    String::from_utf8(read_bounded(file, bytes_max)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_newest_content_stays_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.key");
        write_durably(&file, "one").unwrap();
        write_durably(&file, "two").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_is_read_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        fs::write(&file, "12345").unwrap();
        assert_eq!(read_text_bounded(&file, 5).unwrap(), "12345");
        assert_eq!(read_bounded(&file, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        // It has no end.
        assert_eq!(read_bounded(Path::new("/dev/zero"), 1 << 20).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        fs::write(&file, [0xff]).unwrap();
        assert_eq!(read_text_bounded(&file, 5).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_write_that_fails_leaves_the_content_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        write_durably(&file, "one").unwrap();
        // Where the text would be written first, something is in the way.
        fs::create_dir(folder.path().join("a.new")).unwrap();
        assert!(write_durably(&file, "two").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
    }
}
