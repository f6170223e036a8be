//! Which replies of a peer were asked for.

use std::collections::BTreeMap;
use timed_wire::BlockSyncMessage;

/// Requests for blocks that may be unanswered; the oldest is forgotten at the bound.
const REQUESTS_MAX: usize = 64;

/// Blocks that we asked a peer for, by request. Bound: 64 requests.
#[derive(Debug, Default)]
pub struct OutstandingRequests(BTreeMap<u64, u16>);

impl OutstandingRequests {
    /// We ask for `count` blocks.
    pub fn on_request(&mut self, request: u64, count: u16) {
        self.0.insert(request, count);
        if self.0.len() > REQUESTS_MAX {
            self.0.pop_first();
        }
    }

    /// A reply came: true when it was asked for.
    pub fn on_reply(&mut self, message: &BlockSyncMessage) -> bool {
        match message {
            BlockSyncMessage::Decided { request, .. } => match self.0.get_mut(request) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    true
                }
                _ => false,
            },
            BlockSyncMessage::End { request, .. } => self.0.remove(request).is_some(),
            BlockSyncMessage::Status { .. } | BlockSyncMessage::GetBlocks { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_wire::sample;

    #[test]
    fn blocks_nobody_asked_for_are_not_outstanding() {
        let mut outstanding = OutstandingRequests::default();
        let decided = |request| BlockSyncMessage::Decided {
            request,
            height: 1,
            certificate: sample::opaque(0),
            block: sample::opaque(0),
        };
        assert!(!outstanding.on_reply(&decided(1)));
        outstanding.on_request(1, 2);
        assert!(outstanding.on_reply(&decided(1)) && outstanding.on_reply(&decided(1)));
        assert!(!outstanding.on_reply(&decided(1)));
        assert!(outstanding.on_reply(&BlockSyncMessage::End { request: 1, sent: 2 }));
        assert!(!outstanding.on_reply(&BlockSyncMessage::End { request: 1, sent: 2 }));
        (0..1000).for_each(|request| outstanding.on_request(request, 1));
        assert_eq!(outstanding.0.len(), REQUESTS_MAX);
    }
}
