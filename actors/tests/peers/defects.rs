//! The faults of the node that this one replaces, each played against the real peers.

use crate::common::*;
use std::time::Duration;
use timed_actors::messages::{Audience, Broadcast};
use timed_peer::EndReason;
use timed_wire::{BlockSyncMessage, ConsensusMessage, ControlMessage, Encoded, Incoming, Kind, Message, sample};
use tokio::io::AsyncWriteExt;

#[test]
fn defect_read_line_in_select_a_frame_that_comes_byte_by_byte_is_read_whole() {
    run(async {
        let mut scene = Scene::begin().await;
        let mut raw = Raw::established(&scene.network, 3, 1, 3).await;
        let vote = ConsensusMessage::Vote(sample::opaque(143));
        let encoded = Encoded::new(&vote.clone().into()).unwrap();
        for byte in &encoded.whole(usize::MAX).unwrap()[..] {
            raw.send_bytes(&[*byte]).await;
            // Timers of the actor fire and broadcasts leave between any two bytes.
            scene.node.manager.do_send(Broadcast {
                message: ConsensusMessage::Vote(sample::opaque(2)).into(),
                audience: Audience::All,
                except: None,
                height: None,
            });
            pass(Duration::from_millis(50)).await;
        }
        pass(SECOND).await;
        let arrived = drain(&mut scene.node.outlets.consensus);
        assert_eq!(arrived.into_iter().map(|i| i.message).collect::<Vec<_>>(), [vote]);
        let _living = tokio::task::spawn_local(raw.behave());
        scene.end().await;
    });
}

#[test]
fn defect_burst_ticks_after_a_suspended_hour_no_ping_bursts_and_nobody_is_dropped() {
    run(async {
        let scene = Scene::begin().await;
        pass(10 * SECOND).await;
        let (lines, _guard) = Lines::capture();
        // The whole machine sleeps: the clock jumps, and nobody has run meanwhile.
        tokio::time::advance(Duration::from_secs(3600)).await;
        pass(SECOND).await;
        assert!(lines.count("[INBOUND] Sent ping") <= 1, "{:#?}", lines.all());
        assert_eq!(lines.count("⚠️"), 0);
        drop(_guard);
        scene.end().await;
    });
}

#[test]
fn defect_first_tick_fires_twice_one_ping_when_a_session_begins() {
    run(async {
        let scene = Scene::begin().await;
        let mut raw = Raw::established(&scene.network, 3, 1, 3).await;
        let mut pings = 0;
        let _ = tokio::time::timeout(4 * SECOND, async {
            while let Some(incoming) = raw.next().await {
                pings += usize::from(matches!(
                    incoming,
                    Incoming::Message { message: Message::Control(ControlMessage::Ping { .. }), .. }
                ));
            }
        })
        .await;
        assert_eq!(pings, 1);
        scene.end().await;
    });
}

#[test]
fn defect_unbounded_lines_ten_megabytes_of_one_frame_are_never_held() {
    run(async {
        let scene = Scene::begin().await;
        let mut raw = Raw::established(&scene.network, 3, 1, 3).await;
        raw.send_bytes(&header(10_000_000, Kind::Decided.number())).await;
        let mut sent = 0;
        while sent < 10_000_000 && raw.stream.write_all(&[0; 10_000]).await.is_ok() {
            sent += 10_000;
            tokio::task::yield_now().await;
        }
        assert_eq!(raw.goodbye().await.unwrap_or(EndReason::OversizedFrame), EndReason::OversizedFrame);
        assert_eq!(scene.node.ends(3), [EndReason::OversizedFrame]);
        scene.end().await;
    });
}

#[test]
fn defect_bulk_and_ping_share_a_writer_a_pong_passes_megabytes_of_bulk() {
    run(async {
        let scene = Scene::begin().await;
        let mut raw = Raw::established(&scene.network, 3, 1, 3).await;
        for n in 0..15 {
            let block = sample::opaque(1_000_000);
            let message = BlockSyncMessage::Decided { request: 1, height: n, certificate: sample::opaque(1), block };
            scene.node.manager.do_send(Broadcast {
                message: message.into(),
                audience: Audience::All,
                except: None,
                height: None,
            });
        }
        pass(SECOND).await;
        raw.send(ControlMessage::Ping { nonce: 5 }).await;
        pass(Duration::from_millis(10)).await;
        let mut before = 0;
        loop {
            match raw.next().await.unwrap() {
                Incoming::Message { message: Message::Control(ControlMessage::Pong { nonce: 5, .. }), .. } => break,
                Incoming::Message { bytes, .. }
                | Incoming::Progress { bytes, .. }
                | Incoming::Unknown { bytes, .. } => before += bytes,
            }
        }
        // What had left for the link already: its buffer, that of TLS, and one batch.
        assert!(before <= 3 * 64 * 1024 + 2 * 64 * 1024, "{before} bytes came before the pong");
        scene.end().await;
    });
}

#[test]
fn defect_messages_other_than_pings_are_dropped_see_every_message_type() {
    // The whole walk over all kinds is in peers.rs; this is the shortest form: one vote after a thousand pings.
    run(async {
        let mut scene = Scene::begin().await;
        let mut raw = Raw::established(&scene.network, 3, 1, 3).await;
        for nonce in 0..1000 {
            raw.send(ControlMessage::Ping { nonce }).await;
        }
        raw.send(ConsensusMessage::Vote(sample::opaque(3))).await;
        pass(SECOND).await;
        assert_eq!(drain(&mut scene.node.outlets.consensus).len(), 1);
        drop(raw);
        scene.end().await;
    });
}

#[test]
fn defect_ping_before_the_handshake_nothing_but_a_hello_is_sent_first() {
    run(async {
        let scene = Scene::begin().await;
        let mut raw = Raw::dial(&scene.network, 3, 1).await;
        let mut kinds = Vec::new();
        while let Some(incoming) = raw.next().await {
            if let Incoming::Message { message, .. } = incoming {
                kinds.push(message.kind());
            }
        }
        assert_eq!(kinds, [Kind::Hello, Kind::Goodbye]);
        scene.end().await;
    });
}

#[test]
fn defect_pending_pings_cut_to_five_late_pongs_still_match() {
    run(async {
        let scene = Scene::begin().await;
        let (lines, _guard) = Lines::capture();
        let mut raw = Raw::established(&scene.network, 3, 1, 3).await;
        let mut nonces = Vec::new();
        while nonces.len() < 9 {
            if let Message::Control(ControlMessage::Ping { nonce }) = raw.expect(Kind::Ping).await {
                nonces.push(nonce);
            }
            // Alive, but slow to answer.
            raw.send(ConsensusMessage::Vote(sample::opaque(3))).await;
        }
        for nonce in &nonces {
            raw.send(ControlMessage::Pong { nonce: *nonce, time_ms: 0 }).await;
        }
        pass(Duration::from_millis(100)).await;
        for nonce in nonces {
            assert_eq!(lines.count(&format!("Pong matches! 10.0.0.3:7000 (nonce: {nonce},")), 1);
        }
        drop(_guard);
        let _living = tokio::task::spawn_local(raw.behave());
        scene.end().await;
    });
}
