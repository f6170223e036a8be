//! Who is not the peer that was meant: kept out of private networks, of configured addresses, and of the memory of a node.

use crate::common::*;
use std::time::Duration;
use timed_actors::messages::ListAddresses;
use timed_actors::peer::PostMortem;
use timed_actors::tls::Tls;
use timed_actors::transport::Transport;
use timed_peer::{Direction, EndReason};
use timed_test_support::MemoryNetwork;
use timed_wire::{ControlMessage, Incoming};

#[test]
fn a_peer_outside_the_allow_list_is_refused() {
    run(async {
        let network = MemoryNetwork::new();
        let mut setup = Setup::new(1);
        setup.config.allowed = Some([key(2)].into());
        let node = setup.start(&network).await;
        let good = Setup::new(2).dials(&[1]).start(&network).await;
        let unknown = Setup::new(3).dials(&[1]).start(&network).await;
        pass(20 * SECOND).await;
        assert!(node.is_up(2) && good.is_up(1));
        assert!(unknown.view().peers.is_empty() && !node.is_up(3));
        assert_eq!(node.ends(3)[0], EndReason::NotAllowed);
        assert_eq!(unknown.ends(1)[0], EndReason::NotAllowed, "it learns why");
        assert!(unknown.ends(1).len() < 4, "it tries again slowly");
    });
}

#[test]
fn an_unknown_peer_at_a_dialled_address_gets_no_handshake() {
    run(async {
        let network = MemoryNetwork::new();
        let mut setup = Setup::new(1).dials(&[2]);
        setup.config.configured.iter_mut().for_each(|peer| peer.key = None);
        setup.config.allowed = Some([key(3)].into());
        let mut listener = network.host(ip(2)).bind((ip(2), PORT).into()).await.unwrap();
        let node = setup.start(&network).await;
        let mut unknown = Raw::accept(&mut *listener, 2).await;
        let first = unknown.next().await;
        let Some(Incoming::Message { message, .. }) = first else { panic!("{first:?}") };
        assert_eq!(message, ControlMessage::Goodbye { code: EndReason::NotAllowed.code() }.into(), "no handshake");
        assert!(unknown.next().await.is_none());
        pass(SECOND).await;
        let view = node.view();
        let target = view.targets.iter().find(|t| t.address == address(2)).unwrap();
        assert_eq!(target.last_end.unwrap().1, EndReason::NotAllowed);
    });
}

#[test]
fn what_a_member_sends_of_unknown_peers_is_not_dialled() {
    run(async {
        let network = MemoryNetwork::new();
        let mut setup = Setup::new(1);
        setup.config.allowed = Some([key(3), key(4)].into());
        let node = setup.start(&network).await;
        let _unknown = Setup::new(2).start(&network).await;
        let _other = Setup::new(4).start(&network).await;
        let _member = Setup::new(3).dials(&[1, 2, 4]).start(&network).await;
        pass(60 * SECOND).await;
        assert!(node.is_up(3) && node.is_up(4), "who is allowed is found");
        let known = node.manager.send(ListAddresses { since: u64::MAX }).await.unwrap().unwrap().kept;
        let keys: Vec<_> = known.iter().map(|kept| kept.record.key).collect();
        assert!(keys.contains(&key(4)) && !keys.contains(&key(2)), "{keys:?}");
    });
}

#[test]
fn unknown_peers_that_come_and_go_do_not_push_out_why_a_peer_was_lost() {
    run(async {
        let scene = Scene::begin().await;
        let peer = Raw::established(&scene.network, 3, 1, 3).await;
        pass(SECOND).await;
        drop(peer);
        pass(SECOND).await;
        assert_eq!(scene.node.ends(3), [EndReason::ConnectionClosed]);
        for unknown in (10..250).chain(10..250) {
            let _ = Raw::dial(&scene.network, unknown, 1).await;
            pass(SECOND / 4).await;
        }
        pass(SECOND).await;
        assert_eq!(scene.node.ends(3), [EndReason::ConnectionClosed], "it is still known");
        let is_unknown =
            |end: &&_| matches!(end, PostMortem { direction: Direction::Inbound, up_for: Duration::ZERO, .. });
        let ended = scene.node.view().ended;
        assert_eq!(ended.iter().map(|end| &**end).filter(is_unknown).count(), 16, "and so are the first of them");
        scene.end().await;
    });
}

#[test]
fn an_impostor_at_a_configured_address_is_refused_by_its_key() {
    run(async {
        let scene = Scene::begin().await;
        // At node 4's address answers somebody with key 5.
        let mut listener = scene.network.host(ip(4)).bind((ip(4), PORT).into()).await.unwrap();
        let impostor = Tls::new(&node_key(5)).unwrap();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = impostor.accept(stream).await;
            }
        });
        let victim = Setup::new(6).dials(&[4, 1]).start(&scene.network).await;
        pass(60 * SECOND).await;
        assert!(victim.is_up(1) && !victim.is_up(4) && !victim.is_up(5));
        let view = victim.view();
        let target = view.targets.iter().find(|t| t.address == address(4)).unwrap();
        assert_eq!(target.last_end.unwrap().1, EndReason::Tls);
        assert!(target.failures > 1, "it is tried again, since the operator named it");
        scene.end().await;
    });
}
