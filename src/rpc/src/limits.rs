//! What the server grants its clients.

use std::time::Duration;

/// What requests may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcLimits {
    /// Most calls in progress, beside waits and submissions; more are answered "busy". Calls of a batch count one by one.
    pub calls_max: usize,
    /// Most calls of `waitfornewblock` in progress; more are answered "busy".
    pub waits_max: usize,
    /// Most calls of `sendrawtransaction` in progress; more are answered "busy". Apart from the others, so that senders of payments leave the
    /// operator's calls their places; and more, since one holds its transaction (64 KiB) and waits for a signature to be checked.
    pub submissions_max: usize,
    /// Most answers with blocks in full, or of the mempool, that are made at once, and as many small ones: ids of a block, a transaction decoded or
    /// signed. Calls above it wait for their turn. Half of the processors by default, 1 to 4, so that a flood of readers leaves one to what votes.
    pub block_calls_max: usize,
    /// Most answers that are made at once of what goes through many blocks or outputs. Calls above it wait for their turn. A
    /// fourth of the processors by default, 1 or 2.
    pub scans_max: usize,
    /// Longest time for one call, with what it waits for its turn; then the client gets an error, and the call is given up.
    pub call_time: Duration,
    /// Largest body. Unit: bytes. A block of 1 MiB in hex fits.
    pub body_bytes_max: usize,
    /// Most calls in one batch.
    pub batch_max: usize,
    /// From this size on, the rest of a batch is refused. Unit: bytes.
    pub answer_bytes_max: usize,
    /// Most bytes of answers that clients have not taken yet, not counting answers of up to 64 KiB; what does not fit is answered "busy",
    /// except what a call has done. An answer that is larger than that can leave alone.
    pub unsent_bytes_max: usize,
    /// Most connections; at the bound, one without credentials gives way to the newest.
    pub connections_max: usize,
    /// Places of these that clients with credentials leave free, for health probes. At least 1, below `connections_max`.
    pub connections_reserved: usize,
    /// Most connections without credentials of one address other than this machine's. Behind a proxy, all clients have its address.
    pub per_address_max: usize,
    /// Longest time from accept, or from the first byte of a further request, to the end of the request's head.
    pub head_time: Duration,
    /// Longest time for the body of a request to arrive.
    pub body_time: Duration,
    /// Longest time between two requests. Above the 15 s for which our own client keeps a connection.
    pub idle_time: Duration,
    /// How long a client may leave bytes of its answer unread, plus a second for each 64 KiB that it takes meanwhile.
    pub write_time: Duration,
    /// Longest time for answers in progress once the server is asked to end.
    pub shutdown_time: Duration,
}

impl Default for RpcLimits {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            calls_max: 64,
            waits_max: 16,
            submissions_max: 1_024,
            block_calls_max: (processors / 2).clamp(1, 4),
            scans_max: (processors / 4).clamp(1, 2),
            call_time: Duration::from_secs(15),
            body_bytes_max: 2 << 20,
            batch_max: 1_000,
            answer_bytes_max: 32 << 20,
            unsent_bytes_max: 256 << 20,
            connections_max: 256,
            connections_reserved: 32,
            per_address_max: 64,
            head_time: Duration::from_secs(5),
            body_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(30),
            write_time: Duration::from_secs(10),
            shutdown_time: Duration::from_secs(1),
        }
    }
}

impl RpcLimits {
    /// For a process that may open so few files and sockets: clients have a fourth of them, eight at least, and leave the rest to the node itself
    /// and its peers. Else those who only hold connections would take what a health check needs to be accepted.
    #[must_use]
    pub fn with_few_files(self, allowed: u64) -> Self {
        let share = usize::try_from(allowed / 4).unwrap_or(usize::MAX).max(8);
        let connections_max = self.connections_max.min(share);
        Self {
            connections_max,
            connections_reserved: self.connections_reserved.min(connections_max / 4).max(1),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_few_files_clients_have_a_fourth() {
        let of = |allowed| {
            let limits = RpcLimits::default().with_few_files(allowed);
            (limits.connections_max, limits.connections_reserved)
        };
        assert_eq!([0, 64, 400, 1_024, u64::MAX].map(of), [(8, 2), (16, 4), (100, 25), (256, 32), (256, 32)]);
    }
}
