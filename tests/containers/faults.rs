//! A network under everything that an engine and its links can do to it.

use crate::client::{assert_same_blocks, wait_final};
use crate::engine::image;
use crate::network::Network;
use crate::waiting::{Stopwatch, pause, wait_for};
use std::time::Duration;

/// Four masternodes, the number that tolerates the loss of one, and an observer.
const ALL: [u64; 5] = [1, 2, 3, 4, 5];
/// Each is connected to every other.
const CONNECTIONS: usize = 4;
/// How long nothing must happen, after everything that was under way when links were cut has come to its end.
const STILL: Duration = Duration::from_secs(4);

/// Pays by one member and waits until that is final on the members named; returns the payment's id.
fn pay_final(network: &Network, by: u64, on: &[u64]) -> String {
    let txid = network.member(by).pay().unwrap();
    wait_final(&network.clients(on), &txid);
    txid
}

fn heights(network: &Network) -> Vec<u64> {
    network.all().iter().map(|node| node.height().expect("the node answers")).collect()
}

#[test]
fn payments_survive_whatever_happens_to_containers_and_links() {
    let Some(image) = image() else { return };
    let network = Network::written(image, 4);
    let mut payments = Vec::new();
    for by in ALL {
        payments.push(pay_final(&network, by, &ALL));
    }
    network.wait_whole(CONNECTIONS);

    payments.extend(killed(&network));
    payments.extend(frozen(&network));
    payments.extend(back_at_another_address(&network));
    payments.extend(halves(&network));
    payments.extend(three_and_one(&network));
    network.wait_healthy();
    cold_start(&network);

    payments.push(pay_final(&network, 2, &ALL));
    for txid in &payments {
        wait_final(&network.all(), txid);
    }
    network.wait_whole(CONNECTIONS);
    assert_same_blocks(&network.all());
}

/// One masternode is killed and started again; the others go on meanwhile.
fn killed(network: &Network) -> Vec<String> {
    network.order("kill", &[4]);
    let mut payments = vec![pay_final(network, 1, &[1, 2, 3, 5])];
    network.order("start", &[4]);
    wait_final(&network.all(), &payments[0]);
    payments.push(pay_final(network, 4, &ALL));
    wait_for("the vote of the returned node", || {
        payments.push(pay_final(network, 1, &ALL));
        network.member(4).signs().then_some(())
    });
    payments
}

/// One masternode does not run for a while, and does not know it.
fn frozen(network: &Network) -> [String; 2] {
    network.order("pause", &[2]);
    let without = pay_final(network, 1, &[1, 3, 4, 5]);
    network.order("unpause", &[2]);
    wait_final(&network.all(), &without);
    [without, pay_final(network, 2, &ALL)]
}

/// One masternode leaves the network and comes back at another address, under the same name. It cannot dial, so the others must look
/// its name up anew.
fn back_at_another_address(network: &Network) -> [String; 2] {
    let before = network.member(3).ip();
    network.disconnect(3);
    let _placeholder = network.take_address();
    let without = pay_final(network, 1, &[1, 2, 4, 5]);
    assert!(network.member(3).height().is_none(), "it is off the network");
    network.member(3).forbid_dialling();
    network.connect(3);
    let now = network.member(3).ip();
    assert_ne!((&now[..], &now), ("", &before));
    wait_final(&network.all(), &without);
    network.heal();
    let after = pay_final(network, 3, &ALL);
    network.wait_whole(CONNECTIONS);
    [without, after]
}

/// Two and two: nobody decides anything, everybody says so, and all goes on when the links are back.
fn halves(network: &Network) -> [String; 2] {
    let before = heights(network).into_iter().max().unwrap();
    network.cut(&[&[1, 2, 5], &[3, 4]]);
    let waiting = [1, 3].map(|by| network.member(by).pay().unwrap());
    // The observer notices later: it wished for fewer pings.
    wait_for("no quorum on every masternode", || (1..=4).all(|id| !network.member(id).has_quorum()).then_some(()));
    let during = heights(network);
    assert!(during.iter().all(|height| *height <= before + 1), "only what was under way: {before}, then {during:?}");
    let watch = Stopwatch::start();
    while watch.elapsed() < STILL {
        assert_eq!(heights(network), during, "a height was decided without a quorum");
        pause();
    }
    for txid in &waiting {
        assert!(network.all().iter().all(|node| node.block_of(txid).is_none()), "{txid} is final without a quorum");
    }
    network.heal();
    for txid in &waiting {
        wait_final(&network.all(), txid);
    }
    network.wait_whole(CONNECTIONS);
    waiting
}

/// Three and one: the three go on, the one says that it is alone, and catches up when the links are back.
fn three_and_one(network: &Network) -> Vec<String> {
    let lonely = network.member(4);
    let before = lonely.height().unwrap();
    network.cut(&[&[1, 2, 3, 5], &[4]]);
    let waiting = lonely.pay().unwrap();
    let mut payments = vec![pay_final(network, 5, &[1, 2, 3, 5])];
    wait_for("no quorum on the lonely node", || {
        payments.push(pay_final(network, 2, &[1, 2, 3, 5]));
        (!lonely.has_quorum()).then_some(())
    });
    assert!(lonely.height().unwrap() <= before + 1, "it decided by itself");
    assert!(lonely.block_of(&waiting).is_none() && lonely.block_of(&payments[1]).is_none());
    network.heal();
    payments.push(waiting);
    for txid in &payments {
        wait_final(&network.all(), txid);
    }
    network.wait_whole(CONNECTIONS);
    payments
}

/// Every container is killed at the same moment and started again.
fn cold_start(network: &Network) {
    let ids: Vec<_> = network.all().iter().map(|node| node.block_id(node.height().unwrap())).collect();
    let before = heights(network);
    network.order("kill", &ALL);
    network.order("start", &ALL);
    network.wait_height(before.iter().copied().max().unwrap());
    for (node, (height, id)) in network.all().iter().zip(before.iter().zip(&ids)) {
        let now = node.block_id(*height);
        assert_eq!(&now, id, "block {height} of node {} is another one", node.id);
    }
}
