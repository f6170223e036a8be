//! Connections and their heartbeat.

use super::stage::{
    ELSEWHERE, Failed, HOUR, MINUTE, SECOND, Stage, all_reach, ends, is_meshed, mesh, node, node_key, pay, peer,
    promise, quiet, view,
};
use crate::clock::Skew;
use crate::gate::Crash;
use crate::unknown_peer::Channel;
use crate::world::WorldConfig;
use std::collections::VecDeque;
use std::time::Duration;
use timed_peer::{Direction, EndReason};
use timed_primitives::Height;
use timed_wire::{BlockSyncMessage, ControlMessage, Incoming, Kind, Message};
use tokio::time::Instant;

/// Red when a pong is matched against the newest pings only, or against pings that are forgotten by their number.
pub(super) async fn late_pongs(stage: &Stage) -> Result<(), Failed> {
    const LATE: Duration = Duration::from_secs(40);
    let world = stage.network_of(quiet(1)).await?;
    let unknown = world.unknown(ELSEWHERE, 1);
    let mut channel = unknown.shake_hands(1).await?;
    let (ends, mut due) = (Instant::now() + 10 * MINUTE, VecDeque::new());
    while Instant::now() < ends {
        if let Ok(incoming) = tokio::time::timeout(SECOND, channel.next()).await {
            match incoming? {
                None => break,
                Some(Incoming::Message { message: Message::Control(ControlMessage::Ping { nonce }), .. }) => {
                    due.push_back((Instant::now() + LATE, nonce));
                }
                Some(_) => {}
            }
        }
        // It lives, and says so.
        channel.send(BlockSyncMessage::Status { height: 0, earliest: 0 }).await?;
        while let Some((_, nonce)) = due.pop_front_if(|(at, _)| *at <= Instant::now()) {
            channel.send(ControlMessage::Pong { nonce, time_ms: 0 }).await?;
        }
    }
    let found = peer(&node(&world, 1)?, unknown.key());
    promise(found.is_some(), format_args!("a peer whose pongs are {} s late was dropped", LATE.as_secs()))?;
    let ping_time = found.and_then(|found| found.ping_time).unwrap_or_default();
    let is_matched = (LATE..LATE + 2 * SECOND).contains(&ping_time);
    promise(is_matched, format_args!("pongs that are 40 s late give a round trip of {ping_time:?}"))?;
    stage.show(format_args!("eight pings were under way at any time for ten minutes, and each pong matched its own"));
    Ok(())
}

/// Red when the end of an old session takes the new one of the same peer with it.
pub(super) async fn old_session_ends(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(quiet(1)).await?;
    let mut unknown = world.unknown(ELSEWHERE, 1);
    let mut olds: Vec<Channel> = vec![unknown.shake_hands(1).await?];
    for round in 1..=20 {
        unknown.restart();
        let mut new = unknown.shake_hands(1).await?;
        world.run_for(SECOND).await;
        let seen = peer(&node(&world, 1)?, unknown.key()).map(|peer| peer.instance);
        promise(seen == Some(unknown.hello.instance), format_args!("in round {round} the older session is kept"))?;
        // Half of the old ones hang until later.
        if let Some(mut old) = olds.pop().filter(|_| round % 2 == 0) {
            let reason = old.listen_to_the_end().await?;
            promise(reason == Some(EndReason::Replaced), format_args!("the older one ended with {reason:?}"))?;
        }
        new.behave(20 * SECOND).await?;
        new.send(ControlMessage::Ping { nonce: round }).await?;
        let answered = tokio::time::timeout(SECOND, new.expect(Kind::Pong)).await;
        promise(matches!(answered, Ok(Ok(_))), format_args!("in round {round} the new session died with the old one"))?;
        olds.push(new);
    }
    stage.show(format_args!("20 times a new session took the place of an old one and outlived its end"));
    Ok(())
}

/// Red when a pair of nodes can be connected in one direction only and is not, whoever of the two it is.
pub(super) async fn not_dialable(stage: &Stage) -> Result<(), Failed> {
    let mut slowest = Duration::ZERO;
    for hidden in [vec![1], vec![2], vec![3], vec![4], vec![1, 4]] {
        let mut world = stage.world(WorldConfig::instant(4, 1));
        for id in 1..=4 {
            let node = world.add(id);
            if hidden.contains(&id) {
                node.hide();
            }
            node.start()?;
        }
        if hidden.len() == 1 {
            slowest = slowest.max(mesh(&world, 10 * SECOND).await?);
        }
        all_reach(&world, Height(1), MINUTE).await?;
        for id in &hidden {
            let inbound = view(&node(&world, *id)?).count(Direction::Inbound);
            promise(inbound == 0, format_args!("node {id} was dialled, so nothing was shown"))?;
        }
        for (number, id) in (1..=4).enumerate() {
            pay(&world, number, id).await?;
        }
        super::stage::nobody_is_blamed(&world)?;
    }
    stage.show(format_args!("each of four nodes in turn could not be dialled; all were connected within {slowest:?}"));
    stage.show(format_args!("two that can never meet decided with the help of the others"));
    Ok(())
}

/// Red when one end of a pair waits for the other to dial, which never does.
pub(super) async fn silent_dialler(stage: &Stage) -> Result<(), Failed> {
    let mut slowest = Duration::ZERO;
    for silent in 1..=4 {
        let mut world = stage.world(WorldConfig { discovers: false, ..WorldConfig::instant(4, 1) });
        for id in 1..=4 {
            let dials = if id == silent { Vec::new() } else { vec![1, 2, 3, 4] };
            world.add_with(id, dials, Skew::default()).start()?;
        }
        slowest = slowest.max(mesh(&world, 10 * SECOND).await?);
        pay(&world, 0, silent).await?;
    }
    stage.show(format_args!("each of four nodes in turn dialled nobody; all were connected within {slowest:?}"));
    Ok(())
}

/// Red when two nodes that dial each other at one moment drop both connections, keep both, or go on so.
pub(super) async fn collision(stage: &Stage) -> Result<(), Failed> {
    const ROUNDS: u64 = 25;
    let cities = crate::Latency::Cities(crate::City::ALL.to_vec());
    let world = stage.network_of(WorldConfig { latency: cities, ..quiet(4) }).await?;
    let (before, mut collisions, mut slowest) = (world.links().dials(), 0, Duration::ZERO);
    for round in 0..ROUNDS {
        world.nodes().for_each(|node| node.kill(Crash::Process));
        // Each dials all others at once.
        for node in world.nodes() {
            node.start()?;
        }
        slowest = slowest.max(mesh(&world, 3 * SECOND).await?);
        world.run_for(SECOND).await;
        for node in world.nodes() {
            let settled = view(node);
            collisions += settled.ended.iter().filter(|end| end.end.reason == EndReason::Duplicate).count();
        }
        world.run_for(12 * SECOND).await;
        promise(is_meshed(&world), format_args!("in round {round} a session ended again"))?;
    }
    let dials = world.links().dials() - before;
    promise(collisions > 0, format_args!("no two dials met, so nothing was shown"))?;
    // Both ends of six links dial once; more would be a storm.
    promise(dials <= ROUNDS * 12, format_args!("{ROUNDS} starts of four nodes cost {dials} dials"))?;
    stage.show(format_args!(
        "{ROUNDS} times four nodes dialled each other at once: {dials} dials, {} of them given up",
        collisions / 2
    ));
    stage.show(format_args!("all were connected within {slowest:?}, by one session each, and stayed so"));
    Ok(())
}

/// Red when sessions that others dialled do not count, or when a peer that died silently counts for ever.
pub(super) async fn who_is_counted(stage: &Stage) -> Result<(), Failed> {
    let mut world = stage.world(WorldConfig { discovers: false, ..WorldConfig::instant(4, 1) });
    for id in 1..=4 {
        let dials = if id == 4 { Vec::new() } else { vec![1, 2, 3, 4] };
        world.add_with(id, dials, Skew::default()).start()?;
    }
    all_reach(&world, Height(4), 2 * MINUTE).await?;
    let four = node(&world, 4)?;
    let inbound = view(&four).count(Direction::Inbound);
    promise(inbound == 3, format_args!("who was dialled by three counts {inbound}"))?;
    let led = (1..=four.height().0).filter(|height| led_by(&four, Height(*height), 4)).count();
    promise(led > 0, format_args!("who dials nobody never led in {} heights", four.height()))?;
    four.kill(Crash::Power);
    world.run_for(30 * SECOND).await;
    let counts = peer(&node(&world, 1)?, node_key(4)).is_some();
    promise(!counts, format_args!("a node without power counts as connected after 30 s"))?;
    four.start()?;
    let back = mesh(&world, 10 * SECOND).await?;
    stage.show(format_args!("a node with inbound sessions only counted three peers and led {led} heights"));
    stage.show(format_args!("without power it was not counted, and {back:?} after its return it was"));
    Ok(())
}

fn led_by(node: &crate::node::Node, height: Height, leader: u64) -> bool {
    let key = timed_primitives::SecretKey::development("consensus", leader).public();
    let block = node.try_handles().and_then(|handles| handles.history.block(height).ok()?);
    block.is_some_and(|block| block.header.proposer == key)
}

/// Red when the wait between two dials grows without a bound, or a peer is given up.
pub(super) async fn two_days_away(stage: &Stage) -> Result<(), Failed> {
    let mut world = stage.world(WorldConfig { discovers: false, ..quiet(4) });
    // Those that were away call nobody: they are called.
    for (id, dials) in [(1, vec![2, 3, 4]), (2, vec![3, 4]), (3, vec![4]), (4, vec![])] {
        world.add_with(id, dials, Skew::default()).start()?;
    }
    mesh(&world, 10 * SECOND).await?;
    all_reach(&world, Height(1), MINUTE).await?;
    let away: Vec<_> = [2, 3, 4].into_iter().map(|id| node(&world, id)).collect::<Result<_, _>>()?;
    away.iter().for_each(|node| node.kill(Crash::Power));
    let (before, height) = (world.links().dials(), world.heights().1);
    world.run_for(48 * HOUR).await;
    let dials = world.links().dials() - before;
    for node in &away {
        node.start()?;
    }
    let back = mesh(&world, 35 * SECOND).await?;
    all_reach(&world, height.next(), MINUTE).await?;
    stage
        .show(format_args!("after 48 hours and {dials} dials without an answer three peers were back within {back:?}"));
    Ok(())
}

/// Red when missed ticks are made up for, or when a peer is dropped after a pause of our own.
pub(super) async fn pings_after_a_pause(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(quiet(4)).await?;
    let (one, pings) = (node(&world, 1)?, |node: &_| {
        view(node).peers.iter().map(|peer| peer.sent.get(&Kind::Ping).map_or(0, |sent| sent.messages)).max()
    });
    let mut most = 0;
    for _ in 0..20 {
        world.run_for(7 * SECOND).await;
        one.pause();
        world.run_for(9 * SECOND).await;
        let before = pings(&one).unwrap_or_default();
        one.resume();
        world.run_for(2 * SECOND).await;
        most = most.max(pings(&one).unwrap_or_default() - before);
    }
    promise(most <= 1, format_args!("in the 2 s after a pause of 9 s {most} pings left for one peer"))?;
    promise(is_meshed(&world), format_args!("a pause of 9 s cost a session"))?;
    super::stage::nobody_is_blamed(&world)?;
    stage.show(format_args!("after each of 20 pauses at most one ping left for each peer, and no session ended"));
    Ok(())
}

/// Red when a flood of pings bans, is answered in full, or keeps votes and payments from going through.
pub(super) async fn ping_flood(stage: &Stage) -> Result<(), Failed> {
    const FLOOD: u64 = 5_000;
    let world = stage.network(4).await?;
    let unknown = world.unknown(ELSEWHERE, 1);
    let mut channel = unknown.shake_hands(1).await?;
    for nonce in 0..FLOOD {
        channel.send(ControlMessage::Ping { nonce }).await?;
        if nonce % 1000 == 0 {
            pay(&world, usize::try_from(nonce / 1000).unwrap_or_default(), 1).await?;
        }
    }
    let closed = channel.behave(20 * SECOND).await?;
    let found = peer(&node(&world, 1)?, unknown.key());
    let Some(found) = found else {
        return Err(Failed::Broken(format!("a flood of pings ended the session: {closed:?}")));
    };
    let answered = found.sent.get(&Kind::Pong).map_or(0, |sent| sent.messages);
    promise(found.dropped.pings + answered == FLOOD, format_args!("{answered} answered, {:?}", found.dropped))?;
    promise(answered < FLOOD / 10, format_args!("{answered} of {FLOOD} pings in a flood were answered"))?;
    promise(found.penalty == 0, format_args!("a flood of pings costs {} points", found.penalty))?;
    stage.show(format_args!(
        "of {FLOOD} pings {answered} were answered and {} ignored, without a point",
        found.dropped.pings
    ));
    Ok(())
}

/// Red when a peer that is given up keeps its socket, or is kept past its deadline.
pub(super) async fn given_up_is_closed(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(quiet(1)).await?;
    let unknown = world.unknown(ELSEWHERE, 1);
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let mut channel = unknown.shake_hands(1).await?;
        let began = Instant::now();
        let reason = tokio::time::timeout(MINUTE, channel.listen_to_the_end()).await.unwrap_or(Ok(None))?;
        promise(reason == Some(EndReason::Silent), format_args!("who says nothing for a minute: {reason:?}"))?;
        slowest = slowest.max(began.elapsed());
        drop(channel);
        world.run_for(SECOND).await;
        let open = world.links().connections(world.ip(1), world.ip(ELSEWHERE));
        promise(open == 0, format_args!("{open} connections of a peer that was given up are open"))?;
        let is_up = peer(&node(&world, 1)?, unknown.key()).is_some();
        promise(!is_up, format_args!("a peer that was given up counts as connected"))?;
    }
    promise(slowest <= 18 * SECOND, format_args!("a silent peer was kept for {slowest:?}"))?;
    stage.show(format_args!("ten silent sessions were closed within {slowest:?}, and so were their sockets"));
    Ok(())
}

/// Red when nodes that redial for hours without an answer do not say why, or do not come back when the links do.
pub(super) async fn seven_silent_hours(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(quiet(4)).await?;
    let links = [(1, 2), (3, 1), (1, 4), (2, 3), (4, 2), (3, 4)];
    // Connections are made and no answer comes back, or none are made: nobody notices.
    links.iter().for_each(|(from, to)| world.cut_one_way(*from, *to));
    for _ in 0..7 {
        world.run_for(HOUR).await;
        for node in world.nodes() {
            let view = view(node);
            let is_reported = view.targets.iter().filter(|target| target.is_configured).all(|t| t.last_end.is_some());
            promise(is_reported, format_args!("node {} does not say why it has no peers", node.id()))?;
            let why = node.try_handles().and_then(|handles| handles.consensus.borrow().as_ref()?.quorum_line.clone());
            promise(why.is_some(), format_args!("node {} does not say that it lacks a quorum", node.id()))?;
            let ended = node.try_handles().map(|handles| handles.ended_actors()).unwrap_or_default();
            promise(ended.is_empty(), format_args!("node {} runs without its {ended:?}", node.id()))?;
        }
    }
    let height = world.heights().1;
    links.iter().for_each(|(a, b)| world.heal(*a, *b));
    let back = mesh(&world, 35 * SECOND).await?;
    all_reach(&world, height.next(), MINUTE).await?;
    let lost = ends(&node(&world, 1)?, node_key(2)).len();
    stage.show(format_args!("for seven hours each node said whom it cannot reach and why; {lost} session ended"));
    stage.show(format_args!("all links were back {back:?} after the heal"));
    Ok(())
}
