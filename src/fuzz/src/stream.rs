//! What comes over a connection: frames, bodies, the handshake.

use bytes::{BufMut as _, BytesMut};
use std::time::Duration;
use timed_peer::{Direction, Handshake, HandshakeAction, LocalNode};
use timed_primitives::{ChainId, Hash, Instant, SecretKey};
use timed_wire::message::ValidatorClaim;
use timed_wire::{ControlMessage, Encoded, FrameCodec, Hello, Incoming, Kind, Message};
use tokio_util::codec::Decoder as _;
use uuid::Uuid;

/// Everything that can be read, and how it ended.
type Read = (Vec<Incoming>, Option<String>);

/// Reads bytes that come in pieces of these sizes, again and again.
fn read(bytes: &[u8], pieces: &[usize]) -> Read {
    let (mut codec, mut source, mut found) = (FrameCodec::new(), BytesMut::new(), Vec::new());
    let (mut rest, mut sizes) = (bytes, pieces.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().copied().unwrap_or(usize::MAX).clamp(1, rest.len());
        let (piece, later) = rest.split_at(size);
        source.extend_from_slice(piece);
        rest = later;
        loop {
            match codec.decode(&mut source) {
                Ok(Some(incoming)) => found.push(incoming),
                Ok(None) => break,
                Err(error) => return (found, Some(error.to_string())),
            }
            assert!(codec.held_bytes() <= bytes.len(), "more is held than came");
        }
    }
    let end = codec.decode_eof(&mut source).err().map(|error| error.to_string());
    (found, end)
}

/// What was read is written and read again the same.
fn check_message(message: &Message) {
    let encoded = Encoded::new(message).expect("what was read can be written");
    let mut bytes = BytesMut::new();
    match encoded.whole(usize::MAX) {
        Some(frame) => bytes.extend_from_slice(frame),
        None => {
            let mut next = Some(0);
            while let Some(offset) = next {
                next = encoded.put_chunk(offset, 16 * 1024, &mut bytes);
            }
        }
    }
    let (again, end) = read(&bytes, &[usize::MAX]);
    let again: Vec<_> = again
        .into_iter()
        .filter_map(|incoming| match incoming {
            Incoming::Message { message, .. } => Some(message),
            Incoming::Progress { .. } | Incoming::Unknown { .. } => None,
        })
        .collect();
    assert_eq!((again, end), (vec![message.clone()], None), "another message after writing and reading");
}

/// A stream of frames: as it is, and cut into pieces.
pub(crate) fn frames(bytes: &[u8]) {
    let whole = read(bytes, &[usize::MAX]);
    let pieces: Vec<usize> = bytes.iter().take(16).map(|byte| usize::from(*byte)).collect();
    assert_eq!(read(bytes, &[1]), whole, "byte by byte something else is read");
    assert_eq!(read(bytes, &pieces), whole, "cut otherwise something else is read");
    for incoming in &whole.0 {
        if let Incoming::Message { message, .. } = incoming {
            check_message(message);
        }
    }
}

/// One body: the first byte is the kind, the length is right.
pub(crate) fn body(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    let Ok(length) = u32::try_from(body.len()) else { return };
    let mut frame = BytesMut::new();
    frame.put_u32(length);
    frame.put_u8(*kind);
    frame.put_slice(body);
    let (found, end) = read(&frame, &[usize::MAX]);
    assert!(found.len() <= 1 && (found.len() == 1) != end.is_some(), "one frame is one thing or one error");
    if let Some(Incoming::Message { message, .. }) = found.first() {
        assert_eq!(Some(message.kind()), Kind::from_number(*kind));
        check_message(message);
    }
}

/// A node as its handshake shows it.
fn node(id: u64, consensus_key: Option<SecretKey>) -> LocalNode {
    LocalNode {
        key: SecretKey::development("node", id).public(),
        consensus_key,
        chain_id: ChainId(7),
        genesis: Hash([0x5a; 32]),
        agent: "timed/0.1.0".into(),
        instance: Uuid::from_u128(id.into()),
        listen_port: 7000,
        external: None,
        height: 5,
        capabilities: 0,
        ping_interval: Duration::from_secs(5),
    }
}

/// The message, with this proof of a validator key in it if it is a `Hello`.
fn proving(message: &Message, claim: Option<&ValidatorClaim>) -> Message {
    match (message, claim) {
        (Message::Control(ControlMessage::Hello(hello)), Some(claim)) => {
            ControlMessage::Hello(Box::new(Hello { validator: Some(claim.clone()), ..(**hello).clone() })).into()
        }
        _ => message.clone(),
    }
}

/// An unknown peer's messages and the clock, in any order: up once at most, by a hello only, with a key only if it was proved on this
/// connection, and every refusal has its reason.
pub(crate) fn handshake(bytes: &[u8]) {
    let Some(([flags, ticks, rest @ ..], stream)) = bytes.split_at_checked(8) else { return };
    let is_set = |bit: u8| flags & bit != 0;
    let consensus = |id| SecretKey::development("consensus", id);
    let (me, them) = (node(1, is_set(1).then(|| consensus(1))), node(2, Some(consensus(2))));
    let (mine, theirs) = match is_set(2) {
        false => (Direction::Inbound, Direction::Outbound),
        true => (Direction::Outbound, Direction::Inbound),
    };
    // A proof from another connection is worth nothing.
    let (proves, is_replayed) = (is_set(4), is_set(8));
    let exporter = if is_replayed { [8; 32] } else { [9; 32] };
    let claim = Handshake::begin(Instant(0), them.clone(), me.key, theirs, exporter).1.validator;
    let claim = claim.filter(|_| proves);
    let (mut handshake, hello) = Handshake::begin(Instant(0), me, them.key, mine, [9; 32]);
    assert_eq!(hello.validator.is_some(), is_set(1));
    let (mut now, mut is_over) = (0, false);
    let steps = rest.iter().cycle();
    for (incoming, step) in read(stream, &[usize::MAX]).0.iter().zip(steps) {
        now += u64::from(*step) * u64::from(*ticks) * 1_000;
        let ticked = handshake.on_tick(Instant(now));
        assert_eq!(matches!(ticked, HandshakeAction::Fail(_)), !is_over && now >= 5_000_000, "the time limit");
        is_over |= ticked != HandshakeAction::Wait;
        let Incoming::Message { message, .. } = incoming else { continue };
        let action = handshake.on_message(&proving(message, claim.as_ref()));
        match &action {
            HandshakeAction::Wait => assert!(is_over, "a message was neither refused nor accepted"),
            HandshakeAction::Up(info) => {
                assert!(!is_over && message.kind() == Kind::Hello);
                assert!(info.agent.len() <= 64 && !(proves && is_replayed), "up with a proof of another connection");
                assert_eq!(info.validator, proves.then(|| consensus(2).public()), "a key that was not proved");
            }
            HandshakeAction::Goodbye(_) => assert!(!is_over && message.kind() == Kind::Goodbye),
            HandshakeAction::Fail(error) => assert!(!is_over && !error.to_string().is_empty()),
        }
        is_over |= action != HandshakeAction::Wait;
        assert_eq!(handshake.next_wake().is_none(), is_over);
    }
}
