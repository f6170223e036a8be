//! Proofs that old blocks are part of the chain.

use super::shape::json;
use crate::chain::CertificateInfo;
use crate::error::RpcError;
use crate::node::NodeApi;
use crate::params::Args;
use crate::text::Text;
use serde::Serialize;
use serde_json::Value;
use timed_primitives::{BlockId, Hash, Height, HistoryProof, decode, encode};

/// `gethistoryproof`: the whole proof in hex, and its parts.
#[derive(Serialize)]
struct HistoryProofInfo {
    proof: String,
    height: u64,
    blockhash: Text<BlockId>,
    header: String,
    at_height: u64,
    at_blockhash: Text<BlockId>,
    at_header: String,
    history_root: Text<Hash>,
    /// How many blocks the root covers.
    blocks: u64,
    /// From the block upward.
    path: Vec<Text<Hash>>,
    certificate: CertificateInfo,
}

/// `verifyhistoryproof`: what is proved, and by what.
#[derive(Serialize)]
struct ProvedBlockInfo {
    blockhash: Text<BlockId>,
    height: u64,
    at_blockhash: Text<BlockId>,
    at_height: u64,
}

pub(super) async fn history_proof(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let height = Height(args.integer("height")?);
    let at = if args.is_given("at_height") { Some(Height(args.integer("at_height")?)) } else { None };
    let proof = node.history_proof(height, at).await?;
    let HistoryProof { block, at, certificate, path } = &proof;
    json(HistoryProofInfo {
        proof: hex::encode(encode(&proof)),
        height: block.height.0,
        blockhash: block.id().into(),
        header: hex::encode(encode(block)),
        at_height: at.height.0,
        at_blockhash: at.id().into(),
        at_header: hex::encode(encode(at)),
        history_root: at.history_root.into(),
        blocks: at.blocks_before(),
        path: path.hashes().iter().copied().map(Text).collect(),
        certificate: certificate.into(),
    })
}

pub(super) async fn verify_history_proof(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let bytes = hex::decode(args.text("proof")?.trim());
    let bytes = bytes.map_err(|error| RpcError::HistoryProofEncoding(format!("not hex: {error}")))?;
    let proof: HistoryProof = decode(&bytes).map_err(|error| RpcError::HistoryProofEncoding(error.to_string()))?;
    let proved = ProvedBlockInfo {
        blockhash: proof.block.id().into(),
        height: proof.block.height.0,
        at_blockhash: proof.at.id().into(),
        at_height: proof.at.height.0,
    };
    node.verify_history_proof(proof).await?;
    json(proved)
}
