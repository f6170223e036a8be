//! The bytes of every kind are pinned in `tests/golden/wire/<kind>.hex` at the root of the workspace.
//! `UPDATE_GOLDEN=1` rewrites them; a change there is a change of the protocol.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use bytes::BytesMut;
use std::path::PathBuf;
use timed_wire::{ConsensusMessage, Encoded, FrameCodec, Incoming, Kind, Message, sample};
use tokio_util::codec::Decoder;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/wire")
}

/// The frame of the kind's sample; for chunks, both frames of a message of two.
fn frames(kind: Kind) -> (Message, Vec<u8>) {
    let mut out = BytesMut::new();
    let message = sample::message(kind).unwrap_or_else(|| {
        let large = Message::from(ConsensusMessage::Block(sample::opaque(4100)));
        let encoded = Encoded::new(&large).unwrap();
        let second = encoded.put_chunk(0, 4096, &mut out).unwrap();
        assert_eq!(encoded.put_chunk(second, 4096, &mut out), None);
        large
    });
    if out.is_empty() {
        let encoded = Encoded::new(&message).unwrap();
        assert_eq!(encoded.kind(), kind);
        out.extend_from_slice(encoded.whole(usize::MAX).unwrap());
    }
    (message, out.to_vec())
}

#[test]
fn every_kind_has_a_golden_vector_that_both_ways_agree_with() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for kind in Kind::ALL {
        let (message, bytes) = frames(kind);
        let path = folder().join(format!("{}.hex", kind.name()));
        let lines: Vec<_> = bytes.chunks(64).map(hex::encode).collect();
        let text = lines.join("\n") + "\n";
        if update {
            std::fs::create_dir_all(folder()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{}: {e}; run with UPDATE_GOLDEN=1 once", path.display()));
        assert_eq!(golden, text, "{} is written differently", kind.name());

        let mut source = BytesMut::from(&hex::decode(golden.replace('\n', "")).unwrap()[..]);
        let mut codec = FrameCodec::new();
        let mut read = None;
        while let Some(incoming) = codec.decode(&mut source).unwrap() {
            if let Incoming::Message { message, .. } = incoming {
                assert!(read.replace(message).is_none());
            }
        }
        assert_eq!(read, Some(message), "{} is read differently", kind.name());
        assert!(source.is_empty());
    }
}

#[test]
fn no_golden_vector_without_a_kind() {
    for file in std::fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(Kind::ALL.iter().any(|k| name == format!("{}.hex", k.name())), "{name} belongs to no kind");
    }
}
