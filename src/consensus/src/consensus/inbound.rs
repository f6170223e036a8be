//! Messages from peers: what is let through to the engine.
//!
//! Everything is checked here before it is kept or given on: place, membership, already held, signature. So nothing unverified is ever
//! buffered. Votes and proposals of the next two heights are kept, see [`crate::future`]. What is dropped is sent again by vote-set
//! gossip. Rounds more than [`ROUNDS_AHEAD`] above ours enter by certificate only.

use super::{Consensus, Phase};
use crate::certificate::{polka_votes, round_votes, verify_polka, verify_round};
use crate::chain_view::HeightClass;
use crate::engine;
use crate::messages::{Gossip, GossipOffence, Output};
use crate::statement::SignedRecord;
use crate::votes::Seen;
use timed_primitives::{
    ChainId, CommitCertificate, DoubleSign, Height, PolkaCertificate, Proposal, PublicKey, Round, RoundCertificate,
    Vote,
};

/// Rounds above ours of which single votes are taken; the engine's own bound.
const ROUNDS_AHEAD: u32 = 10;
impl Consensus {
    pub(super) fn on_gossip(&mut self, from: PublicKey, message: Gossip) {
        if self.phase == Phase::Opened {
            return;
        }
        match message {
            Gossip::Vote(vote) => self.on_vote(from, vote),
            Gossip::Proposal(proposal) => self.on_proposal(from, proposal),
            Gossip::Polka(polka) => self.on_polka(from, polka),
            Gossip::RoundCertificate(certificate) => self.on_round_certificate(from, certificate),
            Gossip::KnownVotes(known) => self.on_known_votes(from, &known),
            Gossip::Block(block) => self.on_block(from, block),
            Gossip::GetBlock { height, id } => self.on_get_block(from, height, id),
            Gossip::KeyReport(report) => self.on_key_report(from, report),
        }
    }

    fn class(&self, height: Height) -> HeightClass {
        self.chain.class(height, self.phase == Phase::Waiting)
    }

    pub(super) fn refuse(&mut self, from: PublicKey, offence: GossipOffence) {
        self.outputs.push(Output::Invalid { from, offence });
    }

    fn is_too_far_ahead(&self, round: Round) -> bool {
        round.0 > self.engine.round().unwrap_or_default().0.saturating_add(ROUNDS_AHEAD)
    }

    fn on_vote(&mut self, from: PublicKey, vote: Vote) {
        self.check_memory(Some(from), &vote.validator, SignedRecord::of_vote(&vote), |chain| vote.is_signed(chain));
        match self.class(vote.height) {
            HeightClass::Past => self.on_very_late_vote(from, vote),
            HeightClass::Previous => self.on_late_vote(from, vote),
            HeightClass::Future => self.on_future_vote(from, vote),
            HeightClass::Far => self.on_far(from, vote.height, &vote.validator, |chain| vote.is_signed(chain)),
            HeightClass::Current => {
                if self.chain.set().get(&vote.validator).is_none() || self.is_too_far_ahead(vote.round) {
                    return;
                }
                let seen = self.height.votes().seen_vote(&vote);
                if seen == Seen::Same || (seen != Seen::No && !self.height.may_accuse()) {
                    return;
                }
                if !vote.is_signed(self.config.chain_id) {
                    return self.refuse(from, GossipOffence::BadSignature);
                }
                self.note_key_signs(&from, &vote.validator);
                match seen {
                    Seen::Conflict(held) => self.accuse(DoubleSign::of_votes(held, vote)),
                    Seen::No | Seen::Same => self.accept_vote(vote),
                }
            }
        }
    }

    /// A verified vote of the current height, not held yet.
    pub(super) fn accept_vote(&mut self, vote: Vote) {
        if self.chain.set().get(&vote.validator).is_none() {
            return;
        }
        match self.height.votes().seen_vote(&vote) {
            Seen::No => {}
            Seen::Same => return,
            Seen::Conflict(held) => return self.contradicts(held, vote),
        }
        self.check_memory(None, &vote.validator, SignedRecord::of_vote(&vote), |_| true);
        self.engine.note_verified_vote(&vote);
        self.height.insert_vote(&vote, self.clock.now());
        self.height.on_active(self.clock.now());
        self.push(engine::vote(&vote));
        self.relay(&vote.validator, &Gossip::Vote(vote.clone()));
    }

    /// A precommit for the decided block enriches the certificate that the next block includes.
    fn on_late_vote(&mut self, from: PublicKey, vote: Vote) {
        let held = self.chain.contradicted(&vote).filter(|_| self.height.may_accuse());
        if held.is_none() && !self.chain.is_missing_precommit(&vote) {
            return;
        }
        if !vote.is_signed(self.config.chain_id) {
            return self.refuse(from, GossipOffence::BadSignature);
        }
        match held {
            Some(held) => self.contradicts(held, vote),
            None => self.chain.add_precommit(&vote),
        }
    }

    /// A precommit for a block whose certificate is on the chain without it: ours to add when we propose.
    fn on_very_late_vote(&mut self, from: PublicKey, vote: Vote) {
        let held = self.late.contradicted(&vote).filter(|_| self.height.may_accuse());
        if held.is_none() && (self.me.is_none() || !self.late.is_missing(&vote)) {
            return;
        }
        if !vote.is_signed(self.config.chain_id) {
            return self.refuse(from, GossipOffence::BadSignature);
        }
        match held {
            Some(held) => self.contradicts(held, vote),
            None => self.late.insert(&vote),
        }
    }

    /// Two votes for one place, both verified.
    fn contradicts(&mut self, held: Vote, vote: Vote) {
        if self.height.may_accuse() {
            self.accuse(DoubleSign::of_votes(held, vote));
        }
    }

    /// Precommits in a certificate that contradict what we hold of who signed them. The certificate is verified.
    pub(super) fn compare_certificate(&mut self, certificate: &CommitCertificate) {
        let held = |vote: &Vote| match vote.height {
            height if height == self.chain.height() => match self.height.votes().seen_vote(vote) {
                Seen::Conflict(held) => Some(held),
                Seen::No | Seen::Same => None,
            },
            height if height == self.chain.tip().height => self.chain.contradicted(vote),
            _ => None,
        };
        let found: Vec<_> = certificate.votes().filter_map(|vote| Some((held(&vote)?, vote))).collect();
        found.into_iter().for_each(|(held, vote)| self.contradicts(held, vote));
    }

    fn on_future_vote(&mut self, from: PublicKey, vote: Vote) {
        if !self.chain.is_or_will_be_validator(&vote.validator) || !self.future.has_room_for_vote(&vote) {
            return;
        }
        if !vote.is_signed(self.config.chain_id) {
            return self.refuse(from, GossipOffence::BadSignature);
        }
        self.hint(vote.height);
        self.future.insert_vote(vote);
    }

    /// A message from far above says only how high others are.
    fn on_far(&mut self, from: PublicKey, height: Height, signer: &PublicKey, is_signed: impl FnOnce(ChainId) -> bool) {
        if self.chain.set().get(signer).is_none() || height <= self.elsewhere.highest().next() {
            return;
        }
        match is_signed(self.config.chain_id) {
            true => self.hint(height),
            false => self.refuse(from, GossipOffence::BadSignature),
        }
    }

    /// Somebody votes at `height`, so the one before is decided.
    fn hint(&mut self, height: Height) {
        self.on_height_elsewhere(height.previous().unwrap_or_default());
    }

    fn on_proposal(&mut self, from: PublicKey, proposal: Proposal) {
        if proposal.valid_round.is_some_and(|valid| valid >= proposal.round) {
            return;
        }
        let record = SignedRecord::of_proposal(&proposal);
        self.check_memory(Some(from), &proposal.proposer, record, |chain| proposal.is_signed(chain));
        match self.class(proposal.height) {
            HeightClass::Past | HeightClass::Previous => {}
            HeightClass::Far => {
                self.on_far(from, proposal.height, &proposal.proposer, |chain| proposal.is_signed(chain));
            }
            HeightClass::Future => self.on_future_proposal(from, proposal),
            HeightClass::Current => self.on_current_proposal(from, proposal),
        }
    }

    fn on_future_proposal(&mut self, from: PublicKey, proposal: Proposal) {
        let is_validator = self.chain.is_or_will_be_validator(&proposal.proposer);
        if !is_validator || !self.future.has_room_for_proposal(&proposal) {
            return;
        }
        if !proposal.is_signed(self.config.chain_id) {
            return self.refuse(from, GossipOffence::BadSignature);
        }
        self.hint(proposal.height);
        self.future.insert_proposal(proposal);
    }

    fn on_current_proposal(&mut self, from: PublicKey, proposal: Proposal) {
        if self.height.leader(proposal.round) != Some(proposal.proposer) || self.is_too_far_ahead(proposal.round) {
            return;
        }
        let seen = self.height.votes().seen_proposal(&proposal);
        if seen == Seen::Same || (seen != Seen::No && !self.height.may_accuse()) {
            return;
        }
        if !proposal.is_signed(self.config.chain_id) {
            return self.refuse(from, GossipOffence::BadSignature);
        }
        if let Seen::Conflict(held) = seen {
            self.accuse(DoubleSign::of_proposals(held, proposal.clone()));
        }
        let (id, proposer) = (proposal.block, proposal.proposer);
        self.accept_proposal(proposal);
        // A proposer sends its block behind its proposal; who only relays the proposal is asked for it.
        let is_direct = self.peers.has_key(&from, &proposer);
        if !is_direct && !self.blocks.contains(&id) {
            self.ask_for_block(from, id);
        }
    }

    /// A verified proposal of the current height. A second one of a round is kept too: a quorum may go for it.
    pub(super) fn accept_proposal(&mut self, proposal: Proposal) {
        let is_leader = self.height.leader(proposal.round) == Some(proposal.proposer);
        if !is_leader || self.height.votes().seen_proposal(&proposal) == Seen::Same {
            return;
        }
        self.check_memory(None, &proposal.proposer, SignedRecord::of_proposal(&proposal), |_| true);
        self.engine.note_verified_proposal(&proposal);
        if self.height.insert_proposal(&proposal, self.clock.now()) {
            self.push(engine::proposal(&proposal));
            self.relay(&proposal.proposer, &Gossip::Proposal(proposal.clone()));
        }
    }

    fn accuse(&mut self, evidence: DoubleSign) {
        self.height.on_accused();
        self.show_to_signer(&evidence);
        self.outputs.push(Output::DoubleSign(evidence));
    }

    fn on_polka(&mut self, from: PublicKey, polka: PolkaCertificate) {
        let is_current = self.phase == Phase::Running && polka.height == self.chain.height();
        if !is_current || self.height.polka_block(polka.round) == Some(polka.block) {
            return;
        }
        let check = verify_polka(self.config.chain_id, &polka, self.chain.set(), |v| self.engine.is_verified_vote(v));
        if check.is_err() {
            return self.refuse(from, GossipOffence::BadCertificate);
        }
        // Whole first, since it counts even where a vote in it contradicts one that is held.
        self.height.on_polka(polka.clone());
        self.push(engine::polka(&polka));
        polka_votes(&polka).for_each(|vote| self.accept_vote(vote));
    }

    fn on_round_certificate(&mut self, from: PublicKey, certificate: RoundCertificate) {
        let is_current = self.phase == Phase::Running && certificate.height == self.chain.height();
        let is_held = || round_votes(&certificate).all(|v| self.height.votes().seen_vote(&v) != Seen::No);
        if !is_current || self.engine.round().is_none_or(|ours| certificate.round < ours) || is_held() {
            return;
        }
        let chain = self.config.chain_id;
        if verify_round(chain, &certificate, self.chain.set(), |v| self.engine.is_verified_vote(v)).is_err() {
            return self.refuse(from, GossipOffence::BadCertificate);
        }
        if self.is_too_far_ahead(certificate.round) {
            self.push(engine::round_certificate(&certificate));
        }
        round_votes(&certificate).for_each(|vote| self.accept_vote(vote));
    }
}
