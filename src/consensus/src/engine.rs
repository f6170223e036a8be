//! Malachite's core behind one function: an input in, an ordered list of actions out.
//!
//! Only signing and verifying are answered inside a step; all else is collected. A step that fails is fatal: the engine's state may be
//! half-changed, and nothing of the step may become visible.

use crate::certificate::{CertificateError, verify_commit, verify_polka, verify_round};
use crate::context::{Ctx, H, Key, Members, ValueId};
use crate::convert::{
    commit_out, polka_out, proposal_in, proposal_out, round_certificate_out, round_in, round_out, vote_in, vote_out,
};
use crate::guard::Guard;
use crate::journal::JournalEntry;
use crate::messages::Gossip;
use crate::statement::SignedRecord;
use crate::timers::{TimeoutStep, Timer};
use arc_malachitebft_core_consensus as mc;
use arc_malachitebft_core_types as mt;
use mc::{ConsensusMsg, Effect, LivenessMsg, Resumable, Resume, SignedConsensusMsg};
use std::collections::BTreeSet;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{
    BlockId, ChainId, CommitCertificate, Height, PolkaCertificate, Proposal, PublicKey, Round, RoundCertificate,
    SecretKey, Signature, ValidatorSet, Vote,
};

/// Messages remembered as verified; above it all are forgotten, which costs verifying some again.
const VERIFIED_MAX: usize = 1 << 16;

/// Why the engine stopped.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It was about to sign against the guard, which the switch in front of it should have prevented.
    #[error("refused to sign a {wanted} after a {last}")]
    Guard {
        /// What it wanted to sign.
        wanted: SignedRecord,
        /// What was signed last.
        last: SignedRecord,
    },
    /// It wanted to sign without a key.
    #[error("asked to sign without a key")]
    NoKey,
    /// A fault inside.
    #[error(transparent)]
    Inner(#[from] InnerError),
}

/// A fault inside the engine.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InnerError(Box<mc::Error<Ctx>>);

/// What a step wants done, in order.
#[derive(Debug)]
pub(crate) enum EngineAction {
    Journal(JournalEntry),
    Publish(Gossip),
    Schedule(Timer),
    Cancel(Timer),
    CancelRound,
    StartRound(Round),
    GetValue(Round),
    Decide(CommitCertificate),
}

/// An input for a step.
pub(crate) type EngineInput = mc::Input<Ctx>;

pub(crate) struct Engine {
    state: mc::State<Ctx>,
    env: Environment,
}

struct Environment {
    chain: ChainId,
    key: Option<SecretKey>,
    set: ValidatorSet,
    verified_votes: BTreeSet<Vote>,
    verified_proposals: BTreeSet<Proposal>,
    refusal: Option<EngineError>,
}

/// The handler's failure; the reason is kept in [`Environment::refusal`].
#[derive(Debug)]
struct Refused;

impl Engine {
    pub(crate) fn new(
        chain: ChainId,
        key: Option<SecretKey>,
        height: Height,
        set: ValidatorSet,
        members: Members,
    ) -> Self {
        // Without a key the address is never read, since `enabled` stays false.
        let address = Key(key.as_ref().map_or(PublicKey([0; 32]), SecretKey::public));
        let params = mc::Params {
            address,
            threshold_params: crate::quorum::engine_thresholds(),
            value_payload: mt::ValuePayload::ProposalAndParts,
            enabled: false,
        };
        // Nothing of a future height is given to the engine, so its own queue stays empty.
        let state = mc::State::new(Ctx, H(height.0), members, params, 1, 1);
        let env = Environment {
            chain,
            key,
            set,
            verified_votes: BTreeSet::new(),
            verified_proposals: BTreeSet::new(),
            refusal: None,
        };
        Self { state, env }
    }

    /// Between steps only.
    pub(crate) fn set_enabled(&mut self, enabled: bool) {
        self.state.params.enabled = enabled && self.env.key.is_some();
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.state.params.enabled
    }

    /// `None` before the first height is started.
    pub(crate) fn round(&self) -> Option<Round> {
        round_out(self.state.round())
    }

    pub(crate) fn is_proposing(&self) -> bool {
        self.state.driver.step_is_propose()
    }

    /// Lower-case name of the step, for people.
    pub(crate) fn step_name(&self) -> &'static str {
        let driver = &self.state.driver;
        match () {
            () if driver.step_is_propose() => "propose",
            () if driver.step_is_prevote() => "prevote",
            () if driver.step_is_precommit() => "precommit",
            () if driver.step_is_commit() => "commit",
            () => "new height",
        }
    }

    /// Remembers that this vote's signature is good.
    pub(crate) fn note_verified_vote(&mut self, vote: &Vote) {
        if self.env.verified_votes.len() >= VERIFIED_MAX {
            self.env.verified_votes.clear();
        }
        self.env.verified_votes.insert(vote.clone());
    }

    pub(crate) fn is_verified_vote(&self, vote: &Vote) -> bool {
        self.env.verified_votes.contains(vote)
    }

    pub(crate) fn note_verified_proposal(&mut self, proposal: &Proposal) {
        if self.env.verified_proposals.len() >= VERIFIED_MAX {
            self.env.verified_proposals.clear();
        }
        self.env.verified_proposals.insert(proposal.clone());
    }

    /// Starts a height.
    pub(crate) fn start(
        &mut self,
        guard: &mut Guard,
        height: Height,
        set: ValidatorSet,
        members: Members,
    ) -> Result<Vec<EngineAction>, EngineError> {
        self.env.verified_votes.clear();
        self.env.verified_proposals.clear();
        self.env.set = set;
        // Not a restart in the engine's sense, which would only discard its queue; no target, which reads the system's clock.
        let policy = mt::VoteExtensionPolicy::Disabled;
        self.step(guard, mc::Input::StartHeight(H(height.0), members, false, None, policy))
    }

    /// Replays journal entries after [`Engine::start`]. What the journal holds is not asked to be written again.
    pub(crate) fn replay(
        &mut self,
        guard: &mut Guard,
        height: Height,
        entries: &[JournalEntry],
    ) -> Result<Vec<EngineAction>, EngineError> {
        let is_left_out = |e: &&JournalEntry| is_planted(Bug::LockIgnored) && self.is_of_another(e);
        let inputs: Vec<_> = entries.iter().filter(|e| !is_left_out(e)).filter_map(|e| entry_in(height, e)).collect();
        self.state.record_recovered_own_precommit_extensions(&inputs);
        self.state.index_wal_entries(&inputs);
        let mut actions = Vec::new();
        for input in inputs {
            actions.extend(self.step(guard, input)?);
        }
        self.state.reset_entries_index();
        actions.retain(|a| !matches!(a, EngineAction::Journal(e) if entries.contains(e)));
        Ok(actions)
    }

    /// Whether an entry holds a vote that is not ours.
    fn is_of_another(&self, entry: &JournalEntry) -> bool {
        let ours = self.state.params.address.0;
        matches!(entry, JournalEntry::Vote(vote) if vote.validator != ours) || matches!(entry, JournalEntry::Polka(_))
    }

    /// One step. What it signs is noted in `guard` first.
    pub(crate) fn step(&mut self, guard: &mut Guard, input: EngineInput) -> Result<Vec<EngineAction>, EngineError> {
        let mut actions = Vec::new();
        let Self { state, env } = self;
        let result: Result<(), mc::Error<Ctx>> = mc::process!(
            input: input, state: state, metrics: &(), with: effect => env.on_effect(guard, effect, &mut actions)
        );
        match env.refusal.take() {
            Some(refusal) => Err(refusal),
            None => result.map(|()| actions).map_err(|e| InnerError(Box::new(e)).into()),
        }
    }
}

impl Environment {
    fn on_effect(
        &mut self,
        guard: &mut Guard,
        effect: Effect<Ctx>,
        actions: &mut Vec<EngineAction>,
    ) -> Result<Resume<Ctx>, Refused> {
        Ok(match effect {
            Effect::SignVote(engine_vote, r) => {
                let unsigned = vote_out(&engine_vote, Signature([0; 64]));
                let message = unsigned.signing_bytes(self.chain);
                let signature = self.sign(guard, SignedRecord::of_vote(&unsigned), &message)?;
                self.verified_votes.insert(Vote { signature, ..unsigned });
                r.resume_with(mt::SignedMessage::new(engine_vote, signature))
            }
            Effect::SignProposal(engine_proposal, r) => {
                let unsigned = proposal_out(&engine_proposal, Signature([0; 64]));
                let message = unsigned.signing_bytes(self.chain);
                let signature = self.sign(guard, SignedRecord::of_proposal(&unsigned), &message)?;
                self.verified_proposals.insert(Proposal { signature, ..unsigned });
                r.resume_with(mt::SignedMessage::new(engine_proposal, signature))
            }
            Effect::VerifySignature(message, _, r) => r.resume_with(self.is_signed(&message)),
            Effect::VerifyCommitCertificate(c, _, _, r) => r.resume_with(
                self.check(|env, is_verified| verify_commit(env.chain, &commit_out(&c), &env.set, is_verified)),
            ),
            Effect::VerifyExtendedCommitCertificate(c, _, _, _, r) => {
                let c = commit_out(&c.trim_vote_extensions());
                r.resume_with(self.check(|env, is_verified| verify_commit(env.chain, &c, &env.set, is_verified)))
            }
            Effect::VerifyPolkaCertificate(c, _, _, r) => r.resume_with(
                self.check(|env, is_verified| verify_polka(env.chain, &polka_out(&c), &env.set, is_verified)),
            ),
            Effect::VerifyRoundCertificate(c, _, _, r) => {
                let c = round_certificate_out(&c);
                r.resume_with(self.check(|env, is_verified| verify_round(env.chain, &c, &env.set, is_verified)))
            }
            Effect::ExtendVote(.., r) => r.resume_with(None),
            Effect::VerifyVoteExtension(.., r) => r.resume_with(Err(mc::VoteExtensionError::InvalidVoteExtension)),
            quiet => collect(quiet, actions),
        })
    }

    fn sign(&mut self, guard: &mut Guard, record: SignedRecord, message: &[u8]) -> Result<Signature, Refused> {
        if let Some(last) = guard.last().filter(|_| !guard.allows(&record)) {
            self.refusal = Some(EngineError::Guard { wanted: record, last });
            return Err(Refused);
        }
        let Some(key) = &self.key else {
            self.refusal = Some(EngineError::NoKey);
            return Err(Refused);
        };
        guard.note_signed(record);
        Ok(key.sign(message))
    }

    fn is_signed(&self, message: &mt::SignedMessage<Ctx, ConsensusMsg<Ctx>>) -> bool {
        match &message.message {
            ConsensusMsg::Vote(engine_vote) => {
                let vote = vote_out(engine_vote, message.signature);
                self.verified_votes.contains(&vote) || vote.is_signed(self.chain)
            }
            ConsensusMsg::Proposal(engine_proposal) => {
                let proposal = proposal_out(engine_proposal, message.signature);
                self.verified_proposals.contains(&proposal) || proposal.is_signed(self.chain)
            }
        }
    }

    /// Checks a certificate of the height, skipping signatures that are known to be good.
    #[allow(clippy::result_large_err, reason = "the engine's own error type, at once handed to it")]
    fn check(
        &self,
        verify: impl FnOnce(&Self, &dyn Fn(&Vote) -> bool) -> Result<(), CertificateError>,
    ) -> Result<(), mt::CertificateError<Ctx>> {
        verify(self, &|vote| self.verified_votes.contains(vote))
            .map_err(|_| mt::CertificateError::VerificationError(None))
    }
}

/// Effects that need no answer.
fn collect(effect: Effect<Ctx>, actions: &mut Vec<EngineAction>) -> Resume<Ctx> {
    match effect {
        Effect::WalAppend(_, input, _) => actions.extend(entry_out(&input).map(EngineAction::Journal)),
        Effect::PublishConsensusMsg(SignedConsensusMsg::Vote(v), _)
        | Effect::PublishLivenessMsg(LivenessMsg::Vote(v), _)
        | Effect::RepublishVote(v, _) => {
            actions.push(EngineAction::Publish(Gossip::Vote(vote_out(&v.message, v.signature))));
        }
        Effect::PublishConsensusMsg(SignedConsensusMsg::Proposal(p), _) => {
            actions.push(EngineAction::Publish(Gossip::Proposal(proposal_out(&p.message, p.signature))));
        }
        Effect::PublishLivenessMsg(LivenessMsg::PolkaCertificate(c), _) => {
            actions.push(EngineAction::Publish(Gossip::Polka(polka_out(&c))));
        }
        Effect::PublishLivenessMsg(LivenessMsg::SkipRoundCertificate(c), _)
        | Effect::RepublishRoundCertificate(c, _) => {
            actions.push(EngineAction::Publish(Gossip::RoundCertificate(round_certificate_out(&c))));
        }
        Effect::ScheduleTimeout(t, _) => actions.extend(timer_of(t).map(EngineAction::Schedule)),
        Effect::CancelTimeout(t, _) => actions.extend(timer_of(t).map(EngineAction::Cancel)),
        Effect::CancelAllTimeouts(_) => actions.push(EngineAction::CancelRound),
        Effect::StartRound(_, round, ..) => actions.extend(round_out(round).map(EngineAction::StartRound)),
        Effect::GetValue(_, round, ..) => actions.extend(round_out(round).map(EngineAction::GetValue)),
        Effect::Decide(certificate, ..) => actions.push(EngineAction::Decide(commit_out(&certificate))),
        // Whoever lacks the block of a re-proposal asks for it; evidence is found before the engine; sync jumps by `start`.
        Effect::RestreamProposal(..)
        | Effect::Finalize(..)
        | Effect::CertVerifiedSyncValue(..)
        | Effect::CertRejectedSyncValue(..) => {}
        // Answered in `on_effect`.
        Effect::SignVote(..)
        | Effect::SignProposal(..)
        | Effect::VerifySignature(..)
        | Effect::VerifyCommitCertificate(..)
        | Effect::VerifyExtendedCommitCertificate(..)
        | Effect::VerifyPolkaCertificate(..)
        | Effect::VerifyRoundCertificate(..)
        | Effect::ExtendVote(..)
        | Effect::VerifyVoteExtension(..) => {}
    }
    Resume::Continue
}

/// Rebroadcast is ours (vote-set gossip), and there is no finalization period without a target time.
fn timer_of(timeout: mt::Timeout) -> Option<Timer> {
    let round = round_out(timeout.round)?;
    match timeout.kind {
        mt::TimeoutKind::Propose => Some(Timer::Propose(round)),
        mt::TimeoutKind::Prevote => Some(Timer::Prevote(round)),
        mt::TimeoutKind::Precommit => Some(Timer::Precommit(round)),
        mt::TimeoutKind::Rebroadcast | mt::TimeoutKind::FinalizeHeight(_) => None,
    }
}

fn entry_out(input: &EngineInput) -> Option<JournalEntry> {
    Some(match input {
        mc::Input::Vote(v) => JournalEntry::Vote(vote_out(&v.message, v.signature)),
        mc::Input::Proposal(p) => JournalEntry::Proposal(proposal_out(&p.message, p.signature)),
        mc::Input::PolkaCertificate(c) => JournalEntry::Polka(polka_out(c)),
        mc::Input::TimeoutElapsed(t) => {
            let (step, round) = timer_of(*t)?.timeout()?;
            JournalEntry::Timeout { step, round }
        }
        mc::Input::ProposedValue(v, _) => JournalEntry::Validated {
            block: v.value.0,
            round: round_out(v.round)?,
            proposer: v.proposer.0,
            valid: v.validity.is_valid(),
        },
        mc::Input::StartHeight(..)
        | mc::Input::RoundCertificate(_)
        | mc::Input::Propose(_)
        | mc::Input::SyncValueResponse(_) => return None,
    })
}

fn entry_in(height: Height, entry: &JournalEntry) -> Option<EngineInput> {
    Some(match entry {
        JournalEntry::Vote(v) => vote(v),
        JournalEntry::Proposal(p) => proposal(p),
        JournalEntry::Polka(c) => polka(c),
        JournalEntry::Timeout { step, round } => timeout(*step, *round),
        JournalEntry::Validated { block, round, proposer, valid } => {
            validated(height, *block, *round, *proposer, *valid)
        }
        JournalEntry::Block(_) => return None,
    })
}

pub(crate) fn vote(vote: &Vote) -> EngineInput {
    mc::Input::Vote(vote_in(vote))
}

pub(crate) fn proposal(proposal: &Proposal) -> EngineInput {
    mc::Input::Proposal(proposal_in(proposal))
}

pub(crate) fn polka(polka: &PolkaCertificate) -> EngineInput {
    mc::Input::PolkaCertificate(crate::convert::polka_in(polka))
}

pub(crate) fn round_certificate(certificate: &RoundCertificate) -> EngineInput {
    mc::Input::RoundCertificate(crate::convert::round_certificate_in(certificate))
}

pub(crate) fn timeout(step: TimeoutStep, round: Round) -> EngineInput {
    let round = round_in(round);
    mc::Input::TimeoutElapsed(match step {
        TimeoutStep::Propose => mt::Timeout::propose(round),
        TimeoutStep::Prevote => mt::Timeout::prevote(round),
        TimeoutStep::Precommit => mt::Timeout::precommit(round),
    })
}

/// A block was validated. `round` and `proposer` are the header's; the engine pairs it with proposals of any round by id.
pub(crate) fn validated(height: Height, block: BlockId, round: Round, proposer: PublicKey, valid: bool) -> EngineInput {
    let value = mc::ProposedValue {
        height: H(height.0),
        round: round_in(round),
        valid_round: mt::Round::Nil,
        proposer: Key(proposer),
        value: ValueId(block),
        validity: mt::Validity::from_bool(valid),
    };
    mc::Input::ProposedValue(value, mt::ValueOrigin::Consensus)
}

/// Our own block for a round we lead.
pub(crate) fn propose(height: Height, round: Round, block: BlockId) -> EngineInput {
    mc::Input::Propose(mc::LocallyProposedValue::new(H(height.0), round_in(round), ValueId(block)))
}
