//! More payments than a network can make final: who is taken, who has to wait, and what becomes of those taken.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use futures_util::poll;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::mempool::SubmitError;
use timed_chain::PoolTransaction;
use timed_ledger::{Genesis, KeyHash, Lock, TransactionBody, TxInput, TxOutput};
use timed_primitives::{Amount, Height, SecretKey};
use timed_tests::{Node, World, assert_agree, network, payment, run, start_all};

const SECOND: Duration = Duration::from_secs(1);

/// A final transaction with so many outputs, and a payment from each of them.
async fn payments(network: &World, nodes: &[Node], number: usize, outputs: u32) -> Vec<PoolTransaction> {
    let owner = SecretKey::development("payee", 1);
    let lock = Lock::KeyHash(KeyHash::of(&owner.public()));
    let whole = payment(network, number, 1);
    let parameters = Genesis::devnet(1).parameters;
    let fee = parameters.fee_min(70_000);
    let share = Amount((whole.body.outputs[0].amount.0 - fee.0) / u64::from(outputs));
    let split = vec![TxOutput { amount: share, lock }; usize::try_from(outputs).unwrap()];
    let body = TransactionBody { outputs: split, ..whole.body.clone() };
    let split = body.sign(&[&SecretKey::development("wallet", 0)]);
    nodes[0].submit(PoolTransaction::of(&split)).await.unwrap();
    for node in nodes {
        node.finalises(split.id(), 20 * SECOND).await;
    }
    let fee = parameters.fee_min(250);
    let pay = |(previous, output): (_, TxOutput)| {
        let outputs = vec![TxOutput { amount: output.amount.minus(fee).unwrap(), lock }];
        let body = TransactionBody { inputs: vec![TxInput { previous }], outputs, ..whole.body.clone() };
        PoolTransaction::of(&body.sign(&[&owner]))
    };
    split.outputs().map(pay).collect()
}

#[test]
fn without_a_quorum_a_small_allowance_is_taken_then_busy_is_said_at_once_and_what_was_taken_becomes_final() {
    run(async {
        let mut network = network(4, 21);
        let nodes = start_all(&mut network, 4);
        for node in &nodes {
            node.reaches(Height(1), 10 * SECOND).await;
        }
        let mut all = payments(&network, &nodes, 0, 1_000).await;
        for number in 1..4 {
            all.extend(payments(&network, &nodes, number, 1_000).await);
        }
        nodes[2].stop().await;
        nodes[3].stop().await;
        tokio::time::sleep(10 * SECOND).await;

        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for payment in &all {
            let asked = tokio::time::Instant::now();
            match nodes[0].submit(payment.clone()).await {
                Ok(txid) => taken.push(txid),
                Err(SubmitError::Busy { waiting, retry_after, .. }) => {
                    assert_eq!(asked.elapsed(), Duration::ZERO, "the refusal waits for nothing");
                    assert_eq!(usize::try_from(waiting).unwrap(), taken.len());
                    assert!((Duration::from_millis(100)..=5 * SECOND).contains(&retry_after), "{retry_after:?}");
                    refused.push(payment.clone());
                }
                Err(other) => panic!("{other}"),
            }
        }
        // 1 MiB of weight: 201 bytes and a signature each.
        assert_eq!(taken.len(), 3_188);
        let view = nodes[0].handles().submissions.view();
        assert_eq!((view.room, view.refused), (0, u64::try_from(refused.len()).unwrap()));
        assert!(view.refusing.is_some());
        // The other node took over as much as it may hold of others, and knows of the rest.
        tokio::time::sleep(3 * SECOND).await;
        let other = nodes[1].handles().mempool_status.borrow().clone().unwrap();
        assert!((1_594..=1_630).contains(&other.pool.count), "half the room: {}", other.pool.count);
        assert_eq!(other.relay.put_off + other.relay.wanted + other.pool.count, taken.len());
        assert!(nodes[1].handles().submissions.view().room > 0, "its own clients have the other half");

        nodes[2].start().unwrap();
        nodes[3].start().unwrap();
        for txid in &taken {
            for node in &nodes {
                node.finalises(*txid, 30 * SECOND).await;
            }
        }
        assert_eq!(nodes[0].handles().submissions.view().refusing, None);
        for payment in refused {
            let txid = nodes[0].submit(payment).await.unwrap();
            nodes[1].finalises(txid, 10 * SECOND).await;
        }
        let after = nodes[1].handles().mempool_status.borrow().clone().unwrap();
        assert_eq!((after.pool.count, after.relay.put_off), (0, 0), "nothing is left behind");
        assert_agree(&network);
    });
}

#[test]
fn what_nobody_waits_for_any_more_is_not_checked() {
    run(async {
        let mut network = network(4, 22);
        let nodes = start_all(&mut network, 4);
        for node in &nodes {
            node.reaches(Height(1), 10 * SECOND).await;
        }
        let submissions = nodes[0].handles().submissions;
        let (gone, kept) = (network.transaction(0, 7).unwrap(), network.transaction(1, 7).unwrap());
        let gone_id = gone.facts.id;
        {
            let mut asked = Box::pin(submissions.submit(Arc::new(gone), None));
            assert!(poll!(&mut asked).is_pending());
        }
        let txid = nodes[0].submit(kept).await.unwrap();
        nodes[0].finalises(txid, 5 * SECOND).await;
        assert!(!nodes[0].is_final(&gone_id));
        let status = nodes[0].handles().mempool_status.borrow().clone().unwrap();
        assert_eq!((status.abandoned, status.pool.count), (1, 0));
        let room = submissions.view().room;
        assert!(room >= 1 << 20, "it holds no place: {room}");
    });
}
