//! Vote-set gossip: neighbours show each other which votes of a height and round they know, and send what the other lacks, whoever signed it.
//!
//! In normal traffic a vote costs one delivery per other node and nothing is forwarded. Every [`TICK`], and at once when a validator
//! connects, the known votes of an active height are sent to the connected validators. Who shows something that we lack gets ours at once.
//!
//! A neighbour that lacks a vote which is here for [`DELIVERY_GRACE`] has no link to its signer, or a bad one: for [`RELAY_TIME`] that
//! signer's messages are passed on to it as they come. So a cut link costs one round of gossip a minute and not one per vote.

use crate::consensus::{Consensus, Phase};
use crate::inspect::{Statement, statements_of};
use crate::journal::JournalEntry;
use crate::messages::{Gossip, KnownVotes, Output};
use crate::timers::Timer;
use crate::votes::Votes;
use core::net::SocketAddr;
use std::time::Duration;
use timed_primitives::{BlockId, Height, Instant, PublicKey, Round, Vote, VoteKind};

/// Time between two rounds of gossip.
pub const TICK: Duration = Duration::from_secs(1);
/// Shortest time between two [`KnownVotes`] sent to the same peer out of turn.
const KNOWN_VOTES_GAP: Duration = Duration::from_millis(100);
/// Shortest time between two deliveries of the same block to the same peer.
const BLOCK_GAP: Duration = Duration::from_millis(500);

/// How long a vote may be on its way to a neighbour.
pub const DELIVERY_GRACE: Duration = Duration::from_millis(500);
/// How many help at first with what a neighbour lacks; after each further [`TICK`] so many more do.
pub const HELPERS: usize = 4;
/// How long a signer's messages are passed on after they were found lacking.
pub const RELAY_TIME: Duration = Duration::from_secs(60);

impl Consensus {
    pub(crate) fn on_peer_up(
        &mut self,
        peer: PublicKey,
        validator: Option<PublicKey>,
        instance: u128,
        address: Option<SocketAddr>,
    ) {
        self.peers.up(peer, validator, instance, self.now);
        let Some(validator) = validator else { return };
        self.on_key_up(peer, validator, instance, address);
        self.resend(peer, &validator);
        if self.is_active() {
            self.send_known_votes(peer);
        }
    }

    pub(crate) fn on_peer_down(&mut self, peer: &PublicKey, is_gone: bool) {
        let Some(down) = self.peers.down(peer) else { return };
        if let Some(validator) = down.validator {
            self.on_key_down(peer, &validator, is_gone);
        }
    }

    /// Sends a validator the last thing that is held of what it signed: if it has forgotten that, it must not sign again for now.
    fn resend(&mut self, to: PublicKey, signer: &PublicKey) {
        let future = self.future.signed_by(signer);
        let replay =
            self.replay.iter().filter_map(JournalEntry::statement).filter(|statement| statement.signer() == *signer);
        let previous = self.previous.iter().flat_map(|previous| previous.votes.signed_by(signer));
        let certificate = self.tip.certificate.iter().flat_map(statements_of).filter(|s| s.signer() == *signer);
        let held = self.votes.signed_by(signer).chain(future).chain(replay).chain(previous).chain(certificate);
        match held.max_by_key(|statement| statement.record().place()) {
            Some(Statement::Vote(vote)) => self.send(to, Gossip::Vote(vote)),
            Some(Statement::Proposal(proposal)) => self.send(to, Gossip::Proposal(proposal)),
            None => {}
        }
    }

    /// A peer reports its tip.
    pub(crate) fn on_peer_height(&mut self, peer: PublicKey, height: Height) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        known.height = Some(height);
        self.on_height_elsewhere(height);
        if self.me.is_none() {
            return;
        }
        let reported = self.peers.height_of_more_than_third(&self.set, self.me);
        self.signing.on_reported(reported);
        if self.has_quorum_reported() {
            self.signing.on_enough_reported(reported, self.tip.height);
        }
        self.apply_signing();
    }

    /// `height` is decided elsewhere. A small lead is given a tick: the votes may be on their way.
    pub(crate) fn on_height_elsewhere(&mut self, height: Height) {
        self.height_hint = self.height_hint.max(height);
        if height.above(self.tip.height) > 1 {
            self.report_behind();
        }
    }

    fn report_behind(&mut self) {
        if self.height_hint > self.behind_reported {
            self.behind_reported = self.height_hint;
            self.outputs.push(Output::Behind { height: self.height_hint });
        }
    }

    /// True when something happens at this height: an idle network is quiet.
    fn is_active(&self) -> bool {
        // Who waits for its first height wants to be sent what others hold of it, its own votes above all.
        self.phase == Phase::Waiting || self.phase == Phase::Running && (self.hold.is_none() || !self.votes.is_empty())
    }

    pub(crate) fn on_tick(&mut self) {
        self.timers.set(Timer::Tick, self.now + TICK);
        self.ticks = self.ticks.wrapping_add(1);
        if self.is_active() {
            self.peers.validators().into_iter().for_each(|peer| self.send_known_votes(peer));
        }
        self.ask_for_missing();
        self.hear_few();
        self.repeat_key_reports();
        self.apply_others();
        if self.height_hint > self.tip.height {
            if self.behind_since_tick {
                // Said again each tick while it lasts: a lost hint would be a stalled node.
                self.behind_reported = self.tip.height;
                self.report_behind();
            }
            self.behind_since_tick = true;
        }
    }

    pub(crate) fn send_known_votes(&mut self, to: PublicKey) {
        let round = match self.phase {
            Phase::Waiting => Round::ZERO,
            Phase::Running => self.engine.round().unwrap_or_default(),
            Phase::Opened | Phase::Committing => return,
        };
        let proposal = self.votes.proposals(round).first();
        let known = KnownVotes {
            height: self.height(),
            round,
            has_proposal: proposal.is_some(),
            has_block: proposal.is_some_and(|p| self.blocks.contains(&p.block)),
            prevotes: self.votes.bitmap(round, VoteKind::Prevote),
            precommits: self.votes.bitmap(round, VoteKind::Precommit),
        };
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.known_votes_sent = Some(self.now);
        }
        self.send(to, Gossip::KnownVotes(known));
    }

    fn send(&mut self, to: PublicKey, message: Gossip) {
        self.outputs.push(Output::Send { to, message });
    }

    pub(crate) fn on_known_votes(&mut self, from: PublicKey, theirs: &KnownVotes) {
        if theirs.height > self.height() {
            return self.on_height_elsewhere(theirs.height.previous().unwrap_or_default());
        }
        if theirs.height == self.height() && self.phase != Phase::Waiting {
            let ours = self.engine.round().unwrap_or_default();
            self.find_unreached(from, theirs);
            let answer = answer(&self.votes, ours, theirs, |vote| {
                let since = self.known_since.get(&(vote.round, vote.kind, vote.validator));
                since.is_none_or(|since| self.is_due(*since, Some(vote.validator), &from))
            });
            answer.into_iter().for_each(|message| self.send(from, message));
            self.show_what_we_lack(from, theirs, ours);
        } else if theirs.height == self.tip.height {
            self.help_previous(from, theirs);
        }
    }

    /// Whether it is our turn to send a neighbour what it lacks of a signer, or of several, and what we hold since then. At first it is
    /// on its way from its signer. Then few help, and more as time passes: the answers of all neighbours to one bitmap, which is as old
    /// as their distance, would be most of what a large network says. Who came later than the vote gets it at once.
    fn is_due(&self, since: Instant, signer: Option<PublicKey>, to: &PublicKey) -> bool {
        let Some(peer) = self.peers.get(to) else { return false };
        peer.up_since > since || self.now >= since + self.patience(signer, peer.validator)
    }

    fn patience(&self, signer: Option<PublicKey>, to: Option<PublicKey>) -> Duration {
        if signer.is_some() && signer == self.me {
            return DELIVERY_GRACE;
        }
        let place = |key: Option<PublicKey>| key.and_then(|key| self.set.index_of(&key));
        let count = self.set.len().max(1);
        let turn = place(self.me).map_or(count, |me| {
            (me + 2 * count - place(signer).unwrap_or_default() - place(to).unwrap_or_default()) % count
        });
        DELIVERY_GRACE + TICK * u32::try_from(turn / HELPERS).unwrap_or(u32::MAX)
    }

    fn find_unreached(&mut self, from: PublicKey, theirs: &KnownVotes) {
        let Some(validator) = self.peers.get(&from).map(|peer| peer.validator) else { return };
        let mut cut_off = Vec::new();
        for (kind, bitmap) in [(VoteKind::Prevote, &theirs.prevotes), (VoteKind::Precommit, &theirs.precommits)] {
            for vote in self.votes.lacking(theirs.round, kind, bitmap) {
                let since = self.known_since.get(&(vote.round, kind, vote.validator));
                let signer = Some(vote.validator);
                let is_old = since.is_some_and(|since| self.now >= *since + self.patience(signer, validator));
                if is_old && ![validator, self.me].contains(&signer) {
                    cut_off.push(vote.validator);
                }
            }
        }
        let until = self.now + RELAY_TIME;
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.relayed.extend(cut_off.into_iter().map(|signer| (signer, until)));
        }
    }

    /// Passes a message on to neighbours that its signer does not reach.
    pub(crate) fn relay(&mut self, signer: &PublicKey, message: &Gossip) {
        for to in self.peers.relayed(signer, self.now) {
            self.send(to, message.clone());
        }
    }

    /// For a neighbour one height behind: what it lacks of the decided round.
    fn help_previous(&mut self, to: PublicKey, theirs: &KnownVotes) {
        let (Some(previous), Some(certificate)) = (&self.previous, &self.tip.certificate) else { return };
        let round = certificate.round;
        let nothing = KnownVotes { round, has_proposal: false, prevotes: vec![], precommits: vec![], ..theirs.clone() };
        let asked = if theirs.round == round { theirs } else { &nothing };
        let is_due = self.is_due(previous.since, None, &to);
        let answer = answer(&previous.votes, round, asked, |_| is_due);
        answer.into_iter().for_each(|message| self.send(to, message));
    }

    fn show_what_we_lack(&mut self, to: PublicKey, theirs: &KnownVotes, ours: Round) {
        let is_lacking = theirs.round > ours
            || (theirs.has_proposal && self.votes.proposals(theirs.round).is_empty())
            || self.votes.is_lacking_any(theirs.round, VoteKind::Prevote, &theirs.prevotes)
            || self.votes.is_lacking_any(theirs.round, VoteKind::Precommit, &theirs.precommits);
        let sent = self.peers.get(&to).and_then(|p| p.known_votes_sent);
        if is_lacking && sent.is_none_or(|at| self.now >= at + KNOWN_VOTES_GAP) {
            self.send_known_votes(to);
        }
    }

    pub(crate) fn ask_for_block(&mut self, to: PublicKey, id: BlockId) {
        let height = self.height();
        self.send(to, Gossip::GetBlock { height, id });
    }

    /// Asks for blocks that signed messages name: one validator per tick in turn, and whoever the shell can ask.
    fn ask_for_missing(&mut self) {
        let height = self.height();
        let mut missing: Vec<_> = match self.phase {
            Phase::Running => self.votes.named_blocks().into_iter().collect(),
            Phase::Committing => self.decided.iter().map(|c| c.block).collect(),
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

    pub(crate) fn on_get_block(&mut self, from: PublicKey, height: Height, id: BlockId) {
        let Some(block) = self.find_block(&id).filter(|b| b.header.height == height) else { return };
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let is_repeated = peer.block_sent.is_some_and(|(sent, at)| sent == id && now < at + BLOCK_GAP);
        if !is_repeated {
            peer.block_sent = Some((id, now));
            self.send(from, Gossip::Block(block));
        }
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
