//! The masternodes of the sample.

use super::{TIME_MS, address, block, certificate, consensus_key};
use std::sync::Arc;
use timed_ledger::{
    Masternode, MasternodeList, MasternodeProof, MasternodeStatus, OutPoint, Payout, Payouts, RegistrationId, Tier,
};
use timed_primitives::{Amount, Hash, Header, Height, SecretKey, TxId, UnixTime};
use timed_rpc::{ChainMasternodes, ProvedMasternode};

/// The name of the n-th: 1 is this node, 2 votes as well, 3 has left, 4 is paused, 5 is free, 6 was jailed, 7 has ended.
pub(crate) fn masternode_id(n: u8) -> RegistrationId {
    RegistrationId(Hash([0x10 + n; 32]))
}

pub(crate) fn collateral(n: u8) -> OutPoint {
    OutPoint { txid: TxId(Hash([0x20 + n; 32])), index: 0 }
}

fn payouts() -> Payouts {
    let share = |id, share| Payout { to: address(id).lock().owner(), share };
    Payouts::new(vec![share(2, 7_500), share(3, 2_500)]).unwrap()
}

fn masternode(n: u8) -> Masternode {
    let id = masternode_id(n);
    let status = match n {
        3 => MasternodeStatus::Left { at: Height(1), time: UnixTime(TIME_MS) },
        4 => MasternodeStatus::Paused,
        6 => MasternodeStatus::Jailed { at: Height(2) },
        7 => MasternodeStatus::Ended { at: Height(2) },
        _ => MasternodeStatus::Active,
    };
    Masternode {
        id,
        tier: if n == 5 { Tier::Free } else { Tier::Bronze },
        collateral: collateral(n),
        owner: SecretKey::development("owner", n.into()).public(),
        operator: consensus_key(n.into()),
        service: format!("203.0.113.{n}:7000").parse().unwrap(),
        payouts: payouts(),
        registered_at: Height::GENESIS,
        status,
        last_change: TxId(id.0),
        changed_at: Height::GENESIS,
        expires: UnixTime(if n == 5 { TIME_MS + 90_000_000 } else { u64::MAX }),
        operator_since: Height(0),
        penalty: if n == 7 { Amount::whole(50) } else { Amount::ZERO },
    }
}

pub(crate) fn chain_masternodes() -> ChainMasternodes {
    ChainMasternodes {
        list: Arc::new(MasternodeList::new((1..=7).map(masternode))),
        height: Height(2),
        time: UnixTime(TIME_MS + 2),
        free_deposit: Amount::ONE,
        unbonding_ms: 60_000,
    }
}

/// By the second block, if its list were that of the sample.
pub(crate) fn proved_masternode(id: RegistrationId) -> Option<ProvedMasternode> {
    let list = chain_masternodes().list;
    let proof = MasternodeProof::of(&list, &id)?;
    let header = Header { masternode_root: list.root(), ..block(2).header };
    Some(ProvedMasternode { proof, header, certificate: certificate(2) })
}
