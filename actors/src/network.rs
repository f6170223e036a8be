//! The network handle: from an actor to the peers.

use crate::messages::{Delivery, Penalize, SendBatch, SendTo, TipChanged, Useful, ValidatorsChanged};
use actix::Recipient;
use timed_primitives::PublicKey;
use timed_wire::Message;

/// What an actor holds of the peer manager: what it may ask for or report. Cheap to clone.
#[derive(Clone)]
pub struct NetworkHandle {
    /// To one peer.
    pub send: Recipient<SendTo>,
    /// Several messages that leave together.
    pub batch: Recipient<SendBatch>,
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

    /// Sends these together, in order; nothing happens when there are none.
    pub fn send_all(&self, deliveries: Vec<Delivery>) {
        if !deliveries.is_empty() {
            self.batch.do_send(SendBatch(deliveries));
        }
    }
}
