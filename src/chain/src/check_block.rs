//! When a block is valid on top of a tip: one function and one named error for each rule, checked from the chain alone.
//!
//! What needs the state (transactions, state commitment, output root) is checked by [`crate::Chain::validate`]; whether the proposer was the
//! leader and whether the parent's certificate is signed by a quorum is for consensus, which has the one quorum function.

use crate::genesis::ChainGenesis;
use crate::refusal::{Refusal, TransactionFault};
use timed_primitives::block::BLOCK_VERSION;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{
    Block, BlockId, ChainId, CommitCertificate, Hash, Header, Height, HistoryPeaks, PublicKey, Tip, TxId, UnixTime,
    ValidatorSet, encode,
};

/// Why a block cannot follow the tip.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// A format this software does not know.
    #[error(
        "block version {found} is not {BLOCK_VERSION}: {}",
        if *found < BLOCK_VERSION { "it was made by older software, which must be upgraded" } else { "is a newer version of this software out?" }
    )]
    Version {
        /// What the header says.
        found: u16,
    },
    /// A block of another chain.
    #[error("block is for chain {found}, this is chain {expected}")]
    WrongChain {
        /// What the header says.
        found: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// It does not build on our tip.
    #[error("parent is {found}, the tip is {expected}")]
    Parent {
        /// What the header says.
        found: BlockId,
        /// Our tip.
        expected: BlockId,
    },
    /// Time stands still or runs back.
    #[error("time {found} is not after the parent's {parent}")]
    Time {
        /// What the header says.
        found: UnixTime,
        /// The parent's time.
        parent: UnixTime,
    },
    /// The header names another history than the blocks before it are.
    #[error("history root {found} is not {expected}, which is that of the {count} blocks before it")]
    HistoryRoot {
        /// What the header says.
        found: Hash,
        /// What our blocks amount to.
        expected: Hash,
        /// How many they are.
        count: u64,
    },
    /// The header says something else of the application's earlier state than is due: see [`Header::output_root`].
    #[error("output root {found} is not {expected}, which is due in the header of height {height}")]
    OutputRoot {
        /// What the header says.
        found: Hash,
        /// What our state amounted to; zero where nothing is due.
        expected: Hash,
        /// Of which block.
        height: Height,
    },
    /// Made by somebody who does not vote at this height.
    #[error("proposer {0} is no validator of this height")]
    Proposer(PublicKey),
    /// The header names another validator set than the chain does.
    #[error("validators hash {found} is not {expected}")]
    Validators {
        /// What the header says.
        found: Hash,
        /// What the chain says.
        expected: Hash,
    },
    /// The same for the next height.
    #[error("next validators hash {found} is not {expected}")]
    NextValidators {
        /// What the header says.
        found: Hash,
        /// What the chain says.
        expected: Hash,
    },
    /// The header names other parameters.
    #[error("parameters hash {found} is not {expected}")]
    Parameters {
        /// What the header says.
        found: Hash,
        /// What the chain says.
        expected: Hash,
    },
    /// The first block has a certificate, or a later one has none.
    #[error("the block must {}carry its parent's certificate", if *.expected { "" } else { "not " })]
    CertificatePresence {
        /// Whether one is due.
        expected: bool,
    },
    /// The header does not commit to the certificate in the body.
    #[error("parent certificate hash {found} is not {expected}")]
    CertificateHash {
        /// What the header says.
        found: Hash,
        /// Hash of the body's.
        expected: Hash,
    },
    /// The certificate is for another block.
    #[error("the parent certificate is for height {height}, block {block}, not for the parent")]
    CertificateParent {
        /// Its height.
        height: Height,
        /// Its block.
        block: BlockId,
    },
    /// Its signers are not sorted, not unique or no validators.
    #[error("the parent certificate lists {0} out of order, twice, or without a vote")]
    CertificateSigner(PublicKey),
    /// The header does not commit to the statements about behaviour in the body.
    #[error("evidence root {found} is not {expected}")]
    EvidenceRoot {
        /// What the header says.
        found: Hash,
        /// Root over those of the body.
        expected: Hash,
    },
    /// More bytes than the chain allows.
    #[error("block has {size_bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        max: u32,
    },
    /// The header does not commit to the transactions in the body.
    #[error("transaction root {found} is not {expected}")]
    TransactionRoot {
        /// What the header says.
        found: Hash,
        /// Root over the body.
        expected: Hash,
    },
    /// A transaction that cannot be there.
    #[error("transaction {index} ({txid}): {reason}")]
    Transaction {
        /// Position in the block.
        index: usize,
        /// Its id.
        txid: TxId,
        /// The rule.
        #[source]
        reason: TransactionFault,
    },
    /// The payload is not the canonical encoding of a list of the application's transactions.
    #[error("the payload of {size_bytes} bytes is no list of transactions")]
    Payload {
        /// Its size.
        size_bytes: usize,
    },
    /// The application finds the state after the block impossible.
    #[error("{0}")]
    State(#[source] Refusal),
    /// The header names another list of masternodes than the block leads to.
    #[error("masternode root after height {height} is {expected} here, the header says {found}")]
    MasternodeRoot {
        /// Of which block.
        height: Height,
        /// What the header says.
        found: Hash,
        /// What applying the block gives.
        expected: Hash,
    },
    /// The block leads to another state than the header says.
    #[error("state commitment after height {height} is {ours} here, the header says {theirs}")]
    StateCommitment {
        /// Of which block.
        height: Height,
        /// What applying the block gives.
        ours: Hash,
        /// What the header says.
        theirs: Hash,
    },
}

/// What the header is checked against: all of it follows from the chain.
pub(crate) struct Context<'a> {
    pub(crate) chain_id: ChainId,
    pub(crate) parameters_hash: Hash,
    pub(crate) tip: &'a Tip,
    /// All blocks up to the tip.
    pub(crate) history: &'a HistoryPeaks,
    /// Who decides the block's height.
    pub(crate) validators: &'a ValidatorSet,
    /// Who decides the height after it.
    pub(crate) next_validators: &'a ValidatorSet,
    /// Who decided the parent.
    pub(crate) parent_validators: &'a ValidatorSet,
}

/// All rules about the header and the parent's certificate. The height is the caller's: a block that is not next is not invalid.
pub(crate) fn check_header(block: &Block, context: &Context<'_>) -> Result<(), BlockError> {
    let header = &block.header;
    check_chain(header, context.chain_id)?;
    check_parent(header, context.tip)?;
    check_history(header, context.history)?;
    check_validators(header, context.validators, context.next_validators)?;
    check_parameters(header, context.parameters_hash)?;
    check_certificate(block, context.tip, context.parent_validators)
}

/// Right format, right chain.
pub(crate) fn check_chain(header: &Header, chain_id: ChainId) -> Result<(), BlockError> {
    if header.version != BLOCK_VERSION {
        return Err(BlockError::Version { found: header.version });
    }
    if header.chain_id != chain_id {
        return Err(BlockError::WrongChain { found: header.chain_id, expected: chain_id });
    }
    Ok(())
}

/// Builds on the tip, later than it. How far ahead of the clock a fresh time may be is for consensus.
pub(crate) fn check_parent(header: &Header, tip: &Tip) -> Result<(), BlockError> {
    if header.parent != tip.id {
        return Err(BlockError::Parent { found: header.parent, expected: tip.id });
    }
    if header.time <= tip.time {
        return Err(BlockError::Time { found: header.time, parent: tip.time });
    }
    Ok(())
}

/// Commits to all blocks before it.
pub(crate) fn check_history(header: &Header, before: &HistoryPeaks) -> Result<(), BlockError> {
    let (found, expected) = (header.history_root, before.root());
    if found != expected && !is_planted(Bug::HistoryRootUnchecked) {
        return Err(BlockError::HistoryRoot { found, expected, count: before.count() });
    }
    Ok(())
}

/// Says of the application's earlier state what the application says.
pub(crate) fn check_output_root(header: &Header, expected: Hash) -> Result<(), BlockError> {
    let (found, height) = (header.output_root, header.height);
    if found != expected && !is_planted(Bug::OutputRootUnchecked) {
        return Err(BlockError::OutputRoot { found, expected, height });
    }
    Ok(())
}

/// Names the validators that the chain says decide this height and the next, and is made by one of them.
pub(crate) fn check_validators(header: &Header, set: &ValidatorSet, next: &ValidatorSet) -> Result<(), BlockError> {
    let expected = set.hash();
    if header.validators_hash != expected {
        return Err(BlockError::Validators { found: header.validators_hash, expected });
    }
    let expected = next.hash();
    if header.next_validators_hash != expected {
        return Err(BlockError::NextValidators { found: header.next_validators_hash, expected });
    }
    match set.get(&header.proposer) {
        Some(_) => Ok(()),
        None => Err(BlockError::Proposer(header.proposer)),
    }
}

/// Names the chain's parameters.
pub(crate) fn check_parameters(header: &Header, expected: Hash) -> Result<(), BlockError> {
    if header.parameters_hash != expected {
        return Err(BlockError::Parameters { found: header.parameters_hash, expected });
    }
    Ok(())
}

/// Carries the certificate of its parent, which the header commits to, with sorted signers that vote at the parent's height.
pub(crate) fn check_certificate(block: &Block, tip: &Tip, parent_validators: &ValidatorSet) -> Result<(), BlockError> {
    let header = &block.header;
    let due = header.height > Height::FIRST;
    if block.parent_certificate.is_some() != due {
        return Err(BlockError::CertificatePresence { expected: due });
    }
    let expected = certificate_hash(block.parent_certificate.as_ref());
    if header.parent_certificate_hash != expected {
        return Err(BlockError::CertificateHash { found: header.parent_certificate_hash, expected });
    }
    let Some(certificate) = &block.parent_certificate else { return Ok(()) };
    if certificate.height != tip.height || certificate.block != tip.id {
        return Err(BlockError::CertificateParent { height: certificate.height, block: certificate.block });
    }
    let mut last = None;
    for signature in &certificate.signatures {
        let key = signature.validator;
        if last.is_some_and(|last| last >= key) || parent_validators.get(&key).is_none() {
            return Err(BlockError::CertificateSigner(key));
        }
        last = Some(key);
    }
    Ok(())
}

/// What the header says of the certificate in the body; zero for none.
pub(crate) fn certificate_hash(certificate: Option<&CommitCertificate>) -> Hash {
    certificate.map_or(Hash::ZERO, CommitCertificate::hash)
}

/// Fits the chain's bound.
pub(crate) fn check_size(block: &Block, genesis: &ChainGenesis) -> Result<(), BlockError> {
    let size_bytes = size_without_payload(&block.header, block.parent_certificate.as_ref());
    let size_bytes = size_bytes.saturating_add(block.payload.0.len());
    let max = genesis.block_bytes_max;
    if usize::try_from(max).is_ok_and(|max| size_bytes <= max) {
        Ok(())
    } else {
        Err(BlockError::TooLarge { size_bytes, max })
    }
}

/// Size of the canonical encoding of a block without its payload: header, option and certificate.
pub(crate) fn size_without_payload(header: &Header, certificate: Option<&CommitCertificate>) -> usize {
    encode(header).len() + 1 + certificate.map_or(0, |c| encode(c).len())
}

/// The header commits to statements about behaviour with this root.
pub(crate) fn check_evidence_root(header: &Header, expected: Hash) -> Result<(), BlockError> {
    if header.evidence_root != expected {
        return Err(BlockError::EvidenceRoot { found: header.evidence_root, expected });
    }
    Ok(())
}

/// The header commits to transactions with this root.
pub(crate) fn check_transaction_root(header: &Header, expected: Hash) -> Result<(), BlockError> {
    if header.tx_root != expected {
        return Err(BlockError::TransactionRoot { found: header.tx_root, expected });
    }
    Ok(())
}
