//! Messages of the consensus core as they travel.

use std::sync::Arc;
use std::time::Duration;
use timed_consensus::key_use::STALE_SESSION_TIME;
use timed_consensus::{Gossip, KeyReport, KnownVotes, OtherNode, OtherSession};
use timed_primitives::{BlockId, DecodeError, Hash, Height, Proposal, PublicKey, Round, Vote, decode, encode};
use timed_wire::ConsensusMessage;
use uuid::Uuid;

/// Longest age of a session that a peer is believed: longer than any lives.
const AGE_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A message of the core as it travels.
pub(super) fn to_wire(gossip: &Gossip) -> ConsensusMessage {
    match gossip {
        Gossip::Vote(vote) => ConsensusMessage::Vote(encode(vote).into()),
        Gossip::Proposal(proposal) => ConsensusMessage::Proposal(encode(proposal).into()),
        Gossip::Polka(polka) => ConsensusMessage::Polka(encode(polka).into()),
        Gossip::RoundCertificate(certificate) => ConsensusMessage::RoundCertificate(encode(certificate).into()),
        Gossip::KnownVotes(known) => ConsensusMessage::VoteSetBits(timed_wire::VoteSetBits {
            height: known.height.0,
            round: known.round.0,
            has_proposal: known.has_proposal,
            has_block: known.has_block,
            prevotes: known.prevotes.clone(),
            precommits: known.precommits.clone(),
        }),
        Gossip::Block(block) => ConsensusMessage::Block(encode(&**block).into()),
        Gossip::GetBlock { height, id } => ConsensusMessage::GetBlock { height: height.0, id: id.0.0 },
        Gossip::KeyReport(report) => ConsensusMessage::KeyReport(timed_wire::WireKeyReport {
            height: report.height.0,
            other: report.other.map(|session| timed_wire::WireOtherSession {
                node: session.other.node.0,
                instance: Uuid::from_u128(session.other.instance),
                address: session.other.address,
                age_ms: u64::try_from(session.age.as_millis()).unwrap_or(u64::MAX),
                left_ms: session.left.map(|left| u32::try_from(left.as_millis()).unwrap_or(u32::MAX)),
                has_signed: session.has_signed,
            }),
        }),
    }
}

/// A message as it travelled, for the core; `None` for what is no business of the core. Nil rounds have no encoding, so none gets in.
pub(super) fn from_wire(message: ConsensusMessage) -> Result<Option<Gossip>, DecodeError> {
    Ok(Some(match message {
        ConsensusMessage::Vote(bytes) => Gossip::Vote(decode::<Vote>(&bytes)?),
        ConsensusMessage::Proposal(bytes) => Gossip::Proposal(decode::<Proposal>(&bytes)?),
        ConsensusMessage::Polka(bytes) => Gossip::Polka(decode(&bytes)?),
        ConsensusMessage::RoundCertificate(bytes) => Gossip::RoundCertificate(decode(&bytes)?),
        ConsensusMessage::VoteSetBits(known) => Gossip::KnownVotes(KnownVotes {
            height: Height(known.height),
            round: Round(known.round),
            has_proposal: known.has_proposal,
            has_block: known.has_block,
            prevotes: known.prevotes,
            precommits: known.precommits,
        }),
        ConsensusMessage::Block(bytes) => Gossip::Block(Arc::new(decode(&bytes)?)),
        ConsensusMessage::GetBlock { height, id } => Gossip::GetBlock { height: Height(height), id: BlockId(Hash(id)) },
        ConsensusMessage::KeyReport(report) => Gossip::KeyReport(KeyReport {
            height: Height(report.height),
            other: report.other.map(|session| OtherSession {
                other: OtherNode {
                    node: PublicKey(session.node),
                    instance: session.instance.as_u128(),
                    address: session.address,
                },
                // What a peer names is bounded, so that no sum of times overflows.
                age: Duration::from_millis(session.age_ms).min(AGE_MAX),
                left: session.left_ms.map(|left| Duration::from_millis(left.into()).min(STALE_SESSION_TIME)),
                has_signed: session.has_signed,
            }),
        }),
        ConsensusMessage::CompactBlock(_)
        | ConsensusMessage::GetBlockTransactions(_)
        | ConsensusMessage::BlockTransactions { .. } => return Ok(None),
    }))
}
