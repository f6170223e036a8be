//! That an old block is part of the chain, by the certificate of a recent one.

use crate::block::Header;
use crate::block_id::BlockId;
use crate::hash::Hash;
use crate::history::HistoryPath;
use crate::number::{ChainId, Height};
use crate::vote::CommitCertificate;
use borsh::{BorshDeserialize, BorshSerialize};

/// What convinces whoever knows the validators of one height that an older block is final.
///
/// Its size is that of two headers and one certificate, and 32 bytes for each hash of the path: [`crate::history_path_max`] of them at most.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HistoryProof {
    /// Header of the old block.
    pub block: Header,
    /// Header of the later block, whose [`Header::history_root`] covers the old one.
    pub at: Header,
    /// Why the later block is final.
    pub certificate: CommitCertificate,
    /// From the old block to that root.
    pub path: HistoryPath,
}

/// A proof that proves nothing, whoever the validators are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryProofError {
    /// Two chains.
    #[error("the proof is of two chains: {block} in the old header, {at} in the later one")]
    OtherChain {
        /// Of the old block.
        block: ChainId,
        /// Of the later one.
        at: ChainId,
    },
    /// A header covers only what is before it, and genesis is no block.
    #[error(
        "a header of height {at} says nothing of height {height}: it covers the blocks from 1 to the one before it"
    )]
    NotCovered {
        /// Of the old block.
        height: Height,
        /// Of the later one.
        at: Height,
    },
    /// The certificate belongs elsewhere.
    #[error(
        "the certificate is for block {certified} of height {height}, the later header is block {at} of height {at_height}"
    )]
    OtherCertificate {
        /// Whose certificate it is.
        certified: BlockId,
        /// That block's height.
        height: Height,
        /// The later block.
        at: BlockId,
        /// Its height.
        at_height: Height,
    },
    /// The hashes do not add up.
    #[error(
        "the path does not lead from block {block} of height {height} to the history root {root} of {count} blocks"
    )]
    Path {
        /// The old block.
        block: BlockId,
        /// Its height.
        height: Height,
        /// What the later header says.
        root: Hash,
        /// How many blocks that covers.
        count: u64,
    },
}

impl HistoryProof {
    /// Checks all but the certificate's signatures: that the old block is final if the later one is. Whether the later one is, the caller
    /// checks by the certificate and the validators of its height.
    ///
    /// # Errors
    /// [`HistoryProofError`] names the first thing that does not fit.
    pub fn check(&self) -> Result<(), HistoryProofError> {
        let (block, at) = (&self.block, &self.at);
        if block.chain_id != at.chain_id {
            return Err(HistoryProofError::OtherChain { block: block.chain_id, at: at.chain_id });
        }
        if block.height < Height::FIRST || block.height >= at.height {
            return Err(HistoryProofError::NotCovered { height: block.height, at: at.height });
        }
        let (id, certificate) = (at.id(), &self.certificate);
        if certificate.block != id || certificate.height != at.height {
            let (certified, height) = (certificate.block, certificate.height);
            return Err(HistoryProofError::OtherCertificate { certified, height, at: id, at_height: at.height });
        }
        let (id, root, count) = (block.id(), at.history_root, at.blocks_before());
        if !self.path.proves(&root, count, block.height, &id) {
            return Err(HistoryProofError::Path { block: id, height: block.height, root, count });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BLOCK_VERSION;
    use crate::history::{HistoryNode, HistoryPeaks};
    use crate::{PublicKey, Round, UnixTime};
    use std::collections::BTreeMap;

    fn header(height: u64, history_root: Hash) -> Header {
        Header {
            version: BLOCK_VERSION,
            chain_id: ChainId(7),
            height: Height(height),
            time: UnixTime(height),
            parent: BlockId::default(),
            proposer: PublicKey([1; 32]),
            first_round: Round(0),
            tx_root: Hash::ZERO,
            state_commitment: Hash::ZERO,
            history_root,
            masternode_root: Hash::ZERO,
            output_root: Hash::ZERO,
            validators_hash: Hash::ZERO,
            next_validators_hash: Hash::ZERO,
            parent_certificate_hash: Hash::ZERO,
            evidence_root: Hash::ZERO,
            parameters_hash: Hash::ZERO,
        }
    }

    /// Of block `height` by block 9.
    fn proof(height: u64) -> HistoryProof {
        let (mut peaks, mut nodes, mut headers) = (HistoryPeaks::default(), BTreeMap::new(), Vec::new());
        for number in 1..=9 {
            let next = header(number, peaks.root());
            if number < 9 {
                let made = (0..).zip(peaks.append(&next.id()));
                nodes.extend(made.map(|(level, hash)| (HistoryNode { last: Height(number), level }, hash)));
            }
            headers.push(next);
        }
        let path = HistoryPath::from_nodes(8, Height(height), |at| nodes.get(&at).copied().ok_or(()));
        let (block, at) = (headers[height as usize - 1].clone(), headers[8].clone());
        let certificate = CommitCertificate { height: Height(9), round: Round(0), block: at.id(), signatures: vec![] };
        HistoryProof { block, at, certificate, path: path.unwrap().unwrap() }
    }

    #[test]
    fn a_proof_holds_as_it_is_and_with_nothing_changed() {
        use HistoryProofError as E;
        for height in 1..=8 {
            let good = proof(height);
            assert_eq!(good.check(), Ok(()));
            assert_eq!(crate::decode::<HistoryProof>(&crate::encode(&good)).unwrap(), good);
            let with = |change: fn(&mut HistoryProof)| {
                let mut changed = good.clone();
                change(&mut changed);
                changed.check().unwrap_err()
            };
            assert!(matches!(with(|p| p.block.chain_id = ChainId(8)), E::OtherChain { .. }));
            assert!(matches!(with(|p| p.block.height = Height(0)), E::NotCovered { .. }));
            assert!(matches!(with(|p| p.block.height = Height(9)), E::NotCovered { .. }));
            assert!(matches!(with(|p| p.block.height = Height(u64::MAX)), E::NotCovered { .. }));
            assert!(matches!(with(|p| p.block.time = UnixTime(99)), E::Path { count: 8, .. }));
            assert!(matches!(with(|p| p.path = proof(p.block.height.0 % 8 + 1).path), E::Path { .. }));
            assert!(matches!(with(|p| p.at.history_root = Hash::ZERO), E::OtherCertificate { .. }));
            assert!(matches!(with(|p| p.certificate.height = Height(8)), E::OtherCertificate { .. }));
            let other_root = with(|p| {
                p.at.history_root = Hash::ZERO;
                p.certificate.block = p.at.id();
            });
            assert!(matches!(other_root, E::Path { root: Hash::ZERO, .. }));
        }
    }
}
