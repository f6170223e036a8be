//! Questions about consensus and its validators.

use crate::Service;
use crate::chain::{check_final, ratio};
use crate::failures::unreadable;
use async_trait::async_trait;
use std::collections::BTreeSet;
use timed_consensus::{ConsensusStatus, SigningStatus, quorum};
use timed_ledger::{
    LedgerQueries as _, LedgerView, MasternodeProof, RegistrationId, TransactionBody, TransactionPayload, Witness,
};
use timed_primitives::{BlockId, PublicKey, SecretKey};
use timed_rpc::result::{ConsensusInfo, MasternodeInfo, ValidatorVotes};
use timed_rpc::{ChainMasternodes, ConsensusApi, ProvedMasternode, RpcError};

#[async_trait]
impl ConsensusApi for Service {
    async fn consensus_info(&self) -> Result<ConsensusInfo, RpcError> {
        let status = self.consensus_status()?;
        let total = status.validators.iter().map(|v| v.power).sum();
        let connected_power = status.validators.iter().filter(|v| v.is_connected).map(|v| v.power).sum();
        let finality = self.mempool_status()?.finality;
        let signing_off_reason = self.signing_warning(&status);
        let millis = |d: std::time::Duration| d.as_secs_f64() * 1_000.0;
        let deciding: BTreeSet<PublicKey> = status.validators.iter().map(|v| v.key).collect();
        let decides = |key: &PublicKey| deciding.contains(key);
        Ok(ConsensusInfo {
            height: status.height.0,
            round: status.round.unwrap_or_default().0,
            step: if status.is_idle { "idle".into() } else { status.step.into() },
            proposer: status.proposer.map(Into::into),
            proposal: status.proposal.map(Into::into),
            why: match (&status.quorum_line, &signing_off_reason) {
                (Some(line), _) => line.clone(),
                (None, Some(reason)) => format!("{}; this node does not sign: {reason}", status.why),
                (None, None) => status.why,
            },
            voting_power: total,
            quorum_power: quorum(total),
            connected_power,
            has_quorum: status.quorum_line.is_none(),
            validators: status
                .validators
                .iter()
                .map(|v| ValidatorVotes {
                    key: v.key.into(),
                    name: Some(v.label.clone()),
                    power: v.power,
                    connected: v.is_connected,
                    prevote: v.prevote.map(vote_text),
                    precommit: v.precommit.map(vote_text),
                })
                .collect(),
            validator: self.identity.validator.filter(decides).map(Into::into),
            signing: status.signing == SigningStatus::On,
            signing_off_reason,
            finality_last_ms: finality.last.map(millis),
            finality_p50_ms: finality.p50.map(millis),
            finality_p99_ms: finality.p99.map(millis),
        })
    }

    async fn masternodes(&self) -> Result<Vec<MasternodeInfo>, RpcError> {
        let read = |view: &LedgerView| {
            let presence = view.state().rewards().presence();
            Ok((view.validators(view.height().next()), presence, chain_masternodes(view)))
        };
        let (set, presence, all) = self.chain.read(read).await?;
        let view = self.peers();
        let peers = &view.peers;
        let rows = all.rows(self.chain.genesis().network).into_iter().map(|row| {
            let key = row.key.0;
            let is_self = self.identity.validator == Some(key);
            let peer = peers.iter().find(|peer| peer.validator == Some(key));
            let presence = presence.get(&row.registration.0);
            let power = set.get(&key).map_or(0, |validator| validator.power);
            MasternodeInfo {
                name: Some(self.identity.labels.get(&key).cloned().unwrap_or_else(|| key.short())),
                power,
                power_percent: 100.0 * ratio(power, set.total_power()),
                is_self,
                connected: is_self || peer.is_some(),
                addr: peer.map(|peer| peer.address.clone()),
                node_key: peer.map(|peer| peer.key.into()),
                last_signed: presence.and_then(|one| one.last_signed).map(|height| height.0),
                signed_percent: presence.map(|one| 100.0 * ratio(one.signed.into(), one.expected.into())),
                ..row
            }
        });
        Ok(rows.collect())
    }

    async fn chain_masternodes(&self) -> Result<ChainMasternodes, RpcError> {
        self.chain.read(|view| Ok(chain_masternodes(view))).await
    }

    async fn masternode_proof(&self, id: RegistrationId) -> Result<ProvedMasternode, RpcError> {
        let read = move |view: &LedgerView| {
            let proof = MasternodeProof::of(view.state().masternodes(), &id).ok_or(RpcError::MasternodeUnknown(id))?;
            let height = view.height();
            let decided = view.decided(height).map_err(unreadable)?;
            let decided = decided.ok_or(RpcError::HeightUnknown { height, tip: height })?;
            let (header, certificate) = (decided.block.header.clone(), (*decided.certificate).clone());
            Ok(ProvedMasternode { proof, header, certificate })
        };
        self.chain.read(read).await
    }

    async fn verify_masternode_proof(&self, proof: ProvedMasternode) -> Result<(), RpcError> {
        let read = move |view: &LedgerView| {
            let ProvedMasternode { proof, header, certificate } = &proof;
            check_final(view, header, certificate).map_err(|fault| fault.of(RpcError::MasternodeProof))?;
            let led = proof.verify(&header.masternode_root);
            led.map_err(|error| RpcError::MasternodeProof(error.to_string()))
        };
        self.chain.read(read).await
    }

    fn consensus_key(&self) -> Option<PublicKey> {
        self.consensus_key.as_ref().map(SecretKey::public)
    }

    fn operator_witness(&self, body: &TransactionBody) -> Option<Witness> {
        let key = self.consensus_key.as_ref()?;
        // Money is never moved by the key that votes.
        let is_change = !matches!(body.payload, TransactionPayload::Transfer | TransactionPayload::Release { .. });
        is_change.then(|| Witness::Key { key: key.public(), signature: key.sign(&body.signing_message()) })
    }
}

/// The list of the chain after the last block of a view.
fn chain_masternodes(view: &LedgerView) -> ChainMasternodes {
    let parameters = &view.genesis().parameters;
    ChainMasternodes {
        list: view.state().masternodes().clone(),
        height: view.height(),
        time: view.tip().time,
        free_deposit: parameters.free_deposit,
        unbonding_ms: parameters.unbonding_ms,
    }
}

impl Service {
    pub(crate) fn consensus_status(&self) -> Result<ConsensusStatus, RpcError> {
        let status = self.handles.consensus.borrow().clone();
        status.ok_or_else(|| RpcError::Warmup("consensus is starting; try again in a moment".into()))
    }

    /// Why this validator does not sign; `None` when it does, or is none.
    pub(crate) fn signing_warning(&self, status: &ConsensusStatus) -> Option<String> {
        self.identity.validator?;
        // Who has a key that is no masternode's is an observer until then, and nothing is wrong.
        let is_expected = matches!(status.signing, SigningStatus::On | SigningStatus::NotValidator);
        (!is_expected).then(|| status.signing.to_string())
    }
}

fn vote_text(block: Option<BlockId>) -> String {
    block.map_or_else(|| "nil".into(), |id| id.to_string())
}
