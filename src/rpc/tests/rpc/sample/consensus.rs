//! What the sample says of consensus.

use super::masternodes::{chain_masternodes, proved_masternode};
use super::{Sample, block, consensus_key, node_key};
use async_trait::async_trait;
use std::sync::atomic::Ordering;
use timed_ledger::{RegistrationId, TransactionBody, Witness};
use timed_primitives::{Network, PublicKey, SecretKey};
use timed_rpc::result::{ConsensusInfo, MasternodeInfo, ValidatorVotes};
use timed_rpc::{ChainMasternodes, ConsensusApi, ProvedMasternode, RpcError, Text};

#[async_trait]
impl ConsensusApi for Sample {
    async fn consensus_info(&self) -> Result<ConsensusInfo, RpcError> {
        let votes = |id: u64, prevote: Option<String>| ValidatorVotes {
            key: consensus_key(id).into(),
            name: Some(format!("node {id}")),
            power: 1,
            connected: id != 3,
            prevote,
            precommit: None,
        };
        let proposal = block(2).id();
        let validators = vec![votes(1, Some(proposal.to_string())), votes(2, Some("nil".into())), votes(3, None)];
        Ok(ConsensusInfo {
            height: 3,
            round: 1,
            step: "prevote".into(),
            proposer: Some(consensus_key(1).into()),
            proposal: Some(proposal.into()),
            why: "no quorum: 2 of 3 voting power, need 3; missing node 3".into(),
            voting_power: 3,
            quorum_power: 3,
            connected_power: 2,
            has_quorum: false,
            validators,
            validator: Some(consensus_key(1).into()),
            signing: true,
            signing_off_reason: None,
            finality_last_ms: Some(21.5),
            finality_p50_ms: Some(20.25),
            finality_p99_ms: None,
        })
    }

    async fn masternodes(&self) -> Result<Vec<MasternodeInfo>, RpcError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let rows = chain_masternodes().rows(Network::Devnet).into_iter().zip(1..).map(|(row, id)| {
            let votes = id <= 2;
            MasternodeInfo {
                name: votes.then(|| format!("node {id}")),
                power: u64::from(votes),
                power_percent: if votes { 50.0 } else { 0.0 },
                is_self: id == 1,
                connected: votes,
                addr: (id == 2).then(|| format!("127.0.0.1:{}", 6999 + id)),
                node_key: (id == 2).then(|| Text(node_key(id))),
                last_signed: votes.then_some(2),
                signed_percent: votes.then_some(100.0),
                ..row
            }
        });
        Ok(rows.collect())
    }

    async fn chain_masternodes(&self) -> Result<ChainMasternodes, RpcError> {
        Ok(chain_masternodes())
    }

    async fn masternode_proof(&self, id: RegistrationId) -> Result<ProvedMasternode, RpcError> {
        proved_masternode(id).ok_or(RpcError::MasternodeUnknown(id))
    }

    async fn verify_masternode_proof(&self, proved: ProvedMasternode) -> Result<(), RpcError> {
        let led = proved.proof.verify(&proved.header.masternode_root);
        led.map_err(|error| RpcError::MasternodeProof(error.to_string()))
    }

    fn consensus_key(&self) -> Option<PublicKey> {
        Some(consensus_key(1))
    }

    fn operator_witness(&self, body: &TransactionBody) -> Option<Witness> {
        let key = SecretKey::development("consensus", 1);
        Some(Witness::Key { key: key.public(), signature: key.sign(&body.signing_message()) })
    }
}
