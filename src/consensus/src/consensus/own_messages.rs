//! Messages that bear our own signature, and what contradicts itself: who has a key must see what is signed with it.

use super::Consensus;
use crate::guard::Memory;
use crate::messages::{Gossip, Output};
use crate::signing::{Foreign, SigningOff, TwinFound};
use crate::statement::SignedRecord;
use timed_primitives::{ChainId, DoubleSign, PublicKey};

impl Consensus {
    /// Two nodes with one key hear each other's votes from nobody, since each seems to have voted: those with the key get both.
    pub(super) fn show_to_signer(&mut self, evidence: &DoubleSign) {
        let (signer, messages) = match evidence {
            DoubleSign::Votes(one, other) => (one.validator, [one, other].map(|vote| Gossip::Vote((**vote).clone()))),
            DoubleSign::Proposals(one, other) => {
                (one.proposer, [one, other].map(|proposal| Gossip::Proposal((**proposal).clone())))
            }
        };
        for (to, _) in self.peers.with_validator(&signer) {
            self.outputs.extend(messages.clone().map(|message| Output::Send { to, message }));
        }
    }

    /// A message with our own signature, of whatever height: see the table in [`crate::signing`]. `from` is the peer that brought it.
    pub(super) fn check_memory(
        &mut self,
        from: Option<PublicKey>,
        signer: &PublicKey,
        record: SignedRecord,
        is_signed: impl FnOnce(ChainId) -> bool,
    ) {
        let is_known = Some(*signer) != self.me || self.durable.remembers(&record) != Memory::NotOurs;
        // Nothing more is to be learned after a stop.
        if is_known || self.signing.twin().is_some() {
            return;
        }
        let last = self.durable.last_signed();
        let is_news = last.is_none_or(|last| record.is_after(&last) || (!last.is_after(&record) && record != last));
        // What is older than the guard and not above what others reported is of before our start.
        if !is_news && !self.signing.is_above_reported(record.height) || !is_signed(self.config.chain_id) {
            return;
        }
        match self.signing.on_foreign(record.height) {
            Foreign::IsTwins => self.stop_signing(from, record),
            // While memory is in doubt the guard stays as old as it is: so the doubt survives a restart.
            Foreign::MayBeForgotten if is_news && !self.signing.is_memory_in_doubt() => {
                self.durable.note(record);
                self.signing.switch_off(SigningOff::Forgotten { height: record.height, round: record.round });
            }
            Foreign::MayBeForgotten => {}
        }
        self.apply_signing();
    }

    /// Another node signs with our key.
    fn stop_signing(&mut self, from: Option<PublicKey>, record: SignedRecord) {
        let found = TwinFound { statement: Some(record), brought_by: from, other: None };
        self.durable.stop(found);
        self.signing.stop(found);
        self.apply_others();
    }
}
