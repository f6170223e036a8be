//! Networks whose validators change: who registers votes, who leaves does not, and a node that was away for all of it follows.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;
use timed_chain::{History, PoolTransaction};
use timed_consensus::SigningStatus;
use timed_ledger::{
    Genesis, KeyHash, Lock, LockOwner, Masternode, Payouts, RegisterPayload, RegistrationId, Tier, Transaction,
    TransactionBody, TransactionPayload as P, TxInput, TxOutput,
};
use timed_primitives::{Amount, Height, PublicKey, SecretKey, TxId};
use timed_simulator::{Crash, Latency, Lie, Lies, Node, World, WorldConfig, play};

const SECOND: Duration = Duration::from_secs(1);
const FEE: u64 = 10_000;

fn key(purpose: &str, id: u64) -> SecretKey {
    SecretKey::development(purpose, id)
}

fn consensus_key(id: u64) -> PublicKey {
    key("consensus", id).public()
}

fn wallet_lock() -> Lock {
    Lock::KeyHash(KeyHash::of(&key("wallet", 0).public()))
}

/// The n-th masternode of a network of four.
fn of_genesis(id: u64) -> Masternode {
    Genesis::devnet(4).masternodes().find(|one| one.operator == consensus_key(id)).unwrap()
}

/// Spends these coins of genesis into a first output of this amount and the rest, signed by the wallet and by who must sign the payload.
fn transaction(payload: P, coins: &[usize], first: u64, signers: &[SecretKey]) -> Transaction {
    let genesis = Genesis::devnet(4);
    let spent: Vec<_> = coins.iter().map(|n| genesis.coins().nth(*n).unwrap()).collect();
    let total: u64 = spent.iter().map(|(_, output)| output.amount.0).sum();
    let inputs = spent.iter().map(|(previous, _)| TxInput { previous: *previous }).collect();
    let outputs = [first, total - first - FEE].map(|amount| TxOutput { amount: Amount(amount), lock: wallet_lock() });
    let body = TransactionBody { payload, ..TransactionBody::transfer(genesis.chain_id, inputs, outputs.to_vec()) };
    let wallet = key("wallet", 0);
    let keys: Vec<_> = body.inputs.iter().map(|_| &wallet).chain(signers).collect();
    body.sign(&keys)
}

/// A bronze masternode with keys of this number.
fn registration(id: u64, coins: [usize; 2]) -> Transaction {
    let payload = P::Register(RegisterPayload {
        tier: Tier::Bronze,
        owner: key("owner", id).public(),
        operator: consensus_key(id),
        service: "203.0.113.7:7000".parse().unwrap(),
        payouts: Payouts::one(LockOwner::KeyHash(KeyHash::of(&key("wallet", 0).public()))),
    });
    transaction(payload, &coins, Amount::whole(1_000).0, &[key("owner", id), key("consensus", id)])
}

fn change(payload: P, coin: usize, signer: SecretKey) -> Transaction {
    transaction(payload, &[coin], 50_000, &[signer])
}

fn revoke(id: u64, coin: usize) -> Transaction {
    let one = of_genesis(id);
    change(P::Revoke { registration: one.id, previous: one.last_change }, coin, key("owner", id))
}

fn pause(id: u64, coin: usize) -> Transaction {
    let one = of_genesis(id);
    change(P::Pause { registration: one.id, previous: one.last_change }, coin, key("consensus", id))
}

/// Hands a transaction in at a node and waits until those that run call it final. At which height it is.
async fn decide(world: &World, at: &Node, transaction: &Transaction) -> Height {
    let txid = at.submit(PoolTransaction::of(transaction)).await.unwrap();
    for node in world.nodes().filter(|node| node.is_running()) {
        node.finalises(txid, 90 * SECOND).await;
    }
    height_of(at, txid)
}

fn height_of(node: &Node, txid: TxId) -> Height {
    let history = node.handles().history;
    let holds = |height: &u64| {
        let block = history.block(Height(*height)).unwrap().unwrap();
        timed_ledger::transactions_of(&block.payload).iter().any(|one| one.id() == txid)
    };
    Height((1..=node.height().0).rev().find(holds).unwrap())
}

/// Heights of which certificates hold the signature of this key.
fn signed_heights(history: &dyn History, tip: Height, key: &PublicKey) -> BTreeSet<u64> {
    let signed = |height: &u64| {
        let certificate = history.certificate(Height(*height)).unwrap().unwrap();
        certificate.signatures.iter().any(|signature| signature.validator == *key)
    };
    (1..=tip.0).filter(signed).collect()
}

/// Four masternodes and so many more nodes with a key, of which these run.
fn world(candidates: u64, seed: u64, running: &[u64]) -> (World, Vec<Node>) {
    let config = WorldConfig { latency: Latency::Lan, candidates, ..WorldConfig::instant(4, seed) };
    let mut world = World::new(config);
    let nodes: Vec<Node> = (1..=4 + candidates).map(|id| world.add(id)).collect();
    running.iter().for_each(|id| nodes[usize::try_from(*id).unwrap() - 1].start().unwrap());
    (world, nodes)
}

async fn pay(world: &World, at: &Node, coin: usize) -> Height {
    let spends = transaction(P::Transfer, &[coin], 70_000, &[]);
    decide(world, at, &spends).await
}

fn nothing_is_wrong(world: &World) {
    assert_eq!(world.checker().lock().violations(), []);
}

#[test]
fn who_registers_votes_two_heights_later_and_who_leaves_no_more() {
    play(async {
        let (world, nodes) = world(1, 1, &[1, 2, 3, 4, 5]);
        let first = pay(&world, &nodes[0], 0).await;
        assert!(matches!(nodes[4].signing(), Some(SigningStatus::NotValidator)), "{:?}", nodes[4].signing());
        let registered = decide(&world, &nodes[0], &registration(5, [1, 2])).await;
        let acts = registered.0 + 2;
        for coin in 3..8 {
            pay(&world, &nodes[coin % 5], coin).await;
        }
        world.run_for(20 * SECOND).await;
        let (tip, history) = (nodes[0].height(), nodes[0].handles().history);
        let signed = signed_heights(&*history, tip, &consensus_key(5));
        assert!(signed.iter().all(|height| *height >= acts), "{signed:?} before {acts}");
        assert!(!signed.is_empty(), "a registered masternode signed nothing of {first} to {tip}");
        assert_eq!(nodes[4].signing(), Some(SigningStatus::On));
        // Of five, four are needed: the new one's vote counts.
        nodes[0].kill(Crash::Process);
        for coin in 8..12 {
            pay(&world, &nodes[4], coin).await;
        }
        // The one that is away leaves: four are left, of which one may be away.
        let revoked = decide(&world, &nodes[1], &revoke(1, 12)).await;
        for coin in 13..16 {
            pay(&world, &nodes[2], coin).await;
        }
        nodes[1].kill(Crash::Process);
        pay(&world, &nodes[2], 16).await;
        let (tip, history) = (nodes[2].height(), nodes[2].handles().history);
        let last = signed_heights(&*history, tip, &consensus_key(1));
        assert!(last.iter().all(|height| *height < revoked.0 + 2), "{last:?} after {revoked}");
        // Both come back, follow, and one of them votes.
        nodes[0].start().unwrap();
        nodes[1].start().unwrap();
        nodes[0].reaches(tip, 60 * SECOND).await;
        nodes[1].reaches(tip, 60 * SECOND).await;
        pay(&world, &nodes[0], 17).await;
        world.run_for(10 * SECOND).await;
        let signing = [0, 1].map(|n: usize| nodes[n].signing());
        assert_eq!(signing, [Some(SigningStatus::NotValidator), Some(SigningStatus::On)]);
        nothing_is_wrong(&world);
    });
}

#[test]
fn a_node_that_was_away_for_many_changes_follows_them_all() {
    for seed in 1..=3 {
        play(async {
            let (mut world, nodes) = world(4, seed, &[1, 2, 3, 4, 5, 6, 7, 8]);
            for (n, id) in (5..=8).enumerate() {
                decide(&world, &nodes[0], &registration(id, [2 * n, 2 * n + 1])).await;
                pay(&world, &nodes[1], 10 + n).await;
            }
            // All of genesis leave: nobody whom a newcomer knows from there votes any more.
            for id in 1..=4 {
                decide(&world, &nodes[4], &revoke(id, 20 + usize::try_from(id).unwrap())).await;
                pay(&world, &nodes[5], 30 + usize::try_from(id).unwrap()).await;
            }
            for coin in 40..50 {
                pay(&world, &nodes[6], coin).await;
            }
            let tip = nodes[4].height();
            let (others, set) = (5..=8, nodes[4].handles().history.validators(tip));
            assert!(others.clone().all(|id| set.get(&consensus_key(id)).is_some()) && set.len() == 4);
            let late = world.add(20);
            late.start().unwrap();
            late.reaches(tip, 120 * SECOND).await;
            assert_eq!(late.block_id(tip), nodes[4].block_id(tip));
            for id in 1..=4 {
                nodes[id - 1].kill(Crash::Power);
            }
            let last = pay(&world, &nodes[4], 60).await;
            late.reaches(last, 60 * SECOND).await;
            nothing_is_wrong(&world);
        });
    }
}

#[test]
fn a_key_that_was_rotated_out_while_its_machine_still_signs_harms_nobody() {
    play(async {
        let (world, nodes) = world(1, 1, &[1, 2, 3, 4, 5]);
        let one = of_genesis(1);
        pay(&world, &nodes[0], 0).await;
        let payload = P::UpdateRegistrar {
            registration: one.id,
            previous: one.last_change,
            operator: consensus_key(5),
            payouts: one.payouts.clone(),
        };
        let rotation = transaction(payload, &[1], 50_000, &[key("owner", 1), key("consensus", 5)]);
        let rotated = decide(&world, &nodes[1], &rotation).await;
        // The old machine and the new one both go on for all this.
        for coin in 2..10 {
            pay(&world, &nodes[coin % 5], coin).await;
        }
        world.run_for(20 * SECOND).await;
        let (tip, history) = (nodes[2].height(), nodes[2].handles().history);
        let [old, new] = [1, 5].map(|id| signed_heights(&*history, tip, &consensus_key(id)));
        assert!(old.iter().all(|height| *height < rotated.0 + 2), "{old:?} after {rotated}");
        assert!(!new.is_empty() && new.iter().all(|height| *height >= rotated.0 + 2), "{new:?} after {rotated}");
        let signing = [0, 4].map(|n: usize| nodes[n].signing());
        assert_eq!(signing, [Some(SigningStatus::NotValidator), Some(SigningStatus::On)]);
        nothing_is_wrong(&world);
    });
}

#[test]
fn the_last_four_cannot_pause_and_a_change_is_made_once() {
    play(async {
        let (world, nodes) = world(1, 1, &[1, 2, 3, 4, 5]);
        pay(&world, &nodes[0], 0).await;
        let refused = nodes[0].submit(PoolTransaction::of(&pause(1, 1))).await.unwrap_err().to_string();
        assert!(refused.contains("3 masternodes would be left that vote"), "{refused}");
        decide(&world, &nodes[0], &registration(5, [2, 3])).await;
        // Two that follow the same change exclude each other in the mempool already.
        let [paused, again] = [4, 5].map(|coin| pause(1, coin));
        nodes[0].submit(PoolTransaction::of(&paused)).await.unwrap();
        let refused = nodes[0].submit(PoolTransaction::of(&again)).await.unwrap_err().to_string();
        assert!(refused.contains(&paused.id().to_string()), "{refused}");
        nodes[3].finalises(paused.id(), 60 * SECOND).await;
        let refused = nodes[0].submit(PoolTransaction::of(&again)).await.unwrap_err().to_string();
        assert!(refused.contains(&RegistrationId(of_genesis(1).id.0).to_string()), "{refused}");
        for coin in 6..9 {
            pay(&world, &nodes[1], coin).await;
        }
        assert_eq!(nodes[1].handles().history.validators(nodes[1].height()).len(), 4);
        nothing_is_wrong(&world);
    });
}

/// Of six, five are needed, and four run: the machine of the sixth is started with an empty folder when its first height waits for it.
#[test]
fn a_machine_that_is_started_when_its_first_height_waits_for_it_votes() {
    for seed in 1..=3 {
        play(async {
            let (world, nodes) = world(2, seed, &[1, 2, 3, 4]);
            pay(&world, &nodes[0], 0).await;
            decide(&world, &nodes[0], &registration(5, [1, 2])).await;
            let last = decide(&world, &nodes[1], &registration(6, [3, 4])).await.next();
            world.run_for(60 * SECOND).await;
            assert_eq!(nodes[0].height(), last, "four decide nothing more");
            nodes[5].start().unwrap();
            for coin in 5..10 {
                pay(&world, &nodes[coin % 4], coin).await;
            }
            assert_eq!(nodes[5].signing(), Some(SigningStatus::On));
            // The fifth's first height was decided without it: it waits for two more, which come now.
            nodes[4].start().unwrap();
            world.run_for(5 * SECOND).await;
            for coin in 10..15 {
                pay(&world, &nodes[coin % 4], coin).await;
            }
            assert_eq!(nodes[4].signing(), Some(SigningStatus::On));
            nothing_is_wrong(&world);
        });
    }
}

/// A change of who decides is final and has not acted yet when nothing is decided for some rounds: one machine is away, and another one's votes are all
/// for nothing. The heights after it are decided by those whom it says, in whatever round.
#[test]
fn power_changes_while_a_height_is_in_a_late_round() {
    play(async {
        let (world, nodes) = world(1, 1, &[]);
        nodes[1].lie(Lies::from([(Lie::NilVotes, 1_000)]));
        nodes.iter().for_each(|node| node.start().unwrap());
        pay(&world, &nodes[0], 0).await;
        let registered = decide(&world, &nodes[0], &registration(5, [1, 2])).await;
        // The next height is decided by the four of genesis: two honest ones are too few.
        nodes[0].kill(Crash::Power);
        let waiting = transaction(P::Transfer, &[3], 70_000, &[]);
        let txid = nodes[2].submit(PoolTransaction::of(&waiting)).await.unwrap();
        world.run_for(60 * SECOND).await;
        assert_eq!(nodes[2].height(), registered, "two of four decide nothing");
        nodes[0].start().unwrap();
        for node in &nodes {
            node.finalises(txid, 90 * SECOND).await;
        }
        for coin in 4..10 {
            pay(&world, &nodes[coin % 5], coin).await;
        }
        let history = nodes[2].handles().history;
        let rounds: Vec<_> = (1..=nodes[2].height().0)
            .map(|height| history.certificate(Height(height)).unwrap().unwrap().round.0)
            .collect();
        assert!(rounds.iter().any(|round| *round >= 3), "{rounds:?}");
        // The new one votes. Who told others that it votes for nothing signed its own blocks all the same: that was found, and cost it its place.
        let set = history.validators(nodes[2].height());
        assert_eq!([5, 2].map(|id| set.get(&consensus_key(id)).is_some()), [true, false]);
        assert_eq!(nodes[4].signing(), Some(SigningStatus::On));
        nothing_is_wrong(&world);
    });
}
