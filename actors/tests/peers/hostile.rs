//! Peers that mean harm, or are broken: each ends with its typed reason, costs little, and disturbs nobody else.

use crate::common::*;
use bytes::{BufMut, BytesMut};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::messages::{Audience, Broadcast, LiftBan, Penalize, SetBan};
use timed_actors::transport::{TcpTransport, Transport};
use timed_peer::{EndReason, Offence};
use timed_primitives::{ChainId, Hash};
use timed_test_support::MemoryNetwork;
use timed_wire::{BlockSyncMessage, ConsensusMessage, ControlMessage, Encoded, Kind, MempoolMessage, Message, sample};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn random_bytes_instead_of_tls_or_inside_it() {
    run(async {
        let scene = Scene::begin().await;
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..20 {
            let mut noise = vec![0; 5000];
            rng.fill_bytes(&mut noise);
            let (mut stream, _) = scene.network.host(ip(9)).connect(&address(1)).await.unwrap();
            let _ = stream.write_all(&noise).await;
            let mut rest = Vec::new();
            let _ = tokio::time::timeout(6 * SECOND, stream.read_to_end(&mut rest)).await.unwrap();
            let mut raw = Raw::dial(&scene.network, 3, 1).await;
            // A length beyond every bound or an unknown kind before the handshake: both end it.
            noise[0] |= 0x80;
            raw.send_bytes(&noise).await;
            assert!(raw.goodbye().await.is_some());
        }
        let ends = scene.node.ends(3);
        assert_eq!(ends, vec![EndReason::OversizedFrame; ends.len()]);
        assert!(scene.node.ends(9).is_empty(), "nobody was named");
        scene.end().await;
    });
}

#[test]
fn an_oversized_length_ends_the_session_before_anything_is_allocated_and_is_noted() {
    run(async {
        let scene = Scene::begin().await;
        for (length, kind) in [(u32::MAX, 0x10), (257, 0x10), (100_000, 0x15), (70_000, 0x7f), (17, 0x02)] {
            let mut raw = Raw::established(&scene.network, 3, 1, 3).await;
            raw.send_bytes(&header(length, kind)).await;
            assert_eq!(raw.goodbye().await, Some(EndReason::OversizedFrame), "{length} {kind}");
        }
        assert_eq!(scene.node.ends(3), [EndReason::OversizedFrame; 5]);
        scene.end().await;
    });
}

#[test]
fn defect_parse_errors_are_swallowed_an_undecodable_body_ends_the_session_with_its_reason() {
    run(async {
        let scene = Scene::begin().await;
        let mut frame = header(3, Kind::Ping.number());
        frame.put_slice(&[0xc1, 0xc1, 0xc1]);
        let mut raw = Raw::established(&scene.network, 3, 1, 3).await;
        raw.send_bytes(&frame).await;
        assert_eq!(raw.goodbye().await, Some(EndReason::Undecodable));
        scene.end().await;
    });
}

#[test]
fn a_truncated_frame_waits_and_the_cut_is_nobodys_fault() {
    run(async {
        let scene = Scene::begin().await;
        let vote = Encoded::new(&ConsensusMessage::Vote(sample::opaque(143)).into()).unwrap();
        let bytes = vote.whole(usize::MAX).unwrap().clone();
        let mut raw = Raw::established(&scene.network, 3, 1, 3).await;
        raw.send_bytes(&bytes[..40]).await;
        pass(5 * SECOND).await;
        assert!(scene.node.is_up(3));
        drop(raw);
        pass(2 * SECOND).await;
        assert_eq!(scene.node.ends(3), [EndReason::ConnectionClosed]);
        scene.end().await;
    });
}

#[test]
fn a_slow_drip_handshake_and_a_silent_one_end_in_five_seconds() {
    run(async {
        let scene = Scene::begin().await;
        let began = tokio::time::Instant::now();
        let silent_socket = scene.network.host(ip(8)).connect(&address(1)).await.unwrap();
        let mut silent = Raw::dial(&scene.network, 3, 1).await;
        let mut drip = Raw::dial(&scene.network, 4, 1).await;
        let (_, hello) = drip.hello(local(4, 4));
        let hello = Encoded::new(&ControlMessage::Hello(Box::new(hello)).into()).unwrap();
        for byte in &hello.whole(usize::MAX).unwrap()[..48] {
            let _ = drip.stream.write_all(&[*byte]).await;
            let _ = drip.stream.flush().await;
            pass(Duration::from_millis(100)).await;
        }
        assert_eq!(drip.goodbye().await, Some(EndReason::HandshakeTimeout));
        assert_eq!(silent.goodbye().await, Some(EndReason::HandshakeTimeout));
        let mut socket = silent_socket.0;
        assert_eq!(socket.read(&mut [0]).await.unwrap_or(0), 0, "a socket that never began TLS is closed too");
        assert!(began.elapsed() < 7 * SECOND, "{:?}", began.elapsed());
        assert_eq!(
            (scene.node.ends(3), scene.node.ends(4)),
            (vec![EndReason::HandshakeTimeout], vec![EndReason::HandshakeTimeout])
        );
        scene.end().await;
    });
}

#[test]
fn idle_sockets_do_not_hold_up_others() {
    run(async {
        let scene = Scene::begin().await;
        let mut idle = Vec::new();
        for _ in 0..120 {
            idle.push(scene.network.host(ip(8)).connect(&address(1)).await.unwrap());
            tokio::task::yield_now().await;
        }
        let began = tokio::time::Instant::now();
        let raw = Raw::established(&scene.network, 3, 1, 3).await;
        assert!(began.elapsed() < SECOND);
        let _living = tokio::task::spawn_local(raw.behave());
        scene.end().await;
    });
}

#[test]
fn whoever_holds_all_handshakes_and_comes_back_at_once_keeps_no_newcomer_out() {
    run(async {
        let scene = Scene::begin().await;
        let local_address = |host: u8| IpAddr::from([127, 0, 0, host]);
        let mut held = Vec::new();
        // This machine's own addresses are free of the limits of admission: 49 of them hold 392 sockets, and replace each that is closed.
        for host in 2..=50 {
            for _ in 0..8 {
                let from = scene.network.host(local_address(host));
                held.push(tokio::task::spawn_local(async move {
                    loop {
                        if let Ok((mut socket, _)) = from.connect(&address(1)).await {
                            let _ = socket.read(&mut [0]).await;
                        }
                        pass(Duration::from_millis(10)).await;
                    }
                }));
            }
        }
        pass(SECOND).await;
        for (round, from) in [ip(3), local_address(1), local_address(50)].into_iter().cycle().take(12).enumerate() {
            let began = tokio::time::Instant::now();
            let (stream, _) = scene.network.host(from).connect(&address(1)).await.unwrap();
            let established = async {
                let mut raw = Raw::secure(stream, 3, 1).await;
                raw.shake_hands(local(3, 3 + round as u128)).await;
                raw
            };
            // Nothing gets through sooner than the attackers' own time limits when places are not given up.
            let raw = tokio::time::timeout(SECOND, established).await.expect("a newcomer is kept out");
            assert!(began.elapsed() < SECOND, "round {round} from {from}: {:?}", began.elapsed());
            pass(Duration::from_millis(1700)).await;
            drop(raw);
        }
        let counts = scene.node.view().handshakes;
        assert!(counts.under_way == 256 && counts.gave_way > 0 && counts.refused == 0, "{counts:?}");
        assert!(counts.begun > counts.gave_way + 256, "{counts:?}");
        held.iter().for_each(tokio::task::JoinHandle::abort);
        pass(7 * SECOND).await;
        assert_eq!(scene.node.view().handshakes.under_way, 0, "places are given back");
        scene.end().await;
    });
}

#[test]
fn an_address_that_dials_too_often_gets_no_handshake_and_others_do() {
    run(async {
        let scene = Scene::begin().await;
        let mut sockets = Vec::new();
        for _ in 0..60 {
            sockets.push(scene.network.host(ip(8)).connect(&address(1)).await.unwrap().0);
        }
        let mut closed = 0;
        for socket in &mut sockets {
            let read = tokio::time::timeout(SECOND / 20, socket.read(&mut [0])).await;
            closed += u64::from(matches!(read, Ok(Ok(0) | Err(_))));
        }
        assert!(
            (38..=40).contains(&closed),
            "{closed} of 60 were closed at once, 20 may wait and a token comes back each second"
        );
        pass(SECOND).await;
        assert_eq!(scene.node.view().handshakes.refused, closed);
        let raw = Raw::established(&scene.network, 3, 1, 3).await;
        let _living = tokio::task::spawn_local(raw.behave());
        scene.end().await;
    });
}

#[test]
fn a_wrong_chain_genesis_or_protocol_ends_with_its_reason() {
    run(async {
        let scene = Scene::begin().await;
        let mut chain = local(3, 3);
        chain.chain_id = ChainId(8);
        let mut genesis = local(3, 3);
        genesis.genesis = Hash([8; 32]);
        for (me, expected) in [(chain, EndReason::ChainId), (genesis, EndReason::Genesis)] {
            let mut raw = Raw::dial(&scene.network, 3, 1).await;
            let (_, hello) = raw.hello(me);
            raw.send(ControlMessage::Hello(Box::new(hello))).await;
            assert_eq!(raw.goodbye().await, Some(expected));
        }
        let mut raw = Raw::dial(&scene.network, 3, 1).await;
        let (_, mut hello) = raw.hello(local(3, 3));
        hello.protocol += 1;
        raw.send(ControlMessage::Hello(Box::new(hello))).await;
        assert_eq!(raw.goodbye().await, Some(EndReason::ProtocolVersion));
        assert_eq!(scene.node.ends(3), [EndReason::ChainId, EndReason::Genesis, EndReason::ProtocolVersion]);
        scene.end().await;
    });
}

#[test]
fn a_validator_key_is_proved_for_this_connection_only() {
    run(async {
        let scene = Scene::begin().await;
        let mut first = Raw::dial(&scene.network, 3, 1).await;
        let (_, hello) = first.hello(local(3, 3));
        // The same words on another connection prove nothing.
        let mut second = Raw::dial(&scene.network, 3, 1).await;
        second.send(ControlMessage::Hello(Box::new(hello.clone()))).await;
        assert_eq!(second.goodbye().await, Some(EndReason::ValidatorClaim));
        first.send(ControlMessage::Hello(Box::new(hello))).await;
        first.expect(Kind::Ping).await;
        scene.end().await;
    });
}

#[test]
fn nothing_is_accepted_before_the_handshake_and_no_second_handshake() {
    run(async {
        let scene = Scene::begin().await;
        let mut chunk = BytesMut::new();
        let block = Encoded::new(&ConsensusMessage::Block(sample::opaque(100_000)).into()).unwrap();
        block.put_chunk(0, 64_000, &mut chunk).unwrap();
        let vote = Encoded::new(&ConsensusMessage::Vote(sample::opaque(9)).into()).unwrap();
        for bytes in [&chunk[..], &vote.whole(100).unwrap()[..], &[0, 0, 0, 0, 0x77]] {
            let mut raw = Raw::dial(&scene.network, 3, 1).await;
            raw.send_bytes(bytes).await;
            assert_eq!(raw.goodbye().await, Some(EndReason::HandshakeOrder));
        }
        let mut raw = Raw::established(&scene.network, 3, 1, 3).await;
        let (_, hello) = raw.hello(local(3, 3));
        raw.send(ControlMessage::Hello(Box::new(hello))).await;
        assert_eq!(raw.goodbye().await, Some(EndReason::HandshakeOrder));
        scene.end().await;
    });
}

#[test]
fn a_peer_that_does_not_read_costs_at_most_its_byte_bound() {
    run(async {
        let mut scene = Scene::begin().await;
        let mut deaf = Raw::established(&scene.network, 3, 1, 3).await;
        let block = |n: u32| {
            let mut bytes = n.to_be_bytes().to_vec();
            bytes.resize(1_000_000, 0);
            Message::from(ConsensusMessage::Block(bytes.into()))
        };
        let mut received = 0;
        for n in 0..60 {
            scene.node.manager.do_send(Broadcast {
                message: block(n),
                audience: Audience::All,
                except: None,
                height: None,
            });
            pass(Duration::from_millis(100)).await;
            // It goes on sending, so it is not silent.
            deaf.send(ControlMessage::Pong { nonce: 1, time_ms: 0 }).await;
            received += drain(&mut scene.good.outlets.consensus).len();
        }
        pass(SECOND).await;
        let view = scene.node.view();
        let peer = view.peers.iter().find(|p| p.key == key(3)).unwrap();
        assert!(peer.queued_bytes.iter().sum::<usize>() <= 8 * 1024 * 1024, "{:?}", peer.queued_bytes);
        assert!(peer.dropped_outbound > 50);
        received += drain(&mut scene.good.outlets.consensus).len();
        assert_eq!(received, 60, "the good peer missed nothing");
        for _ in 0..120 {
            pass(SECOND).await;
            let _ = deaf.stream.write_all(&[0, 0, 0, 0, 0x77]).await;
            let _ = deaf.stream.flush().await;
        }
        assert_eq!(scene.node.ends(3), [EndReason::LaneOverflow], "who takes not one byte for a minute does not read");
        scene.end().await;
    });
}

#[test]
fn peers_that_do_not_read_cost_at_most_the_bound_for_all_of_them() {
    const ALL: usize = 5_000_000;
    run(async {
        let mut scene = Scene::begin_with(|config| config.lane_limits.all_peers = ALL).await;
        let mut deaf = Vec::new();
        for id in 3..7 {
            deaf.push(Raw::established(&scene.network, id, 1, u128::from(id)).await);
        }
        let broadcast = |message: Message| Broadcast { message, audience: Audience::All, except: None, height: None };
        let queued = |scene: &Scene, id: u64| {
            let view = scene.node.view();
            let peer = view.peers.iter().find(|p| p.key == key(id)).map(|p| (p.queued_bytes, p.dropped_outbound));
            peer.unwrap_or_default()
        };
        let (mut received, mut most) = (0, 0);
        for _ in 0..30 {
            let transactions = vec![sample::opaque(400_000)];
            scene.node.manager.do_send(broadcast(MempoolMessage::Transactions { transactions }.into()));
            pass(Duration::from_millis(1_100)).await;
            for peer in &mut deaf {
                peer.send(ControlMessage::Pong { nonce: 1, time_ms: 0 }).await;
            }
            received += drain(&mut scene.good.outlets.mempool).len();
            let sum: usize = (2..7).map(|id| queued(&scene, id).0.iter().sum::<usize>()).sum();
            most = most.max(sum);
        }
        assert!((ALL / 2..=ALL).contains(&most), "{most}, where {} would fit the lanes", 4 * 16 * 1024 * 1024);
        assert!((3..7).all(|id| queued(&scene, id).1 > 0), "each gave way in turn");
        assert_eq!((received, queued(&scene, 2).1), (30, 0), "who reads has all");
        assert!((3..7).all(|id| scene.node.is_up(id)), "dropping their bulk was enough");
        // What is not bulk is not dropped: sessions end.
        for _ in 0..5 {
            scene.node.manager.do_send(broadcast(ConsensusMessage::Block(sample::opaque(900_000)).into()));
            pass(SECOND).await;
        }
        let ended: Vec<_> = (3..7).flat_map(|id| scene.node.ends(id)).collect();
        assert!(!ended.is_empty() && ended.iter().all(|reason| *reason == EndReason::LaneOverflow), "{ended:?}");
        let blocks = drain(&mut scene.good.outlets.consensus).len();
        assert_eq!((blocks, scene.node.is_up(2)), (5, true), "who reads has all");
        scene.end().await;
    });
}

#[test]
fn floods_of_votes_transactions_and_unasked_blocks_are_dropped_and_counted() {
    run(async {
        let mut scene = Scene::begin().await;
        let mut raw = Raw::established(&scene.network, 3, 1, 3).await;
        for _ in 0..3000 {
            raw.send(ConsensusMessage::Vote(sample::opaque(143))).await;
        }
        for _ in 0..20 {
            raw.send(MempoolMessage::Transactions { transactions: vec![sample::opaque(400_000)] }).await;
            let block = sample::opaque(500_000);
            raw.send(BlockSyncMessage::Decided { request: 1, height: 1, certificate: sample::opaque(1), block }).await;
        }
        for nonce in 0..200 {
            raw.send(ControlMessage::Ping { nonce }).await;
        }
        pass(2 * SECOND).await;
        let view = scene.node.view();
        let dropped = view.peers.iter().find(|p| p.key == key(3)).unwrap().dropped;
        assert_eq!((dropped.consensus, dropped.unasked), (3000 - 1024, 20));
        assert_eq!(dropped.mempool, 20 - 7, "3 MiB of transactions may wait");
        assert!(dropped.pings >= 150);
        // The channels are not crowded out: the good peer still has its own allowance.
        scene.good.manager.do_send(Broadcast {
            message: ConsensusMessage::Vote(sample::opaque(1)).into(),
            audience: Audience::All,
            except: None,
            height: None,
        });
        pass(SECOND).await;
        let arrived = drain(&mut scene.node.outlets.consensus);
        assert_eq!(arrived.iter().filter(|i| i.peer == key(2)).count(), 1);
        assert_eq!(arrived.len(), 1025);
        assert!(scene.node.is_up(3), "a flood is no offence");
        drop(arrived);
        raw.send(ConsensusMessage::Vote(sample::opaque(143))).await;
        pass(SECOND).await;
        assert_eq!(drain(&mut scene.node.outlets.consensus).len(), 1, "what the actor has taken frees the allowance");
        drop(raw);
        scene.end().await;
    });
}

#[test]
fn provable_faults_ban_the_key_for_a_while_and_an_operator_can_lift_it() {
    run(async {
        let scene = Scene::begin().await;
        let mut me = local(3, 3);
        me.consensus_key = None;
        let shake_hands = async |network: &MemoryNetwork| {
            let mut raw = Raw::dial(network, 3, 1).await;
            let (_, hello) = raw.hello(me.clone());
            raw.send(ControlMessage::Hello(Box::new(hello))).await;
            raw
        };
        let raw = shake_hands(&scene.network).await;
        let living = tokio::task::spawn_local(raw.behave());
        pass(SECOND).await;
        for _ in 0..3 {
            scene.node.manager.do_send(Penalize { peer: key(3), offence: Offence::InvalidSignature });
        }
        assert_eq!(living.await.unwrap(), Some(EndReason::Misbehaviour));
        pass(SECOND).await;
        assert_eq!(scene.node.view().bans.len(), 1);
        assert_eq!(shake_hands(&scene.network).await.goodbye().await, Some(EndReason::Banned));
        assert!(scene.node.manager.send(LiftBan { peer: key(3) }).await.unwrap());
        let raw = shake_hands(&scene.network).await;
        let living = tokio::task::spawn_local(raw.behave());
        pass(SECOND).await;
        assert!(scene.node.is_up(3));
        scene.node.manager.do_send(SetBan { peer: key(3), length: 60 * SECOND });
        assert_eq!(living.await.unwrap(), Some(EndReason::Banned));
        pass(61 * SECOND).await;
        assert!(scene.node.view().bans.is_empty());
        // A validator is spared as long as nobody says that quorum does not need it.
        for _ in 0..10 {
            scene.node.manager.do_send(Penalize { peer: key(2), offence: Offence::InvalidBlock });
        }
        scene.end().await;
    });
}

#[test]
fn a_peer_that_sends_but_never_answers_pings_is_closed_after_four_deadlines() {
    run(async {
        let scene = Scene::begin().await;
        let mut raw = Raw::established(&scene.network, 3, 1, 3).await;
        let began = tokio::time::Instant::now();
        let mut reason = None;
        while reason.is_none() {
            let _ = raw.stream.write_all(&[0, 0, 0, 0, 0x77]).await;
            let _ = raw.stream.flush().await;
            reason = tokio::time::timeout(SECOND, raw.goodbye()).await.ok();
        }
        assert_eq!(reason, Some(Some(EndReason::PongsMissing)));
        assert!((58..70).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        scene.end().await;
    });
}

#[test]
fn a_goodbye_over_real_sockets_outlives_what_the_other_side_still_sends() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpTransport.bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let node = start(1, Setup::new(1).config, Arc::new(TcpTransport), Some(listener), 1);
        for round in 0..5 {
            let (stream, _) = TcpTransport.connect(&target).await.unwrap();
            let mut raw = Raw::secure(stream, 3, 1).await;
            raw.shake_hands(local(3, 3)).await;
            let mut bytes = header(u32::MAX, 0x10);
            bytes.resize(300_000, 0);
            // Some of it is unread when the node closes, and a closed socket with unread bytes resets the connection.
            let _ = raw.stream.write_all(&bytes).await;
            let _ = raw.stream.flush().await;
            assert_eq!(raw.goodbye().await, Some(EndReason::OversizedFrame), "round {round}");
        }
        assert_eq!(node.view().peers.len(), 0);
    });
}
