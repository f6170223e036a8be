//! Files of secret keys: 64 hex digits, as the daemon has them. No text of ours ever holds one.

use crate::connect::Failure;
use rand::rand_core::UnwrapErr;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;
use timed_primitives::SecretKey;

/// Longest file that may hold a key. Unit: bytes.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// The key of a file.
pub(super) fn read(file: &Path) -> Result<SecretKey, Failure> {
    let failed = |why: String| Failure::Usage(format!("the key file {}: {why}", file.display()));
    let open = File::open(file).map_err(|error| failed(error.to_string()))?;
    let mut text = Vec::new();
    open.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| failed(error.to_string()))?;
    let digits = if text.len() as u64 > KEY_FILE_BYTES_MAX { &[] } else { text.trim_ascii() };
    let mut seed = [0; 32];
    hex::decode_to_slice(digits, &mut seed).map_err(|_| failed("it holds no key: expected 64 hex digits".into()))?;
    Ok(SecretKey::from_seed(seed))
}

/// The key of a file, which is made when it is missing, and never written over. Whether it was made.
pub(super) fn read_or_make(file: &Path) -> Result<(SecretKey, bool), Failure> {
    let mut open = OpenOptions::new();
    open.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    let mut made = match open.open(file) {
        Ok(made) => made,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok((read(file)?, false)),
        Err(error) => return Err(Failure::Usage(format!("cannot make the key file {}: {error}", file.display()))),
    };
    let key = SecretKey::generate(&mut UnwrapErr(rand::rngs::SysRng));
    let text = format!("{}\n", hex::encode(key.seed()));
    let written = made.write_all(text.as_bytes()).and_then(|()| made.sync_all());
    written.map_err(|error| Failure::Usage(format!("cannot write the key file {}: {error}", file.display())))?;
    Ok((key, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("owner.key");
        let (key, is_made) = read_or_make(&file).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let (again, is_made_again) = read_or_make(&file).unwrap();
        assert_eq!((key.public(), is_made, is_made_again), (again.public(), true, false));
        assert_eq!((std::fs::read(&file).unwrap(), read(&file).unwrap().public()), (bytes, key.public()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        for text in ["", "12", &"g".repeat(64)] {
            std::fs::write(&file, text).unwrap();
            assert!(read_or_make(&file).map(|_| ()).unwrap_err().to_string().contains("expected 64 hex digits"));
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "no new key takes its place");
        }
    }
}
