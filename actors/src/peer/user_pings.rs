//! Pings that operators ask for: who waits for which answer.

use super::outbound_queue::HeartbeatFrame;
use super::{PeerActor, PeerStage, UserPing};
use actix::Handler;
use rand::Rng;
use std::time::Duration;
use timed_wire::ControlMessage;
use tokio::sync::oneshot;

/// Those who wait, by nonce. Bound: that of the heartbeat's slots for users, since those who gave up are forgotten with the next ping.
#[derive(Default)]
pub(super) struct UserPings(Vec<(u64, oneshot::Sender<Duration>)>);

impl UserPings {
    fn add(&mut self, nonce: u64, answer: oneshot::Sender<Duration>) {
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

impl Handler<UserPing> for PeerActor {
    type Result = ();

    fn handle(&mut self, ping: UserPing, ctx: &mut Self::Context) {
        if self.is_over() {
            return;
        }
        let (now, draw) = (self.clock.now(), self.rng.next_u64());
        let PeerStage::Up(live) = &mut self.stage else { return };
        match live.heartbeat.user_ping(now, draw) {
            Ok(nonce) => {
                live.user_pings.add(nonce, ping.answer);
                self.send(ControlMessage::Ping { nonce }, Some(HeartbeatFrame::Ping(nonce)), ctx);
            }
            Err(error) => tracing::debug!(peer = %self.key.short(), %error, "ping not sent"),
        }
    }
}
