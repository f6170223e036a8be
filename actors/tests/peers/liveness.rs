//! What counts as life, and what does not: a peer that delivers is kept however slow it is, a peer that only drips is not.

use crate::common::*;
use bytes::BytesMut;
use timed_actors::transport::MemoryNetwork;
use timed_peer::EndReason;
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
