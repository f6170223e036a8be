//! How many files and sockets the system lets this process open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use timed_actors::peer_manager::HANDSHAKES_MAX;
use timed_rpc::{RpcLimits, Trouble};

/// Files of the store, the logs of the chain, and what else is open at one time beside connections.
const FILES: u64 = 256;
/// Raises the limit to the most that the system allows without privileges; a service often starts with 1,024 of many more. A trouble when even
/// that is less than the node may need with these bounds.
pub(crate) fn raise(inbound_max: u32, outbound_max: u32) -> Option<Trouble> {
    let limit = getrlimit(Resource::Nofile);
    // Refused only where a sandbox forbids it; then it stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let needed = u64::from(inbound_max)
        + u64::from(outbound_max)
        + HANDSHAKES_MAX as u64
        + RpcLimits::default().connections_max as u64
        + FILES;
    // No limit at all is `None`.
    compare(getrlimit(Resource::Nofile).current, needed)
}

fn compare(allowed: Option<u64>, needed: u64) -> Option<Trouble> {
    allowed.filter(|allowed| *allowed < needed).map(|allowed| Trouble::FewFiles { allowed, needed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_are_a_trouble_with_both_numbers() {
        assert_eq!(compare(None, 600), None);
        assert_eq!(compare(Some(600), 600), None);
        assert_eq!(compare(Some(599), 600), Some(Trouble::FewFiles { allowed: 599, needed: 600 }));
    }
}
