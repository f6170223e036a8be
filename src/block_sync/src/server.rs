//! The other side: decided blocks for those who are behind, within bounds.

use crate::limits::ServerLimits;
use std::collections::BTreeMap;
use timed_primitives::{Height, PublicKey};

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum ServeDecision {
    /// Send the blocks that the [`BlockReply`] names, then `End`, then call [`BlockServer::on_finished`].
    Serve(BlockReply),
    /// Send `End` with nothing: we do not have the first block, or serve enough already.
    Decline {
        /// The request's number.
        request: u64,
    },
}

/// The answer to one request, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockReply {
    /// To whom.
    pub to: PublicKey,
    /// The request's number.
    pub request: u64,
    next: Height,
    last: Height,
    bytes_left: usize,
    sent: u16,
}

impl BlockReply {
    /// The next block to send; `None` when the request is answered or its bytes are used up.
    pub fn next(&self) -> Option<Height> {
        (self.next <= self.last && self.bytes_left > 0).then_some(self.next)
    }

    /// The block of [`BlockReply::next`] was sent.
    pub fn on_sent(&mut self, bytes: usize) {
        self.next = self.next.next();
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.sent = self.sent.saturating_add(1);
    }

    /// How many were sent, for `End`.
    pub fn sent(&self) -> u16 {
        self.sent
    }
}

/// Counts what is served to whom. Bound: requests per peer and in all; above them a request is declined.
#[derive(Debug)]
pub struct BlockServer {
    limits: ServerLimits,
    open: BTreeMap<PublicKey, usize>,
    total: usize,
}

impl BlockServer {
    /// Serves nobody yet.
    pub fn new(limits: ServerLimits) -> Self {
        Self { limits, open: BTreeMap::new(), total: 0 }
    }

    /// A peer asks for `count` blocks from `from` upward; we have those from `earliest` to `tip`.
    pub fn on_request(
        &mut self,
        peer: PublicKey,
        request: u64,
        from: Height,
        count: u16,
        earliest: Height,
        tip: Height,
    ) -> ServeDecision {
        let open = self.open.get(&peer).copied().unwrap_or(0);
        let is_busy = open >= self.limits.per_peer_max || self.total >= self.limits.total_max;
        let first = earliest.max(Height::FIRST);
        if count == 0 || from < first || from > tip || is_busy {
            return ServeDecision::Decline { request };
        }
        self.open.insert(peer, open + 1);
        self.total += 1;
        let count = u64::from(count.min(self.limits.blocks_max).max(1));
        let last = from.plus(count - 1).min(tip);
        ServeDecision::Serve(BlockReply {
            to: peer,
            request,
            next: from,
            last,
            bytes_left: self.limits.bytes_max.max(1),
            sent: 0,
        })
    }

    /// A reply is complete, or given up.
    pub fn on_finished(&mut self, peer: &PublicKey) {
        if let Some(open) = self.open.get_mut(peer) {
            *open -= 1;
            self.total -= 1;
            if *open == 0 {
                self.open.remove(peer);
            }
        }
    }

    /// A peer is gone, with its replies: do not call [`BlockServer::on_finished`] for them.
    pub fn on_peer_down(&mut self, peer: &PublicKey) {
        self.total -= self.open.remove(peer).unwrap_or(0);
    }

    /// Requests served now.
    pub fn open(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::SecretKey;

    #[test]
    fn serves_within_its_bounds() {
        let peer = SecretKey::development("node", 1).public();
        let limits = ServerLimits { blocks_max: 3, bytes_max: 100, per_peer_max: 2, total_max: 3 };
        let mut server = BlockServer::new(limits);
        let mut ask =
            |request, from, count| server.on_request(peer, request, Height(from), count, Height(2), Height(10));
        let ServeDecision::Serve(mut reply) = ask(1, 5, 64) else { panic!("declined") };
        assert_eq!(reply.next(), Some(Height(5)));
        reply.on_sent(10);
        reply.on_sent(10);
        reply.on_sent(10);
        assert_eq!((reply.next(), reply.sent()), (None, 3));
        assert_eq!(ask(2, 1, 1), ServeDecision::Decline { request: 2 });
        assert_eq!(ask(2, 11, 1), ServeDecision::Decline { request: 2 });
        let ServeDecision::Serve(mut reply) = ask(3, 10, 64) else { panic!("declined") };
        reply.on_sent(200);
        assert_eq!((reply.next(), reply.sent()), (None, 1));
        assert_eq!(ask(4, 5, 1), ServeDecision::Decline { request: 4 });
        server.on_finished(&peer);
        assert_eq!(server.open(), 1);
        server.on_peer_down(&peer);
        server.on_finished(&peer);
        assert_eq!(server.open(), 0);
    }

    #[test]
    fn the_bytes_of_a_reply_are_bounded() {
        let peer = SecretKey::development("node", 1).public();
        let mut server = BlockServer::new(ServerLimits { bytes_max: 100, ..ServerLimits::default() });
        let ServeDecision::Serve(mut reply) = server.on_request(peer, 1, Height(1), 64, Height(1), Height(64)) else {
            panic!("declined")
        };
        while reply.next().is_some() {
            reply.on_sent(40);
        }
        assert_eq!(reply.sent(), 3);
    }
}
