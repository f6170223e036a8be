//! Whether a free masternode is where it says, found out by a real node over real connections.

use super::*;
use crate::witness::Attempts;
use timed_ledger::{LockOwner, Payouts, RegisterPayload, RegistrationId, ServiceAddress, Tier, TransactionPayload};

/// A voter that decides alone, in intervals of this length.
fn alone(interval_ms: u64) -> Service {
    let mut genesis = Genesis::devnet_with_coins(1, 20);
    genesis.parameters.reward_interval_ms = interval_ms;
    node_of(genesis, 1, HeldDisk::new("nothing"), SetClock::ahead(0), None, Vec::new())
}

/// Registers a free masternode with keys of this number.
async fn register(service: &Service, n: u64, address: SocketAddr) -> RegistrationId {
    let (wallet, owner, operator) = (
        SecretKey::development("wallet", 0),
        SecretKey::development("owner", n),
        SecretKey::development("consensus", n),
    );
    let genesis = service.chain.genesis();
    let (previous, coin) = genesis.coins().nth(usize::try_from(n).unwrap()).unwrap();
    let lock = Lock::KeyHash(KeyHash::of(&wallet.public()));
    let payload = TransactionPayload::Register(RegisterPayload {
        tier: Tier::Free,
        owner: owner.public(),
        operator: operator.public(),
        service: ServiceAddress::new(address),
        payouts: Payouts::one(LockOwner::KeyHash(KeyHash::of(&wallet.public()))),
    });
    let rest = Amount(coin.amount.0 - Amount::ONE.0 - 10_000);
    let outputs = vec![TxOutput { amount: Amount::ONE, lock }, TxOutput { amount: rest, lock }];
    let body =
        TransactionBody { payload, ..TransactionBody::transfer(genesis.chain_id, vec![TxInput { previous }], outputs) };
    let made = body.sign(&[&wallet, &owner, &operator]);
    service.handles.submissions.submit(Arc::new(timed_chain::PoolTransaction::of(&made)), None).await.unwrap();
    RegistrationId(made.id().0)
}

#[test]
fn a_witness_states_that_it_reached_whom_it_found_where_it_should_be_and_nobody_else() {
    actix_rt::System::new().block_on(async {
        // One interval for the registrations; the next goes on for as long as the test runs.
        let service = alone(1_000);
        let listener = TcpTransport.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let (there, nobody) = (listener.local_addr().unwrap(), SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        let mut genesis = Genesis::devnet_with_coins(1, 20);
        genesis.parameters.reward_interval_ms = 1_000;
        let _free = node_of(genesis, 9, HeldDisk::new("nothing"), SetClock::ahead(0), Some(listener), Vec::new());
        let reached = register(&service, 9, there).await;
        let elsewhere = register(&service, 8, there).await;
        let away = register(&service, 7, nobody).await;
        let key = SecretKey::development("consensus", 1).public();
        until(&service, "three are drawn", |service| service.chain.duties(&key).len() >= 3).await;
        let mut seeds = 1..;
        let mut make_key = move || SecretKey::development("probe", seeds.next().unwrap());
        let mut attempts = Attempts::default();
        for _ in 0..500 {
            service.witness_all(&mut attempts, &TcpTransport, &mut make_key).await;
            let stated = stated(&service);
            assert!(!stated.contains(&elsewhere) && !stated.contains(&away), "{stated:?}");
            if stated.contains(&reached) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nothing was stated");
    });
}

/// Whom the chain holds a statement of.
fn stated(service: &Service) -> Vec<RegistrationId> {
    service.chain.stated()
}
