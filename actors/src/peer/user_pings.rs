//! Pings that operators ask for: who waits for which answer.

use std::time::Duration;
use tokio::sync::oneshot;

/// Those who wait, by nonce. Bound: that of the heartbeat's slots for users, since those who gave up are forgotten with the next ping.
#[derive(Default)]
pub(super) struct UserPings(Vec<(u64, oneshot::Sender<Duration>)>);

impl UserPings {
    pub(super) fn add(&mut self, nonce: u64, answer: oneshot::Sender<Duration>) {
        self.0.retain(|(_, waiting)| !waiting.is_closed());
        self.0.push((nonce, answer));
    }

    /// The pong came.
    pub(super) fn answer(&mut self, nonce: u64, rtt: Duration) {
        if let Some(at) = self.0.iter().position(|(waiting, _)| *waiting == nonce) {
            // Whoever asked may have given up.
            let _ = self.0.swap_remove(at).1.send(rtt);
        }
    }
}
