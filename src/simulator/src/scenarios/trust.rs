//! Whom nodes blame, and what for.

use super::stage::{
    ELSEWHERE, Failed, HOUR, MINUTE, SECOND, Stage, all_reach, is_meshed, mesh, nobody_is_blamed, node, pay, payment,
    peer, promise, quiet, view,
};
use crate::gate::Crash;
use crate::node::Node;
use crate::regions::Latency;
use crate::world::{World, WorldConfig};
use bytes::{BufMut as _, BytesMut};
use futures_util::future::join_all;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use timed_actors::mempool::SubmitError;
use timed_actors::messages::{Connect, LiftAllBans, LiftBan, SetBan};
use timed_chain::PoolTransaction;
use timed_consensus::SigningStatus;
use timed_ledger::{KeyHash, Lock, Transaction, TransactionBody, TxOutput};
use timed_peer::EndReason;
use timed_primitives::{
    Amount, BlockId, Hash, Height, Proposal, PublicKey, Round, SecretKey, Signature, TxId, Vote, VoteKind, decode,
    encode,
};
use timed_wire::{ConsensusMessage, Kind};

/// Red when what a peer sends in the course of a sync, or in an hour of normal life, is held against it.
pub(super) async fn sync_burst(stage: &Stage) -> Result<(), Failed> {
    let mut world = stage.network_of(WorldConfig { latency: Latency::Lan, ..WorldConfig::instant(4, 1) }).await?;
    let four = node(&world, 4)?;
    four.kill(Crash::Process);
    world.run_for(HOUR).await;
    let tip = node(&world, 1)?.height();
    four.start()?;
    for observer in 5..=7 {
        world.start(observer)?;
    }
    let began = tokio::time::Instant::now();
    all_reach(&world, tip, MINUTE).await?;
    let took = began.elapsed();
    world.run_for(MINUTE).await;
    nobody_is_blamed(&world)?;
    promise(is_meshed(&world), format_args!("some nodes lost each other over a sync"))?;
    stage.show(format_args!(
        "an hour of four nodes and four syncs of {tip} blocks at once, in {took:?}, cost no points"
    ));
    Ok(())
}

/// A payment as large as one may be.
fn largest_payment(world: &World, number: usize) -> Result<PoolTransaction, Failed> {
    const OUTPUTS: usize = 1_580;
    let small = decode::<Transaction>(&payment(world, number)?.bytes);
    let small = small.map_err(|error| Failed::Broken(error.to_string()))?;
    let lock = Lock::KeyHash(KeyHash::of(&SecretKey::development("payee", 1).public()));
    let output = TxOutput { amount: Amount(2_000), lock };
    let change = small.body.outputs.iter().map(|output| output.amount.0).sum::<u64>() - 2_000 * OUTPUTS as u64;
    let outputs = std::iter::repeat_n(output, OUTPUTS).chain([TxOutput { amount: Amount(change - 100_000), lock }]);
    let body = TransactionBody { outputs: outputs.collect(), ..small.body };
    Ok(PoolTransaction::of(&body.sign(&[&SecretKey::development("wallet", 0)])))
}

/// Hands in a payment, and again when the node is busy, as it says.
async fn submit_when_there_is_room(node: &Node, transaction: PoolTransaction) -> Result<TxId, SubmitError> {
    loop {
        match node.submit(transaction.clone()).await {
            Err(SubmitError::Busy { retry_after, .. }) => tokio::time::sleep(retry_after).await,
            outcome => return outcome,
        }
    }
}

/// Red when a bound of the wire, the lanes or the ledger is below what a proposer may make.
pub(super) async fn full_blocks(stage: &Stage) -> Result<(), Failed> {
    const PAYMENTS: usize = 48;
    let world = stage.network_of(WorldConfig { first_blocks_full: true, ..quiet(4) }).await?;
    let one = node(&world, 1)?;
    let payments = (0..PAYMENTS).map(|number| largest_payment(&world, number)).collect::<Result<Vec<_>, _>>()?;
    let taken = join_all(payments.into_iter().map(|transaction| submit_when_there_is_room(&one, transaction))).await;
    for txid in taken {
        let txid = txid?;
        for node in world.nodes() {
            node.wait_for_payment(txid, 2 * MINUTE).await?;
        }
    }
    let reader = one.handles().history;
    let mut largest = 0;
    for height in (1..=one.height().0).map(Height) {
        largest = largest.max(reader.decided_bytes(height)?.map_or(0, |decided| decided.block.len()));
    }
    let bound = world.genesis().block_bytes_max as usize;
    promise(largest > bound * 9 / 10, format_args!("the largest block has {largest} of {bound} bytes"))?;
    promise(is_meshed(&world), format_args!("full blocks cost a session"))?;
    nobody_is_blamed(&world)?;
    stage.show(format_args!(
        "{PAYMENTS} payments of 64 KiB filled blocks up to {largest} of {bound} bytes, without a point"
    ));
    Ok(())
}

/// Red when a node blames itself for its own address, or when bans grow without a bound.
pub(super) async fn own_address(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(quiet(4)).await?;
    let one = node(&world, 1)?;
    let manager = one.handles().peer_manager;
    let own = format!("{}:7000", world.ip(1));
    manager.do_send(Connect { address: own.clone() });
    world.run_for(HOUR).await;
    let target = view(&one).targets.into_iter().find(|target| target.address == own);
    let end = target.and_then(|target| target.last_end).map(|(_, reason)| reason);
    promise(end == Some(EndReason::SelfConnection), format_args!("a node that dials itself: {end:?}"))?;
    nobody_is_blamed(&world)?;
    promise(is_meshed(&world), format_args!("a node that dialled itself lost a session"))?;
    let bound = timed_peer::misbehaviour::KEYS_MAX;
    for number in 0..bound as u64 + 500 {
        let peer = SecretKey::development("banned", number).public();
        manager.do_send(SetBan { peer, length: HOUR });
    }
    world.run_for(2 * SECOND).await;
    let bans = view(&one).bans.len();
    promise(bans <= bound, format_args!("{bans} bans are kept, the bound is {bound}"))?;
    stage.show(format_args!("a node that dialled itself for an hour said so, and blamed nobody"));
    stage.show(format_args!("of {} bans {bans} are kept", bound + 500));
    Ok(())
}

/// Red when a peer of another genesis is taken for an offender, let in, or dialled as often as one that may come back.
pub(super) async fn wrong_genesis(stage: &Stage) -> Result<(), Failed> {
    const CALLS: usize = 218;
    let world = stage.network_of(quiet(4)).await?;
    let mut unknown = world.unknown(ELSEWHERE, 1);
    unknown.hello.genesis = Hash([7; 32]);
    for call in 0..CALLS {
        // An address that calls more often is not even secured.
        world.run_for(SECOND).await;
        let reason = unknown.knock(1 + call as u64 % 4).await?;
        promise(reason == Some(EndReason::Genesis), format_args!("call {call} ended with {reason:?}"))?;
    }
    for node in world.nodes() {
        promise(view(node).bans.is_empty(), format_args!("node {} banned a peer for its genesis", node.id()))?;
        promise(view(node).ended.len() <= 256, format_args!("node {} remembers too much", node.id()))?;
    }
    // In the other direction: an operator names its address.
    let calls = Rc::new(Cell::new(0));
    let mut listener = unknown.listen().await?;
    let counted = calls.clone();
    tokio::task::spawn_local(async move {
        loop {
            if let Ok(mut channel) = unknown.accept(&mut *listener).await {
                counted.set(counted.get() + 1);
                // The node ends it; why, it says to both.
                let _ = channel.say_hello(&unknown.hello).await;
                let _ = channel.listen_to_the_end().await;
            }
        }
    });
    node(&world, 1)?.handles().peer_manager.do_send(Connect { address: format!("{}:7000", world.ip(ELSEWHERE)) });
    world.run_for(HOUR).await;
    let an_hour = calls.get();
    promise((60..=240).contains(&an_hour), format_args!("it was dialled {an_hour} times in an hour"))?;
    let target = view(&node(&world, 1)?).targets.into_iter().find(|target| target.address.ends_with("240:7000"));
    let end = target.and_then(|target| target.last_end).map(|(_, reason)| reason);
    promise(end == Some(EndReason::Genesis), format_args!("the node says of it: {end:?}"))?;
    promise(is_meshed(&world), format_args!("a session was lost over it"))?;
    stage.show(format_args!("{CALLS} calls from another genesis were refused by name and held against nobody"));
    stage.show(format_args!("one that an operator named was tried {an_hour} times in an hour, and never given up"));
    Ok(())
}

/// Red when a ban that is lifted still keeps its peer out anywhere.
pub(super) async fn one_ban_list(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(quiet(1)).await?;
    let unknown = world.unknown(ELSEWHERE, 1);
    let one = node(&world, 1)?;
    let manager = one.handles().peer_manager;
    for (how, is_single) in [("by its frames", true), ("by its frames", false), ("by an operator", true)] {
        if how == "by an operator" {
            let mut channel = unknown.shake_hands(1).await?;
            manager.do_send(SetBan { peer: unknown.key(), length: HOUR });
            let reason = channel.listen_to_the_end().await?;
            promise(reason == Some(EndReason::Banned), format_args!("a ban {how} ends a session with {reason:?}"))?;
        } else {
            get_banned(&world, 1).await?;
        }
        let refused = unknown.knock(1).await?;
        promise(refused == Some(EndReason::Banned), format_args!("banned {how} it was let in: {refused:?}"))?;
        let is_listed = view(&one).bans.iter().any(|ban| ban.key == unknown.key());
        promise(is_listed, format_args!("banned {how} it is not in the list"))?;
        let lifted = match is_single {
            true => manager.send(LiftBan { peer: unknown.key() }).await.ok().map(usize::from),
            false => manager.send(LiftAllBans).await.ok(),
        };
        promise(lifted == Some(1), format_args!("lifting answered {lifted:?}"))?;
        world.run_for(2 * SECOND).await;
        let left = view(&one).bans.len();
        promise(left == 0, format_args!("after it was lifted {left} bans are listed"))?;
        let mut channel = unknown.shake_hands(1).await?;
        let closed = channel.behave(MINUTE).await?;
        let is_up = peer(&one, unknown.key()).is_some();
        promise(is_up, format_args!("banned {how} and lifted, it did not stay: {closed:?}"))?;
    }
    stage.show(format_args!("three bans were in the one list, and once lifted nothing kept the peer out"));
    Ok(())
}

/// Frames that are too long, until the key is banned.
pub(super) async fn get_banned(world: &World, number: u64) -> Result<usize, Failed> {
    let unknown = world.unknown(ELSEWHERE, number);
    let mut frame = BytesMut::new();
    frame.put_u32(u32::MAX);
    frame.put_u8(Kind::Vote.number());
    for frames in 1..=10 {
        let mut channel = unknown.shake_hands(1).await?;
        channel.send_bytes(&frame).await?;
        channel.listen_to_the_end().await?;
        world.run_for(Duration::from_millis(10)).await;
        if view(&node(world, 1)?).bans.iter().any(|ban| ban.key == unknown.key()) {
            return Ok(frames);
        }
    }
    Err(Failed::Broken("ten frames that are too long did not ban a key".to_owned()))
}

/// What a validator never signed: a proposal as the leader, and a vote.
fn forged(height: Height, leader: PublicKey, number: u8) -> [ConsensusMessage; 2] {
    let (block, signature) = (BlockId(Hash([number; 32])), Signature([number; 64]));
    let proposal = Proposal { height, round: Round(0), block, valid_round: None, proposer: leader, signature };
    let kind = VoteKind::Precommit;
    let vote = Vote { kind, height, round: Round(0), block: Some(block), validator: leader, signature };
    [ConsensusMessage::Proposal(encode(&proposal).into()), ConsensusMessage::Vote(encode(&vote).into())]
}

fn leader(node: &Node) -> Option<(Height, PublicKey)> {
    let status = node.try_handles()?.consensus.borrow().clone()?;
    Some((status.height, status.proposer?))
}

/// Red when who is named by a forgery is blamed for it, or believed to have said it.
pub(super) async fn forged_proposal(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(quiet(4)).await?;
    pay(&world, 0, 1).await?;
    world.run_for(5 * SECOND).await;
    let mut banned = 0;
    for (number, target) in (1..=8).zip((1..=4).cycle()) {
        let unknown = world.unknown(ELSEWHERE, number);
        let mut channel = unknown.shake_hands(target).await?;
        let at = node(&world, target)?;
        let Some((height, leader)) = leader(&at) else { return Err(Failed::Broken("nobody leads".to_owned())) };
        for round in 0..4 {
            for message in forged(height, leader, round) {
                // Once it is banned nobody listens.
                let _ = channel.send(message).await;
            }
        }
        let reason = channel.behave(5 * SECOND).await?;
        let is_banned = view(&at).bans.iter().any(|ban| ban.key == unknown.key());
        promise(is_banned, format_args!("who forges is not banned: {reason:?}"))?;
        banned += 1;
    }
    nobody_is_blamed(&world)?;
    promise(is_meshed(&world), format_args!("a forgery cost a validator a session"))?;
    for node in world.nodes() {
        let signing = node.signing();
        promise(signing == Some(SigningStatus::On), format_args!("node {} was talked out of signing", node.id()))?;
    }
    let txid = pay(&world, 1, 1).await?;
    let one = node(&world, 1)?;
    let certificate = one.handles().history.certificate(one.height())?;
    let round = certificate.map(|certificate| certificate.round);
    promise(round == Some(Round(0)), format_args!("payment {txid} took more than one round: {round:?}"))?;
    stage.show(format_args!(
        "{banned} forgers were banned; the validators they named have no point and go on in round 0"
    ));
    Ok(())
}

/// Red when a node in the minority blames the others, or is blamed.
pub(super) async fn minority(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network(4).await?;
    let four = node(&world, 4)?;
    for round in 0..3 {
        world.part(&[4]);
        // What it says of the time is wrong as well.
        four.move_clock(if round == 1 { -120_000 } else { 0 });
        let before = four.height();
        for number in 0..10 {
            let txid = node(&world, 1)?.submit(payment(&world, round * 10 + number)?).await?;
            node(&world, 2)?.wait_for_payment(txid, MINUTE).await?;
        }
        world.run_for(10 * MINUTE).await;
        let alone = four.height().above(before);
        promise(alone <= 1, format_args!("one of four made {alone} blocks"))?;
        for other in 1..=3 {
            world.heal(4, other);
        }
        mesh(&world, 35 * SECOND).await?;
        all_reach(&world, world.heights().1, MINUTE).await?;
        nobody_is_blamed(&world)?;
    }
    stage.show(format_args!(
        "three times ten minutes in the minority: no block alone, no points, no bans on either side"
    ));
    Ok(())
}
