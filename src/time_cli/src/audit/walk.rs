//! Block after block of a running node.

use super::command::GENESIS;
use super::progress::WalkProgress;
use super::report::{audit_report, difference_report};
use crate::connect::{Failure, NodeConnection};
use clap::ArgMatches;
use serde_json::{Value, json};
use std::path::PathBuf;
use timed_audit::{Audit, AuditError};
use timed_config::DEVNET_NODES_MAX;
use timed_ledger::Genesis;
use timed_primitives::{Block, CommitCertificate, CommitSignature, Hash, Round, Signature, decode};
use timed_rpc::chain::{CertificateInfo, CertificateSignature};

/// Blocks that are asked for together: with two digits for each byte, at most 32 MiB.
const BLOCKS_AT_ONCE: u64 = 16;

/// Audits all blocks that there were when it began. What differs is part of the report.
pub(crate) fn run(matches: &ArgMatches, sub: &ArgMatches) -> Result<(Value, Option<AuditError>), Failure> {
    let mut node = AuditedNode(NodeConnection::open(matches)?);
    let genesis = node.genesis(sub.get_one::<PathBuf>(GENESIS))?;
    let last = node.number("getblockcount")?;
    let mut progress = WalkProgress::new(last);
    let audited = audit(&mut node, &genesis, last, &mut progress);
    progress.end();
    match audited? {
        Ok(audit) => Ok((audit_report(&audit.summary()), None)),
        Err(error) => Ok((difference_report(&error), Some(error))),
    }
}

/// Heights 1 to `last`. The certificate of each block is in the one after it; that of the last is asked for.
fn audit(
    node: &mut AuditedNode,
    genesis: &Genesis,
    last: u64,
    progress: &mut WalkProgress,
) -> Result<Result<Audit, AuditError>, Failure> {
    let mut audit = match Audit::new(genesis) {
        Ok(audit) => audit,
        Err(error) => return Ok(Err(error)),
    };
    let mut before: Option<Block> = None;
    for first in (1..=last).step_by(usize::try_from(BLOCKS_AT_ONCE).unwrap_or(1)) {
        for block in node.blocks(first..=last.min(first + BLOCKS_AT_ONCE - 1))? {
            let decided = before.as_ref().zip(block.parent_certificate.as_ref());
            if let Some(Err(error)) = decided.map(|(before, certificate)| audit.apply(before, certificate)) {
                return Ok(Err(error));
            }
            progress.at(block.header.height.0, block.header.height.0);
            before = Some(block);
        }
    }
    if let Some(block) = &before {
        let certificate = node.certificate(block)?;
        if let Err(error) = audit.apply(block, &certificate) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(audit))
}

struct AuditedNode(NodeConnection);

impl AuditedNode {
    /// That of the file, or of the development network with the node's genesis.
    fn genesis(&mut self, file: Option<&PathBuf>) -> Result<Genesis, Failure> {
        let hash: Hash = self.parsed("getblockhash", json!([0]))?;
        let genesis = match file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))?;
                Genesis::from_json(&text).map_err(|error| Failure::Usage(error.to_string()))?
            }
            None => {
                (1..=DEVNET_NODES_MAX).map(Genesis::devnet).find(|genesis| genesis.hash() == hash).ok_or_else(|| {
                    Failure::Usage(format!(
                        "{hash} is no development network's genesis: name the genesis file by --genesis"
                    ))
                })?
            }
        };
        match genesis.hash() {
            found if found == hash => Ok(genesis),
            found => {
                Err(Failure::Usage(format!("the node's chain is of genesis {hash}, the file is of genesis {found}")))
            }
        }
    }

    fn number(&mut self, method: &str) -> Result<u64, Failure> {
        let answer = self.0.call(method, Value::Null)?;
        answer.as_u64().ok_or_else(|| unreadable(method))
    }

    fn parsed<T: std::str::FromStr>(&mut self, method: &str, params: Value) -> Result<T, Failure> {
        let answer = self.0.call(method, params)?;
        answer.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| unreadable(method))
    }

    /// Those of these heights, in order.
    fn blocks(&mut self, heights: std::ops::RangeInclusive<u64>) -> Result<Vec<Block>, Failure> {
        let answers = self.0.batch(heights.map(|height| ("getblock", json!([height, 0]))).collect())?;
        let read = |answer: Result<Value, Failure>| {
            let answer = answer?;
            let bytes = answer.as_str().and_then(|text| hex::decode(text).ok());
            bytes.and_then(|bytes| decode(&bytes).ok()).ok_or_else(|| unreadable("getblock"))
        };
        answers.into_iter().map(read).collect()
    }

    /// The one that the node has for a block, which may be none that another block carries.
    fn certificate(&mut self, block: &Block) -> Result<CommitCertificate, Failure> {
        let answer = self.0.call("getblock", json!([block.header.height.0, 1]))?;
        let info = answer.get("certificate").cloned().and_then(|info| serde_json::from_value(info).ok());
        let info: CertificateInfo = info.ok_or_else(|| unreadable("getblock"))?;
        let signed = |one: &CertificateSignature| {
            let mut bytes = [0; 64];
            hex::decode_to_slice(&one.signature, &mut bytes).ok()?;
            Some(CommitSignature { validator: one.validator.0, signature: Signature(bytes) })
        };
        let signatures: Option<Vec<_>> = info.signatures.iter().map(signed).collect();
        let signatures = signatures.ok_or_else(|| unreadable("getblock"))?;
        Ok(CommitCertificate { height: block.header.height, round: Round(info.round), block: block.id(), signatures })
    }
}

fn unreadable(method: &str) -> Failure {
    Failure::Refused(format!("the node's answer to {method} cannot be read: is it of another version?"))
}
