//! Peers that mean well: heartbeat, delivery, simultaneous connects, restarts, limits. All in virtual time.

use crate::common::*;
use bytes::BytesMut;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::messages::{Audience, Broadcast, Connect, Disconnect, Ping, Pinged, SendTo, StopPeers};
use timed_actors::transport::{TcpTransport, Transport};
use timed_peer::handshake::{COMPACT_BLOCKS, FEELER};
use timed_peer::{AddressRecord, Direction, EndReason, HandshakeAction, LocalNode};
use timed_primitives::{ChainId, Clock as _};
use timed_test_support::MemoryNetwork;
use timed_wire::{
    BlockSyncMessage, ConsensusMessage, ControlMessage, Encoded, FrameCodec, Incoming, Kind, Message, sample,
};
use tokio_util::codec::Encoder as _;

const HOUR: Duration = Duration::from_secs(3600);

pub(crate) async fn pair(network: &MemoryNetwork) -> (Node, Node) {
    let one = Setup::new(1).start(network).await;
    let two = Setup::new(2).dials(&[1]).start(network).await;
    pass(SECOND).await;
    assert!(one.is_up(2) && two.is_up(1));
    (one, two)
}

/// Sends one message of each kind and gives the kinds that arrived.
async fn send_all_kinds(from: &Node, to_id: u64, to: &mut Node) -> BTreeSet<Kind> {
    // What comes back for block sync must have been asked for.
    let ask = BlockSyncMessage::GetBlocks { request: 9, from: 1, count: 64 };
    let from_id = if to_id == 1 { 2 } else { 1 };
    to.manager.do_send(SendTo { to: key(from_id), message: ask.into(), height: None });
    let large = Message::from(ConsensusMessage::Block(sample::opaque(1_500_000)));
    let is_routed = |m: &Message| !matches!(m, Message::Control(_));
    let all: Vec<_> = Kind::ALL.into_iter().filter_map(sample::message).filter(is_routed).chain([large]).collect();
    for message in &all {
        from.manager.do_send(SendTo { to: key(to_id), message: message.clone(), height: None });
    }
    pass(SECOND).await;
    let mut arrived: Vec<Message> = Vec::new();
    arrived.extend(drain(&mut to.outlets.consensus).into_iter().map(|i| Message::Consensus(i.message)));
    arrived.extend(drain(&mut to.outlets.mempool).into_iter().map(|i| Message::Mempool(i.message)));
    arrived.extend(drain(&mut to.outlets.block_sync).into_iter().map(|i| Message::BlockSync(i.message)));
    arrived.extend(drain(&mut to.outlets.application).into_iter().map(|i| Message::Application(i.message)));
    for message in &all {
        assert!(arrived.contains(message), "{} did not arrive", message.kind().name());
    }
    arrived.iter().map(Message::kind).collect()
}

#[test]
fn two_nodes_answer_each_others_pings_for_an_hour_and_nothing_ends() {
    run(async {
        let (lines, _guard) = Lines::capture();
        let network = MemoryNetwork::new();
        let (one, two) = pair(&network).await;
        pass(HOUR).await;
        for (node, direction, other) in [(&one, "[INBOUND]", 2), (&two, "[OUTBOUND]", 1)] {
            let peer = &node.view().peers[0];
            assert_eq!(peer.key, key(other));
            assert!(peer.ping_time.is_some() && peer.min_ping.is_some());
            // Every ping that left was answered and matched, in both directions.
            let sent = lines.count(&format!("📤 {direction} Sent ping to {}", address(other)));
            let received = lines.count(&format!("📨 {direction} Received pong from {}", address(other)));
            let matched = lines.count(&format!("✅ {direction} Pong matches! {}", address(other)));
            let answered = lines.count(&format!("✅ {direction} Sent pong to {}", address(other)));
            assert!((650..=800).contains(&sent), "{sent} pings in an hour at 5 s");
            assert!(sent - matched <= 1 && received == matched, "{sent} sent, {received} received, {matched} matched");
            assert!(answered.abs_diff(sent) <= 60, "{answered} answered");
            assert_eq!(node.view().ended, []);
            assert_eq!(node.news(), [News::Up(key(other))]);
        }
        assert_eq!(lines.count("⚠️"), 0);
        assert_eq!((network.dials(), network.connections(ip(1), ip(2))), (1, 1));
    });
}

#[test]
fn heartbeat_lines_are_the_contract() {
    run(async {
        let (lines, _guard) = Lines::capture();
        let network = MemoryNetwork::new();
        let _pair = pair(&network).await;
        let all = lines.all();
        let nonce = |line: &str| {
            line.split("nonce: ").nth(1).unwrap().trim_end_matches(')').split(',').next().unwrap().to_owned()
        };
        let ping = all.iter().find(|l| l.starts_with("📤 [OUTBOUND]")).unwrap();
        let n = nonce(ping);
        assert_eq!(*ping, format!("📤 [OUTBOUND] Sent ping to 10.0.0.1:7000 (nonce: {n})"));
        assert!(all.contains(&format!("✅ [INBOUND] Sent pong to 10.0.0.2:7000 (nonce: {n})")), "{all:#?}");
        assert!(all.contains(&format!("📨 [OUTBOUND] Received pong from 10.0.0.1:7000 (nonce: {n})")), "{all:#?}");
        assert!(
            all.contains(&format!("✅ [OUTBOUND] Pong matches! 10.0.0.1:7000 (nonce: {n}, RTT: 0.0ms)")),
            "{all:#?}"
        );
    });
}

#[test]
fn every_message_type_is_delivered_in_both_directions() {
    run(async {
        let network = MemoryNetwork::new();
        let (mut one, mut two) = pair(&network).await;
        let kinds = send_all_kinds(&one, 2, &mut two).await;
        let back = send_all_kinds(&two, 1, &mut one).await;
        assert_eq!(kinds, back);
        pass(10 * SECOND).await;
        for node in [&one, &two] {
            let peer = &node.view().peers[0];
            for kind in Kind::ALL {
                let expected = !matches!(kind, Kind::Chunk | Kind::Goodbye);
                assert_eq!(peer.received.contains_key(&kind), expected, "received {}", kind.name());
                assert_eq!(peer.sent.contains_key(&kind), expected, "sent {}", kind.name());
            }
            assert_eq!(peer.dropped, timed_actors::peer::DroppedMessages::default());
        }
        // Bytes on the wire are counted, not calls: what one says it sent, the other has received.
        let (sent, received) = (one.view().peers[0].sent.clone(), two.view().peers[0].received.clone());
        for kind in [Kind::Announce, Kind::Block, Kind::Decided] {
            assert_eq!(sent.get(&kind), received.get(&kind), "{}", kind.name());
        }
        one.manager.do_send(Disconnect { peer: key(2) });
        pass(Duration::from_millis(100)).await;
        assert_eq!((one.ends(2), two.ends(1)), (vec![EndReason::Operator], vec![EndReason::Operator]));
        assert_eq!(two.view().why(&key(1)).unwrap().end.by.name(), "them");
    });
}

#[test]
fn a_broadcast_reaches_its_audience_once() {
    run(async {
        let network = MemoryNetwork::new();
        let mut observer = Setup::new(3).dials(&[1]);
        observer.config.local.consensus_key = None;
        let one = Setup::new(1).start(&network).await;
        let mut able = Setup::new(2).dials(&[1]);
        able.config.local.capabilities = COMPACT_BLOCKS;
        let mut two = able.start(&network).await;
        let mut three = observer.start(&network).await;
        pass(SECOND).await;
        let vote = Message::from(ConsensusMessage::Vote(sample::opaque(143)));
        for (audience, except) in
            [(Audience::All, None), (Audience::Able(COMPACT_BLOCKS), None), (Audience::All, Some(key(2)))]
        {
            one.manager.do_send(Broadcast { message: vote.clone(), audience, except, height: None });
        }
        pass(SECOND).await;
        let (to_two, to_three) = (drain(&mut two.outlets.consensus), drain(&mut three.outlets.consensus));
        assert_eq!((to_two.len(), to_three.len()), (2, 2));
        assert!(to_two.iter().all(|i| i.peer == key(1)));
        // Address gossip: the observer heard of node 2 from node 1, or the other way round, and they are connected.
        assert!(two.is_up(3) && three.is_up(2));
    });
}

#[test]
fn a_simultaneous_connect_keeps_exactly_one_session_and_the_same_on_both_sides() {
    for seed in 0..20 {
        run(async move {
            let network = MemoryNetwork::new();
            let mut setups = [Setup::new(1).dials(&[2]), Setup::new(2).dials(&[1])];
            setups.iter_mut().for_each(|s| s.seed = seed * 2 + s.id);
            let [one, two] = setups;
            let (one, two) = (one.start(&network).await, two.start(&network).await);
            pass(60 * SECOND).await;
            assert_eq!(network.connections(ip(1), ip(2)), 1, "seed {seed}");
            let (a, b) = (one.view(), two.view());
            assert_eq!((a.peers.len(), b.peers.len()), (1, 1));
            assert_eq!(a.peers[0].direction, b.peers[0].direction.reversed());
            assert!(a.peers[0].connected_since.0 < 5_000_000, "kept since the start, not redialled for ever");
            for node in [&one, &two] {
                assert!(node.news().len() % 2 == 1, "ups and downs alternate: {:?}", node.news());
                let ends: Vec<_> = node.view().ended.iter().map(|p| p.end.reason).collect();
                assert!(ends.iter().all(|r| *r == EndReason::Duplicate), "{ends:?}");
            }
        });
    }
}

#[test]
fn three_nodes_that_all_dial_each_other_form_a_mesh_of_three_links() {
    run(async {
        let network = MemoryNetwork::new();
        let mut nodes = Vec::new();
        for id in 1..=3 {
            let others: Vec<_> = (1..=3).filter(|o| *o != id).collect();
            nodes.push(Setup::new(id).dials(&others).start(&network).await);
        }
        pass(HOUR).await;
        for (a, b) in [(1, 2), (1, 3), (2, 3)] {
            assert_eq!(network.connections(ip(a), ip(b)), 1);
        }
        for node in &nodes {
            let view = node.view();
            assert_eq!(view.peers.len(), 2);
            assert!(view.peers.iter().all(|p| p.connected_since.0 < 5_000_000));
        }
    });
}

#[test]
fn a_restarted_peer_replaces_its_stale_session() {
    run(async {
        let network = MemoryNetwork::new();
        let one = Setup::new(1).start(&network).await;
        let mut stale = Raw::established(&network, 2, 1, 100).await;
        pass(SECOND).await;
        assert!(one.is_up(2));
        let restarted = Raw::established(&network, 2, 1, 101).await;
        let living = tokio::task::spawn_local(restarted.behave());
        assert_eq!(stale.goodbye().await, Some(EndReason::Replaced));
        pass(60 * SECOND).await;
        assert!(!living.is_finished());
        let view = one.view();
        assert_eq!(view.peers.len(), 1);
        assert_eq!(view.peers[0].instance.as_u128(), 101);
        let news = [News::Up(key(2)), News::Down(key(2), EndReason::Replaced), News::Up(key(2))];
        assert_eq!(one.news(), news, "the end of the old session does not touch the new one");
        drop(stale);
        pass(SECOND).await;
        assert!(one.is_up(2));
    });
}

#[test]
fn a_peer_that_returns_under_another_address_is_found() {
    run(async {
        let network = MemoryNetwork::new();
        let hub = Setup::new(3).start(&network).await;
        let one = Setup::new(1).dials(&[3]).start(&network).await;
        let mover = Setup::new(2).dials(&[3]).start(&network).await;
        pass(10 * SECOND).await;
        assert!(one.is_up(2), "two heard of each other through the third");
        mover.manager.send(StopPeers).await.unwrap();
        drop(mover);
        pass(60 * SECOND).await;
        assert!(!one.is_up(2) && !hub.is_up(2));

        // The same key in another place. It dials only the third, so the first has to hear of it and to dial itself, or be dialled.
        let host = network.host(ip(9));
        let listener = host.bind((ip(9), PORT).into()).await.unwrap();
        let mut config = Setup::new(2).config;
        config.local = local(2, 22);
        config.book.outbound_max = 0;
        let moved = start(2, config, Arc::new(host), Some(listener), 22);
        // Clocks of this world begin with the node: only now what it says of itself is newer than what its past self said.
        pass(120 * SECOND).await;
        moved.manager.send(Connect { address: address(3) }).await.unwrap();
        pass(60 * SECOND).await;
        assert!(hub.is_up(2) && moved.is_up(3));
        assert!(one.is_up(2) && moved.is_up(1));
        let found = one.view().peers.into_iter().find(|peer| peer.key == key(2)).unwrap();
        assert_eq!(found.address, format!("{}:{PORT}", ip(9)));
    });
}

#[test]
fn a_reset_connection_is_redialled_and_a_long_outage_ends_within_the_back_off() {
    run(async {
        let network = MemoryNetwork::new();
        let (one, two) = pair(&network).await;
        pass(2 * 60 * SECOND).await;
        network.reset(ip(1), ip(2));
        pass(7 * SECOND).await;
        assert!(one.is_up(2) && two.is_up(1));
        assert!(one.ends(2).iter().all(|r| *r == EndReason::ConnectionFailed), "{:?}", one.ends(2));
        network.cut(ip(1), ip(2));
        pass(48 * HOUR).await;
        assert!(!two.is_up(1));
        assert!(two.view().ended.len() < 10, "an absent peer does not fill the memory");
        network.heal(ip(1), ip(2));
        pass(31 * SECOND).await;
        assert!(one.is_up(2) && two.is_up(1));
        assert_eq!(network.connections(ip(1), ip(2)), 1);
    });
}

#[test]
fn names_are_resolved_at_each_dial() {
    run(async {
        let network = MemoryNetwork::new();
        network.name("one.test", ip(9));
        let mut setup = Setup::new(2);
        setup.config.configured.push(timed_actors::peer_manager::ConfiguredPeer {
            address: "one.test:7000".to_owned(),
            key: None,
            is_validator: true,
        });
        let _one = Setup::new(1).start(&network).await;
        let two = setup.start(&network).await;
        pass(10 * SECOND).await;
        assert!(!two.is_up(1));
        network.name("one.test", ip(1));
        pass(10 * SECOND).await;
        assert!(two.is_up(1));
    });
}

#[test]
fn a_node_that_reaches_itself_notices_and_stops_trying_often() {
    run(async {
        let network = MemoryNetwork::new();
        let mut setup = Setup::new(1);
        setup.config.configured.push(timed_actors::peer_manager::ConfiguredPeer {
            address: address(1),
            key: None,
            is_validator: false,
        });
        let one = setup.start(&network).await;
        pass(HOUR).await;
        assert!(one.view().peers.is_empty());
        assert!(one.ends(1).contains(&EndReason::SelfConnection));
        assert!(network.dials() <= 2, "{} dials", network.dials());
    });
}

#[test]
fn limits_hold_and_a_validator_still_finds_room() {
    run(async {
        let network = MemoryNetwork::new();
        let mut setup = Setup::new(1);
        setup.config.book.inbound_max = 10;
        let one = setup.start(&network).await;
        let mut peers = Vec::new();
        for id in 10..25 {
            let mut raw = Raw::dial(&network, id, 1).await;
            let mut me = local(id, u128::from(id));
            me.consensus_key = None;
            let (_, hello) = raw.hello(me);
            raw.send(ControlMessage::Hello(Box::new(hello))).await;
            peers.push(tokio::task::spawn_local(raw.behave()));
            pass(SECOND).await;
            assert!(one.view().count(Direction::Inbound) <= 10);
        }
        let mut refused = 0;
        for peer in peers.iter_mut().filter(|p| p.is_finished()) {
            assert_eq!(peer.await.unwrap(), Some(EndReason::TooManyPeers));
            refused += 1;
        }
        assert_eq!(refused, 5);
        let validator = Raw::established(&network, 2, 1, 2).await;
        let _living = tokio::task::spawn_local(validator.behave());
        pass(SECOND).await;
        let view = one.view();
        assert!(one.is_up(2) && view.count(Direction::Inbound) == 10);
        assert_eq!(view.ended.last().unwrap().end.reason, EndReason::Evicted);
    });
}

#[test]
fn stopping_says_goodbye_to_everybody() {
    run(async {
        let network = MemoryNetwork::new();
        let (one, two) = pair(&network).await;
        let raw = Raw::established(&network, 3, 1, 3).await;
        let raw = tokio::task::spawn_local(raw.behave());
        pass(SECOND).await;
        let began = tokio::time::Instant::now();
        one.manager.send(StopPeers).await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(2500));
        assert_eq!(raw.await.unwrap(), Some(EndReason::Shutdown));
        pass(Duration::from_millis(100)).await;
        assert_eq!(two.ends(1), [EndReason::Shutdown]);
        pass(10 * SECOND).await;
        assert!(one.view().peers.is_empty(), "a stopped node takes nobody in");
    });
}

#[test]
fn a_panic_in_a_peer_ends_that_peer_only() {
    run(async {
        let network = MemoryNetwork::new();
        let (one, two) = pair(&network).await;
        let mut raw = Raw::established(&network, 3, 1, 3).await;
        // Between two ticks of the manager, so that the peer is the next to ask for the time.
        pass(Duration::from_millis(1500)).await;
        assert!(one.is_up(3));
        *one.clock.panics.lock().unwrap() = true;
        raw.send(ConsensusMessage::Vote(sample::opaque(1))).await;
        assert_eq!(raw.goodbye().await, Some(EndReason::Internal));
        pass(60 * SECOND).await;
        assert!(!*one.clock.panics.lock().unwrap(), "the panic happened");
        assert_eq!(one.ends(3), [EndReason::Internal], "reported exactly once");
        assert!(one.is_up(2) && two.is_up(1) && two.ends(1).is_empty());
        assert_eq!(one.news().last(), Some(&News::Down(key(3), EndReason::Internal)));
        let again = Raw::established(&network, 3, 1, 3).await;
        let _living = tokio::task::spawn_local(again.behave());
        pass(SECOND).await;
        assert!(one.is_up(3));
    });
}

#[test]
fn a_peer_in_its_own_words_is_answered_like_any_other() {
    run(async {
        let network = MemoryNetwork::new();
        let one = Setup::new(1).start(&network).await;
        let mut raw = Raw::established(&network, 2, 1, 2).await;
        raw.send(ControlMessage::Ping { nonce: 99 }).await;
        let pong = raw.expect(Kind::Pong).await;
        assert!(matches!(pong, Message::Control(ControlMessage::Pong { nonce: 99, time_ms: 1.. })), "{pong:?}");
        raw.send(ControlMessage::GetAddr).await;
        assert_eq!(raw.expect(Kind::Addr).await.kind(), Kind::Addr);
        raw.send(ControlMessage::Goodbye { code: EndReason::Shutdown.code() }).await;
        assert_eq!(raw.goodbye().await, None, "a goodbye is not answered");
        pass(SECOND).await;
        let view = one.view();
        let end = view.why(&key(2)).unwrap().end;
        assert_eq!((end.reason, end.by.name()), (EndReason::Shutdown, "them"));
    });
}

#[test]
fn an_operators_pings_are_answered_and_leave_the_heartbeat_alone() {
    run(async {
        let network = MemoryNetwork::new();
        let (one, two) = pair(&network).await;
        let (lines, _guard) = Lines::capture();
        for _ in 0..3 {
            let answers = one.manager.send(Ping { peer: None }).await.unwrap();
            assert!(matches!(answers[..], [Pinged { peer, rtt: Some(_) }] if peer == key(2)), "{answers:?}");
            assert_eq!(one.manager.send(Ping { peer: Some(key(9)) }).await.unwrap(), []);
        }
        assert_eq!(lines.count("✅ [INBOUND] Pong matches! 10.0.0.2:7000"), 3);
        pass(60 * SECOND).await;
        assert!(one.is_up(2) && two.is_up(1));
        // Nobody waits for ever: not for a peer that is cut off, and not when too many wait already.
        network.cut(ip(1), ip(2));
        let waiting = join_all((0..20).map(|_| one.manager.send(Ping { peer: Some(key(2)) }))).await;
        for answer in waiting {
            assert_eq!(answer.unwrap(), [Pinged { peer: key(2), rtt: None }]);
        }
        network.heal(ip(1), ip(2));
        pass(SECOND).await;
        assert!(one.is_up(2) && two.is_up(1));
    });
}

#[test]
fn two_live_nodes_with_one_key_are_reported_as_twins() {
    run(async {
        let network = MemoryNetwork::new();
        let one = Setup::new(1).start(&network).await;
        for instance in [100, 101, 100] {
            let raw = Raw::established(&network, 2, 1, instance).await;
            tokio::task::spawn_local(raw.behave());
            pass(11 * SECOND).await;
        }
        let twins = one.view().twins;
        assert_eq!(twins.len(), 1);
        assert_eq!((twins[0].key, twins[0].returned.as_u128()), (key(2), 100));
    });
}

#[test]
fn real_sockets_carry_it_all() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpTransport.bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let transport = std::sync::Arc::new(TcpTransport);
        let one = start(1, Setup::new(1).config, transport.clone(), Some(listener), 1);
        let mut config = Setup::new(2).config;
        config.local.listen_port = 0;
        config.configured.push(timed_actors::peer_manager::ConfiguredPeer {
            address,
            key: Some(key(1)),
            is_validator: true,
        });
        let mut two = start(2, config, transport, None, 2);
        two.views.wait_for(|v| v.peers.len() == 1).await.unwrap();
        let block = Message::from(ConsensusMessage::Block(sample::opaque(2_000_000)));
        one.manager.do_send(Broadcast { message: block.clone(), audience: Audience::All, except: None, height: None });
        let arrived = tokio::time::timeout(20 * SECOND, two.outlets.consensus.recv()).await.unwrap().unwrap();
        assert_eq!(Message::Consensus(arrived.message), block);
        one.manager.send(StopPeers).await.unwrap();
        let ended = two.views.wait_for(|v| !v.ended.is_empty()).await.unwrap().ended.clone();
        assert_eq!(ended[0].end.reason, EndReason::Shutdown);
    });
}

#[test]
fn unknown_kinds_are_skipped_and_counted() {
    run(async {
        let network = MemoryNetwork::new();
        let mut one = Setup::new(1).start(&network).await;
        let mut raw = Raw::established(&network, 2, 1, 2).await;
        for _ in 0..100 {
            raw.send_bytes(&[0, 0, 0, 3, 0xee, 1, 2, 3]).await;
        }
        raw.send(ConsensusMessage::Vote(sample::opaque(5))).await;
        pass(2 * SECOND).await;
        assert_eq!(drain(&mut one.outlets.consensus).len(), 1);
        assert_eq!(one.view().peers[0].dropped.unknown, 100);
        assert!(one.is_up(2));
        while let Ok(Some(incoming)) = tokio::time::timeout(SECOND, raw.next()).await {
            assert!(!matches!(
                incoming,
                Incoming::Message { message: Message::Control(ControlMessage::Goodbye { .. }), .. }
            ));
        }
    });
}

/// A peer may talk as soon as it has read our `Hello`: what comes in the same read as its own is not lost.
#[test]
fn what_comes_together_with_the_handshake_is_handled_after_it() {
    run(async {
        let network = MemoryNetwork::new();
        let mut node = Setup::new(1).start(&network).await;
        let mut raw = Raw::dial(&network, 9, 1).await;
        let (_handshake, hello) = raw.hello(local(9, 9));
        let vote = ConsensusMessage::Vote(sample::opaque(10));
        let together: [Message; 4] = [
            ControlMessage::Hello(Box::new(hello)).into(),
            ControlMessage::Ping { nonce: 7 }.into(),
            vote.clone().into(),
            ControlMessage::Ping { nonce: 8 }.into(),
        ];
        let mut bytes = BytesMut::new();
        for message in &together {
            FrameCodec::new().encode(&Encoded::new(message).unwrap(), &mut bytes).unwrap();
        }
        raw.send_bytes(&bytes).await;
        for nonce in [7, 8] {
            let pong = raw.expect(Kind::Pong).await;
            let expected = |found: &Message| matches!(found, Message::Control(ControlMessage::Pong { nonce: n, .. }) if *n == nonce);
            assert!(expected(&pong), "{pong:?}");
        }
        assert!(node.is_up(9));
        let votes: Vec<_> = drain(&mut node.outlets.consensus).into_iter().map(|inbound| inbound.message).collect();
        assert_eq!(votes, [vote]);
    });
}

#[test]
fn a_feeler_tests_an_address_and_neither_side_counts_it_as_a_peer() {
    run(async {
        let network = MemoryNetwork::new();
        let mut setup = Setup::new(1);
        // Every outbound place is taken.
        setup.config.book.outbound_max = 0;
        let node = setup.start(&network).await;
        let there = SocketAddr::new(ip(7), PORT);
        let mut listener = network.host(ip(7)).bind(there).await.unwrap();
        let mut announcer = Raw::established(&network, 3, 1, 3).await;
        let record = AddressRecord::sign(&node_key(7), ChainId(7), &address(7), node.clock.unix()).unwrap();
        announcer.send(ControlMessage::Addr { records: vec![record.encode()] }).await;
        let _living = tokio::task::spawn_local(announcer.behave());
        let began = tokio::time::Instant::now();
        let mut felt = Raw::accept(&mut *listener, 7).await;
        assert!((85..155).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        let (mut handshake, hello) = felt.hello(local(7, 7));
        felt.send(ControlMessage::Hello(Box::new(hello))).await;
        match handshake.on_message(&felt.expect(Kind::Hello).await) {
            HandshakeAction::Up(info) => assert!(info.is_feeler()),
            other => panic!("{other:?}"),
        }
        assert_eq!(felt.goodbye().await, Some(EndReason::Tested));
        // It was reached: no further feeler, and nothing to be seen of it.
        let again = tokio::time::timeout(1000 * SECOND, listener.accept()).await;
        assert!(again.is_err(), "an address that was reached needs no test");
        assert_eq!(node.news(), [News::Up(key(3))]);
        let view = node.view();
        assert_eq!((view.ended.len(), view.targets.iter().filter(|t| t.key == Some(key(7))).count()), (0, 0));

        // The other side: a visitor completes the handshake, gets the reason `tested`, and was never a peer.
        let mut visitor = Raw::dial(&network, 8, 1).await;
        visitor.shake_hands(LocalNode { capabilities: FEELER, ..local(8, 8) }).await;
        assert_eq!(visitor.goodbye().await, Some(EndReason::Tested));
        pass(SECOND).await;
        assert_eq!(node.news(), [News::Up(key(3))]);
        assert!(node.view().ended.is_empty());
        let _peer = Raw::established(&network, 8, 1, 8).await;
        pass(SECOND).await;
        assert!(node.is_up(8), "a visit is held against nobody");
    });
}
