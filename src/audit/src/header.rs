//! What a header says of the blocks before it and of its own body.

use crate::error::{AuditFault, Commitment};
use crate::power::Voters;
use timed_primitives::{Block, BlockId, ChainId, CommitCertificate, Hash, Header, Height, UnixTime};

/// The header says this of that.
pub(crate) fn check_hash(what: Commitment, block: Hash, audit: Hash) -> Result<(), AuditFault> {
    if block == audit { Ok(()) } else { Err(AuditFault::Header { what, block, audit }) }
}

/// Where the chain stands.
#[derive(Clone, Debug)]
pub(crate) struct AuditedTip {
    pub(crate) chain: ChainId,
    pub(crate) parameters_hash: Hash,
    pub(crate) height: Height,
    pub(crate) id: BlockId,
    pub(crate) time: UnixTime,
    /// Of the last block's height, and of the two above it.
    pub(crate) voters: [Voters; 3],
}

impl AuditedTip {
    /// The place in the chain, and who decides.
    pub(crate) fn check_header(&self, header: &Header) -> Result<(), AuditFault> {
        if header.height != self.height.next() {
            return Err(AuditFault::NotNext { found: header.height });
        }
        if header.chain_id != self.chain {
            return Err(AuditFault::Chain { found: header.chain_id, expected: self.chain });
        }
        check_hash(Commitment::Parent, header.parent.0, self.id.0)?;
        if header.time <= self.time {
            return Err(AuditFault::Time { found: header.time, parent: self.time });
        }
        check_hash(Commitment::Parameters, header.parameters_hash, self.parameters_hash)?;
        let [_, voters, next] = &self.voters;
        check_hash(Commitment::Validators, header.validators_hash, voters.hash())?;
        check_hash(Commitment::NextValidators, header.next_validators_hash, next.hash())?;
        voters.of_key(&header.proposer).map(|_| ()).ok_or(AuditFault::Proposer(header.proposer))
    }

    /// The certificate that the block carries is that of its parent, by those who voted there.
    pub(crate) fn check_parent_certificate(&self, block: &Block) -> Result<(), AuditFault> {
        let found = block.parent_certificate.as_ref();
        if found.is_some() != (block.header.height > Height::FIRST) {
            return Err(AuditFault::CertificatePresence { has: found.is_some() });
        }
        let hash = found.map_or(Hash::ZERO, CommitCertificate::hash);
        check_hash(Commitment::ParentCertificate, block.header.parent_certificate_hash, hash)?;
        let [parents, ..] = &self.voters;
        found.map_or(Ok(()), |certificate| check_certificate(certificate, self.height, self.id, parents))
    }

    /// The certificate that comes with the block.
    pub(crate) fn check_own_certificate(
        &self,
        block: &Block,
        certificate: &CommitCertificate,
    ) -> Result<(), AuditFault> {
        let [_, voters, _] = &self.voters;
        check_certificate(certificate, block.header.height, block.id(), voters)
    }
}

/// Of this block, by voters with more than two thirds of the power, in order. Signatures apart.
fn check_certificate(
    certificate: &CommitCertificate,
    height: Height,
    block: BlockId,
    voters: &Voters,
) -> Result<(), AuditFault> {
    if (certificate.height, certificate.block) != (height, block) {
        let CommitCertificate { height, block: found, .. } = *certificate;
        return Err(AuditFault::CertificateOf { height, block: found, expected: block });
    }
    let (mut signed, mut before) = (0, None);
    for key in certificate.signatures.iter().map(|one| one.validator) {
        match voters.of_key(&key) {
            Some(voter) if before < Some(key) => signed += voter.power,
            _ => return Err(AuditFault::CertificateSigner { height, key }),
        }
        before = Some(key);
    }
    let total = voters.total();
    let is_quorum = 3 * u128::from(signed) > 2 * u128::from(total);
    if is_quorum { Ok(()) } else { Err(AuditFault::CertificatePower { height, signed, total }) }
}
