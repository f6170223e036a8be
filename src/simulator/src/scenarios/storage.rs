//! Disks, restarts, coins and the mempool.

use super::stage::{
    Failed, MINUTE, SECOND, Stage, all_reach, mesh, nobody_is_blamed, node, pay, payment, promise, quiet,
};
use crate::gate::{Crash, DiskPace};
use crate::kept::KeptState;
use crate::node::Node;
use crate::payments::supply_of;
use crate::world::{World, WorldConfig};
use std::time::Duration;
use timed_actors::mempool::SubmitError;
use timed_chain::{BLOCK_LOG_FILE, PoolTransaction};
use timed_consensus::SigningStatus;
use timed_primitives::{Block, CommitCertificate, Height, TxId, decode};
use timed_test_support::MemoryStore;

/// Nodes on disks whose syncs take time: what is not synced can be lost.
fn on_disks() -> WorldConfig {
    WorldConfig { disk: DiskPace::GOOD, ..quiet(4) }
}

/// Red when something that a node called final is gone after all lost power, or after an orderly stop.
pub(super) async fn power_loss(stage: &Stage) -> Result<(), Failed> {
    const ROUNDS: usize = 15;
    let world = stage.network_of(on_disks()).await?;
    let nodes: Vec<Node> = world.nodes().cloned().collect();
    let mut paid: Vec<TxId> = Vec::new();
    for round in 0..ROUNDS {
        for number in 0..4 {
            let at = 1 + (round + number) as u64 % 4;
            paid.push(node(&world, at)?.submit(payment(&world, round * 4 + number)?).await?);
        }
        // At another moment before finality each time.
        world.run_for(Duration::from_millis(3 * round as u64)).await;
        if round % 5 == 4 {
            for node in &nodes {
                node.stop().await;
            }
        } else {
            nodes.iter().for_each(|node| node.kill(Crash::Power));
        }
        world.run_for(SECOND).await;
        for node in &nodes {
            node.start()?;
        }
        // What only one of them had heard of may be lost with it: its payer insists.
        let first = paid.len() - 4;
        for number in 0..4 {
            let again = nodes[number % 4].submit(payment(&world, round * 4 + number)?).await;
            let is_known = matches!(again, Ok(_) | Err(SubmitError::Refused(_)));
            promise(is_known, format_args!("payment {number} of round {round}: {again:?}"))?;
            for node in &nodes {
                node.wait_for_payment(paid[first + number], MINUTE).await?;
            }
        }
    }
    for txid in &paid {
        promise(nodes.iter().all(|node| node.is_final(txid)), format_args!("payment {txid} is lost"))?;
    }
    stage.show(format_args!(
        "all four lost power or were stopped {ROUNDS} times under way; {} payments are final",
        paid.len()
    ));
    Ok(())
}

/// Red when damage in the block log is not found, erases anything, or cannot be healed from the network.
pub(super) async fn damaged_log(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(on_disks()).await?;
    for number in 0..20 {
        pay(&world, number, 1 + number as u64 % 4).await?;
    }
    let four = node(&world, 4)?;
    let height = four.height();
    four.kill(Crash::Process);
    let damaged = four.kept().copy();
    let mut bytes = 0;
    let found = damaged.files.damage(BLOCK_LOG_FILE, |log| {
        bytes = log.len();
        let middle = log.iter().rposition(|byte| *byte != 0).unwrap_or_default() / 2;
        log[middle] ^= 1;
    });
    promise(found.is_some(), format_args!("there is no block log"))?;
    four.replace_disk(damaged.clone());
    let refused = four.start().err();
    let Some(refused) = refused else { return Err(Failed::Broken("a damaged log was opened".to_owned())) };
    let mut left = 0;
    let _ = damaged.files.damage(BLOCK_LOG_FILE, |log| left = log.len());
    promise(left == bytes, format_args!("of {bytes} bytes of the log {left} are left"))?;
    four.replace_disk(KeptState::default());
    four.start()?;
    four.wait_for_height(height, 2 * MINUTE).await?;
    stage.show(format_args!("a changed bit in {bytes} bytes: {}", refused.text));
    stage.show(format_args!("the log was left as it was; on an empty disk {height} blocks came back from the others"));
    Ok(())
}

/// Red when a block that was stored, sent or read again has another hash than the one that was voted for.
pub(super) async fn hash_of_stored_blocks(stage: &Stage) -> Result<(), Failed> {
    let mut world = stage.network_of(on_disks()).await?;
    for number in 0..20 {
        pay(&world, number, 1 + number as u64 % 4).await?;
    }
    for id in 1..=4 {
        node(&world, id)?.kill(Crash::Process);
        node(&world, id)?.start()?;
        mesh(&world, 35 * SECOND).await?;
    }
    let (tip, _) = world.heights();
    world.start(5)?.wait_for_height(tip, MINUTE).await?;
    let mut compared = 0;
    for height in (1..=tip.0).map(Height) {
        let mut bytes = None;
        for node in world.nodes() {
            let Some(decided) = node.handles().history.decided_bytes(height)? else {
                return Err(Failed::Broken(format!("node {} has no height {height}", node.id())));
            };
            let block: Option<Block> = decode(&decided.block).ok();
            let voted: Option<CommitCertificate> = decode(&decided.certificate).ok();
            let (found, voted) = (block.map(|block| block.id()), voted.map(|certificate| certificate.block));
            promise(
                found.is_some() && found == voted,
                format_args!("at {height} node {} stored {found:?}, {voted:?} was voted for", node.id()),
            )?;
            let first = bytes.get_or_insert_with(|| decided.block.clone());
            promise(*first == decided.block, format_args!("height {height} has two encodings"))?;
            compared += 1;
        }
    }
    stage.show(format_args!(
        "{compared} blocks of five nodes have the hash that was voted for, after restarts and a sync"
    ));
    Ok(())
}

/// The coin was spent: neither the same payment nor another of it is taken.
async fn is_spent(world: &World, node: &Node, number: usize) -> Result<(), Failed> {
    let other = world.transaction(number, 8).ok_or_else(|| Failed::Broken("genesis has too few outputs".to_owned()))?;
    for again in [payment(world, number)?, other] {
        let taken = node.submit(again).await;
        let is_refused = matches!(taken, Err(SubmitError::Refused(_)));
        promise(is_refused, format_args!("node {} takes coin {number} again: {taken:?}", node.id()))?;
    }
    Ok(())
}

/// Red when a spent coin is back, or money is counted twice, after whatever the node went through.
pub(super) async fn spent_stays_spent(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(on_disks()).await?;
    let mut paid = 0;
    for round in 0..4 {
        for id in 1..=4 {
            pay(&world, paid, id).await?;
            paid += 1;
        }
        for node in world.nodes() {
            match round {
                0 => node.stop().await,
                1 => node.kill(Crash::Process),
                2 => node.kill(Crash::Power),
                // The output set is made again from the blocks.
                _ => {
                    node.kill(Crash::Process);
                    node.replace_disk(KeptState { store: MemoryStore::default(), ..node.kept() });
                }
            }
            node.start()?;
            mesh(&world, 35 * SECOND).await?;
            for number in 0..paid {
                is_spent(&world, node, number).await?;
            }
        }
    }
    let one = node(&world, 1)?;
    let supply = supply_of(&*one.handles().history).map_err(Failed::Broken)?;
    stage.show(format_args!("{paid} coins stayed spent through stops, kills, losses of power and four reindexes"));
    stage.show(format_args!("{} TIME unspent and {} in fees are all there ever was", supply.unspent, supply.fees));
    Ok(())
}

/// Red when a node that has caught up goes on as if it had not.
pub(super) async fn sync_ends(stage: &Stage) -> Result<(), Failed> {
    const ROUNDS: usize = 8;
    let config = WorldConfig { latency: crate::Latency::Lan, ..WorldConfig::instant(4, 1) };
    let world = stage.network_of(config).await?;
    let four = node(&world, 4)?;
    for round in 0..ROUNDS {
        four.kill(if round % 2 == 0 { Crash::Process } else { Crash::Power });
        world.run_for(10 * MINUTE).await;
        four.start()?;
        if round % 3 == 2 {
            // Once more in the middle of it.
            world.run_for(Duration::from_millis(5)).await;
            four.kill(Crash::Process);
            four.start()?;
        }
        let tip = node(&world, 1)?.height();
        four.wait_for_height(tip.next(), MINUTE).await?;
        world.run_for(30 * SECOND).await;
        let sync = four.try_handles().and_then(|handles| handles.sync.borrow().clone());
        let is_over = sync.as_ref().is_some_and(|sync| !sync.progress.leads && sync.progress.stall.is_none());
        promise(is_over, format_args!("30 s after it caught up, node 4 says {sync:?}"))?;
        let signing = four.signing();
        promise(signing == Some(SigningStatus::On), format_args!("30 s after it caught up, signing is {signing:?}"))?;
    }
    nobody_is_blamed(&world)?;
    stage.show(format_args!("{ROUNDS} times ten minutes behind: each time it caught up, said so, and signed again"));
    Ok(())
}

/// Red when a payment stays in a mempool after it is final or can never be, or when two of one coin are final.
pub(super) async fn mempool_empties(stage: &Stage) -> Result<(), Failed> {
    const PAIRS: usize = 30;
    let config = WorldConfig { latency: crate::Latency::Lan, ..quiet(4) };
    let world = stage.network_of(config).await?;
    let mut pairs: Vec<(PoolTransaction, PoolTransaction)> = Vec::new();
    for number in 0..PAIRS {
        let Some(other) = world.transaction(number, 8) else { break };
        pairs.push((payment(&world, number)?, other));
    }
    for (number, (first, second)) in pairs.iter().enumerate() {
        let at = |offset: u64| node(&world, 1 + (number as u64 + offset) % 4);
        // Neither node has heard of the other's; one of them may be refused where it comes late.
        let (one, two) = (at(0)?, at(2)?);
        let taken = futures_util::join!(one.submit(first.clone()), two.submit(second.clone()));
        promise(taken.0.is_ok() || taken.1.is_ok(), format_args!("coin {number} was taken nowhere"))?;
        if number == PAIRS / 2 {
            node(&world, 3)?.kill(Crash::Process);
            node(&world, 3)?.start()?;
        }
    }
    world.run_for(MINUTE).await;
    for (number, (first, second)) in pairs.iter().enumerate() {
        let finals: Vec<(bool, bool)> =
            world.nodes().map(|node| (node.is_final(&first.facts.id), node.is_final(&second.facts.id))).collect();
        let is_one = finals.iter().all(|pair| *pair == finals[0]) && finals[0].0 != finals[0].1;
        promise(is_one, format_args!("of two payments of coin {number} are final, by node: {finals:?}"))?;
    }
    for node in world.nodes() {
        let left = node.try_handles().and_then(|handles| Some(handles.mempool_status.borrow().as_ref()?.pool.count));
        promise(left == Some(0), format_args!("node {} still holds {left:?} payments", node.id()))?;
    }
    stage.show(format_args!("of {PAIRS} pairs of payments of one coin one each is final, and every mempool is empty"));
    Ok(())
}

/// Red when a full disk costs anything final, or its recovery deletes anything.
pub(super) async fn full_disk(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(on_disks()).await?;
    let four = node(&world, 4)?;
    let (mut paid, mut given_up) = (0, Vec::new());
    for room_bytes in [0, 300, 2_000, 9_000, 40_000] {
        four.set_disk(&DiskPace { room_bytes: Some(room_bytes), ..DiskPace::GOOD });
        while four.is_running() {
            promise(paid < 2_000, format_args!("a disk with {room_bytes} bytes of room is never full"))?;
            let txid = node(&world, 1)?.submit(payment(&world, paid)?).await?;
            for other in 1..=3 {
                node(&world, other)?.wait_for_payment(txid, MINUTE).await?;
            }
            paid += 1;
        }
        given_up.extend(four.fatal());
        four.start()?;
        let whole = four.handles().history.verify_log().ok();
        promise(whole == Some(four.height()), format_args!("after a full disk its log is whole up to {whole:?}"))?;
        all_reach(&world, world.heights().1, MINUTE).await?;
        // It counts as one of the others again before the next disk is full.
        world.run_for(10 * SECOND).await;
    }
    promise(given_up.len() == 5, format_args!("a full disk ended it {} times of 5", given_up.len()))?;
    let Some(reason) = given_up.last() else { return Err(Failed::Broken("it never gave up".to_owned())) };
    stage.show(format_args!(
        "five full disks at other moments each ended the node with its reason: {}: {}",
        reason.component, reason.text
    ));
    stage.show(format_args!("with room again it went on with everything, and {paid} payments are final"));
    Ok(())
}
