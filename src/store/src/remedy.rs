//! What an operator can do about what the system said.

use std::io::{Error, ErrorKind};

/// What makes a file or folder usable again, in words that follow what the system said.
pub fn remedy(refusal: &Error) -> &'static str {
    match refusal.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space on its disk",
        ErrorKind::ReadOnlyFilesystem => "mount its disk for writing",
        ErrorKind::PermissionDenied => "give it to the user that runs timed",
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => "move away what stands there in place of it",
        ErrorKind::NotFound => "make the folder again, or remove the link that leads nowhere",
        ErrorKind::FileTooLarge => "raise the size of files that this process may write (ulimit -f)",
        ErrorKind::OutOfMemory | ErrorKind::WouldBlock => "give this process more memory or threads (ulimit -v, -u)",
        // Linux: ENFILE, EMFILE.
        _ if matches!(refusal.raw_os_error(), Some(23 | 24)) => "raise the limit of open files (ulimit -n)",
        // Such as EIO.
        _ => "look after its disk",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_fits_what_the_system_said() {
        // Linux: ENOENT 2, EIO 5, EAGAIN 11, EACCES 13, EISDIR 21, EMFILE 24, EFBIG 27, ENOSPC 28, EROFS 30.
        let cases = [
            (2, "link that leads nowhere"),
            (5, "look after its disk"),
            (11, "more memory or threads"),
            (13, "give it to the user"),
            (21, "move away"),
            (24, "ulimit -n"),
            (27, "ulimit -f"),
            (28, "free some space"),
            (30, "mount its disk for writing"),
        ];
        for (code, words) in cases {
            let error = Error::from_raw_os_error(code);
            assert!(remedy(&error).contains(words), "{error}: {}", remedy(&error));
        }
    }
}
