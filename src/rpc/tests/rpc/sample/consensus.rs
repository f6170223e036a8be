//! What the sample says of consensus.

use super::{Sample, block, consensus_key, node_key};
use async_trait::async_trait;
use std::sync::atomic::Ordering;
use timed_rpc::result::{ConsensusInfo, MasternodeInfo, ValidatorVotes};
use timed_rpc::{ConsensusApi, RpcError, Text};

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
        let row = |id: u64| MasternodeInfo {
            key: consensus_key(id).into(),
            name: Some(format!("node {id}")),
            power: 1,
            power_percent: 50.0,
            is_self: id == 1,
            connected: true,
            addr: (id != 1).then(|| format!("127.0.0.1:{}", 6999 + id)),
            node_key: (id != 1).then(|| Text(node_key(id))),
            last_signed: Some(2),
            signed_percent: Some(100.0),
        };
        Ok(vec![row(1), row(2)])
    }
}
