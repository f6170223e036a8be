//! What subscribers may cost.

use std::time::Duration;

/// Bounds of subscribers. At each of them the text says what happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLimits {
    /// Most connections to `/ws`; a further one is answered with status 503. At most half of the connections that the server takes.
    pub subscribers_max: usize,
    /// Most subscriptions of one connection; a further one is refused.
    pub subscriptions_max: usize,
    /// Most addresses and outputs of one subscription; more are refused.
    pub addresses_max: usize,
    /// Most addresses and outputs of all subscriptions of one connection; more are refused.
    pub subscriber_addresses_max: usize,
    /// Most events that wait for one client; at the bound it is closed.
    pub queue_events_max: usize,
    /// Most bytes of them; at the bound it is closed. Above the largest event, a block in full. Unit: bytes.
    pub queue_bytes_max: usize,
    /// Most bytes that wait for all clients; at the bound the one for which most waits is closed. Unit: bytes.
    pub all_bytes_max: usize,
    /// Largest message of a client; a larger one closes it. Unit: bytes.
    pub frame_bytes_max: usize,
    /// Calls that a client may make at once, and again one for each [`Self::call_every`]; more are refused.
    pub calls_burst: u32,
    /// How often one more call may be made.
    pub call_every: Duration,
    /// A client that made so many calls too many is closed.
    pub refused_max: u32,
    /// A client that sent nothing for so long is sent a ping.
    pub ping_after: Duration,
    /// A client that sent nothing for so long is closed.
    pub silent_max: Duration,
    /// Clients whose past is read at once; others wait for their turn.
    pub replays_max: usize,
    /// Most blocks that are read at once for one of them.
    pub page_blocks: usize,
    /// No further block is read at once from so many bytes on. Unit: bytes.
    pub page_bytes: usize,
    /// How long a client that is closed has to take the reason.
    pub close_time: Duration,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            subscribers_max: 128,
            subscriptions_max: 32,
            addresses_max: 1_000,
            subscriber_addresses_max: 2_000,
            queue_events_max: 8_192,
            queue_bytes_max: 16 << 20,
            all_bytes_max: 128 << 20,
            frame_bytes_max: 128 << 10,
            calls_burst: 40,
            call_every: Duration::from_millis(100),
            refused_max: 100,
            ping_after: Duration::from_secs(15),
            silent_max: Duration::from_secs(45),
            replays_max: 2,
            page_blocks: 256,
            page_bytes: 1 << 20,
            close_time: Duration::from_secs(1),
        }
    }
}

impl EventLimits {
    /// For a server that takes so many connections: others find places too.
    pub(crate) fn within(self, connections_max: usize) -> Self {
        Self { subscribers_max: self.subscribers_max.min(connections_max / 2), ..self }
    }
}
