//! The genesis, which clients see as the block of height 0.

use crate::chain::BlockInfo;
use crate::error::RpcError;
use crate::node::{GenesisFacts, NodeApi};
use timed_ledger::Transaction;
use timed_primitives::block::BLOCK_VERSION;
use timed_primitives::{Block, BlockId, BlockPayload, Hash, Header, Height, PublicKey, Round, encode};

pub(super) async fn genesis_info<T>(node: &dyn NodeApi) -> Result<BlockInfo<T>, RpcError> {
    let (height, _) = node.tip().await?;
    let next = if height == Height::GENESIS { None } else { Some(node.block_id(Height::FIRST).await?) };
    Ok(BlockInfo::genesis(&node.genesis().await?, height.0 + 1, next))
}

/// What stands for the genesis where a client wants bytes: a block of height 0 that nobody proposed and that holds no transaction. The genesis is
/// a file, whose hash names it and is not the hash of these bytes.
pub(super) fn genesis_block(facts: &GenesisFacts) -> Block {
    let no_transactions: Vec<Transaction> = Vec::new();
    Block {
        header: Header {
            version: BLOCK_VERSION,
            chain_id: facts.chain_id,
            height: Height::GENESIS,
            time: facts.time,
            parent: BlockId::default(),
            proposer: PublicKey([0; 32]),
            first_round: Round(0),
            tx_root: Hash::default(),
            state_commitment: Hash::default(),
            history_root: Hash::default(),
            masternode_root: Hash::default(),
            output_root: Hash::default(),
            validators_hash: Hash::default(),
            next_validators_hash: Hash::default(),
            parent_certificate_hash: Hash::default(),
            evidence_root: Hash::default(),
            parameters_hash: Hash::default(),
        },
        parent_certificate: None,
        payload: BlockPayload(encode(&no_transactions)),
    }
}
