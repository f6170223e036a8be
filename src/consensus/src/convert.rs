//! Between the nouns of the network and the engine's types, in both directions.

use crate::context::{Ctx, EngineProposal, EngineVote, H, Key, ValueId};
use arc_malachitebft_core_types as mt;
use mt::{NilOrVal, SignedMessage, VoteType};
use timed_primitives::{
    BlockId, CommitCertificate, CommitSignature, Height, PolkaCertificate, Proposal, Round, RoundCertificate,
    RoundSignature, Signature, Vote, VoteKind,
};

pub(crate) fn round_in(round: Round) -> mt::Round {
    mt::Round::new(round.0)
}

/// `None` for the engine's nil round.
pub(crate) fn round_out(round: mt::Round) -> Option<Round> {
    round.as_u32().map(Round)
}

pub(crate) fn kind_in(kind: VoteKind) -> VoteType {
    match kind {
        VoteKind::Prevote => VoteType::Prevote,
        VoteKind::Precommit => VoteType::Precommit,
    }
}

pub(crate) fn kind_out(kind: VoteType) -> VoteKind {
    match kind {
        VoteType::Prevote => VoteKind::Prevote,
        VoteType::Precommit => VoteKind::Precommit,
    }
}

pub(crate) fn value_in(block: Option<BlockId>) -> NilOrVal<ValueId> {
    block.map_or(NilOrVal::Nil, |id| NilOrVal::Val(ValueId(id)))
}

pub(crate) fn value_out(value: &NilOrVal<ValueId>) -> Option<BlockId> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(id) => Some(id.0),
    }
}

pub(crate) fn vote_in(vote: &Vote) -> mt::SignedVote<Ctx> {
    let engine_vote = EngineVote {
        kind: kind_in(vote.kind),
        height: H(vote.height.0),
        round: round_in(vote.round),
        value: value_in(vote.block),
        validator: Key(vote.validator),
    };
    SignedMessage::new(engine_vote, vote.signature)
}

/// The engine makes no vote with a nil round; such a one would be given round 0.
pub(crate) fn vote_out(engine_vote: &EngineVote, signature: Signature) -> Vote {
    Vote {
        kind: kind_out(engine_vote.kind),
        height: Height(engine_vote.height.0),
        round: round_out(engine_vote.round).unwrap_or_default(),
        block: value_out(&engine_vote.value),
        validator: engine_vote.validator.0,
        signature,
    }
}

pub(crate) fn proposal_in(proposal: &Proposal) -> mt::SignedProposal<Ctx> {
    let engine_proposal = EngineProposal {
        height: H(proposal.height.0),
        round: round_in(proposal.round),
        value: ValueId(proposal.block),
        pol_round: proposal.valid_round.map_or(mt::Round::Nil, round_in),
        proposer: Key(proposal.proposer),
    };
    SignedMessage::new(engine_proposal, proposal.signature)
}

/// As [`vote_out`].
pub(crate) fn proposal_out(engine_proposal: &EngineProposal, signature: Signature) -> Proposal {
    Proposal {
        height: Height(engine_proposal.height.0),
        round: round_out(engine_proposal.round).unwrap_or_default(),
        block: engine_proposal.value.0,
        valid_round: round_out(engine_proposal.pol_round),
        proposer: engine_proposal.proposer.0,
        signature,
    }
}

pub(crate) fn polka_in(polka: &PolkaCertificate) -> mt::PolkaCertificate<Ctx> {
    mt::PolkaCertificate {
        height: H(polka.height.0),
        round: round_in(polka.round),
        value_id: ValueId(polka.block),
        polka_signatures: polka
            .signatures
            .iter()
            .map(|s| mt::PolkaSignature::new(Key(s.validator), s.signature))
            .collect(),
    }
}

pub(crate) fn polka_out(polka: &mt::PolkaCertificate<Ctx>) -> PolkaCertificate {
    let signatures = polka.polka_signatures.iter().map(|s| (s.address, s.signature));
    PolkaCertificate {
        height: Height(polka.height.0),
        round: round_out(polka.round).unwrap_or_default(),
        block: polka.value_id.0,
        signatures: sorted(signatures),
    }
}

pub(crate) fn round_certificate_in(certificate: &RoundCertificate) -> mt::RoundCertificate<Ctx> {
    let signature =
        |s: &RoundSignature| mt::RoundSignature::new(kind_in(s.kind), value_in(s.block), Key(s.validator), s.signature);
    mt::RoundCertificate {
        height: H(certificate.height.0),
        round: round_in(certificate.round),
        cert_type: match certificate.is_precommit {
            true => mt::RoundCertificateType::Precommit,
            false => mt::RoundCertificateType::Skip,
        },
        round_signatures: certificate.signatures.iter().map(signature).collect(),
    }
}

pub(crate) fn round_certificate_out(certificate: &mt::RoundCertificate<Ctx>) -> RoundCertificate {
    RoundCertificate {
        height: Height(certificate.height.0),
        round: round_out(certificate.round).unwrap_or_default(),
        is_precommit: certificate.cert_type == mt::RoundCertificateType::Precommit,
        signatures: certificate
            .round_signatures
            .iter()
            .map(|s| RoundSignature {
                kind: kind_out(s.vote_type),
                block: value_out(&s.value_id),
                validator: s.address.0,
                signature: s.signature,
            })
            .collect(),
    }
}

pub(crate) fn commit_out(certificate: &mt::CommitCertificate<Ctx>) -> CommitCertificate {
    let signatures = certificate.commit_signatures.iter().map(|s| (s.address, s.signature));
    CommitCertificate {
        height: Height(certificate.height.0),
        round: round_out(certificate.round).unwrap_or_default(),
        block: certificate.value_id.0,
        signatures: sorted(signatures),
    }
}

fn sorted(signatures: impl Iterator<Item = (Key, Signature)>) -> Vec<CommitSignature> {
    let mut signatures: Vec<_> =
        signatures.map(|(key, signature)| CommitSignature { validator: key.0, signature }).collect();
    signatures.sort();
    signatures
}
