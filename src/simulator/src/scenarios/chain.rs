//! Genesis, blocks and votes.

use super::stage::{
    ELSEWHERE, Failed, HOUR, MINUTE, SECOND, Stage, all_reach, is_meshed, mesh, nobody_is_blamed, node, node_key, pay,
    payment, peer, promise, quiet, view,
};
use crate::gate::Crash;
use crate::kept::KeptState;
use crate::node::Node;
use crate::world::WorldConfig;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;
use timed_actors::messages::Connect;
use timed_peer::EndReason;
use timed_primitives::{BlockId, Hash, Height, encode};
use timed_test_support::MemoryStore;
use timed_wire::{BlockSyncMessage, Kind, Message};

/// Red when two networks of one configuration begin differently, or a node takes up the chain of another genesis.
pub(super) async fn one_genesis(stage: &Stage) -> Result<(), Failed> {
    let mut parents = BTreeSet::new();
    let mut last = None;
    for seed in 1..=3 {
        let world = stage.network_of(WorldConfig::instant(4, seed)).await?;
        let first = node(&world, 1)?.handles().history.block(Height(1))?;
        parents.extend(first.map(|block| (world.genesis().hash, block.header.parent)));
        last = Some(world);
    }
    promise(parents.len() == 1, format_args!("one configuration began {} chains", parents.len()))?;
    let other = stage.network(3).await?;
    let Some(world) = last else { return Err(Failed::Broken("no world was played".to_owned())) };
    let (here, there) = (node(&world, 1)?, node(&other, 1)?);
    promise(world.genesis().hash != other.genesis().hash, format_args!("two genesis files have one hash"))?;
    here.kill(Crash::Process);
    let own = here.kept().copy();
    here.replace_disk(there.kept().copy());
    let refused = here.start().err();
    let Some(refused) = refused else { return Err(Failed::Broken("the chain of another genesis was taken up".into())) };
    here.replace_disk(own);
    here.start()?;
    all_reach(&world, world.heights().1.next(), MINUTE).await?;
    stage.show(format_args!("three networks of one configuration have one genesis and one first parent"));
    stage.show(format_args!("the chain of another was refused: {}", refused.text));
    Ok(())
}

/// Red when who completes its handshake too late or cannot be reached is taken for somebody of another chain.
pub(super) async fn slow_handshake(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(quiet(4)).await?;
    let unknown = world.unknown(ELSEWHERE, 1);
    for _ in 0..20 {
        let mut channel = unknown.dial(1).await?;
        world.run_for(6 * SECOND).await;
        // Nobody may be there to hear it.
        let _ = channel.say_hello(&unknown.hello).await;
        let reason = channel.listen_to_the_end().await?;
        promise(reason == Some(EndReason::HandshakeTimeout), format_args!("a handshake after 6 s: {reason:?}"))?;
    }
    let mut channel = unknown.shake_hands(1).await?;
    channel.behave(SECOND).await?;
    let points = peer(&node(&world, 1)?, unknown.key()).map(|peer| peer.penalty);
    promise(points == Some(0), format_args!("after 20 late handshakes the peer has {points:?} points"))?;
    let four = node(&world, 4)?;
    four.kill(Crash::Power);
    let slow = timed_test_support::LinkQuality { latency: 4 * SECOND, ..Default::default() };
    for other in 1..=3 {
        world.slow_down(4, other, slow);
    }
    four.start()?;
    world.run_for(10 * MINUTE).await;
    promise(view(&four).peers.is_empty(), format_args!("links of 4 s carry a handshake, so nothing was shown"))?;
    for other in 1..=3 {
        world.heal(4, other);
    }
    let back = mesh(&world, 35 * SECOND).await?;
    nobody_is_blamed(&world)?;
    stage.show(format_args!("20 handshakes that came too late cost no point, and one in time was taken at once"));
    stage.show(format_args!("a validator behind links of 4 s was back {back:?} after they healed, without a point"));
    Ok(())
}

/// Every link of four nodes.
const LINKS: [(u64, u64); 6] = [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)];

/// Red when a node without the others, or behind them, makes a block of its own.
pub(super) async fn alone(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network(4).await?;
    pay(&world, 0, 1).await?;
    LINKS.iter().for_each(|(a, b)| world.cut(*a, *b));
    world.run_for(30 * SECOND).await;
    let before: Vec<Height> = world.nodes().map(Node::height).collect();
    for (number, node) in world.nodes().enumerate() {
        node.submit(payment(&world, 1 + number)?).await?;
    }
    world.run_for(HOUR).await;
    // Two of them forget that there ever were others.
    for id in [2, 3] {
        node(&world, id)?.kill(Crash::Process);
        node(&world, id)?.start()?;
    }
    world.run_for(HOUR).await;
    let after: Vec<Height> = world.nodes().map(Node::height).collect();
    promise(before == after, format_args!("alone they went from {before:?} to {after:?}"))?;
    LINKS.iter().for_each(|(a, b)| world.heal(*a, *b));
    all_reach(&world, world.heights().1.next(), 2 * MINUTE).await?;
    pay(&world, 9, 3).await?;
    stage.show(format_args!("in two hours each for itself no node made a block; healed, they went on as one chain"));
    Ok(())
}

/// Red when a chain that is said to be longer is believed, or anything final is given up for it.
pub(super) async fn longer_chain(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network(4).await?;
    for number in 0..10 {
        pay(&world, number, 1 + number as u64 % 4).await?;
    }
    let one = node(&world, 1)?;
    let before: Vec<Option<BlockId>> = (1..=one.height().0).map(|height| one.block_id(Height(height))).collect();
    let Some(real) = one.handles().history.decided(Height(2))? else {
        return Err(Failed::Broken("height 2 is not there".to_owned()));
    };
    let mut unknown = world.unknown(ELSEWHERE, 1);
    unknown.hello.height = 1_000_000;
    let asked = Rc::new(Cell::new(0));
    for target in 1..=4 {
        let mut channel = unknown.shake_hands(target).await?;
        let (asked, real) = (asked.clone(), real.clone());
        tokio::task::spawn_local(async move {
            while let Ok(Some(message)) = channel.next_but_pings().await {
                let Message::BlockSync(BlockSyncMessage::GetBlocks { request, from, .. }) = message else { continue };
                asked.set(asked.get() + 1);
                // Another history: a block that is no child of any, under a certificate for another.
                let mut block = (*real.block).clone();
                block.header.height = Height(from);
                block.header.parent = BlockId(Hash([9; 32]));
                let (certificate, block) = (encode(&*real.certificate).into(), encode(&block).into());
                let answer = BlockSyncMessage::Decided { request, height: from, certificate, block };
                if channel.send(answer).await.is_err() {
                    break;
                }
            }
        });
    }
    for number in 10..20 {
        pay(&world, number, 1 + number as u64 % 4).await?;
        world.run_for(5 * SECOND).await;
    }
    for node in world.nodes() {
        let after: Vec<Option<BlockId>> = (1..=before.len() as u64).map(|h| node.block_id(Height(h))).collect();
        promise(after == before, format_args!("node {} has another history", node.id()))?;
        let sync = node.try_handles().and_then(|handles| handles.sync.borrow().clone());
        let leads = sync.is_none_or(|sync| sync.progress.leads);
        promise(!leads, format_args!("node {} still hopes for the longer chain", node.id()))?;
    }
    promise(asked.get() > 0, format_args!("nobody asked for the longer chain, so nothing was shown"))?;
    nobody_is_blamed(&world)?;
    stage.show(format_args!("a million blocks were offered and {} answers given; nobody left its chain", asked.get()));
    Ok(())
}

/// What an unknown peer shows to newcomers: blocks as they were decided elsewhere, under a certificate that bears one vote of four.
fn poorly_certified(elsewhere: &Node) -> Result<Vec<BlockSyncMessage>, Failed> {
    let mut shown = Vec::new();
    for height in (1..=elsewhere.height().0).map(Height) {
        let Some(decided) = elsewhere.handles().history.decided(height)? else { continue };
        let mut certificate = (*decided.certificate).clone();
        certificate.signatures.truncate(1);
        let (certificate, block) = (encode(&certificate).into(), encode(&*decided.block).into());
        shown.push(BlockSyncMessage::Decided { request: 0, height: height.0, certificate, block });
    }
    Ok(shown)
}

/// Red when who knows nobody else believes a chain without a quorum's votes for it.
pub(super) async fn newcomer(stage: &Stage) -> Result<(), Failed> {
    let (mut world, other) = (stage.network(4).await?, stage.network(4).await?);
    // The same validators in another life: their blocks are as good as ours, if they were voted for.
    for number in 0..5 {
        pay(&world, number, 1).await?;
        pay(&other, 10 + number, 1).await?;
    }
    let mut unknown = world.unknown(ELSEWHERE, 1);
    let shown = poorly_certified(&node(&other, 1)?)?;
    unknown.hello.height = shown.len() as u64;
    let mut listener = unknown.listen().await?;
    let newcomer = world.add_with(5, vec![ELSEWHERE], crate::Skew::default());
    newcomer.start()?;
    let mut answers = 0;
    for _ in 0..5 {
        let Ok(accepted) = tokio::time::timeout(MINUTE, unknown.accept(&mut *listener)).await else { break };
        let mut channel = accepted?;
        if channel.shake_hands(&unknown.hello).await.is_err() {
            continue;
        }
        let answering = async {
            while let Some(message) = channel.next_but_pings().await? {
                let Message::BlockSync(BlockSyncMessage::GetBlocks { request: asked, from, count }) = message else {
                    continue;
                };
                for message in shown.iter().skip(from.saturating_sub(1) as usize).take(count as usize) {
                    let mut message = message.clone();
                    if let BlockSyncMessage::Decided { request, .. } = &mut message {
                        *request = asked;
                    }
                    channel.send(message).await?;
                    answers += 1;
                }
            }
            Ok::<(), crate::UnknownPeerError>(())
        };
        // The node closes when it has seen enough.
        let _ = tokio::time::timeout(MINUTE, answering).await;
    }
    promise(answers > 0, format_args!("the newcomer asked for nothing, so nothing was shown"))?;
    promise(newcomer.height() == Height(0), format_args!("it believed {} blocks", newcomer.height()))?;
    newcomer.handles().peer_manager.do_send(Connect { address: format!("{}:7000", world.ip(1)) });
    newcomer.wait_for_height(world.heights().1, 2 * MINUTE).await?;
    stage.show(format_args!(
        "a newcomer believed none of {answers} blocks with one vote of four, and then the real chain"
    ));
    Ok(())
}

/// Red when a vote counts that is not there, or one that is there does not.
pub(super) async fn every_vote_counts(stage: &Stage) -> Result<(), Failed> {
    let single = stage.network(1).await?;
    pay(&single, 0, 1).await?;
    // Three equal validators tolerate no fault: each vote is needed, one's own as well.
    let world = stage.network(3).await?;
    for number in 0..6 {
        pay(&world, number, 1 + number as u64 % 3).await?;
    }
    let reader = node(&world, 1)?.handles().history;
    let validators = reader.validators(Height(1));
    let height = node(&world, 1)?.height();
    for height in (1..=height.0).map(Height) {
        let Some(certificate) = reader.certificate(height)? else { continue };
        let signers: BTreeSet<_> = certificate.signatures.iter().map(|signature| signature.validator).collect();
        let is_whole = signers.len() == 3 && signers.iter().all(|signer| validators.get(signer).is_some());
        promise(is_whole, format_args!("height {height} was decided by {} of 3", signers.len()))?;
    }
    let three = node(&world, 3)?;
    three.pause();
    let txid = node(&world, 1)?.submit(payment(&world, 6)?).await?;
    world.run_for(HOUR).await;
    let is_final = world.nodes().any(|node| node.is_final(&txid));
    promise(!is_final, format_args!("a payment became final with two votes of three"))?;
    three.resume();
    for node in world.nodes() {
        node.wait_for_payment(txid, 2 * MINUTE).await?;
    }
    stage.show(format_args!("{height} heights bear the votes of all three, a network of one decides by its own"));
    stage.show(format_args!("with two votes of three a payment waited for an hour"));
    Ok(())
}

/// Red when half of the votes decide, after whatever time.
pub(super) async fn two_and_two(stage: &Stage) -> Result<(), Failed> {
    const HOURS: u32 = 12;
    let world = stage.network(4).await?;
    pay(&world, 0, 1).await?;
    world.part(&[1, 2]);
    world.run_for(30 * SECOND).await;
    let before: Vec<Height> = world.nodes().map(Node::height).collect();
    let txids =
        [node(&world, 1)?.submit(payment(&world, 1)?).await?, node(&world, 3)?.submit(payment(&world, 2)?).await?];
    for _ in 0..HOURS {
        world.run_for(HOUR).await;
        // One of each half returns from a crash now and then, and tries again.
        for id in [2, 4] {
            node(&world, id)?.kill(Crash::Process);
            node(&world, id)?.start()?;
        }
    }
    let after: Vec<Height> = world.nodes().map(Node::height).collect();
    promise(before == after, format_args!("halves of the network went from {before:?} to {after:?}"))?;
    for (a, b) in [(1, 3), (1, 4), (2, 3), (2, 4)] {
        world.heal(a, b);
    }
    for txid in txids {
        for node in world.nodes() {
            node.wait_for_payment(txid, 3 * MINUTE).await?;
        }
    }
    stage.show(format_args!("two and two decided nothing in {HOURS} hours, and both their payments after the heal"));
    Ok(())
}

/// Red when a block is validated by anything but the chain: with nobody connected the outcome is the same.
pub(super) async fn without_peers(stage: &Stage) -> Result<(), Failed> {
    let mut world = stage.network(4).await?;
    for number in 0..20 {
        pay(&world, number, 1 + number as u64 % 4).await?;
    }
    let four = node(&world, 4)?;
    let height = four.height();
    four.kill(Crash::Process);
    world.part(&[4]);
    // The output set is gone, so every block is applied again, with nobody connected.
    four.replace_disk(KeptState { store: MemoryStore::default(), ..four.kept() });
    four.start()?;
    promise(four.height() == height, format_args!("replayed alone, {height} blocks became {}", four.height()))?;
    promise(view(&four).peers.is_empty(), format_args!("it was not alone"))?;
    let (own, state) = (four.handles().history.tip(), node(&world, 1)?.handles().history.block(height)?);
    let expected = state.map(|block| block.header.state_commitment);
    promise(Some(own.state_commitment) == expected, format_args!("its state is {}", own.state_commitment))?;
    for other in 1..=3 {
        world.heal(4, other);
    }
    // One that knows a single peer validates as those that know all.
    let observer = world.add_with(5, vec![1], crate::Skew::default());
    observer.start()?;
    all_reach(&world, world.heights().1.next(), 2 * MINUTE).await?;
    stage.show(format_args!("{height} blocks were validated again with an empty table of peers: the same state"));
    Ok(())
}

/// Red when a network that stood still for long does not go on by itself.
pub(super) async fn stalled_day(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network(4).await?;
    let nodes: Vec<Node> = world.nodes().cloned().collect();
    let mut slowest = Duration::ZERO;
    for (round, how) in [None, Some(Crash::Power), Some(Crash::Process)].into_iter().enumerate() {
        match how {
            Some(crash) => nodes.iter().for_each(|node| node.kill(crash)),
            None => nodes.iter().for_each(Node::pause),
        }
        let height = world.heights().1;
        world.run_for(24 * HOUR).await;
        for node in &nodes {
            node.resume();
            node.start()?;
        }
        let began = tokio::time::Instant::now();
        all_reach(&world, height.max(world.heights().1).next(), MINUTE).await?;
        slowest = slowest.max(began.elapsed());
        pay(&world, round, 1).await?;
    }
    stage.show(format_args!("three times all four stood still for a day, and had a next block within {slowest:?}"));
    Ok(())
}

/// Red when a vote is relayed to who has it, or to nobody.
pub(super) async fn one_vote(stage: &Stage) -> Result<(), Failed> {
    for voters in [4, 7] {
        let world = stage.network_of(quiet(voters)).await?;
        let count = || {
            let (mut votes, mut proposals) = (0, 0);
            for node in world.nodes() {
                for peer in view(node).peers {
                    let of = |kind| peer.received.get(&kind).map_or(0, |traffic| traffic.messages);
                    votes += of(Kind::Vote);
                    proposals += of(Kind::Proposal);
                }
            }
            (votes, proposals)
        };
        world.run_for(5 * SECOND).await;
        let (height, before) = (world.heights().1, count());
        for number in 0..15 {
            pay(&world, number, 1 + number as u64 % voters).await?;
            world.run_for(SECOND).await;
        }
        world.run_for(5 * SECOND).await;
        let heights = world.heights().1.above(height);
        let (votes, proposals) = (count().0 - before.0, count().1 - before.1);
        // A prevote and a precommit of each, to each other one.
        let (votes_due, proposals_due) = (heights * 2 * voters * (voters - 1), heights * (voters - 1));
        let is_exact = votes == votes_due && proposals == proposals_due;
        promise(
            is_exact,
            format_args!(
                "{voters} nodes, {heights} heights: {votes} votes and {proposals} proposals, not {votes_due} and {proposals_due}"
            ),
        )?;
        promise(
            is_meshed(&world) && peer(&node(&world, 1)?, node_key(2)).is_some(),
            format_args!("not all connected"),
        )?;
        stage.show(format_args!(
            "{voters} nodes, {heights} heights: {votes} deliveries of votes, {} for each",
            voters - 1
        ));
    }
    Ok(())
}
