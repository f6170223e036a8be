//! What counts as life, and what does not: a peer that delivers is kept however slow it is, a peer that only drips is not.

use crate::common::*;
use crate::friendly::pair;
use bytes::BytesMut;
use std::time::Duration;
use timed_peer::EndReason;
use timed_test_support::MemoryNetwork;
use timed_wire::{ConsensusMessage, Encoded, sample};
use tokio::io::AsyncWriteExt;

/// A block under decision of thirteen chunks.
fn block() -> Encoded {
    Encoded::new(&ConsensusMessage::Block(sample::opaque(13 * 4 * 4096 - 64)).into()).expect("a block can be encoded")
}

#[test]
fn a_block_that_takes_longer_than_the_deadline_keeps_its_sender_alive() {
    run(async {
        let network = MemoryNetwork::new();
        let node = Setup::new(1).start(&network).await;
        let mut raw = Raw::established(&network, 3, 1, 3).await;
        // Not one ping is answered, so only the chunks speak for it: one in 4 s, for 52 s, with a deadline of 15 s.
        let (block, mut offset) = (block(), 0);
        for chunk in 0..13 {
            let mut bytes = BytesMut::new();
            let next = block.put_chunk(offset, 4 * 4096, &mut bytes);
            raw.send_bytes(&bytes).await;
            assert_eq!(next.is_none(), chunk == 12, "chunk {chunk}");
            offset = next.unwrap_or(offset);
            pass(4 * SECOND).await;
            assert!(node.is_up(3), "dropped after chunk {chunk}: {:?}", node.ends(3));
        }
        // Life of this sort is capped: who never answers a ping is let go after four deadlines.
        assert_eq!(raw.goodbye().await, Some(EndReason::PongsMissing));
    });
}

#[test]
fn bytes_that_complete_nothing_are_no_life() {
    run(async {
        let network = MemoryNetwork::new();
        let node = Setup::new(1).start(&network).await;
        let mut raw = Raw::established(&network, 3, 1, 3).await;
        let began = tokio::time::Instant::now();
        let mut bytes = BytesMut::new();
        let _ = block().put_chunk(0, 4 * 4096, &mut bytes);
        for byte in bytes.chunks(1) {
            if !node.is_up(3) && began.elapsed() > SECOND {
                break;
            }
            let _ = raw.stream.write_all(byte).await;
            let _ = raw.stream.flush().await;
            pass(SECOND).await;
        }
        assert_eq!(node.ends(3), [EndReason::Silent]);
        assert_eq!(began.elapsed().as_secs(), 16, "one second after the deadline at most");
    });
}

#[test]
fn a_silent_peer_is_gone_by_its_deadline_and_comes_back() {
    run(async {
        let (lines, _guard) = Lines::capture();
        let network = MemoryNetwork::new();
        let (one, two) = pair(&network).await;
        pass(20 * SECOND).await;
        network.cut(ip(1), ip(2));
        pass(Duration::from_millis(9_000)).await;
        assert!(one.is_up(2) && two.is_up(1), "a pause shorter than the deadline ends nothing");
        // Deadline 15 s, and up to 5.5 s since the last life before the cut do not count for the peer.
        pass(Duration::from_millis(6_100)).await;
        assert!(!one.is_up(2) && !two.is_up(1));
        assert_eq!((one.ends(2), two.ends(1)), (vec![EndReason::Silent], vec![EndReason::Silent]));
        assert_eq!(lines.count("⚠️ Ping timeout"), 2);
        network.heal(ip(1), ip(2));
        pass(7 * SECOND).await;
        assert!(one.is_up(2) && two.is_up(1));
        // Both dial, so one of two new sessions may have been a duplicate.
        let expected = [News::Up(key(2)), News::Down(key(2), EndReason::Silent), News::Up(key(2))];
        assert_eq!(one.news()[..3], expected);
        assert_eq!(network.connections(ip(1), ip(2)), 1);
    });
}
