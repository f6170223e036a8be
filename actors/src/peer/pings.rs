//! Pings: what the heartbeat wants done, and what operators ask of it.

use super::outbound_queue::HeartbeatFrame;
use super::{PeerActor, PeerStage, UserPing};
use actix::{Context, Handler};
use rand::Rng;
use timed_peer::{HeartbeatAction, HeartbeatLine, SessionEnd};
use timed_wire::ControlMessage;

impl PeerActor {
    pub(super) fn on_heartbeat(&mut self, action: HeartbeatAction, ctx: &mut Context<Self>) {
        match action {
            HeartbeatAction::Wait => {}
            HeartbeatAction::Ping { nonce } => {
                self.send(ControlMessage::Ping { nonce }, Some(HeartbeatFrame::Ping(nonce)), ctx);
            }
            HeartbeatAction::End { reason, silent } => {
                let (direction, address) = (self.direction, &self.address[..]);
                self.log(&HeartbeatLine::PingTimeout { direction, address, silent });
                self.finish(SessionEnd::ours(reason), ctx);
            }
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
        let Some(asked) = self.stats.heartbeat(|heartbeat| heartbeat.user_ping(now, draw)) else { return };
        match asked {
            Ok(nonce) => {
                live.user_pings.add(nonce, ping.answer);
                self.send(ControlMessage::Ping { nonce }, Some(HeartbeatFrame::Ping(nonce)), ctx);
            }
            Err(error) => tracing::debug!(peer = %self.key.short(), %error, "ping not sent"),
        }
    }
}
