//! Proofs of what the list of masternodes says.

use super::shape::json;
use crate::chain::CertificateInfo;
use crate::error::RpcError;
use crate::masternodes::ProvedMasternode;
use crate::node::NodeApi;
use crate::params::Args;
use crate::text::Text;
use serde::Serialize;
use serde_json::Value;
use timed_ledger::{ListEntry, RegistrationId};
use timed_primitives::{BlockId, Hash, PublicKey, decode, encode};

/// Names of the numbers of [`timed_ledger::MasternodeStatus`].
const STATUSES: [&str; 6] = ["active", "paused", "leaving", "left", "jailed", "ended"];

/// `getmasternodeproof`: the whole proof in hex, and its parts.
#[derive(Serialize)]
struct ProofInfo {
    proof: String,
    #[serde(flatten)]
    entry: ListEntryInfo,
    /// Canonical bytes of the entry.
    entry_hex: String,
    /// Among the entries, from 0.
    position: u32,
    count: u32,
    /// From the entry upward.
    path: Vec<Text<Hash>>,
    root: Text<Hash>,
    height: u64,
    blockhash: Text<BlockId>,
    header: String,
    certificate: CertificateInfo,
}

/// What an entry says.
#[derive(Serialize)]
struct ListEntryInfo {
    registration: Text<RegistrationId>,
    operator: Text<PublicKey>,
    service: String,
    tier: String,
    status: &'static str,
    /// Over all that the list has of it.
    details_hash: Text<Hash>,
}

impl From<&ListEntry> for ListEntryInfo {
    fn from(entry: &ListEntry) -> Self {
        Self {
            registration: entry.id.into(),
            operator: entry.operator.into(),
            service: entry.service.to_string(),
            tier: entry.tier.to_string(),
            status: STATUSES.get(usize::from(entry.status)).copied().unwrap_or("unknown"),
            details_hash: entry.details.into(),
        }
    }
}

/// `verifymasternodeproof`: what is proved, and by what.
#[derive(Serialize)]
struct ProvedInfo {
    #[serde(flatten)]
    entry: ListEntryInfo,
    height: u64,
    blockhash: Text<BlockId>,
}

pub(super) async fn prove(node: &dyn NodeApi, id: RegistrationId) -> Result<Value, RpcError> {
    let proved = node.masternode_proof(id).await?;
    let whole = hex::encode(encode(&(&proved.proof, &proved.header, &proved.certificate)));
    let ProvedMasternode { proof, header, certificate } = &proved;
    json(ProofInfo {
        proof: whole,
        entry: (&proof.entry).into(),
        entry_hex: hex::encode(encode(&proof.entry)),
        position: proof.position,
        count: proof.count,
        path: proof.path.iter().copied().map(Text).collect(),
        root: header.masternode_root.into(),
        height: header.height.0,
        blockhash: header.id().into(),
        header: hex::encode(encode(header)),
        certificate: certificate.into(),
    })
}

pub(super) async fn verify(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let bytes = hex::decode(args.text("proof")?.trim());
    let bytes = bytes.map_err(|error| RpcError::MasternodeProofEncoding(format!("not hex: {error}")))?;
    let parts = decode(&bytes).map_err(|error| RpcError::MasternodeProofEncoding(error.to_string()))?;
    let (proof, header, certificate) = parts;
    let proved = ProvedMasternode { proof, header, certificate };
    let info = ProvedInfo {
        entry: (&proved.proof.entry).into(),
        height: proved.header.height.0,
        blockhash: proved.header.id().into(),
    };
    node.verify_masternode_proof(proved).await?;
    json(info)
}
