//! Vote-set gossip: neighbours show each other which votes of a height and round they know, and send what the other lacks, whoever signed it.
//!
//! In normal traffic a vote costs one delivery per other node and nothing is forwarded. Every [`TICK`], and at once when a validator
//! connects, the known votes of an active height are sent to the connected validators. Who shows something that we lack gets ours at once.
//!
//! A neighbour that lacks a vote which is here for [`DELIVERY_GRACE`] has no link to its signer, or a bad one: for [`crate::peers::RELAY_TIME`] that
//! signer's messages are passed on to it as they come. So a cut link costs one round of gossip a minute and not one per vote.

use super::{Consensus, Phase};
use crate::messages::{Gossip, KnownVotes, Output};
use crate::statement::Statement;
use crate::timers::{TICK, Timer};
use crate::votes::Votes;
use core::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use timed_primitives::{Block, BlockId, Height, Instant, PublicKey, Round, Vote, VoteKind};

/// How long a vote may be on its way to a neighbour.
const DELIVERY_GRACE: Duration = Duration::from_millis(500);
/// How many help at first with what a neighbour lacks; after each further [`TICK`] so many more do.
const HELPERS: usize = 4;

impl Consensus {
    pub(super) fn on_peer_up(
        &mut self,
        peer: PublicKey,
        validator: Option<PublicKey>,
        instance: u128,
        address: Option<SocketAddr>,
    ) {
        self.peers.up(peer, validator, instance, self.clock.now());
        let Some(validator) = validator else { return };
        self.on_key_up(peer, validator, instance, address);
        self.resend(peer, &validator);
        if self.is_active() {
            self.send_known_votes(peer);
        }
    }

    pub(super) fn on_peer_down(&mut self, peer: &PublicKey, is_gone: bool) {
        let Some(down) = self.peers.down(peer) else { return };
        if let Some(validator) = down.validator() {
            self.on_key_down(peer, &validator, is_gone);
        }
    }

    /// Sends a validator the last thing that is held of what it signed: if it has forgotten that, it must not sign again for now.
    fn resend(&mut self, to: PublicKey, signer: &PublicKey) {
        let current = self.height.votes().signed_by(signer).chain(self.future.signed_by(signer));
        let held = current.chain(self.durable.replayed_by(signer)).chain(self.chain.signed_by(signer));
        match held.max_by_key(|statement| statement.record().place()) {
            Some(Statement::Vote(vote)) => self.send(to, Gossip::Vote(vote)),
            Some(Statement::Proposal(proposal)) => self.send(to, Gossip::Proposal(proposal)),
            None => {}
        }
    }

    /// A peer reports its tip.
    pub(super) fn on_peer_height(&mut self, peer: PublicKey, height: Height) {
        if !self.peers.on_height(&peer, height) {
            return;
        }
        self.on_height_elsewhere(height);
        if self.me.is_none() {
            return;
        }
        let reported = self.peers.height_of_more_than_third(self.chain.set(), self.me);
        self.signing.on_reported(reported);
        if self.has_quorum_reported() {
            self.signing.on_enough_reported(reported, self.chain.tip().height);
        }
        self.apply_signing();
    }

    /// `height` is decided elsewhere.
    pub(super) fn on_height_elsewhere(&mut self, height: Height) {
        let behind = self.elsewhere.on_height(height, self.chain.tip().height);
        self.outputs.extend(behind.map(|height| Output::Behind { height }));
    }

    /// True when something happens at this height: an idle network is quiet.
    fn is_active(&self) -> bool {
        // Who waits for its first height wants to be sent what others hold of it, its own votes above all.
        self.phase == Phase::Waiting || self.phase == Phase::Running && !self.height.is_idle()
    }

    pub(super) fn on_tick(&mut self) {
        self.timers.set(Timer::Tick, self.clock.now() + TICK);
        self.ticks = self.ticks.wrapping_add(1);
        if self.is_active() {
            self.peers.validators().into_iter().for_each(|peer| self.send_known_votes(peer));
        }
        self.ask_for_missing();
        self.hear_few();
        self.repeat_key_reports();
        self.apply_others();
        let behind = self.elsewhere.on_tick(self.chain.tip().height);
        self.outputs.extend(behind.map(|height| Output::Behind { height }));
    }

    pub(super) fn send_known_votes(&mut self, to: PublicKey) {
        let round = match self.phase {
            Phase::Waiting => Round::ZERO,
            Phase::Running => self.engine.round().unwrap_or_default(),
            Phase::Opened | Phase::Committing => return,
        };
        let votes = self.height.votes();
        let proposal = votes.proposals(round).first();
        let known = KnownVotes {
            height: self.chain.height(),
            round,
            has_proposal: proposal.is_some(),
            has_block: proposal.is_some_and(|p| self.blocks.contains(&p.block)),
            prevotes: votes.bitmap(round, VoteKind::Prevote),
            precommits: votes.bitmap(round, VoteKind::Precommit),
        };
        self.peers.on_known_votes_sent(&to, self.clock.now());
        self.send(to, Gossip::KnownVotes(known));
    }

    fn send(&mut self, to: PublicKey, message: Gossip) {
        self.outputs.push(Output::Send { to, message });
    }

    pub(super) fn on_known_votes(&mut self, from: PublicKey, theirs: &KnownVotes) {
        let height = self.chain.height();
        if theirs.height > height {
            return self.on_height_elsewhere(theirs.height.previous().unwrap_or_default());
        }
        if theirs.height == height && self.phase != Phase::Waiting {
            let ours = self.engine.round().unwrap_or_default();
            self.find_unreached(from, theirs);
            let answer = answer(self.height.votes(), ours, theirs, |vote| {
                let since = self.height.known_since(vote);
                since.is_none_or(|since| self.is_due(since, Some(vote.validator), &from))
            });
            answer.into_iter().for_each(|message| self.send(from, message));
            self.show_polka(from, theirs.round);
            self.show_what_we_lack(from, theirs, ours);
        } else if theirs.height == self.chain.tip().height {
            self.help_previous(from, theirs);
        }
    }

    /// Shows a neighbour in `theirs` the highest quorum of prevotes that no bitmap brings to it: of a round that it has left, or with votes
    /// that contradict those which it holds, as validators that lie can arrange it. It leads with that block then.
    fn show_polka(&mut self, to: PublicKey, theirs: Round) {
        let Some((round, block)) = self.height.highest_polka(theirs) else { return };
        let validator = self.peers.get(&to).and_then(|peer| peer.validator());
        let precommit = validator.and_then(|key| self.height.votes().vote(round, VoteKind::Precommit, &key));
        let is_known = precommit.is_some_and(|vote| vote.block == Some(block));
        let is_due = || self.height.polka_since(round, block).is_none_or(|since| self.is_due(since, None, &to));
        if is_known || !is_due() || !self.peers.may_send_polka(&to, self.chain.height(), round, self.clock.now()) {
            return;
        }
        if let Some(polka) = self.height.polka(round) {
            self.send(to, Gossip::Polka(polka));
        }
    }

    /// Whether it is our turn to send a neighbour what it lacks of a signer, or of several, and what we hold since then. At first it is
    /// on its way from its signer. Then few help, and more as time passes: the answers of all neighbours to one bitmap, which is as old
    /// as their distance, would be most of what a large network says. Who came later than the vote gets it at once.
    fn is_due(&self, since: Instant, signer: Option<PublicKey>, to: &PublicKey) -> bool {
        let Some(peer) = self.peers.get(to) else { return false };
        peer.up_since() > since || self.clock.now() >= since + self.patience(signer, peer.validator())
    }

    fn patience(&self, signer: Option<PublicKey>, to: Option<PublicKey>) -> Duration {
        if signer.is_some() && signer == self.me {
            return DELIVERY_GRACE;
        }
        let place = |key: Option<PublicKey>| key.and_then(|key| self.chain.set().index_of(&key));
        let count = self.chain.set().len().max(1);
        let turn = place(self.me).map_or(count, |me| {
            (me + 2 * count - place(signer).unwrap_or_default() - place(to).unwrap_or_default()) % count
        });
        DELIVERY_GRACE + TICK * u32::try_from(turn / HELPERS).unwrap_or(u32::MAX)
    }

    fn find_unreached(&mut self, from: PublicKey, theirs: &KnownVotes) {
        let Some(validator) = self.peers.get(&from).map(|peer| peer.validator()) else { return };
        let now = self.clock.now();
        let mut cut_off = Vec::new();
        for (kind, bitmap) in [(VoteKind::Prevote, &theirs.prevotes), (VoteKind::Precommit, &theirs.precommits)] {
            for vote in self.height.votes().lacking(theirs.round, kind, bitmap) {
                let signer = Some(vote.validator);
                let since = self.height.known_since(vote);
                let is_old = since.is_some_and(|since| now >= since + self.patience(signer, validator));
                if is_old && ![validator, self.me].contains(&signer) {
                    cut_off.push(vote.validator);
                }
            }
        }
        self.peers.on_cut_off(&from, cut_off, now);
    }

    /// Passes a message on to neighbours that its signer does not reach.
    pub(super) fn relay(&mut self, signer: &PublicKey, message: &Gossip) {
        for to in self.peers.relayed(signer, self.clock.now()) {
            self.send(to, message.clone());
        }
    }

    /// For a neighbour one height behind: what it lacks of the decided round.
    fn help_previous(&mut self, to: PublicKey, theirs: &KnownVotes) {
        let Some((previous, certificate)) = self.chain.previous() else { return };
        let round = certificate.round;
        let nothing = KnownVotes { round, has_proposal: false, prevotes: vec![], precommits: vec![], ..theirs.clone() };
        let asked = if theirs.round == round { theirs } else { &nothing };
        let is_due = self.is_due(previous.since(), None, &to);
        let answer = answer(previous.votes(), round, asked, |_| is_due);
        answer.into_iter().for_each(|message| self.send(to, message));
    }

    fn show_what_we_lack(&mut self, to: PublicKey, theirs: &KnownVotes, ours: Round) {
        let votes = self.height.votes();
        let is_lacking = theirs.round > ours
            || (theirs.has_proposal && votes.proposals(theirs.round).is_empty())
            || votes.is_lacking_any(theirs.round, VoteKind::Prevote, &theirs.prevotes)
            || votes.is_lacking_any(theirs.round, VoteKind::Precommit, &theirs.precommits);
        if is_lacking && self.peers.may_send_known_votes(&to, self.clock.now()) {
            self.send_known_votes(to);
        }
    }

    pub(super) fn ask_for_block(&mut self, to: PublicKey, id: BlockId) {
        let height = self.chain.height();
        self.send(to, Gossip::GetBlock { height, id });
    }

    /// Asks for blocks that signed messages name: one validator per tick in turn, and whoever the shell can ask.
    fn ask_for_missing(&mut self) {
        let height = self.chain.height();
        let mut missing: Vec<_> = match self.phase {
            Phase::Running => self.height.votes().named_blocks().into_iter().collect(),
            Phase::Committing => self.height.decided().iter().map(|c| c.block).collect(),
            Phase::Opened | Phase::Waiting => return,
        };
        missing.retain(|id| !self.blocks.contains(id));
        let validators = match self.peers.validators() {
            none if none.is_empty() => self.peers.all(),
            some => some,
        };
        for id in missing {
            let turn = self.ticks.checked_rem(validators.len()).unwrap_or(0);
            if let Some(to) = validators.get(turn) {
                self.send(*to, Gossip::GetBlock { height, id });
            }
            self.outputs.push(Output::Wanted { height, id });
        }
    }

    pub(super) fn on_get_block(&mut self, from: PublicKey, height: Height, id: BlockId) {
        let Some(block) = self.find_block(&id).filter(|b| b.header.height == height) else { return };
        if self.peers.may_send_block(&from, id, self.clock.now()) {
            self.send(from, Gossip::Block(block));
        }
    }

    /// A block under decision, or the one just decided.
    fn find_block(&self, id: &BlockId) -> Option<Arc<Block>> {
        self.blocks.get_not_invalid(id).or_else(|| self.chain.newest_block(id)).cloned()
    }
}

/// What a neighbour that knows these votes lacks of its round, as far as it `is_due`, and what brings it into `ours` if that is higher.
fn answer(votes: &Votes, ours: Round, theirs: &KnownVotes, is_due: impl Fn(&Vote) -> bool) -> Vec<Gossip> {
    let mut messages = Vec::new();
    let proposal = votes.proposals(theirs.round).first();
    if let Some(proposal) = proposal.filter(|_| !theirs.has_proposal) {
        messages.extend(proposal.valid_round.and_then(|round| votes.polka(round)).map(Gossip::Polka));
        messages.push(Gossip::Proposal(proposal.clone()));
    }
    for (kind, bitmap) in [(VoteKind::Prevote, &theirs.prevotes), (VoteKind::Precommit, &theirs.precommits)] {
        let lacking = votes.lacking(theirs.round, kind, bitmap).filter(|vote| is_due(vote));
        messages.extend(lacking.cloned().map(Gossip::Vote));
    }
    if ours > theirs.round {
        messages.extend(votes.round_certificate(theirs.round, ours).map(Gossip::RoundCertificate));
        let polka = votes.highest_polka_round(ours).filter(|round| *round >= theirs.round);
        messages.extend(polka.and_then(|round| votes.polka(round)).map(Gossip::Polka));
    }
    messages
}
