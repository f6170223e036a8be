//! What the chain asks of this node's masternode: whether it can reach the free masternodes that it was drawn as a witness of.

use crate::Service;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::probe::{ProbeTarget, probe};
use timed_actors::transport::Transport;
use timed_chain::PoolTransaction;
use timed_ledger::{MasternodeList, RegistrationId, RewardState, TransactionBody, TransactionPayload};
use timed_primitives::{PublicKey, SecretKey};
use tracing::{debug, info};

/// How often it is looked whether something is asked, and how soon one that was not reached is tried again.
const LOOK_EACH: Duration = Duration::from_secs(5);
/// So often is one that is not reached tried in an interval.
const ATTEMPTS_MAX: u8 = 5;

/// A free masternode that a node is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Duty {
    interval: u64,
    free: RegistrationId,
    witness: RegistrationId,
    /// Where it says it is.
    address: String,
    /// The key it must prove there.
    operator: PublicKey,
}

/// How often each was tried. Bound: ten free ones for each of two intervals.
#[derive(Debug, Default)]
pub(crate) struct Attempts(BTreeMap<(u64, RegistrationId), u8>);

/// What the masternode with this operator key is asked and has not stated.
pub(crate) fn duties(list: &MasternodeList, rewards: &RewardState, key: &PublicKey) -> Vec<Duty> {
    let Some(own) = list.of_operator(key) else { return Vec::new() };
    let asked = |drawn: &timed_ledger::Drawn| {
        drawn.witnesses.iter().any(|witness| witness.registration == own.id && !witness.has_stated)
    };
    let duty = |(interval, drawn): (u64, &timed_ledger::Drawn)| {
        let free = list.get(&drawn.free)?;
        let (address, operator) = (free.service.to_string(), free.operator);
        Some(Duty { interval, free: free.id, witness: own.id, address, operator })
    };
    rewards.drawn().filter(|(_, drawn)| asked(drawn)).filter_map(duty).collect()
}

impl Service {
    /// Looks for what is asked, for as long as the node runs. `make_key` gives a key that is used once. Nothing is done by a node without
    /// a consensus key, or whose masternode was not drawn.
    pub async fn witness_now_and_then(&self, transport: Arc<dyn Transport>, mut make_key: impl FnMut() -> SecretKey) {
        let mut attempts = Attempts::default();
        while self.consensus_key.is_some() {
            tokio::time::sleep(LOOK_EACH).await;
            self.witness_all(&mut attempts, &*transport, &mut make_key).await;
        }
    }

    /// Tries each free masternode that is asked about once.
    pub(crate) async fn witness_all(
        &self,
        attempts: &mut Attempts,
        transport: &dyn Transport,
        make_key: &mut impl FnMut() -> SecretKey,
    ) {
        let Some(key) = &self.consensus_key else { return };
        let open = self.chain.duties(&key.public());
        attempts.0.retain(|place, _| open.iter().any(|duty| (duty.interval, duty.free) == *place));
        for duty in open {
            let tried = attempts.0.entry((duty.interval, duty.free)).or_default();
            if *tried < ATTEMPTS_MAX {
                *tried += 1;
                self.witness(&duty, transport, key, &make_key()).await;
            }
        }
    }

    async fn witness(&self, duty: &Duty, transport: &dyn Transport, key: &SecretKey, once: &SecretKey) {
        let Duty { interval, free, witness, .. } = *duty;
        let (address, chain) = (duty.address.as_str(), self.genesis);
        let target = ProbeTarget { address, chain_id: chain.chain_id, genesis: chain.hash };
        let outcome = probe(transport, once, target).await;
        match outcome {
            Ok(Some(found)) if found == duty.operator => {}
            Ok(found) => {
                let found = found.map_or_else(|| "none".into(), |found| found.to_string());
                info!(interval, %free, address, found, expected = %duty.operator, "a free masternode is not where it says: another node answers");
                return;
            }
            Err(error) => {
                info!(interval, %free, address, %error, "a free masternode is not reached");
                return;
            }
        }
        let payload = TransactionPayload::Reachability { interval, free, witness };
        let stated = TransactionBody::statement(chain.chain_id, payload).sign(&[key]);
        match self.handles.submissions.submit(Arc::new(PoolTransaction::of(&stated)), None).await {
            Ok(_) => info!(interval, %free, address, "a free masternode is reached, which the chain will hold"),
            // Said already, or too late.
            Err(error) => debug!(interval, %free, %error, "not stated that a free masternode is reached"),
        }
    }
}
