//! Streams of frames: split and merged anywhere, cut, oversized, random.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use timed_wire::frame::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, FRAME_BODY_MAX, HEADER_BYTES, UNKNOWN_BYTES_MAX};
use timed_wire::{
    BlockSyncMessage, ConsensusMessage, EncodeError, Encoded, FrameCodec, FrameError, Incoming, Kind, MempoolMessage,
    Message, sample,
};
use tokio_util::codec::{Decoder, Encoder};

fn frame(kind: u8, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u32(u32::try_from(body.len()).unwrap());
    out.put_u8(kind);
    out.put_slice(body);
    out
}

fn chunk(lane: u8, kind: u8, remaining: u32, payload: &[u8]) -> BytesMut {
    let body = rmp_serde::to_vec(&(lane, kind, remaining, serde_bytes::Bytes::new(payload))).unwrap();
    frame(Kind::Chunk.number(), &body)
}

fn decode_all(codec: &mut FrameCodec, source: &mut BytesMut) -> Result<Vec<Incoming>, FrameError> {
    let mut all = Vec::new();
    while let Some(incoming) = codec.decode(source)? {
        all.push(incoming);
    }
    Ok(all)
}

fn messages(all: Vec<Incoming>) -> Vec<Message> {
    let message = |i| match i {
        Incoming::Message { message, .. } => Some(message),
        Incoming::Progress { .. } | Incoming::Unknown { .. } => None,
    };
    all.into_iter().filter_map(message).collect()
}

/// Several MiB: each kind, two blocks in chunks with pings between them, an unknown kind.
fn stream() -> (Vec<Message>, BytesMut) {
    let mut wire = BytesMut::new();
    let mut expected: Vec<_> = Kind::ALL.into_iter().filter_map(sample::message).collect();
    for message in &expected {
        FrameCodec::new().encode(&Encoded::new(message).unwrap(), &mut wire).unwrap();
    }
    let ping = sample::message(Kind::Ping).unwrap();
    let block = Message::from(ConsensusMessage::Block(sample::opaque(2_000_000)));
    let decided = Message::from(BlockSyncMessage::Decided {
        request: 1,
        height: 2,
        certificate: sample::opaque(30_000),
        block: sample::opaque(2_000_000),
    });
    let (a, b) = (Encoded::new(&block).unwrap(), Encoded::new(&decided).unwrap());
    assert_eq!(a.whole(CHUNK_BYTES_MAX), None);
    let (mut next_a, mut next_b) = (Some(0), Some(0));
    while next_a.is_some() || next_b.is_some() {
        next_a = next_a.and_then(|at| a.put_chunk(at, 20_000, &mut wire));
        next_b = next_b.and_then(|at| b.put_chunk(at, 64_000, &mut wire));
        wire.put_slice(Encoded::new(&ping).unwrap().whole(usize::MAX).unwrap());
        wire.put_slice(&frame(0xee, &[7; 1000]));
        expected.push(ping.clone());
    }
    expected.extend([block, decided]);
    (expected, wire)
}

#[test]
fn control_frames_pass_between_the_chunks_of_two_lanes() {
    let (expected, mut wire) = stream();
    assert!(wire.len() > 4_000_000);
    let total = wire.len();
    let all = decode_all(&mut FrameCodec::new(), &mut wire).unwrap();
    let seen: usize = all
        .iter()
        .map(|i| match i {
            Incoming::Message { message, bytes } => {
                let is_chunked = matches!(message.kind(), Kind::Block | Kind::Decided) && *bytes > FRAME_BODY_MAX;
                if is_chunked { 0 } else { *bytes }
            }
            Incoming::Progress { bytes, .. } | Incoming::Unknown { bytes, .. } => *bytes,
        })
        .sum();
    assert!(seen <= total);
    let read = messages(all);
    assert_eq!(read.len(), expected.len());
    for message in expected {
        assert!(read.contains(&message), "{} is missing", message.kind().name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// FIELD incident: lines merged or cut. Any split of a stream of several MiB gives the same events.
    #[test]
    fn any_split_decodes_the_same(cuts in proptest::collection::vec(1usize..100_000, 1..60)) {
        let (_, wire) = stream();
        let whole = decode_all(&mut FrameCodec::new(), &mut wire.clone()).unwrap();
        let (mut codec, mut source, mut split) = (FrameCodec::new(), BytesMut::new(), Vec::new());
        let mut rest = &wire[..];
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            source.extend_from_slice(now);
            split.extend(decode_all(&mut codec, &mut source).unwrap());
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(codec.decode_eof(&mut source).unwrap().is_none());
        prop_assert!(split == whole);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut source = BytesMut::from(&bytes[..]);
        let _ = decode_all(&mut FrameCodec::new(), &mut source);
    }

    /// As above, but behind a valid header, so that bodies are reached.
    #[test]
    fn random_bodies_never_panic(kind in 0u8..0x40, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_all(&mut FrameCodec::new(), &mut frame(kind, &body));
    }

    #[test]
    fn random_changes_of_real_frames_never_panic(kind in 0..Kind::ALL.len(), at in any::<usize>(), byte in any::<u8>()) {
        if let Some(message) = sample::message(Kind::ALL[kind]) {
            let mut wire = BytesMut::from(&Encoded::new(&message).unwrap().whole(usize::MAX).unwrap()[..]);
            let at = at % wire.len();
            wire[at] = byte;
            let _ = decode_all(&mut FrameCodec::new(), &mut wire);
        }
    }

    #[test]
    fn what_is_cut_off_is_waited_for(kind in 0..Kind::ALL.len(), at in any::<usize>()) {
        if let Some(message) = sample::message(Kind::ALL[kind]) {
            let encoded = Encoded::new(&message).unwrap();
            let wire = encoded.whole(usize::MAX).unwrap();
            let at = at % wire.len();
            let (mut codec, mut source) = (FrameCodec::new(), BytesMut::from(&wire[..at]));
            prop_assert!(codec.decode(&mut source).unwrap().is_none());
            if at > 0 {
                let end = codec.decode_eof(&mut source.clone());
                let is_reported = matches!(end, Err(FrameError::Truncated { bytes }) if bytes == at);
                prop_assert!(is_reported);
            }
            source.extend_from_slice(&wire[at..]);
            prop_assert_eq!(messages(decode_all(&mut codec, &mut source).unwrap()), vec![message]);
        }
    }
}

#[test]
fn a_length_is_checked_before_anything_is_kept() {
    for kind in Kind::ALL {
        let max = kind.body_max().min(FRAME_BODY_MAX);
        let mut codec = FrameCodec::new();
        let mut source = BytesMut::new();
        source.put_u32(u32::try_from(max + 1).unwrap());
        source.put_u8(kind.number());
        let error = codec.decode(&mut source).unwrap_err();
        assert!(matches!(error, FrameError::Oversized { max: m, .. } if m == max), "{error}");
        let mut exact = BytesMut::new();
        exact.put_u32(u32::try_from(max).unwrap());
        exact.put_u8(kind.number());
        assert!(codec.decode(&mut exact).unwrap().is_none());
    }
    let mut four_gigabytes = BytesMut::from(&[0xff; HEADER_BYTES][..]);
    let capacity = four_gigabytes.capacity();
    assert!(FrameCodec::new().decode(&mut four_gigabytes).is_err());
    assert_eq!(four_gigabytes.capacity(), capacity);
}

#[test]
fn a_message_above_its_bound_is_never_written() {
    let block = Message::from(ConsensusMessage::Block(vec![0; Kind::Block.body_max()].into()));
    assert!(matches!(Encoded::new(&block), Err(EncodeError::Oversized { kind: Kind::Block, .. })));
    let vote = Message::from(ConsensusMessage::Vote(vec![0; 300].into()));
    assert!(Encoded::new(&vote).is_err());
}

#[test]
fn the_largest_allowed_lists_fit_their_bounds() {
    let ids = vec![[0xff; 32]; timed_wire::body::IDS_MAX];
    let records = vec![sample::opaque(256); timed_wire::body::RECORDS_MAX];
    let hello = timed_wire::Hello {
        agent: "a".repeat(64),
        external: Some("x".repeat(255)),
        chain_id: u64::MAX,
        height: u64::MAX,
        time_ms: u64::MAX,
        capabilities: u64::MAX,
        ping_interval_ms: u32::MAX,
        genesis: [0xff; 32],
        ..sample::hello()
    };
    let full = vec![0xff; 1250];
    let bits = timed_wire::VoteSetBits {
        height: u64::MAX,
        round: u32::MAX,
        has_proposal: true,
        has_block: true,
        prevotes: full.clone(),
        precommits: full,
    };
    let all: [Message; 5] = [
        MempoolMessage::Announce { ids: ids.clone() }.into(),
        MempoolMessage::Request { ids }.into(),
        timed_wire::ControlMessage::Addr { records }.into(),
        timed_wire::ControlMessage::Hello(Box::new(hello)).into(),
        ConsensusMessage::VoteSetBits(bits).into(),
    ];
    for message in all {
        let mut wire = BytesMut::new();
        FrameCodec::new().encode(&Encoded::new(&message).unwrap(), &mut wire).unwrap();
        assert_eq!(messages(decode_all(&mut FrameCodec::new(), &mut wire).unwrap()), vec![message]);
    }
}

#[test]
fn lists_longer_than_allowed_are_refused_while_read() {
    // One byte per element on the wire, 32 in memory: a transactions body of its full size would take 35 MB.
    let many = vec![serde_bytes::Bytes::new(&[]); 20_000];
    let body = rmp_serde::to_vec(&(many,)).unwrap();
    assert!(body.len() <= FRAME_BODY_MAX);
    let error = decode_all(&mut FrameCodec::new(), &mut frame(Kind::Transactions.number(), &body)).unwrap_err();
    assert!(matches!(error, FrameError::Body { kind: Kind::Transactions, .. }));
    let records = vec![serde_bytes::Bytes::new(&[0; 257])];
    let body = rmp_serde::to_vec(&(records,)).unwrap();
    assert!(decode_all(&mut FrameCodec::new(), &mut frame(Kind::Addr.number(), &body)).is_err());
}

#[test]
fn bodies_are_exact() {
    let good = rmp_serde::to_vec(&(5u64,)).unwrap();
    assert!(decode_all(&mut FrameCodec::new(), &mut frame(Kind::Ping.number(), &good)).is_ok());
    let mut trailing = good;
    trailing.push(0xc1);
    assert!(decode_all(&mut FrameCodec::new(), &mut frame(Kind::Ping.number(), &trailing)).is_err());
    let more = rmp_serde::to_vec(&(5u64, 6u64)).unwrap();
    assert!(decode_all(&mut FrameCodec::new(), &mut frame(Kind::Ping.number(), &more)).is_err());
    assert!(decode_all(&mut FrameCodec::new(), &mut frame(Kind::Ping.number(), &[])).is_err());
    // Deep nesting ends at a bound, not at the end of the stack.
    assert!(decode_all(&mut FrameCodec::new(), &mut frame(Kind::Decided.number(), &[0x91; 60_000])).is_err());
}

#[test]
fn an_unknown_kind_is_skipped_whole_and_in_chunks() {
    let mut wire = frame(0x7e, &[1; 5000]);
    wire.extend(chunk(2, 0x7e, 6000, &[0; 5000]));
    wire.extend(chunk(2, 0x7e, 1000, &[0; 1000]));
    wire.extend_from_slice(Encoded::new(&sample::message(Kind::Ping).unwrap()).unwrap().whole(100).unwrap());
    let mut codec = FrameCodec::new();
    let all = decode_all(&mut codec, &mut wire).unwrap();
    assert_eq!(codec.held_bytes(), 0);
    assert!(matches!(all[0], Incoming::Unknown { kind: 0x7e, bytes: 5005 }));
    assert!(matches!(all[1], Incoming::Progress { kind: 0x7e, .. }));
    assert!(matches!(all[2], Incoming::Unknown { kind: 0x7e, bytes } if bytes > 6000));
    assert!(matches!(all[3], Incoming::Message { .. }));
    let mut large = BytesMut::new();
    large.put_u32(u32::try_from(UNKNOWN_BYTES_MAX + 1).unwrap());
    large.put_u8(0x7e);
    assert!(matches!(FrameCodec::new().decode(&mut large), Err(FrameError::Oversized { kind: 0x7e, .. })));
}

#[test]
fn chunks_out_of_order_are_refused_with_the_reason() {
    let block = Kind::Block.number();
    let check = |frames: &[BytesMut]| {
        let mut wire = BytesMut::new();
        frames.iter().for_each(|f| wire.extend_from_slice(f));
        decode_all(&mut FrameCodec::new(), &mut wire).map(|_| ()).unwrap_err()
    };
    let first = chunk(1, block, 10_000, &[0; 5000]);
    let wrong = check(&[first.clone(), chunk(1, block, 4999, &[0; 4999])]);
    assert!(matches!(wrong, FrameError::ChunkOrder { remaining: 4999, expected: 5000, .. }));
    let other = check(&[first.clone(), chunk(1, Kind::Polka.number(), 5000, &[0; 5000])]);
    assert!(matches!(other, FrameError::ChunkOrder { .. }));
    assert!(matches!(check(&[chunk(2, block, 10_000, &[0; 5000])]), FrameError::ChunkLane { lane: 2, .. }));
    assert!(matches!(check(&[chunk(9, block, 10_000, &[0; 5000])]), FrameError::ChunkLane { lane: 9, .. }));
    assert!(matches!(check(&[chunk(2, 0x0f, 10_000, &[0; 5000])]), FrameError::ChunkLane { kind: 0x0f, .. }));
    let tiny = check(&[chunk(1, block, 10_000, &vec![0; CHUNK_BYTES_MIN - 1])]);
    assert!(matches!(tiny, FrameError::ChunkSize { bytes: 4095, remaining: 10_000 }));
    assert!(matches!(check(&[chunk(1, block, 10_000, &[])]), FrameError::ChunkSize { bytes: 0, .. }));
    assert!(matches!(check(&[chunk(1, block, 3, &[0; 4])]), FrameError::ChunkSize { .. }));
    let announced = u32::try_from(Kind::Block.body_max() + 1).unwrap();
    assert!(matches!(check(&[chunk(1, block, announced, &[0; 5000])]), FrameError::Oversized { .. }));
}

#[test]
fn memory_grows_only_as_bytes_arrive() {
    let announced = u32::try_from(Kind::Block.body_max()).unwrap();
    let mut codec = FrameCodec::new();
    let mut wire = chunk(1, Kind::Block.number(), announced, &[0; 5000]);
    decode_all(&mut codec, &mut wire).unwrap();
    assert_eq!(codec.held_bytes(), 5000);
}

#[test]
fn kinds_fit_the_small_integer_that_chunks_write() {
    assert!(Kind::ALL.iter().all(|k| k.number() < 0x80));
}
