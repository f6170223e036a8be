//! What the chain has decided, as it was reported: tip, validators, leaders, and the height before the one being decided.

use crate::certificate::verify_commit;
use crate::config::ChainStart;
use crate::context::Members;
use crate::future::FUTURE_HEIGHTS;
use crate::leaders::{LeaderOrder, LeaderRecord};
use crate::statement::{Statement, statements_of};
use crate::votes::{Seen, Votes};
use std::sync::Arc;
use std::time::Duration;
use timed_primitives::{
    Block, BlockId, ChainId, CommitCertificate, CommitSignature, Height, Instant, PublicKey, Tip, UnixTime,
    ValidatorSet, Vote, VoteKind,
};

/// The height before the one being decided, kept to help neighbours that are one behind.
pub(crate) struct PreviousHeight {
    votes: Votes,
    block: Arc<Block>,
    /// When it was decided here.
    since: Instant,
}

impl PreviousHeight {
    /// Its votes.
    pub(crate) fn votes(&self) -> &Votes {
        &self.votes
    }

    /// When it was decided here.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }
}

/// Where a message belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeightClass {
    /// The height being decided.
    Current,
    /// The one just decided.
    Previous,
    /// One of the next, of which messages are kept.
    Future,
    /// Too high to keep.
    Far,
    /// Below all of them.
    Past,
}

/// See the module.
pub(crate) struct ChainView {
    tip: Tip,
    /// Decides the height after the tip.
    set: ValidatorSet,
    /// Decides the height after that.
    next_set: ValidatorSet,
    /// Decided the tip.
    tip_set: ValidatorSet,
    leaders: LeaderOrder,
    previous: Option<PreviousHeight>,
}

impl ChainView {
    pub(crate) fn new(chain: ChainStart) -> Self {
        let ChainStart { tip, validators: set, next_validators: next_set, tip_validators: tip_set, recent } = chain;
        Self { tip, leaders: LeaderOrder::new(set.clone(), recent), set, next_set, tip_set, previous: None }
    }

    /// Height being decided.
    pub(crate) fn height(&self) -> Height {
        self.tip.height.next()
    }

    pub(crate) fn tip(&self) -> &Tip {
        &self.tip
    }

    /// Who decides the height after the tip.
    pub(crate) fn set(&self) -> &ValidatorSet {
        &self.set
    }

    /// Who decided the tip; at genesis the same as [`Self::set`].
    pub(crate) fn tip_set(&self) -> &ValidatorSet {
        &self.tip_set
    }

    /// Whether it decides the height after the tip or the one after that, as far as is known. What is signed early is sorted out when its height
    /// begins.
    pub(crate) fn is_or_will_be_validator(&self, key: &PublicKey) -> bool {
        self.set.get(key).is_some() || self.next_set.get(key).is_some()
    }

    /// Their positions in the order in which they lead the height after the tip.
    pub(crate) fn order(&self) -> Arc<[usize]> {
        self.leaders.order(self.height())
    }

    /// The same for the engine.
    pub(crate) fn members(&self) -> Members {
        self.leaders.members(self.height())
    }

    /// Where a message of `height` belongs. While the first height `waits` to begin, it is a future one.
    pub(crate) fn class(&self, height: Height, waits: bool) -> HeightClass {
        let current = self.height();
        match height.above(current) {
            0 if height == current && waits => HeightClass::Future,
            0 if height == current => HeightClass::Current,
            0 if height == self.tip.height => HeightClass::Previous,
            0 => HeightClass::Past,
            1..=FUTURE_HEIGHTS => HeightClass::Future,
            _ => HeightClass::Far,
        }
    }

    /// The earliest time of a block on the tip.
    pub(crate) fn earliest_time(&self) -> UnixTime {
        self.tip.time.plus(Duration::from_millis(1))
    }

    /// What can be checked of a block without the ledger, but for its leader.
    pub(crate) fn is_possible_child(&self, chain: ChainId, block: &Block) -> bool {
        let header = &block.header;
        header.parent == self.tip.id && header.time > self.tip.time && self.is_parent_certificate(chain, block)
    }

    fn is_parent_certificate(&self, chain: ChainId, block: &Block) -> bool {
        let Some(certificate) = &block.parent_certificate else { return self.tip.height == Height::GENESIS };
        if self.tip.certificate.as_ref() == Some(certificate) {
            return true;
        }
        certificate.height == self.tip.height
            && certificate.block == self.tip.id
            && self.tip.height > Height::GENESIS
            && verify_commit(chain, certificate, &self.tip_set, |_| false).is_ok()
    }

    /// Whether a vote of the height just decided would enrich the tip's certificate.
    pub(crate) fn is_missing_precommit(&self, vote: &Vote) -> bool {
        self.tip.certificate.as_ref().is_some_and(|certificate| {
            vote.kind == VoteKind::Precommit
                && vote.round == certificate.round
                && vote.block == Some(certificate.block)
                && self.tip_set.get(&vote.validator).is_some()
                && certificate.signatures.iter().all(|s| s.validator != vote.validator)
        })
    }

    /// What we hold of the height just decided that this vote contradicts.
    pub(crate) fn contradicted(&self, vote: &Vote) -> Option<Vote> {
        match self.previous.as_ref()?.votes.seen_vote(vote) {
            Seen::Conflict(held) => Some(held),
            Seen::No | Seen::Same => None,
        }
    }

    /// A verified precommit that was missing: the next block includes it.
    pub(crate) fn add_precommit(&mut self, vote: &Vote) {
        if let Some(certificate) = &mut self.tip.certificate {
            certificate.signatures.push(CommitSignature { validator: vote.validator, signature: vote.signature });
            certificate.signatures.sort();
        }
        if let Some(previous) = &mut self.previous {
            previous.votes.insert_vote(vote);
        }
    }

    /// The block just decided, if this is its id.
    pub(crate) fn newest_block(&self, id: &BlockId) -> Option<&Arc<Block>> {
        self.previous.as_ref().filter(|_| self.tip.id == *id).map(|previous| &previous.block)
    }

    /// The height just decided and its certificate, once one was decided.
    pub(crate) fn previous(&self) -> Option<(&PreviousHeight, &CommitCertificate)> {
        Some((self.previous.as_ref()?, self.tip.certificate.as_ref()?))
    }

    /// What a validator signed of the height just decided.
    pub(crate) fn signed_by(&self, signer: &PublicKey) -> impl Iterator<Item = Statement> {
        let previous = self.previous.iter().flat_map(|previous| previous.votes.signed_by(signer));
        let certificate = self.tip.certificate.iter().flat_map(statements_of).filter(|s| s.signer() == *signer);
        previous.chain(certificate)
    }

    /// A block was committed: what it says about leaders.
    pub(crate) fn on_block(&mut self, block: &Block) {
        self.leaders.push(LeaderRecord::of(block));
    }

    /// The newest block was committed. `votes` are those held of its height.
    pub(crate) fn on_tip(&mut self, tip: NewTip, mut votes: Votes, now: Instant) {
        let NewTip { block, certificate, decided_by, validators, next_validators } = tip;
        certificate.votes().for_each(|vote| votes.insert_vote(&vote));
        let header = &block.header;
        let (height, time, state_commitment) = (header.height, header.time, header.state_commitment);
        self.tip = Tip { height, id: block.id(), time, state_commitment, certificate: Some(certificate) };
        self.previous = Some(PreviousHeight { votes, block, since: now });
        self.tip_set = decided_by;
        self.set = validators;
        self.next_set = next_validators;
        self.leaders.set_validators(&self.set);
    }
}

/// The newest block and who decides what.
pub(crate) struct NewTip {
    pub(crate) block: Arc<Block>,
    pub(crate) certificate: CommitCertificate,
    /// Decided it.
    pub(crate) decided_by: ValidatorSet,
    /// Decide the height after it.
    pub(crate) validators: ValidatorSet,
    /// Decide the height after that.
    pub(crate) next_validators: ValidatorSet,
}
