//! How many files and sockets the system lets this process open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With fewer a process of ours does not get as far as its first line: its log, signals, folder and ports need about forty.
pub const START_MIN: u64 = 64;

/// The system allows fewer open files than [`START_MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the system allows this process {allowed} open files, too few to start; at least {START_MIN} are needed and {needed} for all \
     connections: raise the limit (ulimit -n, LimitNOFILE in systemd, nofile in docker)"
)]
pub struct TooFewFiles {
    /// What the system allows.
    pub allowed: u64,
    /// What may be needed.
    pub needed: u64,
}

/// Raises the limit to the most that the system allows without privileges; a service often starts with 1,024 of many more. Gives the limit
/// when even that is less than what is needed. To be called before anything is opened.
///
/// # Errors
/// When it is too low for a start.
pub fn raise(needed: u64) -> Result<Option<u64>, TooFewFiles> {
    let limit = getrlimit(Resource::Nofile);
    // Refused only where a sandbox forbids it; then it stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    // No limit at all is `None`.
    too_few(getrlimit(Resource::Nofile).current, needed)
}

fn too_few(allowed: Option<u64>, needed: u64) -> Result<Option<u64>, TooFewFiles> {
    match allowed.filter(|allowed| *allowed < needed) {
        Some(allowed) if allowed < START_MIN => Err(TooFewFiles { allowed, needed }),
        few => Ok(few),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_are_said() {
        assert_eq!(
            [None, Some(600), Some(599), Some(64)].map(|allowed| too_few(allowed, 600)),
            [Ok(None), Ok(None), Ok(Some(599)), Ok(Some(64))]
        );
        assert_eq!(too_few(Some(63), 600), Err(TooFewFiles { allowed: 63, needed: 600 }));
    }
}
