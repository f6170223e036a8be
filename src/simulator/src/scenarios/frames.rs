//! Messages and frames.

use super::stage::{
    ELSEWHERE, Failed, MINUTE, SECOND, Stage, all_reach, is_meshed, mesh, node, node_key, pay, payment, peer, promise,
    quiet, view,
};
use crate::clock::Skew;
use crate::unknown_peer::frames;
use crate::world::{World, WorldConfig};
use bytes::{BufMut as _, BytesMut};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::time::Duration;
use timed_actors::peer::Traffic;
use timed_peer::EndReason;
use timed_primitives::PublicKey;
use timed_wire::{BlockSyncMessage, ControlMessage, Incoming, Kind, MempoolMessage, Message, sample};

/// Kinds that any two validators say to each other in normal life.
const EVERYDAY: [Kind; 9] = [
    Kind::Ping,
    Kind::Pong,
    Kind::Vote,
    Kind::Proposal,
    Kind::Block,
    Kind::Announce,
    Kind::Request,
    Kind::Transactions,
    Kind::Status,
];

fn received(world: &World, at: u64, from: PublicKey) -> Result<BTreeMap<Kind, Traffic>, Failed> {
    let peer = peer(&node(world, at)?, from);
    peer.map(|peer| peer.received).ok_or_else(|| Failed::Broken(format!("node {at} has no session with {from}")))
}

fn counted(received: &BTreeMap<Kind, Traffic>, kind: Kind) -> u64 {
    received.get(&kind).map_or(0, |traffic| traffic.messages)
}

/// Red when a kind of message is handled on sessions of one direction only, or when a session of either direction ends by itself.
pub(super) async fn both_directions(stage: &Stage) -> Result<(), Failed> {
    let mut world = stage.world(WorldConfig { discovers: false, ..quiet(4) });
    // Who dialled whom is known for each pair: the lower number the higher.
    for (id, dials) in [(1, vec![2, 3, 4]), (2, vec![3, 4]), (3, vec![4]), (4, vec![6]), (5, vec![4]), (6, vec![])] {
        world.add_with(id, dials, Skew::default());
    }
    for id in 1..=4 {
        node(&world, id)?.start()?;
    }
    mesh(&world, 10 * SECOND).await?;
    for number in 0..24 {
        pay(&world, number, 1 + number as u64 % 4).await?;
    }
    // One late observer dials node 4, the other is dialled by it.
    for id in [5, 6] {
        node(&world, id)?.start()?;
    }
    let (_, tip) = world.heights();
    all_reach(&world, tip, MINUTE).await?;
    world.run_for(10 * MINUTE).await;
    for (at, from) in [(1, 4), (4, 1), (2, 3), (3, 2)] {
        let received = received(&world, at, node_key(from))?;
        let missing: Vec<_> =
            EVERYDAY.iter().filter(|kind| counted(&received, **kind) == 0).map(|k| k.name()).collect();
        promise(missing.is_empty(), format_args!("node {at} had no {} of node {from}", missing.join(", ")))?;
    }
    for observer in [5, 6] {
        let blocks = counted(&received(&world, observer, node_key(4))?, Kind::Decided);
        promise(blocks > 0, format_args!("observer {observer} was sent no blocks"))?;
    }
    for node in world.nodes() {
        let lost = view(node).ended.iter().filter(|end| end.up_for > SECOND).count();
        promise(lost == 0, format_args!("node {} lost {lost} sessions", node.id()))?;
    }
    stage.show(format_args!("{} kinds of messages came from diallers and from accepters alike", EVERYDAY.len()));
    stage.show(format_args!("{} blocks were fetched by who dialled and by who was dialled", tip.0));
    stage.show(format_args!("no session ended in {} minutes", world.trace().elapsed().as_secs() / 60));
    Ok(())
}

/// Red when something counts as sent and never leaves, or arrives and is not counted.
pub(super) async fn bytes_on_the_wire(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(quiet(4)).await?;
    for number in 0..20 {
        pay(&world, number, 1 + number as u64 % 4).await?;
    }
    world.run_for(5 * SECOND).await;
    let (mut messages, mut bytes) = (0, 0);
    for from in world.nodes() {
        for to in world.nodes().filter(|to| to.id() != from.id()) {
            let sent = peer(from, node_key(to.id())).map(|peer| peer.sent).unwrap_or_default();
            let received = received(&world, to.id(), node_key(from.id()))?;
            // The heartbeat goes on while we look.
            for (kind, sent) in sent.iter().filter(|(kind, _)| !matches!(kind, Kind::Ping | Kind::Pong)) {
                let (from, to, name) = (from.id(), to.id(), kind.name());
                let found = received.get(kind).copied().unwrap_or_default();
                let is_same = (found.messages, found.bytes) == (sent.messages, sent.bytes);
                promise(is_same, format_args!("{name} from {from} to {to}: sent {sent:?}, received {found:?}"))?;
                messages += sent.messages;
                bytes += sent.bytes;
            }
        }
    }
    let on_the_wire = world.trace().counts().bytes;
    promise(messages > 500 && bytes < on_the_wire, format_args!("{bytes} bytes of {on_the_wire} in {messages}"))?;
    stage.show(format_args!("{messages} messages of {bytes} bytes were counted by who sent and by who received alike"));
    stage.show(format_args!("{on_the_wire} bytes were on the wire, encrypted"));
    Ok(())
}

/// Messages of every size up to half a megabyte, until they are so many bytes together.
fn mixed_stream(rng: &mut StdRng, bytes_min: usize) -> Result<(BytesMut, BTreeMap<Kind, u64>), Failed> {
    let (mut stream, mut sent) = (BytesMut::new(), BTreeMap::new());
    while stream.len() < bytes_min {
        let message: Message = match rng.random_range(0..4) {
            0 => ControlMessage::Ping { nonce: rng.random() }.into(),
            1 => BlockSyncMessage::Status { height: 0, earliest: 0 }.into(),
            2 => MempoolMessage::Announce { ids: vec![rng.random(); rng.random_range(1..=500)] }.into(),
            _ => {
                let (certificate, block) = (sample::opaque(340), sample::opaque(rng.random_range(1..=500_000)));
                BlockSyncMessage::Decided { request: 1, height: 1, certificate, block }.into()
            }
        };
        *sent.entry(message.kind()).or_default() += 1;
        stream.extend_from_slice(&frames(&message)?);
    }
    Ok((stream, sent))
}

/// Red when a frame that is cut, or that comes together with others, is lost, read twice or taken for damage.
pub(super) async fn split_and_merged(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(quiet(1)).await?;
    let unknown = world.unknown(ELSEWHERE, 1);
    let mut channel = unknown.shake_hands(1).await?;
    let mut rng = StdRng::seed_from_u64(3);
    let (stream, sent) = mixed_stream(&mut rng, 4 << 20)?;
    let (mut rest, mut writes) = (&stream[..], 0);
    while !rest.is_empty() {
        let most = if rng.random_bool(0.3) { 7 } else { 20_000 };
        let (now, later) = rest.split_at(rng.random_range(1..=most).min(rest.len()));
        channel.send_bytes(now).await?;
        (rest, writes) = (later, writes + 1);
        if rng.random_bool(0.1) {
            world.run_for(Duration::from_millis(1)).await;
        }
    }
    world.run_for(2 * SECOND).await;
    let received = received(&world, 1, unknown.key())?;
    for (kind, count) in &sent {
        let (name, found) = (kind.name(), counted(&received, *kind));
        promise(found == *count, format_args!("{count} {name} were sent, {found} were read"))?;
    }
    let frames: u64 = sent.values().sum();
    stage.show(format_args!(
        "{frames} messages in {} bytes, cut into {writes} writes, were all read once",
        stream.len()
    ));
    Ok(())
}

/// Red when something is taken before the handshake, when the node speaks first, or when a peer pays for its hurry.
pub(super) async fn before_the_handshake(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network(1).await?;
    let unknown = world.unknown(ELSEWHERE, 1);
    let early: [Message; 4] = [
        ControlMessage::Ping { nonce: 1 }.into(),
        BlockSyncMessage::Status { height: 9, earliest: 1 }.into(),
        timed_wire::ConsensusMessage::Vote(sample::opaque(143)).into(),
        BlockSyncMessage::GetBlocks { request: 1, from: 1, count: 1 }.into(),
    ];
    for message in &early {
        let mut channel = unknown.dial(1).await?;
        channel.send_bytes(&frames(message)?).await?;
        let reason = channel.listen_to_the_end().await?;
        let name = message.kind().name();
        promise(reason == Some(EndReason::HandshakeOrder), format_args!("a {name} before the handshake: {reason:?}"))?;
    }
    let mut silent = unknown.dial(1).await?;
    let mut said = Vec::new();
    while let Some(incoming) = silent.next().await? {
        if let Incoming::Message { message, .. } = incoming {
            said.push(message.kind());
        }
    }
    promise(said == [Kind::Hello, Kind::Goodbye], format_args!("before a handshake the node said {said:?}"))?;
    let mut channel = unknown.shake_hands(1).await?;
    let closed = channel.behave(MINUTE).await?;
    let points = peer(&node(&world, 1)?, unknown.key()).map(|peer| peer.penalty);
    promise(
        points == Some(0) && closed.is_none(),
        format_args!("a handshake in order: {closed:?}, points {points:?}"),
    )?;
    stage.show(format_args!("{} kinds of early messages ended the connection and cost no points", early.len()));
    Ok(())
}

/// Red when bytes of a frame are lost while the node writes or its timers fire between them.
pub(super) async fn frame_split(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(quiet(4)).await?;
    let unknown = world.unknown(ELSEWHERE, 1);
    let mut channel = unknown.shake_hands(1).await?;
    let messages: [Message; 3] = [
        BlockSyncMessage::Status { height: 0, earliest: 0 }.into(),
        MempoolMessage::Announce { ids: vec![[0x11; 32]; 8] }.into(),
        ControlMessage::Ping { nonce: 77 }.into(),
    ];
    let (mut bytes, mut paid) = (0, Vec::new());
    for message in &messages {
        for byte in &frames(message)? {
            channel.send_bytes(&[*byte]).await?;
            if bytes % 20 == 0 {
                // What it makes the node write leaves between two bytes of one frame.
                paid.push(node(&world, 1)?.submit(payment(&world, paid.len())?).await?);
            }
            bytes += 1;
            world.run_for(Duration::from_millis(50)).await;
        }
    }
    world.run_for(2 * SECOND).await;
    let received = received(&world, 1, unknown.key())?;
    for message in &messages {
        let (name, found) = (message.kind().name(), counted(&received, message.kind()));
        promise(found == 1, format_args!("a {name} sent byte by byte was read {found} times"))?;
    }
    channel.expect(Kind::Pong).await?;
    for txid in &paid {
        node(&world, 4)?.wait_for_payment(*txid, MINUTE).await?;
    }
    stage.show(format_args!(
        "{} frames of {bytes} bytes came byte by byte through {} payments",
        messages.len(),
        paid.len()
    ));
    Ok(())
}

/// A frame's header and nothing else.
fn header(length: u32, kind: Kind) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u32(length);
    bytes.put_u8(kind.number());
    bytes
}

/// Red when a length is believed before it is checked, when one such frame bans, or when others pay for it.
pub(super) async fn frame_bomb(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network(4).await?;
    // It lives on the host of validator 2.
    let (bomber, neighbour) = (world.unknown(2, 1), world.unknown(2, 2));
    let mut raw = bomber.connect(1).await?;
    // The node may have closed already.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut raw, &[0xff; 4096]).await;
    let bombs = [(u32::MAX, Kind::Vote), (100_000_000, Kind::Block), (3 << 30, Kind::Ping), (257, Kind::Vote)];
    for (number, (length, kind)) in bombs.into_iter().enumerate() {
        let mut channel = bomber.shake_hands(1).await?;
        channel.send_bytes(&header(length, kind)).await?;
        let reason = tokio::time::timeout(SECOND, channel.listen_to_the_end()).await.unwrap_or(Ok(None))?;
        let is_refused = reason == Some(EndReason::OversizedFrame);
        promise(is_refused, format_args!("a header of {length} bytes: {reason:?} within a second"))?;
        let bans = view(&node(&world, 1)?).bans.len();
        promise(bans == 0, format_args!("{} frames that are too long ban", number + 1))?;
    }
    // Points decay, so that the fifth may not be enough.
    for _ in 0..2 {
        if let Ok(mut last) = bomber.shake_hands(1).await {
            last.send_bytes(&header(u32::MAX, Kind::Vote)).await?;
            last.listen_to_the_end().await?;
        }
    }
    let refused = bomber.knock(1).await?;
    promise(refused == Some(EndReason::Banned), format_args!("after six of them the key is not banned: {refused:?}"))?;
    let neighbour = neighbour.knock(1).await?;
    promise(neighbour.is_none(), format_args!("another unknown peer of that host was refused: {neighbour:?}"))?;
    promise(is_meshed(&world), format_args!("a validator lost a session"))?;
    super::stage::nobody_is_blamed(&world)?;
    stage.show(format_args!("{} headers of up to 4 GiB ended the session by their five bytes", bombs.len()));
    stage.show(format_args!(
        "two more banned the key; a validator and another unknown peer of the same host stay welcome"
    ));
    Ok(())
}
