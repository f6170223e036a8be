//! How many files and sockets the system lets this process open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to the most that the system allows without privileges; a service often starts with 1,024 of many more. Gives the limit
/// when even that is less than what is needed.
pub fn raise(needed: u64) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    // Refused only where a sandbox forbids it; then it stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    // No limit at all is `None`.
    too_few(getrlimit(Resource::Nofile).current, needed)
}

fn too_few(allowed: Option<u64>, needed: u64) -> Option<u64> {
    allowed.filter(|allowed| *allowed < needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_are_said() {
        assert_eq!([None, Some(600), Some(599)].map(|allowed| too_few(allowed, 600)), [None, None, Some(599)]);
    }
}
