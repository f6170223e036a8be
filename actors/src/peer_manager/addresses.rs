//! Who knows whom: signed address records, asked for once per session, announced and taken within their class only.

use super::PeerManager;
use super::sessions::PeerSession;
use crate::messages::{KnownAddresses, ListAddresses};
use crate::peer::AddressesLearned;
use actix::{Context, Handler};
use timed_peer::addresses::{Added, RECORDS_PER_ANSWER_MAX, RecordSource};
use timed_peer::{AddressClass, AddressRecord};
use timed_primitives::{PublicKey, UnixTime};
use timed_wire::message::Opaque;
use timed_wire::{ControlMessage, Encoded};

impl PeerManager {
    /// Our own record, when we accept connections and know an address of this class for us: the external one, or the one we listen at.
    fn own_record(&self, class: AddressClass) -> Option<AddressRecord> {
        let listening = self.listening.filter(|address| !address.ip().is_unspecified()).map(|a| a.to_string());
        let address = self.config.local.external.clone().or(listening)?;
        if AddressClass::of_address(&address) != Ok(class) {
            return None;
        }
        AddressRecord::sign(&self.node_key, self.config.local.chain_id, &address, self.network_time()).ok()
    }

    fn on_addresses_wanted(&mut self, number: u64) {
        let Some(session) = self.sessions.get(&number).filter(|s| s.up().is_some()) else { return };
        let Some(class) = AddressClass::of_ip(session.observed.ip()) else { return };
        let mut records = self.addresses.answer(self.network_time(), class, &mut self.rng);
        // Nobody needs to learn of himself.
        records.retain(|record| record.key != session.key);
        if let Some(own) = self.own_record(class) {
            records.truncate(RECORDS_PER_ANSWER_MAX - 1);
            records.push(own);
        }
        let records = records.iter().map(AddressRecord::encode).collect();
        let Ok(encoded) = Encoded::new(&ControlMessage::Addr { records }.into()) else { return };
        // An overflow shows at the next message; an answer is not worth ending a session for.
        let _ = session.outbound.push(self.clock.now(), encoded);
    }

    fn on_addresses_received(&mut self, number: u64, records: &[Opaque], ctx: &mut Context<Self>) {
        let Some(session) = self.sessions.get(&number).filter(|s| s.up().is_some()) else { return };
        let Some(class) = AddressClass::of_ip(session.observed.ip()) else { return };
        let (unix, source) = (self.network_time(), RecordSource { key: session.key, ip: session.observed.ip() });
        let mut fresh = Vec::new();
        for bytes in records {
            // A bad record is its author's fault, and the author is not known to be this peer.
            let Ok(record) = AddressRecord::decode(self.config.local.chain_id, bytes) else { continue };
            let key = record.key;
            if key == self.config.local.key || !self.config.allows(&key) {
                continue;
            }
            match self.addresses.add(unix, record, source, class) {
                Ok(Added::Fresh | Added::Moved) => fresh.push(bytes.clone()),
                Ok(Added::Newer | Added::Known) => {}
                Err(error) => tracing::debug!(peer = %source.key.short(), %error, "address record ignored"),
            }
            self.note_reached(unix, &key);
        }
        self.relay(fresh, class, source.key);
        self.dial_due(ctx);
    }

    /// The node of a record may be at the other end of a connection that we dialled.
    fn note_reached(&mut self, unix: UnixTime, key: &PublicKey) {
        let Some(session) = self.up.get(key).and_then(|number| self.sessions.get(number)) else { return };
        if let (Some(dial), Some(up)) = (&session.dialled, session.up()) {
            let (found_at, is_validator) = (session.observed.to_string(), up.info.validator.is_some());
            self.addresses.on_reached(unix, key, &[&dial.address, &found_at], is_validator);
        }
    }

    /// Passes on what was news to us, so that a newcomer is known to all who asked before it came. A record is news once, and again when its node moved.
    fn relay(&self, records: Vec<Opaque>, class: AddressClass, source: PublicKey) {
        if records.is_empty() {
            return;
        }
        let Ok(encoded) = Encoded::new(&ControlMessage::Addr { records }.into()) else { return };
        let now = self.clock.now();
        let is_meant = |s: &&PeerSession| s.key != source && AddressClass::of_ip(s.observed.ip()) == Some(class);
        for session in self.up.values().filter_map(|number| self.sessions.get(number)).filter(is_meant) {
            let _ = session.outbound.push(now, encoded.clone());
        }
    }
}

impl Handler<ListAddresses> for PeerManager {
    type Result = Option<KnownAddresses>;

    fn handle(&mut self, list: ListAddresses, _ctx: &mut Context<Self>) -> Self::Result {
        let changes = self.addresses.changes();
        (changes != list.since).then(|| KnownAddresses { changes, kept: self.addresses.kept().collect() })
    }
}

impl Handler<AddressesLearned> for PeerManager {
    type Result = ();

    fn handle(&mut self, news: AddressesLearned, ctx: &mut Context<Self>) {
        if !self.config.discovers {
            return;
        }
        match news {
            AddressesLearned::Wanted { session } => self.on_addresses_wanted(session),
            AddressesLearned::Received { session, records } => self.on_addresses_received(session, &records, ctx),
        }
    }
}
