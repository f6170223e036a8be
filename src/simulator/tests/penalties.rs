//! Networks whose masternodes contradict themselves, miss, and are late: what the chain holds of it by itself, and what that costs.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use std::time::Duration;
use timed_chain::{History, PoolTransaction};
use timed_ledger::{
    Genesis, KeyHash, LedgerQuery, Lock, Masternode, MasternodeList, MasternodeStatus as S, Transaction,
    TransactionBody, TransactionPayload as P, TxInput, TxOutput,
};
use timed_primitives::{Amount, Height, SecretKey, decode, encode};
use timed_simulator::{Crash, Latency, Lie, Lies, Node, World, WorldConfig, play};
use timed_test_support::LinkQuality;

const SECOND: Duration = Duration::from_secs(1);
const FEE: u64 = 10_000;

fn world(voters: u64, seed: u64) -> (World, Vec<Node>) {
    let mut world = World::new(WorldConfig { latency: Latency::Lan, ..WorldConfig::instant(voters, seed) });
    let nodes = (1..=voters).map(|id| world.add(id)).collect();
    (world, nodes)
}

/// What the chain knows of the n-th masternode, at this node.
fn masternode(node: &Node, voters: u64, n: u64) -> Masternode {
    let operator = SecretKey::development("consensus", n).public();
    let id = Genesis::devnet(voters).masternodes().find(|one| one.operator == operator).unwrap().id;
    let answer = node.handles().history.query(&encode(&LedgerQuery::Masternodes)).unwrap();
    decode::<MasternodeList>(&answer).unwrap().get(&id).unwrap().clone()
}

/// Spends a coin of genesis.
fn transaction(voters: u64, payload: P, coin: usize, signer: Option<SecretKey>) -> Transaction {
    let (genesis, wallet) = (Genesis::devnet(voters), SecretKey::development("wallet", 0));
    let (previous, output) = genesis.coins().nth(coin).unwrap();
    let lock = Lock::KeyHash(KeyHash::of(&wallet.public()));
    let outputs = vec![TxOutput { amount: Amount(output.amount.0 - FEE), lock }];
    let body =
        TransactionBody { payload, ..TransactionBody::transfer(genesis.chain_id, vec![TxInput { previous }], outputs) };
    body.sign(&[&wallet].into_iter().chain(signer.as_ref()).collect::<Vec<_>>())
}

/// One payment after the other, each by another coin, so far apart.
async fn pay(voters: u64, nodes: &[Node], coins: std::ops::Range<usize>, apart: Duration, world: &World) {
    for coin in coins {
        let running: Vec<_> = nodes.iter().filter(|node| node.is_running() && !node.lies()).collect();
        let made = transaction(voters, P::Transfer, coin, None);
        let txid = running[coin % running.len()].submit(PoolTransaction::of(&made)).await.unwrap();
        running[0].finalises(txid, 90 * SECOND).await;
        world.run_for(apart).await;
    }
}

/// Statements in all blocks up to the tip, by the name of their payload.
fn statements(history: &dyn History, tip: Height) -> Vec<&'static str> {
    let block = |height: u64| history.block(Height(height)).unwrap().unwrap();
    let all = (1..=tip.0).flat_map(|height| timed_ledger::transactions_of(&block(height).payload));
    all.filter(|one| one.body.payload.is_statement()).map(|one| one.body.payload.name()).collect()
}

#[test]
fn who_signs_twice_is_found_charged_and_put_out_without_anybody_doing_anything() {
    play(async {
        let (world, nodes) = world(7, 1);
        nodes[6].lie(Lies::from([(Lie::TwoVotes, 300)]));
        nodes.iter().for_each(|node| node.start().unwrap());
        pay(7, &nodes, 0..40, SECOND, &world).await;
        let one = masternode(&nodes[0], 7, 7);
        assert_eq!((one.penalty, one.status.name()), (Amount::whole(50), "left"), "{one:?}");
        assert_eq!(nodes[0].handles().history.validators(nodes[0].height()).len(), 6);
        let (tip, history) = (nodes[0].height(), nodes[0].handles().history);
        assert_eq!(statements(&*history, tip).iter().filter(|name| **name == "double sign").count(), 1);
        // All others are as they were.
        assert!((1..=6).all(|n| masternode(&nodes[0], 7, n).status == S::Active));
        assert_eq!(world.checker().lock().violations(), []);
    });
}

#[test]
fn a_machine_that_stays_away_is_jailed_and_comes_back_by_one_transaction() {
    play(async {
        let (world, nodes) = world(7, 2);
        nodes.iter().for_each(|node| node.start().unwrap());
        pay(7, &nodes, 0..10, SECOND / 4, &world).await;
        nodes[6].kill(Crash::Process);
        // Two judgements of a hundred heights, in intervals of 30 s.
        let mut coins = 10;
        while masternode(&nodes[0], 7, 7).status == S::Active {
            assert!(coins < 700, "not jailed after {coins} heights");
            pay(7, &nodes, coins..coins + 10, SECOND / 4, &world).await;
            coins += 10;
        }
        let one = masternode(&nodes[0], 7, 7);
        assert!(matches!(one.status, S::Jailed { .. }) && one.penalty == Amount::ZERO, "{one:?}");
        assert!((1..=6).all(|n| masternode(&nodes[0], 7, n).status == S::Active));
        nodes[6].start().unwrap();
        nodes[6].reaches(nodes[0].height(), 60 * SECOND).await;
        let payload = P::Resume { registration: one.id, previous: one.last_change };
        let back = transaction(7, payload, coins, Some(SecretKey::development("consensus", 7)));
        let txid = nodes[6].submit(PoolTransaction::of(&back)).await.unwrap();
        nodes[0].finalises(txid, 60 * SECOND).await;
        pay(7, &nodes, coins + 1..coins + 6, SECOND, &world).await;
        assert_eq!(masternode(&nodes[0], 7, 7).status, S::Active);
        assert_eq!(nodes[6].signing(), Some(timed_consensus::SigningStatus::On));
        assert_eq!(world.checker().lock().violations(), []);
    });
}

#[test]
fn who_is_far_away_is_counted_by_its_late_precommits() {
    play(async {
        let (world, nodes) = world(4, 3);
        nodes.iter().for_each(|node| node.start().unwrap());
        pay(4, &nodes, 0..5, SECOND / 10, &world).await;
        let slow = LinkQuality { latency: SECOND / 5, jitter: Duration::ZERO, bytes_per_second: None };
        (1..=3).for_each(|other| world.slow_down(4, other, slow));
        pay(4, &nodes, 5..120, SECOND / 20, &world).await;
        world.run_for(30 * SECOND).await;
        let (tip, history) = (nodes[0].height(), nodes[0].handles().history);
        let late = statements(&*history, tip).iter().filter(|name| **name == "late precommits").count();
        assert!(late > 20, "{late} statements in {tip} blocks");
        assert_eq!(world.checker().lock().violations(), []);
    });
}
