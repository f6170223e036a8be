//! What lives for one height: built whole where the height begins, so that nothing of another one remains.

use crate::idle::{IdleRule, ParentCommit};
use crate::leaders::leader;
use crate::votes::{ROUNDS_MAX, Votes};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use timed_primitives::{
    BlockId, CommitCertificate, Height, Instant, PolkaCertificate, Proposal, PublicKey, Round, ValidatorSet, Vote,
    VoteKind,
};

/// Contradictions reported per height. More teach nothing.
const EVIDENCE_MAX: usize = 32;

/// What begins when round 0 leaves its hold. See [`crate::idle`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldWork {
    /// The propose time-out.
    pub(crate) is_waiting: bool,
    /// Building a block.
    pub(crate) is_building: bool,
}

/// What of the configuration and of this node decides when round 0 leaves its hold.
pub(crate) struct HeightPace {
    pub(crate) min_interval: Duration,
    pub(crate) empty_interval: Duration,
    pub(crate) relay_grace: Duration,
    /// Whether we lead round 0.
    pub(crate) is_leader: bool,
}

/// How a height begins.
pub(crate) struct HeightStart {
    pub(crate) height: Height,
    pub(crate) set: ValidatorSet,
    /// See [`crate::LeaderOrder::order`].
    pub(crate) order: Arc<[usize]>,
    pub(crate) parent: ParentCommit,
    pub(crate) now: Instant,
}

/// See the module.
pub(crate) struct HeightState {
    set: ValidatorSet,
    order: Arc<[usize]>,
    votes: Votes,
    /// When votes came, to distinguish a cut link from a slow one.
    known_since: BTreeMap<(Round, VoteKind, PublicKey), Instant>,
    /// When proposals came, until their blocks do.
    proposed_at: BTreeMap<BlockId, Instant>,
    /// Quorums of prevotes that a peer proved whole; the votes themselves may contradict some that are held. The highest [`ROUNDS_MAX`].
    polkas: BTreeMap<Round, PolkaCertificate>,
    evidence_reported: usize,
    /// When it began here.
    began: Instant,
    /// When its parent was committed.
    parent: ParentCommit,
    /// Its first sign of life.
    active_since: Option<Instant>,
    hold: Option<HeldWork>,
    /// The round for which a block of ours is asked, and since when.
    building: Option<(Round, Instant)>,
    /// Since when the current round waits for its proposal.
    proposing_since: Option<Instant>,
    /// The round whose propose time-out is over and waits for our own ledger.
    overdue: Option<Round>,
    /// What was decided, until its block is here.
    decided: Option<CommitCertificate>,
}

impl HeightState {
    /// A height before anything happened in it, held.
    pub(crate) fn new(start: HeightStart) -> Self {
        let HeightStart { height, set, order, parent, now } = start;
        Self {
            votes: Votes::new(height, set.clone()),
            set,
            order,
            known_since: BTreeMap::new(),
            proposed_at: BTreeMap::new(),
            polkas: BTreeMap::new(),
            evidence_reported: 0,
            began: now,
            parent,
            active_since: None,
            hold: Some(HeldWork::default()),
            building: None,
            proposing_since: None,
            overdue: None,
            decided: None,
        }
    }

    /// Who leads `round`.
    pub(crate) fn leader(&self, round: Round) -> Option<PublicKey> {
        leader(&self.set, &self.order, round)
    }

    /// Verified votes and proposals.
    pub(crate) fn votes(&self) -> &Votes {
        &self.votes
    }

    /// Takes out the votes of `height`, which the chain has decided, for neighbours that are one behind: none when it is another than this.
    pub(crate) fn take_votes(&mut self, height: Height, decided_by: &ValidatorSet) -> Votes {
        let none = Votes::new(height, decided_by.clone());
        if self.votes.height() == height { std::mem::replace(&mut self.votes, none) } else { none }
    }

    /// The certificate with all precommits for it that are held here.
    pub(crate) fn with_all_precommits(&self, mut certificate: CommitCertificate) -> CommitCertificate {
        if self.votes.height() == certificate.height {
            let more = self.votes.precommits_for(certificate.round, certificate.block);
            let is_new = |key: &PublicKey| certificate.signatures.iter().all(|s| s.validator != *key);
            let more: Vec<_> = more.into_iter().filter(|s| is_new(&s.validator)).collect();
            certificate.signatures.extend(more);
            certificate.signatures.sort();
        }
        certificate
    }

    /// Keeps a verified vote, ours or another's.
    pub(crate) fn insert_vote(&mut self, vote: &Vote, now: Instant) {
        self.known_since.insert((vote.round, vote.kind, vote.validator), now);
        self.votes.insert_vote(vote);
    }

    /// Keeps a vote that the journal held: since when it is known cannot be said.
    pub(crate) fn recover_vote(&mut self, vote: &Vote) {
        self.votes.insert_vote(vote);
    }

    /// Since when a vote is known.
    pub(crate) fn known_since(&self, vote: &Vote) -> Option<Instant> {
        self.known_since.get(&(vote.round, vote.kind, vote.validator)).copied()
    }

    /// Keeps a verified proposal; false when two of its round are held already.
    pub(crate) fn insert_proposal(&mut self, proposal: &Proposal, now: Instant) -> bool {
        let is_kept = self.votes.insert_proposal(proposal);
        if is_kept {
            self.on_active(now);
            self.proposed_at.entry(proposal.block).or_insert(now);
        }
        is_kept
    }

    /// Keeps a proposal of ours, or one that the journal held.
    pub(crate) fn insert_own_proposal(&mut self, proposal: &Proposal) {
        self.votes.insert_proposal(proposal);
    }

    /// A block came. Gives when its first proposal did; once.
    pub(crate) fn take_proposed_at(&mut self, id: &BlockId) -> Option<Instant> {
        self.proposed_at.remove(id)
    }

    /// A peer proved a quorum of prevotes for a block.
    pub(crate) fn on_polka(&mut self, polka: PolkaCertificate) {
        self.polkas.insert(polka.round, polka);
        while self.polkas.len() > ROUNDS_MAX {
            self.polkas.pop_first();
        }
    }

    /// The block for which a quorum is known to have prevoted in `round`.
    pub(crate) fn polka_block(&self, round: Round) -> Option<BlockId> {
        let proved = || self.polkas.get(&round).map(|polka| polka.block);
        self.votes.quorum_block(round, VoteKind::Prevote).or_else(proved)
    }

    /// The proof of that.
    pub(crate) fn polka(&self, round: Round) -> Option<PolkaCertificate> {
        self.votes.polka(round).or_else(|| self.polkas.get(&round).cloned())
    }

    /// The highest round up to `round` with a quorum of prevotes for a block, and the block.
    pub(crate) fn highest_polka(&self, round: Round) -> Option<(Round, BlockId)> {
        let proved = self.polkas.range(..=round).next_back().map(|(round, _)| *round);
        let highest = self.votes.highest_polka_round(round).max(proved)?;
        self.polka_block(highest).map(|block| (highest, block))
    }

    /// Since when the last of the prevotes of a round is known that make a quorum for `block`.
    pub(crate) fn polka_since(&self, round: Round, block: BlockId) -> Option<Instant> {
        let prevotes = self.known_since.iter().filter(|((of, kind, _), _)| (*of, *kind) == (round, VoteKind::Prevote));
        let is_for_block = |key: &PublicKey| {
            self.votes.vote(round, VoteKind::Prevote, key).is_some_and(|vote| vote.block == Some(block))
        };
        prevotes.filter(|((.., key), _)| is_for_block(key)).map(|(_, since)| *since).max()
    }

    /// Whether a quorum found a block acceptable.
    pub(crate) fn has_quorum_for(&self, id: &BlockId) -> bool {
        self.polkas.values().any(|polka| polka.block == *id) || self.votes.has_quorum_for(*id)
    }

    /// Blocks that must not be pushed out: those with a quorum of prevotes up to `round`, ours, and the decided one.
    pub(crate) fn needed_blocks(&self, round: Option<Round>, me: Option<PublicKey>) -> Vec<BlockId> {
        let polka = round.and_then(|round| self.highest_polka(round)).map(|(_, block)| block);
        let ours = self.votes.all_proposals().filter(|p| Some(p.proposer) == me).map(|p| p.block);
        polka.into_iter().chain(ours).chain(self.decided.as_ref().map(|c| c.block)).collect()
    }

    /// Whether one more contradiction would be reported.
    pub(crate) fn may_accuse(&self) -> bool {
        self.evidence_reported < EVIDENCE_MAX
    }

    /// A contradiction is reported.
    pub(crate) fn on_accused(&mut self) {
        self.evidence_reported += 1;
    }

    /// A sign of life; the first one counts.
    pub(crate) fn on_active(&mut self, now: Instant) {
        self.active_since.get_or_insert(now);
    }

    /// When its first sign of life came.
    pub(crate) fn active_since(&self) -> Option<Instant> {
        self.active_since
    }

    /// The engine entered a round. From round 1 nothing is held.
    pub(crate) fn on_round(&mut self, round: Round, now: Instant) {
        self.building = None;
        if round > Round::ZERO {
            self.hold = None;
            self.on_active(now);
        }
    }

    /// Whether round 0 is held.
    pub(crate) fn is_held(&self) -> bool {
        self.hold.is_some()
    }

    /// Whether nothing happens because nothing is to be decided.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_held() && self.votes.is_empty()
    }

    /// The engine begins, or ceases, to wait for the proposal. True when that is held.
    pub(crate) fn hold_waiting(&mut self, is_waiting: bool) -> bool {
        self.hold.as_mut().map(|held| held.is_waiting = is_waiting).is_some()
    }

    /// The engine wants a block of ours. True when that is held.
    pub(crate) fn hold_building(&mut self) -> bool {
        self.hold.as_mut().map(|held| held.is_building = true).is_some()
    }

    /// The hold of round 0 ends: what begins now.
    pub(crate) fn release(&mut self, now: Instant) -> HeldWork {
        self.on_active(now);
        self.hold.take().unwrap_or_default()
    }

    /// When the hold ends.
    pub(crate) fn idle(&self, pace: HeightPace) -> IdleRule {
        let HeightPace { min_interval, empty_interval, relay_grace, is_leader } = pace;
        IdleRule { began: self.began, parent: self.parent, min_interval, empty_interval, is_leader, relay_grace }
    }

    /// A block of ours is asked for a round.
    pub(crate) fn on_build(&mut self, round: Round, now: Instant) {
        self.building = Some((round, now));
    }

    /// Since when a block of ours is asked for a round, while it is not here.
    pub(crate) fn building_since(&self, round: Round) -> Option<Instant> {
        self.building.filter(|(building, _)| *building == round).map(|(_, since)| since)
    }

    /// The block is here.
    pub(crate) fn on_built(&mut self) {
        self.building = None;
    }

    /// No block of ours is wanted in this round.
    pub(crate) fn stop_building(&mut self) {
        self.building = None;
        if let Some(held) = &mut self.hold {
            held.is_building = false;
        }
    }

    /// A round waits for its proposal from now.
    pub(crate) fn on_proposing(&mut self, now: Instant) {
        self.proposing_since = Some(now);
    }

    /// When waiting for the proposal ends, if it may take so long.
    pub(crate) fn proposal_deadline(&self, timeout: Duration) -> Option<Instant> {
        self.proposing_since.map(|since| since + timeout)
    }

    /// The propose time-out of a round is over, and waits for our own ledger.
    pub(crate) fn on_overdue(&mut self, round: Round) {
        self.overdue = Some(round);
    }

    /// Our own validation is over: the round that waited for it.
    pub(crate) fn take_overdue(&mut self) -> Option<Round> {
        self.overdue.take()
    }

    /// The engine decided.
    pub(crate) fn on_decided(&mut self, certificate: CommitCertificate) {
        self.hold = None;
        self.decided = Some(certificate);
    }

    /// What was decided and not handed over.
    pub(crate) fn decided(&self) -> Option<&CommitCertificate> {
        self.decided.as_ref()
    }

    /// The decided block is here and handed over.
    pub(crate) fn on_handed_over(&mut self) {
        self.decided = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Instant = Instant(7);

    fn state() -> HeightState {
        let set = ValidatorSet::new(vec![timed_primitives::Validator { key: PublicKey([1; 32]), power: 1 }]).unwrap();
        let (height, order) = (Height(1), Arc::from([0usize]));
        HeightState::new(HeightStart { height, set, order, parent: ParentCommit::Unknown, now: AT })
    }

    #[test]
    fn what_round_0_wanted_while_it_was_held_begins_with_its_release() {
        let mut height = state();
        assert!(height.is_idle() && height.hold_waiting(true) && height.hold_building());
        assert!(height.hold_waiting(false) && height.hold_waiting(true));
        assert_eq!(height.release(Instant(9)), HeldWork { is_waiting: true, is_building: true });
        assert_eq!((height.is_held(), height.active_since()), (false, Some(Instant(9))));
        assert!(!height.hold_waiting(true) && !height.hold_building(), "what comes later begins at once");
        assert_eq!(height.release(Instant(11)), HeldWork::default());
        assert_eq!(height.active_since(), Some(Instant(9)));
    }

    #[test]
    fn a_later_round_holds_nothing() {
        let mut height = state();
        height.on_round(Round::ZERO, AT);
        assert!(height.is_held());
        height.on_build(Round::ZERO, Instant(7));
        assert_eq!([0, 1].map(|round| height.building_since(Round(round))), [Some(Instant(7)), None]);
        height.on_round(Round(1), Instant(8));
        assert_eq!((height.is_held(), height.building_since(Round::ZERO)), (false, None));
        assert_eq!(height.active_since(), Some(Instant(8)));
    }
}
