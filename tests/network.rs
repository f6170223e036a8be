//! Whole nodes on the in-memory seams under a paused clock: the main job end to end.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use futures_util::future::join_all;
use std::time::Duration;
use timed_actors::mempool::SubmitError;
use timed_chain::PoolTransaction;
use timed_ledger::{Genesis, KeyHash, Lock, TransactionBody, TxInput, TxOutput};
use timed_mempool::Reject;
use timed_primitives::{Amount, Height, SecretKey};
use timed_simulator::payments::supply_of;
use timed_tests::{Node, assert_agree, network, payment, run, start_all};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

async fn all_reach(nodes: &[Node], height: Height, limit: Duration) {
    for node in nodes {
        node.reaches(height, limit).await;
    }
}

#[test]
fn four_nodes_make_payments_final_and_agree() {
    run(async {
        let mut network = network(4, 1);
        let nodes = start_all(&mut network, 4);
        all_reach(&nodes, Height(1), 10 * SECOND).await;
        let supply = supply_of(&*nodes[0].handles().history).unwrap();
        let mut paid = Vec::new();
        for number in 0..20 {
            let node = &nodes[number % 4];
            paid.push(node.submit(network.transaction(number, 7).unwrap()).await.unwrap());
        }
        for txid in &paid {
            for node in &nodes {
                node.finalises(*txid, 5 * SECOND).await;
            }
        }
        all_reach(&nodes, Height(5), MINUTE).await;
        assert_agree(&network);
        let after = supply_of(&*nodes[0].handles().history).unwrap();
        assert_eq!(after.unspent.plus(after.fees), supply.unspent.plus(supply.fees));
        assert_eq!(after.fees.0, 20 * 10_000, "each payment left its fee");
    });
}

#[test]
fn who_brought_a_transaction_is_known_and_who_did_not_is_not() {
    run(async {
        let mut network = network(4, 4);
        let nodes = start_all(&mut network, 4);
        all_reach(&nodes, Height(1), 10 * SECOND).await;
        let txid = nodes[0].submit(network.transaction(0, 7).unwrap()).await.unwrap();
        nodes[3].finalises(txid, 5 * SECOND).await;
        tokio::time::sleep(2 * SECOND).await;
        let useful = |node: &Node| node.handles().peers.borrow().peers.iter().filter(|p| p.useful_at.is_some()).count();
        assert_eq!(useful(&nodes[0]), 0, "nobody brought the first node its own payment");
        assert_eq!([1, 2, 3].map(|at| useful(&nodes[at])), [1; 3], "one brought it, and only the first counts");
    });
}

#[test]
fn with_no_distance_a_payment_waits_for_no_timer() {
    run(async {
        let mut network = network(4, 3);
        let nodes = start_all(&mut network, 4);
        all_reach(&nodes, Height(2), MINUTE).await;
        for number in 0..20 {
            // At any moment between two empty blocks.
            tokio::time::sleep(Duration::from_millis(700 * number)).await;
            let handed_in = tokio::time::Instant::now();
            let txid =
                nodes[0].submit(network.transaction(usize::try_from(number).unwrap(), 7).unwrap()).await.unwrap();
            while !nodes.iter().all(|node| node.is_final(&txid)) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Nothing takes time here but waiting: links, disks and processors are instantaneous.
            let waited = handed_in.elapsed();
            assert!(waited <= Duration::from_millis(20), "payment {number} waited {waited:?} for a timer");
        }
    });
}

#[test]
fn a_chain_of_payments_handed_in_at_once_is_taken_in_order() {
    run(async {
        let mut network = network(4, 12);
        let nodes = start_all(&mut network, 4);
        all_reach(&nodes, Height(1), 10 * SECOND).await;
        let mut chain = vec![payment(&network, 0, 1)];
        for to in 2..6 {
            let next = {
                let spent = chain.last().unwrap();
                let (previous, output) = spent.outputs().next().unwrap();
                let amount = output.amount.minus(Amount(10_000)).unwrap();
                let lock = Lock::KeyHash(KeyHash::of(&SecretKey::development("payee", to).public()));
                let body = TransactionBody {
                    inputs: vec![TxInput { previous }],
                    outputs: vec![TxOutput { amount, lock }],
                    ..spent.body.clone()
                };
                body.sign(&[&SecretKey::development("payee", to - 1)])
            };
            chain.push(next);
        }
        // None waits for the answer to the one before; the signatures of all are checked together.
        let taken = join_all(chain.iter().map(|transaction| nodes[0].submit(PoolTransaction::of(transaction)))).await;
        for (transaction, taken) in chain.iter().zip(taken) {
            assert_eq!(taken.unwrap(), transaction.id());
        }
        for node in &nodes {
            node.finalises(chain[4].id(), 5 * SECOND).await;
        }
        // A child of one that turns out bad learns so, and is not kept.
        let mut bad = payment(&network, 1, 1);
        bad.witnesses[0].first_signature_mut().unwrap().0[3] ^= 1;
        let mut orphan = chain[1].body.clone();
        orphan.inputs[0].previous.txid = bad.id();
        let orphan = orphan.sign(&[&SecretKey::development("payee", 1)]);
        let (bad, orphan) = futures_util::join!(
            nodes[0].submit(PoolTransaction::of(&bad)),
            nodes[0].submit(PoolTransaction::of(&orphan))
        );
        assert!(matches!(bad, Err(SubmitError::BadSignature)), "{bad:?}");
        assert!(matches!(orphan, Err(SubmitError::Refused(Reject::UnknownInput { .. }))), "{orphan:?}");
        assert_agree(&network);
    });
}

#[test]
fn an_idle_hour_costs_one_block_in_ten_seconds_each_in_round_0_and_no_reconnect() {
    run(async {
        let mut network = network(4, 2);
        let nodes = start_all(&mut network, 4);
        all_reach(&nodes, Height(1), 10 * SECOND).await;
        let dials = network.links().dials();
        tokio::time::sleep(60 * MINUTE).await;
        let height = nodes[0].height();
        assert!((355..=362).contains(&height.0), "an hour of empty blocks each 10 s, got {height}");
        for h in (1..=height.0).map(Height) {
            let certificate = nodes[0].handles().history.certificate(h).unwrap().unwrap();
            assert_eq!(certificate.round.0, 0, "height {h} took more than one round");
        }
        assert_eq!(network.links().dials(), dials, "somebody dialled again");
        assert_agree(&network);
    });
}

#[test]
fn one_of_four_dead_and_payments_go_on() {
    run(async {
        let mut network = network(4, 3);
        let mut nodes = start_all(&mut network, 4);
        all_reach(&nodes, Height(1), 10 * SECOND).await;
        nodes.remove(3).stop().await;
        for number in 0..10 {
            let txid = nodes[number % 3].submit(network.transaction(number, 7).unwrap()).await.unwrap();
            for node in &nodes {
                node.finalises(txid, 10 * SECOND).await;
            }
        }
        assert_agree(&network);
    });
}

#[test]
fn two_of_four_decide_nothing_and_go_on_when_one_returns() {
    run(async {
        let mut network = network(4, 4);
        let mut nodes = start_all(&mut network, 4);
        all_reach(&nodes, Height(1), 10 * SECOND).await;
        let four = nodes.remove(3);
        let three = nodes.remove(2);
        for node in [&three, &four] {
            node.stop().await;
        }
        tokio::time::sleep(5 * SECOND).await;
        let stuck = nodes[0].height();
        let txid = nodes[0].submit(network.transaction(0, 7).unwrap()).await.unwrap();
        tokio::time::sleep(10 * MINUTE).await;
        assert!(nodes.iter().all(|node| node.height().0 <= stuck.0 + 1), "two of four must not decide");
        assert!(!nodes[0].handles().history.is_confirmed(&txid).unwrap(), "final without a quorum");
        let line = nodes[0].handles().consensus.borrow().as_ref().unwrap().quorum_line.clone().unwrap();
        assert!(line.starts_with("no quorum: 2 of 4 voting power, need 3; missing node "), "{line}");
        three.start().unwrap();
        nodes.push(three);
        for node in &nodes {
            node.finalises(txid, 2 * MINUTE).await;
        }
        assert_agree(&network);
    });
}

#[test]
fn an_observer_and_a_returned_node_catch_up_and_follow() {
    run(async {
        let mut network = network(4, 5);
        let mut nodes = start_all(&mut network, 4);
        all_reach(&nodes, Height(1), 10 * SECOND).await;
        let four = nodes.remove(3);
        four.stop().await;
        for number in 0..40 {
            let txid = nodes[0].submit(network.transaction(number, 7).unwrap()).await.unwrap();
            nodes[0].finalises(txid, 10 * SECOND).await;
        }
        let tip = nodes[0].height();
        assert!(tip.0 >= 40, "each payment made a block");
        four.start().unwrap();
        four.reaches(tip, 30 * SECOND).await;
        let observer = network.start(5).unwrap();
        observer.reaches(tip, 30 * SECOND).await;
        nodes.extend([four, observer]);
        let txid = nodes[4].submit(network.transaction(40, 7).unwrap()).await.unwrap();
        for node in &nodes {
            node.finalises(txid, 10 * SECOND).await;
        }
        assert_agree(&network);
    });
}

#[test]
fn a_partition_of_two_and_two_decides_nothing_and_heals() {
    run(async {
        let mut network = network(4, 6);
        let nodes = start_all(&mut network, 4);
        all_reach(&nodes, Height(1), 10 * SECOND).await;
        let across = [(1, 3), (1, 4), (2, 3), (2, 4)];
        for (a, b) in across {
            network.cut(a, b);
        }
        let at_cut: Vec<_> = nodes.iter().map(Node::height).collect();
        tokio::time::sleep(30 * MINUTE).await;
        for (node, before) in nodes.iter().zip(&at_cut) {
            assert!(node.height().0 <= before.0 + 1, "node {} decided without a quorum", node.id());
        }
        for (a, b) in across {
            network.heal(a, b);
        }
        let target = Height(at_cut[0].0 + 5);
        all_reach(&nodes, target, 3 * MINUTE).await;
        assert_agree(&network);
    });
}

#[test]
fn a_network_of_one_decides_alone() {
    run(async {
        let mut network = network(1, 7);
        let node = network.start(1).unwrap();
        let txid = node.submit(network.transaction(0, 7).unwrap()).await.unwrap();
        node.finalises(txid, 5 * SECOND).await;
        node.reaches(Height(4), MINUTE).await;
        assert_agree(&network);
    });
}

#[test]
fn a_double_spend_is_refused_by_name_and_never_both_final() {
    run(async {
        let mut network = network(4, 8);
        // Alone it decides nothing: once the first is final, what it spent is unknown.
        let mut nodes = vec![network.start(1).unwrap()];
        let (first, second) = (network.transaction(0, 7).unwrap(), network.transaction(0, 8).unwrap());
        let kept = nodes[0].submit(first.clone()).await.unwrap();
        let refused = nodes[0].submit(second.clone()).await.unwrap_err();
        assert!(refused.to_string().contains(&format!("is spent by {kept}")), "{refused}");
        nodes.extend((2..=4).map(|id| network.start(id).unwrap()));
        // Another node may not have heard of the first yet and take the second: only one of them becomes final.
        let other = nodes[2].submit(second).await.ok();
        tokio::time::sleep(30 * SECOND).await;
        let is_final =
            |txid| nodes.iter().map(|node| node.handles().history.is_confirmed(&txid).unwrap()).collect::<Vec<_>>();
        let [one, two] = [Some(kept), other].map(|txid| txid.map_or(vec![false; 4], is_final));
        assert!(one.iter().zip(&two).all(|(a, b)| a ^ b), "exactly one on every node: {one:?} {two:?}");
        assert!(one.windows(2).all(|pair| pair[0] == pair[1]), "all agree which");
        assert_agree(&network);
    });
}

/// Plays a short life of four nodes and gives every block id and block time.
fn trace(seed: u64) -> Vec<String> {
    let mut lines = Vec::new();
    run(async {
        let mut network = network(4, seed);
        let nodes = start_all(&mut network, 4);
        all_reach(&nodes, Height(1), 10 * SECOND).await;
        for number in 0..12 {
            let txid = nodes[number % 4].submit(network.transaction(number, 7).unwrap()).await.unwrap();
            nodes[(number + 1) % 4].finalises(txid, 10 * SECOND).await;
        }
        network.reset(1, 2);
        all_reach(&nodes, Height(nodes[0].height().0 + 3), MINUTE).await;
        for height in (1..=nodes[0].height().0).map(Height) {
            let block = nodes[0].handles().history.block(height).unwrap().unwrap();
            lines.push(format!("{height} {} {}", block.id(), block.header.time));
        }
    });
    lines
}

#[test]
fn the_same_seed_gives_the_same_chain() {
    let first = trace(9);
    assert!(first.len() >= 15, "{first:?}");
    assert_eq!(first, trace(9));
}

#[test]
fn all_restarted_together_go_on_and_are_quiet_again() {
    run(async {
        let mut network = network(4, 10);
        let nodes = start_all(&mut network, 4);
        all_reach(&nodes, Height(1), 10 * SECOND).await;
        for number in 0..10 {
            let txid = nodes[number % 4].submit(network.transaction(number, 7).unwrap()).await.unwrap();
            nodes[0].finalises(txid, 10 * SECOND).await;
        }
        for node in &nodes {
            node.stop().await;
        }
        tokio::time::sleep(MINUTE).await;
        for node in &nodes {
            node.start().unwrap();
        }
        let before = nodes[0].height();
        tokio::time::sleep(10 * MINUTE).await;
        let made = nodes[0].height().above(before);
        assert!((55..=63).contains(&made), "ten idle minutes made {made} blocks");
        assert_agree(&network);
    });
}

#[test]
fn every_bad_transaction_is_refused_by_name_and_the_network_goes_on() {
    run(async {
        let mut network = network(1, 11);
        let node = network.start(1).unwrap();
        node.reaches(Height(1), 10 * SECOND).await;
        let wallet = SecretKey::development("wallet", 0);
        let (good, dust) = (payment(&network, 0, 7), Genesis::devnet(1).parameters.dust_min);
        let changed = |change: fn(&mut TransactionBody, Amount)| {
            let mut body = good.body.clone();
            change(&mut body, dust);
            let keys = vec![&wallet; body.inputs.len()];
            body.sign(&keys)
        };
        let mut bad_signature = good.clone();
        bad_signature.witnesses[0].first_signature_mut().unwrap().0[7] ^= 1;
        let cases = [
            (changed(|body, _| body.chain_id.0 += 1), "chain"),
            (changed(|body, _| body.outputs[0].amount.0 += 1_000_000), "pays out"),
            (changed(|body, dust| body.outputs[0].amount = Amount(dust.0 - 1)), "below the least"),
            (
                changed(|body, _| body.outputs = vec![TxOutput { amount: Amount(u64::MAX), ..body.outputs[0] }; 2]),
                "more than any amount",
            ),
            (changed(|body, _| body.inputs[0].previous.index += 500_000), "does not exist"),
            (changed(|body, _| body.inputs.push(body.inputs[0])), "twice"),
            (changed(|body, _| body.outputs.clear()), "no outputs"),
            (good.body.clone().sign(&[&SecretKey::development("payee", 1)]), "key"),
            (bad_signature, "signature is invalid"),
        ];
        for (transaction, expected) in cases {
            let refused = node.submit(PoolTransaction::of(&transaction)).await.unwrap_err().to_string();
            assert!(refused.contains(expected), "expected {expected:?} in {refused:?}");
        }
        let txid = node.submit(PoolTransaction::of(&good)).await.unwrap();
        node.finalises(txid, 5 * SECOND).await;
        let again = node.submit(PoolTransaction::of(&good)).await.unwrap_err().to_string();
        assert!(again.contains("known already"), "{again}");
        let spent = node.submit(network.transaction(0, 8).unwrap()).await.unwrap_err().to_string();
        assert!(spent.contains("does not exist or is spent"), "{spent}");
        assert_agree(&network);
    });
}
