//! Networks as their operators start them.

use crate::client::{assert_same_blocks, wait_final};
use crate::engine::image;
use crate::network::Network;

/// Each pays and is paid for by all, is connected to all, is healthy, and is found by what an operator types.
fn works(network: &Network, chain: &str, votes: &str) {
    for node in network.all() {
        let txid = node.pay().unwrap();
        wait_final(&network.all(), &txid);
    }
    network.wait_whole(network.members.len() - 1);
    network.wait_healthy();
    assert_same_blocks(&network.all());
    for member in &network.members {
        assert_eq!(member.exec(&["id", "-u"]), "10001", "nothing runs as root");
        assert!(member.exec(&["timed", "healthcheck"]).ends_with("/health: alive"));
        let status = member.exec(&["time-cli", "status"]);
        assert!(status.contains(chain) && status.contains(votes), "{status}");
    }
}

#[test]
fn the_compose_file_of_development_works() {
    let Some(image) = image() else { return };
    works(&Network::of_development(image), "devnet", "4 of 4 voting power connected");
}

#[test]
fn a_written_network_works() {
    let Some(image) = image() else { return };
    works(&Network::written(image, 3), "testnet", "3 of 3 voting power connected");
}
