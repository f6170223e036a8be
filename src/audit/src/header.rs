//! What a header says of the blocks before it and of its own body.

use crate::error::{AuditFault, Commitment};
use crate::flow::Audit;
use crate::power::Seats;
use timed_primitives::{Block, BlockId, CommitCertificate, Hash, Header, Height};

/// The header says this of that.
pub(crate) fn check_hash(what: Commitment, block: Hash, audit: Hash) -> Result<(), AuditFault> {
    if block == audit { Ok(()) } else { Err(AuditFault::Header { what, block, audit }) }
}

impl Audit {
    /// The place in the chain, and who decides.
    pub(crate) fn check_header(&self, header: &Header) -> Result<(), AuditFault> {
        if header.height != self.height.next() {
            return Err(AuditFault::NotNext { found: header.height });
        }
        if header.chain_id != self.genesis.chain_id {
            return Err(AuditFault::Chain { found: header.chain_id, expected: self.genesis.chain_id });
        }
        check_hash(Commitment::Parent, header.parent.0, self.tip.0)?;
        if header.time <= self.time {
            return Err(AuditFault::Time { found: header.time, parent: self.time });
        }
        check_hash(Commitment::Parameters, header.parameters_hash, self.parameters_hash)?;
        let [_, seats, next] = &self.seats;
        check_hash(Commitment::Validators, header.validators_hash, seats.hash())?;
        check_hash(Commitment::NextValidators, header.next_validators_hash, next.hash())?;
        seats.of_key(&header.proposer).map(|_| ()).ok_or(AuditFault::Proposer(header.proposer))
    }

    /// The certificate that the block carries is that of its parent, by those who had seats there.
    pub(crate) fn check_parent_certificate(&self, block: &Block) -> Result<(), AuditFault> {
        let found = block.parent_certificate.as_ref();
        if found.is_some() != (block.header.height > Height::FIRST) {
            return Err(AuditFault::CertificatePresence { has: found.is_some() });
        }
        let hash = found.map_or(Hash::ZERO, CommitCertificate::hash);
        check_hash(Commitment::ParentCertificate, block.header.parent_certificate_hash, hash)?;
        let [parents, ..] = &self.seats;
        found.map_or(Ok(()), |certificate| check_certificate(certificate, self.height, self.tip, parents))
    }

    /// The certificate that comes with the block.
    pub(crate) fn check_own_certificate(
        &self,
        block: &Block,
        certificate: &CommitCertificate,
    ) -> Result<(), AuditFault> {
        let [_, seats, _] = &self.seats;
        check_certificate(certificate, block.header.height, block.id(), seats)
    }
}

/// Of this block, by seats with more than two thirds of the power, in order. Signatures apart.
fn check_certificate(
    certificate: &CommitCertificate,
    height: Height,
    block: BlockId,
    seats: &Seats,
) -> Result<(), AuditFault> {
    if (certificate.height, certificate.block) != (height, block) {
        let CommitCertificate { height, block: found, .. } = *certificate;
        return Err(AuditFault::CertificateOf { height, block: found, expected: block });
    }
    let (mut signed, mut before) = (0, None);
    for key in certificate.signatures.iter().map(|one| one.validator) {
        match seats.of_key(&key) {
            Some(seat) if before < Some(key) => signed += seat.power,
            _ => return Err(AuditFault::CertificateSigner { height, key }),
        }
        before = Some(key);
    }
    let total = seats.total();
    let is_quorum = 3 * u128::from(signed) > 2 * u128::from(total);
    if is_quorum { Ok(()) } else { Err(AuditFault::CertificatePower { height, signed, total }) }
}
