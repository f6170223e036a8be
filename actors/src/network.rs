//! The network handle: from an actor to the peers.

use crate::messages::{Audience, Broadcast, Penalize, SendTo, TipChanged, Useful, ValidatorsChanged};
use actix::Recipient;
use timed_primitives::PublicKey;
use timed_wire::Message;

/// What an actor holds of the peer manager: what it may ask for or report. Cheap to clone.
#[derive(Clone)]
pub struct NetworkHandle {
    /// To one peer.
    pub send: Recipient<SendTo>,
    /// To all peers, or all validators.
    pub broadcast: Recipient<Broadcast>,
    /// A provable fault of an authenticated peer.
    pub penalize: Recipient<Penalize>,
    /// A peer brought something new.
    pub useful: Recipient<Useful>,
    /// The chain grew.
    pub tip: Recipient<TipChanged>,
    /// Who votes has changed.
    pub validators: Recipient<ValidatorsChanged>,
}

impl NetworkHandle {
    /// Sends one message to one peer; nothing happens when it is not connected.
    pub fn send(&self, to: PublicKey, message: impl Into<Message>) {
        self.send.do_send(SendTo { to, message: message.into(), height: None });
    }

    /// Sends one message to many peers; it is encoded once.
    pub fn broadcast(&self, audience: Audience, message: impl Into<Message>) {
        self.broadcast.do_send(Broadcast { message: message.into(), audience, except: None, height: None });
    }
}
