//! Blocks that were changed after they were made.

use rand::RngExt as _;
use rand::rngs::StdRng;
use timed_primitives::{Block, Hash, PayloadFormat, SecretKey, UnixTime};

/// Another block of the same place: as good as the first, or with one rule broken. What the header commits to is made to fit again, so
/// that only the rule itself can find.
pub(super) fn changed_block(mut block: Block, is_invalid: bool, format: PayloadFormat, rng: &mut StdRng) -> Block {
    let header = &mut block.header;
    if !is_invalid {
        header.time = UnixTime(header.time.0 + 1);
        return block;
    }
    match rng.random_range(0..10) {
        0 => header.state_commitment = Hash(rng.random()),
        1 => header.tx_root = Hash(rng.random()),
        2 => header.time = UnixTime(rng.random_range(0..1_000)),
        3 => header.time = UnixTime(header.time.0 + 3_600_000),
        4 => header.parent.0 = Hash(rng.random()),
        5 => {
            let hash = Hash(rng.random());
            let named = match (hash.0[0].is_multiple_of(2), hash.0[1] % 3) {
                (true, _) => &mut header.history_root,
                (false, 0) => &mut header.masternode_root,
                (false, 1) => &mut header.evidence_root,
                (false, _) => &mut header.next_validators_hash,
            };
            *named = hash;
        }
        6 => header.version += 1,
        7 => header.proposer = SecretKey::development("consensus", rng.random_range(1..=100)).public(),
        8 => {
            // Every transaction twice: twice their number, then their list, then the same again.
            if let Some((count, list)) = block.payload.0.split_first_chunk::<4>() {
                let count = u32::from_le_bytes(*count).saturating_mul(2);
                block.payload.0 = [&count.to_le_bytes()[..], list, list].concat();
            }
            header.tx_root = (format.root)(&block.payload).unwrap_or_default();
            header.parameters_hash = Hash(rng.random());
        }
        _ => {
            if let Some(certificate) = &mut block.parent_certificate {
                certificate.signatures.truncate(1);
                header.parent_certificate_hash = certificate.hash();
            } else {
                header.height = header.height.next();
            }
        }
    }
    block
}

/// A compact block with these names in the place of the block's transactions, and with one more that is given, `misplaced` where no block has it.
pub(super) fn false_names(block: &Block, names: &[[u8; 6]], misplaced: bool) -> Vec<u8> {
    let position = u32::try_from(names.len() + usize::from(misplaced)).unwrap_or(u32::MAX);
    let given = [(position, vec![0_u8; 100])];
    timed_primitives::encode(&(&block.header, &block.parent_certificate, names, &given[..]))
}
